"""Hostile and odd pictures through `studio check`: one clear error or a plain answer, nothing run, memory bounded."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.core import runtime
from pipelines.iml_vit.network import CONFIGS, ImlVit
from pipelines.iml_vit.pipeline import ImlVitPipeline
from studio.cli import run
from tests.e2e.test_bad_inputs import header, png

TINY = replace(CONFIGS["starter"], embed=24, depth=1, heads=2, global_blocks=(), fpn=8)
PIXELS = np.random.default_rng(0).integers(0, 256, (96, 80, 3), np.uint8)
MEMORY_GB = 2.5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    ImlVitPipeline(ImlVit(TINY), runtime.choose("cpu", "float32")).save_pretrained(tmp_path / "weights")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def check(capsys: pytest.CaptureFixture[str], name: str) -> tuple[int, dict]:
    code = run(["check", name, "--weights", "../weights", "--device", "cpu", "--json"])
    return code, json.loads(capsys.readouterr().out)


def jpeg(array: np.ndarray, **more: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", **more)
    return stream.getvalue()


def animated() -> bytes:
    stream = io.BytesIO()
    frames = [Image.fromarray(np.full_like(PIXELS, value)) for value in (30, 200)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("run.py", "raise SystemExit")
    return stream.getvalue()


def exif_loop() -> bytes:
    """A JPEG whose EXIF directory names itself as the next one, and counts four thousand million entries."""
    body = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x010F, 2, 0xFFFFFFFF, 8) + b"\x08\0\0\0"
    data = jpeg(PIXELS)
    block = b"Exif\0\0" + body
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


def text_bomb() -> bytes:
    """A PNG with a compressed text of 200 MB."""
    squeezed = zlib.compressobj(9)
    blob = b"".join(squeezed.compress(b"\0" * (1 << 20)) for _ in range(200)) + squeezed.flush()
    body = b"Comment\0\0" + blob
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    data = png(PIXELS)
    return data[:33] + chunk + data[33:]


REFUSED = {
    "1x1.png": (png(np.zeros((1, 1, 3), np.uint8)), "input.too-small"),
    "photo.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 200, "input.not-a-picture"),
    "huge.png": (header(20_000, 10_000), "input.too-large"),
    "cut.png": (png(PIXELS)[:4000], "input.damaged"),
    "page.png": (b"<html><script>alert(1)</script>", "input.not-a-picture"),
    "empty.jpg": (b"", "input.empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_clear_error(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, code = REFUSED[name]
    (folder / name).write_bytes(data)
    exit_code, told = check(capsys, name)
    assert (exit_code, told["error"]["code"]) == (6, code)
    assert os.listdir(folder) == [name]
    if name.endswith("heic"):
        assert "HEIC" in told["error"]["seen"]


ODD = {
    "polyglot.png": (png(PIXELS) + zipped(), "trace.bytes-after-end"),
    "two.jpg": (jpeg(PIXELS) + b"<html><script>alert(1)</script></html>", "trace.bytes-after-end"),
    "loop.jpg": (exif_loop(), None),
    "renamed.png": (jpeg(PIXELS), "trace.wrong-suffix"),
}


@pytest.mark.parametrize("name", ODD)
def test_hostile_but_readable_bad_input_is_told(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, trace = ODD[name]
    (folder / name).write_bytes(data)
    exit_code, told = check(capsys, name)
    assert exit_code == 0
    codes = {anomaly["code"] for anomaly in told["files"][0]["traces"]["anomalies"]}
    assert trace is None or trace in codes


def test_of_an_animation_the_first_frame_is_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "moving.gif").write_bytes(animated())
    exit_code, told = check(capsys, "moving.gif")
    assert exit_code == 0
    assert {finding["code"] for finding in told["files"][0]["findings"]} == {"input.animated"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="memory is not measured there")
@pytest.mark.parametrize("name", ["bomb.png", "large.png"])
def test_memory_stays_bounded(name: str, folder: Path) -> None:
    """A text that grows to 200 MB, and a flat picture of 25 megapixels, in a process whose peak is asked for."""
    if name == "bomb.png":
        (folder / name).write_bytes(text_bomb())
    else:
        Image.new("RGB", (5000, 5000), (90, 120, 150)).save(folder / name)
    script = (
        "import resource, sys\n"
        "from studio.cli import run\n"
        f"code = run(['check', {name!r}, '--weights', '../weights', '--device', 'cpu', '--json', '--quiet'])\n"
        "sys.stderr.write(f'PEAK {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} {code}')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    peak, code = done.stderr.rsplit("PEAK ", 1)[1].split()
    kilobytes = int(peak) / (1024 if sys.platform == "darwin" else 1)
    assert int(code) in (0, 6) and kilobytes < MEMORY_GB * 1e6
