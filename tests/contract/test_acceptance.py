"""The acceptance runner says met only when a figure was measured and holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.__main__ import measure
from tests.acceptance.lines import LINES, ROOT, Broken, Context, Figure, junit_figures, read_object


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, data=None, fresh=False, samples=1)


@pytest.mark.parametrize(
    ("value", "sign", "bound", "met"),
    [
        (0.5, ">=", 0.5, True),
        (0.49, ">=", 0.5, False),
        (float("nan"), ">=", 0.5, False),
        (3.0, "<=", 3.0, True),
        (3.1, "<=", 3.0, False),
        (0, "==", 0, True),
        (1, "==", 0, False),
        (-1, ">=", None, True),
    ],
)
def test_bounds(value: float, sign: str, bound: float | None, met: bool) -> None:
    assert Figure("x", value, bound, sign).met is met


def test_a_missing_data_set_skips_with_the_reason(context: Context, tmp_path: Path) -> None:
    assert measure("parsing", context)["state"] == "skipped"
    there = Context(tmp_path, data=tmp_path, fresh=False, samples=1)
    row = measure("pose", there)
    assert row["state"] == "skipped"
    assert str(tmp_path / "lspet") in row["reason"]


def test_a_command_that_fails_is_broken_and_says_why(context: Context) -> None:
    with pytest.raises(Broken, match="exit code 3") as caught:
        context.run([sys.executable, "-c", "import sys; sys.exit('the reason' and 3)"])
    assert "sys.exit" in str(caught.value)


def test_a_line_that_breaks_is_a_row(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Context) -> list[Figure]:
        raise KeyError("miou")

    monkeypatch.setitem(LINES, "help", broken)
    row = measure("help", context)
    assert (row["state"], row["figures"]) == ("broken", [])
    assert "miou" in row["reason"]


@pytest.mark.parametrize("text", ["", "[1]", "{} {}", "progress\n{}"])
def test_only_one_json_object_counts(text: str) -> None:
    with pytest.raises(Broken):
        read_object(text)


def test_no_passed_test_is_not_met(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text('<testsuites><testsuite tests="3" failures="0" errors="0" skipped="3"/></testsuites>')
    figures = {figure.name: figure for figure in junit_figures(report)}
    assert figures["passed"].met is False
    assert figures["skipped"].value == 3


def test_one_line_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "accept.json"
    command = [sys.executable, "-m", "tests.acceptance", "--only", "help", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    report = json.loads(out.read_text(encoding="utf-8"))
    (row,) = report["lines"]
    assert row["line"] == "help"
    assert done.returncode == (0 if row["state"] == "met" else 7), done.stderr
    assert 0 < row["figures"][0]["value"] < 10
    assert done.stdout.strip() == str(out)
