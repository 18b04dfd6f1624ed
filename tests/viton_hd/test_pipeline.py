"""The try-on pipeline on rendered people: what it may change, what it must not, and that seeds and tiers hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.core import hub, runtime
from pipelines.core.errors import Cancelled, InputError
from pipelines.synthetic.people import sample_pair
from pipelines.viton_hd.network import CONFIGS, ALIASGenerator, SegGenerator
from pipelines.viton_hd.pipeline import STEPS, VitonHDPipeline
from pipelines.viton_hd.warping import GMM


@pytest.fixture(scope="module")
def pipeline() -> VitonHDPipeline:
    return VitonHDPipeline.from_pretrained("viton-hd", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def pair():
    return sample_pair(7, (512, 384), framing="half", background="studio", flat_background="white")


@pytest.fixture(scope="module")
def result(pipeline, pair):
    return pipeline(pair.person.image, pair.garment.image, seed=3)


def test_nothing_changes_outside_the_declared_mask(result, pair):
    before, after = pair.person.image, result.image
    assert after.shape == before.shape and after.dtype == np.uint8
    changed = (before != after).any(2)
    assert not changed[result.mask == 0].any()
    assert changed[result.mask == 255].mean() > 0.5  # and something does change inside


def test_the_mask_covers_the_worn_top_and_spares_the_face(result, pair):
    worn, face = pair.person.garment_mask, pair.person.layout == 13
    assert (result.mask > 127)[worn].mean() > 0.9
    assert (result.mask > 0)[face].mean() < 0.05


def test_a_seed_reproduces_every_pixel(pipeline, pair, result):
    again = pipeline(pair.person.image, pair.garment.image, seed=3)
    assert np.array_equal(again.image, result.image) and np.array_equal(again.mask, result.mask)


def test_a_user_mask_is_obeyed(pipeline, pair):
    mask = np.zeros(pair.person.image.shape[:2], np.uint8)
    rows, columns = np.nonzero(pair.person.garment_mask)
    y, x = int(rows.mean()), int(columns.mean())
    mask[y - 40 : y + 40, x - 30 : x + 30] = 255
    done = pipeline(pair.person.image, pair.garment.image, mask=mask)
    assert not (done.image != pair.person.image).any(2)[mask == 0].any()
    assert not done.mask[mask == 0].any()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"category": "spaceship"}, "tryon.category"),
        ({"mask": np.ones((5, 5), np.uint8)}, "mask.size"),
        ({"mask": np.zeros((512, 384), np.uint8)}, "mask.empty"),
        ({"protect": ("tail",)}, "tryon.protect"),
        ({"person_index": 9}, "input.person-index"),
    ],
)
def test_bad_requests_are_refused_by_name(pipeline, pair, change, code):
    with pytest.raises(InputError) as caught:
        pipeline(pair.person.image, pair.garment.image, **change)
    assert caught.value.code == code


def test_no_person_and_no_garment_are_refused(pipeline, pair):
    blank = np.full((512, 384, 3), 180, np.uint8)
    with pytest.raises(InputError, match="person") as caught:
        pipeline(blank, pair.garment.image)
    assert caught.value.code == "input.no-person"
    with pytest.raises(InputError) as caught:
        pipeline(pair.person.image, np.full((400, 300, 3), 255, np.uint8))
    assert caught.value.code == "garment.none-found"


def test_a_cut_out_that_covers_next_to_nothing_is_refused_before_anything_is_painted(pipeline, pair):
    cut = pipeline.garment(pair.garment.image)
    rest = np.zeros_like(cut.alpha)
    x, y = np.round(cut.landmarks.mean(0)).astype(int)
    rest[y - 20 : y + 20, x - 20 : x + 20] = 255
    with pytest.raises(InputError, match="too little") as caught:
        pipeline.prepare(pair.person.image, replace(cut, alpha=rest))
    assert caught.value.code == "fit.implausible" and "%" in str(caught.value.seen)
    assert pipeline.prepare(pair.person.image, cut).cover.any()


@pytest.mark.parametrize("step", range(1, len(STEPS) + 1))
def test_cancel_stops_at_every_step(pipeline, pair, step):
    seen = []

    def cancel(done: int, total: int, preview: object) -> None:
        seen.append(done)
        assert total == len(STEPS)
        if done == step:
            raise Cancelled

    with pytest.raises(Cancelled):
        pipeline(pair.person.image, pair.garment.image, on_step=cancel)
    assert seen == list(range(1, step + 1))


def test_the_published_flow_runs_through_the_same_pipeline(pipeline, pair, tmp_path):
    official = CONFIGS["official"]
    where = runtime.choose("cpu", "float32")
    narrow = VitonHDPipeline(
        pipeline.person,
        pipeline.garment,
        SegGenerator(replace(official.seg, width=4)),
        ALIASGenerator(replace(official.alias, ngf=4, label_hidden=8)),
        where,
        GMM(replace(official.gmm, width=4)),
        tier="official",
    )
    done = narrow(pair.person.image, pair.garment.image, seed=1)
    assert not (done.image != pair.person.image).any(2)[done.mask == 0].any()
    narrow.save_pretrained(tmp_path)
    loaded = VitonHDPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert loaded.tier == "official" and loaded.gmm is not None
    assert hub.resolve("viton-hd").is_dir()
