"""IML-ViT at its published size: one picture of 1024 pixels and one of 512, against a straightforward implementation.

The straightforward one computes the same function with the same weights as the paper's figures suggest: attention as
two products around a softmax with the whole bias in between, position tables resized in every forward, all levels of
the pyramid enlarged and concatenated before the head's convolution; float32.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from pipelines.core.runtime import channels_last
from pipelines.iml_vit.network import CONFIGS, Attention, ImlVit, join_windows, probability, split_windows
from tests.benchmarks.timing import matmul_rate, median_seconds

SIDES = (1024, 512)


def plain_attention(layer: Attention, x: Tensor) -> Tensor:
    """Attention with decomposed relative positions, everything in memory; (B, H, W, C) -> (B, H, W, C)."""
    b, h, w, c = x.shape
    depth = c // layer.heads
    qkv = layer.qkv(x).reshape(b, h * w, 3, layer.heads, depth).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.reshape(3, b * layer.heads, h * w, depth).unbind(0)
    scores = (q * depth**-0.5) @ k.transpose(-2, -1)
    tables = []
    for table, length in ((layer.rel_pos_h, h), (layer.rel_pos_w, w)):
        offset = torch.arange(length)[:, None] - torch.arange(length)[None, :] + (table.shape[0] - 1) // 2
        tables.append(table[offset])
    grid = q.reshape(b * layer.heads, h, w, depth)
    down = torch.einsum("bhwc,hkc->bhwk", grid, tables[0])
    across = torch.einsum("bhwc,wkc->bhwk", grid, tables[1])
    scores = scores.view(-1, h, w, h, w) + down[:, :, :, :, None] + across[:, :, :, None, :]
    mixed = scores.view(-1, h * w, h * w).softmax(-1) @ v
    mixed = mixed.view(b, layer.heads, h, w, depth).permute(0, 2, 3, 1, 4).reshape(b, h, w, c)
    return layer.proj(mixed)


def plain(model: ImlVit, x: Tensor) -> Tensor:
    """The whole network, straightforwardly; (B, 3, H, W) -> (B, 1, H, W) probabilities."""
    encoder, size = model.encoder_net, x.shape[2:]
    features = encoder.patch_embed(x)[0].permute(0, 2, 3, 1)
    side = model.config.positions
    table = encoder.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    places = F.interpolate(table, features.shape[1:3], mode="bicubic", align_corners=False)
    features = features + places.permute(0, 2, 3, 1)
    for block in encoder.blocks:
        y = block.norm1(features)
        if side := block.attn.window:
            windows, padded = split_windows(y, side, y.new_zeros(y.shape[-1]))
            y = join_windows(plain_attention(block.attn, windows), side, padded, (features.shape[1], features.shape[2]))
        else:
            y = plain_attention(block.attn, y)
        features = features + y
        features = features + block.mlp(block.norm2(features))
    levels = model.featurePyramid_net(features.permute(0, 3, 1, 2))
    whole = [F.interpolate(level, levels[0].shape[2:], mode="bilinear", align_corners=False) for level in levels]
    head = model.predict_head
    logits = head.linear_predict(head.norm(head.linear_fuse(torch.cat(whole, 1))))
    return F.interpolate(logits, size, mode="bilinear", align_corners=False).sigmoid()


@torch.inference_mode()
def measure(repeats: int) -> dict[str, Any]:
    """Time both; keys are named after what they hold, times in seconds, differences in probability."""
    torch.manual_seed(0)
    model = ImlVit(CONFIGS["official"]).eval()
    for block in model.encoder_net.blocks:  # which start as zeros
        for table in (block.attn.rel_pos_h, block.attn.rel_pos_w):
            torch.nn.init.trunc_normal_(table, std=0.02)
    result: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "matmul_gflops": {str(d)[6:]: matmul_rate(d) / 1e9 for d in (torch.float32, torch.bfloat16)},
        "sides": {},
    }
    fast = channels_last(model)

    def studio(x: Tensor, dtype: torch.dtype) -> Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return probability(fast(x), (x.shape[2], x.shape[3]))

    for side in SIDES:
        x = torch.randn(1, 3, side, side)
        seconds = {
            "plain": median_seconds(lambda x: plain(model, x), (x,), repeats),
            "float32": median_seconds(lambda x: studio(x, torch.float32), (x,), repeats),
            "bfloat16": median_seconds(lambda x: studio(x, torch.bfloat16), (x,), repeats),
        }
        expected = plain(model, x)
        result["sides"][side] = {
            "seconds": seconds,
            "ratio": {name: seconds["plain"] / seconds[name] for name in ("float32", "bfloat16")},
            "difference": {
                str(dtype)[6:]: float((studio(x, dtype) - expected).abs().max())
                for dtype in (torch.float32, torch.bfloat16)
            },
        }
    return result


def table(result: dict[str, Any]) -> Table:
    """The result for people."""
    rates = ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in result["matmul_gflops"].items())
    grid = Table(title=f"IML-ViT, published size, {result['threads']} threads; matmul {rates}")
    for heading in ("side", "way", "seconds", "ratio", "largest difference"):
        grid.add_column(heading, justify="left" if heading == "way" else "right")
    for side, measured in result["sides"].items():
        grid.add_row(str(side), "plain float32", f"{measured['seconds']['plain']:.2f}", "1", "")
        for name in ("float32", "bfloat16"):
            grid.add_row("", name, f"{measured['seconds'][name]:.2f}", f"{measured['ratio'][name]:.2f}x",
                         f"{measured['difference'][name]:.1e}")  # fmt: skip
    return grid
