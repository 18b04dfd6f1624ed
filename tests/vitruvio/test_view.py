"""From where a drawing was made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.synthetic.buildings import sample_building
from pipelines.synthetic.hidden_lines import Camera
from pipelines.synthetic.linework import CLEAN, draw
from pipelines.vitruvio.view import SIDE, fitted_camera, nearest_camera, outline, seen_alike

L_SHAPE = sample_building(np.random.default_rng(3), "l-plan")


def drawn(camera: Camera) -> np.ndarray:
    return outline(draw(L_SHAPE, camera, CLEAN, np.random.default_rng(0)))


@pytest.mark.parametrize("camera", [Camera(25, 20, 30), Camera(65, 30, 45), Camera(45, 35, 1.0)])
def test_the_camera_of_a_drawing_is_found_again(camera: Camera) -> None:
    found, agreement = fitted_camera(L_SHAPE.mesh(), drawn(camera))
    assert agreement > 0.9
    assert abs(found.azimuth - camera.azimuth) <= 8
    assert abs(found.elevation - camera.elevation) <= 10


@pytest.mark.parametrize(
    "camera", [Camera(25, 20, 30), Camera(70, 45, 50), Camera(45, 35, 2.0), Camera(30, 8, 40, upright=True)]
)
@pytest.mark.parametrize("corner", [0, 270])
def test_the_camera_of_a_projection_is_found_wherever_it_lies_on_the_sheet(camera: Camera, corner: int) -> None:
    camera = replace(camera, azimuth=camera.azimuth + corner)
    placed = np.array([[1.3, 0, 0.2], [0, 1.3, -0.1], [0, 0, 1]]) @ camera.matrix
    found = nearest_camera(placed / placed[2, 3], around=corner > 0)
    assert found.azimuth == pytest.approx(camera.azimuth, abs=0.5)
    assert found.elevation == pytest.approx(camera.elevation, abs=0.5)
    assert found.field_of_view == pytest.approx(camera.field_of_view, abs=1.5)
    assert found.upright == camera.upright
    assert seen_alike(L_SHAPE.mesh(), found, drawn(camera)) > 0.9


def test_another_building_agrees_less() -> None:
    camera = Camera(30, 20, 30)
    tower = sample_building(np.random.default_rng(1), "tower")
    assert fitted_camera(tower.mesh(), drawn(camera))[1] < fitted_camera(L_SHAPE.mesh(), drawn(camera))[1] - 0.05


def test_a_known_view_is_kept_to() -> None:
    found, _ = fitted_camera(L_SHAPE.mesh(), drawn(Camera(25, 20, 30)), near=(60, 40))
    assert abs(found.azimuth - 60) <= 10
    assert abs(found.elevation - 40) <= 10


def test_a_known_view_from_high_above_stays_there() -> None:
    found, _ = fitted_camera(L_SHAPE.mesh(), drawn(Camera(40, 55, 30)), near=(40, 78))
    assert found.elevation >= 68


def test_an_outline_bridges_a_gap_and_leaves_no_hole() -> None:
    sheet = np.full((128, 128), 255, np.uint8)
    sheet[20:108, [20, 107]] = 0
    sheet[[20, 107], 20:108] = 0
    sheet[20, 60:65] = 255
    filled = outline(sheet)
    assert filled.shape == (SIDE, SIDE)
    assert filled[3:-3, 3:-3].all()
