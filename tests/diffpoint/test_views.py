"""Objects cut out of pictures, and pictures that hold none."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.diffpoint.views import cut_out, prepare
from pipelines.synthetic.objects import picture, sample_camera, sample_object


def photo(seed: int, category: str = "chair", *, gradient: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """An object before a wall: (H, W, 3) uint8, and where it is."""
    rng = np.random.default_rng(seed)
    colours, cover = picture(sample_object(rng, category), sample_camera(rng), 150)
    wall = np.full((200, 240, 3), rng.uniform(190, 250, 3))
    if gradient:
        wall *= np.linspace(0.6, 1, 240)[None, :, None]
    alpha = cover[..., None] / 255
    wall[25:175, 45:195] = wall[25:175, 45:195] * (1 - alpha) + colours * alpha
    wall += rng.normal(0, 3, wall.shape)
    inside = np.zeros((200, 240), bool)
    inside[25:175, 45:195] = cover >= 128
    return np.clip(wall, 0, 255).astype(np.uint8), inside


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("category", ["chair", "car", "vase", "plane"])
def test_objects_before_a_wall_are_found(category: str, gradient: bool) -> None:
    scores = []
    for seed in range(4):
        shown, inside = photo(seed, category, gradient=gradient)
        found = cut_out(shown) >= 128
        scores.append((found & inside).sum() / (found | inside).sum())
    assert np.median(scores) > 0.85


def test_the_object_fills_the_square_up_to_a_margin() -> None:
    shown, _ = photo(1, "car")
    view = prepare(shown, 128)
    rows, columns = (np.flatnonzero((view.picture[..., 3] >= 128).any(axis)) for axis in (1, 0))
    assert view.picture.shape == (128, 128, 4) and view.mask.shape == (200, 240)
    assert max(np.ptp(rows), np.ptp(columns)) == pytest.approx(128 * 0.88, abs=3)
    for span in (rows, columns):
        assert (span[0] + span[-1]) / 2 == pytest.approx(63.5, abs=2)


def test_a_transparent_background_is_believed() -> None:
    shown, inside = photo(2)
    clear = np.concatenate([shown, inside[..., None].astype(np.uint8) * 255], 2)
    view = prepare(clear, 64)
    assert ((view.mask >= 128) == inside).mean() > 0.995
    opaque = np.concatenate([shown, np.full((*inside.shape, 1), 255, np.uint8)], 2)
    assert (prepare(opaque, 64).picture == prepare(shown, 64).picture).all()


def test_a_mask_is_believed() -> None:
    shown, _ = photo(3)
    mask = np.zeros(shown.shape[:2], np.uint8)
    mask[60:120, 80:160] = 255
    view = prepare(shown, 64, mask=mask)
    assert (view.box.x, view.box.w) == pytest.approx((120 - 40 / 0.88, 80 / 0.88))


def flat() -> np.ndarray:
    return np.full((120, 160, 3), 200, np.uint8)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.mark.parametrize(
    ("shown", "code"),
    [(flat(), "object.none"), (noise(), "object.none"), (flat()[:8, :8], "object.small"),
     (np.concatenate([flat(), np.zeros((120, 160, 1), np.uint8)], 2), "object.none")],
)  # fmt: skip
def test_no_object_is_told(shown: np.ndarray, code: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare(shown, 64)
    assert caught.value.code == code and caught.value.remedy


def test_two_objects_and_cut_ones_are_told() -> None:
    shown = flat()
    shown[30:90, 20:60], shown[30:90, 100:140] = (200, 30, 30), (30, 30, 200)
    assert [finding.code for finding in prepare(shown, 64).findings] == ["object.several"]
    shown = flat()
    mask = np.zeros((120, 160), np.uint8)
    mask[80:, 50:90] = 255
    assert [finding.code for finding in prepare(shown, 64, mask=mask).findings] == ["object.cut-off"]
