"""How the new cloth is coloured and lit, and what fills the place that the old garment leaves; all ours."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.nearest import nearest_pixel
from pipelines.person.garment.cutout import nearest_fill
from pipelines.person.garment.warp import LEFT_SLEEVE, RIGHT_SLEEVE, TORSO
from pipelines.viton_hd.conditioning import SKIN, disc
from pipelines.viton_hd.planes import Plane, distance_to

SKIN_TONE = 0.85  # share of the person's middle skin tone in newly bared skin
FOLDS = (0.033, 0.23)  # in shoulder widths, between which scales folds are looked for
FOLD_STRENGTH = 0.55
OUTLINE, UNDER = 0.10, 0.18  # log-shading towards the outline, and under a sleeve


def filled(
    picture: NDArray[np.float32],
    region: Plane,
    sources: Mapping[tuple[int, ...], Plane],
    shares: Mapping[tuple[int, ...], NDArray[np.float32]],
    sigma: float,
) -> NDArray[np.float32]:
    """Fill ``region`` with what is seen of each kind of thing around it, kinds blended by their shares.

    Args:
        picture: (h, w, 3) float32 in [0, 1].
        region: (h, w) bool.
        sources: By kind, (h, w) bool: where it is seen.
        shares: By kind, (h, w) float32 in [0, 1]: how much of it is wanted.
        sigma: Softening in pixels.
    """
    total, out = np.full(region.shape, 1e-4, np.float32), 1e-4 * nearest_fill(picture, ~region)
    for kind, share in shares.items():
        inner = cv2.erode(sources[kind].astype(np.uint8), disc(2)) > 0  # the rim mixes two kinds
        source = inner if inner.sum() > 20 else sources[kind]
        if source.sum() < 6 or not (share * region > 0.02).any():
            continue
        colour = nearest_fill(picture, source)
        if kind == SKIN:  # the nearest skin is often a shadowed rim: mostly the person's own lit tone
            away = np.exp(-distance_to(source) / (12 * sigma))[..., None]
            colour = colour + SKIN_TONE * (1 - 0.8 * away) * (lit_tone(picture[source]) - colour)
        out += share[..., None] * cv2.GaussianBlur(colour, (0, 0), sigma)
        total += share
    return np.where(region[..., None], out / total[..., None], picture).astype(np.float32)


def extended(cloth: NDArray[np.float32], trust: Plane, where: Plane) -> NDArray[np.float32]:
    """Continue cloth beyond its rim by mirroring, so that a print goes on instead of being drawn out into streaks.

    Args:
        cloth: (h, w, 3) float32.
        trust: (h, w) bool, where its colours are believed.
        where: (h, w) bool, where cloth is needed.

    Returns:
        (h, w, 3) float32, ``cloth`` where trusted.
    """
    if not trust.any():
        return cloth
    need = np.nonzero(where & ~trust)
    rim = np.stack(divmod(nearest_pixel(trust)[1][need], trust.shape[1]), 1)
    mirrored = 2 * rim - np.stack(need, 1)
    inside = np.asarray(((mirrored >= 0) & (mirrored < trust.shape)).all(1))
    mirrored = np.where(inside[:, None], mirrored, rim)
    believed = trust[mirrored[:, 0], mirrored[:, 1]]
    source = np.where(believed[:, None], mirrored, rim)
    out = cloth.copy()
    out[need] = cloth[source[:, 0], source[:, 1]]
    return out


def lit_tone(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour of skin in the light: the mean of the brighter half, without highlights. (n, 3) -> (3,) float32."""
    order = pixels[pixels.sum(1).argsort()]
    return np.asarray(order[len(order) // 2 : max(len(order) // 2 + 1, len(order) * 9 // 10)].mean(0), np.float32)


def relief(parts: NDArray[np.uint8], cloth: Plane, unit: float) -> NDArray[np.float32]:
    """Shade a flat garment as a body would: darker towards its outline, and under a sleeve that lies on it.

    Args:
        parts: (h, w) uint8 as `warp` says which part of the mesh drew a pixel; 0 where none did.
        cloth: (h, w) bool.
        unit: Shoulder width in pixels.

    Returns:
        (h, w) float32, logarithm of a factor.
    """
    edge = np.asarray(cv2.distanceTransform(cloth.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    shade = -OUTLINE * np.exp(-edge / (0.06 * unit))
    sleeve = np.isin(parts, (LEFT_SLEEVE, RIGHT_SLEEVE))
    sleeve = cv2.morphologyEx(sleeve.astype(np.uint8), cv2.MORPH_OPEN, disc(0.03 * unit)) > 0
    if sleeve.any():
        under = distance_to(sleeve)
        over = np.asarray(cv2.distanceTransform((parts != TORSO).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
        shade -= np.where(sleeve, 0, UNDER * np.exp(-under / (0.05 * unit)))
        shade -= np.where(sleeve, 0.5 * UNDER * np.exp(-over / (0.05 * unit)), 0)
    inside = np.where(cloth, shade, 0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), max(0.7, 0.008 * unit)), np.float32)


def folds(picture: NDArray[np.float32], worn: Plane, unit: float) -> NDArray[np.float32]:
    """Folds of the worn garment, to be laid over the new one: they show how the body under both is lit.

    Only of plain cloth: the folds of a patterned or layered garment cannot be told from its pattern.

    Args:
        picture: (h, w, 3) float32 in [0, 1].
        worn: (h, w) bool.
        unit: Shoulder width in pixels.

    Returns:
        (h, w) float32, logarithm of a factor; 0 outside ``worn``.
    """
    inner = cv2.erode(worn.astype(np.uint8), disc(0.015 * unit)) > 0
    if inner.sum() < 0.05 * unit * unit:
        return np.zeros(worn.shape, np.float32)
    light = np.log(picture @ np.array([0.299, 0.587, 0.114], np.float32) + 0.06)
    weight = inner.astype(np.float32)

    def smooth(sigma: float) -> NDArray[np.float32]:
        total = cv2.GaussianBlur(light * weight, (0, 0), sigma)
        return np.asarray(total / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-3), np.float32)

    fine, coarse = smooth(FOLDS[0] * unit), smooth(FOLDS[1] * unit)
    lab = cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2LAB)
    hue = float(lab[inner, 1].std() + lab[inner, 2].std())
    grain = float(np.abs(light - smooth(0.7 * FOLDS[0] * unit))[inner].mean())
    uneven = float(smooth(2.5 * FOLDS[0] * unit)[inner].std())
    plain = np.clip(1.4 - (hue + 35 * grain) / 14, 0, 1) * np.clip(1.8 - uneven / 0.16, 0, 1)
    soft = cv2.GaussianBlur(weight, (0, 0), FOLDS[0] * unit)
    return (np.clip(fine - coarse, -0.30, 0.22) * FOLD_STRENGTH * plain * soft).astype(np.float32)
