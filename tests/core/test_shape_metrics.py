"""Shape figures against values that can be worked out without them."""

import numpy as np
import pytest
import trimesh

from pipelines.core import shape_metrics
from pipelines.core.errors import InputError


def grid(height):
    """A plane of points at a height, 0.1 apart, with its normals."""
    x, y = np.meshgrid(np.arange(5) / 10, np.arange(5) / 10)
    points = np.stack([x.ravel(), y.ravel(), np.full(25, float(height))], 1)
    return points, np.tile([0.0, 0, 1], (25, 1))


def test_two_planes_are_their_distance_apart():
    low, up = grid(0)
    high, down = grid(0.03)
    found = shape_metrics.surface_metrics(low, up, high, -down)
    assert found == pytest.approx(
        dict.fromkeys(shape_metrics.DISTANCES, 0.03)
        | dict.fromkeys(shape_metrics.SQUARES, 0.0009)
        | dict.fromkeys(shape_metrics.NORMALS, 1.0)  # the side that a normal points to does not count
    )
    assert shape_metrics.chamfer(low, high) == pytest.approx((0.03, 0.0009))


def test_the_two_directions_are_not_the_same():
    plane, normals = grid(0)
    half = plane[:, 0] < 0.25
    found = shape_metrics.surface_metrics(plane[half], normals[half], plane, np.roll(normals, 1, axis=1))
    assert found["accuracy"] == 0 and found["completeness"] == pytest.approx((5 * 0.1 + 5 * 0.2) / 25)
    assert found["normal_consistency"] == 0


def test_an_empty_mesh_is_as_far_as_the_cube_is_wide():
    plane, normals = grid(0)
    empty = np.zeros((0, 3)), np.zeros((0, 3), int)
    volume = plane, np.ones(25, bool)
    found = shape_metrics.shape_metrics(*empty, (plane, normals), volume, np.random.default_rng(0), samples=10)
    assert found["chamfer_l1"] == pytest.approx(3**0.5) and found["chamfer_l2"] == pytest.approx(3)
    assert found["normal_consistency"] == -1 and found["iou"] == 0


def test_a_box_against_itself_and_a_smaller_one():
    rng = np.random.default_rng(1)
    box, small = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 1, 0.5))
    surface = shape_metrics.sample_surface(box.vertices, box.faces, 20_000, rng)
    points = rng.uniform(-0.55, 0.55, (20_000, 3))
    volume = points, (np.abs(points) < 0.5).all(1)
    same = shape_metrics.shape_metrics(box.vertices, box.faces, surface, volume, rng, samples=20_000)
    assert same["iou"] == 1 and same["chamfer_l1"] < 0.01 and same["normal_consistency"] > 0.98
    less = shape_metrics.shape_metrics(small.vertices, small.faces, surface, volume, rng, samples=20_000)
    assert less["iou"] == pytest.approx(0.5, abs=0.02) and less["chamfer_l1"] > 0.05


def test_samples_are_spread_by_area_and_lie_on_the_surface():
    box = trimesh.creation.box((1, 2, 4))
    points, normals = shape_metrics.sample_surface(box.vertices, box.faces, 30_000, np.random.default_rng(2))
    side = np.abs(normals).argmax(1)
    assert np.allclose(np.abs(points[np.arange(len(points)), side]), np.array([0.5, 1, 2])[side])
    assert np.bincount(side) / len(side) == pytest.approx(np.array([8, 4, 2]) / 14, abs=0.01)
    assert np.sign(points[np.arange(len(points)), side]).tolist() == normals[np.arange(len(points)), side].tolist()
    assert np.abs(points.mean(0)).max() < 0.05


def test_occupancies_of_nothing_agree():
    nothing = np.zeros(4, bool)
    assert shape_metrics.occupancy_iou(nothing, nothing) == 1
    assert shape_metrics.occupancy_iou(np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)) == 1 / 3


@pytest.mark.parametrize("wrong", [np.zeros((3, 2)), np.full((3, 3), np.nan)])
def test_unusable_points_are_one_error(wrong):
    plane, normals = grid(0)
    calls = [
        lambda: shape_metrics.chamfer(wrong, plane),
        lambda: shape_metrics.chamfer(plane, np.zeros((0, 3))),
        lambda: shape_metrics.surface_metrics(plane, normals[1:], plane, normals),
        lambda: shape_metrics.occupancy_iou(np.zeros(3, bool), np.zeros(4, bool)),
    ]
    for call in calls:
        with pytest.raises(InputError) as raised:
            call()
        assert raised.value.code == "metrics.points"
