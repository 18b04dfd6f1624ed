"""Buildings with exact occupancy and an exact closed mesh, drawn at random; nothing is read from a disk.

A building is a union of convex parts. A point is inside if one part's half-spaces all hold it; the mesh is the union
that manifold3d (Apache-2.0) makes of the same parts. Frame: y up, bounding box centred at the origin, its longest side
1. Networks ask for points in [-QUERY, QUERY]^3.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.synthetic.building_families import GENERATORS
from pipelines.synthetic.building_parts import Part

if TYPE_CHECKING:
    import manifold3d

FAMILIES: tuple[str, ...] = tuple(GENERATORS)
# Never trained on: what a network makes of it tells whether it learnt buildings or this file.
HELD_OUT = "zigzag"
QUERY = 0.55
POSES = ("quarter", "canonical", "free")
EVALUATION_COUNT = 200

_TOUCHING = 1e-9  # points on a face count as inside, also where two parts share it
_TRIES = 50


@dataclass(frozen=True, eq=False)
class Building:
    """A union of convex parts.

    Attributes:
        family: One of ``FAMILIES``.
        parts: Convex solids; they overlap or touch, and together make one body.
    """

    family: str
    parts: tuple[Part, ...]

    @cached_property
    def half_spaces(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Outward unit normals (P, H, 3) and offsets (P, H) of all parts; rows beyond a part's own hold everywhere."""
        most = max(len(part.offsets) for part in self.parts)
        normals, offsets = np.zeros((len(self.parts), most, 3)), np.ones((len(self.parts), most))
        for row, part in enumerate(self.parts):
            normals[row, : len(part.offsets)] = part.normals
            offsets[row, : len(part.offsets)] = part.offsets
        return normals, offsets

    def occupancy(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell for points (N, 3) whether they lie inside, (N,) bool; exact, faces included."""
        normals, offsets = self.half_spaces
        beyond = (points.astype(np.float64) @ normals.reshape(-1, 3).T).reshape(len(points), *offsets.shape) - offsets
        return (beyond.max(2) <= _TOUCHING).any(1)

    @cached_property
    def solid(self) -> manifold3d.Manifold:
        """The exact union as a manifold3d solid."""
        import manifold3d

        hulls = [manifold3d.Manifold.hull_points(part.vertices) for part in self.parts]
        return hulls[0] if len(hulls) == 1 else manifold3d.Manifold.batch_boolean(hulls, manifold3d.OpType.Add)

    @cached_property
    def _mesh(self) -> Mesh:
        raw = self.solid.to_mesh64()
        return Mesh(np.asarray(raw.vert_properties, np.float64)[:, :3], np.asarray(raw.tri_verts).astype(np.int64))

    def mesh(self) -> Mesh:
        """Return the exact union as one closed mesh, faces counter-clockwise from outside."""
        return self._mesh

    def volume(self) -> float:
        """Return the volume; the bounding box's longest side is 1."""
        return float(self.solid.volume())


def sample_building(rng: Generator, family: str | None = None, *, pose: str = "quarter") -> Building:
    """Draw a building.

    Args:
        rng: Source of chance.
        family: One of ``FAMILIES``; None draws one by its weight, never ``HELD_OUT``.
        pose: How it stands: ``quarter`` turns it by a random quarter turn and mirrors every second one, so that walls
            stay along the axes and a camera between +x and +z sees every side of the family; ``canonical`` keeps the
            longer side of its plan along x; ``free`` turns it by any angle about y.

    Raises:
        InputError: Unknown family or pose.
    """
    if family is None:
        weights = np.array([weight for _, weight in GENERATORS.values()])
        family = FAMILIES[int(rng.choice(len(FAMILIES), p=weights / weights.sum()))]
    if family not in GENERATORS:
        raise InputError("building.family", "No such family of buildings", seen=family, remedy=f"One of {FAMILIES}")
    if pose not in POSES:
        raise InputError("building.pose", "No such pose of a building", seen=pose, remedy=f"One of {POSES}")
    generate = GENERATORS[family][0]
    for _ in range(_TRIES):
        building = Building(family, _in_frame(generate(rng), _turn(rng, pose), pose))
        if _is_one_body(building):
            return building
    raise RuntimeError(f"{_TRIES} buildings of family {family} in a row fell apart: its generator is wrong")


def _turn(rng: Generator, pose: str) -> NDArray[np.float64]:
    if pose == "canonical":
        return np.eye(3)
    angle = rng.integers(4) * np.pi / 2 if pose == "quarter" else rng.uniform(0, 2 * np.pi)
    cos, sin = (float(np.round(value, 15)) for value in (np.cos(angle), np.sin(angle)))
    mirror = np.diag([1.0, 1.0, -1.0 if rng.random() < 0.5 else 1.0])
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ mirror


def _in_frame(parts: list[Part], turn: NDArray[np.float64], pose: str) -> tuple[Part, ...]:
    """Turn the parts, centre their bounding box, scale its longest side to 1."""
    corners = np.concatenate([part.vertices for part in parts]) @ turn.T
    if pose == "canonical" and np.ptp(corners[:, 2]) > np.ptp(corners[:, 0]):
        quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        corners, turn = corners @ quarter.T, quarter @ turn
    low, high = corners.min(0), corners.max(0)
    return tuple(part.placed(turn, (low + high) / 2, float(1 / (high - low).max())) for part in parts)


def _is_one_body(building: Building) -> bool:
    """Tell whether the union is one piece without a closed void; both would be further pieces of its surface."""
    return len(building.parts) == 1 or len(building.solid.decompose()) == 1


def sample_surface(mesh: Mesh, rng: Generator, count: int) -> NDArray[np.float64]:
    """Draw (count, 3) points evenly over the surface of a mesh."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    shares = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    face = np.searchsorted(shares, rng.random(count) * shares[-1]).clip(0, len(shares) - 1)
    u, v = rng.random((2, count, 1))
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    return a[face] + u * (b - a)[face] + v * (c - a)[face]


def sample_points(
    building: Building, rng: Generator, count: int, near: float = 0.5
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw points to train an occupancy network on.

    Args:
        building: In the frame of this module.
        rng: Source of chance.
        count: How many points.
        near: Share drawn close to the surface (normal, half with sigma 0.02 and half with 0.06; our choice); the rest
            is even over the query box.

    Returns:
        (count, 3) float32 points in [-QUERY, QUERY] and (count,) bool, whether each lies inside.
    """
    close = round(count * near)
    points = rng.uniform(-QUERY, QUERY, (count, 3))
    if close:
        sigma = np.where(rng.random((close, 1)) < 0.5, 0.02, 0.06)
        points[:close] = sample_surface(building.mesh(), rng, close) + rng.normal(size=(close, 3)) * sigma
    points = points.clip(-QUERY, QUERY).astype(np.float32)
    return points, building.occupancy(points)


def evaluation_set() -> list[Building]:
    """Return the 200 buildings that figures are reported on: ten of every family, the held-out one among them."""
    rounds = EVALUATION_COUNT // len(FAMILIES)
    seeds = np.random.SeedSequence(20_250_917).spawn(EVALUATION_COUNT)
    return [
        sample_building(np.random.default_rng(seed), family)
        for seed, family in zip(seeds, FAMILIES * rounds, strict=True)
    ]


def fingerprint(buildings: list[Building]) -> str:
    """Return a sha256 over families and corners, rounded to 1e-6: last bits differ between processors."""
    digest = hashlib.sha256()
    for building in buildings:
        digest.update(building.family.encode())
        for part in building.parts:
            digest.update((np.round(part.vertices * 1e6).astype("<i4")).tobytes())
    return digest.hexdigest()
