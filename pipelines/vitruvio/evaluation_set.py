"""What Vitruvio is scored on: sketches with points whose occupancy is known, from a folder or drawn afresh.

A folder holds one folder an item: ``sketch.png``, ``points.npz`` (``points`` (N, 3) in the frame of buildings,
``occupancies`` (N,) as packed bits) and, where there is one, ``mesh.obj``. The set that figures in the card are about
is drawn from the 200 buildings of `buildings.evaluation_set`, whose hash a test holds fast.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError
from pipelines.core.types import Image, Mesh, OnStep, report
from pipelines.mesh import export
from pipelines.synthetic.buildings import EVALUATION_COUNT, QUERY, Building, evaluation_set
from pipelines.synthetic.linework import Camera, draw, sample_hand, sample_view
from pipelines.vitruvio.dataset import packed, read_occupancy

SIDE = 512  # pixels of a sketch
POINTS = 20_000  # per building, even over the query box
UNKNOWN = "unknown"
_SEED = 20_250_918  # of cameras, hands and points; the buildings have their own


@dataclass(frozen=True)
class Item:
    """One sketch and what is true about it.

    Attributes:
        name: Its folder's name.
        family: Kind of building, ``unknown`` if nothing says.
        family_from: ``family.txt``, ``name`` or ``unknown``: what says so.
        picture: (H, W, 3) uint8.
        points: (N, 3) float32 in the frame of buildings.
        occupied: (N,) bool.
        mesh: The true surface in the same frame, or None.
    """

    name: str
    family: str
    family_from: str
    picture: Image
    points: NDArray[np.float32]
    occupied: NDArray[np.bool_]
    mesh: Mesh | None


def listed(folder: str | Path, split: str = "all") -> list[Path]:
    """Folders of the items of a split, in order of their names.

    Raises:
        InputError: ``data.split``; ``data.empty`` if the split holds none.
    """
    if split not in ("all", "val"):
        raise InputError("data.split", "Unknown split", seen=split, remedy="Use all or val")
    found = [path.parent for path in sorted(Path(folder).glob("*/sketch.png"))]
    kept = [path for path in found if split == "all" or is_validation(path.name)]
    if not kept:
        raise InputError(
            "data.empty",
            "This folder holds no item of this split" if found else "This folder holds no ID/sketch.png",
            seen=f"{folder}, {split}",
            remedy="Use --split all" if found else "`studio data evaluation DIR` writes a folder that can be scored",
        )
    return kept


def read_item(folder: str | Path) -> Item:
    """Read one item.

    Raises:
        InputError: ``input.unreadable`` for the sketch, ``data.points`` for the points, `export.decode`'s for the mesh.
    """
    folder = Path(folder)
    picture = cv2.imread(str(folder / "sketch.png"), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError("input.unreadable", "This sketch cannot be read", seen=folder / "sketch.png")
    points, occupied = read_occupancy(folder / "points.npz")
    mesh = export.decode((folder / "mesh.obj").read_bytes(), "obj") if (folder / "mesh.obj").is_file() else None
    family, said_by = _family(folder)
    return Item(
        folder.name, family, said_by, np.ascontiguousarray(picture[..., ::-1], np.uint8), points, occupied, mesh
    )


def _family(folder: Path) -> tuple[str, str]:
    """Family and what names it."""
    if (folder / "family.txt").is_file():
        return (folder / "family.txt").read_text(encoding="utf-8").strip() or UNKNOWN, "family.txt"
    numbered = re.fullmatch(r"(.+)-\d{3,}", folder.name)
    return (numbered[1], "name") if numbered else (UNKNOWN, UNKNOWN)


def rendered(count: int = EVALUATION_COUNT) -> list[Callable[[], Item]]:
    """The first ``count`` items of the fixed set, each drawn when it is asked for.

    Raises:
        InputError: ``data.rendered`` for more than there are.
    """
    return [lambda index=index, building=building: _drawn(index, building)[0] for index, building in _first(count)]


def _first(count: int) -> list[tuple[int, Building]]:
    if not 1 <= count <= EVALUATION_COUNT:
        raise InputError(
            "data.rendered",
            "The fixed set does not have so many buildings",
            seen=count,
            remedy=f"Ask for 1 to {EVALUATION_COUNT}",
        )
    return list(enumerate(_buildings()))[:count]


@cache
def _buildings() -> list[Building]:
    return evaluation_set()


def _drawn(index: int, building: Building) -> tuple[Item, Camera]:
    """Item and camera; chance depends on the number only, so that every part of the set is the same in each run."""
    rng = np.random.default_rng((_SEED, index))
    camera = sample_view(building, rng)
    sketch = draw(building, camera, sample_hand(rng, 1), rng, size=SIDE)
    points = rng.uniform(-QUERY, QUERY, (POINTS, 3)).astype(np.float32)
    name, picture = f"{building.family}-{index:03d}", np.repeat(sketch[..., None], 3, 2)
    truth = building.occupancy(points)
    return Item(name, building.family, "name", picture, points, truth, building.mesh()), camera


def write_evaluation_set(
    folder: str | Path, *, count: int = EVALUATION_COUNT, on_step: OnStep | None = None
) -> list[Path]:
    """Write the fixed set as a folder that can be looked at, and scored with ``--data``.

    Args:
        folder: Becomes ``FAMILY-NNN/`` with ``sketch.png``, ``points.npz``, ``mesh.obj`` and ``view.json`` (where the
            camera stands); made if it is not there. Items that are there already are written again.
        count: How many of the 200.
        on_step: Called after each item.

    Returns:
        The items' folders.

    Raises:
        InputError: ``data.rendered``.
        OSError: What the disk says.
    """
    written = []
    for index, building in _first(count):
        item, camera = _drawn(index, building)
        place = Path(folder) / item.name
        place.mkdir(parents=True, exist_ok=True)
        (place / "points.npz").unlink(missing_ok=True)  # an item without points is seen to be unfinished
        (place / "sketch.png").write_bytes(encoded_png(item.picture))
        (place / "mesh.obj").write_bytes(export.encode(building.mesh(), "obj"))
        (place / "view.json").write_text(json.dumps(asdict(camera), indent=2) + "\n", encoding="utf-8")
        np.savez_compressed(place / "points.npz", points=item.points, occupancies=packed(item.occupied))
        written.append(place)
        report(on_step, len(written), count)
    return written


def encoded_png(picture: NDArray[np.uint8]) -> bytes:
    """A grey (h, w) or RGB (h, w, 3) picture as PNG."""
    stored: Any = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])
    done, data = cv2.imencode(".png", stored)
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be stored")
    return data.tobytes()


def name_seed(name: str) -> int:
    """A number that depends on an item's name only."""
    return zlib.crc32(name.encode())
