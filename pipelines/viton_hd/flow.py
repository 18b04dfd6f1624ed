"""VITON-HD's whole inference flow over three callables: parse -> warp -> synthesis, as the published test run does it.

Source: order, sizes and interpolations as in shadow2496/VITON-HD 02afa4b (facts only, no code). The networks come in as
callables, so that the fast forms of inference.py, the plain ones and a test's stand-ins all run through the same flow.
Unlike the published run, every random number follows from a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipelines.core.types import Image, OnStep, report
from pipelines.viton_hd.network import Noise, seeded_noise
from pipelines.viton_hd.preprocess import TO_PARSE7, TO_PARSE13, Sample

NETWORK_SIZE = (256, 192)  # of SegGenerator and GMM, whatever the load size
BLUR_SIZE, BLUR_SIGMA = 15, 3.0
CLASSES13, CLASSES7, UPPER7 = 13, 7, 2

Seg = Callable[[Tensor], Tensor]
Gmm = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Alias = Callable[[Tensor, Tensor, Tensor, Tensor, Noise], Tensor]


@dataclass(frozen=True)
class Inputs:
    """What the flow starts from, for B pairs at load size H x W.

    Attributes:
        agnostic: (B, 3, H, W) float32 in [-1, 1].
        parse_agnostic: (B, 13, H, W) float32 one-hot.
        pose: (B, 3, H, W) float32 in [-1, 1].
        cloth: (B, 3, H, W) float32 in [-1, 1].
        cloth_mask: (B, 1, H, W) float32, 0 or 1.
    """

    agnostic: Tensor
    parse_agnostic: Tensor
    pose: Tensor
    cloth: Tensor
    cloth_mask: Tensor


@dataclass(frozen=True)
class Steps:
    """Every intermediate result, in the order of the flow.

    Attributes:
        seg_input: (B, 21, 256, 192), input of SegGenerator.
        parse_small: (B, 13, 256, 192), its output.
        labels: (B, H, W) uint8, 7 classes of the dressed person.
        gmm_input: (B, 7, 256, 192), the person as GMM sees it.
        cloth_small: (B, 3, 256, 192), the cloth as GMM sees it.
        theta: (B, 50).
        grid: (B, H, W, 2).
        warped_cloth: (B, 3, H, W) in [-1, 1].
        warped_mask: (B, 1, H, W) in [0, 1].
        alias_input: (B, 9, H, W).
        parse_divided: (B, 8, H, W).
        misalign: (B, 1, H, W) in [0, 1], wanted cloth that the warped one does not reach.
        output: (B, 3, H, W) in [-1, 1].
    """

    seg_input: Tensor
    parse_small: Tensor
    labels: NDArray[np.uint8]
    gmm_input: Tensor
    cloth_small: Tensor
    theta: Tensor
    grid: Tensor
    warped_cloth: Tensor
    warped_mask: Tensor
    alias_input: Tensor
    parse_divided: Tensor
    misalign: Tensor
    output: Tensor


def to_inputs(samples: list[Sample], device: torch.device | str = "cpu") -> Inputs:
    """Stack samples of the data set into tensors."""

    def picture(name: str) -> Tensor:
        stacked = np.stack([getattr(sample, name) for sample in samples]).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(stacked, np.float32)).to(device) / 127.5 - 1

    parse = torch.from_numpy(np.stack([TO_PARSE13[sample.parse_agnostic] for sample in samples])).to(device)
    mask = torch.from_numpy(np.stack([sample.cloth_mask for sample in samples])[:, None]).to(device).float()
    return Inputs(picture("agnostic"), one_hot(parse, CLASSES13), picture("pose"), picture("cloth"), mask)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(B, H, W) integer labels -> (B, classes, H, W) float32."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)[:, None, None]).float()


def segmentation_noise(seed: int, shape: tuple[int, int, int, int]) -> Tensor:
    """The noise channel of SegGenerator: 1 with a probability of 0.159, else 0.

    The published code draws N(0, 255), saturates to a byte, divides by 255 and cuts the fraction off, so that only
    draws that round to 255 or more survive.
    """
    draw = seeded_noise(seed)("segmentation", shape)
    return (draw * 255 >= 254.5).float()


def blur(maps: Tensor) -> Tensor:
    """Gaussian of 15x15 pixels and sigma 3 over (B, C, H, W), with zeros beyond the border."""
    offset = torch.arange(BLUR_SIZE, dtype=torch.float32, device=maps.device) - BLUR_SIZE // 2
    line = torch.exp(-(offset**2) / (2 * BLUR_SIGMA**2))
    line = (line / line.sum()).to(maps.dtype)
    channels, half = maps.shape[1], BLUR_SIZE // 2
    maps = F.conv2d(maps, line.view(1, 1, -1, 1).repeat(channels, 1, 1, 1), padding=(half, 0), groups=channels)
    return F.conv2d(maps, line.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), padding=(0, half), groups=channels)


def seg_inputs(inputs: Inputs, noise: Tensor) -> Tensor:
    """(B, 21, 256, 192): cloth mask, masked cloth, agnostic parse, pose, and ``noise`` (B, 1, 256, 192)."""
    smooth = (inputs.cloth_mask, inputs.cloth * inputs.cloth_mask, inputs.parse_agnostic, inputs.pose)
    small = [F.interpolate(x, size=NETWORK_SIZE, mode="bilinear", align_corners=False) for x in smooth]
    return torch.cat([*small, noise.to(inputs.cloth.device)], 1)


def gmm_inputs(inputs: Inputs, upper: Tensor, size: tuple[int, int] = NETWORK_SIZE) -> tuple[Tensor, Tensor]:
    """Person (B, 7, *size) and cloth (B, 3, *size) by nearest sampling, unlike `seg_inputs`, as published.

    ``upper`` is (B, 1, H, W), 1 where the garment is wanted; ``size`` is a quarter of GMM's load size.
    """
    person = torch.cat([F.interpolate(x, size=size) for x in (upper, inputs.pose, inputs.agnostic)], 1)
    return person, F.interpolate(inputs.cloth, size=size)


def warp(inputs: Inputs, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Cloth (B, 3, h, w) in [-1, 1] and its mask (B, 1, h, w) in [0, 1], sampled where ``grid`` (B, h, w, 2) says."""
    flat = torch.cat([inputs.cloth, inputs.cloth_mask], 1)
    warped = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    return warped[:, :3], warped[:, 3:]


def alias_inputs(
    inputs: Inputs, parse: Tensor, warped_cloth: Tensor, warped_mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """x (B, 9, H, W), divided labels (B, 8, H, W) and misalignment (B, 1, H, W) for ``parse`` (B, 7, H, W)."""
    misalign = (parse[:, UPPER7 : UPPER7 + 1] - warped_mask).clamp(min=0)
    divided = torch.cat([parse, misalign], 1)
    divided[:, UPPER7 : UPPER7 + 1] -= misalign
    return torch.cat([inputs.agnostic, inputs.pose, warped_cloth], 1), divided, misalign


@torch.inference_mode()
def run(
    inputs: Inputs,
    seg: Seg,
    gmm: Gmm,
    alias: Alias,
    *,
    seed: int = 0,
    seg_noise: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Steps:
    """Dress the person.

    Args:
        inputs: Prepared pairs.
        seg: (B, 21, 256, 192) -> (B, 13, 256, 192) class maps in [0, 1].
        gmm: person (B, 7, 256, 192), cloth (B, 3, 256, 192) -> theta, grid (B, H, W, 2).
        alias: x, labels, labels divided, misalignment, noise -> (B, 3, H, W) in [-1, 1].
        seed: Decides all noise.
        seg_noise: (B, 1, 256, 192); None draws `segmentation_noise`.
        on_step: Called after each of the three networks.

    Returns:
        All steps, ``output`` the picture.
    """
    size = (inputs.agnostic.shape[2], inputs.agnostic.shape[3])
    device = inputs.agnostic.device

    # 1. What will stand where: the parse of the dressed person.
    if seg_noise is None:
        seg_noise = segmentation_noise(seed, (len(inputs.cloth), 1, *NETWORK_SIZE))
    seg_input = seg_inputs(inputs, seg_noise)
    parse_small = seg(seg_input).float()
    wide = blur(F.interpolate(parse_small, size=size, mode="bilinear", align_corners=False))
    labels = torch.from_numpy(TO_PARSE7).to(device)[wide.argmax(1)]
    parse = one_hot(labels, CLASSES7)
    report(on_step, 1, 3)

    # 2. The cloth in the shape of the body.
    gmm_input, cloth_small = gmm_inputs(inputs, parse[:, UPPER7 : UPPER7 + 1])
    theta, grid = gmm(gmm_input, cloth_small)
    warped_cloth, warped_mask = warp(inputs, grid)
    report(on_step, 2, 3)

    # 3. The picture. Cloth that is wanted but not covered by the warped one has a label and a normalisation of its own.
    alias_input, divided, misalign = alias_inputs(inputs, parse, warped_cloth, warped_mask)
    output = alias(alias_input, parse, divided, misalign, seeded_noise(seed))
    report(on_step, 3, 3)
    return Steps(
        seg_input, parse_small, labels.cpu().numpy(), gmm_input, cloth_small, theta, grid, warped_cloth, warped_mask,
        alias_input, divided, misalign, output,
    )  # fmt: skip


def to_pictures(output: Tensor) -> list[Image]:
    """(B, 3, H, W) in [-1, 1] -> (H, W, 3) uint8 each; fractions are cut off, not rounded, as published."""
    levels = ((output.float() + 1) * 0.5 * 255).clamp(0, 255).cpu().numpy().astype(np.uint8)
    return [np.ascontiguousarray(picture.transpose(1, 2, 0)) for picture in levels]


def result_name(person_name: str, cloth_name: str) -> str:
    """Published name of a result: what stands before the person's first underscore, then the cloth's file name."""
    return f"{PurePath(person_name).name.split('_')[0]}_{PurePath(cloth_name).name}"
