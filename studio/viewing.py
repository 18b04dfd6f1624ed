"""Meshes and clouds as the page's viewers take them: raw arrays that need no library to read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Cloud, Mesh

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


def pack_cloud(cloud: Cloud, steps: NDArray[np.float16], alone: tuple[NDArray[np.float32], ...]) -> bytes:
    """Return a cloud, how it came about and what each picture alone gives, as bytes.

    Args:
        cloud: y up, longest side 1, middle at the origin; with colours.
        steps: (S, M, 3), the estimate after each step.
        alone: For each picture (M, 3), or nothing.

    Returns:
        Little endian: numbers of points N, of steps S, of points M in each of them, of pictures V (4 uint32); places
        (N x 3 float32), steps (S x M x 3 float32), pictures' clouds (V x M x 3 float32), colours (N x 3 uint8).

    Raises:
        ValueError: If the cloud has no colours.
    """
    if cloud.colours is None:
        raise ValueError("this viewer shows clouds with colours")
    parts: tuple[tuple[Any, str], ...] = (
        ((len(cloud.points), len(steps), steps.shape[1], len(alone)), "<u4"),
        (cloud.points, "<f4"),
        (steps, "<f4"),
        *((each, "<f4") for each in alone),
        (cloud.colours, "u1"),
    )
    return b"".join(np.ascontiguousarray(values, dtype=kind).tobytes() for values, kind in parts)
