"""Person pipeline: windows, scales and places, with a parser and a pose that are right by construction.

The parser reads the class off the colour, the pose puts the drawn person's joints into the box it is given, so every
error in the results is one of this pipeline's geometry.
"""

import numpy as np
import pytest
import torch

from pipelines.core import runtime
from pipelines.core.errors import Cancelled, InputError
from pipelines.core.types import Box, Pose
from pipelines.person import layout as lip
from pipelines.person import pipeline as subject
from pipelines.person.parsing.network import BAG, DRESS, SKIN, UPPER, ParsingConfig
from pipelines.person.parsing.pipeline import ParsingPipeline
from pipelines.vitpose.decoding import COCO_NAMES

PAINT = np.array(
    [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (255, 128, 0),
     (255, 255, 255)],
    np.float32,
)  # fmt: skip


class Colours(torch.nn.Module):
    """Class n where the picture has colour n."""

    config = ParsingConfig(channels=(8, 8, 8, 8, 8))

    def forward(self, x):
        away = (x + 1)[:, None] * 127.5 - torch.from_numpy(PAINT)[None, :, :, None, None]
        return -away.square().sum(2) / 2000


class Joints:
    """The drawn person's joints, fitted into the box it is asked about."""

    def __init__(self, drawn, score=0.8):
        ys, xs = np.nonzero(drawn.labels)
        low = np.array([xs.min(), ys.min()])
        self.share = (drawn.pose.xy - low) / (np.array([xs.max(), ys.max()]) + 1 - low)
        self.score = np.full(17, score, np.float32)

    def __call__(self, image, boxes):
        return [
            Pose((self.share * [b.w, b.h] + [b.x, b.y]).astype(np.float32), self.score, COCO_NAMES, b) for b in boxes
        ]


def scene(size, *people):
    """Picture and label map of ``size`` with drawn people at (left, top)."""
    labels = np.zeros(size, np.uint8)
    for drawn, left, top in people:
        part = drawn.labels if isinstance(drawn.labels, np.ndarray) else drawn
        labels[top : top + part.shape[0], left : left + part.shape[1]] = part
    return PAINT[labels].astype(np.uint8), labels


@pytest.fixture
def pipeline(mannequin):
    """The pipeline for pictures of `mannequin(sleeves="short")`."""
    parser = ParsingPipeline(Colours(), runtime.choose("cpu", "float32"))
    return subject.PersonPipeline(parser, Joints(mannequin(8, sleeves="short")))


def iou(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


@pytest.mark.parametrize(
    ("size", "scale", "left", "top"),
    [((700, 470), 4, 30, 20), ((640, 400), 4, 0, 0), ((1500, 2600), 3, 2100, 900), ((3000, 2000), 15, 200, 300)],
)
def test_everything_comes_back_in_the_picture_s_pixels(pipeline, mannequin, size, scale, left, top):
    drawn = mannequin(scale, sleeves="short")
    image, labels = scene(size, (drawn, left, top))
    before = image.copy()
    person = pipeline(image)
    np.testing.assert_array_equal(image, before)
    assert person.labels.shape == person.layout.shape == person.confidence.shape == size
    assert iou(person.labels > 0, labels > 0) > 0.93
    truth = np.zeros(size, np.uint8)
    truth[top : top + drawn.layout.shape[0], left : left + drawn.layout.shape[1]] = drawn.layout
    for part in (lip.UPPER, lip.FACE, *lip.ARMS, *lip.LEGS, *lip.LIMB_SHOES):
        assert iou(person.layout == part, truth == part) > 0.75, lip.LIP_NAMES[part]
    away = np.hypot(*(person.pose.xy - (drawn.pose.xy + np.array([left, top]))).T)
    assert away.max() < 1.5 * scale
    assert np.hypot(*(person.body.joints - person.pose.xy)[person.body.trusted].T).max() < 1e-3
    ys, xs = np.nonzero(labels)
    assert abs(person.box.x - xs.min()) < scale and abs(person.box.y + person.box.h - ys.max()) < 2 * scale
    outside = np.ones(size, bool)
    w = person.window
    outside[int(w.y) : int(w.y + w.h), int(w.x) : int(w.x + w.w)] = False
    assert not person.labels[outside].any() and not person.confidence[outside].any()


def test_others_are_background_and_index_chooses(pipeline, mannequin):
    large, small = mannequin(5, sleeves="short"), mannequin(4, sleeves="short")
    image, labels = scene((900, 1300), (large, 40, 50), (small, 700, 200))
    first, second = pipeline(image, 0), pipeline(image, 1)
    assert len(first.boxes) == 2 and first.boxes[0].h > first.boxes[1].h
    assert not (first.layout[:, 700:]).any() and not (second.layout[:, :600]).any()
    assert iou(first.labels > 0, (labels > 0) & (np.arange(1300) < 650)) > 0.93
    assert iou(second.labels > 0, (labels > 0) & (np.arange(1300) >= 650)) > 0.93


@pytest.mark.parametrize("index", [2, -1, 99])
def test_index_of_nobody_names_how_many_there_are(pipeline, mannequin, index):
    image, _ = scene((700, 1000), (mannequin(4, sleeves="short"), 40, 30), (mannequin(4, sleeves="short"), 500, 30))
    with pytest.raises(InputError, match="2 people") as caught:
        pipeline(image, index)
    assert caught.value.code == "input.person-index" and str(index) in caught.value.seen


def no_person(pipeline, image):
    with pytest.raises(InputError) as caught:
        pipeline(image)
    assert caught.value.code == "input.no-person" and caught.value.remedy


def test_empty_pictures_hold_nobody(pipeline):
    for size in ((1, 1), (5, 900), (640, 480)):
        no_person(pipeline, np.zeros((*size, 3), np.uint8))


def test_clothes_without_a_body_are_nobody(pipeline, mannequin):
    labels = mannequin(4, sleeves="short").labels
    no_person(pipeline, PAINT[np.where(labels == UPPER, UPPER, 0)].astype(np.uint8))
    no_person(pipeline, PAINT[np.where(labels == SKIN, UPPER, labels)].astype(np.uint8) * (labels != 1)[..., None])


def test_joints_nowhere_are_nobody(pipeline, mannequin):
    drawn = mannequin(4, sleeves="short")
    image, _ = scene((700, 470), (drawn, 30, 20))
    pipeline.pose = Joints(drawn, score=0.05)
    no_person(pipeline, image)


def test_too_small_a_person_is_nobody(pipeline, mannequin):
    image, _ = scene((700, 900), (mannequin(0.25, sleeves="short"), 400, 300))
    no_person(pipeline, image)


def test_a_window_that_was_too_small_grows(pipeline, mannequin):
    drawn = mannequin(4, sleeves="short")
    image, labels = scene((900, 900), (drawn, 200, 100))
    person = pipeline.look(image, Box(330, 120, 140, 250))  # the head and chest only
    assert iou(person.labels > 0, labels > 0) > 0.93


@pytest.mark.parametrize(("dress", "upper", "left"), [(10, 90, {UPPER}), (95, 5, {DRESS}), (60, 40, {UPPER, DRESS})])
def test_a_top_or_a_dress_but_not_a_patchwork(dress, upper, left):
    labels = np.zeros((100, 100), np.uint8)
    labels[:dress, :50], labels[:upper, 50:] = DRESS, UPPER
    settled = subject.one_garment(labels)
    assert set(np.unique(settled)) == {0} | left
    np.testing.assert_array_equal(settled > 0, labels > 0)


def codes(person):
    return {f.code for f in person.findings}


def test_a_plain_front_view_needs_no_warning(pipeline, mannequin):
    image, _ = scene((700, 470), (mannequin(4, sleeves="short"), 30, 20))
    assert codes(pipeline(image)) == set()


def test_findings_name_what_may_spoil_the_result(pipeline, mannequin):
    drawn = mannequin(4, sleeves="short")
    image, labels = scene((700, 470), (drawn, 30, 20))
    bag = labels.copy()
    bag[180:260, 190:260] = BAG
    assert "person.bag-in-front" in codes(pipeline(PAINT[bag].astype(np.uint8)))

    coat = labels.copy()
    coat[300:470, 190:270] = UPPER
    assert "person.coat" in codes(pipeline(PAINT[coat].astype(np.uint8)))

    cut = np.ascontiguousarray(image[:250])
    parser, joints = pipeline.parser, Joints(drawn)
    ys, xs = np.nonzero(labels[:250])
    joints.share = (drawn.pose.xy + np.array([30, 20]) - [xs.min(), ys.min()]) / [np.ptp(xs) + 1, np.ptp(ys) + 1]
    assert "person.cut-off" in codes(subject.PersonPipeline(parser, joints)(cut))

    unsure = Joints(drawn)
    unsure.score = np.where(np.arange(17) < 11, 0.22, 0.5).astype(np.float32)
    assert "person.pose-uncertain" in codes(subject.PersonPipeline(parser, unsure)(image))

    side = Joints(drawn)
    middle = side.share[[5, 6], 0].mean()
    side.share[[5, 6], 0] = middle + 0.15 * (side.share[[5, 6], 0] - middle)
    found = subject.PersonPipeline(parser, side)(image).findings
    assert "person.side-view" in {f.code for f in found}
    assert all(f.message and f.remedy and f.severity in ("info", "warning") for f in found)


def test_seen_from_behind(pipeline, mannequin):
    drawn = mannequin(4, sleeves="short", back=True)
    image, _ = scene((700, 470), (drawn, 30, 20))
    person = subject.PersonPipeline(pipeline.parser, Joints(drawn))(image)
    assert codes(person) == {"person.back-view"}
    left, right = (np.nonzero(person.layout == arm)[1].mean() for arm in lip.ARMS)
    assert left < right


def test_steps_are_reported_and_can_be_stopped(pipeline, mannequin):
    image, _ = scene((700, 470), (mannequin(4, sleeves="short"), 30, 20))
    seen = []
    pipeline(image, on_step=lambda done, total, _: seen.append((done, total)))
    assert seen[0] == (1, 3) and seen[-1] == (3, 3)

    def stop(done, total, preview):
        raise Cancelled

    with pytest.raises(Cancelled):
        pipeline(image, on_step=stop)
