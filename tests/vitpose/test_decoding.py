"""Crops and decoding, against positions that are known exactly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipelines.core.types import Box
from pipelines.vitpose import decoding
from pipelines.vitpose.decoding import BODY25_NAMES, COCO_FLIP, COCO_NAMES

SIZE = (256, 192)
MAP = (64, 48)


def gaussians(xy: np.ndarray, sigma: float = 2.0) -> np.ndarray:
    """(K, 2) heat-map positions -> (1, K, 64, 48) exact Gaussians."""
    rows, columns = np.mgrid[: MAP[0], : MAP[1]]
    squared = (columns - xy[:, 0, None, None]) ** 2 + (rows - xy[:, 1, None, None]) ** 2
    return np.exp(-squared / (2 * sigma**2)).astype(np.float32)[None]


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_exact_gaussians_are_found_within_a_twentieth_of_a_pixel(sigma: float) -> None:
    rng = np.random.default_rng(0)
    # Away from the border, where the blur mirrors half of the Gaussian.
    truth = rng.uniform([8, 8], [MAP[1] - 9, MAP[0] - 9], (50, 2)).astype(np.float32)
    peaks, score = decoding.argmax_keypoints(gaussians(truth, sigma))
    refined = decoding.refine_dark(peaks, gaussians(truth, sigma))[0]
    assert np.abs(refined - truth).max() < 0.05
    assert np.abs(peaks[0] - truth).max() > 0.4, "the peaks alone must not pass"
    assert (score > 0.8).all() and (score <= 1).all()


def test_the_whole_way_back_to_the_picture() -> None:
    box = Box(100, 50, 200, 400)
    centre, scale = decoding.box_to_centre_scale(box, SIZE)
    matrix = decoding.udp_matrix(centre, scale, SIZE)
    truth = np.array([[150.0, 120.0], [200.3, 260.8], [251.5, 399.2]], np.float32)
    in_crop = truth @ matrix[:, :2].T + matrix[:, 2]
    in_map = in_crop * (np.array(MAP[::-1]) - 1) / (np.array(SIZE[::-1]) - 1)
    found, _ = decoding.decode_udp(gaussians(in_map.astype(np.float32)), centre[None], scale[None])
    # A heat-map pixel is about ten picture pixels here.
    assert np.abs(found[0] - truth).max() < 0.05 * 400 * 1.25 / MAP[0]


def test_udp_crop_puts_the_box_corners_on_the_outermost_pixel_centres() -> None:
    centre, scale = decoding.box_to_centre_scale(Box(10, 20, 96, 128), SIZE)
    assert centre.tolist() == [58, 84] and np.allclose(scale * 200, [96 * 1.25, 128 * 1.25])
    matrix = decoding.udp_matrix(centre, scale, SIZE)
    corners = np.array([centre - scale * 100, centre + scale * 100]) @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(corners - [[0, 0], [SIZE[1] - 1, SIZE[0] - 1]]).max() < 1e-3
    classic = decoding.classic_matrix(centre, scale, SIZE)
    corners = np.array([centre - scale * 100, centre + scale * 100]) @ classic[:, :2].T + classic[:, 2]
    assert np.abs(corners - [[0, 0], [SIZE[1], SIZE[0]]]).max() < 1e-3


@pytest.mark.parametrize(("w", "h"), [(300, 10), (10, 300), (96, 128)])
def test_boxes_are_widened_to_the_networks_shape_and_never_cut(w: float, h: float) -> None:
    _, scale = decoding.box_to_centre_scale(Box(0, 0, w, h), SIZE)
    size = scale * 200 / 1.25
    assert size[0] >= w - 1e-3 and size[1] >= h - 1e-3
    assert abs(size[0] / size[1] - SIZE[1] / SIZE[0]) < 1e-5
    assert np.isclose(size[0], w) or np.isclose(size[1], h)


@pytest.mark.parametrize("make", [decoding.udp_matrix, decoding.classic_matrix])
def test_turning_keeps_the_centre_and_turns_by_the_angle(make: object) -> None:
    centre, scale = np.float32([80, 90]), np.float32([0.75, 1.0])
    straight, turned = make(centre, scale, SIZE), make(centre, scale, SIZE, 90.0)  # type: ignore[operator]
    middle = straight[:, :2] @ centre + straight[:, 2]
    assert np.allclose(turned[:, :2] @ centre + turned[:, 2], middle, atol=0.6)
    right = turned[:, :2] @ np.array([1.0, 0.0])
    assert abs(right[0]) < 1e-5 and abs(abs(right[1]) - straight[1, 1]) < 1e-5


def test_quarter_pixel_decoding_moves_towards_the_truth_and_not_at_the_border() -> None:
    truth = np.float32([[20.3, 30.4], [20.7, 30.6], [0.4, 30.3], [46.9, 62.8]])
    maps = gaussians(truth)
    peaks, _ = decoding.argmax_keypoints(maps)
    moved = decoding.refine_quarter(peaks, maps)
    assert moved[0].tolist() == [[20.25, 30.25], [20.75, 30.75], [0, 30], [47, 63]]
    assert peaks[0, 0].tolist() == [20, 30], "the input must not be changed"


def test_an_empty_map_is_not_found_and_disturbs_no_other() -> None:
    maps = gaussians(np.float32([[20.3, 30.4], [10.0, 10.0], [30.2, 20.1]]))
    alone = decoding.decode_udp(maps, np.float32([[100, 100]]), np.float32([[1, 1.333]]))[0]
    maps[0, 1] = 0
    found, score = decoding.decode_udp(maps, np.float32([[100, 100]]), np.float32([[1, 1.333]]))
    assert score[0, 1] <= 0 and np.isfinite(found).all()
    assert np.array_equal(found[0, [0, 2]], alone[0, [0, 2]])


def test_decoding_commutes_with_flipping() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform([10, 10], [MAP[1] - 11, MAP[0] - 11], (17, 2)).astype(np.float32)
    maps = gaussians(truth)
    mirrored = np.ascontiguousarray(maps[:, list(COCO_FLIP), :, ::-1])
    peaks, flipped = decoding.argmax_keypoints(maps)[0], decoding.argmax_keypoints(mirrored)[0]
    straight, back = decoding.refine_dark(peaks, maps)[0], decoding.refine_dark(flipped, mirrored)[0]
    back[:, 0] = MAP[1] - 1 - back[:, 0]
    assert np.abs(straight - back[list(COCO_FLIP)]).max() < 1e-3


def test_flip_order_swaps_sides_and_undoes_itself() -> None:
    assert [COCO_FLIP[i] for i in COCO_FLIP] == list(range(17))
    swap = {"left": "right", "right": "left"}
    for index, name in enumerate(COCO_NAMES):
        side, _, rest = name.partition("_")
        assert COCO_NAMES[COCO_FLIP[index]] == (f"{swap[side]}_{rest}" if side in swap else name)


def test_body25_takes_every_joint_of_its_name_and_builds_neck_and_hip() -> None:
    xy = np.arange(34, dtype=np.float32).reshape(17, 2) + 10
    score = np.linspace(0.3, 0.9, 17).astype(np.float32)
    found, sure = decoding.coco_to_body25(xy, score)
    assert found.shape == (25, 2)
    for index, name in enumerate(BODY25_NAMES):
        if name in COCO_NAMES:
            assert (
                np.array_equal(found[index], xy[COCO_NAMES.index(name)])
                and sure[index] == score[COCO_NAMES.index(name)]
            )
    shoulders = [COCO_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]
    hips = [COCO_NAMES.index(f"{side}_hip") for side in ("left", "right")]
    assert np.allclose(found[1], xy[shoulders].mean(0)) and sure[1] == score[shoulders].min()
    assert np.allclose(found[8], xy[hips].mean(0)) and sure[8] == score[hips].min()
    assert (found[19:] == 0).all() and (sure[19:] == 0).all()
    # OpenPose's own order, by number, as VITON-HD reads it.
    expected = {
        2: "right_shoulder",
        4: "right_wrist",
        5: "left_shoulder",
        7: "left_wrist",
        9: "right_hip",
        12: "left_hip",
    }
    assert {index: BODY25_NAMES[index] for index in expected} == expected


def test_body25_marks_what_was_not_found_with_the_origin() -> None:
    score = np.ones(17, np.float32)
    score[[5, 9]] = 0
    found, sure = decoding.coco_to_body25(np.full((17, 2), 7, np.float32), score)
    for name in ("left_shoulder", "left_wrist", "neck"):
        index = BODY25_NAMES.index(name)
        assert found[index].tolist() == [0, 0] and sure[index] == 0


def test_crop_copies_pixels_and_is_black_outside() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (256, 192, 3), np.uint8)
    same = decoding.crop(picture, np.float32([[1, 0, 0], [0, 1, 0]]), SIZE)
    assert np.array_equal(same, picture)
    moved = decoding.crop(picture, np.float32([[1, 0, 50], [0, 1, 0]]), SIZE)
    assert (moved[:, :50] == 0).all() and np.array_equal(moved[:, 50:], picture[:, :142])


def test_transformers_blur_is_another_one() -> None:
    rng = np.random.default_rng(0)
    maps = gaussians(np.float32([[20.3, 30.4]])) + 0.03 * rng.random((1, 1, *MAP)).astype(np.float32)
    peaks, _ = decoding.argmax_keypoints(maps)
    ours = decoding.refine_dark(peaks, maps)
    theirs = decoding.refine_dark(peaks, maps, sigma=0.8, border=cv2.BORDER_REFLECT)
    assert 1e-4 < np.abs(ours - theirs).max() < 1
