"""Training samples of the published data set: a person, and a picture of the garment that this person wears.

The layout stands in preprocess.py; training reads `train/` and `train_pairs.txt`, whose two names on a line are equal.
Pictures are read at the published load size, because the drawings of the agnostic forms have fixed sizes in its pixels,
and are then brought to the size that a network loads. One person in ten (crc32 of the stem) is kept out, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError
from pipelines.viton_hd import flow
from pipelines.viton_hd.preprocess import LOAD_SIZE, TO_PARSE13, read_pairs, read_parse, read_sample

MODE, PAIRS = "train", "train_pairs.txt"
VITON_HD, CCP = "viton-hd", "ccp"
LAYOUTS = f"VITON-HD: {MODE}/image and {PAIRS}; CCP: images, labels and label_names.json"


def layout_of(folder: str | Path) -> str:
    """Which of the two layouts ``folder`` is in: `VITON_HD` or `CCP`.

    Raises:
        InputError: ``data.layout`` if it is in neither, or lacks the half of VITON-HD that is trained on.
    """
    folder = Path(folder)
    people, listed = (folder / MODE / "image").is_dir(), (folder / PAIRS).is_file()
    if people and listed:
        return VITON_HD
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return CCP
    if people or listed:
        lacks = PAIRS if people else f"{MODE}/image"
        raise InputError("data.layout", f"This VITON-HD folder has no {lacks}", seen=folder, remedy=LAYOUTS)
    if (folder / "test" / "image").is_dir():
        what = "This VITON-HD folder holds people to test on only, who are not trained on"
        raise InputError("data.layout", what, seen=folder, remedy=LAYOUTS)
    raise InputError("data.layout", "This folder is in neither layout that is trained on", seen=folder, remedy=LAYOUTS)


@dataclass(frozen=True)
class PairedPeople:
    """People of one or more folders in the published layout.

    Attributes:
        names: (folder, person, cloth) of every pair.
        size: (height, width) that the network loads.
    """

    names: tuple[tuple[Path, str, str], ...]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
        """One pair, not augmented (the paper names no augmentation that we know of).

        Returns:
            uint8 arrays: image, agnostic, pose, cloth (H, W, 3); parse, parse_agnostic (H, W) of 13 classes;
            cloth_mask (H, W), 0 or 1.

        Raises:
            InputError: ``data.layout``.
        """
        root, person, cloth = self.names[int(rng.integers(len(self.names)))]
        found = read_sample(root, person, cloth, mode=MODE, size=LOAD_SIZE)
        pictures = {name: getattr(found, name) for name in ("image", "agnostic", "pose", "cloth")}
        parse = TO_PARSE13[read_parse(root, person, mode=MODE, size=LOAD_SIZE)]
        labels = {
            "parse": parse, "parse_agnostic": TO_PARSE13[found.parse_agnostic], "cloth_mask": found.cloth_mask,
        }  # fmt: skip
        return {name: self._fit(picture, cv2.INTER_AREA) for name, picture in pictures.items()} | {
            name: self._fit(label, cv2.INTER_NEAREST) for name, label in labels.items()
        }

    def _fit(self, picture: NDArray[np.uint8], how: int) -> NDArray[np.uint8]:
        if picture.shape[:2] == self.size:
            return picture.copy()  # Pillow's pixels are read-only, which torch does not take
        return np.asarray(cv2.resize(picture, (self.size[1], self.size[0]), interpolation=how), np.uint8)


def paired_people(data: Sequence[str | Path], size: tuple[int, int]) -> PairedPeople:
    """List the pairs to train on.

    Raises:
        InputError: ``data.layout`` for an absent or malformed list, ``data.unpaired`` if a line names a garment other
            than the one that the person wears, ``data.empty`` if no pair is left.
    """
    names = []
    for root in map(Path, data):
        for person, cloth in read_pairs(root, PAIRS):
            if Path(person).stem != Path(cloth).stem:
                raise InputError(
                    "data.unpaired",
                    "Training needs every person beside the garment they wear, under the same name",
                    seen=f"{root / PAIRS}: {person} {cloth}",
                    remedy="Write the person's own garment into the line",
                )
            if not is_validation(Path(person).stem):
                names.append((root, person, cloth))
    if not names:
        raise InputError(
            "data.empty",
            "No pair is left to train on",
            seen=", ".join(str(root) for root in data),
            remedy="One name in ten is held out for validation; list more pairs",
        )
    return PairedPeople(tuple(names), size)


def unpack(batch: dict[str, Any]) -> tuple[flow.Inputs, Tensor, Tensor]:
    """A batch of samples as the networks read it: inputs, image (B, 3, H, W) in [-1, 1], parse (B, H, W) int64."""

    def picture(name: str) -> Tensor:
        return batch[name].permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1

    agnostic = flow.one_hot(batch["parse_agnostic"], flow.CLASSES13)
    inputs = flow.Inputs(
        picture("agnostic"), agnostic, picture("pose"), picture("cloth"), batch["cloth_mask"][:, None].float()
    )
    return inputs, picture("image"), batch["parse"].long()


def seven_classes(parse: Tensor) -> Tensor:
    """(B, H, W) int64 of 13 classes -> (B, 7, H, W) float32 one-hot."""
    return flow.one_hot(torch.from_numpy(flow.TO_PARSE7).long().to(parse.device)[parse], flow.CLASSES7)
