"""No result takes the place of a file that it is made from, by whatever name that file is called."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from studio.cli import run
from studio.errors import OutputError
from tests.studio.batches import soften, spec


@pytest.mark.parametrize("way", ["itself", "relative", "link", "hard link", "linked folder", "the input is a link"])
def test_an_output_never_overwrites_its_own_input(
    way: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given, out = photo, photo
    if way == "relative":
        monkeypatch.chdir(tmp_path)
        out = Path("nothing/../photo.png")
        (tmp_path / "nothing").mkdir()
    elif way == "link":
        out = tmp_path / "out.png"
        out.symlink_to(photo)
    elif way == "hard link":
        out = tmp_path / "out.png"
        out.hardlink_to(photo)
    elif way == "linked folder":
        (tmp_path / "again").symlink_to(tmp_path)
        out = tmp_path / "again" / "photo.png"
    elif way == "the input is a link":
        given = tmp_path / "given.png"
        given.symlink_to(photo)
    before, names = photo.read_bytes(), sorted(os.listdir(tmp_path))
    for verb in (["parse", str(given), "-o", str(out)], ["mask", str(given), str(given), "-o", str(out)],
                 ["tryon", str(given), str(given), "-o", str(out)]):  # fmt: skip
        for more in ([], ["--dry-run"]):
            assert run([*verb, "--force", *more, "--json"]) == 2
            error = json.loads(capsys.readouterr().out)["error"]
            assert error["code"] == "output.is-input" and str(given) in error["seen"]
    path = spec(tmp_path / "b.jsonl", soften(given, str(out)), soften(given, "fine.png"))
    assert run(["run", str(path), "--force", "--json"]) == 3
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [rows[0]["error"]["code"], rows[1]["status"]] == ["output.is-input", "done"]
    assert photo.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "b.jsonl", "fine.png", "fine.png.json"])


def test_where_large_and_small_letters_are_alike_they_are_one_file(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:  # as such a file system answers
        alike = isinstance(path, (str, Path)) and os.path.basename(path).lower() == "photo.png"
        return real(photo if alike else path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert run(["parse", str(photo), "-o", str(tmp_path / "PHOTO.png"), "--force", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "output.is-input"


def test_without_force_the_result_takes_another_name(photo: Path) -> None:
    from studio.api import Studio

    before = photo.read_bytes()
    made = Studio(device="cpu").make("soften", {"person": photo}, photo)
    assert made.path.name == "photo-2.png" and photo.read_bytes() == before
    with pytest.raises(OutputError, match="made from"):
        Studio(device="cpu").make("soften", {"person": str(photo)}, photo, force=True)
    assert photo.read_bytes() == before


def test_a_mask_among_the_layers_of_the_output_is_kept(photo: Path, tmp_path: Path) -> None:
    from studio.api import Studio

    studio, out = Studio(device="cpu"), tmp_path / "a.png"
    made = studio.make("soften", {"person": photo}, out, layers=True)
    assert made.layers is not None
    mask = made.layers / "mask.png"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OutputError) as caught:
        studio.make("soften", {"person": photo, "mask": mask}, out, force=True)
    assert caught.value.code == "output.is-input"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_rerun_overwrites_neither_the_result_nor_an_input_beside_it(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", str(spec(tmp_path / "b.jsonl", soften(photo, "a.png"))), "--quiet"]) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for out in (tmp_path / "a.png", photo):
        capsys.readouterr()
        assert run(["rerun", str(tmp_path / "a.png"), "--out", str(out), "--force", "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "output.is-input"
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
