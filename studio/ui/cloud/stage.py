"""The large side of the cloud page: what is cut out of the pictures, the work, then the cloud and a solid of it."""

from __future__ import annotations

import streamlit as st

from studio.errors import PipelineError
from studio.ui import notices, progress, watching
from studio.ui.building import results as solids
from studio.ui.building.receipt import show_passport
from studio.ui.cloud import asking, forms, results, state
from studio.ui.components import data_url
from studio.ui.components.cloud import cloud_viewer
from studio.ui.components.solid import solid_viewer

PICTURES, CLOUD, SOLID = "Pictures", "Cloud", "Solid"
TILE = 150  # pixels of a cut-out
VIEW = "cloud_view"  # key of what is on show


def show() -> None:
    """Draw whatever is due, and ask for cut-outs where pictures changed."""
    notices.show_pending("cloud")
    current = state.get()
    if current.job or current.solid_job:
        _running("Making the cloud" if current.job else "Making a solid of it")
        return
    if not current.pictures and not current.artefact:
        with st.container(border=True, key="empty", horizontal_alignment="center", vertical_alignment="center"):
            st.markdown(":material/deployed_code:", width="content")
            st.markdown("Pick an object, or upload pictures of one.", text_alignment="center", width=420)
        return
    views = [PICTURES, *([CLOUD] if current.artefact else []), *([SOLID] if current.solid else [])]
    if st.session_state.get(VIEW) not in views:
        st.session_state[VIEW] = views[-1]
    head, action = st.columns([3, 2])
    with head:
        if len(views) > 1:
            st.segmented_control("Show", views, key=VIEW, required=True, label_visibility="collapsed")
        else:
            st.subheader("2 · Check what is cut out", anchor=False)
    ready = _ask_cutouts()
    with action:
        st.button(
            "Make the cloud again" if current.artefact else "Make the cloud",
            type="primary",
            icon=":material/grain:",
            width="stretch",
            disabled=not ready,
            on_click=_start,
            key="cloud_make",
        )
    if st.session_state[VIEW] == CLOUD and current.artefact:
        _cloud(current.artefact)
    elif st.session_state[VIEW] == SOLID and current.solid:
        _solid(current.solid)
    else:
        _cutouts()


# -- pictures


def _ask_cutouts() -> bool:
    """Whether the object is cut out of every picture."""
    try:
        asking.ask_cutouts()
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return False
    current = state.get()
    wanted = {each.sha256 for each in current.pictures}
    if any(sha256 in wanted for sha256, _ in current.plan_jobs):
        _poll_cutouts()
    return bool(current.pictures) and {each.sha256 for each in current.pictures} <= set(dict(current.plans))


@st.fragment(run_every=progress.POLL_SECONDS)
def _poll_cutouts() -> None:
    ended = False
    for sha256, number in state.get().plan_jobs:
        job = watching.watch(number)
        if job is not None and job.active:
            continue
        ended = True
        current = state.get()
        left = tuple(pair for pair in current.plan_jobs if pair[0] != sha256)
        if job is not None and job.state == "done" and job.artefact:
            state.update(plan_jobs=left, plans=(*current.plans, (sha256, job.artefact)))
        else:
            error = (job.error if job else None) or progress.LOST
            state.update(plan_jobs=left, refused=(*current.refused, (sha256, error)))
    if ended:
        st.rerun()
    st.progress(0.3, text="Cutting the object out")
    watching.ensure_worker()


def _cutouts() -> None:
    current = state.get()
    refused = dict(current.refused)
    plans = {}
    for sha256, artefact in current.plans:
        try:
            plans[sha256] = results.cutout(artefact)
        except PipelineError:  # its file is gone: the next run asks again
            state.update(plans=tuple(pair for pair in state.get().plans if pair[0] != sha256))
    several = len(current.pictures) > 1
    with st.container(horizontal=True, key="cutouts"):
        for number, picture in enumerate(current.pictures, 1):
            with st.container(width=TILE + 20, gap="small"):
                name = f"Picture {number}" if several else "What the network sees"
                if picture.sha256 in plans:
                    st.image(plans[picture.sha256][0], width=TILE, caption=name)
                else:
                    left = "nothing was cut out" if picture.sha256 in refused else "waiting"
                    st.caption(f"{notices.plain(picture.name)}: {left}")
                key = f"leave-{picture.sha256[:12]}"
                st.button("Leave out", key=key, on_click=forms.remove, args=(picture.sha256,))
    for number, picture in enumerate(current.pictures, 1):
        if picture.sha256 in refused:
            if several:
                st.markdown(f"**Picture {number}, {notices.plain(picture.name)}**")
            notices.show_error(refused[picture.sha256])
            key = f"again-{picture.sha256[:12]}"
            st.button("Look again", icon=":material/refresh:", key=key, on_click=_again, args=(picture.sha256,))
        elif picture.sha256 in plans:
            notices.show_findings(plans[picture.sha256][1])


def _again(sha256: str) -> None:
    state.update(refused=tuple(pair for pair in state.get().refused if pair[0] != sha256))


# -- work


def _start() -> None:
    with notices.catch("cloud"):
        state.update(job=asking.submit(state.get()), solid=None)


def _start_solid(cloud: str) -> None:
    with notices.catch("cloud"):
        state.update(solid_job=asking.submit_solid(state.get(), cloud))


def _cancel() -> None:
    current = state.get()
    for job in (current.job, current.solid_job):
        if job:
            watching.cancel(job)


def _running(title: str) -> None:
    head, action = st.columns([3, 2], vertical_alignment="center")
    with head:
        st.subheader(title, anchor=False)
    with action:
        st.button("Cancel", icon=":material/close:", width="stretch", on_click=_cancel, key="cloud_cancel")
    _poll()


@st.fragment(run_every=progress.POLL_SECONDS)
def _poll() -> None:
    """Draw the running job with what the cloud is so far; when it has ended, the whole page runs again."""
    current = state.get()
    number = current.job or current.solid_job
    job = watching.watch(number) if number else None
    if job is None or not job.active:
        _settle(job)
        st.rerun()
    progress.bar(job, "Waiting for the worker")
    with st.container(key="still", horizontal_alignment="center"):
        if job.preview is not None:
            st.image(job.preview, width=420)


def _settle(job: watching.Job | None) -> None:
    current = state.get()
    made = job.artefact if job is not None and job.state == "done" else None
    if made is None:
        progress.leave_trouble(job, "cloud")
        state.update(job=None, solid_job=None)
    elif current.job:
        state.update(job=None, artefact=made)
        st.session_state[VIEW] = CLOUD
    else:
        state.update(solid_job=None, solid=made)
        st.session_state[VIEW] = SOLID


# -- results


def _cloud(artefact: str) -> None:
    try:
        outcome = results.outcome(artefact)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    notices.show_findings(outcome.findings, shown=2)
    fallback = "" if outcome.picture is None else data_url(outcome.picture, "PNG")
    if outcome.view is None:
        if outcome.picture is not None:
            st.image(outcome.picture)
        st.caption("What the viewer needs was not kept with this file; this is its picture.")
    else:
        cloud_viewer(outcome.view, outcome.pictures if outcome.pictures > 1 else 0, key="cloud", fallback=fallback)
    if outcome.compared:
        st.caption("Each picture, and the cloud from where it was taken:")
        with st.container(horizontal=True, key="compared"):
            for number, pair in enumerate(outcome.compared, 1):
                with st.container(width=2 * TILE + 20, horizontal=True, gap="small"):
                    for image, name in zip(pair, (f"Picture {number}", "Cloud"), strict=True):
                        st.image(image, width=TILE, caption=name)
    with st.container(border=True, key="to_solid"):
        st.markdown("**Print it.** A closed solid is laid through or around the points.")
        fine = forms.print_step()
        st.button(
            "Make a solid", icon=":material/deployed_code:", disabled=not fine, on_click=_start_solid, args=(artefact,),
            key="solid_make",
        )  # fmt: skip


def _solid(artefact: str) -> None:
    try:
        outcome = solids.outcome(artefact)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    notices.show_findings(outcome.findings, shown=2)
    if outcome.model is None:
        st.caption("The file cannot be read any more.")
        return
    profile = outcome.passport.get("profile", {})
    bed = profile.get("bed", [200.0, 200.0])
    solid_viewer(outcome.model, key="object_solid", bed=(float(bed[0]), float(bed[1])),
                 wall=float(profile.get("minimum_wall", 0.8)))  # fmt: skip
    show_passport(outcome.passport)
