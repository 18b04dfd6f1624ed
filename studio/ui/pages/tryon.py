"""Try-on: a person's photo and a garment's photo go in, a finished picture with its receipt comes out."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from studio.ui import forms, gallery, inputs, notices, receipt, results, stage, state

PROMISE = "Only the area shown in red may change; every other pixel stays exactly as it is."


def restore(recipe: inputs.Restored) -> None:
    """Take over inputs and settings of an opened recipe; runs in a callback, before the controls are drawn."""
    state.update(
        person=recipe.person,
        garment=recipe.garment,
        person_index=recipe.person_index,
        seed=recipe.seed,
        protect=recipe.protect,
        strokes=(),
        strokes_base=None,
        own_mask=recipe.own_mask,
        plan_key=None,
        artefact=None,
    )
    st.session_state["seed"] = recipe.seed
    st.session_state["protect"] = list(recipe.protect)
    st.session_state["stage_view"] = stage.MASK
    st.toast("Recipe opened: inputs and settings are as they were.")


def open_result(artefact: str) -> None:
    """Put a result on the stage. The inputs in use stay; "Use these settings" below it restores its own."""
    state.update(artefact=artefact)
    st.session_state["stage_view"] = stage.RESULT


st.title("Try it on", anchor=False)
st.markdown(f"A photo of a person, a photo of a garment, one picture of both. {PROMISE}")
notices.show_pending()
notices.show_queue()

left, right = st.columns([5, 8], gap="large")
with left:
    forms.person_step()
    forms.garment_step()
    forms.settings_step()
    forms.recipe_step(lambda data, name: restore(inputs.open_recipe(data, name)))
with right, st.container(key="stage"):
    stage.show()

if (artefact := state.get().artefact) and not state.get().job:
    receipt.show(artefact, restore)
gallery.recent_strip(results.recent(gallery.SHOWN), state.get().artefact, open_result)

st.caption(
    "Use photos only of people who agreed, never of minors, and never to undress anyone.",
)
terms = Path(__file__).with_name("responsible_use.py")
st.page_link(terms, label="Responsible use, in one minute", icon=":material/handshake:")
