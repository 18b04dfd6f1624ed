"""The paper's changes to labelled training pictures.

Source: the paper, section 4.1, and SunnyHaze/IML-ViT 07dd2be (MIT) for probabilities: scale within 20 %, copy-move and
inpainting (Telea or Navier-Stokes) of a random rectangle with probability 0.1 each, flips and quarter turns, brightness
and contrast, JPEG 70 to 100 and blur 3 to 7 with probability 0.2 each. The rectangles' sizes are our choice.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.types import Image

BoolMask = NDArray[np.bool_]

SCALE = 0.2
COPIED = INPAINTED = 0.1
RELIT = 0.5
SAVED = BLURRED = 0.2
LIGHT = 0.1  # of brightness, as a share of 255, and of contrast, as a factor's distance from one
RECTANGLE = (0.05, 0.3)  # its sides, as shares of the picture's


def augmented(picture: Image, mask: BoolMask, rng: Generator) -> tuple[Image, BoolMask]:
    """Change a picture and its mask at random; what is copied or inpainted joins the mask.

    Args:
        picture: (H, W, 3) uint8 RGB, both sides at least 16.
        mask: (H, W) bool.
        rng: Source of chance.

    Returns:
        Both, of the same size as each other.
    """
    picture, mask = scaled(picture, mask, float(rng.uniform(1 - SCALE, 1 + SCALE)))
    if rng.random() < COPIED:
        picture, mask = copy_moved(picture, mask, rng)
    if rng.random() < INPAINTED:
        picture, mask = inpainted(picture, mask, rng)
    turns, flips = int(rng.integers(4)), rng.random(2) < 0.5
    for flipped, axis in zip(flips, (0, 1), strict=True):
        if flipped:
            picture, mask = np.flip(picture, axis), np.flip(mask, axis)
    picture = np.ascontiguousarray(np.rot90(picture, turns))
    mask = np.ascontiguousarray(np.rot90(mask, turns))
    if rng.random() < RELIT:
        contrast, light = 1 + rng.uniform(-LIGHT, LIGHT), 255 * rng.uniform(-LIGHT, LIGHT)
        picture = np.asarray(cv2.convertScaleAbs(np.clip(picture * contrast + light, 0, 255)), np.uint8)
    if rng.random() < SAVED:
        quality = int(rng.integers(70, 101))
        data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])
    if rng.random() < BLURRED:
        side = int(rng.choice([3, 5, 7]))
        picture = np.asarray(cv2.GaussianBlur(picture, (side, side), 0), np.uint8)
    return picture, mask


def scaled(picture: Image, mask: BoolMask, factor: float) -> tuple[Image, BoolMask]:
    """Both larger or smaller by a factor; the mask by its nearest pixel."""
    size = tuple(max(1, round(length * factor)) for length in (mask.shape[1], mask.shape[0]))
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(picture, size), np.uint8), np.asarray(small, bool)


def copy_moved(picture: Image, mask: BoolMask, rng: Generator) -> tuple[Image, BoolMask]:
    """A rectangle of the picture copied to another place of it."""
    height, width = _rectangle(mask.shape, rng)
    (top, left), (to_top, to_left) = (_corner(mask.shape, (height, width), rng) for _ in range(2))
    picture, mask = picture.copy(), mask.copy()
    there = np.s_[to_top : to_top + height, to_left : to_left + width]
    picture[there] = picture[top : top + height, left : left + width].copy()
    mask[there] = True
    return picture, mask


def inpainted(picture: Image, mask: BoolMask, rng: Generator) -> tuple[Image, BoolMask]:
    """A rectangle filled from what surrounds it."""
    height, width = _rectangle(mask.shape, rng)
    top, left = _corner(mask.shape, (height, width), rng)
    hole = np.zeros(mask.shape, np.uint8)
    hole[top : top + height, left : left + width] = 1
    how = cv2.INPAINT_TELEA if rng.random() < 0.5 else cv2.INPAINT_NS
    return np.asarray(cv2.inpaint(picture, hole, 3, how), np.uint8), mask | (hole > 0)


def _rectangle(size: tuple[int, ...], rng: Generator) -> tuple[int, int]:
    height, width = (max(1, int(length * rng.uniform(*RECTANGLE))) for length in size[:2])
    return height, width


def _corner(size: tuple[int, ...], part: tuple[int, int], rng: Generator) -> tuple[int, int]:
    top, left = (int(rng.integers(0, whole - piece + 1)) for whole, piece in zip(size[:2], part, strict=True))
    return top, left
