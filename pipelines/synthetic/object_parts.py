"""Pieces that household objects are put together from: tapered blocks, turned solids, bent tubes.

y is up, +z the front. Closed convex pieces know what lies inside of them, so that points of one piece that another one
hides are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Colour = tuple[float, float, float]

_INSIDE = 1e-6  # a point must lie this deep to count as hidden: pieces may share a face


@dataclass(frozen=True, eq=False)
class Part:
    """One closed piece.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64, counter-clockwise from outside.
        colour: RGB in [0, 1].
        convex: Whether the half-spaces of its faces are what lies inside.
    """

    vertices: Floats
    faces: Ints
    colour: Colour
    convex: bool = True

    @cached_property
    def crossed(self) -> Floats:
        """(F, 3) outward normals, twice as long as their face is large."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return np.cross(b - a, c - a)

    def inside(self, points: Floats) -> NDArray[np.bool_]:
        """Of (N, 3) points, which lie inside and not on the surface; none of a piece that is not convex."""
        if not self.convex:
            return np.zeros(len(points), bool)
        low, high = self.vertices.min(0), self.vertices.max(0)
        near = ((points > low) & (points < high)).all(1)
        size = np.linalg.norm(self.crossed, axis=1)
        kept = size > 1e-12
        normals = self.crossed[kept] / size[kept, None]
        offsets = (normals * self.vertices[self.faces[kept, 0]]).sum(1)
        near[near] = (points[near] @ normals.T - offsets < -_INSIDE).all(1)
        return near

    def moved(self, turn: Floats, shift: Floats | Sequence[float]) -> Part:
        """``turn @ x + shift``; ``turn`` is a rotation."""
        return Part(self.vertices @ turn.T + np.asarray(shift), self.faces, self.colour, self.convex)

    def mirrored(self) -> Part:
        """Left for right."""
        return Part(self.vertices * [-1.0, 1.0, 1.0], self.faces[:, ::-1], self.colour, self.convex)

    def placed(self, centre: Floats, scale: float) -> Part:
        """``(x - centre) * scale``."""
        return Part((self.vertices - centre) * scale, self.faces, self.colour, self.convex)


def turn_about(axis: int, angle: float) -> Floats:
    """Rotation about x, y or z by an angle in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = cos, -sin, sin, cos
    return turn


def hexahedron(corners: Floats, colour: Colour) -> Part:
    """Of (8, 3) corners: four below, once around against the clock as seen from above, and the four above them."""
    faces = np.array(
        [(0, 1, 2), (0, 2, 3), (4, 6, 5), (4, 7, 6)]
        + [(low, high, (low + 1) % 4) for low, high in zip(range(4), range(4, 8), strict=True)]
        + [((low + 1) % 4, low + 4, (low + 1) % 4 + 4) for low in range(4)]
    )
    part = Part(np.asarray(corners, np.float64), faces, colour)
    outward = (part.crossed * (part.vertices[faces].mean(1) - part.vertices.mean(0))).sum()
    return part if outward > 0 else Part(part.vertices, faces[:, ::-1], colour)


def block(low: Sequence[float], high: Sequence[float], colour: Colour, top: tuple[float, float] = (1, 1)) -> Part:
    """A box between two corners whose upper face is scaled by ``top`` along x and z."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    x, z = (x0 + x1) / 2, (z0 + z1) / 2
    lower = np.array([(x0, y0, z1), (x1, y0, z1), (x1, y0, z0), (x0, y0, z0)], np.float64)
    upper = (lower - [x, 0, z]) * [top[0], 0, top[1]] + [x, y1, z]
    return hexahedron(np.concatenate([lower, upper]), colour)


def turned(
    profile: Sequence[tuple[float, float]],
    colour: Colour,
    *,
    segments: int = 20,
    convex: bool = True,
    phase: float = 0.0,
) -> Part:
    """A profile of (radius, height), from the middle of the bottom to the middle of the top, turned about y.

    With few segments it is a prism or a pyramid.
    """
    line = np.asarray(profile, np.float64)
    angle = np.arange(segments) / segments * 2 * np.pi + phase
    ring = np.stack([np.sin(angle), np.zeros(segments), np.cos(angle)], 1)
    vertices = (line[:, None, :1] * ring + np.array([0, 1, 0]) * line[:, None, 1:]).reshape(-1, 3)
    low = np.arange(len(line) - 1)[:, None] * segments + np.arange(segments)
    beside = np.arange(len(line) - 1)[:, None] * segments + (np.arange(segments) + 1) % segments
    quads = np.stack([low, beside, beside + segments, low + segments], -1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return Part(vertices, faces, colour, convex)


def rod(start: Sequence[float] | Floats, end: Sequence[float] | Floats, radius: float, colour: Colour, *,
        segments: int = 10, taper: float = 1.0) -> Part:  # fmt: skip
    """A round bar between two points, ``taper`` times as thick at its end; square with four segments."""
    first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
    length = float(np.linalg.norm(last - first))
    part = turned([(0, 0), (radius, 0), (radius * taper, length), (0, length)], colour, segments=segments,
                  phase=np.pi / segments)  # fmt: skip
    return part.moved(_upright_to((last - first) / length), first)


def tube(path: Floats, radius: float, colour: Colour, *, segments: int = 8) -> Part:
    """A round bar along (N, 3) points."""
    ahead = np.gradient(path, axis=0)
    rings = []
    for point, direction in zip(path, ahead / np.linalg.norm(ahead, axis=1, keepdims=True), strict=True):
        angle = np.arange(segments) / segments * 2 * np.pi
        ring = np.stack([np.sin(angle), np.zeros(segments), np.cos(angle)], 1) * radius
        rings.append(ring @ _upright_to(direction).T + point)
    vertices = np.concatenate([np.repeat(path[:1], segments, 0), *rings, np.repeat(path[-1:], segments, 0)])
    low = np.arange(len(path) + 1)[:, None] * segments + np.arange(segments)
    beside = np.arange(len(path) + 1)[:, None] * segments + (np.arange(segments) + 1) % segments
    quads = np.stack([low, beside, beside + segments, low + segments], -1).reshape(-1, 4)
    return Part(vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]), colour, convex=False)


def slab(outline: Sequence[tuple[float, float]], half: float, colour: Colour, *, narrower: float = 1.0) -> Part:
    """A convex outline of (z, y) points, against the clock as seen from +x, ``half`` thick to both sides along x.

    The highest points are ``narrower`` times as far out: the cabin of a car.
    """
    flat = np.asarray(outline, np.float64)
    count = len(flat)
    share = (flat[:, 1] - flat[:, 1].min()) / np.ptp(flat[:, 1])
    out = half * (1 + (narrower - 1) * share)
    right, left = (np.stack([side * out, flat[:, 1], flat[:, 0]], 1) for side in (1, -1))
    around, after = np.arange(count), (np.arange(count) + 1) % count
    fan = np.stack([np.zeros(count - 2, np.int64), np.arange(1, count - 1), np.arange(2, count)], 1)
    faces = np.concatenate([
        fan[:, ::-1], fan + count,
        np.stack([around, after, around + count], 1), np.stack([after, after + count, around + count], 1),
    ])  # fmt: skip
    part = Part(np.concatenate([right, left]), faces, colour)
    outward = (part.crossed * (part.vertices[faces].mean(1) - part.vertices.mean(0))).sum()
    return part if outward > 0 else Part(part.vertices, faces[:, ::-1], colour)


def _upright_to(direction: Floats) -> Floats:
    """A rotation that takes y to a unit direction."""
    other = np.array([1.0, 0, 0]) if abs(direction[0]) < 0.9 else np.array([0, 0, 1.0])
    x = np.cross(direction, other)
    x /= np.linalg.norm(x)
    return np.stack([x, direction, np.cross(x, direction)], 1)
