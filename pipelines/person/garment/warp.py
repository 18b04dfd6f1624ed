"""Part-mesh warp: a torso patch and two sleeve strips carry a garment's pixels from one set of landmarks to another.

The torso is a Coons patch between shoulder line, sides and hem, each sleeve a ruled strip along its outer and inner
edge; torso and sleeve share the edge from shoulder to armpit, so there is no seam. Every mesh has a rim of cells
continued outwards, which carries what the landmarks do not enclose (collars, a wide hem; hoods are cut off); which part
such a pixel belongs to is settled in the source picture, so that a hanging sleeve does not appear twice.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.person.garment.landmarks import CI, CO, EI, EO, HEM, NECK, RIGHT, A, H, N, Points, S, W

ROWS, COLUMNS = 17, 15  # nodes of the torso patch
ALONG, ACROSS = 17, 7  # nodes of a sleeve strip
RIM = {"top": 0.18, "side": 0.22, "hem": 0.35, "sleeve": 0.22, "cuff": 0.25}  # in shoulder widths of the source
TORSO, LEFT_SLEEVE, RIGHT_SLEEVE = 1, 2, 3  # values of the part map
GATE_SIZE = 192  # longest side of the picture on which parts are told apart
Grid = NDArray[np.float64]  # (rows, columns, 2)


class Warped(NamedTuple):
    """A garment over its target.

    Attributes:
        rgb: (H, W, 3) float32 in [0, 1], 0 where nothing was drawn.
        alpha: (H, W) float32 in [0, 1].
        parts: (H, W) uint8: 0 nothing, 1 torso, 2 and 3 the sleeve on the left and right of the picture.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32]
    parts: NDArray[np.uint8]


def scaled(points: Points, factor: float | NDArray[np.floating]) -> Points:
    """Points of the same picture at ``factor`` times its size; pixel centres are whole numbers."""
    return ((np.asarray(points, np.float64) + 0.5) * factor - 0.5).astype(np.float32)


def smooth_line(points: list[NDArray[np.float64]], count: int) -> NDArray[np.float64]:
    """Catmull-Rom curve through ``points``, resampled to ``count`` equal steps, (count, 2)."""
    line = np.stack(points).astype(np.float64)
    if len(line) > 2:
        ends = np.concatenate([[2 * line[0] - line[1]], line, [2 * line[-1] - line[-2]]])
        t = np.linspace(0, 1, 9)[:-1, None]
        pieces = []
        for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
            pieces.append(
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
            )
        line = np.concatenate([*pieces, line[-1:]])
    reached = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    steps = np.linspace(0, reached[-1], count)
    return np.stack([np.interp(steps, reached, line[:, 0]), np.interp(steps, reached, line[:, 1])], 1)


def _through(
    a: NDArray[np.float64], middle: NDArray[np.float64], b: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Quadratic curve that passes ``middle`` half-way."""
    t = np.linspace(0, 1, count)[:, None]
    handle = 2 * middle - (a + b) / 2
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * handle + t * t * b


def torso_grid(points: Points) -> Grid:
    """Coons patch of the body of the garment, (ROWS, COLUMNS, 2), first row from shoulder over neck to shoulder."""
    p = points.astype(np.float64)
    left, right = p[:RIGHT], p[RIGHT:NECK]
    neck = _through(left[N], p[NECK], right[N], COLUMNS - 6)
    top = np.concatenate([np.linspace(left[S], left[N], 4)[:-1], neck, np.linspace(right[N], right[S], 4)[1:]])
    hem = _through(left[H], p[HEM], right[H], COLUMNS)
    edges = []
    for side in (left, right):
        below = smooth_line([side[A], side[W], side[H]], ROWS - 5)
        edges.append(np.concatenate([np.linspace(side[S], side[A], 6)[:-1], below]))
    u = np.linspace(0, 1, COLUMNS)[None, :, None]
    v = np.linspace(0, 1, ROWS)[:, None, None]
    across = edges[0][:, None] * (1 - u) + edges[1][:, None] * u
    down = top[None] * (1 - v) + hem[None] * v
    corners = (1 - v) * ((1 - u) * top[0] + u * top[-1]) + v * ((1 - u) * hem[0] + u * hem[-1])
    return across + down - corners


def sleeve_grid(points: Points, first: int) -> Grid:
    """Strip of one sleeve, (ALONG, ACROSS, 2); ``first`` is the index of the side's first landmark (0 or 9)."""
    side = points[first : first + 9].astype(np.float64)
    outer = smooth_line([side[S], side[EO], side[CO]], ALONG)
    inner = smooth_line([side[A], side[EI], side[CI]], ALONG)
    t = np.linspace(0, 1, ACROSS)[None, :, None]
    return outer[:, None] * (1 - t) + inner[:, None] * t


def folded_share(grid: Grid) -> float:
    """Share of a grid's cells whose sense of rotation differs from most others'."""
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    one, two = c - a, d - b
    area = one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
    return float(min((area <= 0).mean(), (area >= 0).mean()))


def _with_rim(source: Grid, target: Grid, lengths: tuple[float, float, float, float]) -> tuple[Grid, Grid]:
    """Continue both grids outwards by ``lengths`` source pixels at first row, last row, first and last column."""
    grids = [source, target]
    for axis, (before, after) in ((0, lengths[:2]), (1, lengths[2:])):
        factors = []
        for length, ends in ((before, (0, 1)), (after, (-1, -2))):
            step = np.take(grids[0], ends[0], axis) - np.take(grids[0], ends[1], axis)
            factors.append(length / (np.linalg.norm(step, axis=-1).mean() + 1e-6))
        for number, grid in enumerate(grids):
            first, second = np.take(grid, [0], axis), np.take(grid, [1], axis)
            last, previous = np.take(grid, [-1], axis), np.take(grid, [-2], axis)
            head = first + (first - second) * factors[0] if before else first[:0]
            tail = last + (last - previous) * factors[1] if after else last[:0]
            grids[number] = np.concatenate([x for x in (head, grid, tail) if x.size], axis)
    return grids[0], grids[1]


def _triangles(grid: Grid) -> NDArray[np.float64]:
    """Two triangles per cell, (cells * 2, 3, 2), cells row by row."""
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    return np.stack([np.stack([a, b, c], 2), np.stack([a, c, d], 2)], 2).reshape(-1, 3, 2)


def source_map(
    source: Grid, target: Grid, size: tuple[int, int], inner: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], tuple[slice, slice]] | None:
    """Source coordinates under the pixels that a target grid covers.

    Args:
        source: Node positions in the source picture.
        target: Node positions in the target picture, same shape.
        size: (height, width) of the target picture.
        inner: One flag per cell, row by row: these cells are drawn over the others. None draws in order.

    Returns:
        Map (h, w, 2) float32 over the window, -1e4 where nothing is covered, and the window (rows, columns); None if
        the grid lies outside the picture.
    """
    low = np.maximum(np.floor(target.reshape(-1, 2).min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(target.reshape(-1, 2).max(0)).astype(int) + 2, [size[1], size[0]])
    if (high <= low).any():
        return None
    there, here = _triangles(source), _triangles(target) - low
    order = np.arange(len(here))
    if inner is not None:
        order = np.argsort(np.repeat(inner, 2), kind="stable")
    one, two = here[:, 1] - here[:, 0], here[:, 2] - here[:, 0]
    det = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    usable = np.abs(det) > 1e-3
    safe = np.where(usable, det, 1.0)
    first, second = there[:, 1] - there[:, 0], there[:, 2] - there[:, 0]
    dx = (first * two[:, 1:] - second * one[:, 1:]) / safe[:, None]  # d source / dx, (T, 2)
    dy = (second * one[:, :1] - first * two[:, :1]) / safe[:, None]
    base = there[:, 0] - dx * here[:, 0, :1] - dy * here[:, 0, 1:]
    affine = np.concatenate([dx, dy, base], 1).astype(np.float32)
    extent = (int(high[1] - low[1]), int(high[0] - low[0]))
    ids = np.zeros(extent, np.int32)
    # OpenCV fills the pixels that an edge touches, so neighbours overlap by at most one pixel and leave no gap.
    corners = np.clip(np.round(here * 16), -(2**24), 2**24).astype(np.int32)
    for number in order:
        if usable[number]:
            cv2.fillConvexPoly(ids, corners[number], int(number) + 1, cv2.LINE_8, 4)
    y, x = np.nonzero(ids)
    chosen = affine[ids[y, x] - 1]
    out = np.full((*extent, 2), -1e4, np.float32)
    out[y, x] = chosen[:, :2] * x[:, None] + chosen[:, 2:4] * y[:, None] + chosen[:, 4:]
    return out, (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))


def _gates(grids: list[Grid], size: tuple[int, int]) -> tuple[list[NDArray[np.float32]], float]:
    """Which source pixels each part may show: its own mesh, and of what no mesh covers the nearer share."""
    factor = min(1.0, GATE_SIZE / max(size))
    small = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    inside = []
    for grid in grids:
        edge = np.concatenate([grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2:0:-1, 0]])
        mask = np.zeros(small, np.uint8)
        cv2.fillPoly(mask, [np.round(scaled(edge.astype(np.float32), factor) * 16).astype(np.int32)], 1, shift=4)
        inside.append(mask)
    if len(inside) == 1:
        return [np.ones(small, np.float32)], factor
    distance = np.stack(
        [cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3) if mask.any() else np.full(small, 1e6) for mask in inside]
    )
    nearest = distance.argmin(0)
    free = ~np.any(np.stack(inside) > 0, 0)
    return [((mask > 0) | (free & (nearest == k))).astype(np.float32) for k, mask in enumerate(inside)], factor


def warp(
    image: NDArray[np.uint8] | NDArray[np.float32],
    alpha: NDArray[np.uint8] | NDArray[np.float32],
    source: Points,
    target: Points,
    size: tuple[int, int],
    *,
    sleeves: bool = True,
    behind: tuple[bool, bool] = (False, False),
) -> Warped:
    """Carry a garment from its own landmarks to others.

    Args:
        image: (h, w, 3) uint8 or float32 in [0, 1].
        alpha: (h, w) uint8 or float32 in [0, 1].
        source: (20, 2) landmarks in ``image``.
        target: (20, 2) landmarks in the target picture.
        size: (height, width) of the target picture.
        sleeves: False leaves the two sleeve strips out and lets the torso patch carry everything.
        behind: Draw the sleeve on the left, right of the picture behind the torso (an arm behind the back).
    """
    image, alpha, source = _shrunk(image, alpha, source, target)
    meshes = [(torso_grid(source), torso_grid(target), TORSO)]
    if sleeves:
        for first, part, back in ((0, LEFT_SLEEVE, behind[0]), (RIGHT, RIGHT_SLEEVE, behind[1])):
            mesh = (sleeve_grid(source, first), sleeve_grid(target, first), part)
            meshes = [mesh, *meshes] if back else [*meshes, mesh]
    gates, factor = _gates([m[0] for m in meshes], (image.shape[0], image.shape[1]))
    unit = float(np.linalg.norm(source[RIGHT + S] - source[S]))
    rgb, cover = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    parts = np.zeros(size, np.uint8)
    for (there, here, part), gate in zip(meshes, gates, strict=True):
        if part == TORSO:
            lengths = (RIM["top"], RIM["hem"], RIM["side"], RIM["side"])
        else:
            lengths = (0.0, RIM["cuff"], RIM["sleeve"], RIM["sleeve"])
        wide = _with_rim(there, here, tuple(unit * v for v in lengths))  # type: ignore[arg-type]
        inner = np.zeros((wide[0].shape[0] - 1, wide[0].shape[1] - 1), bool)
        inner[1 if lengths[0] else 0 : -1, 1:-1] = True
        found = source_map(*wide, size, inner.ravel())
        if found is None:
            continue
        where, window = found
        x, y = np.ascontiguousarray(where[..., 0]), np.ascontiguousarray(where[..., 1])
        near = [(v + 0.5) * np.float32(factor) - np.float32(0.5) for v in (x, y)]
        c = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        a = cv2.remap(alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        g = cv2.remap(gate, near[0], near[1], cv2.INTER_LINEAR)
        a = _unit(a) * (g > 0.5)
        k = a[..., None]
        rgb[window] = rgb[window] * (1 - k) + _unit(c) * k
        cover[window] = cover[window] * (1 - a) + a
        parts[window][a > 0.5] = part
    drawn = cover > 1e-3
    rgb[drawn] /= cover[drawn][:, None]  # colours were gathered premultiplied
    rgb[~drawn] = 0
    return Warped(np.clip(rgb, 0, 1), cover, parts)


def _unit(values: NDArray) -> NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(255) if values.dtype == np.uint8 else values.astype(np.float32)


def _shrunk(image: NDArray, alpha: NDArray, source: Points, target: Points) -> tuple[NDArray, NDArray, Points]:
    """Shrink the source first when the target is much smaller: bilinear sampling alone would skip pixels."""
    spans = [float(np.sqrt(np.prod(np.ptp(p, axis=0) + 1e-3))) for p in (source, target)]
    factor = spans[0] / spans[1]
    if factor < 1.4:
        return image, alpha, source
    height, width = image.shape[:2]
    smaller = (max(8, round(width / factor)), max(8, round(height / factor)))
    ratio = np.array([smaller[0] / width, smaller[1] / height])
    resized = [cv2.resize(x, smaller, interpolation=cv2.INTER_AREA) for x in (image, alpha)]
    return resized[0], resized[1], scaled(source, ratio)
