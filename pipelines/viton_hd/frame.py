"""The 3:4 window around the part of a person that a garment touches, and the mapping there and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Box, Image, Labels, Mask, Pose

ASPECT = 3 / 4
MARGIN = 1.10
LOWEST = 0.9  # lower end of the window below the hips, in trunk lengths
# LIP ids that have to be inside the window, by category.
TOUCHED = {
    "upper": (1, 2, 4, 5, 7, 10, 13, 14, 15),
    "lower": (5, 7, 8, 9, 12, 16, 17, 18, 19),
    "dress": (1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17),
}


@dataclass(frozen=True)
class Frame:
    """A window of a picture and the size it is worked at.

    Attributes:
        box: Window in picture pixels, 3:4; may reach beyond the picture.
        size: (height, width) of the working copy.
    """

    box: Box
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Working pixels per picture pixel."""
        return self.size[0] / self.box.h

    def matrix(self, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """(2, 3) affine from picture pixel centres to those of a working copy of ``size``."""
        height, width = size or self.size
        sx, sy = width / self.box.w, height / self.box.h
        return np.array([[sx, 0, (0.5 - self.box.x) * sx - 0.5], [0, sy, (0.5 - self.box.y) * sy - 0.5]], np.float64)

    def take(self, picture: NDArray[np.uint8], *, nearest: bool = False) -> NDArray[np.uint8]:
        """Cut the window out of ``picture`` (H, W[, C]) and resample it to the working size."""
        flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        border = cv2.BORDER_CONSTANT if nearest else cv2.BORDER_REPLICATE
        matrix = self.matrix()
        if not nearest:
            while matrix[0, 0] < 0.5:  # bilinear sampling alone would skip pixels
                half = picture.shape[1] // 2, picture.shape[0] // 2
                picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), picture.dtype)
                matrix = matrix @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
        taken = cv2.warpAffine(picture, matrix, (self.size[1], self.size[0]), flags=flags, borderMode=border)
        return np.asarray(taken, picture.dtype)

    def points(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (K, 2) picture coordinates into the working copy."""
        matrix = self.matrix()
        return (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)

    def put(self, window: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Resample a working copy (h, w[, C]) back onto a canvas of ``shape`` (H, W); 0 outside the window."""
        back = cv2.invertAffineTransform(self.matrix((window.shape[0], window.shape[1])))
        flags = cv2.INTER_CUBIC if self.scale < 1 else cv2.INTER_AREA
        canvas = cv2.warpAffine(window, back, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(canvas, window.dtype)


def garment_frame(layout: Labels, pose: Pose, category: str, size: tuple[int, int] = (1024, 768)) -> Frame:
    """Choose the window for a category.

    Args:
        layout: (H, W) uint8 LIP ids of the picture.
        pose: COCO-17 pose in the same pixels.
        category: ``upper``, ``lower`` or ``dress``.
        size: Working size (height, width), 4:3.

    Returns:
        The frame; the whole picture where nothing relevant was found.
    """
    touched = np.isin(layout, TOUCHED[category])
    rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
    if not len(rows):
        box = Box(0, 0, layout.shape[1], layout.shape[0])
    else:
        left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
        hips, shoulders = _row(pose, "hip"), _row(pose, "shoulder")
        if category == "upper" and hips is not None and shoulders is not None and hips > shoulders:
            # A scrap of the trousers that was taken for a top must not shrink everything: no top reaches the knees.
            lowest = hips + LOWEST * (hips - shoulders)
            bottom = min(max(min(bottom, lowest), hips + 0.3 * (hips - shoulders)), layout.shape[0])
        box = Box(left, top, right - left, bottom - top)
    height = max(box.h, box.w / ASPECT, 16) * MARGIN
    centre = box.x + box.w / 2, box.y + box.h / 2
    return Frame(Box(centre[0] - height * ASPECT / 2, centre[1] - height / 2, height * ASPECT, height), size)


def pasted(picture: Image, window: NDArray[np.float32], frame: Frame, soft: NDArray[np.float32]) -> tuple[Image, Mask]:
    """Blend a window (h, w, 3) in [0, 255] into ``picture`` by ``soft`` (h, w) in [0, 255].

    Returns:
        the picture, and the opacity (H, W) uint8 that was used; where it is 0 the picture is untouched.
    """
    rows, columns = picture.shape[:2]
    x0, y0 = max(0, int(np.floor(frame.box.x))), max(0, int(np.floor(frame.box.y)))
    x1 = min(columns, int(np.ceil(frame.box.x + frame.box.w)))
    y1 = min(rows, int(np.ceil(frame.box.y + frame.box.h)))
    here = Frame(replace(frame.box, x=frame.box.x - x0, y=frame.box.y - y0), (window.shape[0], window.shape[1]))
    patch = here.put(window, (y1 - y0, x1 - x0))
    opacity = np.clip(np.round(here.put(soft, (y1 - y0, x1 - x0))), 0, 255).astype(np.uint8)
    result, mask = picture.copy(), np.zeros((rows, columns), np.uint8)
    share = opacity[..., None].astype(np.float32) / 255
    blended = np.clip(np.round(picture[y0:y1, x0:x1] * (1 - share) + patch * share), 0, 255).astype(np.uint8)
    result[y0:y1, x0:x1] = np.where(opacity[..., None] > 0, blended, picture[y0:y1, x0:x1])
    mask[y0:y1, x0:x1] = opacity
    return result, mask


def _row(pose: Pose, joint: str) -> float | None:
    rows = [
        pose.point(f"{side}_{joint}")[1]
        for side in ("left", "right")
        if pose.score[pose.names.index(f"{side}_{joint}")] > 0.2
    ]
    return float(np.mean(rows)) if rows else None
