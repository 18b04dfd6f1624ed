"""Small geometry on the planes of a window: distances, outlines made smooth, crumbs dropped."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.viton_hd.conditioning import disc

Plane = NDArray[np.bool_]


def distance_to(mask: Plane) -> NDArray[np.float32]:
    """(h, w) float32: pixels to the nearest set one."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def to_segment(
    x: NDArray[np.float32], y: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Distance of every pixel to the line from ``a`` to ``b``."""
    d = b - a
    along = np.clip(((x - a[0]) * d[0] + (y - a[1]) * d[1]) / max(float(d @ d), 1e-6), 0, 1)
    return np.hypot(x - a[0] - along * d[0], y - a[1] - along * d[1])


def grid(shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.arange(shape[1], dtype=np.float32)[None, :], np.arange(shape[0], dtype=np.float32)[:, None]


def above_line(line: NDArray[np.float32], shape: tuple[int, int]) -> Plane:
    """(h, w) bool, everything above a polyline (n, 2)."""
    high = -10.0 * shape[0]
    outline = np.vstack([line.astype(np.float64), [[line[-1, 0], high], [line[0, 0], high]]])
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.round(outline).astype(np.int32)], 1)
    return canvas > 0


def opened(mask: Plane, radius: float) -> Plane:
    """Without spurs thinner than ``radius``, and without crumbs."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc(radius)) > 0
    return without_crumbs(opened if opened.any() else mask)


def without_crumbs(mask: Plane, share: float = 0.03) -> Plane:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    return np.isin(parts, 1 + np.flatnonzero(areas > share * areas.sum()))


def rounded(mask: Plane, radius: float, smooth: float) -> Plane:
    """Close cracks, then round the outline."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc(2.5 * radius))
    return cv2.GaussianBlur(closed.astype(np.float32), (0, 0), max(0.6, smooth)) > 0.5


def widened(mask: Plane, radius: float) -> Plane:
    """A plane with a rim of ``radius`` pixels around it."""
    return cv2.dilate(mask.astype(np.uint8), disc(radius)) > 0
