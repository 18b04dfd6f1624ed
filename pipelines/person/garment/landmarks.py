"""The 20 outline landmarks of an upper garment, and their order.

Nine points a side, the side on the left of the picture first, then two on the middle line:
neck, shoulder, armpit, elbow outer / inner, cuff outer / inner, waist, hem; then neck middle, hem middle.
A sleeveless garment has elbow and cuff points on its shoulder (outer) and armpit (inner).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]  # (20, 2) float32 x, y in pixels

SIDE_NAMES = ("neck", "shoulder", "armpit", "elbow_outer", "elbow_inner", "cuff_outer", "cuff_inner", "waist", "hem")
LANDMARKS = (*(f"left_{n}" for n in SIDE_NAMES), *(f"right_{n}" for n in SIDE_NAMES), "neck_middle", "hem_middle")
N, S, A, EO, EI, CO, CI, W, H = range(9)  # within a side
RIGHT = 9  # index of the first point of the right side of the picture
NECK, HEM = 18, 19
COUNT = len(LANDMARKS)
FLIP = (*range(9, 18), *range(9), 18, 19)
SLEEVES = ("none", "short", "long")  # none: sleeveless; long: from three-quarter sleeves on


def mirrored(points: NDArray[np.floating], width: float) -> NDArray[np.floating]:
    """Landmarks of the mirrored picture, (20, 2) in a picture ``width`` pixels wide, sides swapped."""
    out = points[list(FLIP)].copy()
    out[:, 0] = width - 1 - out[:, 0]
    return out


def similarity_frame(
    points: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Origin between the shoulders, unit vectors across and down, and the shoulder width in pixels."""
    left, right = points[S].astype(np.float64), points[RIGHT + S].astype(np.float64)
    width = float(np.linalg.norm(right - left)) + 1e-6
    across = (right - left) / width
    return (left + right) / 2, across, np.array([-across[1], across[0]]), width
