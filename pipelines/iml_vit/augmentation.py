"""The published changes to labelled training pictures.

Source: SunnyHaze/IML-ViT 07dd2be (MIT), utils/iml_transforms.py, for order, probabilities, strengths and the sizes of
rectangles, and albumentations 1.3.0, which it names, for what these leave open: a quarter turn is drawn from all four,
so that the picture turns three times in eight, and kernels of 5 and 7 are twice as likely as 3.
scu-zjz/IMDLBenCo has the same values; older commits of IML-ViT scale within 50 % and blur with probability 0.3.

Ours: rectangles may touch the right and lower border, and have at least one pixel, where published ones of small
pictures may be empty; JPEG gets its channels in the right order, which albumentations swaps, and so codes red as blue;
the mask is scaled by the pixel that is nearest, which moves it by up to half a pixel less than the published one.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from pipelines.core.types import Image
from pipelines.iml_vit.preprocess import BoolMask

SCALE = 0.2
COPIED = INPAINTED = 0.1
FLIPPED = TURNED = 0.5
LIGHT = 0.1  # of brightness, as a share of 255, and of contrast, as a factor's distance from one; always applied
SAVED = BLURRED = 0.2
QUALITY = (70, 100)
KERNEL = (3, 7)
RECTANGLE = (0.05, 0.8)  # its sides, as shares of the picture's
RADIUS = 3  # of inpainting


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
    for axis in (1, 0):
        if rng.random() < FLIPPED:
            picture, mask = np.flip(picture, axis), np.flip(mask, axis)
    picture = relit(picture, 1 + rng.uniform(-LIGHT, LIGHT), rng.uniform(-LIGHT, LIGHT))
    if rng.random() < SAVED:
        picture = saved(picture, int(rng.integers(*QUALITY, endpoint=True)))
    if rng.random() < TURNED:
        turns = int(rng.integers(4))
        picture, mask = np.rot90(picture, turns), np.rot90(mask, turns)
    picture, mask = np.ascontiguousarray(picture), np.ascontiguousarray(mask)
    if rng.random() < BLURRED:
        side = int(rng.integers(*KERNEL, endpoint=True)) | 1  # an even draw takes the next odd side
        picture = np.asarray(cv2.GaussianBlur(picture, (side, side), 0), np.uint8)
    return picture, mask


def scaled(picture: Image, mask: BoolMask, factor: float) -> tuple[Image, BoolMask]:
    """Both larger or smaller by a factor; the mask by its nearest pixel."""
    size = tuple(max(1, round(length * factor)) for length in (mask.shape[1], mask.shape[0]))
    # cv2.INTER_NEAREST rounds down, which moves the mask by up to half a pixel against the picture.
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(cv2.resize(picture, size), np.uint8), np.asarray(small, bool)


def copy_moved(picture: Image, mask: BoolMask, rng: Generator) -> tuple[Image, BoolMask]:
    """A rectangle of the picture copied to another place of it; the mask gains where it is now."""
    height, width = _rectangle(mask.shape, rng)
    (top, left), (to_top, to_left) = (_corner(mask.shape, (height, width), rng) for _ in range(2))
    picture, mask = picture.copy(), mask.copy()
    there = np.s_[to_top : to_top + height, to_left : to_left + width]
    picture[there] = picture[top : top + height, left : left + width].copy()
    mask[there] = True
    return picture, mask


def inpainted(picture: Image, mask: BoolMask, rng: Generator) -> tuple[Image, BoolMask]:
    """A rectangle filled from what surrounds it; the mask gains it."""
    height, width = _rectangle(mask.shape, rng)
    top, left = _corner(mask.shape, (height, width), rng)
    hole = np.zeros(mask.shape, np.uint8)
    hole[top : top + height, left : left + width] = 1
    how = cv2.INPAINT_TELEA if rng.random() < 0.5 else cv2.INPAINT_NS
    return np.asarray(cv2.inpaint(picture, hole, RADIUS, how), np.uint8), mask | (hole > 0)


def relit(picture: Image, contrast: float, light: float) -> Image:
    """Times ``contrast``, plus ``light`` as a share of 255; fractions are dropped, as published."""
    table = np.clip(np.arange(256) * contrast + 255 * light, 0, 255).astype(np.uint8)
    return table[picture]


def saved(picture: Image, quality: int) -> Image:
    """Saved as JPEG and read again."""
    data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _rectangle(size: tuple[int, ...], rng: Generator) -> tuple[int, int]:
    height, width = (max(1, int(length * rng.uniform(*RECTANGLE))) for length in size[:2])
    return height, width


def _corner(size: tuple[int, ...], part: tuple[int, int], rng: Generator) -> tuple[int, int]:
    top, left = (int(rng.integers(0, whole - piece + 1)) for whole, piece in zip(size[:2], part, strict=True))
    return top, left
