"""What was made on the building page: the prepared sketch, the finished solid, the strip of recent ones, downloads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from studio import media, meshes, pictures, print_settings, provenance, registry, sealing, sidecar, store, viewing
from studio.errors import PipelineError, UsageError
from studio.provenance import Sealed
from studio.recipe import Recipe
from studio.targets import SUFFIX_OF
from studio.ui import inputs, workspace
from studio.ui.components import data_url, fit_inside
from studio.ui.results import Recent
from studio.ui.state import Picture

STEPS = {"ink": "Ink found", "straight": "Straightened"}  # layers of a prepared sketch that are worth showing
SAME_VIEW, BEHIND = "same view", "from behind"


@dataclass(frozen=True)
class Plan:
    """A prepared sketch.

    Attributes:
        pictures: (caption, (h, w) or (h, w, 3) uint8), the last one is what the network sees.
        findings: code, severity, message, remedy each.
    """

    pictures: tuple[tuple[str, np.ndarray], ...]
    findings: tuple[dict[str, Any], ...]

    @property
    def blocked(self) -> bool:
        """Whether nothing can be built from it."""
        return any(finding.get("severity") == "error" for finding in self.findings)


@dataclass(frozen=True)
class Outcome:
    """A finished building, ready to be looked at.

    Attributes:
        id: Of the artefact.
        path: The file.
        recipe: As sealed.
        receipt: As sealed.
        passport: The print report out of the receipt; empty if there is none.
        findings: Those that the passport does not show.
        model: What the viewer takes; None if it was not kept with the file and cannot be read out of it.
        same_view: (h, w, 3) uint8 picture from where the sketch was drawn, or None.
    """

    id: str
    path: Path
    recipe: Recipe
    receipt: dict[str, Any]
    passport: dict[str, Any]
    findings: tuple[dict[str, Any], ...]
    model: bytes | None
    same_view: np.ndarray | None

    @property
    def variants(self) -> int:
        """How many readings of this sketch there are."""
        count = self.receipt.get("variants")
        return count if isinstance(count, int) and 1 <= count <= 100 else 1

    @property
    def variant(self) -> int:
        """Which of them this is."""
        return int(self.recipe.settings.get("variant") or 0)  # type: ignore[arg-type]


def plan(artefact: str) -> Plan:
    """Read what a finished preparation wrote.

    Raises:
        InputError: if files are gone.
    """
    path = Path(artefact)
    return _plan(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=8)
def _plan(path: Path, stamp: int) -> Plan:
    seal, _ = sidecar.read(path)
    steps = [(caption, _layer(path, name)) for name, caption in STEPS.items()]
    shown = [(caption, picture) for caption, picture in steps if picture is not None]
    shown.append(("What the network sees", pictures.pixels_of(media.read_bytes(path))))
    return Plan(tuple(shown), tuple(seal.receipt.get("findings", [])))


def _layer(path: Path, name: str) -> np.ndarray | None:
    file = store.layers_beside(path) / f"{name.replace(' ', '_')}.png"
    return pictures.pixels_of(media.read_bytes(file)) if file.is_file() else None


def outcome(artefact: str) -> Outcome:
    """Read a finished building.

    Raises:
        InputError: if the file is gone.
        UsageError: if it carries no recipe that can be read.
    """
    path = Path(artefact)
    return _outcome(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=8)
def _outcome(path: Path, stamp: int) -> Outcome:
    seal, _ = sidecar.read(path)
    passport = seal.receipt.get("passport")
    passport = passport if isinstance(passport, dict) else {}
    told = {finding.get("code") for finding in passport.get("findings", [])}
    return Outcome(
        id=str(path),
        path=path,
        recipe=seal.recipe,
        receipt=seal.receipt,
        passport=passport,
        findings=tuple(item for item in seal.receipt.get("findings", []) if item.get("code") not in told),
        model=_model(path, seal.output.format),
        same_view=_layer(path, SAME_VIEW),
    )


def _model(path: Path, format: str) -> bytes | None:
    """What the viewer takes: as the worker kept it, or out of the file itself, then without wall thickness."""
    kept = store.layers_beside(path) / f"{viewing.LAYER}.bin"
    if kept.is_file():
        return media.read_bytes(kept)
    try:
        mesh = meshes.content(media.read_bytes(path), format)
    except PipelineError:  # a damaged file still has its receipt and its picture
        return None
    return viewing.pack(mesh, np.full(len(mesh.vertices), np.inf, np.float32))


def thumbnail(artefact: str) -> str:
    """The building from where its sketch was drawn, as a small data URL; empty if there is no such picture."""
    picture = outcome(artefact).same_view
    return "" if picture is None else data_url(fit_inside(picture, inputs.THUMBNAIL))


def formats() -> tuple[str, ...]:
    """The formats that this installation can write."""
    return tuple(name for name in meshes.FORMATS if name != "ifc" or find_spec("ifcopenshell") is not None)


def export(artefact: str, format: str) -> bytes:
    """A mesh or cloud of ours as a file of ``format`` that carries its recipe where the format has room for one."""
    path = Path(artefact)
    return _sealed(path, path.stat().st_mtime_ns if path.is_file() else 0, format).data


def manifest(artefact: str, format: str) -> bytes:
    """The content credentials of the file that `export` gives, to be kept beside it as NAME.c2pa."""
    path = Path(artefact)
    return _sealed(path, path.stat().st_mtime_ns if path.is_file() else 0, format).manifest


@lru_cache(maxsize=4)  # two clicks have to give a file and the manifest of that very file
def _sealed(path: Path, stamp: int, format: str) -> Sealed:
    data, seal = media.read_bytes(path), sidecar.read(path)[0]
    kept = provenance.manifest_beside(path)
    if seal.output.format == format and kept.is_file():
        return Sealed(data, media.read_bytes(kept), beside=True)
    return workspace.store().seal(*sealing.converted(data, seal, format), path.stem + SUFFIX_OF[format])


def recipe_text(artefact: str) -> str:
    """The sidecar as JSON, to be kept beside a file that cannot carry it."""
    return sidecar.read(Path(artefact))[0].text(indent=1)


def recent(limit: int) -> list[Recent]:
    """The newest buildings of this workspace."""
    rows = workspace.store().gallery(kind="building", limit=limit)
    return [Recent(row["path"], inputs.label(Path(row["path"])), small(row["file_sha256"])) for row in rows]


@lru_cache(maxsize=128)
def small(sha256: str) -> str:
    """The kept picture of the result with this hash as a small data URL."""
    file = workspace.store().preview_path(sha256)
    if not file.is_file():
        return BLANK
    return data_url(fit_inside(pictures.pixels_of(file.read_bytes()), inputs.THUMBNAIL))


def restored(recipe: Recipe) -> tuple[Picture, dict[str, Any]]:
    """Sketch and settings of a recipe of a building.

    Raises:
        UsageError: ``recipe.other-kind``, ``recipe.bad``.
        InputError: ``input.not-kept``.
    """
    if recipe.kind != "building":
        raise UsageError(
            "recipe.other-kind",
            "This recipe is not of a building",
            seen=recipe.kind,
            remedy="Open it on its own page, or use `studio rerun`",
        )
    typed: print_settings.BuildingSettings = registry.settings_of(recipe)
    return inputs.kept(recipe.inputs["sketch"], "sketch"), typed.model_dump(mode="json")


def _mark(body: str) -> str:
    from urllib.parse import quote

    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" fill="none" stroke="#3a8a72" stroke-width="2.5"'
        f' stroke-linecap="round" stroke-linejoin="round"><g transform="translate(14 14) scale(1.5)">{body}</g></svg>'
    )
    return "data:image/svg+xml," + quote(svg)


PENCIL = _mark('<path d="m3 21 1-5L16 4l4 4L8 20zM14 6l4 4"/>')
BLANK = _mark('<path d="M12 3 3 8v9l9 5 9-5V8zM3 8l9 5 9-5M12 13v9"/>')
