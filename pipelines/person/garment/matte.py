"""Alpha of a cut-out: the outline drawn at the picture's own edges, smooth, and soft where the picture is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Image, Mask
from pipelines.person.garment.regions import disc

Float = NDArray[np.float32]


CHOKE = 0.06  # the ramp of the outline is moved inwards by this much alpha: ground shows more than lost cloth does


def matte(image: Image, small: Image, mask: NDArray[np.uint8]) -> Mask:
    """Alpha at the picture's size: in a thin band along the outline, how far a colour lies from outside to inside.

    Args:
        image: (H, W, 3) uint8.
        small: (h, w, 3) uint8, the same picture at the size of the mask.
        mask: (h, w) uint8 of 0 and 1.

    Returns:
        (H, W) uint8, 0 ground .. 255 garment.
    """
    height, width = image.shape[:2]
    soft = cv2.resize(
        cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8), (width, height), interpolation=cv2.INTER_LINEAR
    )
    # The blur rounds corners; this steepens the ramp again.
    alpha = np.clip((soft - 0.5 - CHOKE) * 2.2 + 0.5, 0, 1)
    band = (cv2.dilate(mask, disc(2)) > 0) & (cv2.erode(mask, disc(2)) == 0)
    wide = cv2.resize(band.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    y, x = np.nonzero(wide)
    if not len(y):
        return (alpha * 255 + 0.5).astype(np.uint8)
    inside = _spread(small, np.asarray(cv2.erode(mask, disc(2)), np.uint8))
    outside = _spread(small, (cv2.dilate(mask, disc(3)) == 0).astype(np.uint8))
    rows, columns = inside.shape[:2]
    at = (y * rows) // height, (x * columns) // width
    fore, back, here = inside[at], outside[at], image[y, x].astype(np.float32)
    way = fore[:, :3] - back[:, :3]
    length = (way**2).sum(1)
    share = np.clip(((here - back[:, :3]) * way).sum(1) / np.maximum(length, 1), 0, 1)
    share = np.clip((share - 0.15 - CHOKE) / 0.7, 0, 1)
    # Where inside and outside look alike, or are patterned, the colours say nothing, and the drawn outline stands.
    trust = np.clip((np.sqrt(length) - 1.5 * (fore[:, 3] + back[:, 3]) - 15) / 50, 0, 1) * 0.85
    alpha[y, x] = alpha[y, x] * (1 - trust) + share * trust
    return (alpha * 255 + 0.5).astype(np.uint8)


def _spread(small: Image, known: NDArray[np.uint8]) -> Float:
    """Mean and deviation, (h / 2, w / 2, 4), of the known colours nearby, carried to everywhere."""
    size = (max(1, small.shape[1] // 2), max(1, small.shape[0] // 2))
    weight = np.asarray(cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)
    colours = small.astype(np.float32) * known[..., None]
    total = np.dstack([colours, (colours * colours).sum(2)])
    total = np.asarray(cv2.resize(total, size, interpolation=cv2.INTER_AREA), np.float32)
    out, filled = np.zeros_like(total), np.zeros(weight.shape, np.float32)
    for reach in (3, 7, 21):
        w = cv2.blur(weight, (reach, reach))
        take = np.clip(w / 0.05, 0, 1) * (1 - filled)
        out += cv2.blur(total, (reach, reach)) / (w + 1e-4)[..., None] * take[..., None]
        filled += take
    mean = total.sum((0, 1)) / max(1.0, float(weight.sum()))
    out += (1 - filled)[..., None] * mean
    out[..., 3] = np.sqrt(np.maximum(out[..., 3] - (out[..., :3] ** 2).sum(2), 0))
    return out
