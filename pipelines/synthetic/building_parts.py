"""Convex pieces that buildings are put together from: boxes, tapered roofs, prisms along and across, domes.

A piece knows its corners and its outward half-spaces, so that whether a point lies inside is arithmetic and not a
search in a mesh. y is up; a rectangle lies in the x-z plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Loops = Sequence[Sequence[int]]

_BASE = (0, 1, 2, 3)
_WALLS = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
_SLOPES = ((4, 5, 9, 8), (5, 6, 10, 9), (6, 7, 11, 10), (7, 4, 8, 11))


@dataclass(frozen=True)
class Rect:
    """An upright rectangle in plan: x0 < x1, z0 < z1."""

    x0: float
    x1: float
    z0: float
    z1: float

    @property
    def width(self) -> float:
        """Length along x."""
        return self.x1 - self.x0

    @property
    def depth(self) -> float:
        """Length along z."""
        return self.z1 - self.z0

    @property
    def centre(self) -> tuple[float, float]:
        """(x, z) of the middle."""
        return (self.x0 + self.x1) / 2, (self.z0 + self.z1) / 2

    def grown(self, by: float) -> Rect:
        """Return the rectangle with every side moved outwards by ``by`` (inwards if negative)."""
        return Rect(self.x0 - by, self.x1 + by, self.z0 - by, self.z1 + by)

    def corners(self, y: float) -> list[tuple[float, float, float]]:
        """Return four corners at height ``y``, once around."""
        return [(self.x0, y, self.z0), (self.x1, y, self.z0), (self.x1, y, self.z1), (self.x0, y, self.z1)]


@dataclass(frozen=True, eq=False)
class Part:
    """One convex solid: the points with ``normals @ x <= offsets``.

    Attributes:
        vertices: (V, 3) float64 corners; some may coincide.
        normals: (H, 3) float64 unit outward normals.
        offsets: (H,) float64.
        walls: (W, 4, 3) float64 upright rectangles on its faces: two lower corners, then the two above them.
    """

    vertices: Floats
    normals: Floats
    offsets: Floats
    walls: Floats

    def placed(self, turn: Floats, centre: Floats, scale: float) -> Part:
        """Return the part at ``scale * (turn @ x - centre)``; ``turn`` (3, 3) is a rotation or a mirror image."""
        normals = self.normals @ turn.T
        return Part(
            (self.vertices @ turn.T - centre) * scale,
            normals,
            (self.offsets - normals @ centre) * scale,
            (self.walls @ turn.T - centre) * scale,
        )


def part(vertices: Sequence[Sequence[float]] | Floats, faces: Loops, walls: Loops = ()) -> Part:
    """Build a convex part from corners and its flat faces.

    The first, second and last corner of every face span it; winding is free, as the middle of the part tells which side
    is out.
    """
    points = np.asarray(vertices, np.float64)
    spanning = np.array([(face[0], face[1], face[-1]) for face in faces])
    a, b, c = points[spanning[:, 0]], points[spanning[:, 1]], points[spanning[:, 2]]
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    offsets = (normals * a).sum(1)
    inwards = normals @ points.mean(0) > offsets
    normals[inwards] *= -1
    offsets[inwards] *= -1
    return Part(points, normals, offsets, points[np.array(walls, int).reshape(-1, 4)])


def box(plan: Rect, bottom: float, top: float) -> Part:
    """Return a box."""
    return part(plan.corners(bottom) + plan.corners(top), (_BASE, *_WALLS, (4, 5, 6, 7)), _WALLS)


def tapered(plan: Rect, bottom: float, eaves: float, top: float, lid: Rect) -> Part:
    """Return walls up to ``eaves`` and slopes from there to ``lid`` at ``top``.

    A lid without depth is the ridge of a hip roof, one without width and depth the tip of a pyramid; ``eaves`` equal to
    ``bottom`` leaves out the walls.
    """
    corners = plan.corners(bottom) + plan.corners(eaves) + lid.corners(top)
    faces: list[Sequence[int]] = [_BASE, *_SLOPES]
    if lid.width > 1e-9 and lid.depth > 1e-9:
        faces.append((8, 9, 10, 11))
    walls = _WALLS if eaves - bottom > 1e-9 else ()
    return part(corners, [*faces, *walls], walls)


def hip(plan: Rect, bottom: float, eaves: float, rise: float) -> Part:
    """Return a hip roof of equal slopes on walls: its ridge runs along the longer side; square plans get a tip."""
    inset = min(plan.width, plan.depth) / 2
    return tapered(plan, bottom, eaves, eaves + rise, plan.grown(-inset))


def pyramid(plan: Rect, bottom: float, eaves: float, rise: float) -> Part:
    """Return a pyramid on walls, its tip above the middle of the plan."""
    x, z = plan.centre
    return tapered(plan, bottom, eaves, eaves + rise, Rect(x, x, z, z))


def extruded(outline: Sequence[tuple[float, float]] | Floats, bottom: float, top: float) -> Part:
    """Return an upright prism over a convex plan, (K, 2) points (x, z) once around."""
    plan = np.asarray(outline, np.float64)
    count = len(plan)
    corners = np.concatenate([_lifted(plan, bottom), _lifted(plan, top)])
    walls = [(i, (i + 1) % count, count + (i + 1) % count, count + i) for i in range(count)]
    return part(corners, [range(count), range(count, 2 * count), *walls], walls)


def ridged(plan: Rect, section: Sequence[tuple[float, float]], along_x: bool) -> Part:
    """Return a prism that lies: a convex upright section drawn along the plan.

    Args:
        plan: What it covers.
        section: Points (across, y) once around from the foot at -1 to the foot at 1; across spans the plan.
        along_x: Direction of the ridge, x or z.
    """
    x, z = plan.centre
    shape = np.asarray(section, np.float64)
    count = len(shape)
    ends = []
    for end in (0, 1):
        if along_x:
            fixed = np.full(count, (plan.x0, plan.x1)[end])
            ends.append(np.stack([fixed, shape[:, 1], z + shape[:, 0] * plan.depth / 2], 1))
        else:
            fixed = np.full(count, (plan.z0, plan.z1)[end])
            ends.append(np.stack([x + shape[:, 0] * plan.width / 2, shape[:, 1], fixed], 1))
    sides = [(i, (i + 1) % count, count + (i + 1) % count, count + i) for i in range(count)]
    first, last = (0, 1), (count - 1, count - 2)
    upright = [
        (low, low + count, high + count, high)
        for low, high in (first, last)
        if abs(shape[low, 0] - shape[high, 0]) < 1e-9
    ]
    if len(upright) == 2 and abs(shape[1, 1] - shape[-2, 1]) < 1e-9:
        upright += [(end, end + count - 1, end + count - 2, end + 1) for end in (0, count)]
    return part(np.concatenate(ends), [range(count), range(count, 2 * count), *sides], upright)


def cone(outline: Floats, bottom: float, eaves: float, rise: float) -> Part:
    """Return walls over a convex plan (K, 2) and a tip above its middle."""
    count = len(outline)
    x, z = outline.mean(0)
    corners = np.concatenate([_lifted(outline, bottom), _lifted(outline, eaves), [[x, eaves + rise, z]]])
    walls = [(i, (i + 1) % count, count + (i + 1) % count, count + i) for i in range(count)]
    slopes = [(count + i, count + (i + 1) % count, 2 * count) for i in range(count)]
    return part(corners, [range(count), *walls, *slopes], walls)


def dome(outline: Floats, bottom: float, eaves: float, rise: float, rings: int = 5) -> Part:
    """Return walls over a convex plan (K, 2) and an elliptic dome of ``rings`` rings of facets."""
    radius = float(np.linalg.norm(outline - outline.mean(0), axis=1).mean())
    count = len(outline)
    middle = outline.mean(0)
    levels = [_lifted(outline, bottom)]
    for ring in range(rings):
        angle = float(even_turns(ring / rings * np.pi / 2, rise / radius))
        levels.append(_lifted(middle + (outline - middle) * np.cos(angle), eaves + rise * np.sin(angle)))
    corners = np.concatenate([*levels, [[middle[0], eaves + rise, middle[1]]]])
    faces: list[Sequence[int]] = [range(count)]
    for level in range(rings):
        low, high = level * count, (level + 1) * count
        faces += [(low + i, low + (i + 1) % count, high + (i + 1) % count, high + i) for i in range(count)]
    faces += [(rings * count + i, rings * count + (i + 1) % count, len(corners) - 1) for i in range(count)]
    return part(corners, faces)


def regular(x: float, z: float, radius: float, corners: int, turn: float = 0.0, stretch: float = 1.0) -> Floats:
    """Return (corners, 2) float64 points of a regular polygon, drawn out along x by ``stretch``."""
    angle = even_turns(turn + np.arange(corners) * 2 * np.pi / corners, 1 / stretch)
    return np.stack([x + radius * stretch * np.cos(angle), z + radius * np.sin(angle)], 1)


def even_turns(angle: Floats | float, ratio: float) -> Floats:
    """Return parameters t of points (cos t, ratio sin t) of an ellipse whose outward normals point at ``angle``.

    A polygon through points at even angles turns by the same amount at every corner, however flat the ellipse is.
    """
    return np.arctan2(ratio * np.sin(angle), np.cos(angle))


def turned(outline: Floats, degrees: float, about: tuple[float, float]) -> Floats:
    """Return points (K, 2) of a plan turned about a point."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (outline - about) @ turn.T + about


def _lifted(outline: Floats, y: float) -> Floats:
    return np.stack([outline[:, 0], np.full(len(outline), y), outline[:, 1]], 1)
