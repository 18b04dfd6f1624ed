"""Every figure on surfaces and volumes that `studio eval` prints, defined once.

As in the evaluation of CDInstitute/Vitruvio 48043d6 and autonomousvision/occupancy_networks 406f794 (MIT), with one
difference that is said below. Checked by tests/parity. Lengths are in the meshes' own unit, where a building's longest
side is 1; the tables of the papers print 10 times these numbers.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipelines.core.errors import InputError

SAMPLES = 100_000  # on a surface, published
FARTHEST = math.sqrt(3)  # stands for the distance to an empty mesh: the diagonal of the unit cube
# Names of a figure from found to true, from true to found, and of the mean of both.
DISTANCES = ("accuracy", "completeness", "chamfer_l1")
SQUARES = ("accuracy_squared", "completeness_squared", "chamfer_l2")
NORMALS = ("normals_accuracy", "normals_completeness", "normal_consistency")

Points = NDArray[np.floating[Any]]  # (N, 3)


def surface_metrics(
    found: Points, found_normals: Points | None, true: Points, true_normals: Points | None
) -> dict[str, float]:
    """Compare two point clouds sampled on surfaces.

    Args:
        found: (N, 3) points of the surface under test; none where it is empty.
        found_normals: (N, 3) unit normals, or None.
        true: (M, 3) points of the true surface.
        true_normals: (M, 3) unit normals, or None.

    Returns:
        ``accuracy`` (mean distance from found to true), ``completeness`` (from true to found), ``accuracy_squared`` and
        ``completeness_squared``; ``chamfer_l1`` and ``chamfer_l2``, half the sum of the distances and of their squares;
        and with normals ``normals_accuracy``, ``normals_completeness`` and ``normal_consistency``, the mean of the two:
        mean |cosine| to the nearest point's normal, in [0, 1]. An empty surface has the distance sqrt(3) everywhere and
        normals -1; the published code leaves its Chamfer-L1 out, here it is sqrt(3) too.

    Raises:
        InputError: ``metrics.points`` for another shape, no true points, or a value that is not a number.
    """
    for name, cloud in (("found", found), ("true", true)):
        _check_points(name, cloud)
    for cloud, normals in ((found, found_normals), (true, true_normals)):
        if normals is not None and normals.shape != cloud.shape:
            raise InputError("metrics.points", "Normals do not match their points", seen=(normals.shape, cloud.shape))
    if not len(true):
        raise InputError("metrics.points", "There is no true surface to compare with", remedy="Sample it first")
    if not len(found):
        known = found_normals is not None and true_normals is not None
        values = [(DISTANCES, FARTHEST), (SQUARES, FARTHEST**2), (NORMALS if known else (), -1.0)]
        return {name: value for names, value in values for name in names}

    to_true, of_true = KDTree(true).query(found, workers=-1)
    to_found, of_found = KDTree(found).query(true, workers=-1)
    figures: dict[str, float] = dict(zip(DISTANCES, _two_ways(to_true, to_found), strict=True))
    figures |= dict(zip(SQUARES, _two_ways(to_true**2, to_found**2), strict=True))
    if found_normals is None or true_normals is None:
        return figures
    there = np.abs((found_normals * true_normals[of_true]).sum(1))
    back = np.abs((true_normals * found_normals[of_found]).sum(1))
    return figures | dict(zip(NORMALS, _two_ways(there, back), strict=True))


def chamfer(found: Points, true: Points) -> tuple[float, float]:
    """Chamfer-L1 and Chamfer-L2 of two point clouds, see `surface_metrics`."""
    figures = surface_metrics(found, None, true, None)
    return figures["chamfer_l1"], figures["chamfer_l2"]


def normal_consistency(found: Points, found_normals: Points, true: Points, true_normals: Points) -> float:
    """Mean |cosine| between the normals of nearest points, both ways, see `surface_metrics`."""
    return surface_metrics(found, found_normals, true, true_normals)["normal_consistency"]


def occupancy_iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union of two occupancies of the same points, (N,) bool.

    Two empty volumes agree: 1. The published code divides 0 by 0 there.

    Raises:
        InputError: ``metrics.points`` if the sizes differ.
    """
    if found.shape != true.shape:
        raise InputError("metrics.points", "Two occupancies of different size", seen=(found.shape, true.shape))
    union = int((found | true).sum())
    return int((found & true).sum()) / union if union else 1.0


def sample_surface(
    vertices: Points, faces: NDArray[np.integer[Any]], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw points uniformly by area.

    Args:
        vertices: (V, 3).
        faces: (F, 3) indices.
        count: Points to draw.
        rng: Where chance comes from.

    Returns:
        Points and unit normals of their faces, (count, 3) each; (0, 3) if there is no face with an area.
    """
    corners = np.asarray(vertices, np.float64)[faces].reshape(-1, 3, 3)
    edge, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.cross(edge, other)
    doubled = np.linalg.norm(normals, axis=1)
    if not doubled.sum() > 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    chosen = rng.choice(len(doubled), count, p=doubled / doubled.sum())
    u, v = rng.random((2, count, 1))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    points = corners[chosen, 0] + u * edge[chosen] + v * other[chosen]
    return points, normals[chosen] / doubled[chosen, None]


def inside(vertices: Points, faces: NDArray[np.integer[Any]], points: Points) -> NDArray[np.bool_]:
    """Which points a closed mesh holds, by the parity of a ray's crossings.

    Args:
        vertices: (V, 3).
        faces: (F, 3) indices.
        points: (N, 3).

    Returns:
        (N,) bool; all False for a mesh without faces.
    """
    if not len(faces):
        return np.zeros(len(points), np.bool_)
    open3d: Any = importlib.import_module("open3d")  # late, heavy, and without types
    tensor = open3d.core.Tensor
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(tensor(np.ascontiguousarray(vertices, np.float32)), tensor(np.asarray(faces, np.uint32)))
    # Three rays a point: one alone may run along an edge and count it twice.
    return scene.compute_occupancy(tensor(np.ascontiguousarray(points, np.float32)), nsamples=3).numpy() > 0.5


def shape_metrics(
    vertices: Points,
    faces: NDArray[np.integer[Any]],
    surface: tuple[Points, Points],
    volume: tuple[Points, NDArray[np.bool_]],
    rng: np.random.Generator,
    *,
    samples: int = SAMPLES,
) -> dict[str, float]:
    """All figures of a mesh: `surface_metrics` of ``samples`` of its points, and ``iou``.

    Args:
        vertices: (V, 3) of a closed mesh; it may be empty.
        faces: (F, 3) indices.
        surface: Points and unit normals of the true surface, (M, 3) each.
        volume: Points (N, 3) and whether the true shape holds them, (N,) bool.
        rng: Draws the samples.
        samples: Points drawn on the mesh.

    Raises:
        InputError: ``metrics.points``.
    """
    points, normals = sample_surface(vertices, faces, samples, rng)
    figures = surface_metrics(points, normals, *surface)
    return figures | {"iou": occupancy_iou(inside(vertices, faces, volume[0]), volume[1])}


def _check_points(name: str, cloud: Points) -> None:
    if cloud.ndim != 2 or cloud.shape[1] != 3 or not np.isfinite(cloud).all():
        raise InputError("metrics.points", f"The {name} points are not N finite triples", seen=cloud.shape)


def _two_ways(there: NDArray[np.floating[Any]], back: NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """Mean of each direction, and their mean."""
    one, other = float(np.mean(there)), float(np.mean(back))
    return one, other, 0.5 * (one + other)
