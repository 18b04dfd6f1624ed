"""Which function trains and which one scores each system. Like the engine, it imports pipelines late."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError
from pipelines.core.types import OnStep
from studio import disk
from studio import weights as weights_module
from studio.errors import OutputError, UsageError
from studio.settings import Settings


@dataclass(frozen=True)
class System:
    """A system that learns.

    Attributes:
        training: Module with ``train([data,] folder, config, runtime, *, ...)``; a ``data`` with a default may be left
            out.
        evaluation: Module with ``evaluate(data, split, ...)``, or None where nothing is scored.
        weights: Name of its weights.
        conversion: Module with ``convert(files, folder)`` and ``FILES``, which makes weights of published checkpoints;
            None where none are published.
    """

    training: str
    evaluation: str | None
    weights: str
    conversion: str | None = None


SYSTEMS = {
    "parsing": System("pipelines.person.parsing.training", "pipelines.person.parsing.evaluation", "parsing"),
    "pose": System(
        "pipelines.vitpose.training", "pipelines.vitpose.evaluation", "pose", "pipelines.vitpose.conversion"
    ),
    "garment": System("pipelines.person.garment.training", None, "garment"),
    "cutout": System("pipelines.person.garment.prior_training", None, "garment"),
    "vitruvio": System(
        "pipelines.vitruvio.training", "pipelines.vitruvio.evaluation", "vitruvio", "pipelines.vitruvio.conversion"
    ),
    "iml-vit": System(
        "pipelines.iml_vit.training", "pipelines.iml_vit.evaluation", "iml-vit", "pipelines.iml_vit.conversion"
    ),
    "diffpoint": System("pipelines.diffpoint.training", "pipelines.diffpoint.evaluation", "diffpoint"),
    "viton-hd": System(
        "pipelines.viton_hd.training", "pipelines.viton_hd.evaluation", "viton-hd", "pipelines.viton_hd.conversion"
    ),
}


def system(name: str) -> System:
    """The system called ``name``.

    Raises:
        UsageError: ``system.unknown``.
    """
    if name not in SYSTEMS:
        raise UsageError("system.unknown", "There is no such system", seen=name, remedy=f"Known: {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def _function(module: str, name: str) -> Callable[..., Any]:
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class TrainingPlan:
    """A training that is ready to start."""

    name: str
    data: tuple[Path, ...]
    folder: Path
    config: Any
    runtime: Any
    options: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """JSON-ready: what will be run."""
        return {
            "name": self.name,
            "data": [str(path) for path in self.data],
            "out": str(self.folder),
            "config": asdict(self.config),
            "device": str(self.runtime.device),
            "options": {name: str(value) for name, value in self.options.items()},
        }

    def run(self, log: Callable[[str], None]) -> Path:
        """Train, and return the folder of weights."""
        train = _function(system(self.name).training, "train")
        data = {"data": self.data} if self.data else {}
        return train(folder=self.folder, config=self.config, runtime=self.runtime, log=log, **data, **self.options)


def plan_training(
    name: str,
    data: Sequence[Path],
    folder: Path,
    *,
    minutes: float | None,
    steps: int | None,
    batch: int | None,
    lr: float | None,
    workers: int,
    seed: int,
    network: str | None,
    options: Sequence[str],
    settings: Settings,
) -> TrainingPlan:
    """Check what can be checked before a training starts.

    Raises:
        UsageError: ``train.bound``, ``train.data``, ``train.option`` or ``system.unknown``.
        InputError: ``input.missing`` for a data folder that is not there.
        OutputError: ``output.unwritable`` for a run folder that cannot be one.
    """
    chosen = system(name)
    if (minutes is None) == (steps is None):
        raise UsageError("train.bound", "Give --minutes or --steps, one of the two", remedy="For example --minutes 60")
    for path in data:
        if not path.is_dir():
            raise InputError("input.missing", "There is no such folder of data", seen=path, remedy="Check --data")
    with disk.told(folder):
        disk.check_folder(folder)
    from pipelines.core import runtime, training

    train = _function(chosen.training, "train")
    takes = inspect.signature(train).parameters.get("data")
    needs = takes is not None and takes.default is inspect.Parameter.empty
    if (data and takes is None) or (needs and not data):
        what = f"Training {name} draws its own data" if data else f"Training {name} needs data"
        raise UsageError("train.data", what, remedy="Leave --data out" if data else "Give --data DIR")
    extra = _options([*options, *([f"network={network}"] if network else [])], train)
    given = {"batch": batch, "lr": lr}
    config = training.TrainConfig(
        minutes=minutes, steps=steps, workers=workers, seed=seed, **{k: v for k, v in given.items() if v is not None}
    )
    return TrainingPlan(name, tuple(data), folder, config, runtime.choose(settings.device, settings.dtype), extra)


def _options(pairs: Sequence[str], function: Callable[..., Any]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as keyword arguments of ``function``; a value ``pipelines.module:name`` is imported."""
    known = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in ("data", "log")
    }
    found: dict[str, Any] = {}
    for pair in pairs:
        name, mark, text = pair.partition("=")
        if not mark or name not in known:
            raise UsageError(
                "train.option", "This training has no such option", seen=pair, remedy=f"It has: {', '.join(known)}"
            )
        default = known[name].default
        try:
            if re.fullmatch(r"pipelines(\.\w+)+:\w+", text):
                found[name] = _function(*text.split(":"))
            elif isinstance(default, bool):
                found[name] = {"true": True, "false": False, "1": True, "0": False}[text.lower()]
            elif isinstance(default, tuple):
                found[name] = tuple(text.split(","))
            else:
                found[name] = type(default)(text) if isinstance(default, (int, float)) else text
        except (ValueError, KeyError, ImportError, AttributeError) as error:
            raise UsageError("train.option", "This value does not fit the option", seen=f"{pair}: {error}") from error
    return found


def evaluate(
    name: str,
    settings: Settings,
    *,
    data: Path | None,
    split: str,
    garments: Path | None,
    rendered: int | None,
    weights: Path | None,
    seed: int,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score weights (default: the starter) and return the figures that specs define by name.

    Raises:
        UsageError: ``eval.none``, ``eval.option``, ``eval.split`` or ``eval.data``.
        InputError: ``input.missing`` for a folder that is not there.
    """
    chosen = system(name)
    if chosen.evaluation is None:
        raise UsageError("eval.none", "This system has no score of its own", seen=name, remedy="Score viton-hd instead")
    if split not in ("all", "val"):
        raise UsageError("eval.split", "There is no such split", seen=split, remedy="Use all or val")
    for path in (data, garments):
        if path is not None and not path.is_dir():
            raise InputError("input.missing", "There is no such folder of data", seen=path, remedy="Check the path")
    if data is None and rendered is None:
        raise UsageError(
            "eval.data",
            "There is nothing to score on",
            remedy="Give --data DIR, or --rendered N for viton-hd, vitruvio and diffpoint",
        )
    weights_module.use_workspace(settings.home)
    function = _function(chosen.evaluation, "evaluate")
    accepted = inspect.signature(function).parameters
    asked = {"garments": garments, "rendered": rendered, "weights": weights}
    arguments: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    refused = [f"--{key}" for key in arguments if key not in accepted]
    if refused:
        raise UsageError("eval.option", f"The score of {name} has no such option", seen=", ".join(refused))
    if data is None and accepted["data"].default is inspect.Parameter.empty:
        raise UsageError("eval.data", f"The score of {name} needs labelled data", remedy="Give --data DIR")
    common = {"seed": seed, "device": settings.device, "dtype": settings.dtype, "on_step": on_step}
    arguments |= {key: value for key, value in common.items() if key in accepted}
    return dict(function(data, split, **arguments))


def prepare_buildings(
    meshes: Path, out: Path, *, limit: int | None, on_step: OnStep | None = None, **values: Any
) -> dict[str, Any]:
    """Make a data set of a folder of building meshes.

    Args:
        meshes: Folder or file of meshes.
        out: The data set.
        limit: How many meshes at most.
        on_step: Called after each mesh.
        values: Fields of `preparation.Settings`.

    Returns:
        JSON-ready: what became of each mesh.

    Raises:
        InputError: ``input.missing`` for meshes that are not there, or what `preparation.prepare` raises.
        OutputError: ``output.unwritable`` or ``output.disk-full``.
    """
    if not meshes.exists():
        raise InputError("input.missing", "There is no such folder of meshes", seen=meshes, remedy="Check the path")
    from pipelines.vitruvio import preparation

    with disk.told(out):
        disk.check_folder(out)
        return preparation.prepare(meshes, out, preparation.Settings(**values), limit=limit, on_step=on_step).as_dict()


def write_evaluation_set(out: Path, on_step: OnStep | None = None) -> list[Path]:
    """Write the buildings that Vitruvio's figures are about into a folder; return its items' folders.

    Raises:
        OutputError: ``output.unwritable`` or ``output.disk-full``.
    """
    from pipelines.vitruvio import evaluation_set

    with disk.told(out):
        disk.check_folder(out)
        return evaluation_set.write_evaluation_set(out, on_step=on_step)


def write_tampered(
    photographs: Sequence[Path], out: Path, part: str, *, limit: int | None, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Write a labelled set of tampered and untouched pictures made of photographs; see `evaluation_set.write`.

    Raises:
        InputError: ``input.missing``, ``data.empty`` or ``input.unreadable``.
        OutputError: ``output.unwritable`` or ``output.disk-full``.
    """
    for folder in photographs:
        if not folder.is_dir():
            raise InputError("input.missing", "There is no such folder of photographs", seen=folder, remedy="Check it")
    from pipelines.iml_vit import evaluation_set

    with disk.told(out):
        disk.check_folder(out)
        return evaluation_set.write(photographs, out, part, limit=limit, on_step=on_step)


def convert(name: str, files: Sequence[Path], folder: Path) -> None:
    """Make a folder of weights of published checkpoints; it is there whole or not at all.

    Raises:
        UsageError: ``system.unknown`` or ``weights.no-conversion``.
        OutputError: ``output.exists`` for a folder that is not empty, or ``output.unwritable``.
        InputError, WeightsError: what the system's ``convert`` raises.
    """
    module = system(name).conversion
    if module is None:
        known = ", ".join(each for each, row in SYSTEMS.items() if row.conversion)
        raise UsageError(
            "weights.no-conversion", "No checkpoints are published for this system", seen=name, remedy=f"Known: {known}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError("output.exists", "This folder is in use", seen=folder, remedy="Name a new one")
    with disk.told(folder):
        disk.check_folder(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with disk.temporary(folder) as part:
            _function(module, "convert")(files, part)
            if folder.exists():
                folder.rmdir()
            part.rename(folder)
