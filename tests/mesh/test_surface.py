"""Point clouds as closed solids, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.types import Cloud
from pipelines.mesh import topology
from pipelines.mesh.surface import surface, wrapped
from pipelines.synthetic.objects import sample_object
from pipelines.synthetic.objects import surface as points_of


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
    flat = points * np.array([1, 1, 0], np.float32)
    for cloud, code in ((points[:50], "surface.points"), (flat, "surface.flat"), (points * 0, "surface.flat")):
        with pytest.raises(InputError) as caught:
            surface(Cloud(cloud))
        assert caught.value.code == code


def test_the_wrap_fills_what_the_ball_cannot_enter() -> None:
    shell, _ = ball(3000)
    inner, _ = ball(500, radius=0.2)
    found = wrapped(np.concatenate([shell, inner]).astype(np.float64), 0.08)
    assert found is not None and len(topology.split(found)) == 1
    assert topology.volume(found) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.1)
