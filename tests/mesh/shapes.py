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
