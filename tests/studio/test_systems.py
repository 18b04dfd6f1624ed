"""``studio train`` and ``studio eval`` reach the right function with the right arguments."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from studio.cli import run
from studio.systems import SYSTEMS


@pytest.mark.parametrize("name", SYSTEMS)
def test_functions_exist_and_take_what_they_are_given(name: str) -> None:
    train = inspect.signature(import_module(SYSTEMS[name].training).train)
    assert [p for p in train.parameters if p != "data"][:3] == ["folder", "config", "runtime"]
    assert "log" in train.parameters and "network" in train.parameters
    if SYSTEMS[name].evaluation:
        score = inspect.signature(import_module(SYSTEMS[name].evaluation or "").evaluate)
        assert list(score.parameters)[:2] == ["data", "split"] and "weights" in score.parameters


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What training and score of pose are called with, by functions of the same signature."""
    training, evaluation = import_module("pipelines.vitpose.training"), import_module("pipelines.vitpose.evaluation")
    calls: list[dict[str, Any]] = []

    def record(function: Any, answer: Any) -> Any:
        signature = inspect.signature(function)

        def stand_in(*values: Any, **named: Any) -> Any:
            calls.append(dict(signature.bind(*values, **named).arguments))
            return answer

        stand_in.__signature__ = signature  # type: ignore[attr-defined]
        return stand_in

    monkeypatch.setattr(training, "train", record(training.train, Path("run/weights")))
    monkeypatch.setattr(evaluation, "evaluate", record(evaluation.evaluate, {"pck": 0.5, "items": 3}))
    return calls


def test_train(recorded: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "pose", "--data", str(tmp_path), "--out", "run", "--steps", "3", "--batch", "2", "--lr",
                 "0.01", "--seed", "5", "--device", "cpu", "--set", "rendered_share=0.5", "--set",
                 "rendered=pipelines.core.augment:is_validation", "--network", "starter", "--json"]  # fmt: skip
    assert run(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["weights"] == "run/weights" and answer["config"]["steps"] == 3
    (call,) = recorded
    config = call["config"]
    assert (config.steps, config.minutes, config.batch, config.lr, config.seed) == (3, None, 2, 0.01, 5)
    assert call["rendered_share"] == 0.5 and callable(call["rendered"]) and call["network"] == "starter"
    assert str(call["runtime"].device) == "cpu" and call["data"] == (tmp_path,)


def test_train_dry_run(recorded: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "pose", "--data", str(tmp_path), "-o", "run", "--minutes", "2", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["minutes"] == 2 and recorded == []


@pytest.mark.parametrize(
    ("more", "code", "exit_code"),
    [
        (["--steps", "1", "--minutes", "1"], "train.bound", 2),
        (["--steps", "1", "--set", "colour=3"], "train.option", 2),
        (["--steps", "1", "--set", "rendered_share=lots"], "train.option", 2),
        (["--steps", "1", "--set", "rendered=pipelines.no.such:thing"], "train.option", 2),
        (["--steps", "1", "--data", "nowhere"], "input.missing", 6),
        (["--steps", "1", "--device", "abacus"], "runtime.device", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_train_refuses(
    recorded: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: str,
    exit_code: int,
) -> None:  # fmt: skip
    assert run(["train", "pose", "--data", str(tmp_path), "-o", "run", "--json", *more]) == exit_code
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code and recorded == []


def test_garment_draws_its_own_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "garment", "--data", str(tmp_path), "-o", "run", "--steps", "1", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "train.data"
    assert run(["train", "pose", "-o", "run", "--steps", "1", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "train.data"
    assert run(["train", "garment", "-o", "run", "--steps", "1", "--dry-run"]) == 0


def test_eval(recorded: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "pose", "--data", str(tmp_path), "--split", "val", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pck": 0.5, "items": 3}
    (call,) = recorded
    assert (call["data"], call["split"], call["device"]) == (tmp_path, "val", "cpu") and "weights" not in call
    assert run(["eval", "pose", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["pck    0.5000", "items  3"]
    assert run(["eval", "pose", "--data", str(tmp_path), "--rendered", "3"]) == 2
    assert run(["eval", "pose", "--rendered", "3"]) == 2
    assert run(["eval", "pose", "--data", "nowhere"]) == 6
