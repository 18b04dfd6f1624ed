"""Household objects, vehicles and houses drawn at random, with exact surfaces and pictures of them; no disk is read.

An object is a list of closed pieces (object_parts.py, object_kinds.py). Points are drawn evenly over what no other
piece hides; pictures are drawn piece by piece from behind, shaded by one light. Frame: y up, the object's front towards
+z, bounding box centred at the origin, its longest side 1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.random import Generator

from pipelines.core.errors import InputError
from pipelines.core.types import Image, Mask
from pipelines.synthetic.object_kinds import KINDS
from pipelines.synthetic.object_parts import Floats, Ints, Part

CATEGORIES: tuple[str, ...] = tuple(KINDS)
HELD_OUT = "mug"  # never trained on: what a network makes of it tells whether it learnt shapes or categories
EVALUATION_COUNT, EVALUATION_SEED = 200, 20_261
# Of `fingerprint`, fixed before any training that the set judges.
EVALUATION_SHA256 = "4e0d7d8ba8dacab194fa85bdb1960715b882467335ef0a039d683dbf2c1fe6ce"
MARGIN = 0.06  # share of a picture that stays free on each side of the object
_EDGE = 0.12  # faces are cut down to this before they are drawn: sorting by depth is right for small ones only
_SUPERSAMPLING = 2
_SHIFT = 4  # fractional bits of OpenCV's polygons


@dataclass(frozen=True, eq=False)
class Object:
    """One object.

    Attributes:
        category: One of ``CATEGORIES``.
        parts: Closed pieces; they overlap or touch.
    """

    category: str
    parts: tuple[Part, ...]

    @cached_property
    def soup(self) -> tuple[Floats, Floats, Ints]:
        """Corners (F, 3, 3) of all faces, their colours (F, 3) in [0, 1], and the piece that each belongs to, (F,)."""
        corners = [part.vertices[part.faces] for part in self.parts]
        counts = [len(part.faces) for part in self.parts]
        colours = np.repeat([part.colour for part in self.parts], counts, axis=0)
        return np.concatenate(corners), colours, np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def pieces(self) -> tuple[Floats, Floats]:
        """As `soup`, with faces cut until no edge is longer than a tenth of the object or so: corners and colours."""
        corners, colours, _ = self.soup
        done = []
        while len(corners):
            edges = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
            small = edges.max(1) <= _EDGE
            done.append((corners[small], colours[small]))
            corners, colours, longest = corners[~small], colours[~small], edges[~small].argmax(1)
            rows = np.arange(len(corners))
            a, b, c = (corners[rows, (longest + step) % 3] for step in range(3))
            middle = (a + b) / 2
            corners = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
            colours = np.concatenate([colours, colours])
        return np.concatenate([part for part, _ in done]), np.concatenate([part for _, part in done])


@dataclass(frozen=True)
class Camera:
    """Where an object is looked at from.

    Attributes:
        azimuth: In degrees, from +z towards +x.
        elevation: In degrees above the horizon.
        distance: From the object's middle, in its own lengths.
        light: (3,) direction towards the light, in the frame of the camera (right, up, backwards).
    """

    azimuth: float
    elevation: float
    distance: float
    light: tuple[float, float, float] = (-0.4, 0.7, 0.6)

    @property
    def axes(self) -> Floats:
        """(3, 3) rows: right, up and backwards."""
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        back = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        right = np.array([np.cos(a), 0, -np.sin(a)])
        return np.stack([right, np.cross(back, right), back])


def sample_object(rng: Generator, category: str | None = None) -> Object:
    """Draw an object.

    Args:
        rng: Source of chance.
        category: One of ``CATEGORIES``; None draws one, never ``HELD_OUT``.

    Raises:
        InputError: ``object.category`` if there is no such category.
    """
    trained = [name for name in CATEGORIES if name != HELD_OUT]
    category = trained[rng.integers(len(trained))] if category is None else category
    if category not in KINDS:
        raise InputError("object.category", "No such category of objects", seen=category, remedy=f"One of {CATEGORIES}")
    parts = KINDS[category](rng)
    corners = np.concatenate([part.vertices for part in parts])
    low, high = corners.min(0), corners.max(0)
    return Object(category, tuple(part.placed((low + high) / 2, float(1 / (high - low).max())) for part in parts))


def sample_camera(rng: Generator) -> Camera:
    """From any side, mostly from a little above, with any light that comes from the camera's side."""
    light = rng.normal(size=3) + np.array([0, 0.8, 1.0])
    light[2] = abs(light[2])
    light /= np.linalg.norm(light)
    return Camera(
        azimuth=float(rng.uniform(-180, 180)),
        elevation=float(np.clip(rng.normal(22, 16), -10, 70)),
        distance=float(rng.uniform(1.5, 3.5)),
        light=(float(light[0]), float(light[1]), float(light[2])),
    )


def surface(shape: Object, rng: Generator, count: int) -> tuple[Floats, Floats, Floats]:
    """Draw points evenly over what can be touched of an object.

    Returns:
        (count, 3) points, (count, 3) outward unit normals, (count, 3) colours in [0, 1].
    """
    corners, colours, owner = shape.soup
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(crossed, axis=1)
    shares = np.cumsum(size)
    found: list[tuple[Floats, Ints]] = []
    have = 0
    while have < count:
        drawn = max(256, int((count - have) * 1.4))
        face = np.searchsorted(shares, rng.random(drawn) * shares[-1]).clip(0, len(shares) - 1)
        u, v = rng.random((2, drawn, 1))
        u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
        a, b, c = (corners[face, corner] for corner in range(3))
        points = a + u * (b - a) + v * (c - a)
        hidden = np.zeros(drawn, bool)
        for number, part in enumerate(shape.parts):
            hidden |= part.inside(points) & (owner[face] != number)
        found.append((points[~hidden], face[~hidden]))
        have += int((~hidden).sum())
    points = np.concatenate([each for each, _ in found])[:count]
    face = np.concatenate([each for _, each in found])[:count]
    return points, crossed[face] / size[face, None], colours[face]


def picture(shape: Object, camera: Camera, size: int) -> tuple[Image, Mask]:
    """Draw an object so that it fills the picture up to a margin.

    Returns:
        (size, size, 3) uint8 on black, and (size, size) uint8 coverage.
    """
    corners, colours = shape.pieces
    axes = camera.axes
    seen = corners @ axes.T
    depth = camera.distance - seen[..., 2]
    flat = seen[..., :2] / depth[..., None]
    edges = flat[:, 1:] - flat[:, :1]
    front = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0] > 0
    low, high = flat.reshape(-1, 2).min(0), flat.reshape(-1, 2).max(0)
    wide = size * _SUPERSAMPLING
    scale = wide * (1 - 2 * MARGIN) / (high - low).max()
    places = (flat[front] - (low + high) / 2) * [scale, -scale] + wide / 2 - 0.5
    normals = np.cross(seen[front, 1] - seen[front, 0], seen[front, 2] - seen[front, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    bright = 0.42 + 0.58 * np.clip(normals @ np.asarray(camera.light), 0, 1)
    shaded = np.clip(colours[front] * bright[:, None] * 255, 0, 255)
    order = np.argsort(-depth[front].mean(1))
    drawn = np.zeros((wide, wide, 3), np.uint8)
    covered = np.zeros((wide, wide), np.uint8)
    fixed = np.round(places * (1 << _SHIFT)).astype(np.int32)
    for number in order:
        cv2.fillConvexPoly(drawn, fixed[number], shaded[number].tolist(), cv2.LINE_8, _SHIFT)
        cv2.fillConvexPoly(covered, fixed[number], 255, cv2.LINE_8, _SHIFT)
    small = cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), np.asarray(
        cv2.resize(covered, (size, size), interpolation=cv2.INTER_AREA), np.uint8
    )


def evaluation_set(count: int = EVALUATION_COUNT) -> list[tuple[Object, list[Camera]]]:
    """The objects that figures are reported on, categories in turn, the held-out one among them; three cameras each."""
    found = []
    for number, seed in enumerate(np.random.SeedSequence(EVALUATION_SEED).spawn(count)):
        rng = np.random.default_rng(seed)
        shape = sample_object(rng, CATEGORIES[number % len(CATEGORIES)])
        found.append((shape, [sample_camera(rng) for _ in range(3)]))
    return found


def fingerprint(items: list[tuple[Object, list[Camera]]]) -> str:
    """A sha256 over categories, corners and cameras, rounded to 1e-6: last bits differ between processors."""
    digest = hashlib.sha256()
    for shape, cameras in items:
        digest.update(shape.category.encode())
        for part in shape.parts:
            digest.update(np.round(part.vertices * 1e6).astype("<i4").tobytes())
        for camera in cameras:
            digest.update(
                np.round(np.array([camera.azimuth, camera.elevation, camera.distance]) * 1e6).astype("<i8").tobytes()
            )
    return digest.hexdigest()
