"""The input side of the building page: sketch, size, printer, settings. Each form writes the state only."""

from __future__ import annotations

import streamlit as st

from studio.errors import PipelineError
from studio.recipe import MAX_SEED
from studio.ui import inputs, notices
from studio.ui.building import asking, results, state
from studio.ui.components.tiles import Tile, tiles
from studio.ui.state import Picture

FILE_TYPES = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "svg"]
DRAWING = "the drawing"  # id of the tile that stands for the canvas
PRINTERS = {
    "generic": "Any printer, 200 mm bed",
    "prusa-mk4": "Prusa MK4",
    "bambu-a1": "Bambu Lab A1",
    "bambu-a1-mini": "Bambu Lab A1 mini",
    "ender-3": "Creality Ender-3",
    "dremel-3d45": "Dremel 3D45",
    "resin-small": "Small resin printer",
}
DETAILS = {1: "Coarse", 2: "Normal", 3: "Fine"}


def sketch_step() -> None:
    """Draw, pick a sample or upload."""
    current = state.get()
    with st.container(key="sketch_step", gap="small"):
        st.subheader("1 · Sketch", anchor=False)
        own = current.sketch
        items = [Tile(DRAWING, "Draw your own", results.PENCIL)]
        if own and own.sample is None:
            items.append(Tile(own.sha256, own.name, _thumbnail(own)))
        items += [Tile(sample.id, sample.label, sample.thumbnail) for sample in inputs.samples("sketch")]
        tiles(
            items,
            key="sketch_tiles",
            label="Sketches",
            selected=(own.sample or own.sha256) if own else DRAWING,
            on_pick=_pick,
            shape="square",
        )
        st.file_uploader(
            "Upload a sketch",
            type=FILE_TYPES,
            key="sketch_upload",
            on_change=_upload,
            help="A photo or scan of one building, or an SVG drawing. It stays on this computer.",
            label_visibility="collapsed",
        )
        notices.show_pending("sketch")
        st.caption("One building seen from its corner, dark lines on light paper; no floor plan.")


def _thumbnail(picture: Picture) -> str:
    if picture.name.lower().endswith(".svg"):
        return results.BLANK  # drawn by the worker only: an SVG from anywhere is not for the web server
    try:
        return inputs.thumbnail(picture.sha256)
    except PipelineError:
        return results.BLANK


def _pick(chosen: str) -> None:
    current = state.get().sketch
    with notices.catch("sketch"):
        if chosen == DRAWING:
            use(None)
        elif not (current and current.sha256 == chosen):
            use(inputs.keep_sample("sketch", chosen))


def _upload() -> None:
    upload = st.session_state["sketch_upload"]
    if upload is None:  # the cross beside the file name: the sketch in use stays until another is chosen
        return
    with notices.catch("sketch"):
        use(inputs.keep_sketch(upload.getvalue(), upload.name))


def use(picture: Picture | None) -> None:
    """Use another sketch; None for the canvas."""
    state.update(sketch=picture, variant=0, artefact=None)


def size_step() -> bool:
    """Height, longest side or scale, and the printer.

    Returns:
        Whether the size can be used.
    """
    current = state.get()
    for name, value in _controls(current).items():
        st.session_state.setdefault(name, value)
    with st.container(key="size_step", gap="small"):
        st.subheader("2 · Size", anchor=False)
        st.segmented_control(
            "Given by",
            list(state.SIZES),
            format_func=state.SIZES.__getitem__,
            required=True,
            key="size_kind",
            on_change=_take_size,
            label_visibility="collapsed",
        )
        if current.size == "scale":
            left, right = st.columns(2)
            with left:
                st.number_input("Scale, 1 to", step=50.0, format="%g", key="size_ratio", on_change=_take_size)
            with right:
                st.number_input("Real height in metres", step=1.0, format="%g", key="size_real", on_change=_take_size)
        else:
            title = f"{state.SIZES[current.size]} in millimetres"
            st.number_input(title, step=5.0, format="%g", key="size_mm", on_change=_take_size)
        st.selectbox(
            "Printer",
            list(PRINTERS),
            format_func=PRINTERS.__getitem__,
            key="size_printer",
            on_change=lambda: state.update(printer=st.session_state["size_printer"]),
            help="The print passport is made for it: bed, thinnest wall, overhang.",
        )
        try:
            asking.settings(current)
        except PipelineError as error:
            notices.show_error(error.as_dict())
            return False
    return True


def _controls(current: state.BuildingState) -> dict[str, object]:
    """First values of the controls; they take them from the session state, as on the try-on page."""
    return {
        "size_kind": current.size,
        "size_mm": current.millimetres,
        "size_ratio": current.ratio,
        "size_real": current.real_height,
        "size_printer": current.printer,
        "build_straighten": current.straighten,
        "build_detail": current.detail,
        "build_seed": min(current.seed, MAX_SEED),
    }


def show_again() -> None:
    """Put the state into the controls; in a callback, after a recipe was opened."""
    st.session_state.update(_controls(state.get()))


def _take_size() -> None:
    numbers = {"millimetres": "size_mm", "ratio": "size_ratio", "real_height": "size_real"}
    given = {field: float(st.session_state[key]) for field, key in numbers.items() if key in st.session_state}
    state.update(size=st.session_state["size_kind"], **given)


def settings_step() -> None:
    """Clean-up, detail, seed; closed by default, because the defaults are right."""
    for name, value in _controls(state.get()).items():
        st.session_state.setdefault(name, value)
    with st.expander("Settings"):
        st.toggle(
            "Straighten walls and roofs",
            key="build_straighten",
            on_change=lambda: state.update(straighten=st.session_state["build_straighten"]),
            help="Makes walls upright and surfaces flat where the reading of the sketch allows it.",
        )
        st.segmented_control(
            "Detail",
            list(DETAILS),
            format_func=DETAILS.__getitem__,
            required=True,
            key="build_detail",
            on_change=lambda: state.update(detail=st.session_state["build_detail"]),
            help="How finely the surface is searched. Fine takes several times as long.",
        )
        st.number_input(
            "Seed",
            min_value=0,
            max_value=MAX_SEED,
            step=1,
            key="build_seed",
            on_change=lambda: state.update(seed=int(st.session_state["build_seed"])),
            help="The same seed gives the same building.",
        )
