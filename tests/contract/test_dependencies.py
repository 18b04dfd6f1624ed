"""Every package that the code imports is declared, and every declared bound is one that the code needs."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Helpers of tests are put on the path of processes that the tests start, so they are imported by their bare name.
OWN = {"studio", "pipelines", "tests", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}


def imported(folder: Path) -> dict[str, Path]:
    """Top-level name -> one file that imports it, for everything from outside the project and the standard library."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in (name.partition(".")[0] for name in names):
                if name not in sys.stdlib_module_names and name not in OWN:
                    found.setdefault(name, path)
    return found


def declared(*extras: str) -> set[str]:
    lines = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize(("folder", "extras"), [("studio", ()), ("pipelines", ("aec", "clip")), ("tests", ("dev",))])
def test_what_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    providers = packages_distributions()
    allowed = declared(*extras)
    undeclared = {
        name: str(path.relative_to(ROOT))
        for name, path in imported(ROOT / folder).items()
        if not {canonicalize_name(provider) for provider in providers.get(name, [name])} & allowed
    }
    assert undeclared == {}


def requirement(name: str) -> Requirement:
    """The one requirement of this name that holds on Linux, x86-64, Python 3.11."""
    here = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11", "extra": ""}
    parsed = (Requirement(line) for line in PROJECT["dependencies"])
    (found,) = [r for r in parsed if canonicalize_name(r.name) == name and (not r.marker or r.marker.evaluate(here))]
    return found


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("torch", ["2.6.0", "2.13.0", "2.13.0+cpu"], ["2.5.1", "2.14.0"]),
        ("streamlit", ["1.58.0", "1.67.0"], ["1.57.0"]),
        ("moviepy", ["2.2.1"], ["1.0.3"]),
    ],
)
def test_bounds(name: str, inside: list[str], outside: list[str]) -> None:
    bounds = requirement(name).specifier
    assert all(bounds.contains(version) for version in inside)
    assert not any(bounds.contains(version) for version in outside)


@pytest.mark.parametrize(
    ("platform", "machine", "python", "point_clouds", "attention"),
    [
        ("linux", "x86_64", "3.11", {"open3d-cpu"}, True),
        ("linux", "aarch64", "3.12", {"open3d"}, False),
        ("darwin", "arm64", "3.13", {"open3d"}, False),
        ("win32", "AMD64", "3.12", {"open3d"}, True),
        ("linux", "x86_64", "3.15", set(), True),
    ],
)
def test_markers(platform: str, machine: str, python: str, point_clouds: set[str], attention: bool) -> None:
    there = {"sys_platform": platform, "platform_machine": machine, "python_version": python, "extra": ""}
    parsed = [Requirement(line) for line in PROJECT["dependencies"]]
    names = {canonicalize_name(each.name) for each in parsed if not each.marker or each.marker.evaluate(there)}
    assert names & {"open3d", "open3d-cpu"} == point_clouds
    assert ("xformers" in names) is attention
