"""Where the new garment lies on the photograph, what of the old one stays bare, and cloth for all of it; all ours.

A warped cut-out alone makes a poor outline: it is as ragged as the cut-out, and a strip of the old garment shows beside
it. The photograph knows a better one, because the new garment hangs on the same body as the old. So the cloth grows to
the old garment's outline wherever that is near, except beyond the cuffs and above the collar, over the whole of an old
sleeve if the new one is as long, and never past the wearer's own outline. What still remains of the old garment is an
arm, something worn below, or background.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.person.garment.fit import Fit
from pipelines.person.garment.landmarks import CI, CO, EI, EO, NECK, RIGHT, A, H, N, S
from pipelines.viton_hd.conditioning import disc
from pipelines.viton_hd.planes import Plane, above_line, distance_to, grid, opened, rounded, to_segment, without_crumbs

# All lengths in shoulder widths.
REACH = 0.20  # how far cloth grows to meet the old outline
COLLAR = 0.05  # how far above the shoulder line
RAGGED = 0.025  # of the warped cut-out's rim, which is not believed
ROUND = 0.018  # cracks narrower than 2.5 times this are closed
SMOOTH = 0.035  # outlines are rounded by this much: a parse seen from near has teeth
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
ARMS = ((0, 6), (1, 5))  # side of the picture and class: the arm on its left is the person's right one


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
    arms: NDArray[np.uint8],
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
        arms: (h, w) uint8, the arms beyond the new cuffs, as `beyond_cuffs` says.
        old: (h, w) bool, the worn garment.
        bare: (h, w) bool, the skin of arms and hands: a sleeve covers it to its outline.
        protected: (h, w) bool, what stays in front.
        light: Where the light comes from, -1 (left) to 1 (right), as `light_from` says.
        gaps: (h, w) bool, where background shows between arm and trunk, as `gaps_in` says; no cloth lies there.
        figure: (h, w) bool, the whole person; cloth stays within its outline, or a garment laid flat becomes a cape
            over whatever stands behind. None sets no limit.
    """
    unit = place.unit
    x, y = grid(old.shape)
    core = opened(alpha > 0.6, RAGGED * unit)
    above = above_collar(place, old.shape)
    neck_distance = np.abs(x - place.target[[N, RIGHT + N], 0].mean())
    sleeve = old & long_sleeves(place, old.shape)
    beyond = (arms > 0) & ~sleeve
    stays = kept_sleeves(place, arms, old & ~sleeve, bare)
    distance = distance_to(core)
    fringed = distance_to(old | bare) < FRINGE * unit  # cloth covers the old garment's blurred rim too
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
        cloth &= (distance_to(figure) < FIGURE * unit) | (above & (neck_distance < BESIDE_NECK * unit))
    cloth = rounded(cloth, ROUND * unit, SMOOTH * unit) & ~protected
    cloth = without_crumbs(cloth if gaps is None else cloth & ~gaps)
    left = old & ~cloth & ~stays
    # Below the new hem the old garment stays: nobody can know what is under a coat.
    left &= ~(below & within & ~beyond)
    for side, name in ARMS:
        cuff = place.target[[RIGHT * side + CO, RIGHT * side + CI]].mean(0)
        # What is left beyond a cuff at the wrist is no arm but a coat, or a hand.
        if np.linalg.norm(cuff - place.wrists[side]) < HAND * unit:
            left &= ~((arms == name) & (distance > RIM * unit))
    left = cv2.morphologyEx(left.astype(np.uint8), cv2.MORPH_OPEN, disc(SLIVER * unit)) > 0
    fill = (distance_to(left) < RIM * unit) & ~protected & ~cloth & ~stays
    sleeves = np.where(left | fill, arms, 0).astype(np.uint8)
    for side, name in ARMS:
        sleeves[(sleeves == name) & ~_along_bones(place, side, sleeves == name)] = 0
    skin, roundness = bare_arms(sleeves, unit, light, cloth | protected)
    skin[~fill | ~_reaching(skin > 0, [place.target[[i + CO, i + CI]].mean(0) for i in (0, RIGHT)], 0.45 * unit)] = 0
    under = 1 - CUFF_SHADOW * np.exp(-distance_to(cloth) / (0.05 * unit))
    roundness = np.where(skin > 0, roundness * under, roundness).astype(np.float32)
    skin[fill & above & (neck_distance < NECK_HALF * unit)] = 2
    trust = cv2.erode(core.astype(np.uint8), disc(RAGGED * unit)) > 0
    return Cover(cloth, fill, skin, roundness, trust if trust.any() else core, stays)


def beyond_cuffs(place: Fit, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of each arm that the new sleeve does not reach.

    Returns:
        (h, w) uint8: 5 beyond the cuff of the person's left arm, 6 beyond that of the right arm, else 0.
    """
    x, y = grid(shape)
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
        near = np.minimum.reduce([to_segment(x, y, a, b) for a, b in itertools.pairwise(chain)]) < ROOM * place.unit
        edge = place.target[[first + A, first + H], 0]
        aside = (x - (edge.max() if side else edge.min())) * (1 if side else -1) > BESIDE * place.unit
        near |= aside & (np.hypot(x - cuff[0], y - cuff[1]) < ARM_LENGTH * place.unit)
        outside = (x - root[0]) * (1 if side else -1) > -0.25 * place.unit
        beyond[past & near & outside] = name
    beyond[trunk(place, shape)] = 0
    return beyond


def long_sleeves(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, around the bones of the arms that a new sleeve covers to the wrist, trunk excepted."""
    x, y = grid(shape)
    around = np.zeros(shape, bool)
    for side, _ in ARMS:
        cuff = place.target[[RIGHT * side + CO, RIGHT * side + CI]].mean(0)
        if place.sleeves and np.linalg.norm(cuff - place.wrists[side]) < LONG * place.unit:
            hand = place.wrists[side] + 0.15 * (place.wrists[side] - place.elbows[side])
            chain = (place.shoulders[side], place.elbows[side], place.wrists[side], hand)
            for a, b in itertools.pairwise(chain):
                around |= to_segment(x, y, a, b) < SLEEVE_ROOM * place.unit
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
    x, y = grid(old.shape)
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
            snug = cv2.dilate(depth, disc(0.12 * unit))[at].max() < SNUG * unit
            known &= bool(snug and middle[at].mean() < 0.2 and (sleeve | bare)[at].mean() > 0.75)
        else:
            known = False
    return stays & (not known) & (place.worn_sleeve == "long")


def above_collar(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, what is above the line from shoulder to shoulder along the neckline."""
    return above_line(place.target[[S, N, NECK, RIGHT + N, RIGHT + S]], shape)


def neck_opening(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, between the ends of the neckline and above it: cloth never grows into it."""
    return above_line(place.target[[N, NECK, RIGHT + N]], shape)


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
    if not sleeves.any():
        return np.zeros(sleeves.shape, np.uint8), np.ones(sleeves.shape, np.float32)
    depth = np.asarray(cv2.distanceTransform((sleeves > 0).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    inside = (sleeves > 0).astype(np.float32)
    touching = sleeves > 0 if beside is None else (sleeves > 0) | beside
    to_ground = np.asarray(cv2.distanceTransform(touching.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    half = np.asarray(cv2.dilate(depth, disc(0.25 * unit)), np.float32) * inside  # half the sleeve's width here
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


def trunk(place: Fit, shape: tuple[int, int]) -> Plane:
    """(h, w) bool, the fitted garment's body without its sleeves, a little wider than its sides."""
    torso = np.zeros(shape, np.uint8)
    corners = place.target[[S, A, H, RIGHT + H, RIGHT + A, RIGHT + S]]
    corners = corners + BESIDE * place.unit * np.array([[0, 0], [-1, 0], [-1, 0], [1, 0], [1, 0], [0, 0]])
    cv2.fillPoly(torso, [np.round(corners).astype(np.int32)], 1)
    return torso > 0


def _along_bones(place: Fit, side: int, sleeve: Plane) -> Plane:
    """(h, w) bool, an arm's room around its joints; everything if the joints disagree with the old sleeve."""
    x, y = grid(sleeve.shape)
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
        arm |= to_segment(x, y, a, b) < (wide + (narrow - wide) * along) * place.unit
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
    x, y = grid(mask.shape)
    near = np.minimum.reduce([np.hypot(x - p[0], y - p[1]) for p in points]) < distance
    return mask & np.isin(parts, np.unique(parts[near & mask]))
