"""How the triangles of a mesh hang together: edges, shells, which shell lies inside which. Unit-free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh

# Thinner than this share of its longest side a mesh has no inside worth the name (our choice: above float32 noise).
FLAT = 1e-6
FARTHEST = 1e100  # coordinate; products of three of them are numbers still


def checked(mesh: Mesh) -> Mesh:
    """Return the mesh with contiguous float64 / int64 arrays if it can be worked with at all.

    Raises:
        InputError: ``mesh.shape``, ``mesh.empty``, ``mesh.not-finite``, ``mesh.bad-index`` or ``mesh.flat``.
    """
    vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
    faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or (faces.size and (faces.ndim != 2 or faces.shape[1] != 3)):
        seen = f"vertices {vertices.shape}, faces {faces.shape}"
        raise InputError("mesh.shape", "A mesh needs (V, 3) vertices and (F, 3) triangles", seen=seen)
    if not len(faces):
        raise InputError("mesh.empty", "The mesh has no triangles", seen=f"{len(vertices)} vertices, 0 faces",
                         remedy="Export it again as a triangle mesh")  # fmt: skip
    if faces.min() < 0 or faces.max() >= len(vertices):
        seen = f"indices {faces.min()} to {faces.max()} for {len(vertices)} vertices"
        raise InputError("mesh.bad-index", "A triangle names a vertex that does not exist", seen=seen,
                         remedy="The file is damaged: export it again")  # fmt: skip
    used = vertices[np.unique(faces)]
    bad = int(np.count_nonzero(~(np.abs(used) < FARTHEST).all(1)))
    if bad:
        raise InputError("mesh.not-finite", "Vertices are not finite, or beyond all measure",
                         seen=f"{bad} of {len(used)} vertices",
                         remedy="Export the mesh again; a failed modifier often leaves such vertices")  # fmt: skip
    centred = used - used.mean(0)
    longest = float(np.ptp(used, axis=0).max())
    # Widths along the principal axes: a flat sheet may lie at any angle.
    axes = np.linalg.svd(centred.T @ centred)[0] if longest else np.eye(3)
    thinnest = float(np.ptp(centred @ axes, axis=0).min())
    if longest == 0 or thinnest <= FLAT * longest:
        raise InputError("mesh.flat", "The mesh has no thickness", seen=f"{thinnest:.3g} thick, {longest:.3g} long",
                         remedy="Give the surface a thickness before it is exported")  # fmt: skip
    return Mesh(vertices, faces)


def cross_products(mesh: Mesh) -> NDArray[np.float64]:
    """(F, 3) outward normals whose length is twice the triangle's area."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def face_areas(mesh: Mesh) -> NDArray[np.float64]:
    """(F,) areas, in squared units of the mesh."""
    return np.linalg.norm(cross_products(mesh), axis=1) / 2


def face_normals(mesh: Mesh) -> NDArray[np.float64]:
    """(F, 3) unit normals; zero where a triangle has no area."""
    crosses = cross_products(mesh)
    length = np.linalg.norm(crosses, axis=1, keepdims=True)
    return np.divide(crosses, length, out=np.zeros_like(crosses), where=length > 0)


def signed_volumes(mesh: Mesh) -> NDArray[np.float64]:
    """(F,) contributions of each triangle to the enclosed volume; their sum is it, negative when inside out."""
    # About the middle of the mesh, so that a mesh far from the origin does not lose its digits.
    centred = mesh.vertices - (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    a, b, c = (centred[mesh.faces[:, corner]] for corner in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)) / 6


def volume(mesh: Mesh) -> float:
    """Enclosed volume of a closed mesh, negative when it is inside out."""
    return float(signed_volumes(mesh).sum())


def half_edges(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """(3F, 2) directed edges: all first edges of the triangles, then all second, then all third."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def undirected(edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For directed edges (E, 2) the number of each one's undirected edge, (E,), and how often each of those occurs."""
    low, high = edges.min(1), edges.max(1)
    # One number an edge: sorting numbers is ten times faster than sorting rows.
    keys = low * (int(high.max(initial=0)) + 1) + high
    _, owner, uses = np.unique(keys, return_inverse=True, return_counts=True)
    return owner.reshape(-1), uses


@dataclass(frozen=True)
class EdgeReport:
    """How many undirected edges have one triangle, more than two, or two that run the same way."""

    open: int
    crowded: int
    reversed: int

    @property
    def closed(self) -> bool:
        """Whether every edge has exactly two triangles that agree about inside and outside."""
        return not (self.open or self.crowded or self.reversed)

    def __str__(self) -> str:
        return f"{self.open} open, {self.crowded} crowded, {self.reversed} reversed edges"


def edge_report(mesh: Mesh) -> EdgeReport:
    """Count the edges that keep a mesh from being a closed, oriented 2-manifold."""
    edges = half_edges(mesh.faces)
    owner, uses = undirected(edges)
    forward = np.bincount(owner.reshape(-1), weights=edges[:, 0] < edges[:, 1], minlength=len(uses))
    pairs = uses == 2
    return EdgeReport(
        open=int(np.count_nonzero(uses == 1)),
        crowded=int(np.count_nonzero(uses > 2)),
        reversed=int(np.count_nonzero(pairs & (forward != 1))),
    )


def edge_pairs(faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pairs of triangles that alone share an edge: (P, 2) face numbers, and (P,) whether their windings agree."""
    edges = half_edges(faces)
    owner, uses = undirected(edges)
    owner = owner.reshape(-1)
    order = np.argsort(owner, kind="stable")
    first = (np.cumsum(uses) - uses)[uses == 2]
    left, right = order[first], order[first + 1]
    agree = edges[left, 0] == edges[right, 1]
    return np.stack([left, right], 1) % len(faces), agree


def face_labels(mesh: Mesh) -> NDArray[np.int64]:
    """(F,) number of the shell each triangle belongs to; triangles that share a corner share a shell."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(mesh.vertices)
    edges = half_edges(mesh.faces)
    graph = coo_matrix((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return np.unique(labels[mesh.faces[:, 0]], return_inverse=True)[1].astype(np.int64).reshape(-1)


def submesh(mesh: Mesh, keep: NDArray[np.bool_]) -> Mesh:
    """The triangles where ``keep`` (F,) holds, with only the vertices that they use, in their order."""
    faces = mesh.faces[keep]
    used, index = np.unique(faces, return_inverse=True)
    return Mesh(mesh.vertices[used], index.reshape(-1, 3).astype(np.int64))


def joined(parts: list[Mesh]) -> Mesh:
    """Several meshes as one, side by side, nothing merged."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]),
    )


@dataclass(frozen=True)
class Shell:
    """One connected surface of a mesh.

    Attributes:
        mesh: Its triangles.
        volume: Signed; negative when its normals point inwards.
        closed: Whether it has no open, crowded or reversed edge.
        parent: Number of the smallest shell around it, or -1.
        outside: Winding number just outside of it: 0 in the open, 1 inside one body, 0 again inside its cavity.
    """

    mesh: Mesh
    volume: float
    closed: bool
    parent: int
    outside: int

    @property
    def role(self) -> str:
        """``body``, ``cavity`` (an empty room in a body), ``inner shell``, ``inside out`` or ``open``.

        An inner shell is a surface inside solid material that leaves solid on both of its sides.
        """
        if not self.closed:
            return "open"
        inside = self.outside + (1 if self.volume > 0 else -1)
        if min(self.outside, inside) < 0:
            return "inside out"
        if min(self.outside, inside) > 0:
            return "inner shell"
        return "body" if inside else "cavity"


def split(mesh: Mesh) -> list[Mesh]:
    """The shells of a mesh as meshes of their own, in the order of their first triangle."""
    labels = face_labels(mesh)
    order = np.argsort(labels, kind="stable")
    found = []
    for faces in np.split(mesh.faces[order], np.cumsum(np.bincount(labels))[:-1]):
        used, index = np.unique(faces, return_inverse=True)
        found.append(Mesh(mesh.vertices[used], index.reshape(-1, 3).astype(np.int64)))
    return found


def shells(mesh: Mesh) -> list[Shell]:
    """Split a mesh into its shells, largest absolute volume first, and find out which lies wholly inside which.

    A shell lies inside another when their surfaces do not cross and a vertex of it is inside the other.
    """
    parts = sorted(split(mesh), key=lambda part: -abs(volume(part)))
    volumes = [volume(part) for part in parts]
    closed = [edge_report(part).closed for part in parts]
    low = np.array([part.vertices.min(0) for part in parts])
    high = np.array([part.vertices.max(0) for part in parts])
    found: list[Shell] = []
    for inner, part in enumerate(parts):
        parent, outside = -1, 0
        # Whatever contains it has the larger volume, so it comes earlier in the list.
        boxed = (low[:inner] <= low[inner]).all(1) & (high[:inner] >= high[inner]).all(1)
        for outer in (int(index) for index in np.flatnonzero(boxed)):
            around = parts[outer]
            if closed[outer] and contains(around, part.vertices[:1])[0] and not crosses(part, around):
                parent, outside = outer, outside + (1 if volumes[outer] > 0 else -1)
        found.append(Shell(part, volumes[inner], closed[inner], parent, outside))
    return found


def scene(mesh: Mesh):  # the type would need open3d at import
    """An open3d ray casting scene of the mesh (float32 inside)."""
    import open3d

    made = open3d.t.geometry.RaycastingScene()
    made.add_triangles(tensor(mesh.vertices.astype(np.float32)), tensor(mesh.faces.astype(np.uint32)))
    return made


def tensor(array: NDArray[np.float32] | NDArray[np.uint32]):  # an open3d.core.Tensor
    """An open3d tensor of an array."""
    import open3d

    return open3d.core.Tensor(np.ascontiguousarray(array))  # pyright: ignore[reportCallIssue]  its stub knows no numpy


def contains(mesh: Mesh, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether each of (N, 3) points is inside a closed mesh, by the parity of crossings, whatever the winding."""
    from pipelines.core.shape_metrics import inside  # late: it brings scipy

    return inside(mesh.vertices, mesh.faces, points)


def z_up(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, 3) y up -> z up, (x, y, z) -> (x, -z, y): a turn, so that windings stay."""
    x, y, z = vertices.T
    return np.stack([x, -z, y], 1)


def y_up(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, 3) z up -> y up, the way back from ``z_up``."""
    x, y, z = vertices.T
    return np.stack([x, z, -y], 1)


def crosses(first: Mesh, second: Mesh) -> bool:
    """Whether the surfaces of two meshes meet: an edge of one goes through a triangle of the other."""
    return _edges_hit(first, second) or _edges_hit(second, first)


def _edges_hit(of: Mesh, target: Mesh) -> bool:
    edges = np.unique(np.sort(half_edges(of.faces), axis=1), axis=0)
    starts, ends = of.vertices[edges[:, 0]], of.vertices[edges[:, 1]]
    low, high = target.vertices.min(0), target.vertices.max(0)
    near = ((np.maximum(starts, ends) >= low) & (np.minimum(starts, ends) <= high)).all(1)
    if not near.any():
        return False
    rays = np.concatenate([starts[near], ends[near] - starts[near]], 1).astype(np.float32)
    hits = scene(target).cast_rays(tensor(rays))["t_hit"].numpy()
    return bool((hits <= 1).any())
