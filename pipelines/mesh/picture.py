"""Pictures of meshes, shaded by casting a ray per pixel, and of clouds, as discs: for pages, sheets and the gallery."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Image, Mesh
from pipelines.mesh.topology import scene, tensor

PAPER = (250, 249, 246)
_STONE, _LINE = np.array([222, 214, 200], np.float32), np.array([58, 56, 54], np.float32)
_SUPERSAMPLING = 2
_FOLD = 0.94  # cosine between neighbouring normals below which a line is drawn
_DOTS = 50_000  # that are drawn at most
_AWAY = 2.4  # lengths of a cloud from its middle to the camera
_STEP = 0.02  # jump in depth, of the distance, at which a line is drawn


def shaded(mesh: Mesh, eye: NDArray[np.float64], axes: NDArray[np.float64], size: int = 256) -> Image:
    """Look at a mesh.

    Args:
        mesh: In any frame.
        eye: (3,) position of the camera, outside of the mesh.
        axes: (3, 3) rows: right, up and backwards.
        size: Side of the picture in pixels; what is seen is centred and fills it up to a margin.

    Returns:
        (size, size, 3) uint8.
    """
    wide = size * _SUPERSAMPLING
    seen = (mesh.vertices - eye) @ axes.T
    flat = seen[:, :2] / np.maximum(-seen[:, 2:], 1e-6)
    low, high = flat.min(0), flat.max(0)
    half = max(float((high - low).max()), 1e-6) / 2 * 1.14
    across = (low[0] + high[0]) / 2 + (np.arange(wide) + 0.5 - wide / 2) / (wide / 2) * half
    up = (low[1] + high[1]) / 2 - (np.arange(wide) + 0.5 - wide / 2) / (wide / 2) * half
    direction = np.stack(np.broadcast_arrays(across[None, :, None], up[:, None, None], -1.0), -1)[..., 0, :] @ axes
    rays = np.concatenate([np.broadcast_to(eye, direction.shape), direction], -1).astype(np.float32)
    hits = scene(mesh).cast_rays(tensor(rays))
    depth, normal = hits["t_hit"].numpy(), hits["primitive_normals"].numpy()
    there = np.isfinite(depth)
    light = np.array([0.35, 0.85, 0.4]) @ axes * 0.25 + np.array([-0.3, 0.62, 0.72]) @ axes
    light = light / np.linalg.norm(light)
    shade = 0.5 + 0.5 * np.clip(normal @ light.astype(np.float32), -0.6, 1)
    picture = np.where(there[..., None], _STONE * shade[..., None], np.asarray(PAPER, np.float32))
    picture = np.where(_lines(there, depth, normal)[..., None], _LINE, picture)
    return np.asarray(
        cv2.resize(np.clip(picture, 0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA), np.uint8
    )


def dotted(
    points: NDArray[np.floating], colours: NDArray[np.uint8] | None, axes: NDArray[np.float64], size: int = 256
) -> Image:
    """Draw a cloud as discs, nearer ones over farther ones, and these darker.

    Args:
        points: (N, 3), centred; they fill the picture if the longest side is 1.
        colours: (N, 3) uint8; None draws them grey.
        axes: (3, 3) rows of the camera: right, up and backwards.
        size: Side of the picture in pixels.

    Returns:
        (size, size, 3) uint8.
    """
    seen = np.asarray(points, np.float64) @ axes.T
    depth = _AWAY - seen[:, 2]
    places = seen[:, :2] * (_AWAY / np.maximum(depth, 0.2))[:, None] * [1, -1] * size * 0.62 + size / 2
    return discs(places, depth, colours, size)


def discs(
    places: NDArray[np.float64], depth: NDArray[np.float64], colours: NDArray[np.uint8] | None, size: int
) -> Image:
    """Draw what `dotted` draws of points that are projected already.

    Args:
        places: (N, 2) column and row in pixels.
        depth: (N,) distances from the camera's plane.
        colours: (N, 3) uint8; None draws them grey.
        size: Side of the picture in pixels.

    Returns:
        (size, size, 3) uint8.
    """
    if len(places) > _DOTS:
        some = np.linspace(0, len(places) - 1, _DOTS).astype(int)
        places, depth, colours = places[some], depth[some], None if colours is None else colours[some]
    wide = size * _SUPERSAMPLING
    places = places * _SUPERSAMPLING
    near = float(np.median(depth)) / np.maximum(depth, 0.2)
    radius = np.clip(0.3 * wide / np.sqrt(max(len(places), 1)), 2.0, 0.02 * wide) * near
    tints = np.full((len(places), 3), 115.0) if colours is None else np.asarray(colours, np.float64)
    tints = tints * (1 - 0.35 * (depth - depth.min()) / (np.ptp(depth) + 1e-9))[:, None]
    picture = np.full((wide, wide, 3), PAPER, np.uint8)
    fixed = np.clip(np.round(places * 16), -(1 << 20), 1 << 20).astype(np.int32).tolist()
    rounds, shades = np.round(np.minimum(radius, wide) * 16).astype(int).tolist(), tints.tolist()
    for number in np.argsort(-depth):
        cv2.circle(picture, fixed[number], rounds[number], shades[number], -1, cv2.LINE_8, 4)
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _lines(there: NDArray[np.bool_], depth: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels where the surface ends, jumps or folds."""
    lines = np.zeros(there.shape, bool)
    near = np.where(there, depth, 0)
    for axis in (0, 1):
        first = [slice(None)] * 2
        second = [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(first), tuple(second)
        both = there[a] & there[b]
        edge = there[a] != there[b]
        edge |= both & ((normal[a] * normal[b]).sum(-1) < _FOLD)
        edge |= both & (np.abs(near[a] - near[b]) > _STEP * near[a])
        lines[a] |= edge
    return cv2.dilate(lines.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0
