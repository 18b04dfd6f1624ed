"""Mesh viewer: the finished solid on the printer's bed, in millimetres, turned and cut in the browser.

Nothing is loaded from elsewhere. Where the browser has no WebGL, a picture of the solid is shown instead.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from streamlit.components.v2 import component

from studio.ui.components import asset

_VIEWS = {"iso": "3D", "front": "Front", "side": "Side", "top": "Top"}


def _html() -> str:
    views = "".join(f'<button type="button" data-view="{name}">{label}</button>' for name, label in _VIEWS.items())
    return f"""
<div class="frame">
  <div class="bar">
    <div class="views" role="group" aria-label="View from">{views}</div>
    <span class="group">
      <button type="button" class="plain fit">Fit</button>
      <button type="button" class="plain edges">Edges</button>
      <button type="button" class="plain heat">Wall thickness</button>
    </span>
  </div>
  <div class="stage">
    <canvas tabindex="0" role="img" aria-label="The model on the printer's bed. Arrow keys turn it, with Shift they
      move it, plus and minus zoom, Home fits it."></canvas>
    <span class="size x" hidden></span><span class="size y" hidden></span><span class="size z" hidden></span>
    <p class="note"></p>
    <div class="nogl"><p role="status">This browser has no WebGL 2, so the model cannot be turned here. Another
      browser can, and every download holds the whole model.</p><img alt="The model, as the sketch shows it"></div>
  </div>
  <p class="legend" hidden><span class="least"></span><i></i><span class="most"></span></p>
  <div class="bar"><label class="section">Cut at height <input type="range" min="1" max="100" value="100"
    aria-label="Cut at height"><output></output></label></div>
  <p class="key">Drag to turn, wheel or pinch to zoom, Shift-drag or two fingers to move.</p>
</div>
"""


@cache
def _mount() -> Any:
    return component(
        "studio_solid", html=_html(), css=asset("frame.css") + asset("viewer.css") + asset("solid.css"),
        js=asset("orbit.js") + asset("solid.js"),
    )  # fmt: skip


def solid_viewer(model: bytes, *, key: str, bed: tuple[float, float], wall: float, fallback: str = "") -> None:
    """Show the viewer.

    Args:
        model: What studio/viewing.py packed: counts, corners, thickness, triangles.
        key: Streamlit key.
        bed: Width and depth of the printer's bed in millimetres.
        wall: Thinnest wall in millimetres that the printer can make.
        fallback: Data URL of a picture for browsers without WebGL, or empty.
    """
    _mount()(key=key, data=_payload(model, bed, wall, fallback))


def _payload(model: bytes, bed: tuple[float, float], wall: float, fallback: str) -> bytes:
    """One block of bytes: length of the head (uint32), the head as JSON filled up to four bytes, the model."""
    head = {
        "id": hashlib.sha256(model).hexdigest()[:16] + f"{bed}",
        "bed": list(bed),
        "wall": wall,
        "note": f"Bed {bed[0]:g} × {bed[1]:g} mm, grid 10 mm",
        "fallback": fallback,
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + model
