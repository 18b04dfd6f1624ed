"""From noise to clouds: the sampler's steps, with what the network thinks the cloud is after each of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipelines.core.runtime import Runtime
from pipelines.diffpoint import diffusion
from pipelines.diffpoint.network import DiffPoint


@torch.inference_mode()
def sampled(
    model: DiffPoint,
    condition: Tensor | None,
    points: int,
    runtime: Runtime,
    *,
    clouds: int = 1,
    steps: int = 20,
    seed: int = 0,
    sampler: str = "dpm-solver++",
    guidance: float = 1.0,
    hold: Callable[[float, Tensor], Tensor] | None = None,
    on_estimate: Callable[[int, Tensor], None] = lambda done, estimate: None,
) -> Tensor:
    """Draw clouds.

    Args:
        model: In eval mode, on the runtime's device.
        condition: (1 or ``clouds``, condition, embed) of `DiffPoint.condition`; None draws shapes of no picture.
        points: Of each cloud, at least the network's ``coarse``.
        runtime: Device and dtype.
        clouds: How many, each from noise of its own.
        steps: Of the sampler.
        seed: Of the noise.
        sampler: One of ``diffusion.SAMPLERS``.
        guidance: Of classifier-free guidance: 1 follows the picture as it was learnt, more exaggerates it, at twice the
            time.
        hold: Called in each step with the share of steps done, and the places estimated, (clouds, points, 3) in units
            of the object; what it returns is taken for the estimate.
        on_estimate: Called after each step with how many are done and the estimate, (clouds, points, 9); may raise.

    Returns:
        (clouds, points, 9) float32: place in units of the object's longest side, colour, normal.
    """
    scheduler = diffusion.sampler(sampler)
    scheduler.set_timesteps(steps, device=runtime.device)
    # Noise is drawn on the CPU, so that a seed means the same everywhere.
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(clouds, points, 3, generator=generator).to(runtime.device)
    if condition is not None and len(condition) != clouds:
        condition = condition.expand(clouds, -1, -1)
    estimate = torch.zeros(clouds, points, 9)
    for number, step in enumerate(scheduler.timesteps):
        at = step.expand(clouds)
        with runtime.autocast():
            estimate = model(x, at, condition)
            if guidance != 1.0 and condition is not None:
                without = model(x, at, None)
                place = without[..., :3] + guidance * (estimate[..., :3] - without[..., :3])
                estimate = torch.cat([place, estimate[..., 3:]], -1)
        if hold is not None:
            places = hold(number / steps, estimate[..., :3] / diffusion.SCALE) * diffusion.SCALE
            estimate = torch.cat([places, estimate[..., 3:]], -1)
        x = scheduler.step(estimate[..., :3], step, x, **_chance(sampler, generator)).prev_sample
        on_estimate(number + 1, in_units(estimate))
    return in_units(torch.cat([x, estimate[..., 3:]], -1))


def _chance(sampler: str, generator: torch.Generator) -> dict[str, torch.Generator]:
    return {"generator": generator} if sampler == "ddpm" else {}


def in_units(found: Tensor) -> Tensor:
    """The network's scale -> the object's."""
    return torch.cat([found[..., :3] / diffusion.SCALE, found[..., 3:]], -1)
