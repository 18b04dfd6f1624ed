"""The part of the sketch canvas that runs in Python: what the browser sent is checked, drawn and found again."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from studio.ui.components.sketch import (
    CHUNK,
    MAX_CHUNK,
    MAX_POINTS,
    RATIO,
    Drawing,
    Guides,
    Shape,
    drawing_in,
    read_drawing,
    render,
)

GUIDES = {"shown": True, "horizon": 0.4, "left": -1.5, "right": 2}


def shape(mode="ink", width=0.01, points=((0.2, 0.3), (0.8, 0.3))):
    return {"mode": mode, "width": width, "points": [list(point) for point in points]}


def sent(*shapes, guides=GUIDES):
    return {"epoch": 3, "shapes": list(shapes), "guides": guides}


def pixels(drawing: Drawing) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render(drawing, 400))))


def test_a_drawing_survives_the_way_to_the_browser_and_back():
    read = read_drawing(sent(shape(), shape("erase", 0.1, ((0, RATIO),))))
    assert read.shapes[1] == Shape("erase", 0.1, ((0.0, RATIO),))
    assert read.guides == Guides(True, 0.4, -1.5, 2.0)
    assert read_drawing(json.loads(json.dumps(read.as_dict()))) == read


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {"shapes": None, "guides": GUIDES},
        sent("ink"),
        sent(shape("paint")),
        sent(shape(width=0)),
        sent(shape(width=0.5)),
        sent(shape(width=True)),
        sent(shape(points=())),
        sent(shape(points=((0.5, 0.9),))),
        sent(shape(points=((float("nan"), 0.1),))),
        sent(shape(points=((0.1, 0.1, 0.1),))),
        sent(shape(points=[(0.5, 0.5)] * (MAX_POINTS + 1))),
        sent(guides=None),
        sent(guides={**GUIDES, "left": -9}),
        sent(guides={**GUIDES, "shown": 1}),
    ],
)
def test_what_the_browser_sends_is_checked(raw):
    with pytest.raises(ValueError, match="drawing"):
        read_drawing(raw)


def test_a_line_is_black_on_white_with_round_ends_at_its_place():
    picture = pixels(read_drawing(sent(shape(width=0.05))))
    assert picture.shape == (300, 400) and picture.dtype == np.uint8
    dark = picture < 128
    ys, xs = np.nonzero(dark)
    assert (ys.min(), ys.max()) == (110, 129) and xs.min() == pytest.approx(70, abs=1) and xs.max() == 329
    assert dark[112:128, 75:325].all() and picture[0, 0] == 255 and picture[120, 200] == 0


def test_the_eraser_takes_away_what_was_drawn_before_and_not_after():
    cut = shape("erase", 0.2, ((0.5, 0.3),))
    assert pixels(read_drawing(sent(shape(), cut)))[120, 200] == 255
    assert pixels(read_drawing(sent(cut, shape())))[120, 200] == 0
    assert read_drawing(sent(cut)).empty and not read_drawing(sent(shape(), cut)).empty


def test_guides_are_not_part_of_the_picture():
    hidden = read_drawing(sent(shape(), guides={**GUIDES, "shown": False}))
    assert np.array_equal(pixels(hidden), pixels(read_drawing(sent(shape()))))


def test_the_picture_brings_the_drawing_back():
    drawn = read_drawing(sent(shape(), shape("erase")))
    assert drawing_in(render(drawn)) == drawn


@pytest.mark.parametrize("text", ["{", "[]", "[" * 50_000, json.dumps(sent(shape("paint"))), "x" * (MAX_CHUNK + 1)])
def test_a_foreign_text_in_a_picture_is_just_a_picture(text):
    info = PngImagePlugin.PngInfo()
    info.add_text(CHUNK, text)
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG", pnginfo=info)
    assert drawing_in(stream.getvalue()) is None
    assert drawing_in(stream.getvalue()[:40]) is None and drawing_in(b"GIF89a") is None
