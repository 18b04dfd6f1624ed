"""Random changes to training pictures that every system uses."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray


def is_validation(stem: str) -> bool:
    """Whether the item of this file stem is held out: one in ten, fixed by the crc32 of the stem."""
    return zlib.crc32(stem.encode()) % 10 == 0


def recolour(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Random gamma, gain, tint, grey, blur and noise on (H, W, 3) float32 in [0, 1]."""
    image = np.power(image, rng.uniform(0.6, 1.5)) * np.float32(rng.uniform(0.75, 1.2))
    image = image * rng.uniform(0.85, 1.15, (1, 1, 3)).astype(np.float32)
    if rng.random() < 0.12:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3)), np.float32)
    grainy = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.03))
    return np.clip(grainy, 0, 1).astype(np.float32)
