"""Laying garments on people, and making worn ones flat again."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.types import Pose
from pipelines.person.garment import silhouettes
from pipelines.person.garment.body import read_body, worn_garment, worn_sleeve
from pipelines.person.garment.fit import STRETCH, fit
from pipelines.person.garment.landmarks import CI, CO, EI, EO, HEM, RIGHT, SLEEVES, A, H, N, S, similarity_frame
from pipelines.person.garment.unwarp import cut_sleeves, framed, unwarp
from pipelines.person.garment.warp import folded_share, sleeve_grid, torso_grid, warp
from pipelines.person.parsing.network import BAG
from pipelines.vitpose.decoding import COCO_NAMES
from tests.person.garment.conftest import iou, person


def flat(sleeve: str, length: float = 1.4) -> np.ndarray:
    """A plain garment, 200 px across the shoulders; ``length`` in shoulder widths."""
    reach = {"none": 0.0, "short": 0.4, "long": 1.15}[sleeve] * 200
    direction, normal = np.array([-0.6, 0.8]), np.array([-0.8, -0.6])
    middle = np.array([-98.0, 38.0])
    elbow, cuff = middle + direction * reach / 2, middle + direction * reach
    rows = [
        [-45, -18], [-100, 0], [-96, 80],
        elbow + normal * 40, elbow - normal * 40, cuff + normal * 32, cuff - normal * 32,
        [-96, 40 + 100 * length], [-98, 200 * length],
    ]  # fmt: skip
    side = np.array(rows)
    if sleeve == "none":
        side[[3, 5]], side[[4, 6]] = side[1], side[2]
    points = np.concatenate([side, side * [-1, 1], [[0, -8], [0, 200 * length + 2]]])
    return (points + np.array([300, 60])).astype(np.float32)


def drawn(points: np.ndarray, size: tuple[int, int] = (600, 620)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for polygon in silhouettes.outline(points.astype(np.float64))[0]:
        cv2.fillPoly(mask, [np.int32(np.round(polygon))], 255)
    return mask


@pytest.mark.parametrize("sleeve", ("short", "long"))
def test_fitted_garment_covers_what_is_worn(sleeve: str) -> None:
    labels, pose = person(sleeve=sleeve)
    points = flat(sleeve)
    placed = fit(points, sleeve, labels, pose)
    mask = drawn(points)
    got = warp(np.zeros((*mask.shape, 3), np.uint8), mask, points, placed.target, labels.shape, sleeves=placed.sleeves)
    worn = labels == 3
    box = np.zeros(labels.shape, bool)
    ys, xs = np.nonzero(worn)
    my, mx = np.nonzero(mask)
    crop = mask[my.min() : my.max() + 1, mx.min() : mx.max() + 1]
    tall, wide = int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1
    box[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = cv2.resize(crop, (wide, tall)) > 127
    assert placed.worn_sleeve == sleeve
    assert iou(got.alpha > 0.5, worn) > 0.8
    assert iou(got.alpha > 0.5, worn) > iou(box, worn) + 0.02


@pytest.mark.parametrize("sleeve", SLEEVES)
def test_worn_sleeve_is_read_from_the_labels(sleeve: str) -> None:
    labels, pose = person(sleeve=sleeve)
    assert worn_sleeve(labels, pose) == sleeve


def test_targets_are_in_order_and_not_folded() -> None:
    labels, pose = person()
    for seed in range(25):
        one = silhouettes.draw(np.random.default_rng(seed), 400, errors=False)
        target = fit(one.landmarks, SLEEVES[one.sleeve], labels, pose).target
        assert np.isfinite(target).all()
        assert folded_share(torso_grid(target)) == 0
        left, right = target[:RIGHT], target[RIGHT : RIGHT + 9]
        for index in (N, S, A, H):
            assert left[index, 0] < right[index, 0]
        assert left[N, 1] < left[A, 1] < left[H, 1] and right[N, 1] < right[A, 1] < right[H, 1]


def test_new_sleeves_keep_their_own_length() -> None:
    labels, pose = person(sleeve="long")
    arm = np.linalg.norm(pose.point("right_shoulder") - pose.point("right_elbow")) + np.linalg.norm(
        pose.point("right_elbow") - pose.point("right_wrist")
    )
    reach = {}
    for sleeve in ("short", "long"):
        target = fit(flat(sleeve), sleeve, labels, pose).target
        cuff = (target[CO] + target[CI]) / 2
        reach[sleeve] = np.linalg.norm(cuff - pose.point("right_shoulder")) / arm
    assert reach["short"] < 0.5
    assert reach["long"] > 0.85


def test_sleeveless_garments_get_no_sleeves() -> None:
    labels, pose = person()
    placed = fit(flat("none"), "none", labels, pose)
    assert not placed.sleeves
    assert np.allclose(placed.target[CO], placed.target[S]) and np.allclose(placed.target[CI], placed.target[A])


def test_hem_follows_the_worn_one_but_not_without_end() -> None:
    labels, pose = person()
    worn_bottom = np.flatnonzero((labels == 3)[:, 150]).max()
    assert abs(fit(flat("long"), "long", labels, pose).target[HEM, 1] - worn_bottom) < 8
    coat = labels.copy()
    coat[: int(0.97 * 400)][coat[: int(0.97 * 400)] == 4] = 3
    short = fit(flat("long", length=0.9), "long", coat, pose)
    centre = similarity_frame(short.target)[0]
    natural = 0.9 * np.linalg.norm(short.target[RIGHT + S] - short.target[S])
    torso = pose.point("right_hip")[1] - pose.point("right_shoulder")[1]
    assert short.target[HEM, 1] - centre[1] < 1.15 * max(STRETCH * natural, 1.2 * torso)
    assert "fit.shorter-than-worn" in [f.code for f in short.findings]


def test_wild_joints_are_replaced() -> None:
    labels, pose = person()
    xy = pose.xy.copy()
    xy[COCO_NAMES.index("left_wrist")] = pose.point("nose")
    xy[COCO_NAMES.index("left_elbow")] = [5, 5]
    xy[COCO_NAMES.index("right_shoulder")] += [90, 60]
    worn = worn_garment(labels)
    assert worn is not None
    body = read_body(worn, dataclasses.replace(pose, xy=xy))
    shoulders = worn.to_picture(body.shoulders)
    assert np.linalg.norm(shoulders[0] - pose.point("right_shoulder")) < 0.35 * 60
    wrist = worn.to_picture(body.wrists)[1]
    assert wrist[1] > pose.point("left_shoulder")[1] and wrist[0] > 150
    assert {"right elbow", "right wrist"} <= set(body.guessed)
    target = fit(flat("long"), "long", labels, dataclasses.replace(pose, xy=xy)).target
    assert (target[:, 1] > pose.point("nose")[1]).all()


def test_swapped_sides_are_sorted_by_where_they_are() -> None:
    labels, pose = person()
    order = [
        COCO_NAMES.index(n.replace("left", "#").replace("right", "left").replace("#", "right")) for n in COCO_NAMES
    ]
    swapped = dataclasses.replace(pose, xy=pose.xy[order], score=pose.score[order])
    a, b = (fit(flat("long"), "long", labels, p).target for p in (pose, swapped))
    assert np.abs(a - b).max() < 1e-3


def test_size_of_the_photo_does_not_matter() -> None:
    labels, pose = person(size=(400, 300))
    big = cv2.resize(labels, (900, 1200), interpolation=cv2.INTER_NEAREST)
    larger = dataclasses.replace(pose, xy=((pose.xy + 0.5) * 3 - 0.5).astype(np.float32))
    small = fit(flat("long"), "long", labels, pose)
    large = fit(flat("long"), "long", big, larger)
    assert np.abs((large.target + 0.5) / 3 - 0.5 - small.target).max() < 0.06 * small.unit
    assert large.unit == pytest.approx(3 * small.unit, rel=0.03)


def test_nobody_dressed_is_an_input_error() -> None:
    labels, pose = person()
    labels[labels == 3] = 0
    with pytest.raises(InputError) as caught:
        fit(flat("long"), "long", labels, pose)
    assert caught.value.code == "fit.no-garment-worn"


def test_unwarped_garment_lies_on_the_outline_and_goes_back() -> None:
    labels, pose = person(size=(800, 600))
    y, x = np.mgrid[:800, :600]
    photo = np.stack([128 + 100 * np.sin(x / 40), 128 + 100 * np.cos(y / 50), 100 + 0 * x], -1).astype(np.uint8)
    points = framed(flat("long"), (512, 384))
    made = unwarp(photo, labels, pose, points, (512, 384), sleeve="long")
    assert made.sleeve == "long" and made.image.shape == (512, 384, 3)
    shape = np.zeros((512, 384), np.uint8)
    for polygon in silhouettes.outline(points.astype(np.float64))[0]:
        cv2.fillPoly(shape, [np.int32(np.round(polygon))], 255)
    assert iou(made.mask > 0, shape > 0) > 0.85
    assert (made.image[made.mask == 0] == 255).all()
    back = warp(made.image, made.mask, made.points, made.fit.target, labels.shape)
    both = (back.alpha > 0.99) & (labels == 3)
    assert both.sum() > 0.75 * (labels == 3).sum()
    assert np.abs(back.rgb * 255 - photo)[both].mean() < 6


def test_unwarping_a_short_sleeve_to_a_long_outline_cuts_the_outline() -> None:
    labels, pose = person(size=(800, 600), sleeve="short")
    points = framed(flat("long"), (512, 384))
    made = unwarp(np.full((800, 600, 3), 90, np.uint8), labels, pose, points, (512, 384), sleeve="long")
    assert made.sleeve == "short"
    before, after = (np.linalg.norm((p[CO] + p[CI] - p[S] - p[A]) / 2) for p in (points, made.points))
    assert after < 0.6 * before
    assert np.array_equal(cut_sleeves(points, "short", "long"), points)


def test_sleeves_follow_the_picture_where_the_pose_misses_the_arms() -> None:
    labels, pose = person()
    wrong = pose.xy.copy()
    for side, inward in (("left", -1), ("right", 1)):  # a weak pose draws all joints to the middle
        for joint, by in (("elbow", 40), ("wrist", 45)):
            wrong[COCO_NAMES.index(f"{side}_{joint}"), 0] += inward * by
    placed = fit(flat("long"), "long", labels, dataclasses.replace(pose, xy=wrong))
    for joint, found in (("elbow", placed.elbows), ("wrist", placed.wrists)):
        for side, at in zip(("right", "left"), found, strict=True):
            assert np.linalg.norm(at - pose.point(f"{side}_{joint}")) < 0.3 * placed.unit, (side, joint)


@pytest.mark.parametrize("score", (0.1, 0.9))
def test_arms_before_the_body_are_where_the_pose_says(score: float) -> None:
    labels, pose = arms_crossed()
    placed = fit(flat("long"), "long", labels, dataclasses.replace(pose, score=np.full(17, score, np.float32)))
    assert np.abs(placed.elbows - [[132, 178], [168, 178]]).max() < 0.5 * placed.unit


def arms_crossed() -> tuple[np.ndarray, Pose]:
    """Somebody whose forearms cross before the trunk, and nothing beside it."""
    labels, pose = person()
    x = np.abs(np.arange(labels.shape[1]) - labels.shape[1] / 2)
    labels[(labels == 3) & (x > 38)[None]] = 0
    labels[labels == 2] = 0
    xy = pose.xy.copy()
    for side, at in (("left", (168, 178)), ("right", (132, 178))):
        xy[COCO_NAMES.index(f"{side}_elbow")] = at
        xy[COCO_NAMES.index(f"{side}_wrist")] = 300 - at[0], at[1] + 30
    return labels, dataclasses.replace(pose, xy=xy)


def test_a_long_sleeve_hangs_behind_the_trunk_unless_its_hand_is_seen_before_it() -> None:
    labels, pose = person()
    assert fit(flat("long"), "long", labels, pose).behind == (True, True)
    assert fit(flat("short"), "short", labels, pose).behind == (False, False)
    labels, pose = arms_crossed()
    xy = pose.xy.copy()
    xy[[COCO_NAMES.index("left_wrist"), COCO_NAMES.index("right_wrist")]] = 150, 208
    pose = dataclasses.replace(pose, xy=xy, score=np.full(17, 0.9, np.float32))
    assert fit(flat("long"), "long", labels, pose).behind == (True, True)
    labels[202:216, 143:157] = 2
    assert fit(flat("long"), "long", labels, pose).behind == (False, False)


@pytest.mark.parametrize("sleeve", ("short", "long"))
def test_wide_flat_cuffs_are_no_wings(sleeve: str) -> None:
    labels, pose = person(sleeve=sleeve)
    points = flat(sleeve)
    for first in (0, RIGHT):
        middle = (points[first + CO] + points[first + CI]) / 2
        points[first + CO] = middle + 2.5 * (points[first + CO] - middle)
        points[first + CI] = middle + 2.5 * (points[first + CI] - middle)
    placed = fit(points, sleeve, labels, pose)
    mask = drawn(points, (700, 700))
    laid = warp(np.zeros((*mask.shape, 3), np.uint8), mask, points, placed.target, labels.shape)
    sleeves = laid.parts > 1
    assert sleeves.sum() > 0.3 * (sleeves | (laid.parts > 0)).sum() * (0.3 if sleeve == "short" else 1)
    assert (sleeves & (labels == 0)).sum() < 0.1 * sleeves.sum()


@pytest.mark.parametrize("reach", (0.12, 0.2, 0.4))
def test_short_sleeves_do_not_turn_over_at_the_armpit(reach: float) -> None:
    labels, pose = person(sleeve="short")
    points = flat("short")
    for first in (0, RIGHT):
        for outer, inner in ((EO, EI), (CO, CI)):
            share = reach * (1.0 if outer == CO else 0.5)
            along = np.array([-120.0 if first == 0 else 120.0, 160.0]) * share
            points[first + outer], points[first + inner] = points[first + S] + along, points[first + A] + along
    target = fit(points, "short", labels, pose).target
    assert folded_share(sleeve_grid(target, 0)) == folded_share(sleeve_grid(target, RIGHT)) == 0


def test_hem_meets_the_worn_one_down_to_mid_thigh_and_behind_a_bag() -> None:
    labels, pose = person()
    shoulder, hip = pose.point("right_shoulder")[1], pose.point("right_hip")[1]
    bottom = int(shoulder + 1.27 * (hip - shoulder))
    labels[:bottom][labels[:bottom] == 4] = 3
    labels[int(hip) - 35 : int(hip) - 15, 100:200][labels[int(hip) - 35 : int(hip) - 15, 100:200] == 3] = BAG
    assert abs(fit(flat("long", length=1.2), "long", labels, pose).target[HEM, 1] - bottom) < 8


def test_a_stray_patch_of_skin_does_not_shorten_the_worn_sleeve() -> None:
    labels, pose = person(sleeve="long")
    for side in ("left", "right"):
        x, y = (0.75 * pose.point(f"{side}_shoulder") + 0.25 * pose.point(f"{side}_elbow")).astype(int)
        cv2.circle(labels, (int(x), int(y)), 7, 2, -1)
    assert worn_sleeve(labels, pose) == "long"
