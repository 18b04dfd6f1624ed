"""The work behind the page: how far a job is, stopping it, and seeing to it that somebody works."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio import worker
from studio.errors import UsageError
from studio.queue import WORK_LANE
from studio.ui import workspace

STARTUP_SECONDS = 20.0  # a worker that was just started is given this long before another is tried

# The engine counts the steps, the pipeline names them; names are shown while both agree on how many there are.
_STEPS = {
    "tryon": (
        "Finding the person",
        "Reading the garment",
        "Fitting the garment",
        "Marking the area",
        "Arranging",
        "Painting",
        "Pasting back",
        "Looking at it as a detector would",
    ),
    "building": (
        "Preparing the sketch",
        "Reading it",
        "Finding the surface",
        "Cleaning up",
        "Comparing with the sketch",
        "Measuring for the printer",
    ),
    "surface": ("Laying the surface", "Bringing it to size", "Measuring for the printer"),
    "mask": ("Finding the person", "Reading the garment", "Marking the area"),
}


@dataclass(frozen=True)
class Job:
    """A job as the page shows it.

    Attributes:
        state: As in the queue.
        active: Whether it still waits or runs.
        fraction: In [0, 1].
        message: What is being done, for people.
        eta: Seconds left, or None.
        ahead: How many jobs come first.
        paused: Whether the queue starts no work.
        cancelling: Whether it was asked to stop.
        preview: PNG bytes, or None.
        artefact: Id of the result, or None.
        error: code, what, seen, remedy, or None.
    """

    state: str
    active: bool
    fraction: float
    message: str
    eta: float | None
    ahead: int
    paused: bool
    cancelling: bool
    preview: bytes | None
    artefact: str | None
    error: dict[str, Any] | None


def watch(job_id: str) -> Job | None:
    """The job as it stands now, or None if the queue does not know it."""
    try:
        row = workspace.queue().get(int(job_id))
    except UsageError:
        return None
    kind = json.loads(row.recipe)["kind"]
    waiting = row.state == "queued"
    return Job(
        state=row.state,
        active=row.active,
        fraction=row.fraction,
        message="" if waiting else _step_name(kind, row.message),
        eta=row.eta,
        ahead=workspace.queue().ahead(row.id) if waiting else 0,
        paused=waiting and row.lane == WORK_LANE and paused(),
        cancelling=row.cancel,
        preview=_read(row.preview) if row.active and row.preview else None,
        artefact=str(Path(row.result).resolve()) if row.result else None,
        error=row.error,
    )


def _step_name(kind: str, message: str) -> str:
    """``step 2 of 7``, said of a step that is done, becomes the name of the step that runs."""
    count = re.fullmatch(r"step (\d+) of (\d+)", message)
    names = _STEPS.get(kind, ())
    if count and int(count[2]) == len(names):
        return names[min(int(count[1]), len(names) - 1)]
    return message.capitalize()


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:  # the worker removes it when the job ends
        return None


def cancel(job_id: str) -> None:
    """Stop a job; one that has ended stays as it is."""
    workspace.queue().cancel(int(job_id))


_started: dict[str, float] = {}


def ensure_worker() -> None:
    """Start the worker unless one is alive or was started a moment ago."""
    home = workspace.chosen().home
    if time.monotonic() - _started.get(str(home), -STARTUP_SECONDS) >= STARTUP_SECONDS:
        _started[str(home)] = time.monotonic()
        worker.ensure(home)


def interrupted() -> int:
    """How many jobs an unclean end left; the queue is paused then, until the user says what to do."""
    return len(worker.open_session(workspace.chosen().home))


def paused() -> bool:
    """Whether the queue starts no work."""
    return workspace.queue().paused


def resume() -> None:
    """Let the queue go on, and see to it that somebody works."""
    workspace.queue().resume()
    ensure_worker()
