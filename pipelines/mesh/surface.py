"""A point cloud as one closed solid: strays dropped, normals oriented, a surface laid through the points or round them.

Sources: screened Poisson reconstruction (Kazhdan and Hoppe, 2013) and the orientation of normals along a spanning tree
(Hoppe et al., 1992), both as open3d has them. The wrap around the points is ours, after the idea of alpha wrapping
(Portaneri et al., 2022): what a ball that rolls over the cloud cannot reach is inside, and the surface goes back
towards the points by almost the ball's radius, so that it is closed whatever the points are, and thin parts stay.

Poisson's surface is the finer one and is tried first; where it is not one solid that lies on the points, they are
wrapped. Where that needs balls so large that the shape is a guess, the cloud is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from pipelines.core.errors import InputError
from pipelines.core.types import Cloud, Finding, Mesh
from pipelines.mesh import topology
from pipelines.mesh.repair import Change, repair

Method = Literal["auto", "poisson", "wrap"]
FEWEST, MOST = 100, 2_000_000
NEIGHBOURS = 12
ENOUGH = 60_000  # points; of more some are left out
NOISE = 8.0  # times the median distance to its neighbours from which on a point is noise whatever is around it
STRAY, LONELY = 3.0, 2.0  # deviations from the mean distance, and times that of its neighbours, that make a stray
MANY = 0.05  # share of strays from which on it is a warning
SHRED = 0.01  # share of the points below which a part of the cloud far from the rest is left out
_DEPTHS = (5, 8)  # of Poisson's octree
_OFF, _OFF_SHARE = 4.0, 0.01  # spacings from the points, and the share of corners that may lie so far off
_CRUMB = 0.02  # volume of a loose part over the largest one's below which it is dropped
# Of the rolling ball, in spacings. The largest hole among some thousand points drawn evenly is 1.2 spacings: a smaller
# ball would get in, and leave a thin hollow shell.
_RADII = (1.9, 2.5, 3.4)
_LARGEST = 0.1  # of the ball, in lengths of the cloud
_BACK = 0.85  # share of the radius that the wrap goes back
_CELLS = 120  # of the wrap's grid, along its longest side

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surfaced:
    """A solid.

    Attributes:
        mesh: In the cloud's unit and frame; one closed, positively oriented shell.
        method: ``poisson`` or ``wrap``.
        strays: Points that were left out.
        off: Mean distance of the kept points from the surface, in the cloud's longest side.
        changes: What the repairs did.
        findings: Warnings and notes.
    """

    mesh: Mesh
    method: str
    strays: int
    off: float
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


def surface(cloud: Cloud, *, method: Method = "auto") -> Surfaced:
    """Make a solid.

    Args:
        cloud: In any unit and frame; without normals they are estimated.
        method: ``poisson`` or ``wrap`` alone, or ``auto``, see above.

    Raises:
        InputError: ``surface.points`` (too few or too many), ``surface.flat``, ``surface.open`` if no closed solid that
            lies on the points was found, with what stood in the way.
    """
    points, normals, strays, scale, middle = _cleaned(cloud)
    gap = spacing(points)
    tried = []
    for name in ("poisson", "wrap") if method == "auto" else (method,):
        if name == "poisson":
            found, reason = _through(points, normals, gap)
        else:
            found, reason = _wrap(points, gap)
        if found is None:
            tried.append(f"{name}: {reason}")
            continue
        off = float(_distances(found.mesh, points).mean())
        mesh = Mesh(found.mesh.vertices * scale + middle, found.mesh.faces)
        return Surfaced(
            mesh, name, strays, off, found.changes, _findings(found, name, strays, len(points) + strays, off, tried)
        )
    raise InputError(
        "surface.open", "No closed solid could be made of this cloud", seen="; ".join(tried),
        remedy="Use more points, more pictures or another seed; or clean the cloud in a program for point clouds",
    )  # fmt: skip


def spacing(points: Floats) -> float:
    """Mean distance of a point from its sixth neighbour: how coarse a cloud is."""
    return float(KDTree(points).query(points, k=7)[0][:, 6].mean())


@dataclass(frozen=True)
class _Solid:
    """A candidate: closed, one shell."""

    mesh: Mesh
    changes: tuple[Change, ...]
    crumbs: int


def _cleaned(cloud: Cloud) -> tuple[Floats, Floats | None, int, float, Floats]:
    """Points without doubles and strays, centred, longest side 1; normals; how many were strays; scale and middle."""
    places = np.asarray(cloud.points, np.float64)
    _, first = np.unique(places, axis=0, return_index=True)
    first = _thinned(places, np.sort(first))
    if not FEWEST <= len(first) or len(places) > MOST:
        raise InputError("surface.points", "A surface cannot be made of so many points",
                         seen=f"{len(places)}, of which {len(first)} lie apart",
                         remedy=f"{FEWEST} to {MOST}")  # fmt: skip
    kept = first[_belonging(places[first])]
    points = places[kept]
    low, high = points.min(0), points.max(0)
    scale = float((high - low).max())
    points = (points - (low + high) / 2) / max(scale, 1e-30)
    thinnest = float(np.sqrt(max(np.linalg.eigvalsh(np.cov(points.T))[0], 0)))
    if thinnest < 1e-4:
        raise InputError("surface.flat", "These points lie in a plane or in a line, and enclose nothing",
                         seen=f"{thinnest:.2g} of the longest side thick",
                         remedy="Use a cloud of a whole object")  # fmt: skip
    normals = None if cloud.normals is None else np.asarray(cloud.normals, np.float64)[kept]
    return points, normals, len(first) - len(kept), scale, (low + high) / 2


def _thinned(points: Floats, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of large clouds one point from each cell of a grid: no surface made here shows more."""
    if len(numbers) <= ENOUGH:
        return numbers
    chosen = points[numbers]
    # Between the hundredths: a stray far away must not make the cells large.
    low, high = np.percentile(chosen, [1, 99], axis=0)
    cells = np.floor((chosen - low) / max(float((high - low).max()) / 300, 1e-30)).astype(np.int64)
    return numbers[np.sort(np.unique(cells, axis=0, return_index=True)[1])]


def _belonging(points: Floats) -> NDArray[np.bool_]:
    """Which points are no strays, and in no small part that lies far from the rest.

    Far is measured by how far a point's own neighbours lie, so that a side with fewer points is no stray.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = min(NEIGHBOURS, len(points) - 1)
    found: tuple[Any, Any] = KDTree(points).query(points, k=count + 1)
    distances, near = (each[:, 1:] for each in found)
    away = distances.mean(1)
    usual = np.median(away[near], axis=1)  # among its neighbours
    lonely = (away > away.mean() + STRAY * away.std()) & (away > LONELY * usual)
    lonely |= away > NOISE * np.median(away)
    # A stray's neighbours do not count it among theirs; a sparse side's do.
    mutual = distances <= 2.5 * np.minimum(away[:, None], away[near])
    rows = np.repeat(np.arange(len(points)), count)[mutual.ravel()]
    graph = coo_matrix((np.ones(len(rows)), (rows, near.ravel()[mutual.ravel()])), shape=(len(points),) * 2)
    _, labels = connected_components(graph, directed=False)
    sizes = np.bincount(labels)
    return ~lonely & (sizes[labels] >= max(SHRED * len(points), 4))


def _smoothed(points: Floats, normals: Floats) -> Floats:
    """Normals as means of those near by that agree: noise goes, edges and thin sheets stay."""
    _, near = KDTree(points).query(points, k=NEIGHBOURS)
    for _ in range(2):
        around = normals[near]
        weight = np.clip((around * normals[:, None]).sum(-1, keepdims=True), 0, None) ** 2
        mean = (around * weight).sum(1)
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        normals = np.where(length > 1e-9, mean / np.maximum(length, 1e-9), normals)
    return normals


def _oriented(points: Floats, gap: float) -> Floats:
    """Estimated normals, all to the same side; which side is settled when the volume is known."""
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamHybrid(radius=2.5 * gap, max_nn=24))
    cloud.orient_normals_consistent_tangent_plane(NEIGHBOURS)
    normals = np.asarray(cloud.normals)
    # Outward more often than not, seen from the middle: Poisson's inside has to be inside.
    return normals if (normals * points).sum() >= 0 else -normals


def _through(points: Floats, normals: Floats | None, gap: float) -> tuple[_Solid | None, str]:
    """Poisson's surface, or why it is none."""
    try:
        directions = _oriented(points, gap) if normals is None else _smoothed(points, normals)
        made = _poisson(points, directions, gap)
    except RuntimeError as error:  # open3d's, e.g. of its triangulation
        return None, f"{str(error).splitlines()[0][:80]}" if str(error) else "it failed"
    return _checked(made, points, gap)


def _poisson(points: Floats, normals: Floats, gap: float) -> Mesh | None:
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.normals = open3d.utility.Vector3dVector(normals)
    depth = int(np.clip(np.ceil(np.log2(1.1 / gap)) + 1, *_DEPTHS))
    # One thread: several add in an order of their own, and the same cloud gave other meshes.
    made: Any = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=depth, linear_fit=True, n_threads=1
    )[0]
    faces = np.asarray(made.triangles).astype(np.int64)
    return Mesh(np.asarray(made.vertices, np.float64), faces) if len(faces) else None


def _checked(mesh: Mesh | None, points: Floats, gap: float) -> tuple[_Solid | None, str]:
    """The mesh as one closed solid that lies on the points, or why it is none."""
    if mesh is None:
        return None, "no surface"
    repaired = repair(mesh)
    mesh = repaired.mesh
    report = topology.edge_report(mesh)
    if not report.closed:
        return None, str(report)
    shells = topology.split(mesh)
    volumes = np.array([abs(topology.volume(shell)) for shell in shells])
    largest = int(volumes.argmax())
    loose = np.delete(volumes, largest)
    if (loose > _CRUMB * volumes[largest]).any():
        return None, f"{1 + int((loose > _CRUMB * volumes[largest]).sum())} separate parts"
    mesh = shells[largest]
    if topology.volume(mesh) <= 0:
        return None, "inside out"
    # Corners that were given a copy of their own at one place are one corner again in an STL file.
    if not topology.edge_report(repair(mesh, ["weld"]).mesh).closed:
        return None, "it touches itself"
    far = float((KDTree(points).query(mesh.vertices)[0] > _OFF * gap).mean())
    if far > _OFF_SHARE:
        return None, f"{100 * far:.0f} % of the surface is far from any point"
    missed = float((_distances(mesh, points) > _OFF * gap).mean())
    if missed > _OFF_SHARE:
        return None, f"{100 * missed:.0f} % of the points are far from the surface"
    return _Solid(mesh, repaired.changes, len(shells) - 1), ""


def _wrap(points: Floats, gap: float) -> tuple[_Solid | None, str]:
    """The wrap with the smallest ball that gives one solid."""
    reason = "the points are too far apart"
    for factor in _RADII:
        radius = factor * gap
        if radius > _LARGEST:
            break
        found, reason = _checked(wrapped(points, radius), points, max(gap, radius))
        if found is not None:
            return found, ""
        reason += f" with balls of {radius:.3f} of its length"
    return None, reason


def wrapped(points: Floats, radius: float) -> Mesh | None:
    """Wrap points.

    Args:
        points: (N, 3), their longest side about 1.
        radius: Of the rolling ball.

    Returns:
        Closed surfaces, each around a part that the ball cannot pass; None if there are none.
    """
    from skimage import measure

    low, high = points.min(0) - 2.2 * radius, points.max(0) + 2.2 * radius
    step = max(float((high - low).max()) / _CELLS, radius / 4)
    shape = tuple(int(n) for n in np.ceil((high - low) / step) + 1)
    away = _field(points, (points - low) / step, shape, low, step, radius)
    labelled: Any = ndimage.label(away > radius)
    parts = labelled[0]
    outside = parts == parts[0, 0, 0]
    if outside.all() or away.min() >= radius:
        return None
    # Only what is outside counts: rooms that the ball cannot reach are filled.
    rim, _, _, _ = measure.marching_cubes(np.where(outside, away, np.minimum(away, 0.999 * radius)), radius)
    depth = _field(rim * step + low, rim, shape, low, step, _BACK * radius) * np.where(outside, -1, 1)
    if depth.max() <= _BACK * radius:
        return None
    vertices, faces, _, _ = measure.marching_cubes(depth, _BACK * radius)
    return Mesh(vertices.astype(np.float64) * step + low, faces[:, ::-1].astype(np.int64))


def _field(
    points: Floats, cells: Floats, shape: tuple[int, ...], low: Floats, step: float, level: float
) -> NDArray[np.float64]:
    """Distances of a grid's corners from points: exact where they are near ``level``, elsewhere to a step or two."""
    empty = np.ones(shape, bool)
    empty[tuple(np.round(cells).astype(int).clip(0, np.array(shape) - 1).T)] = False
    away: NDArray[np.float64] = np.asarray(ndimage.distance_transform_edt(empty)) * step
    band = np.abs(away - level) < 2.5 * step
    away[band] = KDTree(points).query(np.argwhere(band) * step + low)[0]
    return away


def _distances(mesh: Mesh, points: Floats) -> NDArray[np.float32]:
    """(N,) distances of points from a mesh."""
    return topology.scene(mesh).compute_distance(topology.tensor(points.astype(np.float32))).numpy()


def _findings(
    found: _Solid, method: str, strays: int, points: int, off: float, tried: list[str]
) -> tuple[Finding, ...]:
    findings = []
    if strays:
        many = strays > MANY * points
        findings.append(Finding(
            "surface.strays", "warning" if many else "info", f"{strays} of {points} points were left out as strays",
            "Look whether a part of the object is missing" if many else "",
        ))  # fmt: skip
    if method == "wrap" and tried:
        findings.append(Finding(
            "surface.wrapped", "info",
            f"The points were wrapped, which rounds edges: a surface through them is no solid ({tried[0]})",
            "More points give a sharper one",
        ))  # fmt: skip
    if found.crumbs:
        findings.append(Finding("surface.crumbs", "info", f"{found.crumbs} small loose parts were left out"))
    if off > 0.02:
        findings.append(Finding(
            "surface.off", "warning",
            f"The surface lies {100 * off:.1f} % of the object's length from the points on average",
            "Look at it before it is printed",
        ))  # fmt: skip
    return tuple(findings)
