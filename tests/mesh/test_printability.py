"""The passport names what a slicer would trip over, with the figures that the shapes have by construction."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh.printability import PROFILES, Passport, PrinterProfile, passport, wall_thickness
from pipelines.mesh.scale import on_the_bed, to_print
from tests.mesh.shapes import ball, box, together, tube, turned, without

GENERIC = PROFILES["generic"]


def codes(report: Passport) -> set[str]:
    return {finding.code.removeprefix("mesh.") for finding in report.findings}


def test_a_box_has_nothing_to_complain_about() -> None:
    report = passport(box((20, 30, 10)), GENERIC, scale_source="longest side 30 mm")
    assert report.printable and report.manifold and codes(report) == set()
    np.testing.assert_allclose(report.size_mm, (20, 30, 10))
    assert report.volume_cm3 == pytest.approx(6)
    assert report.base_contact_mm2 == pytest.approx(600)
    assert report.overhang_share == 0 and report.floating_parts == 0 and report.count("body") == 1
    assert report.minimum_wall_mm == pytest.approx(10, rel=1e-5)
    # 2200 mm² of surface under 0.8 mm of lines, the rest 15 % full, PLA.
    assert report.material_g == pytest.approx((1760 + 0.15 * 4240) / 1000 * 1.24)
    assert report.filament_m == pytest.approx(2.396 / (math.pi * 0.0875**2) / 100)
    assert report.scale_source == "longest side 30 mm" and report.printer == "generic"


def test_it_is_json() -> None:
    fields = json.loads(json.dumps(passport(together(ball(10), turned(ball(8))), GENERIC).as_dict(), allow_nan=False))
    assert fields["unit"] == "millimetre" and fields["cavities"] == 1 and fields["bodies"] == 1
    assert [shell["role"] for shell in fields["shells"]] == ["body", "cavity"]
    assert {finding["code"] for finding in fields["findings"]} >= {"mesh.cavity"}


def test_a_hollow_ball_has_a_cavity_and_a_double_walled_one_an_inner_shell() -> None:
    outer, inner = ball(10), ball(8)
    hollow, double = (passport(together(outer, made), GENERIC) for made in (turned(inner), inner))
    assert [shell.role for shell in hollow.shells] == ["body", "cavity"] and "cavity" in codes(hollow)
    assert [shell.role for shell in double.shells] == ["body", "inner shell"] and "inner-shell" in codes(double)
    assert hollow.shells[1].volume_mm3 < 0 < double.shells[1].volume_mm3
    assert hollow.minimum_wall_mm == pytest.approx(2, abs=0.02) and hollow.median_wall_mm == pytest.approx(2, abs=0.02)
    assert hollow.manifold and double.manifold


def test_a_body_in_a_cavity_is_a_body_and_floats() -> None:
    report = passport(together(ball(10), turned(ball(8)), ball(3)), GENERIC)
    assert [shell.role for shell in report.shells] == ["body", "cavity", "body"] and report.floating_parts == 1


@pytest.mark.parametrize("wall", [0.4, 1.0, 2.5])
def test_the_wall_of_a_box_shell_is_its_thickness(wall: float) -> None:
    mesh = tube((30, 40, 20), wall)
    report = passport(mesh, GENERIC)
    assert report.minimum_wall_mm == pytest.approx(wall, rel=1e-4)
    assert report.median_wall_mm == pytest.approx(wall, rel=1e-4)
    sides = 2 * 20 * (30 + 40 + 30 - 2 * wall + 40 - 2 * wall)
    rings = 2 * (30 * 40 - (30 - 2 * wall) * (40 - 2 * wall))
    # Facing a corner post, the ray from an outer side runs along the other wall: that is no thin place.
    posts = 2 * 20 * 4 * wall
    expected = (sides - posts) / (sides + rings) if wall < GENERIC.minimum_wall else 0
    assert report.thin_share == pytest.approx(expected, abs=2e-3)
    assert ("thin-wall" in codes(report)) == (wall < GENERIC.minimum_wall)
    thickness = wall_thickness(mesh)
    assert thickness.shape == (len(mesh.vertices),) and thickness.dtype == np.float32
    np.testing.assert_allclose(thickness, wall, rtol=1e-4)


def test_walls_do_not_depend_on_place_or_unit() -> None:
    mesh = tube((30, 40, 20), 1.5)
    far = Mesh(mesh.vertices + np.array([5000, -3000, 0]), mesh.faces)
    assert passport(far, GENERIC).minimum_wall_mm == pytest.approx(1.5, rel=1e-4)
    np.testing.assert_allclose(wall_thickness(Mesh(mesh.vertices / 1000, mesh.faces)), 0.0015, rtol=1e-4)


def test_the_edge_of_a_gable_is_no_thin_wall() -> None:
    ends = np.array([[0, 0, 0], [20, 0, 0], [10, 0, 10.0]])
    mesh = Mesh(np.concatenate([ends, ends + np.array([0, 30, 0])]),
                np.array([[0, 1, 2], [3, 5, 4], [0, 3, 4], [0, 4, 1],
                          [1, 4, 5], [1, 5, 2], [2, 5, 3], [2, 3, 0]]))  # fmt: skip
    report = passport(mesh, GENERIC)
    assert report.manifold and report.thin_share == 0 and report.minimum_wall_mm == pytest.approx(30, rel=1e-4)


def test_overhang_of_a_table_a_ball_and_a_wedge() -> None:
    # A 10 mm cube under a 30 x 30 x 5 mm top, one body: the underside hangs over except where the leg is.
    import manifold3d

    top, leg = manifold3d.Manifold.cube((30, 30, 5)).translate((0, 0, 10)), manifold3d.Manifold.cube((10, 10, 10))
    made = (top + leg.translate((10, 10, 0))).to_mesh64()
    table = Mesh(np.array(made.vert_properties[:, :3]), np.array(made.tri_verts, dtype=np.int64))
    area = 2 * 900 + 4 * 30 * 5 + 4 * 100
    assert passport(table, GENERIC).overhang_share == pytest.approx(800 / area)
    assert passport(table, GENERIC).base_contact_mm2 == pytest.approx(100)
    # Below 45° under the equator: a cap of height r (1 - sin 45°).
    assert passport(ball(10, detail=5), GENERIC).overhang_share == pytest.approx((1 - math.sqrt(0.5)) / 2, abs=2e-3)
    for lean, share in ((44.0, False), (46.0, True)):
        shift = 10 * math.tan(math.radians(lean))
        block = box((10, 10, 10))
        leaning = Mesh(block.vertices + block.vertices[:, 2:] * [shift / 10, 0, 0], block.faces)
        under = 10 * math.hypot(10, shift)
        expected = under / (2 * 100 + 2 * 100 + 2 * under) if share else 0
        assert passport(leaning, GENERIC).overhang_share == pytest.approx(expected)


def test_floating_parts_are_found_and_supported_ones_are_not() -> None:
    base = box((20, 20, 5))
    assert passport(together(base, box((5, 5, 5), at=(0, 0, 7))), GENERIC).floating_parts == 1
    assert passport(together(base, box((5, 5, 5), at=(3, 3, 5))), GENERIC).floating_parts == 0
    assert passport(together(base, box((5, 5, 5), at=(40, 0, 0))), GENERIC).floating_parts == 0
    # Through the other body with no corner inside of it.
    beam = box((40, 4, 2), at=(-10, 8, 2))
    report = passport(together(base, beam), GENERIC)
    assert report.floating_parts == 0 and report.overlapping == 2
    chain = together(base, box((5, 5, 9), at=(3, 3, 4)), box((9, 5, 5), at=(3, 3, 12)))
    assert passport(chain, GENERIC).floating_parts == 0


def test_broken_surfaces_are_counted() -> None:
    open_box = passport(without(box(), [0]), GENERIC)
    assert open_box.open_edges == 3 and not open_box.manifold and not open_box.printable
    assert open_box.volume_cm3 is None and open_box.minimum_wall_mm is None and "open" in codes(open_box)
    inverted = passport(turned(box()), GENERIC)
    assert inverted.manifold and inverted.count("inside out") == 1 and not inverted.printable
    faces = box().faces.copy()
    faces[0] = faces[0, ::-1]
    mixed = passport(Mesh(box().vertices, faces), GENERIC)
    assert mixed.reversed_edges == 3 and "reversed" in codes(mixed)
    doubled = passport(Mesh(box().vertices, np.concatenate([box().faces, box().faces[:1]])), GENERIC)
    assert doubled.crowded_edges == 3 and "crowded" in codes(doubled)


def test_the_bed_is_asked_in_both_directions() -> None:
    bed = PrinterProfile((100.0, 50.0, 30.0))
    assert passport(box((100, 50, 30)), bed).fits_bed and passport(box((50, 100, 30)), bed).fits_bed
    for size in ((101, 50, 30), (60, 60, 10), (10, 10, 31)):
        report = passport(box(size), bed)
        assert not report.fits_bed and not report.printable and "too-large" in codes(report)
    assert report.printer == "custom"


def test_metres_taken_for_millimetres_are_noticed() -> None:
    assert "tiny" in codes(passport(box((1, 1, 1)), GENERIC))


def test_an_unusable_mesh_has_no_passport() -> None:
    vertices = box().vertices.copy()
    vertices[0, 0] = np.nan
    with pytest.raises(InputError) as caught:
        passport(Mesh(vertices, box().faces), GENERIC)
    assert caught.value.code == "mesh.not-finite"


HOUSE = box((0.5, 0.8, 1.0), at=(-0.25, -0.4, -0.5))  # y up: 0.8 tall


def test_scale_by_longest_side_height_and_ratio() -> None:
    for choice, factor in (({"longest": 80}, 80), ({"height": 80}, 100), ({"ratio": 200, "metres_per_unit": 12}, 60)):
        made = to_print(HOUSE, **choice)
        np.testing.assert_allclose(np.ptp(made.vertices, axis=0), np.array([0.5, 1.0, 0.8]) * factor)
        np.testing.assert_allclose(made.vertices.min(0) + made.vertices.max(0), [0, 0, 0.8 * factor], atol=1e-9)
        assert made.vertices[:, 2].min() == pytest.approx(0, abs=1e-12)
        assert passport(made, GENERIC).volume_cm3 == pytest.approx(0.4 * factor**3 / 1000)  # turned, not mirrored


def test_up_stays_up_and_front_comes_forward() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.0]])
    made = to_print(Mesh(vertices, np.array([[0, 2, 1], [0, 3, 2], [0, 1, 3], [1, 2, 3]])), longest=3)
    np.testing.assert_allclose(made.vertices - made.vertices[0], [[0, 0, 0], [1, 0, 0], [0, 0, 2], [0, -3, 0]])


BAD_SCALES = [
    ({}, "mesh.scale-choice"),
    ({"longest": 10, "height": 10}, "mesh.scale-choice"),
    ({"longest": 0}, "mesh.scale-range"),
    ({"height": -5}, "mesh.scale-range"),
    ({"longest": math.nan}, "mesh.scale-range"),
    ({"height": math.inf}, "mesh.scale-range"),
    ({"longest": 1e7}, "mesh.scale-range"),
    ({"longest": 0.01}, "mesh.scale-range"),
    ({"ratio": 0, "metres_per_unit": 10}, "mesh.scale-range"),
    ({"ratio": 100, "metres_per_unit": 0}, "mesh.scale-range"),
    ({"ratio": 1, "metres_per_unit": 10_000}, "mesh.scale-range"),
    ({"ratio": 100}, "mesh.scale-unit"),
    ({"longest": 80, "metres_per_unit": 10}, "mesh.scale-unit"),
]


@pytest.mark.parametrize(("choice", "code"), BAD_SCALES)
def test_a_bad_scale_is_one_clear_error(choice: dict[str, float], code: str) -> None:
    with pytest.raises(InputError) as caught:
        to_print(HOUSE, **choice)
    assert caught.value.code == code and caught.value.seen is not None and caught.value.remedy


def test_a_mesh_is_put_on_the_bed() -> None:
    made = on_the_bed(box(at=(100, 50, -3)))
    np.testing.assert_allclose([made.vertices.min(0), made.vertices.max(0)], [[-10, -15, 0], [10, 15, 10]])
