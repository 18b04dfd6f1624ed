"""ViTPose networks: plain ViT backbone with the classic (two deconvolutions) or simple (upsample + conv) head.

Source: Xu, Zhang, Zhang, Tao, "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation", NeurIPS 2022;
ViTAE-Transformer/ViTPose c050ed2 (Apache-2.0) for names, shapes and constants. Parameter names follow that repository;
`from_published` accepts both these names and those of transformers' VitPose.

Our own options, whose defaults leave the published network untouched: `stem="conv"` replaces the 16x16 patch
convolution by the residual encoder of our human parser (early convolutions as in Xiao et al., "Early Convolutions Help
Transformers See Better", 2021, because a 16x16 linear patch needs far more pictures than a small data set has; and
because that encoder has already learnt what people look like), `deconv_channels` narrows the head.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core.blocks import Attention, DropPath, Mlp, ResidualBlock

STEM_WIDTHS = (32, 64, 112, 176)  # at 1/2, 1/4, 1/8 and 1/16 of the input


@dataclass(frozen=True)
class VitPoseConfig:
    """Constructor values of one network.

    Attributes:
        embed: Width of the transformer.
        depth: Number of blocks.
        heads: Attention heads.
        head: ``classic`` or ``simple``.
        keypoints: Heat-maps put out.
        image_size: (height, width) of the input; multiples of 16.
        eps: LayerNorm epsilon: 1e-6 in the official code, 1e-12 in transformers.
        drop_path: Largest stochastic-depth rate, growing linearly with depth (training only).
        mlp_ratio: Width of the feed-forward layer over `embed`.
        stem: ``patch`` (published) or ``conv`` (ours).
        deconv_channels: Width of the two deconvolutions of the classic head.
    """

    embed: int = 768
    depth: int = 12
    heads: int = 12
    head: str = "classic"
    keypoints: int = 17
    image_size: tuple[int, int] = (256, 192)
    eps: float = 1e-6
    drop_path: float = 0.0
    mlp_ratio: float = 4.0
    stem: str = "patch"
    deconv_channels: tuple[int, int] = (256, 256)


class PatchEmbed(nn.Module):
    """One convolution: 16x16 patches with stride 16 and padding 2, as published."""

    def __init__(self, embed: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed, kernel_size=16, stride=16, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, embed, H/16, W/16)."""
        return self.proj(x)


class ConvStem(nn.Module):
    """Residual convolutions down to 1/16, then 1x1: the encoder of our parser, so that its weights can start it."""

    def __init__(self, embed: int) -> None:
        super().__init__()
        widths = STEM_WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        steps = itertools.pairwise(widths)
        self.down = nn.Sequential(
            ResidualBlock(widths[0], widths[0]), *(ResidualBlock(narrow, wide, 2) for narrow, wide in steps)
        )
        self.proj = nn.Conv2d(widths[-1], embed, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, embed, H/16, W/16)."""
        return self.proj(self.down(self.stem(x)))


class Block(nn.Module):
    """Pre-norm transformer block with stochastic depth."""

    def __init__(self, config: VitPoseConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed, eps=config.eps)
        self.attn = Attention(config.embed, config.heads)
        self.norm2 = nn.LayerNorm(config.embed, eps=config.eps)
        self.mlp = Mlp(config.embed, int(config.embed * config.mlp_ratio))
        self.drop = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = x + self.drop(self.attn(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))


class Backbone(nn.Module):
    """Plain ViT over patches; the class-token slot of `pos_embed` is added to every token."""

    def __init__(self, config: VitPoseConfig) -> None:
        super().__init__()
        height, width = config.image_size
        self.patch_embed = PatchEmbed(config.embed) if config.stem == "patch" else ConvStem(config.embed)
        self.pos_embed = nn.Parameter(torch.zeros(1, (height // 16) * (width // 16) + 1, config.embed))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        rates = [config.drop_path * i / max(1, config.depth - 1) for i in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, rate) for rate in rates)
        self.last_norm = nn.LayerNorm(config.embed, eps=config.eps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H/16, W/16)."""
        x = self.patch_embed(x)
        b, c, h, w = x.shape
        x = x.flatten(2).transpose(1, 2) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            x = block(x)
        return self.last_norm(x).transpose(1, 2).reshape(b, c, h, w)


class ClassicHead(nn.Module):
    """Two x2 deconvolutions with batch norm, then a 1x1 convolution."""

    def __init__(self, config: VitPoseConfig) -> None:
        super().__init__()
        first, second = config.deconv_channels
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(config.embed, first, 4, 2, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.ConvTranspose2d(first, second, 4, 2, 1, bias=False),
            nn.BatchNorm2d(second),
            nn.ReLU(),
        )
        self.final_layer = nn.Conv2d(second, config.keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, keypoints, 4h, 4w)."""
        return self.final_layer(self.deconv_layers(x))


class SimpleHead(nn.Module):
    """ReLU, bilinear x4, 3x3 convolution."""

    def __init__(self, config: VitPoseConfig) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(config.embed, config.keypoints, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, keypoints, 4h, 4w)."""
        x = F.interpolate(F.relu(x), scale_factor=4, mode="bilinear", align_corners=False)
        return self.final_layer(x)


class VitPose(nn.Module):
    """Heat-maps of one person crop."""

    def __init__(self, config: VitPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.keypoint_head = ClassicHead(config) if config.head == "classic" else SimpleHead(config)

    def forward(self, x: Tensor) -> Tensor:
        """Predict heat-maps.

        Args:
            x: (B, 3, H, W) float32 RGB crop, ImageNet-normalised.

        Returns:
            (B, keypoints, H/4, W/4) float32, about [0, 1], no sigmoid.
        """
        return self.keypoint_head(self.backbone(x))


# transformers' name -> ours, for every name that is not simply the same.
HUGGINGFACE_NAMES = (
    (r"backbone\.embeddings\.position_embeddings", "backbone.pos_embed"),
    (r"backbone\.embeddings\.patch_embeddings\.projection", "backbone.patch_embed.proj"),
    (r"backbone\.encoder\.layer\.", "backbone.blocks."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"^backbone\.layernorm\.", "backbone.last_norm."),
    (r"^head\.deconv1\.", "keypoint_head.deconv_layers.0."),
    (r"^head\.batchnorm1\.", "keypoint_head.deconv_layers.1."),
    (r"^head\.deconv2\.", "keypoint_head.deconv_layers.3."),
    (r"^head\.batchnorm2\.", "keypoint_head.deconv_layers.4."),
    (r"^head\.conv\.", "keypoint_head.final_layer."),
)


def from_huggingface(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict of transformers' VitPoseForPoseEstimation; query, key and value become one tensor."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, name in HUGGINGFACE_NAMES:
            key = re.sub(pattern, name, key)
        renamed[key] = value
    for key in [key for key in renamed if ".attention.attention.query." in key]:
        three = [renamed.pop(key.replace(".query.", part)) for part in (".query.", ".key.", ".value.")]
        renamed[key.replace(".attention.attention.query.", ".attn.qkv.")] = torch.cat(three)
    return renamed


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring a published state dict, of either naming, to ours.

    A class token that some released files hold, and the heads of other data sets, are no part of this network.
    """
    if any(key.startswith("backbone.embeddings.") for key in state):
        state = from_huggingface(state)
    unused = ("backbone.cls_token", "associate_keypoint_heads.")
    return {key: value for key, value in state.items() if not key.startswith(unused)}


def config_of(
    state: Mapping[str, Tensor], *, image_size: tuple[int, int], heads: int | None = None, eps: float = 1e-6
) -> VitPoseConfig:
    """Read the constructor values of a published network off its shapes.

    Args:
        state: In our naming, see `from_published`.
        image_size: (height, width); positions are learnt for one size only.
        heads: Attention heads, which leave no trace in shapes; None takes those of the published width and depth.
        eps: LayerNorm epsilon.

    Raises:
        KeyError: if a tensor that every such network has is absent, or the number of heads is not known.
    """
    embed = state["backbone.last_norm.weight"].shape[0]
    depth = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("backbone.blocks."))
    classic = "keypoint_head.deconv_layers.0.weight" in state
    known = {(config.embed, config.depth): config.heads for config in CONFIGS.values() if config.stem == "patch"}
    config = VitPoseConfig(
        embed=embed,
        depth=depth,
        heads=known[embed, depth] if heads is None else heads,
        head="classic" if classic else "simple",
        keypoints=state["keypoint_head.final_layer.weight"].shape[0],
        image_size=image_size,
        eps=eps,
        mlp_ratio=state["backbone.blocks.0.mlp.fc1.weight"].shape[0] / embed,
    )
    if not classic:
        return config
    first, second = (state[f"keypoint_head.deconv_layers.{layer}.weight"].shape[1] for layer in (0, 3))
    return replace(config, deconv_channels=(first, second))


CONFIGS = {
    f"{size}-{head}": VitPoseConfig(embed, depth, heads, head, drop_path=drop)
    for size, embed, depth, heads, drop in (
        ("small", 384, 12, 12, 0.10),
        ("base", 768, 12, 12, 0.30),
        ("large", 1024, 24, 16, 0.50),
        ("huge", 1280, 32, 16, 0.55),
    )
    for head in ("classic", "simple")
} | {
    "starter": VitPoseConfig(
        embed=192,
        depth=6,
        heads=6,
        image_size=(192, 144),
        drop_path=0.05,
        mlp_ratio=3.0,
        stem="conv",
        deconv_channels=(96, 64),
    )
}
