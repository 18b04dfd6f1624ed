"""Discriminators judge patches at every scale, and the GAN losses are the numbers that a hand calculates."""

from __future__ import annotations

import pytest
import torch

from pipelines.viton_hd.discriminator import (
    DiscriminatorConfig,
    MultiscaleDiscriminator,
    feature_matching,
    frozen,
    hinge,
    hinge_generator,
    least_squares,
)


def judged(*scores: list[float]) -> list[list[torch.Tensor]]:
    """Scores of several scales, with maps before them that no GAN loss may read."""
    return [[torch.full((1, 2, 2, 2), 1e6), torch.tensor(values).view(1, 1, 1, -1)] for values in scores]


def test_gan_losses_are_what_a_hand_calculates() -> None:
    one = judged([0.5, 2.0, -3.0])
    assert least_squares(one, real=True) == pytest.approx((0.25 + 1 + 16) / 3)
    assert least_squares(one, real=False) == pytest.approx((0.25 + 4 + 9) / 3)
    assert hinge(one, real=True) == pytest.approx((0.5 + 0 + 4) / 3)
    assert hinge(one, real=False) == pytest.approx((1.5 + 3 + 0) / 3)
    assert hinge_generator(one) == pytest.approx(-(0.5 + 2 - 3) / 3)


def test_scales_count_alike_whatever_their_size() -> None:
    two = judged([0.0], [2.0, 2.0, 2.0])
    assert least_squares(two, real=True) == pytest.approx(1.0)
    assert hinge(two, real=True) == pytest.approx(0.5) and hinge(two, real=False) == pytest.approx(2.0)
    assert hinge_generator(two) == pytest.approx(-1.0)


def test_feature_matching_sums_stages_averages_scales_and_leaves_the_scores_out() -> None:
    made = [[torch.full((1, 1, 2, 2), 1.0), torch.full((1, 1, 1, 1), 5.0), torch.tensor([[[[9.0]]]])]]
    real = [[torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 1, 1), 2.0), torch.tensor([[[[0.0]]]])]]
    assert feature_matching(made, real) == pytest.approx(2.0 + 3.0)
    assert feature_matching(made + real, real + real) == pytest.approx(2.5)


@pytest.mark.parametrize("spectral", [False, True])
def test_every_scale_judges_half_the_picture_by_weights_of_its_own(spectral: bool) -> None:
    torch.manual_seed(0)
    critic = MultiscaleDiscriminator(DiscriminatorConfig(5, width=4, scales=2, spectral=spectral)).eval()
    x = torch.randn(2, 5, 256, 192)
    fine, coarse = critic(x)
    # Three halvings and two convolutions of 4x4 with one pixel of border: patches of 70x70, every eighth pixel.
    assert fine[-1].shape == (2, 1, 30, 22) and coarse[-1].shape == (2, 1, 14, 10)
    assert [m.shape[1] for m in fine] == [4, 8, 16, 32, 1]
    half = torch.nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert torch.equal(critic.judges[1](half)[-1], coarse[-1])
    assert not torch.equal(critic.judges[0](half)[-1], coarse[-1])


def test_spectral_convolutions_have_a_largest_singular_value_of_one() -> None:
    torch.manual_seed(0)
    critic = MultiscaleDiscriminator(DiscriminatorConfig(3, width=4, spectral=True)).train()
    for _ in range(50):
        critic(torch.randn(1, 3, 64, 64))
    weight = critic.judges[0].stages[1][0].weight  # type: ignore[index]
    assert torch.linalg.matrix_norm(weight.detach().flatten(1), 2) == pytest.approx(1.0, abs=1e-3)


def test_frozen_lets_gradients_through_to_the_picture_only() -> None:
    critic = MultiscaleDiscriminator(DiscriminatorConfig(3, width=4))
    x = torch.randn(1, 3, 64, 64, requires_grad=True)
    with frozen(critic):
        value = hinge_generator(critic(x))
    value.backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in critic.parameters())
    with pytest.raises(RuntimeError, match="stop"), frozen(critic):
        raise RuntimeError("stop")
    assert all(p.requires_grad for p in critic.parameters())
