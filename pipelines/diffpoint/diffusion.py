"""Noise, and the way back: schedules and samplers of diffusers around a network that estimates the clean cloud.

Stated by the paper: the network predicts clean points. Not stated, and our choice: the cosine schedule over 1,000 steps
(Nichol and Dhariwal, 2021), as Point-E has it, and DPM-Solver++ in 20 steps. The loss is a mean squared distance with
weights that rise with the signal: at high noise any answer is a mean of shapes, at low noise details are decided.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

STEPS = 1000
SCALE = 4.0  # from an object whose longest side is 1 to a deviation of about 1
SAMPLERS = ("dpm-solver++", "ddim", "ddpm")
WEIGHT = (1.0, 8.0)  # the signal-to-noise ratio as a weight of the loss, within these

_NOISE = {"num_train_timesteps": STEPS, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample"}


def sampler(name: str = "dpm-solver++") -> Any:
    """A scheduler of diffusers, set up for this network; each begins where there is nothing but noise."""
    if name == "ddim":
        return DDIMScheduler(**_NOISE, clip_sample=False, timestep_spacing="trailing")
    if name == "ddpm":
        return DDPMScheduler(**_NOISE, clip_sample=False, timestep_spacing="trailing")
    return DPMSolverMultistepScheduler(**_NOISE, algorithm_type="dpmsolver++", solver_order=2)


@cache
def signal() -> Tensor:
    """(1000,) share of the variance that is signal, by step."""
    return DDPMScheduler(**_NOISE).alphas_cumprod


def noised(clean: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """(B, N, 3) clean points with noise of share 1 - ``share``, (B,)."""
    share = share[:, None, None]
    return share.sqrt() * clean + (1 - share).sqrt() * noise


def weight(share: Tensor) -> Tensor:
    """(B,) weight of the squared distance."""
    return (share / (1 - share)).clamp(*WEIGHT)
