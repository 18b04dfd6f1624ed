"""Point clouds as closed solids, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.types import Cloud
from pipelines.mesh import topology
from pipelines.mesh.repair import repair
from pipelines.mesh.surface import _checked, surface, wrapped
from pipelines.synthetic.objects import sample_object
from pipelines.synthetic.objects import surface as points_of
from tests.mesh.shapes import cubes


def ball(count: int = 2000, radius: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals * radius).astype(np.float32), normals.astype(np.float32)


@pytest.mark.parametrize("method", ["poisson", "wrap"])
@pytest.mark.parametrize("known", [True, False])
def test_a_ball_becomes_a_ball(method: str, known: bool) -> None:
    points, normals = ball(4000)
    found = surface(Cloud(points * 7 + 3, None, normals if known else None), method=method)  # type: ignore[arg-type]
    report, volume = topology.edge_report(found.mesh), topology.volume(found.mesh)
    assert report.closed and len(topology.split(found.mesh)) == 1 and found.method == method
    assert volume == pytest.approx(4 / 3 * np.pi * 3.5**3, rel=0.12)
    middle = (found.mesh.vertices.min(0) + found.mesh.vertices.max(0)) / 2
    assert middle == pytest.approx([3, 3, 3], abs=0.1) and found.off < 0.02


@pytest.mark.parametrize("category", ["chair", "table", "shelf", "vase", "plane"])
def test_objects_become_one_solid(category: str) -> None:
    rng = np.random.default_rng(7)
    points, normals, _ = points_of(sample_object(rng, category), rng, 3000)
    noisy = points + rng.normal(size=points.shape) * 0.003
    found = surface(Cloud(noisy.astype(np.float32), None, normals.astype(np.float32)))
    assert topology.edge_report(found.mesh).closed and len(topology.split(found.mesh)) == 1
    assert topology.volume(found.mesh) > 0 and found.off < 0.015


def test_the_same_cloud_gives_the_same_mesh() -> None:
    points, normals = ball(800)
    one, two = (surface(Cloud(points, None, normals)).mesh for _ in range(2))
    assert np.array_equal(one.vertices, two.vertices) and np.array_equal(one.faces, two.faces)


def test_strays_are_left_out() -> None:
    points, normals = ball()
    far = np.array([[2, 2, 2], [2.01, 2, 2], [-2, 0, 0]], np.float32)
    found = surface(Cloud(np.concatenate([points, far]), None, np.concatenate([normals, normals[:3]])))
    assert found.strays == 3 and np.abs(found.mesh.vertices).max() < 0.6
    assert [f.code for f in found.findings] == ["surface.strays"]


def test_two_things_are_no_solid() -> None:
    points, normals = ball()
    both = Cloud(
        np.concatenate([points, points + np.float32(9)]).astype(np.float32), None, np.concatenate([normals] * 2)
    )
    with pytest.raises(InputError) as caught:
        surface(both)
    assert caught.value.code == "surface.open" and "2 separate parts" in str(caught.value.seen)


def test_what_cannot_enclose_anything_is_refused() -> None:
    points, _ = ball(300)
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    flat = points * np.array([1, 1, 0], np.float32)
    tilted = (flat.astype(np.float64) @ turn).astype(np.float32)
    diagonal = np.stack([points[:, 0], points[:, 0], points[:, 2]], 1)
    for cloud, code in (
        (points[:50], "surface.points"),
        (points * 0, "surface.points"),
        (np.repeat(points[:60], 8, 0), "surface.points"),
        (flat, "surface.flat"),
        (tilted, "surface.flat"),
        (diagonal, "surface.flat"),
    ):
        with pytest.raises(InputError) as caught:
            surface(Cloud(cloud))
        assert caught.value.code == code


@pytest.mark.parametrize("method", ["poisson", "wrap"])
def test_doubled_points_change_nothing(method: str) -> None:
    points, normals = ball(3000)
    one = surface(Cloud(points, None, normals), method=method)  # type: ignore[arg-type]
    doubled = Cloud(np.repeat(points, 3, 0), None, np.repeat(normals, 3, 0))
    two = surface(doubled, method=method)  # type: ignore[arg-type]
    assert np.array_equal(one.mesh.vertices, two.mesh.vertices) and one.strays == two.strays


def test_invalid_pixels_and_a_far_stray_do_no_harm() -> None:
    points, _ = ball(3000)
    nowhere = np.zeros((5000, 3), np.float32)
    moved = points + np.float32([900, 400, 0])  # as depth cameras and surveys have it
    found = surface(Cloud(np.concatenate([moved, nowhere, [[9e4, 0, 0]]]).astype(np.float32)))
    assert topology.volume(found.mesh) == pytest.approx(np.pi / 6, rel=0.12) and found.strays <= 40


def test_a_sparse_side_is_no_stray() -> None:
    points, normals = ball(14_000)
    sparse = (points[:, 2] < 0.35) & (np.arange(len(points)) % 12 > 0)
    found = surface(Cloud(points[~sparse], None, normals[~sparse]))
    assert topology.volume(found.mesh) == pytest.approx(np.pi / 6, rel=0.12)
    assert found.strays < 0.02 * (~sparse).sum()


def test_many_strays_are_a_warning() -> None:
    points, normals = ball(3000)
    rng = np.random.default_rng(1)
    noise = rng.uniform(-3, 3, (300, 3)).astype(np.float32)
    found = surface(Cloud(np.concatenate([points, noise]), None, np.concatenate([normals, normals[:300]])))
    severities = {finding.code: finding.severity for finding in found.findings}
    assert severities["surface.strays"] == "warning" and found.strays > 150


def test_a_large_cloud_is_thinned_first() -> None:
    points, normals = ball(80_000)
    found = surface(Cloud(points, None, normals))
    assert topology.volume(found.mesh) == pytest.approx(np.pi / 6, rel=0.05)


def test_the_wrap_fills_what_the_ball_cannot_enter() -> None:
    shell, _ = ball(3000)
    inner, _ = ball(500, radius=0.2)
    found = wrapped(np.concatenate([shell, inner]).astype(np.float64), 0.08)
    assert found is not None and len(topology.split(found)) == 1
    assert topology.volume(found) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.1)


def test_a_body_that_touches_itself_along_an_edge_is_no_solid() -> None:
    # A ring of blocks, two of them meeting at an edge only: closed by its own triangles, and open in an STL file.
    ring = np.zeros((5, 5, 3), bool)
    ring[1:4, 1, 1] = ring[1, 1:4, 1] = True
    ring[3, 2, 1] = ring[2, 3, 1] = True
    for touching in (True, False):
        ring[3, 3, 1] = not touching
        mesh = cubes(ring)
        points = mesh.vertices[mesh.faces].mean(1)
        assert topology.edge_report(repair(mesh).mesh).closed
        found, reason = _checked(mesh, points, 1.0)
        assert (found is None) == touching and ("touches itself" in reason) == touching
