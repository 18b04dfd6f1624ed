"""The training loop that every system shares: AdamW, cosine rate, EMA, mixed precision, resumable to the second.

A run is bounded by minutes or by steps, whichever is given. A checkpoint is written every two minutes, atomically, so
that a run killed at any moment goes on from its last checkpoint with the same schedule.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from pipelines.core import checkpoint
from pipelines.core.errors import PipelineError
from pipelines.core.runtime import Runtime, channels_last

LR = 1.5e-3  # peak learning rate where neither the user nor the training names one


@dataclass(frozen=True)
class TrainConfig:
    """How long and how hard to train.

    Attributes:
        minutes: Wall-clock budget over all resumed parts; None when ``steps`` bounds the run.
        steps: Optimizer steps; None when ``minutes`` bounds the run.
        batch: Samples a step.
        lr: Peak learning rate; None leaves it to the training.
        betas: AdamW's decay rates of its two moments.
        weight_decay: AdamW's decoupled decay, applied to tensors with two or more dimensions.
        warmup: Steps of linear warm-up.
        clip: Largest gradient norm.
        ema: Decay of the averaged weights, which are what is kept.
        workers: Data-loading processes; 0 loads in the training process, best on two cores.
        seed: Seed of initialisation and data.
        checkpoint_seconds: Time between checkpoints.
    """

    minutes: float | None = 30.0
    steps: int | None = None
    batch: int = 16
    lr: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.02
    warmup: int = 60
    clip: float = 1.0
    ema: float = 0.998
    workers: int = 0
    seed: int = 0
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class Rival:
    """A second network that the model's loss plays against, with an optimiser of its own: a GAN's discriminator.

    Attributes:
        network: Trained in place.
        loss: ``() -> (scalar, figures to log)`` on what the model's loss last saw and made; called under autocast after
            every step of the model.
        rate: Its learning rate as a multiple of the model's.
    """

    network: nn.Module
    loss: Callable[[], tuple[Tensor, dict[str, float]]]
    rate: float = 1.0


class SampleStream(IterableDataset):
    """An endless stream of ``draw(generator)`` results, seeded apart for every worker."""

    def __init__(self, draw: Callable[[Any], dict[str, Any]], seed: int) -> None:
        self.draw, self.seed = draw, seed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import numpy as np

        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, info.id if info else 0))
        while True:
            yield self.draw(rng)


class Reservoir:
    """Repeats earlier draws of a slow source: every ``every``-th call draws anew, up to ``capacity`` kept."""

    def __init__(self, source: Callable[[Any], Any], *, every: int = 8, capacity: int = 4000) -> None:
        self.source, self.every, self.capacity = source, every, capacity
        self.kept: list[Any] = []
        self.calls = 0

    def __call__(self, rng: Any) -> Any:
        """Draw with numpy's ``rng``."""
        self.calls += 1
        if len(self.kept) < 64 or self.calls % self.every == 0:
            fresh = self.source(rng)
            if len(self.kept) < self.capacity:
                self.kept.append(fresh)
            else:
                self.kept[rng.integers(self.capacity)] = fresh
            return fresh
        return self.kept[rng.integers(len(self.kept))]


def batches(draw: Callable[[Any], dict[str, Any]], config: TrainConfig, *, offset: int = 0) -> Iterator[dict[str, Any]]:
    """Batch ``draw``'s dicts of arrays into dicts of tensors, without end."""
    stream = SampleStream(draw, config.seed + 7919 * offset)
    loader = DataLoader(stream, batch_size=config.batch, num_workers=config.workers)
    return iter(loader)


def fit(
    model: nn.Module,
    loss: Callable[[nn.Module, dict[str, Any]], tuple[Tensor, dict[str, float]]],
    draw: Callable[[Any], dict[str, Any]],
    folder: str | Path,
    config: TrainConfig,
    runtime: Runtime,
    *,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_seconds: float = 600.0,
    rival: Rival | None = None,
    settings: dict[str, Any] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> nn.Module:
    """Train ``model`` and return its averaged copy, in eval mode.

    Args:
        model: The network; moved to the runtime's device.
        loss: ``(model, batch) -> (scalar, figures to log)``, called under autocast.
        draw: ``rng -> sample``: one dict of numpy arrays.
        folder: Holds ``state.pt`` (resumable) and ``log.jsonl``.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        evaluate: Called on the averaged model now and then; its figures go to the log.
        evaluate_seconds: Time between evaluations.
        rival: Steps after the model on every batch, and is stored and resumed with it.
        settings: Those of the system, as JSON would take them; a run that began with others is not resumed.
        log: Receives one line now and then.

    Raises:
        PipelineError: ``train.bound`` if neither or both of minutes and steps are given;
            ``train.diverged`` if a loss stops being finite; ``train.resume`` if the folder holds a run with other
            settings, or with a rival where this one has none, or the other way round.
        WeightsError: ``weights.mismatch`` if the folder holds a run of another network.
    """
    if (config.minutes is None) == (config.steps is None):
        raise PipelineError(
            "train.bound", "Give minutes or steps, one of the two", seen=f"{config.minutes}, {config.steps}"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    model = channels_last(model.to(runtime.device))
    averaged = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = _optimizer(model, config)
    second = None
    if rival is not None:
        channels_last(rival.network.to(runtime.device)).train()
        second = _optimizer(rival.network, config)
    peak = LR if config.lr is None else config.lr
    state = {"step": 0, "seconds": 0.0, "parts": 0}
    if (folder / "state.pt").is_file():
        stored = checkpoint.read_torch(folder / "state.pt")
        if ("rival" in stored) != (rival is not None):
            raise PipelineError(
                "train.resume",
                "This run folder holds a training of another kind",
                seen=folder,
                remedy="Name another folder",
            )
        if "settings" not in stored:
            log("this run does not say which settings it began with")
        began = stored.get("settings", settings)
        if began != settings:
            raise PipelineError(
                "train.resume",
                "The run in this folder began with other settings",
                seen=f"{folder}: {began} instead of {settings}",
                remedy="Name another folder, or the settings that the run began with",
            )
        checkpoint.load_strict(model, stored["model"], source=str(folder / "state.pt"))
        averaged.load_state_dict(stored["averaged"])
        optimizer.load_state_dict(stored["optimizer"])
        if rival is not None and second is not None:
            checkpoint.load_strict(rival.network, stored["rival"]["network"], source=str(folder / "state.pt"))
            second.load_state_dict(stored["rival"]["optimizer"])
        state = stored["state"]
        log(f"resumed at step {state['step']}, {state['seconds'] / 60:.1f} min")
    state["parts"] += 1
    source = batches(draw, config, offset=state["parts"])

    def save() -> None:
        everything = {
            "model": model.state_dict(),
            "averaged": averaged.state_dict(),
            "optimizer": optimizer.state_dict(),
            "state": state,
            "config": asdict(config),
            "settings": settings,
        }
        if rival is not None and second is not None:
            everything["rival"] = {"network": rival.network.state_dict(), "optimizer": second.state_dict()}
        torch.save(everything, folder / "state.pt.part")
        os.replace(folder / "state.pt.part", folder / "state.pt")

    before, started = state["seconds"], time.monotonic()
    saved = evaluated = logged = started
    recent: list[dict[str, float]] = []
    while True:
        state["seconds"] = before + time.monotonic() - started
        part = state["seconds"] / (config.minutes * 60) if config.minutes else state["step"] / (config.steps or 1)
        if part >= 1:
            break
        rate = peak * min(1.0, (state["step"] + 1) / config.warmup) * (0.5 * (1 + math.cos(math.pi * part)) + 0.005)
        batch = {k: v.to(runtime.device, non_blocking=True) for k, v in next(source).items()}
        model.train()
        with runtime.autocast():
            value, figures = loss(model, batch)
        _descend(model, optimizer, value, rate, config.clip)
        if rival is not None and second is not None:
            with runtime.autocast():
                against, more = rival.loss()
            _descend(rival.network, second, against, rate * rival.rate, config.clip)
            figures = {**figures, "rival": float(against.detach()), **more}
        state["step"] += 1
        _average(averaged, model, min(config.ema, (1 + state["step"]) / (10 + state["step"])))
        recent.append({"loss": float(value.detach()), **figures})
        now = time.monotonic()
        if now - logged > 30:
            means = {
                k: round(fmean(r[k] for r in recent if k in r), 4) for k in dict.fromkeys(k for r in recent for k in r)
            }
            line = {
                "step": state["step"],
                "minutes": round(state["seconds"] / 60, 2),
                "lr": float(f"{rate:.3g}"),
                **means,
            }
            _append(folder, line, log)
            recent, logged = [], now
        if now - saved > config.checkpoint_seconds:
            save()
            saved = now
        if evaluate and now - evaluated > evaluate_seconds:
            _append(
                folder, {"step": state["step"], "minutes": round(state["seconds"] / 60, 2), **evaluate(averaged)}, log
            )
            evaluated = time.monotonic()
    save()
    if evaluate:
        _append(folder, {"step": state["step"], "minutes": round(state["seconds"] / 60, 2), **evaluate(averaged)}, log)
    return averaged


def _optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(_groups(network, config.weight_decay), lr=LR, betas=config.betas)


def _descend(network: nn.Module, optimizer: torch.optim.Optimizer, value: Tensor, rate: float, clip: float) -> None:
    """One step down ``value``; left out where the gradient alone is not finite.

    Raises:
        PipelineError: ``train.diverged``.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip)
    if torch.isfinite(norm):
        optimizer.step()
    elif not torch.isfinite(value):
        raise PipelineError(
            "train.diverged",
            "The loss is no longer finite",
            seen=float(value.detach()),
            remedy="Lower the rate, resume",
        )


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    wide = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    thin = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    return [{"params": wide, "weight_decay": decay}, {"params": thin, "weight_decay": 0.0}]


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _append(folder: Path, line: dict[str, Any], log: Callable[[str], None]) -> None:
    text = json.dumps(line)
    with open(folder / "log.jsonl", "a", encoding="utf-8") as stream:
        stream.write(text + "\n")
    log(text)
