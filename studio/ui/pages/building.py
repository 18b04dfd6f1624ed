"""Building: a perspective sketch goes in, a closed solid in millimetres with its print passport comes out."""

from __future__ import annotations

import streamlit as st

from studio.recipe import Recipe
from studio.ui import forms as shared
from studio.ui import gallery, inputs, notices
from studio.ui.building import asking, forms, receipt, results, stage, state
from studio.ui.components import sketch
from studio.ui.workspace import store

RECIPE_TYPES = ("3mf", "obj", "ply", "glb", "ifc")


def restore(recipe: Recipe) -> None:
    """Take over sketch and settings of an opened recipe; runs in a callback, before the controls are drawn."""
    picture, values = results.restored(recipe)
    drawing = sketch.drawing_in(store().read_input(recipe.inputs["sketch"]))
    sizes = {"height": values["height_mm"], "longest": values["longest_mm"], "scale": values["scale"]}
    size = next(name for name, value in sizes.items() if value is not None)
    current = state.get()
    state.update(
        sketch=None if drawing else picture,
        drawing=drawing or current.drawing,
        epoch=current.epoch + 1,
        size=size,
        millimetres=float(values["height_mm"] or values["longest_mm"] or current.millimetres),
        ratio=float(values["scale"] or current.ratio),
        real_height=float(values["real_height_m"] or current.real_height),
        printer=values["profile"],
        straighten=values["straighten"],
        detail=values["detail"],
        variant=values["variant"],
        seed=recipe.seed,
        extra=tuple((name, _frozen(value)) for name, value in values.items() if name not in asking.SHOWN),
        plan_key=None,
        artefact=None,
    )
    forms.show_again()
    st.session_state["building_view"] = stage.SKETCH
    st.toast("Recipe opened: sketch and settings are as they were.")


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def open_result(artefact: str) -> None:
    """Put a result on the stage. The sketch in use stays; "Use these settings" below it restores its own."""
    state.update(artefact=artefact)
    st.session_state["building_view"] = stage.MODEL


st.title("Build it", anchor=False)
st.markdown(
    "A sketch of a building in perspective, one closed solid ready to print. "
    "What the sketch leaves open is guessed; the receipt says how sure the guess is."
)
notices.show_pending()
notices.show_queue()

left, right = st.columns([5, 8], gap="large")
with left:
    forms.sketch_step()
    size_is_fine = forms.size_step()
    forms.settings_step()
    shared.recipe_step(lambda data, name: restore(inputs.read_recipe(data, name)), types=RECIPE_TYPES, what="building")
with right, st.container(key="stage"):
    stage.show(size_is_fine)

if (artefact := state.get().artefact) and not state.get().jobs:
    receipt.show(artefact, restore)
gallery.recent_strip(results.recent(gallery.SHOWN), state.get().artefact, open_result)
