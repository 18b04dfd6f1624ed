"""Where cloth lies, what comes to light beside it, and how both are coloured."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipelines.person import layout as layouts
from pipelines.person.garment.fit import Fit
from pipelines.person.garment.landmarks import CI, CO, COUNT, EI, EO, HEM, NECK, RIGHT, A, H, N, S, W
from pipelines.viton_hd import cover as covering
from pipelines.viton_hd import photo as photos
from pipelines.viton_hd import surface
from pipelines.viton_hd.conditioning import FILLS, SKIN

SHAPE = (400, 300)
UNIT = 100.0
NOTHING = np.zeros(SHAPE, bool)


def short_sleeved() -> Fit:
    """A T-shirt on somebody whose shoulders lie at (100, 100) and (200, 100), arms hanging."""
    half = {
        N: (125, 95),
        S: (95, 100),
        A: (105, 140),
        EO: (82, 125),
        EI: (102, 142),
        CO: (75, 150),
        CI: (98, 155),
        W: (108, 190),
        H: (106, 250),
    }
    target = np.zeros((COUNT, 2), np.float32)
    for index, (x, y) in half.items():
        target[index], target[RIGHT + index] = (x, y), (300 - x, y)
    target[NECK], target[HEM] = (150, 112), (150, 252)
    joints = [np.array([[x, y], [300 - x, y]], np.float32) for x, y in ((100, 105), (85, 180), (80, 250))]
    return Fit(target, True, (False, False), "long", *joints, UNIT, [])


def body(place: Fit, *, wide: float = 0, hem: int = 250) -> np.ndarray:
    """(h, w) bool: a long-sleeved top."""
    canvas = np.zeros(SHAPE, np.uint8)
    cv2.fillPoly(
        canvas, [np.array([[95 - wide, 100], [205 + wide, 100], [205 + wide, hem], [95 - wide, hem]], np.int32)], 1
    )
    for side in (0, 1):
        line = [place.shoulders[side], place.elbows[side], place.wrists[side]]
        cv2.polylines(canvas, [np.round(line).astype(np.int32)], False, 1, 26)
    return canvas > 0


def shirt(place: Fit) -> np.ndarray:
    """(h, w) float32: the T-shirt, a little narrower than the body."""
    canvas = np.zeros(SHAPE, np.float32)
    t = place.target
    for part in (
        [t[S], t[RIGHT + S], t[RIGHT + H], t[H]],
        *([t[f + S], t[f + CO], t[f + CI], t[f + A]] for f in (0, RIGHT)),
    ):
        cv2.fillPoly(canvas, [np.round(part).astype(np.int32)], 1)
    return canvas


def planned(alpha: np.ndarray, place: Fit, *planes: np.ndarray, **more: np.ndarray | None) -> covering.Cover:
    """The plan with the arms of the fit itself."""
    return covering.cover(alpha, place, covering.beyond_cuffs(place, SHAPE), *planes, **more)


def test_cloth_reaches_the_old_outline_but_not_beyond_the_cuffs_and_not_into_the_neck():
    place = short_sleeved()
    old = body(place, wide=6)
    plan = planned(shirt(place), place, old, NOTHING, NOTHING)
    middle = slice(165, 230)
    torso = old & (np.abs(np.arange(300) - 150) < 52)[None]
    assert (plan.cloth & torso)[middle].sum() > 0.98 * torso[middle].sum()
    assert not plan.cloth[200:245, :88].any(), "the bare forearm got a sleeve"
    assert not plan.cloth[60:100, 135:165].any(), "cloth in the neck opening"


def test_a_sleeve_covers_a_bare_arm_to_its_outline():
    place = short_sleeved()
    arm = body(place) & (np.arange(300) < 95)[None]
    plan = planned(shirt(place), place, body(place) & ~arm, arm, NOTHING)
    upper, lower = slice(115, 135), slice(180, 245)
    assert (plan.cloth & arm)[upper].sum() > 0.95 * arm[upper].sum()
    assert not (plan.cloth | plan.fill)[lower, :80].any(), "the rest of the bare arm stays as it was"


def test_a_flat_garment_is_shaded_towards_its_outline_and_under_sleeves():
    parts = np.zeros(SHAPE, np.uint8)
    parts[100:300, 100:200], parts[100:250, 70:110] = 1, 2
    relief = surface.relief(parts, parts > 0, UNIT)
    assert (relief[parts == 0][::50] == 0).mean() > 0.9
    assert relief[200, 150] > -0.02 > relief[200, 196] and relief[200, 113] < -0.06


def test_a_long_old_sleeve_becomes_an_arm_on_each_side():
    place = short_sleeved()
    plan = planned(shirt(place), place, body(place), hands(place), NOTHING)
    assert plan.skin[200, 83] == 6 and plan.skin[200, 217] == 5
    assert not (plan.skin > 0)[plan.cloth].any() and plan.fill[plan.skin > 0].all()
    assert plan.roundness[200, 70:97].min() < plan.roundness[200, 83] <= 1


def hands(place: Fit) -> np.ndarray:
    """(h, w) bool: both hands, below the wrists."""
    canvas = np.zeros(SHAPE, np.uint8)
    for side in (0, 1):
        x, y = place.wrists[side]
        cv2.circle(canvas, (round(float(x)), round(float(y)) + 12), 9, 1, -1)
    return canvas > 0


def test_old_sleeves_stay_on_both_sides_unless_both_hands_are_seen():
    place, old = short_sleeved(), body(short_sleeved())
    seen, lost = hands(place), hands(place)
    lost[:, 150:] = False
    plans = [planned(shirt(place), place, old, bare, NOTHING) for bare in (seen, lost)]
    assert not plans[0].stays.any() and (plans[0].skin == 5).any()
    for x in (83, 217):
        assert plans[1].stays[200, x]
    assert not (plans[1].skin > 4).any()
    stays = plans[1].stays
    assert not plans[1].fill[stays].any() and plans[1].cloth[stays].mean() < 0.05  # cloth is rounded over their ends


def test_a_short_old_sleeve_never_stays():
    place, old = replace(short_sleeved(), worn_sleeve="short"), body(short_sleeved())
    assert not planned(shirt(place), place, old, NOTHING, NOTHING).stays.any()


def test_cloth_stays_within_the_outline_of_the_wearer_except_beside_the_neck():
    place, alpha = short_sleeved(), shirt(short_sleeved())
    alpha[120:220, 20:95] = 1  # a wing
    alpha[80:100, 125:175] = 1  # a collar
    person = body(place)
    free, held = (planned(alpha, place, person, NOTHING, NOTHING, figure=figure).cloth for figure in (None, person))
    rim = cv2.dilate(person.astype(np.uint8), np.ones((19, 19), np.uint8)) > 0
    assert free[170, 40] and not held[170, 40]
    assert not held[105:][~rim[105:]].any() and held[90, 140]


def test_a_long_sleeve_covers_the_whole_of_a_wide_old_one():
    place = short_sleeved()
    target = place.target.copy()
    for side in (0, 1):
        x, y = place.wrists[side]
        target[RIGHT * side + CO], target[RIGHT * side + CI] = (x - 6, y), (x + 6, y)
        x, y = place.elbows[side]
        target[RIGHT * side + EO], target[RIGHT * side + EI] = (x - 6, y), (x + 6, y)
    place, old = replace(place, target=target), body(place)
    plan = planned(shirt(place), place, old, NOTHING, NOTHING)  # the cut-out's own sleeves end at the elbow
    sleeve = old & (np.abs(np.arange(300) - 150) > 57)[None]
    assert plan.cloth[sleeve].mean() > 0.95 and not plan.stays.any() and not (plan.skin > 4).any()


def test_cloth_does_not_flood_the_skirt_of_a_coat():
    place = short_sleeved()
    plans = [planned(shirt(place), place, body(place, hem=hem), NOTHING, NOTHING) for hem in (266, 390)]
    assert plans[0].cloth[262, 120:180].all(), "a slightly longer old garment would peek out"
    assert not plans[1].cloth[264:, 120:180].any()


def test_what_stays_in_front_is_neither_covered_nor_filled():
    place, front = short_sleeved(), NOTHING.copy()
    front[150:200, 70:160] = True
    plan = planned(shirt(place), place, body(place), NOTHING, front)
    assert not (plan.cloth | plan.fill | (plan.skin > 0))[front].any()


def test_below_the_hem_the_old_garment_stays():
    place = short_sleeved()
    plan = planned(shirt(place), place, body(place, hem=390), NOTHING, NOTHING)
    assert not (plan.fill | plan.cloth)[300:380, 120:180].any()


def test_a_scrap_of_the_cut_out_far_from_the_garment_is_no_cloth():
    place = short_sleeved()
    alpha = shirt(place)
    alpha[330:340, 250:262] = 1
    assert not planned(alpha, place, body(place), NOTHING, NOTHING).cloth[320:350].any()


def test_stripes_go_on_beyond_the_rim_instead_of_being_drawn_out():
    stripes = np.repeat((np.arange(60) // 5 % 2).astype(np.float32)[None], 40, 0)
    cloth = np.repeat(stripes[..., None], 3, 2)
    trust = np.zeros((40, 60), bool)
    trust[:, :40] = True
    cloth[:, 40:] = 0.5
    out = surface.extended(cloth, trust, np.ones((40, 60), bool))
    assert (out[:, :40] == cloth[:, :40]).all()
    assert set(np.unique(out[:, 40:55])) == {0.0, 1.0}
    edges = np.flatnonzero(np.diff(out[20, 40:55, 0]))
    assert len(edges) >= 2, "one colour was drawn out over the whole extension"


def test_fill_takes_each_kind_from_where_it_is_seen_and_leaves_the_rest_alone():
    picture = np.zeros((60, 80, 3), np.float32)
    picture[:, :40], picture[:, 40:] = (0.1, 0.6, 0.1), (0.9, 0.7, 0.6)
    region = np.zeros((60, 80), bool)
    region[20:40, 20:60] = True
    left = np.arange(80)[None] < 40
    sources = {kind: np.zeros((60, 80), bool) for kind in FILLS}
    sources[(0,)], sources[SKIN] = left & ~region, ~left & ~region
    shares = {kind: np.zeros((60, 80), np.float32) for kind in FILLS}
    shares[SKIN][:, 20:60] = 1
    out = surface.filled(picture, region, sources, shares, 1.0)
    assert (out[~region] == picture[~region]).all()
    assert np.abs(out[30, 25] - picture[0, 70]).max() < 0.05


def test_a_soft_mask_follows_the_edge_of_the_picture():
    picture = np.full((100, 100, 3), 0.2, np.float32)
    picture[:, 50:] = 0.8
    rough = np.zeros((100, 100), np.float32)
    rough[:, 46:] = 1  # four pixels beside the edge
    out = photos.guided(picture, rough, 10, 1e-4)
    assert out[50, 47] < 0.5 < out[50, 52]


@pytest.mark.parametrize("patterned", [False, True])
def test_folds_are_taken_from_plain_cloth_only(patterned):
    worn = np.zeros((200, 200), bool)
    worn[20:180, 20:180] = True
    y, x = np.mgrid[:200, :200]
    picture = np.repeat((0.5 + 0.08 * np.sin(x / 6)).astype(np.float32)[..., None], 3, 2)
    if patterned:
        picture[(x // 9 + y // 9) % 2 == 0] = (0.9, 0.1, 0.2)
    folds = surface.folds(picture, worn, 120)
    assert (folds[~cv2.dilate(worn.astype(np.uint8), np.ones((31, 31))).astype(bool)] == 0).all()
    strength = np.abs(folds[60:140, 60:140]).max()
    assert strength == 0 if patterned else 0.02 < strength < 0.3


def test_arms_are_round_and_darker_away_from_the_light():
    sleeves = np.zeros(SHAPE, np.uint8)
    sleeves[100:300, 50:74] = 6
    even, left, right = (covering.bare_arms(sleeves, UNIT, light)[1][200] for light in (0.0, -1.0, 1.0))
    assert even[62] > even[51] and even[62] > even[73] and even[20] == 1
    assert left[53] > left[71] and right[53] < right[71]


def test_a_wide_sleeve_hides_a_narrower_arm():
    sleeves = np.zeros(SHAPE, np.uint8)
    sleeves[100:300, 100:150] = 5
    arm, _ = covering.bare_arms(sleeves, UNIT)
    assert 0.3 * 50 < (arm[200] == 5).sum() < 0.7 * 50


@pytest.mark.parametrize(("left", "right", "sign"), [(0.8, 0.4, -1), (0.4, 0.8, 1), (0.6, 0.6, 0)])
def test_the_lit_side_of_the_face_tells_where_the_light_comes_from(left, right, sign):
    picture = np.full((40, 60, 3), left, np.float32)
    picture[:, 30:] = right
    assert np.sign(photos.light_from(picture, np.ones((40, 60), bool))) == sign
    assert photos.light_from(picture, np.zeros((40, 60), bool)) == 0


def test_background_between_arm_and_trunk_stays():
    place, person = short_sleeved(), np.zeros(SHAPE, bool)
    person[60:300, 60:240] = True
    person[160:190, 110:130] = False  # a gap
    person[200:203, 150:153] = False  # a crumb of the parse
    gaps = photos.gaps_in(person, UNIT)
    assert gaps[175, 120] and not gaps[201, 151] and not gaps[10, 10]
    plan = planned(shirt(place), place, body(place), NOTHING, NOTHING, gaps=gaps)
    assert not plan.cloth[gaps].any() and plan.cloth[175, 150]


def test_bare_arms_taken_for_sleeves_are_known_by_their_colour():
    picture = np.full((80, 80, 3), (0.1, 0.2, 0.7), np.float32)
    picture[:, :20] = (0.85, 0.65, 0.55)
    face = np.zeros((80, 80), bool)
    face[:20, :20] = True
    where = np.zeros((80, 80), bool)
    where[40:, :40] = True
    alike = photos.skin_coloured(picture, face, where)
    assert alike[60, 10] and not alike[60, 30] and not alike[:40].any()


def test_scraps_of_hair_and_bag_on_a_garment_do_not_stay_in_front():
    layout = np.full((200, 200), layouts.UPPER, np.uint8)
    layout[:40, 60:140] = layouts.HAIR
    layout[100:108, 100:108] = layouts.HAIR
    layout[150:156, 60:66] = layouts.BAG
    layout[120:200, 150:200] = layouts.BAG
    out = photos.without_islands(np.isin(layout, (layouts.HAIR, layouts.BAG)), layout)
    assert out[20, 100] and out[180, 180]
    assert not out[100:108, 100:108].any() and not out[150:156, 60:66].any()
