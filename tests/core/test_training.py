"""The training loop: it learns, stops at its bound, and goes on where it was killed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.core import runtime
from pipelines.core.errors import PipelineError, WeightsError
from pipelines.core.training import Reservoir, Rival, TrainConfig, fit

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


def test_a_rival_that_diverges_stops_the_run(tmp_path):
    network = nn.Linear(3, 1)
    broken = Rival(network, lambda: (network.weight.sum() * float("inf"), {}))
    with pytest.raises(PipelineError) as caught:
        fit(nn.Linear(3, 1), loss, draw, tmp_path, config(), CPU, rival=broken)
    assert caught.value.code == "train.diverged" and not (tmp_path / "state.pt").exists()


def test_without_a_rate_the_shared_one_is_taken(tmp_path):
    fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=1, lr=None, warmup=1), CPU)
    group = torch.load(tmp_path / "state.pt", weights_only=False)["optimizer"]["param_groups"][0]
    assert group["lr"] == pytest.approx(1.5e-3 * 1.005)


def test_a_reservoir_repeats_what_was_slow_to_draw():
    drawn: list[float] = []

    def slow(rng: np.random.Generator) -> float:
        drawn.append(rng.random())
        return drawn[-1]

    source, rng = Reservoir(slow, every=4, capacity=100), np.random.default_rng(0)
    seen = [source(rng) for _ in range(464)]
    assert len(drawn) == 64 + 100 and len(source.kept) == 100
    assert set(seen) == set(drawn)


class Duel:
    """A loss with a rival: one layer copies the target, the other one tells copy from target."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.network = nn.Linear(1, 1)
        self.made = self.real = torch.empty(0)

    def __call__(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        out = model(batch["x"])
        self.made, self.real = out.detach(), batch["y"][:, None]
        return -self.network(out).mean() + ((out - self.real) ** 2).mean(), {}

    def opposing(self) -> tuple[torch.Tensor, dict[str, float]]:
        value = ((self.network(self.real) - 1) ** 2 + self.network(self.made) ** 2).mean()
        return value, {"told": float(value.detach())}


def duel(folder, steps: int, rate: float = 1.0) -> tuple[Duel, dict]:
    game = Duel()
    fit(nn.Linear(3, 1), game, draw, folder, config(steps=steps), CPU, rival=Rival(game.network, game.opposing, rate))
    return game, torch.load(folder / "state.pt", weights_only=False)


def test_a_rival_is_trained_stored_and_resumed_with_its_optimizer(tmp_path):
    untrained = Duel().network.weight.detach().clone()
    first, stored = duel(tmp_path, 5)
    assert not torch.equal(first.network.weight, untrained)
    assert {int(s["step"]) for s in stored["rival"]["optimizer"]["state"].values()} == {5}
    second, again = duel(tmp_path, 5)  # takes no step: what comes back is what was stored
    assert torch.equal(second.network.weight, first.network.weight)
    for mine, theirs in zip(
        again["rival"]["optimizer"]["state"].values(), stored["rival"]["optimizer"]["state"].values(), strict=True
    ):
        assert torch.equal(mine["exp_avg"], theirs["exp_avg"])
    _, on = duel(tmp_path, 8)
    assert {int(s["step"]) for s in on["rival"]["optimizer"]["state"].values()} == {8} and on["state"]["step"] == 8


def test_a_rival_has_a_rate_of_its_own_and_teaches_through_the_loss_alone(tmp_path):
    _, stored = duel(tmp_path / "a", 3, rate=4.0)
    rate = stored["optimizer"]["param_groups"][0]["lr"]
    assert stored["rival"]["optimizer"]["param_groups"][0]["lr"] == pytest.approx(4 * rate)
    _, still = duel(tmp_path / "b", 3, rate=0.0)
    assert torch.equal(still["rival"]["network"]["weight"], Duel().network.weight)


def test_a_run_with_a_rival_does_not_go_on_without_one(tmp_path):
    duel(tmp_path / "a", 2)
    fit(nn.Linear(3, 1), loss, draw, tmp_path / "b", config(steps=2), CPU)
    before = (tmp_path / "a" / "state.pt").read_bytes()
    with pytest.raises(PipelineError) as caught:
        fit(nn.Linear(3, 1), loss, draw, tmp_path / "a", config(steps=4), CPU)
    assert caught.value.code == "train.resume" and (tmp_path / "a" / "state.pt").read_bytes() == before
    with pytest.raises(PipelineError) as caught:
        duel(tmp_path / "b", 4)
    assert caught.value.code == "train.resume"


def test_a_run_does_not_go_on_with_other_settings(tmp_path):
    fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=2), CPU, settings={"side": 64, "overlap": 0.5})
    fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=3), CPU, settings={"side": 64, "overlap": 0.5})
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(PipelineError) as caught:
        fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=4), CPU, settings={"side": 128, "overlap": 0.5})
    assert caught.value.code == "train.resume" and "'side': 64" in str(caught.value.seen)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_a_run_of_another_network_is_named_not_a_traceback(tmp_path):
    fit(nn.Linear(3, 1), loss, draw, tmp_path, config(steps=2), CPU)
    with pytest.raises(WeightsError) as caught:
        fit(nn.Linear(3, 2), loss, draw, tmp_path, config(steps=4), CPU)
    assert caught.value.code == "weights.mismatch"
