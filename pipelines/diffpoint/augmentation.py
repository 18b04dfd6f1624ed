"""Views as other cameras, lamps and careless cut-outs would have them.

Source: ours; the paper states no augmentation.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

MOVED, TRIMMED, SOFTENED = 0.7, 0.3, 0.3  # how often


def disturbed(view: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Change a view at random: place, size and roll; brightness, tint and noise; a mask that is too wide or too narrow.

    Args:
        view: (S, S, 4) uint8 colours and coverage.
        rng: Source of chance.
    """
    size = view.shape[0]
    if rng.random() < MOVED:
        middle, shift = (size - 1) / 2, rng.uniform(-0.04, 0.04, 2) * size
        affine = cv2.getRotationMatrix2D((middle, middle), float(rng.normal() * 3), float(rng.uniform(0.9, 1.06)))
        affine[:, 2] += shift
        view = np.asarray(cv2.warpAffine(view, affine, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
    colours, cover = view[..., :3].astype(np.float32), np.ascontiguousarray(view[..., 3])
    colours *= (rng.uniform(0.7, 1.25) * rng.uniform(0.92, 1.08, 3)).astype(np.float32)
    colours += np.float32(rng.uniform(-15, 15))
    colours += rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(rng.uniform(0, 8))
    if rng.random() < TRIMMED:
        # A chair's leg is some four pixels wide: more than one of them must not go.
        change, side = (cv2.erode, 2) if rng.random() < 0.5 else (cv2.dilate, 3)
        cover = np.asarray(change(cover, np.ones((side, side), np.uint8)), np.uint8)
    if rng.random() < SOFTENED:
        colours = np.asarray(cv2.GaussianBlur(colours, (0, 0), float(rng.uniform(0.4, 1.2))), np.float32)
    return np.concatenate([np.clip(colours, 0, 255).astype(np.uint8), cover[..., None]], 2)
