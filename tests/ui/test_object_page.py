"""The object page, driven without a browser: cut-outs first, then a cloud, then a solid of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pipelines.synthetic.objects import Camera, picture, sample_object
from studio import clouds, sidecar
from studio.queue import Queue
from studio.ui.cloud import asking, results, stage
from studio.ui.cloud.state import CloudState
from studio.ui.components.cloud import _html, _payload

ROOT = Path(__file__).resolve().parents[2]


def view(azimuth: float) -> bytes:
    shape = sample_object(np.random.default_rng(2), "vase")
    colours, cover = picture(shape, Camera(azimuth, 20, 2.5), 128)
    return cv2.imencode(".png", np.dstack([colours[..., ::-1], cover]))[1].tobytes()


PLAIN = cv2.imencode(".png", np.full((90, 90, 3), 140, np.uint8))[1].tobytes()


@pytest.fixture
def at(home, monkeypatch) -> AppTest:
    monkeypatch.setattr("studio.runners.cloud.PIPELINE", "tests.ui.ball_pipeline:BallPipeline")
    page = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
    page.switch_page(str(ROOT / "studio" / "ui" / "pages" / "object.py"))
    return page.run()


def seen(at: AppTest) -> CloudState:
    assert not at.exception, at.exception
    return at.session_state["cloud"]


def upload(at: AppTest, *files: tuple[str, bytes]) -> CloudState:
    at.file_uploader(key="object_upload").set_value([(name, data, "image/png") for name, data in files]).run()
    return seen(at)


def button(at: AppTest, key: str):
    return next(item for item in at.button if item.key == key)


def text(at: AppTest) -> str:
    groups = (at.markdown, at.error, at.warning, at.info, at.success, at.caption, at.subheader)
    html = "".join(item.value for item in at.get("html"))
    shown = "\n".join([html, *(str(item.value) for group in groups for item in group)])
    return shown.replace("\\", "")  # names and codes are shown as they are, not as markdown


def kinds(home: Path) -> list[str]:
    return [json.loads(job.recipe)["kind"] for job in Queue(home).ls()]


def made(at: AppTest, work) -> AppTest:
    upload(at, ("one.png", view(20)), ("two.png", view(140)))
    work()
    button(at.run(), "cloud_make").click().run()
    work()
    return at.run()


def test_it_opens_empty_and_asks_for_nothing(at, home):
    assert seen(at) == CloudState() and kinds(home) == [] and "upload pictures of one" in text(at)


def test_each_picture_is_cut_out_once_and_nothing_is_made_before(at, home, work):
    upload(at, ("one.png", view(20)), ("two.png", view(140)))
    assert kinds(home) == ["cutout", "cutout"] and button(at, "cloud_make").disabled
    work()
    at.run()
    at.run()
    state = seen(at)
    assert len(state.plans) == 2 and state.plan_jobs == () and kinds(home) == ["cutout", "cutout"]
    assert not button(at, "cloud_make").disabled
    pixels, findings = results.cutout(state.plans[0][1])
    assert pixels.shape == (64, 64, 3) and findings == ()


def test_a_picture_without_an_object_says_so_and_can_be_left_out(at, work):
    state = upload(at, ("one.png", view(20)), ("wall.png", PLAIN))
    work()
    at.run()
    at.run()
    assert "No object stands out of this picture" in text(at) and "object.none" in text(at)
    assert button(at, "cloud_make").disabled
    button(at, f"leave-{state.pictures[1].sha256[:12]}").click().run()
    assert [each.name for each in seen(at).pictures] == ["one.png"] and not button(at, "cloud_make").disabled


def test_a_cloud_and_then_a_solid(at, home, work):
    made(at, work)
    state = seen(at)
    assert state.artefact and state.job is None and at.session_state[stage.VIEW] == stage.CLOUD
    outcome = results.outcome(state.artefact)
    assert outcome.pictures == 2 and outcome.view is not None and outcome.receipt["cloud"]["points"] == 4096
    assert "Low confidence" in text(at) and "75 %" in "".join(item.value for item in at.get("html"))
    at.number_input(key="solid_mm").set_value(40.0).run()
    button(at, "solid_make").click().run()
    work()
    at.run()
    state = seen(at)
    assert state.solid and at.session_state[stage.VIEW] == stage.SOLID and "Printable" in text(at)
    seal, _ = sidecar.read(Path(state.solid))
    assert seal.recipe.settings["longest_mm"] == 40 and seal.recipe.inputs["cloud"].name == Path(state.artefact).name


def test_a_size_that_nobody_can_print_stops_the_button(at, work):
    made(at, work)
    at.number_input(key="solid_mm").set_value(0.0).run()
    assert button(at, "solid_make").disabled and "size.range" in text(at)


def test_settings_reach_the_recipe_and_come_back_with_it(at, home, work):
    at.select_slider(key="cloud_points").set_value(1024).run()
    at.number_input(key="cloud_seed").set_value(7).run()
    at.slider(key="cloud_steps").set_value(10).run()
    made(at, work)
    recipe = sidecar.read(Path(seen(at).artefact))[0].recipe
    assert recipe.seed == 7 and recipe.settings["points"] == 1024 and recipe.settings["steps"] == 10
    assert len(clouds.decode(Path(seen(at).artefact).read_bytes(), "a.ply").points) == 1024
    at.number_input(key="cloud_seed").set_value(1).run()
    button(at, "cloud_restore").click().run()
    state = seen(at)
    assert state.seed == 7 and state.points == 1024 and [p.name for p in state.pictures] == ["one.png", "two.png"]


def test_other_pictures_put_the_old_cloud_away(at, work):
    made(at, work)
    upload(at, ("three.png", view(250)))
    assert seen(at).artefact is None and len(seen(at).pictures) == 3


def test_the_viewer_has_a_button_for_each_picture():
    assert "Picture 3 alone" in _html(3) and "alone" not in _html(0)
    payload = _payload(b"1234", "")
    size = int.from_bytes(payload[:4], "little")
    assert size % 4 == 0 and json.loads(payload[4 : 4 + size])["fallback"] == "" and payload[4 + size :] == b"1234"


def test_solid_settings_are_those_of_the_page():
    values = asking.solid_settings(CloudState(size="height", millimetres=33.0, printer="prusa-mk4"))
    assert values["height_mm"] == 33 and values["longest_mm"] is None and values["profile"] == "prusa-mk4"
