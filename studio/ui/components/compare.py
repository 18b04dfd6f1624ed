"""Before/after viewer: slider, blink, difference and mask over the same pair, drawn in the browser."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from streamlit.components.v2 import component

from studio.ui.components import asset, data_url, fit_inside

LONG_EDGE = 1400  # pixels sent to the browser; the download is always full size

_HTML = """
<div class="frame">
  <div class="views" role="radiogroup" aria-label="View">
    <button role="radio" data-view="slider">Slider</button>
    <button role="radio" data-view="blink">Blink</button>
    <button role="radio" data-view="difference">Difference</button>
    <button role="radio" data-view="mask">Mask</button>
  </div>
  <div class="stage">
    <img class="after"><img class="before"><img class="difference" alt="Changed pixels"><img class="overlay" alt="Mask">
    <span class="tag left">Before</span><span class="tag right">After</span>
    <div class="handle" role="slider" tabindex="0" aria-label="Before and after" aria-orientation="horizontal"
         aria-valuemin="0" aria-valuemax="100"></div>
  </div>
  <p class="caption" aria-live="polite"></p>
</div>
"""

CAPTIONS = {
    "slider": "Drag, or use the arrow keys, to move between the photo and the result.",
    "blink": "The same spot before and after, in turn: the eye catches what moved.",
    "difference": "Brightness shows how much each pixel changed. Black is unchanged, exactly.",
    "mask": "The tinted area was allowed to change. Everything else is the photo, untouched.",
}


@cache
def _mount() -> Any:
    return component("studio_compare", html=_HTML, css=asset("compare.css"), js=asset("compare.js"))


def difference_image(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Brightness of the change per pixel, stretched so that a small change is visible.

    Args:
        before: (H, W, 3) uint8.
        after: (H, W, 3) uint8.

    Returns:
        (H, W, 3) uint8; exactly 0 where the two are equal, at least 24 where they are not.
    """
    change = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    shown = np.where(change == 0, 0, np.clip(24 + 2 * change, 0, 255)).astype(np.uint8)
    return np.repeat(shown[:, :, None], 3, axis=2)


def tint(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int] = (224, 86, 56)) -> np.ndarray:
    """Lay a colour over an image where the mask is set, half as strong as the mask.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) uint8, 0 outside to 255 inside.
        color: RGB of the tint.

    Returns:
        (H, W, 3) uint8.
    """
    weight = mask[:, :, None].astype(np.float32) / 255 * 0.5
    return (image * (1 - weight) + np.asarray(color, np.float32) * weight + 0.5).astype(np.uint8)


def compare(before: np.ndarray, after: np.ndarray, mask: np.ndarray, *, key: str) -> None:
    """Show the viewer.

    Args:
        before: (H, W, 3) uint8, the photo.
        after: (H, W, 3) uint8, the result, same size.
        mask: (H, W) uint8, the declared edit mask.
        key: Streamlit key; another result needs another key.
    """
    height, width = before.shape[:2]
    _mount()(key=key, data=_payload(before, after, mask) | {"width": width, "height": height})


def _payload(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    small = [fit_inside(x, LONG_EDGE) for x in (before, after)]
    # The difference is taken at full size, before scaling: scaling first would hide single changed pixels.
    return {
        "before": data_url(small[0]),
        "after": data_url(small[1]),
        "difference": data_url(fit_inside(difference_image(before, after), LONG_EDGE), "PNG"),
        "overlay": data_url(tint(small[1], fit_inside(mask, LONG_EDGE))),
        "before_alt": "The photo before the edit",
        "after_alt": "The photo with the garment on",
        "captions": CAPTIONS,
    }
