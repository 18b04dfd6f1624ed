"""DiffPoint: a noisy point cloud, cut into patches, goes through a U-shaped ViT beside image and time tokens.

Source: Feng, Shi, Cheng, Xiong, "DiffPoint: Single and Multi-view Point Cloud Reconstruction with ViT Based Diffusion
Model", arXiv 2402.11241; no code is published. What it cites is followed where it has code: the patch encoder and
position network of Point-MAE (Pang et al., ECCV 2022, MIT) and the blocks, long skips and time token of U-ViT (Bao et
al., CVPR 2023, MIT), with their parameter names.

Not stated, and our choice:

- One estimate of the clean point for each noisy one, so that no patch has to be put back together: each point reads the
  tokens of its three nearest centres, weighted by inverse distance, beside its own coordinates and offsets. Reading the
  nearest token alone makes points collapse into clumps, one a patch.
- Patches are cut from the first ``coarse`` points alone. Further points read the same tokens, so that 16,384 points are
  the shape that 1,024 gave and not another one.
- The views' tokens are merged by self-attention with ``condition`` learnt tokens, which are all that the ViT sees: the
  same whether there is one view or many, and computed once, not once a step.
- Colour and normal of each point are told beside its place; they are not diffused.
- The starter tells from each of the merged tokens how likely the surface passes through some cells of the object's box.
  If points were drawn from that density one by one, the best estimate of a noisy one would be a mean of cells, weighted
  by their likelihood and by the noise that would be needed to come from there: known in closed form. The network adds
  what is missing to it. Without that, a hundred thousand objects were not enough to learn what pictures say: at high
  noise the loss hardly depends on them. The published size does without (``cells`` 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core.blocks import Attention, Mlp, ResidualBlock
from pipelines.diffpoint import diffusion
from pipelines.diffpoint.cameras import BINS
from pipelines.diffpoint.patches import farthest_points, gathered, nearest

NEIGHBOURS = 3  # centres that a point reads
CELLS_USED = 1024  # the likeliest ones
CAMERA_WIDTH = 128  # hidden width of the network that tells cameras
OUTPUTS = 9  # place, colour, normal


@dataclass(frozen=True)
class DiffPointConfig:
    """Constructor values of one network.

    Attributes:
        embed: Width of the transformer.
        depth: Number of blocks: half before, half behind the middle one, which comes on top.
        heads: Attention heads.
        mlp_ratio: Width of the feed-forward layer over ``embed``.
        groups: Patches.
        group_size: Points of a patch.
        coarse: Points that patches are cut from.
        patch_widths: Of the patch encoder's four layers, the last being ``embed``.
        position_width: Hidden width of the position network.
        readout: Hidden width of the network that each point's answer comes from.
        condition: Tokens that the views are merged into.
        cells: Cells along each side of the object's box that the tokens answer for, an even number; 0 leaves them out.
        cameras: Whether a further token tells from where a picture was taken (cameras.py).
        fusion_depth: Blocks that merge them.
        image: ``clip`` (tokens of a CLIP vision tower, ``image_width`` wide) or ``conv`` (ours, from pixels).
        image_width: Width of an image token before its projection.
        image_size: Side of a view in pixels.
    """

    embed: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    groups: int = 128
    group_size: int = 32
    coarse: int = 2048
    patch_widths: tuple[int, int, int] = (128, 256, 512)
    position_width: int = 128
    readout: int = 512
    condition: int = 64
    cells: int = 0
    cameras: bool = False
    fusion_depth: int = 4
    image: str = "clip"
    image_width: int = 1024
    image_size: int = 224


class PatchEncoder(nn.Module):
    """A small PointNet over the points of a patch: Point-MAE's."""

    def __init__(self, embed: int, widths: tuple[int, int, int] = (128, 256, 512)) -> None:
        super().__init__()
        first, second, third = widths
        self.first_conv = nn.Sequential(
            nn.Conv1d(3, first, 1), nn.BatchNorm1d(first), nn.ReLU(inplace=True), nn.Conv1d(first, second, 1)
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(2 * second, third, 1), nn.BatchNorm1d(third), nn.ReLU(inplace=True), nn.Conv1d(third, embed, 1)
        )

    def forward(self, patches: Tensor) -> Tensor:
        """(B, G, K, 3) offsets from the centres -> (B, G, embed)."""
        b, g, k, _ = patches.shape
        # Convolutions over one place are matrix products: so written, a third of the time. What the whole patch adds to
        # each of its points is the same for all, and computed once.
        conv1, norm1, _, conv2 = cast(tuple[nn.Conv1d, nn.BatchNorm1d, nn.ReLU, nn.Conv1d], tuple(self.first_conv))
        conv3, norm3, _, conv4 = cast(tuple[nn.Conv1d, nn.BatchNorm1d, nn.ReLU, nn.Conv1d], tuple(self.second_conv))
        each = _product(conv2, F.relu(norm1(_product(conv1, patches.reshape(b * g * k, 3)))))
        width = each.shape[1]
        whole = F.linear(each.view(b * g, k, width).amax(1), conv3.weight[:, :width, 0])
        joined = F.linear(each, conv3.weight[:, width:, 0], conv3.bias).view(b * g, k, -1) + whole[:, None]
        return _product(conv4, F.relu(norm3(joined.flatten(0, 1)))).view(b * g, k, -1).amax(1).view(b, g, -1)


def _product(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over one place, on (N, C)."""
    return F.linear(x, conv.weight[..., 0], conv.bias)


class Block(nn.Module):
    """Pre-norm transformer block; with ``skip`` it first joins what the block opposite of it put out."""

    def __init__(self, embed: int, heads: int, mlp_ratio: float, *, skip: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(embed), nn.LayerNorm(embed)
        self.attn = Attention(embed, heads, bias=False)  # as U-ViT has it
        self.mlp = Mlp(embed, int(embed * mlp_ratio))
        self.skip_linear = nn.Linear(2 * embed, embed) if skip else None

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """(B, N, C), and the same of a block before -> (B, N, C)."""
        if self.skip_linear is not None and skip is not None:
            x = self.skip_linear(torch.cat([x, skip], -1))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class UViT(nn.Module):
    """Blocks with long skips between the first and the second half: U-ViT's, without its embeddings."""

    def __init__(self, embed: int, depth: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        half = depth // 2
        self.in_blocks = nn.ModuleList(Block(embed, heads, mlp_ratio) for _ in range(half))
        self.mid_block = Block(embed, heads, mlp_ratio)
        self.out_blocks = nn.ModuleList(Block(embed, heads, mlp_ratio, skip=True) for _ in range(half))
        self.norm = nn.LayerNorm(embed)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        kept = []
        for block in self.in_blocks:
            x = block(x)
            kept.append(x)
        x = self.mid_block(x)
        for block in self.out_blocks:
            x = block(x, kept.pop())
        return self.norm(x)


def time_token(steps: Tensor, embed: int) -> Tensor:
    """(B,) steps of diffusion, in [0, 1000) -> (B, embed) cosines and sines, as U-ViT has them."""
    half = embed // 2
    # Exponents rounded to float32 as published, their powers exact: an error in the last bit is 1e-5 after 1,000 steps.
    powers = -math.log(10_000) * torch.arange(half, dtype=torch.float32) / half
    rates = powers.double().exp().float().to(steps.device)
    angles = steps.float()[:, None] * rates
    return F.pad(torch.cat([angles.cos(), angles.sin()], -1), (0, embed % 2))


class ConvTokens(nn.Module):
    """Tokens of a cut-out picture: ours, for the starter."""

    def __init__(self, width: int, embed: int, size: int) -> None:
        super().__init__()
        a, b, c, d = width // 8, width // 4, width // 2, width
        self.enter = nn.Sequential(nn.Conv2d(4, a, 5, 2, 2, bias=False), nn.BatchNorm2d(a), nn.ReLU(inplace=True))
        self.down = nn.Sequential(ResidualBlock(a, b, 2), ResidualBlock(b, c, 2), ResidualBlock(c, d, 2))
        self.proj = nn.Conv2d(d, embed, 1)
        self.places = nn.Parameter(torch.randn(1, (size // 16) ** 2, embed) * 0.02)

    def forward(self, views: Tensor) -> Tensor:
        """(B, 4, S, S) colours on grey and coverage, in [-1, 1] -> (B, (S / 16)^2, embed)."""
        return self.proj(self.down(self.enter(views))).flatten(2).transpose(1, 2) + self.places


class Fusion(nn.Module):
    """One or many views' tokens, merged by self-attention into a fixed number of tokens."""

    def __init__(self, config: DiffPointConfig) -> None:
        super().__init__()
        self.asking = nn.Parameter(torch.randn(1, config.condition, config.embed) * 0.02)
        self.camera = nn.Parameter(torch.randn(1, 1, config.embed) * 0.02) if config.cameras else None
        self.blocks = nn.ModuleList(
            Block(config.embed, config.heads, config.mlp_ratio) for _ in range(config.fusion_depth)
        )
        self.norm = nn.LayerNorm(config.embed)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, V * P, embed), views one behind the other -> (B, condition, embed); with a camera's token behind."""
        asking = self.asking if self.camera is None else torch.cat([self.asking, self.camera], 1)
        x = torch.cat([asking.expand(len(tokens), -1, -1), tokens], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, : asking.shape[1]])


class DiffPoint(nn.Module):
    """Estimates the clean cloud from a noisy one."""

    def __init__(self, config: DiffPointConfig) -> None:
        super().__init__()
        self.config = config
        embed = config.embed
        self.image = (
            ConvTokens(config.image_width, embed, config.image_size)
            if config.image == "conv"
            else nn.Linear(config.image_width, embed)
        )
        self.fusion = Fusion(config)
        self.nothing = nn.Parameter(torch.randn(1, config.condition, embed) * 0.02)
        self.encoder = PatchEncoder(embed, config.patch_widths)
        self.pos_embed = nn.Sequential(
            nn.Linear(3, config.position_width), nn.GELU(), nn.Linear(config.position_width, embed)
        )
        self.vit = UViT(embed, config.depth, config.heads, config.mlp_ratio)
        self.cells = self.colours = None
        if config.cells:
            self.cells = nn.Linear(embed, -(-(config.cells**3) // config.condition))
            self.colours = nn.Linear(embed, 3 * -(-((config.cells // 2) ** 3) // config.condition))
        self.cameras = (
            nn.Sequential(nn.Linear(embed, CAMERA_WIDTH), nn.GELU(), nn.Linear(CAMERA_WIDTH, BINS))
            if config.cameras
            else None
        )
        self.readout = nn.Sequential(
            nn.Linear(embed + (12 if config.cells else 6), config.readout), nn.GELU(),
            nn.Linear(config.readout, config.readout), nn.GELU(),
            nn.Linear(config.readout, OUTPUTS),
        )  # fmt: skip

    def condition(self, views: Tensor) -> Tensor:
        """(B, V, ...) views, as `image` takes each -> (B, condition, embed)."""
        return self.read(views)[0]

    def read(self, views: Tensor) -> tuple[Tensor, Tensor | None]:
        """What `condition` gives, and (B, BINS) logits of the camera: None without ``cameras`` or of several views."""
        b, v = views.shape[:2]
        tokens = self.image(views.flatten(0, 1))
        merged = self.fusion(tokens.reshape(b, v * tokens.shape[1], -1))
        condition = merged[:, : self.config.condition]
        return condition, self.cameras(merged[:, -1]) if self.cameras is not None and v == 1 else None

    def forward(self, cloud: Tensor, steps: Tensor, condition: Tensor | None) -> Tensor:
        """Estimate the clean cloud.

        Args:
            cloud: (B, N, 3) float32 noisy points, of deviation about 1.
            steps: (B,) in [0, 1000).
            condition: Of `condition`; None of no picture at all.

        Returns:
            (B, N, 9) float32: clean place, colour in [0, 1] before clipping, and normal, not of unit length.
        """
        if condition is None:
            condition = self.nothing.expand(len(cloud), -1, -1)
        config = self.config
        with torch.no_grad():
            first = cloud[:, : config.coarse]
            centres = gathered(first, farthest_points(first, config.groups))
            members, _ = nearest(centres, first, config.group_size)
            around, distance = nearest(cloud, centres, NEIGHBOURS)
            share = 1 / (distance + 1e-4)
            share = share / share.sum(-1, keepdim=True)
            # As a matrix product, of which three in each row are not 0: gathering is much slower, its gradient most.
            reading = cloud.new_zeros(*cloud.shape[:2], config.groups).scatter_(2, around, share)
            offsets = gathered(first, members) - centres[:, :, None]
            with torch.autocast(cloud.device.type, enabled=False):
                middle = reading @ centres
        patches = self.encoder(offsets) + self.pos_embed(centres)
        time = time_token(steps, config.embed)[:, None].to(patches.dtype)
        tokens = self.vit(torch.cat([time, condition.to(patches.dtype), patches], 1))[:, -config.groups :]
        read = reading.to(tokens.dtype) @ tokens
        known = torch.cat([cloud, cloud - middle], -1)
        if self.cells is None:
            return self.readout(torch.cat([read, known.to(read.dtype)], -1)).float()
        expected = self.expected(cloud, steps, condition)
        known = torch.cat([known, expected[..., :3] - cloud, expected[..., 3:]], -1)
        found = self.readout(torch.cat([read, known.to(read.dtype)], -1)).float()
        return torch.cat([expected + found[..., :6], found[..., 6:]], -1)

    def occupied(self, condition: Tensor) -> Tensor:
        """(B, condition, embed) -> (B, cells^3) logits that the surface passes through a cell, x slowest, z fastest.

        Each token answers for a run of cells. Only of networks that have ``cells``.
        """
        return cast(nn.Linear, self.cells)(condition).flatten(1)[:, : self.config.cells**3].float()

    def coloured(self, condition: Tensor) -> Tensor:
        """(B, condition, embed) -> (B, (cells / 2)^3, 3) colours of blocks of 2x2x2 cells, ordered as `occupied`."""
        told = cast(nn.Linear, self.colours)(condition).flatten(1)[:, : 3 * (self.config.cells // 2) ** 3]
        return told.float().view(len(told), -1, 3)

    @torch.no_grad()
    def expected(self, cloud: Tensor, steps: Tensor, condition: Tensor) -> Tensor:
        """Where noisy points would be expected to come from if all that is known is how likely each cell is.

        Args:
            cloud: (B, N, 3) noisy points.
            steps: (B,) in [0, 1000).
            condition: (B, condition, embed).

        Returns:
            (B, N, 6) places, and the colours told of the cells there.
        """
        side = self.config.cells
        likely, at = self.occupied(condition).sigmoid().topk(min(CELLS_USED, side**3))
        grid = torch.stack([at // side**2, at // side % side, at % side], -1)
        places = ((grid + 0.5) / side - 0.5) * diffusion.SCALE
        block = grid // 2
        block = (block[..., 0] * (side // 2) + block[..., 1]) * (side // 2) + block[..., 2]
        colours = gathered(self.coloured(condition), block)
        share = diffusion.signal().to(cloud.device)[steps.long()][:, None, None]
        # Within a cell a point lies as if normally distributed, as widely as it would evenly.
        width = (diffusion.SCALE / side) ** 2 / 12
        spread = 1 - share + share * width
        # Weights of cells are a softmax of likelihood times exp(-distance^2 / 2 spread), and so one of inner products:
        # attention, which never holds points x cells numbers, is 15 times as fast.
        with torch.autocast(cloud.device.type, enabled=False):  # differences of large numbers
            means = share.sqrt() * places
            apart = likely.clamp_min(1e-6).log()[..., None] - means.square().sum(-1, keepdim=True) / (2 * spread)
            # All six wide, as values are: of other widths attention is not the fast one.
            asked, keys = F.pad(cloud.float(), (0, 3), value=1.0), torch.cat([means / spread, apart], -1)
            values = torch.cat([places, colours], -1)
            cell, colour = F.scaled_dot_product_attention(
                asked[:, None], F.pad(keys, (0, 2))[:, None], values[:, None], scale=1.0
            )[:, 0].split(3, -1)
        kept = share.sqrt() * width / spread
        return torch.cat([(1 - kept * share.sqrt()) * cell + kept * cloud, colour], -1)


CONFIGS = {
    "official": DiffPointConfig(),
    "starter": DiffPointConfig(
        embed=192,
        depth=6,
        heads=6,
        mlp_ratio=2.5,
        groups=96,
        group_size=16,
        coarse=1024,
        patch_widths=(48, 96, 160),
        position_width=96,
        readout=192,
        condition=32,
        cells=24,
        cameras=True,
        fusion_depth=2,
        image="conv",
        image_width=144,
        image_size=128,
    ),
}
