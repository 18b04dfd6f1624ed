"""Cutting garments out of product photos."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.person.garment.cutout import bleed, cut_out, from_alpha, nearest_fill
from pipelines.person.garment.regions import ragged, without_thin, without_tinted_ground
from pipelines.synthetic.flats import render_garment
from pipelines.synthetic.garments import sample_garment
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
    shot = product(2, "white", size=(768, 576))
    blurred = np.asarray(cv2.GaussianBlur(shot.image, (0, 0), 1.5), np.uint8)
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


def painted(mask: np.ndarray, cloth: np.ndarray, ground: np.ndarray, noise: float = 0.008) -> np.ndarray:
    """A photo, (h, w, 3) uint8, of cloth where the mask is and ground elsewhere; colours in [0, 1]."""
    cover = mask[..., None] / 255
    grain = np.random.default_rng(3).normal(0, noise, (*cloth.shape[:2], 1))
    return (np.clip(cloth * cover + ground * (1 - cover) + grain, 0, 1) * 255).astype(np.uint8)


def spotted(shape: tuple[int, ...], first: tuple[float, ...], second: tuple[float, ...]) -> np.ndarray:
    """A bedspread of two colours in large spots."""
    field = cv2.GaussianBlur(np.random.default_rng(5).standard_normal(shape[:2]), (0, 0), 9)
    return np.where(field[..., None] > 0.9 * field.std(), np.array(second), np.array(first))


@pytest.mark.parametrize("seed", (1, 2, 3, 4))
def test_a_garment_of_two_colours_is_kept_whole_on_a_patterned_ground(seed: int) -> None:
    mask = product(seed, "white").mask
    rows = np.flatnonzero(mask.any(1))
    cloth = np.full((*mask.shape, 3), (0.12, 0.13, 0.22))
    cloth[: (2 * rows[0] + rows[-1]) // 3] = (0.6, 0.15, 0.13)
    cut = cut_out(painted(mask, cloth, spotted(mask.shape, (0.85, 0.82, 0.72), (0.3, 0.36, 0.62))))
    assert iou(cut.alpha > 127, mask > 127) > 0.93


def test_rough_cloth_is_told_from_a_smooth_wall_of_its_colour() -> None:
    mask = product(2, "white").mask
    speckle = cv2.GaussianBlur(np.random.default_rng(1).standard_normal(mask.shape), (0, 0), 0.8)
    cloth = np.full((*mask.shape, 3), 0.62) + 0.09 * speckle[..., None]
    wall = np.full((*mask.shape, 3), 0.62) * np.linspace(0.96, 1.04, mask.shape[0])[:, None, None]
    assert iou(cut_out(painted(mask, cloth, wall, 0.003)).alpha > 127, mask > 127) > 0.84


def test_no_red_ground_shows_around_a_white_garment() -> None:
    mask = cv2.GaussianBlur(product(1, "white").mask, (0, 0), 1.0)
    photo = painted(mask, np.full((*mask.shape, 3), 0.9), np.full((*mask.shape, 3), (0.75, 0.08, 0.1)))
    cut = cut_out(photo)
    shown = np.where(cut.alpha[..., None] > 100, bleed(photo, cut.alpha), 230).astype(int)
    assert ((shown[..., 0] - shown[..., 1]) > 40).mean() < 1e-4
    assert iou(cut.alpha > 127, mask > 127) > 0.97


def test_a_carpet_does_not_fray_the_outline() -> None:
    mask = product(4, "white").mask
    tufts = spotted(mask.shape, (0.55, 0.5, 0.42), (0.25, 0.22, 0.2))
    tufts += cv2.GaussianBlur(np.random.default_rng(2).standard_normal(mask.shape), (0, 0), 1.5)[..., None] * 0.3
    cut = cut_out(painted(mask, np.full((*mask.shape, 3), (0.1, 0.1, 0.14)), tufts))
    outline, true = ((a > 127).astype(np.uint8) for a in (cut.alpha, mask))
    assert iou(outline > 0, true > 0) > 0.93
    assert ragged(outline) < 1.25 * ragged(true)


def test_hooks_go_and_corners_stay() -> None:
    mask = np.zeros((400, 300), np.uint8)
    mask[100:380, 50:250] = 1
    body = mask.copy()
    cv2.line(mask, (150, 100), (150, 60), 1, 7)
    cv2.ellipse(mask, (150, 45), (16, 16), 0, 0, 360, 1, 7)
    mask[300:304] = 1  # a line of the floor
    left = without_thin(mask)
    assert (left & ~body).sum() < 0.15 * (mask & ~body).sum()
    assert (left & body).sum() > 0.998 * body.sum()


def test_gaps_at_the_sleeve_open_and_stripes_stay() -> None:
    mask = np.zeros((480, 380), np.uint8)
    mask[60:440, 120:260] = 255
    mask[60:300, 50:330] = 255
    closed = mask.copy()
    mask[130:280, 90:120] = mask[130:280, 260:290] = 0  # between sleeve and body, closed by the cuffs
    ground = np.full((*mask.shape, 3), (0.8, 0.75, 0.65)) * np.linspace(0.9, 1.05, 380)[None, :, None]
    ground[::24] *= 0.8  # boards
    cloth = np.full((*mask.shape, 3), (0.15, 0.25, 0.5))
    gap = (closed > 0) & (mask == 0)
    assert (cut_out(painted(mask, cloth, ground)).alpha > 127)[gap].mean() < 0.25
    cloth[:, 56::28] = cloth[:, 57::28] = cloth[:, 58::28] = cloth[:, 59::28] = (0.8, 0.75, 0.65)
    whole = cut_out(painted(closed, cloth, ground)).alpha > 127
    assert whole[cv2.erode(closed, np.ones((9, 9), np.uint8)) > 0].mean() > 0.99


@pytest.mark.parametrize(("ground", "seed"), (("wood", 2000), ("wood", 2005), ("clutter", 4000), ("clutter", 4004)))
def test_rendered_garments_on_boards_and_among_other_things(ground: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    garment = sample_garment(rng, ("t-shirt", "long-sleeve", "shirt", "sweater")[seed % 4])
    shot = render_garment(garment, rng, (512, 384), ground)
    assert iou(cut_out(shot.image).alpha > 127, shot.alpha > 127) > 0.88


def test_a_coloured_ground_does_not_show_between_sleeve_and_body() -> None:
    lab = np.zeros((200, 200, 3), np.float32)
    lab[...] = (45, 50, 30)  # red ground
    mask = np.zeros((200, 200), np.uint8)
    mask[40:180, 40:160] = 1
    lab[40:180, 40:160] = (80, 0, 4)  # a white shirt
    lab[90:110, 90:110] = (45, 50, 30)  # with a red print
    lab[100:180, 60:68] = (20, 28, 17)  # and a shadowed gap beside the sleeve
    opened = without_tinted_ground(mask, lab)
    assert not opened[110:175, 62:66].any(), "the gap stayed closed"
    assert opened[95:105, 95:105].all() and opened.sum() > 0.93 * mask.sum() - 80 * 12
    lab[40:180, 40:160] = (45, 48, 32)
    assert (without_tinted_ground(mask, lab) == mask).all(), "a red shirt on a red ground is left alone"
