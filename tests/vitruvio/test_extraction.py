"""Surfaces of fields whose shape is known; the published numbers themselves are tests/parity's."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from pipelines.core.errors import PipelineError
from pipelines.vitruvio.extraction import Extraction, extract

Points = NDArray[np.float32]


def ball(points: Points) -> NDArray[np.float32]:
    return (20 * (0.3 - np.linalg.norm(points - np.float32([0.1, 0, -0.05]), axis=1))).astype(np.float32)


def solid(found: Extraction) -> trimesh.Trimesh:
    mesh = trimesh.Trimesh(found.vertices, found.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    return mesh


def test_a_ball_has_its_size_and_place() -> None:
    found = extract(ball, resolution=16, upsampling=2)
    mesh = solid(found)
    assert np.abs(np.linalg.norm(mesh.vertices - [0.1, 0, -0.05], axis=1) - 0.3).max() < 1e-3
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=5e-3) and mesh.euler_number == 2


def test_the_threshold_is_a_probability() -> None:
    radii = [np.ptp(extract(ball, threshold=t, resolution=32, upsampling=1).vertices[:, 1]) / 2 for t in (0.2, 0.5)]
    assert radii == pytest.approx([0.3 + np.log(4) / 20, 0.3], abs=2e-3)


@pytest.mark.parametrize("split", [(32, 0), (16, 1), (8, 2)])
def test_refinement_finds_what_the_dense_grid_finds(split: tuple[int, int]) -> None:
    def waves(points: Points) -> NDArray[np.float32]:  # several bodies, holes, and cut by the border of the box
        return (np.sin(9 * points).sum(1) + np.cos(7 * points[:, 0])).astype(np.float32)

    dense = extract(waves, resolution=32, upsampling=0)
    found = extract(waves, resolution=split[0], upsampling=split[1])
    assert np.array_equal(found.faces, dense.faces)
    # On the border of the box a vertex leans on how far a value is from the one outside, to 1e-6.
    assert np.abs(found.vertices - dense.vertices).max() < 1e-5
    assert sum(found.queries) <= sum(dense.queries) == 33**3
    assert np.array_equal(found.grid >= 0, dense.grid >= 0)
    solid(found)


def test_an_ambiguous_field_is_closed_too() -> None:
    def noise(points: Points) -> NDArray[np.float32]:
        return np.random.default_rng(0).standard_normal(len(points)).astype(np.float32)

    solid(extract(noise, resolution=20, upsampling=0))


def test_a_neighbour_too_coarse_is_cut_later() -> None:
    def needle(points: Points) -> NDArray[np.float32]:
        """A bead on a coarse grid point with a thread along x, thinner than a coarse cell and off its corners."""
        bead = 0.08 - np.linalg.norm(points, axis=1)
        thread = 0.025 - np.maximum(np.abs(points[:, 1] - 0.04), np.abs(points[:, 2] - 0.04))
        return (50 * np.maximum(bead, np.minimum(thread, 0.4 - np.abs(points[:, 0])))).astype(np.float32)

    found = extract(needle, resolution=8, upsampling=3)
    dense = extract(needle, resolution=64, upsampling=0)
    assert len(found.queries) > 4  # more rounds than sizes: the thread is followed from cell to cell
    assert np.array_equal(found.vertices, dense.vertices) and np.array_equal(found.faces, dense.faces)


def test_nothing_inside_gives_an_empty_surface_and_everything_a_closed_box() -> None:
    empty = extract(lambda points: np.full(len(points), -3, np.float32), resolution=4, upsampling=1)
    assert empty.vertices.shape == (0, 3) and empty.faces.shape == (0, 3) and empty.queries == (125,)
    full = solid(extract(lambda points: np.full(len(points), 3, np.float32), resolution=4, upsampling=1))
    assert np.allclose(full.bounds, [[-0.55] * 3, [0.55] * 3], atol=1e-5)


def test_the_field_is_asked_in_batches_inside_the_box() -> None:
    asked = []

    def field(points: Points) -> NDArray[np.float32]:
        assert points.dtype == np.float32 and np.abs(points).max() <= np.float32(0.55)
        asked.append(len(points))
        return ball(points)

    found = extract(field, resolution=8, upsampling=1, batch=100)
    assert max(asked) == 100 and sum(asked) == sum(found.queries)
    assert np.array_equal(found.vertices, extract(ball, resolution=8, upsampling=1).vertices)


@pytest.mark.parametrize("wrong", [lambda p: np.full(len(p), np.nan), lambda p: p, lambda p: np.full(len(p), np.inf)])
def test_an_unusable_field_is_one_error(wrong: object) -> None:
    with pytest.raises(PipelineError) as raised:
        extract(wrong, resolution=4)  # type: ignore[arg-type]
    assert raised.value.code == "vitruvio.field"


@pytest.mark.parametrize("wrong", [{"threshold": 0.0}, {"threshold": 1.0}, {"resolution": 0}, {"batch": 0}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        extract(ball, **wrong)  # type: ignore[arg-type]


def test_a_surface_through_grid_points_has_no_corners_that_fall_together() -> None:
    def ball(points: np.ndarray) -> np.ndarray:
        return (20 * (0.2750001 - np.linalg.norm(points, axis=1))).astype(np.float32)  # 4 cells and next to nothing

    def pairs(apart: float) -> int:
        found = extract(ball, resolution=8, upsampling=1, apart=apart)
        return len(found.vertices) - len(np.unique(np.round(found.vertices, 5), axis=0))

    assert pairs(0.0) > 0
    assert pairs(0.02) == 0
