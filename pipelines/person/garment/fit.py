"""Where a garment's landmarks lie on a body: the target of the part-mesh warp.

The new garment keeps its own sleeve length, neckline and proportions; the silhouette of what is worn now says how wide
the body is and how far down a hem may come, because the new garment has to cover the same body. It is stretched to
a worn hem at or above mid-thigh, or within 1.35 times its natural length; below that the old garment stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Finding, Labels, Pose
from pipelines.person.garment.body import Body, Vector, Worn, arm_line, read_body, sleeve_of, worn_garment
from pipelines.person.garment.landmarks import CI, CO, EI, EO, HEM, NECK, RIGHT, A, H, N, Points, S, W, similarity_frame
from pipelines.person.garment.warp import folded_share, sleeve_grid, torso_grid
from pipelines.person.parsing.network import BAG, DRESS, LOWER, SKIN, UPPER

STRETCH = 1.35  # longest hem over the garment's natural length
COMMON = 1.2  # a hem down to this many torso lengths is common, and reached by every garment
THIGH = 1.4  # a worn hem down to here is met exactly, because a remaining strip of it would look worse than stretch
NECK_RISE = 0.24  # from the shoulder joints up to where the neck begins, in shoulder widths
SHRINK = 0.75  # shortest
CROSSES = 0.06  # a hand this far inside the trunk's sides, in shoulder widths, is in front of it


@dataclass(frozen=True)
class Fit:
    """A garment's place on a person.

    Attributes:
        target: (20, 2) float32 landmarks in pixels of the labels.
        sleeves: Whether the sleeve strips are to be drawn.
        behind: Whether the sleeve on the left, right of the picture lies behind the torso.
        worn_sleeve: Sleeve class of what is worn now.
        shoulders, elbows, wrists: (2, 2) float32 checked joints, left of the picture first.
        unit: Shoulder width in pixels.
        findings: What the user should know before anything is generated.
    """

    target: Points
    sleeves: bool
    behind: tuple[bool, bool]
    worn_sleeve: str
    shoulders: NDArray[np.float32]
    elbows: NDArray[np.float32]
    wrists: NDArray[np.float32]
    unit: float
    findings: list[Finding]


def fit(points: Points, sleeve: str, labels: Labels, pose: Pose, *, limit_length: bool = True) -> Fit:
    """Lay a garment's landmarks on a person.

    Args:
        points: (20, 2) landmarks of the flat garment, in pixels of its picture.
        sleeve: Its sleeve class: ``none``, ``short`` or ``long``.
        labels: (H, W) uint8 parsing classes of the person.
        pose: COCO keypoints in pixels of ``labels``.
        limit_length: Keep the hem within 0.75 to 1.35 times the natural length; False follows the worn hem.

    Raises:
        InputError: ``fit.no-garment-worn`` if the labels show no upper garment or dress to replace.
    """
    worn = worn_garment(labels)
    if worn is None:
        raise InputError(
            "fit.no-garment-worn",
            "No upper garment was found on this person",
            remedy="Choose a photo that shows the upper body, or draw the mask by hand",
        )
    body = read_body(worn, pose)
    wears = sleeve_of(worn, body)
    target, natural, hem = _targets(points.astype(np.float64), sleeve, worn, body, wears, limit_length)
    findings = _findings(worn, body, natural, hem)
    both = sleeve == wears == "long"  # a bare arm is seen where it is
    return Fit(
        target=worn.to_picture(target).astype(np.float32),
        sleeves=sleeve != "none",
        behind=(both and _behind(worn, body, target, 0), both and _behind(worn, body, target, 1)),
        worn_sleeve=wears,
        shoulders=worn.to_picture(body.shoulders).astype(np.float32),
        elbows=worn.to_picture(body.elbows).astype(np.float32),
        wrists=worn.to_picture(body.wrists).astype(np.float32),
        unit=float(body.unit * worn.scale.mean()),
        findings=findings,
    )


def _targets(
    points: Vector, sleeve: str, worn: Worn, body: Body, wears: str, limit: bool
) -> tuple[Vector, float, float | None]:
    """Target landmarks in working pixels, the natural length and the worn hem's distance below the shoulder line."""
    unit = body.unit
    across = (body.shoulders[1] - body.shoulders[0]) / unit
    centre, hip = body.shoulders.mean(0), body.hips.mean(0)
    torso = float(np.linalg.norm(hip - centre))
    down = (hip - centre) / (torso + 1e-6)
    origin, gx, gy, garment_width = similarity_frame(points)
    width = 1.16 * unit + 0.04 * torso  # cloth lies outside the joints
    k = width / garment_width
    top = centre - down * 0.13 * unit
    natural = float((((points[H] + points[RIGHT + H]) / 2) - origin) @ gy) * k
    hem, cut_off = worn_hem(worn, body, centre, hip, top)
    if cut_off and hem is not None and hem < 1.1 * natural:
        hem = None  # the picture ends before the garment does
    if hem is None:
        length = float(np.clip(natural, 1.05 * torso, THIGH * torso))
    elif limit:
        longest = max(STRETCH * natural, COMMON * torso)
        length = float(np.clip(hem, SHRINK * natural, max(longest, hem if hem < THIGH * torso else 0)))
    else:
        length = hem
    stretch = length / max(natural, 1e-6)

    def place(point: Vector) -> Vector:
        x, y = (point - origin) @ gx * k, (point - origin) @ gy * k
        return top + across * x + down * (y * stretch if y > 0 else y)

    out = np.zeros((20, 2))
    for side, sign in ((0, -1.0), (1, 1.0)):
        first = RIGHT * side
        flat = points[first : first + 9]
        spot = out[first : first + 9]
        shoulder_x = abs((flat[S] - origin) @ gx) * k
        spot[S] = top + across * sign * shoulder_x
        spot[S] = _on_shoulder(worn, body, spot[S], sign)
        # The slope of the shoulders is the wearer's, not the flat garment's, or collars would cover chins.
        shoulder_x = max(abs(float((spot[S] - top) @ across)), 0.45 * unit)
        base = centre - down * NECK_RISE * unit + across * sign * 0.2 * unit
        along = float(np.clip(abs((flat[N] - origin) @ gx) * k, 0.14 * unit, 0.92 * shoulder_x))
        share = np.clip((shoulder_x - along) / max(shoulder_x - 0.2 * unit, 1e-6), 0, 1.1)
        spot[N] = spot[S] + (base - spot[S]) * share
        armpit = float(np.clip((flat[A] - origin) @ gy * k, 0.32 * unit, 0.64 * unit))
        spot[A] = top + down * armpit + across * sign * 0.44 * width
        reach = side_edges(worn, body, wears, spot[A][1], float((top + down * armpit)[0]))[side]
        spot[A][0] = np.clip(reach, *sorted((centre[0] + sign * 0.42 * unit, centre[0] + sign * 0.66 * unit)))
        own_waist, own_hem = (abs((flat[i] - origin) @ gx) * k for i in (W, H))
        middle = top + down * (armpit + 0.5 * (length - armpit))
        bottom = top + down * length
        worn_waist = side_edges(worn, body, wears, middle[1], middle[0])[side]
        worn_bottom = side_edges(worn, body, wears, bottom[1] - 0.05 * unit, bottom[0])[side]
        spot[W] = middle + across * sign * np.clip(own_waist, 0.42 * unit, 0.6 * unit)
        spot[W][0] = worn_waist
        own = bottom[0] + sign * float(np.clip(own_hem, 0.44 * unit, 0.62 * unit))
        spot[H] = bottom + across * sign * own_hem
        spot[H][0] = (max if sign > 0 else min)(worn_bottom, own) if hem is not None else 0.5 * (worn_bottom + own)
        if sleeve == "none":
            spot[[EO, CO]], spot[[EI, CI]] = spot[S], spot[A]
        else:
            _sleeve(flat, spot, sleeve, k, width, worn, body, side)
    flat_neck = (points[N] + points[RIGHT + N]) / 2
    dip = float((points[NECK] - flat_neck) @ gy) * k
    aside = float((points[NECK] - flat_neck) @ gx) * k
    out[NECK] = (out[N] + out[RIGHT + N]) / 2 + down * dip + across * aside
    out[HEM] = (out[H] + out[RIGHT + H]) / 2 + (place(points[HEM]) - (place(points[H]) + place(points[RIGHT + H])) / 2)
    if folded_share(torso_grid(out.astype(np.float32))) > 0:
        out = _unfolded(out, points, top, across, down, k, stretch)
    return out, natural, hem


def _unfolded(
    out: Vector, points: Vector, top: Vector, across: Vector, down: Vector, k: float, stretch: float
) -> Vector:
    """Pull the torso's points towards the garment's own shape until no cell of the patch is turned over."""
    origin, gx, gy, _ = similarity_frame(points)
    local = points - origin
    x, y = local @ gx * k, local @ gy * k
    plain = top + across * x[:, None] + down * np.where(y > 0, y * stretch, y)[:, None]
    torso = [i + first for first in (0, RIGHT) for i in (N, S, A, W, H)] + [NECK, HEM]
    for share in (0.25, 0.5, 0.75, 1.0):
        trial = out.copy()
        trial[torso] = out[torso] * (1 - share) + plain[torso] * share
        if folded_share(torso_grid(trial.astype(np.float32))) == 0:
            return trial
    return trial


def worn_hem(worn: Worn, body: Body, centre: Vector, hip: Vector, top: Vector) -> tuple[float | None, bool]:
    """Distance from the shoulder line to the worn hem, None if there is none to see; whether the crop ends there."""
    if (worn.labels == DRESS).sum() > 0.3 * worn.garment.sum():
        return None, False
    torso = float(np.linalg.norm(hip - centre))
    low, high = min(centre[0], hip[0]) - 0.22 * body.unit, max(centre[0], hip[0]) + 0.22 * body.unit
    band = slice(max(0, int(low)), int(high) + 1)
    cloth = (worn.garment & (worn.labels == UPPER))[:, band]
    rows = cloth.mean(1) > 0.25
    start = int(np.clip(centre[1] + 0.5 * body.unit, 0, len(rows) - 1))
    # From the chest down to the first real gap: bags and skirts further down are sometimes called upper garments too.
    # A bag in front of the garment is no gap.
    below = np.flatnonzero((cloth | (worn.labels[:, band] == BAG)).mean(1)[start:] > 0.25)
    gaps = np.flatnonzero(np.diff(below, prepend=-1) > 0.12 * body.unit)
    if len(gaps):
        below = below[: gaps[0]]
    below = below[rows[start:][below]]
    if not len(below):
        return None, False
    bottom = float(start + below[-1])
    distance = bottom - top[1] + 1
    cut_off = bottom > worn.labels.shape[0] - 3
    return (distance if distance > 0.5 * torso else None), cut_off


def side_edges(worn: Worn, body: Body, worn_sleeve: str, y: float, x: float) -> tuple[float, float]:
    """Left and right edge of the torso in row ``y``, hanging arms taken off, never far from half a shoulder width."""
    unit = body.unit
    row = np.isin(worn.labels[min(max(int(y), 0), worn.labels.shape[0] - 1)], (UPPER, LOWER, DRESS))
    middle = int(np.clip(x, 0, len(row) - 1))
    near = np.arange(max(0, middle - int(0.15 * unit)), min(len(row), middle + int(0.15 * unit) + 1))
    low, high = x - 0.5 * unit, x + 0.5 * unit
    if row[near].any():
        start = middle if row[middle] else int(near[row[near]][0])
        gaps = np.flatnonzero(~row)
        left, right = gaps[gaps < start], gaps[gaps > start]
        low, high = (left[-1] if len(left) else 0) + 0.5, (right[0] if len(right) else len(row)) - 0.5
    for side, sign in ((0, -1.0), (1, 1.0)):
        joints = (body.shoulders[side], body.elbows[side], body.wrists[side])
        if worn_sleeve != "long":  # bare arms carry their own label
            joints = joints[:2] if worn_sleeve == "short" else ()
        for a, b in pairwise(joints):
            if min(a[1], b[1]) <= y <= max(a[1], b[1]) and abs(b[1] - a[1]) > 0.03 * unit:
                arm = a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) - sign * 0.13 * unit
                if sign < 0:
                    low = max(low, min(arm, x - 0.38 * unit))
                else:
                    high = min(high, max(arm, x + 0.38 * unit))
    return float(np.clip(low, x - 0.8 * unit, x - 0.38 * unit)), float(np.clip(high, x + 0.38 * unit, x + 0.8 * unit))


def _on_shoulder(worn: Worn, body: Body, point: Vector, sign: float) -> Vector:
    """Move a shoulder point sideways and up or down to the outline of the wearer's shoulder, if that is near."""
    unit, out = body.unit, point.copy()
    person = worn.garment | ((worn.labels == SKIN) & ~worn.head)
    row = person[min(max(int(body.shoulders[:, 1].mean() + 0.1 * unit), 0), len(person) - 1)]
    near = np.flatnonzero(row & (np.abs(np.arange(len(row)) - point[0]) < 0.3 * unit))
    if len(near):
        edge = float(near[-1] if sign > 0 else near[0]) - sign * 0.05 * unit
        out[0] = np.clip(edge, point[0] - 0.14 * unit, point[0] + 0.14 * unit)
    x = round(float(out[0]))
    if not 0 <= x < person.shape[1]:
        return out
    column = np.flatnonzero(person[:, x])
    column = column[column > point[1] - 0.3 * unit]
    if len(column) and abs(column[0] - point[1]) < 0.2 * unit:
        out[1] = 0.3 * point[1] + 0.7 * (column[0] - 0.5)
    return out


def _sleeve(flat: Vector, spot: Vector, sleeve: str, k: float, width: float, worn: Worn, body: Body, side: int) -> None:
    """Fill elbow and cuff points of one side; the sleeve keeps its own length along the arm."""
    unit = body.unit
    own = [(flat[S] + flat[A]) / 2, (flat[EO] + flat[EI]) / 2, (flat[CO] + flat[CI]) / 2]
    length = (np.linalg.norm(own[1] - own[0]) + np.linalg.norm(own[2] - own[1])) * k
    line, reached = arm_line(body, side, (spot[S] + spot[A]) / 2)
    full = float(reached[-1])
    if sleeve == "long":
        # Dropped shoulders take length from the sleeve, so its share of the shoulder width tells more than its length:
        # from 0.8 on a sleeve was cut to reach the wrist.
        length = full * float(np.clip(0.75 + (length / width - 0.5) * 0.9, 0.75, 1.0))
    else:
        length = float(np.clip(length, 0.12 * full, 0.55 * full))
    # The outer side is the side of the shoulder point; along a bent arm it stays the same side of the line.
    first = line[2] - line[0]
    turn = 1.0 if np.array([-first[1], first[0]]) @ (spot[S] - spot[A]) > 0 else -1.0

    def station(distance: float) -> tuple[Vector, Vector, Vector]:
        i = int(np.clip(np.searchsorted(reached, distance), 1, len(line) - 1))
        tangent = line[min(i + 3, len(line) - 1)] - line[max(i - 3, 0)]
        tangent = tangent / (np.linalg.norm(tangent) + 1e-6)
        along = float(np.clip((distance - reached[i - 1]) / max(reached[i] - reached[i - 1], 1e-6), 0, 1))
        return line[i - 1] * (1 - along) + line[i] * along, turn * np.array([-tangent[1], tangent[0]]), tangent

    for at, (outer, inner), limits, widest in (
        (0.5 * length, (EO, EI), (0.13, 0.2), 0.24),
        (length, (CO, CI), (0.1, 0.18), 0.22),
    ):
        point, normal, tangent = station(at)
        half = float(np.clip(np.linalg.norm(flat[outer] - flat[inner]) * k / 2, limits[0] * unit, limits[1] * unit))
        probe = point - tangent * 0.05 * unit if at == length else point
        # Where the figure ends beside the arm, cloth ends too: a wide flat cuff is no wing.
        edges = [_reach(worn, probe, normal * sign, 0.42 * unit) for sign in (1.0, -1.0)]
        widths = [half if e is None else float(np.clip(e - 0.02 * unit, 0.1 * unit, widest * unit)) for e in edges]
        spot[outer], spot[inner] = point + normal * widths[0], point - normal * widths[1]
    _unfold_sleeve(spot, tangent, unit)


def _behind(worn: Worn, body: Body, target: Vector, side: int) -> bool:
    """Whether a long sleeve is drawn behind the trunk: always, unless its hand is seen in front of the trunk.

    Joints of a hanging arm are often found a little inside the trunk, where a sleeve laid over it looks like a cape.
    """
    wrist = body.wrists[side]
    hand = wrist + 0.15 * (wrist - body.elbows[side])
    sides = target[[A, RIGHT + A, H, RIGHT + H], 0]
    low, high = sides[0::2].max() + CROSSES * body.unit, sides[1::2].min() - CROSSES * body.unit
    y, x = np.ogrid[: worn.labels.shape[0], : worn.labels.shape[1]]
    near = np.hypot(x - hand[0], y - hand[1]) < 0.25 * body.unit
    crosses = low < hand[0] < high and hand[1] < target[[H, RIGHT + H], 1].mean()
    return not (crosses and bool((near & (worn.labels == SKIN)).any()))


def _unfold_sleeve(spot: Vector, tangent: Vector, unit: float) -> None:
    """Straighten a strip whose cells turn over: its cuff beyond the armpit, its elbow half-way to the cuff."""
    if _sleeve_folds(spot) == 0:
        return
    # A short sleeve may end higher than the wearer's armpit is deep.
    spot[CI] += tangent * max(0.0, 0.08 * unit - float((spot[CI] - spot[A]) @ tangent))
    trials = [spot.copy() for _ in range(4)]
    trials[3][CI] = spot[A] + tangent * 0.08 * unit
    for trial in trials[1:]:
        trial[EI] = (trial[A] + trial[CI]) / 2
    for trial in trials[2:]:
        trial[EO] = (trial[S] + trial[CO]) / 2
    spot[:] = min(trials, key=_sleeve_folds)


def _sleeve_folds(spot: Vector) -> float:
    return folded_share(sleeve_grid(spot.astype(np.float32), 0))


def _reach(worn: Worn, point: Vector, direction: Vector, limit: float) -> float | None:
    """Distance from inside the arm to its edge along ``direction``; None if ``point`` is outside or the edge is far."""
    arm = worn.garment | ((worn.labels == SKIN) & ~worn.head)
    if not worn.inside(arm, point):
        return None
    for step in np.arange(0.5, limit, 0.5):
        if not worn.inside(arm, point + direction * step):
            return float(step)
    return None


def _findings(worn: Worn, body: Body, natural: float, hem: float | None) -> list[Finding]:
    findings = []
    if body.guessed:
        findings.append(
            Finding(
                "fit.joints-guessed",
                "info" if len(body.guessed) < 3 else "warning",
                f"Placed by rule, because the pose does not agree with the picture: {', '.join(body.guessed)}",
                "A frontal photo with both arms visible fits better",
            )
        )
    drop = float(body.hips[:, 1].mean() - body.shoulders[:, 1].mean())
    if hem is not None and hem > 1.05 * STRETCH * natural and hem > 1.2 * drop:
        findings.append(
            Finding(
                "fit.shorter-than-worn",
                "warning",
                f"The garment is shorter than what is worn ({natural / hem:.0%} of its length); the rest stays",
                "Choose a longer garment, or a person in a shorter one",
            )
        )
    if body.unit < 0.5 * worn.width or body.unit < 0.42 * drop:
        findings.append(
            Finding("fit.side-view", "warning", "The person seems to stand sideways", "Use a frontal photo")
        )
    return findings
