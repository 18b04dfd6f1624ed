"""Named repairs of a triangle mesh; each one says what it changed, or why it could not. Unit-free.

The order is fixed: corners are joined before holes can be seen, winding is settled before volumes mean anything, bodies
are united last because that needs closed surfaces. Nothing here invents thickness or rebuilds the surface from voxels:
what cannot be repaired in place is left as it was and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh import pinches, topology
from pipelines.mesh.holes import fill
from pipelines.mesh.solids import NotSolid, to_mesh, to_solid

# Corners closer than this share of the longest side are one corner (our choice: float32 files carry 7 digits).
WELD = 1e-6
# Detail that a united body loses, as a share of its longest side (our choice: a few steps of float32).
FLOAT32 = 1e-6
# A loose closed part below this share of the largest part's volume is a speck (our choice).
SPECK = 1e-3


@dataclass(frozen=True)
class Change:
    """What one repair did.

    Attributes:
        name: Name of the repair, a key of ``REPAIRS``, or ``reduce-faces``.
        changed: Whether the mesh is different from before.
        message: What was done, or what stopped it, with the figure.
        complete: False when something that this repair is for is still there.
        figures: Counts before and after.
    """

    name: str
    changed: bool
    message: str
    complete: bool = True
    figures: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the change as JSON-ready fields."""
        return {"name": self.name, "changed": self.changed, "message": self.message, "complete": self.complete,
                "figures": dict(self.figures)}  # fmt: skip


@dataclass(frozen=True)
class Repaired:
    """A mesh and, in order, what was done to it."""

    mesh: Mesh
    changes: tuple[Change, ...]


def weld(mesh: Mesh) -> Repaired:
    """Join corners that lie in the same place, and drop those that no triangle uses."""
    longest = float(np.ptp(mesh.vertices[np.unique(mesh.faces)], axis=0).max())
    before = len(mesh.vertices)
    used, faces = np.unique(mesh.faces, return_inverse=True)
    vertices = mesh.vertices[used]
    owner = _close_together(vertices, WELD * longest)
    kept, index = np.unique(owner, return_inverse=True)
    welded = Mesh(vertices[kept], index.reshape(-1)[faces.reshape(-1, 3)].astype(np.int64))
    joined, unused = len(vertices) - len(kept), before - len(used)
    said = f"{joined} doubled corners joined, {unused} unused dropped" if joined or unused else "no doubled corners"
    return _one(welded, "weld", joined + unused > 0, said, vertices_before=before, vertices_after=len(kept))


def _close_together(vertices: np.ndarray, distance: float) -> np.ndarray:
    """(V,) for each vertex the number of the first vertex of its cluster."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    # Exact doubles first: a triangle soup has every corner six times, and the tree would list all their pairs.
    _, first, owner = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    pairs = KDTree(vertices[first]).query_pairs(distance, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    _, labels = connected_components(graph, directed=False)
    group = labels[owner.reshape(-1)]
    leader = np.full(int(group.max()) + 1, len(vertices))
    np.minimum.at(leader, group, np.arange(len(vertices)))
    return leader[group]


def drop_degenerate(mesh: Mesh) -> Repaired:
    """Drop triangles that name a corner twice or repeat another triangle, and both of a pair that face each other."""
    faces = mesh.faces
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[proper]
    _, owner = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    # Whether the corner order is an even or an odd one of the sorted corners tells which side is out.
    even = np.linalg.det(np.eye(3)[np.argsort(faces, axis=1)]).round()
    net = np.bincount(owner, weights=even, minlength=int(owner.max(initial=-1)) + 1)
    keep = np.zeros(len(faces), dtype=bool)
    for sign in (1, -1):
        candidates = np.flatnonzero((even == sign) & (np.sign(net)[owner] == sign))
        _, first = np.unique(owner[candidates], return_index=True)
        keep[candidates[first]] = True
    dropped = len(mesh.faces) - int(keep.sum())
    said = f"{dropped} collapsed or doubled triangles dropped" if dropped else "no collapsed or doubled triangles"
    after = topology.submesh(Mesh(mesh.vertices, faces), keep) if dropped else mesh
    return _one(after, "drop-degenerate", dropped > 0, said, faces_before=len(mesh.faces), faces_after=len(after.faces))


def orient(mesh: Mesh) -> Repaired:
    """Make neighbouring triangles agree about their outside, then turn out whatever encloses a negative volume.

    A nest (a body with its cavities) is turned as a whole, so that a cavity stays one.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(mesh.faces)
    pairs, agree = topology.edge_pairs(mesh.faces)
    # Every triangle twice, as it is and turned: one connected half of that double cover is a consistent winding.
    near, far = pairs[:, 0], np.where(agree, pairs[:, 1], pairs[:, 1] + count)
    rows, columns = np.concatenate([near, near + count]), np.concatenate([far, (far + count) % (2 * count)])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(2 * count, 2 * count))
    _, labels = connected_components(graph, directed=False)
    as_is, turned = labels[:count], labels[count:]
    onesided = int(np.count_nonzero(as_is == turned))
    # Of the two windings of a patch the one that more of its triangles already have is kept.
    votes = np.bincount(as_is, minlength=int(labels.max()) + 1)
    flip = (votes[turned] > votes[as_is]) | ((votes[turned] == votes[as_is]) & (turned < as_is))
    flip &= as_is != turned
    faces = np.where(flip[:, None], mesh.faces[:, ::-1], mesh.faces)
    parts = topology.shells(Mesh(mesh.vertices, faces))
    outermost = [_root(parts, index) for index in range(len(parts))]
    turn = [parts[root].closed and parts[root].volume < 0 for root in outermost]
    inverted = sum(turn)
    after = Mesh(mesh.vertices, faces)
    if inverted:
        after = topology.joined(
            [
                Mesh(part.mesh.vertices, part.mesh.faces[:, ::-1]) if over else part.mesh
                for part, over in zip(parts, turn, strict=True)
            ]
        )
    reversed_faces = int(flip.sum())
    said = "winding is consistent and points outwards"
    if reversed_faces or inverted:
        said = f"{reversed_faces} triangles turned to agree with their neighbours, {inverted} inside-out shells turned"
    if onesided:
        said += f"; {onesided} triangles form a one-sided surface and stay"
    changed = bool(reversed_faces or inverted)
    return _one(after, "orient", changed, said, not onesided, triangles_turned=reversed_faces, shells_turned=inverted,
                one_sided=onesided)  # fmt: skip


def _root(parts: list[topology.Shell], index: int) -> int:
    while parts[index].parent >= 0:
        index = parts[index].parent
    return index


def close_holes(mesh: Mesh) -> Repaired:
    """Close open rims: flat ones of any size, others where small; what stays open is named (see ``holes.fill``)."""
    before = topology.edge_report(mesh).open
    if not before:
        return _one(mesh, "close-holes", False, "no open edges", open_edges_before=0, open_edges_after=0)
    filled, closed, refused = fill(mesh)
    after = topology.edge_report(filled).open
    said = f"{closed} holes closed, open edges {before} -> {after}"
    if refused:
        said += "; left open: " + "; ".join(dict.fromkeys(refused))
    return _one(filled, "close-holes", closed > 0, said, not after, holes_closed=closed,
                open_edges_before=before, open_edges_after=after)  # fmt: skip


def part_pinched(mesh: Mesh) -> Repaired:
    """Give bodies that merely share an edge or a corner one each (see ``pinches.part``)."""
    name, before = "part-pinched", topology.edge_report(mesh)
    parted, copies = pinches.part(mesh)
    after = topology.edge_report(parted)
    changed = copies > 0 and after.open <= before.open and after.crowded <= before.crowded
    said = "no pinched corners"
    if changed:
        said = f"{copies} corners doubled, crowded edges {before.crowded} -> {after.crowded}"
    elif copies or before.crowded:
        said = f"{before.crowded} crowded edges cannot be parted without a tear"
    left = after.crowded if changed else before.crowded
    return _one(parted if changed else mesh, name, changed, said, not left,
                crowded_edges_before=before.crowded, crowded_edges_after=left)  # fmt: skip


def drop_specks(mesh: Mesh) -> Repaired:
    """Drop loose parts whose volume is below a thousandth of the largest part's. Not among the usual repairs."""
    parts = topology.shells(mesh)
    limit = SPECK * abs(parts[0].volume)
    keep = [part for part in parts if abs(part.volume) >= limit or part.parent >= 0]
    dropped = len(parts) - len(keep)
    said = f"{dropped} loose specks dropped" if dropped else "no loose specks"
    after = topology.joined([part.mesh for part in keep]) if dropped else mesh
    return _one(after, "drop-specks", dropped > 0, said, shells_before=len(parts), shells_after=len(keep))


def remove_inner_shells(mesh: Mesh) -> Repaired:
    """Drop surfaces that lie wholly inside solid material and divide nothing, so that infill can reach there."""
    return _without(mesh, "remove-inner-shells", "inner shell", "inner shells removed")


def fill_cavities(mesh: Mesh) -> Repaired:
    """Fill closed empty rooms. Not among the usual repairs: a hollow body may be meant."""
    return _without(mesh, "fill-cavities", "cavity", "cavities filled")


def _without(mesh: Mesh, name: str, role: str, done: str) -> Repaired:
    parts = topology.shells(mesh)
    keep = [part.mesh for part in parts if part.role != role]
    dropped = len(parts) - len(keep)
    after = topology.joined(keep) if dropped else mesh
    said = f"{dropped} {done}" if dropped else f"no {role}"
    return _one(after, name, dropped > 0, said, shells_before=len(parts), shells_after=len(keep))


def unite_bodies(mesh: Mesh) -> Repaired:
    """Make one body of bodies that overlap or touch (exact boolean union); cavities stay where nothing fills them."""
    name = "unite-bodies"
    parts = topology.shells(mesh)
    figures: dict[str, float] = {"shells_before": len(parts), "shells_after": len(parts)}
    if len(parts) == 1:
        return _one(mesh, name, False, "one shell, nothing to unite", **figures)
    blocked = [part.role for part in parts if part.role in ("open", "inside out")]
    if blocked:
        said = f"not united: {len(blocked)} of {len(parts)} shells are {' or '.join(sorted(set(blocked)))}"
        return _one(mesh, name, False, said, False, **figures)
    try:
        united = to_solid(parts[0].mesh)
        for part in parts[1:]:
            if part.volume > 0:
                united = united + to_solid(part.mesh)
        for part in (part for part in parts if part.role == "cavity"):
            united = united - _room(part, parts)
        # Corners closer than a float32 file can tell apart would tear the surface there.
        after = to_mesh(united.simplify(FLOAT32 * float(np.ptp(mesh.vertices, axis=0).max())))
    except NotSolid as error:
        return _one(mesh, name, False, f"not united: {error}", False, **figures)
    left = topology.shells(after)
    if len(left) == len(parts) and abs(topology.volume(after) - topology.volume(mesh)) <= 1e-9 * abs(left[0].volume):
        return _one(mesh, name, False, "no overlapping bodies", **figures)
    said = f"{len(parts)} shells became {len(left)}"
    return _one(after, name, True, said, shells_before=len(parts), shells_after=len(left))


def _room(cavity: topology.Shell, parts: list[topology.Shell]):  # a manifold3d.Manifold
    """The empty space of a cavity: its inside without the bodies that stand or reach into it."""
    room = to_solid(Mesh(cavity.mesh.vertices, cavity.mesh.faces[:, ::-1]))
    for index, part in enumerate(parts):
        if part.volume > 0 and part is not parts[cavity.parent] and index != cavity.parent:
            room = room - to_solid(part.mesh)
    return room


def _one(mesh: Mesh, name: str, changed: bool, said: str, complete: bool = True, /, **figures: float) -> Repaired:
    return Repaired(mesh, (Change(name, changed, said, complete, figures),))


REPAIRS: dict[str, Callable[[Mesh], Repaired]] = {
    "weld": weld,
    "drop-degenerate": drop_degenerate,
    "orient": orient,
    "close-holes": close_holes,
    "part-pinched": part_pinched,
    "drop-specks": drop_specks,
    "remove-inner-shells": remove_inner_shells,
    "fill-cavities": fill_cavities,
    "unite-bodies": unite_bodies,
}
USUAL = ("weld", "drop-degenerate", "orient", "close-holes", "part-pinched", "remove-inner-shells", "unite-bodies")


def repair(mesh: Mesh, names: Iterable[str] = USUAL) -> Repaired:
    """Run the named repairs in the order of ``REPAIRS``, whatever the order of the names.

    Args:
        mesh: Any mesh; it is not changed.
        names: Keys of ``REPAIRS``.

    Returns:
        The repaired mesh and one Change per repair, also for those that found nothing to do.

    Raises:
        InputError: ``mesh.unknown-repair``, or what ``topology.checked`` raises.
    """
    wanted = set(names)
    if unknown := sorted(wanted - set(REPAIRS)):
        raise InputError("mesh.unknown-repair", "There is no such repair", seen=", ".join(unknown),
                         remedy=f"Choose from {', '.join(REPAIRS)}")  # fmt: skip
    mesh = topology.checked(mesh)
    changes: list[Change] = []
    for name in (name for name in REPAIRS if name in wanted):
        done = REPAIRS[name](mesh)
        mesh = topology.checked(done.mesh)
        changes += done.changes
        # Only what is closed has a volume, and only then can it be seen to be inside out.
        if name in ("close-holes", "part-pinched") and done.changes[0].changed and "orient" in wanted:
            again = orient(mesh)
            if again.changes[0].changed:
                mesh = again.mesh
                changes += (replace(change, message=f"after {name}: {change.message}") for change in again.changes)
    return Repaired(mesh, tuple(changes))
