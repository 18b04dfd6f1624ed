"""Turn surfaces into per-pixel buffers: a depth-buffered scanline rasteriser in whole-array numpy.

Each triangle is cut into horizontal spans, all spans into pixels, and a scatter-maximum on inverse depth decides who is
in front. There is no loop over triangles, so a picture costs tens of milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.meshes import Floats, Surface, grid_triangles

MATTERS = ("skin", "cloth", "hair", "gloss")


@dataclass(frozen=True)
class Camera:
    """A pinhole that looks along -z.

    Attributes:
        height: Centimetres above the ground.
        distance: Centimetres from the plane z = 0.
        focal: Pixels.
        centre: (x, y) pixel of the optical axis.
    """

    height: float
    distance: float
    focal: float
    centre: tuple[float, float]

    def project(self, points: Floats) -> Floats:
        """Return (..., 3): pixel x, pixel y, and inverse depth (larger is nearer)."""
        points = np.asarray(points, np.float32)
        inverse = 1.0 / (self.distance - points[..., 2])
        x = self.centre[0] + self.focal * points[..., 0] * inverse
        y = self.centre[1] - self.focal * (points[..., 1] - self.height) * inverse
        return np.stack([x, y, inverse], -1).astype(np.float32)

    @property
    def scale(self) -> float:
        """Pixels per centimetre at z = 0."""
        return self.focal / self.distance


@dataclass(frozen=True)
class Buffers:
    """What each pixel of a window of the picture sees.

    Attributes:
        window: (top, left) of the window in the picture.
        surface: (h, w) int16 index into the list of surfaces, -1 for nothing.
        normal: (h, w, 3) float32, towards the viewer.
        uv: (h, w, 2) float32 in [0, 1] of the surface's texture.
        depth: (h, w) float32 centimetres towards the viewer (z); -1000 for nothing.
    """

    window: tuple[int, int]
    surface: NDArray[np.int16]
    normal: Floats
    uv: Floats
    depth: Floats


def _gather(surfaces: list[Surface], camera: Camera) -> tuple[Floats, NDArray, NDArray, Floats, NDArray]:
    """Concatenate all surfaces: projected vertices, triangles, owner per triangle, attributes, two-sided per triangle.

    Attributes are normal (3), uv (2), z (1), clip (1).
    """
    vertices, triangles, owners, attributes, two_sided = [], [], [], [], []
    offset = 0
    for number, surface in enumerate(surfaces):
        rows, columns = surface.points.shape[:2]
        count = rows * columns
        flat = surface.points.reshape(count, 3)
        projected = camera.project(flat)
        if np.any(surface.bias):
            bias = np.broadcast_to(surface.bias, (rows, columns)).reshape(count)
            projected[:, 2] += bias * projected[:, 2] ** 2
        clip = np.ones((count, 1), np.float32) if surface.clip is None else surface.clip.reshape(count, 1)
        vertices.append(projected)
        attributes.append(
            np.concatenate([surface.normals.reshape(count, 3), surface.uv.reshape(count, 2), flat[:, 2:], clip], 1)
        )
        grid = grid_triangles(rows, columns) + offset
        triangles.append(grid)
        owners.append(np.full(len(grid), number, np.int16))
        two_sided.append(np.full(len(grid), surface.two_sided))
        offset += count
    return (
        np.concatenate(vertices),
        np.concatenate(triangles),
        np.concatenate(owners),
        np.concatenate(attributes),
        np.concatenate(two_sided),
    )


def rasterize(surfaces: list[Surface], camera: Camera, size: tuple[int, int]) -> Buffers:
    """Draw ``surfaces`` into buffers of ``size`` = (height, width) pixels, cropped to what is drawn.

    Args:
        surfaces: At least one; all must lie in front of the camera.
        camera: The projection.
        size: Of the whole picture; parts outside are cut off.
    """
    height, width = size
    vertices, triangles, owners, attributes, two_sided = _gather(surfaces, camera)
    x, y, inverse = (vertices[:, k].astype(np.float64)[triangles] for k in range(3))
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    clip = attributes[:, 6][triangles]
    keep = (two_sided | (area < 0)) & (np.abs(area) > 1e-9) & (clip.max(1) >= 0)
    keep &= (x.max(1) > 0.5) & (x.min(1) < width - 0.5) & (y.max(1) > 0.5) & (y.min(1) < height - 0.5)
    x, y, inverse, area, clip = x[keep], y[keep], inverse[keep], area[keep], clip[keep]
    triangles, owners = triangles[keep], owners[keep]
    if not len(triangles):
        empty = np.zeros((1, 1), np.float32)
        return Buffers((0, 0), np.full((1, 1), -1, np.int16), np.zeros((1, 1, 3), np.float32),
                       np.zeros((1, 1, 2), np.float32), empty - 1000)  # fmt: skip

    # window: everything later is done on the drawn part of the picture only
    left = int(max(0, np.floor(x.min())))
    top = int(max(0, np.floor(y.min())))
    right = int(min(width, np.ceil(x.max()) + 1))
    bottom = int(min(height, np.ceil(y.max()) + 1))
    x, y = x - left, y - top
    w, h = right - left, bottom - top

    triangle, row, start, stop = _spans(x, y, h, w)
    length = stop - start
    first = np.cumsum(length) - length
    # float32 resolves hundredths of a millimetre here, and the arrays are the longest of all
    step = np.arange(int(length.sum()), dtype=np.int32) - np.repeat(first.astype(np.int32), length)

    # inverse depth and clip are planes over the picture: their value at a span's start, and their slope along it
    plane = _planes(x, y, area, np.stack([inverse, clip], -1))[triangle]
    begin = plane[:, 0] * (start + 0.5)[:, None] + plane[:, 1] * (row + 0.5)[:, None] + plane[:, 2]
    begin, slope = begin.astype(np.float32), plane[:, 0].astype(np.float32)
    near = step.astype(np.float32) * np.repeat(slope[:, 0], length)
    near += np.repeat(begin[:, 0], length)
    pixel = np.repeat((row * w + start).astype(np.int32), length)
    pixel += step
    partial = (clip.min(1) < 0)[triangle]
    if partial.any():
        cut = np.flatnonzero(np.repeat(partial, length))
        span = np.repeat(np.flatnonzero(partial), length[partial])
        near[cut[begin[span, 1] + step[cut] * slope[span, 1] < 0]] = -1.0
    front = np.zeros(h * w, np.float32)
    np.maximum.at(front, pixel, near)
    winner = np.flatnonzero((near >= front[pixel]) & (near > 0))
    owner_map = np.full(h * w, -1, np.int32)
    owner_map[pixel[winner]] = np.repeat(triangle.astype(np.int32), length)[winner]

    pixel = np.flatnonzero(owner_map >= 0)
    number = owner_map[pixel]
    used = np.zeros(len(triangles), bool)
    used[number] = True
    shown = np.flatnonzero(used)
    coefficients = _planes(
        x[shown], y[shown], area[shown], attributes[:, :6][triangles[shown]].astype(np.float64)
    ).astype(np.float32)
    px = (pixel % w + 0.5).astype(np.float32)[:, None]
    py = (pixel // w + 0.5).astype(np.float32)[:, None]
    picked = coefficients[(np.cumsum(used, dtype=np.int32) - 1)[number]]
    values = picked[:, 0] * px + picked[:, 1] * py + picked[:, 2]

    normal = values[:, :3]
    normal /= np.sqrt((normal * normal).sum(1, keepdims=True)) + 1e-6
    normal *= np.where(area[number] > 0, -1.0, 1.0).astype(np.float32)[:, None]
    surface = np.full(h * w, -1, np.int16)
    surface[pixel] = owners[number]
    normals = np.zeros((h * w, 3), np.float32)
    normals[pixel] = normal
    uv = np.zeros((h * w, 2), np.float32)
    uv[pixel] = values[:, 3:5]
    depth = np.full(h * w, -1000, np.float32)
    depth[pixel] = values[:, 5]
    return Buffers(
        (top, left), surface.reshape(h, w), normals.reshape(h, w, 3), uv.reshape(h, w, 2), depth.reshape(h, w)
    )


def _planes(x: NDArray, y: NDArray, area: NDArray, values: NDArray) -> NDArray:
    """Return (T, 3, K): coefficients of x, y and 1 for (T, 3, K) corner values."""
    d1, d2 = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    x1, x2, y1, y2 = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0], y[:, 1] - y[:, 0], y[:, 2] - y[:, 0]
    a = (d1 * y2[:, None] - d2 * y1[:, None]) / area[:, None]
    b = (d2 * x1[:, None] - d1 * x2[:, None]) / area[:, None]
    return np.stack([a, b, values[:, 0] - a * x[:, :1] - b * y[:, :1]], 1)


def _spans(x: NDArray, y: NDArray, h: int, w: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Cut (T, 3) triangles into rows: triangle number, row, first and one-past-last column of each non-empty span."""
    first = np.maximum(np.ceil(y.min(1) - 0.5), 0).astype(np.int64)
    last = np.minimum(np.ceil(y.max(1) - 0.5), h).astype(np.int64)
    count = np.maximum(last - first, 0)
    triangle = np.repeat(np.arange(len(x)), count)
    row = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count) + first[triangle]
    middle = row + 0.5
    low, high = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        dy = y[:, j] - y[:, i]
        slope = (x[:, j] - x[:, i]) / np.where(np.abs(dy) < 1e-12, 1.0, dy)
        crosses = (np.minimum(y[:, i], y[:, j])[triangle] <= middle) & (np.maximum(y[:, i], y[:, j])[triangle] > middle)
        at = x[:, i][triangle] + slope[triangle] * (middle - y[:, i][triangle])
        low = np.where(crosses & (at < low), at, low)
        high = np.where(crosses & (at > high), at, high)
    found = np.isfinite(low) & np.isfinite(high)
    low, high, triangle, row = low[found], high[found], triangle[found], row[found]
    start = np.clip(np.ceil(low - 0.5), 0, w).astype(np.int64)
    stop = np.clip(np.ceil(high - 0.5), 0, w).astype(np.int64)
    some = stop > start
    return triangle[some], row[some], start[some], stop[some]
