"""Wall thickness by rays that start on the surface and run straight into the material. Unit: that of the mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Mesh
from pipelines.mesh import topology

# Two surfaces make a wall when they face apart to within this angle; a wider wedge is an edge of a solid (our choice).
FACING = 30.0
SAMPLES = 20_000
BATCH = 200_000
# The thinnest of the walls that is reported; below it are single rays through a seam (our choice).
THINNEST_SHARE = 1e-3


@dataclass(frozen=True)
class Walls:
    """Thickness over the whole surface, every square millimetre counted the same.

    Attributes:
        minimum: Thickness that 0.1 % of the walls stay below; of the whole surface when nothing in it faces apart.
        median: Half of the surface is thinner.
        thin_share: Share in [0, 1] of the surface that is a wall thinner than asked for.
    """

    minimum: float
    median: float
    thin_share: float


def measure(mesh: Mesh, thinner_than: float, *, samples: int = SAMPLES) -> Walls:
    """Measure a closed mesh at points spread evenly over its area.

    Args:
        mesh: Closed and oriented outwards.
        thinner_than: Bound of ``thin_share``.
        samples: Number of rays.
    """
    areas = topology.face_areas(mesh)
    # Evenly spaced along the summed area: repeatable, and no triangle larger than a step is missed.
    along = (np.arange(samples) + 0.5) / samples * areas.sum()
    chosen = np.minimum(np.searchsorted(np.cumsum(areas), along), len(areas) - 1)
    first, second = _even_pairs(samples)
    a, b, c = (mesh.vertices[mesh.faces[chosen, corner]] for corner in range(3))
    root = np.sqrt(first)[:, None]
    points = (1 - root) * a + root * (1 - second[:, None]) * b + root * second[:, None] * c
    depth, facing = _cast(mesh, points, chosen)
    hit = np.isfinite(depth)
    if not hit.any():
        return Walls(0.0, 0.0, 0.0)
    walls = depth[hit & facing] if (hit & facing).any() else depth[hit]
    thin = float((hit & facing & (depth < thinner_than)).mean())
    return Walls(float(np.quantile(walls, THINNEST_SHARE)), float(np.median(depth[hit])), thin)


def wall_thickness(mesh: Mesh) -> NDArray[np.float32]:
    """(V,) float32 thickness at each vertex, for a heat map: the thinnest of its triangles, measured at their middles.

    Infinite where no ray into the material comes out again (an open mesh) and at vertices without a triangle.
    """
    middles = mesh.vertices[mesh.faces].mean(1)
    depth, _ = _cast(mesh, middles, np.arange(len(mesh.faces)))
    found = np.full(len(mesh.vertices), np.inf)
    for corner in range(3):
        np.minimum.at(found, mesh.faces[:, corner], depth)
    return found.astype(np.float32)


def _cast(
    mesh: Mesh, points: NDArray[np.float64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Depth below each point (N,) to where the material ends, and whether the surface there faces apart from it.

    Infinite without a hit, and where the ray first enters a further body, whose surface is no end of material.
    """
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    size = float(np.ptp(mesh.vertices, axis=0).max())
    # float32 inside: about the middle and at unit size, so that neither place nor unit costs digits.
    scene = topology.scene(Mesh((mesh.vertices - middle) / size, mesh.faces))
    normals = topology.face_normals(mesh)
    inward = -normals[owners]
    start = 1e-5  # past the triangle that the ray leaves
    depth, opposite = np.full(len(points), np.inf), np.zeros(len(points), dtype=bool)
    for at in range(0, len(points), BATCH):
        part = slice(at, at + BATCH)
        rays = np.concatenate([(points[part] - middle) / size + inward[part] * start, inward[part]], 1)
        answer = scene.cast_rays(topology.tensor(rays.astype(np.float32)))
        reached = answer["primitive_ids"].numpy()
        hit = np.isfinite(answer["t_hit"].numpy()) & inward[part].any(1)
        away = np.einsum("ij,ij->i", normals[np.where(hit, reached, 0).astype(np.int64)], inward[part])
        hit &= away > 0
        depth[part] = np.where(hit, (answer["t_hit"].numpy().astype(np.float64) + start) * size, np.inf)
        opposite[part] = hit & (away >= np.cos(np.radians(FACING)))
    return depth, opposite


def _even_pairs(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(count,) pairs in [0, 1)² that fill the square evenly (the additive recurrence of the plastic number)."""
    steps = np.arange(1, count + 1)
    plastic = 1.32471795724474602596
    return (0.5 + steps / plastic) % 1, (0.5 + steps / plastic**2) % 1
