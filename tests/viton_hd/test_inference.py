"""The fast forward passes give what the plain networks give, for any labels, and leave the networks alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines.viton_hd import inference
from pipelines.viton_hd.inference import accelerate
from pipelines.viton_hd.network import GMM, GmmConfig, SegConfig, SegGenerator, mask_norm, seeded_noise
from pipelines.viton_hd.tiles import make_plan, mask_statistics, statistics
from tests.viton_hd.scenes import alias_inputs, tiny_alias


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm_G": "aliasinstance", "output_nc": 5},
        {"num_upsampling_layers": "most", "load_height": 256, "load_width": 128},
    ],
    ids=["more", "starter-like", "most"],
)
@pytest.mark.parametrize("tile", [8, 32, 1 << 20])
@torch.inference_mode()
def test_fast_synthesis_equals_plain(options: dict[str, Any], tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "TILE", tile)
    model = tiny_alias(**options)
    inputs = alias_inputs(2, (model.config.load_height, model.config.load_width))
    fast = accelerate(model)
    for noise in (seeded_noise(7), lambda name, shape: None):
        assert (fast(*inputs, noise=noise) - model(*inputs, noise=noise)).abs().max() < 1e-4


@torch.inference_mode()
def test_fast_synthesis_takes_any_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "TILE", 16)
    model, (x, seg, divided, misalign) = tiny_alias(), alias_inputs()
    random = torch.rand(seg.shape, generator=torch.Generator().manual_seed(1))
    for labels in (random, torch.zeros_like(seg), torch.ones_like(seg) / 7):
        for mask in (misalign, torch.zeros_like(misalign), torch.ones_like(misalign)):
            ours = accelerate(model)(x, labels, divided, mask, noise=seeded_noise(1))
            assert (ours - model(x, labels, divided, mask, noise=seeded_noise(1))).abs().max() < 1e-4


@torch.inference_mode()
def test_bfloat16_stays_near() -> None:
    model, inputs = tiny_alias(), alias_inputs()
    plain = model(*inputs, noise=seeded_noise(1))
    gap = (accelerate(model, torch.bfloat16)(*inputs, noise=seeded_noise(1)) - plain).abs()
    assert gap.mean() < 0.02 * plain.std() and gap.max() < 0.5 * plain.std()


@torch.inference_mode()
def test_fast_segmentation_and_warping_equal_plain() -> None:
    torch.manual_seed(0)
    seg, gmm = SegGenerator(SegConfig(width=8)).eval(), GMM(GmmConfig(256, 512, width=8)).eval()
    x = torch.randn(2, 21, 64, 48)
    assert (accelerate(seg)(x) - seg(x)).abs().max() < 1e-4
    person, cloth = torch.randn(2, 7, 64, 128), torch.randn(2, 3, 64, 128)
    for ours, plain in zip(accelerate(gmm)(person, cloth), gmm(person, cloth), strict=True):
        assert (ours - plain).abs().max() < 1e-4


def test_networks_are_left_as_they_are() -> None:
    model = tiny_alias()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = accelerate(model, torch.bfloat16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)  # the copy must not follow
    inputs = alias_inputs()
    changed = fast(*inputs, noise=seeded_noise(1))
    model.load_state_dict(before)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(accelerate(model, torch.bfloat16)(*inputs, noise=seeded_noise(1)), changed)


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(TypeError, match="Linear"):
        accelerate(torch.nn.Linear(1, 1))


def test_plan_convolves_only_tiles_near_an_edge_and_puts_all_back() -> None:
    labels = torch.zeros(1, 3, 64, 96)
    labels[:, 0] = 1
    labels[:, :, 20:40, 20:40] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    plan = make_plan(labels, 8, torch.float32)
    x = torch.randn(1, 5, 64, 96).to(memory_format=torch.channels_last)
    assert torch.equal(plan.join(plan.cut(x)), x)
    tiles = 8 * 12
    border = 2 * 12 + 2 * 6
    # Windows reach two pixels beyond their tile, so the square's rim is seen by tiles 2 to 5 down and across, but not
    # by the one (3, 3) in its middle.
    assert plan.edges == border + 16 - 1
    assert sum(end - first for first, end, _ in plan.groups) == tiles - plan.edges
    assert len(plan.labels) == 2


def test_statistics_and_mask_norm_equal_their_definitions() -> None:
    torch.manual_seed(0)
    x = (torch.randn(1, 6, 48, 40) * 3 + 100).to(memory_format=torch.channels_last)
    mean, variance = statistics(x)
    exact = x.double().flatten(2)[0]
    assert (mean - exact.mean(1)).abs().max() < 1e-4
    assert (variance / exact.var(1, correction=0) - 1).abs().max() < 1e-4
    mask = torch.rand(48, 40)
    found = mask_statistics(x[0].permute(1, 2, 0).reshape(-1, 6), mask.flatten())
    expected = mask_norm(x.double(), mask.double()[None, None])[0].permute(1, 2, 0).reshape(-1, 6)
    assert (found - expected).abs().max() < 1e-3
