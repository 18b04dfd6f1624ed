"""The published data layout: what is written is read back, and each broken piece is one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.vitruvio import dataset
from pipelines.vitruvio.dataset import Model

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(-0.55, 0.55, (203, 3)).astype(np.float16)  # not a multiple of eight: packed bits have a rest
OCCUPIED = RNG.random(203) < 0.4
PROJECTION = np.array([[1.2, 0.1, -0.4, 0.05], [0.2, -1.1, 0.3, -0.1], [0.1, 0.2, 0.3, 1.0]])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set of ten models, five points on each surface and two views."""
    category = tmp_path / "buildings"
    for number in range(10):
        folder = category / f"m{number}"
        folder.mkdir(parents=True)
        views = [np.full((40, 40), 10 * number + view, np.uint8) for view in (0, 100)]
        surface = (np.eye(3)[[0, 1, 2, 0, 1]] / 2, np.eye(3)[[0, 1, 2, 0, 1]])
        dataset.write_model(
            folder, points=POINTS, occupied=OCCUPIED, surface=surface, loc=np.array([1.0, 2, 3]), scale=7.0,
            views=views, projections=[PROJECTION, 2 * PROJECTION],
        )  # fmt: skip
    dataset.write_lists(category, [f"m{number}" for number in range(10)])
    dataset.write_metadata(tmp_path, {"buildings": "houses, towers"})
    return tmp_path


def test_what_is_written_is_read(root: Path) -> None:
    model = Model(root / "buildings" / "m3")
    points, occupied = model.points()
    assert points.dtype == np.float32 and (points == POINTS.astype(np.float32)).all() and (occupied == OCCUPIED).all()
    surface, normals = model.surface()
    assert (surface == normals / 2).all() and (np.linalg.norm(normals, axis=1) == 1).all()
    assert [path.name for path in model.views()] == ["000.jpg", "001.jpg"]
    assert abs(int(dataset.read_view(model.views()[1], 20).mean()) - 130) <= 1
    np.testing.assert_allclose(model.projection(1), 2 * PROJECTION, atol=1e-12)
    with np.load(model.folder / "points.npz") as stored:  # as the published code reads it
        assert stored["points"].dtype == np.float16 and stored["occupancies"].shape == (26,)
        assert (np.unpackbits(stored["occupancies"])[:203] == OCCUPIED).all()
        assert stored["loc"].tolist() == [1, 2, 3] and stored["scale"] == 7
    assert dataset.categories(root) == {"buildings": "houses, towers"}


def test_a_projection_fits_the_padded_view(tmp_path: Path) -> None:
    """A wide view is padded to a square; a point that lies in the middle of the view lies in the middle of both."""
    folder = tmp_path / dataset.VIEWS
    folder.mkdir()
    assert cv2.imwrite(str(folder / "000.png"), np.zeros((20, 60), np.uint8))
    world = np.concatenate([np.eye(3), np.zeros((3, 1))], 1)
    np.savez(
        folder / dataset.CAMERAS, world_mat_0=world, camera_mat_0=np.array([[60.0, 0, 30], [0, 60, 10], [0, 0, 1]])
    )
    found = Model(tmp_path).projection(0) @ np.array([[0.0, 0.5, 0], [0, 0, 1 / 6], [1, 1, 1], [1, 1, 1]])
    np.testing.assert_allclose(found[:2] / found[2], [[0, 1, 0], [0, 0, 1 / 3]], atol=1e-12)
    view = dataset.read_view(folder / "000.png", 30)
    assert view.shape == (30, 30) and (view[:9] == 255).all() and (view[12:18] == 0).all() and (view[21:] == 255).all()


def test_lists_deal_by_the_published_shares(root: Path) -> None:
    splits = {name: [model.folder.name for model in dataset.models(root, name)] for name in dataset.SPLITS}
    assert {name: len(members) for name, members in splits.items()} == {"train": 7, "val": 1, "test": 2}
    assert sorted(name for members in splits.values() for name in members) == [f"m{number}" for number in range(10)]
    again = dataset.write_lists(root / "buildings", [f"m{number}" for number in reversed(range(10))])
    assert {name: sorted(members) for name, members in again.items()} == splits


def test_jitter_is_the_published_one() -> None:
    points = np.zeros((20_000, 3), np.float32)
    moved = dataset.jittered(points, np.random.default_rng(0))
    assert moved.dtype == np.float32 and moved.std() == pytest.approx(1e-4, rel=0.02)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _store(**arrays: object):
    return lambda path: np.savez(path, **{"points": POINTS, "occupancies": dataset.packed(OCCUPIED), **arrays})


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        _cut,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: np.savez(path, points=POINTS),
        _store(points=POINTS[:, :2]),
        _store(points=POINTS[:100]),
        _store(points=np.where(POINTS == POINTS[5], np.nan, POINTS)),
        _store(points=POINTS.astype(np.float64) * 1e300),
        _store(occupancies=OCCUPIED.astype(np.float32)),
        _store(points=np.array([None])),
    ],
    ids=["missing", "cut", "empty", "text", "one array", "flat", "few", "nan", "huge", "float bits", "pickled"],
)
def test_broken_points(root: Path, damage) -> None:
    model = Model(root / "buildings" / "m0")
    damage(model.folder / "points.npz")
    with pytest.raises(InputError) as raised:
        model.points()
    assert raised.value.code == "data.points" and "points.npz" in str(raised.value.seen)


def test_other_broken_pieces(root: Path) -> None:
    model = Model(root / "buildings" / "m0")
    with pytest.raises(InputError) as raised:
        model.projection(2)
    assert raised.value.code == "data.cameras"
    np.savez(model.folder / dataset.VIEWS / dataset.CAMERAS, world_mat_0=np.eye(3), camera_mat_0=np.eye(3))
    with pytest.raises(InputError) as raised:
        model.projection(0)
    assert raised.value.code == "data.cameras"
    model.views()[0].write_bytes(b"no picture")
    with pytest.raises(InputError) as raised:
        dataset.read_view(model.views()[0], 32)
    assert raised.value.code == "input.unreadable"
    for path in model.views():
        path.unlink()
    with pytest.raises(InputError) as raised:
        model.views()
    assert raised.value.code == "data.views"


def test_broken_lists(root: Path) -> None:
    with pytest.raises(InputError) as raised:
        dataset.models(root, "holdout")
    assert raised.value.code == "data.split"
    (root / "buildings" / "val.lst").write_text("m0\n\nghost\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        dataset.models(root, "val")
    assert raised.value.code == "data.model" and "ghost" in str(raised.value.seen)
    (root / "buildings" / "test.lst").write_bytes(b"m\xff\n")
    for folder, split in ((root / "buildings", "train"), (root, "test")):
        with pytest.raises(InputError) as raised:
            dataset.models(folder, split)
        assert raised.value.code == "data.layout"


@pytest.mark.parametrize("text", ["[1, 2]", "a: {b", "a: 3", json.dumps({"a": {"id": "a"}})])
def test_broken_metadata(root: Path, text: str) -> None:
    (root / "metadata.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        dataset.categories(root)
    assert raised.value.code == "data.metadata"
    (root / "metadata.yaml").unlink()
    assert dataset.categories(root) == {"buildings": "buildings"}
