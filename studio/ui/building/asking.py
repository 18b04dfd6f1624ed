"""Asking for a building: what is drawn and chosen on the page becomes a recipe, and the recipe goes into the queue."""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import Any

from studio import registry
from studio.recipe import Recipe
from studio.ui import asking, watching, workspace
from studio.ui.building.state import BuildingState
from studio.ui.components.sketch import Drawing, render
from studio.ui.state import Picture

SHOWN = ("variant", "straighten", "detail", "longest_mm", "height_mm", "scale", "real_height_m", "profile")


@lru_cache(maxsize=4)
def _drawn(drawing: Drawing) -> bytes:
    return render(drawing)


def sketch(state: BuildingState) -> Picture | None:
    """The sketch in use, kept in the workspace; None while nothing is drawn or picked."""
    if state.sketch is not None:
        return state.sketch
    if state.drawing.empty:
        return None
    ref = workspace.store().keep_input(_drawn(state.drawing), "drawing.png")
    return Picture(ref.sha256, ref.name)


def settings(state: BuildingState) -> dict[str, Any]:
    """The settings of a recipe, complete.

    Raises:
        UsageError: ``size.*`` for a size that nobody can print, ``recipe.bad`` for other values out of range.
    """
    sizes: dict[str, dict[str, float]] = {
        "height": {"height_mm": state.millimetres},
        "longest": {"longest_mm": state.millimetres},
        "scale": {"scale": state.ratio, "real_height_m": state.real_height},
    }
    values = {
        **dict(state.extra),
        **sizes[state.size],
        "variant": state.variant,
        "straighten": state.straighten,
        "detail": state.detail,
        "profile": state.printer,
    }
    return registry.typed(registry.kind("building"), values).model_dump(mode="json")


def _recipe(kind: str, picture: Picture, values: dict[str, Any], seed: int) -> Recipe:
    return asking.recipe(kind, {"sketch": asking.reference(picture)}, values, seed)


def plan_key(state: BuildingState) -> str | None:
    """What the prepared sketch depends on; moving the guides of a drawing changes nothing."""
    if state.sketch is not None:
        return state.sketch.sha256
    return None if state.drawing.empty else json.dumps([hash(state.drawing.shapes)])


def made_key(state: BuildingState) -> str:
    """What the variants of one building have in common."""
    values = settings(state)
    return json.dumps([plan_key(state), {**values, "variant": 0}, state.seed])


def known_plan(picture: Picture) -> str | None:
    """The prepared sketch if it was made before.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    return asking.answered(asking.answer_path(_recipe("building-plan", picture, {}, 0)))


def submit_plan(picture: Picture) -> str:
    """Ask for the prepared sketch, in the priority lane."""
    recipe = _recipe("building-plan", picture, {}, 0)
    number = workspace.queue().add(
        recipe, asking.answer_path(recipe), force=True, layers=True, owner="page", preview=True
    )
    watching.ensure_worker()
    return str(number)


def submit(state: BuildingState, picture: Picture) -> str:
    """Ask for the building.

    Raises:
        UsageError, WeightsError: as `settings` and the classes say.
    """
    recipe = _recipe("building", picture, settings(state), state.seed)
    name = registry.default_name(registry.kind("building"), {"sketch": picture.name})
    path = workspace.chosen().home / "outputs" / time.strftime("%Y-%m-%d") / f"{name}.3mf"
    number = workspace.queue().add(recipe, path, format="3mf", layers=True, owner="page")
    watching.ensure_worker()
    return str(number)
