"""What goes into a try-on: sample pictures, uploads, and the inputs of a recipe that is opened again.

Everything is kept in the workspace by its hash; the page holds the hash, never a path of the user's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from studio import media, pictures, registry, sidecar, store
from studio.errors import InputError, UsageError
from studio.recipe import InputRef, Recipe
from studio.store import Store
from studio.ui import workspace
from studio.ui.components import data_url, fit_inside
from studio.ui.state import PROTECTABLE, Picture

THUMBNAIL = 260  # pixels, twice the size of a tile for dense screens
DISPLAY = 1000
SAMPLE_FOLDERS = {"person": "people", "garment": "garments", "sketch": "sketches", "object": "objects"}
MOST_SVG = 5_000_000  # bytes


@dataclass(frozen=True)
class Sample:
    """A sample input that comes with the studio."""

    id: str
    label: str
    path: Path
    thumbnail: str


@dataclass(frozen=True)
class Restored:
    """Inputs and settings of an opened recipe."""

    person: Picture
    garment: Picture
    own_mask: Picture | None
    person_index: int
    seed: int
    protect: tuple[str, ...]


def _samples_folder() -> Path | None:
    package = Path(str(resources.files("studio")))
    places = (package / "assets" / "samples", package.parent / "assets" / "samples")
    return next((place for place in places if place.is_dir()), None)


@lru_cache(maxsize=4)
def samples(slot: str) -> tuple[Sample, ...]:
    """The sample people or garments, in the order of their names; a picture that cannot be read is left out."""
    root = _samples_folder()
    found = []
    for path in sorted((root / SAMPLE_FOLDERS[slot]).glob("*")) if root else ():
        if path.suffix.lower() in pictures.SUFFIXES:
            pixels, _ = media.decode(path.read_bytes(), path.name)
            found.append(Sample(path.stem, label(path), path, data_url(fit_inside(pixels, THUMBNAIL))))
    return tuple(found)


def label(path: Path) -> str:
    """A file name as a person would say it."""
    return re.sub(r"[-_]+", " ", path.stem).strip().capitalize()


def keep_sample(slot: str, sample_id: str) -> Picture:
    """Keep a sample in the workspace like any other input.

    Raises:
        UsageError: ``sample.unknown``.
    """
    sample = next((item for item in samples(slot) if item.id == sample_id), None)
    if sample is None:
        raise UsageError("sample.unknown", "There is no such sample", seen=sample_id, remedy="Reload the page")
    ref = workspace.store().keep_input(media.read_bytes(sample.path), sample.path.name)
    return Picture(ref.sha256, ref.name, sample.id)


def keep_upload(data: bytes, name: str) -> Picture:
    """Check that an upload is a picture, and keep it by its hash.

    Raises:
        InputError: as `media.decode` says; nothing is kept then.
    """
    media.decode(data, name, max_megapixels=workspace.chosen().max_megapixels)
    ref = workspace.store().keep_input(data, name)
    return Picture(ref.sha256, ref.name)


def keep_sketch(data: bytes, name: str) -> Picture:
    """Check that an upload is a picture or an SVG drawing, and keep it by its hash; the worker draws the SVG.

    Raises:
        InputError: as `media.decode` says, or ``sketch.svg-too-large``; nothing is kept then.
    """
    if not media.is_svg(data, name):
        return keep_upload(data, name)
    if len(data) > MOST_SVG:
        raise InputError(
            "sketch.svg-too-large",
            "This SVG file is too large for a sketch",
            seen=f"{len(data) / 1e6:.1f} MB",
            remedy=f"Use one of at most {MOST_SVG / 1e6:g} MB, or a picture of it",
        )
    ref = workspace.store().keep_input(data, name)
    return Picture(ref.sha256, ref.name)


def kept(ref: InputRef, slot: str) -> Picture:
    """The kept input of a recipe, recognised as a sample if it is one.

    Raises:
        InputError: ``input.not-kept``.
    """
    workspace.store().read_input(ref)
    return Picture(ref.sha256, ref.name, _sample_hashes(slot).get(ref.sha256))


@lru_cache(maxsize=4)
def _sample_hashes(slot: str) -> dict[str, str]:
    known = samples(slot) if slot in SAMPLE_FOLDERS else ()
    return {store.reference(item.path.read_bytes(), "sample").sha256: item.id for item in known}


def photo(sha256: str, name: str = "photo") -> np.ndarray:
    """A kept photo as (H, W, 3) uint8 sRGB, upright.

    Raises:
        InputError: ``input.not-kept`` and those of `media.decode`.
    """
    return _photo(str(workspace.chosen().home), sha256, name)


@lru_cache(maxsize=6)
def _photo(home: str, sha256: str, name: str) -> np.ndarray:
    data = Store(Path(home)).read_input(InputRef(sha256=sha256, name=name))
    pixels, _ = media.decode(data, name, max_megapixels=workspace.chosen().max_megapixels)
    pixels.setflags(write=False)  # shared by every session of this server
    return pixels


def display(sha256: str) -> np.ndarray:
    """A kept photo, small enough to show."""
    return fit_inside(photo(sha256), DISPLAY)


def thumbnail(sha256: str) -> str:
    """A kept photo as a small data URL."""
    return data_url(fit_inside(photo(sha256), THUMBNAIL))


def own_mask(picture: Picture, shape: tuple[int, int]) -> np.ndarray:
    """The mask that an opened recipe brought.

    Raises:
        InputError: as `media.decode_mask` says.
    """
    data = workspace.store().read_input(InputRef(sha256=picture.sha256, name=picture.name))
    return media.decode_mask(data, picture.name, shape)


def read_recipe(data: bytes, name: str) -> Recipe:
    """Read the recipe out of a file of ours.

    Raises:
        InputError: ``input.no-recipe``.
        UsageError: ``recipe.bad``.
    """
    if name.lower().endswith(".json"):
        seal = sidecar.parse(data)
    else:
        text = sidecar.embedded(data)
        if text is None:
            raise InputError(
                "input.no-recipe",
                "This file carries no recipe",
                seen=name,
                remedy="Other programs drop it when they save again; use the file as the studio wrote it",
            )
        seal = sidecar.parse(text)
    return seal.recipe


def open_recipe(data: bytes, name: str) -> Restored:
    """The inputs and settings in a file of ours.

    Raises:
        InputError: ``input.no-recipe``, ``input.not-kept``.
        UsageError: ``recipe.bad``, ``recipe.other-kind``.
    """
    return _restored(read_recipe(data, name))


def restored(artefact: str) -> Restored:
    """The inputs and settings of a result of this workspace."""
    return _restored(sidecar.read(Path(artefact))[0].recipe)


def _restored(recipe: Recipe) -> Restored:
    if recipe.kind != "tryon":
        raise UsageError(
            "recipe.other-kind", "This recipe is not of a try-on", seen=recipe.kind, remedy="Use `studio rerun` for it"
        )
    typed = registry.settings_of(recipe)
    return Restored(
        person=kept(recipe.inputs["person"], "person"),
        garment=kept(recipe.inputs["garment"], "garment"),
        own_mask=kept(recipe.inputs["mask"], "mask") if "mask" in recipe.inputs else None,
        person_index=typed.person_index,
        seed=recipe.seed,
        protect=tuple(name for name in PROTECTABLE if name in typed.protect),
    )
