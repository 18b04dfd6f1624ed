"""Known solids for the tests: z up, millimetres."""

from __future__ import annotations

import numpy as np
import trimesh

from pipelines.core.types import Mesh


def box(size=(20.0, 30.0, 10.0), at=(0.0, 0.0, 0.0)) -> Mesh:
    """A box whose lower corner is ``at``."""
    made = trimesh.creation.box(extents=size)
    return Mesh(np.asarray(made.vertices) + np.asarray(size) / 2 + at, np.asarray(made.faces, dtype=np.int64))


def ball(radius=10.0, at=(0.0, 0.0, 0.0), detail=3) -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=detail, radius=radius)
    return Mesh(np.asarray(made.vertices) + at, np.asarray(made.faces, dtype=np.int64))


def turned(mesh: Mesh) -> Mesh:
    """The same surface inside out."""
    return Mesh(mesh.vertices, mesh.faces[:, ::-1].copy())


def together(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
    )


def without(mesh: Mesh, faces) -> Mesh:
    return Mesh(mesh.vertices, np.delete(mesh.faces, faces, axis=0))


def tube(outer=(20.0, 20.0, 10.0), wall=2.0) -> Mesh:
    """A box shell without lid and floor: four walls of one thickness, ring faces above and below."""
    import manifold3d

    whole = manifold3d.Manifold.cube(outer)
    inner = manifold3d.Manifold.cube((outer[0] - 2 * wall, outer[1] - 2 * wall, 3 * outer[2]))
    made = (whole - inner.translate((wall, wall, -outer[2]))).to_mesh64()
    return Mesh(np.array(made.vert_properties[:, :3]), np.array(made.tri_verts, dtype=np.int64))


def cubes(cells: np.ndarray) -> Mesh:
    """The surface of unit cubes on a grid, corners shared."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    sides = {(0, 0, -1): (0, 3, 2, 1), (0, 0, 1): (4, 5, 6, 7), (0, -1, 0): (0, 1, 5, 4), (0, 1, 0): (3, 7, 6, 2),
             (-1, 0, 0): (0, 4, 7, 3), (1, 0, 0): (1, 2, 6, 5)}  # fmt: skip
    quads = [
        [tuple(np.array(cell) + corners[corner]) for corner in side]
        for cell in np.argwhere(cells)
        for step, side in sides.items()
        if not cells[tuple(cell + step)]
    ]
    places = {place: number for number, place in enumerate(dict.fromkeys(p for quad in quads for p in quad))}
    faces = [[places[quad[k]] for k in three] for quad in quads for three in ((0, 1, 2), (0, 2, 3))]
    return Mesh(np.array(list(places), float), np.array(faces))
