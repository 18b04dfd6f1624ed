"""The page's only door to the rest of the studio: keep inputs, queue recipes, watch jobs, read results.

Nothing here computes a try-on. Pictures are decoded to be shown, recipes are written and read, and the queue is asked.
"""

from __future__ import annotations

import io
import json
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio import media, queue, registry, settings, sidecar, store, weights, worker
from studio.errors import InputError, PipelineError, UsageError
from studio.recipe import InputRef, Recipe
from studio.registry import Edit, Product
from studio.store import Store, Target
from studio.ui.components import data_url, fit_inside
from studio.ui.state import PROTECTABLE, Picture, TryOnState

THUMBNAIL = 260  # pixels, twice the size of a tile for dense screens
DISPLAY = 1000
PEOPLE_SHOWN = 8
STARTUP_SECONDS = 20.0  # a worker that was just started is given this long before another is tried
SAMPLE_FOLDERS = {"person": "people", "garment": "garments"}
MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}

# The engine counts the steps, the pipeline names them; names are shown while both agree on how many there are.
_STEPS = {
    "tryon": (
        "Finding the person",
        "Reading the garment",
        "Fitting the garment",
        "Marking the area",
        "Arranging",
        "Painting",
        "Pasting back",
    ),
    "mask": ("Finding the person", "Reading the garment", "Marking the area"),
}


@dataclass(frozen=True)
class Sample:
    """A sample input that comes with the studio."""

    id: str
    label: str
    path: Path
    thumbnail: str


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
class Job:
    """A job as the page shows it.

    Attributes:
        state: As in the queue.
        active: Whether it still waits or runs.
        fraction: In [0, 1].
        message: What is being done, for people.
        eta: Seconds left, or None.
        ahead: How many jobs come first.
        paused: Whether the queue starts no work.
        cancelling: Whether it was asked to stop.
        preview: PNG bytes, or None.
        artefact: Id of the result, or None.
        error: code, what, seen, remedy, or None.
    """

    state: str
    active: bool
    fraction: float
    message: str
    eta: float | None
    ahead: int
    paused: bool
    cancelling: bool
    preview: bytes | None
    artefact: str | None
    error: dict[str, Any] | None


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


@dataclass(frozen=True)
class Restored:
    """Inputs and settings of an opened recipe."""

    person: Picture
    garment: Picture
    own_mask: Picture | None
    person_index: int
    seed: int
    protect: tuple[str, ...]


# -- workspace


def _settings() -> settings.Settings:
    return settings.load()


def _store() -> Store:
    return Store(_settings().home)


def _queue() -> queue.Queue:
    return queue.Queue(_settings().home)


def log_folder() -> Path | None:
    """Where a bug is written down, or None when even the settings cannot be read."""
    try:
        return _settings().home / "logs"
    except PipelineError:
        return None


# -- inputs


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
        if path.suffix.lower() in media.SUFFIXES:
            pixels, _ = media.decode(path.read_bytes(), path.name)
            found.append(Sample(path.stem, _label(path), path, data_url(fit_inside(pixels, THUMBNAIL))))
    return tuple(found)


def _label(path: Path) -> str:
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
    ref = _store().keep_input(media.read_bytes(sample.path), sample.path.name)
    return Picture(ref.sha256, ref.name, sample.id)


def keep_upload(data: bytes, name: str) -> Picture:
    """Check that an upload is a picture, and keep it by its hash.

    Raises:
        InputError: as `media.decode` says; nothing is kept then.
    """
    media.decode(data, name, max_megapixels=_settings().max_megapixels)
    ref = _store().keep_input(data, name)
    return Picture(ref.sha256, ref.name)


def _picture(ref: InputRef, slot: str) -> Picture:
    """The kept input of a recipe, recognised as a sample if it is one.

    Raises:
        InputError: ``input.not-kept``.
    """
    _store().read_input(ref)
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
    return _photo(str(_settings().home), sha256, name)


@lru_cache(maxsize=6)
def _photo(home: str, sha256: str, name: str) -> np.ndarray:
    data = Store(Path(home)).read_input(InputRef(sha256=sha256, name=name))
    pixels, _ = media.decode(data, name, max_megapixels=_settings().max_megapixels)
    pixels.setflags(write=False)  # shared by every session of this server
    return pixels


def display(sha256: str) -> np.ndarray:
    """A kept photo, small enough to show."""
    return fit_inside(photo(sha256), DISPLAY)


def thumbnail(sha256: str) -> str:
    """A kept photo as a small data URL."""
    return data_url(fit_inside(photo(sha256), THUMBNAIL))


# -- asking for work


@lru_cache(maxsize=8)
def _weights_sha256(name: str, home: str, stamp: float) -> str:
    weights.use_workspace(Path(home))
    return weights.resolve(name).sha256


def _recipe(kind: str, state: TryOnState, inputs: dict[str, InputRef]) -> Recipe:
    home = str(_settings().home)
    hour = time.time() // 3600  # weights are hashed once an hour at most: hashing reads every byte of them
    values = {"person_index": state.person_index, "protect": list(state.protect)}
    row = registry.kind(kind)
    return Recipe(
        kind=kind,
        inputs=inputs,
        settings=registry.typed(row, values).model_dump(mode="json"),
        seed=state.seed if kind == "tryon" else 0,
        weights={name: _weights_sha256(name, home, hour) for name in row.weights},
    )


def _refs(state: TryOnState) -> dict[str, InputRef]:
    given = {"person": state.person, "garment": state.garment}
    return {slot: InputRef(sha256=p.sha256, name=p.name) for slot, p in given.items() if p is not None}


def plan_key(state: TryOnState) -> str:
    """What the mask preview depends on."""
    person, garment = (p.sha256 if p else None for p in (state.person, state.garment))
    return json.dumps([person, garment, state.person_index, state.protect])


def _plan_path(recipe: Recipe) -> Path:
    # Named by what decides it, weights included: the same question finds the answer that is there.
    return _settings().home / "plans" / f"{recipe.sha256()[:32]}.png"


def known_plan(state: TryOnState) -> str | None:
    """The mask preview for this state if it was made before.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    path = _plan_path(_recipe("mask", state, _refs(state)))
    return str(path) if path.is_file() and sidecar.path_beside(path).is_file() else None


def submit_plan(state: TryOnState) -> str:
    """Ask for the automatic mask, in the priority lane.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    recipe = _recipe("mask", state, _refs(state))
    path = _plan_path(recipe)
    number = _queue().add(recipe, path, force=True, layers=True, owner="page", preview=True)
    ensure_worker()
    return str(number)


def submit_tryon(state: TryOnState, mask: np.ndarray | None) -> str:
    """Ask for the try-on, with an edited mask if there is one.

    Args:
        state: Inputs and settings.
        mask: (H, W) uint8 at the photo's size, or None for the automatic one.
    """
    refs = _refs(state)
    if mask is not None:
        refs["mask"] = _store().keep_input(media.encode(mask, "png"), "mask.png")
    recipe = _recipe("tryon", state, refs)
    name = registry.default_name(registry.kind("tryon"), {slot: ref.name for slot, ref in refs.items()})
    path = _settings().home / "outputs" / time.strftime("%Y-%m-%d") / f"{name}.png"
    number = _queue().add(recipe, path, layers=True, owner="page")
    ensure_worker()
    return str(number)


_started: dict[str, float] = {}


def ensure_worker() -> None:
    """Start the worker unless one is alive or was started a moment ago."""
    home = _settings().home
    if time.monotonic() - _started.get(str(home), -STARTUP_SECONDS) >= STARTUP_SECONDS:
        _started[str(home)] = time.monotonic()
        worker.ensure(home)


def interrupted() -> int:
    """How many jobs an unclean end left; the queue is paused then, until the user says what to do."""
    return len(worker.open_session(_settings().home))


def paused() -> bool:
    """Whether the queue starts no work."""
    return _queue().paused


def resume() -> None:
    """Let the queue go on, and see to it that somebody works."""
    _queue().resume()
    ensure_worker()


# -- watching


def watch(job_id: str) -> Job | None:
    """The job as it stands now, or None if the queue does not know it."""
    try:
        row = _queue().get(int(job_id))
    except UsageError:
        return None
    kind = json.loads(row.recipe)["kind"]
    waiting = row.state == "queued"
    return Job(
        state=row.state,
        active=row.active,
        fraction=row.fraction,
        message="" if waiting else _step_name(kind, row.message),
        eta=row.eta,
        ahead=_queue().ahead(row.id) if waiting else 0,
        paused=waiting and row.lane == queue.WORK_LANE and paused(),
        cancelling=row.cancel,
        preview=_read(row.preview) if row.active and row.preview else None,
        artefact=str(Path(row.result).resolve()) if row.result else None,
        error=row.error,
    )


def _step_name(kind: str, message: str) -> str:
    """``step 2 of 7``, said of a step that is done, becomes the name of the step that runs."""
    count = re.fullmatch(r"step (\d+) of (\d+)", message)
    names = _STEPS.get(kind, ())
    if count and int(count[2]) == len(names):
        return names[min(int(count[1]), len(names) - 1)]
    return message.capitalize()


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:  # the worker removes it when the job ends
        return None


def cancel(job_id: str) -> None:
    """Stop a job; one that has ended stays as it is."""
    _queue().cancel(int(job_id))


# -- results


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
    image = photo(person)
    mask = media.pixels_of(media.read_bytes(path))
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
        pixels = media.pixels_of(media.read_bytes(file))
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
            found.append(PersonBox(label, data_url(fit_inside(np.ascontiguousarray(crop), THUMBNAIL))))
    return tuple(found)


def own_mask(picture: Picture, shape: tuple[int, int]) -> np.ndarray:
    """The mask that an opened recipe brought.

    Raises:
        InputError: as `media.decode_mask` says.
    """
    data = _store().read_input(InputRef(sha256=picture.sha256, name=picture.name))
    return media.decode_mask(data, picture.name, shape)


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
    after = media.pixels_of(media.read_bytes(path))
    before = photo(seal.recipe.inputs["person"].sha256, seal.recipe.inputs["person"].name)
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
    """The result as a file of ``format`` that carries its recipe; as it was written when the format is the same."""
    path = Path(artefact)
    data = media.read_bytes(path)
    seal, _ = sidecar.read(path)
    if seal.output.format == format:
        return data
    shown = outcome(artefact)
    product = Product(pixels=shown.after, edit=Edit(shown.before, shown.mask))
    target = Target(path.with_suffix(SUFFIX[format]), format, _settings().quality)
    body = store.encode(product, target)
    new = store.seal_of(product, body, seal.recipe, seal.receipt, seal.environment, target)
    return store.embed(body, format, new)


def recent(limit: int) -> list[Recent]:
    """The newest try-ons of this workspace."""
    return [
        Recent(row["path"], _label(Path(row["path"])), _small(row["path"], row["file_sha256"]))
        for row in _store().gallery(kind="tryon", limit=limit)
    ]


@lru_cache(maxsize=128)
def _small(path: str, sha256: str) -> str:
    with Image.open(io.BytesIO(media.read_bytes(Path(path)))) as picture:
        return data_url(fit_inside(np.asarray(picture.convert("RGB")), THUMBNAIL))


def trash(artefact: str) -> None:
    """Move a result into the trash.

    Raises:
        InputError, OutputError: as `Store.trash` says.
    """
    _store().trash(Path(artefact))


# -- recipes


def open_recipe(data: bytes, name: str) -> Restored:
    """Read the recipe out of a file of ours.

    Raises:
        InputError: ``input.no-recipe``, ``input.not-kept``.
        UsageError: ``recipe.bad``, ``recipe.other-kind``.
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
    return _restored(seal.recipe)


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
        person=_picture(recipe.inputs["person"], "person"),
        garment=_picture(recipe.inputs["garment"], "garment"),
        own_mask=_picture(recipe.inputs["mask"], "mask") if "mask" in recipe.inputs else None,
        person_index=typed.person_index,
        seed=recipe.seed,
        protect=tuple(name for name in PROTECTABLE if name in typed.protect),
    )
