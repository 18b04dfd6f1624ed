"""Face-count control that says what it reached."""

from __future__ import annotations

import numpy as np

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh import topology
from pipelines.mesh.repair import Change, Repaired
from pipelines.mesh.solids import NotSolid, to_mesh, to_solid

# The surface may move by at most this share of the mesh's diagonal (our choice: 0.8 mm on a 80 mm model).
LARGEST_MOVE = 0.01
STEPS = 14  # bisections of the tolerance; its logarithm is then known to 0.1 %


def reduce_faces(mesh: Mesh, target: int, *, largest_move: float = LARGEST_MOVE) -> Repaired:
    """Merge triangles until at most ``target`` are left, moving the surface as little as that takes.

    The result is a closed manifold again. Where the target cannot be reached the nearest above it is returned and the
    Change says so; an open mesh is returned as it is, for collapsing edges across holes lands anywhere.

    Args:
        mesh: Closed and oriented outwards.
        target: Number of triangles to stay at or below, at least 4.
        largest_move: Share of the bounding box diagonal that the surface may move.

    Raises:
        InputError: ``mesh.face-target``, or what ``topology.checked`` raises.
    """
    if target < 4:
        raise InputError("mesh.face-target", "A closed mesh has at least 4 triangles", seen=target,
                         remedy="Ask for more triangles")  # fmt: skip
    mesh = topology.checked(mesh)
    before = len(mesh.faces)
    if before <= target:
        return _said(mesh, mesh, target, True, f"{before} triangles, the target of {target} is met already")
    try:
        solid = to_solid(mesh)
    except NotSolid as error:
        return _said(mesh, mesh, target, False, f"not reduced from {before} triangles: {error}; repair it first")
    diagonal = float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    largest = largest_move * diagonal
    best, moved = solid.simplify(largest), largest
    if best.num_tri() <= target:
        low, high = np.log(1e-7 * diagonal), np.log(largest)
        for _ in range(STEPS):
            middle = (low + high) / 2
            tried = solid.simplify(float(np.exp(middle)))
            if tried.num_tri() <= target:
                high, best, moved = middle, tried, float(np.exp(middle))
            else:
                low = middle
    try:
        after = to_mesh(best)
    except NotSolid:
        return _said(mesh, mesh, target, False, f"not reduced from {before} triangles: nothing would be left")
    count = len(after.faces)
    change = topology.volume(after) / topology.volume(mesh) - 1
    said = f"{before} -> {count} triangles, volume {change:+.2%}, moved by at most {moved / diagonal:.2%} of its size"
    if count > target:
        said += f"; the target of {target} would move it further than {largest_move:.2%}"
    return _said(mesh, after, target, count <= target, said)


def _said(before: Mesh, after: Mesh, target: int, reached: bool, message: str) -> Repaired:
    figures: dict[str, float] = {"faces_before": len(before.faces), "faces_after": len(after.faces), "target": target}
    return Repaired(after, (Change("reduce-faces", after is not before, message, reached, figures),))
