"""The folder layout of Occupancy Networks, which Vitruvio is trained from, read and written.

    ROOT/metadata.yaml                      optional: names of the categories
    ROOT/CATEGORY/{train,val,test}.lst      one model a line
    ROOT/CATEGORY/MODEL/points.npz          points (N, 3) float16 in [-0.55, 0.55], occupancies packed, loc, scale
                        pointcloud.npz      points and normals (N, 3) float16 of the surface, loc, scale
                        img_choy2016/*.jpg  views; the first in order of names is the one that is validated on
                        img_choy2016/cameras.npz  optional: world_mat_i (3, 4) and camera_mat_i (3, 3), whose product
                                            takes a point (x, y, z, 1) to (column w, row w, w) of view i in pixels

loc and scale take the model back to where it came from: original = points * scale + loc. Layout as read by
CDInstitute/Vitruvio 48043d6 (MIT), which needs no cameras; networks with local features are taught by them.
``model.binvox`` may lie beside.
"""

from __future__ import annotations

import random
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.errors import InputError

SPLITS = ("train", "val", "test")
VIEWS, CAMERAS = "img_choy2016", "cameras.npz"
JITTER = 1e-4  # sigma, published: takes float16's grid out of the points
VAL, TEST, SPLIT_SEED = 0.1, 0.2, 4  # published shares and seed

_REMEDY = "`studio data prepare` writes this layout"


@dataclass(frozen=True)
class Model:
    """One model: its folder, read when asked.

    Attributes:
        folder: ROOT/CATEGORY/MODEL.
    """

    folder: Path

    def views(self) -> list[Path]:
        """Its pictures in order of their names.

        Raises:
            InputError: ``data.views`` if there is none.
        """
        found = sorted(p for p in (self.folder / VIEWS).glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not found:
            raise InputError("data.views", "A model has no picture", seen=self.folder / VIEWS, remedy=_REMEDY)
        return found

    @property
    def has_cameras(self) -> bool:
        """Whether its views come with their projections."""
        return (self.folder / VIEWS / CAMERAS).is_file()

    def projection(self, view: int) -> NDArray[np.float64]:
        """Where points lie in a view: (3, 4), takes (x, y, z, 1) to (u w, v w, w), u and v from -1 to 1.

        Raises:
            InputError: ``data.cameras``; ``input.unreadable`` for the view, whose size is asked for.
        """
        path = self.folder / VIEWS / CAMERAS
        names = f"world_mat_{view}", f"camera_mat_{view}"
        world, camera = (value.astype(np.float64) for value in _arrays(path, *names, code="data.cameras").values())
        if world.shape != (3, 4) or camera.shape != (3, 3) or not np.isfinite(camera @ world).all():
            raise InputError(
                "data.cameras", "The matrices of a view are not a projection",
                seen=f"{path}, view {view}: {world.shape}, {camera.shape}", remedy="Delete the file",
            )  # fmt: skip
        height, width = _read_grey(self.views()[view]).shape
        side = max(height, width)  # as `read_view` pads
        shift = (side - width) // 2, (side - height) // 2
        place = [[2 / side, 0, 2 * shift[0] / side - 1], [0, 2 / side, 2 * shift[1] / side - 1], [0, 0, 1]]
        return np.array(place) @ camera @ world

    def points(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Points (N, 3) float32 and whether each lies inside (N,) bool; raises `read_occupancy`'s errors."""
        return read_occupancy(self.folder / "points.npz")

    def surface(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points and unit normals of the surface, (N, 3) float32 each.

        Raises:
            InputError: ``data.points``.
        """
        path = self.folder / "pointcloud.npz"
        arrays = _arrays(path, "points", "normals")
        points, normals = (_triples(path, name, arrays[name]) for name in ("points", "normals"))
        if points.shape != normals.shape:
            raise _broken(path, "Points and normals differ in number", f"{len(points)} and {len(normals)}")
        return points, normals


def models(root: str | Path, split: str) -> list[Model]:
    """The models of a split over all categories; empty if no category has a list of it.

    Raises:
        InputError: ``data.split``; ``data.layout`` for a root without lists; ``data.model`` for a listed model that is
            not there.
    """
    root = Path(root)
    if split not in SPLITS:
        raise InputError("data.split", "Unknown split", seen=split, remedy=f"One of {SPLITS}")
    lists = sorted(path for name in SPLITS for path in root.glob(f"*/{name}.lst"))
    if not lists:
        raise InputError("data.layout", "This folder holds no CATEGORY/train.lst", seen=root, remedy=_REMEDY)
    found = []
    for path in (path for path in lists if path.stem == split):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(
                "data.layout", "This list is no text", seen=f"{path}: {error}", remedy="Write it in UTF-8"
            ) from None
        for name in (line.strip() for line in lines):
            if name and not (path.parent / name / "points.npz").is_file():
                raise InputError(
                    "data.model",
                    "A listed model has no points.npz",
                    seen=f"{name} in {path}",
                    remedy="Restore its folder, or take the line out",
                )
            if name:
                found.append(Model(path.parent / name))
    return found


def categories(root: str | Path) -> dict[str, str]:
    """Id -> name of the categories: of metadata.yaml where there is one, else of the folders with a list.

    Raises:
        InputError: ``data.metadata`` for a file that cannot be understood.
    """
    root = Path(root)
    path = root / "metadata.yaml"
    if not path.is_file():
        return {folder: folder for folder in sorted({p.parent.name for n in SPLITS for p in root.glob(f"*/{n}.lst")})}
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {str(key): str(entry["name"]) for key, entry in read.items()}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            "data.metadata", "metadata.yaml is not a mapping from ids to names", seen=f"{path}: {error!r}"[:160],
            remedy="Write `ID: {id: ID, name: NAME}` a line, or delete the file",
        ) from None  # fmt: skip


def read_occupancy(path: str | Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a ``points.npz``.

    Returns:
        (N, 3) float32 points and (N,) bool, whether each lies inside.

    Raises:
        InputError: ``data.points`` for a file that is missing, cut off, or whose arrays do not fit each other.
    """
    path = Path(path)
    arrays = _arrays(path, "points", "occupancies")
    points, bits = _triples(path, "points", arrays["points"]), arrays["occupancies"]
    if bits.dtype == np.bool_ and bits.shape == (len(points),):
        return points, bits  # not packed: larger, and as clear
    if bits.dtype != np.uint8 or bits.shape != ((len(points) + 7) // 8,):
        raise _broken(
            path, "The occupancies are not one packed bit a point",
            f"{bits.dtype} {bits.shape} for {len(points)} points",
        )  # fmt: skip
    return points, np.unpackbits(bits, count=len(points)).astype(np.bool_)


def packed(occupied: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(N,) bool as the layout stores it, eight to a byte."""
    return np.packbits(occupied)


def write_model(
    folder: Path,
    *,
    points: NDArray[np.float16],
    occupied: NDArray[np.bool_],
    surface: tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]],
    loc: NDArray[np.float64],
    scale: float,
    views: list[NDArray[np.uint8]],
    projections: list[NDArray[np.float64]],
) -> None:
    """Write one model into an empty folder.

    Args:
        folder: There already.
        points: (N, 3) float16; whether they lie inside must be known of exactly these rounded ones.
        occupied: (N,) bool.
        surface: Points and unit normals, (M, 3) each.
        loc: (3,) where the centre was.
        scale: How long the longest side was.
        views: (S, S) uint8 grey drawings, black ink on white.
        projections: (3, 4) each, of `Model.projection`.
    """
    place = {"loc": loc.astype(np.float32), "scale": np.float32(scale)}
    np.savez(folder / "points.npz", points=points, occupancies=packed(occupied), **place)
    cloud, normals = (each.astype(np.float16) for each in surface)
    np.savez(folder / "pointcloud.npz", points=cloud, normals=normals, **place)
    (folder / VIEWS).mkdir()
    for number, view in enumerate(views):
        done, data = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not done:
            raise ValueError(f"a picture of shape {view.shape} cannot be stored")
        (folder / VIEWS / f"{number:03d}.jpg").write_bytes(data.tobytes())
    cameras = {}
    for number, (view, projection) in enumerate(zip(views, projections, strict=True)):
        half = len(view) / 2
        cameras[f"world_mat_{number}"] = projection
        cameras[f"camera_mat_{number}"] = np.array([[half, 0, half], [0, half, half], [0, 0, 1]])
    np.savez(folder / VIEWS / CAMERAS, **cameras)


def write_lists(category: Path, names: list[str]) -> dict[str, list[str]]:
    """Deal models out to train, val and test by the published shares and seed, and write the three lists.

    Shares and seed are published, the order in which models are dealt is our choice: names are sorted, shuffled by
    Python's ``random`` with that seed, and cut as train, val, test.

    Returns:
        Split -> names.
    """
    dealt = sorted(names)
    random.Random(SPLIT_SEED).shuffle(dealt)
    val, test = int(VAL * len(dealt)), int(TEST * len(dealt))
    train = len(dealt) - val - test
    split = {"train": dealt[:train], "val": dealt[train : train + val], "test": dealt[train + val :]}
    for name, members in split.items():
        (category / f"{name}.lst").write_text("".join(f"{member}\n" for member in sorted(members)), encoding="utf-8")
    return split


def write_metadata(root: Path, names: dict[str, str]) -> None:
    """Write metadata.yaml: id -> id and name."""
    entries = {key: {"id": key, "name": name} for key, name in names.items()}
    (root / "metadata.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")


def read_view(path: Path, side: int) -> NDArray[np.uint8]:
    """A view as (side, side) uint8 grey; one that is not square is first padded with white (our choice).

    Raises:
        InputError: ``input.unreadable``.
    """
    picture = _read_grey(path)
    height, width = picture.shape
    down, right = max(0, width - height), max(0, height - width)
    if down or right:
        edges = (down // 2, down - down // 2, right // 2, right - right // 2)
        picture = cv2.copyMakeBorder(picture, *edges, cv2.BORDER_CONSTANT, value=[255.0])
    if len(picture) == side:
        return np.asarray(picture, np.uint8)
    kind = cv2.INTER_AREA if len(picture) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (side, side), interpolation=kind), np.uint8)


def _read_grey(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise InputError("input.unreadable", "This view cannot be read", seen=path, remedy="Draw or copy it again")
    return np.asarray(picture, np.uint8)


def jittered(points: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Points (N, 3) as they are trained on: moved by the published noise, which float16 calls for."""
    return (points + rng.standard_normal(points.shape, dtype=np.float32) * JITTER).astype(np.float32)


def _arrays(path: Path, *names: str, code: str = "data.points") -> dict[str, NDArray[Any]]:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            missing = [name for name in names if name not in stored]
            if missing:
                raise _broken(path, f"The file lacks {', '.join(missing)}", f"it has {', '.join(stored)}"[:160], code)
            return {name: stored[name] for name in names}
    except FileNotFoundError:
        raise _broken(path, "The file is missing", "", code) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError) as error:
        raise _broken(path, "The file cannot be read", f"{type(error).__name__}: {error}"[:120], code) from None


def _triples(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    if array.ndim != 2 or array.shape[1] != 3 or not len(array) or array.dtype.kind != "f":
        raise _broken(path, f"The {name} are not N triples of numbers", f"{array.dtype} {array.shape}")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise _broken(path, f"The {name} are not all finite", f"{int((~np.isfinite(numbers)).any(1).sum())} are not")
    return numbers


def _broken(path: Path, what: str, seen: str, code: str = "data.points") -> InputError:
    return InputError(code, what, seen=f"{path}{', ' if seen else ''}{seen}", remedy=_REMEDY)
