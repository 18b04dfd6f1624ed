"""Cutting garments out of product photos."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.person.garment.cutout import bleed, cut_out, from_alpha, nearest_fill
from tests.person.garment.conftest import iou, product


@pytest.mark.parametrize("ground", ("white", "grey", "graded"))
@pytest.mark.parametrize("seed", range(6))
def test_coloured_garments_on_plain_grounds(ground: str, seed: int) -> None:
    shot = product(seed, ground)
    cut = cut_out(shot.image)
    assert cut.plain
    assert iou(cut.alpha > 127, shot.mask > 127) >= 0.95
    assert cut.alpha.shape == shot.mask.shape and cut.alpha.dtype == np.uint8
    assert cut.quality > 0.5


def test_white_garments_on_white_stay_whole() -> None:
    scores = [
        iou(cut_out(product(seed, "white", white=True).image).alpha > 127, product(seed, "white").mask > 127)
        for seed in range(8)
    ]
    assert np.mean(scores) > 0.85
    assert np.min(scores) > 0.7


def test_a_shadow_is_not_cloth() -> None:
    shot = product(1, "white")
    hard = shot.image.astype(np.float32)
    ground = shot.mask == 0
    moved = np.roll(shot.mask, (18, 14), (0, 1)) > 127
    hard[ground & moved] *= 0.82
    cut = cut_out(hard.astype(np.uint8))
    assert (cut.alpha > 127)[ground & moved].mean() < 0.1
    assert iou(cut.alpha > 127, shot.mask > 127) > 0.95


def test_edges_are_soft_where_the_photo_is() -> None:
    import cv2

    shot = product(2, "white", size=(768, 576))
    blurred = cv2.GaussianBlur(shot.image, (0, 0), 1.5)
    truth = cv2.GaussianBlur(shot.mask, (0, 0), 1.5).astype(np.float32) / 255
    cut = cut_out(blurred).alpha.astype(np.float32) / 255
    edge = (truth > 0.1) & (truth < 0.9)
    assert np.abs(cut - truth)[edge].mean() < 0.2
    assert ((cut > 0.05) & (cut < 0.95)).sum() > 0.3 * edge.sum()


def test_textured_ground_is_cut_and_reported_honestly() -> None:
    shot = product(4, "white")
    rng = np.random.default_rng(0)
    boards = np.repeat(rng.uniform(0.3, 0.7, shot.image.shape[1] // 24 + 1), 24)[: shot.image.shape[1]]
    planks = (boards + rng.normal(0, 0.04, shot.mask.shape))[..., None]
    wood = np.clip(planks * [1.0, 0.8, 0.6], 0, 1)
    cloth = np.array([0.1, 0.2, 0.55]) + rng.normal(0, 0.02, (*shot.mask.shape, 1))
    cover = shot.mask[..., None] / 255
    image = ((wood * (1 - cover) + np.clip(cloth, 0, 1) * cover) * 255).astype(np.uint8)
    cut = cut_out(image)
    assert not cut.plain
    assert iou(cut.alpha > 127, shot.mask > 127) > 0.88


def test_noise_is_called_cluttered_or_refused() -> None:
    image = np.random.default_rng(0).integers(0, 255, (300, 240, 3), np.uint8)
    try:
        cut = cut_out(image)
    except InputError as error:
        assert error.code == "garment.none-found"
    else:
        assert cut.quality < 0.6 and "garment.cluttered" in [f.code for f in cut.findings]


@pytest.mark.parametrize("level", (0, 128, 255))
def test_an_empty_picture_is_an_input_error(level: int) -> None:
    with pytest.raises(InputError) as caught:
        cut_out(np.full((400, 300, 3), level, np.uint8))
    assert caught.value.code == "garment.none-found" and caught.value.remedy


def test_a_blank_noisy_gradient_is_an_input_error() -> None:
    ramp = np.linspace(170, 230, 400)[:, None, None] + np.random.default_rng(0).normal(0, 1.5, (400, 300, 3))
    with pytest.raises(InputError):
        cut_out(np.clip(ramp, 0, 255).astype(np.uint8))


def test_tiny_pictures_are_refused() -> None:
    with pytest.raises(InputError):
        cut_out(np.zeros((8, 8, 3), np.uint8))


def test_own_transparency_is_taken_as_it_is() -> None:
    shot = product(5, "grey")
    cut = from_alpha(shot.mask)
    assert np.array_equal(cut.alpha, shot.mask)
    with pytest.raises(InputError):
        from_alpha(np.zeros((50, 50), np.uint8))


def test_a_garment_that_is_cut_off_is_reported() -> None:
    shot = product(3, "white")
    rows = np.flatnonzero(shot.mask.any(1))
    half = shot.image[: (rows[0] + rows[-1]) // 2]
    assert "garment.touches-border" in [f.code for f in cut_out(np.ascontiguousarray(half)).findings]


def test_bleed_removes_the_grounds_colour_from_the_rim() -> None:
    image = np.full((120, 120, 3), (255, 0, 0), np.uint8)
    image[30:90, 30:90] = (0, 0, 200)
    alpha = np.zeros((120, 120), np.uint8)
    alpha[28:92, 28:92] = 255  # two pixels too generous
    assert (bleed(image, alpha, share=0.06)[28:92, 28:92] == (0, 0, 200)).all()


def test_nearest_fill_keeps_what_is_known() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (40, 50, 3), np.uint8)
    known = rng.random((40, 50)) < 0.3
    filled = nearest_fill(image, known)
    assert np.array_equal(filled[known], image[known])
    colours = {tuple(c) for c in image[known]}
    assert all(tuple(c) in colours for c in filled[~known])


def test_cutting_out_takes_a_quarter_of_a_second() -> None:
    shot = product(6, "graded", size=(1024, 768))
    cut_out(shot.image)
    start = time.process_time()
    cut_out(shot.image)
    assert time.process_time() - start < 0.4  # 0.11 s of processor time when idle
