"""A garment before a plain ground: white, grey or graded.

A smooth model of the ground is fitted to the picture's rim, and the ground is what can be reached from the rim without
crossing an edge or a change of colour; soft shadows count as ground, hard edges do not, so that a white shirt on white
paper stays whole.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.person.garment.regions import connected_to_rim, disc, ragged, reopen, tidy

RIM = 0.03  # share of the shorter side that is taken as ground
LEAST = 0.012  # share of the picture that a garment covers at least
Float = NDArray[np.float32]


def ground_of(lab: Float) -> tuple[Float, float, float]:
    """A quadratic surface through the rim's colours.

    Args:
        lab: (h, w, 3), L in 0..100, a and b centred on 0.

    Returns:
        Lab of the background everywhere, the deviation of the rim from it, and the share of the rim that follows it, or
        of the second worst of its four sides if that is less (a garment may be cut off at one side).
    """
    lab = _smooth(lab)
    height, width = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1).astype(np.float32)
    rim = _rim(lab.shape)
    a, b = terms[rim], lab[rim]
    kept = np.linalg.norm(b - np.median(b, 0), axis=1) < 25
    surface = np.zeros((6, 3), np.float32)
    distance = np.full(len(b), 1e3, np.float32)
    for limit in (12.0, 8.0, 6.0):
        if kept.sum() < 30:
            break
        surface = np.linalg.lstsq(a[kept], b[kept], rcond=None)[0].astype(np.float32)
        distance = np.linalg.norm(b - a @ surface, axis=1)
        kept = distance < limit
    noise = float(np.sqrt((distance[kept] ** 2).mean())) if kept.any() else 99.0
    follows = np.zeros(lab.shape[:2], bool)
    follows[rim] = kept
    thick = max(2, int(RIM * min(height, width)))
    sides = (follows[:thick], follows[-thick:], follows[:, :thick], follows[:, -thick:])
    return terms @ surface, noise, min(float(kept.mean()), sorted(float(side.mean()) for side in sides)[1])


def garment_on(lab: Float, background: Float, noise: float) -> NDArray[np.uint8]:
    """Foreground, (h, w) of 0 and 1, before an even background.

    Args:
        lab: (h, w, 3), L in 0..100, a and b centred on 0.
        background: (h, w, 3), the ground's surface, as from ``ground_of``.
        noise: Deviation of the rim from it.
    """
    smooth = _smooth(lab)
    difference = smooth - background
    distance = np.linalg.norm(difference, axis=2)
    chroma = np.linalg.norm(difference[..., 1:], axis=2)
    slope = _slope(smooth)
    rim = _rim(lab.shape)
    quiet = rim & (distance < 8)
    ripple = float(np.percentile(slope[quiet], 90)) if quiet.any() else 0.3
    edge = max(0.85, 2.2 * ripple)
    tolerance = max(2.2, 2.5 * noise)
    # A shadow darkens softly and keeps the hue; cloth begins with a step. On a coloured ground the hue alone will do.
    shadow = (chroma < max(3.0, 2 * noise)) & (difference[..., 0] < 0) & (difference[..., 0] > -26) & (slope < edge)
    shadow |= _darker_ground(smooth, background)
    even = (distance < tolerance) & (slope < 1.6 * edge)
    passable = even | shadow
    inside = _enclosed(~passable)
    inside &= _trusted(~inside, (distance > max(2.5 * tolerance, 8)) & ~shadow)
    generous = _enclosed(~even)
    if _solid(inside) < 0.55 * _solid(generous):
        inside = generous  # pale cloth was taken for shadow
    outside = ~inside
    mask = (~outside).astype(np.uint8)
    # The edge itself is two pixels wide at this blur: take back the outer half where it is only edge, not cloth.
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc(1))
    trimmed = mask & ~((cv2.erode(mask, disc(1)) == 0) & (distance < max(tolerance, 6))).astype(np.uint8)
    mask = tidy(trimmed, distance)
    if not mask.any():
        return mask
    darker = _hard_shadow(mask, difference, chroma)
    contrasting = float(np.median(distance[mask > 0])) > 12
    mask = _without_shadow(mask, darker | passable) if contrasting else _inside_valley(mask, difference[..., 0])
    if contrasting:
        mask = reopen(mask, (passable & (distance < 2 * tolerance)) | darker)
    return mask


def _enclosed(barrier: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What cannot be reached from the rim without crossing the barrier, small gaps in it closed as far as needed."""
    tries: list[tuple[float, NDArray[np.bool_]]] = []
    for radius in (0, 2, 4, 7):
        wide = cv2.dilate(barrier.astype(np.uint8), disc(radius)) > 0 if radius else barrier
        inside = (~connected_to_rim(~wide)).astype(np.uint8)
        if radius:
            inside = cv2.erode(inside, disc(radius))
        solid = cv2.morphologyEx(inside, cv2.MORPH_OPEN, disc(6))
        tries.append((float(solid.sum()), inside > 0))
        if not radius and solid.sum() > 0.9 * barrier.sum() > LEAST * barrier.size and barrier[solid > 0].mean() > 0.7:
            return inside > 0  # unlike the ground all over: no outline is needed
    # A broken outline leaves strips that vanish under the opening; a closed one leaves a garment.
    most = max(area for area, _ in tries)
    return next(inside for area, inside in tries if area >= 0.8 * most)


def _solid(mask: NDArray[np.bool_]) -> int:
    """Pixels that are left when strips and crumbs are opened away."""
    return int(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc(6)).sum())


def _hard_shadow(mask: NDArray[np.uint8], difference: Float, chroma: Float) -> NDArray[np.bool_]:
    """Darkened ground of the ground's own hue, where the garment differs enough from that to tell the two apart."""
    core = cv2.erode(mask, disc(max(2, round(0.02 * max(mask.shape))))) > 0
    own = np.median(difference[core if core.any() else mask > 0], 0)
    hue = float(np.linalg.norm(own[1:]))
    if hue > 9 or own[0] > 8:
        deepest = 60.0
    elif own[0] < -40:
        deepest = 0.55 * abs(float(own[0]))
    else:
        return np.zeros(mask.shape, bool)
    drop = -difference[..., 0]
    return (chroma < max(3.5, 0.3 * hue)) & (drop > 1) & (drop < deepest)


def _without_shadow(mask: NDArray[np.uint8], ground: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Take away ``ground`` that hangs on the outside of the mask; stripes that would fray the outline stay."""
    size = max(cv2.boundingRect(mask)[2:])
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    gone = connected_to_rim((mask == 0) | (ground & (depth < 0.09 * size))) & (mask > 0)
    left = tidy(mask & ~gone.astype(np.uint8))
    if left.sum() < 0.55 * mask.sum() or ragged(left) > 1.3 * ragged(mask) + 5:
        return mask
    return left


def _inside_valley(mask: NDArray[np.uint8], lightness: Float) -> NDArray[np.uint8]:
    """Pale cloth on a pale ground: its shadow is darker than both, so it and what lies beyond it are not cloth."""
    core = cv2.erode(mask, disc(max(2, round(0.02 * max(mask.shape))))) > 0
    own = float(np.median(lightness[core if core.any() else mask > 0]))
    spread = float(np.median(np.abs(lightness[core] - own))) if core.any() else 1.0
    size = max(cv2.boundingRect(mask)[2:])
    near_edge = cv2.distanceTransform(mask, cv2.DIST_L2, 5) < 0.06 * size
    left = mask & ~((lightness < own - 2 - 2 * spread) & near_edge).astype(np.uint8)
    left = cv2.morphologyEx(left, cv2.MORPH_OPEN, disc(4))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(left)
    if count < 2:
        return mask
    left = tidy((parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8))
    if left.sum() < 0.7 * mask.sum() or ragged(left) > 1.3 * ragged(mask) + 5:
        return mask
    return left


def _trusted(outside: NDArray[np.bool_], unlike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a garment may be: near the pixels ``unlike`` the ground, if these make up most of what was fenced in.

    Lines in the ground (tiles, creases) fence in pieces of it. A white shirt on white is fenced in by its own edge and
    is mostly like the ground, apart from a print; there everything is kept.
    """
    core = cv2.morphologyEx((unlike & ~outside).astype(np.uint8), cv2.MORPH_OPEN, disc(3))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(core)
    if count < 2:
        return np.ones(outside.shape, bool)
    largest = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    contours, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(largest, contours, -1, 1, -1)
    _, fenced = cv2.connectedComponents((~outside).astype(np.uint8))
    own = fenced == np.bincount(fenced[largest > 0]).argmax()
    if largest.sum() < 0.6 * own.sum():
        return np.ones(outside.shape, bool)
    return cv2.dilate(core, disc(4)) > 0


def _darker_ground(lab: Float, background: Float) -> NDArray[np.bool_]:
    """Pixels that are a coloured background, darkened: the same proportions of red, green and blue."""
    ground = float(np.linalg.norm(np.median(background.reshape(-1, 3), 0)[1:]))
    if ground < 12:
        return np.zeros(lab.shape[:2], bool)
    here, there = (np.maximum(cv2.cvtColor(x, cv2.COLOR_LAB2RGB), 1e-3) ** 2.2 for x in (lab, background))
    ratio = here / there
    level = ratio.mean(2)
    spread = np.abs(np.log(ratio / level[..., None])).max(2)
    return (level > 0.12) & (level < 1.1) & (spread < 0.16)


def _smooth(lab: Float) -> Float:
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), 1.0), np.float32)


def _rim(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rim = np.zeros(shape[:2], bool)
    thick = max(2, int(RIM * min(shape[:2])))
    rim[:thick], rim[-thick:], rim[:, :thick], rim[:, -thick:] = True, True, True, True
    return rim


def _slope(lab: Float) -> Float:
    """Length of the colour gradient per pixel."""
    across = cv2.Sobel(lab, cv2.CV_32F, 1, 0, ksize=3) / 8
    down = cv2.Sobel(lab, cv2.CV_32F, 0, 1, ksize=3) / 8
    return np.sqrt((across**2 + down**2).sum(2))
