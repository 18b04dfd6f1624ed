"""Product photo in, alpha of the garment out.

A plain ground is recognised by the rim of the picture, and the garment before it is drawn by edges (plain.py), which
keeps a white shirt on white paper whole. On any ground, outlines are drawn by colour and texture from several first
guesses (graphcut.py), that one and a small network's (prior.py) among them, and all are rated: what is inside must be
unlike what is outside, over all and along the outline, have a garment's size and symmetry, and be what the network
expects. The best is drawn again on a larger picture, where the network, which sees too coarsely, has no say; then it is
freed of hooks, smoothed, and made soft where the picture is (matte.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.nearest import nearest_pixel
from pipelines.core.types import Finding, Image, Mask
from pipelines.person.garment.graphcut import Coded, candidates, encode, opened, refine, score, texture_of
from pipelines.person.garment.matte import matte
from pipelines.person.garment.plain import garment_on, ground_of
from pipelines.person.garment.regions import (
    border_share,
    disc,
    overlap,
    ragged,
    smooth_outline,
    symmetric,
    whole,
    without_thin,
    without_tinted_ground,
)

PLAIN_SIZE, CLUTTER_SIZE = 400, 160  # longest side for edges, and for palettes
LEAST, MOST = 0.012, 0.93  # share of the picture that a garment may cover
PREFERENCE = 1.1  # how much better the outline before a plain ground counts
TELLING = 0.08  # below this rating palettes say nothing, as with white on white
CERTAIN = 0.9  # no other outline is tried beyond this rating
NOTHING = 0.02  # below this rating, without a plain ground, there is no garment: noise has up to 0.003
GOOD = 0.6  # below this quality the cut-out is called doubtful
SMALL = 0.06  # a garment that covers less of the picture than this is probably a piece of one
AGREED = 0.85  # overlap with the network's own outline from which on the two agree
Float = NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Cutout:
    """A garment cut out of its photo.

    Attributes:
        alpha: (H, W) uint8, 0 background .. 255 garment.
        quality: 0..1; how much the outline looks like one whole garment before a background unlike it.
        plain: Whether the background was plain.
        findings: ``garment.cluttered``, ``garment.small``, ``garment.touches-border`` warnings.
    """

    alpha: Mask
    quality: float
    plain: bool
    findings: list[Finding]


def cut_out(image: Image, prior: Float | None = None) -> Cutout:
    """Cut the largest garment-like thing out of a product photo.

    Args:
        image: (H, W, 3) uint8 RGB.
        prior: (h, w) float32 in [0, 1] of the whole photo at any size, how probable cloth is, as from
            ``prior.probability``; None leaves it to colours and texture alone.

    Raises:
        InputError: ``garment.none-found`` if nothing stands out from the background.
    """
    height, width = image.shape[:2]
    if min(height, width) < 24:
        raise _none_found(f"{width}x{height} pixels")
    small, lab = _working(image, PLAIN_SIZE)
    ground, noise, share = ground_of(lab)
    plain = share > 0.72 and noise < 3.0
    mask = garment_on(lab, ground, noise) if plain else None
    if mask is not None and not LEAST < mask.mean() < MOST:
        if mask.mean() <= LEAST and share > 0.97:
            raise _none_found("an even picture")
        mask = None  # the rim was even, the rest is not what it promised
    drawn = mask
    mask, apart = _by_palettes(lab, drawn, prior)
    plain = mask is not None and drawn is not None and overlap(mask, drawn) > 0.9
    if mask is None or not LEAST < mask.mean() < MOST or (drawn is None and apart < NOTHING):
        raise _none_found("no region that differs from the rim")
    mask = without_tinted_ground(smooth_outline(without_thin(mask)), lab)
    quality, touching = _quality(mask, lab, plain)
    quality *= min(1.0, apart / 0.3)
    if prior is not None:
        quality *= min(1.0, overlap(mask, _as_mask(prior, mask.shape)) / AGREED)
    alpha = matte(image, small, mask)
    findings = []
    if mask.mean() < SMALL:
        quality *= float(mask.mean()) / SMALL
        findings.append(_small(float(mask.mean())))
    if quality < GOOD and (prior is not None or not plain):
        findings.append(
            Finding(
                "garment.cluttered",
                "warning",
                f"The garment does not stand out well from its background (quality {quality:.2f})",
                "Use a photo on a plain background, or give the garment as a PNG with transparency",
            )
        )
    if touching > 0.05:
        findings.append(touches_border(touching))
    return Cutout(alpha, quality, plain, findings)


def from_alpha(alpha: Mask) -> Cutout:
    """Take a picture's own transparency as the cut-out.

    Raises:
        InputError: ``garment.none-found`` if it is (nearly) empty.
    """
    share = float((alpha > 127).mean())
    if share < LEAST / 4:
        raise _none_found(f"transparency covers {share:.1%}")
    mask = (alpha > 127).astype(np.uint8)
    touching = border_share(mask)
    return Cutout(alpha, 1.0, True, [touches_border(touching)] if touching > 0.05 else [])


def touches_border(share: float) -> Finding:
    """The warning for a garment that the picture cuts off."""
    return Finding(
        "garment.touches-border",
        "warning",
        f"The garment touches {share:.0%} of the picture's border and may be cut off",
        "Use a photo that shows the whole garment",
    )


def _small(share: float) -> Finding:
    """The warning for what is hardly a whole garment."""
    return Finding(
        "garment.small",
        "warning",
        f"What was cut out covers {share:.1%} of the picture and may be only a piece of the garment",
        "Use a photo that the garment fills, on a plain background unlike it",
    )


def _as_mask(prior: Float, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The network's own outline, (h, w) of 0 and 1: where cloth is more probable than not."""
    wide = cv2.resize(prior, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return (wide > 0.5).astype(np.uint8)


def _none_found(seen: str) -> InputError:
    return InputError(
        "garment.none-found",
        "No garment was found in this picture",
        seen=seen,
        remedy="Use a photo of one garment, laid flat or on a hanger, before a plain background",
    )


def _working(image: Image, longest: int) -> tuple[Image, Float]:
    """Shrunk picture and its Lab values: L in 0..100, a and b centred on 0."""
    factor = longest / max(image.shape[:2])
    small = image
    if factor < 1:
        size = (max(8, round(image.shape[1] * factor)), max(8, round(image.shape[0] * factor)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    lab = cv2.cvtColor(small.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return small, np.asarray(lab, np.float32)


def _by_palettes(
    lab: Float, drawn: NDArray[np.uint8] | None, prior: Float | None
) -> tuple[NDArray[np.uint8] | None, float]:
    """The best outline by colour and texture, or ``drawn``, found before a plain ground, where that is better.

    Returns:
        The outline, None if there is none, and how unlike garment and ground are in [0, 1].
    """
    height, width = lab.shape[:2]
    factor = min(1.0, CLUTTER_SIZE / max(height, width))
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    few = np.asarray(cv2.resize(lab, size, interpolation=cv2.INTER_AREA), np.float32)
    coded = encode(few, texture_of(np.ascontiguousarray(lab[..., 0]), size))
    likely = None if prior is None else np.asarray(cv2.resize(prior, size, interpolation=cv2.INTER_LINEAR), np.float32)
    expected = None if likely is None else (likely > 0.5).astype(np.uint8)

    def rated(mask: NDArray[np.uint8]) -> float:
        own = _rating(coded, few, mask)
        return own if expected is None else own * min(1.0, overlap(mask, whole(expected)) / AGREED) ** 2

    best, rating, start, holes = None, 0.0, None, None
    if drawn is not None:
        pierced = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)
        start = whole(pierced)
        holes = start & ~pierced
        rating = PREFERENCE * rated(start)
        if symmetric(start) > 0.6:
            rating = max(rating, TELLING)
    for mask in candidates(coded, start, likely):
        if LEAST < mask.mean() < MOST and (own := rated(mask)) > rating:
            best, rating = mask, own
        if rating > CERTAIN:
            break
    if best is None and start is not None:
        best = start
    if best is None:
        return None, 0.0
    apart = score(coded, few, best)[0]
    if best is start and apart < 0.6:
        return drawn, 1.0  # cloth like the ground: palettes say nothing, edges did
    return whole(refine(lab, coded, opened(coded, best, holes)), close=False), apart


def _rating(coded: Coded, lab: Float, mask: NDArray[np.uint8]) -> float:
    """How much an outline looks like a garment's, in [0, 1]; 0 where palettes do not tell the sides apart."""
    apart, steps, height = score(coded, lab, mask)
    symmetry, size = symmetric(mask), float(mask.mean())
    return (
        apart**0.5
        * steps
        * height
        * min(1.0, symmetry / 0.8)
        * (1 - border_share(mask))
        * min(1.0, 95 / ragged(mask)) ** 0.5
        * min(1.0, size / 0.15)  # a print is smaller than its shirt
        * min(1.0, size / 0.4) ** 0.3
    )


def _quality(mask: NDArray[np.uint8], lab: Float, plain: bool) -> tuple[float, float]:
    """Quality in [0, 1] and the share of the border that is touched."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    area = cv2.contourArea(largest) + 1e-6
    solid = area / (cv2.contourArea(cv2.convexHull(largest)) + 1e-6)
    touching = border_share(mask)
    inner = (mask > 0) & (cv2.erode(mask, disc(4)) == 0)
    outer = (cv2.dilate(mask, disc(5)) > 0) & (cv2.dilate(mask, disc(1)) == 0)
    contrast = 1.0
    if not plain and inner.any() and outer.any():
        means = [
            cv2.blur(lab * m[..., None], (15, 15)) / (cv2.blur(m, (15, 15))[..., None] + 1e-3)
            for m in (inner.astype(np.float32), outer.astype(np.float32))
        ]
        edge = (cv2.dilate(mask, disc(1)) > 0) & (mask == 0)
        step = np.linalg.norm(means[0] - means[1], axis=2)[edge]
        contrast = float(np.clip((step > 7).mean() / 0.85, 0, 1)) if len(step) else 0.0
    shape = min(1.0, solid / 0.62) * min(1.0, 95 / ragged(mask))
    quality = shape * min(1.0, symmetric(mask) / 0.8) * contrast * float(np.clip(1.3 - 4 * touching, 0, 1))
    return float(np.clip(quality, 0, 1)), touching


def bleed(image: Image, alpha: Mask, share: float = 0.008) -> Image:
    """Repaint a garment's rim and surroundings from inside, so that no background colour fringes it.

    Args:
        image: (H, W, 3) uint8.
        alpha: (H, W) uint8.
        share: Width of the rim over the garment's longer side.
    """
    mask = (alpha > 127).astype(np.uint8)
    _, _, w, h = cv2.boundingRect(mask)
    if not w:
        return image.copy()
    width = max(1, round(share * max(w, h)))
    core = cv2.erode(mask, disc(width)) > 0
    return nearest_fill(image, core if core.any() else mask > 0)


def nearest_fill(image: NDArray[Value], known: NDArray[np.bool_]) -> NDArray[Value]:
    """Give every pixel that is not ``known`` the colour of the nearest one that is."""
    if known.all() or not known.any():
        return image.copy()
    return image.reshape(-1, 3)[nearest_pixel(known)[1]]
