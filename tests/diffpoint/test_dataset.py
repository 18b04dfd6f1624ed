"""What is read of each layout in tiny files; what is broken, and what training makes of it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.core.errors import InputError, PipelineError
from pipelines.core.runtime import choose
from pipelines.core.training import TrainConfig
from pipelines.diffpoint import dataset, diffusion, layouts, training
from pipelines.diffpoint.network import CONFIGS, DiffPoint
from pipelines.diffpoint.views import prepare
from tests.diffpoint.test_layouts import (
    CHAIR,
    CLOUD,
    FRONT,
    INSIDE,
    MODEL,
    RIGHT,
    UP,
    clouds,
    entry,
    only,
    ours,
    pix3d,
    rendering,
    save,
    shapenet,
    wedge,
)  # fmt: skip
from tests.diffpoint.test_network import TINY

CPU = choose("cpu", "float32")


def loaded(item: layouts.Item, seed: int = 0, **values: Any) -> dict[str, np.ndarray]:
    return dataset.load(item, np.random.default_rng(seed), **{"size": 32, "views": 3, **values})


def test_our_own_layout(tmp_path: Path) -> None:
    colours = np.tile(np.array([[255, 51, 0]], np.uint8), (5000, 1))
    normals = np.tile(np.array([[0, 0, 3]], np.float32), (5000, 1))
    normals[:100] = 0
    found = layouts.listed(ours(tmp_path, colours=colours, normals=normals))
    assert found.layout == "ours" and found.left_out == {}
    (item,) = found.items
    assert (item.name, item.category) == ("mugs/m0", "mugs")
    read = loaded(item)
    assert read["views"].shape == (3, 32, 32, 4) and read["views"].dtype == np.uint8
    assert sorted(int(view[16, 16, 0]) for view in read["views"]) == [100, 120, 140]
    points = read["points"].astype(np.float32)
    assert read["points"].dtype == np.float16 and points.shape == (4096, 9)
    np.testing.assert_allclose(np.ptp(points[:, :3], axis=0), [1, 0.5, 0.25], atol=0.01)
    assert np.abs(points[:, :3].min(0) + points[:, :3].max(0)).max() < 0.01
    np.testing.assert_allclose(points[:, 3:6], np.tile([1, 0.2, 0], (4096, 1)), atol=1e-3)
    unknown = np.isnan(points[:, 6:]).all(1)
    assert 50 < unknown.sum() < 100 and (points[~unknown, 6:] == [0, 0, 1]).all()


def test_views_are_those_that_prepare_makes_and_repeat_where_there_are_few(tmp_path: Path) -> None:
    item = only(ours(tmp_path, views=2))
    read = loaded(item, views=5)["views"]
    made = [prepare(rendering(red), 32).picture for red in (100, 120)]
    order = [next(n for n, view in enumerate(made) if np.array_equal(view, each)) for each in read]
    assert order in ([0, 1, 0, 1, 0], [1, 0, 1, 0, 1])
    assert np.isnan(loaded(item)["points"][:, 3:]).all()


def test_renderings_with_clouds_take_the_largest_and_every_point_once(tmp_path: Path) -> None:
    found = layouts.listed(clouds(shapenet(tmp_path)))
    (item,) = found.items
    assert found.layout == "r2n2" and item.category == "chair" and item.name == f"{CHAIR}/{MODEL}"
    assert item.shape.name == "pointcloud_2048.npy" and len(item.views) == 4 and item.front == "unstated"
    points = loaded(item)["points"].astype(np.float64)
    low, high = CLOUD[:2048].min(0), CLOUD[:2048].max(0)
    true = (CLOUD[:2048] - (low + high) / 2) / (high - low).max()
    for half in (points[:2048, :3], points[2048:, :3]):
        np.testing.assert_allclose(np.sort(half, 0), np.sort(true, 0), atol=5e-4)
    assert np.isnan(points[:, 3:]).all() and len(layouts.SYNSETS) == 13
    np.savez(item.shape.with_name("all.npz"), anything=CLOUD)
    assert only(tmp_path).shape.name == "all.npz" and loaded(only(tmp_path))["points"].shape == (4096, 9)


@pytest.mark.parametrize(
    ("name", "front"), [("model.obj", (1, 0, 0)), ("models/model_normalized.obj", (0, 0, -1)), ("pix3d", (0, 0, -1))]
)
def test_meshes_are_turned_as_their_source_states(tmp_path: Path, name: str, front: tuple[int, int, int]) -> None:
    if name == "pix3d":
        pix3d(tmp_path, [entry(0)])
    else:
        wedge(shapenet(tmp_path) / f"ShapeNetCore.v1/{CHAIR}/{MODEL}" / name, front)
    points = loaded(only(tmp_path))["points"].astype(np.float64)
    place, normals = points[:, :3], points[:, 6:]
    assert np.abs(place[place @ FRONT > 0.45] @ RIGHT).max() < 0.03  # the tip
    assert (place[place @ UP > 0.05] @ RIGHT > 0).all()
    assert np.ptp(place @ FRONT) == pytest.approx(1, abs=0.02) and np.isnan(points[:, 3:6]).all()
    # Right, floor, back and left, their normals as long as their areas.
    faces = np.array([[4, 0, 1], [0, -8, 0], [0, 0, -2], [-4, 8, 1]])
    areas = np.linalg.norm(faces, axis=1)
    alike = normals @ (faces / areas[:, None]).T > 0.999
    assert alike.any(1).all() and alike.mean(0) == pytest.approx(areas / areas.sum(), abs=0.03)


def _store(**arrays: Any) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **{"points": CLOUD, **arrays})


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"none"),
        lambda path: path.write_bytes(path.read_bytes()[:-300]),
        _store(points=CLOUD[:, :2]),
        _store(points=CLOUD[:2047]),
        _store(points=np.where(CLOUD == CLOUD[5], np.nan, CLOUD)),
        _store(points=np.where(CLOUD == CLOUD[5], np.inf, CLOUD)),
        _store(points=np.zeros((3000, 3))),
        _store(points=CLOUD.astype(np.int64)),
        _store(points=np.array([None])),
        _store(colours=np.zeros((5000, 3), np.float32)),
        _store(colours=np.zeros((4999, 3), np.uint8)),
        _store(normals=np.zeros((5000, 2), np.float32)),
        lambda path: np.savez(path, pc=CLOUD, other=CLOUD),
    ],
    ids=["missing", "empty", "text", "cut", "flat", "few", "nan", "inf", "one place", "integers", "pickled",
         "float colours", "few colours", "flat normals", "no points"],
)  # fmt: skip
def test_a_broken_cloud_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    item = only(ours(tmp_path))
    damage(item.shape)
    with pytest.raises(InputError, match=r"points\.npz") as caught:
        loaded(item)
    assert caught.value.code == "data.points"


def test_masks_say_where_the_object_is(tmp_path: Path) -> None:
    read = loaded(only(pix3d(tmp_path, [entry(0), entry(1)])))
    assert (read["views"][..., 3] == prepare(rendering(), 32).picture[..., 3]).all()  # the pictures are noise


def test_a_broken_mesh_or_mask_is_named(tmp_path: Path) -> None:
    item = only(pix3d(tmp_path, [entry(0)]))
    save(item.masks[0], np.zeros((64, 32), np.uint8))
    with pytest.raises(InputError, match=r"0\.png 32 x 64, 0\.jpg 64 x 64") as caught:
        loaded(item)
    assert caught.value.code == "data.mask-size"
    save(item.masks[0], np.zeros((64, 64), np.uint8))
    with pytest.raises(InputError, match=r"0\.jpg: 0\.0 %") as caught:
        loaded(item)
    assert caught.value.code == "object.none"
    item.masks[0].write_bytes(b"")
    with pytest.raises(InputError, match=r"mask/bed/0\.png") as caught:
        loaded(item)
    assert caught.value.code == "input.unreadable"
    save(item.masks[0], rendering()[..., 3])
    for text, code in (("v 1 2", "mesh."), ("", "mesh."), ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3", "mesh.flat")):
        item.shape.write_text(text)
        with pytest.raises(InputError, match=r"malm\.obj") as caught:
            loaded(item)
        assert caught.value.code.startswith(code)


def test_grey_and_deep_pictures_are_read_with_their_colours(tmp_path: Path) -> None:
    item = only(ours(tmp_path, views=1))
    deep = rendering().astype(np.uint16) * 257
    save(item.views[0], deep)
    assert (loaded(item)["views"][0] == prepare(rendering(), 32).picture).all()
    grey = np.full((64, 64), 10, np.uint8)
    grey[INSIDE] = 200
    save(item.views[0], grey)
    view = loaded(item)["views"][0]
    assert view[16, 16].tolist() == [200, 200, 200, 255] and view[0, 0, 3] == 0


def test_a_source_goes_on_without_what_is_broken_and_counts_it(tmp_path: Path) -> None:
    items = layouts.listed(ours(tmp_path, 3)).items
    items[0].shape.write_bytes(b"none")
    items[1].views[0].write_bytes(b"none")
    said: list[str] = []
    source = dataset.Source(items, 32, 3, said.append)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert source(rng)["views"].shape == (3, 32, 32, 4)
    assert [item.name for item in source.items] == ["mugs/m1", "mugs/m2"] and len(said) == 2
    assert said[0].startswith("left out, 1 so far: ") and said[1].startswith("left out, 2 so far: ")
    assert any("m0/points.npz" in line for line in said) and any("m1/view_0.png" in line for line in said)
    for item in items:
        item.shape.unlink()
    with pytest.raises(InputError, match=r"points\.npz") as caught:
        source(rng)
    assert caught.value.code == "data.empty"


def test_what_is_scored_is_what_was_stored(tmp_path: Path) -> None:
    (read,) = dataset.scored(pix3d(tmp_path / "a", [entry(0), entry(1), entry(2), entry(3)]), "all")
    item = read()
    assert item.category == "bed" and len(item.views) == 3 and item.points.shape == (4096, 3)
    assert (item.views[0][..., 3] == rendering()[..., 3]).all() and (read().points == item.points).all()
    (read,) = dataset.scored(ours(tmp_path / "b", views=1), "all")
    assert np.array_equal(read().views[0], rendering(100))
    with pytest.raises(InputError) as caught:
        dataset.scored(tmp_path / "b", "val")
    assert caught.value.code == "data.empty"


def test_unknown_colours_and_normals_are_not_asked_for() -> None:
    rng = np.random.default_rng(3)
    items = [training.sample(training.drawn_object(rng, 32), rng, 64, 8) for _ in range(2)]
    full = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
    half, doubled, first, second = (full | {"cloud": full["cloud"].clone()} for _ in range(4))
    half["cloud"][0, 32:, 3:] = torch.nan
    doubled["cloud"][0, 32:, 3:] = doubled["cloud"][0, :32, 3:]
    first["cloud"][1, :, 3:] = torch.nan
    second["cloud"][0, :, 3:] = torch.nan

    def parts(batch: dict[str, torch.Tensor]) -> dict[str, float]:
        torch.manual_seed(0)
        model = DiffPoint(replace(TINY, cells=8))
        value, told = training.cloud_loss(model, batch, diffusion.signal())
        value.backward()
        assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
        return told

    found, twice, whole = parts(half), parts(doubled), parts(full)
    assert found["place"] == whole["place"] and found["cells"] == whole["cells"]
    one, other = parts(first), parts(second)
    for name in ("colour", "normal"):
        assert one[name] > 0 and one[name] + other[name] == pytest.approx(whole[name], rel=1e-5)
        # Half of the points stand for all of them; an untrained network tells each of them about the same.
        assert found[name] != whole[name] and found[name] == pytest.approx(twice[name], rel=0.05)


def test_means_are_over_what_is_known() -> None:
    values = torch.tensor([[1.0, 2, 6], [5, 7, 9], [3, 3, 3]])
    known = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    assert training._mean(values, known).tolist() == [3.5, 0, 3]


def test_folders_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, "starter", TINY)
    monkeypatch.setattr(training, "_HELD", 2)
    data = (ours(tmp_path / "a", 12, views=1), clouds(shapenet(tmp_path / "b")))
    said: list[str] = []
    config = TrainConfig(minutes=None, steps=3, batch=4)
    folder = training.train(tmp_path / "run", config, CPU, data=data, points=64, log=said.append)
    assert (folder / "model.safetensors").is_file()
    held = sum(zlib.crc32(f"mugs/m{number}".encode()) % 10 == 0 for number in range(12))
    assert said[0] == f"{data[0]} (ours): {12 - held} objects to train on, {held} held out"
    assert said[1] == f"{data[1]} (r2n2): 1 objects to train on, 0 held out"
    assert np.isfinite(json.loads(said[-1])["val_chamfer_1"])
    with pytest.raises(PipelineError) as caught:
        training.train(tmp_path / "run", config, CPU, points=64)
    assert caught.value.code == "train.resume"


def test_nothing_to_train_on_is_told(tmp_path: Path) -> None:
    name = next(f"m{number}" for number in range(99) if zlib.crc32(f"mugs/m{number}".encode()) % 10 == 0)
    (ours(tmp_path) / "mugs/m0").rename(tmp_path / "mugs" / name)
    with pytest.raises(InputError) as caught:
        training.train(tmp_path / "run", TrainConfig(minutes=None, steps=1), CPU, data=[tmp_path])
    assert caught.value.code == "data.empty"
