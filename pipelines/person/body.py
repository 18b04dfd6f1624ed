"""A body's measures and joints, from parsing and pose together.

A small pose network misplaces joints now and then, and a parser knows nothing of left and right. Each is checked
against the other here, once, so that layout, masks and garment fitting work from the same believable skeleton. All
lengths are in units of the shoulder width seen from the front, so that nothing depends on the picture's size.

Proportions of a standing adult, as shares of the height (Drillis and Contini, 1966; Winter, "Biomechanics", 2009):
shoulder 0.818, chin 0.87, hip 0.53, knee 0.285, ankle 0.039; upper arm 0.186, forearm 0.146, hand 0.108. The joints of
the shoulders are about 0.18 apart, which is the unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Labels, Pose
from pipelines.person.parsing.network import BACKGROUND, BAG, DRESS, HAIR, HEADWEAR, LOWER, SHOES, SKIN, UPPER

MIN_SCORE = 0.2  # a joint below this heat-map peak is a guess
NOSE, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES = 0, (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)
UPPER_ARM, FOREARM, HAND, TORSO, THIGH, SHANK, HEAD = 1.03, 0.81, 0.55, 1.55, 1.36, 1.37, 1.0  # in units

Point = NDArray[np.float64]


@dataclass(frozen=True)
class Body:
    """Joints that agree with the silhouette. Sides are the person's own; index 0 is left, 1 is right.

    Attributes:
        unit: Shoulder width from the front, in pixels.
        joints: (17, 2) float64 in COCO order; those that were not believable stand where proportions put them.
        trusted: (17,) bool, False for such replaced joints.
        head_top: (2,) top of hair, hat or head.
        chin: (2,) lowest point of the face.
        facing: 1 if the person's left is on the picture's right (seen from the front), -1 if seen from behind.
    """

    unit: float
    joints: NDArray[np.float64]
    trusted: NDArray[np.bool_]
    head_top: Point
    chin: Point
    facing: int

    @property
    def neck(self) -> Point:
        """Middle of the shoulders."""
        return self.joints[list(SHOULDERS)].mean(0)

    @property
    def pelvis(self) -> Point:
        """Middle of the hips."""
        return self.joints[list(HIPS)].mean(0)

    @property
    def standing(self) -> bool:
        """Whether both knees are clearly below the hips."""
        return bool((self.joints[list(KNEES), 1] > self.pelvis[1] + 0.55 * self.unit).all())

    def arm(self, side: int) -> list[Point]:
        """Shoulder, elbow, wrist and finger tips of one arm."""
        shoulder, elbow, wrist = (self.joints[pair[side]] for pair in (SHOULDERS, ELBOWS, WRISTS))
        along = wrist - elbow
        tips = wrist + along / max(1e-6, float(np.hypot(*along))) * HAND * self.unit
        return [shoulder, elbow, wrist, tips]

    def leg(self, side: int) -> list[Point]:
        """Hip, knee and ankle of one leg."""
        return [self.joints[pair[side]] for pair in (HIPS, KNEES, ANKLES)]


def measure(labels: Labels, pose: Pose) -> Body:
    """Reconcile pose and parsing.

    Args:
        labels: (H, W) uint8 of `PARSING_CLASSES`, one person.
        pose: That person's 17 COCO keypoints; any of them may be missing (score 0) or wrong.

    Returns:
        A complete body. Without any usable joint it is a standing person seen from the front, fitted to the silhouette.
    """
    person = labels != BACKGROUND
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    if len(rows) == 0:  # nothing to fit to: the middle of the picture, so that callers need no special case
        rows, columns = np.arange(labels.shape[0]), np.arange(labels.shape[1])
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    found = pose.xy.astype(np.float64)
    trusted = pose.score >= MIN_SCORE
    trusted &= np.isfinite(found).all(1)
    slack = 0.1 * (bottom - top)
    trusted &= (found[:, 1] > top - slack) & (found[:, 1] < bottom + slack)
    trusted &= (found[:, 0] > columns[0] - slack) & (found[:, 0] < columns[-1] + slack)

    unit = _unit(labels, found, trusted, top, bottom)
    joints = np.where(trusted[:, None], found, 0.0)
    _place_shoulders(labels, joints, trusted, unit)
    ordered = [pair for pair in (SHOULDERS, HIPS) if trusted[list(pair)].all()]
    lean = sum(joints[left, 0] - joints[right, 0] for left, right in ordered)
    facing = -1 if lean < -0.25 * unit else 1
    if not trusted[list(SHOULDERS)].all():
        neck = joints[list(SHOULDERS)].mean(0)
        half = np.array([0.5 * facing * max(0.5 * unit, abs(np.ptp(joints[list(SHOULDERS), 0]))), 0.0])
        for side, joint in enumerate(SHOULDERS):
            if not trusted[joint]:
                other = SHOULDERS[1 - side]
                joints[joint] = neck + half * (1 - 2 * side) if not trusted[other] else joints[joint]
    _place_limbs(labels, joints, trusted, unit, facing)
    head_top, chin = _head(labels, joints, trusted, unit)
    return Body(unit, joints, trusted, head_top, chin, facing)


def _unit(labels: Labels, xy: NDArray[np.float64], trusted: NDArray[np.bool_], top: float, bottom: float) -> float:
    """Shoulder width from the front, by everything that tells it; a side view makes the shoulders alone too narrow."""
    votes = []
    shoulders, hips = list(SHOULDERS), list(HIPS)
    if trusted[shoulders].all() and trusted[hips].all():
        votes.append(float(np.hypot(*(xy[shoulders].mean(0) - xy[hips].mean(0)))) / TORSO)
    if (labels == SHOES).any() and (labels[: int(top + 0.3 * (bottom - top))] == HAIR).any():
        votes.append(0.18 * (bottom - top))
    garment = np.isin(labels, (UPPER, DRESS, SKIN))
    if garment.any():
        votes.append(0.62 * float(np.median(garment.sum(1)[garment.any(1)]) + 1e-6) if not votes else votes[0])
    general = float(np.median(votes)) if votes else 0.18 * (bottom - top)
    if trusted[shoulders].all():
        width = float(np.hypot(*(xy[shoulders[0]] - xy[shoulders[1]])))
        return float(np.clip(width, 0.8 * general, 1.3 * general)) if width > 0.5 * general else general
    return max(general, 4.0)


def _trunk_row(labels: Labels, y: float, x: float, unit: float) -> tuple[float, float] | None:
    """Left and right end of the clothed silhouette around (x, y), or None where there is none."""
    height = labels.shape[0]
    low, high = int(np.clip(y - 0.08 * unit, 0, height - 1)), int(np.clip(y + 0.08 * unit, 1, height))
    band = np.isin(labels[low : max(high, low + 1)], (UPPER, DRESS, LOWER, SKIN, BAG)).mean(0) > 0.5
    near = np.flatnonzero(band)
    near = near[np.abs(near - x) < 1.6 * unit]
    return (float(near[0]), float(near[-1] + 1)) if len(near) else None


def _place_shoulders(labels: Labels, joints: NDArray[np.float64], trusted: NDArray[np.bool_], unit: float) -> None:
    """Put shoulders that were not found, or that lie off the garment's silhouette, where the silhouette has them."""
    garment = np.isin(labels, (UPPER, DRESS))
    if not garment.any():
        garment = (labels != BACKGROUND) & ~np.isin(labels, (HAIR, HEADWEAR))
    ys, xs = np.nonzero(garment)
    if len(ys) == 0:
        ys, xs = np.array([labels.shape[0] // 3]), np.array([labels.shape[1] // 2])
    start = float(np.percentile(ys, 1))
    near = ys < start + 0.6 * unit
    middle = float(np.median(xs[near]))
    ends = _trunk_row(labels, start + 0.3 * unit, middle, unit) or (middle - 0.5 * unit, middle + 0.5 * unit)
    centre, half = sum(ends) / 2, 0.36 * (ends[1] - ends[0])
    line = start + 0.2 * unit
    for joint in SHOULDERS:
        off = (
            abs(joints[joint, 1] - line) > 0.75 * unit
            or not ends[0] - 0.4 * unit < joints[joint, 0] < ends[1] + 0.4 * unit
        )
        if trusted[joint] and off:
            trusted[joint] = False
    if not trusted[list(SHOULDERS)].any():
        joints[list(SHOULDERS)] = [[centre + half, line], [centre - half, line]]
    for side, joint in enumerate(SHOULDERS):
        other = SHOULDERS[1 - side]
        if not trusted[joint] and trusted[other]:
            away = 1 if joints[other, 0] < centre else -1
            joints[joint] = joints[other] + [away * min(unit, 2 * half), 0.0]


def _place_limbs(
    labels: Labels, joints: NDArray[np.float64], trusted: NDArray[np.bool_], unit: float, facing: int
) -> None:
    """Check every limb's joints from the trunk outwards; replace what no arm or leg could reach."""
    solid = (labels != BACKGROUND).astype(np.uint8)
    reach = max(1, round(0.12 * unit))
    solid = cv2.dilate(solid, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    height, width = labels.shape

    def inside(point: Point) -> bool:
        x, y = round(point[0]), round(point[1])
        return not (0 <= x < width and 0 <= y < height) or bool(solid[y, x])

    def believable(joint: int, parent: Point, least: float, most: float) -> bool:
        length = float(np.hypot(*(joints[joint] - parent))) / unit
        return bool(trusted[joint]) and least <= length <= most and inside(joints[joint])

    neck = joints[list(SHOULDERS)].mean(0)
    across = joints[SHOULDERS[0]] - joints[SHOULDERS[1]]
    narrow = float(np.clip(abs(across[0]) / unit, 0.3, 1.0))  # a body seen from the side has its hips close together
    pelvis = neck + np.array([0.0, TORSO * unit])
    hips = [joint for joint in HIPS if believable(joint, neck, 0.8, 2.3) and joints[joint, 1] > neck[1] + 0.3 * unit]
    if len(hips) == 2:
        pelvis = joints[list(HIPS)].mean(0)
    else:
        ends = _trunk_row(labels, pelvis[1], neck[0], unit)
        if ends:
            pelvis[0] = np.clip(sum(ends) / 2, neck[0] - 0.25 * unit, neck[0] + 0.25 * unit)
        if hips:
            pelvis[1] = joints[hips[0], 1]
    for side, joint in enumerate(HIPS):
        if joint not in hips or abs(joints[HIPS[0], 0] - joints[HIPS[1], 0]) < 0.05 * unit:
            trusted[joint] = trusted[joint] and joint in hips
            joints[joint] = pelvis + np.array([facing * (1 - 2 * side) * 0.3 * narrow * unit, 0.0])

    for side in (0, 1):
        outward = facing * (1 - 2 * side)
        shoulder, elbow, wrist = SHOULDERS[side], ELBOWS[side], WRISTS[side]
        if not believable(elbow, joints[shoulder], 0.12, 1.5):
            trusted[elbow] = False
            y = joints[shoulder, 1] + UPPER_ARM * unit
            ends = _trunk_row(labels, y, neck[0], unit)
            x = joints[shoulder, 0] + outward * 0.15 * unit
            if ends:
                x = ends[1] - 0.12 * unit if outward > 0 else ends[0] + 0.12 * unit
            x = np.clip(x, joints[shoulder, 0] - 0.4 * unit, joints[shoulder, 0] + 0.4 * unit)
            joints[elbow] = [x, y]
        if not believable(wrist, joints[elbow], 0.08, 1.35):
            trusted[wrist] = False
            joints[wrist] = joints[elbow] + [0.0, FOREARM * unit]
        hip, knee, ankle = HIPS[side], KNEES[side], ANKLES[side]
        if not believable(knee, joints[hip], 0.25, 2.0):
            trusted[knee] = False
            joints[knee] = joints[hip] + [0.0, THIGH * unit]
        if not believable(ankle, joints[knee], 0.25, 2.0):
            trusted[ankle] = False
            joints[ankle] = joints[knee] + [0.0, SHANK * unit]


def _head(labels: Labels, joints: NDArray[np.float64], trusted: NDArray[np.bool_], unit: float) -> tuple[Point, Point]:
    """Top of the head and chin; the parser is good at hair, so it leads and the nose only corrects."""
    neck = joints[list(SHOULDERS)].mean(0)
    middle = joints[NOSE, 0] if trusted[NOSE] and abs(joints[NOSE, 0] - neck[0]) < 0.8 * unit else neck[0]
    low, high = int(max(0, neck[1] - 1.9 * unit)), int(np.clip(neck[1] - 0.05 * unit, 1, labels.shape[0]))
    left, right = int(max(0, middle - 0.6 * unit)), int(min(labels.shape[1], middle + 0.6 * unit))
    window = labels[low:high, left:right] if high > low and right > left else labels[:0]
    head = np.isin(window, (HAIR, HEADWEAR, SKIN))
    filled = np.flatnonzero(head.sum(1) > 0.1 * unit) if head.size else np.zeros(0, int)
    top = low + float(filled[0]) if len(filled) else neck[1] - HEAD * unit
    face = np.isin(window, (SKIN,)) if head.size else head
    columns_of_face = np.nonzero(face)[1] if face.any() else np.zeros(0)
    if len(columns_of_face) > 0.02 * unit**2:
        middle = left + float(np.median(columns_of_face))
    elif len(filled):
        middle = left + float(np.median(np.nonzero(head)[1]))
    rise = np.clip(0.27 * (neck[1] - top), 0.12 * unit, 0.36 * unit)
    chin = neck[1] - rise
    if trusted[NOSE] and top < joints[NOSE, 1] < neck[1]:
        chin = max(chin, joints[NOSE, 1] + 0.2 * unit)
    chin = min(chin, top + 1.3 * unit)
    return np.array([middle, top]), np.array([middle, chin])
