"""Sketch canvas: draw a building on white paper, with straight lines and perspective guides; drawn in the browser.

The drawing is kept as polylines, so that it can be undone, opened again and turned into a picture of any size. The
picture carries them in a text chunk: a recipe that holds the picture brings back a drawing that can be edited.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

import streamlit as st
from PIL import Image, ImageDraw, PngImagePlugin
from streamlit.components.v2 import component

from studio.ui.components import asset

RATIO = 0.75  # height of the paper by its width
WIDE = 1200  # pixels of the finished picture
MAX_POINTS = 8000
CHUNK = "studio.drawing"
MAX_CHUNK = 400_000  # characters; what MAX_POINTS points can need

_TOOLS = {
    "line": ("Line", '<path d="M4 20 20 4"/>'),
    "free": ("Freehand", '<path d="M3 17c4-10 6 6 9-2s5-9 9-9"/>'),
    "rectangle": ("Rectangle", '<path d="M4 6h16v12H4z"/>'),
    "wall": ("Wall", '<path d="M4 3v18l16-5V8z"/>'),
    "erase": ("Erase", '<path d="m8 20-4-4L15 5l5 5-10 10zM9 11l5 5M8 20h12"/>'),
}
_ICONS = {
    "undo": '<path d="M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3"/>',
    "redo": '<path d="m15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3"/>',
}


def _icon(body: str) -> str:
    return f'<svg viewBox="0 0 24 24" aria-hidden="true">{body}</svg>'


def _html() -> str:
    tools = "".join(
        f'<button type="button" role="radio" data-tool="{name}" aria-label="{label}" title="{label}">'
        f"{_icon(body)}<span>{label}</span></button>"
        for name, (label, body) in _TOOLS.items()
    )
    handles = "".join(
        f'<button type="button" class="vp {name}" role="slider" aria-label="{label}" title="{label}"></button>'
        for name, label in (
            ("left", "Left vanishing point"),
            ("right", "Right vanishing point"),
            ("horizon", "Horizon"),
        )
    )
    return f"""
<div class="frame">
  <div class="bar">
    <div class="tools" role="radiogroup" aria-label="Drawing tool">{tools}</div>
    <span class="group">
      <button type="button" class="plain undo" aria-label="Undo" title="Undo (Ctrl+Z)">{_icon(_ICONS["undo"])}</button>
      <button type="button" class="plain redo" aria-label="Redo" title="Redo (Ctrl+Y)">{_icon(_ICONS["redo"])}</button>
      <button type="button" class="plain clear">Clear</button>
    </span>
  </div>
  <div class="stage">
    <canvas tabindex="0" role="img" aria-label="Drawing paper. Arrow keys move the pen, space starts and ends a line,
      Escape gives it up."></canvas>
    {handles}<div class="cursor"></div>
    <p class="hint">Draw a building from slightly above or from the street: its front corner first, then the two
      walls.</p>
  </div>
  <div class="bar">
    <label>Pen <input type="range" min="2" max="16" step="1" value="5" aria-label="Pen width"></label>
    <span class="group">
      <button type="button" class="plain assist" title="Lines become straight and meet at corners">Assist</button>
      <button type="button" class="plain guided" title="Show the horizon and both vanishing points">Guides</button>
    </span>
  </div>
  <p class="key">With Assist, lines snap to the vertical and to the vanishing points. Wall: drag from a lower corner to
    the opposite upper one. The handles on the horizon move the guides.</p>
  <span class="said" role="status"></span>
</div>
"""


@dataclass(frozen=True)
class Shape:
    """One stroke.

    Attributes:
        mode: Whether it is ink or takes ink away.
        width: Of the pen, as a fraction of the paper's width, in (0, 0.2].
        points: (x, y) in units of the paper's width: x in [0, 1], y in [0, RATIO].
    """

    mode: Literal["ink", "erase"]
    width: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Guides:
    """Two-point perspective, in units of the paper's width.

    Attributes:
        shown: Whether they are drawn and lines snap to them.
        horizon: Height of both points, downwards.
        left: x of the left vanishing point; it may lie beyond the paper.
        right: x of the right one.
    """

    shown: bool = True
    horizon: float = 0.42
    left: float = -0.6
    right: float = 1.6


@dataclass(frozen=True)
class Drawing:
    """Everything on the paper."""

    shapes: tuple[Shape, ...] = ()
    guides: Guides = Guides()

    @property
    def empty(self) -> bool:
        """Whether there is no ink stroke."""
        return all(shape.mode != "ink" for shape in self.shapes)

    def as_dict(self) -> dict[str, Any]:
        """Return it as the browser knows it."""
        return asdict(self)


def read_drawing(raw: Any) -> Drawing:
    """Check what the browser or a file says; it is input like any other.

    Args:
        raw: ``{"shapes": [{"mode", "width", "points"}], "guides": {"shown", "horizon", "left", "right"}}``.

    Raises:
        ValueError: On anything else, numbers out of range, or more than ``MAX_POINTS`` points.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("shapes"), list | tuple):
        raise ValueError(f"drawing: expected shapes, got {str(raw)[:60]}")
    shapes, count = [], 0
    for item in raw["shapes"]:
        if not isinstance(item, dict) or item.get("mode") not in ("ink", "erase"):
            raise ValueError(f"drawing: expected mode ink or erase, got {str(item)[:60]}")
        pairs = item.get("points")
        if not isinstance(pairs, list | tuple) or not pairs:
            raise ValueError(f"drawing: a stroke needs points, got {str(pairs)[:60]}")
        count += len(pairs)
        if count > MAX_POINTS or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
            raise ValueError(f"drawing: more than {MAX_POINTS} points, or points that are no pairs")
        points = tuple((_number(x, "x", 0, 1), _number(y, "y", 0, RATIO)) for x, y in pairs)
        shapes.append(Shape(item["mode"], _number(item.get("width"), "width", 0.0005, 0.2), points))
    guides = raw.get("guides")
    if not isinstance(guides, dict) or not isinstance(guides.get("shown"), bool):
        raise ValueError(f"drawing: expected guides, got {str(guides)[:60]}")
    sides = {name: _number(guides.get(name), name, -5, 6) for name in ("horizon", "left", "right")}
    return Drawing(tuple(shapes), Guides(guides["shown"], **sides))


def _number(value: Any, name: str, low: float, high: float) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not known or not low - 1e-6 <= value <= high + 1e-6:
        raise ValueError(f"drawing {name}: expected a number in [{low:g}, {high:g}], got {str(value)[:40]}")
    return float(value)


def render(drawing: Drawing, wide: int = WIDE) -> bytes:
    """Draw the strokes, without the guides.

    Args:
        drawing: What ``read_drawing`` returned.
        wide: Width of the picture in pixels.

    Returns:
        A PNG file, grey, black on white, smoothed, with the drawing itself in a text chunk.
    """
    scale = 2 * wide
    paper = Image.new("L", (scale, round(scale * RATIO)), 255)
    pen = ImageDraw.Draw(paper)
    for shape in drawing.shapes:
        tone = 0 if shape.mode == "ink" else 255
        radius = max(1.0, shape.width * scale / 2)
        points = [(x * scale, y * scale) for x, y in shape.points]
        if len(points) > 1:
            pen.line(points, fill=tone, width=max(1, round(2 * radius)))
        for x, y in points:  # round ends and corners, which PIL's lines lack
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tone)
    small = paper.resize((wide, round(wide * RATIO)), Image.Resampling.BOX)
    info = PngImagePlugin.PngInfo()
    info.add_text(CHUNK, json.dumps(drawing.as_dict(), separators=(",", ":")))
    stream = io.BytesIO()
    small.save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def drawing_in(data: bytes) -> Drawing | None:
    """The drawing inside a picture that ``render`` made, or None; the file may come from anywhere."""
    if not data.startswith(b"\x89PNG"):
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            text = picture.info.get(CHUNK)
        if not isinstance(text, str) or len(text) > MAX_CHUNK:
            return None
        return read_drawing(json.loads(text))
    except (OSError, ValueError, RecursionError, SyntaxError):  # damaged or not ours: then it is just a picture
        return None


@cache
def _mount() -> Any:
    return component(
        "studio_sketch",
        html=_html(),
        css=asset("frame.css") + asset("sketch.css"),
        js=asset("radios.js") + asset("sketch.js"),
    )


def sketch_canvas(drawing: Drawing, *, key: str, epoch: int, on_edit: Callable[[Drawing], None]) -> None:
    """Show the canvas. The drawing is the caller's state; each change calls ``on_edit`` before the next run.

    Args:
        drawing: What has been drawn so far, for a page that is opened again.
        key: Streamlit key.
        epoch: Raise it to make the browser take ``drawing`` again.
        on_edit: Receives the drawing, checked.
    """

    def edited() -> None:
        sent = (st.session_state.get(key) or {}).get("drawing") or {}
        if sent.get("epoch") == epoch:
            on_edit(read_drawing(sent))

    data = drawing.as_dict() | {"ratio": RATIO, "epoch": epoch}
    _mount()(key=key, data=data, on_drawing_change=edited)
