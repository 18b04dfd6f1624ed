"""A point cloud as a file that carries its sidecar, and any cloud file in: the one door to pipelines/mesh/clouds.py.

z up. What a cloud file shows is the cloud that reading it gives.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any

from pipelines.core.errors import InputError
from pipelines.core.types import Cloud, Image

FORMATS = ("ply", "xyz", "las", "laz")
SUFFIXES = {f".{name}": name for name in FORMATS}


def decode(data: bytes, name: str) -> Cloud:
    """Read a user's cloud file; the suffix of its name says what it is.

    Raises:
        InputError: ``cloud.*``.
    """
    from pipelines.mesh import clouds

    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError("cloud.format", "This is no point cloud that can be read", seen=name,
                         remedy=f"Use {', '.join(FORMATS)}")  # fmt: skip
    return clouds.decode(data, SUFFIXES[suffix])


def encode(cloud: Cloud, format: str) -> bytes:
    """The cloud as a file without sidecar.

    Raises:
        InputError: ``cloud.*`` for a cloud that no file should hold.
    """
    from pipelines.mesh import clouds

    return clouds.encode(cloud, format)


def holds(data: bytes, format: str) -> bool:
    """Whether a file of this format is a cloud: PLY may also be a mesh."""
    if format not in FORMATS:
        return False
    from pipelines.mesh import clouds

    return clouds.holds(data, format)


def content(data: bytes, format: str) -> Cloud:
    """The cloud in a file that `encode` made, with or without a sidecar in it.

    Raises:
        InputError: ``cloud.*``.
    """
    from pipelines.mesh import clouds

    return clouds.decode(data, format)


def embed(data: bytes, format: str, sidecar: str) -> bytes:
    """Put a sidecar into a cloud file; XYZ has no place for it and stays as it is."""
    from pipelines.mesh import clouds

    return clouds.attach(data, format, sidecar)


def embedded_sidecar(data: bytes) -> str | None:
    """The sidecar text inside a LAS or LAZ file, or None; that of a PLY file is found with those of meshes."""
    if data[:4] != b"LASF":
        return None
    from pipelines.mesh import clouds

    return clouds.attached(data, "las")


def in_view(data: bytes, format: str) -> Cloud:
    """The cloud in a file, y up, its middle at the origin, longest side 1, grey where it has no colours.

    Raises:
        InputError: ``cloud.*``.
    """
    import numpy as np

    from pipelines.mesh import topology

    cloud = content(data, format)
    low, high = cloud.points.min(0), cloud.points.max(0)
    placed = (cloud.points - (low + high) / 2) / max(float((high - low).max()), 1e-9)
    colours = np.full(cloud.points.shape, 150, np.uint8) if cloud.colours is None else cloud.colours
    return Cloud(topology.y_up(placed.astype(np.float64)).astype(np.float32), colours, None)


def corners(data: bytes, name: str, size: int) -> list[Image]:
    """Pictures of a cloud, z up, its longest side filling them, from two sides: the front and the opposite corner.

    Args:
        data: A cloud file.
        name: Its name, of which the suffix tells the format.
        size: Side of the pictures in pixels.

    Returns:
        Two (size, size, 3) uint8.
    """
    from pipelines.mesh import picture
    from pipelines.synthetic.objects import Camera

    cloud = in_view(data, SUFFIXES[PurePath(name).suffix.lower()])
    return [picture.dotted(cloud.points, cloud.colours, Camera(turn, 22, 2.4).axes, size) for turn in (35.0, 215.0)]


def hash_cloud(cloud: Cloud) -> str:
    """sha256 of a cloud's arrays."""
    import numpy as np

    digest = hashlib.sha256(str(cloud.points.shape).encode())
    for values, kind in ((cloud.points, "<f4"), (cloud.colours, "u1"), (cloud.normals, "<f4")):
        digest.update(b"-" if values is None else np.ascontiguousarray(values, kind).tobytes())
    return digest.hexdigest()


def compare(then: Cloud, now: Cloud) -> dict[str, Any]:
    """Whether two clouds are the same, in words and figures: same, text, and the largest distance where it has one."""
    import numpy as np

    if then.points.shape != now.points.shape:
        return {"same": False, "text": f"{len(now.points)} points instead of {len(then.points)}"}
    if hash_cloud(then) == hash_cloud(now):
        return {"same": True, "max_distance": 0.0, "text": f"all {len(now.points)} points are the same"}
    moved = float(np.linalg.norm(then.points - now.points, axis=1).max(initial=0))
    size = max(float(np.ptp(then.points, axis=0).max(initial=0)), 1e-9)
    what = f"points moved by up to {moved / size:.2g} of the cloud's length" if moved else "colours or normals differ"
    return {"same": False, "max_distance": round(moved, 9), "text": what}
