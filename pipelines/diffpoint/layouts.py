"""What lies in a folder of objects with pictures and true surfaces, as their authors hand them out.

| layout | pictures | surface |
|---|---|---|
| ours | ``CATEGORY/ID/view_*.png`` | ``CATEGORY/ID/points.npz`` |
| r2n2 | ``ShapeNetRendering/SYNSET/MODEL/rendering/NN.png`` | ``ShapeNet_pointclouds/SYNSET/MODEL/*.npy``, ``*.npz`` |
| | | or without that folder ``ShapeNetCore.v1/SYNSET/MODEL/model.obj``, ``models/model_normalized.obj`` |
| pix3d | ``img`` and ``mask`` of each entry of ``pix3d.json`` | its ``model``, an OBJ file |

Of several clouds of one model the largest file is taken. ``renderings.txt`` is not needed, nor is Pix3D's ``bbox``
where there is a mask. An entry of Pix3D that is truncated or occluded, also slightly, is left out, as its own
evaluation does. Entries are grouped by model: photographs of one model are views of one object, and no split parts them
(our choice).

Published splits do not lie in these folders: one object in ten, by the crc32 of its name, is kept out (our choice).

Frames: y is up, and the front is turned towards +z where the source states where it is: Pix3D (README: +x leftward, +y
upward, +z inward, so that the front is -z), ShapeNetCore.v1 (README: front +x) and ``model_normalized.obj``, which
comes with v2 (README: front -z). That of ``ShapeNet_pointclouds`` is not stated, and left as it is. A network learns
whatever frame its data has: sets of unlike frames should not be mixed.

Sources, read for names and frames only: chrischoy/3D-R2N2 (MIT) for the renderings of 13 categories; val-iisc/3d-lmnet
(MIT), README and utils/shapenet_taxonomy.py, for the clouds and the categories' names; xingyuansun/pix3d 36686dc,
README.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError

SPLITS = ("train", "val", "all")
SYNSETS = {
    "02691156": "airplane", "02828884": "bench", "02933112": "cabinet", "02958343": "car", "03001627": "chair",
    "03211117": "monitor", "03636649": "lamp", "03691459": "speaker", "04090263": "rifle", "04256520": "sofa",
    "04379243": "table", "04401088": "telephone", "04530566": "vessel",
}  # fmt: skip
RENDERINGS, CLOUDS, MESHES = "ShapeNetRendering", "ShapeNet_pointclouds", "ShapeNetCore.v1"
FRONTS = {"model.obj": "+x", "model_normalized.obj": "-z"}  # of ShapeNet's meshes
PIX3D = "pix3d.json"
FILES = ("img", "mask", "model")
HIDDEN = ("truncated", "occluded", "slightly_occluded")


@dataclass(frozen=True)
class Item:
    """One object, read when asked.

    Attributes:
        name: Unique within its set; splits go by it.
        category: In words where the set has them.
        views: Its pictures, at least one.
        shape: File of its surface.
        masks: One a view, white where the object is; none where the pictures say so themselves.
        front: Where its front points as stored, ``+x``, ``-z`` or ``+z``; ``unstated`` where the source does not say.
    """

    name: str
    category: str
    views: tuple[Path, ...]
    shape: Path
    masks: tuple[Path, ...] = ()
    front: str = "unstated"


@dataclass(frozen=True)
class Listing:
    """What lies in a folder.

    Attributes:
        layout: One of ``LAYOUTS``.
        items: In order of their names.
        left_out: Why something was left out -> how often: entries of Pix3D, elsewhere objects.
    """

    layout: str
    items: tuple[Item, ...]
    left_out: dict[str, int]

    def of(self, split: str) -> list[Item]:
        """The items of ``train``, ``val`` or ``all``.

        Raises:
            InputError: ``data.split``.
        """
        if split not in SPLITS:
            raise InputError("data.split", "Unknown split", seen=split, remedy=f"One of {SPLITS}")
        return [item for item in self.items if split == "all" or is_validation(item.name) == (split == "val")]


def listed(folder: str | Path) -> Listing:
    """Recognise a layout by what is there, and list its objects; of files it is only asked whether they exist.

    Raises:
        InputError: ``data.layout`` if none is recognised or pix3d.json is malformed, ``data.outside`` if that names
            files outside of the folder, or ``data.empty``.
    """
    root = Path(folder)
    name = next((name for name, (fits, _) in LAYOUTS.items() if fits(root)), None)
    if name is None:
        raise InputError(
            "data.layout", "This is no data set of pictures and surfaces", seen=root,
            remedy=f"It needs CATEGORY/ID/ with points.npz and view_*.png, {RENDERINGS}/ with {CLOUDS}/ or {MESHES}/, "
            f"or {PIX3D}",
        )  # fmt: skip
    left_out: Counter[str] = Counter()
    items = sorted(LAYOUTS[name][1](root, left_out), key=lambda item: item.name)
    if not items:
        raise InputError(
            "data.empty", "This data set holds no object that can be used",
            seen=f"{root}, left out: {told(left_out) or 'nothing'}", remedy="Fetch its pictures and surfaces",
        )  # fmt: skip
    return Listing(name, tuple(items), dict(left_out))


def told(left_out: dict[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{count} {why}" for why, count in sorted(left_out.items()))


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _ours(root: Path, left_out: Counter[str]) -> Iterator[Item]:
    for folder in (folder for category in _folders(root) for folder in _folders(category)):
        views, shape, category = tuple(sorted(folder.glob("view_*.png"))), folder / "points.npz", folder.parent.name
        if not views or not shape.is_file():
            left_out[_lacks(views)] += 1
        else:
            yield Item(f"{category}/{folder.name}", category, views, shape, front="+z")


def _r2n2(root: Path, left_out: Counter[str]) -> Iterator[Item]:
    for model in (model for synset in _folders(root / RENDERINGS) for model in _folders(synset)):
        synset = model.parent.name
        views, shape = tuple(sorted((model / "rendering").glob("[0-9]*.png"))), _shapenet(root, synset, model.name)
        if not views or shape is None:
            left_out[_lacks(views)] += 1
        else:
            front = FRONTS.get(shape.name, "unstated")
            yield Item(f"{synset}/{model.name}", SYNSETS.get(synset, synset), views, shape, front=front)


def _shapenet(root: Path, synset: str, model: str) -> Path | None:
    """The largest cloud of a model; its mesh where the folder has no clouds at all, as their frames differ."""
    if (root / CLOUDS).is_dir():
        clouds = [path for path in (root / CLOUDS / synset / model).glob("*.np[yz]") if not path.name.startswith(".")]
        return max(clouds, key=lambda path: (path.stat().st_size, path.name), default=None)
    folder = root / MESHES / synset / model
    meshes = (folder / "model.obj", folder / "models" / "model_normalized.obj")
    return next((path for path in meshes if path.is_file()), None)


def _lacks(views: tuple[Path, ...]) -> str:
    return "without a surface" if views else "without a picture"


def _pix3d(root: Path, left_out: Counter[str]) -> Iterator[Item]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in _entries(root / PIX3D):
        # Its README has them as text, readers in public as true and false.
        hidden = next((name for name in HIDDEN if str(entry.get(name, False)).lower() == "true"), None)
        if hidden:
            left_out[hidden.replace("_", " ")] += 1
        elif not all((root / entry[name]).is_file() for name in FILES):
            left_out["with a file missing"] += 1
        else:
            groups.setdefault(entry["model"], []).append(entry)
    for model, entries in groups.items():
        images, masks = (tuple(root / entry[name] for entry in entries) for name in ("img", "mask"))
        name = PurePosixPath(model).with_suffix("").as_posix().removeprefix("model/")
        yield Item(name, entries[0]["category"], images, root / model, masks, front="-z")


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise ValueError("it is no list")
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict) or any(type(entry.get(name)) is not str for name in (*FILES, "category")):
                raise ValueError(f"entry {number} lacks one of {', '.join(FILES)}, category")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "data.layout", f"{PIX3D} cannot be understood", seen=f"{path}: {error}"[:200], remedy="Fetch it again"
        ) from None
    outside = [entry[name] for entry in entries for name in FILES if _leaves(entry[name])]
    if outside:
        raise InputError(
            "data.outside", f"{PIX3D} names files outside of its folder",
            seen=f"{len(outside)}, the first: {outside[0]}"[:200], remedy="Do not use this file",
        )  # fmt: skip
    return entries


def _leaves(name: str) -> bool:
    """Whether a path leads out of its folder, on any system. Links within it are the user's own, and followed."""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or ":" in plain or ".." in plain.split("/")


LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, Counter[str]], Iterator[Item]]]] = {
    "r2n2": (lambda root: (root / RENDERINGS).is_dir(), _r2n2),
    "pix3d": (lambda root: (root / PIX3D).is_file(), _pix3d),
    "ours": (lambda root: any(root.glob("*/*/points.npz")), _ours),
}
