"""Prepared sketches: what the network sees of a drawing is the drawing, whatever it was drawn and photographed with."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import skimage.data
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.synthetic.buildings import sample_building
from pipelines.synthetic.linework import CLEAN, Camera, Hand, draw, on_paper, sample_hand
from pipelines.vitruvio.sketch import MARGIN, STROKE, prepare
from pipelines.vitruvio.tracing import trace

PHOTOS = os.environ.get("STUDIO_PHOTOS", "")
Grey = NDArray[np.uint8]


def rgb(grey: Grey) -> NDArray[np.uint8]:
    return np.repeat(grey[..., None], 3, axis=2)


def drawing(seed: int, hand: Hand = CLEAN, size: int = 512) -> Grey:
    rng = np.random.default_rng(seed)
    return draw(sample_building(rng, "tower"), Camera(40, 24, 20), hand, rng, size)


def agreement(one: Grey, other: Grey) -> float:
    """Intersection over union of ink, a pixel of slack allowed."""
    wide = [cv2.dilate((image < 128).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for image in (one, other)]
    return float((wide[0] & wide[1]).sum() / (wide[0] | wide[1]).sum())


def test_a_clean_drawing_is_what_the_network_learned_from() -> None:
    own = drawing(1, size=128)
    found = prepare(rgb(drawing(1)))
    assert found.image.shape == (128, 128) and found.image.dtype == np.uint8
    assert agreement(found.image, own) > 0.9
    assert found.roll == 0 and found.findings == ()
    rows, columns = np.nonzero(found.image < 128)
    # the drawing fills the square up to the margin with its middle lines
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    assert longer == pytest.approx(128 * (1 - 2 * MARGIN) + STROKE, abs=2)
    assert rows.min() + rows.max() == pytest.approx(127, abs=2)


def test_the_pen_is_always_the_same() -> None:
    """A marker and a hard pencil come out as one: thick ink stays one stroke, thin ink is not lost."""
    marker, pencil = (prepare(rgb(drawing(1, replace(CLEAN, stroke=width, tone=tone)))) for width, tone in
                      ((5.0, 1.0), (0.5, 0.6)))  # fmt: skip
    widths = [(found.image < 128).sum() for found in (marker, pencil)]
    assert widths[0] == pytest.approx(widths[1], rel=0.08)
    assert agreement(marker.image, pencil.image) > 0.75


@pytest.mark.parametrize("seed", range(4))
def test_a_photo_of_the_paper_gives_the_same_strokes(seed: int) -> None:
    clean = drawing(seed)
    photo = on_paper(clean, np.random.default_rng(seed))
    seen, expected = prepare(photo), prepare(rgb(clean))
    assert seen.findings == ()
    assert (seen.image < 128).sum() == pytest.approx((expected.image < 128).sum(), rel=0.15)
    # the photo is tilted by up to 5 % of its side, so strokes lie a little apart
    wide = [cv2.dilate((found.image < 128).astype(np.uint8), np.ones((15, 15))) > 0 for found in (seen, expected)]
    assert (wide[0] & (expected.image < 128)).sum() > 0.97 * (expected.image < 128).sum()
    assert (wide[1] & (seen.image < 128)).sum() > 0.97 * (seen.image < 128).sum()


def test_light_on_dark_and_coloured_ink_are_ink() -> None:
    clean = drawing(2)
    expected = prepare(rgb(clean)).image
    red = np.stack([np.full_like(clean, 230), clean, clean], axis=2)
    for picture in (rgb(255 - clean), red, rgb(clean // 2 + 20)):
        assert agreement(prepare(picture).image, expected) > 0.9


def test_a_shadow_and_a_table_are_no_ink() -> None:
    clean = rgb(drawing(2)).astype(np.float32) * 0.9 + 10
    shadow = clean.copy()
    shadow *= np.interp(np.arange(512), [195, 215], [1, 0.55])[:, None].astype(np.float32)
    table = np.full((760, 760, 3), (60, 42, 30), np.float32)
    table[::9] *= 1.4
    table[120:632, 130:642] = clean
    expected = prepare(clean.astype(np.uint8))
    for picture, at in ((shadow, (0, 0)), (table, (130, 120))):
        found = prepare(picture.astype(np.uint8))
        assert agreement(found.image, expected.image) > 0.9
        assert (found.box.x - at[0], found.box.y - at[1]) == pytest.approx((expected.box.x, expected.box.y), abs=3)


@pytest.mark.parametrize("grid", [False, True])
def test_ruled_paper_is_no_ink(grid: bool) -> None:
    sheet = np.pad(drawing(2), 60, constant_values=255)
    expected = prepare(rgb(sheet)).image
    ruled = rgb(sheet).astype(np.float32)
    ruled[11::24] *= (0.7, 0.8, 0.95)
    if grid:
        ruled[:, 7::24] *= (0.7, 0.8, 0.95)
    assert agreement(prepare(ruled.astype(np.uint8)).image, expected) > 0.85


def test_specks_and_what_lies_far_off_do_not_move_the_drawing() -> None:
    sheet = np.pad(drawing(2), 120, constant_values=255)
    expected = prepare(rgb(sheet))
    cv2.circle(sheet, (30, 40), 9, 0.0, -1)
    sheet[700:703, 50:53] = 0
    found = prepare(rgb(sheet))
    assert np.array_equal(found.image, expected.image) and found.box == expected.box


@pytest.mark.parametrize("roll", [-9.0, -4.0, 4.0, 9.0])
def test_the_roll_of_the_paper_is_taken_out(roll: float) -> None:
    found = prepare(rgb(drawing(3, replace(CLEAN, roll=roll))))
    assert found.roll == pytest.approx(roll, abs=1.5)
    assert agreement(found.image, prepare(rgb(drawing(3))).image) > 0.6


def test_nothing_is_turned_where_upright_strokes_are_few() -> None:
    page = np.full((300, 300), 255, np.uint8)
    cv2.line(page, (60, 50), (80, 240), 0.0, 4)
    cv2.line(page, (80, 240), (260, 200), 0.0, 4)
    assert prepare(rgb(page)).roll == 0


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_page_is_said_so(value: int) -> None:
    with pytest.raises(InputError) as raised:
        prepare(np.full((200, 300, 3), value, np.uint8))
    assert raised.value.code == ("sketch.solid" if value == 0 else "sketch.empty")


def test_what_is_no_sketch_is_refused() -> None:
    filled = np.full((300, 300, 3), 255, np.uint8)
    filled[20:280, 20:280] = 0
    blots = np.full((300, 300, 3), 255, np.uint8)
    blots[100:103, 100:103] = 0
    cases = {"sketch.small": rgb(drawing(1, size=31)), "sketch.solid": filled, "sketch.empty": blots,
             "sketch.format": drawing(1)}  # fmt: skip
    for code, picture in cases.items():
        with pytest.raises(InputError) as raised:
            prepare(picture)
        assert raised.value.code == code and raised.value.remedy and raised.value.seen is not None


@pytest.mark.parametrize("shape", [(32, 641, 3), (32, 5000, 3), (9000, 40, 3)])
def test_a_ribbon_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError) as raised:
        prepare(np.full(shape, 255, np.uint8))
    assert raised.value.code == "sketch.small"


def test_the_narrowest_picture_is_prepared() -> None:
    page = np.full((32, 640, 3), 255, np.uint8)
    cv2.rectangle(page, (100, 6), (500, 26), (0.0,) * 3, 2)
    assert (prepare(page).image < 128).any()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_drawings_are_taken_for_drawings(level: int) -> None:
    rng = np.random.default_rng(level)
    for _ in range(3):
        picture = drawing(int(rng.integers(1000)), sample_hand(rng, level))
        assert prepare(rgb(picture)).findings == () == prepare(on_paper(picture, rng)).findings


def codes(picture: NDArray[np.uint8]) -> set[str]:
    try:
        return {finding.code for finding in prepare(picture).findings}
    except InputError as error:
        return {error.code}


def test_a_cat_is_not_taken_for_a_drawing() -> None:
    assert codes(skimage.data.cat()) == {"sketch.not-a-drawing"}


@pytest.mark.skipif(not PHOTOS, reason="STUDIO_PHOTOS names no folder of photographs")
def test_most_photographs_are_not_taken_for_drawings() -> None:
    paths = sorted(Path(PHOTOS).rglob("*.jpg"))
    paths = paths[:: max(len(paths) // 12, 1)][:12]
    refused = [bool(codes(np.asarray(PIL.Image.open(path).convert("RGB")))) for path in paths]
    assert len(refused) == 12 and np.mean(refused) > 0.8


def test_a_large_scan_gives_what_a_small_one_gives() -> None:
    clean = drawing(2)
    large = cv2.resize(clean, (4096, 4096), interpolation=cv2.INTER_CUBIC)
    found, expected = prepare(rgb(large)), prepare(rgb(clean))
    assert agreement(found.image, expected.image) > 0.9
    assert found.box.w == pytest.approx(expected.box.w * 8, rel=0.02)
    assert all(max(layer.shape) <= 640 for layer in found.layers.values())


def test_a_small_cross_keeps_its_four_arms_and_a_bump_is_no_stroke() -> None:
    """Arms are as good as one another, whatever order the strokes are numbered in."""
    cross = np.zeros((120, 120), np.uint8)
    cv2.line(cross, (50, 50), (70, 70), [1.0], 5)
    cv2.line(cross, (50, 70), (70, 50), [1.0], 5)
    ends = np.concatenate([stroke[[0, -1]] for stroke in trace(cross > 0)])
    for corner in ((50, 50), (70, 70), (50, 70), (70, 50)):
        assert np.hypot(*(ends - corner).T).min() < 4
    bumped = np.zeros((120, 120), np.uint8)
    cv2.line(bumped, (10, 60), (110, 60), [1.0], 7)
    cv2.circle(bumped, (60, 64), 3, [1.0], -1)
    assert max(np.ptp(stroke[:, 1]) for stroke in trace(bumped > 0)) < 4
