"""A tiny network that says where in a photo a garment lies: colours in, probability of cloth out.

Ours; no published counterpart. A U-Net of depthwise-separable convolutions (Howard et al., "MobileNets", 2017), down to
1/32, so that every pixel knows the whole picture. It sees the photo stretched to a square and says
roughly where the cloth is; the outline itself is drawn by the minimum cut (graphcut.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core.runtime import Runtime
from pipelines.core.types import Image
from pipelines.person.garment.network import grid


@dataclass(frozen=True)
class PriorConfig:
    """Constructor values.

    Attributes:
        size: Side of the square picture; a multiple of 32.
        channels: Width at 1/2, 1/4, 1/8, 1/16 and 1/32 of it.
        depth: Blocks at 1/4, 1/8, 1/16 and 1/32.
    """

    size: int = 128
    channels: tuple[int, int, int, int, int] = (16, 32, 48, 64, 80)
    depth: tuple[int, int, int, int] = (1, 2, 3, 2)


class Separable(nn.Module):
    """A 3x3 convolution of each channel, then a mix of channels with batch norm; adds its input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.own = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.mix = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = F.relu(self.norm(self.mix(self.own(x))))
        return x + y if self.adds else y


class PriorNet(nn.Module):
    """Encoder to 1/32, decoder to the full size, skips added."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        a, *_ = widths = config.channels
        self.stem = nn.Conv2d(5, a, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(a)
        self.down = nn.ModuleList(
            nn.Sequential(Separable(few, many, 2), *(Separable(many, many) for _ in range(depth)))
            for few, many, depth in zip(widths, widths[1:], config.depth, strict=False)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(many, few, 1) for few, many in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.join = nn.ModuleList(Separable(few, few) for few in widths[-2:0:-1])
        self.head = nn.Conv2d(a, 4, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, size, size) RGB in [-1, 1] -> (B, 1, size, size) logits of cloth."""
        x = torch.cat([image, grid(image.shape[-1], image).expand(len(image), -1, -1, -1)], 1)
        levels = [F.relu(self.norm(self.stem(x)))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up, join in zip(self.up, [*self.join, F.relu], strict=True):
            skip = levels.pop()
            x = join(F.interpolate(up(x), size=skip.shape[-2:], mode="bilinear", align_corners=False) + skip)
        return F.pixel_shuffle(self.head(x), 2).float()


def as_input(image: Image, size: int) -> NDArray[np.float32]:
    """A photo, (H, W, 3) uint8, as the network sees it: (3, size, size) float32 in [-1, 1], stretched to a square."""
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return (np.asarray(small, np.float32).transpose(2, 0, 1) / np.float32(127.5)) - 1


@torch.inference_mode()
def probability(model: PriorNet, image: Image, runtime: Runtime) -> NDArray[np.float32]:
    """Where the garment lies, averaged over the photo and its mirror picture.

    Args:
        model: On the runtime's device, in eval mode.
        image: (H, W, 3) uint8 RGB.
        runtime: Device and dtype.

    Returns:
        (size, size) float32 in [0, 1], of the photo stretched to a square.
    """
    x = torch.from_numpy(as_input(image, model.config.size))[None].to(runtime.device)
    with runtime.autocast():
        logits = model(torch.cat([x, x.flip(3)]))
    both = torch.sigmoid(torch.cat([logits[:1], logits[1:].flip(3)]))
    return both.mean(0)[0].cpu().numpy()


CONFIGS = {"starter": PriorConfig()}
