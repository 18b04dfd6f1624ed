"""Layout: every pixel of a drawn person must come out as the part it was drawn as."""

import numpy as np
import pytest

from pipelines.core.types import Pose
from pipelines.person import body as bodies
from pipelines.person import layout as lip

PARTS = {
    "face": (lip.FACE,), "neck": (lip.NECK,), "left arm": (lip.LEFT_ARM,), "right arm": (lip.RIGHT_ARM,),
    "left leg": (lip.LEFT_LEG,), "right leg": (lip.RIGHT_LEG,), "left shoe": (lip.LEFT_SHOE,),
    "right shoe": (lip.RIGHT_SHOE,),
}  # fmt: skip


def iou(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


def scores(layout, truth):
    return {
        name: iou(np.isin(layout, ids), np.isin(truth, ids)) for name, ids in PARTS.items() if np.isin(truth, ids).any()
    }


@pytest.mark.parametrize("scale", [1.6, 4.0, 9.0])
@pytest.mark.parametrize("sleeves", ["none", "short", "long"])
def test_every_part_is_named_at_any_size(mannequin, scale, sleeves):
    person = mannequin(scale, sleeves=sleeves)
    layout = lip.compose(person.labels, person.pose)
    for name, score in scores(layout, person.layout).items():
        assert score > (0.8 if name != "neck" else 0.6), f"{name}: {score:.2f}"


def test_sides_swap_when_the_person_turns_round(mannequin):
    person = mannequin(back=True)
    assert bodies.measure(person.labels, person.pose).facing == -1
    layout = lip.compose(person.labels, person.pose)
    for name in ("left arm", "right arm", "left leg", "right leg", "left shoe", "right shoe"):
        assert scores(layout, person.layout)[name] > 0.8, name


@pytest.mark.parametrize(
    "lost", [("wrist",), ("elbow", "wrist"), ("knee", "ankle"), ("left_shoulder",), ("hip", "knee")]
)
def test_lost_joints_cost_little(mannequin, lost):
    person = mannequin(sleeves="short")
    layout = lip.compose(person.labels, person.without(*lost))
    for name, score in scores(layout, person.layout).items():
        assert score > 0.6, f"{name}: {score:.2f} without {lost}"


@pytest.mark.parametrize("sleeves", ["short", "long"])
def test_without_any_joint_proportions_serve(mannequin, sleeves):
    person = mannequin(sleeves=sleeves)
    layout = lip.compose(person.labels, lip.no_pose(person.labels.shape))
    result = scores(layout, person.layout)
    assert min(result.values()) > 0.5, result
    assert result["left arm"] > 0.75 and result["right leg"] > 0.75


def test_joints_in_absurd_places_are_not_believed(mannequin):
    person = mannequin(sleeves="short")
    xy = person.pose.xy.copy()
    xy[9], xy[10] = xy[0], xy[15]  # wrists on the nose and on an ankle
    xy[7] = np.nan
    body = bodies.measure(person.labels, Pose(xy, person.pose.score, person.pose.names, person.pose.box))
    assert not body.trusted[[7, 9, 10]].any() and body.trusted[[5, 6, 8, 11, 12]].all()
    assert np.isfinite(body.joints).all()
    assert np.hypot(*(body.joints[9] - person.pose.xy[9])) < 0.8 * body.unit


def test_nothing_is_invented_or_lost(mannequin):
    person = mannequin(sleeves="short", hat=True)
    rng = np.random.default_rng(3)
    for _ in range(8):  # whatever the pose says, only skin and shoes are divided
        xy = rng.uniform(-50, 700, (17, 2)).astype(np.float32)
        score = rng.uniform(0, 1, 17).astype(np.float32)
        layout = lip.compose(person.labels, Pose(xy, score, person.pose.names, person.pose.box))
        np.testing.assert_array_equal(lip.parsed(layout), person.labels)


def test_empty_parse_gives_empty_layout():
    labels = np.zeros((40, 30), np.uint8)
    assert not lip.compose(labels, lip.no_pose((40, 30))).any()


def test_skirt_and_trousers(mannequin):
    bare, dressed = mannequin(legs="bare"), mannequin(legs="trousers")
    assert (lip.compose(bare.labels, bare.pose) == lip.SKIRT).any()
    layout = lip.compose(dressed.labels, dressed.pose)
    assert (layout == lip.PANTS).any() and not (layout == lip.SKIRT).any()


def test_hat_above_glasses_in_the_face(mannequin):
    person = mannequin(hat=True)
    labels = person.labels.copy()
    rows, columns = slice(14 * 4, 17 * 4), slice(45 * 4, 55 * 4)
    labels[rows, columns] = 8
    layout = lip.compose(labels, person.pose)
    assert (layout[rows, columns] == lip.SUNGLASSES).all()
    assert iou(layout == lip.HAT, person.layout == lip.HAT) > 0.95


@pytest.mark.parametrize("sleeves", ["none", "short", "long"])
@pytest.mark.parametrize("known", [True, False])
def test_hands(mannequin, sleeves, known):
    person = mannequin(sleeves=sleeves)
    truth = person.hands & np.isin(person.layout, lip.ARMS)
    found = lip.hands(person.layout, person.pose if known else None)
    assert (found & truth).sum() > 0.75 * truth.sum()
    assert iou(found, truth) > 0.6
    assert not (found & ~np.isin(person.layout, lip.ARMS)).any()


def test_a_hand_before_the_chest_is_an_arm(mannequin):
    person = mannequin(sleeves="long")
    labels = person.labels.copy()
    labels[50 * 4 : 57 * 4, 46 * 4 : 52 * 4] = 2
    layout = lip.compose(labels, person.pose)
    assert np.isin(layout[50 * 4 : 57 * 4, 46 * 4 : 52 * 4], lip.ARMS).all()


def test_paint_has_one_colour_per_part(mannequin):
    layout = mannequin().layout
    assert lip.paint(layout).shape == (*layout.shape, 3)
    assert len(np.unique(lip.PALETTE, axis=0)) == len(lip.LIP_NAMES) == 21
