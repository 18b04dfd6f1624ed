"""``studio cloud``, ``surface``: pictures of an object in, a point cloud out; a point cloud in, a solid out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.commands.building import Also, Faces, Height, Longest, Printable, Printer, Profile, Scale, sizes
from studio.commands.common import Device, DryRun, Dtype, Force, Format, Home, Json, Out, Quiet, Seed, fail, show
from studio.commands.making import Layers, Weights, make, produce


class Sampler(StrEnum):
    """How steps from noise to a cloud are taken."""

    DPM_SOLVER = "dpm-solver++"
    DDIM = "ddim"
    DDPM = "ddpm"


class Method(StrEnum):
    """How a surface is laid."""

    AUTO = "auto"
    POISSON = "poisson"
    WRAP = "wrap"


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    for verb in (cloud, surface):
        app.command()(verb)


def cloud(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of one object, up to eight, from different sides.")],
    out: Out = None,
    points: Annotated[int, typer.Option(min=512, max=16_384, help="Points of the cloud.")] = 4096,
    steps: Annotated[int, typer.Option(min=2, max=200, help="Steps from noise to the cloud.")] = 20,
    sampler: Annotated[Sampler, typer.Option(help="How steps are taken; ddpm wants 200.")] = Sampler.DPM_SOLVER,
    guidance: Annotated[
        float,
        typer.Option(min=0, max=10, help="1 follows the pictures, more exaggerates, in twice the time."),
    ] = 1.0,
    mesh: Annotated[
        str | None, typer.Option("--mesh", metavar="PATH", help="Also make a solid of it, as `studio surface` would.")
    ] = None,
    longest: Longest = None,
    height: Height = None,
    profile: Annotated[
        Printer | None, typer.Option("--profile", help="Printer that the solid is judged for.", show_default="generic")
    ] = None,
    require_printable: Annotated[
        bool, typer.Option("--require-printable", help="Exit 7 and write no solid if it is not printable.")
    ] = False,
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
    """Make a coloured point cloud from pictures of one object. Example: studio cloud a.jpg b.jpg --mesh chair.3mf

    Photograph it whole, before a plain background, or give PNG files with a transparent one. The suffix of the output
    chooses the format: ply, xyz, las or laz; z is up and the longest side 1. Size and printer are those of --mesh.
    """
    from studio.errors import PipelineError

    solid = {**sizes(longest, height), "profile": (profile or Printer.GENERIC).value,
             "require_printable": require_printable}  # fmt: skip
    files = _views(pictures)
    if mesh is None:
        _only_with_mesh(longest, height, profile, require_printable)
    else:
        _check_mesh(mesh, solid, [*files.values(), *_clouds(files, out, format, also or ())], force, home)
    values = {"points": points, "steps": steps, "sampler": sampler.value, "guidance": guidance}
    common: dict[str, Any] = {"force": force, "home": home, "quiet": quiet, "layers": layers}
    told = produce("cloud", files, values, out, seed=seed, device=device, dtype=dtype, weights=weights, format=format,
                   also=also or (), dry_run=dry_run, **common)  # fmt: skip
    if mesh is None or not told.artefacts:
        solid_too = {} if mesh is None else {"mesh": {"output": mesh, "settings": solid}}
        also_line = [] if mesh is None else [f"and of it      {mesh}"]
        show({**told.data, **solid_too}, as_json=as_json, text=[*told.lines, *also_line])
        return
    if not as_json:  # the cloud is there, whatever becomes of the solid
        show({}, as_json=False, text=told.lines)
    try:
        made = produce("surface", {"cloud": told.artefacts[0].path}, solid, mesh, **common)
    except PipelineError as error:
        if as_json:
            fail(error, told.data)
        raise
    show({**told.data, "mesh": made.data}, as_json=as_json, text=made.lines)


def surface(
    cloud: Annotated[Path, typer.Argument(help="Point cloud: PLY, XYZ, LAS or LAZ.")],
    out: Out = None,
    method: Annotated[
        Method, typer.Option(help="Through the points (poisson), around them (wrap), or the first where it holds.")
    ] = Method.AUTO,
    longest: Longest = None,
    height: Height = None,
    scale: Scale = None,
    real_height: Annotated[str | None, typer.Option(help="Height of the real thing, e.g. 1.2m.")] = None,
    profile: Profile = Printer.GENERIC,
    require_printable: Printable = False,
    faces: Faces = None,
    also: Also = None,
    format: Format = None,
    layers: Layers = False,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make one closed, printable solid of a point cloud. Example: studio surface chair.ply --height 80mm -o chair.3mf

    z is up. Without a size the longest side is 100 mm. A cloud of which no closed solid can be made is refused with the
    reason, and nothing is written.
    """
    values: dict[str, Any] = {
        "method": method.value,
        **sizes(longest, height, scale, real_height),
        "profile": profile.value,
        "require_printable": require_printable,
        "faces": faces,
    }
    make("surface", {"cloud": cloud}, values, out, format=format, layers=layers, also=also or (), force=force,
         home=home, dry_run=dry_run, quiet=quiet, as_json=as_json)  # fmt: skip


def _views(pictures: list[Path]) -> dict[str, Path]:
    """The pictures by slot.

    Raises:
        UsageError: ``cloud.views``.
    """
    from studio.errors import UsageError
    from studio.registry import MOST_VIEWS

    if len(pictures) > MOST_VIEWS:
        raise UsageError("cloud.views", "So many pictures cannot be used", seen=len(pictures),
                         remedy=f"Give the best {MOST_VIEWS}, from different sides")  # fmt: skip
    return {f"view{number}": path for number, path in enumerate(pictures, 1)}


def _clouds(files: dict[str, Path], out: str | None, format: str | None, also: Sequence[str]) -> list[Path]:
    """Where the cloud will be written, which the solid must not take the place of."""
    from studio import registry, targets

    row = registry.kind("cloud")
    first = targets.target_for(out, row.formats, registry.default_name(row, files), format=format).path
    return [first, *(first.with_suffix(targets.SUFFIX_OF[name]) for name in also if name in row.formats)]


def _only_with_mesh(longest: str | None, height: str | None, profile: Printer | None, require_printable: bool) -> None:
    given = {"--longest": longest, "--height": height, "--profile": profile and profile.value,
             "--require-printable": require_printable or None}  # fmt: skip
    named = [name for name, value in given.items() if value is not None]
    if named:
        from studio.errors import UsageError

        raise UsageError("cloud.no-mesh", "A cloud has no size in millimetres, a solid made of it has",
                         seen=", ".join(named), remedy="Add --mesh FILE.3mf")  # fmt: skip


def _check_mesh(mesh: str, solid: dict[str, Any], spared: list[Path], force: bool, home: Path | None) -> None:
    """Find out before the work what is wrong with the size or the name of the solid.

    Raises:
        UsageError: ``size.*``, ``output.format``.
        OutputError: ``output.is-input`` for the name of a picture or of the cloud, and as `Store.check` says.
    """
    from studio import registry, targets
    from studio.commands.common import settings
    from studio.engine import Engine
    from studio.errors import OutputError

    row = registry.kind("surface")
    registry.typed(row, solid)
    engine = Engine(settings(home=home))
    target = targets.target_for(mesh, row.formats, registry.default_name(row, {"cloud": spared[-1]}), force=force)
    if target.path.resolve() in {path.resolve() for path in spared}:
        raise OutputError(
            "output.is-input", "The solid would take the place of the cloud or of a picture", seen=target.path,
            remedy="Give the solid another name",
        )  # fmt: skip
    engine.store.check(target, spared)
