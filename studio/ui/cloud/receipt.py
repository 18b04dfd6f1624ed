"""Below a cloud: how sure it is, what made it, and every format to take along; of a solid made of it the same."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from studio import clouds
from studio.errors import PipelineError
from studio.recipe import Recipe
from studio.ui import gallery, notices, receipt, workspace
from studio.ui.building import results as solids
from studio.ui.building.receipt import FORMATS as SOLID_FORMATS
from studio.ui.building.receipt import download
from studio.ui.cloud import results, stage, state

FORMATS = {name: name.upper() for name in clouds.FORMATS}


def show(restore: Callable[[Recipe], None]) -> None:
    """Draw receipt and downloads of what is on show; an unreadable result was already reported by the stage."""
    current = state.get()
    solid = current.solid if st.session_state.get(stage.VIEW) == stage.SOLID else None
    artefact = solid or current.artefact
    if artefact is None:
        return
    try:
        outcome = results.outcome(artefact)
    except PipelineError:
        return
    with st.container(border=True, key="receipt"):
        facts, take = st.columns([8, 5], gap="large")
        with facts:
            st.subheader("Receipt", anchor=False)
            st.html(receipt.definitions(_facts(outcome)))
            if weights := outcome.receipt.get("weights"):
                with st.expander("Weights and licences"):
                    st.html(receipt.weights_used(weights))
        with take:
            st.subheader("Take it along", anchor=False)
            if solid:
                known = {name: SOLID_FORMATS[name] for name in solids.formats()}
                again = "`studio rerun` on the file gives the same solid again."
                download(outcome.path, known, key="object_solid", again=again)
                gallery.delete_button(artefact, lambda: state.update(solid=None))
            else:
                download(outcome.path, FORMATS, key="cloud_file")
                receipt.settings_or_trash(artefact, lambda: _restore(outcome, restore), _forget, key="cloud_restore")


def _forget() -> None:
    state.update(artefact=None, solid=None)


def _restore(outcome: results.Outcome, restore: Callable[[Recipe], None]) -> None:
    with notices.catch():
        restore(outcome.recipe)
        state.update(artefact=outcome.id)


def _facts(outcome: results.Outcome) -> list[tuple[str, str]]:
    told = outcome.receipt
    rows: list[tuple[str, str]] = []
    cloud, surface = told.get("cloud"), told.get("surface")
    if isinstance(cloud, dict):
        rows.append(("Points", f"{cloud.get('points', 0):,}, from {_count(cloud.get('pictures', 1))}"))
        rows.append(("Confidence", f"{100 * float(cloud.get('confidence', 0)):.0f} %: how far second opinions agree"))
    if isinstance(surface, dict):
        through = "through the points" if surface.get("method") == "poisson" else "around the points"
        off = 100 * float(surface.get("mean_distance", 0))
        rows.append(("Surface", f"{through}, {off:.1f} % of its length from them on average"))
    rows += [("Clean-up", str(item.get("message"))) for item in told.get("changes", []) if isinstance(item, dict)]
    if outcome.recipe.weights:
        rows += receipt.origin(outcome.recipe.seed, told)
    rows.append(("Seal", workspace.seal_of(outcome.path)))
    rows.append(("Kept in", str(outcome.path)))
    return rows


def _count(pictures: int) -> str:
    return "one picture" if pictures == 1 else f"{pictures} pictures"
