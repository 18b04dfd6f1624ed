"""What was made: the mask to check, the finished try-on, the strip of recent ones; downloads and the trash."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio import media, pictures, sealing, sidecar, store
from studio.registry import Edit, Product
from studio.targets import SUFFIX_OF
from studio.ui import inputs, workspace
from studio.ui.components import data_url, fit_inside
from studio.ui.state import Picture

PEOPLE_SHOWN = 8


@dataclass(frozen=True)
class PersonBox:
    """A person found in the photo."""

    label: str
    thumbnail: str


@dataclass(frozen=True)
class Plan:
    """What is shown before anything is generated.

    Attributes:
        base: Identifies photo and mask.
        photo: (H, W, 3) uint8.
        mask: (H, W) uint8.
        protected: (H, W) uint8, zeros if the pipeline does not say.
        findings: code, severity, message, remedy each.
        people: The people found, the largest first.
    """

    base: str
    photo: np.ndarray
    mask: np.ndarray
    protected: np.ndarray
    findings: tuple[dict[str, Any], ...]
    people: tuple[PersonBox, ...]


@dataclass(frozen=True)
class Outcome:
    """A finished try-on, ready to be looked at.

    Attributes:
        id: Of the artefact.
        path: The file.
        before: (H, W, 3) uint8.
        after: (H, W, 3) uint8.
        mask: (H, W) uint8, the declared mask.
        seed: Of the recipe.
        tier: Of the weights.
        receipt: As sealed.
        findings: From the receipt.
    """

    id: str
    path: Path
    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    seed: int
    tier: str
    receipt: dict[str, Any]
    findings: tuple[dict[str, Any], ...]

    @property
    def width(self) -> int:
        """Pixels."""
        return self.after.shape[1]

    @property
    def height(self) -> int:
        """Pixels."""
        return self.after.shape[0]


@dataclass(frozen=True)
class Recent:
    """A result in the strip."""

    id: str
    label: str
    thumbnail: str


def plan(artefact: str, person: Picture) -> Plan:
    """Read what a finished mask job wrote.

    Raises:
        InputError: if files are gone.
    """
    path = Path(artefact)
    return _plan(path, path.stat().st_mtime_ns if path.is_file() else 0, person.sha256)


@lru_cache(maxsize=4)
def _plan(path: Path, stamp: int, person: str) -> Plan:
    seal, _ = sidecar.read(path)
    image = inputs.photo(person)
    mask = pictures.pixels_of(media.read_bytes(path))
    return Plan(
        base=seal.output.pixels_sha256[:16] + person[:16],
        photo=image,
        mask=mask,
        protected=_layer(path, "protected", mask.shape),
        findings=tuple(seal.receipt.get("findings", [])),
        people=_people(image, seal.receipt.get("people", [])),
    )


def _layer(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A one-channel layer of a result, zeros if it was not written."""
    file = store.layers_beside(path) / f"{name}.png"
    if file.is_file():
        pixels = pictures.pixels_of(media.read_bytes(file))
        if pixels.shape == shape[:2]:
            return pixels
    return np.zeros(shape[:2], np.uint8)


def _people(image: np.ndarray, boxes: list[list[float]]) -> tuple[PersonBox, ...]:
    found = []
    height, width = image.shape[:2]
    for number, (x, y, w, h) in enumerate(boxes[:PEOPLE_SHOWN], 1):
        left, top = max(0, int(x)), max(0, int(y))
        crop = image[top : min(height, int(y + h) + 1), left : min(width, int(x + w) + 1)]
        if crop.size:
            label = f"Person {number}" + (", largest" if number == 1 else "")
            found.append(PersonBox(label, data_url(fit_inside(np.ascontiguousarray(crop), inputs.THUMBNAIL))))
    return tuple(found)


def outcome(artefact: str) -> Outcome:
    """Read a finished try-on.

    Raises:
        InputError: if the file or its inputs are gone.
    """
    path = Path(artefact)
    return _outcome(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=4)
def _outcome(path: Path, stamp: int) -> Outcome:
    seal, _ = sidecar.read(path)
    after = pictures.pixels_of(media.read_bytes(path))
    before = inputs.photo(seal.recipe.inputs["person"].sha256, seal.recipe.inputs["person"].name)
    mask = _layer(path, "mask", before.shape)
    if not mask.any():  # moved without its layers: what changed is then all that can be shown
        mask = np.where((before != after).any(axis=2), 255, 0).astype(np.uint8)
    return Outcome(
        id=str(path),
        path=path,
        before=before,
        after=after,
        mask=mask,
        seed=seal.recipe.seed,
        tier=str(seal.receipt.get("tier") or "not stated"),
        receipt=seal.receipt,
        findings=tuple(seal.receipt.get("findings", [])),
    )


def export(artefact: str, format: str) -> bytes:
    """The result as a sealed file of ``format`` with its recipe; as it was written when the format is the same."""
    path = Path(artefact)
    data = media.read_bytes(path)
    seal, _ = sidecar.read(path)
    if seal.output.format == format:
        return data
    shown = outcome(artefact)
    product = Product(pixels=shown.after, edit=Edit(shown.before, shown.mask))
    quality = workspace.chosen().quality
    body = sealing.encode(product, format, quality)
    new = sealing.seal_of(product, body, seal.recipe, seal.receipt, seal.environment, format, quality)
    return workspace.store().seal(sealing.embed(body, format, new), new, path.stem + SUFFIX_OF[format]).data


def recent(limit: int) -> list[Recent]:
    """The newest try-ons of this workspace."""
    return [
        Recent(row["path"], inputs.label(Path(row["path"])), _small(row["path"], row["file_sha256"]))
        for row in workspace.store().gallery(kind="tryon", limit=limit)
    ]


@lru_cache(maxsize=128)
def _small(path: str, sha256: str) -> str:
    with Image.open(io.BytesIO(media.read_bytes(Path(path)))) as picture:
        return data_url(fit_inside(np.asarray(picture.convert("RGB")), inputs.THUMBNAIL))


def trash(artefact: str) -> None:
    """Move a result into the trash.

    Raises:
        InputError, OutputError: as `Store.trash` says.
    """
    workspace.store().trash(Path(artefact))
