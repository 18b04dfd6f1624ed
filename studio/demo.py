"""What ``make demo`` does: dress people, build sketches, model objects, print a table, write a contact sheet.

It goes the way every user goes, through the command ``studio run``, in a process of its own, with the starter weights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH = Path("assets") / "samples" / "demo.jsonl"
SHEET = "contact_sheet.jpg"
SUFFIXES = {"building": ".3mf", "cloud": ".ply"}
ROW_HEIGHT, GAP, COLUMNS = 420, 12, 2


@dataclass(frozen=True)
class Case:
    """One line of the batch and what became of it.

    Attributes:
        inputs: Its pictures, in the order of the recipe.
        outcome: What ``studio run --json`` said about it.
    """

    inputs: tuple[Path, ...]
    outcome: dict[str, Any]


def batch_file() -> Path:
    """Return the sample batch: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    return next((f for f in (package / BATCH, package.parent / BATCH) if f.is_file()), package.parent / BATCH)


def place(batch: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Write a copy of the batch into ``folder`` whose inputs are absolute and whose outputs lie there.

    Returns:
        The lines of the copy by id.
    """
    lines: dict[str, dict[str, Any]] = {}
    for text in batch.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        line["inputs"] = {slot: str((batch.parent / path).resolve()) for slot, path in line["inputs"].items()}
        line["output"] = line["id"] + SUFFIXES.get(line["kind"], ".png")
        lines[str(line["id"])] = line
    folder.mkdir(parents=True, exist_ok=True)
    copy = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines.values())
    (folder / BATCH.name).write_text(copy, encoding="utf-8")
    return lines


def render(folder: Path, lines: dict[str, dict[str, Any]]) -> tuple[list[Case], int]:
    """Run the batch; each case as it is finished is told on stderr by the command itself.

    Returns:
        The cases, and the exit code of ``studio run``.
    """
    command = [sys.executable, "-m", "studio", "run", str(folder / BATCH.name), "--json"]
    cases = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        for text in process.stdout or ():
            outcome = json.loads(text)
            if "id" in outcome:  # the last line of a failed batch is the error, which stderr has too
                inputs = lines[outcome["id"]]["inputs"]
                cases.append(Case(tuple(map(Path, inputs.values())), outcome))
    return cases, process.returncode


def contact_sheet(cases: list[Case], path: Path) -> None:
    """Write inputs and result of every case side by side, two cases a row; of what is solid or a cloud, two sides."""
    import numpy as np
    from PIL import Image

    from studio import clouds, media, meshes, pictures

    def scaled(pixels: Any) -> Image.Image:
        picture = Image.fromarray(pixels)
        return picture.resize(
            (round(picture.width * ROW_HEIGHT / picture.height), ROW_HEIGHT), Image.Resampling.LANCZOS
        )

    def decoded(source: Path) -> Any:
        return media.decode(media.read_bytes(source), source.name)[0]

    strips = []
    for case in cases:
        output = Path(case.outcome["output"])
        corners = {".3mf": meshes.corners, ".ply": clouds.corners}.get(output.suffix)
        made = corners(output.read_bytes(), output.name, ROW_HEIGHT) if corners else [decoded(output)]
        shown = [scaled(pixels) for pixels in (*map(decoded, case.inputs), *made)]
        strip = Image.new("RGB", (sum(p.width for p in shown) + 2 * GAP, ROW_HEIGHT), "white")
        left = 0
        for picture in shown:
            strip.paste(picture, (left, 0))
            left += picture.width + GAP
        strips.append(strip)
    width = max(strip.width for strip in strips)
    columns = min(COLUMNS, len(strips))
    rows = -(-len(strips) // columns)
    size = columns * width + (columns + 1) * 2 * GAP, rows * (ROW_HEIGHT + 2 * GAP) + 2 * GAP
    sheet = Image.new("RGB", size, "white")
    for index, strip in enumerate(strips):
        row, column = divmod(index, columns)
        sheet.paste(strip, (2 * GAP + column * (width + 2 * GAP), 2 * GAP + row * (ROW_HEIGHT + 2 * GAP)))
    part = path.with_suffix(".part")
    part.write_bytes(pictures.encode(np.asarray(sheet), "jpeg", quality=90))
    os.replace(part, path)


def shown(path: Path) -> str:
    """Return the path as a person in this folder would type it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def table(cases: list[Case], sheet: Path, seconds: float) -> None:
    """Write what was made, how long each took, and where it is: plain lines, so that a path can be copied whole."""
    lines = ["", "          time  file"]
    for case in cases:
        outcome = case.outcome
        where = shown(Path(outcome["output"])) if outcome["ok"] else f"{outcome['id']}: {outcome['error']['what']}"
        lines.append(f"{outcome['status']:<8}{outcome['seconds']:5.1f}s  {where}")
    if sheet.is_file():
        lines += ["", f"contact sheet   {shown(sheet)}"]
    lines.append(f"{len(cases)} results in {seconds:.0f} s. Next: make studio")
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> int:
    """Parse the command line and run the demo; the exit code is that of ``studio run``."""
    parser = argparse.ArgumentParser(prog="python -m studio.demo", description="Run the sample batch.")
    parser.add_argument("--out", type=Path, default=Path("out") / "demo")
    folder = parser.parse_args().out.resolve()
    started = time.monotonic()
    cases, code = render(folder, place(batch_file(), folder))
    done = [case for case in cases if case.outcome["ok"]]
    if done:
        contact_sheet(done, folder / SHEET)
    table(cases, folder / SHEET, time.monotonic() - started)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
