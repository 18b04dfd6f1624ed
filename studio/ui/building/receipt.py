"""Below a building: the print passport, how sure the reading is, what made it, and every format to take along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from studio.errors import PipelineError
from studio.recipe import Recipe
from studio.targets import SUFFIX_OF
from studio.ui import notices, receipt, workspace
from studio.ui.building import forms, passport, results, state

FORMATS = {"3mf": "3MF", "stl": "STL", "obj": "OBJ", "ply": "PLY", "glb": "GLB", "ifc": "IFC"}
USES = {
    "3mf": "For slicers: names its unit and carries passport and recipe.",
    "stl": "For any slicer. It knows no unit: read it as millimetres. It has no room for the recipe.",
    "obj": "For modelling programs; millimetres.",
    "ply": "For mesh tools; millimetres.",
    "glb": "For viewers and game engines; metres, as that format asks.",
    "ifc": "For building models (BIM): one solid, no walls or storeys.",
}
MIME = {"3mf": "model/3mf", "stl": "model/stl", "obj": "model/obj", "glb": "model/gltf-binary"}


def show(artefact: str, restore: Callable[[Recipe], None]) -> None:
    """Draw passport, receipt and downloads; an unreadable result was already reported by the stage."""
    try:
        outcome = results.outcome(artefact)
    except PipelineError:
        return
    with st.container(border=True, key="receipt"):
        facts, take = st.columns([8, 5], gap="large")
        with facts:
            _passport(outcome)
        with take:
            st.subheader("Take it along", anchor=False)
            _download(outcome)
            receipt.settings_or_trash(artefact, lambda: _restore(outcome, restore), _forget, key="building_restore")
            st.subheader("Receipt", anchor=False)
            st.html(receipt.definitions(_facts(outcome)))
            if weights := outcome.receipt.get("weights"):
                with st.expander("Weights and licences"):
                    st.html(receipt.weights_used(weights))


def _forget() -> None:
    current = state.get()
    state.update(artefact=None, made=tuple(item for item in current.made if item[1] != current.artefact))


def _restore(outcome: results.Outcome, restore: Callable[[Recipe], None]) -> None:
    with notices.catch():
        restore(outcome.recipe)
        state.update(artefact=outcome.id)


def _passport(outcome: results.Outcome) -> None:
    found = outcome.passport
    printer = forms.PRINTERS.get(str(found.get("printer")), str(found.get("printer")))
    st.subheader("Print passport", anchor=False)
    if not found:
        st.caption("This file carries no passport.")
        return
    if found["printable"]:
        st.success(f"**Printable.** Nothing stands against printing it on: {printer}.", icon=":material/check_circle:")
    else:
        st.error(f"**Not printable as it is** on: {printer}. The rows with ✗ say why.", icon=":material/block:")
    st.html(passport.table(found))
    st.html(receipt.definitions(passport.facts(found)))


def _facts(outcome: results.Outcome) -> list[tuple[str, str]]:
    told = outcome.receipt
    rows: list[tuple[str, str]] = []
    confidence = told.get("confidence")
    if isinstance(confidence, int | float):
        rows.append(("Confidence", f"{100 * confidence:.0f} %: the overlap to expect with the building you meant"))
    camera = told.get("camera")
    if isinstance(camera, dict) and {"azimuth", "elevation"} <= set(camera):
        rows.append(("Drawn from", f"{camera['azimuth']:.0f}° around, {camera['elevation']:.0f}° above"))
    if outcome.variants > 1:
        rows.append(("Reading", f"{outcome.variant + 1} of {outcome.variants}"))
    rows += [("Clean-up", str(item.get("message"))) for item in told.get("changes", []) if isinstance(item, dict)]
    rows += receipt.origin(outcome.recipe.seed, told)
    rows.append(("Seal", workspace.seal_of(outcome.path)))
    rows.append(("Kept in", str(outcome.path)))
    return rows


def _download(outcome: results.Outcome) -> None:
    known: dict[str, Any] = {name: FORMATS[name] for name in results.formats()}
    chosen = st.segmented_control(
        "Format", list(known), format_func=known.__getitem__, default="3mf", required=True, key="building_format"
    )
    chosen = chosen or "3mf"
    st.download_button(
        f"Download {FORMATS[chosen]}",
        # Called on the click, as on the try-on page.
        data=lambda: results.export(outcome.id, chosen),
        file_name=outcome.path.stem + SUFFIX_OF[chosen],
        mime=MIME.get(chosen, "application/octet-stream"),
        type="primary",
        icon=":material/download:",
        width="stretch",
        key="building_download",
        on_click="ignore",
    )
    st.caption(USES[chosen])
    if "ifc" not in known:
        st.caption('IFC needs one more library: `pip install "creative-studio[aec]"`.')
    st.download_button(
        "Download the recipe",
        data=lambda: results.recipe_text(outcome.id),
        file_name=outcome.path.name + ".json",
        mime="application/json",
        icon=":material/description:",
        width="stretch",
        key="building_recipe",
        on_click="ignore",
    )
    st.download_button(
        "Download the seal",
        data=lambda: results.manifest(outcome.id, chosen),
        file_name=outcome.path.stem + SUFFIX_OF[chosen] + ".c2pa",
        mime="application/c2pa",
        icon=":material/verified:",
        width="stretch",
        key="building_seal",
        on_click="ignore",
        help="Content credentials of the file above, signed by this studio, not by a public authority. Kept beside it, "
        "they let `studio verify` say whether a byte was changed.",
    )
    st.caption("Open file or recipe here again, or run `studio rerun` on it, and you get the same building.")
