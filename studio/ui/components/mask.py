"""Mask brush: the automatic mask over the photo, with add, erase, undo and reset.

Our own small canvas and not streamlit-drawable-canvas: that one has a width fixed in Python, so it either scrolls
sideways on a phone or stays a stamp on a desk; and it draws above the mask, so erasing cannot show the photo again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFilter
from streamlit.components.v2 import component

from studio.ui.components import asset, data_url, fit_inside

LONG_EDGE = 1000  # pixels of the canvas; strokes are kept as fractions of the photo, so nothing is lost
MAX_POINTS = 5000
EDIT_COLOR, GUARD_COLOR = "#e05638", "#3f8fd2"

_HTML = """
<div class="frame">
  <div class="bar">
    <div class="tools" role="radiogroup" aria-label="Mask tool">
      <button type="button" role="radio" data-tool="look">Look</button>
      <button type="button" role="radio" data-tool="add">Add</button>
      <button type="button" role="radio" data-tool="erase">Erase</button>
    </div>
    <label>Brush <input type="range" min="1" max="25" value="7" aria-label="Brush size"></label>
    <span>
      <button type="button" class="plain undo">Undo</button>
      <button type="button" class="plain reset">Reset</button>
    </span>
  </div>
  <div class="stage">
    <img alt="The photo"><canvas tabindex="0" role="img"
      aria-label="Mask over the photo. With Add or Erase chosen, arrow keys move the brush and space paints."></canvas>
    <div class="cursor"></div>
  </div>
  <p class="key" style="--edit:{edit};--guard:{guard}"><span><i class="edit"></i>may change</span>
    <span><i class="guard"></i>protected</span><span>everything else stays as it is</span></p>
</div>
"""


@dataclass(frozen=True)
class Stroke:
    """One brush stroke on the photo.

    Attributes:
        mode: Whether it adds to the mask or erases from it.
        size: Brush diameter as a fraction of the photo's width, in (0, 1].
        points: (x, y) fractions of width and height, in [0, 1].
    """

    mode: Literal["add", "erase"]
    size: float
    points: tuple[tuple[float, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the stroke as the browser sends it."""
        return {"mode": self.mode, "size": self.size, "points": [list(point) for point in self.points]}


def read_strokes(raw: Any) -> tuple[Stroke, ...]:
    """Check what the browser sent; it is input like any other.

    Args:
        raw: List of ``{"mode", "size", "points"}``.

    Raises:
        ValueError: On anything but such a list, numbers out of range, or more than ``MAX_POINTS`` points.
    """
    if not isinstance(raw, list):
        raise ValueError(f"strokes: expected a list, got {type(raw).__name__}")
    strokes = []
    for item in raw:
        if not isinstance(item, dict) or item.get("mode") not in ("add", "erase"):
            raise ValueError(f"stroke: expected mode add or erase, got {str(item)[:60]}")
        size = _number(item.get("size"), "size")
        points = tuple((_number(x, "x"), _number(y, "y")) for x, y in item.get("points") or ())
        if size == 0 or not points:
            raise ValueError(f"stroke: needs a size above 0 and a point, got {str(item)[:60]}")
        strokes.append(Stroke(item["mode"], size, points))
    if sum(len(stroke.points) for stroke in strokes) > MAX_POINTS:
        raise ValueError(f"strokes: more than {MAX_POINTS} points")
    return tuple(strokes)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"stroke {name}: expected a number in [0, 1], got {str(value)[:40]}")
    return float(value)


def paint(mask: np.ndarray, strokes: tuple[Stroke, ...]) -> np.ndarray:
    """Draw strokes into a mask, in order, with round ends.

    A stroke's edge is softened over half a percent of the height, as the automatic mask's is: the pipeline takes a
    drawn mask as it comes, and a hard edge in it would be a hard edge in the picture.

    Args:
        mask: (H, W) uint8, 0 outside to 255 inside.
        strokes: What ``read_strokes`` returned.

    Returns:
        (H, W) uint8, a copy.
    """
    height, width = mask.shape
    result = Image.fromarray(mask.copy())
    for stroke in strokes:
        cover = Image.new("L", (width, height))
        pen = ImageDraw.Draw(cover)
        diameter = max(1.0, stroke.size * width)
        points = [(x * width, y * height) for x, y in stroke.points]
        if len(points) > 1:
            pen.line(points, fill=255, width=max(1, round(diameter)))
        for x, y in points:  # PIL's lines end flat and leave notches in the corners; discs close both
            pen.ellipse((x - diameter / 2, y - diameter / 2, x + diameter / 2, y + diameter / 2), fill=255)
        soft = cover.filter(ImageFilter.GaussianBlur(min(height / 400, diameter / 8)))
        result.paste(255 if stroke.mode == "add" else 0, mask=soft)
    return np.asarray(result)


@cache
def _mount() -> Any:
    html = _HTML.format(edit=EDIT_COLOR, guard=GUARD_COLOR)
    return component(
        "studio_mask", html=html, css=asset("frame.css") + asset("mask.css"), js=asset("radios.js") + asset("mask.js")
    )


def _cutout(mask: np.ndarray, color: str, opacity: float = 1.0) -> str:
    """A mask as a data URL of one colour with the mask as its alpha."""
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    layer = np.dstack([*(np.full(mask.shape, value, np.uint8) for value in rgb), (mask * opacity).astype(np.uint8)])
    return data_url(layer, "PNG")


def mask_brush(
    photo: np.ndarray,
    mask: np.ndarray,
    protected: np.ndarray,
    *,
    key: str,
    base: str,
    epoch: int,
    strokes: tuple[Stroke, ...],
    on_edit: Callable[[tuple[Stroke, ...]], None],
) -> None:
    """Show the brush. The strokes are the caller's state; each finished stroke calls ``on_edit`` before the next run.

    Args:
        photo: (H, W, 3) uint8.
        mask: (H, W) uint8, the automatic mask.
        protected: (H, W) uint8, what the pipeline keeps in front of the garment.
        key: Streamlit key.
        base: Identifies photo and mask; edits made over another base are dropped.
        epoch: Raise it to make the browser take ``strokes`` again.
        strokes: What has been drawn so far, for a page that is opened again.
        on_edit: Receives the strokes, checked.
    """

    def edited() -> None:
        edits = (st.session_state.get(key) or {}).get("edits") or {}
        if edits.get("base") == base and edits.get("epoch") == epoch:
            on_edit(read_strokes(edits.get("strokes")))

    small = fit_inside(photo, LONG_EDGE)
    height, width = small.shape[:2]
    data = {
        "photo": data_url(small),
        "mask": _cutout(fit_inside(mask, LONG_EDGE), EDIT_COLOR),
        "protected": _cutout(fit_inside(protected, LONG_EDGE), GUARD_COLOR, opacity=0.35),
        "width": width,
        "height": height,
        "color": EDIT_COLOR,
        "base": base,
        "epoch": epoch,
        "strokes": [stroke.as_dict() for stroke in strokes],
    }
    _mount()(key=key, data=data, on_edits_change=edited)
