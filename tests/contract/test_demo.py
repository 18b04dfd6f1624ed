"""`make demo` from the batch file to the contact sheet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.mesh import export, topology
from studio import clouds, demo, media, registry

ROOT = Path(__file__).resolve().parents[2]
LINES = [json.loads(text) for text in (ROOT / demo.BATCH).read_text(encoding="utf-8").splitlines()]


def test_the_batch_names_pictures_that_are_there() -> None:
    folder = (ROOT / demo.BATCH).parent
    assert len({line["id"] for line in LINES}) == len(LINES) >= 4
    for line in LINES:
        registry.check_slots(registry.kind(line["kind"]), line["inputs"])
        for path in line["inputs"].values():
            media.decode(media.read_bytes(folder / path), path)
    for slot, least in (("person", 4), ("garment", 4), ("sketch", 3), ("view1", 2)):
        assert len({line["inputs"][slot] for line in LINES if slot in line["inputs"]}) >= least


def test_the_copy_finds_its_inputs_from_anywhere(tmp_path: Path) -> None:
    lines = demo.place(ROOT / demo.BATCH, tmp_path / "out")
    copy = [json.loads(text) for text in (tmp_path / "out" / demo.BATCH.name).read_text(encoding="utf-8").splitlines()]
    assert copy == list(lines.values())
    for line in copy:
        assert all(Path(path).is_absolute() and Path(path).is_file() for path in line["inputs"].values())
        assert line["output"] == line["id"] + demo.SUFFIXES.get(line["kind"], ".png")


def test_the_contact_sheet_shows_each_case_in_order(tmp_path: Path) -> None:
    colours = {"a": (200, 30, 30), "b": (30, 200, 30), "c": (30, 30, 200)}
    for name, colour in colours.items():
        Image.new("RGB", (300, 400), colour).save(tmp_path / f"{name}.png")
    a, b, c = (tmp_path / f"{name}.png" for name in colours)
    orders = ((a, b, c), (c, a, b), (b, c, a))
    cases = [demo.Case((person, garment), {"output": str(made)}) for person, garment, made in orders]
    demo.contact_sheet(cases, tmp_path / demo.SHEET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png", demo.SHEET]

    sheet = np.asarray(Image.open(tmp_path / demo.SHEET)).astype(int)
    picture, strip = demo.ROW_HEIGHT * 3 // 4, 3 * (demo.ROW_HEIGHT * 3 // 4) + 2 * demo.GAP
    seen = []
    for case in range(3):
        row, column = divmod(case, demo.COLUMNS)
        y = 2 * demo.GAP + row * (demo.ROW_HEIGHT + 2 * demo.GAP) + demo.ROW_HEIGHT // 2
        for part in range(3):
            x = 2 * demo.GAP + column * (strip + 2 * demo.GAP) + part * (picture + demo.GAP) + picture // 2
            seen.append(min(colours, key=lambda name: np.abs(sheet[y, x] - colours[name]).sum()))
    assert "".join(seen) == "abc" + "cab" + "bca"


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path) -> None:
    env = {**os.environ, "STUDIO_HOME": str(tmp_path / "home"), "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "studio.demo", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for line in LINES:
        result = tmp_path / "out" / (line["id"] + demo.SUFFIXES.get(line["kind"], ".png"))
        assert str(result) in done.stdout
        if line["kind"] == "building":
            solid = export.decode(result.read_bytes(), "3mf")
            assert topology.edge_report(solid).closed and topology.volume(solid) > 0
            assert np.ptp(solid.vertices, axis=0).max() == pytest.approx(120, abs=0.01)
            continue
        if line["kind"] == "cloud":
            cloud = clouds.decode(result.read_bytes(), result.name)
            assert len(cloud.points) == 4096 and cloud.colours is not None and cloud.normals is not None
            continue
        person, _ = media.decode(media.read_bytes(ROOT / "assets" / "samples" / line["inputs"]["person"]), "person")
        made, _ = media.decode(media.read_bytes(result), "result")
        assert made.shape == person.shape
        assert 0.02 < (made != person).any(2).mean() < 0.7
    assert (tmp_path / "out" / demo.SHEET).stat().st_size > 20_000
