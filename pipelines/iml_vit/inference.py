"""A picture of any size through a network of one size: padded, or by overlapping tiles and a shrunk view, merged.

Source: ours. The published code cuts what is larger than 1024 pixels off, and the authors answer in their threads to
shrink it; shrinking loses the traces of noise that tell an edit, tiles alone lose the comparison with the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.core.runtime import Runtime
from pipelines.core.types import Image, OnStep, report
from pipelines.iml_vit.network import ImlVit
from pipelines.iml_vit.preprocess import prepared

STRIDE = 4  # pixels of the input per logit
GRID = 16  # tiles begin at multiples of the patch, and so of JPEG's blocks
OVERLAP = 4  # a tile shares at least one part in so many with the next
SHRUNK = 0.3  # the shrunk view's share of the merged logits; the tiles have the rest (our choice, see the card)

Logits = NDArray[np.float32]


def logits_of(model: ImlVit, picture: Image, runtime: Runtime, *, on_step: OnStep | None = None) -> Logits:
    """Logits of manipulation of a picture of any size.

    Args:
        model: In eval mode, on the runtime's device.
        picture: (H, W, 3) uint8 RGB.
        runtime: Device and dtype.
        on_step: Called after each view; may raise ``Cancelled``.

    Returns:
        (ceil(H / 4), ceil(W / 4)) float32.
    """
    side = model.config.input_size
    height, width = picture.shape[:2]
    size = -(-height // STRIDE), -(-width // STRIDE)
    if max(height, width) <= side:
        found = _view(model, picture, runtime)
        report(on_step, 1, 1)
        return found[: size[0], : size[1]]
    corners = list(tiles(height, width, side))
    total, weight = np.zeros(size, np.float32), np.zeros(size, np.float32)
    ramp = _ramp(side // STRIDE)
    for number, (top, left) in enumerate(corners):
        piece = picture[top : top + side, left : left + side]
        rows, columns = -(-piece.shape[0] // STRIDE), -(-piece.shape[1] // STRIDE)
        place = np.s_[top // STRIDE : top // STRIDE + rows, left // STRIDE : left // STRIDE + columns]
        total[place] += _view(model, piece, runtime)[:rows, :columns] * ramp[:rows, :columns]
        weight[place] += ramp[:rows, :columns]
        report(on_step, number + 1, len(corners) + 1)
    total /= weight
    factor = side / max(height, width)
    small = cv2.resize(
        picture, (max(1, round(width * factor)), max(1, round(height * factor))), interpolation=cv2.INTER_AREA
    )
    seen = _view(model, np.asarray(small, np.uint8), runtime)
    rows, columns = (-(-length // STRIDE) for length in small.shape[:2])
    whole = cv2.resize(seen[:rows, :columns], (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    report(on_step, len(corners) + 1, len(corners) + 1)
    return np.asarray((1 - SHRUNK) * total + SHRUNK * np.asarray(whole), np.float32)


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


@torch.inference_mode()
def _view(model: ImlVit, piece: Image, runtime: Runtime) -> Logits:
    """(h, w, 3) uint8, at most the network's size -> (side / 4, side / 4) float32 logits, padding included."""
    x = torch.from_numpy(prepared(piece, model.config.input_size)[None]).to(runtime.device)
    with runtime.autocast():
        logits = model(x.contiguous(memory_format=torch.channels_last))
    return logits[0, 0].float().cpu().numpy()


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
