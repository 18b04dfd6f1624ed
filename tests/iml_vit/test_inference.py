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
from pipelines.iml_vit.preprocess import prepared

CPU = Runtime(torch.device("cpu"), torch.float32)


class Bright(torch.nn.Module):
    """A network that marks bright pixels: what it says of a pixel depends on nothing but that pixel."""

    config = replace(CONFIGS["starter"], input_size=64)

    def judged(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) -> (B, 1, H/4, W/4), and how bright each picture is."""
        return torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4) * 4, x.mean((1, 2, 3))


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
    logits = inference.seen(Bright(), picture, CPU).logits  # type: ignore[arg-type]
    assert logits.shape == (-(-size[0] // 4), -(-size[1] // 4))
    found = inference.enlarged(logits, size) > 0.5
    expected = picture[..., 0] > 0
    assert (found & expected).sum() / (found | expected).sum() > 0.8
    assert not found[44:].any()


def test_what_fits_is_computed_as_published() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 52, 3), np.uint8)
    logits = inference.seen(Bright(), picture, CPU).logits  # type: ignore[arg-type]
    whole, _ = Bright().judged(torch.from_numpy(prepared(picture, 64, 64)[None]))
    expected = probability(whole, (64, 64))[0, 0, :48, :52].numpy()
    found = inference.enlarged(logits, (48, 52))
    assert np.abs(found - expected)[:40, :44].max() < 1e-5  # beyond lies what the padding says


def test_a_picture_of_many_tiles_is_not_more_suspicious_for_it() -> None:
    """All tiles say the same: so does the picture. One of four speaks up: what it says counts, but for the others."""
    assert inference._together([0.7] * 88) == pytest.approx(0.7)
    assert inference._together([-3.0, -3.0, 4.0, -3.0]) == pytest.approx(4 - np.log(4), abs=0.01)
    assert inference._together([]) is None
    picture = np.zeros((150, 70, 3), np.uint8)
    picture[100:] = 255
    tiles = [picture[top : top + 64, left : left + 64] for top, left in inference.tiles(150, 70, 64)]
    verdicts = [judged for _, judged in inference._views(Bright(), tiles, CPU)]  # type: ignore[arg-type]
    assert len(set(verdicts)) > 1 and None not in verdicts
    found = inference.seen(Bright(), picture, CPU).judged  # type: ignore[arg-type]
    assert found == pytest.approx(inference._together(verdicts))  # type: ignore[arg-type]


def test_views_at_once_are_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles, tiles that stick out and the shrunk view are padded to other sizes, and the judge sees all of that."""
    monkeypatch.setattr(Bright, "config", replace(CONFIGS["starter"], input_size=128))
    shapes = []
    judged = Bright.judged
    monkeypatch.setattr(Bright, "judged", lambda self, x: shapes.append(tuple(x.shape)) or judged(self, x))
    picture = np.random.default_rng(0).integers(0, 256, (101, 331, 3), np.uint8)
    alone = inference.seen(Bright(), picture, CPU)  # type: ignore[arg-type]
    assert {shape[0] for shape in shapes} == {1} and len({shape[2:] for shape in shapes}) > 1
    monkeypatch.setattr(inference, "BATCH", {"cpu": 3 * 128**2})
    together = inference.seen(Bright(), picture, CPU)  # type: ignore[arg-type]
    assert max(shape[0] for shape in shapes) == 3
    assert np.abs(alone.logits - together.logits).max() < 1e-5 and together.judged == pytest.approx(alone.judged)


def test_blocks_at_the_border_are_whole() -> None:
    """Black beside the last pixels of a block would be coefficients that no JPEG has."""
    seen = []

    class Kept(Bright):
        config = replace(CONFIGS["starter"], input_size=128)

        def judged(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(x)
            return super().judged(x)

    inference.seen(Kept(), np.full((101, 60, 3), 200, np.uint8), CPU)  # type: ignore[arg-type]
    inside = seen[0][0, 0] > 0
    assert inside[:104, :64].all() and not inside[104:].any() and inside.shape == (128, 64)


@pytest.mark.parametrize(("stem", "expected"), [("patch", (256, 256)), ("noise", (128, 192))])
def test_only_the_published_network_is_padded_to_its_size(stem: str, expected: tuple[int, int]) -> None:
    shapes = []

    class Told(Bright):
        config = replace(CONFIGS["starter"], input_size=256, stem=stem)

        def judged(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            shapes.append(tuple(x.shape[2:]))
            return super().judged(x)

    found = inference.seen(Told(), np.zeros((100, 130, 3), np.uint8), CPU)  # type: ignore[arg-type]
    assert shapes == [expected] and found.logits.shape == (25, 33)


def test_cancelling_stops_between_views() -> None:
    def stop(done: int, total: int, preview: object = None) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        inference.seen(Bright(), np.zeros((200, 200, 3), np.uint8), CPU, on_step=stop)  # type: ignore[arg-type]


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int]] = []
    inference.seen(Bright(), np.zeros((100, 200, 3), np.uint8), CPU,  # type: ignore[arg-type]
                        on_step=lambda done, total, preview=None: told.append((done, total)))  # fmt: skip
    assert told[-1][0] == told[-1][1] == len(told)
