"""Each published layout, in tiny pictures under the real names."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.iml_vit import dataset

INSIDE = np.zeros((40, 50), bool)
INSIDE[10:20, 5:30] = True


def save(path: Path, array: np.ndarray) -> None:
    """Write a picture, RGB or grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, array[..., ::-1] if array.ndim == 3 else array)[1].tobytes())


def picture(path: Path) -> None:
    save(path, np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))


def white(path: Path) -> None:
    save(path, INSIDE.astype(np.uint8) * 255)


def black(path: Path) -> None:
    save(path, (~INSIDE).astype(np.uint8) * 255)


def green(path: Path) -> None:
    save(path, np.stack([~INSIDE, INSIDE, np.zeros_like(INSIDE)], -1).astype(np.uint8) * 200)


SETS = {
    "ours": ("tampered/a.jpg", "masks/a.png", white, "authentic/a.jpg"),
    "casia": ("Tp/Tp_D_CND_S_N_a.jpg", "Gt/Tp_D_CND_S_N_a_gt.png", white, "Au/Au_ani_1.jpg"),
    "columbia": ("4cam_splc/a_sub_01.tif", "4cam_splc/edgemask/a_sub_01_edgemask.jpg", green, "4cam_auth/b.tif"),
    "coverage": ("image/7t.tif", "mask/7forged.tif", white, "image/7.tif"),
    "nist16": ("probe/NC2016_1.jpg", "mask/NC2016_1.png", black, "world/NC2016_2.jpg"),
    "imd2020": ("x/c8_0.jpg", "x/c8_0_mask.png", white, "x/1a_orig.jpg"),
}


def build(root: Path, layout: str) -> None:
    tampered, mask, how, untouched = SETS[layout]
    picture(root / tampered)
    how(root / mask)
    picture(root / untouched)


@pytest.mark.parametrize("layout", SETS)
def test_a_layout_is_recognised_and_its_mask_read(tmp_path: Path, layout: str) -> None:
    build(tmp_path, layout)
    name, items = dataset.listed(tmp_path)
    assert name == layout and len(items) == 2
    (tampered,) = [item for item in items if item.mask]
    (untouched,) = [item for item in items if not item.mask]
    shown, mask = dataset.read(tampered)
    assert shown.shape == (40, 50, 3)
    assert (mask == INSIDE).mean() > 0.98  # Columbia's masks are JPEG
    assert not dataset.read(untouched)[1].any()


@pytest.mark.parametrize("layout", SETS)
def test_a_missing_mask_is_named(tmp_path: Path, layout: str) -> None:
    build(tmp_path, layout)
    (tmp_path / SETS[layout][1]).unlink()
    with pytest.raises(InputError, match=Path(SETS[layout][0]).name) as caught:
        dataset.listed(tmp_path)
    assert caught.value.code == "data.unpaired"


def test_a_list_holds_both_kinds(tmp_path: Path) -> None:
    build(tmp_path, "ours")
    path = tmp_path / "list.json"
    path.write_text(json.dumps([["tampered/a.jpg", "masks/a.png"], ["authentic/a.jpg", "Negative"]]))
    name, items = dataset.listed(path)
    assert name == "list" and [item.mask is None for item in items] == [False, True]
    path.write_text('[["one"]]')
    with pytest.raises(InputError, match="cannot be read"):
        dataset.listed(path)


def test_anything_else_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tampered/, masks/"):
        dataset.listed(tmp_path)
    (tmp_path / "tampered").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError) as caught:
        dataset.listed(tmp_path)
    assert caught.value.code == "data.empty"


def test_masks_of_another_size_are_fitted_if_the_shape_agrees(tmp_path: Path) -> None:
    build(tmp_path, "ours")
    double = cv2.resize(INSIDE.astype(np.uint8) * 255, (100, 80), interpolation=cv2.INTER_NEAREST)
    save(tmp_path / "masks/a.png", np.asarray(double))
    item = dataset.listed(tmp_path)[1][0]
    assert (dataset.read(item)[1] == INSIDE).mean() > 0.97
    save(tmp_path / "masks/a.png", np.asarray(double)[:40])
    with pytest.raises(InputError, match=r"100 x 40.*50 x 40"):
        dataset.read(item)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    build(tmp_path, "ours")
    (tmp_path / "tampered/a.jpg").write_bytes(b"none")
    with pytest.raises(InputError, match=r"a\.jpg"):
        dataset.read(dataset.listed(tmp_path)[1][0])
