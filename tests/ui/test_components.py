"""The parts of the browser components that run in Python: strokes, difference, tint, scaling."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from studio.ui.components import asset, data_url, fit_inside
from studio.ui.components.compare import difference_image, tint
from studio.ui.components.mask import MAX_POINTS, Stroke, paint, read_strokes


def stroke(mode="add", size=0.1, points=((0.5, 0.5),)):
    return {"mode": mode, "size": size, "points": [list(point) for point in points]}


def test_strokes_survive_the_way_to_the_browser_and_back():
    sent = read_strokes([stroke("erase", 0.25, ((0, 1), (0.5, 0.25)))])
    assert sent == (Stroke("erase", 0.25, ((0.0, 1.0), (0.5, 0.25))),)
    assert read_strokes([item.as_dict() for item in sent]) == sent


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        ["add"],
        [stroke("paint")],
        [stroke(size=0)],
        [stroke(size=1.5)],
        [stroke(size=float("nan"))],
        [stroke(size=True)],
        [stroke(points=())],
        [stroke(points=((0.5, -0.1),))],
        [stroke(points=((0.5, float("inf")),))],
        [{"mode": "add", "size": "0.1", "points": [[0, 0]]}],
        [stroke(points=[(0.5, 0.5)] * (MAX_POINTS + 1))],
    ],
)
def test_strokes_from_the_browser_are_checked(raw):
    with pytest.raises(ValueError, match="stroke"):
        read_strokes(raw)


def test_a_dot_adds_a_disc_of_the_stated_size():
    mask = paint(np.zeros((200, 100), np.uint8), read_strokes([stroke(size=0.4)]))
    ys, xs = np.nonzero(mask > 127)
    assert (xs.min() + xs.max()) / 2 == pytest.approx(50, abs=1)
    assert (ys.min() + ys.max()) / 2 == pytest.approx(100, abs=1)
    assert np.count_nonzero(mask > 127) == pytest.approx(np.pi * 20**2, rel=0.06)
    assert mask[100, 50] == 255 and mask[0, 0] == 0


def test_a_line_has_round_ends_and_no_gaps():
    mask = paint(np.zeros((100, 200), np.uint8), read_strokes([stroke(size=0.1, points=((0.2, 0.5), (0.8, 0.5)))]))
    assert (mask[50, 32:168] > 200).all()  # half a brush beyond both ends
    assert not mask[:38].any() and not mask[62:].any()
    assert not mask[50, :28].any() and not mask[50, 173:].any()


def test_later_strokes_win_and_the_automatic_mask_is_not_changed():
    auto = np.full((60, 60), 255, np.uint8)
    edited = paint(auto, read_strokes([stroke("erase", 0.5), stroke("add", 0.1)]))
    assert auto.all()
    assert edited[30, 30] == 255 and edited[30, 20] == 0 and edited[0, 0] == 255


def test_no_strokes_leave_feather_untouched():
    auto = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(paint(auto, ()), auto)


def test_difference_is_black_exactly_where_nothing_changed():
    before = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    after = before.copy()
    after[5, 7, 2] ^= 1  # the smallest change there is
    shown = difference_image(before, after)
    assert shown[5, 7].min() >= 24
    shown[5, 7] = 0
    assert not shown.any()


def test_tint_leaves_the_photo_alone_outside_the_mask():
    photo = np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 5:9] = 255
    shown = tint(photo, mask)
    assert np.array_equal(shown[mask == 0], photo[mask == 0])
    assert not np.array_equal(shown[mask > 0], photo[mask > 0])


def test_scaling_keeps_the_shape_and_never_enlarges():
    image = np.zeros((400, 200, 3), np.uint8)
    assert fit_inside(image, 100).shape == (100, 50, 3)
    assert fit_inside(image, 800) is image
    assert fit_inside(image[..., 0], 1).shape == (1, 1)


def test_data_url_holds_the_picture():
    image = np.random.default_rng(2).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    head, body = data_url(image, "PNG").split(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))), image)


@pytest.mark.parametrize("name", ["compare", "mask", "sketch", "solid", "tiles"])
def test_components_ask_for_nothing_outside(name):
    for suffix in ("js", "css"):
        text = asset(f"{name}.{suffix}")
        assert "http" not in text and "//cdn" not in text and "@import" not in text and "import(" not in text
