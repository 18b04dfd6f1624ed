"""The building page, driven without a browser: what it asks the queue for, and what it makes of the answers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import boxhouse
import numpy as np
import pytest
from boxpaste import png
from PIL import Image
from streamlit.testing.v1 import AppTest

from studio import meshes, print_settings, sidecar
from studio.queue import Queue
from studio.store import Store
from studio.ui import inputs, workspace
from studio.ui.building import asking, forms, passport, results
from studio.ui.building.state import BuildingState
from studio.ui.components.sketch import Drawing, Shape, drawing_in

ROOT = Path(__file__).resolve().parents[2]
LINES = (
    Shape("ink", 0.006, ((0.5, 0.6), (0.5, 0.2))),
    Shape("ink", 0.006, ((0.2, 0.5), (0.2, 0.25), (0.5, 0.2), (0.8, 0.26), (0.8, 0.5), (0.5, 0.6), (0.2, 0.5))),
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><path d="M1 1 19 19" stroke="black"/></svg>'


def page() -> AppTest:
    at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
    at.switch_page(str(ROOT / "studio" / "ui" / "pages" / "building.py"))
    return at


def seen(at: AppTest) -> BuildingState:
    assert not at.exception, at.exception
    return at.session_state["building"]


def button(at: AppTest, key: str):
    return next(item for item in at.button if item.key == key)


def text(at: AppTest) -> str:
    groups = (at.markdown, at.error, at.warning, at.success, at.caption, at.subheader)
    return "\n".join(str(item.value) for group in groups for item in group)


def html(at: AppTest) -> str:
    return "".join(item.value for item in at.get("html"))


def with_state(**more) -> AppTest:
    at = page()
    at.session_state["building"] = BuildingState(**more)
    return at


def drawn(**more) -> AppTest:
    return with_state(drawing=Drawing(LINES), **more)


def finished(work, **more) -> AppTest:
    """A page that has been through preparation and building."""
    at = drawn(**more).run()
    work()
    button(at.run(), "build").click().run()
    work()
    return at.run()


def test_the_page_opens_with_an_empty_paper_and_asks_for_nothing(home):
    at = page().run()
    assert seen(at).sketch is None and Queue(home).ls() == []
    assert button(at, "build").disabled and not at.error


def test_a_drawing_is_kept_as_a_picture_that_brings_it_back_and_is_prepared_first(home, work):
    at = drawn().run().run()
    (job,) = Queue(home).ls()
    wanted = json.loads(job.recipe)
    assert (job.lane, wanted["kind"]) == (0, "building-plan")
    data = Store(home).input_path(wanted["inputs"]["sketch"]["sha256"]).read_bytes()
    assert drawing_in(data) == Drawing(LINES)
    assert (np.asarray(Image.open(io.BytesIO(data))) < 128).any()
    assert button(at, "build").disabled
    work()
    assert not button(at.run(), "build").disabled
    assert len(Queue(home).ls()) == 1


def test_another_stroke_asks_again_and_moved_guides_do_not(home, work):
    at = drawn().run()
    work()
    at.run()
    guides = type(Drawing().guides)(True, 0.3, -1.0, 2.0)
    for drawing, count in ((Drawing(LINES, guides), 1), (Drawing(LINES[:1], guides), 2)):
        at.session_state["building"] = BuildingState(**{**vars(seen(at)), "drawing": drawing})
        at.run()
        assert len(Queue(home).ls()) == count


def test_an_svg_is_kept_for_the_worker_and_a_bad_upload_is_told_beside_its_form(home):
    at = page().run()
    at.file_uploader(key="sketch_upload").set_value(("house.svg", SVG, "image/svg+xml")).run()
    assert seen(at).sketch.name == "house.svg"
    assert Store(home).input_path(seen(at).sketch.sha256).read_bytes() == SVG
    at.file_uploader(key="sketch_upload").set_value(("x.png", b"no picture", "image/png")).run()
    assert seen(at).sketch.name == "house.svg"
    assert "input\\.not\\-a\\-picture" in at.columns[0].error[0].value


def test_an_empty_page_is_explained_below_it(home, work):
    at = page().run()
    blank = png(np.full((100, 100, 3), 255, np.uint8))
    at.file_uploader(key="sketch_upload").set_value(("blank.png", blank, "image/png")).run()
    work()
    at.run()
    assert "sketch\\.empty" in at.error[0].value and button(at, "build").disabled
    assert [item.value for item in at.columns[1].error] == [at.error[0].value]


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"millimetres": 80.0}, {"height_mm": 80.0}),
        ({"size": "longest", "millimetres": 150.0}, {"longest_mm": 150.0}),
        ({"size": "scale", "ratio": 500.0, "real_height": 30.0}, {"scale": 500.0, "real_height_m": 30.0}),
    ],
)
def test_the_size_reaches_the_recipe_and_the_solid(home, work, more, wanted):
    at = finished(work, printer="prusa-mk4", straighten=False, detail=3, seed=4, **more)
    made = Path(seen(at).artefact)
    recipe = sidecar.read(made)[0].recipe
    sizes = {name: recipe.settings[name] for name in ("height_mm", "longest_mm", "scale", "real_height_m")}
    assert {name: value for name, value in sizes.items() if value is not None} == wanted
    assert (recipe.seed, recipe.settings["profile"], recipe.settings["straighten"], recipe.settings["detail"]) == (
        4,
        "prusa-mk4",
        False,
        3,
    )
    corners = meshes.content(made.read_bytes(), "3mf").vertices
    size = corners.max(0) - corners.min(0)
    expected = wanted.get("height_mm") or wanted.get("longest_mm") or 1000 * 30.0 / 500
    assert (size.max() if "longest_mm" in wanted else size[2]) == pytest.approx(expected, rel=1e-5)


def test_a_size_nobody_can_print_is_told_beside_its_field_and_nothing_is_built(home, work):
    at = drawn().run()
    work()
    at.run().number_input(key="size_mm").set_value(0.0).run()
    assert "size\\.range" in at.columns[0].error[0].value and button(at, "build").disabled
    at.number_input(key="size_mm").set_value(60.0).run()
    assert not at.error and not button(at, "build").disabled


def test_the_result_shows_passport_confidence_and_findings(home, work):
    at = finished(work, size="longest", millimetres=260.0)
    assert at.session_state["building_view"] == "Model" and seen(at).jobs == ()
    assert "Not printable as it is" in text(at) and "too large" not in text(at)
    shown = html(at)
    assert "Fits the printer" in shown and "does not fit the bed" in shown and "Choose a smaller scale" in shown
    assert "42 %" in shown and "made 4 walls upright" in shown
    assert "building\\.doubtful" in text(at)


def test_every_reading_can_be_built_and_picked(home, work):
    at = finished(work)
    button(at, "build_all").click().run()
    work()
    at.run()
    made = dict(seen(at).made)
    assert sorted(made) == [0, 1, 2] and seen(at).artefact == made[2]
    depths = [np.ptp(meshes.content(Path(made[n]).read_bytes(), "3mf").vertices[:, 1]) for n in range(3)]
    assert depths[0] < depths[1] < depths[2]
    assert not [item for item in at.button if item.key == "build_all"]
    at.session_state["building"] = BuildingState(**{**vars(seen(at)), "millimetres": 50.0, "plan_key": None})
    work()
    button(at.run(), "build").click().run()
    work()
    assert sorted(dict(seen(at.run()).made)) == [2]  # another size: the old readings are not its siblings


def test_cancel_stops_all_and_brings_the_paper_back(home, work):
    at = drawn().run()
    work()
    button(at.run(), "build").click().run()
    button(at, "build_cancel").click().run()
    assert Queue(home).get(2).state == "cancelled"
    at.run()
    assert seen(at).jobs == () and seen(at).artefact is None and not at.error
    assert not button(at, "build").disabled


@pytest.mark.parametrize("format", [name for name in meshes.FORMATS if name not in ("stl", "ifc")])
def test_every_download_holds_the_same_solid_and_opens_its_recipe(home, work, format):
    at = finished(work, size="scale", ratio=300.0, real_height=21.0, printer="ender-3", seed=9)
    made = seen(at).artefact
    data = results.export(made, format)
    mesh, first = meshes.content(data, format), meshes.content(Path(made).read_bytes(), "3mf")
    assert mesh.vertices.min(0) == pytest.approx(first.vertices.min(0), abs=1e-3)
    assert mesh.vertices.max(0) == pytest.approx(first.vertices.max(0), abs=1e-3)
    (home / "download").write_bytes(data)
    (home / "download.c2pa").write_bytes(results.manifest(made, format))
    assert workspace.seal_of(home / "download") == "signed by this studio, not by a public authority"
    other = page().run()
    other.file_uploader(key="recipe_upload").set_value((f"b.{format}", data, "model/mesh")).run()
    opened = seen(other)
    assert (opened.size, opened.ratio, opened.real_height, opened.printer, opened.seed) == (
        "scale",
        300.0,
        21.0,
        "ender-3",
        9,
    )
    assert opened.sketch is None and opened.drawing == Drawing(LINES)
    assert (
        other.number_input(key="size_ratio").value == 300.0 and other.selectbox(key="size_printer").value == "ender-3"
    )
    assert asking.settings(opened) == sidecar.read(Path(made))[0].recipe.settings


def test_the_recipe_beside_an_stl_opens_too(home, work):
    at = finished(work)
    told = results.recipe_text(seen(at).artefact)
    assert len(results.export(seen(at).artefact, "stl")) > 84
    other = page().run()
    other.file_uploader(key="recipe_upload").set_value(("a.3mf.json", told.encode(), "application/json")).run()
    assert seen(other).drawing == Drawing(LINES)


def test_a_recipe_of_another_kind_is_refused(home, work):
    at = page().run()
    other = '{"recipe": {"kind": "tryon"}}'
    at.file_uploader(key="recipe_upload").set_value(("x.json", other.encode(), "application/json")).run()
    assert "recipe\\.bad" in at.error[0].value


def test_recent_buildings_open_and_go_to_the_trash(home, work):
    at = finished(work)
    made = Path(seen(at).artefact)
    assert [item.id for item in results.recent(5)] == [str(made)]
    button(at, "trash").click().run()
    assert not made.exists() and seen(at).artefact is None and results.recent(5) == []


def test_the_viewer_gets_the_solid_even_without_what_was_kept_beside_it(home, work):
    at = finished(work)
    made = Path(seen(at).artefact)
    kept = results.outcome(str(made)).model
    mesh = meshes.content(made.read_bytes(), "3mf")
    counts = np.frombuffer(kept[:8], "<u4")
    assert tuple(counts) == (len(mesh.vertices), len(mesh.faces))
    corners = np.frombuffer(kept, "<f4", 3 * counts[0], 8).reshape(-1, 3)
    thickness = np.frombuffer(kept, "<f4", counts[0], 8 + 12 * counts[0])
    assert np.ptp(corners, axis=0) == pytest.approx(np.ptp(mesh.vertices, axis=0), rel=1e-5)
    assert (thickness > 0).all() and np.isfinite(thickness).all()
    alone = made.with_name("alone.3mf")
    alone.write_bytes(made.read_bytes())
    assert results.outcome(str(alone)).model[:8] == kept[:8]


def test_a_row_of_the_passport_takes_the_worst_of_its_findings(home):
    from pipelines.mesh.printability import PROFILES
    from pipelines.mesh.printability import passport as examine

    mesh = boxhouse.house(100.0, 100.0, 50.0)
    x, y, z = mesh.vertices.T
    upright = type(mesh)(np.stack([x, -z, y], 1), mesh.faces)
    good = dict((row[1], row[0]) for row in passport.rows(examine(upright, PROFILES["generic"]).as_dict()))
    assert set(good.values()) == {"ok"}
    holed = type(mesh)(upright.vertices * 3, upright.faces[1:])
    bad = dict((row[1], (row[0], row[3])) for row in passport.rows(examine(holed, PROFILES["generic"]).as_dict()))
    assert bad["Closed surface"][0] == "error" and "close-holes" in bad["Closed surface"][1]
    assert bad["Fits the printer"][0] == "error"
    assert "<script" not in passport.table({**examine(upright, PROFILES["generic"]).as_dict(), "printer": "<script>"})


def test_the_page_knows_every_printer_and_setting(home):
    known = print_settings.BuildingSettings.model_fields
    assert set(forms.PRINTERS) == set(known["profile"].annotation.__args__)
    assert set(asking.SHOWN) <= set(known)
    assert inputs.SAMPLE_FOLDERS["sketch"] == "sketches"
