"""What the network computes otherwise than the reference, and what is ours in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.core import runtime
from pipelines.core.runtime import biased_attention
from pipelines.iml_vit.network import (
    CONFIGS,
    ImlVit,
    ImlVitConfig,
    NoiseStem,
    join_windows,
    probability,
    split_windows,
)
from tests.benchmarks import iml_vit as plain

TINY = ImlVitConfig(input_size=128, embed=32, depth=4, heads=4, window=3, global_blocks=(1, 3), fpn=16, fused=16)


def filled(model: ImlVit) -> ImlVit:
    """With relative positions that are not all zeros, as untrained ones are."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "rel_pos" in name:
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.parametrize("blocks", [1, 1 << 12, 1 << 26])
def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    monkeypatch.setattr(runtime, "BIAS_BYTES", (blocks, blocks))
    torch.manual_seed(1)
    q, k, v = torch.randn(3, 2, 3, 20, 8)
    rows, columns = torch.randn(4, 4, 8), torch.randn(5, 5, 8)
    grid = q.view(2, 3, 4, 5, 8)
    bias = torch.einsum("bnhwd,hkd->bnhwk", grid, rows)[..., :, None]
    bias = bias + torch.einsum("bnhwd,wkd->bnhwk", grid, columns)[..., None, :]
    scores = q @ k.transpose(-2, -1) / 8**0.5 + bias.reshape(2, 3, 20, 20)
    found = biased_attention(q, k, v, rows, columns)
    assert torch.allclose(found, scores.softmax(-1) @ v, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (1, 8)])
def test_windows_come_back_together(size: tuple[int, int]) -> None:
    x = torch.randn(2, *size, 4)
    windows, padded = split_windows(x, 3, torch.full((4,), 7.0))
    assert windows.shape[1:] == (3, 3, 4)
    assert torch.equal(join_windows(windows, 3, padded, size), x)
    extra = padded[0] * padded[1] - size[0] * size[1]
    assert int((windows == 7).sum()) == 2 * 4 * extra


def test_the_plain_way_gives_the_same() -> None:
    model = filled(ImlVit(TINY))
    x = torch.randn(1, 3, 128, 128)
    with torch.inference_mode():
        assert torch.allclose(probability(model(x), (128, 128)), plain.plain(model, x), atol=1e-5)


def test_averaged_weights_do_not_keep_old_positions() -> None:
    """Training evaluates one model again and again while its weights change under it."""
    model = filled(ImlVit(TINY))
    x = torch.randn(1, 3, 128, 128)
    with torch.inference_mode():
        first = model(x)
        assert torch.equal(model(x), first)
    with torch.no_grad():
        model.encoder_net.pos_embed.add_(1.0)
    with torch.inference_mode():
        assert not torch.allclose(model(x), first, atol=1e-3)


def test_distances_keep_their_meaning_on_smaller_pictures() -> None:
    """A table learnt for eight tokens is read from its middle for four, not stretched."""
    model = filled(ImlVit(TINY))
    attention = model.encoder_net.blocks[1].attn
    x = torch.randn(1, 4, 4, 32)
    with torch.inference_mode():
        before = attention(x)
        for table in (attention.rel_pos_h, attention.rel_pos_w):
            table[:4], table[-4:] = 9.0, 9.0  # distances of four and more
        assert torch.equal(attention(x), before)


def test_the_starter_is_small_and_takes_smaller_pictures() -> None:
    model = ImlVit(CONFIGS["starter"]).eval()
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 12e6
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 64, 64)


def test_noise_kernels_see_no_flat_or_sloping_colour() -> None:
    stem = NoiseStem(8)
    assert torch.allclose(stem.residuals.sum((2, 3)), torch.zeros(9, 1), atol=1e-6)
    ramp = torch.from_numpy(np.tile(np.arange(32, dtype=np.float32), (1, 3, 32, 1)))
    kernels: torch.Tensor = stem.residuals  # type: ignore[assignment]
    seen = nn.functional.conv2d(ramp, kernels, groups=3)
    assert seen.abs().max() < 1e-4


@pytest.mark.parametrize("norm", ["BN", "LN", "IN"])
def test_every_head_learns(norm: str) -> None:
    model = ImlVit(ImlVitConfig(**{**TINY.__dict__, "norm": norm}))
    model(torch.randn(2, 3, 64, 64)).mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
