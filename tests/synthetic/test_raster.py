"""The rasteriser against geometry that can be computed by hand."""

from __future__ import annotations

import numpy as np

from pipelines.synthetic.meshes import Surface, between, grid_normals, loft, rotation, tube_frames
from pipelines.synthetic.raster import Camera, rasterize

CAMERA = Camera(0.0, 1e5, 1e5, (32.0, 32.0))  # one pixel per centimetre, nearly parallel


def _plate(x0: float, x1: float, y0: float, y1: float, z: float, n: int = 5, clip: np.ndarray | None = None) -> Surface:
    x, y = np.meshgrid(np.linspace(x0, x1, n), np.linspace(y1, y0, n))
    points = np.stack([x, y, np.full_like(x, z)], -1).astype(np.float32)
    uv = np.stack([(x - x0) / (x1 - x0), (y1 - y) / (y1 - y0)], -1).astype(np.float32)
    return Surface(points, grid_normals(points, False), uv, "plain", 1, 1, clip=clip)


def _paste(buffers, size: int = 64) -> np.ndarray:
    out = np.full((size, size), -1)
    h, w = buffers.surface.shape
    top, left = buffers.window
    out[top : top + h, left : left + w] = buffers.surface
    return out


def test_a_plate_covers_exactly_its_pixels() -> None:
    seen = _paste(rasterize([_plate(-10, 10, -6, 6, 0)], CAMERA, (64, 64)))
    expected = np.full((64, 64), -1)
    expected[26:38, 22:42] = 0
    np.testing.assert_array_equal(seen, expected)


def test_the_nearer_plate_wins_whatever_the_order() -> None:
    far, near = _plate(-10, 10, -10, 10, 0), _plate(-4, 4, -4, 4, 5)
    for surfaces, front in (([far, near], 1), ([near, far], 0)):
        seen = _paste(rasterize(surfaces, CAMERA, (64, 64)))
        assert (seen[28:36, 28:36] == front).all()
        assert (seen == front).sum() == 64


def test_interpolation_is_linear_and_faces_the_viewer() -> None:
    buffers = rasterize([_plate(-10, 10, -10, 10, 3)], CAMERA, (64, 64))
    expected = (np.arange(20) + 0.5) / 20
    drawn = buffers.surface == 0
    assert drawn.sum() == 400
    uv = buffers.uv[drawn].reshape(20, 20, 2)
    np.testing.assert_allclose(uv[5, :, 0], expected, atol=2e-3)
    np.testing.assert_allclose(uv[:, 5, 1], expected, atol=2e-3)
    np.testing.assert_allclose(buffers.normal[drawn], np.tile([0, 0, 1], (400, 1)), atol=1e-5)
    np.testing.assert_allclose(buffers.depth[drawn], 3, atol=1e-3)


def test_clip_cuts_along_the_zero_line() -> None:
    clip = np.repeat(np.linspace(-1, 1, 5, dtype=np.float32)[None], 5, 0)
    seen = _paste(rasterize([_plate(-10, 10, -10, 10, 0, clip=clip)], CAMERA, (64, 64)))
    assert (seen[22:42, 22:32] == -1).all() and (seen[22:42, 32:42] == 0).all()


def test_backs_are_dropped_unless_two_sided() -> None:
    plate = _plate(-5, 5, -5, 5, 0)
    away = Surface(plate.points[:, ::-1], -plate.normals, plate.uv, "plain", 1, 1)
    assert (rasterize([away], CAMERA, (64, 64)).surface == -1).all()
    both = Surface(plate.points[:, ::-1], -plate.normals, plate.uv, "plain", 1, 1, two_sided=True)
    buffers = rasterize([both], CAMERA, (64, 64))
    assert (buffers.surface == 0).sum() == 100
    assert (buffers.normal[buffers.surface == 0, 2] > 0.99).all()


def test_a_tube_is_as_wide_as_its_radius_without_holes() -> None:
    path = np.stack([np.zeros(9), np.linspace(20, -20, 9), np.zeros(9)], -1).astype(np.float32)
    sides, fronts = tube_frames(path, np.array([1.0, 0, 0], np.float32))
    np.testing.assert_allclose(fronts, np.tile([0, 0, 1.0], (9, 1)), atol=1e-6)
    radius = np.full(9, 7.0, np.float32)
    points = loft(path, sides, fronts, radius, radius, np.linspace(-np.pi, np.pi, 65, dtype=np.float32))
    tube = Surface(points, grid_normals(points, True), np.zeros((9, 65, 2), np.float32), "plain", 1, 1)
    seen = _paste(rasterize([tube], CAMERA, (64, 64)))
    assert (seen[12:52, 25:39] == 0).all()
    assert (seen == 0).sum() == 40 * 14


def test_rotations_are_rotations() -> None:
    for matrix in (rotation(0.3, -0.2, 0.5), between(np.array([0, -1.0, 0]), np.array([0.6, -0.2, 0.7]))):
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(matrix) > 0.999
    assert (rotation(yaw=0.4)[:, 2] @ [1, 0, 0]) > 0
    assert (rotation(roll=0.4)[:, 1] @ [1, 0, 0]) > 0
