"""The border to manifold3d: closed meshes in, exact solids out, and back."""

from __future__ import annotations

import numpy as np

from pipelines.core.types import Mesh
from pipelines.mesh import topology


class NotSolid(ValueError):
    """A mesh that bounds no solid, with the reason; callers turn it into a Change or an InputError."""


def to_solid(mesh: Mesh):  # a manifold3d.Manifold; the type would need the library at import
    """Make a solid of a closed mesh.

    Raises:
        NotSolid: The mesh is open, wrongly wound, or refused by manifold3d.
    """
    import manifold3d

    # Before the library sees it: a soup of open faces has made its constructor crash.
    edges = topology.edge_report(mesh)
    if not edges.closed:
        raise NotSolid(str(edges))
    faces = np.ascontiguousarray(mesh.faces, dtype=np.uint64)
    solid = manifold3d.Manifold(manifold3d.Mesh64(np.ascontiguousarray(mesh.vertices), faces))
    if solid.status() != manifold3d.Error.NoError:
        raise NotSolid(f"manifold3d says {solid.status().name}")
    return solid


def to_mesh(solid) -> Mesh:  # a manifold3d.Manifold
    """The surface of a solid, corners joined.

    Raises:
        NotSolid: Nothing is left of it.
    """
    made = solid.to_mesh64()
    vertices = np.array(made.vert_properties[:, :3], dtype=np.float64)
    faces = np.array(made.tri_verts, dtype=np.int64)
    if not len(faces):
        raise NotSolid("nothing is left of the solid")
    return Mesh(vertices, faces)
