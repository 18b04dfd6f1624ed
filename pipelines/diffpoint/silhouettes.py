"""Holding a cloud to the outlines of its pictures: from where they look, and what lies outside or is missing.

Source: ours; the paper's network sees pictures only through its tokens, which know an outline to a few pixels at best.
The network tells a camera (cameras.py), roughly and often with a second answer of the same right. Which one it is, and
its exact angles, is decided by how well the half-finished cloud fills the outline from there. From then on every
estimate of the clean cloud is moved a little: points outside of an outline to its border, points at a part of it that
is empty into that part, both across the line of sight only. The steps of the sampler that follow make a surface of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.core.nearest import nearest_pixel
from pipelines.synthetic.objects import MARGIN, Camera

Floats = NDArray[np.float64]

BEGIN = 0.3  # share of the sampler's steps after which an estimate has a shape
GAIN = 0.5  # share of the way that points are moved in each step after
PRIOR = 1.0  # pixels of misfit that a camera may cost more if the network holds it to be e times as likely
ANSWERS = 4  # of the network that are tried
_ENOUGH = 512  # points that cameras are compared by
_COARSE = 32  # side of the grid on which uncovered parts are measured while cameras are compared
_STRAYS = 0.003  # share of the points on either side that does not count for the frame
_FARTHEST = 0.15  # of the picture: what lies farther outside counts, and moves, no more than this
_STEPS = (8.0, 4.0, 2.0, 1.0)  # degrees of one step while a camera is adjusted
_FREE = 20.0  # degrees by which a camera may be adjusted
_SPAN = (1.3, 4.0)  # lengths of the object between which its distance is sought
_GAP = 0.7  # pixels beyond the points' usual distance at which a part of the outline is empty


@dataclass(frozen=True)
class Outline:
    """Where a cut-out picture shows its object.

    Attributes:
        inside: (S, S) bool.
        away: (S, S) float32 distance in pixels from the object, 0 inside.
        border: (S, S, 2) int32 column and row of the object's nearest pixel.
        pixels: (P, 2) column and row of its pixels.
    """

    inside: NDArray[np.bool_]
    away: NDArray[np.float32]
    border: NDArray[np.int32]
    pixels: NDArray[np.int64]

    @classmethod
    def of(cls, cover: NDArray[np.uint8]) -> Outline:
        """Of (S, S) uint8 coverage with at least one pixel."""
        inside = cover >= 128
        away, nearest = nearest_pixel(inside)
        border = np.stack([nearest % inside.shape[1], nearest // inside.shape[1]], -1)
        return cls(inside, away, border, np.argwhere(inside)[:, ::-1])

    @property
    def size(self) -> int:
        """Side in pixels."""
        return self.inside.shape[0]


@dataclass(frozen=True)
class Seen:
    """Points as a camera sees them, in a picture that frames the object as `objects.picture` does.

    Attributes:
        places: (N, 2) column and row in pixels.
        depth: (N,) distance from the camera's plane.
        pixel: Lengths of the object that a pixel is at each point, (N,).
    """

    places: Floats
    depth: Floats
    pixel: Floats


def seen(points: Floats, camera: Camera, size: int) -> Seen:
    """Project (N, 3) points into a picture of ``size`` pixels."""
    turned = points @ camera.axes.T
    depth = np.maximum(camera.distance - turned[:, 2], 0.1)
    flat = turned[:, :2] / depth[:, None]
    # The frame is that of the object; of a cloud with strays it is that of nearly all of it.
    order = np.sort(flat, 0)
    skipped = int(_STRAYS * len(points))
    low, high = order[skipped], order[len(points) - 1 - skipped]
    scale = size * (1 - 2 * MARGIN) / max(float((high - low).max()), 1e-6)
    places = (flat - (low + high) / 2) * [scale, -scale] + (size - 1) / 2
    return Seen(places, depth, depth / scale)


def misfit(points: Floats, camera: Camera, outline: Outline) -> float:
    """How far points lie outside of an outline, and the outline's parts from the points: means in pixels, added."""
    size = outline.size
    places = seen(points, camera, size).places
    at = _inside(places, size)
    most = _FARTHEST * size
    outside = np.minimum(outline.away[at[:, 1], at[:, 0]], most).mean()
    free = np.ones((_COARSE, _COARSE), np.uint8)
    coarse = at * _COARSE // size
    free[coarse[:, 1], coarse[:, 0]] = 0
    gaps = cv2.distanceTransform(free, cv2.DIST_L2, 3)
    where = outline.pixels * _COARSE // size
    return float(outside + np.minimum(gaps[where[:, 1], where[:, 0]] * size / _COARSE, most).mean())


class Held:
    """Estimates of clouds, held to outlines from when they have a shape: for `inference.sampled`."""

    def __init__(
        self, outlines: Sequence[Sequence[Outline]], cameras: Sequence[Sequence[Sequence[tuple[Camera, float]]]]
    ) -> None:
        """Ask for clouds.

        Args:
            outlines: Of each cloud those of its pictures.
            cameras: Of each of them the cameras that it may have been taken with, each with what it costs beforehand,
                in pixels of misfit. One alone is taken as it is.
        """
        self.outlines, self.candidates = outlines, cameras
        self.cameras: list[list[Camera]] = []

    def __call__(self, part: float, places: Tensor) -> Tensor:
        """Places of all clouds, (clouds, N, 3) in the object's frame, after ``part`` of the steps."""
        if part < BEGIN:
            return places
        clouds = places.cpu().double().numpy()  # in this order: some devices have no float64
        if not self.cameras:
            self.cameras = [
                [adjusted(cloud[:_ENOUGH], *asked) for asked in zip(outlines, cameras, strict=True)]
                for cloud, outlines, cameras in zip(clouds, self.outlines, self.candidates, strict=True)
            ]
        moved = [
            pulled(cloud, list(zip(outlines, cameras, strict=True)), GAIN)
            for cloud, outlines, cameras in zip(clouds, self.outlines, self.cameras, strict=True)
        ]
        return torch.from_numpy(np.stack(moved)).to(places)

    def again(self, *, apart: bool) -> Held:
        """For another cloud of the same pictures from the same cameras, and with ``apart`` for one of each of them."""
        outlines, cameras = list(self.outlines[0]), [[(camera, 0.0)] for camera in self.cameras[0]]
        alone = range(len(outlines)) if apart else ()
        return Held([outlines, *([outlines[n]] for n in alone)], [cameras, *([cameras[n]] for n in alone)])


def adjusted(points: Floats, outline: Outline, candidates: Sequence[tuple[Camera, float]]) -> Camera:
    """The camera from which points fill an outline best.

    Args:
        points: (N, 3) in the object's frame; some hundred are enough.
        outline: Of the picture.
        candidates: To begin at, each may be turned by up to 20 degrees; and what each costs beforehand, in pixels.
    """
    if len(candidates) == 1:
        return candidates[0][0]
    found = []
    for begin, cost in candidates:
        camera, least = begin, misfit(points, begin, outline)
        for step in _STEPS:
            for name, by in (("azimuth", step), ("elevation", step), ("distance", step / 16)):
                for signed in (by, -by):
                    other = replace(camera, **{name: getattr(camera, name) + signed})
                    if _allowed(other, begin) and (fit := misfit(points, other, outline)) < least:
                        camera, least = other, fit
                        break
        found.append((least + cost, camera))
    return min(found, key=lambda each: each[0])[1]


def _allowed(camera: Camera, begin: Camera) -> bool:
    return (
        abs(camera.azimuth - begin.azimuth) <= _FREE
        and abs(camera.elevation - begin.elevation) <= _FREE
        and -89 < camera.elevation < 89
        and _SPAN[0] <= camera.distance <= _SPAN[1]
    )


def pulled(points: Floats, views: Sequence[tuple[Outline, Camera]], gain: float) -> Floats:
    """Points moved towards where all pictures show the object.

    Args:
        points: (N, 3) in the object's frame.
        views: Outlines, and from where they are seen.
        gain: Share of the way that is gone, 0 to 1.

    Returns:
        (N, 3): each point moved by the mean of what the pictures ask that ask anything of it.
    """
    total, asked = np.zeros_like(points), np.zeros(len(points))
    for outline, camera in views:
        now = seen(points, camera, outline.size)
        at = _inside(now.places, outline.size)
        wanted = outline.border[at[:, 1], at[:, 0]] - now.places
        wanted[np.abs(wanted).max(1) <= 0.5] = 0
        wanted += _into_gaps(now.places, at, outline)
        length = np.linalg.norm(wanted, axis=1, keepdims=True)
        wanted *= np.minimum(1, _FARTHEST * outline.size / np.maximum(length, 1e-9))
        right, up, _ = camera.axes
        total += (wanted[:, :1] * right - wanted[:, 1:] * up) * now.pixel[:, None]
        asked += length[:, 0] > 0
    return points + gain * total / np.maximum(asked, 1)[:, None]


def _into_gaps(places: Floats, at: NDArray[np.int64], outline: Outline) -> Floats:
    """(N, 2) pixels from the points that border on empty parts of the outline to the middle of these."""
    size = outline.size
    taken = np.zeros((size, size), bool)
    taken[at[:, 1], at[:, 0]] = True
    owner = np.zeros((size, size), np.int64)
    owner[at[:, 1], at[:, 0]] = np.arange(len(at))
    away, nearest = nearest_pixel(taken)
    x, y = outline.pixels.T
    empty = away[y, x] > np.sqrt(len(outline.pixels) / len(places)) + _GAP
    x, y = x[empty], y[empty]
    pulling = owner.ravel()[nearest[y, x]]
    counts = np.bincount(pulling, minlength=len(places))[:, None]
    sums = np.stack([np.bincount(pulling, place, len(places)) for place in (x, y)], 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1) - places, 0)


def _inside(places: Floats, size: int) -> NDArray[np.int64]:
    return np.clip(np.rint(places), 0, size - 1).astype(np.int64)
