"""Create the virtual environment that ``make`` works in. Standard library only: it runs before anything is installed.

Run as ``python3 -I studio/setup_env.py [--extra dev]``. The ``-I`` matters: without it Python would put this folder on
its path, where ``queue.py`` hides the standard library's.

Steps, each skipped when already done: a new enough Python; the system libraries that a bare Debian lacks (installed as
root, otherwise the one line to run is shown); the environment; the packages of pyproject.toml, with a CPU build of
torch where no NVIDIA driver is found. A stamp in the environment holds a hash of what was asked for.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# What open3d and OpenCV load and their wheels do not carry: shared object -> Debian package.
SYSTEM_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libgomp.so.1": "libgomp1",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libudev.so.1": "libudev1",
}


def say(line: str) -> None:
    """Write one line to stderr at once, so that it stands in order with pip's output."""
    sys.stderr.write(f"[setup] {line}\n")
    sys.stderr.flush()


def find_python() -> str | None:
    """Return a Python that is new enough, this one first, or None."""
    if sys.version_info >= OLDEST_PYTHON:
        return sys.executable
    return next(filter(None, (shutil.which(f"python3.{minor}") for minor in (13, 12, 11, 14))), None)


def missing_libraries() -> dict[str, str]:
    """Return the shared objects that do not load, each with its Debian package. Empty outside Linux."""
    if not sys.platform.startswith("linux"):
        return {}
    missing = {}
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing[library] = package
    return missing


def install_line(packages: list[str]) -> str:
    """Return the shell line that installs Debian packages, to be run as root."""
    return f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"


def install_system_packages(packages: list[str]) -> bool:
    """Install Debian packages as root.

    Returns:
        True when they are installed now; False when this needs the user, who has then been told the line to run.
    """
    line = install_line(packages)
    if shutil.which("apt-get") is None:
        say(f"these Debian packages, or your system's name for them, are missing: {' '.join(packages)}")
        return False
    if os.geteuid() != 0:
        say(f"missing system packages; run this once:  sudo sh -c '{line}'")
        return False
    say(f"installing system packages: {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])
    for command in commands:
        done = subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            say(f"'{' '.join(command)}' failed; run by hand:  {line}")
            return False
    return True


def torch_arguments() -> list[str]:
    """Return the pip arguments that choose the build of torch.

    PyPI's Linux build brings several GB of CUDA libraries. Without an NVIDIA driver the CPU index is added; its
    versions end in ``+cpu``, which pip ranks above the same version without.
    ``STUDIO_TORCH_INDEX`` overrides the choice: an index address, or ``pypi``.
    """
    chosen = os.environ.get("STUDIO_TORCH_INDEX", "").strip()
    if chosen:
        return [] if chosen == "pypi" else ["--extra-index-url", chosen]
    if sys.platform == "darwin" or shutil.which("nvidia-smi"):
        return []
    host = CPU_INDEX.split("/")[2]
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        say(f"{host} does not answer; torch comes from pip's own sources (set STUDIO_TORCH_INDEX to choose)")
        return []
    say("no NVIDIA driver found: installing the CPU build of torch (set STUDIO_TORCH_INDEX to choose another)")
    return ["--extra-index-url", CPU_INDEX]


def environment_python(venv: Path) -> Path:
    """Return the path of the environment's interpreter."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(extras: list[str], python: str) -> str:
    """Return a hash of everything that decides what the environment holds."""
    parts = [(ROOT / "pyproject.toml").read_text(encoding="utf-8"), ",".join(extras), python, platform.machine()]
    parts.append(os.environ.get("STUDIO_TORCH_INDEX", ""))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def create(venv: Path, extras: list[str]) -> int:
    """Bring the environment up to date.

    Args:
        venv: Folder of the virtual environment.
        extras: Names of the extras of pyproject.toml to install besides the plain dependencies.

    Returns:
        Exit code: 0 when the environment is ready, 1 when the user has to act, which has then been said.
    """
    python = find_python()
    if python is None:
        say(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed; this is {platform.python_version()}")
        return 1
    stamp = venv / f".ready-{'-'.join(extras) or 'run'}"
    wanted = fingerprint(extras, python)
    if environment_python(venv).exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return 0

    started = time.monotonic()
    packages = list(missing_libraries().values())
    needs_venv = python == sys.executable and importlib.util.find_spec("ensurepip") is None
    if needs_venv:
        packages.append(f"python3.{sys.version_info.minor}-venv")
    if packages and not install_system_packages(packages):
        if needs_venv:
            return 1
        say("going on without them: point clouds and meshes will not work until they are there")

    if not environment_python(venv).exists():
        say(f"creating {venv}")
        made = subprocess.run([python, "-m", "venv", str(venv)], check=False)
        if made.returncode != 0:
            # A half-made environment has an interpreter but no pip, and would pass for a finished one next time.
            shutil.rmtree(venv, ignore_errors=True)
            say(f"'{python} -m venv' failed; on Debian:  apt-get install -y python3-venv")
            return 1
    target = f".[{','.join(extras)}]" if extras else "."
    say(f"installing {target} (a few minutes the first time)")
    pip = [str(environment_python(venv)), "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "install", "-qq", "--progress-bar", "off", *torch_arguments(), "--editable", target]
    installed = subprocess.run(command, cwd=ROOT, check=False)
    if installed.returncode != 0:
        say("pip failed; its message stands above. After mending the cause, run the same command again")
        return 1
    stamp.write_text(wanted, encoding="utf-8")
    say(f"ready after {time.monotonic() - started:.0f} s")
    return 0


def main() -> int:
    """Parse the command line and create the environment."""
    parser = argparse.ArgumentParser(description="Create the virtual environment that make works in.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--extra", action="append", default=[], help="extra of pyproject.toml to install; repeatable")
    options = parser.parse_args()
    return create(options.venv, sorted(options.extra))


if __name__ == "__main__":
    raise SystemExit(main())
