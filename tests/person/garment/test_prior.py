"""The network of the cut-out: its shape, its data, its training, and what it changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipelines.core import runtime, training
from pipelines.core.errors import WeightsError
from pipelines.person.garment import prior_data, prior_training
from pipelines.person.garment.cutout import cut_out
from pipelines.person.garment.pipeline import GarmentPipeline
from pipelines.person.garment.prior import PriorConfig, PriorNet, probability
from pipelines.synthetic.flats import render_garment
from pipelines.synthetic.garments import sample_garment
from tests.person.garment.conftest import iou, product

TINY = PriorConfig(32, (4, 4, 8, 8, 8), (1, 1, 1, 1))


def rendered(seed: int, ground: str):
    rng = np.random.default_rng(seed)
    return render_garment(sample_garment(rng), rng, (512, 384), ground)


@pytest.mark.parametrize("ground", ("white", "wood", "cloth"))
def test_rendered_garments_are_cut_out_nearly_exactly(garment_pipeline: GarmentPipeline, ground: str) -> None:
    for seed in range(4):
        shot = rendered(900 + seed, ground)
        assert iou(garment_pipeline(shot.image).alpha > 127, shot.alpha > 127) > 0.95


def test_among_other_things_the_network_finds_what_colours_alone_do_not(garment_pipeline: GarmentPipeline) -> None:
    with_it, without = [], []
    for seed in range(4):
        shot = rendered(970 + seed, "clutter")
        truth = shot.alpha > 127
        with_it.append(iou(garment_pipeline(shot.image).alpha > 127, truth))
        without.append(iou(cut_out(shot.image).alpha > 127, truth))
    assert np.mean(with_it) > 0.9
    assert np.mean(with_it) > np.mean(without) + 0.05


def test_the_network_alone_finds_garments_it_never_saw(garment_pipeline: GarmentPipeline) -> None:
    assert garment_pipeline.prior is not None
    for seed in range(4):
        shot = rendered(950 + seed, "wood")
        likely = probability(garment_pipeline.prior, shot.image, garment_pipeline.runtime)
        assert 0 <= likely.min() and likely.max() <= 1
        assert iou(cv2.resize(likely, shot.alpha.shape[::-1]) > 0.5, shot.alpha > 127) > 0.88


def test_mirrored_photos_give_mirrored_probabilities(garment_pipeline: GarmentPipeline) -> None:
    assert garment_pipeline.prior is not None
    image = product(3, "graded").image
    one, other = (
        probability(garment_pipeline.prior, picture, garment_pipeline.runtime)
        for picture in (image, np.ascontiguousarray(image[:, ::-1]))
    )
    assert np.allclose(one, other[:, ::-1], atol=1e-4)


def test_what_the_network_contradicts_is_called_doubtful() -> None:
    shot = product(2, "grey")
    truth = (shot.mask > 127).astype(np.float32)
    elsewhere = truth.copy()
    elsewhere[: shot.mask.shape[0] // 2] = 0
    agreeing, contradicting = cut_out(shot.image, truth), cut_out(shot.image, elsewhere)
    assert agreeing.quality > 0.9 and "garment.cluttered" not in [f.code for f in agreeing.findings]
    assert contradicting.quality < 0.75 * agreeing.quality


def test_a_crumb_is_never_accepted_silently() -> None:
    image = np.full((400, 300, 3), 200, np.uint8)
    image[180:230, 130:175] = (150, 30, 40)
    cut = cut_out(image)
    assert "garment.small" in [f.code for f in cut.findings] and cut.quality < 0.6


def test_samples_are_pictures_with_their_outline() -> None:
    shot = product(1, "grey", size=(208, 160))
    stock = prior_data.gather([(shot.image, shot.mask)], 0, 0, 2)
    rng = np.random.default_rng(0)
    for kinds in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
        drawn = [prior_data.sample(rng, stock, 64, kinds) for _ in range(6)]
        for one in drawn:
            assert one["image"].shape == (3, 64, 64) and np.abs(one["image"]).max() <= 1
            assert one["mask"].shape == (1, 64, 64) and one["mask"].dtype == np.float32
            assert 0 <= one["mask"].min() and one["mask"].max() <= 1
        assert all(one["mask"].mean() > 0.02 for one in drawn)


def test_training_learns_writes_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(prior_training.CONFIGS, "tiny", TINY)
    monkeypatch.setattr(prior_data, "RENDERS", 6)
    monkeypatch.setattr(prior_training, "HELD_COUNT", 24)
    photos = tmp_path / "photos" / "t-shirt"
    photos.mkdir(parents=True)
    for seed in range(3):
        cv2.imwrite(str(photos / f"{seed}.jpg"), product(seed, "grey", size=(208, 160)).image)
    where = runtime.choose("cpu", "float32")
    lines: list[str] = []
    config = training.TrainConfig(minutes=None, steps=40, batch=8, lr=1e-2, ema=0.9)
    folder = prior_training.train(
        [tmp_path / "photos"], tmp_path / "run", config, where, network="tiny", log=lines.append
    )
    assert len(list((tmp_path / "run" / "cutouts").rglob("*.png"))) == 3
    assert "val_overlap" in lines[-1] and float(lines[-1].split('"val_overlap": ')[1].split(",")[0]) > 0.25
    more = training.TrainConfig(minutes=None, steps=42, batch=8)
    prior_training.train([tmp_path / "photos"], tmp_path / "run", more, where, network="tiny", log=lines.append)
    assert any("resumed at step 40" in line for line in lines)
    assert (folder / "model.safetensors").is_file()


def test_labels_that_the_network_contradicts_are_left_out() -> None:
    shot = product(1, "white", size=(208, 160))
    torch.manual_seed(0)
    model = PriorNet(TINY)
    torch.nn.init.zeros_(model.head.weight)
    assert model.head.bias is not None
    torch.nn.init.constant_(model.head.bias, 5.0)  # says cloth everywhere
    full = np.full(shot.mask.shape, 255, np.uint8)
    kept = prior_training.agreed(model, [(shot.image, shot.mask), (shot.image, full)], runtime.choose("cpu", "float32"))
    assert len(kept) == 1 and kept[0][1] is full


def test_both_networks_are_saved_and_a_broken_one_is_an_error(
    garment_pipeline: GarmentPipeline, tmp_path: Path
) -> None:
    garment_pipeline.save_pretrained(tmp_path)
    again = GarmentPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    image = product(5, "graded").image
    assert np.array_equal(again(image).alpha, garment_pipeline(image).alpha)
    assert not [f for f in again(image).findings if f.code == "garment.no-cutout-network"]
    (tmp_path / "cutout" / "model.safetensors").unlink()
    with pytest.raises(WeightsError):
        GarmentPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")


@pytest.mark.parametrize("promise", [True, None])
def test_a_cut_out_network_that_is_not_there_is_an_error(
    garment_pipeline: GarmentPipeline, tmp_path: Path, promise: bool | None
) -> None:
    """None: a config.json that does not speak of it, as the shipped one."""
    garment_pipeline.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("cutout") is True
    (tmp_path / "config.json").write_text(json.dumps(config if promise is None else {**config, "cutout": promise}))
    shutil.rmtree(tmp_path / "cutout")
    with pytest.raises(WeightsError) as caught:
        GarmentPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert caught.value.code == "weights.missing" and caught.value.seen == tmp_path / "cutout"


def test_landmarks_alone_say_so_and_every_cut_out_says_it_too(
    garment_pipeline: GarmentPipeline, tmp_path: Path
) -> None:
    alone = GarmentPipeline(garment_pipeline.model, garment_pipeline.runtime)
    alone.save_pretrained(tmp_path)
    again = GarmentPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert again.prior is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    image = product(5, "graded").image
    cut = again(image)
    assert np.array_equal(cut.alpha, cut_out(image).alpha)
    assert [f.code for f in cut.findings].count("garment.no-cutout-network") == 1
    given = again(image, cut.alpha)
    assert "garment.no-cutout-network" not in [f.code for f in given.findings]  # nothing was cut out
    (tmp_path / "cutout").mkdir()
    with pytest.raises(WeightsError) as caught:
        GarmentPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert caught.value.code == "weights.mismatch"
