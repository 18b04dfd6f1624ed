"""From where pictures were taken: bins, the loss, the likeliest answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.diffpoint.cameras import AZIMUTHS, BINS, DISTANCES, ELEVATIONS, bins_of, camera_loss, likeliest
from pipelines.synthetic.objects import sample_camera


def sure(*bins: tuple[int, int, int], height: float = 30.0) -> torch.Tensor:
    """(N, BINS) logits of a network that is sure of these bins."""
    logits = torch.zeros(len(bins), BINS)
    for row, (azimuth, elevation, distance) in zip(logits, bins, strict=True):
        row[[azimuth, AZIMUTHS + elevation, AZIMUTHS + ELEVATIONS + distance]] = height
    return logits


def test_every_camera_has_bins_and_comes_back_out_of_them() -> None:
    rng = np.random.default_rng(0)
    cameras = [sample_camera(rng) for _ in range(200)]
    known = torch.tensor([(each.azimuth, each.elevation, each.distance) for each in cameras])
    bins = bins_of(known)
    assert bins.min() >= 0 and (bins.amax(0) < torch.tensor([AZIMUTHS, ELEVATIONS, DISTANCES])).all()
    for camera, row in zip(cameras, sure(*(tuple(each) for each in bins.tolist())), strict=True):
        (found, cost), *_ = likeliest(row, 3)
        assert abs((found.azimuth - camera.azimuth + 180) % 360 - 180) <= 5.01 and cost == 0
        assert abs(found.elevation - camera.elevation) <= 3.76 and abs(found.distance - camera.distance) <= 0.21


def test_the_turn_has_no_end() -> None:
    assert bins_of(torch.tensor([[-1.0, 0, 2], [359, 0, 2], [719, 0, 2]]))[:, 0].tolist() == [35, 35, 35]
    logits = sure((35, 3, 2))
    logits[0, 0] = 30.0  # as likely as its neighbour beyond the end
    assert likeliest(logits[0], 1)[0][0].azimuth == pytest.approx(0, abs=1e-3)


def test_other_answers_are_no_neighbours_and_cost_what_they_are_less_likely() -> None:
    logits = sure((10, 3, 2))
    logits[0, 11], logits[0, 28] = 29.0, 28.0
    (first, nothing), (second, cost) = likeliest(logits[0], 2)
    assert 105 <= first.azimuth <= 110 and (second.azimuth + 360) % 360 == pytest.approx(285, abs=1)
    assert nothing == 0 and cost == pytest.approx(2, abs=1e-3)
    assert len(likeliest(torch.zeros(BINS), 4)) == 4


def test_the_loss_asks_nothing_where_no_camera_is_known() -> None:
    known = torch.tensor([[100.0, 20.0, 2.0], [np.nan] * 3])
    right = sure(*(tuple(row) for row in bins_of(known.nan_to_num()).tolist()))
    assert float(camera_loss(right, known)) == pytest.approx(0, abs=1e-6)
    wrong = torch.cat([right[:1], -right[1:]])
    assert float(camera_loss(wrong, known)) == float(camera_loss(right, known))
    logits = torch.randn(2, BINS, requires_grad=True)
    camera_loss(logits, known).backward()
    assert logits.grad is not None and logits.grad[0].abs().min() > 0 and (logits.grad[1] == 0).all()
    assert float(camera_loss(logits, known * np.nan).detach()) == 0
