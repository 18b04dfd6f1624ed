"""Parsing pipeline and its evaluation, with the real network at a small width."""

import json
import zlib
from dataclasses import asdict

import cv2
import numpy as np
import pytest
import torch

from pipelines.core import checkpoint, runtime
from pipelines.core.errors import Cancelled, InputError, WeightsError
from pipelines.core.types import Box
from pipelines.person.parsing import evaluation, pipeline
from pipelines.person.parsing.network import PARSING_CLASSES, ParsingConfig, ParsingNet
from pipelines.person.parsing.pipeline import ParsingPipeline, tidy

TINY = ParsingConfig(channels=(8, 12, 16, 16, 16))
NAMES = ["null", "hair", "skin", "shirt", "jeans", "dress", "shoes", "bag", "hat", "belt"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    checkpoint.save_component(folder, ParsingNet(TINY), asdict(TINY))
    return folder


@pytest.fixture(scope="module")
def parser(weights):
    return ParsingPipeline.from_pretrained(weights, device="cpu", dtype="float32")


# Corners of the colour cube: a mixture of two classes at a rim never looks like a third. No bag: nobody has one.
PAINT = np.array(
    [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (-999, -999, -999),
     (255, 255, 255)],
    np.float32,
)  # fmt: skip


class Colours(torch.nn.Module):
    """A parser that is right by construction: it reads the class off the colour."""

    config = TINY

    def forward(self, x):
        away = (x + 1)[:, None] * 127.5 - torch.from_numpy(PAINT)[None, :, :, None, None]
        return -away.square().sum(2) / 2000


@pytest.fixture
def exact():
    return ParsingPipeline(Colours(), runtime.choose("cpu", "float32"))


def painted(labels):
    return PAINT[labels].clip(0).astype(np.uint8)


@pytest.mark.parametrize("size", [(70, 50), (333, 501), (1100, 300)])
def test_shapes_types_and_ranges(parser, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = parser(image)
    assert result.labels.shape == size and result.labels.dtype == np.uint8 and result.labels.max() < 9
    assert result.confidence.shape == size and result.confidence.dtype == np.float32
    assert result.confidence.min() >= 0 and result.confidence.max() <= 1 + 1e-5


@pytest.mark.parametrize("size", [1.5, 4.0, 20.0])
def test_labels_lie_where_the_picture_has_them(exact, mannequin, size):
    person = mannequin(size, sleeves="short", hat=True)
    found = exact(painted(person.labels)).labels
    for number in np.unique(person.labels):
        here, there = found == number, person.labels == number
        assert (here & there).sum() / (here | there).sum() > (0.9 if size > 2 else 0.75), PARSING_CLASSES[number]


def test_a_window_leaves_the_rest_background(exact, mannequin):
    labels = mannequin(4, sleeves="long").labels
    wide = np.concatenate([labels, labels], 1)
    found = exact(painted(wide), Box(0, 0, labels.shape[1], labels.shape[0])).labels
    assert not found[:, int(1.3 * labels.shape[1]) :].any()
    assert (found[:, : labels.shape[1]] == labels).mean() > 0.97


def test_mirror_image_gives_mirrored_labels(parser):
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (256, 192, 3), dtype=np.uint8), (0, 0), 4)
    box = Box(0, 0, 192, 256)
    straight, mirrored = parser(image, box), parser(np.ascontiguousarray(image[:, ::-1]), box)
    assert (straight.labels == mirrored.labels[:, ::-1]).mean() > 0.99


def test_a_large_picture_costs_no_more_memory_than_its_labels(parser, monkeypatch):
    seen = []
    original = pipeline.tidy

    def watched(probabilities):
        seen.append(probabilities.shape)
        return original(probabilities)

    monkeypatch.setattr(pipeline, "tidy", watched)
    result = parser(np.zeros((4000, 3000, 3), np.uint8))
    assert result.labels.shape == (4000, 3000)
    assert np.prod(seen[0][1:]) < 4e6


def test_cancel_passes_through(parser):
    def stop(done, total, preview):
        raise Cancelled

    with pytest.raises(Cancelled):
        parser(np.zeros((64, 48, 3), np.uint8), on_step=stop)


def test_save_and_load_agree(parser, tmp_path):
    parser.save_pretrained(tmp_path)
    again = ParsingPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    image = np.random.default_rng(2).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(parser(image).labels, again(image).labels)


def planes(labels, sure=0.9):
    rest = (1 - sure) / 8
    p = np.full((9, *labels.shape), rest, np.float32)
    np.put_along_axis(p, labels[None].astype(int), sure, 0)
    return p


def test_tidy_removes_islands_and_keeps_the_person(mannequin):
    labels = mannequin(4, sleeves="short").labels
    dirty = labels.copy()
    rng = np.random.default_rng(0)
    for _ in range(25):
        y, x = rng.integers(0, labels.shape[0] - 4), rng.integers(0, labels.shape[1] - 4)
        dirty[y : y + 4, x : x + 4] = rng.integers(0, 9)
    clean, confidence = tidy(planes(dirty))
    assert (clean == labels).mean() > (dirty == labels).mean() and (clean == labels).mean() > 0.985
    assert confidence.shape == labels.shape and 0 < confidence.min() and confidence.max() <= 1


def test_tidy_keeps_a_bag_only_if_it_is_sure():
    labels = np.zeros((100, 100), np.uint8)
    labels[20:80, 20:80] = 3
    labels[50:70, 50:70] = 7
    for sure, kept in ((0.9, True), (0.5, False)):
        p = planes(labels)
        bag = labels == 7
        p[:, bag] = 0.02
        p[7, bag], p[3, bag] = sure, 0.86 - sure
        clean, _ = tidy(p)
        assert (clean[55:65, 55:65] == (7 if kept else 3)).all()


@pytest.fixture
def ccp(tmp_path, mannequin):
    """A folder in the CCP layout, painted so that `Colours` parses it: belt pixels are class 9, left out of scores."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "label_names.json").write_text(json.dumps(NAMES))
    for number in range(12):
        labels = mannequin(2, sleeves=("none", "short", "long")[number % 3], hat=number % 2 == 0).labels
        truth = labels.copy()
        truth[144:150, 80:120] = 9
        bgr = np.ascontiguousarray(painted(labels)[..., ::-1])
        sharp = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        cv2.imwrite(str(tmp_path / "images" / f"{number:04}.jpg"), bgr, sharp)
        cv2.imwrite(str(tmp_path / "labels" / f"{number:04}.png"), truth)
    return tmp_path


def test_evaluation_fields_and_splits(ccp, weights):
    result = evaluation.evaluate(ccp, weights=weights, device="cpu", dtype="float32")
    assert set(result) == {"miou", "iou", "n", "split", "weights", "weights_sha256"}
    assert tuple(result["iou"]) == PARSING_CLASSES and result["n"] == 12 and result["split"] == "all"
    assert result["miou"] == pytest.approx(np.mean(list(result["iou"].values())))
    assert result["weights_sha256"] == checkpoint.sha256_of([weights / "model.safetensors"])
    held = [s for s in range(12) if zlib.crc32(f"{s:04}".encode()) % 10 == 0]
    if held:
        assert evaluation.evaluate(ccp, "val", weights, "cpu", "float32")["n"] == len(held)
    else:
        with pytest.raises(InputError, match="holds no photo"):
            evaluation.evaluate(ccp, "val", weights, "cpu", "float32")


def test_evaluation_of_a_right_parser_is_near_one(ccp, weights, exact, monkeypatch):
    monkeypatch.setattr(ParsingPipeline, "from_pretrained", lambda *a, **k: exact)
    seen = []
    result = evaluation.evaluate(ccp, weights=weights, on_step=lambda done, total, _: seen.append((done, total)))
    present = [name for name in PARSING_CLASSES if name not in ("dress", "bag")]
    assert min(result["iou"][name] for name in present) > 0.85
    assert result["iou"]["dress"] == result["iou"]["bag"] == 0
    assert seen[-1] == (12, 12)


def test_evaluation_takes_labels_of_another_size(ccp, weights, exact, monkeypatch):
    monkeypatch.setattr(ParsingPipeline, "from_pretrained", lambda *a, **k: exact)
    for path in (ccp / "labels").iterdir():
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), cv2.resize(label, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST))
    assert evaluation.evaluate(ccp, weights=weights)["iou"]["upper"] > 0.85


@pytest.mark.parametrize("split", ["train", ""])
def test_unknown_split_is_named(ccp, weights, split):
    with pytest.raises(InputError) as caught:
        evaluation.evaluate(ccp, split, weights)
    assert caught.value.code == "data.split"


def test_missing_weights_are_an_error_of_weights(ccp):
    with pytest.raises(WeightsError):
        evaluation.evaluate(ccp, weights=ccp)
