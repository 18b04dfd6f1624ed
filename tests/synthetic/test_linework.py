"""Drawn lines are those that sight lines, cast one by one, find visible; a hand moves them and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.synthetic.building_parts import Rect, box, dome, extruded, regular
from pipelines.synthetic.buildings import FAMILIES, Building, sample_building
from pipelines.synthetic.hidden_lines import (
    blocked_by_parts,
    drawn_edges,
    hides_a_wing,
    visible_runs,
)
from pipelines.synthetic.linework import (
    CLEAN,
    Camera,
    draw,
    draw_placed,
    in_frame,
    lines,
    on_paper,
    sample_camera,
    sample_hand,
    sample_view,
)
from pipelines.synthetic.strokes import joined, resampled

CORNER = Camera(40, 25, 35)


def block(x0: float, x1: float, y0: float, y1: float, z0: float, z1: float):
    return box(Rect(x0, x1, z0, z1), y0, y1)


def stands_before(points: np.ndarray, eye: np.ndarray, mesh: Mesh) -> np.ndarray:
    """Whether a triangle cuts the way from each point to the eye: Moeller and Trumbore's test, every pair."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]][None] for i in range(3))
    ray = (eye - points)[:, None]
    side = np.cross(ray, c - a)
    det = (side * (b - a)).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        from_a = points[:, None] - a
        u = (from_a * side).sum(-1) / det
        across = np.cross(from_a, b - a)
        v = (ray * across).sum(-1) / det
        t = ((c - a) * across).sum(-1) / det
        hit = (np.abs(det) > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-5) & (t < 1)
    return hit.any(1)


def test_a_box_shows_nine_edges_and_seven_corners() -> None:
    cube = Building("slab", (block(-0.5, 0.5, -0.5, 0.5, -0.5, 0.5),))
    ends, is_mark = lines(cube, CORNER)
    assert ends.shape == (9, 2, 2) and not is_mark.any()
    corners = np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, -1).T
    hidden = (corners == -0.5).all(1)
    seen = np.unique(np.round(ends.reshape(-1, 2), 6), axis=0)
    expected = np.unique(np.round(CORNER.project(corners[~hidden]), 6), axis=0)
    np.testing.assert_allclose(seen, expected, atol=2e-6)


def test_a_round_tower_shows_no_facets() -> None:
    drum = Building("rounded", (extruded(regular(0, 0, 0.3, 20), -0.5, 0.5),))
    ends, _ = lines(drum, CORNER)
    upright = np.abs(ends[:, 0, 0] - ends[:, 1, 0]) < 0.2 * np.abs(ends[:, 0, 1] - ends[:, 1, 1])
    assert (upright & (np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) > 0.5)).sum() == 2
    assert len(joined(ends)) <= 4


@pytest.mark.parametrize("family", ["u-plan", "house", "court", "church", "bent"])
def test_hidden_lines_are_those_that_sight_lines_miss(family: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        building, camera = sample_building(rng, family), sample_camera(rng)
        eye, mesh = camera.eye, building.mesh()
        edges = drawn_edges(mesh, eye)
        runs, edge = visible_runs(edges, eye, blocked_by_parts(building))
        span = edges.ends[:, 1] - edges.ends[:, 0]
        long = np.flatnonzero(np.linalg.norm(span, axis=1) > 0.05)
        share = np.linspace(0.03, 0.97, 41)
        points = edges.ends[long, None, 0] + share[None, :, None] * span[long, None] + 2e-3 * edges.out[long, None]
        towards = (eye - points) / np.linalg.norm(eye - points, axis=2, keepdims=True)
        cast = ~stands_before((points + 3e-3 * towards).reshape(-1, 3), eye, mesh).reshape(len(long), -1)
        told = np.zeros_like(cast)
        clear = np.ones_like(cast)
        for run, on in zip(runs, edge, strict=True):
            rows = long == on
            if rows.any():
                limits = ((run - edges.ends[on, 0]) @ span[on]) / (span[on] @ span[on])
                told[rows] |= (share >= limits[0]) & (share <= limits[1])
                clear[rows] &= np.abs(share[:, None] - limits).min(1) > 0.02
        assert (told == cast)[clear].mean() > 0.99


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_and_mesh_are_drawn_alike(family: str) -> None:
    pytest.importorskip("open3d", reason="open3d has no wheel here")
    for seed in range(2):
        rng = np.random.default_rng(seed)
        building = sample_building(rng, family)
        camera = sample_view(building, rng)
        one, other = (draw(what, camera, CLEAN, rng).astype(int) for what in (building, building.mesh()))
        assert (np.abs(one - other) > 128).mean() < 0.004


def test_a_mesh_with_a_vertex_to_every_corner_is_drawn_alike() -> None:
    pytest.importorskip("open3d", reason="open3d has no wheel here")
    mesh = sample_building(np.random.default_rng(3), "l-plan").mesh()
    soup = Mesh(mesh.vertices[mesh.faces.reshape(-1)], np.arange(mesh.faces.size).reshape(-1, 3))
    moved = in_frame(Mesh(soup.vertices * 37 + 12, soup.faces))
    np.testing.assert_allclose(moved.vertices, soup.vertices, atol=1e-12)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(draw(soup, CORNER, CLEAN, rng), draw(mesh, CORNER, CLEAN, rng))


def test_mirror_image() -> None:
    """x and z exchanged, and the camera with them: the picture is mirrored."""
    swap = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
    for family in ("t-plan", "church", "polygon"):
        rng = np.random.default_rng(5)
        building, camera = sample_building(rng, family), sample_camera(rng)
        other = Building(family, tuple(part.placed(swap, np.zeros(3), 1.0) for part in building.parts))
        picture = draw(building, camera, CLEAN, rng).astype(int)
        mirrored = draw(other, replace(camera, azimuth=90 - camera.azimuth), CLEAN, rng).astype(int)
        assert (np.abs(picture - mirrored[:, ::-1]) > 96).mean() < 0.004
        assert (np.abs(picture - mirrored) > 96).mean() > 0.01


def test_upright_pictures_keep_verticals_parallel() -> None:
    post = np.array([[[0.4, -0.5, 0.3], [0.4, 0.5, 0.3]], [[-0.4, -0.5, -0.2], [-0.4, 0.5, -0.2]]])
    upright, tilted = Camera(30, 20, 50, upright=True).project(post), Camera(30, 20, 50).project(post)
    np.testing.assert_allclose(upright[:, 0, 0], upright[:, 1, 0], atol=1e-12)
    assert np.abs(tilted[:, 0, 0] - tilted[:, 1, 0]).min() > 0.01
    far = Camera(30, 20, 1).project(post)
    assert np.abs(far[:, 0, 0] - far[:, 1, 0]).max() < 0.01


@pytest.mark.parametrize("level", [0, 1, 2])
def test_drawings_fill_their_square_and_repeat_by_seed(level: int) -> None:
    for seed in range(12):
        pictures = []
        for _ in range(2):
            rng = np.random.default_rng(seed)
            building = sample_building(rng)
            hand = sample_hand(rng, level)
            pictures.append(draw(building, sample_view(building, rng), hand, rng, size=96))
        np.testing.assert_array_equal(*pictures)
        picture = pictures[0]
        assert picture.shape == (96, 96) and picture.dtype == np.uint8
        rows, columns = np.nonzero(picture < 200)
        if level == 0:
            assert picture[[0, -1]].min() == 255 and picture[:, [0, -1]].min() == 255
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            assert abs(extent - 96 * (1 - 2 * CLEAN.margin)) <= 4  # half a pen on either side
            assert abs(rows.min() + rows.max() - 95) <= 2 and abs(columns.min() + columns.max() - 95) <= 2
        assert 0.005 < (picture < 200).mean() < 0.6


def test_a_wobbling_hand_stays_near_the_clean_lines() -> None:
    cv2 = pytest.importorskip("cv2")
    building = sample_building(np.random.default_rng(2), "setback")
    clean = draw(building, CORNER, CLEAN, np.random.default_rng(0))
    shaky = draw(building, CORNER, replace(CLEAN, jitter=0.005, wobble=0.005), np.random.default_rng(1))
    assert (clean != shaky).mean() > 0.01
    away = cv2.distanceTransform((clean > 128).astype(np.uint8), cv2.DIST_L2, 5)
    assert away[shaky < 128].max() < 8


def test_windows_and_hatching_lie_on_walls_that_are_seen() -> None:
    cube = Building("slab", (block(-0.5, 0.5, -0.5, 0.5, -0.5, 0.5),))
    plain = draw(cube, CORNER, CLEAN, np.random.default_rng(0))
    for extra in (replace(CLEAN, windows=1.0), replace(CLEAN, hatching=True)):
        marked = draw(cube, CORNER, extra, np.random.default_rng(0))
        added = (plain > 200) & (marked < 128)
        assert added.sum() > 50
        # the roof is everything above the nearest upper corner and stays bare
        ends, _ = lines(cube, CORNER)
        assert (marked < 128).sum() > (plain < 128).sum() and added[: 128 // 5].sum() == 0 and len(ends) == 9


def test_a_building_without_walls_takes_windows() -> None:
    ball = Building("rounded", (dome(regular(0, 0, 0.5, 20), -0.25, -0.2, 0.45),))
    plain, marked = (
        draw(ball, CORNER, hand, np.random.default_rng(0)) for hand in (CLEAN, replace(CLEAN, windows=1.0))
    )
    np.testing.assert_array_equal(plain, marked)


def test_pieces_become_one_stroke() -> None:
    x = np.linspace(0, 1, 6)
    pieces = np.stack([np.stack([x[:-1], 0 * x[:-1]], 1), np.stack([x[1:], 0 * x[1:]], 1)], 1)
    pieces[2] = pieces[2, ::-1]
    (stroke,) = joined(pieces[np.random.default_rng(0).permutation(5)])
    np.testing.assert_allclose(np.sort(stroke[:, 0]), x, atol=1e-12)
    circle = regular(0, 0, 1, 24)
    (ring,) = joined(np.stack([circle, np.roll(circle, -1, 0)], 1))
    assert len(ring) == 25 and np.allclose(ring[0], ring[-1])
    square = regular(0, 0, 1, 4)
    assert len(joined(np.stack([square, np.roll(square, -1, 0)], 1))) == 4


def test_points_lie_evenly_along_strokes() -> None:
    straight, corner = np.array([[0.0, 0], [2, 0]]), np.array([[0.0, 0], [1, 0], [1, 1]])
    lines_, corners = resampled([straight, corner], 5)
    np.testing.assert_allclose(lines_, [[0, 0], [0.5, 0], [1, 0], [1.5, 0], [2, 0]])
    np.testing.assert_allclose(corners, [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]])


def test_a_wing_behind_a_wall_is_noticed() -> None:
    wall, shed = block(-0.5, 0.5, -0.5, 0.5, 0.3, 0.4), block(-0.2, 0.2, -0.5, -0.2, 0.0, 0.31)
    building = Building("t-plan", (wall, shed))
    rng = np.random.default_rng(0)
    assert hides_a_wing(building, Camera(10, 10, 30), rng)
    assert not hides_a_wing(building, Camera(120, 20, 30), rng)
    view = sample_view(building, rng, policy="around", tries=30)
    assert not hides_a_wing(building, view, rng)


def test_cameras_keep_to_their_policy() -> None:
    rng = np.random.default_rng(0)
    quadrant = [sample_camera(rng) for _ in range(200)]
    assert all(0 < camera.azimuth < 90 and camera.eye[[0, 2]].min() > 0 for camera in quadrant)
    assert any(camera.field_of_view <= 1 for camera in quadrant) and any(camera.upright for camera in quadrant)
    around = np.array([sample_camera(rng, policy="around").azimuth for _ in range(200)])
    assert np.histogram(around, 4, (0, 360))[0].min() > 20
    with pytest.raises(InputError, match="sideways"):
        sample_camera(rng, policy="sideways")


def test_a_photograph_keeps_the_drawing() -> None:
    building = sample_building(np.random.default_rng(1), "house")
    grey = draw(building, CORNER, replace(CLEAN, stroke=3.0), np.random.default_rng(0), size=256)
    photo = on_paper(grey, np.random.default_rng(3))
    assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3
    assert min(photo.shape[:2]) > 256
    level = photo.astype(float).mean(2)
    dark = np.sort(level.reshape(-1))[: int((grey < 128).sum() * 0.5)].mean()
    assert dark < 0.75 * np.median(level)
    np.testing.assert_array_equal(photo, on_paper(grey, np.random.default_rng(3)))


def test_meshes_out_of_the_frame_are_told() -> None:
    mesh = sample_building(np.random.default_rng(1), "slab").mesh()
    with pytest.raises(InputError, match="in_frame") as caught:
        draw(Mesh(mesh.vertices * 40, mesh.faces), CORNER, CLEAN, np.random.default_rng(0))
    assert caught.value.code == "mesh.frame"
    with pytest.raises(InputError, match="no extent"):
        in_frame(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])))


def test_a_drawing_tells_where_its_points_lie() -> None:
    rng = np.random.default_rng(8)
    building = sample_building(rng, "l-plan")
    hand = replace(CLEAN, roll=7.0, shear=0.03, margin=0.08)
    picture, projection = draw_placed(building, Camera(35, 25, 40, upright=True), hand, rng, 256)
    assert projection.shape == (3, 4) and projection[2, 3] == 1
    corners = np.concatenate([part.vertices for part in building.parts])
    flat = np.c_[corners, np.ones(len(corners))] @ projection.T
    places = flat[:, :2] / flat[:, 2:]
    assert np.abs(places).max() <= 1 - 2 * 0.08 + 1e-6  # the drawing fills the square up to its margin
    assert np.isclose(np.ptp(places, axis=0).max(), 2 * (1 - 2 * 0.08), atol=0.02)
    row, column = np.nonzero(picture < 128)
    ink = np.c_[column + 0.5, row + 0.5] / 128 - 1
    distance = np.linalg.norm(places[:, None] - ink, axis=2).min(1)
    assert (distance < 0.012).mean() > 0.7  # most corners are drawn, the others are hidden
