"""A residual U-Net for human parsing. Our own design: no published parser is small enough to ship and free to use.

Stem at half resolution, five levels of residual blocks down to 1/32, nearest upsampling with skip connections, and a
pixel-shuffle output at full resolution (sub-pixel convolution, Shi et al., CVPR 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core.blocks import ResidualBlock

PARSING_CLASSES = ("background", "hair", "skin", "upper", "lower", "dress", "shoes", "bag", "headwear")
BACKGROUND, HAIR, SKIN, UPPER, LOWER, DRESS, SHOES, BAG, HEADWEAR = range(9)


@dataclass(frozen=True)
class ParsingConfig:
    """Constructor values.

    Attributes:
        channels: Width of each level, from 1/2 to 1/32 of the input's size.
        classes: Classes put out.
        image_size: (height, width) of a training crop; any multiple of 32 works at inference.
    """

    channels: tuple[int, ...] = (32, 64, 112, 176, 224)
    classes: int = len(PARSING_CLASSES)
    image_size: tuple[int, int] = (256, 192)


class ParsingNet(nn.Module):
    """Class scores for every pixel."""

    def __init__(self, config: ParsingConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        self.down = nn.ModuleList(
            [
                ResidualBlock(widths[0], widths[0]),
                *(ResidualBlock(narrow, wide, 2) for narrow, wide in pairwise(widths)),
            ]
        )
        self.middle = ResidualBlock(widths[-1], widths[-1])
        self.up = nn.ModuleList(
            ResidualBlock(wide + narrow, narrow) for narrow, wide in reversed(list(pairwise(widths)))
        )
        self.output = nn.Conv2d(widths[0], config.classes * 4, 3, 1, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """Encoder maps from 1/2 to 1/32; also what the try-on trainings compare pictures by.

        Args:
            x: (B, 3, H, W) float32 RGB in [-1, 1], H and W multiples of 32.
        """
        maps = [self.down[0](self.stem(x))]
        for block in self.down[1:]:
            maps.append(block(maps[-1]))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Predict class scores.

        Args:
            x: (B, 3, H, W) float32 RGB in [-1, 1], H and W multiples of 32.

        Returns:
            (B, classes, H, W) float32 logits.
        """
        maps = self.features(x)
        y = self.middle(maps.pop())
        for block in self.up:
            skip = maps.pop()
            y = block(torch.cat([F.interpolate(y, size=skip.shape[-2:], mode="nearest"), skip], 1))
        return F.pixel_shuffle(self.output(y), 2)


CONFIGS = {"starter": ParsingConfig()}
