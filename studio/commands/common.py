"""What all verbs share: their options, and how they talk."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from studio.engine import Progress
    from studio.errors import PipelineError
    from studio.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check inputs, weights, device and output; make nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of every random draw.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
# Text and not a path: a Path forgets the slash at the end, which says that a folder is meant.
Out = Annotated[
    str | None, typer.Option("--out", "-o", metavar="PATH", help="Output file, or folder with a / at its end.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output, but no input; otherwise NAME-2 is taken.")]
Format = Annotated[str | None, typer.Option("--format", help="Output format, if the name does not say.")]
Home = Annotated[Path | None, typer.Option("--home", help="Workspace folder (STUDIO_HOME).")]


def settings(**flags: Any) -> Settings:
    """The settings in force, with these flags on top."""
    from studio import settings as module

    return module.load(**flags)


def show(data: Any, *, as_json: bool, text: Iterable[str]) -> None:
    """Write the command's data to standard output: JSON, or lines for people."""
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in text)
    sys.stdout.flush()


def fail(error: PipelineError, data: dict[str, Any]) -> NoReturn:
    """End a command with --json that has an answer and a failure: both in its one object, and the failure told."""
    from studio import errors

    code = errors.exit_code(error)
    show({**data, "ok": False, "error": error.as_dict(), "exit_code": code}, as_json=True, text=[])
    say(errors.render(error))
    raise typer.Exit(code)


def say(line: str) -> None:
    """Talk to the person at the terminal: standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def columns(rows: Iterable[Iterable[object]]) -> list[str]:
    """Rows as lines with aligned columns."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def passport_lines(passport: dict[str, Any]) -> list[str]:
    """A print passport, as `pipelines.mesh.printability.Passport.as_dict` gives it, as a short table."""
    profile, size = passport.get("profile", {}), passport.get("size_mm", [0, 0, 0])
    across = " x ".join
    wall, walls = passport.get("minimum_wall_mm"), "not measured: the surface is not closed"
    if wall is not None:
        thin = passport.get("thin_share") or 0
        walls = f"thinnest {wall:.2f} mm, {thin:.1%} of the surface thinner than {profile.get('minimum_wall', 0):g} mm"
    volume, grams, metres = (passport.get(name) for name in ("volume_cm3", "material_g", "filament_m"))
    material = "not measured: the surface is not closed"
    if volume is not None:
        material = f"{volume:.2f} cm³" + (f", about {grams:.1f} g" if grams is not None else "")
        material += f", {metres:.2f} m of filament" if metres is not None else ""
    words = {"bodies": "body", "cavities": "cavity", "inner_shells": "inner shell", "floating_parts": "floating part"}
    counts = [f"{passport[key]} {word if passport[key] == 1 else key.replace('_', ' ')}"
              for key, word in words.items() if passport.get(key)]  # fmt: skip
    edges = [f"{passport.get(f'{word}_edges')} {word} edges" for word in ("open", "crowded", "reversed")
             if passport.get(f"{word}_edges")]  # fmt: skip
    bed = across(f"{side:g}" for side in profile.get("bed", []))
    return columns([
        ("size", f"{across(f'{side:.1f}' for side in size)} mm ({passport.get('scale_source', 'as given')})"),
        ("volume", material),
        ("surface", ", ".join(["closed" if passport.get("manifold") else "not closed", *edges, *counts,
                               f"{passport.get('faces', 0)} triangles"])),
        ("walls", walls),
        ("overhang", f"{passport.get('overhang_share', 0):.1%} of the surface beyond {profile.get('overhang', 45):g}°"),
        ("bed", f"{'fits' if passport.get('fits_bed') else 'does not fit'} {passport.get('printer')}, {bed} mm"),
        ("verdict", "printable" if passport.get("printable") else "not printable"),
    ])  # fmt: skip


class Meter:
    """One line of progress on standard error: redrawn on a terminal, written now and then into a log."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.redraw = quiet, sys.stderr.isatty()
        self.last, self.begun, self.open = 0.0, 0.0, False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if self.quiet or (now - self.last < (0.1 if self.redraw else 5.0) and progress.fraction < 1):
            return
        self.last = now
        left = f", about {progress.eta:.0f} s left" if progress.eta else ""
        line = f"{progress.fraction:4.0%}  {progress.message}{left}"
        if self.redraw:
            sys.stderr.write(f"\r\x1b[K{line}")
            self.open = True
        elif progress.fraction > 0:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def step(self, done: int, total: int, preview: object = None) -> None:
        """The same for a pipeline's own ``on_step``."""
        from studio.engine import Progress

        self.begun = self.begun or time.monotonic()
        left = (time.monotonic() - self.begun) / done * (total - done) if done > 1 else None
        self(Progress(done / max(1, total), f"{done} of {total}", left))

    def close(self) -> None:
        """End the line."""
        if self.open:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self.open = False
