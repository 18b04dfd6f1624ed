"""The folder of cases is looked through by name, and an empty or misspelt one is an error, not a pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.parity.discovery import DATA, KINDS, WITHOUT_COPY, Case, discover, root


def check_root(folder: Path) -> list[Case]:
    """All cases below ``folder``; fails if it or one of its systems' folders has none."""
    assert folder.is_dir(), f"STUDIO_PARITY names no folder: {folder}"
    present = [folder / system for system in KINDS if (folder / system).is_dir()]
    assert present, f"{folder} holds none of the folders {list(KINDS)}"
    cases = []
    for system in present:
        found = discover(system)
        assert found, f"{system} is there but holds no case of the kinds {KINDS[system.name]}"
        cases += found
    return cases


def test_every_present_folder_holds_cases() -> None:
    check_root(root())


def test_the_copies_cover_every_kind_and_stay_small() -> None:
    kinds = {(case.system, case.kind) for case in check_root(DATA)}
    assert kinds == {(system, kind) for system, names in KINDS.items() for kind in names} - WITHOUT_COPY
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= 6_000_000


def test_a_present_folder_without_a_case_fails(tmp_path: Path) -> None:
    (tmp_path / "vitpose").mkdir()
    shutil.copytree(DATA / "viton_hd", tmp_path / "viton_hd")
    with pytest.raises(AssertionError, match="vitpose is there but holds no case"):
        check_root(tmp_path)


def test_a_folder_without_any_system_fails(tmp_path: Path) -> None:
    (tmp_path / "stdit").mkdir()
    with pytest.raises(AssertionError, match="none of the folders"):
        check_root(tmp_path)


def test_names_decide_and_later_variants_wait(tmp_path: Path) -> None:
    folder = tmp_path / "vitpose"
    folder.mkdir()
    for name in ("official_tall_7", "hf_tall_7", "hf_moe_x", "official_base_plus_2", "decode_b", "notes", "officialx"):
        (folder / f"{name}.npz").touch()
    assert {case.path.stem for case in check_root(tmp_path)} == {"official_tall_7", "hf_tall_7", "decode_b"}
    assert [case.name for case in discover(folder) if case.kind == "hf"] == ["tall_7"]
