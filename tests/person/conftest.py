"""A drawn person whose every pixel and joint is known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.core.types import Box, Pose
from pipelines.person import layout as lip
from pipelines.vitpose.decoding import COCO_NAMES

# Joints in units of a 100 x 160 drawing; the person faces us, so its left is on the right.
JOINTS = {
    "nose": (50, 17), "left_eye": (52, 15), "right_eye": (48, 15), "left_ear": (55, 16), "right_ear": (45, 16),
    "left_shoulder": (63, 32), "right_shoulder": (37, 32), "left_elbow": (72, 56), "right_elbow": (28, 56),
    "left_wrist": (76, 77), "right_wrist": (24, 77), "left_hip": (58, 72), "right_hip": (42, 72),
    "left_knee": (59, 107), "right_knee": (41, 107), "left_ankle": (60, 142), "right_ankle": (40, 142),
}  # fmt: skip


@dataclass(frozen=True)
class Mannequin:
    """True LIP layout, parser's labels, pose, and where the hands are."""

    layout: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    pose: Pose
    hands: NDArray[np.bool_]
    scale: float

    def without(self, *names: str) -> Pose:
        """The pose with these joints not found, standing at (0, 0) as a network leaves them."""
        xy, score = self.pose.xy.copy(), self.pose.score.copy()
        for number, name in enumerate(COCO_NAMES):
            if any(name.endswith(part) for part in names):
                xy[number], score[number] = 0, 0
        return Pose(xy, score, COCO_NAMES, self.pose.box)


def draw(
    scale: float = 4.0, *, sleeves: str = "none", legs: str = "bare", hat: bool = False, back: bool = False
) -> Mannequin:
    """Draw a standing person.

    Args:
        scale: Pixels per drawing unit; the picture is 160 x 100 units.
        sleeves: ``none``, ``short`` or ``long``.
        legs: ``bare`` under a short skirt, or ``trousers``.
        hat: With a hat.
        back: Seen from behind: same outline, sides swapped.
    """
    height, width = round(160 * scale), round(100 * scale)
    canvas = np.zeros((height, width), np.uint8)
    hands = np.zeros((height, width), np.uint8)
    at = {name: np.array(xy, float) * scale for name, xy in JOINTS.items()}

    def thick(image: NDArray[np.uint8], points: list[NDArray[np.float64]], radius: float, value: int) -> None:
        for a, b in pairwise(points):
            cv2.line(image, a.astype(int).tolist(), b.astype(int).tolist(), value, max(1, round(2 * radius * scale)))

    def oval(image: NDArray[np.uint8], centre: tuple[float, float], half: tuple[float, float], value: int) -> None:
        middle, axes = (np.array(v, float) * scale for v in (centre, half))
        cv2.ellipse(image, middle.astype(int).tolist(), axes.astype(int).tolist(), 0, 0, 360, value, -1)

    def quad(points: list[tuple[float, float]], value: int) -> None:
        cv2.fillPoly(canvas, [(np.array(points, float) * scale).astype(np.int32)], value)

    for side, leg, shoe in (("left", lip.LEFT_LEG, lip.LEFT_SHOE), ("right", lip.RIGHT_LEG, lip.RIGHT_SHOE)):
        thick(canvas, [at[f"{side}_{j}"] for j in ("hip", "knee", "ankle")], 5, leg if legs == "bare" else lip.PANTS)
        foot = at[f"{side}_ankle"] / scale + [0, 4]
        oval(canvas, (foot[0], foot[1] + 2), (6, 4), shoe)
    quad([(41, 28), (59, 28), (56, 22), (44, 22)], lip.NECK)
    for side, arm in (("left", lip.LEFT_ARM), ("right", lip.RIGHT_ARM)):
        shoulder, elbow, wrist = (at[f"{side}_{j}"] for j in ("shoulder", "elbow", "wrist"))
        along = (wrist - elbow) / np.hypot(*(wrist - elbow)) * scale
        thick(canvas, [shoulder, elbow, wrist + 11 * along], 3.2, arm)
        thick(hands, [wrist, wrist + 11 * along], 3.2, 1)
        covered = {"none": [], "short": [shoulder, (shoulder + 1.3 * elbow) / 2.3], "long": [shoulder, elbow, wrist]}
        thick(canvas, covered[sleeves], 4.4, lip.UPPER)
    quad([(39, 29), (61, 29), (60, 74), (40, 74)], lip.UPPER)
    quad([(44, 29), (56, 29), (50, 36)], lip.NECK)
    lower = lip.SKIRT if legs == "bare" else lip.PANTS
    quad(
        [(36, 66), (64, 66), (67, 92), (33, 92)] if legs == "bare" else [(40, 70), (60, 70), (63, 80), (37, 80)], lower
    )
    oval(canvas, (50, 14), (9, 11), lip.HAIR)
    oval(canvas, (50, 16), (6, 8), lip.FACE)
    if hat:
        quad([(37, 9), (63, 9), (59, 2), (41, 2)], lip.HAT)
    names = COCO_NAMES
    if back:
        swap = {lip.LEFT_ARM: lip.RIGHT_ARM, lip.LEFT_LEG: lip.RIGHT_LEG, lip.LEFT_SHOE: lip.RIGHT_SHOE}
        table = np.arange(21, dtype=np.uint8)
        for a, b in swap.items():
            table[[a, b]] = b, a
        canvas = table[canvas]
        names = tuple(n.replace("left", "@").replace("right", "left").replace("@", "right") for n in COCO_NAMES)
    xy = np.array([at[n] for n in names], np.float32)
    pose = Pose(xy, np.full(17, 0.8, np.float32), COCO_NAMES, Box(0, 0, width, height))
    return Mannequin(canvas, lip.parsed(canvas), pose, hands > 0, scale)


@pytest.fixture
def mannequin():
    """The drawing function."""
    return draw
