"""VITON-HD's GMM: features of person and cloth, their correlation, and a thin-plate spline over 5x5 control points.

Source: as network.py; the correlation follows Rocco et al., "Convolutional neural network architecture for geometric
matching", CVPR 2017. `width` is our option for the starter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class GmmConfig:
    """Constructor values of GMM. It looks at inputs of a quarter of the load size and puts out a grid of the full one.

    Attributes:
        load_height: Height of the sampling grid in pixels.
        load_width: Width of the sampling grid in pixels.
        grid_size: Control points along each side.
        inputA_nc: Channels of the person: cloth parse 1, pose 3, agnostic 3.
        inputB_nc: Channels of the cloth.
        width: Channels of the first convolution.
    """

    load_height: int = 1024
    load_width: int = 768
    grid_size: int = 5
    inputA_nc: int = 7
    inputB_nc: int = 3
    width: int = 64


class FeatureExtraction(nn.Module):
    """Four stride-2 convolutions and two more, ReLU before batch norm as published."""

    def __init__(self, input_nc: int, width: int) -> None:
        super().__init__()
        w = [width * 2**level for level in range(4)]
        layers: list[nn.Module] = []
        for inputs, outputs in zip([input_nc, *w[:3]], w, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU(), nn.BatchNorm2d(outputs)]
        layers += [nn.Conv2d(w[3], w[3], 3, padding=1), nn.ReLU(), nn.BatchNorm2d(w[3])]
        layers += [nn.Conv2d(w[3], w[3], 3, padding=1), nn.ReLU()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, input_nc, H, W) -> (B, 8 * width, H/16, W/16)."""
        return self.model(x)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Similarity of every place of ``a`` with every place of ``b``, both (B, C, h, w) -> (B, w*h, h, w).

    The places of ``a`` run column by column (w-major), those of ``b`` row by row, as published.
    """
    n, c, h, w = a.shape
    columns = a.permute(0, 3, 2, 1).reshape(n, w * h, c)
    return torch.bmm(columns, b.reshape(n, c, h * w)).reshape(n, w * h, h, w)


class FeatureRegression(nn.Module):
    """From correlation to the displacements of the control points."""

    def __init__(self, places: int, outputs: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outs, kernel, stride in (
            (places, 8 * width, 4, 2),
            (8 * width, 4 * width, 4, 2),
            (4 * width, 2 * width, 3, 1),
            (2 * width, width, 3, 1),
        ):
            layers += [nn.Conv2d(inputs, outs, kernel, stride, 1), nn.BatchNorm2d(outs), nn.ReLU()]
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Linear(width * (places // 16), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, places, h, w) -> (B, outputs) in [-1, 1]."""
        return torch.tanh(self.linear(self.conv(x).flatten(1)))


def _bend(squared: Tensor) -> Tensor:
    """Thin-plate kernel d2 log d2 of squared distances, 0 at distance 0."""
    squared = torch.where(squared == 0, 1.0, squared)
    return squared * torch.log(squared)


class TpsGrid(nn.Module):
    """Displacements of control points -> sampling grid, a thin-plate spline.

    Both grids span [-0.9, 0.9], and control points run down before across: x takes the row's coordinate, as published.
    Everything is float32 in the published order of operations: inverted more exactly, the spline would be off by 1e-3
    of a pixel, which at an edge of the cloth is more than the tolerance of the parity cases.
    Its buffers depend on sizes only and are not saved.
    """

    points: Tensor
    solve: Tensor
    bend: Tensor
    places: Tensor

    def __init__(self, height: int, width: int, grid_size: int) -> None:
        super().__init__()
        line = np.linspace(-0.9, 0.9, grid_size)
        points = torch.from_numpy(np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)).float()
        n = len(points)
        system = torch.zeros(n + 3, n + 3, device="cpu")
        system[:n, :n] = _bend(((points[:, None] - points) ** 2).sum(-1))
        system[:n, n] = 1
        system[:n, n + 1 :] = points
        system[n:, :n] = system[:n, n:].t()
        across, down = np.meshgrid(np.linspace(-0.9, 0.9, width), np.linspace(-0.9, 0.9, height))
        places = torch.from_numpy(np.stack([across, down], -1)).float()
        self.register_buffer("points", points, persistent=False)
        self.register_buffer("solve", torch.inverse(system), persistent=False)
        squared = (places[..., 0:1] - points[:, 0]) ** 2 + (places[..., 1:2] - points[:, 1]) ** 2
        self.register_buffer("bend", _bend(squared), persistent=False)  # (height, width, points)
        self.register_buffer("places", places, persistent=False)

    def forward(self, theta: Tensor) -> Tensor:
        """(B, 2 * points), x displacements before y, -> (B, height, width, 2) as grid_sample reads it."""
        with torch.autocast(theta.device.type, enabled=False):  # in half precision the spline is off by whole pixels
            return self._bent(theta.float())

    def _bent(self, theta: Tensor) -> Tensor:
        n = len(self.points)
        moved = theta.reshape(len(theta), 2, n, 1) + self.points.t()[..., None]
        solve = self.solve.expand(len(theta), -1, -1)
        x, y = self.places[..., 0], self.places[..., 1]
        axes = []
        for axis in range(2):
            bends = torch.bmm(solve[:, :n, :n], moved[:, axis])[:, :, 0]
            affine = torch.bmm(solve[:, n:, :n], moved[:, axis])[:, :, 0, None, None]
            # Row blocks keep the product in the cache; one of the whole grid would be 80 MB at 1024x768.
            bent = [torch.cat([(rows * weights).sum(-1) for rows in self.bend.split(64)]) for weights in bends]
            axes.append(affine[:, 0] + affine[:, 1] * x + affine[:, 2] * y + torch.stack(bent))
        return torch.stack(axes, -1)


class GMM(nn.Module):
    """Geometric matching: how the cloth is bent to fit the person."""

    def __init__(self, config: GmmConfig) -> None:
        super().__init__()
        self.config = config
        rows, columns = config.load_height // 64, config.load_width // 64
        if rows * columns == 0 or rows * columns // 16 != (rows // 4) * (columns // 4):
            raise ValueError(
                f"GMM cannot work at {config.load_height}x{config.load_width}: choose multiples of 256 pixels"
            )
        self.extractionA = FeatureExtraction(config.inputA_nc, config.width)
        self.extractionB = FeatureExtraction(config.inputB_nc, config.width)
        self.regression = FeatureRegression(rows * columns, 2 * config.grid_size**2, config.width)
        self.grid = TpsGrid(config.load_height, config.load_width, config.grid_size)

    def forward(self, person: Tensor, cloth: Tensor) -> tuple[Tensor, Tensor]:
        """Find the warp.

        Args:
            person: (B, inputA_nc, load_height/4, load_width/4) float32 in [-1, 1], the cloth parse in [0, 1].
            cloth: (B, inputB_nc, load_height/4, load_width/4) float32 in [-1, 1].

        Returns:
            Displacements (B, 2 * grid_size ** 2) in [-1, 1] and grid (B, load_height, load_width, 2) in about [-1, 1].
        """
        theta = self.regression(self.correlate(person, cloth))
        return theta, self.grid(theta)

    def correlate(self, person: Tensor, cloth: Tensor) -> Tensor:
        """Correlation of the two feature maps, each of unit length over its channels."""
        a, b = F.normalize(self.extractionA(person), dim=1), F.normalize(self.extractionB(cloth), dim=1)
        return correlation(a, b)
