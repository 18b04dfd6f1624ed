"""From meshes as people have them to a data set: what is closed is the building that was meant, what is not is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import Cancelled, InputError
from pipelines.core.types import Mesh
from pipelines.mesh import export, topology
from pipelines.synthetic.buildings import Building, sample_building
from pipelines.vitruvio import dataset, preparation
from pipelines.vitruvio.alignment import align
from pipelines.vitruvio.preparation import Settings, closed, prepare

SMALL = Settings(views=2, points=4_000, side=48)
METRES = 30.0


def building(seed: int, family: str) -> Building:
    return sample_building(np.random.default_rng(seed), family)


def without_floor(mesh: Mesh) -> Mesh:
    low = mesh.vertices[:, 1] < mesh.vertices[:, 1].min() + 1e-9
    return Mesh(mesh.vertices, mesh.faces[~low[mesh.faces].all(1)])


def z_up(mesh: Mesh) -> Mesh:
    """As files have it: z up, in metres, far from the origin."""
    x, y, z = mesh.vertices.T * METRES
    return Mesh(np.stack([x + 500, -z - 200, y], 1), mesh.faces)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a house without a floor, a courtyard as a soup of triangles, a church, and what cannot be used."""
    folder = tmp_path_factory.mktemp("meshes")
    (folder / "deep").mkdir()
    (folder / "house.obj").write_bytes(export.encode(z_up(without_floor(building(1, "house").mesh())), "obj"))
    (folder / "court.stl").write_bytes(export.encode(z_up(without_floor(building(2, "court").mesh())), "stl"))
    (folder / "deep" / "church.glb").write_bytes(export.encode(z_up(building(3, "church").mesh()), "glb"))
    half = building(4, "slab").mesh()
    (folder / "half.ply").write_bytes(export.encode(z_up(Mesh(half.vertices, half.faces[:5])), "ply"))
    (folder / "notes.txt").write_text("no mesh", encoding="utf-8")
    (folder / "broken.json").write_text('{"type": "FeatureCollection"}', encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def prepared(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> preparation.Prepared:
    return prepare(meshes, tmp_path_factory.mktemp("data") / "set", SMALL)


def test_outcomes(prepared: preparation.Prepared) -> None:
    by_name = {outcome.name: outcome for outcome in prepared.outcomes}
    assert {name: outcome.status for name, outcome in by_name.items()} == {
        "house": "made", "court": "made", "deep_church": "made", "half": "left out", "broken": "left out",
    }  # fmt: skip
    assert any(change.startswith("close-holes: 1 holes") for change in by_name["house"].changes)
    assert any(change.startswith("close-holes: 2 holes") for change in by_name["court"].changes)
    assert by_name["deep_church"].changes == ()
    assert "open" in by_name["half"].reason and "CityJSON" in by_name["broken"].reason
    assert sum(prepared.split.values()) == 3
    assert not list(prepared.folder.rglob("*.part"))


@pytest.mark.parametrize(("name", "seed", "family"), [("house", 1, "house"), ("court", 2, "court")])
def test_points_and_surface_are_true(prepared: preparation.Prepared, name: str, seed: int, family: str) -> None:
    """Away from the surface by more than float32 files can move it, every stored bit is the exact occupancy."""
    model = dataset.Model(prepared.folder / "buildings" / name)
    points, occupied = model.points()
    true = building(seed, family)
    near = np.zeros(len(points), bool)
    for axis in range(3):
        for step in (-1e-5, 1e-5):
            near |= true.occupancy(points + np.eye(3, dtype=np.float32)[axis] * step) != true.occupancy(points)
    assert near.mean() < 0.001 and occupied.any()
    assert (occupied == true.occupancy(points))[~near].all()
    surface, normals = model.surface()
    inwards, outwards = true.occupancy(surface - 0.004 * normals), true.occupancy(surface + 0.004 * normals)
    assert inwards.mean() > 0.99 and outwards.mean() < 0.01
    with np.load(model.folder / "points.npz") as stored:
        assert stored["scale"] == pytest.approx(METRES, rel=1e-5)
        assert stored["loc"] == pytest.approx([500, 0, 200], abs=1e-3)


def test_views_show_where_points_lie(prepared: preparation.Prepared) -> None:
    """The ink lies inside of the projected corners' box, and reaches its sides but for the slips of the hand."""
    model = dataset.Model(prepared.folder / "buildings" / "deep_church")
    corners = building(3, "church").mesh().vertices
    for number, path in enumerate(model.views()):
        ink = np.argwhere(dataset.read_view(path, 48) < 128)[:, ::-1] / 24 - 1
        placed = model.projection(number) @ np.concatenate([corners, np.ones((len(corners), 1))], 1).T
        placed = (placed[:2] / placed[2]).T
        np.testing.assert_allclose([ink.min(0), ink.max(0)], [placed.min(0), placed.max(0)], atol=0.2)


def test_a_second_run_keeps_what_is_finished(meshes: Path, tmp_path: Path) -> None:
    done: list[int] = []

    def stop(count: int, total: int, preview: object) -> None:
        done.append(count)
        if count == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        prepare(meshes, tmp_path / "set", SMALL, on_step=stop)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("points.npz")}
    assert stamps and not list((tmp_path / "set").glob("*/*.lst"))
    half_made = tmp_path / "set" / "buildings" / ".house.part"
    half_made.mkdir()
    (half_made / "points.npz").write_bytes(b"cut off")
    again = prepare(meshes, tmp_path / "set", SMALL)
    assert sorted(o.name for o in again.outcomes if o.status == "kept") == sorted(p.parent.name for p in stamps)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps and not half_made.exists()
    assert sum(again.split.values()) == 3
    with pytest.raises(InputError) as raised:
        prepare(meshes, tmp_path / "set", replace(SMALL, views=3))
    assert raised.value.code == "data.settings"


def test_the_same_seed_makes_the_same_bytes(prepared: preparation.Prepared, meshes: Path, tmp_path: Path) -> None:
    prepare(meshes, tmp_path / "set", SMALL, limit=2)
    for name in ("points.npz", "img_choy2016/000.jpg", "img_choy2016/001.jpg"):
        first, second = (root / "buildings" / "court" / name for root in (prepared.folder, tmp_path / "set"))
        assert first.read_bytes() == second.read_bytes()


def test_refusals(meshes: Path, tmp_path: Path) -> None:
    for settings in (replace(SMALL, views=0), replace(SMALL, pose="upside-down"), replace(SMALL, up="x")):
        with pytest.raises(InputError) as raised:
            prepare(meshes, tmp_path / "set", settings)
        assert raised.value.code == "data.settings" and not (tmp_path / "set").exists()
    with pytest.raises(InputError) as raised:
        prepare(meshes / "notes.txt", tmp_path / "set", SMALL)
    assert raised.value.code == "data.no-meshes"
    with pytest.raises(InputError) as raised:
        prepare(meshes / "half.ply", tmp_path / "set", SMALL)
    assert raised.value.code == "data.none-usable" and not list((tmp_path / "set").glob("*/*.lst"))


def test_floors_on_a_slope_are_drawn_down() -> None:
    whole = building(2, "court").mesh()
    low = whole.vertices[:, 1] < whole.vertices[:, 1].min() + 1e-9
    moved = whole.vertices.copy()
    moved[low, 1] += np.random.default_rng(0).uniform(0, 0.05, int(low.sum()))
    moved[np.flatnonzero(low)[0], 1] = whole.vertices[:, 1].min()
    solid, changes = closed(without_floor_of(Mesh(moved, whole.faces), low))
    assert any(change.startswith("close-floor: 2 floors missing, walls above 2 drawn down") for change in changes)
    assert topology.edge_report(solid).closed
    assert topology.volume(solid) == pytest.approx(topology.volume(whole), rel=1e-6)


def without_floor_of(mesh: Mesh, low: np.ndarray) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces[~low[mesh.faces].all(1)])


def test_bodies_apart_are_left_out() -> None:
    one = building(4, "slab").mesh()
    with pytest.raises(InputError) as raised:
        closed(topology.joined([one, Mesh(one.vertices + 3, one.faces)]))
    assert raised.value.code == "mesh.not-closed" and "2 separate bodies" in str(raised.value.seen)


def test_canonical_turns_the_long_side_along_z(meshes: Path, tmp_path: Path) -> None:
    settings = replace(SMALL, pose="canonical", views=1)
    made = prepare(meshes / "deep", tmp_path / "set", settings)
    record = json.loads((made.folder / "buildings" / "church" / "source.json").read_text(encoding="utf-8"))
    assert (made.folder / "rotation_tracker.txt").read_text(encoding="utf-8") == f"church:{record['angle']}\n"
    assert preparation.pose_of(made.folder) == "canonical" and preparation.pose_of(tmp_path) is None


@pytest.mark.parametrize("degrees", [10.0, 80.0, 130.0, -35.0])
def test_alignment(degrees: float) -> None:
    box = np.array([[x, y, z] for x in (-1, 1) for y in (0.0, 3) for z in (-2, 2)])
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = box @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T + (7, 1, 5)
    aligned, angle = align(Mesh(turned, np.zeros((0, 3), np.int64)))
    extent = np.ptp(aligned.vertices, axis=0)
    np.testing.assert_allclose(extent, [2, 3, 4], atol=1e-9)
    assert (angle + degrees) % 180 == pytest.approx(0, abs=1e-6) or (angle + degrees) % 180 == pytest.approx(180)


def test_alignment_leaves_an_axis_exactly_along_x_as_published() -> None:
    box = np.array([[x, y, z] for x in (-2.0, 2) for y in (0.0, 1) for z in (-1.0, 1)])
    aligned, angle = align(Mesh(box, np.zeros((0, 3), np.int64)))
    assert angle == 0 and (aligned.vertices == box).all()
