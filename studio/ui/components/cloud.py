"""Cloud viewer: a point cloud that turns, how it came about step by step, and what each picture alone gives.

Nothing is loaded from elsewhere. Where the browser has no WebGL, a picture of the cloud is shown instead.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from streamlit.components.v2 import component

from studio.ui.components import asset

_VIEWS = {"iso": "3D", "front": "Front", "side": "Side", "top": "Top"}


def _html(pictures: int) -> str:
    views = "".join(f'<button type="button" data-view="{name}">{label}</button>' for name, label in _VIEWS.items())
    shown = ""
    if pictures > 1:
        each = "".join(
            f'<button type="button" data-shown="{n}">Picture {n + 1} alone</button>' for n in range(pictures)
        )
        shown = f"""<div class="bar"><div class="views" role="group" aria-label="Made of">
  <button type="button" data-shown="all">All {pictures} pictures</button>{each}</div></div>"""
    return f"""
<div class="frame">
  <div class="bar">
    <div class="views" role="group" aria-label="View from">{views}</div>
    <span class="group">
      <button type="button" class="plain fit">Fit</button>
      <button type="button" class="plain spin">Turn</button>
    </span>
  </div>
  {shown}
  <div class="stage">
    <canvas tabindex="0" role="img" aria-label="The point cloud. Arrow keys turn it, with Shift they move it, plus and
      minus zoom, Home fits it."></canvas>
    <div class="nogl"><p role="status">This browser has no WebGL 2, so the cloud cannot be turned here. Another
      browser can, and every download holds the whole cloud.</p><img alt="The point cloud"></div>
  </div>
  <div class="bar"><label class="section">From noise to cloud <input type="range" min="0" max="1" value="1"
    aria-label="Step"><output></output></label><button type="button" class="plain play">Play</button></div>
  <p class="key">Drag to turn, wheel or pinch to zoom, Shift-drag or two fingers to move.</p>
</div>
"""


@cache
def _mount(pictures: int) -> Any:
    return component(
        f"studio_cloud_{pictures}", html=_html(pictures), css=asset("frame.css") + asset("viewer.css"),
        js=asset("orbit.js") + asset("cloud.js"),
    )  # fmt: skip


def cloud_viewer(cloud: bytes, pictures: int, *, key: str, fallback: str = "") -> None:
    """Show the viewer.

    Args:
        cloud: What studio/viewing.py packed: counts, places, steps, clouds of single pictures, colours.
        pictures: How many single pictures' clouds are in it: none or at least two.
        key: Streamlit key.
        fallback: Data URL of a picture for browsers without WebGL, or empty.
    """
    _mount(pictures)(key=f"{key}_{pictures}", data=_payload(cloud, fallback))


def _payload(cloud: bytes, fallback: str) -> bytes:
    """One block of bytes: length of the head (uint32), the head as JSON filled up to four bytes, the cloud."""
    text = json.dumps({"id": hashlib.sha256(cloud).hexdigest()[:16], "fallback": fallback}).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + cloud
