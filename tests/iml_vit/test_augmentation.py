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
        assert 0.6 * size[0] * size[1] < mask.size < 1.5 * size[0] * size[1]
        assert picture.flags.c_contiguous and mask.flags.c_contiguous


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


@pytest.fixture
def only_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left are flips and quarter turns."""
    for name in ("SCALE", "COPIED", "INPAINTED", "LIGHT", "SAVED", "BLURRED"):
        monkeypatch.setattr(augmentation, name, 0.0)


@pytest.mark.usefixtures("only_moves")
def test_flips_and_turns_move_every_pixel_of_the_mask_with_its_own() -> None:
    mask = np.random.default_rng(3).random((20, 31)) < 0.5
    picture = np.repeat(mask[..., None], 3, 2).astype(np.uint8)
    seen = set()
    for seed in range(120):
        moved, where = augmentation.augmented(picture, mask, np.random.default_rng(seed))
        assert (moved == where[..., None]).all()
        seen.add((where.shape, where.tobytes()))
    assert len(seen) == 8


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.07, 1.2])
def test_the_mask_is_scaled_by_the_nearest_pixel(factor: float) -> None:
    mask = np.random.default_rng(4).random((45, 64)) < 0.5
    _, small = augmentation.scaled(noise(45, 64), mask, factor)
    rows, columns = (
        np.minimum(np.floor((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(small.shape, mask.shape, strict=True)
    )
    # Where a centre falls between two pixels either is nearest.
    assert (small == mask[np.ix_(rows, columns)]).mean() > 0.95
    assert small.shape == (round(45 * factor), round(64 * factor))


@pytest.mark.parametrize("change", [augmentation.copy_moved, augmentation.inpainted])
def test_the_mask_gains_one_rectangle_of_the_published_size(change) -> None:
    before = np.zeros((50, 60), bool)
    before[:2] = True
    for seed in range(60):
        _, mask = change(noise(50, 60), before, np.random.default_rng(seed))
        assert mask[:2].all() and not before[2:].any()
        rows, columns = (np.flatnonzero(mask[2:].any(axis)) for axis in (1, 0))
        if len(rows):
            assert mask[2:][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            assert mask[2:].sum() == len(rows) * len(columns)
            assert len(rows) <= 40 and 3 <= len(columns) <= 48


def test_a_copied_rectangle_is_a_piece_of_the_picture() -> None:
    before = noise(24, 30)
    picture, mask = augmentation.copy_moved(before, np.zeros((24, 30), bool), np.random.default_rng(5))
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    piece = picture[np.ix_(rows, columns)]
    windows = np.lib.stride_tricks.sliding_window_view(before, piece.shape)
    assert (windows == piece).all((-3, -2, -1)).any()


def test_light_by_hand() -> None:
    picture = np.array([[[0, 10, 250]]], np.uint8)
    assert augmentation.relit(picture, 1.0, 0.0).tolist() == picture.tolist()
    assert augmentation.relit(picture, 1.1, 0.02).tolist() == [[[5, 16, 255]]]
    assert augmentation.relit(picture, 0.9, -0.1).tolist() == [[[0, 0, 199]]]


def test_jpeg_keeps_the_order_of_channels() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(augmentation.saved(red, 90).astype(int) - red).max() < 8


def test_changes_come_as_often_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"copy_moved": 0, "inpainted": 0, "saved": 0}
    for name in counts:

        def counted(picture, *others, name=name):
            counts[name] += 1
            return picture if name == "saved" else (picture, others[0])

        monkeypatch.setattr(augmentation, name, counted)
    rng = np.random.default_rng(6)
    for _ in range(4000):
        augmentation.augmented(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), bool), rng)
    assert {name: round(count / 4000, 1) for name, count in counts.items()} == {
        "copy_moved": 0.1, "inpainted": 0.1, "saved": 0.2,
    }  # fmt: skip


def test_one_seed_makes_one_picture_and_leaves_the_original_alone() -> None:
    picture, mask = noise(40, 50), np.zeros((40, 50), bool)
    first, second = (augmentation.augmented(picture, mask, np.random.default_rng(11)) for _ in range(2))
    assert (first[0] == second[0]).all() and (first[1] == second[1]).all()
    assert (picture == noise(40, 50)).all() and not mask.any()
