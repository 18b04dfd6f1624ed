"""Tampered pictures: the mask is what was changed, everything else is what an untouched picture went through too."""

from __future__ import annotations

import re
from collections import Counter

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.synthetic import picture_past, tampered_regions, tampering, tampering_edits
from pipelines.synthetic.scenes import backdrop, tabletop
from pipelines.synthetic.tampering import (
    HELD_OUT,
    KINDS,
    LEAST,
    MOST,
    SEAM,
    VARIANTS,
    Source,
    authentic,
    evaluation_items,
    prepare,
    shape,
    tamper,
)

ALL = (*KINDS, HELD_OUT)
PAST = ("SHRUNK", "NOISY", "SHARPENED", "SOFTENED", "CAMERA")


def rendered(seed: int, size: tuple[int, int] = (160, 200), labelled: bool = True) -> Source:
    """A place with grain, and two labelled things in it."""
    rng = np.random.default_rng(seed)
    scene = backdrop(rng, "street", size, 0.7) if seed % 2 else tabletop(rng, "clutter", size)
    grain = rng.normal(0, 0.03, (*size, 1))
    picture = (np.clip(scene + grain, 0, 1) * 255).astype(np.uint8)
    regions = np.zeros(size, np.uint8)
    cv2.ellipse(regions, (size[1] // 2, size[0] // 2), (size[1] // 6, size[0] // 4), 20, 0, 360, 3, -1)
    cv2.rectangle(regions, (5, 5), (size[1] // 4, size[0] // 3), 7, -1)
    cv2.rectangle(picture, (5, 5), (size[1] // 4, size[0] // 3), (150, 60, 40), 2)
    return Source(picture, regions if labelled else None)


def flat(level: int, size: tuple[int, int] = (128, 128)) -> Source:
    return Source(np.full((*size, 3), level, np.uint8))


def grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    return cv2.dilate(mask.view(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)).view(bool)


@pytest.fixture
def no_past(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PAST:
        monkeypatch.setattr(picture_past, name, 0.0)


@pytest.fixture
def as_edited(no_past: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens to a picture before or after the edit."""
    monkeypatch.setattr(tampering, "FINISH_PNG", 1.0)


@pytest.mark.parametrize("kind", ALL)
def test_an_edit_changes_the_mask_and_nothing_else(kind: str, as_edited: None) -> None:
    for seed in range(12):
        source, donor = rendered(seed, labelled=seed % 3 > 0), rendered(seed + 1)
        before = source.picture.copy()
        result = tamper(source, donor, np.random.default_rng(seed), kind=kind)
        np.testing.assert_array_equal(source.picture, before)
        assert result.kind == kind and result.finishing == "png"
        assert result.picture.shape == before.shape and result.picture.dtype == np.uint8
        assert result.mask.shape == before.shape[:2] and result.mask.dtype == bool
        changed = (result.picture != before).any(2)
        assert not changed[~grown(result.mask, SEAM)].any()
        assert changed[result.mask].mean() > 0.6
        # the change fills the mask: no margin of it lies idle
        assert grown(changed, 4)[result.mask].mean() > 0.97


@pytest.mark.parametrize("kind", ALL)
def test_the_finished_mask_fits_its_picture_and_keeps_its_bounds(kind: str) -> None:
    for seed in range(10):
        result = tamper(rendered(seed), rendered(seed + 1, (90, 300)), np.random.default_rng(seed), kind=kind)
        assert result.mask.shape == result.picture.shape[:2]
        assert LEAST <= result.mask.mean() <= MOST
        assert re.fullmatch(r"(resized \d\.\d\d, )?(png|jpeg (7[5-9]|8\d|9[0-8]))", result.finishing)


@pytest.mark.parametrize("resized", [False, True])
def test_a_splice_of_light_into_dark_shows_where_the_mask_is(
    resized: bool, no_past: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tampering_edits, "SEAM_BLURRED", 0.0)
    monkeypatch.setattr(tampering, "FINISH_PNG", 0.0 if resized else 1.0)
    monkeypatch.setattr(tampering, "FINISH_JPEG", 0.0)
    for seed in range(20):
        result = tamper(flat(0), flat(240), np.random.default_rng(seed), kind="splice")
        assert (result.picture.shape != (128, 128, 3)) == resized
        light = result.picture[..., 1].astype(int)
        seen = light > np.median(light[result.mask]) / 2
        union = (seen | result.mask).sum()
        assert (seen & result.mask).sum() / union > (0.93 if resized else 0.995)


def test_a_screenshot_of_an_edit_shows_it_where_the_mask_is(no_past: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tampering_edits, "SEAM_BLURRED", 0.0)
    monkeypatch.setattr(tampering, "SHOT_PNG", 1.0)
    green = Source(flat(0).picture + np.array([0, 240, 0], np.uint8))
    for seed in range(20):
        result = tamper(flat(0), green, np.random.default_rng(seed), kind="splice", shot=True)
        assert result.finishing == "screenshot, png" and result.mask.shape == result.picture.shape[:2]
        tint = result.picture[..., 1].astype(int) - result.picture[..., 0]
        seen = tint > np.median(tint[result.mask]) / 2
        assert (seen & result.mask).sum() / (seen | result.mask).sum() > 0.9


def test_copies_land_beside_their_origin(as_edited: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tampered_regions, "LABELLED", 1.0)
    regions = np.zeros((160, 200), np.uint8)
    regions[50:100, 70:120] = 1
    source = Source(rendered(3).picture, regions)
    for seed in range(20):
        result = tamper(source, source, np.random.default_rng(seed), kind="copy-move")
        assert (result.mask & (regions > 0)).sum() < 0.25 * result.mask.sum()


def test_a_region_that_never_fits_is_replaced(as_edited: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("splice", "copy-move"):
        monkeypatch.setitem(tampering._EDITS, kind, lambda s, d, r: (s.picture, np.zeros(s.picture.shape[:2], bool)))
        source, donor = rendered(3), rendered(4, (70, 300))
        result = tamper(source, donor, np.random.default_rng(1), kind=kind)
        assert LEAST <= result.mask.mean() <= MOST
        assert (result.picture != source.picture).any(2)[result.mask].mean() > 0.8


def test_kinds_are_drawn_evenly_and_the_held_out_one_never() -> None:
    source, donor, rng = rendered(1, (64, 64)), rendered(2, (64, 64)), np.random.default_rng(0)
    count = Counter(tamper(source, donor, rng).kind for _ in range(420))
    assert HELD_OUT not in KINDS
    assert set(count) == set(KINDS)
    assert all(35 <= number <= 85 for number in count.values()), count


def test_the_same_seed_draws_the_same_pictures() -> None:
    source, donor = rendered(5), rendered(6)
    for kind in (None, *ALL):
        first, again, other = (tamper(source, donor, np.random.default_rng(s), kind=kind) for s in (4, 4, 5))
        assert first.kind == again.kind and first.finishing == again.finishing
        np.testing.assert_array_equal(first.picture, again.picture)
        np.testing.assert_array_equal(first.mask, again.mask)
        assert first.picture.shape != other.picture.shape or (first.picture != other.picture).any()


def test_an_authentic_picture_has_a_past_and_a_finish_and_no_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = rendered(7, (220, 260)).picture
    monkeypatch.setattr(tampering, "FINISH_PNG", 1.0)
    monkeypatch.setattr(tampering, "_edited", None)
    for seed in range(8):
        result, words = authentic(picture, np.random.default_rng(seed))
        np.testing.assert_array_equal(result, prepare(picture, np.random.default_rng(seed)))
        assert words == "png"
    for name in PAST:
        monkeypatch.setattr(picture_past, name, 0.0)
    np.testing.assert_array_equal(authentic(picture, np.random.default_rng(1))[0], picture)


def test_tampered_and_authentic_pictures_are_finished_alike() -> None:
    source, donor, rng = rendered(1, (64, 72)), rendered(2, (64, 64)), np.random.default_rng(2)
    edited = Counter(tamper(source, donor, rng, kind="splice").finishing.split()[0] for _ in range(400))
    untouched = Counter(authentic(source.picture, rng)[1].split()[0] for _ in range(400))
    shares = {"png": tampering.FINISH_PNG, "jpeg": tampering.FINISH_JPEG, "resized": tampering.FINISH_RESIZED}
    assert sum(shares.values()) == pytest.approx(1)
    for count in (edited, untouched):
        assert all(abs(count[word] / 400 - share) < 0.1 for word, share in shares.items()), count


def test_a_past_shrinks_at_most_to_its_limit_and_leaves_traces() -> None:
    picture, rng = rendered(9, (240, 320)).picture, np.random.default_rng(0)
    sizes = Counter()
    for _ in range(40):
        past = prepare(picture, rng)
        sizes[past.shape == picture.shape] += 1
        assert past.shape[0] >= tampering.PREPARED_SIDE and past.shape[0] <= picture.shape[0]
        assert abs(past.shape[1] / past.shape[0] - 4 / 3) < 0.02
        if past.shape == picture.shape:
            assert abs(past.astype(int) - picture).mean() < 12
    assert min(sizes[True], sizes[False]) >= 8
    small = rendered(9, (80, 100)).picture
    assert all(prepare(small, rng).shape == small.shape for _ in range(10))


def test_variants_of_authentic_pictures() -> None:
    picture = rendered(11, (100, 140)).picture
    for seed in range(12):
        rng = np.random.default_rng(seed)
        camera, words = authentic(picture, rng, "camera")
        assert camera.shape == picture.shape and 85 <= int(words.removeprefix("jpeg ")) <= 97
        resized, words = authentic(picture, rng, "resized")
        factor = float(words.split()[1].rstrip(","))
        assert 0.5 <= factor <= 0.9 or 1.1 <= factor <= 1.3
        assert resized.shape[0] == pytest.approx(100 * factor, abs=1.1)
        shot, words = authentic(picture, rng, "screenshot")
        assert shot.shape[2] == 3 and words.startswith("screenshot, ")
    with pytest.raises(InputError, match="variant"):
        authentic(picture, np.random.default_rng(0), "painting")


def test_evaluation_items_take_turns_and_come_out_the_same() -> None:
    sources = [rendered(k, (64 + k, 80)) for k in range(32)]
    items, again = list(evaluation_items(sources)), list(evaluation_items(sources))
    for first, second in zip(items, again, strict=True):
        np.testing.assert_array_equal(first.tampered.picture, second.tampered.picture)
        np.testing.assert_array_equal(first.tampered.mask, second.tampered.mask)
        np.testing.assert_array_equal(first.authentic, second.authentic)
    assert len({item.stem for item in items}) == 32
    pairs = Counter((item.tampered.kind, item.variant) for item in items)
    assert pairs == Counter({(kind, variant): 1 for kind in ALL for variant in VARIANTS})
    other = next(evaluation_items(sources, seed=1)).tampered
    assert other.mask.shape != items[0].tampered.mask.shape or (other.mask != items[0].tampered.mask).any()


def test_an_evaluation_splice_never_comes_from_its_own_source(no_past: None) -> None:
    sources = [flat(40 + 60 * k) for k in range(3)]
    for seed in range(10):
        item = next(evaluation_items(sources, seed))
        assert item.tampered.kind == "splice"
        assert abs(item.tampered.picture[item.tampered.mask].mean() - 40) > 4


@pytest.mark.parametrize("size", [(64, 64), (64, 500), (300, 64), (257, 131)])
def test_odd_pictures_are_edited_without_a_fault(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    specks = (noise[..., 0] > 250).astype(np.uint8)
    sources = (flat(0, size), flat(255, size), Source(noise, specks), rendered(3, size), flat(90, (64, 64)))
    for seed in range(3):
        for k, source in enumerate(sources):
            donor = sources[(k + 1 + seed) % len(sources)]
            for kind in ALL:
                result = tamper(source, donor, np.random.default_rng(seed), kind=kind)
                assert LEAST <= result.mask.mean() <= MOST
                assert result.mask.shape == result.picture.shape[:2]


def test_regions_have_fair_sizes_and_follow_labels() -> None:
    rng, followed = np.random.default_rng(3), 0
    regions = np.zeros((120, 150), np.uint8)
    regions[30:90, 40:80] = 9
    for _ in range(60):
        mask = shape((120, 150), rng, regions)
        assert mask.shape == (120, 150) and LEAST <= mask.mean() <= MOST
        followed += (mask & (regions > 0)).sum() / (mask | (regions > 0)).sum() > 0.8
    assert 30 <= followed <= 57
    shares = [shape((64, 400), rng).mean() for _ in range(60)]
    assert min(shares) >= LEAST and max(shares) <= MOST and np.ptp(shares) > 0.08


def test_what_cannot_be_edited_is_named() -> None:
    rng, fine = np.random.default_rng(0), rendered(1)
    with pytest.raises(InputError, match="small"):
        tamper(flat(3, (63, 200)), fine, rng)
    with pytest.raises(InputError, match="small"):
        authentic(np.zeros((40, 40, 3), np.uint8), rng)
    with pytest.raises(InputError, match="labels"):
        tamper(fine, Source(fine.picture, np.zeros((10, 10), np.uint8)), rng)
    with pytest.raises(InputError, match="kind"):
        tamper(fine, fine, rng, kind="magic")
    with pytest.raises(InputError, match="two"):
        next(evaluation_items([fine]))
