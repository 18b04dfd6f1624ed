"""Vitruvio's network: a picture of a building in, the occupancy of any point of space out.

Source: Tono et al., "Vitruvio: Conditional variational autoencoder to generate building meshes via single perspective
sketches", Automation in Construction 166 (2024) 105498, arXiv 2210.13634; CDInstitute/Vitruvio 48043d6 (MIT). Its
network is that of Mescheder et al., "Occupancy Networks", CVPR 2019, arXiv 1812.03828, unchanged; parameter names,
shapes and constants are as there. The encoder is ResNet-18 (He et al., CVPR 2016) under torchvision's names. Checked by
tests/parity.

The published configuration has no latent variable. `default-yaml` is what the repository's defaults give alone, a
variational autoencoder on a plain decoder; `cbn-z64` puts that latent variable on the published decoder.

Our own options for the starter, whose defaults leave the published state dict and outputs as they are: `channels`,
`encoder_width`, `pooled`, `octaves`, `hidden`, `local`; `picture_size` is what prepares the input, the network takes
any. `local` adds what local.py is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core import imagenet
from pipelines.vitruvio.local import Local, LocalFeatures, projected

STAGES = 4  # of a ResNet, two blocks each
BLOCKS = 5  # of a decoder
LATENT_HIDDEN = 128
DECODERS = ("cbatchnorm", "simple")


@dataclass(frozen=True)
class OccupancyConfig:
    """Constructor values of OccupancyNetwork.

    Attributes:
        c_dim: Length of the code of a picture.
        z_dim: Length of the latent variable; 0 means none, and no encoder for it.
        decoder: ``cbatchnorm`` (the code scales and shifts every layer) or ``simple`` (it is added once).
        hidden: Width of the decoder.
        picture_size: Height and width in pixels that it is trained for.
        channels: 3, RGB, normalised as ImageNet; or 1, grey, of which 1 - value is taken: paper is 0, like the padding
            that convolutions add, and ink is 1.
        encoder_width: Channels of the encoder's first stage; each of the three after it doubles them.
        pooled: The last feature map is averaged to this height and width, then flattened; 1 is the average over all.
            4 keeps where in the picture something stands, which a 128 pixel drawing has no other channel for.
        octaves: Frequencies pi, 2 pi, 4 pi ... whose sine and cosine of each coordinate join the point; 0 means the
            point alone.
        local: Channels of what a point is told about its place in the picture; 0 means it is told nothing.
    """

    c_dim: int = 256
    z_dim: int = 0
    decoder: str = "cbatchnorm"
    hidden: int = 256
    picture_size: int = 224
    channels: int = 3
    encoder_width: int = 64
    pooled: int = 1
    octaves: int = 0
    local: int = 0

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        if self.decoder not in DECODERS:
            raise ValueError(f"decoder is one of {DECODERS}, not {self.decoder!r}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is 1 or 3, not {self.channels}")
        if self.local and self.decoder != "cbatchnorm":
            raise ValueError("only the cbatchnorm decoder takes local features")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, under torchvision's names."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """ResNet-18 without its classifier."""

    def __init__(self, channels: int, width: int, pooled: int) -> None:
        super().__init__()
        self.pooled = pooled
        self.conv1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width, *(width * 2**stage for stage in range(STAGES))]
        for stage in range(STAGES):
            first = BasicBlock(widths[stage], widths[stage + 1], 1 if stage == 0 else 2)
            self.add_module(
                f"layer{stage + 1}", nn.Sequential(first, BasicBlock(widths[stage + 1], widths[stage + 1], 1))
            )
        self.outputs = widths[-1] * pooled**2
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, outputs)."""
        return self.flat(self.maps(x)[-1])

    def maps(self, x: Tensor) -> list[Tensor]:
        """(B, channels, H, W) -> the feature map of every stage, the first at a quarter of the size."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        found = []
        for stage in range(STAGES):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            found.append(x)
        return found

    def flat(self, last: Tensor) -> Tensor:
        """The last feature map -> (B, outputs)."""
        return F.adaptive_avg_pool2d(last, self.pooled).flatten(1)


class PictureEncoder(nn.Module):
    """The code of a picture."""

    def __init__(self, config: OccupancyConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.features = ResNet18(config.channels, config.encoder_width, config.pooled)
        self.fc = nn.Linear(self.features.outputs, config.c_dim)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, channels, H, W) in [0, 1] -> (B, c_dim)."""
        return self.fc(self.features(self.normalised(picture)))

    def normalised(self, picture: Tensor) -> Tensor:
        """What the first convolution sees."""
        if self.channels == 1:
            return 1 - picture
        mean, std = (picture.new_tensor(values).view(1, 3, 1, 1) for values in (imagenet.MEAN, imagenet.STD))
        return (picture - mean) / std


class Pointwise(nn.Conv1d):
    """A convolution of width 1 under its published name and shape, on points that come last but one.

    (B, N, inputs) -> (B, N, outputs). As a matrix product it trains about a third faster on a CPU.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, input: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return F.linear(input, self.weight.squeeze(2), self.bias)


class ConditionalNorm(nn.Module):
    """Batch norm whose scale and shift come from the code."""

    def __init__(self, c_dim: int, width: int) -> None:
        super().__init__()
        self.conv_gamma = Pointwise(c_dim, width)
        self.conv_beta = Pointwise(c_dim, width)
        self.bn = nn.BatchNorm1d(width, affine=False)
        for layer, bias in ((self.conv_gamma, 1.0), (self.conv_beta, 0.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, N, width) and the code (B, 1, c_dim) -> (B, N, width)."""
        return torch.addcmul(self.conv_beta(c), self.conv_gamma(c), self.bn(x.flatten(0, 1)).view_as(x))


class ConditionalBlock(nn.Module):
    """Two layers around the identity, each behind a conditional norm; starts as the identity."""

    def __init__(self, c_dim: int, width: int) -> None:
        super().__init__()
        self.bn_0 = ConditionalNorm(c_dim, width)
        self.bn_1 = ConditionalNorm(c_dim, width)
        self.fc_0 = Pointwise(width, width)
        self.fc_1 = Pointwise(width, width)
        nn.init.zeros_(self.fc_1.weight)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, N, width) and the code (B, 1, c_dim) -> (B, N, width)."""
        y = self.fc_0(F.relu(self.bn_0(x, c)))
        return x + self.fc_1(F.relu(self.bn_1(y, c)))


class ConditionalDecoder(nn.Module):
    """``cbatchnorm``: the code scales and shifts every layer."""

    def __init__(self, config: OccupancyConfig) -> None:
        super().__init__()
        self.octaves = config.octaves
        if config.z_dim:
            self.fc_z = nn.Linear(config.z_dim, config.hidden)
        self.fc_p = Pointwise(point_features(config.octaves), config.hidden)
        for number in range(BLOCKS):
            self.add_module(f"block{number}", ConditionalBlock(config.c_dim, config.hidden))
        self.bn = ConditionalNorm(config.c_dim, config.hidden)
        self.fc_out = Pointwise(config.hidden, 1)

    def forward(self, points: Tensor, z: Tensor | None, c: Tensor, told: Tensor | None = None) -> Tensor:
        """Points (B, N, 3), latent (B, z_dim) or None, code (B, c_dim), `LocalFeatures.at` or None -> logits (B, N)."""
        x = self.fc_p(with_octaves(points, self.octaves))
        if z is not None:
            x = x + self.fc_z(z).unsqueeze(1)
        if told is not None:
            x = x + told
        row = c.unsqueeze(1)
        for number in range(BLOCKS):
            x = self.get_submodule(f"block{number}")(x, row)
        return self.fc_out(F.relu(self.bn(x, row))).squeeze(2)


class PlainBlock(nn.Module):
    """Two linear layers around the identity; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_0 = nn.Linear(width, width)
        self.fc_1 = nn.Linear(width, width)
        nn.init.zeros_(self.fc_1.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, width)."""
        return x + self.fc_1(F.relu(self.fc_0(F.relu(x))))


class PlainDecoder(nn.Module):
    """``simple``: code and latent are added to the point's features once."""

    def __init__(self, config: OccupancyConfig) -> None:
        super().__init__()
        self.octaves = config.octaves
        self.fc_p = nn.Linear(point_features(config.octaves), config.hidden)
        if config.z_dim:
            self.fc_z = nn.Linear(config.z_dim, config.hidden)
        self.fc_c = nn.Linear(config.c_dim, config.hidden)
        for number in range(BLOCKS):
            self.add_module(f"block{number}", PlainBlock(config.hidden))
        self.fc_out = nn.Linear(config.hidden, 1)

    def forward(self, points: Tensor, z: Tensor | None, c: Tensor) -> Tensor:
        """Points (B, N, 3), latent (B, z_dim) or None, code (B, c_dim) -> logits (B, N)."""
        x = self.fc_p(with_octaves(points, self.octaves))
        if z is not None:
            x = x + self.fc_z(z).unsqueeze(1)
        x = x + self.fc_c(c).unsqueeze(1)
        for number in range(BLOCKS):
            x = self.get_submodule(f"block{number}")(x)
        return self.fc_out(F.relu(x)).squeeze(2)


class LatentEncoder(nn.Module):
    """What of a shape its picture does not tell: a normal distribution of z, read off points and their occupancy."""

    def __init__(self, config: OccupancyConfig) -> None:
        super().__init__()
        width = LATENT_HIDDEN
        self.fc_pos = nn.Linear(3, width)
        self.fc_c = nn.Linear(config.c_dim, width)
        self.fc_0 = nn.Linear(1, width)
        self.fc_1 = nn.Linear(width, width)
        self.fc_2 = nn.Linear(2 * width, width)
        self.fc_3 = nn.Linear(2 * width, width)
        self.fc_mean = nn.Linear(width, config.z_dim)
        self.fc_logstd = nn.Linear(width, config.z_dim)

    def forward(self, points: Tensor, occupied: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Points (B, N, 3), occupancy (B, N) 0 or 1, code (B, c_dim) -> mean and log of the deviation, (B, z_dim)."""
        x = self.fc_0(occupied.unsqueeze(2)) + self.fc_pos(points) + self.fc_c(c).unsqueeze(1)
        for layer in (self.fc_1, self.fc_2):
            x = layer(F.relu(x))
            x = torch.cat([x, x.amax(1, keepdim=True).expand_as(x)], 2)
        x = self.fc_3(F.relu(x)).amax(1)
        return self.fc_mean(x), self.fc_logstd(x)


@dataclass(frozen=True)
class Loss:
    """The published objective and its parts, one value by shape: `total` is their sum's mean.

    `misplaced` is ours, for networks with local features: how far points come to lie from their true place in the
    picture under the estimated camera (Huber's distance, mean over points); it counts as often as there are points.
    """

    total: Tensor
    divergence: Tensor
    cross_entropy: Tensor
    misplaced: Tensor


class OccupancyNetwork(nn.Module):
    """Whether points are inside the building of a picture."""

    def __init__(self, config: OccupancyConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = ConditionalDecoder(config) if config.decoder == "cbatchnorm" else PlainDecoder(config)
        if config.z_dim:
            self.encoder_latent = LatentEncoder(config)
        self.encoder = PictureEncoder(config)
        if config.local:
            self.local = LocalFeatures(config.local, config.encoder_width, config.hidden)

    def forward(self, points: Tensor, picture: Tensor) -> Tensor:
        """Logits (B, N) of points (B, N, 3) for pictures (B, channels, H, W), at the latent variable's prior mean."""
        c, local = self.read(picture)
        return self.decode(points, c, local=local)

    def encode(self, picture: Tensor) -> Tensor:
        """The code of a picture.

        Args:
            picture: (B, channels, H, W) float32 in [0, 1]; black ink on white paper.

        Returns:
            (B, c_dim) float32.
        """
        return self.encoder(picture)

    def read(self, picture: Tensor) -> tuple[Tensor, Local | None]:
        """The code of a picture as `encode` gives it, and what the picture tells of places if the network asks."""
        if not self.config.local:
            return self.encode(picture), None
        maps = self.encoder.features.maps(self.encoder.normalised(picture))
        c = self.encoder.fc(self.encoder.features.flat(maps[-1]))
        return c, self.local(maps)

    def decode(self, points: Tensor, c: Tensor, z: Tensor | None = None, local: Local | None = None) -> Tensor:
        """Occupancy logits.

        Args:
            points: (B, N, 3) float32; the building's longest side is 1, its bounding box is centred at 0, y is up.
            c: (B, c_dim) from `encode`.
            z: (B, z_dim); None takes the prior's mean, 0, as the published generation does. A network without a latent
                variable takes None only.
            local: From `read`; None for a network without local features.

        Returns:
            (B, N) float32; occupied where sigmoid(logit) is above the threshold.

        Raises:
            ValueError: for a z or a local that this network has no use for, or that it lacks.
        """
        if (local is None) == bool(self.config.local):
            raise ValueError(f"this network has {self.config.local} local features")
        if z is not None and not self.config.z_dim:
            raise ValueError("this network has no latent variable")
        if z is None and self.config.z_dim:
            z = c.new_zeros(len(c), self.config.z_dim)
        if isinstance(self.decoder, ConditionalDecoder):
            return self.decoder(points, z, c, None if local is None else self.local.at(local, points))
        return self.decoder(points, z, c)

    def infer_latent(self, points: Tensor, occupied: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, (B, z_dim) each, of the latent variable of known shapes.

        Raises:
            ValueError: if this network has none.
        """
        if not self.config.z_dim:
            raise ValueError("this network has no latent variable")
        mean, log_deviation = self.encoder_latent(points, occupied, c)
        return mean, log_deviation.exp()

    def loss(
        self,
        points: Tensor,
        occupied: Tensor,
        picture: Tensor,
        *,
        projection: Tensor | None = None,
        draw: Callable[[Tensor], Tensor] = torch.randn_like,
    ) -> Loss:
        """The published objective: divergence from the prior plus binary cross-entropy summed over points.

        Args:
            points: (B, N, 3) float32.
            occupied: (B, N) float32, 0 or 1.
            picture: (B, channels, H, W) float32 in [0, 1].
            projection: (B, 3, 4) float32, the true `Local.projection`; with it the estimated one is taught too.
            draw: Called with the mean (B, z_dim) of the latent variable; standard normal values of that shape.
        """
        c, local = self.read(picture)
        z, divergence, misplaced = None, c.new_zeros(len(c)), c.new_zeros(len(c))
        if local is not None and projection is not None:
            found, true = projected(local.projection, points), projected(projection, points)
            misplaced = F.smooth_l1_loss(found, true, beta=0.05, reduction="none").sum(2).mean(1)
            # occupancy is not to bend the camera: it would find a place that fits, not the right one
            local = Local(local.features, local.projection.detach())
        if self.config.z_dim:
            mean, deviation = self.infer_latent(points, occupied, c)
            z = mean + deviation * draw(mean)
            divergence = (0.5 * (mean**2 + deviation**2 - 1) - deviation.log()).sum(1)
        logits = self.decode(points, c, z, local)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, occupied, reduction="none").sum(1)
        total = divergence + cross_entropy + points.shape[1] * misplaced
        return Loss(total.mean(), divergence, cross_entropy, misplaced)


def point_features(octaves: int) -> int:
    """Values that describe a point: its coordinates, and sine and cosine of each at each octave."""
    return 3 + 6 * octaves


def with_octaves(points: Tensor, octaves: int) -> Tensor:
    """(B, N, 3) -> (B, N, point_features(octaves)); the points themselves for 0 octaves."""
    if not octaves:
        return points
    frequencies = math.pi * 2.0 ** torch.arange(octaves, device=points.device, dtype=points.dtype)
    angles = (points.unsqueeze(-1) * frequencies).flatten(2)
    return torch.cat([points, angles.sin(), angles.cos()], -1)


CONFIGS: Mapping[str, OccupancyConfig] = {
    "published": OccupancyConfig(),
    "default-yaml": OccupancyConfig(c_dim=512, z_dim=64, decoder="simple", hidden=128),
    "cbn-z64": OccupancyConfig(z_dim=64),
    "starter": OccupancyConfig(
        hidden=128, picture_size=128, channels=1, encoder_width=32, pooled=4, octaves=5, local=48
    ),
}
