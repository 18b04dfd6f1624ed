"""Small textured surfaces: grids of points, lofts along a spine, and the collection of them that becomes one picture.

World frame: x to the viewer's right, y up, z towards the viewer, in units of centimetres. A person who faces the
camera has their own left at +x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# float32 in memory; numpy's own annotations lose the width as soon as a Python number takes part.
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Surface:
    """One patch: what it is, where it is, and which picture covers it.

    Attributes:
        points: (R, C, 3) float32 world coordinates.
        normals: (R, C, 3) float32 unit vectors out of the surface.
        uv: (R, C, 2) float32 in [0, 1] of ``texture``.
        texture: Name of the picture that covers it.
        label: Parsing class, 0..8.
        layout: LIP id, 20 for a bag.
        clip: (R, C) float32; the surface exists where the interpolated value is >= 0. None keeps all of it.
        two_sided: Seen from behind as well (open shells); otherwise turned-away triangles are dropped.
        matter: Shading family: ``skin``, ``cloth``, ``hair`` or ``gloss``.
        worn: Part of the garment whose mask the picture reports.
        bias: Centimetres by which it wins against surfaces at the same depth; (R, 1) to vary by row.
    """

    points: Floats
    normals: Floats
    uv: Floats
    texture: str
    label: int
    layout: int
    clip: Floats | None = None
    two_sided: bool = False
    matter: str = "cloth"
    worn: bool = False
    bias: Floats | float = 0.0


@lru_cache(maxsize=256)
def grid_triangles(rows: int, columns: int) -> NDArray[np.int64]:
    """Return (2 (R-1) (C-1), 3) vertex numbers of a row-major grid, counter-clockwise seen from outside a loft."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    return np.concatenate([np.stack([a, d, b], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def grid_normals(points: Floats, closed: bool) -> Floats:
    """Return unit normals of an (R, C, 3) grid by central differences; ``closed`` joins first and last column."""
    down = np.zeros_like(points)
    down[1:-1] = points[2:] - points[:-2]
    down[0], down[-1] = points[1] - points[0], points[-1] - points[-2]
    across = np.zeros_like(points)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    if closed:
        across[:, 0] = across[:, -1] = points[:, 1] - points[:, -2]
    else:
        across[:, 0], across[:, -1] = points[:, 1] - points[:, 0], points[:, -1] - points[:, -2]
    normal = cross(down, across)
    return normal / (np.sqrt((normal * normal).sum(-1, keepdims=True)) + 1e-9)


def cross(a: Floats, b: Floats) -> Floats:
    """Return the cross product over the last axis; several times faster than numpy's for small arrays."""
    out = np.zeros(np.broadcast_shapes(a.shape, b.shape), np.float32)
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def unit(vector: Floats) -> Floats:
    """Return ``vector`` with length one along its last axis."""
    vector = np.asarray(vector, np.float32)
    return vector / (np.sqrt((vector * vector).sum(-1, keepdims=True)) + 1e-9)


def loft(
    centres: Floats,
    side: Floats,
    front: Floats,
    half_width: Floats,
    half_depth: Floats,
    angles: Floats,
    *,
    power: float = 2.0,
) -> Floats:
    """Return (R, C, 3) points of superelliptic rings stacked along ``centres``.

    Args:
        centres: (R, 3) ring centres, from the top down.
        side: (R, 3) unit axes towards angle +pi/2.
        front: (R, 3) unit axes towards angle 0.
        half_width: (R,) extent along ``side``.
        half_depth: (R,) or (R, C) extent along ``front``.
        angles: (C,) increasing angles; 0 is the front, +pi/2 the ``side``.
        power: 2 is an ellipse, larger is squarer.
    """
    sine, cosine = np.sin(angles), np.cos(angles)
    if power != 2.0:
        sine = np.sign(sine) * np.abs(sine) ** (2 / power)
        cosine = np.sign(cosine) * np.abs(cosine) ** (2 / power)
    depth = half_depth if half_depth.ndim == 2 else half_depth[:, None]
    x = (half_width[:, None] * sine)[..., None]
    z = (depth * cosine)[..., None]
    return (centres[:, None] + x * side[:, None] + z * front[:, None]).astype(np.float32)


def arc_position(points: Floats) -> Floats:
    """Return (R, C) positions in [-1, 1] by arc length along each row, so that cloth is not stretched at the sides."""
    step = np.sqrt(((points[:, 1:] - points[:, :-1]) ** 2).sum(-1))
    length = np.concatenate([np.zeros((len(points), 1), np.float32), np.cumsum(step, 1)], 1)
    return (2 * length / (length[:, -1:] + 1e-9) - 1).astype(np.float32)


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Floats:
    """Return the 3x3 rotation that nods by ``pitch``, leans by ``roll`` and then turns by ``yaw`` (radians).

    Positive yaw turns the front towards +x, positive roll leans the top towards +x, positive pitch nods forward.
    """
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    lean = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return (turn @ lean @ nod).astype(np.float32)


def between(start: Floats, end: Floats) -> Floats:
    """Return the smallest 3x3 rotation that takes direction ``start`` to direction ``end``."""
    a, b = unit(start), unit(end)
    axis = cross(a, b)
    cosine = float(a @ b)
    if cosine < -0.9999:
        return np.diag([-1.0, -1.0, 1.0]).astype(np.float32)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]], np.float32)
    return (np.eye(3, dtype=np.float32) + k + k @ k / (1 + cosine)).astype(np.float32)


def tube_frames(path: Floats, side: Floats) -> tuple[Floats, Floats]:
    """Carry a side axis along a path without twist.

    Args:
        path: (R, 3) points.
        side: (3,) axis at the first point; need not be exactly perpendicular.

    Returns:
        (R, 3) side axes and (R, 3) front axes (side, front and the direction of travel downwards are right-handed).
    """
    step = np.zeros_like(path)
    step[1:-1] = path[2:] - path[:-2]
    step[0], step[-1] = path[1] - path[0], path[-1] - path[-2]
    tangent = unit(step)
    # a few rows of three numbers each: plain floats are faster than arrays
    rows = []
    x, y, z = (float(v) for v in side)
    for a, b, c in tangent.tolist():
        along = x * a + y * b + z * c
        x, y, z = x - along * a, y - along * b, z - along * c
        size = (x * x + y * y + z * z) ** 0.5 + 1e-9
        x, y, z = x / size, y / size, z / size
        rows.append((x, y, z))
    sides = np.array(rows, np.float32)
    return sides, cross(tangent, sides)


def smooth_path(joints: Floats, count: int, bend: float = 0.16) -> tuple[Floats, Floats]:
    """Round a two-bone chain at its middle joint and sample it evenly.

    Args:
        joints: (3, 3) start, middle, end.
        count: Number of samples.
        bend: Share of each bone that becomes part of the curve.

    Returns:
        (count, 3) points and (count,) positions in [0, 1] where 0.5 is the middle joint.
    """
    t = np.linspace(0, 1, count, dtype=np.float32)
    knots = np.array([0.0, 0.5, 1.0])
    out = np.stack([np.interp(t, knots, joints[:, k]) for k in range(3)], -1)
    near = np.abs(t - 0.5) < bend / 2
    if near.any():
        a = joints[1] + (joints[0] - joints[1]) * bend
        b = joints[1] + (joints[2] - joints[1]) * bend
        s = ((t[near] - 0.5) / bend + 0.5)[:, None]
        out[near] = (1 - s) ** 2 * a + 2 * s * (1 - s) * joints[1] + s * s * b
    return out.astype(np.float32), t
