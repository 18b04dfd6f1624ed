"""Bad sketches, sizes and meshes through the command line: one clear error each, the right exit code, no file left."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines.mesh import export
from studio.cli import run
from tests.e2e.test_bad_inputs import header, here, png, refused
from tests.mesh.shapes import ball, box, together, turned, without

needs_building = pytest.mark.skipif(not here("vitruvio"), reason="needs the starter weights of buildings")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sketch of a box, and a workspace elsewhere."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    sketch = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(sketch)
    for line in (
        [60, 90, 130, 120, 200, 90, 130, 70, 60, 90, 60, 190, 130, 230, 200, 190, 200, 90],
        [130, 120, 130, 230],
    ):
        draw.line(line, fill="black", width=3)
    sketch.save(work / "sketch.png")
    return work


UNREADABLE = {
    "missing": (None, "input.missing"),
    "zero bytes": (b"", "input.empty"),
    "10 pixels": (png(np.full((10, 10, 3), 255, np.uint8)), "input.too-small"),
    "200 megapixels": (header(20_000, 10_000), "input.too-large"),
    "truncated": (
        png(np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8))[:9000],
        "input.damaged",
    ),
    "text": (b"a tower, please", "input.not-a-picture"),
    "a mesh": (export.encode(box(), "stl"), "input.not-a-picture"),
    "transparent": (png(np.zeros((90, 90, 4), np.uint8)), "input.transparent"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_sketches_that_cannot_be_read(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, code = UNREADABLE[case]
    if data is not None:
        (folder / "bad.png").write_bytes(data)
    said = refused(["building", "bad.png", "-o", "out.3mf"], folder, capsys, exit_code=6, code=code)
    assert "bad.png" in said


NOISE = np.random.default_rng(1).integers(0, 256, (300, 300, 3)).astype(np.uint8)
UNSUITABLE = {
    "empty page": np.full((300, 300, 3), 255, np.uint8),
    "solid black": np.zeros((300, 300, 3), np.uint8),
    "grey page": np.full((300, 300, 3), 128, np.uint8),
}


@needs_building
@pytest.mark.parametrize("verb", ["building"])
@pytest.mark.parametrize("case", UNSUITABLE)
def test_sketches_that_show_nothing(case: str, verb: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.png").write_bytes(png(UNSUITABLE[case]))
    assert run([verb, "bad.png", "-o", "out.3mf", "--json"]) == 6
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"].startswith("sketch.") and said.err.count("error: ") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["bad.png", "sketch.png"]


@needs_building
def test_noise_is_an_error_or_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What no building can be seen in is refused, or made with a word of doubt; never without."""
    (folder / "bad.png").write_bytes(png(NOISE))
    code = run(["building", "bad.png", "-o", "out.3mf", "--json"])
    answer = json.loads(capsys.readouterr().out)
    if code:
        assert code == 6 and not (folder / "out.3mf").exists()
    else:
        assert {"warning", "error"} & {finding["severity"] for finding in answer["receipt"]["findings"]}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--height", "0"], "size.range"),
        (["--height", "0mm"], "size.range"),
        (["--height", "10km"], "size.range"),
        (["--longest", "-5cm"], "size.range"),
        (["--longest", "nan"], "size.length"),
        (["--longest", "12 parsecs"], "size.length"),
        (["--height", "10cm", "--longest", "10cm"], "size.choice"),
        (["--scale", "1:200"], "size.choice"),
        (["--scale", "1:0", "--real-height", "30m"], "size.range"),
        (["--scale", "2:1", "--real-height", "30m"], "size.scale"),
        (["--real-height", "30m"], "size.choice"),
        (["--view", "45"], "building.view"),
        (["--view", "45,90"], "building.view"),
        (["--view", "nan,nan"], "building.view"),
        (["--detail", "9"], "usage"),
        (["--profile", "oven"], "usage"),
        (["--faces", "1"], "usage"),
        (["--threshold", "7"], "usage"),
        (["--also", "png"], "output.format"),
        (["--format", "png"], "output.format"),
        (["-o", "out.png"], "output.format"),
        (["-o", "sketch.png/out.3mf"], "output.unwritable"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_options(arguments: list[str], code: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [] if "-o" in arguments else ["-o", "out.3mf"]
    refused(["building", "sketch.png", *out, *arguments], folder, capsys, exit_code=2, code=code)


@pytest.mark.parametrize("weights", ["nowhere", "sketch.png"])
def test_weights_that_are_no_folder(weights: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["building", "sketch.png", "-o", "out.3mf", "--weights", weights]
    refused(arguments, folder, capsys, exit_code=4, code="weights.missing")


def stl(*triangles: list[list[float]]) -> bytes:
    """A binary STL file of these triangles, whatever their values."""
    body = b"".join(struct.pack("<12fH", 0, 0, 0, *np.ravel(corners), 0) for corners in triangles)
    return bytes(80) + struct.pack("<I", len(triangles)) + body


def package(model: str) -> bytes:
    """A 3MF file around a model part."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(export.encode(box(), "3mf"))) as whole, zipfile.ZipFile(stream, "w") as made:
        for name in whole.namelist():
            made.writestr(name, model if name.endswith(".model") else whole.read(name))
    return stream.getvalue()


PLANE = [[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, 1, 0], [0, 1, 0]]]
MESHES = {
    "missing": (None, "x.stl", "input.missing"),
    "empty": (b"", "x.stl", "input.empty"),
    "nan": (stl([[0, 0, float("nan")], [1, 0, 0], [0, 1, 1]]), "x.stl", "mesh.not-finite"),
    "infinite": (stl([[0, 0, float("inf")], [1, 0, 0], [0, 1, 1]]), "x.stl", "mesh.not-finite"),
    "no thickness": (stl(*PLANE), "x.stl", "mesh.flat"),
    "no triangles": (stl(), "x.stl", "mesh.empty"),
    "cut short": (export.encode(ball(), "stl")[:-60], "x.stl", "mesh.unreadable"),
    "no mesh": (b"o x\nv 1 2 3\n", "x.obj", "mesh.empty"),
    "a picture": (png(np.zeros((64, 64, 3), np.uint8)), "x.glb", "mesh.unreadable"),
    "another suffix": (export.encode(box(), "stl"), "x.dwg", "mesh.format"),
    "damaged zip": (export.encode(box(), "3mf")[:-90], "x.3mf", "mesh.unreadable"),
    "entities": (package('<!DOCTYPE a [<!ENTITY b "c">]><model/>'), "x.3mf", "mesh.unreadable"),
    "a folder": ("folder", "x.stl", "input.unreadable"),
}


@pytest.mark.parametrize("verb", [["passport"], ["repair", "-o", "out.3mf"]], ids=["passport", "repair"])
@pytest.mark.parametrize("case", MESHES)
def test_meshes(case: str, verb: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, name, code = MESHES[case]
    if data == "folder":
        (folder / name).mkdir()
    elif isinstance(data, bytes):
        (folder / name).write_bytes(data)
    refused([verb[0], name, *verb[1:]], folder, capsys, exit_code=6, code=code)


@pytest.mark.parametrize(
    ("mesh", "word"),
    [
        (together(ball(20.0), turned(ball(15.0))), "1 closed cavities"),
        (together(ball(20.0), ball(19.0)), "1 inner shells"),
        (without(ball(20.0), [0]), "3 open edges"),
    ],
    ids=["hollow ball", "double-walled ball", "ball with a hole"],
)
def test_meshes_that_need_a_word(mesh, word: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.3mf").write_bytes(export.encode(mesh, "3mf"))
    assert run(["passport", "x.3mf"]) == 0
    assert word in capsys.readouterr().out


def test_a_repair_that_is_unknown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.stl").write_bytes(export.encode(box(), "stl"))
    refused(["repair", "x.stl", "-o", "y.stl", "--only", "magic"], folder, capsys, exit_code=2, code="usage")
