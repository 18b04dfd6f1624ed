"""Folders of photographs, as the source of procedural tampering.

A folder is searched for pictures at any depth. Where ``labels/STEM.png`` lies beside ``images/STEM.jpg`` (the layout of
Clothing Co-Parsing), the labels give regions that a person would cut out: a garment, a face, a bag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.iml_vit.preprocess import PICTURES, decoded
from pipelines.synthetic.tampering import Source

SMALLEST = 64


class Photographs:
    """Photographs at random, or one after the other."""

    def __init__(self, folders: Sequence[str | Path], *, keep: Callable[[str], bool] = lambda stem: True,
                 fewest: int = 2) -> None:  # fmt: skip
        """Find them.

        Args:
            folders: Searched at any depth. ``labels`` folders hold no photographs, nor do sets that
                evaluation_set.py wrote, nor hidden files.
            keep: Takes a file's stem; False leaves it out.
            fewest: How many must be kept: a splice needs two.

        Raises:
            InputError: ``data.empty`` if fewer are.
        """
        found = sorted(
            path
            for folder in folders
            for path in Path(folder).rglob("*")
            if _is_photograph(path, Path(folder)) and keep(path.stem)
        )
        if len(found) < fewest:
            raise InputError(
                "data.empty", "There are not enough photographs in these folders",
                seen=f"{len(found)} in {', '.join(str(folder) for folder in folders)}",
                remedy="Name folders of pictures",
            )  # fmt: skip
        self.paths = found

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, number: int) -> Source:
        """One photograph with its labels, if it has any.

        Raises:
            InputError: ``input.unreadable``.
        """
        path = self.paths[number]
        picture = self._decoded(path, cv2.IMREAD_COLOR)[..., ::-1]
        labels = path.parents[1] / "labels" / f"{path.stem}.png"
        regions = self._decoded(labels, cv2.IMREAD_UNCHANGED) if labels.is_file() else None
        if regions is not None and regions.shape != picture.shape[:2]:
            regions = None
        return Source(np.ascontiguousarray(picture), regions)

    def draw(self, rng: np.random.Generator, side: int) -> Source:
        """A piece of at most ``side`` pixels each way of a random photograph."""
        source = self.read(int(rng.integers(len(self.paths))))
        height, width = source.picture.shape[:2]
        top, left = (int(rng.integers(0, max(0, length - side) + 1)) for length in (height, width))
        piece = slice(top, top + side), slice(left, left + side)
        regions = None if source.regions is None else np.ascontiguousarray(source.regions[piece])
        return Source(np.ascontiguousarray(source.picture[piece]), regions)

    def _decoded(self, path: Path, how: int) -> NDArray[np.uint8]:
        picture = decoded(path, how)
        if picture is None or min(picture.shape[:2]) < SMALLEST:
            raise InputError(
                "input.unreadable", "This picture cannot be read, or is too small", seen=path,
                remedy="Remove it from the folder",
            )  # fmt: skip
        return picture


def _is_photograph(path: Path, root: Path) -> bool:
    if path.suffix.lower() not in PICTURES or path.name.startswith(".") or not path.is_file():
        return False
    way = path.relative_to(root)
    made = any((root / parent / "items.json").is_file() for parent in way.parents)
    return "labels" not in way.parts and not made
