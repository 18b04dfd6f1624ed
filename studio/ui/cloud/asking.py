"""Asking for cut-outs, a cloud, and a solid of it: what is chosen on the page becomes recipes in the queue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from studio import media, registry
from studio.recipe import Recipe
from studio.ui import asking, watching, workspace
from studio.ui.cloud import state
from studio.ui.cloud.state import CloudState

CLOUD_FORMAT, SOLID_FORMAT = "ply", "3mf"


def ask_cutouts() -> None:
    """See to it that the object is cut out of every chosen picture, unless it was before or is already.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    current = state.get()
    known = {*dict(current.plan_jobs), *dict(current.plans), *dict(current.refused)}
    for picture in current.pictures:
        if picture.sha256 in known:
            continue
        recipe = asking.recipe("cutout", {"view": asking.reference(picture)}, {})
        path = asking.answer_path(recipe)
        if made := asking.answered(path):
            state.update(plans=(*state.get().plans, (picture.sha256, made)))
            continue
        number = workspace.queue().add(recipe, path, force=True, owner="page", preview=True)
        watching.ensure_worker()
        state.update(plan_jobs=(*state.get().plan_jobs, (picture.sha256, str(number))))


def give_up() -> None:
    """Stop what is being made: its pictures, or its cloud, are no longer those on the page."""
    current = state.get()
    wanted = {picture.sha256 for picture in current.pictures}
    for job in (current.job, current.solid_job, *(job for sha256, job in current.plan_jobs if sha256 not in wanted)):
        if job:
            watching.cancel(job)
    state.update(job=None, solid_job=None)


def submit(current: CloudState) -> str:
    """Ask for the cloud.

    Raises:
        UsageError, WeightsError: as the classes say.
    """
    refs = {f"view{number}": asking.reference(picture) for number, picture in enumerate(current.pictures, 1)}
    values = {name: getattr(current, name) for name in ("points", "steps", "sampler", "guidance")}
    recipe = asking.recipe("cloud", refs, values, current.seed)
    name = registry.default_name(registry.kind("cloud"), {"view1": current.pictures[0].name})
    return _add(recipe, name, CLOUD_FORMAT)


def solid_settings(current: CloudState) -> dict[str, Any]:
    """Settings of a recipe of a solid.

    Raises:
        UsageError: ``size.*`` for a size that nobody can print.
    """
    values = {f"{current.size}_mm": current.millimetres, "profile": current.printer}
    return registry.typed(registry.kind("surface"), values).model_dump(mode="json")


def submit_solid(current: CloudState, cloud: str) -> str:
    """Ask for a solid of a cloud that was made here.

    Raises:
        InputError: if the cloud is gone.
        UsageError: as `solid_settings`.
    """
    path = Path(cloud)
    data = media.read_bytes(path)
    ref = workspace.store().keep_input(data, path.name)
    recipe = asking.recipe("surface", {"cloud": ref}, solid_settings(current))
    return _add(recipe, registry.default_name(registry.kind("surface"), {"cloud": ref.name}), SOLID_FORMAT)


def _add(recipe: Recipe, name: str, format: str) -> str:
    path = workspace.chosen().home / "outputs" / time.strftime("%Y-%m-%d") / f"{name}.{format}"
    number = workspace.queue().add(recipe, path, format=format, layers=True, owner="page")
    watching.ensure_worker()
    return str(number)
