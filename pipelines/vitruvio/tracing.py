"""From ink to strokes: middle lines as polylines, their drawing at one width, the roll of the paper."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_SUPERSAMPLING = 2  # as pipelines.synthetic.linework draws what the network learns from
_SUBPIXEL = 4  # bits
_ROLL = 15.0  # degrees at most
_CLOSE = 3.0  # degrees within which two strokes agree


def trace(mask: Flags) -> list[Floats]:
    """Trace the middle lines of strokes.

    Args:
        mask: (h, w) bool ink.

    Returns:
        Polylines (M, 2) float64 of pixel centres, x and y, M at least 2, smoothed; ends are moved out to the end of
        the ink, as thinning takes half a pen's width off them. Spurs that a rough outline grows are left out.
    """
    padded = np.pad(mask, 1)
    inside = np.asarray(cv2.distanceTransform(padded.astype(np.uint8), cv2.DIST_L2, 5), np.float64)
    bones = _pruned(skeletonize(padded), inside)
    return [_smooth(path, first, last, inside) - 1 for path, first, last in _paths(bones)]


def draw_strokes(strokes: list[Floats], size: int, width: float) -> NDArray[np.uint8]:
    """Draw polylines (M, 2) of the unit square, black on white, as ``pipelines.synthetic.linework.draw`` does.

    Args:
        strokes: Polylines, x and y as shares of the side.
        size: Side of the picture in pixels.
        width: Of the pen, in pixels of a picture of 128.

    Returns:
        (size, size) uint8.
    """
    canvas = np.zeros((size * _SUPERSAMPLING,) * 2, np.uint8)
    thick = max(1, round(width * _SUPERSAMPLING * size / 128))
    scale = size * _SUPERSAMPLING * 2**_SUBPIXEL
    for stroke in strokes:
        points = np.round(stroke * scale - 2 ** (_SUBPIXEL - 1)).astype(np.int32)
        cv2.polylines(canvas, [points], False, (255.0,), thick, cv2.LINE_AA, _SUBPIXEL)
    return 255 - cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)


def find_roll(strokes: list[Floats]) -> float | None:
    """Find by how much the paper is turned, from strokes that are nearly upright.

    A camera that stands upright turns the verticals of a building by an angle that grows evenly with the distance from
    the middle of the drawing, and not at all in the middle. The roll is the angle there.

    Args:
        strokes: Polylines (M, 2), x to the right, y down.

    Returns:
        Degrees clockwise, within 15; None where no three long strokes agree, so that nothing should be turned.
    """
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    side = float((high - low).max())
    straight = np.concatenate([_straight_pieces(stroke, 0.012 * side) for stroke in strokes])
    span = straight[:, 1] - straight[:, 0]
    length = np.hypot(*span.T) / side
    angle = np.degrees(np.arctan2(-span[:, 0], span[:, 1]))
    angle = (angle + 90) % 180 - 90
    steep = (length > 0.1) & (np.abs(angle) < _ROLL + 12)
    if steep.sum() < 3:
        return None
    length, angle = length[steep], angle[steep]
    across = (straight[steep].mean(1)[:, 0] - (low[0] + high[0]) / 2) / side
    return _agreed(across, angle, length)


def _agreed(across: Floats, angle: Floats, length: Floats) -> float | None:
    """The angle in the middle on which most length agrees: angle = roll + fan * across."""
    rolls = np.arange(-_ROLL, _ROLL + 0.01, 0.5)
    # degrees over the width of the drawing; cameras look down or straight on, so verticals meet below or nowhere
    fans = np.arange(0, 19, 3.0)
    miss = np.abs(angle - (rolls[:, None, None] + fans[:, None] * across))
    votes = (length * np.clip(1 - miss / _CLOSE, 0, 1)).sum(2) - 0.002 * fans
    best = np.unravel_index(int(votes.argmax()), votes.shape)
    close = miss[best] < _CLOSE
    if close.sum() < 3 or length[close].sum() < max(0.7, 0.5 * length.sum()):
        return None
    # seen from far above, edges that run backwards look nearly upright too, and then there are two answers
    rival = votes[np.abs(rolls - rolls[best[0]]) > 4].max()
    if rival > 0.6 * votes[best]:
        return None
    return float(
        np.clip(np.average(angle[close] - fans[best[1]] * across[close], weights=length[close]), -_ROLL, _ROLL)
    )


def _straight_pieces(stroke: Floats, tolerance: float) -> Floats:
    """Return the straight pieces (L, 2, 2) of a polyline."""
    corners = cv2.approxPolyDP(stroke.astype(np.float32)[:, None], tolerance, False)[:, 0].astype(np.float64)
    return np.stack([corners[:-1], corners[1:]], 1)


_RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


def _degree(bones: Flags) -> NDArray[np.uint8]:
    return cv2.filter2D(bones.astype(np.uint8), -1, _RING, borderType=cv2.BORDER_CONSTANT) * bones


def _pruned(bones: Flags, inside: Floats) -> Flags:
    """Drop dead ends that are shorter than the pen is wide where they start."""
    degree = _degree(bones)
    nodes = cv2.dilate((degree > 2).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & bones
    found, branches = cv2.connectedComponents((bones & ~nodes).astype(np.uint8), connectivity=8)
    branches, count = np.asarray(branches, np.int64), found - 1
    if not count:
        return bones
    length = np.bincount(branches.ravel(), minlength=count + 1)
    ends = np.bincount(branches[degree == 1], minlength=count + 1)
    thick = np.zeros(count + 1)  # half the pen's width at the crossing that a branch meets; 0 where it meets none
    np.maximum.at(thick, branches, ndimage.maximum_filter(np.where(nodes, inside, 0), 3))
    spur = (ends > 0) & (length < 1.3 * thick)
    spur[0] = False
    return skeletonize(bones & ~spur[branches])


def _paths(bones: Flags) -> list[tuple[Floats, bool, bool]]:
    """Return runs of pixels between ends and crossings (M, 2), and whether they end freely at either side."""
    degree = _degree(bones)
    left = {(int(y), int(x)) for y, x in np.argwhere(bones)}
    crossing = {(int(y), int(x)) for y, x in np.argwhere(degree > 2)}
    around = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]

    def next_to(pixel: tuple[int, int], among: set[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(pixel[0] + dy, pixel[1] + dx) for dy, dx in around if (pixel[0] + dy, pixel[1] + dx) in among]

    runs: list[tuple[Floats, bool, bool]] = []
    free = left - crossing
    starts = sorted(pixel for pixel in free if len(next_to(pixel, free)) <= 1)
    for start in starts + sorted(free):
        if start not in free:
            continue
        path = [start]
        free.discard(start)
        while following := next_to(path[-1], free):
            path.append(following[0])
            free.discard(following[0])
        head, tail = next_to(path[0], crossing), next_to(path[-1], crossing)
        closed = len(path) > 2 and not head and not tail and max(abs(np.subtract(path[0], path[-1]))) <= 1
        whole = head[:1] + path + (path[:1] if closed else tail[:1])
        if len(whole) > 1:
            points = np.array(whole, np.float64)[:, ::-1]
            runs.append((points, not head and not closed, not tail and not closed))
    # crossings hang together through their own pixels
    for pixel in sorted(crossing):
        for other in next_to(pixel, crossing):
            if other > pixel:
                runs.append((np.array([pixel, other], np.float64)[:, ::-1], False, False))
    return runs


def _smooth(path: Floats, first: bool, last: bool, inside: Floats) -> Floats:
    """Take the steps of pixels out of a path, and move its free ends out to the end of the ink."""
    if len(path) > 4:
        path = np.concatenate([path[:1], ndimage.gaussian_filter1d(path, 2.0, axis=0, mode="nearest")[1:-1], path[-1:]])
    parts = [path]
    for free, end, before in ((first, 0, min(8, len(path) - 1)), (last, -1, -min(9, len(path)))):
        if free:
            out = path[end] - path[before]
            x, y = path[end].astype(int)
            reach = max(float(inside[y, x]) - 1, 0) / max(float(np.hypot(*out)), 1e-9)
            parts.insert(0 if end == 0 else len(parts), (path[end] + out * reach)[None])
    return np.concatenate(parts)
