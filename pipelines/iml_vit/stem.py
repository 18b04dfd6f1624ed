"""The starter's way from pixels to tokens: noise and JPEG's blocks beside colours, instead of one linear 16x16 patch.

Source: ours. A linear patch needs the 12,000 pictures and the pre-training that the authors have; what betrays an edit
is noise and the rounding of JPEG, not content.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core import imagenet
from pipelines.core.blocks import ResidualBlock
from pipelines.core.runtime import exact

STEM_WIDTHS = (32, 64, 96, 160)  # at 1/2, 1/4, 1/8 and 1/16 of the input
SATURATED = 3.0  # residuals beyond this many grey levels are edges of the content, not noise (our choice)
FREQUENCIES, TOP_LEVEL = 24, 14  # of 63 DCT coefficients, and the grey level from which all are one (our choice)
LEVEL_WIDTH = 64


class NoiseStem(nn.Module):
    """Colours and high-pass residuals through residual blocks down to 1/16; at 1/8 `JpegBlocks` joins them.

    The three fixed kernels (first and second order along both axes, and the 5x5 "KV" one) are those of the steganalysis
    rich model that Zhou et al., "Learning Rich Features for Image Manipulation Detection", CVPR 2018 use. Up to and
    including the first convolutions everything is float32: a residual is the small difference of large values, and
    bfloat16 would leave mostly rounding of it.
    """

    def __init__(self, embed: int) -> None:
        super().__init__()
        self.register_buffer("residuals", _high_pass(), persistent=False)
        first, *others = STEM_WIDTHS
        self.colours = nn.Conv2d(3, first, 5, 2, 2, bias=False)
        self.noise = nn.Conv2d(9, first, 5, 2, 2, bias=False)
        self.enter = nn.Sequential(nn.BatchNorm2d(first), nn.ReLU(inplace=True), ResidualBlock(first, first))
        self.down = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in itertools.pairwise((first, *others)))
        self.jpeg = JpegBlocks(STEM_WIDTHS[2])
        self.proj = nn.Conv2d(STEM_WIDTHS[-1], embed, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, 3, H, W) -> (B, embed, H/16, W/16), and what was seen at 1/4 and 1/8."""
        residuals: Tensor = self.residuals  # type: ignore[assignment]
        with exact(x.device):
            x = x.float()
            # 58 grey levels are about one standard deviation of the normalised input in each channel.
            noise = F.conv2d(x * 58.0, residuals, padding=2, groups=3).clamp(-SATURATED, SATURATED)
            entering = self.colours(x) + self.noise(noise)
        if torch.is_autocast_enabled(x.device.type):
            entering = entering.to(torch.get_autocast_dtype(x.device.type))
        quarter = self.down[0](self.enter(entering))
        eighth = self.down[1](quarter) + self.jpeg(x)
        return self.proj(self.down[2](eighth)), (quarter, eighth)


class JpegBlocks(nn.Module):
    """What JPEG left in each block of 8x8 pixels: which values its coefficients have, and which they never have.

    Saving rounds each DCT coefficient to multiples of a step. What was saved twice on the same grid holds values that
    saving once does not give, and a region that was changed in between lacks them (Kwon et al., "Learning JPEG
    Compression Artifacts for Image Manipulation Detection and Localization", IJCV 2022). As there, coefficients enter
    one-hot by absolute value, because what tells is no smooth function of them. Unlike there, they are computed from
    pixels, so that a PNG of what once was a JPEG works as well: in grey levels and not in steps, each shared between
    the two whole levels next to it, and only steps well below ``TOP_LEVEL`` are told apart, those of good quality.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("basis", _dct(), persistent=False)
        self.levels = nn.Conv2d(FREQUENCIES * (TOP_LEVEL + 1), LEVEL_WIDTH, 1, bias=False)
        self.norm = nn.BatchNorm2d(LEVEL_WIDTH)
        self.around = ResidualBlock(LEVEL_WIDTH, LEVEL_WIDTH)
        self.proj = nn.Conv2d(LEVEL_WIDTH, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) float32, normalised -> (B, width, H/8, W/8)."""
        basis: Tensor = self.basis  # type: ignore[assignment]
        with exact(x.device):
            shares = self.shares(F.conv2d(x, basis, stride=8).abs().clamp(max=TOP_LEVEL))
        return self.proj(self.around(F.relu(self.norm(self.levels(shares)))))

    @staticmethod
    def shares(size: Tensor) -> Tensor:
        """(B, F, h, w) absolute levels -> (B, F * (TOP_LEVEL + 1), h, w), each shared between the two next to it."""
        level = torch.arange(TOP_LEVEL + 1, dtype=size.dtype, device=size.device)[:, None, None]
        return (1 - (size[:, :, None] - level).abs()).clamp(min=0).flatten(1, 2)


def _dct() -> Tensor:
    """(FREQUENCIES, 3, 8, 8): normalised RGB to coefficients of the luminance, lowest first, without the mean."""
    place, wave = torch.arange(8)[None] + 0.5, torch.arange(8)[:, None]
    lines = torch.cos(torch.pi / 8 * place * wave) / 2
    lines[0] /= 2**0.5
    order = sorted(((v, u) for v in range(8) for u in range(8)), key=lambda each: (sum(each), each))
    waves = torch.stack([torch.outer(lines[v], lines[u]) for v, u in order[1 : FREQUENCIES + 1]])
    # None of these waves has a mean, so that the one that was taken off the input does not matter.
    luminance = torch.tensor([0.299, 0.587, 0.114]) * torch.tensor(imagenet.STD) * 255
    return waves[:, None] * luminance[:, None, None]


def _high_pass() -> Tensor:
    """(9, 1, 5, 5): each of three kernels for each of three colours."""
    first = torch.zeros(5, 5)
    first[1:4, 1:4] = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    square = torch.tensor(
        [[-1.0, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]
    )
    line = torch.zeros(5, 5)
    line[2, 1:4] = torch.tensor([1.0, -2, 1]) / 2
    return torch.stack([first, square / 12, line]).repeat(3, 1, 1)[:, None]
