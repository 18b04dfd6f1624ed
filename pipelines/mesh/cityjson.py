"""Buildings out of CityJSON (1.0 to 2.0, https://www.cityjson.org/specs): one city object, one mesh. z up, metres.

Read are Solid, MultiSolid, CompositeSolid, MultiSurface and CompositeSurface of buildings and their parts. Not read:
templates (GeometryInstance), materials, textures, and CityJSONSeq, which has one feature a line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh.topology import joined

Floats = NDArray[np.float64]

# How many lists lie around one surface (a list of rings).
_DEPTH = {"MultiSurface": 1, "CompositeSurface": 1, "Solid": 2, "MultiSolid": 3, "CompositeSolid": 3}
_FAMILY = ("parents", "children")
_FARTHEST = 1e12  # m; numbers beyond it are damage, and their squares would overflow
_FLAT = 1e-12  # a ring of less area, in squares of its extent, is no surface


@dataclass(frozen=True)
class CityModel:
    """A file that was read.

    Attributes:
        objects: Id -> city object, as the file has it.
        vertices: (V, 3) float64, the file's transform applied.
    """

    objects: dict[str, dict[str, Any]]
    vertices: Floats

    def buildings(self) -> list[str]:
        """Ids of the buildings; parts belong to their building, and stand alone only where it is not in the file."""
        found = []
        for name, entry in self.objects.items():
            kind, parents = entry.get("type"), entry.get("parents", [])
            if kind == "Building" or (kind == "BuildingPart" and not any(p in self.objects for p in parents)):
                found.append(name)
        return found

    def meshes(self, name: str) -> list[tuple[str, Mesh]]:
        """Every level of detail of one building, the most detailed first, as (level, mesh with separate corners).

        A building's own geometry and that of its parts are put side by side where they have the same level.

        Raises:
            InputError: ``cityjson.damaged`` for a geometry that names vertices that are not there.
        """
        levels: dict[str, list[Mesh]] = {}
        try:
            children = [self.objects[key] for key in self.objects[name].get("children", []) if key in self.objects]
            parts = [child for child in children if child.get("type") == "BuildingPart"]
            for geometry in (g for entry in (self.objects[name], *parts) for g in entry.get("geometry", [])):
                if geometry["type"] in _DEPTH:
                    mesh = self._mesh(_surfaces(geometry["boundaries"], _DEPTH[geometry["type"]]))
                    levels.setdefault(str(geometry.get("lod", "0")), []).extend([mesh] if len(mesh.faces) else [])
        except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
            raise InputError(
                "cityjson.damaged", "A city object cannot be read", seen=f"{name}: {error!r}"[:160],
                remedy="Check the file with a CityJSON validator",
            ) from error  # fmt: skip
        order = sorted((level for level in levels if levels[level]), key=_number, reverse=True)
        return [(level, joined(levels[level])) for level in order]

    def _mesh(self, surfaces: Sequence[list[list[int]]]) -> Mesh:
        """Triangles of polygons with holes, every surface with corners of its own."""
        vertices: list[Floats] = []
        faces: list[NDArray[np.int64]] = []
        count = 0
        for rings in surfaces:
            corners = [self._corners(ring) for ring in rings]
            made = _triangles(corners)
            faces.append(made + count)
            vertices.append(np.concatenate(corners))
            count += len(vertices[-1])
        if not faces:
            return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
        return Mesh(np.concatenate(vertices), np.concatenate(faces))

    def _corners(self, ring: list[int]) -> Floats:
        index = np.asarray(ring, np.int64)
        if index.ndim != 1 or not index.size or index.min() < 0:
            raise ValueError("a ring is no list of vertices")  # numpy would count negative ones from the end
        return self.vertices[index]


def read(path: str | Path) -> CityModel:
    """Read a file.

    Raises:
        InputError: ``cityjson.damaged`` for a file that is no CityJSON or whose vertices make no sense.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("type") != "CityJSON":
            seen = document.get("type") if isinstance(document, dict) else type(document).__name__
            raise ValueError(f"its type is {seen}")
        transform = document.get("transform", {})
        vertices = np.asarray(document["vertices"], np.float64).reshape(-1, 3)
        vertices = vertices * transform.get("scale", (1, 1, 1)) + transform.get("translate", (0, 0, 0))
        if not (np.abs(vertices) < _FARTHEST).all():
            raise ValueError("vertices are not finite, or on no planet")
        # National grids put a building half a million metres away; a file's own corner is as good a zero.
        vertices -= vertices.min(0) if len(vertices) else 0
        objects = dict(document["CityObjects"])
        for name, entry in objects.items():
            if not (isinstance(entry, dict) and all(isinstance(entry.get(key, []), list) for key in _FAMILY)):
                raise ValueError(f"the city object {name[:60]} is none")
        return CityModel(objects, vertices)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            "cityjson.damaged", "The file is not readable CityJSON", seen=f"{path}: {error}"[:200],
            remedy="Convert it to CityJSON 1.1 or 2.0, one document a file",
        ) from None  # fmt: skip


def _surfaces(boundaries: list[Any], depth: int) -> list[Any]:
    for _ in range(depth - 1):
        boundaries = [inner for outer in boundaries for inner in outer]
    return boundaries


def _number(level: str) -> float:
    try:
        return float(level)
    except ValueError:
        return -1.0


def _triangles(rings: Sequence[Floats]) -> NDArray[np.int64]:
    """Triangles over an outer ring and its holes, wound as the outer ring is; none for a ring without area."""
    import manifold3d

    outer = rings[0]
    centred = outer - outer.mean(0)
    normal = np.cross(centred, np.roll(centred, -1, axis=0)).sum(0)
    length, extent = float(np.linalg.norm(normal)), float(np.ptp(outer, axis=0).max())
    if len(outer) < 3 or length <= _FLAT * extent**2:
        return np.zeros((0, 3), np.int64)
    if len(rings) == 1 and len(outer) == 3:
        return np.array([[0, 1, 2]])
    normal /= length
    across = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    across /= np.linalg.norm(across)
    plane = np.stack([across, np.cross(normal, across)], 1)
    flat = [ring @ plane for ring in rings]
    # A hole runs the other way round; a file that forgot is understood all the same.
    turned = [False, *(_area(ring) > 0 for ring in flat[1:])]
    made = np.asarray(manifold3d.triangulate([ring[::-1] if t else ring for ring, t in zip(flat, turned, strict=True)]))
    starts = np.cumsum([0, *(len(ring) for ring in rings)])
    names = [np.arange(len(r))[:: -1 if t else 1] + s for r, t, s in zip(rings, turned, starts, strict=False)]
    return np.concatenate(names)[made.reshape(-1, 3).astype(np.int64)].astype(np.int64)


def _area(points: Floats) -> float:
    x, y = (points - points.mean(0)).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)
