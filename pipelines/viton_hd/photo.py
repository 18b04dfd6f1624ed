"""What a photograph says beyond its parse: where edges really run, what is skin, where the light comes from."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.person import layout as layouts
from pipelines.viton_hd.conditioning import disc
from pipelines.viton_hd.planes import Plane

GUIDE_HEIGHT = 384  # pixels
ALL_SKIN, NO_SKIN = 0.6, 0.3  # shares of skin colour above and below which all and none of a sleeve is skin


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


def gaps_in(person: Plane, unit: float) -> Plane:
    """Background that a person encloses, as between a bent arm and the trunk: (h, w) bool."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    enclosed = [n for n in range(1, count) if n not in border and stats[n, cv2.CC_STAT_AREA] > 0.01 * unit**2]
    return np.isin(parts, enclosed) & ~person


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
            rim = (cv2.dilate(here.astype(np.uint8), disc(1)) > 0) & ~here
            around = np.isin(layout[window][rim], (layouts.UPPER, layouts.COAT, layouts.DRESS, layouts.SCARF)).mean()
            if area < limit and around > 0.6:
                out[window][here] = False
    return out


def light_from(picture: NDArray[np.float32], face: Plane) -> float:
    """Which side of a face is lit: -1 (the left of the picture) to 1 (the right), 0 if neither."""
    rows, columns = np.nonzero(face)
    if len(rows) < 30:
        return 0.0
    right = columns > np.median(columns)
    brightness = picture[rows, columns].mean(1)
    left, other = float(brightness[~right].mean()), float(brightness[right].mean())
    return float(np.clip(2 * (other - left) / max(other + left, 1e-3), -1, 1))
