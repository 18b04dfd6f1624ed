"""The large side of the building page: the paper or the sketch with what is read of it, then work, then the solid."""

from __future__ import annotations

from typing import Any

import streamlit as st

from studio.errors import PipelineError
from studio.ui import inputs, notices, progress, watching
from studio.ui.building import asking, results, state
from studio.ui.components import data_url, fit_inside
from studio.ui.components.sketch import Drawing, sketch_canvas
from studio.ui.components.solid import solid_viewer
from studio.ui.components.tiles import Tile, tiles

SKETCH, MODEL = "Sketch", "Model"
STRIP = 170  # pixels of a picture in the strip


def show(size_is_fine: bool) -> None:
    """Draw whatever is due, and ask for the prepared sketch when the sketch changed."""
    notices.show_pending("building")
    if state.get().jobs:
        _running()
        return
    trouble = None
    try:
        _request_plan()
    except PipelineError as error:
        trouble = error.as_dict()
    current = state.get()
    job = watching.watch(current.plan_job) if current.plan_job else None
    plan, reason = _read_plan(job)
    waiting = job is not None and job.active
    views = [SKETCH, MODEL] if current.artefact else [SKETCH]
    if st.session_state.get("building_view") not in views:
        st.session_state["building_view"] = views[-1]
    head, action = st.columns([3, 2])
    with head:
        if len(views) > 1:
            st.segmented_control("Show", views, key="building_view", required=True, label_visibility="collapsed")
        else:
            st.subheader("3 · Check the sketch" if current.sketch else "3 · Draw", anchor=False)
    with action:
        st.button(
            "Build it again" if current.artefact else "Build it",
            type="primary",
            icon=":material/deployed_code:",
            width="stretch",
            disabled=plan is None or plan.blocked or not size_is_fine,
            on_click=start,
            args=((current.variant,),),
            key="build",
        )
    if st.session_state["building_view"] == MODEL and current.artefact:
        _model(current.artefact)
        return
    if current.sketch is None:
        sketch_canvas(current.drawing, key="sketch_canvas", epoch=current.epoch, on_edit=_take)
    elif not current.sketch.name.lower().endswith(".svg"):
        _picture(current.sketch.sha256)
    _strip(plan, waiting, trouble or reason)


def _take(drawing: Drawing) -> None:
    state.update(drawing=drawing, variant=0)


def _picture(sha256: str) -> None:
    try:
        shown = inputs.display(sha256)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    with st.container(key="still", horizontal_alignment="center"):
        st.image(shown)


def _request_plan() -> None:
    current = state.get()
    key = asking.plan_key(current)
    if key == current.plan_key:
        return
    if current.plan_job:
        watching.cancel(current.plan_job)
    state.update(plan=None, plan_job=None, plan_key=key)
    picture = asking.sketch(current)
    if picture is not None:
        found = asking.known_plan(picture)
        state.update(plan=found, plan_job=None if found else asking.submit_plan(picture))


def _read_plan(job: watching.Job | None) -> tuple[results.Plan | None, dict[str, Any] | None]:
    """The prepared sketch, or why there is none; neither while nothing is drawn."""
    current = state.get()
    artefact = current.plan or (job.artefact if job and job.state == "done" else None)
    if artefact is None:
        lost = progress.LOST if current.plan_job and (job is None or job.state == "cancelled") else None
        return None, job.error if job and job.error else lost
    try:
        return results.plan(artefact), None
    except PipelineError as error:
        return None, error.as_dict()


def _strip(plan: results.Plan | None, waiting: bool, trouble: dict[str, Any] | None) -> None:
    """What is read of the sketch, small, below it."""
    if waiting:
        _poll_plan(state.get().plan_job)
    elif trouble is not None:
        notices.show_error(trouble)
        st.button("Look again", icon=":material/refresh:", on_click=lambda: state.update(plan_key=None))
    elif plan is not None:
        notices.show_findings(plan.findings)
        pictures = [fit_inside(picture, 2 * STRIP) for _, picture in plan.pictures]
        captions = [caption for caption, _ in plan.pictures]
        with st.container(key="strip", horizontal_alignment="center"):
            st.image(pictures, caption=captions, width=STRIP)


@st.fragment(run_every=progress.POLL_SECONDS)
def _poll_plan(job_id: str | None) -> None:
    job = watching.watch(job_id) if job_id else None
    if job is None or not job.active:
        st.rerun()
    progress.bar(job, "Reading the sketch")


# -- building


def start(variants: tuple[int, ...]) -> None:
    """Ask for these readings of the sketch; runs in a callback."""
    with notices.catch("building"):
        current = state.get()
        picture = asking.sketch(current)
        if picture is None:
            return
        key = asking.made_key(current)
        made = current.made if key == current.made_key else ()
        jobs = tuple((number, asking.submit(_with(number), picture)) for number in variants)
        state.update(jobs=jobs, asked=len(jobs), made=made, made_key=key, variant=variants[0])


def _with(variant: int) -> state.BuildingState:
    state.update(variant=variant)
    return state.get()


def _cancel() -> None:
    for _, job in state.get().jobs:
        watching.cancel(job)


def _running() -> None:
    head, action = st.columns([3, 2], vertical_alignment="center")
    with head:
        st.subheader("Building it", anchor=False)
    with action:
        st.button("Cancel", icon=":material/close:", width="stretch", on_click=_cancel, key="build_cancel")
    _poll_jobs()


@st.fragment(run_every=progress.POLL_SECONDS)
def _poll_jobs() -> None:
    """Draw the running job; one that has ended makes room for the next, after the last the whole page runs again."""
    while (jobs := state.get().jobs) and ((job := watching.watch(jobs[0][1])) is None or not job.active):
        _settle(jobs[0][0], job)
    if not jobs:
        st.rerun()
    current = state.get()
    before = f"{current.asked - len(jobs) + 1} of {current.asked} · " if current.asked > 1 else ""
    progress.bar(job, "Waiting for the worker", before)
    with st.container(key="still", horizontal_alignment="center"):
        if job.preview is not None:
            st.image(job.preview)
        elif current.plan or current.plan_job:
            plan, _ = _read_plan(watching.watch(current.plan_job) if current.plan_job else None)
            if plan is not None:
                st.image(plan.pictures[-1][1], width=320)


def _settle(variant: int, job: watching.Job | None) -> None:
    current = state.get()
    state.update(jobs=current.jobs[1:])
    if job is not None and job.state == "done" and job.artefact:
        made = {**dict(current.made), variant: job.artefact}
        state.update(made=tuple(sorted(made.items())), artefact=job.artefact, variant=variant)
        st.session_state["building_view"] = MODEL
    else:
        progress.leave_trouble(job, "building")


# -- the result


def _model(artefact: str) -> None:
    try:
        outcome = results.outcome(artefact)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    _readings(outcome)
    notices.show_findings(outcome.findings, shown=1)
    profile = outcome.passport.get("profile", {})
    bed = profile.get("bed", [200.0, 200.0])
    fallback = "" if outcome.same_view is None else data_url(outcome.same_view, "PNG")
    if outcome.model is None:
        if outcome.same_view is not None:
            st.image(outcome.same_view)
        st.caption("The file cannot be read any more; this is the picture that was kept of it.")
        return
    solid_viewer(
        outcome.model,
        key="solid",
        bed=(float(bed[0]), float(bed[1])),
        wall=float(profile.get("minimum_wall", 0.8)),
        fallback=fallback,
    )


def _readings(outcome: results.Outcome) -> None:
    """The readings of the sketch side by side; picking one that is not there yet builds it."""
    current = state.get()
    made = dict(current.made)
    if outcome.variants < 2 or outcome.id not in made.values():
        return
    items = [
        Tile(str(n), f"Reading {n + 1}" if n in made else f"Build reading {n + 1}", _tile(made.get(n)))
        for n in range(outcome.variants)
    ]
    st.markdown("**Readings of the sketch.** A drawing leaves open what lies behind; each is another answer.")
    tiles(
        items,
        key="reading_tiles",
        label="Readings of the sketch",
        selected=str(outcome.variant),
        on_pick=_pick_reading,
        shape="square",
    )
    missing = tuple(n for n in range(outcome.variants) if n not in made)
    if len(missing) > 1 and _same_settings():
        st.button(
            f"Build the other {len(missing)}",
            icon=":material/grid_view:",
            on_click=start,
            args=(missing,),
            key="build_all",
        )


def _same_settings() -> bool:
    try:
        return asking.made_key(state.get()) == state.get().made_key
    except PipelineError:  # the size on the page is not usable at the moment
        return False


def _tile(artefact: str | None) -> str:
    try:
        return (results.thumbnail(artefact) if artefact else "") or results.BLANK
    except PipelineError:
        return results.BLANK


def _pick_reading(chosen: str) -> None:
    number = int(chosen)
    made = dict(state.get().made)
    if number in made:
        state.update(artefact=made[number], variant=number)
    elif _same_settings():
        start((number,))
