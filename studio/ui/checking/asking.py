"""Asking for a heat map: a dropped picture becomes a recipe, and the recipe goes into the queue."""

from __future__ import annotations

from studio.ui import asking, watching, workspace
from studio.ui.checking import state
from studio.ui.state import Picture


def ask(picture: Picture) -> None:
    """See to it that a picture is looked at, unless it was before or is already.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    current = state.get()
    if picture.sha256 in {*dict(current.jobs), *dict(current.made), *current.left}:
        return
    recipe = asking.recipe("check", {"picture": asking.reference(picture)}, {})
    path = asking.answer_path(recipe, "checks")
    if known := asking.answered(path):
        state.update(made=(*current.made, (picture.sha256, known)))
        return
    number = workspace.queue().add(recipe, path, force=True, owner="page", preview=True)
    watching.ensure_worker()
    state.update(jobs=(*current.jobs, (picture.sha256, str(number))))


def ended(picture: str, artefact: str | None) -> None:
    """Note that a job ended, with a heat map or without one; without one it is not asked for again by itself."""
    current = state.get()
    jobs = tuple(pair for pair in current.jobs if pair[0] != picture)
    if artefact is None:
        state.update(jobs=jobs, left=(*current.left, picture))
    else:
        state.update(jobs=jobs, made=(*current.made, (picture, artefact)))


def again(picture: str) -> None:
    """Ask anew for one that was stopped or failed."""
    state.update(left=tuple(each for each in state.get().left if each != picture))
