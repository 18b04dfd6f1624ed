"""Cloud: pictures of an object go in, a coloured point cloud comes out, and a solid of it if that is wanted."""

from __future__ import annotations

import streamlit as st

from studio.recipe import Recipe
from studio.ui import forms as shared
from studio.ui import gallery, inputs, notices
from studio.ui.cloud import asking, forms, receipt, results, stage, state

RECIPE_TYPES = ("ply", "las", "laz")


def restore(recipe: Recipe) -> None:
    """Take over pictures and settings of an opened recipe; runs in a callback, before the controls are drawn."""
    pictures, values = results.restored(recipe)
    asking.give_up()
    state.update(
        pictures=pictures,
        points=values.points,
        steps=values.steps,
        sampler=values.sampler,
        guidance=values.guidance,
        seed=recipe.seed,
        refused=(),
        artefact=None,
        solid=None,
    )
    forms.show_again()
    st.session_state[stage.VIEW] = stage.PICTURES
    st.toast("Recipe opened: pictures and settings are as they were.")


def open_result(artefact: str) -> None:
    """Put a result on the stage. The pictures in use stay; "Use these settings" below it restores its own."""
    asking.give_up()
    state.update(artefact=artefact, solid=None)
    st.session_state[stage.VIEW] = stage.CLOUD


st.title("Model it", anchor=False)
st.markdown(
    "Pictures of one object, a coloured point cloud, and a solid ready to print. "
    "What no picture shows is guessed; the receipt says how sure the guess is."
)
notices.show_pending()
notices.show_queue()

left, right = st.columns([5, 8], gap="large")
with left:
    forms.pictures_step()
    forms.settings_step()
    shared.recipe_step(lambda data, name: restore(inputs.read_recipe(data, name)), types=RECIPE_TYPES, what="cloud")
with right, st.container(key="stage"):
    stage.show()

if not (state.get().job or state.get().solid_job):
    receipt.show(restore)
gallery.recent_strip(results.recent(gallery.SHOWN), state.get().artefact, open_result)
