"""Half-spaces and mesh are two accounts of the same solid, and the solid is one that can be printed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import trimesh
from scipy import ndimage

from pipelines.core.errors import InputError
from pipelines.synthetic.building_footprints import convex_pieces, prism
from pipelines.synthetic.building_parts import Rect, box, dome, hip, pyramid, regular, ridged
from pipelines.synthetic.buildings import (
    EVALUATION_COUNT,
    FAMILIES,
    HELD_OUT,
    QUERY,
    Building,
    evaluation_set,
    fingerprint,
    sample_building,
    sample_points,
    sample_surface,
)

# Figures in cards are about exactly these buildings: a change of the generators changes this line and every figure.
EVALUATION_SHA256 = "a8fa1dbc28fc071cc73765ef6552b4ddc96686020bc0bacd6805af27d350c0e9"


@pytest.fixture(scope="module")
def buildings() -> list[Building]:
    """300 buildings, 15 of every family."""
    rng = np.random.default_rng(0)
    return [sample_building(rng, family) for family in FAMILIES for _ in range(15)]


def as_trimesh(building: Building) -> trimesh.Trimesh:
    mesh = building.mesh()
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def test_solids_are_closed_and_one(buildings: list[Building]) -> None:
    for building in buildings:
        solid = as_trimesh(building)
        assert solid.is_watertight and solid.is_winding_consistent, building.family
        assert solid.volume > 0 and solid.body_count == 1, building.family
        assert solid.volume == pytest.approx(building.volume(), rel=1e-9)


def test_frame(buildings: list[Building]) -> None:
    for building in buildings:
        low, high = building.mesh().vertices.min(0), building.mesh().vertices.max(0)
        np.testing.assert_allclose(low + high, 0, atol=1e-9)
        assert (high - low).max() == pytest.approx(1, abs=1e-9)
        assert high.max() < QUERY


def test_parts_are_convex_and_bounded_by_their_planes(buildings: list[Building]) -> None:
    for building in buildings:
        for part in building.parts:
            beyond = part.vertices @ part.normals.T - part.offsets
            assert beyond.max() < 1e-9, building.family
            # every plane is a face: at least three corners lie on it
            assert ((np.abs(beyond) < 1e-9).sum(0) >= 3).all(), building.family
            np.testing.assert_allclose(np.linalg.norm(part.normals, axis=1), 1, atol=1e-12)


def test_walls_are_upright_rectangles_on_faces(buildings: list[Building]) -> None:
    for building in buildings:
        for part in building.parts:
            for wall in part.walls:
                np.testing.assert_allclose(wall[0] + wall[2], wall[1] + wall[3], atol=1e-9)
                np.testing.assert_allclose((wall[3] - wall[0])[[0, 2]], 0, atol=1e-9)
                assert (np.abs(wall @ part.normals.T - part.offsets).max(0) < 1e-9).any()


def test_occupancy_is_what_the_mesh_holds(buildings: list[Building]) -> None:
    open3d = pytest.importorskip("open3d", reason="open3d has no wheel here")
    rng = np.random.default_rng(1)
    for building in buildings[::3]:
        mesh = building.mesh()
        scene = open3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
        points = np.concatenate([sample_points(building, rng, 1500)[0], rng.uniform(-0.52, 0.52, (1500, 3))])
        points = points.astype(np.float32)
        clear = scene.compute_distance(points).numpy() > 1e-4
        held = scene.compute_occupancy(points, nthreads=1, nsamples=5).numpy() > 0.5
        np.testing.assert_array_equal(building.occupancy(points)[clear], held[clear], err_msg=building.family)
        assert clear.mean() > 0.98


def test_volumes_by_formula() -> None:
    """Boxes, roofs and domes whose volume is known; the share of points inside agrees with the mesh."""
    plan = Rect(0, 1, 0, 0.5)
    gable = ridged(plan, ((-1, 0), (-1, 0.3), (0, 0.5), (1, 0.3), (1, 0)), along_x=True)
    ring = regular(0, 0, 1, 20)
    ngon = 0.5 * 20 * np.sin(2 * np.pi / 20)
    angles = np.arange(5) / 5 * np.pi / 2
    sections = [ngon * np.cos(a) ** 2 for a in angles] + [0.0]
    heights = [*np.sin(angles), 1.0]
    frusta = sum(
        (z1 - z0) * (a + b + np.sqrt(a * b)) / 3
        for (a, b), (z0, z1) in zip(pairwise(sections), pairwise(heights), strict=True)
    )
    cases = {
        "box": ([box(plan, 0, 0.3)], 0.15),
        "gable": ([gable], 0.15 + 0.05),
        "hip": ([hip(plan, 0, 0.3, 0.2)], 0.15 + 0.2 * 0.25 / 2 + 0.2 * 0.25 / 3),
        "pyramid": ([pyramid(plan, 0, 0.3, 0.2)], 0.15 + 0.5 * 0.2 / 3),
        "dome": ([dome(ring, 0, 0.5, 1)], ngon * 0.5 + frusta),
        "overlap": ([box(plan, 0, 0.3), box(Rect(0.5, 1, 0, 1), 0, 0.6)], 0.15 + 0.3 - 0.075),
        "prism": (prism(np.array([(0, 0), (1, 0), (1, 0.3), (0.4, 0.3), (0.4, 1), (0, 1.0)]), 2.0), 2 * (0.3 + 0.28)),
    }
    for name, (parts, volume) in cases.items():
        assert Building("slab", tuple(parts)).volume() == pytest.approx(volume, rel=1e-6), name


def test_plans_are_cut_into_convex_pieces() -> None:
    def area(plan: np.ndarray) -> float:
        x, z = plan.T
        return float(x @ np.roll(z, -1) - z @ np.roll(x, -1)) / 2

    rng = np.random.default_rng(3)
    for _ in range(40):
        count = int(rng.integers(4, 12))
        angle = (np.arange(count) + rng.uniform(-0.4, 0.4, count)) * 2 * np.pi / count
        star = rng.uniform(0.3, 1, (count, 1)) * np.stack([np.cos(angle), np.sin(angle)], 1)
        pieces = [star[piece] for piece in convex_pieces(star)]
        assert sum(area(piece) for piece in pieces) == pytest.approx(area(star))
        for piece in pieces:
            sides = np.roll(piece, -1, 0) - piece
            after = np.roll(sides, -1, 0)
            assert (sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0] > 0).all()
        building = Building("polygon", tuple(prism(star, 0.5)))
        assert building.volume() == pytest.approx(0.5 * area(star)) and len(building.solid.decompose()) == 1
    with pytest.raises(ValueError, match="counter-clockwise"):
        convex_pieces(regular(0, 0, 1, 5)[::-1])


def test_share_of_points_inside_is_the_volume(buildings: list[Building]) -> None:
    points = np.random.default_rng(2).uniform(-0.5, 0.5, (20_000, 3)).astype(np.float32)
    gaps = np.array([building.occupancy(points).mean() - building.volume() for building in buildings[::3]])
    volumes = np.array([building.volume() for building in buildings[::3]])
    sigma = np.sqrt(volumes * (1 - volumes) / len(points))
    assert (np.abs(gaps) < 5 * sigma + 1e-4).all()


def test_shared_faces_are_inside() -> None:
    halves = Building("slab", (box(Rect(-0.5, 0.1, -0.2, 0.2), -0.3, 0.3), box(Rect(0.1, 0.5, -0.2, 0.2), -0.3, 0.3)))
    points = np.array([(0.1, 0, 0), (0.1, 0.2, -0.1), (0.1, 0.31, 0)], np.float64)
    np.testing.assert_array_equal(halves.occupancy(points), [True, True, False])


def distance_to_planes(building: Building, points: np.ndarray) -> np.ndarray:
    """A lower bound of the distance of points (N, 3) to the surface, exact beside a face."""
    normals, offsets = building.half_spaces
    return np.abs((np.einsum("phc,nc->nph", normals, points) - offsets).max(2)).min(1)


def test_points_lie_in_the_query_box_and_half_of_them_near() -> None:
    building = sample_building(np.random.default_rng(3), "court")
    points, inside = sample_points(building, np.random.default_rng(4), 4000)
    assert points.dtype == np.float32 and points.shape == (4000, 3) and np.abs(points).max() <= np.float32(QUERY)
    np.testing.assert_array_equal(inside, building.occupancy(points))
    even, _ = sample_points(building, np.random.default_rng(4), 4000, near=0.0)
    near, far = (distance_to_planes(building, each[:1000]) for each in (points, even))
    assert (near < 0.1).mean() > 0.9 > (far < 0.1).mean()


def test_surface_points_lie_on_the_surface() -> None:
    building = sample_building(np.random.default_rng(5), "house")
    points = sample_surface(building.mesh(), np.random.default_rng(6), 2000)
    normals, offsets = building.half_spaces
    beyond = np.einsum("phc,nc->nph", normals, points) - offsets
    assert np.abs(beyond.max(2).min(1)).max() < 1e-9


def test_quarter_turns_and_mirrors_reach_every_side() -> None:
    """The tower at one end of a nave is met on all four sides; walls stay along the axes."""
    rng = np.random.default_rng(7)
    sides = set()
    for _ in range(60):
        building = sample_building(rng, "church")
        plan = building.mesh().vertices
        tip = plan[plan[:, 1].argmax()]
        axis = int(np.argmax(np.abs(tip[[0, 2]])))
        sides.add((axis, bool(tip[[0, 2]][axis] > 0)))
        upright = building.parts[0].normals[np.abs(building.parts[0].normals[:, 1]) < 1e-9]
        assert np.abs(upright).max(1).min() > 1 - 1e-9
    assert len(sides) == 4


def test_poses() -> None:
    rng = np.random.default_rng(8)
    for family in FAMILIES:
        extent = np.ptp(sample_building(rng, family, pose="canonical").mesh().vertices, axis=0)
        assert extent[0] >= extent[2] - 1e-9
    free = sample_building(rng, "slab", pose="free")
    upright = free.parts[0].normals[np.abs(free.parts[0].normals[:, 1]) < 1e-9]
    assert np.abs(upright).max(1).min() < 0.999


def open_regions(building: Building) -> int:
    """How many separate regions of ground the foot of a building leaves free, the outside among them."""
    side = np.linspace(-0.55, 0.55, 221)
    x, z = np.meshgrid(side, side)
    foot = building.mesh().vertices[:, 1].min() + 1e-3
    inside = building.occupancy(np.stack([x, np.full_like(x, foot), z], -1).reshape(-1, 3)).reshape(x.shape)
    return int(ndimage.label(~inside)[1])


def test_courts_are_enclosed_and_letters_are_open() -> None:
    rng = np.random.default_rng(11)
    for _ in range(8):
        assert open_regions(sample_building(rng, "court")) == 2
        assert all(open_regions(sample_building(rng, f"{letter}-plan")) == 1 for letter in "ltueh")


def test_letters_are_not_filled() -> None:
    """The foot of an L, T, U, E or H is clearly smaller than its convex hull; that of a slab is not."""
    rng = np.random.default_rng(12)
    for family in ("l-plan", "t-plan", "u-plan", "e-plan", "h-plan", "court", "cross"):
        shares = []
        for _ in range(8):
            building = sample_building(rng, family)
            low = building.mesh().vertices[:, 1].min()
            slice_ = building.solid.rotate((90, 0, 0)).slice(low + 1e-3)
            shares.append(slice_.area() / slice_.hull().area())
        assert np.median(shares) < 0.88 and max(shares) < 0.99, (family, shares)


def test_same_seed_same_buildings() -> None:
    first, again, other = (
        fingerprint([sample_building(np.random.default_rng(seed)) for _ in range(4)]) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_every_family_but_the_held_out_is_trained_on() -> None:
    rng = np.random.default_rng(9)
    assert {sample_building(rng).family for _ in range(500)} == set(FAMILIES) - {HELD_OUT}


def test_evaluation_set_is_the_one_that_figures_are_about() -> None:
    buildings = evaluation_set()
    assert len(buildings) == EVALUATION_COUNT
    assert all(sum(b.family == family for b in buildings) == 10 for family in FAMILIES)
    assert fingerprint(buildings) == EVALUATION_SHA256


def test_unknown_words_are_told() -> None:
    with pytest.raises(InputError, match="igloo") as caught:
        sample_building(np.random.default_rng(0), "igloo")
    assert caught.value.code == "building.family"
    with pytest.raises(InputError, match="upside-down"):
        sample_building(np.random.default_rng(0), "slab", pose="upside-down")
