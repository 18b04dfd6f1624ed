"""Close the missing floor of a building. y up, unit-free.

City models are often walls and roofs only. A floor whose rim is level is closed by the usual repairs; where walls end
at different heights, as on a slope, they are first drawn down to the lowest of them.
"""

from __future__ import annotations

import numpy as np

from pipelines.core.types import Mesh
from pipelines.mesh.holes import FLAT_RIM, rims
from pipelines.mesh.repair import Change, Repaired

NAME = "close-floor"
UPRIGHT = 0.7  # a floor's rim looks down at least so steeply, as a cosine (our choice)
LOWER = 0.5  # and stays in the lower half of the building (our choice)


def close_floor(mesh: Mesh) -> Repaired:
    """Draw the walls above an open floor down to one level; the level rim is then left to ``close-holes``.

    Args:
        mesh: Corners joined, normals outwards where it is closed.
    """
    low, high = float(mesh.vertices[:, 1].min()), float(mesh.vertices[:, 1].max())
    diagonal = float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    vertices, faces = [mesh.vertices], [mesh.faces]
    count, level, sloping = len(mesh.vertices), 0, 0
    for rim in rims(mesh.faces):
        points = mesh.vertices[rim]
        if not _is_floor(points, low + LOWER * (high - low)):
            continue
        if np.ptp(points[:, 1]) <= FLAT_RIM * diagonal:
            level += 1
            continue
        sloping += 1
        raised = points[:, 1] > low + FLAT_RIM * diagonal
        below = np.where(raised, count + np.cumsum(raised) - 1, rim)
        vertices.append(np.where([True, False, True], points[raised], low))
        count += int(raised.sum())
        following, below_following = np.roll(rim, -1), np.roll(below, -1)
        # A rim runs as a filling triangle would: wall quads hang from it in that order.
        skirt = np.concatenate(
            [np.stack([rim, following, below_following], 1), np.stack([rim, below_following, below], 1)]
        )
        proper = (skirt[:, 0] != skirt[:, 1]) & (skirt[:, 1] != skirt[:, 2]) & (skirt[:, 2] != skirt[:, 0])
        faces.append(skirt[proper])
    said = "no floor is missing"
    if level or sloping:
        said = f"{level + sloping} floors missing" + (f", walls above {sloping} drawn down" if sloping else "")
    after = Mesh(np.concatenate(vertices), np.concatenate(faces)) if sloping else mesh
    return Repaired(after, (Change(NAME, sloping > 0, said, True, {"level": level, "sloping": sloping}),))


def _is_floor(points: np.ndarray, highest: float) -> bool:
    centred = points - points.mean(0)
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(0)
    length = float(np.linalg.norm(normal))
    return bool(length > 0 and abs(normal[1]) >= UPRIGHT * length and points[:, 1].max() <= highest)
