"""A building always becomes one closed body on a flat base; it is straightened only where the field supports that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipelines.core.errors import InputError, PipelineError
from pipelines.core.types import Mesh
from pipelines.mesh import topology
from pipelines.mesh.levelling import base_area
from pipelines.mesh.massing import CARES, ROOFS, Block, Samples, blocks, covered, solid
from pipelines.mesh.repair import repair
from pipelines.mesh.solids import to_mesh
from pipelines.mesh.straighten import BUDGET, Straightened, expected_iou, level, straighten
from pipelines.synthetic.buildings import FAMILIES, Building, sample_building
from pipelines.vitruvio.extraction import extract
from tests.mesh.shapes import ball, box, together, turned, without

AXIS = np.linspace(-0.55, 0.55, 49)
GRID = np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
Probability = Callable[[np.ndarray], np.ndarray]


def blurred(inside: np.ndarray, sigma: float, noise: float = 0.0, seed: int = 0) -> Probability:
    """A field as a network would give it: exact occupancy on GRID, blurred, with slow noise."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    grid = gaussian_filter(inside.reshape(49, 49, 49).astype(np.float32), sigma, mode="constant")
    slow = gaussian_filter(np.random.default_rng(seed).normal(size=grid.shape), 3)
    grid = np.clip(grid + noise * slow / slow.std() * np.minimum(1, 4 * grid), 0.001, 0.999)

    def probability(points: np.ndarray) -> np.ndarray:
        return map_coordinates(grid, (points.T + 0.55) / (AXIS[1] - AXIS[0]), order=1, mode="nearest").astype(
            np.float32
        )

    return probability


def surface(probability: Probability) -> Mesh:
    def logits(points: np.ndarray) -> np.ndarray:
        values = np.clip(probability(points), 1e-4, 1 - 1e-4)
        return np.log(values / (1 - values)).astype(np.float32)

    found = extract(logits, resolution=24, upsampling=1)
    return Mesh(found.vertices, found.faces)


def iou(mesh: Mesh, building: Building) -> float:
    points = np.random.default_rng(3).uniform(-0.55, 0.55, (20_000, 3)).astype(np.float32)
    inside, true = topology.contains(mesh, points.astype(np.float64)), building.occupancy(points)
    return float((inside & true).sum() / (inside | true).sum())


def assert_stands(mesh: Mesh) -> None:
    """One closed shell, turned outwards, on a flat base, also after its corners are welded."""
    welded = repair(mesh, ["weld"]).mesh
    for one in (mesh, welded):
        assert topology.edge_report(one).closed
        assert [shell.role for shell in topology.shells(one)] == ["body"]
        assert base_area(one) > 0
    low = mesh.vertices[:, 1].min()
    assert not ((mesh.vertices[:, 1] > low) & (mesh.vertices[:, 1] < low + 1e-6)).any()


def said(done: Straightened) -> dict:
    return {change.name: change for change in done.changes}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_stands_straightened_or_not(family: str) -> None:
    building = sample_building(np.random.default_rng(FAMILIES.index(family)), family)
    probability = blurred(building.occupancy(GRID), 1.5, 0.05)
    mesh = surface(probability)
    stood, done = level(mesh), straighten(mesh, probability)
    assert_stands(stood.mesh)
    assert_stands(done.mesh)
    assert iou(stood.mesh, building) > iou(mesh, building) - 0.03
    assert iou(done.mesh, building) > iou(stood.mesh, building) - 0.05
    change = said(done)["straighten"]
    assert change.changed == done.applied and 0 < done.queries <= BUDGET
    if done.applied:
        assert abs(change.figures["volume_change"]) <= 0.05 and done.agreement >= 0.8
        assert len(done.mesh.faces) < len(stood.mesh.faces)
    else:
        np.testing.assert_array_equal(done.mesh.vertices, stood.mesh.vertices)
        np.testing.assert_array_equal(done.mesh.faces, stood.mesh.faces)


@pytest.mark.parametrize("seed", range(6))
def test_any_noise_with_an_inside_stands(seed: int) -> None:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(49, 49, 49)), 1 + seed % 3)
    probability = blurred(noise > noise.std() * (seed % 2), 0.5)
    mesh = surface(probability)
    assert_stands(level(mesh).mesh)
    assert_stands(straighten(mesh, probability).mesh)


def in_frame(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices / 40, mesh.faces)


def test_crumbs_and_cavities_go_and_are_named() -> None:
    hollow = together(in_frame(ball(12)), turned(in_frame(ball(6))), in_frame(ball(2, at=(30, 0, 0))))
    done = level(hollow)
    assert_stands(done.mesh)
    assert said(done)["largest-body"].figures["bodies_dropped"] == 1
    assert said(done)["fill-cavities"].figures["cavities"] == 1
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(in_frame(ball(12))), rel=0.03)
    assert done.mesh.vertices[:, 0].max() < 0.31


def test_two_bodies_of_some_size_become_one_by_a_wall() -> None:
    apart = together(in_frame(box((10, 20, 10))), in_frame(box((8, 10, 10), at=(14, 0, 2))))
    done = level(apart)
    assert_stands(done.mesh)
    figures = said(done)["largest-body"].figures
    assert figures["bodies_joined"] == 1 and figures["bodies_dropped"] == 0
    grown = topology.volume(done.mesh) / topology.volume(apart) - 1
    assert 0 < grown < 0.05
    np.testing.assert_allclose(np.ptp(done.mesh.vertices, axis=0), np.ptp(apart.vertices, axis=0), atol=0.01)


def test_a_box_keeps_its_place_height_and_volume() -> None:
    plain = in_frame(box((20, 30, 10)))
    done = level(plain)
    assert_stands(done.mesh)
    np.testing.assert_allclose(done.mesh.vertices.min(0), plain.vertices.min(0), atol=1e-6)
    np.testing.assert_allclose(done.mesh.vertices.max(0), plain.vertices.max(0), atol=1e-6)
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(plain), rel=1e-6)


def test_holes_are_repaired_first_and_an_inside_out_body_is_refused() -> None:
    assert_stands(level(without(in_frame(ball()), [0, 1, 7])).mesh)
    with pytest.raises(InputError) as caught:
        level(turned(in_frame(ball())))
    assert caught.value.code == "mesh.no-solid"
    with pytest.raises(InputError) as caught:
        level(Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)))
    assert caught.value.code == "mesh.empty"


def l_plan(points: np.ndarray) -> np.ndarray:
    x, y, z = points.T
    return (np.abs(y) < 0.3) & (np.abs(x) < 0.45) & (np.abs(z) < 0.45) & ((x < -0.1) | (z < -0.15))


def test_a_blurred_l_becomes_exact_walls_and_few_triangles() -> None:
    probability = blurred(l_plan(GRID), 2.0, 0.03)
    done = straighten(surface(probability), probability)
    assert done.applied
    normals = topology.face_normals(done.mesh)
    np.testing.assert_allclose(np.abs(normals).max(1), 1, atol=1e-9)  # every face along an axis
    assert len(done.mesh.faces) <= 60
    points = np.random.default_rng(1).uniform(-0.55, 0.55, (20_000, 3))
    inside, true = topology.contains(done.mesh, points), l_plan(points)
    assert (inside & true).sum() / (inside | true).sum() > 0.93


@pytest.mark.parametrize(("limit", "words"), [("agreement", "agree"), ("loss", "worse"), ("volume", "volume")])
def test_each_limit_alone_keeps_the_mesh(limit: str, words: str) -> None:
    probability = blurred(l_plan(GRID), 2.0, 0.03)
    mesh = surface(probability)
    limits = {"agreement": 1.0} if limit == "agreement" else {limit: -1.0}
    done = straighten(mesh, probability, **limits)
    assert not done.applied and words in said(done)["straighten"].message


@pytest.mark.parametrize("bad", [np.nan, 1.5, -0.1])
def test_a_field_that_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(PipelineError) as caught:
        straighten(in_frame(box()), lambda points: np.full(len(points), bad, np.float32))
    assert caught.value.code == "mesh.field"


def test_an_empty_field_leaves_the_mesh() -> None:
    done = straighten(in_frame(box()), lambda points: np.zeros(len(points), np.float32))
    assert not done.applied and done.agreement == 0


def test_what_is_thinner_than_any_block_is_said_so() -> None:
    """A plate that the field is sure of is left for its thickness, and not for the field."""
    plate = in_frame(box(size=(1, 1, 0.02)))
    low, high = plate.vertices.min(0), plate.vertices.max(0)
    done = straighten(plate, lambda points: ((points > low) & (points < high)).all(1).astype(np.float32))
    assert not done.applied and "thick enough" in done.changes[-1].message


@pytest.mark.parametrize("roof", ROOFS)
def test_the_solid_of_a_block_holds_the_cells_that_the_block_says(roof: str) -> None:
    block = Block((5.0, 35.0, 8.0, 28.0), 0.0, 12.0, 12.0 if roof in ("flat", "round") else 24.0, roof, 1.0)
    samples = Samples(np.zeros((40, 30, 36), np.float32), np.array([-0.4, -0.3, -0.36]), 0.02)
    x, y, z = (np.arange(n) + 0.5 for n in samples.values.shape)
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1).reshape(-1, 3) * samples.step + samples.corner
    made = to_mesh(solid([block], samples))
    turned_up = np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1)
    held = topology.contains(made, turned_up).reshape(samples.values.shape)
    cells = covered(block, samples.values.shape)
    assert (held & cells).sum() / (held | cells).sum() > 0.96


@pytest.mark.parametrize("roof", ["gable-x", "pyramid", "shed+x"])
def test_a_clear_roof_is_found(roof: str) -> None:
    true = Block((6.0, 34.0, 8.0, 28.0), 0.0, 10.0, 24.0, roof, 1.0)
    samples = Samples(covered(true, (40, 30, 36)).astype(np.float32) * 0.98 + 0.01, np.zeros(3), 0.02)
    found = blocks(samples, CARES[-1])
    assert found[0].roof == roof
    held = np.zeros(samples.values.shape, bool)
    for block in found:
        held |= covered(block, held.shape)
    cells = covered(true, held.shape)
    assert (held & cells).sum() / (held | cells).sum() > 0.93


def test_expected_iou_of_certain_fields_is_plain_iou() -> None:
    inside, true = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), np.float32)
    inside[:2], true[1:3] = True, 1
    assert expected_iou(inside, true) == pytest.approx(1 / 3)
    assert expected_iou(np.zeros_like(inside), true * 0) == 0
