"""The surface of an occupancy field: octree refinement where it changes sign, then marching cubes.

Source: multiresolution isosurface extraction of Mescheder et al., "Occupancy Networks", CVPR 2019, section 3.3;
constants and numbers of queries as in CDInstitute/Vitruvio 48043d6 (MIT). Marching cubes is scikit-image's (Lorensen
and Cline, 1987, without the later tables that resolve ambiguous cells), which like the published one makes one vertex
of every grid edge that the surface crosses; only diagonals of its polygons differ. Checked by tests/parity.

The published refinement of the mesh by gradient descent is off in its configuration and is not in here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from pipelines.core.errors import PipelineError

OUTSIDE = -1e6  # the logit beyond the grid, so that every surface is closed

Field = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (N, 3) points -> (N,) logits
Grid = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Extraction:
    """A closed surface.

    Attributes:
        vertices: (V, 3) float64 in the field's coordinates; (0, 3) if no grid point is inside.
        faces: (F, 3) int64, anticlockwise seen from outside.
        queries: Points asked of the field in each round.
        grid: (n, n, n) float32 logits, known near the surface; elsewhere a neighbour's value, of the right sign.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    queries: tuple[int, ...]
    grid: Grid


def extract(
    field: Field,
    *,
    threshold: float = 0.5,
    resolution: int = 32,
    upsampling: int = 2,
    padding: float = 0.1,
    batch: int = 100_000,
    apart: float = 0.0,
) -> Extraction:
    """Find the surface on which the occupancy probability is ``threshold``.

    Args:
        field: Called with (N, 3) float32 points, N at most ``batch``; returns (N,) logits.
        threshold: Probability, between 0 and 1. The published value is 0.2.
        resolution: Cells along an axis of the first, dense round.
        upsampling: How often a cell with both signs is cut into eight.
        padding: The grid spans [-0.5 - padding / 2, 0.5 + padding / 2] along every axis.
        batch: Points asked at once.
        apart: Logits of the grid that are closer than this to the surface's are moved away from it, to that distance
            (our option; not published). Where one is nearly the surface's, vertices of several edges fall together and
            the surface touches itself, which no printer can make and no file can tell from a fault.

    Raises:
        ValueError: for a threshold, resolution, upsampling or batch out of range.
        PipelineError: ``vitruvio.field`` if the field gives another shape, NaN or infinity.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is a probability between 0 and 1, not {threshold}")
    if resolution < 1 or upsampling < 0 or batch < 1:
        raise ValueError(f"resolution {resolution}, upsampling {upsampling} or batch {batch} is too small")
    level = math.log(threshold) - math.log(1 - threshold)
    box = 1 + padding
    grid, queries = refine_grid(field, level, resolution, upsampling, box, batch)
    if apart:
        grid = np.where(
            np.abs(grid - level) < apart, np.float32(level) + np.copysign(np.float32(apart), grid - level), grid
        )
    vertices, faces = march(grid, level)
    return Extraction((vertices / (len(grid) - 1) - 0.5) * box, faces, queries, grid)


def refine_grid(
    field: Field, level: float, resolution: int, upsampling: int, box: float, batch: int
) -> tuple[Grid, tuple[int, ...]]:
    """Ask the field on a coarse grid, then only at the corners of cells that have both signs on their border.

    Returns:
        The dense grid of n = resolution * 2 ** upsampling + 1 points along an axis, and the number of points per round.
    """
    cells = resolution << upsampling
    values = np.zeros((cells + 1,) * 3, np.float32)
    known = np.zeros(values.shape, np.bool_)
    wanted = np.zeros(values.shape, np.bool_)
    wanted[(slice(None, None, 1 << upsampling),) * 3] = True
    # leaves[depth]: cells of that size that have not been cut.
    leaves = [np.zeros((resolution << depth,) * 3, np.bool_) for depth in range(upsampling + 1)]
    leaves[0][:] = True
    queries = []
    while (places := np.argwhere(wanted & ~known)).size:
        points = (places.astype(np.float32) / np.float32(cells) - np.float32(0.5)) * np.float32(box)
        values[tuple(places.T)] = ask(field, points, batch)
        known |= wanted
        queries.append(len(places))
        above, below = known & (values >= level), known & (values <= level)
        for depth in range(upsampling):
            size = 1 << (upsampling - depth)
            cut = leaves[depth] & touched(above, size) & touched(below, size)
            leaves[depth] &= ~cut
            leaves[depth + 1] |= cut.repeat(2, 0).repeat(2, 1).repeat(2, 2)
            wanted[(slice(None, None, size // 2),) * 3] |= corners(cut)
    return completed(values, known), tuple(queries)


def ask(field: Field, points: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
    """Values of the field at (N, 3) points, at most ``batch`` of them at once."""
    parts = []
    for start in range(0, len(points), batch):
        some = points[start : start + batch]
        found = np.asarray(field(some), np.float32)
        if found.shape != (len(some),) or not np.isfinite(found).all():
            raise PipelineError(
                "vitruvio.field",
                "The network gave no usable occupancy",
                seen=f"shape {found.shape} for {len(some)} points, {int((~np.isfinite(found)).sum())} not finite",
                remedy="Use float32, or other weights",
            )
        parts.append(found)
    return np.concatenate(parts)


def touched(flags: Flags, size: int) -> Flags:
    """Cells of ``size`` grid steps with a flagged point inside or on their border: (n,)*3 -> ((n - 1) / size,)*3."""
    for axis in range(3):
        lines = np.moveaxis(flags, axis, 0)
        blocks = lines[:-1].reshape(-1, size, *lines.shape[1:]).any(1)
        flags = np.moveaxis(blocks | lines[size::size], 0, axis)
    return flags


def corners(cut: Flags) -> Flags:
    """Grid points at half a cell's step that cutting cells needs: (m, m, m) -> (2m + 1,)*3, 27 a cell."""
    for axis in range(3):
        lines = np.moveaxis(cut, axis, 0)
        points = np.zeros((2 * len(lines) + 1, *lines.shape[1:]), np.bool_)
        points[1::2] = lines
        points[:-1:2] = lines
        points[2::2] |= lines
        cut = np.moveaxis(points, 0, axis)
    return cut


def completed(values: Grid, known: Flags) -> Grid:
    """Give every unknown point the value of the known one before it along x, else y, else z.

    An unknown point lies in an uncut cell, whose border has one sign only; so has what is copied into it.
    """
    for axis in range(3):
        lines = np.moveaxis(values, axis, 0)
        has = np.moveaxis(known, axis, 0)
        index = np.arange(len(lines)).reshape(-1, 1, 1)
        last = np.maximum.accumulate(np.where(has, index, 0), axis=0)
        values = np.moveaxis(np.take_along_axis(lines, last, 0), 0, axis)
        known = np.moveaxis(np.logical_or.accumulate(has, axis=0), 0, axis)
    return np.ascontiguousarray(values)


def march(grid: Grid, level: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Marching cubes of (n, n, n) logits inside a border of OUTSIDE: vertices in grid steps, and faces."""
    if not (grid >= level).any():
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    padded = np.pad(grid, 1, constant_values=OUTSIDE)
    vertices, faces, _, _ = measure.marching_cubes(padded, level, method="lorensen", gradient_direction="ascent")
    return vertices.astype(np.float64) - 1, faces.astype(np.int64)
