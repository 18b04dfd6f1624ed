"""Clouds held to outlines: true clouds stay, strays come home, gaps fill, cameras are found."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pipelines.diffpoint.silhouettes import BEGIN, Held, Outline, adjusted, misfit, pulled, seen
from pipelines.synthetic.objects import Camera, Object, picture, sample_object, surface

SIZE = 128
CAMERA = Camera(40.0, 25.0, 2.2)


@pytest.fixture(scope="module")
def car() -> Object:
    return sample_object(np.random.default_rng(5), "car")


def cloud(shape: Object, count: int = 2000) -> np.ndarray:
    return surface(shape, np.random.default_rng(1), count)[0]


def outline(shape: Object, camera: Camera = CAMERA) -> Outline:
    return Outline.of(picture(shape, camera, SIZE)[1])


@pytest.mark.parametrize("category", ("car", "chair", "plane"))
@pytest.mark.parametrize("camera", (CAMERA, Camera(-120.0, -5.0, 1.6), Camera(150.0, 65.0, 3.4)))
def test_points_are_seen_where_the_picture_shows_them(category: str, camera: Camera) -> None:
    shape = sample_object(np.random.default_rng(5), category)
    found = outline(shape, camera)
    points = cloud(shape)
    at = np.rint(seen(points, camera, SIZE).places).astype(int)
    away = found.away[at[:, 1].clip(0, SIZE - 1), at[:, 0].clip(0, SIZE - 1)]
    assert (away <= 4).mean() > 0.97  # the frame leaves out the ends of legs and wings, where few points lie
    mirrored = replace(camera, azimuth=-camera.azimuth)
    assert misfit(points, camera, found) < 0.7 * misfit(points, mirrored, found)


def test_a_true_cloud_hardly_moves(car: Object) -> None:
    points = cloud(car)
    moved = pulled(points, [(outline(car), CAMERA)], 0.5)
    assert np.linalg.norm(moved - points, axis=1).mean() < 0.002


def test_what_lies_outside_comes_to_the_border_across_the_line_of_sight(car: Object) -> None:
    points, view = cloud(car), outline(car)
    blown = points.copy()
    blown[::20, 1] += 0.15  # a twentieth of the car floats above it
    moved = pulled(blown, [(view, CAMERA)], 1.0)
    assert misfit(moved, CAMERA, view) < 0.5 * misfit(blown, CAMERA, view)
    depth = (moved - blown) @ CAMERA.axes[2]
    assert np.abs(depth).max() < 1e-9 and np.linalg.norm(moved - blown, axis=1).max() > 0.05


def test_points_go_where_a_part_is_missing() -> None:
    shape = sample_object(np.random.default_rng(3), "table")
    camera = Camera(30.0, 10.0, 2.5)
    points, view = cloud(shape), outline(shape, camera)
    cut = points[points[:, 1] > points[:, 1].min() + 0.35 * np.ptp(points[:, 1])]
    cut = np.concatenate([cut, [points[points[:, 1].argmin()]]])  # one foot keeps the frame
    before = misfit(cut, camera, view)
    for _ in range(6):
        cut = pulled(cut, [(view, camera)], 0.5)
    assert misfit(cut, camera, view) < 0.7 * before


def test_two_pictures_move_a_point_by_the_mean_of_what_they_ask(car: Object) -> None:
    points = cloud(car) * [1, 1.3, 1]
    other = Camera(130.0, 25.0, 2.2)
    both = [(outline(car), CAMERA), (outline(car, other), other)]
    one, two = (pulled(points, [view], 1.0) - points for view in both)
    moved = pulled(points, both, 1.0) - points
    asked = (np.abs(one).max(1) > 0).astype(int) + (np.abs(two).max(1) > 0)
    assert moved == pytest.approx((one + two) / np.maximum(asked, 1)[:, None])


def test_the_camera_is_found_among_answers_that_are_some_degrees_off(car: Object) -> None:
    points = cloud(car, 512)
    answers = [Camera(40.0 + off, 25.0 - 6, 2.6) for off in (185.0, 95.0, 12.0)]
    found = adjusted(points, outline(car), [(answer, 0.0) for answer in answers])
    assert np.degrees(np.arccos(found.axes[2] @ CAMERA.axes[2])) < 5
    dear = adjusted(points, outline(car), [(answers[0], 0.0), (answers[2], 1000.0)])
    assert abs(dear.azimuth - answers[0].azimuth) <= 20
    assert adjusted(points, outline(car), [(answers[0], 0.0)]) == answers[0]


def test_clouds_are_held_once_they_have_a_shape(car: Object) -> None:
    near = replace(CAMERA, azimuth=CAMERA.azimuth + 8)
    held = Held([[outline(car)]], [[[(near, 0.0), (Camera(220.0, 25.0, 2.2), 0.0)]]])
    places = torch.from_numpy(cloud(car) + np.random.default_rng(2).normal(size=(2000, 3)) * 0.03).float()[None]
    assert held(BEGIN / 2, places) is places and not held.cameras
    moved = held(BEGIN, places)
    assert moved.shape == places.shape and moved.dtype == torch.float32 and not torch.equal(moved, places)
    first = held.cameras
    held(0.9, moved)
    assert held.cameras is first and abs(first[0][0].azimuth - CAMERA.azimuth) < 8
    again = held.again(apart=True)
    both = again(0.9, torch.cat([places, places]))
    assert again.cameras == [first[0], first[0]] and torch.allclose(both[0], both[1])


def test_an_outline_of_one_pixel_and_of_the_whole_picture_ask_for_nothing_odd() -> None:
    points = np.random.default_rng(0).normal(size=(300, 3)) * 0.3
    for cover in (np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8)):
        cv2.circle(cover, (30, 20), 0, 255, -1)
        moved = pulled(points, [(Outline.of(cover), CAMERA)], 1.0)
        assert np.isfinite(moved).all() and np.abs(moved).max() < 3
