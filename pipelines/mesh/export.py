"""Meshes as files and back. Everything here is in the print frame: z up, millimetres.

STL, OBJ and PLY name no unit and hold the millimetres as they are; 3MF names them; GLB holds metres with y up, as glTF
asks, and is turned back on reading; IFC holds millimetres and names them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.core.errors import InputError, PipelineError
from pipelines.core.types import Mesh
from pipelines.mesh import threemf
from pipelines.mesh.printability import Passport
from pipelines.mesh.threemf import MOST_FACES, read_passport
from pipelines.mesh.topology import checked, joined, submesh, y_up, z_up

__all__ = ["FORMATS", "READABLE", "decode", "encode", "read_passport"]

FORMATS = ("3mf", "stl", "obj", "ply", "glb", "ifc")
READABLE = FORMATS[:-1]
MOST_BYTES = 400_000_000
STL_FACE = 50  # bytes of a triangle in a binary STL, after a header of 84


def encode(mesh: Mesh, format: str, *, passport: Passport | Mapping[str, Any] | None = None, name: str = "") -> bytes:
    """Write a mesh.

    Args:
        mesh: Millimetres, z up.
        format: One of ``FORMATS``.
        passport: Its print passport, or the passport's fields; only 3MF can carry it, other formats leave it out.
        name: Title, for the formats that have one (3MF, IFC).

    Raises:
        InputError: ``mesh.format``, or what ``topology.checked`` raises.
        PipelineError: ``mesh.needs-extra`` for IFC without ifcopenshell.
    """
    if format not in FORMATS:
        raise InputError("mesh.format", "There is no such mesh format", seen=format,
                         remedy=f"Choose from {', '.join(FORMATS)}")  # fmt: skip
    mesh = checked(mesh)
    mesh = submesh(mesh, np.ones(len(mesh.faces), dtype=bool))
    if format == "3mf":
        fields = passport.as_dict() if isinstance(passport, Passport) else passport
        return threemf.write(mesh, passport=fields, name=name)
    if format == "ifc":
        from pipelines.mesh.ifc import write

        return write(mesh, name=name or "Model")
    import trimesh

    vertices = mesh.vertices
    if format == "glb":
        vertices = y_up(vertices / 1000)
    made = trimesh.Trimesh(vertices, mesh.faces, process=False).export(file_type=format)
    return made.encode("utf-8") if isinstance(made, str) else bytes(made)


def decode(data: bytes, format: str) -> Mesh:
    """Read a mesh of a user. Nothing outside of ``data`` is opened: materials, textures and linked buffers are ignored.

    Args:
        data: The whole file.
        format: One of ``READABLE``; STL may be binary or text.

    Returns:
        The mesh as the file has it (GLB turned to z up and millimetres), all objects side by side. STL knows no shared
        corners, so its triangles are joined where corners are equal.

    Raises:
        InputError: ``mesh.format``, ``mesh.too-large``, ``mesh.unreadable``, or what ``topology.checked`` raises.
    """
    if format not in READABLE:
        raise InputError("mesh.format", "Meshes of this format cannot be read", seen=format,
                         remedy=f"Export it as one of {', '.join(READABLE)}")  # fmt: skip
    if len(data) > MOST_BYTES:
        raise InputError("mesh.too-large", "The mesh file is too large", seen=f"{len(data)} bytes",
                         remedy=f"At most {MOST_BYTES} bytes: reduce the mesh first")  # fmt: skip
    if not data:
        raise InputError("mesh.unreadable", "The file is empty", seen="0 bytes", remedy="Export the mesh again")
    mesh = threemf.read(data) if format == "3mf" else _by_trimesh(data, format)
    if len(mesh.faces) > MOST_FACES:
        raise InputError("mesh.too-large", "The mesh has too many triangles", seen=len(mesh.faces),
                         remedy=f"At most {MOST_FACES}: reduce it first")  # fmt: skip
    mesh = checked(mesh)
    return _equal_corners_joined(mesh) if format == "stl" else mesh


def _by_trimesh(data: bytes, format: str) -> Mesh:
    import trimesh

    kind = format
    if format == "stl":
        kind = "stl" if _binary_stl(data) else "stl_ascii"
    try:
        nothing: Any = _Nothing()
        loaded = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False, resolver=nothing)
        parts = [part for part in loaded.dump() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    except PipelineError:
        raise
    except Exception as error:  # the readers raise whatever numpy, json or struct do
        raise InputError("mesh.unreadable", f"The file is not a readable {format.upper()} mesh",
                         seen=f"{type(error).__name__}: {error}"[:160],
                         remedy="Export the mesh again") from None  # fmt: skip
    if not parts:
        raise InputError("mesh.empty", "The file holds no triangles", seen=f"{len(data)} bytes of {format.upper()}",
                         remedy="Export it again as a triangle mesh")  # fmt: skip
    whole = joined([Mesh(np.asarray(p.vertices, dtype=np.float64), np.asarray(p.faces, dtype=np.int64)) for p in parts])
    vertices = whole.vertices
    if format == "glb":
        vertices = z_up(vertices * 1000)
    return Mesh(vertices, whole.faces)


def _binary_stl(data: bytes) -> bool:
    """Whether an STL file is binary, by its length: text may begin with any word, and so may a binary header.

    Raises:
        InputError: ``mesh.unreadable`` when it is neither.
    """
    count = struct.unpack("<I", data[80:84])[0] if len(data) >= 84 else -1
    if count >= 0 and len(data) >= 84 + STL_FACE * count and not data.lstrip()[:5].lower() == b"solid":
        return True
    if count >= 0 and len(data) == 84 + STL_FACE * count:
        return True
    if data.lstrip()[:5].lower() == b"solid":
        return False
    seen = f"{len(data)} bytes, a header that announces {count} triangles" if count >= 0 else f"{len(data)} bytes"
    raise InputError("mesh.unreadable", "The STL file is cut short or damaged", seen=seen,
                     remedy="Copy or export it again")  # fmt: skip


def _equal_corners_joined(mesh: Mesh) -> Mesh:
    vertices, index = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return Mesh(vertices, index.reshape(-1)[mesh.faces].astype(np.int64))


class _Nothing:
    """A resolver that finds no file: a mesh must not make this computer read another one."""

    def get(self, name: str) -> bytes:
        raise InputError("mesh.unreadable", "The mesh needs another file", seen=str(name)[:80],
                         remedy="Export it as one file, e.g. GLB with embedded buffers")  # fmt: skip
