"""A labelled set of tampered and untouched pictures, made of photographs: what the figures of the card are about.

Layout, which `studio eval iml-vit` reads: ``tampered/STEM.png``, ``masks/STEM.png`` (white where tampered),
``authentic/STEM.png``, and ``items.json``: by stem the kind of tampering, how it was saved, and which untouched variant
the authentic picture is. Of each photograph one picture is tampered with and one is left alone; the eight kinds, the
held-out one among them, and the four variants are equally common.

Of the 5,046 photographs of Clothing Co-Parsing and clothing-dataset-small, fixed before any training that they judge:
``calibration`` 272 items, 440ca1947cef10992f288cd65db9872b29bd5f5edb828aaa8f4f7beb08bd4a6b;
``evaluation`` 225 items, 0937f448acca2e084e948001c0b643d569912b43258c97f2de01b28299437548 (see `digest`).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from pipelines.core.errors import InputError
from pipelines.core.types import Image, OnStep, report
from pipelines.iml_vit.photographs import Photographs
from pipelines.synthetic import tampering
from pipelines.synthetic.tampering import Item

SEED = 20_26
PARTS: dict[str, Callable[[str], bool]] = {
    # The validation part of every data set is split once more: thresholds are fixed on the one half, scores are those
    # of the other, and neither is trained on.
    "calibration": lambda stem: zlib.crc32(stem.encode()) % 20 == 10,
    "evaluation": lambda stem: zlib.crc32(stem.encode()) % 20 == 0,
}


def items(folders: Sequence[str | Path], part: str, *, limit: int | None = None) -> Iterator[tuple[int, int, Item]]:
    """Tamper with the photographs of one part; yields number, count and item.

    Args:
        folders: As `Photographs` takes them.
        part: A name of ``PARTS``, or ``all`` for every photograph.
        limit: How many photographs at most, evenly picked.

    Raises:
        InputError: ``data.empty`` or ``input.unreadable``.
    """
    found = Photographs(folders, keep=PARTS.get(part, lambda stem: True))
    count = len(found) if limit is None else min(limit, len(found))
    numbers = np.linspace(0, len(found) - 1, count).round().astype(int)
    sources = _Picked(found, [int(number) for number in numbers])
    for number, item in enumerate(tampering.evaluation_items(sources, SEED)):
        yield number, count, item


class _Picked(Sequence):
    """Photographs by number, read when they are asked for."""

    def __init__(self, photographs: Photographs, numbers: list[int]) -> None:
        self.photographs, self.numbers = photographs, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tampering.Source:  # type: ignore[override]
        return self.photographs.read(self.numbers[index])


def write(
    folders: Sequence[str | Path],
    out: str | Path,
    part: str,
    *,
    limit: int | None = None,
    on_step: OnStep | None = None,
) -> dict[str, object]:
    """Write a set; returns how many items, and the hash of `digest`.

    Args:
        folders: As `items`.
        out: A new or empty folder, and none of the photographs'.
        part: As `items`.
        limit: As `items`.
        on_step: Called after each item.

    Raises:
        InputError: as `items`; ``data.in-use`` for a folder that holds something or is not apart.
    """
    out = Path(out)
    within = any(Path(folder).resolve() in (out.resolve(), *out.resolve().parents) for folder in folders)
    if within or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise InputError(
            "data.in-use", "A set needs a new folder, apart from the photographs", seen=out,
            remedy="Name one: what lies among photographs would be taken for photographs later",
        )  # fmt: skip
    for name in ("tampered", "masks", "authentic"):
        (out / name).mkdir(parents=True, exist_ok=True)
    told: dict[str, dict[str, str]] = {}
    made = hashlib.sha256()
    for number, count, item in items(folders, part, limit=limit):
        stem = f"{number:04d}"
        _save(out / "tampered" / f"{stem}.png", item.tampered.picture)
        _save(out / "masks" / f"{stem}.png", item.tampered.mask.astype(np.uint8) * 255)
        _save(out / "authentic" / f"{stem}.png", item.authentic)
        told[stem] = {
            "kind": item.tampered.kind, "finishing": item.tampered.finishing,
            "variant": item.variant, "saved": item.saved,
        }  # fmt: skip
        digest(item, made)
        report(on_step, number + 1, count)
    (out / "items.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return {"items": len(told), "sha256": made.hexdigest()}


def digest(item: Item, into: hashlib._Hash) -> None:
    """Add an item's kinds and mask to a hash. Pixels stay out of it: JPEG decoders differ in their last bits."""
    mask = item.tampered.mask
    words = (item.tampered.kind, item.tampered.finishing, item.variant, item.saved, str(mask.shape))
    into.update("\0".join(words).encode() + np.packbits(mask).tobytes())


def _save(path: Path, picture: Image) -> None:
    written = picture[..., ::-1] if picture.ndim == 3 else picture
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(written))[1].tobytes())
