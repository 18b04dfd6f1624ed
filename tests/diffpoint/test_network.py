"""Patches, what each point reads, and what the condition must not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.diffpoint import diffusion
from pipelines.diffpoint.network import CONFIGS, DiffPoint, DiffPointConfig
from pipelines.diffpoint.patches import farthest_points, gathered, nearest

TINY = DiffPointConfig(
    embed=24, depth=2, heads=2, mlp_ratio=2.0, groups=8, group_size=6, coarse=64, patch_widths=(8, 12, 16),
    position_width=8, readout=16, condition=4, fusion_depth=1, image="conv", image_width=64, image_size=32,
)  # fmt: skip


@pytest.fixture
def model() -> DiffPoint:
    torch.manual_seed(0)
    return DiffPoint(TINY).eval()


def test_each_picked_point_is_the_farthest_from_those_before() -> None:
    cloud = torch.randn(3, 50, 3, generator=torch.Generator().manual_seed(0))
    picked = farthest_points(cloud, 12)
    for points, chosen in zip(cloud.double(), picked.tolist(), strict=True):
        assert chosen[0] == 0 and len(set(chosen)) == 12
        for number in range(1, 12):
            away = torch.cdist(points, points[chosen[:number]]).amin(1)
            assert away[chosen[number]] == pytest.approx(float(away.max()), rel=1e-5)


def test_the_nearest_are_the_nearest() -> None:
    points, among = torch.randn(2, 7, 3), torch.randn(2, 40, 3)
    found, distance = nearest(points, among, 5)
    full = (points[:, :, None] - among[:, None]).norm(dim=-1)
    assert torch.allclose(distance, full.sort(-1).values[..., :5], atol=1e-4)
    assert torch.allclose(full.gather(2, found), distance, atol=1e-4)
    taken = gathered(among, found)
    assert taken.shape == (2, 7, 5, 3) and torch.equal(taken[1, 3, 2], among[1, found[1, 3, 2]])


@pytest.mark.parametrize("points", [64, 65, 300])
def test_every_point_gets_place_colour_and_normal(model: DiffPoint, points: int) -> None:
    with torch.inference_mode():
        found = model(torch.randn(2, points, 3), torch.tensor([0, 999]), model.condition(torch.zeros(2, 1, 4, 32, 32)))
    assert found.shape == (2, points, 9) and found.dtype == torch.float32 and found.isfinite().all()


def test_further_points_change_nothing_for_the_coarse_ones(model: DiffPoint) -> None:
    """16,384 points are the shape that the coarse ones gave, and not another one."""
    cloud, steps = torch.randn(1, 200, 3), torch.tensor([400])
    with torch.inference_mode():
        many, few = model(cloud, steps, None), model(cloud[:, :64], steps, None)
    assert torch.allclose(many[:, :64], few, atol=1e-5)


def test_the_order_of_views_does_not_matter_and_their_number_may_change(model: DiffPoint) -> None:
    views = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        first, turned, one = (model.condition(each) for each in (views, views[:, [2, 0, 1]], views[:, :1]))
    assert first.shape == one.shape == (1, 4, 24)
    assert torch.allclose(first, turned, atol=1e-5)
    assert not torch.allclose(first, one, atol=1e-3)


def test_the_condition_and_the_step_matter(model: DiffPoint) -> None:
    cloud = torch.randn(1, 64, 3)
    with torch.inference_mode():
        condition = model.condition(torch.randn(1, 1, 4, 32, 32))
        base = model(cloud, torch.tensor([100]), condition)
        assert not torch.allclose(base, model(cloud, torch.tensor([900]), condition), atol=1e-4)
        assert not torch.allclose(base, model(cloud, torch.tensor([100]), None), atol=1e-4)


def test_everything_learns() -> None:
    model = DiffPoint(TINY)
    found = model(torch.randn(2, 64, 3), torch.tensor([3, 500]), model.condition(torch.randn(2, 2, 4, 32, 32)))
    (found.square().mean() + model.nothing.square().mean()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_starter_is_small_and_the_official_one_takes_tokens() -> None:
    assert 2 * sum(parameter.numel() for parameter in DiffPoint(CONFIGS["starter"]).parameters()) < 8e6
    official = DiffPoint(replace(CONFIGS["official"], embed=48, depth=2, heads=2, fusion_depth=1, image_width=20))
    assert official.condition(torch.randn(1, 2, 257, 20)).shape == (1, 64, 48)
    assert np.isclose(official.config.coarse, 2048)


def test_without_noise_a_point_stays_and_with_much_it_goes_where_cells_are() -> None:
    model = DiffPoint(replace(TINY, cells=8)).eval()
    likely = torch.full((1, 8, 8, 8), -14.0)
    likely[0, 6, 1, 4] = 9.0
    model.occupied = lambda condition: likely.flatten(1)  # type: ignore[method-assign]
    colours = torch.rand(1, 4, 4, 4, 3)
    model.coloured = lambda condition: colours.view(1, 64, 3)  # type: ignore[method-assign]
    cell = (torch.tensor([6.5, 1.5, 4.5]) / 8 - 0.5) * diffusion.SCALE
    inside = cell + 0.2 * (torch.rand(1, 40, 3) - 0.5)
    condition = torch.zeros(1, 4, 24)
    assert torch.allclose(model.expected(inside, torch.tensor([0]), condition)[..., :3], inside, atol=0.02)
    far = model.expected(torch.randn(1, 40, 3), torch.tensor([999]), condition)
    assert (far[..., :3] - cell).abs().max() < 0.2
    assert torch.allclose(far[..., 3:], colours[0, 3, 0, 2].expand(40, 3), atol=0.01)


def test_the_expected_place_is_the_mean_of_points_that_could_have_become_it() -> None:
    torch.manual_seed(1)
    model = DiffPoint(replace(TINY, cells=4)).eval()
    likely = torch.randn(1, 64) * 2
    model.occupied = lambda condition: likely  # type: ignore[method-assign]
    step = torch.tensor([450])
    share = diffusion.signal()[step]
    side = diffusion.SCALE / 4
    at = torch.multinomial(likely.sigmoid()[0], 4_000_000, replacement=True)
    grid = torch.stack([at // 16, at // 4 % 4, at % 4], -1)
    # Within a cell as the network takes it: normally, as wide as an even one.
    clean = ((grid + 0.5) / 4 - 0.5) * diffusion.SCALE + torch.randn(len(at), 3) * side / 12**0.5
    noisy = share.sqrt() * clean + (1 - share).sqrt() * torch.randn(len(at), 3)
    for asked in torch.tensor([[0.3, -0.2, 0.6], [-0.9, 0.1, 0.4], [1.0, 1.0, -0.5]]):
        near = (noisy - asked).norm(dim=1) < 0.12
        found = model.expected(asked[None, None], step, torch.zeros(1, 4, 24))[0, 0, :3]
        assert near.sum() > 500 and torch.allclose(found, clean[near].mean(0), atol=0.08)


def test_cells_are_part_of_the_network_only_where_asked_for() -> None:
    plain, asked = DiffPoint(TINY), DiffPoint(replace(TINY, cells=8)).eval()
    assert not any(name.startswith(("cells", "colours")) for name in plain.state_dict())
    assert asked.occupied(torch.zeros(2, 4, 24)).shape == (2, 512)
    assert asked.coloured(torch.zeros(2, 4, 24)).shape == (2, 64, 3)
    found = asked(torch.randn(2, 64, 3), torch.tensor([3, 500]), torch.randn(2, 4, 24))
    assert found.shape == (2, 64, 9) and found.dtype == torch.float32
