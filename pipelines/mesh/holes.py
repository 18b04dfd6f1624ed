"""Find the open rims of a mesh and close them with triangles between their own corners. Unit-free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Mesh
from pipelines.mesh import topology

# A rim is flat when it keeps this close to one plane, as a share of the mesh's diagonal (our choice).
FLAT_RIM = 1e-4
# A rim that is not flat is closed up to this share of the mesh's diagonal; more would be guesswork (our choice).
LARGEST_GAP = 0.25


def rims(faces: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Closed loops of vertex numbers along the open edges, running so that a filling triangle fits its neighbours.

    Where rims meet in a corner, the walk is cut there into loops that visit no corner twice.
    """
    edges = topology.half_edges(faces)
    _, owner, uses = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    lonely = edges[uses[owner.reshape(-1)] == 1]
    leaving: dict[int, list[int]] = {}
    for start, end in lonely[:, ::-1].tolist():
        leaving.setdefault(start, []).append(end)
    found: list[NDArray[np.int64]] = []
    for start in sorted(leaving):
        while leaving[start]:
            walk, place = [start], {start: 0}
            while leaving.get(walk[-1]):
                corner = leaving[walk[-1]].pop()
                if corner in place:
                    loop = walk[place[corner] :]
                    found.append(np.array(loop, dtype=np.int64))
                    for passed in loop[1:]:
                        del place[passed]
                    walk = walk[: place[corner] + 1]
                else:
                    place[corner] = len(walk)
                    walk.append(corner)
    return [loop for loop in found if len(loop) >= 3]


def fill(mesh: Mesh) -> tuple[Mesh, int, list[str]]:
    """Close what can be closed.

    Flat rims in one plane are closed together, so that a rim inside another becomes a courtyard and not a second floor.

    Returns:
        The mesh, the number of rims closed, and a reason for each rim that stays open.
    """
    used = mesh.vertices[np.unique(mesh.faces)]
    diagonal = float(np.linalg.norm(np.ptp(used, axis=0)))
    flat: list[tuple[NDArray[np.float64], float, list[NDArray[np.int64]]]] = []
    bent: list[tuple[NDArray[np.float64], list[NDArray[np.int64]]]] = []
    refused: list[str] = []
    for rim in rims(mesh.faces):
        points = mesh.vertices[rim]
        normal = _newell(points)
        off = points @ normal - points.mean(0) @ normal
        size = float(np.linalg.norm(np.ptp(points, axis=0)))
        if not normal.any():
            refused.append(f"a rim of {len(rim)} edges encloses no area")
        elif np.abs(off).max() <= FLAT_RIM * diagonal:
            _into_plane(flat, normal, float(points.mean(0) @ normal), rim, FLAT_RIM * diagonal)
        elif size <= LARGEST_GAP * diagonal:
            bent.append((normal, [rim]))
        else:
            refused.append(f"a rim of {len(rim)} edges is not flat and spans {size / diagonal:.0%} of the mesh")
    closed = 0
    patches = [(normal, nest) for normal, _, loops in flat for nest in _nests(mesh.vertices, normal, loops)] + bent
    taken = {tuple(edge) for edge in np.sort(topology.half_edges(mesh.faces), axis=1).tolist()}
    added, count = [mesh.vertices], len(mesh.vertices)
    faces = [mesh.faces]
    for normal, loops in patches:
        corners, patch = _split_taken(mesh.vertices, count, taken, _triangulate(mesh.vertices, normal, loops))
        edges, uses = np.unique(np.sort(topology.half_edges(patch), axis=1), axis=0, return_counts=True)
        rim = sum(len(loop) for loop in loops)
        # Each rim edge once, each chord twice and new: anything else would give an edge three triangles.
        chords = {tuple(edge) for edge in edges[uses == 2].tolist()}
        if np.count_nonzero(uses == 1) != rim or (uses > 2).any() or chords & taken:
            refused.append(f"closing a rim of {rim} edges would give an edge three triangles")
            continue
        taken |= chords
        added.append(corners)
        faces.append(patch)
        count += len(corners)
        closed += len(loops)
    return Mesh(np.concatenate(added), np.concatenate(faces)), closed, refused


def _newell(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normal of the area that a loop of (N, 3) points encloses; zero when that is none."""
    centred = points - points.mean(0)
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(0)
    length = float(np.linalg.norm(normal))
    size = float(np.linalg.norm(np.ptp(points, axis=0)))
    return normal / length if length > 1e-9 * size**2 else np.zeros(3)


def _into_plane(planes: list, normal: NDArray[np.float64], offset: float, rim: NDArray[np.int64], near: float) -> None:
    """Put a flat rim to those that lie in the same plane, whichever way round they run."""
    for other, place, loops in planes:
        cosine = float(normal @ other)
        if abs(cosine) > 1 - 1e-6 and abs(offset * np.sign(cosine) - place) <= near:
            loops.append(rim)
            return
    planes.append((normal, offset, [rim]))


def _nests(
    vertices: NDArray[np.float64], normal: NDArray[np.float64], loops: list[NDArray[np.int64]]
) -> list[list[NDArray[np.int64]]]:
    """Put loops of one plane into groups: one outer loop and the loops inside of it that run the other way round."""
    plane = _axes(normal)
    outlines = {index: vertices[loop] @ plane for index, loop in enumerate(loops)}
    order = sorted(outlines, key=lambda index: -abs(_area(outlines[index])))
    groups: list[list[int]] = []
    for index in order:
        for group in groups:
            outer = outlines[group[0]]
            if _area(outer) * _area(outlines[index]) < 0 and _inside(outlines[index][0], outer):
                group.append(index)
                break
        else:
            groups.append([index])
    return [[loops[index] for index in group] for group in groups]


def _triangulate(
    vertices: NDArray[np.float64], normal: NDArray[np.float64], loops: list[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Triangles over an outer loop, first, and its holes, seen along the normal."""
    import manifold3d

    flat = [vertices[loop] @ _axes(normal) for loop in loops]
    if _area(flat[0]) < 0:  # look from the other side
        flat = [points * [1, -1] for points in flat]
    made = np.asarray(manifold3d.triangulate(flat), dtype=np.int64).reshape(-1, 3)
    return np.concatenate(loops)[made]


def _split_taken(
    vertices: NDArray[np.float64], count: int, taken: set[tuple[int, ...]], patch: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """New corners, numbered from ``count``, in chords that would repeat an edge of the mesh; and the patch with them.

    Two corners of a ragged rim are often neighbours already; a chord between them would give that edge four triangles.
    """
    added, faces = [], patch.tolist()
    chords, uses = np.unique(np.sort(topology.half_edges(patch), axis=1), axis=0, return_counts=True)
    for start, end in chords[uses == 2].tolist():
        if (start, end) not in taken:
            continue
        middle = count + len(added)
        added.append((vertices[start] + vertices[end]) / 2)
        for face in [face for face in faces if start in face and end in face]:
            faces.remove(face)
            faces += [[middle if c == old else c for c in face] for old in (start, end)]
    return np.array(added).reshape(-1, 3), np.array(faces, dtype=np.int64).reshape(-1, 3)


def _axes(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 2) axes of the plane across the normal, right-handed with it."""
    across = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    across = across / float(np.linalg.norm(across))
    return np.stack([across, np.cross(normal, across)], 1).astype(np.float64)


def _area(points: NDArray[np.float64]) -> float:
    """Signed area of a flat loop (N, 2), positive when it runs counter-clockwise."""
    x, y = (points - points.mean(0)).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _inside(point: NDArray[np.float64], outline: NDArray[np.float64]) -> bool:
    """Whether a point (2,) lies inside a flat loop (N, 2): the parity of crossings to its right."""
    start, end = outline, np.roll(outline, -1, axis=0)
    spans = (start[:, 1] > point[1]) != (end[:, 1] > point[1])
    start, end = start[spans], end[spans]
    at = start[:, 0] + (point[1] - start[:, 1]) / (end[:, 1] - start[:, 1]) * (end[:, 0] - start[:, 0])
    return bool(np.count_nonzero(at > point[0]) % 2)
