"""The training loop: it learns, stops at its bound, and goes on where it was killed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.core import runtime
from pipelines.core.errors import PipelineError
from pipelines.core.training import Reservoir, TrainConfig, fit

CPU = runtime.choose("cpu", "float32")


def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
    x = rng.normal(size=3).astype(np.float32)
    return {"x": x, "y": x @ np.array([1, -2, 3], np.float32)}


def loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    return ((model(batch["x"])[:, 0] - batch["y"]) ** 2).mean(), {}


def config(**changes) -> TrainConfig:
    return TrainConfig(
        **{"minutes": None, "steps": 120, "lr": 0.1, "warmup": 5, "weight_decay": 0.0, "ema": 0.8, **changes}
    )


def test_it_learns_and_returns_the_averaged_weights(tmp_path):
    model = fit(nn.Linear(3, 1), loss, draw, tmp_path, config(), CPU)
    assert torch.allclose(model.weight[0], torch.tensor([1.0, -2.0, 3.0]), atol=0.1) and not model.training


def test_a_run_goes_on_where_it_stopped(tmp_path):
    fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=40), CPU)
    lines: list[str] = []
    model = fit(nn.Linear(3, 1), loss, draw, tmp_path, config(), CPU, log=lines.append)
    assert lines[0].startswith("resumed at step 40")
    assert torch.load(tmp_path / "state.pt", weights_only=False)["state"]["step"] == 120
    assert torch.allclose(model.weight[0], torch.tensor([1.0, -2.0, 3.0]), atol=0.1)


def test_the_log_keeps_what_was_measured(tmp_path):
    fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=2), CPU, evaluate=lambda model: {"score": 0.5})
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["score"] == 0.5


@pytest.mark.parametrize(("minutes", "steps"), [(None, None), (1.0, 5)])
def test_one_bound_is_needed(tmp_path, minutes, steps):
    with pytest.raises(PipelineError) as caught:
        fit(nn.Linear(3, 1), loss, draw, tmp_path, config(minutes=minutes, steps=steps), CPU)
    assert caught.value.code == "train.bound" and not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run_and_spoils_no_checkpoint(tmp_path):
    fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=5), CPU)
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(PipelineError) as caught:
        fit(nn.Linear(3, 1), lambda m, b: (loss(m, b)[0] * float("nan"), {}), draw, tmp_path, config(steps=9), CPU)
    assert caught.value.code == "train.diverged" and (tmp_path / "state.pt").read_bytes() == before


def test_a_reservoir_repeats_what_was_slow_to_draw():
    drawn: list[float] = []

    def slow(rng: np.random.Generator) -> float:
        drawn.append(rng.random())
        return drawn[-1]

    source, rng = Reservoir(slow, every=4, capacity=100), np.random.default_rng(0)
    seen = [source(rng) for _ in range(464)]
    assert len(drawn) == 64 + 100 and len(source.kept) == 100
    assert set(seen) == set(drawn)
