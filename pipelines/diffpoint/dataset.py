"""Reading objects with pictures and true surfaces, of the folders that layouts.py knows.

Pictures are cut out and framed by `views.prepare`, by their mask or transparency, or else by what stands out.

A ``.npz`` holds ``points`` (N, 3), at least 2,048 in any unit, and where they are known ``colours`` (N, 3) uint8 sRGB
and ``normals`` (N, 3), outward; a single array of another name is taken for the points. A ``.npy`` holds the points.
Meshes are sampled by area, inner faces too; normals are those of the faces, which ShapeNet does not wind the same way
everywhere; materials are not read.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.shape_metrics import sample_surface
from pipelines.core.types import Mask
from pipelines.diffpoint.layouts import Item, listed
from pipelines.diffpoint.views import prepare
from pipelines.mesh import export

if TYPE_CHECKING:
    from pipelines.diffpoint import evaluation

KEPT = 4096  # points of a loaded item
LEAST = 2048  # points of a stored cloud
_TOLD = 20  # things left out that are told one by one
# What numpy raises on files that are cut off, have flipped bytes or announce too much.
_DAMAGE = (
    OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip

Floats = NDArray[np.float64]


def load(
    item: Item, rng: Generator, size: int, views: int, on_refused: Callable[[InputError], None] = lambda error: None
) -> dict[str, NDArray[Any]]:
    """Read an object as `training.drawn_object` draws one.

    Args:
        item: Of `layouts.listed`.
        rng: Chooses views and points.
        size: Side of a view.
        views: How many. Where an item has fewer they repeat, and others stand in for those that cannot be used.
        on_refused: Called with what is wrong with a view that cannot be used.

    Returns:
        ``views`` (views, S, S, 4) uint8 colours and coverage; ``points`` (4096, 9) float16, see `surface`.

    Raises:
        InputError: What `surface` raises; without one view that can be used ``input.unreadable``, ``data.mask-size`` or
            what `views.prepare` raises. Each names the file.
    """
    seen: list[NDArray[np.uint8]] = []
    refused: list[InputError] = []
    for number in rng.permutation(len(item.views)):
        try:
            picture, mask = _seen(item, int(number))
            seen.append(_prepared(item.views[number], picture, mask, size))
        except InputError as error:
            refused.append(error)
            on_refused(error)
        if len(seen) == views:
            break
    if not seen:
        raise refused[0]
    stacked = np.stack([seen[number % len(seen)] for number in range(views)])
    return {"views": stacked, "points": surface(item, rng).astype(np.float16)}


class Source:
    """Draws objects at random; one whose surface or whose every view cannot be used is left out from then on.

    Args:
        items: At least one.
        size: Side of a view.
        views: Of each object.
        log: Told what is left out, with a count.
    """

    def __init__(self, items: Sequence[Item], size: int, views: int, log: Callable[[str], None]) -> None:
        self.items, self.size, self.views, self.log = list(items), size, views, log
        self.left_out: set[str] = set()

    def __call__(self, rng: Generator) -> dict[str, NDArray[Any]]:
        """What `load` returns.

        Raises:
            InputError: ``data.empty`` when no object is left.
        """
        last = ""
        while self.items:
            at = int(rng.integers(len(self.items)))
            try:
                return load(self.items[at], rng, self.size, self.views, self._refused)
            except InputError as error:
                self._refused(error)
                last = str(error)
                del self.items[at]
        raise InputError("data.empty", "No object of this data can be used", seen=last, remedy="Fetch the data again")

    def _refused(self, error: InputError) -> None:
        if str(error) not in self.left_out:
            self.left_out.add(str(error))
            if len(self.left_out) <= _TOLD or len(self.left_out) % _TOLD == 0:
                self.log(f"left out, {len(self.left_out)} so far: {error}")


def scored(folder: str | Path, split: str) -> list[Callable[[], evaluation.Item]]:
    """The objects of a split as `evaluation.score` takes them, each read when it is its turn; the same every time.

    Raises:
        InputError: ``data.split``, ``data.empty``, or what `layouts.listed` raises; when read, ``input.unreadable``,
            ``data.mask-size`` or what `surface` raises.
    """
    from pipelines.diffpoint.evaluation import VIEWS
    from pipelines.diffpoint.evaluation import Item as Scored

    def read(item: Item) -> Scored:
        seen = [_seen(item, number) for number in range(min(VIEWS, len(item.views)))]
        pictures = [picture if mask is None else np.dstack([picture[..., :3], mask]) for picture, mask in seen]
        points = surface(item, np.random.default_rng(zlib.crc32(item.name.encode())))[:, :3]
        return Scored(item.name, item.category, tuple(pictures), points.astype(np.float32))

    chosen = listed(folder).of(split)
    if not chosen:
        raise InputError("data.empty", "No object is in this split", seen=f"{folder}, {split}", remedy="Score all")
    return [partial(read, item) for item in chosen]


def surface(item: Item, rng: Generator) -> Floats:
    """(4096, 9) place, colour in [0, 1] and unit normal of points of an object, NaN where they are not known.

    The bounding box is centred, its longest side 1. A cloud of fewer points repeats them, after all were taken once.

    Raises:
        InputError: ``data.points``, ``input.unreadable`` or what `export.decode` raises.
    """
    found = np.full((KEPT, 9), np.nan)
    if item.shape.suffix.lower() == ".obj":
        try:
            mesh = export.decode(item.shape.read_bytes(), "obj")
        except OSError as error:
            raise InputError("input.unreadable", "This mesh cannot be read", seen=f"{item.shape}: {error}") from None
        except InputError as error:
            raise _of(item.shape, error) from None
        points, normals = sample_surface(mesh.vertices, mesh.faces, KEPT, rng)
        if not len(points):
            raise InputError("mesh.empty", "This mesh has no area", seen=item.shape, remedy="Leave the object out")
        corners = mesh.vertices[mesh.faces].reshape(-1, 3)
        found[:, 6:] = _turned(normals, item.front)
    else:
        arrays = _arrays(item.shape)
        corners = arrays["points"]
        turns = -(-KEPT // len(corners))
        chosen = np.concatenate([rng.permutation(len(corners)) for _ in range(turns)])[:KEPT]
        points = corners[chosen]
        if "colours" in arrays:
            found[:, 3:6] = arrays["colours"][chosen] / 255
        if "normals" in arrays:
            normals = arrays["normals"][chosen].astype(np.float64)
            lengths = np.linalg.norm(normals, axis=1, keepdims=True)
            known = np.isfinite(lengths) & (lengths > 0)
            found[:, 6:] = _turned(np.where(known, normals / np.where(known, lengths, 1), np.nan), item.front)
    low, high = corners.min(0), corners.max(0)
    found[:, :3] = _turned((points - (low + high) / 2) / (high - low).max(), item.front)
    return found


def _turned(vectors: Floats, front: str) -> Floats:
    """About the y axis, the front towards +z."""
    if front == "+x":
        return vectors[:, [2, 1, 0]] * (-1, 1, 1)
    return vectors * (-1, 1, -1) if front == "-z" else vectors


def _prepared(path: Path, picture: NDArray[np.uint8], mask: Mask | None, size: int) -> NDArray[np.uint8]:
    try:
        return prepare(picture, size, mask=mask).picture
    except InputError as error:
        raise _of(path, error) from None


def _of(path: Path, error: InputError) -> InputError:
    """The same error, with the file that it is about."""
    return InputError(error.code, error.what, seen=f"{path}: {error.seen}", remedy=error.remedy)


def _seen(item: Item, number: int) -> tuple[NDArray[np.uint8], Mask | None]:
    """A view as it is stored, (H, W, 3) or (H, W, 4) uint8 RGB, and its mask where that is a file of its own."""
    picture = _picture(item.views[number])
    if not item.masks:
        return picture, None
    mask = np.ascontiguousarray(_picture(item.masks[number])[..., 0])
    if mask.shape != picture.shape[:2]:
        (height, width), (tall, wide) = mask.shape, picture.shape[:2]
        raise InputError(
            "data.mask-size", "A mask has another size than its picture",
            seen=f"{item.masks[number]} {width} x {height}, {item.views[number].name} {wide} x {tall}",
            remedy="Remove the pair, or correct it",
        )  # fmt: skip
    return picture, mask


def _picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) or (H, W, 4) uint8 RGB of the pixels as they are stored: masks do not know of EXIF's turns."""
    try:
        found: Any = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error):  # OpenCV raises on an empty file
        found = None
    if found is not None and found.dtype == np.uint16:
        found = (found // 257).astype(np.uint8)
    if found is None or found.dtype != np.uint8:
        raise InputError("input.unreadable", "This picture cannot be read", seen=path, remedy="Fetch it again")
    if found.ndim == 2:
        return np.repeat(found[..., None], 3, 2)
    return np.ascontiguousarray(found[..., [2, 1, 0, 3][: found.shape[2]]])


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """``points``, and where they are known ``colours`` and ``normals``, of a cloud's file.

    Raises:
        InputError: ``data.points``.
    """
    try:
        with open(path, "rb") as stream:
            stored = np.load(stream, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                found = {"points": stored}
            else:
                with stored:
                    names = {name: name for name in ("points", "colours", "normals") if name in stored.files}
                    if len(stored.files) == 1:
                        names = {"points": stored.files[0]}
                    found = {name: stored[theirs] for name, theirs in names.items()}
    except _DAMAGE as error:
        raise _broken(path, "This cloud cannot be read", f"{type(error).__name__}: {error}"[:120]) from None
    points = found.get("points", np.zeros((0, 3)))
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f" or len(points) < LEAST:
        raise _broken(path, f"These are not {LEAST} or more points", f"{points.dtype} {points.shape}")
    found["points"] = points = points.astype(np.float64)
    if not np.isfinite(points).all() or not np.ptp(points, axis=0).max() > 0:
        raise _broken(path, "The points are not finite, or all in one place", f"{len(points)} points")
    for name, kind in (("colours", "u1"), ("normals", "f")):
        other = found.get(name, points)
        if other.shape != points.shape or (name in found and not other.dtype.str.lstrip("<>|=").startswith(kind)):
            raise _broken(path, f"The {name} do not fit the points", f"{other.dtype} {other.shape}, {points.shape}")
    return found


def _broken(path: Path, what: str, seen: str) -> InputError:
    return InputError("data.points", what, seen=f"{path}: {seen}", remedy="Fetch or make the file again")
