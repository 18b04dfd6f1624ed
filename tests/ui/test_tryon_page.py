"""The try-on page, driven without a browser: what it asks the queue for, and what it makes of the answers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from boxpaste import figure, png
from PIL import Image
from streamlit.testing.v1 import AppTest

from studio import pictures, recipe, settings, sidecar
from studio.queue import Queue
from studio.store import Store
from studio.ui import asking, inputs, results, state, watching, workspace
from studio.ui.components.mask import Stroke
from studio.ui.state import TryOnState

ROOT = Path(__file__).resolve().parents[2]


def page() -> AppTest:
    return AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)


def seen(at: AppTest) -> TryOnState:
    assert not at.exception, at.exception
    return at.session_state["tryon"]


def button(at: AppTest, key: str):
    return next(item for item in at.button if item.key == key)


def text(at: AppTest) -> str:
    return "\n".join(
        str(item.value) for group in (at.markdown, at.error, at.warning, at.info, at.caption) for item in group
    )


def with_inputs(**more) -> AppTest:
    at = page()
    at.session_state["tryon"] = TryOnState(
        person=inputs.keep_sample("person", "anna"), garment=inputs.keep_sample("garment", "red-shirt"), **more
    )
    return at


def finished(work, **more) -> AppTest:
    """A page that has been through mask and try-on."""
    at = with_inputs(**more).run()
    work()
    button(at.run(), "run").click().run()
    work()
    return at.run()


def test_the_page_opens_empty_and_asks_for_nothing(home):
    at = page().run()
    assert seen(at).person is None
    assert not [item for item in at.button if item.key == "run"]
    assert Queue(home).ls() == []
    assert "Pick or upload a person" in text(at)


def test_an_upload_is_kept_by_hash_and_the_mask_is_asked_for_first(home):
    at = page().run()
    data = png(figure())
    at.file_uploader(key="person_upload").set_value(("me.png", data, "image/png")).run()
    ref = seen(at).person
    assert ref.name == "me.png" and Store(home).input_path(ref.sha256).read_bytes() == data
    (job,) = Queue(home).ls()
    assert (job.lane, json.loads(job.recipe)["kind"]) == (0, "mask")


def test_a_run_does_not_ask_twice_for_the_same_mask_but_another_setting_does(home, work):
    at = with_inputs().run().run().run()
    assert len(Queue(home).ls()) == 1
    work()
    at.run().run()
    assert len(Queue(home).ls()) == 1
    at.pills(key="protect").set_value(["hair"]).run()
    assert [json.loads(job.recipe)["settings"]["protect"] for job in Queue(home).ls()] == [
        ["hair"],
        list(state.PROTECTABLE),
    ]


def test_a_mask_that_was_made_before_is_shown_at_once(home, work):
    at = with_inputs().run()
    work()
    at.run()
    again = with_inputs().run()
    assert len(Queue(home).ls()) == 1
    assert seen(again).plan is not None and not button(again, "run").disabled


def test_many_findings_leave_room_for_the_picture(home):
    def script():
        from studio.ui import notices

        kinds = ["info", "warning", "warning", "error", "warning"]
        codes = ["a", "b", "mask.c", "d", "e"]
        notices.show_findings(
            [{"code": c, "severity": k, "message": f"M{c}", "remedy": ""} for c, k in zip(codes, kinds, strict=True)]
        )

    at = AppTest.from_function(script).run()
    assert not at.exception
    folded = at.expander[0]
    assert folded.label == "3 more notes"
    assert "Md" in at.error[0].value and "Mmask" in at.warning[0].value
    assert len(folded.warning) == 1 and "Mb" in folded.warning[0].value and "Me" in folded.warning[0].value


def test_the_mask_its_findings_and_the_button_are_shown_when_the_preview_is_done(home, work):
    at = with_inputs().run()
    assert button(at, "run").disabled
    work()
    at.run()
    assert not button(at, "run").disabled
    assert "mask\\.stand\\-in" in text(at) and "Use the brush" in text(at)


def test_without_a_garment_the_mask_is_shown_and_the_button_waits(home, work):
    at = page()
    at.session_state["tryon"] = TryOnState(person=inputs.keep_sample("person", "anna"))
    at.run()
    assert work() == 1
    assert button(at.run(), "run").disabled and "Pick a garment" in text(at)


def test_the_result_equals_the_photo_outside_the_mask_and_is_sealed(home, work):
    at = finished(work, seed=7)
    artefact = Path(seen(at).artefact)
    seal, notes = sidecar.read(artefact)
    assert notes == []
    assert seal.recipe.seed == 7 and set(seal.recipe.inputs) == {"person", "garment"}
    outcome = results.outcome(str(artefact))
    changed = (outcome.before != outcome.after).any(axis=2)
    assert changed.any() and not (changed & (outcome.mask == 0)).any()
    assert at.session_state["stage_view"] == "Result" and seen(at).job is None
    told = "".join(item.value for item in at.get("html"))
    assert "0 pixels changed" in told and "signed by this studio, not by a public authority" in told


def test_brush_strokes_reach_the_recipe_as_a_mask_and_nothing_outside_changes(home, work):
    at = with_inputs().run()
    work()
    at.run()
    current = seen(at)
    assert current.strokes_base is not None
    erase = Stroke("erase", 0.3, ((0.5, 0.35),))
    add = Stroke("add", 0.1, ((0.1, 0.1),))
    at.session_state["tryon"] = TryOnState(**{**vars(current), "strokes": (erase, add)})
    button(at.run(), "run").click().run()
    work()
    outcome = results.outcome(seen(at.run()).artefact)
    height, width = outcome.mask.shape
    changed = (outcome.before != outcome.after).any(axis=2)
    assert outcome.mask[int(0.35 * height), width // 2] == 0
    assert changed[int(0.1 * height), int(0.1 * width)]
    assert not (changed & (outcome.mask == 0)).any()
    assert "mask" in sidecar.read(outcome.path)[0].recipe.inputs


def test_strokes_over_another_mask_are_dropped(home, work):
    at = with_inputs(strokes=(Stroke("add", 0.1, ((0.5, 0.5),)),), strokes_base="of another photo").run()
    work()
    assert seen(at.run()).strokes == ()


def test_several_people_can_be_chosen_from(home, work):
    at = page().run()
    data = png(figure(people=2))
    at.file_uploader(key="person_upload").set_value(("us.png", data, "image/png")).run()
    work()
    at.run()
    assert "2 people found" in text(at)
    plans = []
    for index in (0, 1):
        at.session_state["tryon"] = TryOnState(**{**vars(seen(at)), "person_index": index})
        at.run()
        work()
        at.run()
        plans.append(
            results.plan(
                watching.watch(seen(at).plan_job).artefact if not seen(at).plan else seen(at).plan, seen(at).person
            ).mask
        )
    half = plans[0].shape[1] // 2
    assert plans[0][:, :half].any() and not plans[0][:, half:].any()
    assert plans[1][:, half:].any() and not plans[1][:, :half].any()


def test_a_photo_without_a_person_is_explained_with_what_why_and_what_to_do(home, work):
    at = page().run()
    blank = png(np.full((200, 150, 3), 200, np.uint8))
    at.file_uploader(key="person_upload").set_value(("wall.png", blank, "image/png")).run()
    work()
    at.run()
    assert len(at.error) == 1
    shown = at.error[0].value
    assert "no person" in shown and "What to do: Use a photo" in shown and "input\\.no\\-person" in shown


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("cut.png", png(figure())[:300], "input\\.damaged"),
        ("notes.png", b"these are my notes, not a picture", "input\\.not\\-a\\-picture"),
        ("dot.png", png(np.zeros((1, 1, 3), np.uint8)), "input\\.too\\-small"),
    ],
)
def test_a_bad_upload_is_one_clear_error_and_is_not_kept(home, name, data, code):
    at = page().run()
    at.file_uploader(key="person_upload").set_value((name, data, "image/png")).run()
    assert seen(at).person is None and not (home / "inputs").exists()
    assert code in at.error[0].value
    assert not at.run().error  # said once


@pytest.mark.parametrize("slot", ["person", "garment"])
def test_a_bad_upload_is_told_where_it_was_uploaded(home, slot):
    """On a phone the top of the page is out of sight by then."""
    at = page().run()
    at.file_uploader(key=f"{slot}_upload").set_value(("x.png", b"no picture", "image/png")).run()
    told = [item for item in at.columns[0] if item.type in ("subheader", "error")]
    before = told[[item.type for item in told].index("error") - 1]
    assert slot in before.value.lower() and len(at.error) == 1


def test_a_file_name_is_shown_as_text_not_as_markup(home):
    at = page().run()
    at.file_uploader(key="person_upload").set_value(("[x](http://evil)<b>.png", b"no picture", "image/png")).run()
    assert "](http" not in at.error[0].value and "<b>" not in at.error[0].value


def test_cancel_stops_the_job_and_brings_the_mask_back(home, work):
    at = with_inputs().run()
    work()
    button(at.run(), "run").click().run()
    button(at, "cancel").click().run()
    assert Queue(home).get(2).state == "cancelled"
    at.run()
    assert seen(at).job is None and seen(at).artefact is None and not at.error
    assert not button(at, "run").disabled


def test_a_failed_job_is_told_once_and_the_mask_stays(home, work, monkeypatch):
    at = with_inputs().run()
    work()
    garment = seen(at).garment
    button(at.run(), "run").click().run()
    Store(home).input_path(garment.sha256).unlink()
    work()
    at.run()
    assert any("input\\.not\\-kept" in item.value for item in at.columns[1].error)  # beside the button that was pressed
    assert seen(at).job is None


def test_a_paused_queue_says_so_and_goes_on_when_told(home, work):
    at = with_inputs().run()
    Queue(home).pause()
    work()
    button(at.run(), "run").click().run()
    assert "paused" in text(at)
    assert Queue(home).get(2).state == "queued"
    button(at, "resume").click().run()
    assert not Queue(home).paused
    work()
    assert seen(at.run()).artefact


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_every_download_carries_the_recipe_and_opens_it_again(home, work, format):
    at = finished(work, seed=11, protect=("face",))
    made = seen(at).artefact
    data = results.export(made, format)
    assert Image.open(io.BytesIO(data)).format == format.upper()
    (home / "download").write_bytes(data)
    assert workspace.seal_of(home / "download") == "signed by this studio, not by a public authority"
    other = page().run()
    upload = other.file_uploader(key="recipe_upload")
    upload.set_value((f"result.{format}", data, f"image/{format}")).run()
    opened = seen(other)
    assert (opened.seed, opened.protect, opened.person.sample, opened.garment.sample) == (
        11,
        ("face",),
        "anna",
        "red-shirt",
    )
    assert other.number_input(key="seed").value == 11
    assert other.session_state["protect"] == ["face"]


def test_lossless_downloads_hold_the_same_pixels(home, work):
    made = seen(finished(work)).artefact
    pixels = [pictures.pixels_of(results.export(made, format)) for format in ("png", "webp")]
    assert np.array_equal(*pixels)
    seal = sidecar.parse(sidecar.embedded(results.export(made, "webp")))
    assert seal.output.format == "webp" and seal.output.pixels_sha256 == sidecar.hash_pixels(pixels[1])
    assert seal.receipt["edit"]["changed_outside_mask"] == 0


def test_an_opened_recipe_brings_its_edited_mask_and_gives_the_same_pixels(home, work):
    at = with_inputs().run()
    work()
    at.run()
    at.session_state["tryon"] = TryOnState(**{**vars(seen(at)), "strokes": (Stroke("erase", 0.2, ((0.5, 0.3),)),)})
    button(at.run(), "run").click().run()
    work()
    first = seen(at.run()).artefact
    other = page().run()
    other.file_uploader(key="recipe_upload").set_value(("a.png", Path(first).read_bytes(), "image/png")).run()
    assert seen(other).own_mask is not None
    work()
    button(other.run(), "run").click().run()
    work()
    second = seen(other.run()).artefact
    assert second != first
    assert np.array_equal(results.outcome(first).after, results.outcome(second).after)
    assert sidecar.read(Path(first))[0].recipe_sha256 == sidecar.read(Path(second))[0].recipe_sha256


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (png(figure()), "input\\.no\\-recipe"),
        (pictures.embed(png(figure()), "png", '{"recipe": 1}'), "recipe\\.bad"),
        (pictures.embed(png(figure()), "png", "[" * 40_000), "recipe\\.bad"),
    ],
)
def test_a_file_without_a_usable_recipe_is_refused(home, data, code):
    at = page().run()
    at.file_uploader(key="recipe_upload").set_value(("x.png", data, "image/png")).run()
    assert code in at.error[0].value
    assert seen(at).person is None


def test_a_recipe_whose_inputs_are_elsewhere_names_what_is_missing(home, work):
    made = Path(seen(finished(work)).artefact)
    data = made.read_bytes()
    for path in (home / "inputs").rglob("*"):
        if path.is_file():
            path.unlink()
    at = page().run()
    at.file_uploader(key="recipe_upload").set_value(("a.png", data, "image/png")).run()
    assert "anna" in at.error[0].value and "input\\.not\\-kept" in at.error[0].value


def test_delete_moves_file_sidecar_and_layers_to_the_trash(home, work):
    at = finished(work)
    made = Path(seen(at).artefact)
    button(at, "trash").click().run()
    assert not made.exists() and not sidecar.path_beside(made).exists()
    trashed = {path.name for path in (home / "trash").rglob("*")}
    assert {made.name, made.name + ".json"} <= trashed
    assert seen(at).artefact is None and results.recent(10) == []


def test_recent_results_show_try_ons_only_newest_first(home, work):
    at = finished(work)
    at.session_state["tryon"] = TryOnState(**{**vars(seen(at)), "seed": 5, "artefact": None})
    button(at.run(), "run").click().run()
    work()
    at.run()
    listed = [sidecar.read(Path(item.id))[0].recipe for item in results.recent(10)]
    assert [(item.kind, item.seed) for item in listed] == [("tryon", 5), ("tryon", 0)]


def test_a_recent_result_opens_on_a_page_without_inputs_and_brings_them_when_asked(home, work):
    made = seen(finished(work, seed=3)).artefact
    at = page()
    at.session_state["tryon"] = TryOnState(artefact=made)
    at.run()
    assert "Pick or upload" not in text(at)
    assert "Result" in [item.value for item in at.subheader]
    button(at, "restore").click().run()
    assert (seen(at).person.sample, seen(at).garment.sample, seen(at).seed) == ("anna", "red-shirt", 3)


def test_step_numbers_become_names_of_what_runs_now():
    assert watching._step_name("tryon", "step 0 of 8") == "Finding the person"
    assert watching._step_name("tryon", "step 5 of 8") == "Painting"
    assert watching._step_name("tryon", "step 6 of 8") == "Pasting back"
    assert watching._step_name("tryon", "step 8 of 8") == "Looking at it as a detector would"
    assert watching._step_name("tryon", "step 3 of 9") == "Step 3 of 9"
    assert watching._step_name("pose", "loading") == "Loading"


def test_the_page_never_loads_torch_or_a_pipeline():
    import subprocess
    import sys

    code = (
        "import sys, studio.ui.stage, studio.ui.receipt, studio.ui.forms, studio.ui.gallery; "
        "bad = [m for m in sys.modules if m.split('.')[0] in ('torch', 'cv2', 'open3d', 'diffusers') "
        "or m.startswith('pipelines.') and not m.startswith('pipelines.core')]; sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_settings_of_the_page_and_of_the_registry_agree(home):
    wanted = TryOnState(person=inputs.keep_sample("person", "ben"), person_index=2, protect=("hands",))
    job = Queue(home).get(int(asking.submit_plan(wanted)))
    parsed = recipe.parse(job.recipe)
    assert parsed.settings == {"category": "upper", "person_index": 2, "protect": ["hands"]}
    assert settings.load().home == home
    assert set(state.PROTECTABLE) == {"hair", "face", "hands"}
