"""VITON-HD's networks: SegGenerator (U-Net) and ALIASGenerator (synthesis); GMM stands in warping.py.

Source: Choi, Park, Lee, Choo, "VITON-HD: High-Resolution Virtual Try-On via Misalignment-Aware Normalization", CVPR
2021, arXiv 2103.16874; parameter names, shapes and constants as in shadow2496/VITON-HD 02afa4b (CC BY-NC 4.0: its
weights are not for commercial use, and none of its code is here). Checked by tests/parity.

Our own options for the starter, whose defaults leave the published state dict and outputs as they are: `width` of
SegGenerator and GMM; `label_hidden`, `feature_nc`, `output_nc`, plain convolutions (`aliasinstance`) of ALIASGenerator.
This file is the plain, differentiable form; inference.py runs the same weights several times faster.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.viton_hd.warping import GMM, GmmConfig

__all__ = [
    "CONFIGS", "GMM", "ALIASGenerator", "AliasConfig", "GmmConfig", "Noise", "SegConfig", "SegGenerator",
    "VitonHDConfig", "fresh_noise", "seeded_noise",
]  # fmt: skip

EPS = 1e-5  # of every instance normalisation
UPSAMPLINGS = {"more": 6, "most": 7}

# Called with a normalisation's name and (B, W, H, 1): a standard normal draw of that shape, or None for no noise.
Noise = Callable[[str, tuple[int, int, int, int]], "Tensor | None"]


@dataclass(frozen=True)
class SegConfig:
    """Constructor values of SegGenerator.

    Attributes:
        input_nc: Channels in: cloth mask 1, masked cloth 3, agnostic parse 13, pose 3, noise 1.
        output_nc: Parse classes put out.
        width: Channels of the first level; each level below doubles them.
    """

    input_nc: int = 21
    output_nc: int = 13
    width: int = 64


@dataclass(frozen=True)
class AliasConfig:
    """Constructor values of ALIASGenerator.

    Attributes:
        load_height: Height in pixels, a multiple of 2 ** number of upsamplings.
        load_width: Width in pixels, likewise.
        semantic_nc: Label channels; the blocks with mask normalisation see one more (the misalignment).
        input_nc: Channels in: agnostic 3, pose 3, warped cloth 3.
        ngf: Channels of the last block but one; the first has 16 times as many.
        norm_G: ``spectralaliasinstance`` (published) or ``aliasinstance`` (no spectral normalisation).
        num_upsampling_layers: ``most`` (7 upsamplings) or ``more`` (6).
        label_hidden: Channels between labels and modulation.
        feature_nc: Channels that each resolution receives from the input.
        output_nc: Channels put out; tanh applies to the first three.
    """

    load_height: int = 1024
    load_width: int = 768
    semantic_nc: int = 7
    input_nc: int = 9
    ngf: int = 64
    norm_G: str = "spectralaliasinstance"
    num_upsampling_layers: str = "most"
    label_hidden: int = 128
    feature_nc: int = 16
    output_nc: int = 3


@dataclass(frozen=True)
class VitonHDConfig:
    """The three networks of one tier of weights."""

    seg: SegConfig = field(default_factory=SegConfig)
    gmm: GmmConfig = field(default_factory=GmmConfig)
    alias: AliasConfig = field(default_factory=AliasConfig)


def _conv_norm_relu(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.InstanceNorm2d(outputs), nn.ReLU()]


class SegGenerator(nn.Module):
    """U-Net over five levels: which part of the dressed person stands where."""

    conv1: nn.Sequential
    conv2: nn.Sequential
    conv3: nn.Sequential
    conv4: nn.Sequential
    conv5: nn.Sequential
    conv6: nn.Sequential
    conv7: nn.Sequential
    conv8: nn.Sequential
    conv9: nn.Sequential
    up6: nn.Sequential
    up7: nn.Sequential
    up8: nn.Sequential
    up9: nn.Sequential

    def __init__(self, config: SegConfig) -> None:
        super().__init__()
        self.config = config
        w = [config.width * 2**level for level in range(5)]
        for level, inputs in enumerate([config.input_nc, *w[:4]]):
            double = _conv_norm_relu(inputs, w[level]) + _conv_norm_relu(w[level], w[level])
            self.add_module(f"conv{level + 1}", nn.Sequential(*double))
        for number, level in ((6, 3), (7, 2), (8, 1), (9, 0)):
            up = _conv_norm_relu(w[level + 1], w[level])
            self.add_module(f"up{number}", nn.Sequential(nn.Upsample(scale_factor=2), *up))
            double = _conv_norm_relu(2 * w[level], w[level]) + _conv_norm_relu(w[level], w[level])
            last = [nn.Conv2d(w[0], config.output_nc, 3, padding=1)] if level == 0 else []
            self.add_module(f"conv{number}", nn.Sequential(*double, *last))

    def forward(self, x: Tensor) -> Tensor:
        """Predict the parse of the dressed person.

        Args:
            x: (B, input_nc, H, W) float32; H and W multiples of 16.

        Returns:
            (B, output_nc, H, W) float32 in [0, 1], a sigmoid per class.
        """
        return torch.sigmoid(self.logits(x))

    def logits(self, x: Tensor) -> Tensor:
        """The same before the sigmoid, for training."""
        one = self.conv1(x)
        two = self.conv2(F.max_pool2d(one, 2))
        three = self.conv3(F.max_pool2d(two, 2))
        four = F.dropout(self.conv4(F.max_pool2d(three, 2)), 0.5, self.training)
        five = F.dropout(self.conv5(F.max_pool2d(four, 2)), 0.5, self.training)
        x = self.conv6(torch.cat([four, self.up6(five)], 1))
        x = self.conv7(torch.cat([three, self.up7(x)], 1))
        x = self.conv8(torch.cat([two, self.up8(x)], 1))
        return self.conv9(torch.cat([one, self.up9(x)], 1))


def seeded_noise(seed: int) -> Callable[[str, tuple[int, int, int, int]], Tensor]:
    """Noise that depends on seed, name and shape only: drawn on the CPU, in any order, the same on every device."""

    def draw(name: str, shape: tuple[int, int, int, int]) -> Tensor:
        # torch's CPU generator reads 32 bits of a seed only, so both go into those.
        key = zlib.crc32(f"{seed}:{name}".encode())
        return torch.randn(shape, generator=torch.Generator().manual_seed(key))

    return draw


def fresh_noise(name: str, shape: tuple[int, int, int, int]) -> Tensor:
    """A new draw every time, as the published network does, and as training wants."""
    return torch.randn(shape)


class SpectralConv2d(nn.Module):
    """Convolution divided by its largest singular value, estimated by power iteration while training.

    Names are those of torch's first `spectral_norm` (weight_orig, weight_u, weight_v), which checkpoints hold.
    """

    bias: nn.Parameter | None
    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool) -> None:
        super().__init__()
        like = nn.Conv2d(inputs, outputs, kernel, bias=bias)
        self.padding = kernel // 2
        self.bias = nn.Parameter(like.bias.detach().clone()) if like.bias is not None else None
        self.weight_orig = nn.Parameter(like.weight.detach().clone())
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(inputs * kernel**2), dim=0))

    @property
    def weight(self) -> Tensor:
        """The normalised weight, as a forward pass sees it in eval mode."""
        return self.weight_orig / (self.weight_u @ (self.weight_orig.flatten(1) @ self.weight_v))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round the singular value to 1 in 256
            if self.training:
                self.settle(1)
            weight = self.weight
        return F.conv2d(x, weight, self.bias, padding=self.padding)

    @torch.no_grad()
    def settle(self, steps: int) -> None:
        """Take ``steps`` power iterations. Averaged weights need some: the average of unit vectors is none."""
        matrix = self.weight_orig.flatten(1)
        for _ in range(steps):
            self.weight_v.copy_(F.normalize(matrix.t() @ self.weight_u, dim=0))
            self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0))


def mask_norm(x: Tensor, mask: Tensor) -> Tensor:
    """Normalise the inside and the outside of a mask apart, each by its own mean and deviation.

    Args:
        x: (B, C, H, W).
        mask: (B, 1, H, W) in [0, 1]; fractions share a pixel between the two regions.

    Returns:
        (B, C, H, W) float32.
    """
    x = x.float()
    result = torch.zeros_like(x)
    for share in (mask, 1 - mask):
        count = share.sum((2, 3), keepdim=True)
        count = torch.where(count == 0, 1.0, count)
        # Filling the rest with the mean, as published, leaves exactly the weighted deviations to be normalised.
        deviation = (x - (x * share).sum((2, 3), keepdim=True) / count) * share
        scale = torch.sqrt(count / (x.shape[2] * x.shape[3]))
        result = result + deviation * (scale * torch.rsqrt(deviation.square().mean((2, 3), keepdim=True) + EPS))
    return result


class AliasNorm(nn.Module):
    """Parameter-free normalisation of x + noise, then a scale and a shift that the labels decide."""

    def __init__(self, channels: int, label_nc: int, hidden: int) -> None:
        super().__init__()
        self.noise_scale = nn.Parameter(torch.zeros(channels))
        self.conv_shared = nn.Sequential(nn.Conv2d(label_nc, hidden, 3, padding=1), nn.ReLU())
        self.conv_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.conv_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, labels: Tensor, mask: Tensor | None, noise: Tensor | None) -> Tensor:
        """(B, C, H, W), labels (B, L, H, W), mask (B, 1, H, W) or None, noise (B, W, H, 1) or None -> (B, C, H, W)."""
        if noise is not None:
            x = x + noise.to(x).transpose(1, 3) * self.noise_scale[:, None, None]
        normal = F.instance_norm(x, eps=EPS) if mask is None else mask_norm(x, mask)
        hidden = self.conv_shared(labels)
        return normal * (1 + self.conv_gamma(hidden)) + self.conv_beta(hidden)


class AliasResBlock(nn.Module):
    """Two modulated convolutions and, where the width changes, a modulated shortcut."""

    def __init__(self, config: AliasConfig, inputs: int, outputs: int, *, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        middle, labels = min(inputs, outputs), config.semantic_nc + masked

        def conv(i: int, o: int, kernel: int, bias: bool) -> nn.Module:
            if config.norm_G.startswith("spectral"):
                return SpectralConv2d(i, o, kernel, bias=bias)
            return nn.Conv2d(i, o, kernel, padding=kernel // 2, bias=bias)

        self.conv_0 = conv(inputs, middle, 3, True)
        self.conv_1 = conv(middle, outputs, 3, True)
        self.conv_s = conv(inputs, outputs, 1, False) if inputs != outputs else None
        self.norm_0 = AliasNorm(inputs, labels, config.label_hidden)
        self.norm_1 = AliasNorm(middle, labels, config.label_hidden)
        self.norm_s = AliasNorm(inputs, labels, config.label_hidden) if inputs != outputs else None

    def forward(self, x: Tensor, labels: Tensor, mask: Tensor, noise: Noise, name: str) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w); ``labels`` and ``mask`` at full size, ``name`` keys the noise."""
        b, _, h, w = x.shape
        labels = F.interpolate(labels, size=(h, w), mode="nearest")
        small = F.interpolate(mask, size=(h, w), mode="nearest") if self.masked else None
        shortcut = x
        if self.norm_s is not None and self.conv_s is not None:
            shortcut = self.conv_s(self.norm_s(x, labels, small, noise(f"{name}.norm_s", (b, w, h, 1))))
        x = self.conv_0(F.leaky_relu(self.norm_0(x, labels, small, noise(f"{name}.norm_0", (b, w, h, 1))), 0.2))
        x = self.conv_1(F.leaky_relu(self.norm_1(x, labels, small, noise(f"{name}.norm_1", (b, w, h, 1))), 0.2))
        return shortcut + x


class ALIASGenerator(nn.Module):
    """From coarse to fine: every resolution sees the inputs again, and the labels steer every normalisation."""

    def __init__(self, config: AliasConfig) -> None:
        super().__init__()
        self.config = config
        ups = config.num_upsampling_layers
        if ups not in UPSAMPLINGS:
            raise ValueError(f"num_upsampling_layers is {ups!r}; use one of {list(UPSAMPLINGS)}")
        if config.norm_G not in ("spectralaliasinstance", "aliasinstance"):
            raise ValueError(f"norm_G is {config.norm_G!r}; use 'spectralaliasinstance' or 'aliasinstance'")
        step = 2 ** UPSAMPLINGS[ups]
        if config.load_height % step or config.load_width % step:
            raise ValueError(f"load size {config.load_height}x{config.load_width} must be a multiple of {step}")
        n, extra = config.ngf, config.feature_nc
        widths = [16 * n, 16 * n, 16 * n, 8 * n, 4 * n, 2 * n, n, n // 2]
        self.names = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"]
        self.names = self.names[: UPSAMPLINGS[ups] + 1]
        self.latent = (config.load_height // step, config.load_width // step)
        for level in range(8):  # "more" keeps the eighth, unused, because checkpoints hold it
            outputs = widths[0] if level == 0 else extra
            self.add_module(f"conv_{level}", nn.Conv2d(config.input_nc, outputs, 3, padding=1))
        for level, name in enumerate(self.names):
            inputs = widths[0] if level == 0 else widths[level - 1] + extra
            self.add_module(name, AliasResBlock(config, inputs, widths[level], masked=level < 5))
        self.conv_img = nn.Conv2d(widths[len(self.names) - 1], config.output_nc, 3, padding=1)

    def forward(
        self, x: Tensor, labels: Tensor, labels_div: Tensor, misalign: Tensor, noise: Noise = fresh_noise
    ) -> Tensor:
        """Paint the dressed person.

        Args:
            x: (B, input_nc, H, W) float32 in [-1, 1].
            labels: (B, semantic_nc, H, W) float32, one-hot.
            labels_div: (B, semantic_nc + 1, H, W) float32, the misaligned part of the cloth in the last channel.
            misalign: (B, 1, H, W) float32 in [0, 1].
            noise: Source of the noise maps; `seeded_noise(seed)` makes the result repeatable.

        Returns:
            (B, output_nc, H, W) float32, the first three channels in [-1, 1].
        """
        return finish(self.raw(x, labels, labels_div, misalign, noise))

    def raw(
        self, x: Tensor, labels: Tensor, labels_div: Tensor, misalign: Tensor, noise: Noise = fresh_noise
    ) -> Tensor:
        """The same before tanh."""
        inputs, state = x, x[:, :0]
        for level, name in enumerate(self.names):
            size = (self.latent[0] * 2**level, self.latent[1] * 2**level)
            feature = getattr(self, f"conv_{level}")(F.interpolate(inputs, size=size, mode="nearest"))
            state = feature if level == 0 else torch.cat([F.interpolate(state, scale_factor=2), feature], 1)
            block = getattr(self, name)
            state = block(state, labels_div if block.masked else labels, misalign, noise, name)
        return self.conv_img(F.leaky_relu(state, 0.2))


def finish(raw: Tensor) -> Tensor:
    """Apply tanh to the three colour channels of (B, output_nc, H, W); further channels stay raw."""
    return torch.cat([torch.tanh(raw[:, :3]), raw[:, 3:]], 1)


# The starter paints at 256x192; the warped cloth itself is laid in at the picture's own resolution, so only skin,
# background and light are that coarse. It also sees the cloth's mask and the edit mask, and puts out, beside RGB, the
# logit of the cloth's opacity and the logarithm of its shading.
CONFIGS = {
    "official": VitonHDConfig(),
    "starter": VitonHDConfig(
        seg=SegConfig(width=8),
        gmm=GmmConfig(load_height=256, load_width=256, width=16),
        alias=AliasConfig(
            load_height=256,
            load_width=192,
            input_nc=11,
            ngf=12,
            norm_G="aliasinstance",
            num_upsampling_layers="more",
            label_hidden=16,
            feature_nc=8,
            output_nc=5,
        ),
    ),
}
