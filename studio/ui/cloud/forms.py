"""The input side of the cloud page: pictures, settings, size of the print. Each form writes the state only."""

from __future__ import annotations

import streamlit as st

from studio import media
from studio.errors import PipelineError
from studio.recipe import MAX_SEED
from studio.registry import MOST_VIEWS
from studio.ui import inputs, notices
from studio.ui.building.forms import PRINTERS
from studio.ui.cloud import asking, state
from studio.ui.components.tiles import Tile, tiles
from studio.ui.state import Picture

POINTS = (512, 1024, 2048, 4096, 8192, 16_384)  # that the slider offers


def pictures_step() -> None:
    """Pick a sample object, or upload pictures of one's own."""
    current = state.get()
    with st.container(key="pictures_step", gap="small"):
        st.subheader("1 · Pictures of one object", anchor=False)
        groups = _sample_groups()
        shown = {name: samples[0] for name, samples in groups.items()}
        used = {picture.sample for picture in current.pictures}
        picked = next((name for name, samples in groups.items() if {sample.id for sample in samples} == used), None)
        tiles(
            [Tile(name, name.capitalize(), sample.thumbnail) for name, sample in shown.items()],
            key="object_tiles",
            label="Sample objects",
            selected=picked,
            on_pick=_pick,
            shape="square",
        )
        st.file_uploader(
            "Upload pictures",
            type=list(media.SUFFIXES),
            accept_multiple_files=True,
            key="object_upload",
            on_change=_upload,
            help="One object, seen whole, before a plain background, or a PNG whose background is transparent. They "
            "stay on this computer.",
            label_visibility="collapsed",
        )
        notices.show_pending("object")
        st.caption(f"One picture is enough; up to {MOST_VIEWS} from different sides of the same object say more.")


def _sample_groups() -> dict[str, list[inputs.Sample]]:
    """The sample pictures by object: ``chair_front`` and ``chair_back`` show one."""
    groups: dict[str, list[inputs.Sample]] = {}
    for sample in inputs.samples("object"):
        groups.setdefault(sample.id.rsplit("_", 1)[0], []).append(sample)
    return groups


def _pick(name: str) -> None:
    with notices.catch("object"):
        use(tuple(inputs.keep_sample("object", sample.id) for sample in _sample_groups()[name]))


def _upload() -> None:
    """Take what is new in the uploader; the cross beside a file there changes nothing, "Leave out" does."""
    current = state.get()
    fresh: dict[str, Picture] = {}
    for upload in st.session_state["object_upload"]:
        with notices.catch("object"):
            kept = inputs.keep_upload(upload.getvalue(), upload.name)
            if kept.sha256 not in current.taken:
                fresh[kept.sha256] = kept
    if not fresh:
        return
    own = {each.sha256: each for each in current.pictures if each.sample is None}
    chosen = tuple({**own, **fresh}.values())
    use(chosen[:MOST_VIEWS])
    state.update(taken=(*current.taken, *fresh))
    if len(chosen) > MOST_VIEWS:
        st.toast(f"The first {MOST_VIEWS} pictures are used.")


def use(pictures: tuple[Picture, ...]) -> None:
    """Use other pictures; what is being made of the old ones is given up."""
    asking.give_up()
    state.update(pictures=pictures, refused=(), artefact=None, solid=None)


def remove(sha256: str) -> None:
    """Leave a picture out."""
    use(tuple(each for each in state.get().pictures if each.sha256 != sha256))


def _controls(current: state.CloudState) -> dict[str, object]:
    """First values of the controls; they take them from the session state, as on the try-on page."""
    return {
        "cloud_points": current.points,
        "cloud_steps": current.steps,
        "cloud_guidance": current.guidance,
        "cloud_seed": min(current.seed, MAX_SEED),
        "solid_size": current.size,
        "solid_mm": current.millimetres,
        "solid_printer": current.printer,
    }


def show_again() -> None:
    """Put the state into the controls; in a callback, after a recipe was opened."""
    st.session_state.update(_controls(state.get()))


def _take() -> None:
    at = st.session_state
    state.update(
        points=int(at["cloud_points"]),
        steps=int(at["cloud_steps"]),
        guidance=float(at["cloud_guidance"]),
        seed=int(at["cloud_seed"]),
    )


def settings_step() -> None:
    """Points, steps, guidance, seed; closed by default, because the defaults are right."""
    for name, value in _controls(state.get()).items():
        st.session_state.setdefault(name, value)
    with st.expander("Settings"):
        st.select_slider(
            "Points", sorted({*POINTS, state.get().points}), key="cloud_points", on_change=_take,
            help="More points show the same shape more finely, and take longer.",
        )  # fmt: skip
        st.slider(
            "Steps", 2, 200, key="cloud_steps", on_change=_take,
            help="From noise to the cloud. More than 20 rarely change anything.",
        )  # fmt: skip
        st.slider(
            "Guidance", 0.0, 10.0, step=0.25, key="cloud_guidance", on_change=_take,
            help="1 follows the pictures as learnt; more exaggerates them, in twice the time.",
        )  # fmt: skip
        st.number_input(
            "Seed", min_value=0, max_value=MAX_SEED, step=1, key="cloud_seed", on_change=_take,
            help="The same seed gives the same cloud. What no picture shows is guessed: try others.",
        )  # fmt: skip


def print_step() -> bool:
    """Size and printer of the solid.

    Returns:
        Whether the size can be used.
    """
    for name, value in _controls(state.get()).items():
        st.session_state.setdefault(name, value)
    left, middle, right = st.columns(3)
    with left:
        st.selectbox(
            "Size given by", list(state.SIZES), format_func=state.SIZES.__getitem__, key="solid_size",
            on_change=_take_print,
        )  # fmt: skip
    with middle:
        st.number_input("Millimetres", step=5.0, format="%g", key="solid_mm", on_change=_take_print)
    with right:
        st.selectbox(
            "Printer", list(PRINTERS), format_func=PRINTERS.__getitem__, key="solid_printer", on_change=_take_print
        )
    try:
        asking.solid_settings(state.get())
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return False
    return True


def _take_print() -> None:
    at = st.session_state
    state.update(size=at["solid_size"], millimetres=float(at["solid_mm"]), printer=at["solid_printer"])
