"""What the network computes otherwise than the reference, and what is ours in it."""

from __future__ import annotations

from dataclasses import replace

import cv2
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
    join_windows,
    probability,
    split_windows,
)
from pipelines.iml_vit.preprocess import prepared
from pipelines.iml_vit.stem import FREQUENCIES, TOP_LEVEL, JpegBlocks, NoiseStem
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


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """Grey, as a JPEG keeps it."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def coefficients(picture: np.ndarray) -> torch.Tensor:
    """(FREQUENCIES, blocks) as the branch computes them."""
    basis: torch.Tensor = JpegBlocks(8).basis  # type: ignore[assignment]
    x = torch.from_numpy(prepared(picture, *picture.shape[:2])[None])
    return nn.functional.conv2d(x, basis, stride=8)[0].flatten(1)


def test_coefficients_are_those_of_jpeg() -> None:
    """The lowest wave along x comes first; what quality 75 saved lies near multiples of its step of 6."""
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    wanted = [
        cv2.dct(grey[y : y + 8, x : x + 8].astype(np.float32))[0, 1] for y in range(0, 64, 8) for x in range(0, 64, 8)
    ]
    found = coefficients(np.repeat(grey[..., None], 3, 2))
    assert found.shape == (FREQUENCIES, 64)
    assert np.abs(found[0].numpy() - wanted).max() < 0.01
    # Small contrasts, so that nothing is cut off at black and white.
    saved = coefficients(jpeg(np.repeat((96 + grey // 4)[..., None], 3, 2), 75))[0].numpy() / 6
    assert np.abs(saved - saved.round()).max() < 0.2


def test_a_level_counts_for_its_two_neighbours_and_large_ones_are_alike() -> None:
    branch = JpegBlocks(8)
    size = torch.tensor([0.0, 2.25, 99.0]).clamp(max=TOP_LEVEL)
    shares = branch.shares(size[None, None, None])[0, :, 0]
    assert torch.allclose(shares.sum(0), torch.ones(3))
    assert shares[0, 0] == 1 and shares[2, 1] == 0.75 and shares[3, 1] == 0.25 and shares[TOP_LEVEL, 2] == 1


def test_bfloat16_leaves_residuals_and_coefficients_alone() -> None:
    """On a smooth picture with a little noise: rounded to bfloat16 first, its residuals would be mostly rounding."""
    stem = NoiseStem(8).eval()
    ramp = np.linspace(60, 200, 64)[None, :, None] + np.random.default_rng(0).normal(0, 1, (64, 64, 3))
    x = torch.from_numpy(prepared(np.rint(ramp).astype(np.uint8), 64, 64)[None])
    found: list[list[torch.Tensor]] = []
    for layer in (stem.noise, stem.jpeg.levels):
        layer.register_forward_pre_hook(lambda layer, inputs: found[-1].append(inputs[0].float()))
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            found.append([])
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                stem(x)
    for exact, half in zip(*found, strict=True):
        assert (exact - half).abs().max() < 1e-4 and exact.std() > 0.05


def test_a_judge_says_one_number_and_leaves_the_head_of_the_map_alone() -> None:
    model = ImlVit(replace(TINY, judge=True))
    _, judged = model.judged(torch.randn(2, 3, 64, 64))
    assert judged is not None and judged.shape == (2,)
    judged.sum().backward()
    assert model.predict_head.linear_predict.weight.grad is None
    assert ImlVit(TINY).judged(torch.randn(1, 3, 64, 64))[1] is None


def test_a_size_that_padding_would_exceed_is_refused() -> None:
    with pytest.raises(ValueError, match="input_size 80"):
        replace(CONFIGS["starter"], input_size=80)
    assert replace(CONFIGS["official"], input_size=80).padded_to == 80


@pytest.mark.parametrize("norm", ["BN", "LN", "IN"])
def test_every_head_learns(norm: str) -> None:
    model = ImlVit(ImlVitConfig(**{**TINY.__dict__, "norm": norm}))
    model(torch.randn(2, 3, 64, 64)).mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
