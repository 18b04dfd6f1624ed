"""From a picture of a drawing to what the network was trained on: its strokes, upright, cropped, of one width.

The published system takes synthetic sketches as they are. People bring photos of paper, scans and tablet drawings; the
steps here are our own: find the ink (ink.py), drop specks and frames, trace strokes (tracing.py), take out the roll of
the paper where upright strokes show it, and draw the strokes anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Box, Finding, Image
from pipelines.vitruvio.ink import WORK, find_ink
from pipelines.vitruvio.suitability import judge
from pipelines.vitruvio.svg import from_svg
from pipelines.vitruvio.tracing import draw_strokes, find_roll, trace

__all__ = ["PreparedSketch", "from_svg", "prepare"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

STROKE, MARGIN = 1.6, 0.06  # of a picture of 128 and of a side: the middle of what the network is trained on
_SPECK = 0.02  # of the drawing's longer side; smaller blots are no stroke
_APART = 0.05  # of it; what stands further off and is small does not belong to the drawing
_LEVEL = 0.5  # degrees; a roll under this is left alone


@dataclass(frozen=True)
class PreparedSketch:
    """What the network sees of a drawing, and how it came about.

    Attributes:
        image: (S, S) uint8, black ink on white, strokes of one width, centred, filling the square up to the margin.
        layers: Steps to show, each (h, w, 3) uint8: ``ink`` found on the picture, strokes made ``straight``, and
            ``cropped``.
        box: The drawing in the picture's pixels.
        roll: Degrees, clockwise, by which the drawing was turned and that were taken out; 0 where nothing was.
        findings: What the user should know.
    """

    image: NDArray[np.uint8]
    layers: dict[str, Image]
    box: Box
    roll: float
    findings: tuple[Finding, ...]


def prepare(picture: Image, *, size: int = 128) -> PreparedSketch:
    """Prepare a picture of a drawing for the network.

    Args:
        picture: (H, W, 3) uint8 RGB: a photo of paper, a scan or a tablet drawing, dark on light or light on dark.
        size: Side of the result in pixels.

    Returns:
        The prepared drawing. A picture that does not look like a drawing carries the finding
        ``sketch.not-a-drawing``.

    Raises:
        InputError: ``sketch.format``, ``sketch.small``, ``sketch.empty`` or ``sketch.solid``.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise InputError("sketch.format", "A sketch is a picture of (H, W, 3) bytes",
                         seen=f"{picture.shape} {picture.dtype}", remedy="Flatten it to RGB")  # fmt: skip
    ink = find_ink(picture)
    mask = _belonging(_closed(_without_frame(ink.mask)))
    strokes = trace(mask) if mask.any() else []
    if not strokes:
        raise InputError("sketch.empty", "The page shows specks and no strokes", seen=f"{int(ink.mask.sum())} pixels",
                         remedy="Draw dark lines on a light page, or take the photo in more light")  # fmt: skip
    roll = find_roll(strokes)
    turn = 0.0 if roll is None or abs(roll) < _LEVEL else roll
    upright = _turned(strokes, -turn)
    image = draw_strokes(_fitted(upright), size, STROKE)
    layers = {"ink": _shown(mask), "straight": _on_sheet(upright, mask.shape), "cropped": _rgb(image)}
    low, high = np.concatenate(strokes).min(0) / ink.scale, np.concatenate(strokes).max(0) / ink.scale
    box = Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    return PreparedSketch(image, layers, box, turn, judge(ink, mask))


def _without_frame(mask: Flags) -> Flags:
    """Drop what clings to the border of the picture and runs along it: edges of the sheet, of a scanner's lid."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    height, width = mask.shape
    kept = np.ones(count, bool)
    band = max(height, width) // 40
    for index in range(1, count):
        left, top, wide, high, area = (int(value) for value in stats[index])
        sides = (left == 0) + (top == 0) + (left + wide == width) + (top + high == height)
        inner = np.count_nonzero(label[band:-band, band:-band] == index)
        kept[index] = not (sides and inner < 0.3 * area)
    return kept[np.asarray(label, np.int64)] & mask


def _closed(mask: Flags) -> Flags:
    """Close cracks in strokes and pinholes, of a pixel or two."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc).astype(bool)


def _belonging(mask: Flags) -> Flags:
    """Drop specks, and small things that stand apart from the drawing."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    extent = stats[:, 2:4].max(1)
    extent[0] = 0
    if count < 2:
        return mask
    side = float(extent.max())
    big = (extent > _SPECK * side) & (extent > 5)
    mask = mask & big[np.asarray(label, np.int64)]
    ys, xs = np.nonzero(mask)
    if not len(ys):
        return mask
    side = float(max(np.ptp(ys), np.ptp(xs)) + 1)
    reach = max(round(_APART * side), 1)
    joined = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
    _, group = cv2.connectedComponents(joined, connectivity=8)
    amount = np.bincount(np.asarray(group, np.int64)[mask])
    return mask & (amount >= 0.06 * amount.max())[np.asarray(group, np.int64)]


def _turned(strokes: list[Floats], degrees: float) -> list[Floats]:
    """Turn strokes clockwise about the middle of the drawing."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.concatenate(strokes)
    middle = (points.min(0) + points.max(0)) / 2
    return [(stroke - middle) @ turn.T + middle for stroke in strokes]


def _fitted(strokes: list[Floats]) -> list[Floats]:
    """Fit strokes into the unit square up to the margin."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    scale = (1 - 2 * MARGIN) / max(float((high - low).max()), 1e-9)
    return [(stroke - (low + high) / 2) * scale + 0.5 for stroke in strokes]


def _on_sheet(strokes: list[Floats], shape: tuple[int, int]) -> Image:
    sheet = draw_strokes([stroke / WORK for stroke in strokes], WORK, 0.6)
    return _rgb(sheet[: shape[0], : shape[1]])


def _shown(mask: Flags) -> Image:
    return _rgb(np.where(mask, 0, 255).astype(np.uint8))


def _rgb(grey: NDArray[np.uint8]) -> Image:
    return np.repeat(grey[..., None], 3, axis=2)
