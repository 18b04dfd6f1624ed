"""Detection: people as areas of a parse."""

import numpy as np
import pytest

from pipelines.person import detection
from pipelines.person.parsing.network import HAIR, LOWER, SHOES, SKIN, UPPER


def scene(mannequin, *people, size=(900, 1400)):
    """Label map with drawn people pasted at (left, top), and their true boxes."""
    labels, boxes = np.zeros(size, np.uint8), []
    for scale, left, top in people:
        drawn = mannequin(scale, sleeves="short").labels
        window = labels[top : top + drawn.shape[0], left : left + drawn.shape[1]]
        window[drawn > 0] = drawn[drawn > 0]
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        boxes.append((left + columns[0], top + rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1))
    return labels, boxes


def test_people_largest_first_with_exact_boxes(mannequin):
    labels, boxes = scene(mannequin, (2.5, 20, 300), (5, 400, 60), (3.5, 980, 200))
    found = detection.find_people(labels)
    assert [(b.x, b.y, b.w, b.h) for b in found] == [boxes[1], boxes[2], boxes[0]]


def test_cut_up_person_is_one_person(mannequin):
    labels, boxes = scene(mannequin, (5, 400, 60))
    _, y, _, h = boxes[0]
    labels[y + int(0.45 * h) : y + int(0.47 * h)] = 0  # a belt that the parser does not know
    labels[y + int(0.88 * h) : y + int(0.90 * h)] = 0  # bare ankles against the ground
    found = detection.find_people(labels)
    assert len(found) == 1
    assert (found[0].x, found[0].y, found[0].w, found[0].h) == boxes[0]


def test_crumbs_are_nobody(mannequin):
    labels, boxes = scene(mannequin, (5, 400, 60))
    rng = np.random.default_rng(0)
    for _ in range(30):
        y, x = rng.integers(0, 880), rng.integers(0, 300)
        labels[y : y + 8, x : x + 8] = rng.choice([HAIR, SKIN, UPPER, LOWER, SHOES])
    found = detection.find_people(labels)
    assert len(found) == 1 and (found[0].w, found[0].h) == boxes[0][2:]


def test_touching_people_are_parted_between_their_heads(mannequin):
    labels, boxes = scene(mannequin, (5, 300, 50), (5, 540, 50))
    found = sorted(detection.find_people(labels), key=lambda b: b.x)
    assert len(found) == 2
    for box, (x, _, w, h) in zip(found, boxes, strict=True):
        assert abs(box.x + box.w / 2 - (x + w / 2)) < 0.12 * w and box.h == h


def test_map_names_each_pixel_s_owner(mannequin):
    labels, _ = scene(mannequin, (5, 100, 60), (3, 900, 200))
    who, boxes = detection.people(labels)
    assert set(np.unique(who)) == {0, 1, 2}
    assert ((who > 0) == (labels > 0)).all()
    for number, box in enumerate(boxes, start=1):
        rows, columns = np.nonzero(who == number)
        assert (columns.min(), rows.min()) == (box.x, box.y)


def test_score_is_mean_confidence(mannequin):
    labels, _ = scene(mannequin, (5, 100, 60))
    confidence = np.where(labels > 0, 0.75, 0.1).astype(np.float32)
    assert detection.find_people(labels, confidence)[0].score == pytest.approx(0.75)


def test_empty_picture_holds_nobody():
    assert detection.find_people(np.zeros((50, 50), np.uint8)) == []
