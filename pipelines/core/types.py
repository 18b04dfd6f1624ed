"""Values that cross the border of a pipeline. Arrays are numpy, RGB, top-left origin, x to the right, y down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3) uint8 sRGB in [0, 255]
Mask = NDArray[np.uint8]  # (H, W) uint8, 0 outside .. 255 inside; between is feather
Labels = NDArray[np.uint8]  # (H, W) uint8 class ids
OnStep = Callable[[int, int, "Image | None"], None]  # (done, total, preview); may raise Cancelled


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in pixels: left, top, width, height, and a score in [0, 1]."""

    x: float
    y: float
    w: float
    h: float
    score: float = 1.0

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.w * self.h


@dataclass(frozen=True)
class Pose:
    """Keypoints of one person.

    Attributes:
        xy: (K, 2) float32 pixel coordinates in the input image.
        score: (K,) float32 in [0, 1]; 0 means not found.
        names: K keypoint names, e.g. ``left_shoulder`` (the person's own left).
        box: The box that was searched.
    """

    xy: NDArray[np.float32]
    score: NDArray[np.float32]
    names: tuple[str, ...]
    box: Box

    def point(self, name: str) -> NDArray[np.float32]:
        """Return (x, y) of the keypoint called ``name``; KeyError if the layout has no such name."""
        try:
            return self.xy[self.names.index(name)]
        except ValueError:
            raise KeyError(name) from None


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh. It has no unit of its own: the function that makes or takes it names unit and axes.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64 indices into vertices, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


@dataclass(frozen=True)
class Cloud:
    """A point cloud. As for a mesh, the function that makes or takes it names unit and axes.

    Attributes:
        points: (N, 3) float32.
        colours: (N, 3) uint8 sRGB, or None where they are unknown.
        normals: (N, 3) float32 of unit length, pointing outward, or None.
    """

    points: NDArray[np.float32]
    colours: NDArray[np.uint8] | None = None
    normals: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Finding:
    """Something a check noticed before or after the work, in a form a page and a terminal can both show.

    Attributes:
        code: Stable identifier, e.g. ``mask.touches-face``.
        severity: ``info``, ``warning`` or ``error``.
        message: What was seen, with the figure.
        remedy: What the user can do.
    """

    code: str
    severity: str
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-ready fields."""
        return {"code": self.code, "severity": self.severity, "message": self.message, "remedy": self.remedy}


def report(on_step: OnStep | None, done: int, total: int, preview: Image | None = None) -> None:
    """Call ``on_step`` if there is one; whatever it raises (``Cancelled``) passes through."""
    if on_step is not None:
        on_step(done, total, preview)
