"""Published data sets of tampered pictures, in the folders in which their authors hand them out.

| layout | pictures | masks | untouched |
|---|---|---|---|
| ours | ``tampered/STEM.*`` | ``masks/STEM.*`` | ``authentic/STEM.*`` |
| CASIA v1, v2 | ``Tp/STEM.*`` | ``Gt/STEM_gt.png`` | ``Au/`` |
| Columbia | ``4cam_splc/STEM.tif`` | ``4cam_splc/edgemask/STEM_edgemask.jpg``, green where spliced | ``4cam_auth/`` |
| COVERAGE | ``image/Nt.tif`` | ``mask/Nforged.tif`` | ``image/N.tif`` |
| NIST16 | ``probe/STEM.*`` | ``mask/STEM.*``, black where manipulated | ``world/`` |
| IMD2020 | ``*/STEM.*`` | ``*/STEM_mask.png`` | ``*/*_orig.*`` |
| list | a JSON file of ``[picture, mask]`` or ``[picture, "Negative"]``, paths beside it | | |

A published mask is white where manipulated unless the table says otherwise, and counts where the mean of its channels
is above one half. Source of names and colours: the data sets' own descriptions, which their loaders in public
repositories agree on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Image
from pipelines.iml_vit.preprocess import INSIDE, mask_of

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
SAME_SHAPE = 0.02  # some masks of CASIA are a little larger or smaller than their picture, in the same shape


@dataclass(frozen=True)
class LabelledPicture:
    """A picture whose truth is known.

    Attributes:
        stem: Of its file.
        picture: Its file.
        mask: File of its mask; None if it is untouched.
        reading: How the mask is to be read: ``white``, ``black`` or ``green`` is manipulated.
    """

    stem: str
    picture: Path
    mask: Path | None = None
    reading: str = "white"


def listed(folder: str | Path) -> tuple[str, list[LabelledPicture]]:
    """Recognise a layout by what is there.

    Args:
        folder: Root of the set, or the JSON file of a list.

    Returns:
        Name of the layout, and its items.

    Raises:
        InputError: ``data.layout`` if none is recognised, ``data.unpaired`` if pictures lack their mask, or
            ``data.empty``.
    """
    folder = Path(folder)
    name = next((name for name, (fits, _) in LAYOUTS.items() if fits(folder)), None)
    if name is None:
        raise InputError(
            "data.layout", "This is no data set of tampered pictures", seen=folder,
            remedy="It needs tampered/, masks/ and authentic/, or the folders of CASIA, Columbia, COVERAGE, NIST16 or "
            "IMD2020, or a JSON list",
        )  # fmt: skip
    items = list(LAYOUTS[name][1](folder))
    unpaired = [item.picture.name for item in items if item.mask is not None and not item.mask.is_file()]
    if unpaired:
        raise InputError(
            "data.unpaired", "Some tampered pictures have no mask",
            seen=f"{len(unpaired)} of {len(items)}: {', '.join(unpaired[:5])}",
            remedy="Fetch the masks, or remove the pictures",
        )  # fmt: skip
    if not items:
        raise InputError("data.empty", "This data set holds no picture", seen=folder)
    return name, items


def read(item: LabelledPicture) -> tuple[Image, NDArray[np.bool_]]:
    """The picture, (H, W, 3) uint8 RGB, and its mask, (H, W) bool, which is empty if it is untouched.

    Raises:
        InputError: ``input.unreadable``, or ``data.mask-size`` for a mask of another shape than its picture.
    """
    picture = np.ascontiguousarray(_decoded(item.picture, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)
    height, width = picture.shape[:2]
    if item.mask is None:
        return picture, np.zeros((height, width), bool)
    stored = _decoded(item.mask, cv2.IMREAD_COLOR)
    mask = stored[..., 1] > INSIDE if item.reading == "green" else mask_of(stored)
    mask = ~mask if item.reading == "black" else mask
    if mask.shape != (height, width):
        stretch = (mask.shape[0] / height) / (mask.shape[1] / width)
        if abs(stretch - 1) > SAME_SHAPE:
            raise InputError(
                "data.mask-size", "A mask has another shape than its picture",
                seen=f"{item.mask.name} {mask.shape[1]} x {mask.shape[0]}, {item.picture.name} {width} x {height}",
                remedy="Remove the pair, or correct it",
            )  # fmt: skip
        mask = np.asarray(cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), bool)
    return picture, np.ascontiguousarray(mask)


def _decoded(path: Path, how: int) -> NDArray[np.uint8]:
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), how)
    except (OSError, cv2.error):
        picture = None
    if picture is None:
        raise InputError("input.unreadable", "This picture cannot be read", seen=path, remedy="Fetch it again")
    return np.asarray(picture, np.uint8)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES) if folder.is_dir() else []


def _untouched(folder: Path) -> Iterator[LabelledPicture]:
    yield from (LabelledPicture(path.stem, path) for path in _pictures(folder))


def _by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in _pictures(folder)}


def _ours(root: Path) -> Iterator[LabelledPicture]:
    masks = _by_stem(root / "masks")
    for path in _pictures(root / "tampered"):
        yield LabelledPicture(path.stem, path, masks.get(path.stem, root / "masks" / f"{path.stem}.png"))
    yield from _untouched(root / "authentic")


def _casia(root: Path) -> Iterator[LabelledPicture]:
    for path in _pictures(root / "Tp"):
        yield LabelledPicture(path.stem, path, root / "Gt" / f"{path.stem}_gt.png")
    yield from _untouched(root / "Au")


def _columbia(root: Path) -> Iterator[LabelledPicture]:
    for path in _pictures(root / "4cam_splc"):
        mask = root / "4cam_splc" / "edgemask" / f"{path.stem}_edgemask.jpg"
        yield LabelledPicture(path.stem, path, mask, "green")
    yield from _untouched(root / "4cam_auth")


def _coverage(root: Path) -> Iterator[LabelledPicture]:
    for path in _pictures(root / "image"):
        if path.stem.endswith("t"):
            yield LabelledPicture(path.stem, path, root / "mask" / f"{path.stem[:-1]}forged.tif")
        else:
            yield LabelledPicture(path.stem, path)


def _nist(root: Path) -> Iterator[LabelledPicture]:
    masks = _by_stem(root / "mask")
    for path in _pictures(root / "probe"):
        yield LabelledPicture(path.stem, path, masks.get(path.stem, root / "mask" / f"{path.stem}.png"), "black")
    yield from _untouched(root / "world")


def _imd(root: Path) -> Iterator[LabelledPicture]:
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for path in _pictures(folder):
            stem = f"{folder.name}/{path.stem}"
            if path.stem.endswith("_orig"):
                yield LabelledPicture(stem, path)
            elif not path.stem.endswith("_mask"):
                yield LabelledPicture(stem, path, path.with_name(f"{path.stem}_mask.png"))


def _list(path: Path) -> Iterator[LabelledPicture]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(str(picture), str(mask)) for picture, mask in rows]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            "data.layout", "This list of pictures cannot be read", seen=f"{path}: {error}",
            remedy='It is a JSON list of ["picture", "mask"] or ["picture", "Negative"]',
        ) from error  # fmt: skip
    for picture, mask in pairs:
        found = path.parent / picture
        yield LabelledPicture(found.stem, found, None if mask == "Negative" else path.parent / mask)


def _holds(*names: str) -> Callable[[Path], bool]:
    return lambda root: all((root / name).is_dir() for name in names)


def _is_imd(root: Path) -> bool:
    return root.is_dir() and any(root.glob("*/*_orig.*"))


LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Iterator[LabelledPicture]]]] = {
    "ours": (_holds("tampered", "masks"), _ours),
    "casia": (_holds("Tp", "Gt"), _casia),
    "columbia": (_holds("4cam_splc"), _columbia),
    "coverage": (_holds("image", "mask"), _coverage),
    "nist16": (_holds("probe", "mask"), _nist),
    "imd2020": (_is_imd, _imd),
    "list": (lambda path: path.is_file() and path.suffix.lower() == ".json", _list),
}
