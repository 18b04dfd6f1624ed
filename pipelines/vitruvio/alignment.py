"""Turn a building so that its plan's long axis runs along z, as ``align.py`` of CDInstitute/Vitruvio 48043d6 (MIT).

The published script begins with an oriented bounding box whose use is not stated; here the ground is what lies lowest
of the mesh itself. Its caveats are kept, since networks were trained on what it makes: the angle is an arccosine and no
arctangent, the sign of an axis is the eigen-solver's and so half a turn is arbitrary, and an axis that lies exactly
along x is not turned at all. Corners count, not areas: many corners on one side pull the axis there.
"""

from __future__ import annotations

import numpy as np

from pipelines.core.types import Mesh

GROUND = 6  # decimals to which the lowest height is rounded, published


def align(mesh: Mesh) -> tuple[Mesh, float]:
    """Turn a mesh (y up) about y.

    Returns:
        The mesh, moved so that the mean of its ground corners is at x = z = 0, and turned; and the angle in degrees.
    """
    height = np.round(mesh.vertices[:, 1], GROUND)
    ground = mesh.vertices[height == height.min()]
    moved = mesh.vertices - ground.mean(0) * (1, 0, 1)
    corners = (ground - ground.mean(0)) * (1, 0, 1)
    values, axes = np.linalg.eig(corners.T @ corners)
    axis = np.real(axes[:, int(np.argmax(np.real(values)))])
    x, z = float(axis[0]), float(axis[2])
    sign = 0.0 if x == 0 or z == 0 else -np.sign(x)
    angle = float(np.degrees(np.arccos(np.clip(z, -1, 1))) * sign)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return Mesh(moved @ turn.T, mesh.faces), angle
