"""The command line: data on standard output, talk on standard error, the right exit code, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from studio import media, pictures
from studio.cli import app, run
from studio.queue import Queue
from studio.recipe import Recipe
from studio.settings import load
from tests.studio.batches import soften, spec

HERE = Path(__file__).parent


def verbs(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """All commands, hidden ones too."""
    children = getattr(group, "commands", None)
    if children is None:
        return [path]
    return [found for name, child in children.items() for found in verbs(child, (*path, name))]


VERBS = verbs(typer.main.get_command(app))


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: studio " + " ".join(path))
    if path not in (("ui",), ("weights", "seal")):
        assert "--json" in text


def test_the_verbs() -> None:
    wanted = (
        "tryon mask pose parse building cloud surface passport repair check run rerun explain schema verify train eval "
        "doctor ui"
    )
    groups = [("weights", verb) for verb in ("ls", "info", "verify", "pull", "convert", "seal")]
    groups += [("data", verb) for verb in ("prepare", "tampered", "evaluation")]
    groups += [("queue", verb) for verb in ("ls", "pause", "cancel", "retry")]
    assert sorted(VERBS) == sorted([*((verb,) for verb in wanted.split()), *groups])


@pytest.mark.parametrize(
    "arguments",
    [
        line.split()
        for line in (
            "", "dream", "tryon", "tryon a.png", "tryon a b --seed x", "tryon a b --seed -1",
            "tryon a b --category hat",
            "tryon a b -o x.bmp", "weights", "queue cancel one", "queue retry 77", "schema dream",
            "train pose --data . --out o", "train dream --data . --out o --steps 1", "eval parsing",
            "eval garment --data .", "eval pose --data . --split half",
        )
    ],
    ids=" ".join,
)  # fmt: skip
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err and ("error: " in said.err or "Usage" in said.err)


def test_json_error_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pose", "nowhere.png", "--json"]) == 6
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["exit_code"] == 6 and answer["error"]["code"] == "input.missing" and answer["error"]["remedy"]
    assert said.err.startswith("error: ")


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "tryon", "--json"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["settings"]["properties"]["category"]["enum"] == ["upper", "lower", "dress"]
    assert schema["inputs"]["mask"]["required"] is False and schema["recipe"]["properties"]["seed"]


def test_weights_ls_and_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "ls", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["viton-hd-official"]["commercial"] == "no" and not rows["viton-hd-official"]["here"]
    assert run(["weights", "info", "viton-hd-official"]) == 0
    assert "CC-BY-NC-4.0" in capsys.readouterr().out
    assert run(["weights", "info", "nothing"]) == 4
    assert run(["weights", "pull", "viton-hd-official"]) == 4
    assert "--accept-licence" in capsys.readouterr().err


# -- rerun and explain


def test_rerun_and_explain(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(spec(tmp_path / "b.jsonl", soften(photo, "a.png"))), "--quiet"]) == 0
    out = tmp_path / "a.png"
    capsys.readouterr()
    assert run(["rerun", str(out)]) == 0
    assert capsys.readouterr().out.startswith("bit-exact: all 7680 pixels are the same")
    assert run(["explain", str(out)]) == 0
    text = capsys.readouterr().out
    assert "480 pixels in the mask; outside it changed: 0" in text and "should give the same result" in text
    text = pictures.embedded_sidecar(out.read_bytes()) or ""
    other = pictures.pixels_of(out.read_bytes()).copy()
    other[0, 0] ^= 1
    out.write_bytes(pictures.embed(pictures.encode(other, "png"), "png", text))
    assert run(["rerun", str(out), "--json"]) == 7
    answer = json.loads(capsys.readouterr().out)  # one object, failure or not
    assert answer["verdict"] == "differs" and answer["changed_pixels"] == 1
    assert (answer["ok"], answer["exit_code"], answer["error"]["code"]) == (False, 7, "rerun.differs")
    assert run(["rerun", str(photo)]) == 6


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "x" * 300 + "/a.png", "x" * 248 + ".png"])
def test_a_name_too_long_is_told_before_the_work(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The last of the three fits itself, but its sidecar's name would not."""
    monkeypatch.chdir(tmp_path)
    assert run(["pose", str(photo), "--out", name.replace(".png", ".json"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["remedy"]) == ("output.unwritable", "Use a shorter name")
    assert os.listdir(tmp_path) == ["photo.png"]


def test_a_document_that_breaks_off_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text('{"a":')
    assert run(["explain", str(tmp_path / "a.json"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "recipe.bad" and error["seen"].startswith("Expecting value")


@pytest.mark.parametrize("extra", [[], ["--dry-run"]])
def test_training_into_a_file_is_refused_before_it_starts(
    photo: Path, extra: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = photo.read_bytes()
    assert run(["train", "garment", "--out", str(photo), "--steps", "1", "--json", *extra]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "output.unwritable"
    assert photo.read_bytes() == before and os.listdir(photo.parent) == [photo.name]


@pytest.mark.parametrize(
    "verb", ["pose photo.png", "parse photo.png", "mask photo.png", "tryon photo.png photo.png", "rerun made.png"]
)
@pytest.mark.parametrize("device", ["abacus", "cuda:99", "cpu:x"])
def test_a_dry_run_tries_the_device(
    verb: str, device: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from studio.api import Studio

    monkeypatch.chdir(tmp_path)
    if verb.startswith("rerun"):
        Studio(device="cpu").make("soften", {"person": photo}, "made.png")
    names = sorted(os.listdir(tmp_path))
    answers = []
    for more in (["--dry-run"], []):
        assert run([*verb.split(), "--out", "out/", "--device", device, *more, "--json"]) == 2
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1] and answers[0]["error"]["code"] == "runtime.device"
    assert sorted(os.listdir(tmp_path)) == names


def test_a_batch_tries_the_device_before_it_works(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spec(tmp_path / "b.jsonl", soften(photo, "a.png"))
    for more in (["--dry-run"], []):
        assert run(["run", str(path), "--device", "abacus", *more, "--json"]) == 3
        assert json.loads(capsys.readouterr().out.splitlines()[0])["error"]["code"] == "runtime.device"


def test_a_folder_without_weights_is_told_before_it_is_read(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pose", str(photo), "--weights", str(photo.parent), "--dry-run", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "weights.missing"


def test_a_slash_at_the_end_names_a_folder(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.png"
    assert run(["run", str(spec(tmp_path / "b.jsonl", soften(photo, "a.png"))), "--quiet"]) == 0
    capsys.readouterr()
    assert run(["rerun", str(out), "--out", str(tmp_path / "new") + "/", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == str(tmp_path / "new" / "a.png")


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_a_file_name_that_is_no_text_is_told_like_any_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "studio", "explain", b"\xff.png", "--json"]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "STUDIO_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, cwd=HERE.parents[1], env=env, check=False)
    assert done.returncode == 6 and b"Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["seen"] == "\udcff.png"


# -- queue


@pytest.mark.parametrize("arguments", [["cancel", str(2**63)], ["retry", "0"], ["ls", "--limit", str(2**63)]])
def test_a_number_no_job_can_have(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["queue", *arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_queue_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    queue = Queue(load().home)
    number = queue.add(Recipe(kind="soften", inputs={}), Path("/x/a.png"))
    assert run(["queue", "pause"]) == 0 and queue.paused
    assert run(["queue", "ls", "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["paused"] and data["jobs"][0]["id"] == number and data["jobs"][0]["recipe"]["kind"] == "soften"
    assert run(["queue", "pause", "--off"]) == 0 and not queue.paused
    assert run(["queue", "cancel", str(number)]) == 0 and queue.get(number).state == "cancelled"
    assert run(["queue", "retry", str(number)]) == 0 and queue.get(number).state == "queued"
    assert run(["queue", "ls"]) == 0 and "queued" in capsys.readouterr().out


# -- processes


def command(*arguments: str) -> list[str]:
    """``studio`` in a process of its own, with the tiny kinds."""
    return [sys.executable, str(HERE / "cli_main.py"), *arguments]


def test_stdout_is_data_only(photo: Path, tmp_path: Path) -> None:
    path = spec(tmp_path / "b.jsonl", soften(photo, "a.png"))
    done = subprocess.run(command("run", str(path), "--json"), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1 and json.loads(done.stdout)["ok"]
    quiet = subprocess.run(command("run", str(path), "--quiet"), capture_output=True, text=True, check=False)
    assert quiet.stderr == "" and "skipped" in quiet.stdout


def test_closed_pipe_is_no_bug(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command("schema", "tryon"), stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr and "bug" not in done.stderr


def test_bug_is_written_down(photo: Path, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    from studio.engine import Engine

    def broken(*_: object, **__: object) -> None:
        raise LookupError("a defect of ours")

    monkeypatch.setattr(Engine, "draft", broken)
    assert run(["pose", str(photo), "-o", str(tmp_path / "x.json"), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"]["code"] == "bug" and answer["exit_code"] == 1
    (log,) = (workspace / "logs").iterdir()
    assert str(log) in answer["error"]["remedy"] and "a defect of ours" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0])
def test_ctrl_c_at_every_stage(photo: Path, tmp_path: Path, delay: float) -> None:
    """Whether it is importing, decoding, working or writing: 130, one line, nothing half-done."""
    lines = [soften(photo, f"out/{i}.png", steps=3, seconds=0.02) for i in range(400)]
    path = spec(tmp_path / "b.jsonl", *lines)
    with subprocess.Popen(
        command("run", str(path), "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (tmp_path / "out").exists():  # it runs now
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert (
        err.strip().splitlines()[-3].startswith("error: Stopped")
        and json.loads(out.splitlines()[-1])["exit_code"] == 130
    )
    for picture in (tmp_path / "out").iterdir():
        assert not picture.name.startswith("."), picture
        if picture.suffix == ".png":
            assert media.decode(picture.read_bytes(), "x")[0].shape == (96, 80, 3)
            assert picture.with_name(picture.name + ".json").exists()


def test_ctrl_c_that_a_library_swallows(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some libraries turn the interrupt into an error of their own; it is still an interrupt."""
    from studio.engine import Engine

    def swallow(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("cannot import name 'x'") from None

    monkeypatch.setattr(Engine, "draft", swallow)
    assert run(["pose", str(photo), "-o", str(tmp_path / "x.json")]) == 130
    assert "error: Stopped" in capsys.readouterr().err


def test_api(photo: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    import studio
    from studio.api import Studio

    made = Studio(device="cpu").make("soften", {"person": photo}, tmp_path / "a.png", seed=2, steps=1)
    assert made.sidecar.recipe.settings["steps"] == 1
    assert np.array_equal(pictures.pixels_of(made.path.read_bytes())[50:], pixels[50:])
    assert callable(studio.tryon) and callable(studio.pose) and callable(studio.parse)
    with pytest.raises(AttributeError):
        _ = studio.nothing
