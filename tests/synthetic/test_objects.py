"""Objects: closed pieces, points on the surface alone, pictures that show what the points say, and a fixed set."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.synthetic import objects
from pipelines.synthetic.object_parts import block, rod, slab, tube, turn_about, turned
from pipelines.synthetic.objects import CATEGORIES, HELD_OUT, Camera, picture, sample_camera, sample_object, surface

GREY = (0.5, 0.5, 0.5)
PIECES = {
    "block": block((0, 0, 0), (1, 2, 3), GREY, (0.5, 0.2)),
    "turned": turned([(0, 0), (1, 0), (0.5, 2), (0, 2)], GREY),
    "rod": rod((0, 0, 0), (1, 1, 0), 0.1, GREY),
    "tube": tube(np.stack([np.linspace(0, 1, 6), np.zeros(6), np.linspace(0, 1, 6) ** 2], 1), 0.1, GREY),
    "slab": slab([(-1, 0), (1, 0), (0.5, 1), (-0.5, 1)], 0.4, GREY, narrower=0.7),
}


def volume(part: objects.Part) -> float:
    a, b, c = (part.vertices[part.faces[:, corner]] for corner in range(3))
    return float((np.cross(a, b) * c).sum() / 6)


@pytest.mark.parametrize("name", PIECES)
def test_pieces_are_closed_and_face_outwards(name: str) -> None:
    part = PIECES[name]
    _, same = np.unique(np.round(part.vertices, 9), axis=0, return_inverse=True)
    faces = same.reshape(-1)[part.faces]
    faces = faces[(faces != np.roll(faces, 1, 1)).all(1)]  # the tip of a profile has faces without a surface
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there = {tuple(edge) for edge in edges.tolist()}
    assert len(there) == len(edges) and all((b, a) in there for a, b in there)
    assert volume(part) > 0
    assert volume(part.mirrored()) == pytest.approx(volume(part))
    assert volume(part.moved(turn_about(1, 0.7), (1, 2, 3))) == pytest.approx(volume(part))


def test_a_block_knows_its_inside() -> None:
    part = block((0, 0, 0), (1, 1, 1), GREY)
    points = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.0], [1.5, 0.5, 0.5], [0.01, 0.99, 0.5]])
    assert part.inside(points).tolist() == [True, False, False, True]


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_fill_their_box_and_show_no_hidden_point(category: str) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        shape = sample_object(rng, category)
        corners = shape.soup[0].reshape(-1, 3)
        assert np.abs(corners.min(0) + corners.max(0)).max() < 1e-9 and np.ptp(corners, axis=0).max() == pytest.approx(
            1
        )
        points, normals, colours = surface(shape, rng, 700)
        assert points.shape == normals.shape == colours.shape == (700, 3)
        assert np.abs(points).max() <= 0.5 + 1e-9
        assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(700))
        assert colours.min() >= 0 and colours.max() <= 1
        hidden = np.stack([part.inside(points) for part in shape.parts])
        assert not hidden.any()


def test_points_lie_evenly() -> None:
    shape = objects.Object("table", (block((-0.5, -0.25, -0.5), (0.5, 0.25, 0.5), GREY),))
    points, normals, _ = surface(shape, np.random.default_rng(0), 20_000)
    assert np.mean(normals[:, 1] > 0.99) == pytest.approx(1 / 4, abs=0.01)  # of an area of 4, the top has 1
    assert np.mean(points[:, 0] > 0) == pytest.approx(0.5, abs=0.015)


def test_pictures_show_points_where_the_camera_says() -> None:
    for seed, category in enumerate(CATEGORIES):
        rng = np.random.default_rng(seed)
        shape, camera = sample_object(rng, category), sample_camera(rng)
        colours, mask = picture(shape, camera, 96)
        assert colours.shape == (96, 96, 3) and mask.shape == (96, 96)
        points, _, _ = surface(shape, rng, 3000)
        seen = points @ camera.axes.T
        flat = seen[:, :2] / (camera.distance - seen[:, 2:])
        corners = shape.soup[0].reshape(-1, 3) @ camera.axes.T
        all_flat = corners[:, :2] / (camera.distance - corners[:, 2:])
        low, high = all_flat.min(0), all_flat.max(0)
        place = (flat - (low + high) / 2) * [1, -1] * 96 * (1 - 2 * objects.MARGIN) / (high - low).max() + 48
        inside = mask[tuple(np.clip(place.astype(int), 0, 95).T[::-1])] > 0
        assert inside.mean() > 0.97, category
        shown = np.zeros((96, 96), bool)
        shown[tuple(np.clip(place.astype(int), 0, 95).T[::-1])] = True
        import cv2

        near = cv2.dilate(shown.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert (near | (mask < 128)).mean() > 0.97, category


def test_the_camera_looks_from_where_it_says() -> None:
    for azimuth, elevation, expected in ((0, 0, (0, 0, 1)), (90, 0, (1, 0, 0)), (0, 90, (0, 1, 0))):
        axes = Camera(azimuth, elevation, 2.0).axes
        assert axes[2] == pytest.approx(np.array(expected), abs=1e-12)
        assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12) and np.linalg.det(axes) == pytest.approx(1)


def test_what_is_nearer_hides_what_is_behind() -> None:
    red, blue = (
        block((-0.2, -0.2, 0.3), (0.2, 0.2, 0.5), (1, 0, 0)),
        block((-0.5, -0.5, -0.5), (0.5, 0.5, -0.3), (0, 0, 1)),
    )
    shape = objects.Object("table", (red, blue))
    for azimuth, nearer in ((0, 0), (180, 2)):
        colours, _ = picture(shape, Camera(azimuth, 0, 2.5), 64)
        assert colours[32, 32].argmax() == nearer


def test_the_held_out_category_is_never_drawn_by_chance() -> None:
    rng = np.random.default_rng(0)
    drawn = {sample_object(rng).category for _ in range(300)}
    assert drawn == set(CATEGORIES) - {HELD_OUT}
    with pytest.raises(InputError) as caught:
        sample_object(rng, "boat")
    assert caught.value.code == "object.category"


def test_the_evaluation_set_is_the_one_that_was_fixed() -> None:
    items = objects.evaluation_set()
    assert len(items) == objects.EVALUATION_COUNT
    assert {shape.category for shape, _ in items} == set(CATEGORIES)
    assert objects.fingerprint(items) == objects.EVALUATION_SHA256
