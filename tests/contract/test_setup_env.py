"""The set-up script runs before anything is installed, on whatever Python is there, and does nothing twice."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from studio import setup_env

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "studio" / "setup_env.py"


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the script as make does, without the installed packages."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), *arguments]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False)


def test_needs_the_standard_library_only() -> None:
    assert run("--help").returncode == 0


def test_an_old_python_gets_as_far_as_the_message() -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 8))


def test_a_finished_environment_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDIO_TORCH_INDEX", raising=False)
    python = setup_env.environment_python(tmp_path)
    python.parent.mkdir()
    python.write_text("not run", encoding="utf-8")
    stamp = tmp_path / ".ready-dev"
    stamp.write_text(setup_env.fingerprint(["dev"], sys.executable), encoding="utf-8")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    done = run("--venv", str(tmp_path), "--extra", "dev")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_what_changes_the_environment_changes_the_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDIO_TORCH_INDEX", raising=False)
    plain = setup_env.fingerprint([], "python3")
    assert setup_env.fingerprint(["dev"], "python3") != plain
    assert setup_env.fingerprint([], "python3.12") != plain
    monkeypatch.setenv("STUDIO_TORCH_INDEX", "pypi")
    assert setup_env.fingerprint([], "python3") != plain


@pytest.mark.parametrize(
    ("chosen", "arguments"),
    [("pypi", []), ("https://example.org/whl/cu128", ["--extra-index-url", "https://example.org/whl/cu128"])],
)
def test_the_user_chooses_the_build_of_torch(
    chosen: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_TORCH_INDEX", chosen)
    assert setup_env.torch_arguments() == arguments


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system libraries are Linux's")
def test_a_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    there = dict(setup_env.SYSTEM_LIBRARIES)
    monkeypatch.setitem(there, "libno-such-thing.so.7", "libno-such-thing7")
    monkeypatch.setattr(setup_env, "SYSTEM_LIBRARIES", there)
    missing = setup_env.missing_libraries()
    assert missing["libno-such-thing.so.7"] == "libno-such-thing7"
    assert setup_env.install_line(["libno-such-thing7"]).endswith(" libno-such-thing7")


@pytest.mark.skipif(os.name == "nt", reason="no root on Windows")
def test_without_root_the_line_is_shown_and_nothing_is_run(tmp_path: Path) -> None:
    """As an unprivileged user, with an apt-get on the path that would leave a trace."""
    trace = tmp_path / "trace"
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\ntouch {trace}\n", encoding="utf-8")
    apt.chmod(0o755)
    code = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from studio import setup_env
os.geteuid = lambda: 1000
print(json.dumps(setup_env.install_system_packages(["libgl1"])))
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) is False
    assert "sudo" in done.stderr and "apt-get install -y --no-install-recommends libgl1" in done.stderr
    assert not trace.exists()
