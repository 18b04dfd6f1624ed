"""Each repair does what its name says, says what it did, and leaves a good mesh alone."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh import topology
from pipelines.mesh.reduce import reduce_faces
from pipelines.mesh.repair import REPAIRS, USUAL, Change, repair
from tests.mesh.shapes import ball, box, cubes, together, tube, turned, without


def said(changes: tuple[Change, ...]) -> dict[str, Change]:
    return {change.name: change for change in changes}


def roles(mesh: Mesh) -> list[str]:
    return [shell.role for shell in topology.shells(mesh)]


def soup(mesh: Mesh) -> Mesh:
    """Every triangle with corners of its own, as in an STL."""
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))


GOOD = {"box": box(), "ball": ball(), "hollow": together(ball(10), turned(ball(8))), "tube": tube(),
        "apart": together(box(), box(at=(50, 0, 0)))}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_mesh_stays_as_it_is(name: str) -> None:
    done = repair(GOOD[name])
    assert [change.name for change in done.changes] == [name for name in REPAIRS if name in USUAL]
    assert not any(change.changed for change in done.changes) and all(change.complete for change in done.changes)
    np.testing.assert_array_equal(done.mesh.vertices, GOOD[name].vertices)
    np.testing.assert_array_equal(done.mesh.faces, GOOD[name].faces)


def test_a_soup_is_welded() -> None:
    done = repair(soup(ball()), ["weld"])
    change = said(done.changes)["weld"]
    assert change.changed and change.figures == {"vertices_before": 3840, "vertices_after": 642}
    assert topology.edge_report(done.mesh).closed
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(ball()))


def test_near_corners_are_welded_and_distinct_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    loose = soup(box())
    noisy = Mesh(loose.vertices + rng.uniform(-1e-6, 1e-6, loose.vertices.shape), loose.faces)
    assert len(repair(noisy, ["weld"]).mesh.vertices) == 8
    assert len(repair(box((20, 30, 0.01)), ["weld"]).mesh.vertices) == 8


def test_doubled_and_collapsed_triangles_go() -> None:
    good = ball()
    extra = np.array([good.faces[5], np.roll(good.faces[9], 1), [1, 1, 2], [3, 3, 3], [0, 99, 300], [300, 99, 0]])
    done = repair(Mesh(good.vertices, np.concatenate([good.faces, extra])), ["drop-degenerate"])
    assert said(done.changes)["drop-degenerate"].figures == {"faces_before": 1286, "faces_after": 1280}
    assert topology.edge_report(done.mesh).closed and topology.volume(done.mesh) == pytest.approx(topology.volume(good))


@pytest.mark.parametrize("count", [1, 200, 900])
def test_mixed_winding_is_made_consistent_and_outward(count: int) -> None:
    good = ball()
    faces = good.faces.copy()
    chosen = np.random.default_rng(count).choice(len(faces), count, replace=False)
    faces[chosen] = faces[chosen, ::-1]
    assert topology.edge_report(Mesh(good.vertices, faces)).reversed
    done = repair(Mesh(good.vertices, faces))
    assert said(done.changes)["orient"].changed and topology.edge_report(done.mesh).closed
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(good))


def test_an_inverted_body_is_turned_and_its_cavity_stays_one() -> None:
    hollow = GOOD["hollow"]
    done = repair(turned(hollow), ["orient"])
    assert said(done.changes)["orient"].figures["shells_turned"] == 2
    assert roles(done.mesh) == ["body", "cavity"]
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(hollow))


def test_a_one_sided_surface_is_named() -> None:
    steps = 24
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    sides = [
        np.stack([(10 + w * np.cos(angle / 2)) * np.cos(angle), (10 + w * np.cos(angle / 2)) * np.sin(angle),
                  w * np.sin(angle / 2)], 1)
        for w in (-3, 3)
    ]  # fmt: skip
    a, b = np.arange(steps), np.arange(steps) + steps
    a2, b2 = np.append(a[1:], b[0]), np.append(b[1:], a[0])  # after one round the sides change places
    strip = Mesh(np.concatenate(sides), np.concatenate([np.stack([a, a2, b], 1), np.stack([a2, b2, b], 1)]))
    change = said(repair(strip, ["orient"]).changes)["orient"]
    assert not change.complete and "one-sided" in change.message and change.figures["one_sided"] == 2 * steps


@pytest.mark.parametrize("gone", [[0], [0, 1, 2, 3], [7, 300, 700], list(range(0, 12))])
def test_holes_are_closed(gone: list[int]) -> None:
    done = repair(without(ball(), gone))
    change = said(done.changes)["close-holes"]
    assert change.changed and change.complete and topology.edge_report(done.mesh).closed
    assert roles(done.mesh) == ["body"]
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(ball()), rel=0.02)


def test_a_ragged_rim_is_closed_without_repeating_an_edge_of_the_mesh() -> None:
    done = repair(without(ball(), list(range(60))))
    change = said(done.changes)["close-holes"]
    assert change.figures["holes_closed"] == 1 and change.figures["open_edges_after"] == 24
    assert not change.complete and "a rim of 24 edges is not flat and spans 43% of the mesh" in change.message
    assert topology.edge_report(done.mesh).crowded == 0


def test_a_missing_floor_with_a_courtyard_is_closed_without_covering_the_yard() -> None:
    whole = tube((20, 30, 10), 3)
    low = whole.vertices[whole.faces][:, :, 2].max(1) < 1e-9
    done = repair(Mesh(whole.vertices, whole.faces[~low]))
    assert said(done.changes)["close-holes"].figures["holes_closed"] == 2
    assert topology.edge_report(done.mesh).closed
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(whole))
    assert topology.face_areas(done.mesh).sum() == pytest.approx(topology.face_areas(whole).sum())


def test_rims_of_neighbours_in_one_plane_are_closed_each() -> None:
    first, second = box((5, 5, 5)), box((5, 5, 5), at=(10, 0, 5))
    lidless = Mesh(first.vertices, first.faces[first.vertices[first.faces][:, :, 2].min(1) < 5])
    floorless = Mesh(second.vertices, second.faces[second.vertices[second.faces][:, :, 2].max(1) > 5])
    done = repair(together(lidless, floorless))
    assert topology.edge_report(done.mesh).closed and topology.volume(done.mesh) == pytest.approx(250)


def test_an_inverted_body_with_a_hole_ends_up_right() -> None:
    done = repair(turned(without(ball(), [0])))
    assert topology.edge_report(done.mesh).closed and topology.volume(done.mesh) > 0


def test_a_hole_that_would_need_guessing_is_refused_with_the_reason() -> None:
    good = ball()
    middle = good.vertices[good.faces].mean(1)
    half = Mesh(good.vertices, good.faces[middle[:, 2] + 0.3 * middle[:, 0] ** 2 / 10 < 1])
    change = said(repair(half).changes)["close-holes"]
    assert not change.complete and "not flat and spans" in change.message
    assert change.figures["open_edges_after"] == change.figures["open_edges_before"] > 0


def test_overlapping_boxes_become_one_body() -> None:
    done = repair(together(box((10, 10, 10)), box((10, 10, 10), at=(5, 5, 5))))
    assert roles(done.mesh) == ["body"] and topology.edge_report(done.mesh).closed
    assert topology.volume(done.mesh) == pytest.approx(2000 - 125)
    assert said(done.changes)["unite-bodies"].figures == {"shells_before": 2, "shells_after": 1}


def test_union_keeps_a_cavity_and_what_fills_it_goes() -> None:
    hollow = GOOD["hollow"]
    beside = repair(together(hollow, box((5, 5, 5), at=(9, 0, 0)))).mesh
    assert roles(beside) == ["body", "cavity"]
    through = repair(together(hollow, box((4, 4, 40), at=(-2, -2, -20)))).mesh
    bar = topology.volume(repair(together(ball(10), box((4, 4, 40), at=(-2, -2, -20)))).mesh) - topology.volume(
        ball(10)
    )
    inside = topology.volume(through) - topology.volume(hollow) - bar
    assert 4 * 4 * 14 < inside < 4 * 4 * 16 and topology.edge_report(through).closed


def test_an_inner_shell_is_removed_and_a_cavity_is_not() -> None:
    double = together(ball(10), ball(8))
    assert roles(double) == ["body", "inner shell"]
    done = repair(double)
    assert said(done.changes)["remove-inner-shells"].changed and roles(done.mesh) == ["body"]
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(ball(10)))
    assert roles(repair(GOOD["hollow"]).mesh) == ["body", "cavity"]
    filled = repair(GOOD["hollow"], ["fill-cavities"])
    assert roles(filled.mesh) == ["body"] and topology.volume(filled.mesh) == pytest.approx(topology.volume(ball(10)))


def test_specks_go_only_when_asked() -> None:
    dusty = together(box(), ball(0.5, at=(40, 0, 0), detail=1), ball(0.5, at=(44, 0, 0), detail=1))
    assert len(roles(repair(dusty).mesh)) == 3
    done = repair(dusty, ["drop-specks"])
    assert roles(done.mesh) == ["body"] and said(done.changes)["drop-specks"].figures["shells_before"] == 3


def test_open_shells_are_not_united_and_it_says_so() -> None:
    change = said(repair(together(without(box(), [0]), box(at=(5, 5, 5))), ["unite-bodies"]).changes)["unite-bodies"]
    assert not change.changed and not change.complete and "open" in change.message


def test_repairs_run_in_their_own_order() -> None:
    done = repair(soup(box()), ["close-holes", "weld"])
    assert [change.name for change in done.changes] == ["weld", "close-holes"]
    assert topology.edge_report(done.mesh).closed and len(done.mesh.faces) == 12


TOUCHING = {
    "edge": ((10, 10, 0), ["body", "body"], 2000),
    "corner": ((10, 10, 10), ["body", "body"], 2000),
    "face": ((10, 0, 0), ["body"], 2000),
}


@pytest.mark.parametrize("way", TOUCHING)
def test_boxes_that_share_corners_in_an_stl_become_clean(way: str) -> None:
    at, expected, volume = TOUCHING[way]
    welded = repair(soup(together(box((10, 10, 10)), box((10, 10, 10), at=at))), ["weld"]).mesh
    assert topology.edge_report(welded).crowded == {"edge": 1, "corner": 0, "face": 4}[way]
    done = repair(welded)
    assert topology.edge_report(done.mesh).closed and topology.volume(done.mesh) == pytest.approx(volume)
    assert roles(done.mesh) == expected and all(change.complete for change in done.changes)


def test_an_unknown_repair_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        repair(box(), ["magic"])
    assert caught.value.code == "mesh.unknown-repair" and "weld" in caught.value.remedy


SHEET = Mesh(np.array([[0, 0, 0], [1, 1, 0], [1, 1, 3], [0.0, 0, 3]]), np.array([[0, 1, 2], [0, 2, 3]]))
UNUSABLE = {
    "nan": (Mesh(np.where(np.arange(24).reshape(8, 3) == 4, np.nan, box().vertices), box().faces), "mesh.not-finite"),
    "inf": (Mesh(np.where(np.arange(24).reshape(8, 3) == 4, np.inf, box().vertices), box().faces), "mesh.not-finite"),
    "overflow": (Mesh(box().vertices * 1e200, box().faces), "mesh.not-finite"),
    "sheet": (SHEET, "mesh.flat"),
    "two sides of a sheet": (together(SHEET, turned(SHEET)), "mesh.flat"),
    "one point": (Mesh(np.zeros((8, 3)), box().faces), "mesh.flat"),
    "no faces": (Mesh(box().vertices, np.zeros((0, 3), dtype=np.int64)), "mesh.empty"),
    "bad index": (Mesh(box().vertices, box().faces + 1), "mesh.bad-index"),
    "wrong shape": (Mesh(box().vertices[:, :2], box().faces), "mesh.shape"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_mesh_is_one_clear_error(case: str) -> None:
    mesh, code = UNUSABLE[case]
    with pytest.raises(InputError) as caught:
        repair(mesh)
    assert caught.value.code == code and caught.value.seen is not None


@pytest.mark.parametrize("target", [1000, 3000, 10_000])
def test_a_face_target_is_reached(target: int) -> None:
    done = reduce_faces(ball(40, detail=5), target)
    (change,) = done.changes
    assert change.complete and target / 2 < len(done.mesh.faces) <= target
    assert change.figures == {"faces_before": 20480, "faces_after": len(done.mesh.faces), "target": target}
    assert topology.edge_report(done.mesh).closed and topology.volume(done.mesh) > 0
    assert np.abs(np.linalg.norm(done.mesh.vertices, axis=1) - 40).max() < 0.01 * 80 * 3**0.5


def test_flat_faces_cost_nothing_to_merge() -> None:
    import manifold3d

    fine = manifold3d.Manifold.cube((10, 10, 10)).refine(8).to_mesh64()
    mesh = Mesh(np.array(fine.vert_properties[:, :3]), np.array(fine.tri_verts, dtype=np.int64))
    done = reduce_faces(mesh, 12)
    assert len(done.mesh.faces) == 12 and topology.volume(done.mesh) == pytest.approx(1000)


def test_a_face_target_out_of_reach_is_named() -> None:
    done = reduce_faces(ball(40, detail=5), 20)
    (change,) = done.changes
    assert not change.complete and len(done.mesh.faces) > 20 and "target of 20" in change.message
    assert topology.edge_report(done.mesh).closed
    (change,) = reduce_faces(without(ball(), [0]), 100).changes
    assert not change.complete and not change.changed and "3 open" in change.message
    (change,) = reduce_faces(box(), 100).changes
    assert change.complete and not change.changed
    with pytest.raises(InputError) as caught:
        reduce_faces(box(), 3)
    assert caught.value.code == "mesh.face-target"


def test_a_body_that_touches_itself_along_an_edge_is_parted() -> None:
    # Two cubes that meet in one edge only, between two slabs: both ends of the edge hang together.
    cells = np.zeros((4, 4, 5), bool)
    cells[1:3, 1:3, 1:4] = True
    cells[1, 2, 2] = cells[2, 1, 2] = False
    mesh = cubes(cells)
    before = topology.edge_report(mesh)
    assert before.open == 0 and before.crowded == 1
    done = repair(mesh, ["part-pinched"])
    assert topology.edge_report(done.mesh).closed and len(topology.split(done.mesh)) == 1
    assert topology.volume(done.mesh) == pytest.approx(topology.volume(mesh))
