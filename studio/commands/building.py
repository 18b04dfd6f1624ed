"""``studio building``, ``passport``, ``repair``: a sketch or a mesh in, something to print out."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.commands.common import (
    Device,
    DryRun,
    Dtype,
    Force,
    Format,
    Home,
    Json,
    Out,
    Quiet,
    Seed,
    passport_lines,
    settings,
    show,
)
from studio.commands.making import Layers, Weights, make

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "km": 1e6, "in": 25.4, "ft": 304.8}
MeshFile = Annotated[Path, typer.Argument(help="Mesh file: 3MF, STL, OBJ, PLY or GLB.")]


class Printer(StrEnum):
    """Printers that are known."""

    GENERIC = "generic"
    PRUSA_MK4 = "prusa-mk4"
    BAMBU_A1 = "bambu-a1"
    BAMBU_A1_MINI = "bambu-a1-mini"
    ENDER_3 = "ender-3"
    DREMEL_3D45 = "dremel-3d45"
    RESIN_SMALL = "resin-small"


class Repair(StrEnum):
    """Repairs that are known, in the order in which they run."""

    WELD = "weld"
    DROP_DEGENERATE = "drop-degenerate"
    ORIENT = "orient"
    CLOSE_HOLES = "close-holes"
    PART_PINCHED = "part-pinched"
    DROP_SPECKS = "drop-specks"
    REMOVE_INNER_SHELLS = "remove-inner-shells"
    FILL_CAVITIES = "fill-cavities"
    UNITE_BODIES = "unite-bodies"


Profile = Annotated[Printer, typer.Option("--profile", help="Printer that the print is judged for.")]
Longest = Annotated[str | None, typer.Option(help="Longest side of the print, e.g. 120mm, 12cm, 4.7in.")]
Height = Annotated[str | None, typer.Option(help="Height of the print, e.g. 120mm.")]
Scale = Annotated[str | None, typer.Option(metavar="1:N", help="Scale, with --real-height.")]
Also = Annotated[
    list[str] | None, typer.Option("--also", metavar="FORMAT", help="Write this format too, beside it; repeatable.")
]
Printable = Annotated[
    bool, typer.Option("--require-printable", help="Exit 7 and write nothing if it is not printable.")
]
Faces = Annotated[int | None, typer.Option("--faces", min=4, help="Reduce to at most so many triangles.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    for verb in (building, passport, repair):
        app.command()(verb)


def building(
    sketch: Annotated[Path, typer.Argument(help="Perspective sketch of a building: a picture or an SVG.")],
    out: Out = None,
    longest: Longest = None,
    height: Height = None,
    scale: Scale = None,
    real_height: Annotated[str | None, typer.Option(help="Height of the real building, e.g. 30m.")] = None,
    view: Annotated[
        str | None, typer.Option(metavar="AZ,EL", help="Camera in degrees, e.g. 45,20; default: found.")
    ] = None,
    variant: Annotated[int, typer.Option(min=0, max=99, help="Which reading of the sketch; 0 is the likeliest.")] = 0,
    straighten: Annotated[bool, typer.Option(help="Snap walls upright and surfaces flat.")] = True,
    detail: Annotated[int, typer.Option(min=1, max=3, help="1 coarse to 3 fine.")] = 2,
    threshold: Annotated[
        float | None, typer.Option(min=0.01, max=0.99, help="Probability that counts as inside; default: the weights'.")
    ] = None,
    profile: Profile = Printer.GENERIC,
    require_printable: Printable = False,
    faces: Faces = None,
    also: Also = None,
    seed: Seed = 0,
    device: Device = None,
    dtype: Dtype = None,
    weights: Weights = None,
    format: Format = None,
    layers: Layers = False,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a printable building from a sketch. Example: studio building sketch.png --height 120mm -o tower.3mf

    The suffix of the output chooses the format: 3mf, stl, obj, ply, glb or ifc. Without a size the longest side is
    100 mm.
    """
    values: dict[str, Any] = {
        **sizes(longest, height, scale, real_height),
        "view": camera(view),
        "variant": variant,
        "straighten": straighten,
        "detail": detail,
        "threshold": threshold,
        "profile": profile.value,
        "require_printable": require_printable,
        "faces": faces,
    }
    make("building", {"sketch": sketch}, values, out, seed=seed, device=device, dtype=dtype, weights=weights,
         format=format, layers=layers, also=also or (), force=force, home=home, dry_run=dry_run, quiet=quiet,
         as_json=as_json)  # fmt: skip


def passport(
    file: MeshFile,
    profile: Profile = Printer.GENERIC,
    require_printable: Annotated[
        bool, typer.Option("--require-printable", help="Exit 7 if it is not printable.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say what a slicer and a printer will make of a mesh file. Example: studio passport tower.stl"""
    from studio import errors
    from studio.commands.common import fail
    from studio.engine import Engine

    engine = Engine(settings(home=home))
    draft = engine.draft("passport", {"mesh": file}, {"profile": profile.value}, keep=False)
    document = engine.perform(draft).product.document or {}
    findings = [f"{each['severity']}: {each['message']}. {each['remedy']}." for each in document["findings"]]
    if require_printable and not document["printable"]:
        wrong = [each for each in document["findings"] if each["severity"] == "error"]
        told = errors.GateFailed(
            "mesh.not-printable",
            "This mesh is not printable",
            seen="; ".join(each["message"] for each in wrong),
            remedy="; ".join(dict.fromkeys(each["remedy"] for each in wrong)),
        )
        if as_json:
            fail(told, {"file": str(file), "passport": document})
        show({}, as_json=False, text=[*passport_lines(document), *findings])
        raise told
    show({"ok": True, "file": str(file), "passport": document}, as_json=as_json,
         text=[*passport_lines(document), *findings])  # fmt: skip


def repair(
    file: MeshFile,
    out: Out = None,
    only: Annotated[
        list[Repair] | None,
        typer.Option("--only", metavar="REPAIR", help="Run this repair alone; repeatable. Default: the usual ones."),
    ] = None,
    add: Annotated[
        list[Repair] | None, typer.Option("--with", metavar="REPAIR", help="Besides the usual ones; repeatable.")
    ] = None,
    faces: Faces = None,
    profile: Profile = Printer.GENERIC,
    require_printable: Printable = False,
    format: Format = None,
    also: Also = None,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Close and clean a mesh file by named repairs. Example: studio repair holes.stl -o closed.3mf

    Repairs: weld, drop-degenerate, orient, close-holes, part-pinched, drop-specks, remove-inner-shells, fill-cavities,
    unite-bodies; the usual ones are all but drop-specks and fill-cavities. Exit 7 and nothing written if the mesh
    stays open.
    """
    from studio.print_settings import USUAL_REPAIRS

    names = [*(each.value for each in only or ()), *(each.value for each in add or ())]
    values = {
        "repairs": list(dict.fromkeys([*names, *(() if only else USUAL_REPAIRS)])),
        "faces": faces,
        "profile": profile.value,
        "require_printable": require_printable,
    }
    make("repair", {"mesh": file}, values, out, format=format, also=also or (), force=force, home=home,
         dry_run=dry_run, quiet=quiet, as_json=as_json)  # fmt: skip


def length(text: str | None, option: str, unit: str = "mm") -> float | None:
    """``120mm``, ``12 cm``, ``4.7in`` in millimetres; a bare number is in ``unit``.

    Raises:
        UsageError: ``size.length``.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*([-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)\s*([a-z]*)\s*", text.lower())
    factor = MILLIMETRES.get(found[2] or unit) if found else None
    if found is None or factor is None:
        raise _bad("size.length", f"{option} is no length", text, "Write it like 120mm, 12cm, 0.12m or 4.7in")
    return float(found[1]) * factor


def sizes(
    longest: str | None, height: str | None, scale: str | None = None, real_height: str | None = None
) -> dict[str, float | None]:
    """The size of a print as its settings have it.

    Raises:
        UsageError: ``size.length`` or ``size.scale``.
    """
    return {
        "longest_mm": length(longest, "--longest"),
        "height_mm": length(height, "--height"),
        "scale": ratio(scale),
        "real_height_m": None if real_height is None else (length(real_height, "--real-height", "m") or 0) / 1000,
    }


def ratio(text: str | None) -> float | None:
    """``1:200`` or ``200`` as 200.

    Raises:
        UsageError: ``size.scale``.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(?:1\s*:\s*)?([-+]?[0-9]*\.?[0-9]+)\s*", text)
    if found is None:
        raise _bad("size.scale", "--scale is no scale", text, "Write it like 1:200")
    return float(found[1])


def camera(text: str | None) -> tuple[float, float] | None:
    """``45,20`` as azimuth and elevation.

    Raises:
        UsageError: ``building.view``.
    """
    if text is None:
        return None
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError:
        azimuth = elevation = math.nan
    if not (-360 <= azimuth <= 360 and 0 <= elevation <= 80):
        raise _bad("building.view", "--view is no view of a building", text,
                   "Azimuth -360 to 360 and elevation 0 to 80 degrees, for example 45,20")  # fmt: skip
    return azimuth, elevation


def _bad(code: str, what: str, seen: str, remedy: str) -> Exception:
    from studio.errors import UsageError

    return UsageError(code, what, seen=seen, remedy=remedy)
