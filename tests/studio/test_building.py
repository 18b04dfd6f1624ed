"""Sketches and meshes through the spine: recipe, engine, store, replay and command line, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines.core.types import Mesh
from pipelines.mesh import export, printability, scale, topology
from pipelines.mesh import repair as repairs
from studio import media, meshes, pictures, print_settings, registry, replay, sealing, sidecar, targets
from studio import settings as studio_settings
from studio.cli import run
from studio.commands import building as commands
from studio.engine import Engine
from studio.errors import UsageError
from studio.print_settings import BuildingSettings
from studio.targets import Target
from tests.mesh.shapes import ball, box, together, turned, without

READABLE = ("3mf", "stl", "obj", "ply", "glb")
PIPELINE = "tests.studio.box_pipeline:BoxPipeline"


@pytest.fixture(autouse=True)
def boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network here: see box_pipeline.py."""
    monkeypatch.setattr("studio.runners.building.PIPELINE", PIPELINE)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """What the stand-in reads."""
    return deep(tmp_path / "weights", 0.5)


def deep(folder: Path, depth: float) -> Path:
    """Weights of the stand-in."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "depth.json").write_text(str(depth))
    return folder


@pytest.fixture
def sketch(tmp_path: Path) -> Path:
    """A rectangle 60 wide and 90 high."""
    picture = Image.new("RGB", (120, 120), "white")
    ImageDraw.Draw(picture).rectangle((30, 15, 89, 104), outline="black", width=2)
    picture.save(tmp_path / "sketch.png")
    return tmp_path / "sketch.png"


@pytest.fixture
def engine(weights: Path) -> Engine:
    """An engine on the CPU."""
    return Engine(studio_settings.load(device="cpu", dtype="float32"), own_weights={"vitruvio": weights})


def make(engine: Engine, sketch: Path, path: Path, **values: Any) -> Path:
    """A building in the format of the path's suffix."""
    draft = engine.draft("building", {"sketch": sketch}, values)
    return engine.execute(draft, Target(path, targets.FORMAT_OF[path.suffix])).path


def command(*arguments: object, weights: Path | None = None) -> int:
    """The command line."""
    own = [] if weights is None else ["--weights", str(weights)]
    return run([*map(str, arguments), *own])


# -- the rows


def test_names_are_those_of_the_pipelines() -> None:
    """The table of the product is read without the pipelines, so it repeats their names."""
    assert set(get_args(print_settings.Printer)) == set(printability.PROFILES) == set(commands.Printer)
    assert get_args(print_settings.RepairName) == tuple(repairs.REPAIRS) == tuple(commands.Repair)
    assert print_settings.USUAL_REPAIRS == repairs.USUAL
    assert (print_settings.SMALLEST_MM, print_settings.LARGEST_MM) == (scale.SMALLEST, scale.LARGEST)
    assert meshes.FORMATS == export.FORMATS
    assert commands.MILLIMETRES["in"] == 25.4


@pytest.mark.parametrize("name", ["building", "building-plan", "passport", "repair"])
def test_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", name, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == name and told["formats"] == list(registry.kind(name).formats)
    assert {slot["role"] for slot in told["inputs"].values()} == {"sketch" if "building" in name else "mesh"}
    assert all("description" in field or "allOf" in field for field in told["settings"].get("properties", {}).values())


@pytest.mark.parametrize(
    ("values", "longest", "source"),
    [
        ({}, 100, "longest side 100 mm"),
        ({"longest_mm": None}, 100, "longest side 100 mm"),
        ({"height_mm": 120.5}, None, "height 120.5 mm"),
        ({"scale": 200, "real_height_m": 30}, None, "scale 1:200 of 30 m of height"),
    ],
)
def test_sizes(values: dict[str, Any], longest: float | None, source: str) -> None:
    made = BuildingSettings(**values)
    assert (made.longest_mm, made.source) == (longest, source)
    assert BuildingSettings(**made.model_dump()) == made  # as a recipe holds it


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"longest_mm": 1, "height_mm": 2}, "size.choice"),
        ({"scale": 200}, "size.choice"),
        ({"real_height_m": 30}, "size.choice"),
        ({"height_mm": 10, "real_height_m": 30}, "size.choice"),
        ({"height_mm": 0}, "size.range"),
        ({"height_mm": -5}, "size.range"),
        ({"height_mm": 1e7}, "size.range"),
        ({"longest_mm": 0.4}, "size.range"),
        ({"longest_mm": float("nan")}, "size.range"),
        ({"longest_mm": float("inf")}, "size.range"),
        ({"scale": 0, "real_height_m": 30}, "size.range"),
        ({"scale": -1, "real_height_m": -30}, "size.range"),
        ({"scale": 1, "real_height_m": 30}, "size.range"),
        ({"view": [0, 85]}, "recipe.bad"),
        ({"view": [45]}, "recipe.bad"),
        ({"detail": 4}, "recipe.bad"),
        ({"threshold": float("nan")}, "recipe.bad"),
        ({"profile": "my printer"}, "recipe.bad"),
        ({"faces": 3}, "recipe.bad"),
    ],
)
def test_settings_refused(values: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.typed(registry.kind("building"), values)
    assert caught.value.code == code


# -- artefacts


@pytest.mark.parametrize("format", READABLE)
def test_written_whole_and_made_again(engine: Engine, sketch: Path, tmp_path: Path, format: str) -> None:
    path = make(engine, sketch, tmp_path / f"tower.{format}", height_mm=120)
    data = path.read_bytes()
    mesh = export.decode(data, format)
    size = np.ptp(mesh.vertices, axis=0)
    assert size == pytest.approx([80, 40, 120], abs=1e-4) and mesh.vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
    seal, notes = sidecar.read(path)
    assert notes == [] and sealing.content_hash(mesh) == seal.output.pixels_sha256
    assert (sidecar.embedded(data) is None) == (format == "stl")
    passport = seal.receipt["passport"]
    assert passport["printable"] and passport["scale_source"] == "height 120 mm"
    assert passport["volume_cm3"] == pytest.approx(384, rel=1e-4)
    assert [(change["name"], change["message"]) for change in seal.receipt["changes"]] == [("flat-base", "flat base")]
    again = replay.rerun(engine, path)
    assert again["verdict"] == "bit-exact" and again["max_distance_mm"] == 0 and again["differences"] == []
    told = replay.explain(engine, path)
    assert (told["notes"], told["missing"], told["differences"]) == ([], [], [])


def test_3mf_holds_the_passport_for_others(engine: Engine, sketch: Path, tmp_path: Path) -> None:
    path = make(engine, sketch, tmp_path / "tower.3mf")
    assert export.read_passport(path.read_bytes()) == sidecar.read(path)[0].receipt["passport"]


def test_3mf_with_its_sidecar_passes_the_strict_reader(engine: Engine, sketch: Path, tmp_path: Path) -> None:
    lib3mf = pytest.importorskip("lib3mf", reason="lib3mf (extra dev) is not installed")
    path = make(engine, sketch, tmp_path / "tower.3mf")
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromFile(str(path))
    assert reader.GetWarningCount() == 0
    groups = model.GetMetaDataGroup()
    held = {groups.GetMetaData(index).GetName(): groups.GetMetaData(index).GetValue()
            for index in range(groups.GetMetaDataCount())}  # fmt: skip
    assert sidecar.parse(held["sidecar"]).recipe.kind == "building"


@pytest.mark.parametrize("format", READABLE)
def test_every_download_is_what_a_rerun_gives(engine: Engine, sketch: Path, tmp_path: Path, format: str) -> None:
    path = make(engine, sketch, tmp_path / "tower.3mf", longest_mm=33.3)
    seal, _ = sidecar.read(path)
    other = tmp_path / f"other.{format}"
    other.write_bytes(sealing.converted(path.read_bytes(), seal, format)[0])
    direct = make(engine, sketch, tmp_path / f"direct.{format}", longest_mm=33.3)
    shown, wanted = (sealing.content(each.read_bytes(), format) for each in (other, direct))
    assert meshes.compare(wanted, shown)["same"]
    if format != "stl":
        assert replay.rerun(engine, other)["verdict"] == "bit-exact"


def test_another_mesh_in_the_file_is_noticed(engine: Engine, sketch: Path, tmp_path: Path) -> None:
    path = make(engine, sketch, tmp_path / "tower.3mf")
    mesh = export.decode(path.read_bytes(), "3mf")
    text = sidecar.read(path)[0].text()
    path.write_bytes(meshes.embed(meshes.encode(Mesh(mesh.vertices * 1.5, mesh.faces), "3mf"), "3mf", text))
    told = replay.explain(engine, path)
    assert any("triangles are not those" in note for note in told["notes"])
    again = replay.rerun(engine, path)
    assert again["verdict"] == "differs" and again["max_distance_mm"] == pytest.approx(50, rel=1e-3)


def test_other_weights_give_another_mesh_and_are_named(engine: Engine, sketch: Path, tmp_path: Path) -> None:
    path = make(engine, sketch, tmp_path / "tower.obj")
    other = Engine(engine.settings, own_weights={"vitruvio": deep(tmp_path / "other", 0.25)})
    again = replay.rerun(other, path)
    assert again["verdict"] == "differs" and "corners moved by up to" in again["comparison"]
    assert any(line.startswith("weights vitruvio") for line in again["differences"])


def test_gallery_has_a_row_and_a_picture(engine: Engine, sketch: Path, tmp_path: Path) -> None:
    path = make(engine, sketch, tmp_path / "tower.3mf")
    (row,) = engine.store.gallery(kind="building")
    assert row["path"] == str(path.resolve())
    shown = pictures.pixels_of(engine.store.preview_path(row["file_sha256"]).read_bytes())
    assert np.array_equal(shown, np.asarray(Image.open(sketch)))


def test_faces_that_cannot_be_reached_are_told(engine: Engine, sketch: Path, tmp_path: Path) -> None:
    path = make(engine, sketch, tmp_path / "tower.3mf", faces=4)
    receipt = sidecar.read(path)[0].receipt
    assert receipt["changes"][-1]["figures"]["faces_after"] == 12 and not receipt["changes"][-1]["complete"]
    assert "mesh.faces-missed" in {finding["code"] for finding in receipt["findings"]}


def test_plan(engine: Engine, sketch: Path, tmp_path: Path) -> None:
    draft = engine.draft("building-plan", {"sketch": sketch})
    made = engine.execute(draft, Target(tmp_path / "plan.png", "png", layers=True))
    assert pictures.pixels_of(made.path.read_bytes()).shape == (128, 128)
    assert made.sidecar.receipt["box"] == [30, 15, 60, 90]
    assert (tmp_path / "plan.png.layers" / "ink.png").is_file()


# -- commands


def test_building(sketch: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tower.3mf"
    arguments = (
        "building",
        sketch,
        "-o",
        out,
        "--height",
        "12cm",
        "--view",
        "135,10",
        "--also",
        "stl",
        "--also",
        "3mf",
    )
    assert command(*arguments, weights=weights) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(out), str(out.with_suffix(".stl"))]
    for line in (
        "size      80.0 x 40.0 x 120.0 mm (height 120 mm)",
        "verdict   printable",
        "384.00 cm³",
        "fits generic",
    ):
        assert line in said.err
    seal, _ = sidecar.read(out)
    assert seal.recipe.settings["view"] == [135.0, 10.0] and seal.receipt["camera"]["azimuth"] == 135


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--longest", "120mm"], {"longest_mm": 120.0}),
        (["--longest", " 4 in"], {"longest_mm": 101.6}),
        (["--height", "0.12M"], {"height_mm": 120.0}),
        (["--height", "80"], {"height_mm": 80.0}),
        (["--scale", "1:200", "--real-height", "30"], {"scale": 200.0, "real_height_m": 30.0}),
        (["--scale", "200", "--real-height", "100ft"], {"scale": 200.0, "real_height_m": 30.48}),
        (["--no-straighten", "--detail", "3", "--faces", "900"], {"straighten": False, "detail": 3, "faces": 900}),
        (["--view", "-30,5.5"], {"view": [-30.0, 5.5]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options(
    arguments: list[str], wanted: dict[str, Any], sketch: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("building", sketch, "--dry-run", "--json", *arguments, weights=weights) == 0
    settings = json.loads(capsys.readouterr().out)["recipe"]["settings"]
    assert {
        name: settings[name] if isinstance(value, list) else pytest.approx(settings[name])
        for name, value in wanted.items()
    } == wanted


def test_dry_run_leaves_nothing(sketch: Path, weights: Path, workspace: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert command("building", sketch, "-o", tmp_path / "a.3mf", "--dry-run", weights=weights) == 0
    assert sorted(tmp_path.rglob("*")) == before and not (workspace / "inputs").exists()


def test_require_printable(sketch: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(tmp_path.rglob("*"))
    arguments = ("building", sketch, "-o", tmp_path / "a.3mf", "--height", "300mm", "--require-printable")
    assert command(*arguments, "--json", weights=weights) == 7
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["code"] == "mesh.not-printable" and "does not fit the bed" in told["seen"]
    assert sorted(tmp_path.rglob("*")) == before
    assert command(*arguments[:-1], weights=weights) == 0  # without being asked it is only told
    assert "not printable" in capsys.readouterr().err


def test_ifc_without_its_library_is_told_before_the_work(
    sketch: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ifcopenshell", None)
    monkeypatch.setattr(Engine, "draft", None)  # nothing may be read by then
    assert command("building", sketch, "-o", tmp_path / "a.ifc", weights=weights) == 2
    said = capsys.readouterr().err
    assert "mesh.needs-extra" in said and "pip install" in said and not (tmp_path / "a.ifc").exists()


def test_batch(sketch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ball.stl").write_bytes(export.encode(without(ball(), [5]), "stl"))
    line = {"kind": "repair", "inputs": {"mesh": "ball.stl"}, "output": "out/closed.3mf", "id": "ball"}
    (tmp_path / "jobs.jsonl").write_text(json.dumps(line) + "\n")
    assert run(["run", str(tmp_path / "jobs.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["receipt"]["passport"]["manifold"]
    assert run(["run", str(tmp_path / "jobs.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "skipped"


SHELL = together(ball(20.0), turned(ball(15.0)))
DOUBLE = together(ball(20.0), ball(19.0))


@pytest.mark.parametrize(
    ("mesh", "codes", "printable"),
    [
        (box(), set(), True),
        (SHELL, {"mesh.cavity"}, True),
        (DOUBLE, {"mesh.inner-shell"}, True),
        (without(box(), [0]), {"mesh.open"}, False),
        (turned(box()), {"mesh.inside-out"}, False),
        (box(tuple(side / 1000 for side in (20, 30, 10))), {"mesh.tiny"}, True),
    ],
    ids=["box", "hollow", "double wall", "hole", "inside out", "metres"],
)
def test_passport(
    mesh: Mesh, codes: set[str], printable: bool, tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.ply").write_bytes(export.encode(mesh, "ply"))
    assert run(["passport", str(tmp_path / "x.ply"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["passport"]
    found = {finding["code"] for finding in document["findings"]}
    assert codes <= found and document["printable"] is printable
    assert not (workspace / "inputs").exists() and sorted(p.name for p in tmp_path.iterdir()) == ["x.ply"]
    assert run(["passport", str(tmp_path / "x.ply"), "--require-printable"]) == (0 if printable else 7)
    text = capsys.readouterr().out
    assert f"verdict   {'' if printable else 'not '}printable\n" in text
    if "mesh.cavity" in codes:
        assert "closed, 1 body, 1 cavity, 2560 triangles" in text


def test_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = together(without(box(), [0]), turned(box((5, 5, 5), (40, 0, 0))))
    (tmp_path / "broken.obj").write_bytes(export.encode(broken, "obj"))
    assert run(["repair", str(tmp_path / "broken.obj"), "-o", str(tmp_path / "closed.stl"), "--json"]) == 0
    receipt = json.loads(capsys.readouterr().out)["receipt"]
    changes = {change["name"]: change for change in receipt["changes"]}
    assert changes["close-holes"]["figures"] == {"holes_closed": 1, "open_edges_before": 3, "open_edges_after": 0}
    assert not receipt["passport_before"]["manifold"] and receipt["passport"]["manifold"]
    mesh = export.decode((tmp_path / "closed.stl").read_bytes(), "stl")
    assert topology.volume(mesh) == pytest.approx(20 * 30 * 10 + 125, rel=1e-6)
    assert run(["rerun", str(tmp_path / "closed.stl")]) == 0


def test_a_repair_that_does_not_close_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "open.stl").write_bytes(export.encode(without(box(), [0]), "stl"))
    arguments = ["repair", str(tmp_path / "open.stl"), "-o", str(tmp_path / "out.stl"), "--only", "weld", "--json"]
    assert run(arguments) == 7
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "mesh.not-closed"
    assert [path.name for path in tmp_path.iterdir()] == ["open.stl"]


@pytest.mark.parametrize(
    ("data", "name", "yes"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a.png", True),
        (b'\xef\xbb\xbf <?xml version="1.0"?>\n<!-- x --><svg:svg/>', "a", True),
        (b"", "A.SVG", True),
        (b"<html><body/></html>", "a.html", False),
        (b"\x89PNG <svg", "a.png", False),
    ],
)
def test_svg_is_known(data: bytes, name: str, yes: bool) -> None:
    assert media.is_svg(data, name) is yes
