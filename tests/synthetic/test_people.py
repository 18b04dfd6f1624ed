"""What is drawn and what is said about it must be the same picture."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.synthetic.garments import UPPER_CATEGORIES, Garment, sample_garment
from pipelines.synthetic.people import KEYPOINTS, RenderedPerson, render_person, sample_pair, sample_person

SIZE = (256, 192)
SEEDS = range(16)

# parsing class of every LIP id, with 20 for a bag
PARSING_OF_LAYOUT = np.array([0, 8, 1, 2, 8, 3, 5, 3, 4, 4, 2, 3, 4, 2, 2, 2, 2, 2, 6, 6, 7], np.uint8)
UPPER_IDS = (5, 6, 7)


@pytest.fixture(scope="module")
def people() -> list[RenderedPerson]:
    return [render_person(seed, size=SIZE, framing=("full", "half", "upper")[seed % 3]) for seed in SEEDS]


def test_labels_and_layout_tell_the_same_story(people: list[RenderedPerson]) -> None:
    for person in people:
        assert person.labels.shape == person.layout.shape == SIZE
        np.testing.assert_array_equal(PARSING_OF_LAYOUT[person.layout], person.labels)


def test_worn_mask_is_the_upper_or_dress_label(people: list[RenderedPerson]) -> None:
    for person in people:
        worn = 5 if person.garment.category == "dress" else 3
        np.testing.assert_array_equal(person.garment_mask, person.labels == worn)
        assert person.garment_mask.mean() > 0.03


def test_box_is_tight(people: list[RenderedPerson]) -> None:
    for person in people:
        ys, xs = np.nonzero(person.labels)
        assert (person.box.x, person.box.y) == (xs.min(), ys.min())
        assert (person.box.w, person.box.h) == (np.ptp(xs) + 1, np.ptp(ys) + 1)


def _allowed(person: RenderedPerson, name: str) -> set[int]:
    """LIP ids that may be seen at a visible keypoint."""
    side = name.split("_")[0]
    arm, leg, shoe = {"left": (14, 16, 18), "right": (15, 17, 19)}.get(side, (0, 0, 0))
    if name in ("nose", "left_eye", "right_eye"):
        return {13, 4, 1, 2}
    if name.endswith("ear"):
        return {13, 2, 1, 4}
    if name.endswith("shoulder"):
        return {arm, 10, 2, 20, *UPPER_IDS}
    if name.endswith(("elbow", "wrist")):
        return {arm, 9, 20, *UPPER_IDS}
    if name.endswith("hip"):
        # a hand in the pocket or at the hip may lie over it within the tolerance
        return {9, 12, leg, 14, 15, 20, *UPPER_IDS}
    return {leg, 9, 12, 6, shoe, 8}


def test_visible_keypoints_lie_on_their_limb(people: list[RenderedPerson]) -> None:
    seen, right = 0, 0
    for person in people:
        for name, (x, y), visible in zip(KEYPOINTS, person.keypoints, person.visible, strict=True):
            if visible < 2:
                continue
            row, column = min(round(float(y)), SIZE[0] - 1), min(round(float(x)), SIZE[1] - 1)
            around = person.layout[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
            seen += 1
            right += bool(set(np.unique(around).tolist()) & _allowed(person, name))
    assert seen > 120
    # a joint is inside its limb; only where a limb points at the camera may its edge be a pixel off
    assert right == seen


def test_left_and_right_are_the_persons_own(people: list[RenderedPerson]) -> None:
    for person in people:
        if abs(person.figure.stance.yaw + person.figure.stance.twist) > 0.5:
            continue
        named = dict(zip(KEYPOINTS, person.keypoints, strict=True))
        assert named["left_shoulder"][0] > named["right_shoulder"][0]
        assert named["left_hip"][0] > named["right_hip"][0]


def test_every_part_of_a_bare_arm_is_near_that_arms_joints() -> None:
    garment = Garment("tank", "none", "scoop")
    for seed in range(4):
        person = render_person(seed, garment, SIZE, "full", "plain", calm=True)
        named = dict(zip(KEYPOINTS, person.keypoints, strict=True))
        for side, label in (("left", 14), ("right", 15)):
            ys, xs = np.nonzero(person.layout == label)
            pixels = np.stack([xs, ys], 1)
            chain = [named[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")]
            hand = chain[2] + 0.45 * (chain[2] - chain[1])
            line = [a + (b - a) * t for a, b in itertools.pairwise([*chain, hand]) for t in np.linspace(0, 1, 12)]
            distance = np.linalg.norm(pixels[:, None] - np.array(line)[None], axis=-1).min(1)
            assert distance.max() < 0.075 * SIZE[0]


def test_same_seed_same_picture_and_other_seed_another() -> None:
    first, second, other = (render_person(seed, size=SIZE) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.layout, second.layout)
    np.testing.assert_array_equal(first.keypoints, second.keypoints)
    assert np.abs(first.image.astype(int) - other.image).mean() > 5


def test_size_changes_sharpness_not_the_scene() -> None:
    small, large = (render_person(3, size=size, background="plain") for size in (SIZE, (512, 384)))
    np.testing.assert_allclose((large.keypoints + 0.5) / 2, small.keypoints + 0.5, atol=0.05)
    same = large.labels[1::2, 1::2] == small.labels
    assert same.mean() > 0.985


def test_framings_show_what_they_promise() -> None:
    for seed in range(3):
        full, half, upper = (render_person(seed, size=SIZE, framing=f) for f in ("full", "half", "upper"))
        ankles, knees, shoulders = slice(15, 17), slice(13, 15), slice(5, 7)
        assert (full.visible[ankles] > 0).all()
        assert (half.visible[ankles] == 0).all() and (half.visible[shoulders] > 0).all()
        assert (upper.visible[knees] == 0).all() and (upper.visible[shoulders] > 0).all()
        assert half.box.h >= full.box.h * 0.8


def test_every_category_can_be_worn() -> None:
    for number, category in enumerate(UPPER_CATEGORIES):
        garment = sample_garment(np.random.default_rng(number), category)
        person = render_person(number, garment, SIZE, "half", calm=True)
        assert person.garment == garment
        assert set(np.unique(person.layout[person.garment_mask])) == {7 if category == "jacket" else 5}


def test_sleeveless_arms_are_bare_and_long_sleeves_cover_them() -> None:
    bare = render_person(5, Garment("tank", "none", "scoop"), SIZE, "half", calm=True)
    long = render_person(5, Garment("long-sleeve", "long", "crew"), SIZE, "half", calm=True)
    arms = [int(np.isin(person.layout, (14, 15)).sum()) for person in (bare, long)]
    assert arms[0] > 2.5 * arms[1]


def test_uv_covers_the_front_panel_and_nothing_else(people: list[RenderedPerson]) -> None:
    for person in people:
        front = np.isfinite(person.uv[..., 0])
        assert not (front & ~person.garment_mask).any()
        x, d = person.uv[front].T
        assert np.abs(x).max() <= person.garment.pattern_cut.halves.max() + 0.01
        assert d.min() > -0.01 and d.max() < person.garment.length + 0.02


def test_sample_person_weighs_what_is_inside() -> None:
    image, keypoints, weight = sample_person(np.random.default_rng(0), SIZE)
    assert image.shape == (*SIZE, 3) and image.dtype == np.uint8
    inside = (keypoints >= -0.5).all(1) & (keypoints[:, 0] < SIZE[1] - 0.5) & (keypoints[:, 1] < SIZE[0] - 0.5)
    np.testing.assert_array_equal(weight > 0, inside)


def test_pair_shows_one_garment_twice() -> None:
    pair = sample_pair(11, SIZE)
    assert pair.person.garment == pair.garment.garment
    assert pair.person.image.shape == pair.garment.image.shape


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"framing": "head"}, "synthetic.framing"),
        ({"background": "moon"}, "synthetic.background"),
        ({"size": (32, 32)}, "synthetic.size"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, code: str) -> None:
    with pytest.raises(InputError) as caught:
        render_person(0, **arguments)
    assert caught.value.code == code
