"""A row of picture tiles to pick one from: samples, people in a photo, recent results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from studio.ui.components import asset


@dataclass(frozen=True)
class Tile:
    """One picture to pick.

    Attributes:
        id: What the picker returns.
        label: Short name under the picture, also read aloud.
        src: Data URL of a thumbnail.
    """

    id: str
    label: str
    src: str


@cache
def _mount() -> Any:
    html = '<div class="row" role="radiogroup"></div>'
    return component("studio_tiles", html=html, css=asset("tiles.css"), js=asset("tiles.js"))


def tiles(
    items: Sequence[Tile],
    *,
    key: str,
    label: str,
    selected: str | None,
    on_pick: Callable[[str], None],
    shape: str = "portrait",
    wrap: bool = False,
    reveal: str = "",
) -> None:
    """Show the row. What is selected is the caller's state; a pick calls ``on_pick`` before the next run.

    Args:
        items: The tiles, in order.
        key: Streamlit key.
        label: Name of the group for screen readers.
        selected: Id of the marked tile, or None.
        on_pick: Receives the id of the tile that was clicked.
        shape: ``portrait``, ``square`` or ``wide``.
        wrap: Break into lines instead of scrolling sideways.
        reveal: CSS selector of what a pick changes, scrolled to when it lies elsewhere on the page.
    """

    def picked() -> None:
        chosen = (st.session_state.get(key) or {}).get("picked")
        if chosen in {item.id for item in items}:
            on_pick(chosen)

    data = {
        "items": [asdict(item) for item in items],
        "label": label,
        "selected": selected,
        "shape": shape,
        "wrap": wrap,
        "reveal": reveal,
    }
    _mount()(key=key, data=data, on_picked_change=picked)
