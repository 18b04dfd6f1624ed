"""``studio data``: data sets to train on and to score on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studio.commands.common import Json, Meter, Quiet, columns, fail, show

app = typer.Typer(help="Data sets to train on and to score on.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def prepare(
    meshes: Annotated[Path, typer.Argument(help="Folder of OBJ, STL, PLY, GLB, 3MF or CityJSON; or one file.")],
    out: Annotated[Path, typer.Argument(help="Folder of the data set; finished models in it are kept.")],
    views: Annotated[int, typer.Option(min=1, help="Drawings a building.")] = 24,
    align: Annotated[
        bool, typer.Option("--align", help="Turn every building along its long side, drawn from all sides.")
    ] = False,
    around: Annotated[
        bool, typer.Option("--around", help="As they stand, drawn from all sides and not from between +x and +z only.")
    ] = False,
    up: Annotated[str, typer.Option(help="Upward axis of OBJ, STL and PLY: z or y.")] = "z",
    limit: Annotated[int | None, typer.Option(min=1, help="Look at so many meshes only.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of points, cameras and hands.")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a data set for vitruvio from building meshes. Example: studio data prepare city.json data/city

    Every mesh is closed by named repairs, its missing floor first, or left out with the reason (exit code 3, the others
    are done). Written in the layout of Occupancy Networks; the same command goes on where it was stopped.
    """
    from studio import systems
    from studio.errors import SomeFailed, UsageError

    if align and around:
        raise UsageError("data.pose", "--align and --around are two ways for buildings to stand", remedy="Give one")
    meter = Meter(quiet)
    try:
        told = systems.prepare_buildings(
            meshes, out, limit=limit, on_step=meter.step, views=views, seed=seed, up=up,
            pose="canonical" if align else "free" if around else "quarter",
        )  # fmt: skip
    finally:
        meter.close()
    left = [outcome for outcome in told["outcomes"] if outcome["status"] == "left out"]
    if left:
        error = SomeFailed(
            "data.some-left-out",
            "Some meshes could not be closed",
            seen=f"{len(left)} of {told['meshes']}; {left[0]['source']}: {left[0]['reason'][:160]}",
            remedy="The others are ready to train on; the list says why for each",
        )
        if as_json:
            fail(error, told)
        show(told, as_json=False, text=_lines(told))
        raise error
    show({"ok": True, **told}, as_json=as_json, text=_lines(told))


def _lines(told: dict) -> list[str]:
    rows = [(o["status"], o["name"], o["reason"] or "; ".join(o["changes"])) for o in told["outcomes"]]
    split = ", ".join(f"{count} {name}" for name, count in told["split"].items())
    return [*columns(rows), f"{told['folder']}: {split}"]


class Part(StrEnum):
    """Which photographs, by the crc32 of their file's stem."""

    EVALUATION = "evaluation"
    CALIBRATION = "calibration"
    ALL = "all"


@app.command()
def tampered(
    photographs: Annotated[list[Path], typer.Argument(help="Folders of photographs, searched at any depth.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the set.")],
    part: Annotated[
        Part, typer.Option(help="evaluation and calibration: one photograph in twenty each, never trained on.")
    ] = Part.EVALUATION,
    limit: Annotated[int | None, typer.Option(min=2, help="So many photographs at most, evenly picked.")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Tamper with photographs, to score iml-vit on. Example: studio data tampered photos/ -o data/tampered

    Each becomes one tampered picture with its mask and one untouched one, saved or shrunk alike; items.json says how.
    The draws are fixed, so the same photographs give the same set.
    """
    from studio import systems

    meter = Meter(quiet)
    try:
        told = systems.write_tampered(photographs, out, part.value, limit=limit, on_step=meter.step)
    finally:
        meter.close()
    show({"ok": True, "folder": str(out), **told}, as_json=as_json, text=[f"{out}: {told['items']} items"])


@app.command()
def evaluation(
    out: Annotated[Path, typer.Argument(help="Folder that the 200 items are written into.")],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the drawn buildings that vitruvio's figures are about. Example: studio data evaluation out/buildings"""
    from studio import systems

    meter = Meter(quiet)
    try:
        written = systems.write_evaluation_set(out, meter.step)
    finally:
        meter.close()
    show(
        {"ok": True, "folder": str(out), "items": len(written)}, as_json=as_json, text=[f"{out}: {len(written)} items"]
    )
