"""The fast field against the plain network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.vitruvio import inference
from pipelines.vitruvio.extraction import extract
from pipelines.vitruvio.local import USUAL_PROJECTION, Local
from pipelines.vitruvio.network import CONFIGS, OccupancyConfig, OccupancyNetwork

TINY = replace(CONFIGS["starter"], encoder_width=4, hidden=16, c_dim=24, local=0)
CASES = [
    TINY,
    replace(TINY, octaves=0),
    replace(TINY, z_dim=5),
    replace(TINY, z_dim=5, decoder="simple"),
    replace(TINY, local=6),
]


def made(config: OccupancyConfig) -> tuple[OccupancyNetwork, torch.Tensor, Local | None]:
    """A network whose every tensor matters, running statistics too, a code, and what a picture told."""
    torch.manual_seed(0)
    model = OccupancyNetwork(config).eval()
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            torch.nn.init.normal_(value, std=0.3)
    local = Local(torch.randn(1, 6, 8, 8), torch.tensor([USUAL_PROJECTION])) if config.local else None
    return model, torch.randn(1, config.c_dim), local


@pytest.mark.parametrize("config", CASES)
@pytest.mark.parametrize("latent", [False, True])
def test_equal_to_the_plain_network(config: OccupancyConfig, latent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "CHUNK_CPU", 64)
    model, c, local = made(config)
    z = torch.randn(1, config.z_dim) if latent and config.z_dim else None
    points = torch.rand(1, 150, 3) - 0.5
    with torch.inference_mode():
        plain = model.decode(points, c, z, local)[0].numpy()
    found = inference.field_of(model, c, z, local)(points[0].numpy())
    assert found.dtype == np.float32 and plain.std() > 0.05
    np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-4 * np.abs(plain).max())


def test_a_network_gives_a_closed_surface() -> None:
    model, c, _ = made(TINY)
    field = inference.field_of(model, c)
    middle = np.median(field(np.random.default_rng(0).uniform(-0.55, 0.55, (500, 3)).astype(np.float32)))
    found = extract(lambda points: field(points) - middle, resolution=8, upsampling=1)
    assert len(found.faces) > 100
    edges = np.concatenate([found.faces[:, [0, 1]], found.faces[:, [1, 2]], found.faces[:, [2, 0]]])
    assert set(map(tuple, edges.tolist())) == set(map(tuple, edges[:, ::-1].tolist()))


def test_what_is_no_field_is_refused() -> None:
    model, c, _ = made(TINY)
    with pytest.raises(ValueError, match="one code"):
        inference.field_of(model, c.expand(2, -1))
    with pytest.raises(ValueError, match="no latent"):
        inference.field_of(model, c, torch.zeros(1, 5))
    with pytest.raises(ValueError, match="local features"):
        inference.field_of(model, c, None, Local(torch.zeros(1, 6, 8, 8), torch.zeros(1, 3, 4)))
    with pytest.raises(ValueError, match="training"):
        inference.field_of(model.train(), c)
