"""The large side of the try-on page: first the mask to check, then the work in progress, then the result."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import streamlit as st

from studio.errors import PipelineError
from studio.ui import asking, forms, inputs, notices, progress, results, state, watching
from studio.ui.components.compare import compare
from studio.ui.components.mask import mask_brush, paint

MASK, RESULT = "Mask", "Result"


def show() -> None:
    """Draw whatever is due, and ask for the mask preview when an input changed."""
    notices.show_pending("stage")
    current = state.get()
    if current.person is None and current.artefact and not current.job:
        st.subheader("Result", anchor=False)
        _result(current.artefact)
        return
    if current.person is None:
        _empty("Pick or upload a person to begin. The area that will change is shown before anything is made.")
        return
    if current.job:
        _running(current.job)
        return
    try:
        _request_plan()
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    _ready()


def _empty(text: str) -> None:
    with st.container(border=True, key="empty", horizontal_alignment="center", vertical_alignment="center"):
        st.markdown(":material/checkroom:", width="content")
        st.markdown(text, text_alignment="center", width=420)


def _request_plan() -> None:
    current = state.get()
    key = asking.plan_key(current)
    if key != current.plan_key:
        if current.plan_job:
            watching.cancel(current.plan_job)
        found = asking.known_plan(current)
        state.update(plan=found, plan_job=None if found else asking.submit_plan(current), plan_key=key)


def _ready() -> None:
    current = state.get()
    job = watching.watch(current.plan_job) if current.plan_job else None
    plan, trouble = _read_plan(job)
    views = [MASK, RESULT] if current.artefact else [MASK]
    if st.session_state.get("stage_view") not in views:
        st.session_state["stage_view"] = views[-1]
    head, action = st.columns([3, 2])
    with head:
        if len(views) > 1:
            st.segmented_control("Show", views, key="stage_view", required=True, label_visibility="collapsed")
        else:
            st.subheader("3 · Check the mask", anchor=False)
    blocked = plan is not None and any(finding["severity"] == "error" for finding in plan.findings)
    with action:
        st.button(
            "Try it on again" if current.artefact else "Try it on",
            type="primary",
            icon=":material/checkroom:",
            width="stretch",
            disabled=plan is None or blocked or current.garment is None,
            on_click=_start,
            key="run",
        )
        if current.garment is None:  # in words, not as a tooltip: a phone has no pointer to hover with
            st.caption("Pick a garment to go on.", text_alignment="center")
    if st.session_state["stage_view"] == RESULT and current.artefact:
        _result(current.artefact)
    elif job is not None and job.active:
        _planning(current.plan_job)
    elif plan is None:
        notices.show_error(trouble or progress.LOST)
        st.button("Look again", icon=":material/refresh:", on_click=_look_again)
    else:
        _mask(plan)


def _read_plan(job: watching.Job | None) -> tuple[results.Plan | None, dict[str, Any] | None]:
    """The finished mask preview, or why there is none."""
    current = state.get()
    artefact = current.plan or (job.artefact if job and job.state == "done" else None)
    if artefact is None or current.person is None:
        return None, job.error if job else None
    try:
        return results.plan(artefact, current.person), None
    except PipelineError as error:
        return None, error.as_dict()


def _look_again() -> None:
    state.update(plan_key=None)


def _planning(job_id: str | None) -> None:
    _poll(job_id, "Finding the person and the area that will change")
    _still()


def _running(job_id: str) -> None:
    head, action = st.columns([3, 2], vertical_alignment="center")
    with head:
        st.subheader("Trying it on", anchor=False)
    with action:
        st.button(
            "Cancel", icon=":material/close:", width="stretch", on_click=watching.cancel, args=(job_id,), key="cancel"
        )
    _poll(job_id, "Waiting for the worker", with_preview=True)


def _still(preview: bytes | None = None) -> None:
    person = state.get().person
    picture = preview if preview is not None else inputs.display(person.sha256) if person else None
    if picture is not None:
        with st.container(key="still", horizontal_alignment="center"):
            st.image(picture)


@st.fragment(run_every=progress.POLL_SECONDS)
def _poll(job_id: str | None, waiting: str, with_preview: bool = False) -> None:
    """Read the job's state and draw it; when it has ended, the whole page runs again."""
    job = watching.watch(job_id) if job_id else None
    if job is None or not job.active:
        if with_preview:
            _finish(job)
        st.rerun()
    progress.bar(job, waiting)
    if with_preview:
        _still(job.preview)


def _finish(job: watching.Job | None) -> None:
    state.update(job=None)
    if job is not None and job.state == "done" and job.artefact:
        state.update(artefact=job.artefact)
        st.session_state["stage_view"] = RESULT
    else:
        progress.leave_trouble(job, "stage")


def _mask(plan: results.Plan) -> None:
    current = state.get()
    forms.people_step(plan.people)
    notices.show_findings(plan.findings)
    base, auto = _base(plan)
    if current.strokes_base != base:
        state.update(strokes=(), strokes_base=base, epoch=current.epoch + 1)
        current = state.get()
    mask_brush(
        plan.photo,
        auto,
        plan.protected,
        key="mask",
        base=base,
        epoch=current.epoch,
        strokes=current.strokes,
        on_edit=lambda strokes: state.update(strokes=strokes),
    )
    if current.own_mask is not None:
        st.button(
            "Back to the automatic mask",
            icon=":material/auto_fix_high:",
            on_click=lambda: state.update(own_mask=None),
            key="auto_mask",
        )


def _base(plan: results.Plan) -> tuple[str, np.ndarray]:
    """The mask that strokes are drawn over, and its name: the automatic one, or that of an opened recipe."""
    own = state.get().own_mask
    if own is None:
        return plan.base, plan.mask
    return plan.base + own.sha256[:16], inputs.own_mask(own, plan.mask.shape)


def _start() -> None:
    with notices.catch("stage"):
        current = state.get()
        plan, _ = _read_plan(watching.watch(current.plan_job) if current.plan_job else None)
        if plan is None or current.garment is None:
            return
        mask = None
        if current.strokes or current.own_mask:
            mask = paint(_base(plan)[1], current.strokes)
        state.update(job=asking.submit_tryon(current, mask), artefact=None)


def _result(artefact: str) -> None:
    try:
        outcome = results.outcome(artefact)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    key = "compare_" + hashlib.sha256(artefact.encode()).hexdigest()[:12]
    compare(outcome.before, outcome.after, outcome.mask, key=key)
