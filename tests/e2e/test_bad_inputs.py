"""Thirty bad inputs through the command line: one clear error each, the right exit code, no file left, no code run."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines.core import hub
from pipelines.core.errors import WeightsError
from studio.cli import run


def here(name: str) -> bool:
    """Whether these weights are on this computer."""
    try:
        return bool(hub.resolve(name))
    except WeightsError:
        return False


needs_tryon = pytest.mark.skipif(
    not all(map(here, ("viton-hd", "parsing", "pose", "garment"))), reason="needs the starter weights of try-on"
)


class Bait:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def png(array: np.ndarray) -> bytes:
    """A PNG file."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def header(width: int, height: int) -> bytes:
    """A small PNG that claims to be large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    parts = (
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(b"\0" * 999)),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def array(values: Any) -> bytes:
    """A .npy file."""
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


SIZE = (256, 192)
GREY = np.full((*SIZE, 3), 190, np.uint8)
PLAIN = png(GREY)
NOISE = png(np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8))
BILEVEL = io.BytesIO()
Image.new("1", (20_000, 20_000)).save(BILEVEL, "PNG")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a person-like and a garment-like picture, and a workspace elsewhere."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    person = Image.fromarray(GREY)
    draw = ImageDraw.Draw(person)
    draw.ellipse((80, 10, 112, 50), fill=(224, 172, 140))
    draw.rectangle((60, 50, 132, 150), fill=(40, 60, 160))
    draw.rectangle((66, 150, 126, 250), fill=(30, 30, 30))
    person.save(work / "person.png")
    garment = Image.new("RGB", (192, 192), "white")
    ImageDraw.Draw(garment).polygon(
        [(40, 40), (152, 40), (180, 90), (150, 100), (150, 170), (42, 170), (42, 100), (12, 90)], "red"
    )
    garment.save(work / "garment.png")
    return work


def refused(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str], *, exit_code: int, code: str
) -> str:
    """Run; there must be one error of this code and exit code, and every file as it was before."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    names = sorted(folder.rglob("*"))
    assert run([*arguments, "--json"]) == exit_code
    said = capsys.readouterr()
    answer = json.loads(said.out)  # exactly one object
    assert answer["exit_code"] == exit_code and answer["error"]["code"] == code, answer
    assert answer["error"]["what"] and said.err.count("error: ") == 1 and "Traceback" not in said.err
    assert sorted(folder.rglob("*")) == names
    assert {path: path.read_bytes() for path in names if path.is_file()} == before
    return said.err


PHOTOS = {
    "missing": (None, "input.missing"),
    "zero bytes": (b"", "input.empty"),
    "truncated": (NOISE[: len(NOISE) // 2], "input.damaged"),
    "header only": (NOISE[:40], "input.not-a-picture"),
    "text": (b"this is no picture", "input.not-a-picture"),
    "pdf": (b"%PDF-1.4\n", "input.not-a-picture"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "input.not-a-picture"),
    "pickle": (pickle.dumps(Bait(Path("ran"))), "input.not-a-picture"),
    "1x1": (png(np.zeros((1, 1, 3), np.uint8)), "input.too-small"),
    "20000x20000 claimed": (header(20_000, 20_000), "input.too-large"),
    "20000x20000": (BILEVEL.getvalue(), "input.too-large"),
    "bomb": (header(2**31 - 1, 2**31 - 1), "input.too-large"),
    "transparent": (png(np.zeros((*SIZE, 4), np.uint8)), "input.transparent"),
}


@pytest.mark.parametrize("slot", ["person", "garment"])
@pytest.mark.parametrize("case", PHOTOS)
def test_photos(case: str, slot: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, code = PHOTOS[case]
    files = {"person": "person.png", "garment": "garment.png", slot: "bad.png"}
    if data is not None:
        (folder / "bad.png").write_bytes(data)
    said = refused(
        ["tryon", files["person"], files["garment"], "-o", "out.png"], folder, capsys, exit_code=6, code=code
    )
    assert "bad.png" in said


def test_a_folder_is_no_photo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(
        ["tryon", str(folder), "garment.png", "-o", "out.png"], folder, capsys, exit_code=6, code="input.unreadable"
    )


MASKS = {
    "nan": (array(np.full(SIZE, np.nan, np.float32)), "m.npy", "mask.not-finite"),
    "other size": (png(np.full((100, 100), 255, np.uint8)), "m.png", "mask.size"),
    "turned": (png(np.full(SIZE[::-1], 255, np.uint8)), "m.png", "mask.size"),
    "empty": (png(np.zeros(SIZE, np.uint8)), "m.png", "mask.empty"),
    "pickled": (pickle.dumps(Bait(Path("ran"))), "m.npy", "mask.unreadable"),
    "objects": (None, "m.npy", "mask.unreadable"),
    "out of range": (array(np.full(SIZE, 999)), "m.npy", "mask.range"),
    "truncated": (png(np.full(SIZE, 255, np.uint8))[:60], "m.png", "input.damaged"),
}


@pytest.mark.parametrize("case", MASKS)
def test_masks(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, name, code = MASKS[case]
    if data is None:
        np.save(folder / name, np.array([[Bait(folder / "ran")]], dtype=object), allow_pickle=True)
    else:
        (folder / name).write_bytes(data)
    arguments = ["tryon", "person.png", "garment.png", "--mask", name, "-o", "out.png"]
    refused(arguments, folder, capsys, exit_code=6, code=code)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-o", "garment.png/out.png"], "output.unwritable"),
        (["-o", "/proc/out.png"], "output.unwritable"),
        (["-o", "out.xyz"], "output.format"),
        (["-o", "out.png", "--format", "jpeg"], "output.format"),
        (["-o", "out.png", "--seed", "99999999999999999999"], "recipe.bad"),
        (["-o", "out.png", "--weights", "pose=."], "weights.not-used"),
        (["-o", "out.png", "--dtype", "int3"], "settings.bad"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
@needs_tryon
def test_options(arguments: list[str], code: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["tryon", "person.png", "garment.png", *arguments], folder, capsys, exit_code=2, code=code)


def test_full_disk(folder: Path) -> None:
    """To this process the disk takes no file of more than 3 kB, neither output nor workspace."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-B", "-m", "studio", "tryon", "person.png", "garment.png", "-o", "out.png"], preexec_fn=limit,
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 2 and "code output.disk-full" in done.stderr, done.stderr
    assert sorted(folder.rglob("*")) == before


def copied(name: str, folder: Path) -> Path:
    """A copy of starter weights that can be damaged."""
    return shutil.copytree(hub.resolve(name), folder / "weights")


def drop_a_key(folder: Path) -> None:
    """Take one tensor out of a checkpoint."""
    from safetensors.torch import load_file, save_file

    path = next(folder.rglob("model.safetensors"))
    state = load_file(path)
    state.pop(sorted(state)[0])
    save_file(state, path)


def cut_off(folder: Path) -> None:
    """Leave half of a checkpoint."""
    path = next(folder.rglob("model.safetensors"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def make_pickle(folder: Path) -> None:
    """Put a pickle with code in it in a checkpoint's place."""
    next(folder.rglob("model.safetensors")).write_bytes(pickle.dumps(Bait(folder.parent / "ran")))


def bad_config(folder: Path) -> None:
    """Configuration of a network that does not exist."""
    next(folder.rglob("config.json")).write_text('{"no_such_option": 1}')


def empty(folder: Path) -> None:
    """Leave no file."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "other network": (bad_config, "weights.mismatch"),
    "missing key": (drop_a_key, "weights.mismatch"),
    "truncated": (cut_off, "weights.damaged"),
    "pickle": (make_pickle, "weights.damaged"),
    "empty folder": (empty, "weights.missing"),
}


@needs_tryon
@pytest.mark.parametrize("case", DAMAGE)
@pytest.mark.parametrize("name", ["viton-hd", "parsing", "pose"])
def test_weights(case: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, code = DAMAGE[case]
    weights = copied(name, folder)
    damage(weights)
    verb = ["tryon", "person.png", "garment.png", "--weights", "weights"]
    if name != "viton-hd":
        verb = ["parse", "person.png", "--weights", f"{name}=weights"]
    said = refused([*verb, "-o", "out.png"], folder, capsys, exit_code=4, code=code)
    assert not (folder / "ran").exists()
    if case == "missing key":
        assert "missing " in said


@pytest.mark.parametrize("weights", ["nowhere", "person.png"])
def test_weights_that_are_no_folder(weights: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["tryon", "person.png", "garment.png", "-o", "out.png", "--weights", weights]
    refused(arguments, folder, capsys, exit_code=4, code="weights.missing")


@needs_tryon
@pytest.mark.parametrize("data", [PLAIN, NOISE], ids=["plain", "noise"])
@pytest.mark.parametrize("verb", ["tryon", "pose", "parse", "mask"])
def test_no_person(verb: str, data: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wall.png").write_bytes(data)
    more = ["garment.png"] if verb == "tryon" else []
    out = "out.json" if verb == "pose" else "out.png"
    refused([verb, "wall.png", *more, "-o", out], folder, capsys, exit_code=6, code="input.no-person")


@needs_tryon
@pytest.mark.parametrize("arguments", [["--person", "7"]])
def test_no_such_person(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = next(Path(__file__).parents[2].glob("assets/samples/people/*"))
    command = ["tryon", str(photo), "garment.png", "-o", "out.png", *arguments]
    refused(command, folder, capsys, exit_code=6, code="input.person-index")


@needs_tryon
@pytest.mark.parametrize("data", [PLAIN, NOISE], ids=["plain", "noise"])
def test_no_garment(data: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = next(Path(__file__).parents[2].glob("assets/samples/people/*"))
    (folder / "wall.png").write_bytes(data)
    refused(["tryon", str(photo), "wall.png", "-o", "out.png"], folder, capsys, exit_code=6, code="garment.none-found")


@pytest.mark.parametrize("verb", ["rerun", "explain"])
@pytest.mark.parametrize(
    ("data", "code"),
    [(PLAIN, "input.no-recipe"), (b"", "input.empty"), (b"{}", "input.no-recipe"), (b"{" * 9999, "recipe.bad")],
    ids=["no recipe", "empty", "json", "deep json"],
)
def test_files_without_recipe(
    verb: str, data: bytes, code: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.png").write_bytes(data)
    refused([verb, "x.png"], folder, capsys, exit_code=2 if code == "recipe.bad" else 6, code=code)
