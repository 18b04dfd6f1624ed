"""What PrusaSlicer says of a mesh file. It exits with 0 whatever it finds, so its words are read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SLICER = shutil.which("prusa-slicer")
SOLID = ("--fill-density", "100%", "--fill-pattern", "rectilinear")


def info(path: Path) -> dict[str, str]:
    """``prusa-slicer --info`` as names and values."""
    command = [str(SLICER), "--info", path.name]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=True)
    pairs = [line.partition("=") for line in done.stdout.splitlines() if "=" in line]
    return {key.strip(): value.strip() for key, _, value in pairs}


def sliced(path: Path, *options: str) -> tuple[float, str]:
    """Slice a file for a solid print: plastic in cm3, and the whole G-code."""
    target = path.with_name(path.name + ".gcode")
    command = [str(SLICER), "--export-gcode", *SOLID, *options, "-o", target.name, path.name]
    subprocess.run(command, cwd=path.parent, capture_output=True, check=True)
    text = target.read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("; filament used [cm3]")]
    return float(line.partition("=")[2]), text
