"""Recent results: a strip to open one again, or to move one to the trash."""

from __future__ import annotations

import streamlit as st

from studio.ui import notices, results, state
from studio.ui.components.tiles import Tile, tiles

SHOWN = 24


def recent_strip() -> None:
    """Show the newest results of this workspace, if there are any."""
    items = results.recent(SHOWN)
    if not items:
        return
    st.divider()
    st.subheader("Recent results", anchor=False)
    tiles(
        [Tile(item.id, item.label, item.thumbnail) for item in items],
        key="recent_tiles",
        label="Recent results",
        selected=state.get().artefact,
        on_pick=open_result,
        reveal=".st-key-stage",
    )


def open_result(artefact: str) -> None:
    """Put a result on the stage. The inputs in use stay; "Use these settings" below it restores its own."""
    state.update(artefact=artefact)
    st.session_state["stage_view"] = "Result"


def delete_button(artefact: str) -> None:
    """Delete behind a question; the file goes to the trash for 30 days."""
    with st.popover("Delete", icon=":material/delete:", use_container_width=True):
        st.write("Move this result to the trash? It stays there for 30 days.")
        st.button("Move to trash", key="trash", type="primary", on_click=_trash, args=(artefact,))


def _trash(artefact: str) -> None:
    with notices.catch():
        results.trash(artefact)
        state.update(artefact=None)
        st.toast("Moved to the trash for 30 days.")
