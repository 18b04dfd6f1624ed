"""Pictures of any size: what tiles cover, where they begin, and that merging neither moves nor invents anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.core.errors import Cancelled
from pipelines.core.runtime import Runtime
from pipelines.iml_vit import inference
from pipelines.iml_vit.network import CONFIGS, probability

CPU = Runtime(torch.device("cpu"), torch.float32)


class Bright(torch.nn.Module):
    """A network that marks bright pixels: what it says of a pixel depends on nothing but that pixel."""

    config = replace(CONFIGS["starter"], input_size=64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, 1, H/4, W/4)."""
        return torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4) * 4


@pytest.mark.parametrize("size", [(64, 64), (65, 64), (200, 90), (64, 300), (129, 257)])
def test_tiles_cover_everything_at_block_borders(size: tuple[int, int]) -> None:
    covered = np.zeros(size, int)
    for top, left in inference.tiles(*size, 64):
        assert top % 16 == left % 16 == 0
        covered[top : top + 64, left : left + 64] += 1
    assert covered.min() >= 1


@pytest.mark.parametrize("size", [(50, 40), (64, 64), (150, 70), (90, 203)])
def test_a_bright_patch_stays_where_it_is(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    picture[8:40, 12:36] = 255
    logits = inference.logits_of(Bright(), picture, CPU)  # type: ignore[arg-type]
    assert logits.shape == (-(-size[0] // 4), -(-size[1] // 4))
    found = inference.enlarged(logits, size) > 0.5
    expected = picture[..., 0] > 0
    assert (found & expected).sum() / (found | expected).sum() > 0.8
    assert not found[44:].any()


def test_what_fits_is_computed_as_published() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 52, 3), np.uint8)
    logits = inference.logits_of(Bright(), picture, CPU)  # type: ignore[arg-type]
    whole = inference._view(Bright(), picture, CPU)  # type: ignore[arg-type]
    expected = probability(torch.from_numpy(whole)[None, None], (64, 64))[0, 0, :48, :52].numpy()
    found = inference.enlarged(logits, (48, 52))
    assert np.abs(found - expected)[:40, :44].max() < 1e-5  # beyond lies what the padding says


def test_cancelling_stops_between_views() -> None:
    def stop(done: int, total: int, preview: object = None) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        inference.logits_of(Bright(), np.zeros((200, 200, 3), np.uint8), CPU, on_step=stop)  # type: ignore[arg-type]


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int]] = []
    inference.logits_of(Bright(), np.zeros((100, 200, 3), np.uint8), CPU,  # type: ignore[arg-type]
                        on_step=lambda done, total, preview=None: told.append((done, total)))  # fmt: skip
    assert told[-1][0] == told[-1][1] == len(told)
