"""The part-mesh warp against what geometry demands."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.person.garment import silhouettes, warp
from pipelines.person.garment.landmarks import FLIP, SLEEVES, mirrored


def smooth_picture(size: int, seed: int) -> np.ndarray:
    """A picture without sharp steps, so that resampling error stays small."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    waves = [np.sin(6 * x + seed) * np.cos(5 * y), np.sin(4 * y + 2 * x), np.cos(7 * x * y + 1)]
    return (np.stack(waves, -1) * 0.4 + 0.5).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_same_landmarks_give_the_same_picture(seed: int) -> None:
    drawn = silhouettes.draw(np.random.default_rng(seed), 300, errors=False)
    picture = smooth_picture(300, seed)
    sleeves = SLEEVES[drawn.sleeve] != "none"
    got = warp.warp(picture, drawn.mask, drawn.landmarks, drawn.landmarks, (300, 300), sleeves=sleeves)
    inside = drawn.mask > 127
    shown = got.alpha > 0.5
    assert (inside & shown).sum() / inside.sum() > 0.985
    assert not (shown & (drawn.mask < 20)).any()
    assert np.abs(got.rgb - picture)[inside & shown].max() < 0.03
    assert np.abs(got.rgb - picture)[inside & shown].mean() < 1e-3


@pytest.mark.parametrize("seed", (1, 4, 11))
def test_twice_the_size_is_the_same_picture_enlarged(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = silhouettes.draw(rng, 240, errors=False)
    picture = smooth_picture(240, seed)
    target = (drawn.landmarks + rng.normal(0, 2.0, (20, 2))).astype(np.float32)
    small = warp.warp(picture, drawn.mask, drawn.landmarks, target, (240, 240))
    big = warp.warp(picture, drawn.mask, drawn.landmarks, warp.scaled(target, 2), (480, 480))
    halved = big.rgb.reshape(240, 2, 240, 2, 3).mean((1, 3))
    halved_alpha = big.alpha.reshape(240, 2, 240, 2).mean((1, 3))
    both = (small.alpha > 0.99) & (halved_alpha > 0.99)
    assert both.sum() > 0.9 * (small.alpha > 0.5).sum()
    assert np.abs(small.rgb - halved)[both].mean() < 4e-3
    assert np.abs((small.alpha > 0.5).mean() - (halved_alpha > 0.5).mean()) < 4e-3


def test_translation_moves_every_pixel() -> None:
    drawn = silhouettes.draw(np.random.default_rng(2), 200, errors=False)
    picture = smooth_picture(200, 2)
    moved = warp.warp(picture, drawn.mask, drawn.landmarks, drawn.landmarks + np.float32([31, 17]), (240, 260))
    inside = (drawn.mask > 250) & (
        warp.warp(picture, drawn.mask, drawn.landmarks, drawn.landmarks, (200, 200)).alpha > 0.99
    )
    shifted = moved.rgb[17:217, 31:231]
    assert np.abs(shifted - picture)[inside].max() < 0.03
    assert not moved.alpha[:10].any() and not moved.alpha[:, :20].any()


def test_mirrored_landmarks_mirror_the_result() -> None:
    drawn = silhouettes.draw(np.random.default_rng(7), 200, errors=False)
    rng = np.random.default_rng(8)
    target = (drawn.landmarks + rng.normal(0, 2, (20, 2))).astype(np.float32)
    picture = smooth_picture(200, 3)
    straight = warp.warp(picture, drawn.mask, drawn.landmarks, target, (200, 200))
    back = warp.warp(
        np.ascontiguousarray(picture[:, ::-1]),
        np.ascontiguousarray(drawn.mask[:, ::-1]),
        mirrored(drawn.landmarks, 200).astype(np.float32),
        mirrored(target, 200).astype(np.float32),
        (200, 200),
    )
    both = (straight.alpha > 0.99) & (back.alpha[:, ::-1] > 0.99)
    assert both.sum() > 0.95 * (straight.alpha > 0.99).sum()
    assert np.abs(straight.rgb - back.rgb[:, ::-1])[both].mean() < 5e-3
    swapped = np.array([0, 1, 3, 2], np.uint8)[back.parts[:, ::-1]]
    assert (swapped == straight.parts)[both].mean() > 0.97
    assert sorted(FLIP) == list(range(20))


def crossed_arm() -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of a garment with spread sleeves, and a target whose left sleeve crosses the torso."""
    side = np.float32(
        [[-25, -12], [-50, 0], [-46, 40], [-85, 45], [-65, 62], [-115, 90], [-95, 104], [-46, 75], [-48, 130]]
    )
    right = side * np.float32([-1, 1])
    points = np.concatenate([side, right, np.float32([[0, -5], [0, 132]])]) + np.float32([150, 60])
    target = points.copy()
    target[3:7] = np.float32([[-75, 55], [-55, 70], [10, 62], [10, 84]]) + np.float32([150, 60])
    return points, target


def test_sleeves_are_drawn_over_the_torso_and_behind_it_when_asked() -> None:
    points, target = crossed_arm()
    alpha = np.zeros((240, 300), np.uint8)
    import cv2

    for polygon in silhouettes.outline(points.astype(np.float64))[0]:
        cv2.fillPoly(alpha, [np.int32(polygon)], 255)
    picture = np.repeat(np.repeat(np.float32([[[0.2, 0.4, 0.6]]]), 240, 0), 300, 1)
    front = warp.warp(picture, alpha, points, target, (240, 300))
    back = warp.warp(picture, alpha, points, target, (240, 300), behind=(True, False))
    at = (60 + 72, 150 - 10)
    assert front.parts[at] == warp.LEFT_SLEEVE
    assert back.parts[at] == warp.TORSO
    assert set(np.unique(front.parts)) == {0, warp.TORSO, warp.LEFT_SLEEVE, warp.RIGHT_SLEEVE}
    bare = warp.warp(picture, alpha, points, target, (240, 300), sleeves=False)
    assert set(np.unique(bare.parts)) == {0, warp.TORSO}


@pytest.mark.parametrize("seed", range(6))
def test_grids_are_finite_and_not_folded(seed: int) -> None:
    drawn = silhouettes.draw(np.random.default_rng(seed), 300, errors=False)
    grid = warp.torso_grid(drawn.landmarks)
    assert np.isfinite(grid).all()
    assert warp.folded_share(grid) == 0
    assert warp.folded_share(grid[:, ::-1]) == 0
    broken = grid.copy()
    broken[5, 5], broken[5, 7] = grid[5, 7], grid[5, 5]
    assert warp.folded_share(broken) > 0


def test_landmarks_off_the_picture_draw_nothing_and_raise_nothing() -> None:
    drawn = silhouettes.draw(np.random.default_rng(0), 100, errors=False)
    got = warp.warp(smooth_picture(100, 0), drawn.mask, drawn.landmarks, drawn.landmarks + 500, (80, 90))
    assert got.rgb.shape == (80, 90, 3) and got.alpha.max() == 0 and np.isfinite(got.rgb).all()


def test_shrinking_averages_instead_of_skipping() -> None:
    """Single-pixel stripes of black and white become grey when the garment is drawn at a sixth of its size."""
    drawn = silhouettes.draw(np.random.default_rng(1), 600, errors=False)
    stripes = np.zeros((600, 600, 3), np.float32)
    stripes[:, ::2] = 1
    got = warp.warp(stripes, drawn.mask, drawn.landmarks, warp.scaled(drawn.landmarks, 1 / 6), (100, 100))
    core = got.alpha > 0.999
    assert core.sum() > 300
    assert abs(float(got.rgb[core].mean()) - 0.5) < 0.03 and float(got.rgb[core].std()) < 0.12
