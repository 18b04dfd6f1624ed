"""The checking page: what was dropped on the left; heat map, seal and traces of the chosen one on the right."""

from __future__ import annotations

import streamlit as st

from studio import media
from studio.errors import PipelineError
from studio.ui import inputs, notices, progress, watching
from studio.ui.checking import asking, results, state
from studio.ui.components.heat import heat_viewer
from studio.ui.components.tiles import Tile, tiles
from studio.ui.state import Picture
from studio.verdicts import Verdict

# C2PA's words for how a file came about and what it was made from, as people say them.
ORIGINS = {
    "compositeWithTrainedAlgorithmicMedia": "A picture that a trained network changed in part",
    "trainedAlgorithmicMedia": "Made by a trained network",
    "trainedAlgorithmicData": "What a trained network found in a picture",
    "algorithmicallyEnhanced": "Changed by a fixed procedure",
    "algorithmicMedia": "Made by a fixed procedure",
    "digitalCapture": "Taken by a camera",
    "digitalCreation": "Made by a person in a program",
}
RELATIONS = {"parentOf": "Edited from", "componentOf": "With, placed in it", "inputTo": "Made from"}
SEAL_BOX = {"trusted": st.success, "studio": st.success, "foreign": st.info, "altered": st.error, "none": st.info}


def pictures_step() -> None:
    """Uploader and the dropped pictures."""
    st.subheader("1 · Pictures", anchor=False)
    st.file_uploader(
        "Pictures to look at",
        type=list(media.SUFFIXES),
        accept_multiple_files=True,
        key="check_upload",
        on_change=_upload,
        help="As they came: a screenshot of a picture, or one that was saved again, has lost most traces.",
        label_visibility="collapsed",
    )
    notices.show_pending("check")
    current = state.get()
    if current.pictures:
        made = dict(current.made)
        tiles(
            [Tile(each.sha256, each.name, inputs.thumbnail(each.sha256)) for each in current.pictures],
            key="check_tiles",
            label="Pictures",
            selected=current.chosen,
            on_pick=lambda chosen: state.update(chosen=chosen),
            shape="square",
        )
        if any(picture != current.chosen for picture, _ in current.jobs):
            _others()
        st.caption(f"{len(made)} of {len(current.pictures)} looked at. They stay on this computer.")
    else:
        st.caption("Use the file as you got it. Saving it again, or a screenshot of it, loses most traces.")


@st.fragment(run_every=progress.POLL_SECONDS)
def _others() -> None:
    """Note what ended of the pictures that are not on show; the one that is draws its own progress."""
    current = state.get()
    ended = False
    for picture, job_id in current.jobs:
        job = watching.watch(job_id) if picture != current.chosen else None
        if picture != current.chosen and (job is None or not job.active):
            asking.ended(picture, job.artefact if job is not None and job.state == "done" else None)
            ended = True
    if ended:
        st.rerun()


def _upload() -> None:
    with notices.catch("check"):
        current = state.get()
        known = {each.sha256 for each in current.pictures}
        added = [inputs.keep_upload(upload.getvalue(), upload.name) for upload in st.session_state["check_upload"]]
        fresh = [each for each in dict.fromkeys(added) if each.sha256 not in known]
        if fresh:
            state.update(pictures=(*current.pictures, *fresh), chosen=fresh[0].sha256)


def show() -> None:
    """Ask for what is due, and draw the chosen picture."""
    current = state.get()
    chosen = next((each for each in current.pictures if each.sha256 == current.chosen), None)
    if chosen is None:
        with st.container(border=True, key="empty", horizontal_alignment="center", vertical_alignment="center"):
            st.markdown(":material/image_search:", width="content")
            st.markdown("Drop one or several pictures to begin.", text_alignment="center", width=420)
        return
    try:
        for picture in current.pictures:
            asking.ask(picture)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    st.subheader(notices.plain(chosen.name), anchor=False)
    _evidence(chosen)
    _seal(chosen)
    _traces(chosen)


# -- forensic evidence


def _evidence(picture: Picture) -> None:
    st.markdown("**Forensic evidence** — what a network sees in the pixels")
    current = state.get()
    artefact = dict(current.made).get(picture.sha256)
    if artefact is None:
        job = dict(current.jobs).get(picture.sha256)
        if job is not None:
            _running(picture.sha256, job)
        notices.show_pending("check-job")
        if picture.sha256 in current.left:
            st.caption("This picture was not looked at.")
            st.button("Look at it", on_click=asking.again, args=(picture.sha256,), key="check_again")
        return
    try:
        found = results.heat(artefact, picture)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    forensics = found.forensics
    show = st.warning if forensics.get("suspicious") else st.info
    show(f"**{forensics.get('meaning', '')}.** {forensics.get('caution', '')}.", icon=":material/search:")
    # Below the threshold the marks are what noise leaves, and a box around them would say more than the score does.
    boxes = [region["box"] for region in forensics.get("regions", [])] if forensics.get("suspicious") else []
    heat_viewer(found.photo, found.heat, boxes, found.size, key=f"heat-{picture.sha256[:12]}")


@st.fragment(run_every=progress.POLL_SECONDS)
def _running(picture: str, job_id: str) -> None:
    job = watching.watch(job_id)
    if job is not None and job.active:
        progress.bar(job, "Looking at it")
        st.button("Stop", on_click=watching.cancel, args=(job_id,), key=f"stop-{picture[:12]}")
        return
    artefact = job.artefact if job is not None and job.state == "done" else None
    if artefact is None:
        progress.leave_trouble(job, "check-job")
    asking.ended(picture, artefact)
    st.rerun()


# -- the seal, and the file


def _seal(picture: Picture) -> None:
    st.markdown("**Seal and history** — what was signed, which has nothing to do with the evidence above")
    try:
        verdict = results.verdict(picture)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    words = verdict.words[:1].upper() + verdict.words[1:]
    reasons = "".join(f"  \n{notices.plain(reason.meaning)}" for reason in verdict.reasons)
    SEAL_BOX[verdict.status](f"**{notices.plain(words)}.**{reasons}", icon=":material/verified_user:")
    if chain := _chain(verdict, results.recipe(picture)):
        st.markdown("\n".join(chain))


def _chain(verdict: Verdict, recipe: str) -> list[str]:
    """The history as a list: what the file is, and what it was made from."""
    lines = []
    if verdict.source_type:
        when = f", says its signer, at {notices.plain(verdict.when)}" if verdict.when else ""
        origin = ORIGINS.get(verdict.source_type, verdict.source_type)
        lines.append(f"- {notices.plain(origin)}{when} ({notices.plain(', '.join(verdict.actions))})")
    for item in verdict.ingredients:
        signer = f", itself signed by {notices.plain(item['signer'])}" if item.get("signer") else ""
        relation = RELATIONS.get(item["relationship"], item["relationship"])
        lines.append(f"    - {notices.plain(relation)}: {notices.plain(item['title'])}{signer}")
    return [*lines, f"- Recipe inside: {notices.plain(recipe)}"] if recipe else lines


def _traces(picture: Picture) -> None:
    st.markdown("**The file itself** — hints, which honest pictures have too")
    try:
        found = results.trace(picture)
    except PipelineError as error:
        notices.show_error(error.as_dict())
        return
    if found["anomalies"]:
        notices.show_findings(found["anomalies"], shown=3)
    else:
        st.caption("Nothing that stands out.")
