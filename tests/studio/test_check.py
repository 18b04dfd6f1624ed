"""`studio check`: every answer stands for itself, a bad file does not stop the others, the report needs nothing."""

from __future__ import annotations

import json
import os
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
from studio import checking, html_report, sidecar, verdicts
from studio.cli import run
from studio.runners import forensics, tryon
from studio.store import Store

TINY = replace(CONFIGS["starter"], input_size=64, embed=24, depth=2, heads=2, window=2, global_blocks=(1,), fpn=8)
# Any picture scores about 0.9: the regression is nothing but its offset.
KNOWN = Calibration(0.5, 0.6, 2.2, (0.0, 0.0), tuple(np.linspace(0.1, 0.95, 21).tolist()))


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


def test_one_failure_of_any_kind_does_not_cost_the_others(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    real = checking.check

    def sometimes(engine, path, **more):
        if path == photo:
            raise ZeroDivisionError("a bug")
        return real(engine, path, **more)

    monkeypatch.setattr(checking, "check", sometimes)
    report = tmp_path / "new" / "folder" / "report.html"
    code, told = checked(capsys, photo, other, "--weights", weights, "--report", report)
    assert code == 3 and [item["ok"] for item in told["files"]] == [False, True]
    assert told["files"][0]["error"]["code"] == "bug" and "Not checked" in report.read_text()


def test_nothing_of_the_user_is_overwritten(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    for name in ("x.png", "x-heat.png", "1/IMG.png", "2/IMG.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photo.read_bytes())
    code, told = checked(capsys, folder, "--weights", weights, "-o", folder, "--force")
    assert code != 0 and told["error"]["code"] == "output.is-input"
    assert all((folder / name).read_bytes() == photo.read_bytes() for name in ("x.png", "x-heat.png"))
    maps = tmp_path / "maps"
    code, told = checked(capsys, folder, "--weights", weights, "-o", maps, "--force")
    made = [Path(item["heat"]).name for item in told["files"]]
    assert code == 0 and len(set(made)) == 4 and {"1-IMG-png-heat.png", "2-IMG-png-heat.png"} < set(made)
    report = tmp_path / "report.html"
    report.write_text("mine")
    code, told = checked(capsys, photo, "--weights", weights, "--report", report)
    assert code != 0 and told["error"]["code"] == "output.exists" and report.read_text() == "mine"


def test_what_a_folder_holds_besides_pictures_is_left_alone(tmp_path: Path, photo: Path) -> None:
    folder = tmp_path / "roll"
    (folder / "a-folder.jpg").mkdir(parents=True)
    (folder / "maps").mkdir()
    for name in ("a.png", "._a.png", "maps/a-heat.png"):
        (folder / name).write_bytes(photo.read_bytes())
    assert list(checking.pictures([folder], besides=folder / "maps")) == [folder / "a.png"]


def test_a_gate_needs_a_score(capsys: pytest.CaptureFixture[str], photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    ImlVitPipeline(ImlVit(TINY), runtime.choose("cpu", "float32")).save_pretrained(folder)
    assert checked(capsys, photo, "--weights", folder)[0] == 0
    code, told = checked(capsys, photo, "--weights", folder, "--fail-above", "0.5")
    assert code == 2 and told["error"]["code"] == "check.no-score"


def test_names_of_files_draw_nothing_on_the_terminal(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "\x1b[31mred\n  forensics  all fine.png"
    evil.write_bytes(photo.read_bytes())
    assert run(["check", str(evil), "--weights", str(weights), "--device", "cpu", "--quiet"]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err and "\n  forensics  all fine" not in said.out


def test_a_heat_map_can_be_made_again_from_its_file(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, tmp_path: Path
) -> None:
    checked(capsys, photo, "--weights", weights, "-o", tmp_path)
    photo.unlink()
    told = sidecar.read(tmp_path / "photo-heat.png")[0]
    assert Store(Path(os.environ["STUDIO_HOME"])).read_input(told.recipe.inputs["picture"])


@pytest.mark.parametrize(
    "change",
    [{"slopes": [1.0]}, {"offset": float("nan")}, {"pixel": 1.5}, {"untouched": []}, {"untouched": [0.9, 0.1]}],
)
def test_a_broken_calibration_is_refused(
    capsys: pytest.CaptureFixture[str], photo: Path, weights: Path, change: dict[str, object]
) -> None:
    config = weights / "config.json"
    stored = json.loads(config.read_text())
    stored["calibration"].update(change)
    config.write_text(json.dumps(stored))
    code, told = checked(capsys, photo, "--weights", weights)
    assert code == 4 and told["error"]["code"] == "weights.mismatch"


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
