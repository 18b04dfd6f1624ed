"""Which lines of a building a camera sees: silhouettes and creases, hidden lines removed.

For a building of convex parts a sight line is cut with every part's half-spaces; for any other mesh open3d (MIT) casts
the rays. Both answer the same question, so real city models and our own buildings are drawn by the same hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.synthetic.buildings import QUERY, Building, sample_surface

if TYPE_CHECKING:
    import open3d

Floats = NDArray[np.float64]
# (N, 3) points and (N, 3) unit directions -> (N,) bool, whether something stands in the way
Blocked = Callable[[Floats, Floats], NDArray[np.bool_]]

# Flatter folds are facets of a curve and not drawn (our choice): curves of buildings.py turn by 18 degrees a facet, the
# valley between two of its shallowest roofs folds by 23.
CREASE = np.cos(np.radians(20))

_SAMPLES, _FINER = 24, 6  # looks per edge, and looks between two of them where sight begins or ends
_OFF, _TOWARDS = 2e-3, 3e-3  # how far a look starts from the edge: outwards, and towards the eye
_THIN = 1e-3  # shorter cuts through a part are grazing sight, not cover
_NEAR_EDGE = 1.1  # the eye keeps this far from the centre at least; buildings end at 0.87


@dataclass(frozen=True)
class Camera:
    """A camera that looks at the origin.

    Attributes:
        azimuth: Degrees about y; 0 stands on +z, 90 on +x.
        elevation: Degrees above the horizon.
        field_of_view: Degrees, vertical; about 1 is an axonometric drawing.
        upright: The picture stands vertically, so that verticals stay parallel (two-point perspective).
    """

    azimuth: float
    elevation: float
    field_of_view: float
    upright: bool = False

    @property
    def eye(self) -> Floats:
        """(3,) float64 position; the unit sphere of 0.75 just fills the field of view."""
        a, e = np.radians([self.azimuth, self.elevation])
        distance = max(0.75 / np.tan(np.radians(self.field_of_view) / 2), _NEAR_EDGE)
        return distance * np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])

    @property
    def axes(self) -> Floats:
        """(3, 3) float64 rows: right, up and backwards."""
        a = np.radians(self.azimuth)
        right = np.array([np.cos(a), 0, -np.sin(a)])
        back = np.array([np.sin(a), 0, np.cos(a)]) if self.upright else self.eye / np.linalg.norm(self.eye)
        return np.stack([right, np.cross(back, right), back])

    @property
    def matrix(self) -> Floats:
        """(3, 4) float64; takes (x, y, z, 1) to (u w, v w, w), where (u, v) is what `project` returns."""
        turned = self.axes * np.array([[1], [-1], [-1 / np.linalg.norm(self.eye)]])
        return np.concatenate([turned, -(turned @ self.eye)[:, None]], 1)

    def project(self, points: Floats) -> Floats:
        """Return picture coordinates (..., 2) of points (..., 3): x to the right, y down, in no special unit."""
        seen = (points - self.eye) @ self.axes.T
        depth = -seen[..., 2:] / np.linalg.norm(self.eye)
        return seen[..., :2] / depth * (1, -1)


def sample_camera(rng: Generator, *, policy: str = "quadrant") -> Camera:
    """Draw a camera as people choose them.

    Most stand a little above and to a corner, a fifth are axonometric, some at eye level or far above (our choice).

    Args:
        rng: Source of chance.
        policy: ``quadrant`` stands between +x and +z; ``around`` anywhere.

    Raises:
        InputError: Unknown policy.
    """
    if policy not in ("quadrant", "around"):
        raise InputError("camera.policy", "No such camera policy", seen=policy, remedy="One of quadrant, around")
    azimuth = rng.uniform(8, 82) if policy == "quadrant" else rng.uniform(0, 360)
    kind = rng.random()
    if kind < 0.22:
        return Camera(azimuth, rng.uniform(15, 45), 1.0)
    if kind < 0.32:
        return Camera(azimuth, rng.uniform(2, 12), rng.uniform(20, 50), upright=True)
    elevation = rng.uniform(35, 50) if kind < 0.4 else rng.uniform(10, 36)
    return Camera(azimuth, elevation, rng.uniform(15, 55), upright=bool(elevation < 30 and rng.random() < 0.35))


def blocked_by_parts(building: Building) -> Blocked:
    """Return the test whether a part of the building stands in the way of a sight line."""
    normals, offsets = building.half_spaces
    flat_normals, flat_offsets = normals.reshape(-1, 3).T.astype(np.float32), offsets.reshape(-1).astype(np.float32)

    def blocked(points: Floats, directions: Floats) -> NDArray[np.bool_]:
        beyond = points.astype(np.float32) @ flat_normals - flat_offsets
        along = directions.astype(np.float32) @ flat_normals
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = -beyond / along
        outside = np.where(beyond > 0, np.float32(np.inf), np.float32(-np.inf))
        level = np.abs(along) <= 1e-7
        enters = np.where(level, outside, np.where(along < 0, crossing, -np.inf)).reshape(-1, *offsets.shape).max(2)
        leaves = np.where(level | (along < 0), np.inf, crossing).reshape(-1, *offsets.shape).min(2)
        return (leaves - np.maximum(enters, 0) > _THIN).any(1)

    return blocked


def blocked_by_mesh(mesh: Mesh) -> Blocked:
    """Return the test whether a triangle of the mesh stands in the way of a sight line."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(_tensor(mesh.vertices.astype(np.float32)), _tensor(mesh.faces.astype(np.uint32)))

    def blocked(points: Floats, directions: Floats) -> NDArray[np.bool_]:
        rays = np.concatenate([points, directions], 1).astype(np.float32)
        return scene.test_occlusions(_tensor(rays), tnear=_THIN).numpy()

    return blocked


def _tensor(array: NDArray[np.generic]) -> open3d.core.Tensor:
    import open3d

    return open3d.core.Tensor.from_numpy(array)


def in_frame(mesh: Mesh) -> Mesh:
    """Return the mesh (y up) with its bounding box centred at the origin and its longest side 1.

    Raises:
        InputError: The mesh has no triangle, a coordinate that is not finite, or no extent.
    """
    used = mesh.vertices[mesh.faces.reshape(-1)]
    extent = float(np.ptp(used, axis=0).max()) if len(used) else 0.0
    if not (np.isfinite(extent) and extent > 0):
        raise InputError(
            "mesh.empty", "The mesh has no extent", seen=f"{len(mesh.faces)} triangles, longest side {extent}"
        )
    return Mesh((mesh.vertices - (used.min(0) + used.max(0)) / 2) / extent, mesh.faces)


@dataclass(frozen=True)
class Edges:
    """Edges that may be drawn, seen from one eye.

    Attributes:
        ends: (E, 2, 3) float64.
        out: (E, 3) float64 unit direction away from the solid, zero where there is none.
    """

    ends: Floats
    out: Floats


def drawn_edges(mesh: Mesh, eye: Floats) -> Edges:
    """Return creases on faces that look at the eye, silhouettes, and edges that do not join two faces.

    The mesh lies in the frame of buildings; corners closer than 1e-5 are one.
    """
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=1)
    solid = area > 1e-12
    corners, normals = corners[solid], normals[solid] / area[solid, None]
    facing = ((eye - corners[:, 0]) * normals).sum(1) > 1e-9

    # models of others repeat a vertex for every face, so that vertices are named by their place
    cells = np.round(corners.reshape(-1, 3) * 1e5).astype(np.int64) + 2**17
    _, names = np.unique(cells @ np.array([1, 2**18, 2**36]), return_inverse=True)
    names = names.reshape(-1, 3).astype(np.int64)
    starts, stops = names.reshape(-1), names[:, [1, 2, 0]].reshape(-1)
    ends = np.stack([corners, corners[:, [1, 2, 0]]], 2).reshape(-1, 2, 3)
    faces = np.repeat(np.arange(len(corners)), 3)
    keys = np.minimum(starts, stops) * (names.max(initial=0) + 1) + np.maximum(starts, stops)
    order = np.argsort(keys, kind="stable")
    _, first, count = np.unique(keys[order], return_index=True, return_counts=True)

    two = order[first[count == 2]], order[first[count == 2] + 1]
    one, other = faces[two[0]], faces[two[1]]
    fold = (normals[one] * normals[other]).sum(1)
    seen = facing[one] | facing[other]
    kept = seen & ((fold < CREASE) | ((facing[one] != facing[other]) & (fold < 0.9999)))
    out = normals[one[kept]] + normals[other[kept]]
    out /= np.linalg.norm(out, axis=1, keepdims=True) + 1e-12
    loose = order[first[count != 2]]
    return Edges(np.concatenate([ends[two[0][kept]], ends[loose]]), np.concatenate([out, np.zeros((len(loose), 3))]))


def visible_runs(edges: Edges, eye: Floats, blocked: Blocked) -> tuple[Floats, NDArray[np.int64]]:
    """Return the visible stretches of edges: ends (R, 2, 3) float64, and which edge each lies on (R,)."""
    start, span = edges.ends[:, 0], edges.ends[:, 1] - edges.ends[:, 0]

    def visible(edge: NDArray[np.int64], share: Floats) -> NDArray[np.bool_]:
        points = start[edge] + share[:, None] * span[edge] + edges.out[edge] * _OFF
        towards = eye - points
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        return ~blocked(points + towards * _TOWARDS, towards)

    count = len(start)
    shares = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    seen = visible(np.repeat(np.arange(count), _SAMPLES), np.tile(shares, count)).reshape(count, _SAMPLES)

    edge, at = np.nonzero(seen[:, 1:] != seen[:, :-1])
    finer = np.arange(1, _FINER) / (_FINER * _SAMPLES)
    between = visible(np.repeat(edge, _FINER - 1), (shares[at][:, None] + finer).reshape(-1)).reshape(
        len(edge), _FINER - 1
    )
    same = (between == seen[edge, at][:, None]).sum(1)
    borders = np.zeros((count, _SAMPLES + 1))
    borders[:, -1] = 1
    borders[edge, at + 1] = shares[at] + (same + 0.5) / (_FINER * _SAMPLES)

    change = np.diff(np.pad(seen, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (edge, first), (_, last) = np.nonzero(change == 1), np.nonzero(change == -1)
    long = last - first >= 2  # one lone look is light that leaks through a corner
    edge, first, last = edge[long], first[long], last[long]
    limits = np.stack([borders[edge, first], borders[edge, last]], 1)
    return start[edge][:, None] + limits[..., None] * span[edge][:, None], edge


def sight(subject: Building | Mesh) -> tuple[Mesh, Blocked]:
    """Return the mesh of what is drawn and its test for hidden points.

    Raises:
        InputError: A mesh that does not lie in the frame of buildings.
    """
    if isinstance(subject, Building):
        return subject.mesh(), blocked_by_parts(subject)
    reach = float(np.abs(subject.vertices).max(initial=0))
    if not 0 < reach <= QUERY:
        raise InputError("mesh.frame", "The mesh is not in the frame of buildings", seen=reach, remedy="Use in_frame")
    return subject, blocked_by_mesh(subject)


def hides_a_wing(building: Building, camera: Camera, rng: Generator, count: int = 160) -> bool:
    """Tell whether some part of the building with a fair share of its surface cannot be seen at all.

    A share is fair from 4 of ``count`` points drawn over the surface.
    """
    points = sample_surface(building.mesh(), rng, count)
    towards = camera.eye - points
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    seen = ~blocked_by_parts(building)(points + towards * _TOWARDS, towards)
    normals, offsets = building.half_spaces
    beyond = (points @ normals.reshape(-1, 3).T).reshape(count, *offsets.shape) - offsets
    on = np.abs(beyond.max(2)) < 1e-6
    return bool(((on.sum(0) >= 4) & ~(on & seen[:, None]).any(0)).any())


def sample_view(building: Building, rng: Generator, *, policy: str = "quadrant", tries: int = 8) -> Camera:
    """Draw a camera that hides no wing, the last of ``tries`` if all do: people draw what can be seen."""
    camera = sample_camera(rng, policy=policy)
    for _ in range(tries - 1):
        if len(building.parts) == 1 or not hides_a_wing(building, camera, rng):
            break
        camera = sample_camera(rng, policy=policy)
    return camera
