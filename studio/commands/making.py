"""``studio tryon``, ``mask``, ``pose``, ``parse``: a photo in, a result out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.commands.common import (
    Device,
    DryRun,
    Dtype,
    Force,
    Format,
    Home,
    Json,
    Meter,
    Out,
    Quiet,
    Seed,
    passport_lines,
    say,
    settings,
    show,
)  # fmt: skip

if TYPE_CHECKING:
    from studio.engine import Draft
    from studio.store import Artefact
    from studio.targets import Target

Photo = Annotated[Path, typer.Argument(help="Photo of the person.")]
Weights = Annotated[
    list[str] | None, typer.Option("--weights", help="Your own folder: FOLDER, or NAME=FOLDER; repeatable.")
]
Layers = Annotated[bool, typer.Option("--layers", help="Also write what led to the result, into OUT.layers/.")]
Person = Annotated[int, typer.Option("--person", min=0, max=99, help="Which person; 0 is the largest.")]


class Category(StrEnum):
    """What a garment replaces."""

    UPPER = "upper"
    LOWER = "lower"
    DRESS = "dress"


class Protect(StrEnum):
    """What can stay in front of the garment."""

    HAIR = "hair"
    FACE = "face"
    HANDS = "hands"


def register(app: typer.Typer) -> None:
    """Add the verbs to ``app``."""
    for verb in (tryon, mask, pose, parse):
        app.command()(verb)


def tryon(
    person: Photo,
    garment: Annotated[Path, typer.Argument(help="Photo of the garment.")],
    out: Out = None,
    category: Annotated[Category, typer.Option(help="What the garment replaces.")] = Category.UPPER,
    mask: Annotated[Path | None, typer.Option("--mask", help="Your own mask, white = may change.")] = None,
    person_index: Person = 0,
    protect: Annotated[
        list[Protect] | None, typer.Option(help="What stays in front of the garment; repeatable. Default: all.")
    ] = None,
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
    """Dress the person in the garment. Example: studio tryon me.jpg shirt.jpg -o dressed.png"""
    files = {"person": person, "garment": garment, **({"mask": mask} if mask else {})}
    values: dict[str, Any] = {"category": category.value, "person_index": person_index}
    if protect is not None:
        values["protect"] = [part.value for part in dict.fromkeys(protect)]
    make("tryon", files, values, out, seed=seed, device=device, dtype=dtype, weights=weights, format=format,
          layers=layers, force=force, home=home, dry_run=dry_run, quiet=quiet, as_json=as_json)  # fmt: skip


def mask(
    person: Photo,
    garment: Annotated[Path | None, typer.Argument(help="Photo of the garment.")] = None,
    out: Out = None,
    category: Annotated[Category, typer.Option(help="What the garment replaces.")] = Category.UPPER,
    person_index: Person = 0,
    device: Device = None,
    weights: Weights = None,
    layers: Layers = False,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write what a try-on would change, as a mask to check and edit. Example: studio mask me.jpg -o mask.png"""
    files = {"person": person, **({"garment": garment} if garment else {})}
    values = {"category": category.value, "person_index": person_index}
    make("mask", files, values, out, device=device, weights=weights, layers=layers, force=force, home=home,
          dry_run=dry_run, quiet=quiet, as_json=as_json)  # fmt: skip


class PoseLayout(StrEnum):
    """Which joints."""

    COCO17 = "coco17"
    BODY25 = "body25"


def pose(
    photo: Photo,
    out: Out = None,
    layout: Annotated[PoseLayout, typer.Option(help="Which joints, in which order.")] = PoseLayout.COCO17,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest person.")] = False,
    device: Device = None,
    dtype: Dtype = None,
    weights: Weights = None,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find the joints of the people in a photo. Example: studio pose me.jpg -o joints.json"""
    values = {"layout": layout.value, "people": "largest" if largest else "all"}
    make("pose", {"person": photo}, values, out, device=device, dtype=dtype, weights=weights, force=force, home=home,
          dry_run=dry_run, quiet=quiet, as_json=as_json)  # fmt: skip


class ParseLayout(StrEnum):
    """Which classes."""

    NINE = "nine"
    LIP = "lip"


def parse(
    photo: Photo,
    out: Out = None,
    layout: Annotated[ParseLayout, typer.Option(help="Nine classes, or LIP ids with sides.")] = ParseLayout.NINE,
    person_index: Person = 0,
    device: Device = None,
    dtype: Dtype = None,
    weights: Weights = None,
    force: Force = False,
    home: Home = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Label each pixel: hair, skin, garments, shoes, bag, headwear. Example: studio parse me.jpg -o labels.png"""
    values = {"layout": layout.value, "person_index": person_index}
    make("parse", {"person": photo}, values, out, device=device, dtype=dtype, weights=weights, force=force, home=home,
          dry_run=dry_run, quiet=quiet, as_json=as_json)  # fmt: skip


def make(kind: str, files: dict[str, Path], values: dict[str, Any], out: str | None, *, as_json: bool = False,
         **options: Any) -> None:  # fmt: skip
    """Make and write one result, see `produce`, and tell about it."""
    told = produce(kind, files, values, out, **options)
    show(told.data, as_json=as_json, text=told.lines)


@dataclass(frozen=True)
class Told:
    """What became of a command.

    Attributes:
        data: For ``--json``.
        lines: For people.
        artefacts: What was written, one a format; none of a dry run.
    """

    data: dict[str, Any]
    lines: list[str]
    artefacts: tuple[Artefact, ...] = ()


def produce(
    kind: str,
    files: dict[str, Path],
    values: dict[str, Any],
    out: str | None,
    *,
    seed: int = 0,
    device: str | None = None,
    dtype: str | None = None,
    weights: list[str] | None = None,
    format: str | None = None,
    layers: bool = False,
    also: Sequence[str] = (),
    force: bool = False,
    home: Path | None = None,
    dry_run: bool = False,
    quiet: bool = False,
) -> Told:
    """Draft, make and write one result, in further formats too where ``also`` names them."""
    from studio import registry, targets
    from studio.engine import Engine

    chosen = settings(device=device, dtype=dtype, home=home)
    row = registry.kind(kind)
    target = targets.target_for(
        out, row.formats, registry.default_name(row, files), format=format, preferred=chosen.format,
        quality=chosen.quality, force=force, layers=layers,
    )  # fmt: skip
    wanted = [target, *(_sibling(target, each, row.formats) for each in dict.fromkeys(also) if each != target.format)]
    engine = Engine(chosen, own_weights=own_weights(weights, row.own))
    for each in wanted:
        engine.store.check(each, files.values())
    draft = engine.draft(kind, files, values, seed=seed, keep=not dry_run)
    if dry_run:
        return Told(plan(draft, target), plan_lines(draft, target))
    meter = Meter(quiet)
    try:
        artefacts = engine.execute_all(draft, wanted, on_progress=meter)
    finally:
        meter.close()
    receipt = artefacts[0].sidecar.receipt
    if not quiet:
        for line in passport_lines(receipt["passport"]) if "passport" in receipt else []:
            say(line)
        for finding in receipt["findings"]:
            say(f"{finding['severity']}: {finding['message']}. {finding['remedy']}".rstrip(". ") + ".")
    outputs = [str(artefact.path) for artefact in artefacts]
    return Told({**result(artefacts[0]), **({"outputs": outputs} if also else {})}, outputs, tuple(artefacts))


def _sibling(target: Target, format: str, formats: tuple[str, ...]) -> Target:
    """The same target in another format, under the same stem."""
    from studio import targets

    if format not in formats:
        raise targets.bad_format(f"--also {format}", formats)
    return replace(target, path=target.path.with_suffix(targets.SUFFIX_OF[format]), format=format, layers=False)


def own_weights(given: list[str] | None, names: tuple[str, ...]) -> dict[str, Path]:
    """``FOLDER`` (for the kind's main weights) and ``NAME=FOLDER`` as name -> folder."""
    pairs = [item.split("=", 1) if "=" in item else [names[0], item] for item in given or []]
    return {name: Path(folder) for name, folder in pairs}


def result(artefact: Artefact) -> dict[str, Any]:
    """What ``--json`` says about an artefact."""
    seal = artefact.sidecar
    return {
        "ok": True,
        "output": str(artefact.path),
        "sidecar": str(artefact.sidecar_path),
        **({"layers": str(artefact.layers)} if artefact.layers else {}),
        "kind": seal.recipe.kind,
        "recipe_sha256": seal.recipe_sha256,
        "sha256": seal.output.sha256,
        "width": seal.output.width,
        "height": seal.output.height,
        "receipt": seal.receipt,
    }


def plan(draft: Draft, target: Target) -> dict[str, Any]:
    """What ``--dry-run --json`` says."""
    return {
        "ok": True,
        "dry_run": True,
        "output": str(target.path),
        "recipe": draft.recipe.model_dump(mode="json"),
        "recipe_sha256": draft.recipe.sha256(),
        "inputs": {name: _size(value) for name, value in draft.inputs.items()},
        "weights": [found.receipt() for found in draft.weights.values()],
        "findings": [finding.as_dict() for finding in draft.findings],
    }


def _size(value: Any) -> list[int]:
    """Of a picture its shape, of a mesh its numbers of corners and triangles, of a cloud its number of points."""
    if hasattr(value, "points"):
        return [len(value.points)]
    return list(value.shape) if hasattr(value, "shape") else [len(value.vertices), len(value.faces)]


def _size_text(value: Any) -> str:
    size = _size(value)
    if len(size) == 1:
        return f"{size[0]} points"
    return f"{size[1]} x {size[0]}" if hasattr(value, "shape") else f"{size[1]} triangles"


def plan_lines(draft: Draft, target: Target) -> list[str]:
    """The same for people."""
    return [
        f"would write  {target.path}",
        *(f"input        {name}: {_size_text(value)}" for name, value in draft.inputs.items()),
        *(
            f"weights      {found.weights.name} ({found.weights.tier}, {found.weights.licence}, "
            f"commercial use: {found.weights.commercial})"
            for found in draft.weights.values()
        ),
        *(f"finding      {finding.message}" for finding in draft.findings),
    ]
