"""Regions to tamper with: labelled things, or ellipses, rectangles, polygons and blobs; the bounds of their size."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.core.types import Labels
from pipelines.synthetic.picture_past import resampled, scaled

LEAST, MOST = 0.005, 0.45  # share of the picture that a mask covers
LABELLED = 0.75  # how often a region follows the labels of its picture, where it has any
ATTEMPTS = 6  # at a region of a fair size, and at an edit of one

_CANVAS = 128  # side on which outlines are drawn before they are enlarged

Mask = NDArray[np.bool_]
Window = tuple[slice, slice]


def shape(
    size: tuple[int, int],
    rng: Generator,
    regions: Labels | None = None,
    share: tuple[float, float] = (0.01, 0.35),
) -> Mask:
    """Draw a region: a labelled one where there are labels (mostly), else an ellipse, polygon, rectangle or blob.

    Args:
        size: (height, width).
        rng: Source of chance.
        regions: (H, W) uint8 labels, 0 for background.
        share: Smallest and largest share of the picture to aim for, drawn evenly in its logarithm.

    Returns:
        (H, W) bool covering ``LEAST`` to ``MOST``.
    """
    if regions is not None and rng.random() < LABELLED:
        labelled = _labelled(regions, rng)
        if labelled is not None and LEAST * 1.2 <= labelled.mean() <= min(MOST * 0.95, share[1] * 1.3):
            return labelled
    height, width = size
    for _ in range(ATTEMPTS):
        outline = _outline(rng)
        area = math.exp(rng.uniform(math.log(share[0]), math.log(share[1]))) * height * width
        factor = math.sqrt(area / max(1, int(outline.sum())))
        factor = min(factor, 0.96 * height / outline.shape[0], 0.96 * width / outline.shape[1])
        piece = enlarged(outline, scaled(outline.shape, factor))
        mask = np.zeros(size, bool)
        top, left = (int(rng.integers(0, full - part + 1)) for full, part in zip(size, piece.shape, strict=True))
        mask[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
        if LEAST * 1.2 <= mask.mean() <= MOST * 0.95:
            return mask
    mask = np.zeros(size, bool)
    mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = True
    return mask


def _labelled(regions: Labels, rng: Generator) -> Mask | None:
    """One label, two of them, or everything that is not background; its largest piece, its outline a little off."""
    present = np.flatnonzero(np.bincount(regions.ravel(), minlength=256)[1:]) + 1
    if not len(present):
        return None
    chance = rng.random()
    count = 1 if chance < 0.5 else 2 if chance < 0.65 else len(present)
    wanted = np.zeros(256, np.uint8)
    wanted[rng.choice(present, min(count, len(present)), replace=False)] = 1
    piece = _largest_piece(wanted[regions])
    reach = int(rng.integers(0, 3))
    if reach:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        piece = cv2.dilate(piece, kernel) if rng.random() < 0.7 else cv2.erode(piece, kernel)
    return np.asarray(piece, np.uint8).view(bool)


def _largest_piece(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if len(stats) < 2:
        return mask
    return (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)


def _outline(rng: Generator) -> Mask:
    """Draw an outline that fills its (h, w) bool box; the longer side is up to ``_CANVAS``."""
    canvas = np.zeros((_CANVAS, _CANVAS), np.uint8)
    half = _CANVAS // 2
    turn, flat = float(rng.uniform(0, 180)), float(rng.uniform(0.35, 1))
    chance = rng.random()
    if chance < 0.2:
        cv2.ellipse(canvas, (half, half), (half - 2, int((half - 2) * flat)), turn, 0, 360, 1, -1)
    elif chance < 0.35:
        turn = turn if rng.random() < 0.4 else 0.0
        corners = cv2.boxPoints(((half, half), (1.3 * half, 1.3 * half * flat), turn))
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
    elif chance < 0.6:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 14))))
        reach = rng.uniform(0.45, 0.95, len(angles)) * half
        corners = half + np.stack([np.cos(angles) * reach, np.sin(angles) * reach * flat], 1)
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
        canvas = _largest_piece(canvas)
    else:
        canvas = _blob(rng, flat)
    filled = np.asarray(ndimage.binary_fill_holes(canvas), bool)
    return filled[window_around(filled, 0)]


def _blob(rng: Generator, flat: float) -> NDArray[np.uint8]:
    """Smooth noise that falls off from the middle, cut at a level: coarse noise makes lobes, fine noise coastlines."""
    grid = int(rng.integers(4, 14))
    coarse = rng.standard_normal((grid, grid), dtype=np.float32)
    noise = cv2.resize(coarse, (_CANVAS, _CANVAS), interpolation=cv2.INTER_CUBIC)
    across = np.linspace(-1, 1, _CANVAS, dtype=np.float32)
    fall = across[None] ** 2 + (across[:, None] / flat) ** 2
    height = np.float32(rng.uniform(0.15, 0.5)) * noise - fall
    return _largest_piece((height > -rng.uniform(0.25, 0.6)).astype(np.uint8))


def enlarged(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize a mask to (height, width) with smooth edges."""
    return resampled(mask.view(np.uint8) * np.uint8(255), size, cv2.INTER_LINEAR) > 127


def window_around(mask: Mask, margin: int) -> Window:
    """The box around the True pixels, wider by a margin, within the picture; the whole picture if none is True."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )


def within_bounds(mask: Mask) -> bool:
    return LEAST <= mask.mean() <= MOST
