"""The command with the network itself, at a size that takes a second: untrained, so that only the way is tested."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines.mesh import export, topology
from studio import pictures, replay, sidecar, store
from studio.cli import run
from studio.engine import Engine
from studio.settings import load
from studio.targets import Target

pytest.importorskip("pipelines.vitruvio.sketch", reason="the preparation of sketches is not here yet")

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200" viewBox="0 0 200 200">
<path d="M40 60 L110 90 L170 60 L170 150 L110 185 L40 150 Z M110 90 L110 185 M40 60 L100 40 L170 60" fill="none"
 stroke="black" stroke-width="3"/></svg>"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network without octaves, whose surface is smooth."""
    import torch

    from pipelines.core import runtime
    from pipelines.vitruvio.network import CONFIGS, OccupancyNetwork
    from pipelines.vitruvio.pipeline import VitruvioPipeline

    torch.manual_seed(4)
    small = replace(CONFIGS["starter"], encoder_width=4, hidden=16, c_dim=24, octaves=0)
    folder = tmp_path_factory.mktemp("weights")
    VitruvioPipeline(
        OccupancyNetwork(small), runtime.choose("cpu", "float32"), pose="quarter", threshold=0.5
    ).save_pretrained(folder)
    return folder


def sketch(folder: Path, suffix: str) -> Path:
    """A box in perspective, as a picture or as SVG."""
    path = folder / f"sketch{suffix}"
    if suffix == ".svg":
        path.write_text(SVG)
        return path
    picture = Image.new("RGB", (220, 220), "white")
    draw = ImageDraw.Draw(picture)
    draw.line([40, 60, 110, 90, 170, 60, 170, 150, 110, 185, 40, 150, 40, 60, 100, 40, 170, 60], "black", 3)
    draw.line([110, 90, 110, 185], "black", 3)
    picture.save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_sketch_to_print(suffix: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn, out = sketch(tmp_path, suffix), tmp_path / "tower.3mf"
    arguments = ["building", str(drawn), "-o", str(out), "--height", "50mm", "--detail", "1"]
    arguments += ["--no-straighten", "--layers", "--json", "--weights", str(weights)]
    assert run(arguments) == 0
    receipt = json.loads(capsys.readouterr().out)["receipt"]
    mesh = export.decode(out.read_bytes(), "3mf")
    assert topology.edge_report(mesh).closed and topology.volume(mesh) > 0
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(50, abs=1e-4)
    assert receipt["passport"]["manifold"] and receipt["passport"]["bodies"] == 1
    assert 0 <= receipt["camera"]["azimuth"] <= 90 and 0 <= receipt["confidence"] <= 1
    assert {"prepared.png", "same_view.png", "from_behind.png"} <= {p.name for p in store.layers_beside(out).iterdir()}
    engine = Engine(load(device="cpu"), own_weights={"vitruvio": weights})
    assert replay.rerun(engine, out)["verdict"] == "bit-exact"


def test_prepared(weights: Path, tmp_path: Path) -> None:
    engine = Engine(load(device="cpu"), own_weights={"vitruvio": weights})
    made = engine.execute(
        engine.draft("building-plan", {"sketch": sketch(tmp_path, ".svg")}), Target(tmp_path / "plan.png", "png")
    )
    shown = pictures.pixels_of(made.path.read_bytes())
    assert shown.shape == (128, 128) and shown.min() < 100 and np.median(shown) == 255
    assert len(sidecar.read(made.path)[0].receipt["box"]) == 4


@pytest.mark.parametrize("pixels", [np.full((300, 300, 3), 255, np.uint8), np.zeros((300, 300, 3), np.uint8)])
def test_an_empty_sketch_is_one_clear_error(
    pixels: np.ndarray, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(pixels).save(tmp_path / "bad.png")
    arguments = ["building", str(tmp_path / "bad.png"), "-o", str(tmp_path / "x.3mf"), "--weights", str(weights)]
    assert run([*arguments, "--json"]) == 6
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"].startswith("sketch.") and said.err.count("error: ") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.png"]
