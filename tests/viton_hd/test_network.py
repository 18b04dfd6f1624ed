"""Properties of the networks that parity cases cannot show: options, seeds, invariances, errors."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pipelines.viton_hd.network import (
    CONFIGS,
    GMM,
    AliasConfig,
    ALIASGenerator,
    GmmConfig,
    SegConfig,
    SegGenerator,
    SpectralConv2d,
    mask_norm,
    seeded_noise,
)
from pipelines.viton_hd.warping import TpsGrid, correlation
from tests.viton_hd.scenes import TINY, alias_inputs, tiny_alias


def test_seeded_noise_repeats_and_tells_seeds_names_and_order_apart() -> None:
    shape = (1, 6, 8, 1)
    first = seeded_noise(3)
    a, b = first("up_0.norm_0", shape), first("up_0.norm_1", shape)
    again = seeded_noise(3)
    assert torch.equal(again("up_0.norm_1", shape), b) and torch.equal(again("up_0.norm_0", shape), a)
    assert not torch.equal(a, b)
    assert not torch.equal(seeded_noise(4)("up_0.norm_0", shape), a)
    wide = seeded_noise(3)("x", (1, 100, 100, 1))
    assert abs(float(wide.mean())) < 0.05 and abs(float(wide.std()) - 1) < 0.05


def test_a_seed_decides_the_picture() -> None:
    model = tiny_alias()
    with torch.inference_mode():
        one, same, other = (model(*alias_inputs(), noise=seeded_noise(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert (one - other).abs().max() > 0.01


def test_only_colours_pass_through_tanh() -> None:
    model = tiny_alias(output_nc=5)
    with torch.inference_mode():
        raw = model.raw(*alias_inputs(), noise=lambda name, shape: None)
        out = model(*alias_inputs(), noise=lambda name, shape: None)
    assert torch.equal(out[:, :3], raw[:, :3].tanh()) and torch.equal(out[:, 3:], raw[:, 3:])
    assert out.shape[1] == 5


def test_mask_norm_normalises_each_region_by_itself() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 16, 16)
    mask = torch.zeros(2, 1, 16, 16)
    mask[0, :, :5], mask[1, :, :, :9] = 1, 1
    x = torch.where(mask > 0, 10 + 3 * x, x)
    found = mask_norm(x, mask)
    for sample in range(2):
        for region in (mask[sample, 0] > 0, mask[sample, 0] == 0):
            inside = found[sample][:, region]
            assert inside.mean(1).abs().max() < 1e-5
            # sqrt(n / hw) undoes that the deviation was taken over the whole picture.
            assert (inside.square().mean(1) - 1).abs().max() < 1e-3
    assert torch.allclose(found, mask_norm(x, 1 - mask), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_mask_norm_of_a_single_region_is_instance_norm(value: float) -> None:
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(mask_norm(x, torch.full((1, 1, 8, 8), value)), F.instance_norm(x), atol=1e-6)


def test_spectral_convolution_has_unit_norm_after_training_steps() -> None:
    torch.manual_seed(0)
    conv = SpectralConv2d(5, 7, 3, bias=True).train()
    for _ in range(50):
        conv(torch.zeros(1, 5, 4, 4))
    largest = torch.linalg.svdvals(conv.weight.detach().flatten(1))[0]
    assert abs(float(largest) - 1) < 1e-3
    before = conv.weight_u.clone()
    conv.eval()(torch.zeros(1, 5, 4, 4))
    assert torch.equal(conv.weight_u, before)


def test_unmoved_control_points_give_the_resting_grid() -> None:
    grid = TpsGrid(32, 24, 5)(torch.zeros(2, 50))
    assert grid.shape == (2, 32, 24, 2)
    assert (grid[..., 0] - torch.linspace(-0.9, 0.9, 24)).abs().max() < 1e-4
    assert (grid[..., 1] - torch.linspace(-0.9, 0.9, 32)[:, None]).abs().max() < 1e-4


def test_control_points_arrive_where_they_are_moved() -> None:
    theta = (torch.rand(1, 50, generator=torch.Generator().manual_seed(2)) - 0.5) * 0.3
    # At 37x37 every control point lies on a pixel: one step of the 5x5 grid is 9 pixels. Points run down, then across,
    # but x follows the row: point (i, j) rests at x = line[i], y = line[j].
    grid = TpsGrid(37, 37, 5)(theta)[0]
    line = torch.linspace(-0.9, 0.9, 5)
    for i in range(5):
        for j in range(5):
            moved = torch.stack([line[i] + theta[0, 5 * i + j], line[j] + theta[0, 25 + 5 * i + j]])
            assert (grid[9 * j, 9 * i] - moved).abs().max() < 1e-4


def test_correlation_compares_every_place_with_every_other() -> None:
    a, b = torch.randn(2, 6, 3, 4), torch.randn(2, 6, 3, 4)
    found = correlation(a, b)
    assert found.shape == (2, 12, 3, 4)
    for row in range(3):
        for column in range(4):
            expected = torch.einsum("bc,bchw->bhw", a[:, :, row, column], b)
            assert torch.allclose(found[:, column * 3 + row], expected, atol=1e-5)


def test_unusable_sizes_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 256"):
        GMM(GmmConfig(load_height=512, load_width=384))
    with pytest.raises(ValueError, match="multiple of 128"):
        ALIASGenerator(AliasConfig(load_height=512, load_width=192 + 32))
    with pytest.raises(ValueError, match="'normal'"):
        ALIASGenerator(AliasConfig(num_upsampling_layers="normal"))
    with pytest.raises(ValueError, match="'batch'"):
        ALIASGenerator(AliasConfig(norm_G="batch"))


def test_starter_runs_and_is_small() -> None:
    config = CONFIGS["starter"]
    with torch.device("meta"):
        networks = SegGenerator(config.seg), GMM(config.gmm), ALIASGenerator(config.alias)
    # Three networks in half precision have to share 24 MB with pose, parsing and landmarks.
    megabytes = [sum(p.numel() for p in network.parameters()) * 2 / 1e6 for network in networks]
    assert sum(megabytes) < 18, megabytes


def test_training_mode_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    seg, alias = SegGenerator(SegConfig(width=4)), tiny_alias().train()
    seg.logits(torch.rand(2, 21, 32, 32)).square().mean().backward()
    unread = {f"conv_{level}" for level in range(len(alias.names), 8)}
    alias(*alias_inputs()).square().mean().backward()
    for network in (seg, alias):
        for name, parameter in network.named_parameters():
            if name.split(".")[0] not in unread:
                assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_tiny_matches_its_config() -> None:
    assert tiny_alias().config == AliasConfig(**TINY)
