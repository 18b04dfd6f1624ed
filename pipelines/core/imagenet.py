"""The scale on which networks with ImageNet's history expect their pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalised(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32, mean 0 and deviation 1 over ImageNet."""
    mean, deviation = np.asarray(MEAN, np.float32), np.asarray(STD, np.float32)
    scaled = (pictures.astype(np.float32) / np.float32(255) - mean) / deviation
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)
