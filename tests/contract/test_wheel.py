"""The wheel works outside the repository and without a network: built, installed elsewhere, run from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Loaded by Python at start because its folder is on the path: any attempt to leave this machine ends the process.
NO_NETWORK = """
import os, socket, sys
def refuse(self, address, *rest):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        sys.stderr.write(f"NETWORK {address}\\n")
        os._exit(99)
    return original(self, address, *rest)
original, socket.socket.connect = socket.socket.connect, refuse
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else; the dependencies stay where they are."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", str(folder), str(wheel)], check=True, capture_output=True)
    (folder / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    return folder


def run(installed: Path, *command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command outside the repository against the installed wheel only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STUDIO_", "PYTHON"))}
    env = {**kept, "PYTHONPATH": str(installed), "STUDIO_HOME": str(home / "home"), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
        (scripts,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert "studio = studio.__main__:main" in scripts
    assert "License-Expression: Apache-2.0" in metadata
    assert {"pipelines/weights/manifest.toml", "studio/streamlit_app.py", "studio/assets/samples/demo.jsonl"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    # Weights and samples of the tree are there to the last file, and nothing of the tests is.
    for source, target in (("weights", "pipelines/weights"), ("assets", "studio/assets")):
        files = [path.relative_to(ROOT / source).as_posix() for path in (ROOT / source).rglob("*") if path.is_file()]
        assert {f"{target}/{file}" for file in files} - names == set()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"studio", "pipelines"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".part")]


def test_doctor_runs_offline(installed: Path, tmp_path: Path) -> None:
    done = run(installed, sys.executable, str(installed / "bin" / "studio"), "doctor", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["healthy"] is True
    starters = {row["name"] for row in report["checks"]["weights"] if row["value"].startswith("starter")}
    assert {"pose", "parsing", "garment", "viton-hd"} <= starters
    packages = {row["name"]: row for row in report["checks"]["packages"]}
    assert packages["torch"]["state"] == "ok"
    home = next(row for row in report["checks"]["settings"] if row["name"] == "home")
    assert home["value"] == f"{tmp_path / 'home'}  [environment STUDIO_HOME]"


def test_doctor_notices_a_flipped_byte(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(installed, tmp_path / "copy")
    weights = next((tmp_path / "copy" / "pipelines" / "weights" / "starter" / "pose").rglob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    done = run(tmp_path / "copy", sys.executable, "-m", "studio", "doctor", "--json", home=tmp_path)
    assert done.returncode == 4, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert (report["healthy"], report["exit_code"]) == (False, 4)
    assert [row["name"] for row in report["checks"]["weights"] if row["state"] == "fail"] == ["pose"]


def test_everything_is_found_inside_the_packages(installed: Path, tmp_path: Path) -> None:
    code = """
import json, sys
from importlib.resources import files
from pipelines.core import hub
found = {"weights": str(hub.root()), "samples": str(files("studio") / "assets" / "samples" / "demo.jsonl")}
sys.stdout.write(json.dumps(found))
"""
    done = run(installed, sys.executable, "-c", code, home=tmp_path)
    assert done.returncode == 0, done.stderr
    for path in json.loads(done.stdout).values():
        assert Path(path).is_relative_to(installed)
        assert Path(path).exists()


def test_the_page_starts(installed: Path, tmp_path: Path) -> None:
    code = f"""
from streamlit.testing.v1 import AppTest
page = AppTest.from_file({str(installed / "studio" / "streamlit_app.py")!r}, default_timeout=120).run()
raise SystemExit([str(error.message) for error in page.exception] or 0)
"""
    done = run(installed, sys.executable, "-c", code, home=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_guard_guards(installed: Path, tmp_path: Path) -> None:
    """Otherwise the tests above would say nothing about the network."""
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = run(installed, sys.executable, "-c", code, home=tmp_path)
    assert done.returncode == 99
    assert "NETWORK" in done.stderr
