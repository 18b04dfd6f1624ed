"""Pictures as the network takes them.

Source: SunnyHaze/IML-ViT 07dd2be (MIT): zeros are added at the bottom and right first, and normalised with the rest, so
that the padding is not 0 but about -2.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core import imagenet
from pipelines.core.types import Image

BoolMask = NDArray[np.bool_]

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")  # endings of files that are read
BLOCK = 8  # pixels of a side of JPEG's blocks
INSIDE = 127.5  # the mean of a published mask's channels above which a pixel is manipulated


def decoded(path: Path, how: int) -> NDArray[np.uint8] | None:
    """A picture file as OpenCV decodes it (BGR) with its flags ``how``; None if it cannot be read."""
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), how)
    except (OSError, cv2.error):  # OpenCV raises on an empty file
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def padded(array: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """(h, w, ...) -> (height, width, ...): zeros at the bottom and right; what is larger is cut off there."""
    array = array[:height, :width]
    empty = [(0, height - array.shape[0]), (0, width - array.shape[1])]
    return np.pad(array, empty + [(0, 0)] * (array.ndim - 2))


def whole_blocks(picture: Image) -> Image:
    """(h, w, 3) uint8 -> sides that are multiples of 8, by repeating the last pixels, as JPEG's encoders do."""
    below, beside = (-length % BLOCK for length in picture.shape[:2])
    return np.pad(picture, [(0, below), (0, beside), (0, 0)], mode="edge") if below or beside else picture


def prepared(picture: Image, height: int, width: int) -> NDArray[np.float32]:
    """(h, w, 3) uint8 RGB -> (3, height, width) float32."""
    return imagenet.normalised(padded(picture, height, width)[None])[0]


def mask_of(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A published mask, (H, W) or (H, W, C) uint8, as (H, W) bool."""
    grey = picture if picture.ndim == 2 else picture.mean(2)
    return np.asarray(grey > INSIDE)
