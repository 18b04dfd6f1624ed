"""Published data sets of tampered pictures, in the folders in which their authors hand them out.

| layout | pictures | masks | untouched |
|---|---|---|---|
| ours | ``tampered/STEM.*`` | ``masks/STEM.*`` | ``authentic/STEM.*`` |
| CASIA v1, v2 | ``Tp/STEM.*`` | ``Gt/STEM_gt.*`` or ``Gt/STEM.*`` | ``Au/`` |
| Columbia | ``4cam_splc/STEM.tif`` | ``4cam_splc/edgemask/STEM_edgemask.*``, green where spliced | ``4cam_auth/`` |
| COVERAGE | ``image/Nt.tif`` | ``mask/Nforged.tif`` | ``image/N.tif`` |
| NIST16 | ``probe/*`` | by ``reference/manipulation/*-ref.csv``, black where manipulated | by the same |
| NIST16 without it | ``probe/STEM.*`` | ``mask/STEM.*``, black where manipulated | ``world/`` |
| IMD2020 | ``*/STEM.*`` | ``*/STEM_mask.png`` | ``*/*_orig.*`` |
| list | a JSON file of ``[picture, mask]`` or ``[picture, "Negative"]``, paths beside it | | |

A published mask is white where manipulated unless the table says otherwise, and counts where the mean of its channels
is above one half (SunnyHaze/IML-ViT 07dd2be, utils/datasets.py, MIT). These were read for names and colours only:

- CASIA: IML-ViT for ``Tp`` and ``Gt``, which it pairs by their order; we pair by name, because one missing mask would
  shift all pairs after it. namtpham/casia1groundtruth and casia2groundtruth for the masks' other folders, which may
  stand in for ``Gt``: ``CASIA 2 Groundtruth``, and ``CASIA 1.0 groundtruth`` with ``CM`` and ``Sp`` as in ``Tp``.
- Columbia: photoholmes/photoholmes, datasets/columbia.py. Masks are red and green, brighter along the seam. Loaders in
  public disagree: most take all green, one takes bright red. We follow the most.
- COVERAGE, IMD2020: grip-unina/TruFor, test_docker/data_test; mjkwon2021/CAT-Net, Splicing/data.
- NIST16: usnistgov/MediScore, NC2016-manipulation-ref.csv, where a mask's name is not its probe's. No source says that
  all of ``world`` is untouched, so the reference's own rows are taken where it is at hand. That masks beside probes of
  the same name are still black is our choice: the release's are.
- List: IML-ViT, whose paths start where one stands; beside the list is our choice, so that a set can be moved.

Refused as handed out (SunnyHaze/IML-Dataset-Corrections names them): CASIA v1 for one picture without a mask, and seven
pairs of CASIA v2 whose mask is turned or cut.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Image
from pipelines.iml_vit.preprocess import INSIDE, PICTURES, decoded, mask_of

CASIA_MASKS = ("Gt", "CASIA 2 Groundtruth", "CASIA 1.0 groundtruth")
CASIA_PARTS = ("CM", "Sp")  # copy-moves and splices of the first version
NIST_COLUMNS = ("ProbeFileName", "ProbeMaskFileName", "IsTarget")
SAME_SHAPE = 0.02  # some masks of CASIA are a little larger or smaller than their picture, in the same shape


@dataclass(frozen=True)
class LabelledPicture:
    """A picture whose truth is known.

    Attributes:
        stem: Of its file; of the photograph that it was made from where its name tells (COVERAGE, IMD2020), so that a
            split by the stem keeps an edit and its original together.
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
        InputError: ``data.layout`` if none is recognised or a list or reference is malformed, ``data.missing`` if it
            names pictures that are not there, ``data.unpaired`` if pictures lack their mask, or ``data.empty``.
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
    _refuse_missing(items)
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


def _refuse_missing(items: list[LabelledPicture]) -> None:
    # Said now, because training would stop at one of them hours later.
    missing = [item.picture.name for item in items if not item.picture.is_file()]
    if missing:
        raise InputError(
            "data.missing", "Some pictures that this data set names are not there",
            seen=f"{len(missing)} of {len(items)}: {', '.join(missing[:5])}", remedy="Fetch them, or drop their lines",
        )  # fmt: skip


def read(item: LabelledPicture) -> tuple[Image, NDArray[np.bool_]]:
    """The picture, (H, W, 3) uint8 RGB, and its mask, (H, W) bool, which is empty if it is untouched.

    A mask of another size in nearly the same shape is resized to the picture; that much difference is our choice.

    Raises:
        InputError: ``input.unreadable``, or ``data.mask-size`` for a mask of another shape than its picture.
    """
    picture = np.ascontiguousarray(_decoded(item.picture)[..., ::-1], np.uint8)
    height, width = picture.shape[:2]
    if item.mask is None:
        return picture, np.zeros((height, width), bool)
    stored = _decoded(item.mask)
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
        # cv2.INTER_NEAREST rounds down, which moves the mask by up to half a pixel.
        fitted = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        mask = np.asarray(fitted, bool)
    return picture, np.ascontiguousarray(mask)


def _decoded(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR of the pixels as they are stored.

    Not turned by EXIF: masks have none, and were drawn on what loaders without it show (IML-ViT's is PIL's).
    """
    picture = decoded(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise InputError("input.unreadable", "This picture cannot be read", seen=path, remedy="Fetch it again")
    return picture


def _pictures(*folders: Path) -> list[Path]:
    """In order; hidden files are none: macOS leaves ``._NAME.jpg`` on foreign disks."""
    found = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    return sorted(path for path in found if path.suffix.lower() in PICTURES and not path.name.startswith("."))


def _untouched(folder: Path) -> Iterator[LabelledPicture]:
    yield from (LabelledPicture(path.stem, path) for path in _pictures(folder))


def _by_stem(*folders: Path) -> dict[str, Path]:
    return {path.stem: path for path in _pictures(*folders)}


def _ours(root: Path) -> Iterator[LabelledPicture]:
    masks = _by_stem(root / "masks")
    for path in _pictures(root / "tampered"):
        yield LabelledPicture(path.stem, path, masks.get(path.stem, root / "masks" / f"{path.stem}.png"))
    yield from _untouched(root / "authentic")


def _casia(root: Path) -> Iterator[LabelledPicture]:
    masks = _by_stem(*(root / name / part for name in CASIA_MASKS for part in ("", *CASIA_PARTS)))
    for path in _pictures(*(root / "Tp" / part for part in ("", *CASIA_PARTS))):
        named = masks.get(f"{path.stem}_gt") or masks.get(path.stem)
        yield LabelledPicture(path.stem, path, named or root / CASIA_MASKS[0] / f"{path.stem}_gt.png")
    yield from _untouched(root / "Au")


def _columbia(root: Path) -> Iterator[LabelledPicture]:
    folder = root / "4cam_splc" / "edgemask"
    masks = _by_stem(folder)
    for path in _pictures(root / "4cam_splc"):
        name = f"{path.stem}_edgemask"
        yield LabelledPicture(path.stem, path, masks.get(name, folder / f"{name}.jpg"), "green")
    yield from _untouched(root / "4cam_auth")


def _coverage(root: Path) -> Iterator[LabelledPicture]:
    for path in _pictures(root / "image"):
        if path.stem.endswith("t"):
            number = path.stem[:-1]
            yield LabelledPicture(number, path, root / "mask" / f"{number}forged.tif")
        else:
            yield LabelledPicture(path.stem, path)


def _nist(root: Path) -> Iterator[LabelledPicture]:
    reference = _reference(root)
    yield from _nist_by_reference(root, reference[0]) if reference else _nist_by_stem(root)


def _nist_by_reference(root: Path, reference: Path) -> Iterator[LabelledPicture]:
    for row in _rows(reference):
        picture = root / row["ProbeFileName"]
        mask = root / row["ProbeMaskFileName"] if row["IsTarget"] == "Y" else None
        yield LabelledPicture(picture.stem, picture, mask, "black")


def _reference(root: Path) -> list[Path]:
    # The references of the tasks "splice" and "remove" name parts of the same probes again.
    return sorted((root / "reference" / "manipulation").glob("*-ref.csv"))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: row[name].strip() for name in NIST_COLUMNS} for row in csv.DictReader(file, delimiter="|")]
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        raise InputError(
            "data.layout", "This reference of NIST16 cannot be read", seen=f"{path}: {error}",
            remedy=f"Its columns are divided by | and include {', '.join(NIST_COLUMNS)}",
        ) from error  # fmt: skip
    return rows


def _nist_by_stem(root: Path) -> Iterator[LabelledPicture]:
    masks = _by_stem(root / "mask")
    for path in _pictures(root / "probe"):
        yield LabelledPicture(path.stem, path, masks.get(path.stem, root / "mask" / f"{path.stem}.png"), "black")
    yield from _untouched(root / "world")


def _imd(root: Path) -> Iterator[LabelledPicture]:
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for path in _pictures(folder):
            if path.stem.endswith("_orig"):
                yield LabelledPicture(folder.name, path)
            elif not path.stem.endswith("_mask"):
                yield LabelledPicture(folder.name, path, path.with_name(f"{path.stem}_mask.png"))


def _list(path: Path) -> Iterator[LabelledPicture]:
    try:
        pairs = [_pair(row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            "data.layout", "This list of pictures cannot be read", seen=f"{path}: {error}",
            remedy='It is a JSON list of ["picture", "mask"] or ["picture", "Negative"]',
        ) from error  # fmt: skip
    for picture, mask in pairs:
        found = path.parent / picture
        yield LabelledPicture(found.stem, found, None if mask == "Negative" else path.parent / mask)


def _pair(row: object) -> tuple[str, str]:
    match row:
        case [str(picture), str(mask)]:
            return picture, mask
    raise ValueError(f"{row} is no pair of names")


def _holds(*names: str) -> Callable[[Path], bool]:
    return lambda root: all((root / name).is_dir() for name in names)


def _is_casia(root: Path) -> bool:
    return (root / "Tp").is_dir() and any((root / name).is_dir() for name in CASIA_MASKS)


def _is_coverage(root: Path) -> bool:
    # Many sets have the folders image and mask, and would be read as untouched; only this one has these names.
    return (root / "mask").is_dir() and any((root / "image").glob("[0-9]*t.tif"))


def _is_nist(root: Path) -> bool:
    return (root / "probe").is_dir() and ((root / "mask").is_dir() or bool(_reference(root)))


def _is_imd(root: Path) -> bool:
    return root.is_dir() and any(root.glob("*/*_orig.*"))


LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Iterator[LabelledPicture]]]] = {
    "ours": (_holds("tampered", "masks"), _ours),
    "casia": (_is_casia, _casia),
    "columbia": (_holds("4cam_splc"), _columbia),
    "coverage": (_is_coverage, _coverage),
    "nist16": (_is_nist, _nist),
    "imd2020": (_is_imd, _imd),
    "list": (lambda path: path.is_file() and path.suffix.lower() == ".json", _list),
}
