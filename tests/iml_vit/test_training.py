"""From a folder of photographs, and from a labelled set, to weights that can be scored; and back from a checkpoint."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipelines.core import runtime
from pipelines.core.errors import InputError, PipelineError
from pipelines.core.training import TrainConfig
from pipelines.iml_vit import dataset, evaluation, evaluation_set, training
from pipelines.iml_vit.losses import edge_mask, losses, overlap_loss
from pipelines.iml_vit.network import CONFIGS, ImlVit
from pipelines.iml_vit.photographs import Photographs
from pipelines.iml_vit.pipeline import ImlVitPipeline
from pipelines.synthetic import tampering

CPU = runtime.choose("cpu", "float32")
SMALL = replace(CONFIGS["starter"], input_size=64, embed=24, depth=2, heads=2, window=2, global_blocks=(1,), fpn=8)
SHORT = TrainConfig(minutes=None, steps=2, batch=2)


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The score that is logged while training takes longer than two steps."""
    monkeypatch.setattr(training, "HELD", 8)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Soft textures under names that fall into every part."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(60):
        small = rng.integers(0, 256, (9, 12, 3), np.uint8)
        picture = cv2.resize(small, (128, 96), interpolation=cv2.INTER_CUBIC)
        (folder / f"{number:03d}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return folder


def test_photographs_become_weights(tmp_path: Path, photographs: Path) -> None:
    said: list[str] = []
    folder = training.train([photographs], tmp_path / "run", SHORT, CPU, side=64, overlap=0.5, log=said.append)
    pipeline = ImlVitPipeline.from_pretrained(folder, device="cpu")
    assert pipeline.model.config == CONFIGS["starter"]
    held = sum(zlib.crc32(f"{n:03d}".encode()) % 10 == 0 for n in range(60))
    assert said[0] == f"{60 - held} photographs to train on, {held} held out"
    assert "not calibrated" in said[-1] and pipeline.calibration is None
    figures = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"val_f1", "val_auc_pixel", "val_auc_image"} <= set(figures[-1])


def test_thresholds_come_from_photographs_that_are_kept_apart(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "FEWEST", 2)
    monkeypatch.setitem(evaluation_set.PARTS, "calibration", lambda stem: int(stem) % 10 == 3)
    folder = training.train([photographs], tmp_path / "run", SHORT, CPU, side=64)
    known = ImlVitPipeline.from_pretrained(folder, device="cpu").calibration
    assert known is not None and 0 < known.image < 1 and list(known.untouched) == sorted(known.untouched)


def test_a_labelled_set_becomes_weights_and_is_scored(tmp_path: Path, photographs: Path) -> None:
    told = evaluation_set.write([photographs], tmp_path / "set", "all", limit=24)
    assert told["items"] == 24
    folder = training.train([tmp_path / "set"], tmp_path / "run", SHORT, CPU, side=64)
    figures = evaluation.evaluate(tmp_path / "set", weights=folder, device="cpu", dtype="float32")
    assert (figures["layout"], figures["n_tampered"], figures["n_authentic"]) == ("ours", 24, 24)
    assert set(figures["kinds"]) == {*tampering.KINDS, tampering.HELD_OUT}
    assert sum(part["n"] for part in figures["variants"].values()) == 24
    assert figures["trained"]["n_tampered"] + figures["held_out"]["n_tampered"] == 24
    assert all(0 <= figures[name] <= 1 for name in ("f1", "iou", "auc_pixel", "auc_image", "false_alarm_rate"))
    json.dumps(figures, allow_nan=False)


def test_a_pair_that_does_not_fit_is_told_and_left_out(tmp_path: Path, photographs: Path) -> None:
    evaluation_set.write([photographs], tmp_path / "set", "all", limit=3)
    wrong = tmp_path / "set" / "masks" / "0001.png"
    wrong.write_bytes(cv2.imencode(".png", np.zeros((90, 20), np.uint8))[1].tobytes())
    items = [item for item in dataset.listed(tmp_path / "set")[1] if item.mask is not None]
    said: list[str] = []
    for seed in range(12):
        training._sound(items, np.random.default_rng(seed), said.append)
    assert [item.stem for item in items] == ["0000", "0002"] and len(said) == 1 and "0001.png" in said[0]


def test_a_set_is_written_apart_and_never_taken_for_photographs(tmp_path: Path, photographs: Path) -> None:
    for out in (photographs, photographs / "set"):
        with pytest.raises(InputError, match="apart from the photographs"):
            evaluation_set.write([photographs], out, "all", limit=2)
    evaluation_set.write([photographs], tmp_path / "set", "all", limit=2)
    with pytest.raises(InputError, match="needs a new folder"):
        evaluation_set.write([photographs], tmp_path / "set", "all", limit=2)
    (tmp_path / "labels").mkdir()
    (tmp_path / "set").rename(photographs / "moved")
    (photographs / "._000.png").write_bytes(b"")
    assert len(Photographs([photographs])) == 60


def test_an_empty_photograph_is_named(photographs: Path) -> None:
    (photographs / "007.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"007\.png"):
        Photographs([photographs]).read(7)


def test_a_labelled_set_of_one_class_can_be_trained_on(tmp_path: Path, photographs: Path) -> None:
    evaluation_set.write([photographs], tmp_path / "set", "all", limit=40)
    for path in (tmp_path / "set" / "authentic").iterdir():
        path.unlink()
    folder = training.train([tmp_path / "set"], tmp_path / "run", SHORT, CPU, side=64)
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert folder.is_dir() and "val_f1" in last


def test_both_kinds_of_data_at_once_are_refused(tmp_path: Path, photographs: Path) -> None:
    evaluation_set.write([photographs], tmp_path / "set", "all", limit=2)
    with pytest.raises(InputError, match="cannot be trained on together"):
        training.train([photographs, tmp_path / "set"], tmp_path / "run", SHORT, CPU, side=64)


@pytest.mark.parametrize("values", [{"network": "other"}, {"side": 100}, {"side": 1024}])
def test_bad_options_are_named(tmp_path: Path, photographs: Path, values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=str(next(iter(values.values())))):
        training.train([photographs], tmp_path / "run", SHORT, CPU, **values)  # type: ignore[arg-type]


def test_a_masked_autoencoder_starts_the_encoder(tmp_path: Path) -> None:
    """Its file has a class token, a last norm and a decoder, and no relative positions."""
    model = ImlVit(CONFIGS["starter"])
    state = {name: value + 1 for name, value in model.encoder_net.state_dict().items() if ".rel_pos_" not in name}
    extra = {"cls_token": torch.zeros(1), "norm.weight": torch.zeros(1), "decoder.x": torch.zeros(1)}
    torch.save({"model": {**state, **extra}}, tmp_path / "mae.pth")
    training.begin(model, tmp_path / "mae.pth")
    assert torch.equal(model.encoder_net.pos_embed, state["pos_embed"])


def test_pieces_are_whole_blocks_of_jpeg(photographs: Path) -> None:
    found = Photographs([photographs])
    kinds = set()
    for seed in range(20):
        picture, mask = training.sample(found, 64, np.random.default_rng(seed))
        assert picture.shape[:2] == mask.shape and max(mask.shape) <= 64
        assert all(length % 8 == 0 for length in mask.shape)
        kinds.add(bool(mask.any()))
    assert kinds == {True, False}


def test_screenshots_are_as_often_tampered_with_as_other_pictures(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else frames and lines of text would come to mean that a picture is untouched."""
    told: Counter[tuple[str, bool]] = Counter()
    tamper, authentic = tampering.tamper, tampering.authentic

    def edited(*inputs: Any, shot: bool) -> tampering.Tampered:
        told["tampered", shot] += 1
        return tamper(*inputs, shot=shot)

    def untouched(picture: Any, rng: Any, variant: str | None) -> tuple[Any, str]:
        told["untouched", variant == "screenshot"] += 1
        return authentic(picture, rng, variant)

    monkeypatch.setattr(tampering, "tamper", edited)
    monkeypatch.setattr(tampering, "authentic", untouched)
    monkeypatch.setattr(training, "SHOTS", 0.5)
    found, rng = Photographs([photographs]), np.random.default_rng(0)
    for _ in range(120):
        training.sample(found, 64, rng)
    for kind in ("tampered", "untouched"):
        shots, others = told[kind, True], told[kind, False]
        assert shots + others > 35 and 0.3 < shots / (shots + others) < 0.7


def test_a_judge_learns_whether_anything_is_marked() -> None:
    model = ImlVit(SMALL)
    empty, marked = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    marked[10:20, 10:30] = True
    items = [training.as_batch_item(np.zeros((64, 64, 3), np.uint8), mask, 64) for mask in (empty, marked)]
    batch = {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}
    total, parts = training.mask_loss(model, batch)
    assert set(parts) == {"bce", "edge", "picture"}
    assert float(total.detach()) == pytest.approx(
        parts["bce"] + parts["edge"] + training.JUDGED * parts["picture"], rel=1e-4
    )
    with torch.no_grad():
        _, judged = model.judged(batch["image"])
        assert judged is not None and parts["picture"] == pytest.approx(
            float(torch.nn.functional.softplus(torch.stack([judged[0], -judged[1]])).mean()), rel=0.2
        )
    total.backward()
    assert model.judge is not None and model.judge.predict.weight.grad is not None


def test_the_judge_gives_the_score_that_is_logged() -> None:
    class Telling(ImlVit):
        """Says nothing of pixels, and everything of pictures: white ones are tampered with."""

        def judged(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.zeros(len(x), 1, 16, 16), x.mean((1, 2, 3))

    marked = np.zeros((64, 64), bool)
    marked[10:20, 10:30] = True
    items = [
        training.as_batch_item(np.full((64, 64, 3), 255 * inside, np.uint8), marked & inside, 64)
        for inside in (True, False, True, False)
    ]
    assert training.quick_score(Telling(SMALL), items, CPU)["val_auc_image"] == 1.0


def test_a_run_is_not_resumed_at_another_size(tmp_path: Path, photographs: Path) -> None:
    training.train([photographs], tmp_path / "run", SHORT, CPU, side=64)
    with pytest.raises(PipelineError) as caught:
        training.train([photographs], tmp_path / "run", SHORT, CPU, side=128)
    assert caught.value.code == "train.resume" and "'side': 64" in str(caught.value.seen)


def test_labels_beside_photographs_become_regions(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    labels = np.zeros((80, 80), np.uint8)
    labels[20:50, 20:50] = 7
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((80, 80, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), labels)
    found = Photographs([tmp_path])
    assert len(found) == 2
    regions = [found.read(number).regions for number in range(2)]
    assert regions[0] is not None and (regions[0] == labels).all() and regions[1] is None


def test_losses_by_hand() -> None:
    logits, mask = torch.full((1, 1, 4, 4), 0.0), torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    edge = torch.from_numpy(edge_mask(mask[0, 0].numpy(), 3).astype(np.float32))[None, None]
    everywhere, along = losses(logits, mask, edge)
    assert float(everywhere) == pytest.approx(np.log(2))
    assert float(along) == pytest.approx(20 * np.log(2) * float(edge.mean()))
    assert float(overlap_loss(logits, mask)) == pytest.approx(1 - (2 * 8 + 1) / (32 + 16 + 1))
    assert float(overlap_loss(logits, torch.zeros_like(mask))) == 0
    assert float(overlap_loss(20 * (torch.nn.functional.avg_pool2d(mask, 2) - 0.5), mask)) < 0.2
