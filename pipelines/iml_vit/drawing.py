"""Evidence as pictures: the heat map in colours, laid over the photograph, with boxes around the regions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Image
from pipelines.iml_vit.pipeline import Region

OPACITY = 0.75  # of the hottest pixel
LONG_EDGE = 1600  # pixels of the longest side of a drawing: it is to be looked at, and large pictures are heavy
BOX = (255, 255, 255)


def coloured(heat: NDArray[np.float32]) -> Image:
    """(H, W) probabilities -> (H, W, 3) uint8 RGB, in colours that rise in brightness: they are read in grey too."""
    grey = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1], np.uint8)


def overlaid(picture: Image, heat: NDArray[np.float32], regions: Sequence[Region] = ()) -> Image:
    """The photograph in grey under the colours of its heat map, shrunk to ``LONG_EDGE`` if it is larger.

    Args:
        picture: (H, W, 3) uint8 RGB.
        heat: (H, W) float32 in [0, 1].
        regions: Boxes to draw, in pixels of the picture.
    """
    factor = min(1.0, LONG_EDGE / max(picture.shape[:2]))
    if factor < 1:
        size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        heat = np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_AREA), np.float32)
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    weight = (np.clip(heat, 0, 1) ** 0.5 * np.float32(OPACITY))[..., None]
    mixed = np.rint(grey * (1 - weight) + coloured(heat) * weight).astype(np.uint8)
    thick = max(1, round(max(picture.shape[:2]) / 400))
    for region in regions:
        box = region.box
        left, top, right, bottom = (factor * value for value in (box.x, box.y, box.x + box.w, box.y + box.h))
        corners = (round(left), round(top)), (round(right) - 1, round(bottom) - 1)
        cv2.rectangle(mixed, *corners, (0, 0, 0), thick + 2)
        cv2.rectangle(mixed, *corners, BOX, thick)
    return mixed
