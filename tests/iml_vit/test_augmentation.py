"""Picture and mask stay together, and what an augmentation tampers with is in the mask."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.iml_vit import augmentation


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(16, 16), (40, 70), (90, 33)])
def test_nothing_raises_and_both_keep_one_size(size: tuple[int, int]) -> None:
    for seed in range(60):
        picture, mask = augmentation.augmented(noise(*size), np.zeros(size, bool), np.random.default_rng(seed))
        assert picture.shape[:2] == mask.shape and picture.dtype == np.uint8 and mask.dtype == bool
        assert 0.75 * size[0] * size[1] * 0.8 < mask.size < 1.6 * size[0] * size[1]


@pytest.mark.parametrize("change", [augmentation.copy_moved, augmentation.inpainted])
def test_only_masked_pixels_change(change) -> None:
    before = noise(50, 60)
    seen = 0
    for seed in range(20):
        picture, mask = change(before, np.zeros((50, 60), bool), np.random.default_rng(seed))
        assert (picture == before)[~mask].all()
        assert mask.any()
        seen += int((picture != before).any())
    assert seen >= 19


def test_the_mask_turns_with_the_picture() -> None:
    """A picture that is bright exactly in its mask still is, whatever was done to it."""
    mask = np.zeros((60, 80), bool)
    mask[10:30, 15:60] = True
    picture = np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 200
    for seed in range(40):
        rng = np.random.default_rng(seed)
        turned, where = augmentation.augmented(picture, mask, rng)
        bright = turned.mean(2) > 100
        assert (bright & ~where).mean() < 0.03  # blur, JPEG and scaling move the edge a little
