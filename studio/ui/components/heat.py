"""The heat map over its photograph, with a slider for its opacity and boxes around the regions; all in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from streamlit.components.v2 import component

from studio.ui.components import asset, data_url, fit_inside

LONG_EDGE = 1400  # pixels sent to the browser

# Five colours of a scale that rises in brightness, so that it is read in grey too; RGB.
STOPS = ((0, 0, 8), (86, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))

_HTML = """
<div class="frame">
  <div class="stage">
    <img class="photo" alt="The picture"><img class="heat" alt="Heat map"><div class="boxes"></div>
  </div>
  <div class="controls">
    <label>Heat map <input type="range" min="0" max="100" step="1" class="opacity"></label>
    <label class="switch"><input type="checkbox" class="show-boxes" checked> Boxes</label>
  </div>
  <p class="legend"><span>unsuspicious</span><span class="scale"></span><span>suspicious</span></p>
</div>
"""


@cache
def _mount() -> Any:
    return component("studio_heat", html=_HTML, css=asset("heat.css"), js=asset("heat.js"))


def coloured(heat: np.ndarray) -> np.ndarray:
    """(H, W) uint8 -> (H, W, 4) uint8 along ``STOPS``, the more transparent the less there is to see."""
    values = np.arange(256)
    levels = np.linspace(0, 255, len(STOPS))
    colours = [np.interp(values, levels, [stop[channel] for stop in STOPS]) for channel in range(3)]
    opacity = 255 * np.sqrt(values / 255)
    return np.rint(np.stack([*colours, opacity], 1)).astype(np.uint8)[heat]


def heat_viewer(
    photo: np.ndarray, heat: np.ndarray, boxes: Sequence[Sequence[int]], size: tuple[int, int], *, key: str
) -> None:
    """Show the viewer.

    Args:
        photo: (h, w, 3) uint8.
        heat: (h, w) uint8.
        boxes: left, top, width, height of each region, in pixels of the picture itself.
        size: (H, W) of that.
        key: Streamlit key; another picture needs another key.
    """
    height, width = size
    shares = [[box[0] / width, box[1] / height, box[2] / width, box[3] / height] for box in boxes]
    data = {
        "photo": data_url(fit_inside(photo, LONG_EDGE)),
        "heat": data_url(coloured(fit_inside(heat, LONG_EDGE)), "PNG"),
        "boxes": shares,
        "ratio": width / height,
        "scale": [f"rgb{stop}" for stop in STOPS],
    }
    _mount()(key=key, data=data)
