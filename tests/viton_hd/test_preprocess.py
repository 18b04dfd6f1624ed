"""The data set's layout and agnostic forms, on a drawn person whose answer is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from pipelines.core.errors import InputError
from pipelines.viton_hd import preprocess
from pipelines.viton_hd.preprocess import TO_PARSE7, TO_PARSE13, agnostic_image, agnostic_parse, read_pairs, read_sample

SAMPLE = Path(__file__).parents[1] / "parity" / "data" / "viton_hd" / "sample_open"


def joints() -> np.ndarray:
    """An upright person with hanging arms at load size; feet and face stay unfound."""
    found = np.zeros((25, 2))
    found[[1, 2, 3, 4, 5, 6, 7, 8, 9, 12]] = [
        (384, 250), (284, 260), (264, 420), (254, 560), (484, 260), (504, 420), (514, 560), (384, 600), (334, 600),
        (434, 600),
    ]  # fmt: skip
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(SAMPLE, copy)
    return copy


def test_every_lip_id_has_its_class() -> None:
    assert len(TO_PARSE13) == 20 and len(TO_PARSE7) == 13
    names = {5: 3, 6: 3, 7: 3, 14: 5, 15: 6, 13: 2, 2: 1, 10: 0, 19: 10, 11: 12, 8: 11, 12: 4}
    assert {lip: int(TO_PARSE13[lip]) for lip in names} == names
    assert TO_PARSE7.tolist() == [0, 3, 1, 2, 1, 4, 5, 1, 1, 1, 1, 1, 6]


def test_agnostic_parse_removes_garment_neck_and_covered_arms_only() -> None:
    parse = np.zeros((1024, 768), np.uint8)
    for lip, rows in {13: (100, 200), 10: (200, 260), 5: (260, 600), 9: (600, 900), 18: (900, 950)}.items():
        parse[slice(*rows), 300:460] = lip
    parse[400:800, 240:290] = 15
    parse[400:800, 490:540] = 14
    found = agnostic_parse(parse, joints())
    assert set(np.unique(found)) == {0, 9, 13, 14, 15, 18}
    for lip in (9, 13, 18):
        assert np.array_equal(found == lip, parse == lip)
    # The wrist's disc of radius 40 around row 560 ends at row 600: what hangs below, the hand, stays.
    assert not (found[:565] == 15).any() and (found[605:800, 240:290] == 15).all()
    assert parse[300, 350] == 5, "the input must not be changed"


def test_an_arm_that_was_not_found_stays_in_the_parse() -> None:
    parse = np.full((1024, 768), 15, np.uint8)
    lost = joints()
    lost[[2, 3, 4]] = 0
    assert (agnostic_parse(parse, lost) == 15).all()


def test_agnostic_image_is_grey_over_the_torso_and_untouched_elsewhere() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (1024, 768, 3), np.uint8)
    parse = np.zeros((1024, 768), np.uint8)
    parse[120:230, 300:460] = 13
    parse[560:900, 300:460] = 9
    before = joints()
    found = agnostic_image(PilImage.fromarray(photo), parse, before)
    assert np.array_equal(before, joints()), "the input must not be changed"
    kept = (parse == 13) | (parse == 9)
    assert np.array_equal(found[kept], photo[kept])
    for x, y in ((384, 400), (284, 260), (504, 420), (254, 560), (384, 300)):
        assert found[y, x].tolist() == [128, 128, 128]
    assert np.array_equal(found[:90], photo[:90]) and np.array_equal(found[950:], photo[950:])
    # Hips are moved out to shoulder width: 200 pixels apart around x = 384, with discs of half-axis 60.
    assert found[700, 284].tolist() == [128, 128, 128] and not (found[700, 200:222] == 128).all(1).any()


def test_hips_on_one_spot_do_not_break_the_drawing() -> None:
    lost = joints()
    lost[[9, 12]] = 0
    found = agnostic_image(PilImage.new("RGB", (768, 1024)), np.zeros((1024, 768), np.uint8), lost)
    assert found[300, 384].tolist() == [128, 128, 128]


def test_sample_is_read_at_another_size(folder: Path) -> None:
    [(person, cloth)] = read_pairs(folder)
    small = read_sample(folder, person, cloth, size=(512, 384))
    assert small.image.shape == small.agnostic.shape == small.pose.shape == small.cloth.shape == (512, 384, 3)
    assert small.parse_agnostic.shape == small.cloth_mask.shape == (512, 384)
    assert set(np.unique(small.cloth_mask)) == {0, 1}


def test_pairs_skip_blank_lines_and_refuse_odd_ones(folder: Path) -> None:
    (folder / "test_pairs.txt").write_text("a.jpg b.jpg\n\nc.jpg d.jpg\n")
    assert read_pairs(folder) == [("a.jpg", "b.jpg"), ("c.jpg", "d.jpg")]
    (folder / "test_pairs.txt").write_text("a.jpg b.jpg\nc.jpg\n")
    with pytest.raises(InputError, match=r"test_pairs\.txt:2: c\.jpg"):
        read_pairs(folder)


def damaged(folder: Path, what: str) -> None:
    test = folder / "test"
    if what == "no picture":
        (test / "image" / "open_00.jpg").unlink()
    elif what == "not a picture":
        (test / "cloth" / "open_00.jpg").write_bytes(b"nothing of the kind")
    elif what == "cut off":
        path = test / "cloth-mask" / "open_00.jpg"
        path.write_bytes(path.read_bytes()[:300])
    elif what == "landscape":
        PilImage.new("RGB", (1024, 768)).save(test / "image" / "open_00.jpg", "PNG")
    elif what == "foreign ids":
        PilImage.fromarray(np.full((1024, 768), 33, np.uint8)).save(test / "image-parse" / "open_00.png")
    elif what == "nobody":
        (test / "openpose-json" / "open_00_keypoints.json").write_text(json.dumps({"people": []}))
    elif what == "coco":
        people = {"people": [{"pose_keypoints_2d": [0.0] * 51}]}
        (test / "openpose-json" / "open_00_keypoints.json").write_text(json.dumps(people))
    elif what == "no list":
        (folder / "test_pairs.txt").unlink()


@pytest.mark.parametrize(
    "what",
    ["no picture", "not a picture", "cut off", "landscape", "foreign ids", "nobody", "coco", "no list"],
)
def test_a_damaged_data_set_is_one_clear_error(folder: Path, what: str) -> None:
    damaged(folder, what)
    with pytest.raises(InputError) as raised:
        [read_sample(folder, *pair) for pair in read_pairs(folder)]
    assert raised.value.code == "data.layout" and raised.value.seen is not None and raised.value.remedy


def test_load_size_is_the_published_one() -> None:
    assert preprocess.LOAD_SIZE == (1024, 768)
