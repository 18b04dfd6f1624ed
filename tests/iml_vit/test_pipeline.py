"""Scores that mean what they say, regions without specks, and weights that come back as they were saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import runtime
from pipelines.core.errors import WeightsError
from pipelines.core.metrics import auc, pixel_f1, roc
from pipelines.iml_vit import calibration, conversion, drawing
from pipelines.iml_vit.calibration import Calibration
from pipelines.iml_vit.inference import Seen
from pipelines.iml_vit.network import CONFIGS, ImlVit
from pipelines.iml_vit.pipeline import ImlVitPipeline, regions_of

SMALL = replace(CONFIGS["starter"], input_size=64, embed=24, depth=2, heads=2, window=2, global_blocks=(1,), fpn=8)
KNOWN = Calibration(0.3, 0.6, -1.0, (0.5, 0.1), tuple(np.linspace(0.1, 0.9, 21).tolist()))


def maps(rng: np.random.Generator, marked: bool, judged: float | None = None) -> tuple[Seen, np.ndarray]:
    """What is seen of a picture of 80 pixels, and its mask."""
    logits = rng.normal(-3, 0.5, (20, 20)).astype(np.float32)
    mask = np.zeros((80, 80), bool)
    if marked:
        logits[5:10, 6:12] += 4
        mask[20:40, 24:48] = True
    return Seen(logits, judged), mask


@pytest.fixture
def fitted() -> Calibration:
    rng = np.random.default_rng(0)
    tampered = [maps(rng, True) for _ in range(60)]
    plain = [maps(rng, False)[0] for _ in range(60)]
    return calibration.fit([each for each, _ in tampered], [mask for _, mask in tampered], plain)


def test_a_fit_tells_marked_pictures_apart(fitted: Calibration) -> None:
    rng = np.random.default_rng(1)
    scores = [fitted.score(maps(rng, True)[0]) for _ in range(40)]
    others = [fitted.score(maps(rng, False)[0]) for _ in range(40)]
    assert auc(np.array(scores + others), np.arange(80) < 40) > 0.99
    assert np.mean(np.array(others) >= fitted.image) < 0.15
    assert 0.05 < fitted.pixel < 0.95


def test_a_judge_counts_where_maps_say_nothing() -> None:
    rng = np.random.default_rng(0)
    tampered, plain = ([maps(rng, False, rng.normal(mean))[0] for _ in range(80)] for mean in (1.5, -1.5))
    fitted = calibration.fit(tampered, [np.eye(80, dtype=bool)] * 80, plain)
    scores = [fitted.score(maps(rng, False, judged)[0]) for judged in (-2.0, 0.0, 2.0)]
    assert scores[0] < 0.2 < scores[1] < 0.8 < scores[2]


def test_as_high_is_a_share_of_untouched_pictures(fitted: Calibration) -> None:
    assert fitted.as_high(0.0) == 1.0
    assert fitted.as_high(1.0) == 0.0
    assert fitted.as_high(fitted.image) == pytest.approx(calibration.ALARMS, abs=0.03)
    assert fitted.as_high(fitted.untouched[10]) == pytest.approx(0.5, abs=0.01)


def test_a_calibration_comes_back(fitted: Calibration) -> None:
    assert Calibration.read(json.loads(json.dumps(fitted.as_dict()))) == fitted
    with pytest.raises(ValueError, match="2 slopes"):
        Calibration.read(fitted.as_dict(), judge=True)


def test_weights_come_back_with_their_calibration(tmp_path: Path) -> None:
    first = ImlVitPipeline(ImlVit(SMALL), runtime.choose("cpu", "float32"), KNOWN)
    first.save_pretrained(tmp_path)
    again = ImlVitPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert again.model.config == SMALL and again.calibration == KNOWN
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    found = again(picture)
    assert found.heat.shape == found.mask.shape == (70, 90)
    assert found.score is not None and found.suspicious == (found.score >= 0.6)
    assert np.abs(found.heat - first(picture).heat).max() < 2e-2  # the file holds half precision


def test_without_a_calibration_nothing_is_scored(tmp_path: Path) -> None:
    ImlVitPipeline(ImlVit(SMALL), runtime.choose("cpu", "float32")).save_pretrained(tmp_path)
    found = ImlVitPipeline.from_pretrained(tmp_path, device="cpu")(np.zeros((64, 64, 3), np.uint8))
    assert (found.score, found.suspicious, found.as_high, found.pixel_threshold) == (None, None, None, 0.5)


@pytest.mark.parametrize("change", [{"heads": "x"}, {"calibration": {"pixel": 1}}, {"unknown": 1}])
def test_a_foreign_folder_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    ImlVitPipeline(ImlVit(SMALL), runtime.choose("cpu", "float32")).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    with pytest.raises(WeightsError, match=r"IML-ViT"):
        ImlVitPipeline.from_pretrained(tmp_path, device="cpu")


def test_a_checkpoint_is_converted(tmp_path: Path) -> None:
    import torch

    config = replace(CONFIGS["official"], input_size=256, embed=48, heads=4, fpn=16, fused=16, depth=4,
                     global_blocks=(1, 3))  # fmt: skip
    model = ImlVit(config)
    for name, nested in (("bare.pth", model.state_dict()), ("training.pth", {"model": model.state_dict(), "epoch": 3})):
        torch.save(nested, tmp_path / name)
        conversion.convert([tmp_path / name], tmp_path / f"{name}-out")
        assert ImlVitPipeline.from_pretrained(tmp_path / f"{name}-out", device="cpu").model.config == config
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"no IML-ViT"):
        conversion.convert([tmp_path / "other.pth"], tmp_path / "none")


def test_regions_are_the_large_parts() -> None:
    heat = np.zeros((100, 100), np.float32)
    heat[10:30, 40:70], heat[60:70, 5:15], heat[90, 90] = 0.8, 0.6, 0.9
    found = regions_of(heat > 0.5, heat)
    assert [(r.box.x, r.box.y, r.box.w, r.box.h) for r in found] == [(40, 10, 30, 20), (5, 60, 10, 10)]
    assert found[0].share == pytest.approx(0.06) and found[1].mean == pytest.approx(0.6)


def test_the_overlay_shows_what_is_hot_and_leaves_the_rest_grey() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    heat = np.zeros((40, 50), np.float32)
    heat[10:20, 10:20] = 1
    shown = drawing.overlaid(picture, heat)
    assert (np.ptp(shown[25:], axis=2) == 0).all()
    assert np.ptp(shown[10:20, 10:20].astype(int), axis=2).mean() > 20


def test_f1_and_roc_by_hand() -> None:
    found, truth = np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool)
    assert pixel_f1(found, truth) == 0.5
    assert pixel_f1(found, np.zeros_like(truth)) == 0
    scores, positive = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])
    assert auc(scores, positive) == pytest.approx(0.875)
    false, true = roc(scores, positive)
    assert false.tolist() == [0, 0, 0.5, 1] and true.tolist() == [0, 0.5, 1, 1]
