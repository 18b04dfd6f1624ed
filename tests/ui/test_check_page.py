"""The checking page, driven without a browser: each dropped picture is looked at once, and nothing is said too much."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from boxcheck import install
from boxpaste import png
from streamlit.testing.v1 import AppTest

from studio.queue import Queue
from studio.registry import Product
from studio.store import Store
from studio.targets import Target
from studio.ui.checking import results
from studio.ui.components.heat import coloured
from studio.ui.state import Picture

ROOT = Path(__file__).resolve().parents[2]
PLAIN = np.full((96, 80, 3), 120, np.uint8)
MARKED = PLAIN.copy()
MARKED[20:60, 10:50] = (220, 30, 30)


@pytest.fixture
def at(home) -> AppTest:
    install()
    page = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
    page.switch_page(str(ROOT / "studio" / "ui" / "pages" / "check.py"))
    return page.run()


def drop(at: AppTest, *files: tuple[str, bytes]) -> AppTest:
    at.file_uploader(key="check_upload").set_value([(name, data, "image/png") for name, data in files]).run()
    assert not at.exception, at.exception
    return at


def text(at: AppTest) -> str:
    groups = (at.markdown, at.error, at.warning, at.info, at.success, at.caption, at.subheader)
    return "\n".join(str(item.value) for group in groups for item in group)


def test_it_opens_empty_and_asks_for_nothing(at, home):
    assert not at.exception and "Drop one or several pictures" in text(at) and Queue(home).ls() == []


def test_each_picture_is_looked_at_once(at, home, work):
    drop(at, ("marked.png", png(MARKED)), ("plain.png", png(PLAIN)))
    assert [json.loads(job.recipe)["kind"] for job in Queue(home).ls()] == ["check", "check"]
    work()
    at.run()
    at.run()
    assert len(Queue(home).ls()) == 2
    state = at.session_state["checking"]
    assert len(state.made) == 2 and state.jobs == () and state.chosen == state.pictures[0].sha256
    assert "2 of 2 looked at" in text(at)
    assert "Weak evidence of manipulation: 2 % of untouched" in text(at)


def test_a_picture_that_was_looked_at_before_needs_no_job(at, home, work):
    drop(at, ("marked.png", png(MARKED)))
    work()
    again = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
    again.switch_page(str(ROOT / "studio" / "ui" / "pages" / "check.py"))
    before = len(Queue(home).ls())
    drop(again.run(), ("other-name.png", png(MARKED)))
    assert len(Queue(home).ls()) == before and "Weak evidence" in text(again)


def test_what_was_stopped_is_asked_again_only_on_a_click(at, home, work):
    drop(at, ("marked.png", png(MARKED)))
    (job,) = Queue(home).ls()
    Queue(home).cancel(job.id)
    work()
    at.run()
    at.run()
    assert "was not looked at" in text(at) and len(Queue(home).ls()) <= 1
    next(item for item in at.button if item.key == "check_again").click().run()
    assert at.session_state["checking"].jobs
    work()
    assert "Weak evidence" in text(at.run())


def test_evidence_and_seal_are_told_apart(at, home, work):
    drop(at, ("plain.png", png(PLAIN)))
    work()
    at.run()
    said = text(at)
    assert "No evidence of manipulation was found" in said and "no proof" in said
    assert "**No seal.**" in said and "Forensic evidence" in said and "Seal and history" in said


def test_a_sealed_picture_shows_who_signed_and_what_it_was_made_from(at, home, work, tmp_path):
    from studio.recipe import InputRef, Recipe

    store = Store(home)
    ref = store.keep_input(png(PLAIN), "before.png")
    recipe = Recipe(kind="check", inputs={"picture": InputRef(sha256=ref.sha256, name=ref.name)}, settings={}, seed=0,
                    weights={})  # fmt: skip
    made = store.write(Product(pixels=MARKED), recipe, {}, {}, Target(tmp_path / "made.png", "png"))
    drop(at, ("made.png", made.path.read_bytes()))
    work()
    said = text(at.run())
    assert "Signed by this studio, not by a public authority" in said
    assert "before" in said and "What a trained network found in a picture" in said and "Recipe inside: check" in said


def test_a_bad_upload_is_told_beside_its_form_and_nothing_is_asked(at, home):
    drop(at, ("no.png", b"this is no picture"))
    assert "This file is not a picture" in text(at) and Queue(home).ls() == []


def test_a_file_that_is_gone_is_told(home):
    with pytest.raises(Exception, match="input"):
        results.verdict(Picture("0" * 64, "gone.png"))


def test_colours_fade_where_there_is_nothing_to_see():
    shown = coloured(np.array([[0, 64, 255]], np.uint8))
    assert shown.shape == (1, 3, 4) and shown[0, :, 3].tolist() == [0, 128, 255]
    assert (np.diff(shown[0, :, :3].astype(int).sum(1)) > 0).all()
