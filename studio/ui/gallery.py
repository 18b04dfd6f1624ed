"""Recent results: a strip to open one again, or to move one to the trash."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from studio.ui import notices, results
from studio.ui.components.tiles import Tile, tiles

SHOWN = 24


def recent_strip(items: Sequence[results.Recent], selected: str | None, on_open: Callable[[str], None]) -> None:
    """Show the newest results of this workspace, if there are any.

    Args:
        items: The results, newest first.
        selected: Id of the one on show, or None.
        on_open: Receives the id of the one that is picked.
    """
    if not items:
        return
    st.divider()
    st.subheader("Recent results", anchor=False)
    tiles(
        [Tile(item.id, item.label, item.thumbnail) for item in items],
        key="recent_tiles",
        label="Recent results",
        selected=selected,
        on_pick=on_open,
        reveal=".st-key-stage",
    )


def delete_button(artefact: str, forget: Callable[[], None]) -> None:
    """Delete behind a question; the file goes to the trash for 30 days."""
    with st.popover("Delete", icon=":material/delete:", use_container_width=True):
        st.write("Move this result to the trash? It stays there for 30 days.")
        st.button("Move to trash", key="trash", type="primary", on_click=_trash, args=(artefact, forget))


def _trash(artefact: str, forget: Callable[[], None]) -> None:
    with notices.catch():
        results.trash(artefact)
        forget()
        st.toast("Moved to the trash for 30 days.")
