"""Whether what was found on a picture looks like a drawing, by signs that can be measured.

The thresholds are our choice: above what generated drawings of all hands, their simulated photographs, ruled paper,
markers and dark pages show, below what most photographs of people and clothes show. One sign alone says nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from pipelines.core.types import Finding
from pipelines.vitruvio.ink import Ink

_SPREAD = 0.5  # standard deviation of the strokes' width, as share of it
_STEEP = 0.05  # share of the page whose light changes by 3 % per pixel of a copy of 160
_TINTED = 0.04  # share of the page that has another colour than the rest
_DIM = 0.01  # share of the picture that is darker than paper and paler than strokes
_NOISY = 0.36  # contrast that strokes needed to stand out
_LEAST = 2  # signs


def judge(ink: Ink, mask: NDArray[np.bool_]) -> tuple[Finding, ...]:
    """Judge a picture.

    Args:
        ink: What was found on it.
        mask: (h, w) bool, what of it is taken for strokes; not empty.

    Returns:
        A warning ``sketch.not-a-drawing`` where at least two signs speak against a drawing, or nothing.
    """
    width = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)[skeletonize(mask)]
    level = np.percentile(ink.light[ink.paper], 80, axis=0).clip(1)
    share = ink.light / level
    grey = share.mean(2)
    steep = np.hypot(*np.gradient(grey))[ink.paper] > 0.03
    tint = share / np.maximum(grey, 0.05)[..., None]
    tinted = np.abs(tint - np.median(tint[ink.paper], axis=0)).max(2)[ink.paper] > 0.08
    beside = cv2.dilate(ink.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    dim = (ink.contrast > 0.3 * ink.threshold) & beside
    signs = [
        (float(width.std() / width.mean()), _SPREAD, "the width of its strokes differs by {:.0%}"),
        (float(steep.mean()), _STEEP, "{:.0%} of the page is patterned"),
        (float(tinted.mean()), _TINTED, "{:.0%} of the page is coloured"),
        (float(dim.mean()), _DIM, "{:.0%} is neither paper nor stroke"),
        (ink.threshold, _NOISY, "strokes stand out from {:.0%} of contrast on only"),
    ]
    seen = [text.format(value) for value, most, text in signs if value > most]
    if len(seen) < _LEAST:
        return ()
    message = "This does not look like a line drawing: " + ", ".join(seen)
    return (Finding("sketch.not-a-drawing", "warning", message, "Give a line drawing of a building on a plain page"),)
