"""A small heat-map network: garment mask in, 20 landmarks, their uncertainty and the sleeve class out.

Ours; no published counterpart. Landmarks are the centres of mass of soft-maxed maps (Sun et al., "Integral Human Pose
Regression", ECCV 2018), so they are sub-pixel and differentiable at a quarter of the mask's resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.person.garment.landmarks import COUNT, SLEEVES


@dataclass(frozen=True)
class GarmentNetConfig:
    """Constructor values.

    Attributes:
        size: Side of the square mask; a multiple of 32.
        channels: Width at 1/2, 1/4, 1/8, 1/16 and 1/16 of the mask's resolution.
        decoder: Width of the decoder at 1/8 and 1/4.
    """

    size: int = 96
    channels: tuple[int, int, int, int, int] = (20, 40, 64, 96, 128)
    decoder: tuple[int, int] = (64, 48)


class GarmentPrediction(NamedTuple):
    """What the network says of a batch.

    Attributes:
        points: (B, 20, 2) x, y in [-1, 1], where -1 and 1 are the outer edges of the mask.
        log_error: (B, 20) log of the expected distance in the same unit.
        sleeve: (B, 3) logits over `SLEEVES`.
    """

    points: Tensor
    log_error: Tensor
    sleeve: Tensor


class Pair(nn.Module):
    """Two 3x3 convolutions with batch norm; the first may halve the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.layers(x)


class GarmentNet(nn.Module):
    """Encoder to 1/32, decoder to 1/4 with skips, soft-argmax; two linear heads on the pooled bottom."""

    def __init__(self, config: GarmentNetConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d, e = config.channels
        high, low = config.decoder
        self.down1 = Pair(3, a, 2)
        self.down2 = Pair(a, b, 2)
        self.down3 = Pair(b, c, 2)
        self.down4 = Pair(c, d, 2)
        self.bottom = Pair(d, e)
        self.up3 = nn.Conv2d(e, c, 1)
        self.join3 = nn.Conv2d(c, high, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(high)
        self.up2 = nn.Conv2d(high, b, 1)
        self.join2 = nn.Conv2d(b, low, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(low)
        self.maps = nn.Conv2d(low, COUNT, 1)
        self.log_error = nn.Linear(e, COUNT)
        self.sleeve = nn.Linear(e, len(SLEEVES))

    def forward(self, mask: Tensor) -> GarmentPrediction:
        """(B, 1, size, size) float32 in [0, 1] -> predictions."""
        x = torch.cat([mask, grid(mask.shape[-1], mask).expand(len(mask), -1, -1, -1)], 1)
        two = self.down2(self.down1(x))
        three = self.down3(two)
        bottom = self.bottom(self.down4(three))
        x = F.interpolate(self.up3(bottom), scale_factor=2, mode="bilinear", align_corners=False) + three
        x = F.relu(self.norm3(self.join3(x)))
        x = F.interpolate(self.up2(x), scale_factor=2, mode="bilinear", align_corners=False) + two
        x = F.relu(self.norm2(self.join2(x)))
        points = centre_of_mass(self.maps(x).float())
        pooled = bottom.mean((2, 3))
        return GarmentPrediction(points, self.log_error(pooled).float(), self.sleeve(pooled).float())


def grid(side: int, like: Tensor) -> Tensor:
    """Pixel centres of a square as (1, 2, side, side), x then y, in (-1, 1)."""
    line = (torch.arange(side, device=like.device, dtype=torch.float32) * 2 + 1) / side - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y])[None].to(like.dtype)


def centre_of_mass(maps: Tensor) -> Tensor:
    """(B, K, h, h) logits -> (B, K, 2) expected x, y in [-1, 1]."""
    share = maps.flatten(2).softmax(2)
    return share @ grid(maps.shape[-1], maps)[0].flatten(1).T


CONFIGS = {"starter": GarmentNetConfig()}
