"""Product pictures agree with their landmarks, and their cloth with the worn cloth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.synthetic.flats import LANDMARKS, SURFACES, render_garment
from pipelines.synthetic.garments import PATTERNS, UPPER_CATEGORIES, Garment, sample_garment
from pipelines.synthetic.people import render_person

SIZE = (256, 192)


def _outline(points: np.ndarray) -> np.ndarray:
    """Closed polygon through the landmarks, once around the garment."""
    named = dict(zip(LANDMARKS, points, strict=True))
    side = ["neck", "shoulder", "elbow_outer", "cuff_outer", "cuff_inner", "elbow_inner", "armpit", "waist", "hem"]
    right = [f"right_{name}" for name in side]
    left = [f"left_{name}" for name in reversed(side)]
    return np.array([named[name] for name in ["neck_bottom", *right, "hem_centre", *left]], np.float32)


@pytest.mark.parametrize("category", UPPER_CATEGORIES)
def test_landmarks_outline_the_alpha(category: str) -> None:
    for seed in range(3):
        garment = sample_garment(np.random.default_rng(seed), category)
        flat = render_garment(garment, seed, SIZE, "white")
        polygon = np.zeros(SIZE, np.uint8)
        cv2.fillPoly(polygon, [np.round(_outline(flat.landmarks)).astype(np.int32)], 255)
        inside = (polygon > 0) & (flat.alpha > 127)
        # hood and collar stand above the neck's landmarks, so only containment is exact
        assert inside.sum() > 0.93 * (polygon > 0).sum()
        beyond = {"hoodie": 0.72, "tank": 0.84}.get(category, 0.86)
        assert inside.sum() > beyond * (flat.alpha > 127).sum()


def test_landmarks_lie_on_the_outline() -> None:
    garment = Garment("t-shirt", length=0.39)
    flat = render_garment(garment, 2, SIZE)
    edge = np.argwhere(
        cv2.morphologyEx((flat.alpha > 127).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    )
    for name, point in zip(LANDMARKS, flat.landmarks, strict=True):
        if name == "neck_bottom":
            continue  # the back of the neck is seen behind it
        assert np.linalg.norm(edge[:, ::-1] - point, axis=1).min() < 5, name


def test_left_is_the_pictures_left() -> None:
    points = dict(zip(LANDMARKS, render_garment(Garment(), 0, SIZE).landmarks, strict=True))
    for name in ("neck", "shoulder", "armpit", "cuff_outer", "waist", "hem"):
        assert points[f"left_{name}"][0] < points[f"right_{name}"][0]
    assert points["neck_bottom"][1] < points["hem_centre"][1]


def test_alpha_is_exact_on_white() -> None:
    flat = render_garment(Garment(colour=(0.1, 0.2, 0.5)), 4, SIZE, "white")
    assert flat.image[flat.alpha == 0].min() > 150
    assert flat.image[flat.alpha == 255].mean() < 130
    partial = (flat.alpha > 0) & (flat.alpha < 255)
    assert 0 < partial.sum() < 0.1 * (flat.alpha > 0).sum()


def test_garment_decides_the_cloth_and_the_seed_only_the_arrangement() -> None:
    garment = Garment("t-shirt", pattern="hstripes", accent=(0.8, 0.1, 0.1))
    first, again, other = (render_garment(garment, seed, SIZE) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert np.abs(first.landmarks - other.landmarks).max() > 1
    mean = [picture.image[picture.alpha == 255].mean(0) for picture in (first, other)]
    assert np.abs(mean[0] - mean[1]).max() < 30


@pytest.mark.parametrize("pattern", PATTERNS)
def test_worn_and_flat_read_the_same_cloth(pattern: str) -> None:
    """Cut both pictures into cells of the pattern: shading apart, a cell has the same colour in both."""
    garment = Garment(
        "t-shirt", length=0.38, colour=(0.85, 0.75, 0.35), accent=(0.15, 0.25, 0.6), third=(0.7, 0.2, 0.2),
        pattern=pattern, scale=1.4, seed=5,
    )  # fmt: skip
    person = render_person(21, garment, (512, 384), "upper", "plain", calm=True)
    flat = render_garment(garment, 9, (512, 384), "white")
    cells: list[dict[tuple[int, int], np.ndarray]] = []
    for picture in (person, flat):
        front = np.isfinite(picture.uv[..., 0])
        cell = np.floor(picture.uv[front] / 0.012).astype(int)
        colour = picture.image[front].astype(np.float64)
        colour = colour / (colour.sum(1, keepdims=True) + 1)
        keys, inverse, count = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
        sums = np.stack([np.bincount(inverse.ravel(), colour[:, k], len(keys)) for k in range(3)], 1)
        cells.append({tuple(k): s / n for k, s, n in zip(keys.tolist(), sums, count, strict=True) if n >= 12})
    common = sorted(set(cells[0]) & set(cells[1]))
    assert len(common) > 60
    worn, laid = (np.array([side[key] for key in common]) for side in cells)
    # chromaticity, not brightness: light and folds differ between the pictures on purpose
    assert np.abs(worn - laid).mean() < 0.022
    if pattern in ("blocks", "gradient", "floral", "dots"):
        spread = laid.std(0).max()
        assert spread > 0.015
        shuffled = np.random.default_rng(0).permutation(len(laid))
        assert np.abs(worn - laid).mean() < 0.6 * np.abs(worn - laid[shuffled]).mean()


@pytest.mark.parametrize("background", SURFACES)
def test_backgrounds_leave_the_garment_alone(background: str) -> None:
    plain, other = (render_garment(Garment(), 3, SIZE, kind) for kind in ("white", background))
    np.testing.assert_array_equal(plain.alpha, other.alpha)
    np.testing.assert_array_equal(plain.landmarks, other.landmarks)


def test_only_upper_garments_lie_flat() -> None:
    with pytest.raises(InputError) as caught:
        render_garment(Garment("dress"), 0, SIZE)
    assert caught.value.code == "synthetic.garment"
    with pytest.raises(InputError):
        render_garment(Garment(), 0, SIZE, "moon")
    with pytest.raises(InputError):
        render_garment(Garment(), 0, (10, 10))
