"""Asking for work: what is chosen on the page becomes a recipe, and the recipe goes into the queue."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from studio import pictures, registry, sidecar, weights
from studio.recipe import InputRef, Recipe
from studio.ui import watching, workspace
from studio.ui.state import Picture, TryOnState


@lru_cache(maxsize=8)
def _weights_sha256(name: str, home: str, stamp: float) -> str:
    weights.use_workspace(Path(home))
    return weights.resolve(name).sha256


def weights_of(kind: str) -> dict[str, str]:
    """Name -> sha256 of the weights of a kind.

    Raises:
        WeightsError: if they are not there.
    """
    home = str(workspace.chosen().home)
    hour = time.time() // 3600  # weights are hashed once an hour at most: hashing reads every byte of them
    return {name: _weights_sha256(name, home, hour) for name in registry.kind(kind).weights}


def recipe(kind: str, inputs: Mapping[str, InputRef], values: Mapping[str, Any], seed: int = 0) -> Recipe:
    """The recipe of what a page asks for, its settings complete, with the weights that are here.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    typed = registry.typed(registry.kind(kind), values).model_dump(mode="json")
    return Recipe(kind=kind, inputs=dict(inputs), settings=typed, seed=seed, weights=weights_of(kind))


def reference(picture: Picture) -> InputRef:
    """A kept picture as a recipe refers to it."""
    return InputRef(sha256=picture.sha256, name=picture.name)


def answer_path(asked: Recipe, folder: str = "plans") -> Path:
    """Where the workspace keeps an answer of the page, named by what decides it: the same question finds it again."""
    return workspace.chosen().home / folder / f"{asked.sha256()[:32]}.png"


def answered(path: Path) -> str | None:
    """The answer at this place if it was given before."""
    return str(path) if path.is_file() and sidecar.path_beside(path).is_file() else None


def _recipe(kind: str, state: TryOnState, inputs: dict[str, InputRef]) -> Recipe:
    values = {"person_index": state.person_index, "protect": list(state.protect)}
    return recipe(kind, inputs, values, state.seed if kind == "tryon" else 0)


def _refs(state: TryOnState) -> dict[str, InputRef]:
    given = {"person": state.person, "garment": state.garment}
    return {slot: reference(picture) for slot, picture in given.items() if picture is not None}


def plan_key(state: TryOnState) -> str:
    """What the mask preview depends on."""
    person, garment = (p.sha256 if p else None for p in (state.person, state.garment))
    return json.dumps([person, garment, state.person_index, state.protect])


def known_plan(state: TryOnState) -> str | None:
    """The mask preview for this state if it was made before.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    return answered(answer_path(_recipe("mask", state, _refs(state))))


def submit_plan(state: TryOnState) -> str:
    """Ask for the automatic mask, in the priority lane.

    Raises:
        WeightsError, UsageError: as the classes say.
    """
    asked = _recipe("mask", state, _refs(state))
    path = answer_path(asked)
    number = workspace.queue().add(asked, path, force=True, layers=True, owner="page", preview=True)
    watching.ensure_worker()
    return str(number)


def submit_tryon(state: TryOnState, mask: np.ndarray | None) -> str:
    """Ask for the try-on, with an edited mask if there is one.

    Args:
        state: Inputs and settings.
        mask: (H, W) uint8 at the photo's size, or None for the automatic one.
    """
    refs = _refs(state)
    if mask is not None:
        refs["mask"] = workspace.store().keep_input(pictures.encode(mask, "png"), "mask.png")
    asked = _recipe("tryon", state, refs)
    name = registry.default_name(registry.kind("tryon"), {slot: ref.name for slot, ref in refs.items()})
    path = workspace.chosen().home / "outputs" / time.strftime("%Y-%m-%d") / f"{name}.png"
    number = workspace.queue().add(asked, path, layers=True, owner="page")
    watching.ensure_worker()
    return str(number)
