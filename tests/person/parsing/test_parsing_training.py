"""Training the parser: from the CCP layout, from given weights, and from photographs that those weights label."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from pipelines.core import checkpoint, hub, runtime
from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError, WeightsError
from pipelines.core.training import TrainConfig
from pipelines.person.parsing import training
from pipelines.person.parsing.network import PARSING_CLASSES, ParsingConfig, ParsingNet
from pipelines.synthetic.people import sample_parsing

CPU = runtime.choose("cpu", "float32")
STEPS = TrainConfig(minutes=None, steps=1, batch=2, lr=0.0)
NAMES = ["null", "hair", "skin", "shirt", "pants", "dress", "shoes", "bag", "hat"]


@pytest.fixture(scope="module")
def ccp(tmp_path_factory):
    """Four rendered people in the CCP layout, one of them held out, and two without labels."""
    folder = tmp_path_factory.mktemp("ccp")
    for name in ("images", "labels", "unlabelled"):
        (folder / name).mkdir()
    (folder / "label_names.json").write_text(json.dumps(NAMES))
    stems = [f"{n:04d}" for n in range(200)]
    held = next(stem for stem in stems if is_validation(stem))
    kept = [stem for stem in stems if not is_validation(stem)]
    for seed, stem in enumerate([held, *kept[:5]]):
        picture, labels = sample_parsing(seed, (160, 120))
        there = "images" if seed < 4 else "unlabelled"
        cv2.imwrite(str(folder / there / f"{stem}.jpg"), picture[..., ::-1])
        if seed < 4:
            cv2.imwrite(str(folder / "labels" / f"{stem}.png"), labels)
    return folder


def test_it_starts_from_given_weights(ccp, tmp_path):
    start = hub.resolve("parsing")
    made = training.train([ccp], tmp_path / "run", STEPS, CPU, start=start)
    ours, theirs = (checkpoint.read_state_dict(folder / "model.safetensors") for folder in (made, start))
    weights = [key for key in theirs if key.endswith("weight") and theirs[key].dim() == 4]
    assert all(torch.equal(ours[key], theirs[key]) for key in weights), "a rate of zero moves nothing"


def test_weights_of_another_shape_are_refused(ccp, tmp_path):
    checkpoint.save_component(tmp_path / "other", ParsingNet(ParsingConfig(channels=(8, 8, 8, 8, 8))), {})
    with pytest.raises(WeightsError) as caught:
        training.train([ccp], tmp_path / "run", STEPS, CPU, start=tmp_path / "other")
    assert caught.value.code == "weights.mismatch"


def test_unlabelled_photographs_need_weights_that_label_them(ccp, tmp_path):
    with pytest.raises(InputError) as caught:
        training.train([ccp], tmp_path / "run", STEPS, CPU, unlabelled=ccp / "unlabelled")
    assert caught.value.code == "train.start"


def test_unsure_pixels_of_unlabelled_photographs_are_ignored(ccp, tmp_path):
    model = ParsingNet(ParsingConfig())
    checkpoint.load_component(hub.resolve("parsing"), model)
    lenient, strict = (training._label(model, ccp / "unlabelled", sure, CPU) for sure in (0.0, 0.9))
    assert len(lenient) == len(strict) == 2
    for (_, all_labels), (_, sure_labels) in zip(lenient, strict, strict=True):
        known = sure_labels != training.IGNORE
        assert (all_labels != training.IGNORE).all() and all_labels.max() < len(PARSING_CLASSES)
        assert 0 < known.mean() < 1 and np.array_equal(sure_labels[known], all_labels[known])
    lines: list[str] = []
    training.train(
        [ccp],
        tmp_path / "run",
        STEPS,
        CPU,
        start=hub.resolve("parsing"),
        unlabelled=ccp / "unlabelled",
        log=lines.append,
    )
    assert "2 photographs labelled by the weights it starts from" in lines
