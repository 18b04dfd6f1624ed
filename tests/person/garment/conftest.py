"""Garments drawn for these tests: exact masks and landmarks, light, folds, a shadow and noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.core.types import Box, Pose
from pipelines.person.garment import silhouettes
from pipelines.vitpose.decoding import COCO_NAMES

STARTER = Path(__file__).parents[3] / "weights" / "starter" / "garment"


@dataclass(frozen=True)
class Product:
    """A product photo with its truth."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    sleeve: int


def product(seed: int, ground: str, *, white: bool = False, size: tuple[int, int] = (512, 384)) -> Product:
    """Draw a product photo; ``ground`` is white, grey or graded."""
    rng = np.random.default_rng(seed)
    side = int(0.94 * size[1])
    drawn = silhouettes.draw(rng, side, errors=False)
    height, width = size
    top, left = (height - side) // 2, (width - side) // 2
    mask = np.zeros(size, np.uint8)
    mask[top : top + side, left : left + side] = drawn.mask
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    if ground == "white":
        backdrop = np.full((height, width, 3), 0.98)
    elif ground == "grey":
        backdrop = np.full((height, width, 3), rng.uniform(0.55, 0.8))
    else:
        backdrop = rng.uniform(0.6, 0.95, 3) * (1 - 0.25 * (y * rng.uniform() + x * rng.uniform()))[..., None]
    shadow = cv2.GaussianBlur(np.roll(mask, (5, 4), (0, 1)), (0, 0), 7) / 255 * rng.uniform(0, 0.25)
    backdrop = backdrop * (1 - shadow[..., None])
    folds = cv2.GaussianBlur(rng.standard_normal(size).astype(np.float32), (0, 0), 12)
    cloth = np.array([0.93, 0.93, 0.92]) if white else rng.uniform(0.05, 0.75, 3)
    colour = cloth * (1 + 0.08 * folds / np.abs(folds).max())[..., None]
    cover = mask[..., None] / 255
    image = backdrop * (1 - cover) + colour * cover + rng.normal(0, 0.008, (*size, 3))
    landmarks = drawn.landmarks + np.float32([left, top])
    return Product((np.clip(image, 0, 1) * 255).astype(np.uint8), mask, landmarks, drawn.sleeve)


def person(size: tuple[int, int] = (400, 300), *, sleeve: str = "long") -> tuple[NDArray[np.uint8], Pose]:
    """Labels and pose of a plain upright figure: hair, face, top with the given sleeves, trousers, hands."""
    height, width = size
    unit = width / 5
    cx, shoulder = width / 2, height * 0.3
    labels = np.zeros(size, np.uint8)

    def limb(points: list[tuple[float, float]], thick: float, label: int) -> None:
        cv2.polylines(labels, [np.int32(points)], False, label, max(1, int(thick)))

    joints = {
        "nose": (cx, shoulder - 0.5 * unit),
        "left_shoulder": (cx + unit / 2, shoulder),
        "right_shoulder": (cx - unit / 2, shoulder),
        "left_elbow": (cx + 0.75 * unit, shoulder + 0.95 * unit),
        "right_elbow": (cx - 0.75 * unit, shoulder + 0.95 * unit),
        "left_wrist": (cx + 0.85 * unit, shoulder + 1.75 * unit),
        "right_wrist": (cx - 0.85 * unit, shoulder + 1.75 * unit),
        "left_hip": (cx + 0.33 * unit, shoulder + 1.8 * unit),
        "right_hip": (cx - 0.33 * unit, shoulder + 1.8 * unit),
    }
    cv2.rectangle(
        labels, (int(cx - 0.45 * unit), int(shoulder + 1.7 * unit)), (int(cx + 0.45 * unit), height - 10), 4, -1
    )
    body = [
        (cx - 0.22 * unit, shoulder - 0.2 * unit),
        (cx + 0.22 * unit, shoulder - 0.2 * unit),
        (cx + 0.58 * unit, shoulder - 0.08 * unit),
        (cx + 0.5 * unit, shoulder + 1.9 * unit),
        (cx - 0.5 * unit, shoulder + 1.9 * unit),
        (cx - 0.58 * unit, shoulder - 0.08 * unit),
    ]
    for side in ("left", "right"):
        arm = [joints[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist")]
        hand = (2 * arm[2][0] - arm[1][0], 2 * arm[2][1] - arm[1][1])
        limb([arm[2], ((arm[2][0] + hand[0]) / 2, (arm[2][1] + hand[1]) / 2)], 0.2 * unit, 2)
        limb(arm, 0.24 * unit, 2)
        if sleeve == "long":
            limb(arm, 0.3 * unit, 3)
        elif sleeve == "short":
            half = tuple(np.add(arm[0], np.subtract(arm[1], arm[0]) * 0.55))
            limb([arm[0], half], 0.32 * unit, 3)
    cv2.fillPoly(labels, [np.int32(body)], 3)
    cv2.ellipse(labels, (int(cx), int(shoulder - 0.55 * unit)), (int(0.26 * unit), int(0.36 * unit)), 0, 0, 360, 2, -1)
    cv2.ellipse(labels, (int(cx), int(shoulder - 0.72 * unit)), (int(0.3 * unit), int(0.24 * unit)), 0, 180, 360, 1, -1)
    xy = np.array([joints.get(name, (cx, shoulder)) for name in COCO_NAMES], np.float32)
    score = np.array([0.9 if name in joints else 0.0 for name in COCO_NAMES], np.float32)
    return labels, Pose(xy, score, COCO_NAMES, Box(0, 0, width, height))


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.fixture(scope="session")
def garment_pipeline():
    """The shipped landmark network."""
    from pipelines.person.garment.pipeline import GarmentPipeline

    return GarmentPipeline.from_pretrained(STARTER, device="cpu", dtype="float32")
