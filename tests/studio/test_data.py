"""``studio data``: exit codes, one JSON object, and nothing half written."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.types import Mesh
from pipelines.mesh import export
from pipelines.synthetic.buildings import sample_building
from pipelines.vitruvio import evaluation_set, preparation
from studio.cli import run


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Two buildings in OBJ."""
    folder = tmp_path / "meshes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / f"{name}.obj").write_bytes(export.encode(sample_building(rng, "slab").mesh(), "obj"))
    return folder


def answer(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_prepare(meshes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "prepare", str(meshes), str(tmp_path / "set"), "--views", "2", "--up", "y", "--json", "-q"]
    assert run(arguments) == 0
    told = answer(capsys)
    assert told["ok"] and told["made"] == told["meshes"] == 2 and told["split"] == {"train": 2, "val": 0, "test": 0}
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 4
    assert run(arguments) == 0
    assert answer(capsys)["kept"] == 2
    assert run([*arguments, "--align"]) == 6
    assert answer(capsys)["error"]["code"] == "data.settings"
    plan = ["train", "vitruvio", "--data", str(tmp_path / "set"), "-o", str(tmp_path / "run"), "--steps", "1"]
    assert run([*plan, "--dry-run", "--json"]) == 0
    assert answer(capsys)["data"] == [str(tmp_path / "set")]
    assert run(["train", "vitruvio", "-o", str(tmp_path / "run"), "--steps", "1", "--dry-run", "--json"]) == 0
    assert answer(capsys)["data"] == []
    assert run([*plan, "--set", "data=x", "--json"]) == 2
    assert answer(capsys)["error"]["code"] == "train.option"


def test_what_is_left_out_is_told(meshes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torn = sample_building(np.random.default_rng(1), "slab").mesh()
    (meshes / "torn.obj").write_bytes(export.encode(Mesh(torn.vertices, torn.faces[:4]), "obj"))
    arguments = ["data", "prepare", str(meshes), str(tmp_path / "set"), "--views", "1", "--up", "y", "-q"]
    assert run([*arguments, "--json"]) == 3
    told = answer(capsys)
    assert not told["ok"] and told["error"]["code"] == "data.some-left-out" and told["left out"] == 1
    assert told["made"] == 2 and sum(told["split"].values()) == 2
    assert run(arguments) == 3
    shown = capsys.readouterr()
    assert "left out  torn" in shown.out and "kept      one" in shown.out and "data.some-left-out" in shown.err


def test_ctrl_c_leaves_what_is_finished(
    meshes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = preparation.dataset.write_model

    def interrupted(folder: Path, **arrays) -> None:
        write(folder, **arrays)
        if "two" in folder.name:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(preparation.dataset, "write_model", interrupted)
    arguments = ["data", "prepare", str(meshes), str(tmp_path / "set"), "--views", "1", "--up", "y", "--json", "-q"]
    assert run(arguments) == 130
    assert answer(capsys)["error"]["code"] == "interrupted"
    assert [path.name for path in (tmp_path / "set" / "buildings").iterdir()] == ["one"]
    monkeypatch.undo()
    assert run(arguments) == 0
    told = answer(capsys)
    assert (told["made"], told["kept"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["prepare", "nowhere", "set"], "input.missing", 6),
        (["prepare", ".", "set"], "data.no-meshes", 6),
        (["prepare", ".", "set", "--up", "x"], "data.settings", 6),
        (["prepare", ".", "file/set"], "output.unwritable", 2),
        (["prepare", ".", "set", "--views", "0"], "usage", 2),
        (["prepare", ".", "set", "--align", "--around"], "data.pose", 2),
        (["evaluation", "file/set"], "output.unwritable", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_refusals(
    arguments: list[str], code: str, exit_code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way", encoding="utf-8")
    assert run(["data", *arguments, "--json"]) == exit_code
    assert answer(capsys)["error"]["code"] == code
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    few = evaluation_set.write_evaluation_set
    monkeypatch.setattr(evaluation_set, "write_evaluation_set", lambda folder, **more: few(folder, count=2, **more))
    assert run(["data", "evaluation", str(tmp_path / "set"), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["items"] == 2 and "100%  2 of 2" in shown.err
    assert len(list((tmp_path / "set").glob("*/sketch.png"))) == 2


def test_eval_vitruvio_without_data_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "vitruvio", "--json"]) == 2
    assert answer(capsys)["error"]["code"] == "eval.data"
