"""What a picture tells of single places: its camera, and feature maps to be looked up with it.

Our own part of the starter, off in every published network. It follows an idea of Xu et al., "DISN: Deep Implicit
Surface Network for High-quality Single-view 3D Reconstruction", NeurIPS 2019, sections 3.1 and 3.2: the camera is
estimated from the picture, and a point is given what the encoder saw where that camera sees the point. One code for a
whole picture loses thin wings; this keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

NEAREST = 0.2  # least depth of a point before the camera, of the building's centre
# The camera that the estimate starts from (our choice): from the corner, 22 degrees above, a lens of 30 degrees.
USUAL_PROJECTION = ((1.1, 0.0, -1.1, 0.0), (0.4, -1.45, 0.4, 0.0), (-0.22, -0.13, -0.22, 1.0))


@dataclass(frozen=True)
class Local:
    """What a picture tells of single places.

    Attributes:
        features: (B, L, h, w) float32, even over the picture.
        projection: (B, 3, 4) float32; takes (x, y, z, 1) to (u w, v w, w), where u and v run from -1 to 1 across and
            down the picture.
    """

    features: Tensor
    projection: Tensor

    def of(self, index: int) -> Local:
        """Of one picture of the batch."""
        return Local(self.features[index : index + 1], self.projection[index : index + 1])


class LocalFeatures(nn.Module):
    """The camera of a picture, and feature maps to be looked up with it."""

    STAGES = 3  # of the encoder that take part; the last is too coarse

    def __init__(self, channels: int, encoder_width: int, hidden: int) -> None:
        super().__init__()
        for stage in range(self.STAGES):
            self.add_module(f"lateral{stage + 1}", nn.Conv2d(encoder_width * 2**stage, channels, 1))
        self.camera = nn.Sequential(
            nn.Conv2d(encoder_width * 2**self.STAGES, 32, 1),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.ReLU(),
            nn.Linear(32 * 16, 128),
            nn.ReLU(),
            nn.Linear(128, 11),
        )
        self.into = nn.Linear(channels + 2, hidden)
        last = self.camera[-1]
        for tensor in (self.into.weight, self.into.bias, last.weight, last.bias):
            nn.init.zeros_(tensor)  # pyright: ignore[reportArgumentType]
        self.register_buffer("usual", torch.tensor(USUAL_PROJECTION).flatten()[:11], persistent=False)

    def forward(self, maps: list[Tensor]) -> Local:
        """Feature maps of the encoder's stages -> what they tell of places."""
        size = maps[0].shape[-2:]
        features = self.get_submodule("lateral1")(maps[0])
        for stage in range(1, self.STAGES):
            more = self.get_submodule(f"lateral{stage + 1}")(maps[stage])
            features = features + F.interpolate(more, size=size, mode="bilinear", align_corners=False)
        numbers = self.usual + self.camera(maps[-1]).to(self.usual.dtype)
        return Local(features.to(self.usual.dtype), F.pad(numbers, (0, 1), value=1.0).view(-1, 3, 4))

    def at(self, local: Local, points: Tensor) -> Tensor:
        """What points (B, N, 3) are told, as an addition to their first features: (B, N, hidden)."""
        places = projected(local.projection, points)
        seen = F.grid_sample(local.features, places.unsqueeze(1), padding_mode="border", align_corners=False)
        return self.into(torch.cat([seen.squeeze(2).transpose(1, 2), places], -1))


def projected(projection: Tensor, points: Tensor) -> Tensor:
    """Places (B, N, 2) in the picture, from -1 to 1, of points (B, N, 3) under ``Local.projection``."""
    flat = points @ projection[:, :, :3].transpose(1, 2) + projection[:, :, 3].unsqueeze(1)
    return (flat[..., :2] / flat[..., 2:].clamp(min=NEAREST)).clamp(-2, 2)


def mirrored(projection: NDArray[np.float64]) -> NDArray[np.float64]:
    """What takes points to the mirror image of a picture, from what takes points mirrored at x = z to the picture.

    (3, 4) -> (3, 4); its own inverse.
    """
    return (projection * [[-1], [1], [1]])[:, [2, 1, 0, 3]]
