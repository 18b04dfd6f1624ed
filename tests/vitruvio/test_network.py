"""The options of our own, and what a caller may rely on; the published network itself is tests/parity's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipelines.vitruvio.local import USUAL_PROJECTION, Local
from pipelines.vitruvio.network import (
    CONFIGS,
    OccupancyConfig,
    OccupancyNetwork,
    with_octaves,
)

TINY = replace(CONFIGS["starter"], encoder_width=4, hidden=16, c_dim=24, picture_size=64, local=6)


def made(config: OccupancyConfig) -> OccupancyNetwork:
    torch.manual_seed(0)
    model = OccupancyNetwork(config).eval()
    for name, parameter in model.named_parameters():  # layers start at zero, which would hide the code
        if not parameter.any():  # a camera that is far off sees points beside it, where rounding is all there is
            torch.nn.init.normal_(parameter, std=0.01 if "camera" in name else 0.3)
    return model


def inputs(config: OccupancyConfig, count: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(count, 50, 3, generator=generator) - 0.5
    picture = torch.rand(count, config.channels, config.picture_size, config.picture_size, generator=generator)
    return points, (points.norm(dim=2) < 0.4).float(), picture


@pytest.mark.parametrize(
    "config",
    [TINY, replace(TINY, z_dim=5), replace(TINY, decoder="simple", channels=3, z_dim=5, local=0)],
)
def test_every_point_and_picture_is_answered_on_its_own(config: OccupancyConfig) -> None:
    model = made(config).double()  # rounding grows through random layers
    points, _, picture = (tensor.double() for tensor in inputs(config))
    with torch.inference_mode():
        together = model(points, picture)
        alone = torch.stack(
            [
                torch.cat([model(points[n : n + 1, i : i + 10], picture[n : n + 1])[0] for i in range(0, 50, 10)])
                for n in range(2)
            ]
        )
        swapped = model(points, picture.flip(0))
    torch.testing.assert_close(together, alone)
    assert (together - swapped).abs().mean() > 1e-3


def test_four_by_four_pooling_keeps_where_something_stands() -> None:
    paper = torch.ones(1, 1, 128, 128)
    left, right = paper.clone(), paper.clone()
    left[..., 40:60, 16:32] = 0
    right[..., 40:60, 80:96] = 0  # 64 to the right: two steps of the last feature map
    moved = {}
    for pooled in (1, 4):
        features = made(replace(TINY, pooled=pooled, local=0)).encoder
        with torch.inference_mode():
            first, second = (features.features(features.normalised(x)).view(-1, pooled, pooled) for x in (left, right))
        moved[pooled] = ((first - second).norm() / first.norm()).item()
    assert moved[4] > 3 * moved[1]


def test_blank_paper_looks_like_the_padding_around_it() -> None:
    encoder = made(TINY).encoder
    with torch.inference_mode():
        maps = encoder.features.bn1(encoder.features.conv1(encoder.normalised(torch.ones(1, 1, 64, 64))))
    assert (maps.amax((2, 3)) - maps.amin((2, 3))).max() == 0


def test_octaves_are_sine_and_cosine_of_doubled_frequencies() -> None:
    points = torch.tensor([[[0.25, -0.5, 0.125]]])
    found = with_octaves(points, 2)[0, 0]
    angles = torch.pi * torch.tensor([0.25, 0.5, -0.5, -1.0, 0.125, 0.25])
    torch.testing.assert_close(found, torch.cat([points[0, 0], angles.sin(), angles.cos()]))
    assert with_octaves(points, 0) is points


def test_the_latent_variable_changes_the_answer_and_is_penalised() -> None:
    config = replace(TINY, z_dim=5, local=0)
    model = made(config)
    points, occupied, picture = inputs(config)
    with torch.inference_mode():
        c = model.encode(picture)
        mean, deviation = model.infer_latent(points, occupied, c)
        assert not torch.allclose(model.decode(points, c, mean), model.decode(points, c))
        loss = model.loss(points, occupied, picture, draw=torch.ones_like)
        at_one = model.decode(points, c, mean + deviation)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, deviation), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    torch.testing.assert_close(loss.divergence, wanted)
    log_likelihood = torch.distributions.Bernoulli(logits=at_one).log_prob(occupied).sum(1)
    torch.testing.assert_close(loss.cross_entropy, -log_likelihood)
    torch.testing.assert_close(loss.total, (wanted - log_likelihood).mean())


@pytest.mark.parametrize("config", [TINY, replace(TINY, z_dim=5, decoder="simple", local=0)])
def test_every_parameter_learns(config: OccupancyConfig) -> None:
    model = made(config).train()
    model.loss(*inputs(config, 3)).total.backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_a_point_is_told_what_stands_where_it_falls() -> None:
    model = made(TINY)
    projection = torch.tensor([[[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]])
    features = torch.zeros(1, TINY.local, 32, 32)
    features[:, :, 4, 20] = 1  # the middle of that cell: u = 0.28125, v = -0.71875
    points = torch.tensor([[[0.28125, 0.71875, 0.0], [0.28125, 0.71875, 0.5], [-0.4, 0.1, 0.0]]])
    with torch.inference_mode():
        told = model.local.at(Local(features, projection), points)[0]
        wanted = [
            model.local.into(torch.tensor([lit] * TINY.local + place))
            for lit, place in ((1.0, [0.28125, -0.71875]), (1.0, [0.28125, -0.71875]), (0.0, [-0.4, -0.1]))
        ]
    torch.testing.assert_close(told, torch.stack(wanted))


def test_a_true_projection_teaches_the_camera_only() -> None:
    model = made(TINY).train()
    points, occupied, picture = inputs(TINY)
    true = torch.tensor(USUAL_PROJECTION).expand(2, 3, 4)
    loss = model.loss(points, occupied, picture, projection=true)
    assert (loss.misplaced > 0).all()
    loss.misplaced.sum().backward()
    taught = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(name.startswith("local.camera") for name in taught)
    assert not any(name.startswith(("decoder", "local.into", "local.lateral")) for name in taught)
    exact = made(replace(TINY))
    for layer in (exact.local.camera[-1].weight, exact.local.camera[-1].bias):  # pyright: ignore
        torch.nn.init.zeros_(layer)  # pyright: ignore
    assert exact.loss(points, occupied, picture, projection=true).misplaced.abs().max() < 1e-6


def test_local_features_are_asked_for_and_given_together() -> None:
    points, _, picture = inputs(TINY)
    with pytest.raises(ValueError, match="local features"):
        made(TINY).decode(points, torch.zeros(2, TINY.c_dim))
    plain = made(replace(TINY, local=0))
    with pytest.raises(ValueError, match="local features"):
        plain.decode(points, torch.zeros(2, TINY.c_dim), local=Local(torch.zeros(2, 6, 8, 8), torch.zeros(2, 3, 4)))
    assert plain.read(picture)[1] is None


def test_a_latent_variable_where_there_is_none_is_refused() -> None:
    model = made(replace(TINY, local=0))
    points, occupied, _ = inputs(TINY)
    c = torch.zeros(2, TINY.c_dim)
    with pytest.raises(ValueError, match="no latent"):
        model.decode(points, c, torch.zeros(2, 5))
    with pytest.raises(ValueError, match="no latent"):
        model.infer_latent(points, occupied, c)


def test_configs_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="decoder"):
        replace(TINY, decoder="batchnorm")
    with pytest.raises(ValueError, match="channels"):
        replace(TINY, channels=4)
