"""Buildings out of CityJSON: polygons with holes, levels of detail, parts, and what is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.mesh import cityjson, topology
from pipelines.vitruvio.preparation import closed


def box(corners: list[list[int]], x: int, y: int, wide: int, high: int) -> list[list[list[int]]]:
    """A box's surfaces, its corners appended in centimetres."""
    start = len(corners)
    corners += [[x + a * wide, y + b * wide, c * high] for c in (0, 1) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
    sides = ((3, 2, 1, 0), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))
    return [[[start + corner for corner in side]] for side in sides]


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A court of polygons with holes, a house whose better level has no roof, parts of one building, and a tree."""
    corners: list[list[int]] = []
    outer, inner = box(corners, 0, 0, 3000, 1000), box(corners, 1000, 1000, 1000, 1000)
    court = [
        [outer[0][0], inner[0][0][::-1]], [outer[1][0], inner[1][0][::-1]], *outer[2:],
        *([ring[::-1] for ring in surface] for surface in inner[2:]),
    ]  # fmt: skip
    house = box(corners, 5000, 0, 1000, 600)
    parts = box(corners, 8000, 0, 1000, 900), box(corners, 8500, 200, 1000, 500)
    solid = {"type": "Solid", "lod": "1.2"}
    objects: dict[str, Any] = {
        "court": {"type": "Building", "geometry": [{**solid, "boundaries": [court]}]},
        "house": {"type": "Building", "geometry": [
            {"type": "MultiSurface", "lod": "2.2", "boundaries": house[2:]}, {**solid, "boundaries": [house]}]},
        "pair": {"type": "Building", "children": ["left", "right"]},
        "left": {"type": "BuildingPart", "parents": ["pair"], "geometry": [{**solid, "boundaries": [parts[0]]}]},
        "right": {"type": "BuildingPart", "parents": ["pair"], "geometry": [{**solid, "boundaries": [parts[1]]}]},
        "oak": {"type": "SolitaryVegetationObject", "geometry": []},
    }  # fmt: skip
    transform = {"scale": [0.01, 0.01, 0.01], "translate": [85_000, 447_000, -0.5]}
    document = {"type": "CityJSON", "version": "2.0", "transform": transform, "CityObjects": objects,
                "vertices": corners}  # fmt: skip
    path = tmp_path / "city.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_buildings(city: Path) -> None:
    model = cityjson.read(city)
    assert model.buildings() == ["court", "house", "pair"]
    ((level, court),) = model.meshes("court")
    assert level == "1.2" and np.ptp(court.vertices, axis=0) == pytest.approx([30, 30, 10])
    solid, _ = closed(court)
    assert topology.volume(solid) == pytest.approx(10 * (30 * 30 - 10 * 10))
    euler = len(solid.vertices) - len(solid.faces) // 2
    assert euler == 0  # a ring, not a box with a hole painted on


def test_levels_and_parts(city: Path) -> None:
    model = cityjson.read(city)
    (best, walls), (other, house) = model.meshes("house")
    assert (best, other) == ("2.2", "1.2") and len(walls.faces) == 8
    assert topology.volume(closed(house)[0]) == pytest.approx(600)
    ((_, pair),) = model.meshes("pair")
    solid, changes = closed(pair)
    assert topology.volume(solid) == pytest.approx(900 + 500 - 5 * 8 * 5)  # metres: the two overlap by 5 x 8 x 5
    assert any("unite-bodies: 2 shells became 1" in change for change in changes)


def _edit(change):
    def damage(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-40],
        lambda text: "[]",
        _edit(lambda d: d.update(type="CityJSONFeature")),
        _edit(lambda d: d.pop("vertices")),
        _edit(lambda d: d.pop("CityObjects")),
        _edit(lambda d: d.update(vertices=[[1, 2]])),
        _edit(lambda d: d["transform"].update(scale=["a", 1, 1])),
        lambda text: "[" * 100_000,
        _edit(lambda d: d["CityObjects"].update(court=5)),
        _edit(lambda d: d["CityObjects"]["court"].update(children=None)),
        _edit(lambda d: d["vertices"].append([10**400, 0, 0])),
        _edit(lambda d: d["vertices"].append([1e308, -1e308, 0])),
    ],
    ids=[
        "cut",
        "list",
        "feature",
        "no vertices",
        "no objects",
        "pairs",
        "scale",
        "deep",
        "number",
        "null",
        "huge",
        "far",
    ],
)
def test_damaged_files(city: Path, damage) -> None:
    city.write_text(damage(city.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        cityjson.read(city)
    assert raised.value.code == "cityjson.damaged"


@pytest.mark.parametrize("corner", [10_000, -1, 10**30, [], None])
def test_a_damaged_object_is_named(city: Path, corner: object) -> None:
    document = json.loads(city.read_text(encoding="utf-8"))
    document["CityObjects"]["court"]["geometry"][0]["boundaries"][0][0][0][0] = corner
    city.write_text(json.dumps(document), encoding="utf-8")
    model = cityjson.read(city)
    with pytest.raises(InputError) as raised:
        model.meshes("court")
    assert raised.value.code == "cityjson.damaged" and "court" in str(raised.value.seen)
    assert len(model.meshes("house")) == 2
