"""Skeletons as pictures: the coloured limb map that try-on networks read, and an overlay for people."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Image, Pose
from pipelines.vitpose.decoding import BODY25_NAMES, coco_to_body25

LIMBS = (
    (1, 8), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13), (13, 14),
    (1, 0), (0, 15), (15, 17), (0, 16), (16, 18),
)  # fmt: skip


def _colours(count: int) -> NDArray[np.uint8]:
    """``count`` saturated colours around the hue circle, (count, 3) uint8 RGB."""
    hue = np.arange(count) * 180 / count
    hsv = np.stack([hue, np.full(count, 255), np.full(count, 255)], 1).astype(np.uint8)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]


COLOURS = _colours(len(LIMBS))


def limb_map(
    xy: NDArray[np.float32], score: NDArray[np.float32], size: tuple[int, int], *, threshold: float = 0.1
) -> Image:
    """Draw BODY_25 limbs in their own colours on black, as the try-on networks' pose input.

    Args:
        xy: (25, 2) float32 pixels of the picture that is drawn.
        score: (25,) float32; limbs with an end below ``threshold`` are left out.
        size: (height, width).
        threshold: Least score of a joint.

    Returns:
        (height, width, 3) uint8 RGB. Line width is 1/64 of the height, as OpenPose's renderings have about.
    """
    canvas = np.zeros((*size, 3), np.uint8)
    width = max(1, round(size[0] / 64))
    for (a, b), colour in zip(LIMBS, COLOURS, strict=True):
        if score[a] < threshold or score[b] < threshold:
            continue
        ends = [tuple(round(v * 8) for v in xy[i]) for i in (a, b)]
        cv2.line(canvas, ends[0], ends[1], [int(c) for c in colour], width, cv2.LINE_AA, shift=3)
    for index, (x, y) in enumerate(xy):
        if score[index] >= threshold and index < len(BODY25_NAMES):
            colour = [int(c) for c in COLOURS[index % len(COLOURS)]]
            cv2.circle(canvas, (round(x * 8), round(y * 8)), width * 8, colour, -1, cv2.LINE_AA, shift=3)
    return canvas


def pose_map(pose: Pose, size: tuple[int, int], *, threshold: float = 0.1) -> Image:
    """The limb map of a COCO-17 pose, (height, width, 3) uint8."""
    return limb_map(*coco_to_body25(pose.xy, pose.score), size, threshold=threshold)


def overlay(image: Image, pose: Pose, *, threshold: float = 0.2) -> Image:
    """The picture with its skeleton on top, for people to look at."""
    drawn = pose_map(pose, image.shape[:2], threshold=threshold)
    lit = drawn.any(2, keepdims=True)
    return np.where(lit, (0.25 * image + 0.75 * drawn).astype(np.uint8), image)
