"""What is always done to the surface of a building: one body without cavities, on a flat base. Unit-free, y up.

Source: none; our choice throughout. A learned field gives loose crumbs, closed voids and a bottom that bulges. None of
them can be meant, whatever was drawn, and each one spoils a print.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh import topology
from pipelines.mesh.repair import Change, repair
from pipelines.mesh.solids import NotSolid, to_mesh, to_solid
from pipelines.mesh.topology import y_up, z_up

# How far the surface may move when triangles are merged, as a share of the longest side: 0.2 mm on a 100 mm model.
MERGED = 0.002
# The base is cut where the cross-section first reaches this share of the largest one in the lowest FOOT of the height.
ENOUGH, FOOT = 0.9, 0.15
HEIGHTS = 40  # cross-sections looked at, all of them in the lowest FOOT
# A body of at least this share of the volume is joined to the others by a wall, as thick as this share of the longest
# side; a smaller one is what a field leaves beside a building more often than a wing of it.
JOINED, WALL = 0.02, 0.03
HIGHER = 6  # cuts that are tried, each one cross-section higher
# Corners closer than this share of the longest side are one corner in a float32 file.
FLOAT32 = 1e-6


def levelled(mesh: Mesh) -> tuple[Mesh, tuple[Change, ...]]:
    """Make one body, fill its cavities, merge triangles, and stand it on a flat base.

    Bodies of some size are joined: what the drawing shows in two pieces may be printed in one, and a wing that is lost
    is worse than a wall that is invented. The corners at the cut are then drawn down to where half of the cross-section
    had begun, so that neither height nor volume is lost to a rounded bottom.

    Args:
        mesh: Closed or nearly so, any number of bodies; repaired first if it bounds no solid as it is.

    Returns:
        One closed body, faces counter-clockwise from outside, all of its lowest corners at exactly one height; and one
        Change each for bodies, cavities, triangles and base.

    Raises:
        InputError: ``mesh.no-solid`` if there is no inside, or what ``topology.checked`` raises.
    """
    solid = _as_solid(mesh)
    stood = _stood(solid)
    if stood is None:
        raise InputError("mesh.no-solid", "The mesh has no inside that could stand on a base",
                         seen=f"{len(mesh.faces)} triangles", remedy="Extract it at a lower threshold")  # fmt: skip
    found, whole, changes, tolerance, cut, base = stood
    before = whole.num_tri()
    after = len(found.faces)
    said = f"{before} -> {after} triangles, moved by at most {tolerance:.2%} of its size"
    changes.append(
        Change("merge-triangles", after != before, said, figures={"faces_before": before, "faces_after": after})
    )
    height = float(np.ptp(found.vertices[:, 1]))
    below = cut - _bottom(whole)
    said = f"cut {below:.4f} above the lowest point, drawn down by {cut - base:.4f}, of a height of {height:.4f}"
    figures: dict[str, float] = {
        "base_area": base_area(found),
        "volume_before": float(whole.volume()),
        "volume_after": topology.volume(found),
    }
    changes.append(Change("flat-base", True, said, figures=figures))
    return found, tuple(changes)


def _stood(solid):  # manifold3d.Manifold -> mesh, whole solid, changes, tolerance, heights of cut and base; or None
    """The first way to make one body on a flat base that also holds in a file; z up."""
    # Walls between many crumbled bodies may touch themselves; then the largest body has to do.
    for join in (True, False):
        whole, changes = _one_body(solid, join)
        longest = max(np.ptp(np.array(whole.bounding_box()).reshape(2, 3), axis=0))
        # Coarse first. A pinch is as thin as the tolerance, so a finer one can avoid it; one in the cut's own outline
        # is left behind by cutting a little higher.
        for higher, tolerance in product(range(HIGHER), (MERGED, MERGED / 4, FLOAT32)):
            merged = largest(whole.simplify(tolerance * longest))
            based, cut, base = _on_base(merged, higher)
            found = finished(based, FLOAT32 * longest)
            if found is not None:
                return found, whole, changes, tolerance, cut, base
    return None


def base_area(mesh: Mesh) -> float:
    """Area of the triangles whose three corners all lie at exactly the lowest height of a mesh, y up."""
    used = mesh.vertices[mesh.faces]
    flat = (used[:, :, 1] == used[:, :, 1].min()).all(1)
    return float(topology.face_areas(mesh)[flat].sum())


def largest(solid):  # manifold3d.Manifold -> manifold3d.Manifold
    """The piece of a solid with the largest signed volume, without its cavities: those are pieces of their own."""
    pieces = solid.decompose()
    return max(pieces, key=lambda piece: piece.volume()) if len(pieces) > 1 else solid


def _as_solid(mesh: Mesh):  # -> manifold3d.Manifold, z up
    mesh = topology.checked(mesh)
    try:
        solid = to_solid(Mesh(z_up(mesh.vertices), mesh.faces))
    except NotSolid:
        mesh = repair(mesh).mesh
        try:
            solid = to_solid(Mesh(z_up(mesh.vertices), mesh.faces))
        except NotSolid as error:
            raise InputError("mesh.no-solid", "The mesh bounds no solid, also after repair", seen=error,
                             remedy="Extract it at another threshold or detail") from None  # fmt: skip
    if not largest(solid).volume() > 0:
        raise InputError("mesh.no-solid", "The mesh has no inside", seen=f"volume {solid.volume():.3g}",
                         remedy="Extract it at a lower threshold")  # fmt: skip
    return solid


def _one_body(solid, join: bool):  # manifold3d.Manifold -> (manifold3d.Manifold, list of Change)
    """Join bodies of some size by walls, drop smaller ones or all but the largest, fill cavities; z up."""
    pieces = sorted(solid.decompose(), key=lambda piece: -piece.volume())
    bodies = [piece for piece in pieces if piece.volume() > 0]
    voids = [-piece.volume() for piece in pieces if piece.volume() <= 0]
    everything = sum(body.volume() for body in bodies)
    whole = bodies[0]
    joined = dropped = 0
    lost = 0.0
    for body in bodies[1:]:
        if join and body.volume() >= JOINED * everything:
            whole = whole + body + _wall_between(whole, body)
            joined += 1
        else:
            dropped, lost = dropped + 1, lost + body.volume()
    whole = largest(whole)
    filled = float(sum(voids) / everything)
    figures: dict[str, float] = {
        "bodies_joined": joined, "bodies_dropped": dropped, "volume_dropped": float(lost / everything),
    }  # fmt: skip
    said = f"{joined} bodies joined by a wall, {dropped} dropped, {lost / everything:.2%} of the volume"
    return whole, [
        Change("largest-body", len(bodies) > 1, said if len(bodies) > 1 else "one body", figures=figures),
        Change("fill-cavities", bool(voids), f"{len(voids)} cavities filled, {filled:.2%} of its volume"
               if voids else "no cavity", figures={"cavities": len(voids), "volume_filled": filled}),
    ]  # fmt: skip


def _wall_between(first, second):  # manifold3d.Manifold, twice -> manifold3d.Manifold
    """A wall where two bodies are closest, from the ground to half the height of the lower one at least; z up."""
    import manifold3d
    from scipy.spatial import KDTree

    corners = [to_mesh(body).vertices for body in (first, second)]
    distance, at = (np.asarray(found) for found in KDTree(corners[0]).query(corners[1]))
    other = int(np.argmin(distance))
    ends = np.stack([corners[0][at[other]], corners[1][other]])
    half = WALL / 2 * max(np.ptp(np.concatenate(corners), axis=0))
    around = half * np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    points = (ends[:, None] + around[None]).reshape(-1, 3)
    ground, crown = points.copy(), points.copy()
    ground[:, 2] = min(_bottom(first), _bottom(second))
    crown[:, 2] = min((_bottom(body) + float(body.bounding_box()[5])) / 2 for body in (first, second))
    return manifold3d.Manifold.hull_points(np.concatenate([points, ground, crown]))


def _on_base(solid, higher: int):  # manifold3d.Manifold -> (manifold3d.Manifold, height of the cut, of the base)
    """Cut where there is enough to stand on, or some steps higher, and draw that cross-section down; z up."""
    low, high = _bottom(solid), float(solid.bounding_box()[5])
    heights = low + (high - low) * FOOT * (np.arange(HEIGHTS) + 0.5) / HEIGHTS
    areas = np.array([solid.slice(height).area() for height in heights])
    at = min(int(np.argmax(areas >= ENOUGH * areas.max())) + higher, HEIGHTS - 1)
    begun = int(np.argmax(areas >= areas[at] / 2))
    cut = float(heights[at])
    base = float(heights[begun]) if begun < at else cut
    # The lower half of the first slab belongs to it: a bottom that is flat already begins at its lowest point.
    base = low if begun == 0 else base
    upper = largest(solid.trim_by_plane((0, 0, 1), cut))
    foot = float(upper.bounding_box()[2])  # the cut, rounded as the library does
    if base < foot:
        # Its corners go straight down, the triangles above follow: no second surface that a union would have to match.
        upper = upper.warp_batch(lambda corners: _lowered(corners, foot, base))
    return upper, cut, base


def _lowered(corners: NDArray[np.float64], foot: float, base: float) -> NDArray[np.float64]:
    corners = np.array(corners)
    corners[corners[:, 2] <= foot, 2] = base
    return corners


def _bottom(solid) -> float:  # a manifold3d.Manifold
    return float(solid.bounding_box()[2])


def finished(solid, close: float) -> Mesh | None:  # a manifold3d.Manifold, z up
    """The solid as a mesh, y up, if it is one shell on a flat base, also once a file has joined close corners."""
    try:
        raw = to_mesh(solid.simplify(close))
    except NotSolid:
        return None
    # Blocks that were given one height differ in its last bits after an exact union.
    vertices = y_up(raw.vertices)
    low = vertices[:, 1].min()
    vertices[vertices[:, 1] < low + close, 1] = low
    mesh = Mesh(vertices, raw.faces)
    welded = repair(mesh, ["weld"]).mesh
    if not (topology.edge_report(mesh).closed and topology.edge_report(welded).closed):
        return None
    if topology.face_labels(welded).any() or topology.volume(welded) <= 0 or not base_area(welded) > 0:
        return None
    return mesh
