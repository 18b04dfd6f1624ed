"""Where the new garment lies on the photograph, what of the old one stays bare, and cloth for all of it; all ours.

A warped cut-out alone makes a poor outline: it is as ragged as the cut-out, and a strip of the old garment shows beside
it. The photograph knows a better one, because the new garment hangs on the same body as the old. So the cloth grows to
the old garment's outline wherever that is near, except beyond the cuffs and above the collar, over the whole of an old
sleeve if the new one is as long, and never past the wearer's own outline. What still remains of the old garment is an
arm, something worn below, or background.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.person import layout as layouts
from pipelines.person.garment.cutout import nearest_fill
from pipelines.person.garment.fit import Fit
from pipelines.person.garment.landmarks import CI, CO, EI, EO, NECK, RIGHT, A, H, N, S
from pipelines.person.garment.warp import LEFT_SLEEVE, RIGHT_SLEEVE, TORSO
from pipelines.viton_hd.conditioning import SKIN

# All lengths in shoulder widths.
REACH = 0.20  # how far cloth grows to meet the old outline
COLLAR = 0.05  # how far above the shoulder line
RAGGED = 0.025  # of the warped cut-out's rim, which is not believed
ROUND = 0.018  # cracks narrower than 2.5 times this are closed
SMOOTH = 0.035  # outlines are rounded by this much: a parse seen from near has teeth
ALL_SKIN, NO_SKIN = 0.6, 0.3  # shares of skin colour above and below which all and none of a sleeve is skin
SKIN_TONE = 0.85  # share of the person's middle skin tone in newly bared skin
SIDES = 0.45  # how much darker an arm is at its sides
FRINGE = 0.02  # how far cloth reaches over the old outline
SLIVER = 0.02  # half the width of what is not worth filling
RIM = 0.03  # how far the old garment's parse may be off
SLACK = 0.06  # below the hem the old garment stays from here on
LONGER = 0.15  # square shoulder widths of old garment below the hem that cloth does not try to reach
FIGURE = 0.04  # how far beyond the person's outline cloth may lie
BESIDE_NECK = 0.45  # but a collar or hood may stand out beside the neck up to here
LONG = 0.45  # a cuff nearer to the wrist is that of a long sleeve
SLEEVE_ROOM = 0.22  # how far from the bones an old sleeve belongs to a new one that is as long
BONE = (0.15, 0.125, 0.09, 0.09)  # from the bone to the skin at shoulder, elbow, wrist and hand
HAND = 0.22  # a cuff nearer to the wrist bares no arm
CUFF_SHADOW = 0.3  # how much darker skin is right beside cloth
NECK_HALF = 0.2  # half the width of a neck
INSET = 0.16  # how much narrower than its old sleeve an arm may be, on each side
SNUG = 0.22  # half the width of the widest old sleeve in which an arm is drawn
SEEN = 0.25  # a hand nearer than this to where the joints say it is agrees with them
SLEEVE = 0.06  # square shoulder widths of an old sleeve below which no arm is looked for
ROOM = 0.30  # how far from the bones an old sleeve reaches
BESIDE = 0.07  # how far from the garment's side an arm begins
ARM_LENGTH = 1.6  # from the cuff to the finger tips
ARM = 0.115  # half the thickness of a bare arm
FOLDS = (0.033, 0.23)  # between which scales folds are looked for
FOLD_STRENGTH = 0.55
OUTLINE, UNDER = 0.10, 0.18  # log-shading towards the outline, and under a sleeve
GUIDE_HEIGHT = 384  # pixels
ARMS = ((0, 6), (1, 5))  # side of the picture and class: the arm on its left is the person's right one
Plane = NDArray[np.bool_]


@dataclass(frozen=True)
class Cover:
    """The plan for every pixel of the window.

    Attributes:
        cloth: (h, w) bool, where the new garment lies.
        fill: (h, w) bool, where the old garment goes and no cloth comes.
        skin: (h, w) uint8, within ``fill`` 5 and 6 where the person's left and right arm comes to light, 2 for the
            neck, else 0.
        roundness: (h, w) float32 in [0, 1], how bright those arms are across: 1 in the middle, less at the sides.
        trust: (h, w) bool, where the warped cut-out's own colours are believed.
        stays: (h, w) bool, old sleeves that stay, as `kept_sleeves` says.
    """

    cloth: Plane
    fill: Plane
    skin: NDArray[np.uint8]
    roundness: NDArray[np.float32]
    trust: Plane
    stays: Plane


def cover(
    alpha: NDArray[np.float32],
    place: Fit,
    old: Plane,
    bare: Plane,
    protected: Plane,
    light: float = 0.0,
    gaps: Plane | None = None,
    figure: Plane | None = None,
) -> Cover:
    """Plan the window.

    Args:
        alpha: (h, w) float32 in [0, 1], the warped cut-out.
        place: Where the garment was laid, in pixels of the window.
        old: (h, w) bool, the worn garment.
        bare: (h, w) bool, the skin of arms and hands: a sleeve covers it to its outline.
        protected: (h, w) bool, what stays in front.
        light: Where the light comes from, -1 (left) to 1 (right), as `light_from` says.
        gaps: (h, w) bool, where background shows between arm and trunk, as `gaps_in` says; no cloth lies there.
        figure: (h, w) bool, the whole person; cloth stays within its outline, or a garment laid flat becomes a cape
            over whatever stands behind. None sets no limit.
    """
    unit = place.unit
    x, y = _grid(old.shape)
    core = _opened(alpha > 0.6, RAGGED * unit)
    arms, above = beyond_cuffs(place, old.shape), above_collar(place, old.shape)
    neck_distance = np.abs(x - place.target[[N, RIGHT + N], 0].mean())
    sleeve = old & long_sleeves(place, old.shape)
    beyond = (arms > 0) & ~sleeve
    stays = kept_sleeves(place, arms, old & ~sleeve, bare)
    distance = _distance(core)
    fringed = _distance(old | bare) < FRINGE * unit  # cloth covers the old garment's blurred rim too
    grown = fringed & (distance < REACH * unit) & ~beyond & ~(above & (distance > COLLAR * unit))
    grown &= ~neck_opening(place, old.shape)
    hem = place.target[[H, RIGHT + H]]
    slope = (hem[1, 1] - hem[0, 1]) / max(1.0, hem[1, 0] - hem[0, 0])
    depth = y - hem[0, 1] - slope * (x - hem[0, 0])
    below, within = depth > SLACK * unit, (x > hem[:, 0].min() - 0.1 * unit) & (x < hem[:, 0].max() + 0.1 * unit)
    if (old & within & (depth > REACH * unit)).sum() > LONGER * unit**2:
        grown &= ~below  # a coat goes on anyway; cloth that floods its skirt has no hem
    grown |= sleeve
    cloth = (core | grown) & ~stays
    if figure is not None:
        cloth &= (_distance(figure) < FIGURE * unit) | (above & (neck_distance < BESIDE_NECK * unit))
    cloth = _rounded(cloth, ROUND * unit, SMOOTH * unit) & ~protected
    cloth = _without_crumbs(cloth if gaps is None else cloth & ~gaps)
    left = old & ~cloth & ~stays
    # Below the new hem the old garment stays: nobody can know what is under a coat.
    left &= ~(below & within & ~beyond)
    for side, name in ARMS:
        cuff = place.target[[RIGHT * side + CO, RIGHT * side + CI]].mean(0)
        # What is left beyond a cuff at the wrist is no arm but a coat, or a hand.
        if np.linalg.norm(cuff - place.wrists[side]) < HAND * unit:
            left &= ~((arms == name) & (distance > RIM * unit))
    left = cv2.morphologyEx(left.astype(np.uint8), cv2.MORPH_OPEN, _disc(SLIVER * unit)) > 0
    fill = (_distance(left) < RIM * unit) & ~protected & ~cloth & ~stays
    sleeves = np.where(left | fill, arms, 0).astype(np.uint8)
    for side, name in ARMS:
        sleeves[(sleeves == name) & ~_along_bones(place, side, sleeves == name)] = 0
    skin, roundness = bare_arms(sleeves, unit, light, cloth | protected)
    skin[~fill | ~_reaching(skin > 0, [place.target[[i + CO, i + CI]].mean(0) for i in (0, RIGHT)], 0.45 * unit)] = 0
    under = 1 - CUFF_SHADOW * np.exp(-_distance(cloth) / (0.05 * unit))
    roundness = np.where(skin > 0, roundness * under, roundness).astype(np.float32)
    skin[fill & above & (neck_distance < NECK_HALF * unit)] = 2
    trust = cv2.erode(core.astype(np.uint8), _disc(RAGGED * unit)) > 0
    return Cover(cloth, fill, skin, roundness, trust if trust.any() else core, stays)


def beyond_cuffs(place: Fit, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of each arm that the new sleeve does not reach.

    Returns:
        (h, w) uint8: 5 beyond the cuff of the person's left arm, 6 beyond that of the right arm, else 0.
    """
    x, y = _grid(shape)
    beyond = np.zeros(shape, np.uint8)
    for side, name in ARMS:
        first = RIGHT * side
        root, cuff = (place.target[[first + S, first + A]].mean(0), place.target[[first + CO, first + CI]].mean(0))
        middle = place.target[[first + EO, first + EI]].mean(0)
        ahead = cuff - middle
        if np.linalg.norm(ahead) < 0.03 * place.unit:  # sleeveless: along the upper arm
            ahead = place.elbows[side] - place.shoulders[side]
        ahead = ahead / (np.linalg.norm(ahead) + 1e-6)
        past = (x - cuff[0]) * ahead[0] + (y - cuff[1]) * ahead[1] > 0.02 * place.unit
        hand = place.wrists[side] + 0.4 * (place.wrists[side] - place.elbows[side])
        chain = (place.shoulders[side], place.elbows[side], place.wrists[side], hand)
        near = np.minimum.reduce([_to_segment(x, y, a, b) for a, b in itertools.pairwise(chain)]) < ROOM * place.unit
        edge = place.target[[first + A, first + H], 0]
        aside = (x - (edge.max() if side else edge.min())) * (1 if side else -1) > BESIDE * place.unit
        near |= aside & (np.hypot(x - cuff[0], y - cuff[1]) < ARM_LENGTH * place.unit)
        outside = (x - root[0]) * (1 if side else -1) > -0.25 * place.unit
        beyond[past & near & outside] = name
    beyond[trunk(place, shape)] = 0
    return beyond


def long_sleeves(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, around the bones of the arms that a new sleeve covers to the wrist, trunk excepted."""
    x, y = _grid(shape)
    around = np.zeros(shape, bool)
    for side, _ in ARMS:
        cuff = place.target[[RIGHT * side + CO, RIGHT * side + CI]].mean(0)
        if place.sleeves and np.linalg.norm(cuff - place.wrists[side]) < LONG * place.unit:
            hand = place.wrists[side] + 0.15 * (place.wrists[side] - place.elbows[side])
            chain = (place.shoulders[side], place.elbows[side], place.wrists[side], hand)
            for a, b in itertools.pairwise(chain):
                around |= _to_segment(x, y, a, b) < SLEEVE_ROOM * place.unit
    return around & ~trunk(place, shape)


def kept_sleeves(place: Fit, arms: NDArray[np.uint8], old: Plane, bare: Plane) -> Plane:
    """Old sleeves that stay below a shorter new one, because nobody can tell where the arm in them is.

    Arms are drawn only where joints, sleeves and visible hands agree and the arms hang beside the trunk. A sleeve that
    stays looks like something worn below, so if one stays, both do.

    Args:
        place: Where the garment was laid.
        arms: (h, w) uint8 of `beyond_cuffs`.
        old: (h, w) bool, the worn garment.
        bare: (h, w) bool, the skin of arms and hands.

    Returns:
        (h, w) bool, what stays of the old garment.
    """
    stays, known = np.zeros(old.shape, bool), True
    x, y = _grid(old.shape)
    unit, middle = place.unit, trunk(place, old.shape)
    for side, name in ARMS:
        wrist = place.wrists[side]
        cuff = place.target[[RIGHT * side + CO, RIGHT * side + CI]].mean(0)
        sleeve, hand = old & (arms == name), wrist + 0.15 * (wrist - place.elbows[side])
        if np.linalg.norm(cuff - wrist) < LONG * unit:
            continue
        stays |= sleeve
        if sleeve.sum() < SLEEVE * unit**2:
            continue
        spots = _spots(place, side, old.shape)
        seen = (bare & (np.hypot(x - hand[0], y - hand[1]) < SEEN * unit)).any()
        if seen and len(spots) > 2:
            at = (spots[:, 1], spots[:, 0])
            depth = cv2.distanceTransform(sleeve.astype(np.uint8), cv2.DIST_L2, 5)
            snug = cv2.dilate(depth, _disc(0.12 * unit))[at].max() < SNUG * unit
            known &= bool(snug and middle[at].mean() < 0.2 and (sleeve | bare)[at].mean() > 0.75)
        else:
            known = False
    return stays & (not known) & (place.worn_sleeve == "long")


def above_collar(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, what is above the line from shoulder to shoulder along the neckline."""
    return _above(place.target[[S, N, NECK, RIGHT + N, RIGHT + S]], shape)


def neck_opening(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, between the ends of the neckline and above it: cloth never grows into it."""
    return _above(place.target[[N, NECK, RIGHT + N]], shape)


def light_from(picture: NDArray[np.float32], face: Plane) -> float:
    """Which side of a face is lit: -1 (the left of the picture) to 1 (the right), 0 if neither."""
    rows, columns = np.nonzero(face)
    if len(rows) < 30:
        return 0.0
    right = columns > np.median(columns)
    brightness = picture[rows, columns].mean(1)
    left, other = float(brightness[~right].mean()), float(brightness[right].mean())
    return float(np.clip(2 * (other - left) / max(other + left, 1e-3), -1, 1))


def bare_arms(
    sleeves: NDArray[np.uint8], unit: float, light: float = 0.0, beside: Plane | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Arms in the place of old sleeves: as wide as the sleeve, or as an arm where it is wider.

    Args:
        sleeves: (h, w) uint8, 5 and 6 where an old sleeve of the person's left and right arm goes, else 0.
        unit: Shoulder width in pixels.
        light: As of `cover`.
        beside: (h, w) bool, what an arm touches without a gap: cuffs, hands and the trunk.

    Returns:
        (h, w) uint8, the arms; (h, w) float32, how much light a round arm gets there: about 1 in the middle, less at
        the sides and most of all on the side away from the light; 1 elsewhere.
    """
    depth = np.asarray(cv2.distanceTransform((sleeves > 0).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    inside = (sleeves > 0).astype(np.float32)
    touching = sleeves > 0 if beside is None else (sleeves > 0) | beside
    to_ground = np.asarray(cv2.distanceTransform(touching.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    half = np.asarray(cv2.dilate(depth, _disc(0.25 * unit)), np.float32) * inside  # half the sleeve's width here
    half = cv2.GaussianBlur(half, (0, 0), 0.1 * unit) / (cv2.GaussianBlur(inside, (0, 0), 0.1 * unit) + 1e-3)
    inset = np.clip(half - ARM * unit, 0, INSET * unit)
    arm = (sleeves > 0) & (to_ground > inset)
    out = np.clip(1 - (to_ground - inset) / np.maximum(half - inset, 1.0), 0, 1)  # 0 in the middle, 1 at the side
    soft = cv2.GaussianBlur(to_ground, (0, 0), max(1.0, 0.03 * unit))
    across, down = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    steep = np.maximum(np.hypot(across, down), 1e-3)
    normal = (-across / steep * out, -down / steep * out, np.sqrt(1 - out**2))
    towards = np.array([0.6 * light, -0.35, 0.8])
    lit = sum(n * v for n, v in zip(normal, towards / np.linalg.norm(towards), strict=True))
    weight, spread = arm.astype(np.float32), max(0.6, 0.025 * unit)
    shade = (weight * (1 - SIDES + SIDES * np.clip(lit, 0, 1))).astype(np.float32)
    shade = cv2.GaussianBlur(shade, (0, 0), spread) / (cv2.GaussianBlur(weight, (0, 0), spread) + 1e-6)
    return np.where(arm, sleeves, 0).astype(np.uint8), np.where(arm, shade, 1).astype(np.float32)


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
        inner = cv2.erode(sources[kind].astype(np.uint8), _disc(2)) > 0  # the rim mixes two kinds
        source = inner if inner.sum() > 20 else sources[kind]
        if source.sum() < 6 or not (share * region > 0.02).any():
            continue
        colour = nearest_fill(picture, source)
        if kind == SKIN:  # the nearest skin is often a shadowed rim: mostly the person's own lit tone
            away = np.exp(-_distance(source) / (12 * sigma))[..., None]
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
    _, labels = cv2.distanceTransformWithLabels(
        (~trust).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    index = np.asarray(labels, np.int32)
    rows, columns = np.nonzero(trust)
    place = np.zeros((int(index.max()) + 1, 2), np.int32)
    place[index[rows, columns]] = np.stack([rows, columns], 1)
    need = np.nonzero(where & ~trust)
    rim = place[index[need]]
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
    sleeve = cv2.morphologyEx(sleeve.astype(np.uint8), cv2.MORPH_OPEN, _disc(0.03 * unit)) > 0
    if sleeve.any():
        under = _distance(sleeve)
        over = np.asarray(cv2.distanceTransform((parts != TORSO).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
        shade -= np.where(sleeve, 0, UNDER * np.exp(-under / (0.05 * unit)))
        shade -= np.where(sleeve, 0.5 * UNDER * np.exp(-over / (0.05 * unit)), 0)
    inside = np.where(cloth, shade, 0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), max(0.7, 0.008 * unit)), np.float32)


def without_islands(protected: Plane, layout: NDArray[np.uint8]) -> Plane:
    """Drop scraps of hair, skin or bag that lie on the old garment by themselves: they are fur, buttons and prints.

    Args:
        protected: (h, w) bool.
        layout: (h, w) uint8 of `LIP_NAMES`.
    """
    out = protected.copy()
    for names, least in (
        ((layouts.HAIR, layouts.HAT, layouts.SUNGLASSES), 0.15),
        ((layouts.BAG,), 0.04),
        (layouts.ARMS, 0.12),
    ):
        part = protected & np.isin(layout, names)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(part.astype(np.uint8))
        limit = (
            least * stats[1:, cv2.CC_STAT_AREA].max()
            if count > 1 and names[0] != layouts.BAG
            else least * 0.1 * part.size
        )
        for number in range(1, count):
            x, y, w, h, area = stats[number]
            window = (slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1))
            here = parts[window] == number
            rim = (cv2.dilate(here.astype(np.uint8), _disc(1)) > 0) & ~here
            around = np.isin(layout[window][rim], (layouts.UPPER, layouts.COAT, layouts.DRESS, layouts.SCARF)).mean()
            if area < limit and around > 0.6:
                out[window][here] = False
    return out


def gaps_in(person: Plane, unit: float) -> Plane:
    """Background that a person encloses, as between a bent arm and the trunk: (h, w) bool."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    enclosed = [n for n in range(1, count) if n not in border and stats[n, cv2.CC_STAT_AREA] > 0.01 * unit**2]
    return np.isin(parts, enclosed) & ~person


def skin_coloured(picture: NDArray[np.float32], skin: Plane, where: Plane) -> Plane:
    """Which pixels of ``where`` have the colour of this person's skin: bare arms that were taken for sleeves.

    Args:
        picture: (h, w, 3) float32 in [0, 1].
        skin: (h, w) bool, pixels known to be skin.
        where: (h, w) bool.

    Returns:
        (h, w) bool; nothing if there is too little skin to compare with or little of ``where`` has its colour, all of
        ``where`` if most of it has.
    """
    if skin.sum() < 50 or not where.any():
        return np.zeros(where.shape, bool)
    lab = cv2.GaussianBlur(cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2LAB), (0, 0), 1.0)
    tone, spread = np.median(lab[skin], axis=0), lab[skin].std(axis=0)
    limit = np.array([max(18.0, 1.8 * spread[0]), max(6.0, 1.5 * spread[1]), max(7.0, 1.5 * spread[2])])
    alike = (np.abs(lab - tone) < limit).all(-1) & where
    share = alike.sum() / where.sum()
    if share > ALL_SKIN:
        return where.copy()
    if share < NO_SKIN:  # scraps of it are folds and patterns
        return np.zeros(where.shape, bool)
    return cv2.medianBlur(alike.astype(np.uint8), 5) > 0


def guided(guide: NDArray[np.float32], mask: NDArray[np.float32], radius: float, eps: float) -> NDArray[np.float32]:
    """Let a soft mask follow the edges of a colour picture.

    He, Sun, Tang, "Guided Image Filtering", ECCV 2010, with its coefficients found on a small copy (He, Sun, "Fast
    Guided Filter", 2015).

    Args:
        guide: (h, w, 3) float32 in [0, 1].
        mask: (h, w) float32 in [0, 1].
        radius: Half the window in pixels.
        eps: Variance of the guide below which no edge is followed.
    """
    height, width = mask.shape
    factor = min(1.0, GUIDE_HEIGHT / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(guide, size, interpolation=cv2.INTER_AREA)
    level = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    side = 2 * max(1, round(radius * factor)) + 1

    def mean(plane: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)

    colour, share = mean(small), mean(level)
    spread = np.zeros((*level.shape, 3, 3), np.float32)
    for i, j in itertools.combinations_with_replacement(range(3), 2):
        spread[..., i, j] = mean(small[..., i] * small[..., j]) - colour[..., i] * colour[..., j]
        spread[..., j, i] = spread[..., i, j]
    spread += eps * np.eye(3, dtype=np.float32)
    together = mean(small * level[..., None]) - colour * share[..., None]
    slope = np.linalg.solve(spread, together[..., None])[..., 0].astype(np.float32)
    offset = share - (slope * colour).sum(-1)
    slope, offset = (cv2.resize(mean(plane), (width, height)) for plane in (slope, offset))
    return np.clip((slope * guide).sum(-1) + offset, 0, 1).astype(np.float32)


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
    inner = cv2.erode(worn.astype(np.uint8), _disc(0.015 * unit)) > 0
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


def trunk(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, the fitted garment's body without its sleeves, a little wider than its sides."""
    torso = np.zeros(shape, np.uint8)
    corners = place.target[[S, A, H, RIGHT + H, RIGHT + A, RIGHT + S]]
    corners = corners + BESIDE * place.unit * np.array([[0, 0], [-1, 0], [-1, 0], [1, 0], [1, 0], [0, 0]])
    cv2.fillPoly(torso, [np.round(corners).astype(np.int32)], 1)
    return torso > 0


def _along_bones(place: Fit, side: int, sleeve: Plane) -> Plane:
    """(h, w) bool, an arm's room around its joints; everything if the joints disagree with the old sleeve."""
    x, y = _grid(sleeve.shape)
    chain = (place.shoulders[side], place.elbows[side], place.wrists[side])
    spots = _spots(place, side, sleeve.shape)
    if len(spots) < 3 or sleeve[spots[:, 1], spots[:, 0]].mean() < 0.75:
        return np.ones(sleeve.shape, bool)
    arm = np.zeros(sleeve.shape, bool)
    hand = chain[2] + 0.35 * (chain[2] - chain[1])  # the wrist is seldom found to the pixel
    for (a, b), (wide, narrow) in zip(itertools.pairwise((*chain, hand)), itertools.pairwise(BONE), strict=True):
        along = np.clip(
            ((x - a[0]) * (b[0] - a[0]) + (y - a[1]) * (b[1] - a[1])) / max(1.0, float((b - a) @ (b - a))), 0, 1
        )
        arm |= _to_segment(x, y, a, b) < (wide + (narrow - wide) * along) * place.unit
    return arm


def _spots(place: Fit, side: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """(n, 2) int64: pixels along the bones from the cuff to the wrist, as far as they lie in the window."""
    chain = (place.shoulders[side], place.elbows[side], place.wrists[side])
    steps = np.concatenate([np.linspace(a, b, 12) for a, b in itertools.pairwise(chain)])
    cuff = place.target[[RIGHT * side + CO, RIGHT * side + CI]].mean(0)
    spots = np.round(steps[int(np.linalg.norm(steps - cuff, axis=1).argmin()) :]).astype(np.int64)
    return spots[((spots >= 0) & (spots < np.array(shape[::-1]))).all(1)]


def _reaching(mask: Plane, points: list[NDArray[np.float32]], distance: float) -> Plane:
    """The connected parts of ``mask`` that come near one of ``points``."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8))
    x, y = _grid(mask.shape)
    near = np.minimum.reduce([np.hypot(x - p[0], y - p[1]) for p in points]) < distance
    return mask & np.isin(parts, np.unique(parts[near & mask]))


def _above(line: NDArray[np.float32], shape: tuple[int, int]) -> Plane:
    """(h, w) bool, everything above a polyline (n, 2)."""
    high = -10.0 * shape[0]
    outline = np.vstack([line.astype(np.float64), [[line[-1, 0], high], [line[0, 0], high]]])
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(outline).astype(np.int32)], 1)
    return canvas > 0


def _opened(mask: Plane, radius: float) -> Plane:
    """Without spurs thinner than ``radius``, and without crumbs."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(radius)) > 0
    return _without_crumbs(opened if opened.any() else mask)


def _without_crumbs(mask: Plane, share: float = 0.03) -> Plane:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    return np.isin(parts, 1 + np.flatnonzero(areas > share * areas.sum()))


def _rounded(mask: Plane, radius: float, smooth: float) -> Plane:
    """Close cracks, then round the outline."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, _disc(2.5 * radius))
    return cv2.GaussianBlur(closed.astype(np.float32), (0, 0), max(0.6, smooth)) > 0.5


def _distance(mask: Plane) -> NDArray[np.float32]:
    """(h, w) float32: pixels to the nearest set one."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _to_segment(
    x: NDArray[np.float32], y: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Distance of every pixel to the line from ``a`` to ``b``."""
    d = b - a
    along = np.clip(((x - a[0]) * d[0] + (y - a[1]) * d[1]) / max(float(d @ d), 1e-6), 0, 1)
    return np.hypot(x - a[0] - along * d[0], y - a[1] - along * d[1])


def _grid(shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.arange(shape[1], dtype=np.float32)[None, :], np.arange(shape[0], dtype=np.float32)[:, None]


def _disc(radius: float) -> NDArray[np.uint8]:
    r = max(1, round(radius))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)), np.uint8)
