"""A mesh as the page's viewer takes it: raw arrays that need no library to read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Mesh

LAYER = "view"  # name of the layer that holds it
THICKEST = 1e4  # millimetres; stands for "no other side was found"


def pack(mesh: Mesh, thickness: NDArray[np.float32]) -> bytes:
    """Return the mesh as bytes.

    Args:
        mesh: Millimetres, z up, base on z = 0.
        thickness: (V,) float32 millimetres at each corner, infinite where unknown.

    Returns:
        Little endian: numbers of corners and triangles (2 uint32), corners (V x 3 float32), thickness (V float32),
        triangles (F x 3 uint32).

    Raises:
        ValueError: If there is not one thickness per corner.
    """
    if thickness.shape != (len(mesh.vertices),):
        raise ValueError(f"{len(mesh.vertices)} corners but thickness of shape {thickness.shape}")
    parts: tuple[tuple[Any, str], ...] = (
        ((len(mesh.vertices), len(mesh.faces)), "<u4"),
        (mesh.vertices, "<f4"),
        (np.minimum(thickness, THICKEST), "<f4"),
        (mesh.faces, "<u4"),
    )
    return b"".join(np.ascontiguousarray(values, dtype=kind).tobytes() for values, kind in parts)
