"""A picture of any size through a network of a largest size: padded, or by overlapping tiles and a shrunk view, merged.

Source: ours. The published code cuts what is larger than 1024 pixels off, and the authors answer in their threads to
shrink it; shrinking loses the traces of noise that tell an edit, tiles alone lose the comparison with the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.core.runtime import Runtime
from pipelines.core.types import Image, OnStep, report
from pipelines.iml_vit.network import ImlVit
from pipelines.iml_vit.preprocess import prepared, whole_blocks

STRIDE = 4  # pixels of the input per logit
GRID = 16  # tiles begin at multiples of the patch, and so of JPEG's blocks
OVERLAP = 4  # a tile shares at least one part in so many with the next
SHRUNK = 0.3  # the shrunk view's share of the merged logits; the tiles have the rest (our choice, see the card)

BATCH = {"cuda": 8 * 512**2}  # pixels of the views that go at once, by device; a CPU gains nothing by more than one

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What the network says of a picture.

    Attributes:
        logits: (ceil(H / 4), ceil(W / 4)) float32 logits of manipulation.
        judged: Logit for the picture as a whole; None of a network without a judge. See `_together`.
    """

    logits: Logits
    judged: float | None


def seen(model: ImlVit, picture: Image, runtime: Runtime, *, on_step: OnStep | None = None) -> Seen:
    """Show a picture of any size to the network.

    Args:
        model: In eval mode, on the runtime's device.
        picture: (H, W, 3) uint8 RGB.
        runtime: Device and dtype.
        on_step: Called after each view, or some of them on a GPU; may raise ``Cancelled``.
    """
    side = model.config.input_size
    height, width = picture.shape[:2]
    size = -(-height // STRIDE), -(-width // STRIDE)
    corners = list(tiles(height, width, side))
    pieces = [picture[top : top + side, left : left + side] for top, left in corners]
    if len(corners) > 1:
        pieces.append(_shrunk(picture, side))
    total, weight = np.zeros(size, np.float32), np.zeros(size, np.float32)
    ramp = _ramp(side // STRIDE)
    verdicts = []
    for number, (found, judged) in enumerate(_views(model, pieces, runtime)):
        if number < len(corners):
            top, left = (place // STRIDE for place in corners[number])
            place = np.s_[top : top + found.shape[0], left : left + found.shape[1]]
            total[place] += found * ramp[: found.shape[0], : found.shape[1]]
            weight[place] += ramp[: found.shape[0], : found.shape[1]]
            verdicts.append(judged)
        report(on_step, number + 1, len(pieces))
    total /= weight
    if len(corners) > 1:
        shrunk = found  # the last view
        whole = cv2.resize(shrunk, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        total = np.asarray((1 - SHRUNK) * total + SHRUNK * np.asarray(whole), np.float32)
    return Seen(total, _together([judged for judged in verdicts if judged is not None]))


def _together(verdicts: list[float]) -> float | None:
    """One logit of those of all tiles: that one of them, nobody knows which, was tampered with, against none.

    The likelihood ratio of that is the mean of the tiles' own ones. The highest logit would rise with the number of
    tiles, and every large picture would be suspicious.
    """
    return float(np.logaddexp.reduce(verdicts) - np.log(len(verdicts))) if verdicts else None


def tiles(height: int, width: int, side: int) -> Iterator[tuple[int, int]]:
    """Top left corners of overlapping squares that cover a picture; the last of a row may stick out."""
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield top, left


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = 1 + -(-(length - side) // (side - side // OVERLAP))
    return [int(-(-place // GRID) * GRID) for place in np.linspace(0, length - side, count)]


def _ramp(side: int) -> Logits:
    """Weights that fall towards the border of a tile, where it sees least around."""
    line = np.minimum(np.arange(side), np.arange(side)[::-1]) + np.float32(1)
    line = np.minimum(line / np.float32(side / OVERLAP), 1).astype(np.float32)
    return np.outer(line, line).astype(np.float32)


def _shrunk(picture: Image, side: int) -> Image:
    """As large as fits the network."""
    factor = side / max(picture.shape[:2])
    height, width = (max(1, round(length * factor)) for length in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _views(model: ImlVit, pieces: Sequence[Image], runtime: Runtime) -> Iterator[tuple[Logits, float | None]]:
    """Of each (h, w, 3) uint8 piece, at most the network's size: (ceil(h / 4), ceil(w / 4)) logits, and the judge's."""
    least, blocks = model.config.padded_to, model.config.stem == "noise"

    def padded_size(piece: Image) -> tuple[int, int]:
        height, width = (-(-length // least) * least for length in piece.shape[:2])
        return height, width

    # Views of one size alone: padding takes part in attention, and none must depend on what else is in its batch.
    for size, alike in itertools.groupby(pieces, padded_size):
        waiting = list(alike)
        together = max(1, BATCH.get(runtime.device.type, 1) // (size[0] * size[1]))
        for first in range(0, len(waiting), together):
            group = waiting[first : first + together]
            x = np.stack([prepared(whole_blocks(piece) if blocks else piece, *size) for piece in group])
            with torch.inference_mode(), runtime.autocast():
                view = torch.from_numpy(x).to(runtime.device).contiguous(memory_format=torch.channels_last)
                logits, judged = model.judged(view)
            maps = logits[:, 0].float().cpu().numpy()
            for number, piece in enumerate(group):
                rows, columns = (-(-length // STRIDE) for length in piece.shape[:2])
                yield maps[number, :rows, :columns], None if judged is None else float(judged[number])


def enlarged(logits: Logits, size: tuple[int, int]) -> NDArray[np.float32]:
    """Logits at 1/4 -> (H, W) float32 probabilities: enlarged first, then the sigmoid, as published."""
    whole = (logits.shape[1] * STRIDE, logits.shape[0] * STRIDE)
    # The network's own enlargement is bilinear about pixel centres; so is OpenCV's at a whole factor.
    fine = np.asarray(cv2.resize(logits, whole, interpolation=cv2.INTER_LINEAR), np.float32)
    return sigmoid(fine[: size[0], : size[1]])


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of logits, without overflow, and without a second array: a large picture's is 400 MB."""
    chance = np.clip(logits, -30, 30)
    np.negative(chance, out=chance)
    np.exp(chance, out=chance)
    np.add(chance, 1, out=chance)
    return np.reciprocal(chance, out=chance)
