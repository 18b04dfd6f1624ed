"""Masks: what may change, what may not, and what the lint says about a mask somebody drew."""

import re

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.person import layout as lip
from pipelines.person import masks

U = 4  # pixels per drawing unit


def codes(findings):
    return {f.code for f in findings}


def lint(mask, person, category="upper"):
    return masks.lint(np.asarray(mask, np.uint8) * np.uint8(255), person.layout, category)


@pytest.mark.parametrize("category", masks.CATEGORIES)
@pytest.mark.parametrize("sleeves", ["none", "long"])
@pytest.mark.parametrize("legs", ["bare", "trousers"])
def test_edit_and_protected_never_meet(mannequin, category, sleeves, legs):
    person = mannequin(sleeves=sleeves, legs=legs, hat=True)
    edit, protected = masks.garment_mask(person.layout, person.pose, category)
    assert not (edit & protected).any()
    kept = np.isin(person.layout, (lip.HAIR, lip.FACE, lip.HAT, lip.LEFT_SHOE, lip.RIGHT_SHOE))
    assert protected[kept].all()


@pytest.mark.parametrize("sleeves", ["none", "short", "long"])
def test_upper_mask_frees_garment_arms_and_neckline_only(mannequin, sleeves):
    person = mannequin(sleeves=sleeves, legs="trousers")
    edit, protected = masks.garment_mask(person.layout, person.pose, "upper")
    assert edit[person.layout == lip.UPPER].mean() > 0.99
    arms = np.isin(person.layout, lip.ARMS) & ~lip.hands(person.layout, person.pose)
    assert edit[arms].all()
    assert edit[(person.layout == lip.NECK)].mean() > 0.8
    assert protected[lip.hands(person.layout, person.pose)].all()
    below_knee = np.zeros_like(edit)
    below_knee[100 * U :] = True
    assert not (edit & below_knee).any()
    trousers = person.layout == lip.PANTS
    assert edit[trousers].mean() < 0.2 and protected[trousers].mean() > 0.8


def test_lower_mask_leaves_the_top(mannequin):
    person = mannequin(sleeves="short", legs="bare")
    edit, protected = masks.garment_mask(person.layout, person.pose, "lower")
    assert edit[np.isin(person.layout, (lip.SKIRT, *lip.LEGS))].mean() > 0.95
    assert protected[np.isin(person.layout, (lip.UPPER, *lip.ARMS))].all()


def test_a_dress_is_replaced_whole_or_by_halves(mannequin):
    person = mannequin(sleeves="short", legs="bare")
    layout = person.layout.copy()
    layout[np.isin(layout, (lip.UPPER, lip.SKIRT))] = lip.DRESS
    worn = layout == lip.DRESS
    whole = masks.garment_mask(layout, person.pose, "dress")[0]
    top = masks.garment_mask(layout, person.pose, "upper")[0]
    bottom = masks.garment_mask(layout, person.pose, "lower")[0]
    assert whole[worn].mean() > 0.99
    assert 0.4 < top[worn].mean() < 0.9 and 0.1 < bottom[worn].mean() < 0.7
    assert (top | bottom)[worn].mean() > 0.97


def test_bag_and_its_strap_stay(mannequin):
    person = mannequin(sleeves="short")
    layout = person.layout.copy()
    layout[40 * U : 70 * U, 50 * U : 53 * U] = lip.BAG
    edit, protected = masks.garment_mask(layout, person.pose, "upper")
    assert protected[layout == lip.BAG].all() and not edit[layout == lip.BAG].any()


def test_unknown_category_is_named():
    with pytest.raises(InputError, match="hat") as caught:
        masks.garment_mask(np.zeros((8, 8), np.uint8), lip.no_pose((8, 8)), "hat")
    assert caught.value.code == "mask.category"


@pytest.mark.parametrize("radius", [0.0, 1.0, 4.0, 11.5])
def test_feather_falls_off_and_spares_what_is_protected(radius):
    edit, protected = np.zeros((80, 80), bool), np.zeros((80, 80), bool)
    edit[20:60, 20:60] = True
    protected[20:60, 45:] = True
    mask = masks.feather(edit, protected, radius)
    assert mask.dtype == np.uint8 and (mask[protected] == 0).all()
    assert mask[40, 30] == 255
    falling = mask[40, :21][::-1].astype(int)
    assert (np.diff(falling) <= 0).all() and falling[0] == 255
    beyond = np.flatnonzero(mask[40, :20])
    assert len(beyond) <= max(radius, 0.5) + 1
    if radius >= 4:
        assert len(beyond) >= radius - 1 and 0 < mask[40, 44] < 255  # soft on both sides


def test_feather_of_nothing_is_nothing():
    assert not masks.feather(np.zeros((9, 9), bool), np.ones((9, 9), bool), 3).any()


@pytest.mark.parametrize("category", masks.CATEGORIES)
@pytest.mark.parametrize("sleeves", ["none", "short", "long"])
def test_our_own_masks_pass_the_lint(mannequin, category, sleeves):
    person = mannequin(sleeves=sleeves, legs="trousers")
    edit, protected = masks.garment_mask(person.layout, person.pose, category)
    found = masks.lint(masks.feather(edit, protected, 6), person.layout, category)
    assert [f.code for f in found if f.severity != "info"] == []


def test_lint_reads_figures_off_the_mask(mannequin):
    person = mannequin(sleeves="short", legs="trousers")
    good = masks.garment_mask(person.layout, person.pose, "upper")[0]

    face = np.isin(person.layout, (lip.FACE,))
    found = {f.code: f for f in lint(good | face, person)}
    assert set(found) == {"mask.touches-face"}
    assert int(re.search(r"(\d+)%", found["mask.touches-face"].message)[1]) >= 97

    half = good.copy()
    half[:, : half.shape[1] // 2] = False
    found = {f.code: f for f in lint(half, person)}
    share = float(found["mask.leak"].message.split("%")[0])
    truth = (person.layout == lip.UPPER)[:, : half.shape[1] // 2].sum() / (person.layout == lip.UPPER).sum()
    assert abs(share / 100 - truth) < 0.03

    assert "mask.wrong-class" in codes(lint(person.layout == lip.PANTS, person))
    assert "mask.wrong-class" not in codes(lint(person.layout == lip.PANTS, person, "lower"))
    assert "mask.touches-hands" in codes(lint(good | lip.hands(person.layout), person))
    assert "mask.touches-hair" in codes(lint(good | (person.layout == lip.HAIR), person))


def test_lint_of_masks_of_no_use(mannequin):
    person = mannequin(sleeves="short")
    everything = np.ones(person.layout.shape, bool)
    assert "mask.too-large" in codes(lint(everything, person))
    corner = np.zeros_like(everything)
    corner[:30, :30] = True
    assert codes(lint(corner, person)) >= {"mask.outside-person", "mask.leak"}
    empty = lint(np.zeros_like(everything), person)
    assert codes(empty) == {"mask.empty"} and empty[0].severity == "error"
    assert all(f.message and f.remedy for f in lint(everything, person) + lint(corner, person) + empty)


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (np.full((5, 5), 255, np.uint8), "mask.size"),
        (np.full((640, 400), np.nan, np.float32), "mask.type"),
        (np.full((640, 400, 3), 255, np.uint8), "mask.type"),
    ],
)
def test_lint_refuses_what_is_no_mask(mannequin, mask, code):
    with pytest.raises(InputError) as caught:
        masks.lint(mask, mannequin().layout, "upper")
    assert caught.value.code == code
