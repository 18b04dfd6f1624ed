"""Each published layout, in tiny pictures under the real names."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

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


REFERENCE = "reference/manipulation/NC2016-manipulation-ref.csv"
ROWS = """TaskID|ProbeFileID|ProbeFileName|ProbeMaskFileName|IsTarget|BaseFileName
Manipulation|NC2016_0098|probe/NC2016_0098.jpg||N|
Manipulation|NC2016_0128|probe/NC2016_0128.jpg|reference/manipulation/mask/NC2016_3942.png|Y|world/NC2016_3272.jpg
"""

SETS = {
    "ours": ("tampered/a.jpg", "masks/a.png", white, "authentic/a.jpg"),
    "casia": ("Tp/Tp_D_CND_S_N_a.jpg", "Gt/Tp_D_CND_S_N_a_gt.png", white, "Au/Au_ani_1.jpg"),
    "casia of one name": ("Tp/6.jpg", "Gt/6.png", white, "Au/Au_ani_1.jpg"),
    "casia v1": ("Tp/CM/Sp_S_NNN_A_a.jpg", "CASIA 1.0 groundtruth/CM/Sp_S_NNN_A_a_gt.png", white, "Au/Au_ani_1.jpg"),
    "casia v2": ("Tp/Tp_S_NNN_S_N_a.tif", "CASIA 2 Groundtruth/Tp_S_NNN_S_N_a_gt.png", white, "Au/Au_ani_1.jpg"),
    "columbia": ("4cam_splc/a_sub_01.tif", "4cam_splc/edgemask/a_sub_01_edgemask.jpg", green, "4cam_auth/b.tif"),
    "columbia as bmp": ("4cam_splc/a_sub_01.bmp", "4cam_splc/edgemask/a_sub_01_edgemask.bmp", green, "4cam_auth/b.tif"),
    "coverage": ("image/7t.tif", "mask/7forged.tif", white, "image/7.tif"),
    "nist16": ("probe/NC2016_0128.jpg", "reference/manipulation/mask/NC2016_3942.png", black, "probe/NC2016_0098.jpg"),
    "nist16 by name": ("probe/NC2016_1.jpg", "mask/NC2016_1.png", black, "world/NC2016_2.jpg"),
    "imd2020": ("1a1ogs/c8_0.jpg", "1a1ogs/c8_0_mask.png", white, "1a1ogs/1a1ogs_orig.jpg"),
}


def build(root: Path, layout: str) -> None:
    tampered, mask, how, untouched = SETS[layout]
    picture(root / tampered)
    how(root / mask)
    picture(root / untouched)
    if layout == "nist16":
        (root / REFERENCE).write_text(ROWS)


@pytest.mark.parametrize("layout", SETS)
def test_a_layout_is_recognised_and_its_mask_read(tmp_path: Path, layout: str) -> None:
    build(tmp_path, layout)
    name, items = dataset.listed(tmp_path)
    assert name == layout.split()[0] and len(items) == 2
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


def test_of_many_missing_masks_five_are_named(tmp_path: Path) -> None:
    for number in range(7):
        picture(tmp_path / f"tampered/{number}.png")
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match=r"7 of 7: 0\.png, 1\.png, 2\.png, 3\.png, 4\.png\)"):
        dataset.listed(tmp_path)


def test_other_masks_and_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    build(tmp_path, "columbia")
    green(tmp_path / "4cam_splc/edgemask/a_sub_01_edgemask_3.jpg")
    green(tmp_path / "4cam_auth/edgemask/b_edgemask.jpg")
    (tmp_path / "4cam_splc/._a_sub_01.tif").write_bytes(b"none")
    (tmp_path / "4cam_splc/Thumbs.db").write_bytes(b"none")
    assert [item.picture.name for item in dataset.listed(tmp_path)[1]] == ["a_sub_01.tif", "b.tif"]


def test_both_greens_of_columbia_are_spliced_and_both_reds_are_not(tmp_path: Path) -> None:
    build(tmp_path, "columbia")
    colours = np.array([[255, 0, 0], [200, 0, 0], [0, 255, 0], [0, 200, 0]], np.uint8)
    save(tmp_path / SETS["columbia"][1], colours.repeat(16, 0)[None].repeat(40, 0))
    (tampered,) = [item for item in dataset.listed(tmp_path)[1] if item.mask]
    save(tampered.picture, np.zeros((40, 64, 3), np.uint8))
    mask = dataset.read(tampered)[1]
    assert not mask[:, :28].any() and mask[:, 36:].all()  # the seam is blurred by JPEG


@pytest.mark.parametrize(("layout", "stem"), [("coverage", "7"), ("imd2020", "1a1ogs"), ("ours", "a")])
def test_an_edit_and_its_original_are_on_one_side_of_a_split(tmp_path: Path, layout: str, stem: str) -> None:
    build(tmp_path, layout)
    assert {item.stem for item in dataset.listed(tmp_path)[1]} == {stem}


def test_folders_of_one_name_with_coverage_are_not_taken_for_it(tmp_path: Path) -> None:
    picture(tmp_path / "image/cat.tif")
    white(tmp_path / "mask/cat.tif")
    with pytest.raises(InputError, match="no data set of tampered pictures"):
        dataset.listed(tmp_path)


@pytest.mark.parametrize("rows", ["", "ProbeFileName|IsTarget\na.jpg|N\n", ROWS + "Manipulation|x|probe/x.jpg\n"])
def test_a_reference_that_says_too_little_is_named(tmp_path: Path, rows: str) -> None:
    build(tmp_path, "nist16")
    (tmp_path / REFERENCE).write_text(rows)
    with pytest.raises(InputError) as caught:
        dataset.listed(tmp_path)
    assert caught.value.code == ("data.layout" if rows else "data.empty")


def test_pictures_that_a_list_names_in_vain_are_named(tmp_path: Path) -> None:
    build(tmp_path, "nist16")
    (tmp_path / "probe/NC2016_0098.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 2: NC2016_0098\.jpg") as caught:
        dataset.listed(tmp_path)
    assert caught.value.code == "data.missing"


def test_a_list_holds_both_kinds(tmp_path: Path) -> None:
    build(tmp_path, "ours")
    path = tmp_path / "list.json"
    path.write_text(json.dumps([["tampered/a.jpg", "masks/a.png"], ["authentic/a.jpg", "Negative"]]))
    name, items = dataset.listed(path)
    assert name == "list" and [item.mask is None for item in items] == [False, True]
    path.write_text(json.dumps([[str(tmp_path / "tampered/a.jpg"), str(tmp_path / "masks/a.png")]]))
    assert dataset.read(dataset.listed(path)[1][0])[1].any()


@pytest.mark.parametrize("text", ['[["one"]]', '{"ab": "cd"}', '["ab"]', '[["a.jpg", null]]', "3", "[", "\xff"])
def test_a_malformed_list_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read") as caught:
        dataset.listed(path)
    assert caught.value.code == "data.layout"


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
    double = INSIDE.repeat(2, 0).repeat(2, 1).astype(np.uint8) * 255
    save(tmp_path / "masks/a.png", double)
    item = dataset.listed(tmp_path)[1][0]
    assert (dataset.read(item)[1] == INSIDE).all()
    large = np.random.default_rng(1).random((60, 75)) < 0.5
    save(tmp_path / "masks/a.png", large.astype(np.uint8) * 255)
    rows, columns = ((1.5 * (np.arange(length) + 0.5)).astype(int) for length in (40, 50))
    assert (dataset.read(item)[1] == large[np.ix_(rows, columns)]).all()
    save(tmp_path / "masks/a.png", double[:79])
    assert (dataset.read(item)[1] == INSIDE).mean() > 0.97
    for other in (double[:40], double.T, double[:78]):
        save(tmp_path / "masks/a.png", other)
        with pytest.raises(InputError, match=rf"{other.shape[1]} x {other.shape[0]}.*50 x 40") as caught:
            dataset.read(item)
        assert caught.value.code == "data.mask-size"


def test_pictures_are_not_turned_by_exif(tmp_path: Path) -> None:
    """Masks have no such tag, and would lie across their picture."""
    build(tmp_path, "ours")
    shown = Image.fromarray(np.stack([INSIDE] * 3, -1).astype(np.uint8) * 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    shown.save(tmp_path / "tampered/a.jpg", exif=exif)
    stored, mask = dataset.read(dataset.listed(tmp_path)[1][0])
    assert ((stored.mean(2) > 127) == mask).mean() > 0.98


@pytest.mark.parametrize("damage", [b"", b"none"])
def test_a_damaged_mask_is_named(tmp_path: Path, damage: bytes) -> None:
    build(tmp_path, "ours")
    (tmp_path / "masks/a.png").write_bytes(damage)
    with pytest.raises(InputError, match=r"masks/a\.png") as caught:
        dataset.read(dataset.listed(tmp_path)[1][0])
    assert caught.value.code == "input.unreadable"


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    build(tmp_path, "ours")
    (tmp_path / "tampered/a.jpg").write_bytes(b"none")
    with pytest.raises(InputError, match=r"a\.jpg"):
        dataset.read(dataset.listed(tmp_path)[1][0])
