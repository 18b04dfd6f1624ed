"""How far a job is, drawn the same on every page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from studio.errors import PipelineError
from studio.ui import notices, watching

POLL_SECONDS = 0.7
LOST = {
    "code": "job.lost",
    "what": "The work on this is gone",
    "seen": "its job was cancelled or removed",
    "remedy": "Ask for it again",
}


def bar(job: watching.Job, waiting: str, before: str = "") -> None:
    """Draw the bar of a job that waits or runs, and see to it that somebody works.

    Args:
        job: The job.
        waiting: Said while it has nothing to say itself.
        before: Put before whatever is said.
    """
    text = "Stopping after this step" if job.cancelling else job.message or waiting
    if job.ahead:
        text = f"Waiting: {job.ahead} before this one"
    if job.paused:
        text = "Waiting: the queue is paused"
    left = f" · about {duration(job.eta)} left" if job.eta else ""
    st.progress(min(1.0, max(0.02, job.fraction)), text=f"{before}{text}{left}")
    watching.ensure_worker()


def duration(seconds: float) -> str:
    """Seconds in the words of people."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def leave_trouble(job: watching.Job | None, at: str) -> None:
    """Leave the error of a job that ended without a result for the next run; one that was cancelled is no error."""
    if job is not None and job.state == "cancelled":
        return
    error: dict[str, Any] = (job.error if job else None) or LOST
    told = PipelineError(error["code"], error["what"], seen=error.get("seen"), remedy=error.get("remedy") or "")
    notices.leave(told, at)
