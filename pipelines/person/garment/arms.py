"""Elbow and wrist of an arm by search: of many possible arms, the one that explains the parsing best.

A sleeve or a bare arm lies inside the figure, accounts for what the figure shows beside its torso, ends in a hand where
one is seen and is as long as arms are. The joints of the pose are one candidate, and draw the others to themselves as
far as their scores deserve: one wild elbow must not put a sleeve on a face.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

FOREARM, UPPER_ARM = 0.85, 0.95  # usual lengths in shoulder widths
HALF = 0.13  # half the thickness of an arm
SAMPLES = np.linspace(0.2, 1, 5)  # where along a bone the figure is looked at
POINTS = 40  # of the figure beside the torso, that the arm should cover
ARMS = {"inside": 1.0, "cover": 2.0, "hand": 0.5, "pose": 0.5, "length": 1.2, "down": 0.25}  # weights of the score
Vector = NDArray[np.float64]


class Figure(NamedTuple):
    """What the search sees, made once for both arms.

    Attributes:
        depth: (h, w) how far inside the figure a pixel lies, 1 from half an arm's thickness on, negative outside.
        hand: (h, w) 1 on bare skin below the shoulders, 0 from 0.2 units away from it on.
        beside: Two (n, 2) arrays: points of the figure beside the torso, left and right of the picture.
        weight: How much of the figure that is, 1 from a fifth of a square unit on: a few pixels are no arm.
        unit: Shoulder width in pixels.
    """

    depth: NDArray[np.float32]
    hand: NDArray[np.float32]
    beside: tuple[Vector, Vector]
    weight: tuple[float, float]
    unit: float


def figure(body: NDArray[np.bool_], bare: NDArray[np.bool_], shoulders: Vector, hips: Vector) -> Figure:
    """Prepare the search.

    Args:
        body: (h, w) bool, torso and arms with whatever covers them, without the head.
        bare: (h, w) bool, skin without the face.
        shoulders: (2, 2) joints, left of the picture first.
        hips: (2, 2) joints.
    """
    unit = float(np.linalg.norm(shoulders[1] - shoulders[0]))
    mask = body.astype(np.uint8)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    skin = bare.astype(np.uint8)
    skin[: max(0, int(shoulders[:, 1].mean() + 0.5 * unit))] = 0  # no neckline
    away = cv2.distanceTransform(1 - skin, cv2.DIST_L2, 3) if skin.any() else np.full(skin.shape, 1e3, np.float32)
    centre, hip = shoulders.mean(0), hips.mean(0)
    ys, xs = np.nonzero(body)
    aside = xs - centre[0] - (hip[0] - centre[0]) * (ys - centre[1]) / max(hip[1] - centre[1], 1.0)
    beside, weight = [], []
    for shoulder, out in zip(shoulders, (-1.0, 1.0), strict=True):
        near = np.hypot(xs - shoulder[0], ys - shoulder[1]) < 2.1 * unit
        found = np.flatnonzero((aside * out > 0.5 * unit) & (ys > shoulder[1] + 0.1 * unit) & near)
        weight.append(min(1.0, len(found) / (0.2 * unit**2)))
        found = found[:: max(1, round(len(found) / POINTS))]
        beside.append(np.stack([xs[found], ys[found]], 1).astype(np.float64))
    inside = np.clip(depth / (HALF * unit), -1.5, 1).astype(np.float32)
    hand = np.clip(1 - away / (0.2 * unit), 0, 1).astype(np.float32)
    return Figure(inside, hand, (beside[0], beside[1]), (weight[0], weight[1]), unit)


def find_arm(seen: Figure, side: int, shoulder: Vector, joints: Vector, scores: Vector) -> tuple[Vector, Vector]:
    """Elbow and wrist.

    Args:
        seen: From `figure`.
        side: 0 for the arm on the left of the picture, 1 for the right.
        shoulder: (2,) joint.
        joints: (2, 2) elbow and wrist of the pose.
        scores: (2,) their scores.
    """
    unit, out = seen.unit, -1.0 if side == 0 else 1.0
    down = np.radians(np.arange(-45, 121, 15))
    round_about = np.radians(np.arange(0, 360, 20))
    upper = np.multiply.outer((0.75, 0.98), np.stack([out * np.sin(down), np.cos(down)], 1)).reshape(-1, 2)
    fore = np.multiply.outer((0.5, 0.85), np.stack([np.sin(round_about), np.cos(round_about)], 1)).reshape(-1, 2)
    elbows = np.concatenate([shoulder + unit * upper, joints[:1]])[:, None]
    wrists = np.concatenate([elbows + unit * fore, np.broadcast_to(joints[1], elbows.shape)], 1)
    for step in (0.12, 0.06, 0.0):
        total = _score(seen, side, shoulder, elbows, wrists, joints, scores)
        row, column = np.unravel_index(total.argmax(), total.shape)
        elbow, wrist = elbows[row, 0], wrists[row % len(wrists), column]
        moves = unit * step * np.array([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1)])
        elbows, wrists = (elbow + moves)[:, None], (wrist + moves)[None]
    return elbow, wrist


def _score(
    seen: Figure, side: int, shoulder: Vector, elbow: Vector, wrist: Vector, joints: Vector, scores: Vector
) -> Vector:
    """How well elbows (n, 1, 2) with wrists (n or 1, m, 2) explain the picture, (n, m)."""
    unit, out = seen.unit, -1.0 if side == 0 else 1.0
    fore = wrist - elbow
    fore /= np.linalg.norm(fore, axis=-1, keepdims=True) + 1e-6
    total = ARMS["hand"] * _at(seen.hand, wrist + 0.12 * unit * fore, 0.0)
    for a, b, usual in ((shoulder[None, None], elbow, UPPER_ARM), (elbow, wrist, FOREARM)):
        bone = (b - a)[..., None, :]
        inside = _at(seen.depth, a[..., None, :] + bone * SAMPLES[:, None], -1.5).mean(-1)
        length = np.linalg.norm(b - a, axis=-1) / unit
        # An arm towards the camera looks shorter, none looks longer.
        wrong = np.maximum(length - usual * 1.15, 0) * 3 + np.maximum(0.8 * usual - length, 0)
        total = total + ARMS["inside"] * inside - ARMS["length"] * wrong
    total += ARMS["down"] * (fore[..., 1] + (elbow - shoulder)[..., 1] / unit)
    total -= 2 * np.maximum((shoulder - elbow)[..., 0] * out / unit - 0.15, 0)  # no elbow before the chest
    points = seen.beside[side]
    if len(points):
        distance = np.minimum(
            _distance(points, np.broadcast_to(shoulder, elbow.shape), elbow),
            _distance(points, np.broadcast_to(elbow, fore.shape), wrist + 0.25 * unit * fore),
        )
        covered = np.clip(1.6 - distance / (HALF * unit), 0, 1).mean(-1)
        total += ARMS["cover"] * covered * seen.weight[side]
    for joint, there, score in ((joints[0], elbow, scores[0]), (joints[1], wrist, scores[1])):
        away = ((there - joint) ** 2).sum(-1) / (0.3 * unit) ** 2
        total = total + ARMS["pose"] * min(1.0, 2 * score) / (1 + away)
    return total


def _at(field: NDArray[np.float32], xy: Vector, beyond: float) -> Vector:
    """Values of a field under points (..., 2); ``beyond`` outside of it."""
    x, y = np.rint(xy[..., 0]).astype(int), np.rint(xy[..., 1]).astype(int)
    height, width = field.shape
    within = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.where(within, field[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], beyond)


def _distance(points: Vector, a: Vector, b: Vector) -> NDArray[np.float32]:
    """Distance of (k, 2) points from segments (n, m, 2), (n, m, k)."""
    bone = (b - a).astype(np.float32)
    x, y = (points[:, i].astype(np.float32) - a[..., i, None].astype(np.float32) for i in (0, 1))
    p, q = bone[..., 0, None], bone[..., 1, None]
    share = np.clip((x * p + y * q) / (p * p + q * q + np.float32(1e-6)), 0, 1)
    x -= share * p
    y -= share * q
    return np.sqrt(x * x + y * y)
