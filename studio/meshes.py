"""A mesh of our own as a file that carries its sidecar, and any mesh file in: the one door to pipelines/mesh/export.py.

Millimetres, z up. What a mesh file shows is the mesh that reading it gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pipelines.core.errors import InputError
from pipelines.core.types import Image, Mesh

FORMATS = ("3mf", "stl", "obj", "ply", "glb", "ifc")
SUFFIXES = {f".{name}": name for name in FORMATS}


def check(format: str) -> None:
    """Find out before the work whether a format can be written here.

    Raises:
        PipelineError: ``mesh.needs-extra`` for IFC without its library.
    """
    if format == "ifc":
        from pipelines.mesh import ifc

        ifc.check()


def decode(data: bytes, name: str) -> Mesh:
    """Read a user's mesh file; the suffix of its name says what it is.

    Raises:
        InputError: ``mesh.*``.
    """
    from pipelines.mesh import export

    suffix = PurePath(name).suffix.lower()
    if suffix.removeprefix(".") not in export.READABLE:
        raise InputError("mesh.format", "This is no mesh file that can be read", seen=name,
                         remedy=f"Use {', '.join(export.READABLE)}")  # fmt: skip
    return export.decode(data, suffix[1:])


def encode(mesh: Mesh, format: str, *, passport: Mapping[str, Any] | None = None, title: str = "") -> bytes:
    """The mesh as a file without sidecar.

    Raises:
        InputError: ``mesh.*`` for a mesh that no file should hold.
        PipelineError: as `check`.
    """
    from pipelines.mesh import export

    return export.encode(mesh, format, passport=passport, name=title)


def content(data: bytes, format: str) -> Mesh:
    """The mesh in a file that `encode` made, with or without a sidecar in it.

    Raises:
        InputError: ``mesh.*``.
    """
    from pipelines.mesh import export, ifc

    return ifc.read_own(data) if format == "ifc" else export.decode(data, format)


def embed(data: bytes, format: str, sidecar: str) -> bytes:
    """Put a sidecar into a mesh file; STL has no place for it and stays as it is."""
    from pipelines.mesh import notes

    return notes.attach(data, format, sidecar)


def embedded_sidecar(data: bytes) -> str | None:
    """The sidecar text inside a mesh file, or None. Untrusted: parse it with studio.sidecar."""
    from pipelines.mesh import notes

    try:
        return notes.attached(data)
    except InputError:  # a ZIP that is no 3MF carries none either
        return None


def corners(data: bytes, name: str, size: int) -> list[Image]:
    """Pictures of a print, its longest side filling them, from the corner that sketches show and from the opposite one.

    Args:
        data: A mesh file in millimetres, z up.
        name: Its name, of which the suffix tells the format.
        size: Side of the pictures in pixels.

    Returns:
        Two (size, size, 3) uint8.
    """
    printed = decode(data, name)
    return [look(printed, size), look(printed, size, azimuth=225)]


def look(printed: Mesh, size: int, *, azimuth: float = 45) -> Image:
    """A picture of a print in millimetres, z up, its longest side filling it; (size, size, 3) uint8."""
    from pipelines.mesh import picture, topology
    from pipelines.synthetic.hidden_lines import Camera

    low, high = printed.vertices.min(0), printed.vertices.max(0)
    placed = (printed.vertices - (low + high) / 2) / max(float((high - low).max()), 1e-9)
    mesh = Mesh(topology.y_up(placed), printed.faces)
    camera = Camera(azimuth, 25, 25)
    return picture.shaded(mesh, camera.eye, camera.axes, size)


def rounded(mesh: Mesh) -> Mesh:
    """The mesh with coordinates that float32 holds: what every format can carry without changing it."""
    import numpy as np

    return Mesh(mesh.vertices.astype(np.float32).astype(np.float64), mesh.faces)


def hash_mesh(mesh: Mesh) -> str:
    """sha256 of a mesh's arrays."""
    import numpy as np

    digest = hashlib.sha256(f"{mesh.vertices.shape}{mesh.faces.shape}".encode())
    digest.update(np.ascontiguousarray(mesh.vertices, np.float64).tobytes())
    digest.update(np.ascontiguousarray(mesh.faces, np.int64).tobytes())
    return digest.hexdigest()


def compare(then: Mesh, now: Mesh) -> dict[str, Any]:
    """Whether two meshes are the same, in words and figures: same, text, and the largest distance where it has one."""
    import numpy as np

    if then.faces.shape != now.faces.shape or then.vertices.shape != now.vertices.shape:
        return {"same": False, "text": f"{len(now.faces)} triangles instead of {len(then.faces)}"}
    moved = float(np.abs(then.vertices - now.vertices).max(initial=0))
    other = int((then.faces != now.faces).any(1).sum())
    if not moved and not other:
        return {"same": True, "max_distance_mm": 0.0, "text": f"all {len(now.faces)} triangles are the same"}
    return {
        "same": False,
        "max_distance_mm": round(moved, 6),
        "text": f"corners moved by up to {moved:.3g} mm, {other} of {len(now.faces)} triangles join other corners",
    }
