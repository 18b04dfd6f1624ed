"""Plans at any angle come out with straight walls, and buildings along the axes stay blocks."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.mesh import topology
from pipelines.mesh.massing import Samples
from pipelines.mesh.storeys import storeys, turned_share
from pipelines.mesh.straighten import straighten
from tests.mesh.test_straighten import GRID, assert_stands, blurred, said, surface

Flags = np.ndarray


def prism(sides: int, radius: float, turn: float = 0.0, points: np.ndarray = GRID) -> Flags:
    """Whether points are in an upright prism over a regular polygon, ``turn`` in degrees."""
    angles = np.radians(turn) + np.arange(sides) * 2 * np.pi / sides
    normals = np.stack([np.cos(angles), np.sin(angles)], 1)
    return (points[:, [0, 2]] @ normals.T).max(1) <= radius * np.cos(np.pi / sides)


def between(low: float, high: float, points: np.ndarray = GRID) -> Flags:
    return (points[:, 1] >= low) & (points[:, 1] <= high)


def turned_tower(points: np.ndarray = GRID) -> Flags:
    """A square tower at 30 degrees on a slab along the axes."""
    slab = (np.abs(points[:, [0, 2]]) <= 0.42).all(1) & between(-0.4, -0.2, points)
    return slab | (prism(4, 0.33, 30, points) & between(-0.4, 0.4, points))


def samples(occupied: Flags, sigma: float = 1.0) -> Samples:
    probability = blurred(occupied, sigma)
    axis = (np.arange(44) + 0.5) * 0.025 - 0.55
    grid = np.stack(np.meshgrid(axis, axis[6:], axis, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    return Samples(probability(grid).reshape(44, 38, 44), np.array([-0.55, -0.4, -0.55]), 0.025)


def overlap(mesh, occupied) -> float:
    points = np.random.default_rng(3).uniform(-0.55, 0.55, (20_000, 3))
    inside, true = topology.contains(mesh, points), occupied(points)
    return float((inside & true).sum() / (inside | true).sum())


def test_a_turned_tower_on_a_slab_is_two_storeys_of_four_walls() -> None:
    found = storeys(samples(turned_tower()))
    assert [[len(loop) for loop in storey.plan] for storey in found] == [[4], [4]]
    assert found[0].top == pytest.approx(8, abs=0.7) and found[1].top == pytest.approx(32, abs=0.7)
    assert 0.3 < turned_share(found) < 0.6
    span = np.diff(found[1].plan[0], axis=0)[0]
    assert np.degrees(np.arctan2(*span[::-1])) % 90 == pytest.approx(30, abs=3)


@pytest.mark.parametrize("sides", [5, 6, 8])
def test_a_polygon_keeps_its_sides(sides: int) -> None:
    (storey,) = storeys(samples(prism(sides, 0.45, 10) & between(-0.4, 0.3)))
    assert [len(loop) for loop in storey.plan] == [sides]


def test_a_court_stays_open() -> None:
    court = prism(4, 0.55, 20) & ~prism(4, 0.28, 20) & between(-0.4, 0.1)
    (storey,) = storeys(samples(court))
    assert [len(loop) for loop in storey.plan] == [4, 4]


def test_straighten_takes_storeys_where_blocks_would_stand_in_steps() -> None:
    probability = blurred(turned_tower(), 1.5)
    done = straighten(surface(probability), probability)
    assert done.applied and "storeys" in said(done)["straighten"].message
    assert_stands(done.mesh)
    assert overlap(done.mesh, turned_tower) > 0.93 and len(done.mesh.faces) < 80


@pytest.mark.parametrize("turn", [10, 20, 35])
def test_a_house_that_stands_at_an_angle_has_four_walls(turn: int) -> None:
    angle = np.radians(turn)

    def house(points: np.ndarray) -> Flags:
        x, z = points[:, 0] * np.cos(angle) + points[:, 2] * np.sin(angle), points[:, 2] * np.cos(angle)
        return (np.abs(x) <= 0.42) & (np.abs(z - points[:, 0] * np.sin(angle)) <= 0.2) & between(-0.3, 0.1, points)

    probability = blurred(house(GRID), 1.5)
    done = straighten(surface(probability), probability)
    assert "storeys" in said(done)["straighten"].message and len(done.mesh.faces) == 12
    assert overlap(done.mesh, house) > 0.85


def test_straighten_takes_blocks_along_the_axes() -> None:
    def corner(points: np.ndarray) -> Flags:
        wing = (np.abs(points[:, 0]) <= 0.4) & (np.abs(points[:, 2] + 0.25) <= 0.15)
        other = (np.abs(points[:, 2]) <= 0.4) & (np.abs(points[:, 0] + 0.25) <= 0.15)
        return (wing | other) & between(-0.3, 0.2, points)

    probability = blurred(corner(GRID), 1.5)
    done = straighten(surface(probability), probability)
    assert done.applied and "blocks" in said(done)["straighten"].message
    assert overlap(done.mesh, corner) > 0.92


@pytest.mark.parametrize("value", [0.0, 0.3, 0.9])
def test_a_field_without_walls_is_no_error(value: float) -> None:
    for height in (2, 30):
        field = Samples(np.full((30, height, 30), value, np.float32), np.zeros(3), 0.03)
        found = storeys(field)
        assert not found if value < 0.5 else turned_share(found) == 0
