"""Many results from one file: every line has an answer, what is done is not made again, nothing is overwritten."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from studio.cli import run
from tests.studio.batches import soften, spec


def test_batch(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(
        tmp_path / "batch.jsonl",
        {**soften(photo, "out/a.png"), "id": "first"},
        "// a remark",
        {**soften(Path("photo.png"), "out/b.webp"), "seed": 5},  # relative to the batch file
        "",
    )
    assert run(["run", str(path), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["id"], row["status"]) for row in rows] == [("first", "done"), ("3", "done")]
    assert rows[0]["receipt"]["edit"]["changed_outside_mask"] == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "a.png.json", "b.webp", "b.webp.json"]


def test_batch_resumes(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(tmp_path / "b.jsonl", soften(photo, "a.png"), soften(photo, "b.png", steps=2))
    assert run(["run", str(path)]) == 0
    spec(path, soften(photo, "a.png"), soften(photo, "b.png", steps=4), soften(photo, "c.png"))
    capsys.readouterr()
    assert run(["run", str(path), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["status"] for row in rows] == ["skipped", "done", "done"]
    assert Path(rows[1]["output"]).name == "b-2.png"  # another recipe: not the same work, and nothing is overwritten
    assert run(["run", str(path), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["status"], Path(row["output"]).name) for row in rows] == [
        ("skipped", "a.png"), ("skipped", "b-2.png"), ("skipped", "c.png"),
    ]  # fmt: skip
    (tmp_path / "a.png").write_bytes(b"damaged")
    assert run(["run", str(path), "--json", "--force"]) == 0
    assert [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()] == ["done"] * 3


def test_batch_with_failures(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(
        tmp_path / "b.jsonl",
        soften(photo, "a.png", fail="input"),
        soften(tmp_path / "none.png", "b.png"),
        "{no json",
        {"kind": "soften", "inputs": {"person": 3}},
        soften(photo, "e.png", fail="bug"),
        soften(photo, "f.png"),
        {**soften(photo, "g.png"), "kind": "dream"},
    )
    assert run(["run", str(path), "--json"]) == 3
    *rows, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    codes = [row["error"]["code"] if not row["ok"] else row["status"] for row in rows]
    assert codes == ["input.no-person", "input.missing", "recipe.bad", "recipe.bad", "bug", "done", "recipe.kind"]
    assert last["exit_code"] == 3 and "6 of 7" in last["error"]["seen"]
    assert sorted(os.listdir(tmp_path)) == ["b.jsonl", "f.png", "f.png.json", "photo.png"]
    assert run(["run", str(path), "--max-failures", "2", "--json", "--no-resume"]) == 3
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_batch_dry_run(photo: Path, tmp_path: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(tmp_path / "b.jsonl", soften(photo, "out/a.png"))
    assert run(["run", str(path), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "checked"
    assert sorted(os.listdir(tmp_path)) == ["b.jsonl", "photo.png"] and not workspace.exists()


@pytest.mark.parametrize(("content", "code"), [(b"", 6), (b"\n\n", 6), (b"\xff\xfe\0", 6)])
def test_bad_batch_files(tmp_path: Path, content: bytes, code: int) -> None:
    (tmp_path / "b.jsonl").write_bytes(content)
    assert run(["run", str(tmp_path / "b.jsonl")]) == code


def test_a_batch_output_with_a_slash_is_a_folder(photo: Path, tmp_path: Path) -> None:
    assert run(["run", str(spec(tmp_path / "b.jsonl", {**soften(photo, "new/"), "id": "a"})), "--quiet"]) == 0
    assert sorted(os.listdir(tmp_path / "new")) == ["a.png", "a.png.json"]


def test_a_batch_output_no_file_can_have(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(tmp_path / "b.jsonl", soften(photo, "a\0.png"), soften(photo, "x" * 300 + ".png"))
    assert run(["run", str(path), "--json"]) == 3
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["error"]["code"] for row in rows[:2]] == ["output.unwritable"] * 2
    assert sorted(os.listdir(tmp_path)) == ["b.jsonl", "photo.png"]


@pytest.mark.parametrize("options", [[], ["--force"], ["--dry-run"], ["--no-resume"]], ids=" ".join)
@pytest.mark.parametrize("outputs", [("a.png", "a.png"), ("a.png", "here/../a.png"), ("a.png", "again/a.png"),
                                     ("a.png", "a"), (None, None), ("new/", "new/x.png")], ids=str)  # fmt: skip
def test_two_lines_with_one_output_are_refused_before_any_is_made(
    outputs: tuple[str | None, str | None], options: list[str], photo: Path, tmp_path: Path, workspace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "here").mkdir()
    (tmp_path / "again").symlink_to(tmp_path)
    one, two = ({**soften(photo, "", steps=steps), "output": output, "id": "x"}
                for steps, output in zip((1, 2), outputs, strict=True))  # fmt: skip
    path = spec(tmp_path / "b.jsonl", soften(photo, "first.png"), one, "{no json", two)
    names = sorted(os.listdir(tmp_path))
    assert run(["run", str(path), *options, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]  # exactly one object
    assert error["code"] == "batch.same-output" and error["seen"].startswith("lines 2 and 4: ")
    assert sorted(os.listdir(tmp_path)) == names and not workspace.exists()
