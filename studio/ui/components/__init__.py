"""Browser components of the page, all ours, all offline. Shared here: reading their files and sending pictures."""

from __future__ import annotations

import base64
import io
from functools import cache
from importlib import resources

import numpy as np
from PIL import Image


@cache
def asset(name: str) -> str:
    """Text of a .js or .css file that lies beside this module."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def fit_inside(image: np.ndarray, long_edge: int) -> np.ndarray:
    """Scale an array down until its longer side is at most ``long_edge`` pixels; never up.

    Args:
        image: (H, W, 3) or (H, W) uint8.
        long_edge: Pixels.

    Returns:
        The array itself when it is small enough, else a scaled copy of the same dtype and channels.
    """
    height, width = image.shape[:2]
    scale = long_edge / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def data_url(image: np.ndarray, kind: str = "JPEG") -> str:
    """Encode (H, W, 3) or (H, W) uint8 as a data URL, so that no file has to be served.

    Args:
        image: The pixels.
        kind: ``JPEG`` for photographs, ``PNG`` where exact zeros matter.
    """
    buffer = io.BytesIO()
    options = {"quality": 90, "subsampling": 0} if kind == "JPEG" else {"compress_level": 6}
    Image.fromarray(image).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
