"""Patch discriminators and the GAN losses that VITON-HD's training is described with.

Sources: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, arXiv 1611.07004
(patch discriminator); Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
CVPR 2018, arXiv 1711.11585 (several scales, feature matching); Park et al., "Semantic Image Synthesis with
Spatially-Adaptive Normalization", CVPR 2019, arXiv 1903.07291 (hinge loss, spectral normalisation); Mao et al., "Least
Squares Generative Adversarial Networks", ICCV 2017, arXiv 1611.04076. No checkpoint of VITON-HD's discriminators was
published, so widths and depths are those of these papers (our choice) and no file can be loaded into them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

Maps = Sequence[Tensor]  # of one scale: what each convolution puts out, the scores last


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Constructor values of MultiscaleDiscriminator.

    Attributes:
        input_nc: Channels of condition and judged picture together.
        width: Channels of the first convolution; doubled up to eight times that.
        strides: Convolutions that halve the size.
        scales: Sizes judged; each next one sees the picture at half the size.
        spectral: Divide the convolutions between the first and the last by their largest singular value.
    """

    input_nc: int
    width: int = 64
    strides: int = 3
    scales: int = 1
    spectral: bool = False


class PatchDiscriminator(nn.Module):
    """Convolutions of 4x4 that judge overlapping patches, of 70x70 pixels with three strides."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        widths = [config.width * min(2**level, 8) for level in range(config.strides + 1)]
        self.stages = nn.ModuleList()
        for level, (inputs, outputs) in enumerate(zip([config.input_nc, *widths[:-1]], widths, strict=True)):
            conv: nn.Module = nn.Conv2d(inputs, outputs, 4, 2 if level < config.strides else 1, 1)
            norm = [nn.InstanceNorm2d(outputs)] if level else []
            conv = spectral_norm(conv) if config.spectral and level else conv
            self.stages.append(nn.Sequential(conv, *norm, nn.LeakyReLU(0.2)))
        self.stages.append(nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Maps:
        """(B, input_nc, H, W) -> the maps of all stages, the last (B, 1, h, w): high where it looks real."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class MultiscaleDiscriminator(nn.Module):
    """The same judge, with weights of its own, at every scale."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.judges = nn.ModuleList(PatchDiscriminator(config) for _ in range(config.scales))

    def forward(self, x: Tensor) -> list[Maps]:
        """(B, input_nc, H, W) -> maps of every scale, the finest first."""
        found = []
        for number, judge in enumerate(self.judges):
            if number:
                x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            found.append(judge(x))
        return found


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Let gradients flow through ``network`` but not into its parameters."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _mean(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).mean()


def least_squares(judged: list[Maps], *, real: bool) -> Tensor:
    """Mean squared distance of the scores from 1 (``real``) or 0, averaged over the scales."""
    return _mean([(maps[-1].float() - float(real)).square().mean() for maps in judged])


def hinge(judged: list[Maps], *, real: bool) -> Tensor:
    """The discriminator's hinge loss: how far the scores fall short of +1 (``real``) or stand above -1."""
    sign = 1.0 if real else -1.0
    return _mean([F.relu(1 - sign * maps[-1].float()).mean() for maps in judged])


def hinge_generator(judged: list[Maps]) -> Tensor:
    """The generator's side of `hinge`: minus the mean score, averaged over the scales."""
    return _mean([-maps[-1].float().mean() for maps in judged])


def feature_matching(made: list[Maps], real: list[Maps]) -> Tensor:
    """L1 between the discriminator's maps of made and real pictures: summed over stages, averaged over scales."""
    return _mean(
        [
            torch.stack([F.l1_loss(a.float(), b.float().detach()) for a, b in zip(ours[:-1], theirs[:-1], strict=True)])
            .sum()
            for ours, theirs in zip(made, real, strict=True)
        ]
    )  # fmt: skip
