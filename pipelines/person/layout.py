"""Body layout: the nine parsed classes become the twenty that VITON-HD reads (LIP ids), left and right told apart.

The parser calls face, neck, arms and legs all `skin`. Each skin pixel goes to the body part whose bone is nearest in
units of that part's thickness; a separate patch too small to be more than one part goes there whole.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Box, Image, Labels, Pose
from pipelines.person import body as bodies
from pipelines.person.body import Body, Point
from pipelines.person.parsing import network as parsing

(
    BACKGROUND, HAT, HAIR, GLOVE, SUNGLASSES, UPPER, DRESS, COAT, SOCKS, PANTS, NECK, SCARF, SKIRT, FACE, LEFT_ARM,
    RIGHT_ARM, LEFT_LEG, RIGHT_LEG, LEFT_SHOE, RIGHT_SHOE, BAG,
) = range(21)  # fmt: skip
LIP_NAMES = (
    "background", "hat", "hair", "glove", "sunglasses", "upper", "dress", "coat", "socks", "pants", "neck", "scarf",
    "skirt", "face", "left arm", "right arm", "left leg", "right leg", "left shoe", "right shoe", "bag",
)  # fmt: skip
PALETTE = np.array(
    [
        (16, 18, 24), (250, 204, 21), (120, 72, 44), (94, 234, 212), (8, 145, 178), (59, 130, 246), (168, 85, 247),
        (37, 84, 200), (203, 213, 225), (22, 163, 74), (251, 191, 150), (236, 72, 153), (101, 198, 60), (255, 221, 190),
        (249, 115, 22), (220, 38, 38), (253, 164, 100), (244, 114, 114), (180, 83, 9), (127, 29, 29), (148, 163, 184),
    ],
    np.uint8,
)  # fmt: skip
ARMS, LEGS, LIMB_SHOES = (LEFT_ARM, RIGHT_ARM), (LEFT_LEG, RIGHT_LEG), (LEFT_SHOE, RIGHT_SHOE)
HEAD = (HAT, HAIR, SUNGLASSES, FACE)
_DIRECT = {
    parsing.HAIR: HAIR,
    parsing.UPPER: UPPER,
    parsing.LOWER: PANTS,
    parsing.DRESS: DRESS,
    parsing.BAG: BAG,
    parsing.HEADWEAR: HAT,
}


def compose(labels: Labels, pose: Pose) -> Labels:
    """Split parsed classes into body parts with the help of the pose.

    Args:
        labels: (H, W) uint8 of `PARSING_CLASSES`, one person.
        pose: That person's pose; missing joints (score 0) are replaced by proportions.

    Returns:
        (H, W) uint8 of `LIP_NAMES`. Background stays background, and nothing else becomes it.
    """
    return compose_on(labels, bodies.measure(labels, pose))


def compose_on(labels: Labels, body: Body) -> Labels:
    """`compose` with a body that was measured already."""
    table = np.zeros(len(parsing.PARSING_CLASSES), np.uint8)
    table[list(_DIRECT)] = list(_DIRECT.values())
    out = table[labels]
    _split_skin(labels, body, out)
    _split_shoes(labels, body, out)
    _tell_headwear(labels, body, out)
    lower = labels == parsing.LOWER
    if lower.any() and is_skirt(lower, body):
        out[lower] = SKIRT
    return out


def parsed(layout: Labels) -> Labels:
    """The way back: LIP ids to `PARSING_CLASSES`, (H, W) uint8 both."""
    table = np.zeros(21, np.uint8)
    for ours, lip in _DIRECT.items():
        table[lip] = ours
    table[[SUNGLASSES, COAT, SOCKS, SCARF, SKIRT]] = (
        parsing.HEADWEAR, parsing.UPPER, parsing.LOWER, parsing.UPPER, parsing.LOWER,
    )  # fmt: skip
    table[[GLOVE, NECK, FACE, *ARMS, *LEGS]] = parsing.SKIN
    table[list(LIMB_SHOES)] = parsing.SHOES
    return table[layout]


def head(layout: Labels) -> NDArray[np.bool_]:
    """(H, W) bool: face, hair, hat and glasses."""
    return np.isin(layout, HEAD)


def hands(layout: Labels, pose: Pose | None = None) -> NDArray[np.bool_]:
    """Find the hands: the last half unit of each arm's visible skin, counted along the skin from the shoulder.

    Args:
        layout: (H, W) uint8 of `LIP_NAMES`.
        pose: Tells where the shoulders are; without it the top of the clothes does.

    Returns:
        (H, W) bool.
    """
    mask = layout == GLOVE
    if not np.isin(layout, ARMS).any():
        return mask
    body = bodies.measure(parsed(layout), pose or no_pose(layout.shape))
    unit = body.unit
    for side, arm in enumerate(ARMS):
        skin = layout == arm
        count, parts, stats, _ = cv2.connectedComponentsWithStats(skin.astype(np.uint8), connectivity=8)
        if count < 2:
            continue
        shoulder, elbow, wrist = body.arm(side)[:3]
        sure = body.trusted[bodies.ELBOWS[side]] and body.trusted[bodies.WRISTS[side]]
        reach = [_along_skin(parts == n, shoulder, (elbow, wrist) if sure else None) for n in range(1, count)]
        ends = [float(np.hypot(*(tip - shoulder))) for _, tip in reach]
        # A strap or a cuff may cut an arm in pieces: only the outermost piece, and what lies close to it, is a hand.
        outermost = max((e for e, s in zip(ends, stats[1:], strict=True) if s[4] > 0.015 * unit**2), default=max(ends))
        for number, ((distance, _), end) in enumerate(zip(reach, ends, strict=True), start=1):
            long = float(distance.max())
            alone = end > 0.8 * unit and long < 0.75 * unit  # a hand out of a long sleeve
            if alone:
                mask |= parts == number
            elif end > outermost - 0.4 * unit:
                mask |= (parts == number) & (distance > long - bodies.HAND * unit)
    return mask


def no_pose(shape: tuple[int, int]) -> Pose:
    """A pose without any joint, for a picture of ``shape`` (H, W)."""
    return Pose(np.zeros((17, 2), np.float32), np.zeros(17, np.float32), ("",) * 17, Box(0, 0, shape[1], shape[0]))


def paint(layout: Labels) -> Image:
    """(H, W, 3) uint8 picture of a layout in its palette, for showing."""
    return PALETTE[layout]


def _split_skin(labels: Labels, body: Body, out: Labels) -> None:
    skin = labels == parsing.SKIN
    rows, columns = np.nonzero(skin)
    if len(rows) == 0:
        return
    face = _face(labels, body)
    out[face] = FACE
    rest = skin & ~face
    count, parts, stats, _ = cv2.connectedComponentsWithStats(rest.astype(np.uint8), connectivity=8)
    if count < 2:
        return
    rows, columns = np.nonzero(rest)
    costs = _part_costs(np.stack([columns, rows], 1).astype(np.float32), body)  # (P, 5)
    part_of = parts[rows, columns]
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    means = np.stack([np.bincount(part_of, costs[:, k], count) / np.maximum(areas, 1) for k in range(5)], 1)
    means[0] = 0
    unit = body.unit
    knee = float(np.mean([body.joints[k, 1] for k in bodies.KNEES]))
    ends_low = (stats[:, 1] + stats[:, 3]) > knee - 0.1 * unit
    hand_sized = areas < 0.2 * unit**2
    middles = stats[:, :2] + stats[:, 2:4] / 2
    penalty = np.zeros((count, 5))
    # A hand hanging beside trousers is as near to a thigh's bone as to a badly placed wrist, and a hand before the
    # chest is nearer to the trunk's; but what shows of a leg or a trunk in so small a patch is an ankle or a waist.
    cut_off = (stats[:, 1] + stats[:, 3]) >= labels.shape[0] - 2
    penalty[~ends_low & ~(cut_off & ~hand_sized), 3:] += 4
    off_neck = stats[:, 1] > body.chin[1] + 0.3 * unit
    waist = (stats[:, 2] > 1.3 * stats[:, 3]) & (np.abs(middles[:, 0] - body.pelvis[0]) < 0.25 * unit)
    for number in np.flatnonzero(hand_sized & off_neck & waist):
        waist[number] = _between(labels, parts == number)
    penalty[hand_sized & off_neck & ~waist, 0] += 4
    whole = np.array((NECK, *ARMS, *LEGS), np.uint8)[(means + penalty).argmin(1)]
    single = np.array((NECK, *ARMS, *LEGS), np.uint8)[(costs + penalty[part_of]).argmin(1)]
    whole = _one_each(whole, ARMS, stats, areas, body, 0.02)
    whole = _one_each(whole, LEGS, stats, areas, body, 0.10)
    # Legs parted by a gap are two components; bare legs that touch, and a bare trunk with arms, are one.
    alone = hand_sized | _slender(stats, areas, whole, unit)
    out[rows, columns] = np.where(alone[part_of], whole[part_of], single)
    _drop_crumbs(out, rest, unit)


def _between(labels: Labels, part: NDArray[np.bool_]) -> bool:
    """Whether a patch has an upper garment above and a lower one below it, as a bare waist has and hands have not."""
    columns = np.flatnonzero(part.any(0))
    bottom = part.shape[0] - 1 - part[::-1, columns].argmax(0)
    top = part[:, columns].argmax(0)
    above = labels[np.maximum(top - 3, 0), columns] == parsing.UPPER
    below = labels[np.minimum(bottom + 3, len(labels) - 1), columns] == parsing.LOWER
    return bool(above.mean() > 0.5 and below.mean() > 0.5)


def _face(labels: Labels, body: Body) -> NDArray[np.bool_]:
    """Skin above a jaw-shaped line that belongs to the head."""
    unit, chin = body.unit, body.chin
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]].astype(np.float32)
    across = (x - chin[0]) / (0.33 * unit)
    above = (y - chin[1] < -0.22 * unit * np.minimum(across**2, 1)) & (np.abs(across) < 2.2)
    candidate = (labels == parsing.SKIN) & above & (y > body.head_top[1] - 0.1 * unit)
    count, parts, stats, centres = cv2.connectedComponentsWithStats(candidate.astype(np.uint8), connectivity=8)
    near_head = cv2.dilate(
        np.isin(labels, (parsing.HAIR, parsing.HEADWEAR)).astype(np.uint8), np.ones((3, 3), np.uint8)
    )
    face = np.zeros(labels.shape, bool)
    middle = (body.head_top + body.chin) / 2
    for number in range(1, count):
        here = parts == number
        close = float(np.hypot(*(centres[number] - middle))) < 0.45 * unit
        touching = bool(near_head[here].any()) and float(np.hypot(*(centres[number] - middle))) < 0.7 * unit
        if close or (touching and stats[number, cv2.CC_STAT_AREA] > 0.01 * unit**2):
            face |= here
    return face


def _part_costs(points: NDArray[np.float32], body: Body) -> NDArray[np.float32]:
    """Distance of points (P, 2) to neck and trunk, left and right arm, left and right leg, in part thicknesses."""
    unit, neck, pelvis = body.unit, body.neck, body.pelvis
    shoulders, hips = body.joints[list(bodies.SHOULDERS)], body.joints[list(bodies.HIPS)]
    inner = neck + 0.62 * (shoulders - neck)
    trunk = np.array([body.chin, inner[0], hips[0], hips[1], inner[1]], np.float32)
    outside = _outside_polygon(points, trunk)
    costs = [0.55 + outside / (0.16 * unit) + np.maximum(points[:, 1] - pelvis[1], 0) / (0.2 * unit)]
    knee = float(np.mean([body.joints[k, 1] for k in bodies.KNEES]))
    for side in (0, 1):
        chain = body.arm(side)
        sure = all(body.trusted[pair[side]] for pair in (bodies.ELBOWS, bodies.WRISTS))
        cost = _to_chain(points, chain) / ((0.17 if sure else 0.24) * unit)
        if body.standing:
            cost = cost + 3 * (points[:, 1] > knee)
        costs.append(cost)
    for side in (0, 1):
        cost = _to_chain(points, body.leg(side)) / (0.22 * unit)
        costs.append(cost + np.maximum(pelvis[1] + 0.1 * unit - points[:, 1], 0) / (0.15 * unit) * body.standing)
    return np.stack(costs, 1).astype(np.float32)


def _to_chain(points: NDArray[np.float32], chain: list[Point]) -> NDArray[np.float32]:
    """Distance (P,) of points (P, 2) to a polyline."""
    best = np.full(len(points), np.inf, np.float32)
    for start, end in itertools.pairwise(chain):
        span = (end - start).astype(np.float32)
        offset = points - start.astype(np.float32)
        share = np.clip(offset @ span / max(1e-6, float(span @ span)), 0, 1)
        best = np.minimum(best, np.hypot(*(offset - share[:, None] * span).T))
    return best


def _outside_polygon(points: NDArray[np.float32], corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance (P,) of points to a polygon, 0 inside it."""
    edge = _to_chain(points, [*corners.astype(np.float64), corners[0].astype(np.float64)])
    inside = np.zeros(len(points), bool)
    for a, b in zip(corners, np.roll(corners, -1, 0), strict=True):
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        at = a[0] + (points[:, 1] - a[1]) * (b[0] - a[0]) / np.where(crosses, b[1] - a[1], 1)
        inside ^= crosses & (points[:, 0] < at)
    return np.where(inside, 0, edge).astype(np.float32)


def _one_each(
    whole: NDArray[np.uint8],
    pair: tuple[int, int],
    stats: NDArray[np.int32],
    areas: NDArray[np.float64],
    body: Body,
    least: float,
) -> NDArray[np.uint8]:
    """If the two largest patches of a limb pair carry one side's name but lie apart, name them by their place."""
    members = [n for n in np.argsort(-areas) if n > 0 and whole[n] in pair and areas[n] > least * body.unit**2][:2]
    if len(members) < 2 or whole[members[0]] != whole[members[1]]:
        return whole
    middles = [stats[n, 0] + stats[n, 2] / 2 for n in members]
    if abs(middles[0] - middles[1]) < 0.3 * body.unit:
        return whole
    out = whole.copy()
    ordered = [n for _, n in sorted(zip(middles, members, strict=True))]  # from the picture's left to its right
    names = (pair[1], pair[0]) if body.facing > 0 else pair
    out[ordered] = names
    return out


def _slender(
    stats: NDArray[np.int32], areas: NDArray[np.float64], whole: NDArray[np.uint8], unit: float
) -> NDArray[np.bool_]:
    """Patches that can be one leg or one arm only, by their mean width."""
    span = np.maximum(stats[:, 2], stats[:, 3]).clip(1)
    limit = np.where(np.isin(whole, LEGS), 0.42, 0.30) * unit
    return (areas / span < limit) & (whole != NECK)


def _drop_crumbs(out: Labels, area: NDArray[np.bool_], unit: float) -> None:
    """Small islands that the per-pixel split left go to the part around them."""
    for part in (NECK, *ARMS, *LEGS):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            ((out == part) & area).astype(np.uint8), connectivity=8
        )
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] > 0.02 * unit**2:
                continue
            x, y, w, h = stats[number, :4]
            window = (slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1))
            here = parts[window] == number
            ring = cv2.dilate(here.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~here
            around = out[window][ring & area[window]]
            if len(around):
                out[window][here] = np.bincount(around).argmax()


def _split_shoes(labels: Labels, body: Body, out: Labels) -> None:
    shoes = labels == parsing.SHOES
    count, parts, stats, centres = cv2.connectedComponentsWithStats(shoes.astype(np.uint8), connectivity=8)
    ankles = body.joints[list(bodies.ANKLES)]
    gap = abs(ankles[0, 0] - ankles[1, 0])
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    whole = np.full(count, LEFT_SHOE, np.uint8)
    for number in range(1, count):
        foot = centres[number] - [0, 0.15 * body.unit]
        whole[number] = LIMB_SHOES[int(np.argmin(np.hypot(*(ankles - foot).T)))]
    whole = _one_each(whole, LIMB_SHOES, stats, areas, body, 0.01)
    for number in range(1, count):
        here = parts == number
        wide = stats[number, 2] > 0.55 * body.unit and gap > 0.2 * body.unit
        others = (areas[1:] > 0.3 * areas[number]).sum() > 1
        if wide and not others:  # both feet in one patch
            x = np.nonzero(here)[1]
            left_is_right = ankles[0, 0] > ankles[1, 0]
            beyond = x > ankles[:, 0].mean()
            out[here] = np.where(beyond == left_is_right, LEFT_SHOE, RIGHT_SHOE)
        else:
            out[here] = whole[number]


def _tell_headwear(labels: Labels, body: Body, out: Labels) -> None:
    """Headwear low in the face is a pair of glasses, anything else a hat."""
    wear = labels == parsing.HEADWEAR
    count, parts, stats, centres = cv2.connectedComponentsWithStats(wear.astype(np.uint8), connectivity=8)
    tall = max(1.0, body.chin[1] - body.head_top[1])
    for number in range(1, count):
        depth = (centres[number, 1] - body.head_top[1]) / tall
        flat = stats[number, 3] < 0.4 * tall
        if flat and 0.3 < depth < 0.85:
            out[parts == number] = SUNGLASSES


def is_skirt(lower: NDArray[np.bool_], body: Body) -> bool:
    """Whether a lower garment is a skirt: it does not part into legs, and its hem is no narrower than its middle."""
    rows = np.flatnonzero(lower.sum(1) > 0.1 * body.unit)
    if len(rows) < 8:
        return False
    top, bottom = rows[0], rows[-1]

    def band(share: float) -> tuple[float, float]:
        y = int(top + share * (bottom - top))
        part = lower[max(top, y - 2) : y + 3]
        filled = part.any(0)
        spread = np.flatnonzero(filled)
        extent = spread[-1] - spread[0] + 1 if len(spread) else 1
        return float(filled.sum()) / extent, float(extent)

    split = min(band(share)[0] for share in (0.6, 0.75, 0.88))
    hem = float(np.median([band(share)[1] for share in (0.75, 0.85, 0.92)]))
    ankle = float(body.joints[list(bodies.ANKLES), 1].mean())
    return split > 0.93 and hem > 0.95 * band(0.4)[1] and bottom < ankle + 0.1 * body.unit


def _along_skin(
    part: NDArray[np.bool_], shoulder: Point, forearm: tuple[Point, Point] | None
) -> tuple[NDArray[np.float32], Point]:
    """Distance within ``part`` from its end nearer the body, (H, W) float32, and the farthest point (x, y).

    Straight-line distance would call the elbow of an arm akimbo a hand. Of a bent arm under a sleeve down to the
    elbow, the hand may be nearer the shoulder than the cuff is; ``forearm`` (elbow, wrist) tells which end is which.
    """
    x, y, w, h = cv2.boundingRect(part.astype(np.uint8))
    inside = part[y : y + h, x : x + w].astype(np.uint8)
    shrink = max(1.0, max(w, h) / 120)
    size = (max(1, round(w / shrink)), max(1, round(h / shrink)))
    # Any covered pixel counts, or a thin wrist would fall apart.
    small = (cv2.resize(inside * np.uint8(255), size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    rows, columns = np.nonzero(small)
    if len(rows) == 0:
        return np.zeros(part.shape, np.float32), np.asarray(shoulder, np.float64)
    places = np.stack([columns * shrink + x, rows * shrink + y], 1)
    order = np.hypot(*(places - shoulder).T)
    if forearm is not None and order.min() > 0.3 * float(np.hypot(*(forearm[0] - shoulder))):
        order = np.hypot(*(places - forearm[0]).T) - np.hypot(*(places - forearm[1]).T)
    nearest = int(np.argmin(order))
    reached = np.zeros_like(small)
    reached[rows[nearest], columns[nearest]] = 1
    steps = np.zeros(small.shape, np.float32)
    cross, square = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), np.ones((3, 3), np.uint8)
    for step in range(1, 2 * sum(small.shape)):
        # Cross and square in turn make the front an octagon, within 8 % of a circle.
        grown = np.minimum(cv2.dilate(reached, cross if step % 2 else square), small)
        fresh = (grown > 0) & (reached == 0)
        if not fresh.any():
            break
        steps[fresh] = step
        reached = grown
    row, column = np.unravel_index(int(steps.argmax()), steps.shape)
    out = np.zeros(part.shape, np.float32)
    out[y : y + h, x : x + w] = cv2.resize(steps, (w, h), interpolation=cv2.INTER_LINEAR) * shrink * inside
    return out, np.array([x + column * shrink, y + row * shrink], np.float64)
