"""Where the ink is on a picture of a drawing: a photo of paper, a scan, or a tablet's picture, light or dark.

The picture is reduced first, so that a scan of 200 megapixels costs little more than a phone's photo. All sizes below
are our choice, found on generated drawings and simulated photographs of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.filters import apply_hysteresis_threshold

from pipelines.core.errors import InputError
from pipelines.core.types import Image
from pipelines.vitruvio.ruling import without_ruling

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

SMALLEST = 32  # px of a side
LONGEST = 20  # times the other side: what is narrower is a line or two once it has been reduced
WORK = 640  # px of the longer side that is worked on
_COARSE = 160  # px on which the paper's light is measured
_PEN = 17  # px of those: a little wider than the thickest pen, 28 px of 512 with its blur
_DARK = 90  # a page whose median is darker may be a dark one
_TABLE = 0.45  # what is darker than this share of the paper, behind a sharp edge on the way to it, is not paper
_EDGE = 0.1  # share of the paper's light that a table's edge falls by in one pixel; shadows are softer
_FAINTEST = 0.04  # contrast of the faintest pencil that counts
_GRAIN = 0.012  # noise from which strokes are looked for on a smoother copy
_MOSTLY = 0.45  # share of the picture


@dataclass(frozen=True)
class Ink:
    """Ink on a reduced picture.

    Attributes:
        mask: (h, w) bool, ink.
        contrast: (h, w) float32 in [0, 1], how much darker than the paper; 0 outside of the paper.
        light: (h', w', 3) float32 in [0, 255], the paper's light on a coarse copy, strokes taken away.
        paper: (h', w') bool, what of it is paper and not table.
        scale: Pixels here per pixel of the picture.
        threshold: Contrast from which a stroke starts.
    """

    mask: Flags
    contrast: Floats
    light: Floats
    paper: Flags
    scale: float
    threshold: float


def find_ink(picture: Image) -> Ink:
    """Find the ink of a drawing.

    Args:
        picture: (H, W, 3) uint8 RGB.

    Returns:
        The ink, on a copy of the picture with ``WORK`` pixels on its longer side.

    Raises:
        InputError: ``sketch.small``, ``sketch.empty`` or ``sketch.solid``.
    """
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError("sketch.small", f"A side of the picture is under {SMALLEST} pixels", seen=f"{width}x{height}",
                         remedy="Scan or draw it larger; 512 pixels are plenty")  # fmt: skip
    if max(height, width) > LONGEST * min(height, width):
        raise InputError("sketch.small", f"The picture is over {LONGEST} times as long as it is wide",
                         seen=f"{width}x{height}", remedy="Cut it to the drawing")  # fmt: skip
    page, scale = _reduced(picture)
    typical = float(np.median(page))
    if typical < _DARK and not _has_bright_areas(page, typical):
        page = 255 - page
    light = _paper_light(page)
    level = np.percentile(light, 90, axis=(0, 1)).clip(20)
    paper, blots = _paper((light / level).astype(np.float32))
    if blots > _MOSTLY:
        raise InputError("sketch.solid", "The picture is mostly filled with ink", seen=f"{blots:.0%}",
                         remedy="Draw the edges as lines, and leave the faces white")  # fmt: skip
    contrast, noise = _contrast(page, light, paper)
    contrast = without_ruling(contrast)
    strong = float(np.percentile(contrast, 99.5))
    # on a photograph of something else everything is noise; it goes on and is judged later
    high = max(min(5.5 * noise, 0.7 * strong), 0.35 * strong, _FAINTEST)
    mask = apply_hysteresis_threshold(contrast, min(max(0.5 * high, 3 * noise), high), high)
    # a stroke ends where it is half as dark as in its middle: neighbours that blur into each other stay two
    around = cv2.dilate(contrast, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    mask &= contrast > 0.45 * around
    if not mask.any():
        code, what = ("solid", "is one dark area") if typical < _DARK else ("empty", "has no ink on it")
        raise InputError(f"sketch.{code}", f"The page {what}", seen=f"contrast of {strong:.1%}",
                         remedy="Draw dark lines on a light page, or take the photo in more light")  # fmt: skip
    if mask.mean() > _MOSTLY:
        raise InputError("sketch.solid", "The picture is mostly ink", seen=f"{mask.mean():.0%}",
                         remedy="Draw the edges as lines, and leave the faces white")  # fmt: skip
    return Ink(mask, contrast, light, paper, scale, high)


def _reduced(picture: Image) -> tuple[Image, float]:
    height, width = picture.shape[:2]
    scale = WORK / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=how).astype(np.uint8), scale


def _has_bright_areas(page: Image, typical: float) -> bool:
    """Whether a dark picture shows paper, which is wide, and not only light strokes."""
    grey = cv2.resize(page, None, fx=_COARSE / WORK, fy=_COARSE / WORK, interpolation=cv2.INTER_AREA).mean(2)
    wide = cv2.morphologyEx(grey.astype(np.uint8), cv2.MORPH_OPEN, np.ones((_PEN, _PEN), np.uint8))
    return bool((wide > typical + 60).mean() > 0.08)


def _paper_light(page: Image) -> Floats:
    """The page without its strokes: what is narrow and dark is closed, which keeps the edges of shadows in place."""
    small = cv2.resize(page, None, fx=_COARSE / WORK, fy=_COARSE / WORK, interpolation=cv2.INTER_AREA)
    # grains of light would be spread by the closing
    small = cv2.medianBlur(small.astype(np.uint8), 3)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_PEN, _PEN))
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, disc, borderType=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(cv2.medianBlur(closed.astype(np.uint8), 5), (0, 0), 1.0).astype(np.float32)


def _paper(share: Floats) -> tuple[Flags, float]:
    """Return what is paper (h, w), of its light (h, w, 3) as share of the paper's, and what share dark blots cover."""
    darkest = share.min(2)
    dark = (darkest < _TABLE).astype(np.uint8)
    count, label, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=4)
    steep = np.hypot(*np.gradient(darkest)) > _EDGE
    table = np.zeros(dark.shape, bool)
    blots = 0
    height, width = dark.shape
    for index in range(1, count):
        left, top, wide, high, area = (int(value) for value in stats[index])
        here = label == index
        ring = cv2.dilate(here.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~here
        if area < 30 or not ring.any() or steep[ring].mean() < 0.25:
            continue
        if left == 0 or top == 0 or left + wide == width or top + high == height:
            # its blurred edge belongs to it
            table |= here | ring
        else:
            blots += area
    return ~table, blots / dark.size


def _contrast(page: Image, light: Floats, paper: Flags) -> tuple[Floats, float]:
    """Return how much darker than the paper each pixel is, in its strongest colour, and the noise of it."""
    height, width = page.shape[:2]
    full = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    on = cv2.resize(paper.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
    if not on.any():
        return np.zeros((height, width), np.float32), 0.0
    # three planes added are several times faster than a mean over the last axis
    bright, lit = (np.add.reduce(cv2.split(each.astype(np.float32))) / 3 for each in (page, full))
    grainy = _spread(np.asarray(bright / np.maximum(lit, 20), np.float32)[on]) > _GRAIN
    smooth = cv2.medianBlur(page, 3) if grainy else page
    smooth = cv2.GaussianBlur(smooth, (0, 0), 1.4 if grainy else 0.8).astype(np.float32)
    depth = 1 - smooth / np.maximum(full, 20)
    # mean: black ink on little noise; strongest: coloured pens, of which one channel may hardly see anything
    first, second, third = cv2.split(depth)
    strongest = np.maximum(np.maximum(first, second), third)
    contrast = np.asarray((first + second + third) / 6 + strongest / 2, np.float32)
    return (np.clip(contrast - np.median(contrast[on]), 0, 1) * on).astype(np.float32), _spread(contrast[on])


def _spread(values: Floats) -> float:
    """Standard deviation of what is not ink."""
    return 1.48 * float(np.median(np.abs(values - np.median(values))))
