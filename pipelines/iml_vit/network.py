"""IML-ViT: a windowed plain ViT, a simple feature pyramid and a small head that marks manipulated pixels.

Source: Ma, Du, Jiang, Du, Zhou, "IML-ViT: Benchmarking Image Manipulation Localization by Vision Transformer", 2023;
SunnyHaze/IML-ViT 07dd2be (MIT) for names, shapes and constants. Parameter names follow that repository. The backbone is
that of Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV 2022.

What is computed otherwise, with the same result: decomposed relative positions become the additive mask of a fused
attention kernel, a block of queries at a time; position tables are resized once per size, not per forward; the head's
1x1 convolution, being linear, runs on each level before it is enlarged instead of on all five enlarged ones.

Our own options, whose defaults leave the published network untouched: ``stem="noise"`` replaces the 16x16 patch
convolution (stem.py), with shortcuts from 1/4 and 1/8 of the resolution into the pyramid; ``judge`` adds a head for the
picture as a whole (judge.py); the tokens, heads and windows may be fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core.blocks import DropPath, Mlp
from pipelines.core.runtime import biased_attention
from pipelines.iml_vit.judge import Judge
from pipelines.iml_vit.stem import STEM_WIDTHS, NoiseStem

PADDED = 64  # the coarsest level of the pyramid has 1/64 of the resolution
LEVELS = (2, 3, 4, 5)  # of the pyramid, by the power of two that divides the resolution; the sixth has no weights


@dataclass(frozen=True)
class ImlVitConfig:
    """Constructor values of one network.

    Attributes:
        input_size: Side of the largest input in pixels; a multiple of 16, and of 64 with the stem ``noise``.
        embed: Width of the transformer.
        depth: Number of blocks.
        heads: Attention heads.
        window: Side of a window in tokens.
        global_blocks: Blocks that attend to everything.
        mlp_ratio: Width of the feed-forward layer over ``embed``.
        drop_path: Largest stochastic-depth rate, growing linearly with depth (training only).
        fpn: Channels of the pyramid.
        fused: Channels of the head.
        norm: Of the head: ``BN``, ``LN`` or ``IN``.
        dropout: Of the head (training only).
        positions: Side of the learnt position table in tokens; 14 is that of a ViT at 224 pixels.
        stem: ``patch`` (published) or ``noise`` (ours).
        judge: Whether there is a head for the picture as a whole (ours).
    """

    input_size: int = 1024
    embed: int = 768
    depth: int = 12
    heads: int = 12
    window: int = 14
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    mlp_ratio: float = 4.0
    drop_path: float = 0.1
    fpn: int = 256
    fused: int = 256
    norm: str = "BN"
    dropout: float = 0.5
    positions: int = 14
    stem: str = "patch"
    judge: bool = False

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a size that padding could exceed."""
        if self.input_size % (16 if self.stem == "patch" else PADDED):
            raise ValueError(f"input_size {self.input_size} with the stem {self.stem}")

    @property
    def padded_to(self) -> int:
        """Sides of the input are made multiples of it: the published network takes one size alone."""
        return self.input_size if self.stem == "patch" else PADDED


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (B, C, H, W), eps 1e-6, as in ConvNeXt."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        rows = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return rows.permute(0, 3, 1, 2)


class PatchEmbed(nn.Module):
    """One 16x16 convolution with stride 16, as published."""

    def __init__(self, embed: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed, 16, 16)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, 3, H, W) -> (B, embed, H/16, W/16), and no shortcuts."""
        return self.proj(x), ()


class Attention(nn.Module):
    """Multi-head self-attention over a grid, with relative positions along both axes learnt apart."""

    def __init__(self, embed: int, heads: int, size: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(embed, 3 * embed)
        self.proj = nn.Linear(embed, embed)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, embed // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, embed // heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C); without windows H and W are at most the size that the tables are for."""
        qkv, size = self.qkv(x), (x.shape[1], x.shape[2])
        if not self.window:
            return self.proj(self._mixed(qkv))
        # The published code pads with zeros that are attended to like any token. Their projection is its bias.
        windows, padded = split_windows(qkv, self.window, self.qkv.bias)
        return self.proj(join_windows(self._mixed(windows), self.window, padded, size))

    def _mixed(self, qkv: Tensor) -> Tensor:
        """(B, H, W, 3C) -> (B, H, W, C)."""
        b, h, w, c = qkv.shape
        q, k, v = qkv.reshape(b, h * w, 3, self.heads, c // 3 // self.heads).permute(2, 0, 3, 1, 4)
        mixed = biased_attention(q, k, v, _relative(self.rel_pos_h, h), _relative(self.rel_pos_w, w))
        return mixed.transpose(1, 2).reshape(b, h, w, c // 3)


def _relative(table: Tensor, size: int) -> Tensor:
    """(2N - 1, D) by distance, from -(N - 1) to N - 1 -> (size, size, D) by query and key."""
    middle = table.shape[0] // 2
    places = torch.arange(size, device=table.device)
    return table[places[:, None] - places[None, :] + middle]


class Block(nn.Module):
    """Pre-norm transformer block with stochastic depth; it attends within windows, or to everything if it is global."""

    def __init__(self, config: ImlVitConfig, number: int) -> None:
        super().__init__()
        window = 0 if number in config.global_blocks else config.window
        self.norm1 = nn.LayerNorm(config.embed, eps=1e-6)
        self.attn = Attention(config.embed, config.heads, window or config.input_size // 16, window)
        self.norm2 = nn.LayerNorm(config.embed, eps=1e-6)
        self.mlp = Mlp(config.embed, int(config.embed * config.mlp_ratio))
        self.drop = DropPath(config.drop_path * number / max(1, config.depth - 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = x + self.drop(self.attn(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))


def split_windows(x: Tensor, side: int, fill: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Cut a grid of tokens into squares.

    Args:
        x: (B, H, W, C).
        side: Of a window.
        fill: (C,) token that pads the grid at the bottom and right.

    Returns:
        (B * windows, side, side, C), and the padded (H, W).
    """
    b, h, w, c = x.shape
    rows, columns = -(-h // side), -(-w // side)
    if (rows * side, columns * side) != (h, w):
        whole = fill.to(x.dtype).expand(b, rows * side, columns * side, c).clone()
        whole[:, :h, :w] = x
        x = whole
    x = x.reshape(b, rows, side, columns, side, c).transpose(2, 3)
    return x.reshape(-1, side, side, c), (rows * side, columns * side)


def join_windows(x: Tensor, side: int, padded: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Undo `split_windows`."""
    rows, columns = padded[0] // side, padded[1] // side
    x = x.reshape(-1, rows, columns, side, side, x.shape[-1]).transpose(2, 3)
    # A layer that follows would multiply picture row by picture row if rows did not lie one behind the other.
    return x.reshape(-1, *padded, x.shape[-1])[:, : size[0], : size[1]].contiguous()


class Encoder(nn.Module):
    """The plain ViT; there is no norm behind the last block."""

    def __init__(self, config: ImlVitConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config.embed) if config.stem == "patch" else NoiseStem(config.embed)
        # The first position is that of a class token, which masked-autoencoder weights have and this network lacks.
        self.pos_embed = nn.Parameter(torch.zeros(1, config.positions**2 + 1, config.embed))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks = nn.ModuleList(Block(config, number) for number in range(config.depth))
        self._resized: tuple[tuple[object, ...], Tensor] | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, 3, H, W) -> (B, C, H/16, W/16), and the stem's shortcuts."""
        x, seen = self.patch_embed(x)
        x = x.permute(0, 2, 3, 1)
        x = x + self._places(x.shape[1], x.shape[2])
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 3, 1, 2), seen

    def _places(self, height: int, width: int) -> Tensor:
        """The position table at (1, H, W, C), resized once as long as neither it nor the size changes."""
        table = self.pos_embed
        if torch.is_grad_enabled() and table.requires_grad:
            return _resized(table, height, width)
        version = 0 if table.is_inference() else table._version  # averaging writes into it while it is in eval mode
        key = (height, width, table.data_ptr(), version, table.device, table.dtype)
        if self._resized is None or self._resized[0] != key:
            self._resized = (key, _resized(table, height, width))
        return self._resized[1]


def _resized(table: Tensor, height: int, width: int) -> Tensor:
    side = round((table.shape[1] - 1) ** 0.5)
    grid = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if (side, side) != (height, width):
        grid = F.interpolate(grid, (height, width), mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1)


class Lateral(nn.Module):
    """A convolution without bias, then a channel norm, under the names that the published state dict has."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, kernel, kernel))
        nn.init.kaiming_uniform_(self.weight, a=1)
        self.norm = ChannelNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return self.norm(F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2))


class Pyramid(nn.Module):
    """Strides 4, 8, 16, 32 and 64 out of the one feature of stride 16."""

    def __init__(self, config: ImlVitConfig) -> None:
        super().__init__()
        wide, half, quarter, out = config.embed, config.embed // 2, config.embed // 4, config.fpn

        def tail(channels: int) -> tuple[nn.Module, nn.Module]:
            return Lateral(channels, out, 1), Lateral(out, out, 3)

        self.simfp_2 = nn.Sequential(
            nn.ConvTranspose2d(wide, half, 2, 2), ChannelNorm(half), nn.GELU(), nn.ConvTranspose2d(half, quarter, 2, 2),
            *tail(quarter),
        )  # fmt: skip
        self.simfp_3 = nn.Sequential(nn.ConvTranspose2d(wide, half, 2, 2), *tail(half))
        self.simfp_4 = nn.Sequential(*tail(wide))
        self.simfp_5 = nn.Sequential(nn.MaxPool2d(2, 2), *tail(wide))
        self.shortcuts = nn.ModuleList(
            nn.Conv2d(width, out, 1) for width in (STEM_WIDTHS[1:3] if config.stem == "noise" else ())
        )

    def forward(self, x: Tensor, seen: tuple[Tensor, ...] = ()) -> list[Tensor]:
        """(B, C, h, w) -> five (B, fpn, ...) at 4h, 2h, h, h/2 and h/4."""
        levels = [getattr(self, f"simfp_{level}")(x) for level in LEVELS]
        for number, (shortcut, fine) in enumerate(zip(self.shortcuts, seen, strict=True)):
            levels[number] = levels[number] + shortcut(fine)
        return [*levels, levels[-1][:, :, ::2, ::2]]


class Head(nn.Module):
    """All levels at the finest one's size, fused to one logit a pixel. No activation between."""

    def __init__(self, config: ImlVitConfig) -> None:
        super().__init__()
        self.linear_fuse = nn.Conv2d((len(LEVELS) + 1) * config.fpn, config.fused, 1)
        self.norm: nn.Module = {
            "BN": lambda: nn.BatchNorm2d(config.fused),
            "LN": lambda: ChannelNorm(config.fused),
            "IN": lambda: nn.InstanceNorm2d(config.fused, affine=True, track_running_stats=True),
        }[config.norm]()
        self.dropout = nn.Dropout(config.dropout)
        self.linear_predict = nn.Conv2d(config.fused, 1, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Levels of `Pyramid` -> (B, 1, 4h, 4w) logits."""
        size = levels[0].shape[2:]
        # In the reference's order: the coarsest level comes last.
        weights = self.linear_fuse.weight.split(levels[0].shape[1], 1)
        fused = F.conv2d(levels[0], weights[0], self.linear_fuse.bias)
        for level, weight in zip(levels[1:], weights[1:], strict=True):
            part = F.conv2d(level, weight)
            fused = fused + F.interpolate(part, size, mode="bilinear", align_corners=False)
        return self.linear_predict(self.dropout(self.norm(fused)))


class ImlVit(nn.Module):
    """Logits of manipulation of one normalised picture."""

    def __init__(self, config: ImlVitConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder_net = Encoder(config)
        self.featurePyramid_net = Pyramid(config)  # the published state dict's name
        self.predict_head = Head(config)
        self.judge = Judge(config.embed) if config.judge else None

    def forward(self, x: Tensor) -> Tensor:
        """Predict.

        Args:
            x: (B, 3, H, W) float32, ImageNet-normalised; H and W multiples of 32, at most ``input_size``.

        Returns:
            (B, 1, H/4, W/4) logits; `probability` enlarges them.
        """
        return self.predict_head(self.featurePyramid_net(*self.encoder_net(x)))

    def judged(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """As `forward`, and (B,) logits of the pictures as a whole, which a network without a judge lacks."""
        tokens, seen = self.encoder_net(x)
        logits = self.predict_head(self.featurePyramid_net(tokens, seen))
        return logits, None if self.judge is None else self.judge(tokens, logits)


def probability(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, 1, h, w) logits -> (B, 1, H, W) float32 probabilities: enlarged first, then the sigmoid, as published."""
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False).sigmoid()


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict as ours: the names are the same, and nothing has to go.

    Both forms are taken: the released bare one, and the training checkpoint that nests it under ``model``, which
    `checkpoint.read_state_dict` opens.
    """
    return {key.removeprefix("module."): value for key, value in state.items()}


def config_of(state: Mapping[str, Tensor], *, instance: bool = False) -> ImlVitConfig:
    """Read the constructor values of a published network off its shapes.

    Args:
        state: See `from_published`.
        instance: Whether the head's norm is an instance norm, which leaves no trace in names or shapes. It matters for
            training only: with running statistics, both norms compute the same afterwards.

    Raises:
        KeyError: if a tensor that every such network has is absent.
    """
    embed = state["encoder_net.patch_embed.proj.weight"].shape[0]
    tables = {
        int(key.split(".")[2]): value.shape
        for key, value in state.items()
        if key.startswith("encoder_net.blocks.") and key.endswith("rel_pos_h")
    }
    sides = {number: (shape[0] + 1) // 2 for number, shape in tables.items()}
    widest = max(sides.values())
    head = "predict_head.norm."
    norm = "LN" if f"{head}running_mean" not in state else "IN" if instance else "BN"
    return ImlVitConfig(
        input_size=16 * widest,
        embed=embed,
        depth=1 + max(tables),
        heads=embed // tables[0][1],
        window=min(sides.values()),
        global_blocks=tuple(number for number, side in sorted(sides.items()) if side == widest),
        mlp_ratio=state["encoder_net.blocks.0.mlp.fc1.weight"].shape[0] / embed,
        fpn=state["featurePyramid_net.simfp_4.0.weight"].shape[0],
        fused=state["predict_head.linear_fuse.weight"].shape[0],
        norm=norm,
        positions=round((state["encoder_net.pos_embed"].shape[1] - 1) ** 0.5),
    )


CONFIGS = {
    "official": ImlVitConfig(),
    "starter": ImlVitConfig(
        input_size=512,
        embed=192,
        depth=8,
        heads=6,
        window=8,
        global_blocks=(1, 3, 5, 7),
        drop_path=0.05,
        fpn=64,
        fused=96,
        dropout=0.0,
        positions=16,
        stem="noise",
        judge=True,
    ),
}
