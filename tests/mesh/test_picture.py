"""Shaded pictures of a mesh."""

from __future__ import annotations

import numpy as np

from pipelines.core.types import Mesh
from pipelines.mesh.picture import PAPER, shaded

CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], np.float64)
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
CUBE = Mesh(CORNERS, np.array([face for a, b, c, d in QUADS for face in ((a, b, c), (a, c, d))], np.int64))


def test_a_cube_from_the_front_is_one_even_square() -> None:
    image = shaded(CUBE, np.array([0.0, 0, 4]), np.eye(3), 64)
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    stone = (np.abs(image.astype(int) - PAPER).sum(-1) > 20).nonzero()
    rows, columns = np.ptp(stone[0]) + 1, np.ptp(stone[1]) + 1
    assert abs(rows - columns) <= 1
    assert 52 <= rows <= 60  # a margin is left
    assert np.ptp(image[24:40, 24:40].reshape(-1, 3).astype(int), axis=0).max() == 0


def test_sides_differ_in_shade_and_edges_are_drawn() -> None:
    right, back = np.array([1, 0, -1]) / 2**0.5, np.array([1, 1.2, 1]) / 3.44**0.5
    image = shaded(CUBE, 4 * back, np.stack([right, np.cross(back, right), back]), 128)
    shades = {tuple(image[row, column]) for row, column in ((35, 64), (80, 40), (80, 88))}
    assert len(shades) == 3
    dark = image.max(-1) < 110
    assert dark[:, 64].any() and 0.02 < dark.mean() < 0.2
