"""`studio check`: every answer stands for itself, a bad file does not stop the others, the report needs nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.core import runtime
from pipelines.iml_vit.calibration import Calibration
from pipelines.iml_vit.network import CONFIGS, ImlVit
from pipelines.iml_vit.pipeline import ImlVitPipeline
from studio import html_report, verdicts
from studio.cli import run
from studio.runners import forensics, tryon

TINY = replace(CONFIGS["starter"], input_size=64, embed=24, depth=2, heads=2, window=2, global_blocks=(1,), fpn=8)
# Any picture scores about 0.9: the regression is nothing but its offset.
KNOWN = Calibration(0.5, 0.6, 2.2, (0.0, 0.0, 0.0), tuple(np.linspace(0.1, 0.95, 21).tolist()))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    ImlVitPipeline(ImlVit(TINY), runtime.choose("cpu", "float32"), KNOWN).save_pretrained(folder)
    return folder


def checked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict]:
    code = run(["check", *map(str, arguments), "--device", "cpu", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_four_answers_side_by_side(capsys: pytest.CaptureFixture[str], photo: Path, weights: Path) -> None:
    code, told = checked(capsys, photo, "--weights", weights)
    (answer,) = told["files"]
    assert code == 0 and answer["ok"] and (answer["width"], answer["height"]) == (80, 96)
    assert answer["forensics"]["score"] == pytest.approx(0.9, abs=0.01) and answer["forensics"]["suspicious"]
    assert (
        "Weak evidence" in answer["forensics"]["meaning"]
        and "nobody should be accused" in answer["forensics"]["caution"]
    )
    assert answer["seal"]["status"] == "none" and answer["recipe"] is None
    assert isinstance(answer["traces"]["anomalies"], list)


def test_the_heat_map_is_a_sealed_result_that_brings_its_own_recipe(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path
) -> None:
    code, _ = checked(capsys, photo, "--weights", weights, "-o", tmp_path / "maps")
    made = tmp_path / "maps" / "photo-heat.png"
    with Image.open(made) as shown:
        assert code == 0 and shown.size == (80, 96)
    code, told = checked(capsys, made, "--weights", weights)
    (answer,) = told["files"]
    assert answer["seal"]["status"] == "studio" and answer["seal"]["words"] == verdicts.WORDS["studio"]
    assert answer["recipe"]["kind"] == "check" and answer["recipe"]["inputs"] == {"picture": "photo.png"}


def test_a_gate(capsys: pytest.CaptureFixture[str], photo: Path, weights: Path) -> None:
    code, told = checked(capsys, photo, "--weights", weights, "--fail-above", "0.5")
    assert code == 7 and told["error"]["code"] == "check.above" and told["files"][0]["ok"]
    assert checked(capsys, photo, "--weights", weights, "--fail-above", "0.95")[0] == 0


def test_a_folder_goes_on_past_what_is_no_picture(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep" / "inner"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(photo.read_bytes())
    (folder / "b.png").write_bytes(b"no picture at all")
    (folder / "notes.txt").write_text("left alone")
    code, told = checked(capsys, tmp_path / "sweep", "--weights", weights)
    assert code == 3 and [item["ok"] for item in told["files"]] == [True, False]
    assert told["files"][1]["error"]["code"] == "input.not-a-picture"
    code, told = checked(capsys, folder / "b.png", "--weights", weights)
    assert code == 6 and told["error"]["code"] == "input.not-a-picture"


def test_the_report_needs_nothing_and_runs_nothing(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "<img src=x onerror=alert(1)>.png"
    evil.write_bytes(photo.read_bytes())
    report = tmp_path / "report.html"
    assert checked(capsys, evil, photo, "--weights", weights, "--report", report)[0] == 0
    page = report.read_text()
    assert "onerror" in page and "<img src=x" not in page
    assert "default-src 'none'" in page and not re.search(r"(src|href)=[\"']?(https?:|//)", page)
    assert page.count('<img class="heat"') == 2 and "Weak evidence" in page


@pytest.mark.parametrize("name", ["report.txt", "no/such/folder/report.html/x.html"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "no").write_text("a file, where a folder is asked for")
    code, told = checked(capsys, photo, "--weights", weights, "--report", tmp_path / name)
    assert code != 0 and not told["ok"] and "files" not in told


def test_words_claim_no_more_than_the_figures() -> None:
    assert forensics.meaning(None, None).startswith("These weights have no calibrated score")
    assert "fewer than 1 %" in forensics.meaning(True, 0.001)
    assert "12 % of untouched pictures" in forensics.meaning(False, 0.12)
    assert "no proof" in forensics.meaning(False, 0.5)


def test_the_closed_loop_by_hand() -> None:
    declared, detected = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    declared[:5], detected[4:6] = True, True
    assert tryon.closed_loop(detected, declared, 0.5) == {
        "detected_share": 0.2, "declared_share": 0.5, "detected_inside_declared": 0.5, "declared_found": 0.2,
        "iou": 0.1667, "score": 0.5,
    }  # fmt: skip
    nothing = tryon.closed_loop(np.zeros_like(detected), declared, None)
    assert nothing["detected_inside_declared"] is None and nothing["declared_found"] == 0


def test_texts_of_files_are_made_plain() -> None:
    assert html_report._text("<b>\x07&") == "&lt;b&gt;\\x07&amp;"
