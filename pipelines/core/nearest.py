"""Of every pixel the nearest one of a set."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def nearest_pixel(there: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Find the nearest pixel that is there, by OpenCV's distance transform with its 5x5 mask.

    Args:
        there: (H, W) bool, true somewhere.

    Returns:
        (H, W) float32 distances in pixels, and (H, W) int32 numbers of these pixels, counted row by row.
    """
    away, labels = cv2.distanceTransformWithLabels(
        (~there).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    index = np.asarray(labels, np.int32)
    number = np.zeros(int(index.max()) + 1, np.int32)
    number[index[there]] = np.flatnonzero(there)
    return np.asarray(away, np.float32), number[index]
