"""What was made on the cloud page: cut-outs, clouds, the strip of recent ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from studio import clouds, media, pictures, registry, sidecar, store, viewing
from studio.errors import PipelineError, UsageError
from studio.recipe import Recipe
from studio.registry import CloudSettings
from studio.ui import inputs, workspace
from studio.ui.building.results import small
from studio.ui.results import Recent
from studio.ui.state import Picture

PICTURE = "cloud"  # the layer that shows the cloud


@dataclass(frozen=True)
class Outcome:
    """A finished cloud, ready to be looked at.

    Attributes:
        id: Of the artefact.
        path: The file.
        recipe: As sealed.
        receipt: As sealed.
        findings: code, severity, message, remedy each.
        view: What the viewer takes: as it was kept, or of the file alone; None if that cannot be read.
        picture: (h, w, 3) uint8, or None.
        compared: Of each picture what was cut out of it, and the cloud from where it was taken, as far as that is told.
    """

    id: str
    path: Path
    recipe: Recipe
    receipt: dict[str, Any]
    findings: tuple[dict[str, Any], ...]
    view: bytes | None
    picture: np.ndarray | None
    compared: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def pictures(self) -> int:
        """How many pictures it was made from."""
        return len(self.recipe.inputs)


def cutout(artefact: str) -> tuple[np.ndarray, tuple[dict[str, Any], ...]]:
    """What was cut out of a picture, (S, S, 3) uint8 on grey, and what was noticed.

    Raises:
        InputError: if files are gone.
    """
    path = Path(artefact)
    return _cutout(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=32)
def _cutout(path: Path, stamp: int) -> tuple[np.ndarray, tuple[dict[str, Any], ...]]:
    seal, _ = sidecar.read(path)
    return pictures.pixels_of(media.read_bytes(path)), tuple(seal.receipt.get("findings", []))


def outcome(artefact: str) -> Outcome:
    """Read a finished cloud.

    Raises:
        InputError: if the file is gone.
        UsageError: if it carries no recipe that can be read.
    """
    path = Path(artefact)
    return _outcome(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=8)
def _outcome(path: Path, stamp: int) -> Outcome:
    seal, _ = sidecar.read(path)
    folder = store.layers_beside(path)
    view, picture = folder / f"{viewing.LAYER}.bin", folder / f"{PICTURE}.png"
    return Outcome(
        id=str(path),
        path=path,
        recipe=seal.recipe,
        receipt=seal.receipt,
        findings=tuple(seal.receipt.get("findings", [])),
        view=media.read_bytes(view) if view.is_file() else _view(path, seal.output.format),
        picture=pictures.pixels_of(media.read_bytes(picture)) if picture.is_file() else None,
        compared=tuple(_compared(folder)),
    )


def _compared(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for number in itertools.count(1):
        pair = folder / f"view-{number}.png", folder / f"from-{number}.png"
        if not all(path.is_file() for path in pair):
            return
        seen, cloud = (pictures.pixels_of(media.read_bytes(path)) for path in pair)
        yield seen, cloud


def _view(path: Path, format: str) -> bytes | None:
    """What the viewer takes of the file alone, without steps; None of a mesh or a damaged file."""
    try:
        cloud = clouds.in_view(media.read_bytes(path), format)
    except PipelineError:
        return None
    return viewing.pack_cloud(cloud, np.zeros((0, 0, 3), np.float16), ())


def recent(limit: int) -> list[Recent]:
    """The newest clouds of this workspace."""
    rows = workspace.store().gallery(kind="cloud", limit=limit)
    return [Recent(row["path"], inputs.label(Path(row["path"])), small(row["file_sha256"])) for row in rows]


def restored(recipe: Recipe) -> tuple[tuple[Picture, ...], CloudSettings]:
    """Pictures and settings of a recipe of a cloud.

    Raises:
        UsageError: ``recipe.other-kind``, ``recipe.bad``.
        InputError: ``input.not-kept``.
    """
    if recipe.kind != "cloud":
        raise UsageError(
            "recipe.other-kind",
            "This recipe is not of a cloud",
            seen=recipe.kind,
            remedy="Open it on its own page, or use `studio rerun`",
        )
    typed: CloudSettings = registry.settings_of(recipe)
    kept = [inputs.kept(recipe.inputs[slot], "object") for slot in sorted(recipe.inputs)]
    return tuple({picture.sha256: picture for picture in kept}.values()), typed
