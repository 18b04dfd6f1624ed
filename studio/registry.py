"""What the studio can do: one row per kind of recipe. Commands, schema, page and batch all read this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.types import Cloud, Finding, Image, Mask, Mesh, OnStep
from studio import clouds, disk, meshes
from studio.errors import UsageError
from studio.print_settings import BuildingSettings, PassportSettings, RepairSettings, SurfaceSettings
from studio.recipe import Recipe, bad

MOST_VIEWS = 8  # pictures of one object


@dataclass(frozen=True)
class Slot:
    """An input of a kind.

    Attributes:
        name: Key in the recipe.
        role: ``photo``, ``mask`` (it has the size of the slot ``person``), ``sketch`` (a picture or an SVG drawing),
            ``view`` (a picture whose transparency is kept), ``mesh`` or ``cloud``.
        title: For people.
        required: Whether it must be given.
    """

    name: str
    role: Literal["photo", "mask", "sketch", "view", "mesh", "cloud"]
    title: str
    required: bool = True


@dataclass(frozen=True)
class Call:
    """What a runner gets.

    Attributes:
        inputs: Slot -> (H, W, 3) uint8 sRGB photo or sketch, (H, W, 3 or 4) uint8 view, (H, W) uint8 mask, Mesh
            (millimetres, z up) or Cloud (as the file has it, z up); optional slots that were not given are absent.
        settings: The kind's settings model.
        seed: Of every random draw.
        load: ``(class path, weights name) -> pipeline``; loaded pipelines stay warm.
        on_step: To be handed to the pipeline.
    """

    inputs: Mapping[str, Any]
    settings: Any
    seed: int
    load: Callable[[str, str], Any]
    on_step: OnStep


@dataclass(frozen=True)
class Edit:
    """Which pixels a result may differ in.

    Attributes:
        original: (H, W, 3) uint8 sRGB, the decoded, upright input.
        mask: (H, W) uint8; where it is 0 nothing may differ.
    """

    original: Image
    mask: Mask


@dataclass(frozen=True)
class Product:
    """What a runner returns.

    Attributes:
        pixels: (H, W, 3) uint8, or (H, W) uint8 grey or palette indices; None for anything else.
        palette: RGB values of the palette indices, or None.
        document: JSON-ready answer; None for anything else.
        mesh: Millimetres, z up, base on z = 0, coordinates as float32 holds them; None for anything else.
        cloud: z up, base on z = 0, longest side 1; None for anything else.
        title: Of a mesh, for the formats that have one.
        preview: (H, W, 3) uint8 picture of what is no picture itself, or None.
        edit: Declared edit, for results that change a photo.
        receipt: Further facts for the receipt; of a mesh also its ``passport``.
        findings: What checks noticed.
        layers: Name -> array worth showing.
        timings: Seconds by step.
    """

    pixels: Any = None
    palette: list[int] | None = None
    document: dict[str, Any] | None = None
    mesh: Mesh | None = None
    cloud: Cloud | None = None
    title: str = ""
    preview: Image | None = None
    edit: Edit | None = None
    receipt: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    layers: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TryOnSettings(_Settings):
    """Settings of ``tryon`` and ``mask``."""

    category: Literal["upper", "lower", "dress"] = Field(default="upper", description="What the garment replaces")
    person_index: int = Field(default=0, ge=0, le=99, description="Which person, 0 is the largest")
    protect: tuple[Literal["hair", "face", "hands"], ...] = Field(
        default=("hair", "face", "hands"), max_length=3, description="What stays in front of the garment"
    )


class PoseSettings(_Settings):
    """Settings of ``pose``."""

    layout: Literal["coco17", "body25"] = Field(default="coco17", description="Which joints, in which order")
    people: Literal["all", "largest"] = Field(default="all", description="Whom to look at")


class ParseSettings(_Settings):
    """Settings of ``parse``."""

    layout: Literal["nine", "lip"] = Field(default="nine", description="Nine classes, or LIP ids with left and right")
    person_index: int = Field(default=0, ge=0, le=99, description="Which person, 0 is the largest")


class SketchSettings(_Settings):
    """Settings of ``building-plan``: none."""


class CheckSettings(_Settings):
    """Settings of ``check``: none."""


class CutoutSettings(_Settings):
    """Settings of ``cutout``: none."""


class CloudSettings(_Settings):
    """Settings of ``cloud``."""

    points: int = Field(default=4096, ge=512, le=16_384, description="Points of the cloud")
    steps: int = Field(default=20, ge=2, le=200, description="Steps from noise to the cloud")
    sampler: Literal["dpm-solver++", "ddim", "ddpm"] = Field(default="dpm-solver++", description="How steps are taken")
    guidance: float = Field(
        default=1.0, ge=0, le=10, allow_inf_nan=False, description="1 follows the pictures as learnt, more exaggerates"
    )


@dataclass(frozen=True)
class Origin:
    """What content credentials truthfully say of a kind's results.

    Attributes:
        source: How they come about, a key of `studio.provenance.SOURCE_TYPES`:
            ``compositeWithTrainedAlgorithmicMedia`` for a photo that a network changed in part,
            ``trainedAlgorithmicMedia`` for something shown that a network made up,
            ``trainedAlgorithmicData`` for what a network found in a photo: labels, joints, a mask. These show nothing,
            also where a PNG holds them, and no reader should call them a made-up picture;
            ``algorithmicallyEnhanced`` for a user's own work changed by a fixed procedure, ``algorithmicMedia`` for
            what such a procedure made new. Neither has learnt anything.
        parent: The slot that is edited; empty if the result is something new.
        parts: Slots that are placed in it. All other inputs were only looked at.
    """

    source: str
    parent: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A row.

    Attributes:
        name: In recipes and commands.
        title: One line for people.
        settings: Model of the settings.
        slots: Inputs.
        weights: Names of the weights that take part in the result, and so in the recipe's identity.
        own: Those that a user's own folder can replace, the main one first.
        runner: ``module:function`` taking a `Call` and returning a `Product`; imported when it runs.
        formats: Possible outputs, the default first.
        origin: What its content credentials say.
        judges: Names of weights that only look at the result. The receipt lists them too, but a newer judge makes no
            other result, and nothing is made again for it.
    """

    name: str
    title: str
    settings: type[BaseModel]
    slots: tuple[Slot, ...]
    weights: tuple[str, ...]
    own: tuple[str, ...]
    runner: str
    formats: tuple[str, ...]
    origin: Origin
    judges: tuple[str, ...] = ()

    def run(self, call: Call) -> Product:
        """Import the runner and call it."""
        module, function = self.runner.split(":")
        return getattr(import_module(module), function)(call)

    def slot(self, name: str) -> Slot | None:
        """The slot called ``name``, or None."""
        return next((slot for slot in self.slots if slot.name == name), None)


PICTURES = ("png", "jpeg", "webp")
_PERSON = Slot("person", "photo", "photo of the person")
_GARMENT = Slot("garment", "photo", "photo of the garment")
_SKETCH = Slot("sketch", "sketch", "sketch of a building, a picture or SVG")
_MESH = Slot("mesh", "mesh", "mesh file in millimetres")
_VIEWS = tuple(
    Slot(f"view{number}", "view", "picture of the object" if number == 1 else "another picture of it", number == 1)
    for number in range(1, MOST_VIEWS + 1)
)
_TRYON = ("viton-hd", "parsing", "pose", "garment")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "tryon",
            "Dress the person in the garment",
            TryOnSettings,
            (_PERSON, _GARMENT, Slot("mask", "mask", "what may change, white on black", required=False)),
            _TRYON,
            ("viton-hd",),
            "studio.runners.tryon:run",
            PICTURES,
            Origin("compositeWithTrainedAlgorithmicMedia", "person", ("garment",)),
            ("iml-vit",),
        ),
        Kind(
            "mask",
            "What a try-on would change: the mask to check and edit before anything is generated",
            TryOnSettings,
            (_PERSON, Slot("garment", "photo", "photo of the garment", required=False)),
            _TRYON,
            ("viton-hd",),
            "studio.runners.tryon:plan",
            ("png",),
            Origin("trainedAlgorithmicData"),
        ),
        Kind(
            "pose",
            "Joints of the people in a photo",
            PoseSettings,
            (Slot("person", "photo", "photo"),),
            ("pose", "parsing"),
            ("pose", "parsing"),
            "studio.runners.person:pose",
            ("json",),
            Origin("trainedAlgorithmicData"),
        ),
        Kind(
            "parse",
            "What each pixel of a person shows",
            ParseSettings,
            (Slot("person", "photo", "photo"),),
            ("parsing", "pose"),
            ("parsing", "pose"),
            "studio.runners.person:parse",
            ("png",),
            Origin("trainedAlgorithmicData"),
        ),
        Kind(
            "check",
            "Which pixels of a picture may have been manipulated, as a heat map",
            CheckSettings,
            (Slot("picture", "photo", "picture to look at"),),
            ("iml-vit",),
            ("iml-vit",),
            "studio.runners.forensics:run",
            ("png",),
            Origin("trainedAlgorithmicData"),
        ),
        Kind(
            "building",
            "A printable building from a perspective sketch",
            BuildingSettings,
            (_SKETCH,),
            ("vitruvio",),
            ("vitruvio",),
            "studio.runners.building:run",
            meshes.FORMATS,
            Origin("trainedAlgorithmicMedia"),
        ),
        Kind(
            "building-plan",
            "What the network will see of a sketch: the drawing to check before a building is made",
            SketchSettings,
            (_SKETCH,),
            ("vitruvio",),
            ("vitruvio",),
            "studio.runners.building:plan",
            ("png",),
            Origin("algorithmicallyEnhanced", "sketch"),
        ),
        Kind(
            "cloud",
            "A coloured point cloud of an object, from one or several pictures of it",
            CloudSettings,
            _VIEWS,
            ("diffpoint",),
            ("diffpoint",),
            "studio.runners.cloud:run",
            clouds.FORMATS,
            Origin("trainedAlgorithmicMedia"),
        ),
        Kind(
            "cutout",
            "What a cloud would be made of: the object cut out of a picture, to check before",
            CutoutSettings,
            (Slot("view", "view", "picture of the object"),),
            ("diffpoint",),
            ("diffpoint",),
            "studio.runners.cloud:plan",
            ("png",),
            Origin("algorithmicallyEnhanced", "view"),
        ),
        Kind(
            "surface",
            "One closed, printable solid from a point cloud",
            SurfaceSettings,
            (Slot("cloud", "cloud", "point cloud"),),
            (),
            (),
            "studio.runners.cloud:surface",
            meshes.FORMATS,
            Origin("algorithmicallyEnhanced", "cloud"),
        ),
        Kind(
            "passport",
            "What a slicer and a printer will make of a mesh",
            PassportSettings,
            (_MESH,),
            (),
            (),
            "studio.runners.mesh:examine",
            ("json",),
            Origin("algorithmicMedia"),
        ),
        Kind(
            "repair",
            "A mesh made closed and printable by named repairs",
            RepairSettings,
            (_MESH,),
            (),
            (),
            "studio.runners.mesh:repair",
            meshes.FORMATS,
            Origin("algorithmicallyEnhanced", "mesh"),
        ),
    )
}


def kind(name: str) -> Kind:
    """The row called ``name``.

    Raises:
        UsageError: ``recipe.kind``.
    """
    try:
        return KINDS[name]
    except KeyError:
        raise UsageError(
            "recipe.kind", "The studio knows no such kind of recipe", seen=name, remedy=f"Known: {', '.join(KINDS)}"
        ) from None


def settings_of(recipe: Recipe) -> Any:
    """The typed settings of ``recipe``; also checks its slots.

    Raises:
        UsageError: ``recipe.kind``, ``recipe.bad`` or ``recipe.inputs``.
    """
    row = kind(recipe.kind)
    check_slots(row, recipe.inputs)
    return typed(row, recipe.settings)


def typed(row: Kind, values: Mapping[str, Any]) -> Any:
    """``values`` as the settings model of ``row``, complete with defaults."""
    try:
        return row.settings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        raise bad(f"settings.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def check_slots(row: Kind, given: Mapping[str, Any]) -> None:
    """Refuse unknown and missing inputs."""
    unknown = [name for name in given if row.slot(name) is None]
    missing = [slot.name for slot in row.slots if slot.required and slot.name not in given]
    if unknown or missing:
        seen = "; ".join(
            [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        )
        raise UsageError(
            "recipe.inputs",
            f"The inputs do not fit the kind {row.name}",
            seen=seen,
            remedy=f"It takes: {', '.join(slot.name if slot.required else f'[{slot.name}]' for slot in row.slots)}",
        )


def schema(name: str) -> dict[str, Any]:
    """What a recipe of this kind holds: JSON schema of its settings, its inputs, weights and formats."""
    row = kind(name)
    return {
        "kind": row.name,
        "title": row.title,
        "inputs": {s.name: {"role": s.role, "title": s.title, "required": s.required} for s in row.slots},
        "settings": row.settings.model_json_schema(),
        "weights": list(row.weights),
        "formats": list(row.formats),
        "recipe": Recipe.model_json_schema(),
    }


def default_name(row: Kind, files: Mapping[str, str | Path]) -> str:
    """A file name for a result nobody named: the stems of its inputs joined, but masks and views after the first."""
    left = ("mask", "view")
    named = [slot for slot in row.slots if slot.name in files and (slot.role not in left or slot is row.slots[0])]
    stems = [Path(files[slot.name]).stem for slot in named]
    return disk.shorten("-".join([*stems, *([] if row.name == "tryon" else [row.name])]), 120) or row.name
