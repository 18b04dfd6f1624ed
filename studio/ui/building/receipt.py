"""Below a building: the print passport, how sure the reading is, what made it, and every format to take along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
    "ply": "For mesh and cloud tools. Meshes are in millimetres, clouds one unit long.",
    "glb": "For viewers and game engines; metres, as that format asks.",
    "xyz": "Plain text: place, colour, normal. It has no room for the recipe.",
    "las": "For surveying and mapping programs.",
    "laz": "LAS, compressed.",
    "ifc": "For building models (BIM): one solid, no walls or storeys.",
}
AGAIN = "Open file or recipe here again, or run `studio rerun` on it, and you get the same again."
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
            show_passport(outcome.passport)
        with take:
            st.subheader("Take it along", anchor=False)
            download(outcome.path, {name: FORMATS[name] for name in results.formats()}, key="building")
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


def show_passport(found: dict[str, Any]) -> None:
    """Draw a print passport; an empty one says that there is none."""
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


def download(path: Path, known: dict[str, str], *, key: str, again: str = AGAIN) -> None:
    """Draw the choice of a format and the buttons that take file, recipe and seal along.

    Args:
        path: A mesh or cloud of ours.
        known: Format -> its name, the default first.
        key: Of the controls.
        again: How to get the same again.
    """
    default = next(iter(known))
    chosen = st.segmented_control(
        "Format", list(known), format_func=known.__getitem__, default=default, required=True, key=f"{key}_format"
    )
    chosen = chosen or default
    artefact = str(path)
    st.download_button(
        f"Download {known[chosen]}",
        # Called on the click, as on the try-on page.
        data=lambda: results.export(artefact, chosen),
        file_name=path.stem + SUFFIX_OF[chosen],
        mime=MIME.get(chosen, "application/octet-stream"),
        type="primary",
        icon=":material/download:",
        width="stretch",
        key=f"{key}_download",
        on_click="ignore",
    )
    st.caption(USES[chosen])
    if "3mf" in known and "ifc" not in known:
        st.caption('IFC needs one more library: `pip install "creative-studio[aec]"`.')
    st.download_button(
        "Download the recipe",
        data=lambda: results.recipe_text(artefact),
        file_name=path.name + ".json",
        mime="application/json",
        icon=":material/description:",
        width="stretch",
        key=f"{key}_recipe",
        on_click="ignore",
    )
    st.download_button(
        "Download the seal",
        data=lambda: results.manifest(artefact, chosen),
        file_name=path.stem + SUFFIX_OF[chosen] + ".c2pa",
        mime="application/c2pa",
        icon=":material/verified:",
        width="stretch",
        key=f"{key}_seal",
        on_click="ignore",
        help="Content credentials of the file above, signed by this studio, not by a public authority. Kept beside it, "
        "they let `studio verify` say whether a byte was changed.",
    )
    st.caption(again)
