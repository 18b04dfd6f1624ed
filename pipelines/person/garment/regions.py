"""Binary regions, (h, w) uint8 of 0 and 1: their outline, their parts, what is thin, what was closed by mistake."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bits = NDArray[np.uint8]


def disc(radius: int) -> NDArray[np.uint8]:
    """A round structuring element, (2 * radius + 1,) * 2 of 0 and 1."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), np.uint8)


def connected_to_rim(passable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of ``passable``, (h, w) bool, that can be reached from the picture's border."""
    padded = np.pad(passable.astype(np.uint8), 1, constant_values=1)
    _, parts = cv2.connectedComponents(padded, connectivity=4)
    return (parts == parts[0, 0])[1:-1, 1:-1]


def border_share(mask: NDArray[np.uint8]) -> float:
    """Share of the picture's border that the garment covers."""
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def ragged(mask: NDArray[np.uint8]) -> float:
    """Square of the outline's length over the area; 13 for a disc."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    return cv2.arcLength(cv2.approxPolyDP(largest, 1.0, True), True) ** 2 / (cv2.contourArea(largest) + 1e-6)


def tidy(mask: NDArray[np.uint8], weight: Float | None = None) -> NDArray[np.uint8]:
    """Drop hanger hooks and crumbs, keep the largest part and what is nearly as large, close its holes."""
    mask = mask.astype(np.uint8)
    radius = max(1, round(0.007 * max(mask.shape)))
    opened = cv2.morphologyEx(np.pad(mask, radius + 1), cv2.MORPH_OPEN, disc(radius))
    mask = np.asarray(opened, np.uint8)[radius + 1 : -radius - 1, radius + 1 : -radius - 1]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return mask
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    area[0] = 0
    if weight is not None:  # a soft remainder of shadow is larger than it is important
        area *= np.bincount(parts.ravel(), weight.ravel(), count) / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    keep = np.flatnonzero(area >= 0.12 * area.max())
    mask = np.isin(parts, keep).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, contours, -1, 1, -1)
    return mask


def reopen(mask: NDArray[np.uint8], like_background: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Open gaps between sleeve and body again; a white print in the middle of the chest stays."""
    x, _, w, _ = cv2.boundingRect(mask)
    size = mask.sum()
    found = (like_background & (cv2.erode(mask, disc(1)) > 0)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, disc(1))
    count, parts, stats, centres = cv2.connectedComponentsWithStats(found)
    out = mask.copy()
    for part in range(1, count):
        area, tall, wide = (
            stats[part, cv2.CC_STAT_AREA],
            stats[part, cv2.CC_STAT_HEIGHT],
            stats[part, cv2.CC_STAT_WIDTH],
        )
        aside = abs(centres[part][0] - (x + w / 2)) > 0.2 * w
        if 0.003 * size < area < 0.2 * size and aside and tall > 0.45 * wide:
            out[cv2.dilate((parts == part).astype(np.uint8), disc(1)) > 0] = 0
    return out


def overlap(one: Bits, other: Bits) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def symmetric(mask: NDArray[np.uint8]) -> float:
    """Overlap of a region with its mirror picture, intersection over union."""
    x, y, w, h = cv2.boundingRect(mask)
    box = mask[y : y + h, x : x + w]
    return overlap(box, box[:, ::-1])


def whole(mask: Bits, close: bool = True) -> Bits:
    """The largest part and what is nearly as large; ``close`` fills the holes."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return mask
    area = stats[1:, cv2.CC_STAT_AREA]
    out = np.isin(parts, 1 + np.flatnonzero(area >= 0.15 * area.max())).astype(np.uint8)
    if close:
        contours, _ = cv2.findContours(out, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, contours, -1, 1, -1)
    return out


def signed_depth(mask: Bits) -> Float:
    """Pixels to the outline, positive inside."""
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 3) for side in (mask, 1 - mask))
    return np.asarray(inside - outside, np.float32)


def without_thin(mask: Bits, share: float = 0.016, hook: float = 0.035) -> Bits:
    """Drop what sticks out far and thin: hooks and arms of hangers, lines of the floor.

    Args:
        mask: (h, w) of 0 and 1.
        share: Half the width of what is thin, over the region's longer side.
        hook: The same above the middle of the collar, where hooks are.
    """
    x, y, w, h = cv2.boundingRect(mask)
    out = _blunt(mask, max(2, round(share * max(w, h))))
    middle = np.zeros_like(mask)
    middle[y : y + h // 4, x + round(0.36 * w) : x + round(0.64 * w)] = 1
    return whole(out & ~(middle & ~_blunt(out, max(2, round(hook * max(w, h))))), close=False)


def _blunt(mask: Bits, radius: int) -> Bits:
    """What a disc of this radius can reach from within, and the corners next to it."""
    framed = np.pad(mask, 2 * radius)
    thick = whole(np.asarray(cv2.morphologyEx(framed, cv2.MORPH_OPEN, disc(radius)), np.uint8), close=False)
    near = np.asarray(
        cv2.dilate(thick, disc(round(1.5 * radius))), np.uint8
    )  # the opening rounded the corners off: fetch them back
    return np.ascontiguousarray((framed & near)[2 * radius : -2 * radius, 2 * radius : -2 * radius])


def smooth_outline(mask: Bits, share: float = 0.005) -> Bits:
    """Round off what is finer than ``share`` of the region's longer side."""
    sigma = max(0.8, share * max(cv2.boundingRect(mask)[2:]))
    return (cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma) > 0.55).astype(np.uint8)


def without_tinted_ground(mask: Bits, lab: Float) -> Bits:
    """Open narrow bays in which a coloured ground shows, such as the gap between a hanging sleeve and the body.

    There the ground lies in shadow, so lightness and chroma differ from those of the open ground, but its hue does not.

    Args:
        mask: (H, W) uint8, 0 or 1.
        lab: (H, W, 3) float32, L in 0..100, a and b centred on 0.

    Returns:
        (H, W) uint8. The same mask where the ground has no hue, or the garment has the same.
    """
    size = max(cv2.boundingRect(mask)[2:])
    ring = (cv2.dilate(mask, disc(round(0.08 * size))) > 0) & (cv2.dilate(mask, disc(2)) == 0)
    core = cv2.erode(mask, disc(max(2, round(0.04 * size)))) > 0
    if not ring.any() or not core.any():
        return mask
    tint = np.median(lab[ring][:, 1:], axis=0)
    strength = float(np.hypot(*tint))
    if strength < 15:
        return mask
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    along = (lab[..., 1] * tint[0] + lab[..., 2] * tint[1]) / (strength * np.maximum(chroma, 1e-3))
    alike = (along > np.cos(np.deg2rad(18))) & (chroma > 0.35 * strength)
    if alike[core].mean() > 0.1:
        return mask
    bays = connected_to_rim(alike | (mask == 0)) & alike & (mask > 0)
    bays = cv2.morphologyEx(bays.astype(np.uint8), cv2.MORPH_OPEN, disc(1))
    if bays.sum() > 0.15 * mask.sum():
        return mask
    return np.where(cv2.dilate(bays, disc(1)) > 0, 0, mask).astype(np.uint8)
