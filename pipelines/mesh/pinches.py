"""Part surfaces that share an edge or a corner without belonging together. Unit-free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Mesh
from pipelines.mesh import topology

_ROUNDS = 4  # a triangle may have several edges that need a corner of their own


def part(mesh: Mesh) -> tuple[Mesh, int]:
    """Give each fan of triangles around a corner a copy of that corner; the mesh and the number of new corners.

    Triangles belong to one fan where they are neighbours across an edge. At an edge of more than two triangles those
    are neighbours that have solid material between them, so that bodies which merely touch come apart. Where the same
    body touches itself, both ends of the edge may still be shared; all but one pair of triangles then get a corner in
    the middle of it.
    """
    parted, copies = _fans_apart(mesh)
    for _ in range(_ROUNDS):
        split = _edges_apart(parted)
        if split is None:
            break
        copies += len(split.vertices) - len(parted.vertices)
        parted = split
    return parted, copies


def _edges_apart(mesh: Mesh) -> Mesh | None:
    """The mesh with a corner of its own in the middle of each pair of triangles at a crowded edge but one; None if
    there is no such edge."""
    count = len(mesh.faces)
    edges = topology.half_edges(mesh.faces)
    _, owner, uses = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(owner.reshape(-1), kind="stable")
    first = np.cumsum(uses) - uses
    faces, added, middles = mesh.faces.copy(), [], []
    touched: set[int] = set()
    for at in np.flatnonzero(uses > 2):
        for pair in _solid_pairs(mesh, edges, order[first[at] : first[at] + uses[at]])[1:]:
            if touched & {int(half) % count for half in pair}:
                continue  # in the next round
            middle = len(mesh.vertices) + len(middles)
            middles.append(mesh.vertices[edges[pair[0]]].mean(0))
            for half in pair:
                face, corner = int(half) % count, int(half) // count
                touched.add(face)
                other = faces[face].copy()
                faces[face, (corner + 1) % 3] = middle
                other[corner] = middle
                added.append(other)
    if not middles:
        return None
    return Mesh(np.concatenate([mesh.vertices, middles]), np.concatenate([faces, added]))


def _fans_apart(mesh: Mesh) -> tuple[Mesh, int]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(mesh.faces)
    edges = topology.half_edges(mesh.faces)
    near, far = _neighbours(mesh, edges)
    # Half edge k starts at corner k of its triangle, and the one after it starts where k ends.
    near_end, far_end = (near + count) % (3 * count), (far + count) % (3 * count)
    agree = edges[near, 0] == edges[far, 1]
    rows = np.concatenate([near, near_end])
    columns = np.concatenate([np.where(agree, far_end, far), np.where(agree, far, far_end)])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(3 * count, 3 * count))
    _, fans = connected_components(graph, directed=False)
    _, where = np.unique(fans, return_index=True)
    origin = mesh.faces.T.reshape(-1)[where]  # of each fan
    _, keeps = np.unique(origin, return_index=True)
    extra = np.setdiff1d(np.arange(len(origin)), keeps)
    number = origin.copy()
    number[extra] = len(mesh.vertices) + np.arange(len(extra))
    faces = np.ascontiguousarray(number[fans].reshape(3, count).T)
    return Mesh(np.concatenate([mesh.vertices, mesh.vertices[origin[extra]]]), faces), len(extra)


def _neighbours(mesh: Mesh, edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of half edges (numbers) that join two triangles."""
    _, owner, uses = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(owner.reshape(-1), kind="stable")
    first = np.cumsum(uses) - uses
    near, far = [order[first[uses == 2]]], [order[first[uses == 2] + 1]]
    for at in np.flatnonzero(uses > 2):
        pairs = _solid_pairs(mesh, edges, order[first[at] : first[at] + uses[at]])
        near.append(pairs[:, 0])
        far.append(pairs[:, 1])
    return np.concatenate(near), np.concatenate(far)


def _solid_pairs(mesh: Mesh, edges: NDArray[np.int64], around: NDArray[np.int64]) -> NDArray[np.int64]:
    """(P, 2) half edges of one crowded edge, each with the next that runs back, turning through the inside."""
    count = len(mesh.faces)
    start, end = edges[around[0]]
    axis = mesh.vertices[end] - mesh.vertices[start]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-300)
    tips = mesh.vertices[edges[(around + count) % (3 * count), 1]] - mesh.vertices[start]
    spokes = tips - (tips @ axis)[:, None] * axis
    spokes = spokes / np.maximum(np.linalg.norm(spokes, axis=1, keepdims=True), 1e-300)
    forward = edges[around, 0] == start
    choices = []
    for one in np.flatnonzero(forward):
        outward = np.cross(axis, spokes[one])
        for two in np.flatnonzero(~forward):
            angle = float(np.arctan2(-spokes[two] @ outward, spokes[one] @ spokes[two])) % (2 * np.pi)
            choices.append((angle if angle > 1e-9 else 2 * np.pi, int(one), int(two)))
    pairs: list[tuple[int, int]] = []
    for _, one, two in sorted(choices):
        if all(one != taken and two != other for taken, other in pairs):
            pairs.append((one, two))
    return around[np.array(pairs, dtype=np.int64).reshape(-1, 2)]
