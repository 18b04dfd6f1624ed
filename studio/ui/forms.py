"""The input side of the try-on page: person, garment, settings, opening a recipe. Each form writes the state only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import streamlit as st

from studio import media
from studio.recipe import MAX_SEED
from studio.ui import inputs, notices, results, state
from studio.ui.components.tiles import Tile, tiles
from studio.ui.state import PROTECTABLE, Picture


def person_step() -> None:
    """Sample people or an upload."""
    _picture_step(
        "person", "1 · Person", "A photo of one person, standing, seen from the front works best.", "portrait"
    )


def garment_step() -> None:
    """Sample garments or an upload."""
    _picture_step("garment", "2 · Garment", "A photo of a top alone, flat or on a hanger.", "square")


def _picture_step(slot: Literal["person", "garment"], title: str, hint: str, shape: str) -> None:
    current: Picture | None = getattr(state.get(), slot)
    with st.container(key=f"{slot}_step", gap="small"):
        st.subheader(title, anchor=False)
        samples = inputs.samples(slot)
        items = [Tile(sample.id, sample.label, sample.thumbnail) for sample in samples]
        if current and current.sample is None:
            items.insert(0, Tile(current.sha256, current.name, inputs.thumbnail(current.sha256)))
        if items:
            tiles(
                items,
                key=f"{slot}_tiles",
                label=f"Sample {slot}s" if slot == "garment" else "Sample people",
                selected=(current.sample or current.sha256) if current else None,
                on_pick=lambda chosen: _pick(slot, chosen),
                shape=shape,
            )
        st.file_uploader(
            f"Upload a photo of the {slot}",
            type=list(media.SUFFIXES),
            key=f"{slot}_upload",
            on_change=_upload,
            args=(slot,),
            help=hint + " It stays on this computer.",
            label_visibility="collapsed",
        )
        notices.show_pending(slot)
        st.caption(hint)


def _pick(slot: Literal["person", "garment"], chosen: str) -> None:
    current: Picture | None = getattr(state.get(), slot)
    if current and current.sample is None and current.sha256 == chosen:
        return
    with notices.catch(slot):
        set_picture(slot, inputs.keep_sample(slot, chosen))


def _upload(slot: Literal["person", "garment"]) -> None:
    upload = st.session_state[f"{slot}_upload"]
    if upload is None:  # the cross beside the file name: the picture in use stays until another is chosen
        return
    with notices.catch(slot):
        set_picture(slot, inputs.keep_upload(upload.getvalue(), upload.name))


def set_picture(slot: Literal["person", "garment"], picture: Picture) -> None:
    """Use another input; what was computed for the old one goes."""
    if slot == "person":
        state.update(person=picture, person_index=0, strokes=(), strokes_base=None, own_mask=None, artefact=None)
    else:
        state.update(garment=picture, artefact=None)


def people_step(boxes: tuple[results.PersonBox, ...]) -> None:
    """Which person, when the photo shows several."""
    if len(boxes) < 2:
        return
    st.markdown(f"**{len(boxes)} people found.** Who tries it on?")
    tiles(
        [Tile(str(index), box.label, box.thumbnail) for index, box in enumerate(boxes)],
        key="people_tiles",
        label="People in the photo",
        selected=str(state.get().person_index),
        on_pick=lambda chosen: state.update(person_index=int(chosen), own_mask=None),
    )


def settings_step() -> None:
    """Seed and protection; closed by default, because the defaults are right.

    Controls take their first value from the session state, never from an argument: an argument that changes once the
    control is known counts as another control, and a click during the page's first run would then empty it.
    """
    current = state.get()
    st.session_state.setdefault("seed", min(current.seed, MAX_SEED))
    st.session_state.setdefault("protect", list(current.protect))
    with st.expander("Settings"):
        st.number_input(
            "Seed",
            min_value=0,
            max_value=MAX_SEED,
            step=1,
            key="seed",
            on_change=lambda: state.update(seed=int(st.session_state["seed"])),
            help="The same seed gives the same picture. Try another if a result does not please.",
        )
        st.pills(
            "Keep in front of the garment",
            list(PROTECTABLE),
            selection_mode="multi",
            format_func=PROTECTABLE.__getitem__,
            key="protect",
            on_change=lambda: state.update(
                protect=tuple(name for name in PROTECTABLE if name in st.session_state["protect"])
            ),
            help="These are never painted over.",
        )


def recipe_step(
    take: Callable[[bytes, str], None], types: tuple[str, ...] = ("png", "jpg", "jpeg", "webp"), what: str = "picture"
) -> None:
    """Open a recipe from any file the studio made.

    Args:
        take: Receives bytes and name of the file; its errors are shown here.
        types: Suffixes of files that carry a recipe; ``json`` always does.
        what: Such a file, in a word.
    """
    with st.expander("Open a recipe"):
        st.file_uploader(
            f"A {what} made here, or its .json",
            type=[*types, "json"],
            key="recipe_upload",
            on_change=_open_recipe,
            args=(take,),
            help=f"Inputs and settings come back as they were when the {what} was made.",
        )
        notices.show_pending("recipe")


def _open_recipe(take: Callable[[bytes, str], None]) -> None:
    upload = st.session_state["recipe_upload"]
    if upload is None:
        return
    with notices.catch("recipe"):
        take(upload.getvalue(), upload.name)
