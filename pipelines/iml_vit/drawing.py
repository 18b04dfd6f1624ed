"""Evidence as pictures: the heat map in colours, laid over the photograph, with boxes around the regions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Image
from pipelines.iml_vit.pipeline import Region

OPACITY = 0.75  # of the hottest pixel
BOX = (255, 255, 255)


def coloured(heat: NDArray[np.float32]) -> Image:
    """(H, W) probabilities -> (H, W, 3) uint8 RGB, in colours that rise in brightness: they are read in grey too."""
    grey = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1], np.uint8)


def overlaid(picture: Image, heat: NDArray[np.float32], regions: Sequence[Region] = ()) -> Image:
    """The photograph in grey under the colours of its heat map.

    Args:
        picture: (H, W, 3) uint8 RGB.
        heat: (H, W) float32 in [0, 1].
        regions: Boxes to draw.
    """
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    weight = (np.clip(heat, 0, 1) ** 0.5 * np.float32(OPACITY))[..., None]
    mixed = np.rint(grey * (1 - weight) + coloured(heat) * weight).astype(np.uint8)
    thick = max(1, round(max(picture.shape[:2]) / 400))
    for region in regions:
        box = region.box
        corners = (round(box.x), round(box.y)), (round(box.x + box.w) - 1, round(box.y + box.h) - 1)
        cv2.rectangle(mixed, *corners, (0, 0, 0), thick + 2)
        cv2.rectangle(mixed, *corners, BOX, thick)
    return mixed
