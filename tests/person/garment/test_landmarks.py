"""The landmark network that ships, and the pictures it is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.core.runtime import choose
from pipelines.core.training import TrainConfig
from pipelines.person.garment import silhouettes, training
from pipelines.person.garment.landmarks import CI, CO, EI, EO, LANDMARKS, RIGHT, SLEEVES, A, H, N, S
from pipelines.person.garment.network import CONFIGS, GarmentNet, GarmentNetConfig, centre_of_mass
from pipelines.person.garment.pipeline import GarmentPipeline
from tests.person.garment.conftest import STARTER, product


def test_silhouettes_are_the_same_for_the_same_seed_and_hold_their_landmarks() -> None:
    for seed in range(40):
        one, two = (silhouettes.draw(np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(one.mask, two.mask) and np.array_equal(one.landmarks, two.landmarks)
        assert one.landmarks.shape == (len(LANDMARKS), 2) and (one.landmarks > -2).all() and (one.landmarks < 98).all()
        left, right = one.landmarks[:RIGHT], one.landmarks[RIGHT : RIGHT + 9]
        assert left[S, 0] < right[S, 0] and left[H, 0] < right[H, 0] and left[N, 1] < left[H, 1]
        if SLEEVES[one.sleeve] == "none":
            assert np.allclose(left[[EO, CO]], left[S]) and np.allclose(right[[EI, CI]], right[A])
        else:
            assert np.linalg.norm(left[CO] - left[S]) > 1


def test_outline_encloses_most_of_the_mask() -> None:
    import cv2

    for seed in range(10):
        drawn = silhouettes.draw(np.random.default_rng(seed), 200, errors=False)
        shape = np.zeros((200, 200), np.uint8)
        for polygon in silhouettes.outline(drawn.landmarks.astype(np.float64))[0]:
            cv2.fillPoly(shape, [np.int32(np.round(polygon))], 255)
        both = (shape > 0) & (drawn.mask > 127)
        assert both.sum() / ((shape > 0) | (drawn.mask > 127)).sum() > 0.9


def test_network_is_small_and_its_maps_decode_exactly() -> None:
    assert sum(p.numel() for p in GarmentNet(CONFIGS["starter"]).parameters()) <= 700_000
    maps = torch.full((1, 1, 24, 24), -50.0)
    maps[0, 0, 5, 20] = 50.0
    x, y = centre_of_mass(maps)[0, 0].tolist()
    assert x == pytest.approx((20 + 0.5) / 12 - 1, abs=1e-5) and y == pytest.approx((5 + 0.5) / 12 - 1, abs=1e-5)


def test_shipped_weights_find_landmarks_on_unseen_silhouettes() -> None:
    pipeline = GarmentPipeline.from_pretrained(STARTER, device="cpu", dtype="float32")
    figures = training.evaluate(pipeline.model, pipeline.runtime, count=200)
    assert figures["val_pixels_of_96"] < 3.5
    assert figures["val_sleeve"] > 0.9


def test_whole_pipeline_on_drawn_product_photos(garment_pipeline: GarmentPipeline) -> None:
    errors, right = [], []
    for seed in range(300, 312):
        shot = product(seed, "white")
        cut = garment_pipeline(shot.image)
        size = np.ptp(shot.landmarks, axis=0).max()
        errors.append(np.linalg.norm(cut.landmarks - shot.landmarks, axis=1).mean() / size)
        right.append(cut.sleeve == SLEEVES[shot.sleeve])
        assert cut.landmarks.dtype == np.float32 and cut.category == "upper" and (cut.uncertainty > 0).all()
    assert np.mean(errors) < 0.04  # 3.5 of 96 pixels at a fill of 0.8 is 0.046
    assert np.mean(right) >= 0.75


def test_mirrored_photo_gives_mirrored_landmarks(garment_pipeline: GarmentPipeline) -> None:
    shot = product(301, "grey")
    straight, _, _ = garment_pipeline.landmarks(shot.mask)
    turned, _, _ = garment_pipeline.landmarks(np.ascontiguousarray(shot.mask[:, ::-1]))
    from pipelines.person.garment.landmarks import mirrored

    size = np.ptp(straight, axis=0).max()
    assert np.abs(mirrored(turned, shot.mask.shape[1]) - straight).max() < 0.02 * size


def test_size_of_the_photo_does_not_matter(garment_pipeline: GarmentPipeline) -> None:
    import cv2

    shot = product(302, "grey", size=(512, 384))
    big = cv2.resize(shot.mask, (1152, 1536), interpolation=cv2.INTER_CUBIC)
    small_points, _, _ = garment_pipeline.landmarks(shot.mask)
    big_points, _, _ = garment_pipeline.landmarks(big)
    size = np.ptp(small_points, axis=0).max()
    assert np.abs((big_points + 0.5) / 3 - 0.5 - small_points).max() < 0.03 * size


def test_save_and_load_keep_the_answer(garment_pipeline: GarmentPipeline, tmp_path: Path) -> None:
    garment_pipeline.save_pretrained(tmp_path / "copy")
    again = GarmentPipeline.from_pretrained(tmp_path / "copy", device="cpu", dtype="float32")
    shot = product(303, "white")
    assert np.abs(again.landmarks(shot.mask)[0] - garment_pipeline.landmarks(shot.mask)[0]).max() < 0.05


def test_training_learns_and_resumes(tmp_path: Path) -> None:
    runtime = choose("cpu", "float32")
    tiny = GarmentNetConfig(size=64, channels=(8, 12, 16, 24, 32), decoder=(16, 16))
    CONFIGS["tiny-for-this-test"] = tiny
    try:
        base = {"minutes": None, "batch": 8, "lr": 4e-3, "warmup": 5}
        torch.manual_seed(0)
        before = training.evaluate(GarmentNet(tiny).eval(), runtime, count=60)["val_pixels_of_96"]
        training.train(tmp_path, TrainConfig(steps=40, **base), runtime, network="tiny-for-this-test")
        folder = training.train(tmp_path, TrainConfig(steps=80, **base), runtime, network="tiny-for-this-test")
    finally:
        del CONFIGS["tiny-for-this-test"]
    alone = GarmentPipeline.from_pretrained(folder, device="cpu")
    assert alone.prior is None  # as its config.json says
    after = training.evaluate(alone.model, runtime, count=60)
    assert after["val_pixels_of_96"] < 0.7 * before
    assert torch.load(tmp_path / "state.pt", weights_only=True)["state"]["step"] == 80
