"""Noise and the way back, with a network that knows the answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipelines.core.errors import Cancelled
from pipelines.core.runtime import Runtime
from pipelines.diffpoint import diffusion
from pipelines.diffpoint.inference import sampled

CPU = Runtime(torch.device("cpu"), torch.float32)
CLEAN = torch.randn(1, 70, 3, generator=torch.Generator().manual_seed(5))


class Knowing(torch.nn.Module):
    """Estimates the clean cloud without error; without a condition it estimates nothing at all."""

    def forward(self, cloud: Tensor, steps: Tensor, condition: Tensor | None) -> Tensor:
        place = (CLEAN if condition is not None else 0 * CLEAN).expand(len(cloud), -1, -1)
        return torch.cat([place, torch.ones(*place.shape[:2], 6)], -1)


CONDITION = torch.zeros(1, 2, 8)


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS)
@pytest.mark.parametrize("steps", [5, 20])
def test_samplers_end_where_the_network_points(sampler: str, steps: int) -> None:
    found = sampled(Knowing(), CONDITION, 70, CPU, steps=steps, sampler=sampler)  # type: ignore[arg-type]
    assert torch.allclose(found[..., :3] * diffusion.SCALE, CLEAN, atol=0.03)
    assert (found[..., 3:] == 1).all()


def test_guidance_goes_beyond_the_picture() -> None:
    found = sampled(Knowing(), CONDITION, 70, CPU, steps=5, guidance=1.5)  # type: ignore[arg-type]
    assert torch.allclose(found[..., :3] * diffusion.SCALE, 1.5 * CLEAN, atol=0.05)


def test_noise_is_that_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type="sample")
    clean, noise, steps = torch.randn(4, 9, 3), torch.randn(4, 9, 3), torch.tensor([0, 10, 500, 999])
    ours = diffusion.noised(clean, noise, diffusion.signal()[steps])
    assert torch.allclose(ours, theirs.add_noise(clean, noise, steps), atol=1e-6)


def test_weights_rise_with_the_signal_within_bounds() -> None:
    weights = diffusion.weight(diffusion.signal())
    assert (weights.diff() <= 0).all()
    assert (float(weights.min()), float(weights.max())) == diffusion.WEIGHT


def test_each_step_is_told_and_may_cancel() -> None:
    told: list[int] = []

    def told_of(done: int, estimate: Tensor) -> None:
        told.append(done)
        assert estimate.shape == (2, 70, 9)
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        sampled(Knowing(), CONDITION, 70, CPU, clouds=2, steps=5, on_estimate=told_of)  # type: ignore[arg-type]
    assert told == [1, 2, 3]


def test_a_seed_draws_the_same_and_another_one_another() -> None:
    class Lazy(Knowing):
        def forward(self, cloud: Tensor, steps: Tensor, condition: Tensor | None) -> Tensor:
            return torch.cat([cloud * 0.9, torch.ones(*cloud.shape[:2], 6)], -1)

    first, again, other = (sampled(Lazy(), CONDITION, 70, CPU, steps=4, seed=seed) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=0.01)
