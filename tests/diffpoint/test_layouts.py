"""Each published layout in tiny files under the real names: what is listed, left out and refused."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.diffpoint import layouts

CHAIR, MODEL = "03001627", "1006be65e7bc937e9141f9b58470d646"
CLOUD = np.random.default_rng(0).uniform((-3, 10, 0), (1, 12, 1), (5000, 3))  # 4 x 2 x 1
FRONT, UP, RIGHT = np.eye(3)[[2, 1, 0]]  # of the frame that networks learn
INSIDE = (slice(20, 50), slice(10, 40))


def save(path: Path, picture: np.ndarray) -> Path:
    """Write a picture, RGB, RGBA or grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = picture if picture.ndim == 2 else picture[..., [2, 1, 0, 3][: picture.shape[2]]]
    path.write_bytes(cv2.imencode(path.suffix, stored)[1].tobytes())
    return path


def rendering(red: int = 200) -> np.ndarray:
    """(64, 64, 4): a block on nothing."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[INSIDE] = (red, 60, 20, 255)
    return picture


def wedge(path: Path, front: tuple[int, int, int]) -> None:
    """A tetrahedron whose tip points to ``front``, its ridge to the right of one who looks at that."""
    forward = np.array(front)
    right = np.cross(-forward, UP)
    corners = [4 * forward, right, -right, right + UP]
    lines = ["mtllib model.mtl", *(f"v {x} {y} {z}" for x, y, z in corners), "usemtl a"]
    faces = ["1 2 4", "1 4 3", "1 3 2", "2 3 4"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, *(f"f {face}" for face in faces)]))


def ours(root: Path, count: int = 1, views: int = 3, **arrays: Any) -> Path:
    for number in range(count):
        folder = root / "mugs" / f"m{number}"
        for view in range(views):
            save(folder / f"view_{view}.png", rendering(100 + 20 * view))
        np.savez(folder / "points.npz", **{"points": CLOUD.astype(np.float32), **arrays})
    return root


def shapenet(root: Path) -> Path:
    for view in range(4):
        save(root / f"ShapeNetRendering/{CHAIR}/{MODEL}/rendering/{view:02d}.png", rendering())
    (root / f"ShapeNetRendering/{CHAIR}/{MODEL}/rendering/renderings.txt").write_text("00.png\n")
    return root


def clouds(root: Path) -> Path:
    folder = root / f"ShapeNet_pointclouds/{CHAIR}/{MODEL}"
    folder.mkdir(parents=True)
    np.save(folder / "pointcloud_1024.npy", CLOUD[:1024])
    np.save(folder / "pointcloud_2048.npy", CLOUD[:2048])
    return root


def entry(number: int, model: str = "model/bed/malm/malm.obj", **values: Any) -> dict[str, Any]:
    plain = {"img": f"img/bed/{number}.jpg", "mask": f"mask/bed/{number}.png", "model": model, "category": "bed",
             "bbox": [10, 20, 40, 50], "truncated": False, "occluded": False, "slightly_occluded": False}  # fmt: skip
    return plain | values


def pix3d(root: Path, entries: list[dict[str, Any]], count: int = 4) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for number in range(count):
        save(root / f"img/bed/{number}.jpg", noise)
        save(root / f"mask/bed/{number}.png", rendering()[..., 3])
    wedge(root / "model/bed/malm/malm.obj", (0, 0, -1))
    (root / "pix3d.json").write_text(json.dumps(entries))
    return root


def only(root: Path) -> layouts.Item:
    (item,) = layouts.listed(root).items
    return item


def test_pix3d_leaves_out_what_is_hidden_and_groups_by_model(tmp_path: Path) -> None:
    entries = [
        entry(0), entry(1), entry(2, truncated=True), entry(3, occluded="true"), entry(3, slightly_occluded=True),
        entry(9), entry(3, model="model/bed/none.obj"),
    ]  # fmt: skip
    found = layouts.listed(pix3d(tmp_path, entries))
    assert found.left_out == {"truncated": 1, "occluded": 1, "slightly occluded": 1, "with a file missing": 2}
    assert layouts.told(found.left_out) == "1 occluded, 1 slightly occluded, 1 truncated, 2 with a file missing"
    (item,) = found.items
    assert (item.name, item.category, len(item.views)) == ("bed/malm/malm", "bed", 2)
    assert [path.parent.name for path in item.masks] == ["bed", "bed"] and item.front == "-z"


@pytest.mark.parametrize("field", ["img", "mask", "model"])
@pytest.mark.parametrize("path", ["../a.png", "/etc/passwd", "img/../../a.png", "C:\\a.png", "..\\a.png"])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, field: str, path: str) -> None:
    pix3d(tmp_path / "set", [entry(0), entry(1, truncated=True) | {field: path}])
    with pytest.raises(InputError) as caught:
        layouts.listed(tmp_path / "set")
    assert caught.value.code == "data.outside" and path in str(caught.value.seen)


@pytest.mark.parametrize("text", ["", "{}", "3", "[3]", '[{"img": "a"}]', "[", "\xff", '[{"img": 3}]'])
def test_a_malformed_pix3d_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pix3d.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        layouts.listed(tmp_path)
    assert caught.value.code == "data.layout" and "pix3d.json" in str(caught.value)


def test_what_is_incomplete_is_counted_and_nothing_is_an_error(tmp_path: Path) -> None:
    for folder, code in ((tmp_path / "nowhere", "data.layout"), (tmp_path, "data.layout")):
        with pytest.raises(InputError) as caught:
            layouts.listed(folder)
        assert caught.value.code == code
    with pytest.raises(InputError, match="1 without a surface") as caught:
        layouts.listed(shapenet(tmp_path / "a"))
    assert caught.value.code == "data.empty"
    ours(tmp_path / "b", 3)
    (tmp_path / "b/mugs/m0/points.npz").unlink()
    for path in (tmp_path / "b/mugs/m1").glob("*.png"):
        path.unlink()
    found = layouts.listed(tmp_path / "b")
    assert [item.name for item in found.items] == ["mugs/m2"]
    assert found.left_out == {"without a surface": 1, "without a picture": 1}


def test_splits_go_by_the_name(tmp_path: Path) -> None:
    found = layouts.listed(ours(tmp_path, 40, views=1))
    train, val, everything = (found.of(split) for split in layouts.SPLITS)
    assert {item.name for item in val} == {n for i in range(40) if zlib.crc32((n := f"mugs/m{i}").encode()) % 10 == 0}
    assert val and len(train) + len(val) == len(everything) == 40 and not set(train) & set(val)
    with pytest.raises(InputError) as caught:
        found.of("test")
    assert caught.value.code == "data.split"
