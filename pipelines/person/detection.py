"""Who is in the picture: people as connected areas of a parse, and whether such an area is a person at all."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Box, Labels, Pose
from pipelines.person.parsing.network import BACKGROUND, BAG, DRESS, HAIR, HEADWEAR, LOWER, SKIN, UPPER

CRUMB = 0.0012  # of the picture: less than this cannot be dressed
RELATIVE = 0.03  # of the largest person: less is a fragment, or somebody far behind


def find_people(labels: Labels, confidence: NDArray[np.float32] | None = None) -> list[Box]:
    """Boxes of the people in a parse, largest first.

    Args:
        labels: (H, W) uint8 of `PARSING_CLASSES`, of the whole picture.
        confidence: (H, W) float32 in [0, 1]; becomes the boxes' score, 1 without it.

    Returns:
        One box per person, in pixels of ``labels``; empty if there is nobody.
    """
    return people(labels, confidence)[1]


def people(labels: Labels, confidence: NDArray[np.float32] | None = None) -> tuple[NDArray[np.int32], list[Box]]:
    """As `find_people`, with a map (H, W) int32 of who is where: 0 nobody, n the n-th box."""
    height, width = labels.shape
    solid = labels != BACKGROUND
    count, parts, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=8)
    groups = _merged([n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= 0.02 * CRUMB * height * width], stats)
    found: list[NDArray[np.bool_]] = []
    for group in groups:
        area = int(stats[group, cv2.CC_STAT_AREA].sum())
        if area >= CRUMB * height * width:
            found += _split_at_heads(labels, np.isin(parts, group))
    found.sort(key=lambda mask: -int(mask.sum()))
    found = [mask for mask in found if mask.sum() >= RELATIVE * found[0].sum()]
    out, boxes = np.zeros(labels.shape, np.int32), []
    for number, mask in enumerate(found, start=1):
        out[mask] = number
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        score = float(confidence[mask].mean()) if confidence is not None else 1.0
        boxes.append(Box(float(x), float(y), float(w), float(h), score))
    return out, boxes


def _merged(parts: list[int], stats: NDArray[np.int32]) -> list[list[int]]:
    """Put the parts of one person together: a head above a coat, shoes below trousers, a hand beside a hip."""
    groups = [[n] for n in sorted(parts, key=lambda n: -stats[n, cv2.CC_STAT_AREA])]
    boxes = [stats[g[0], :4].astype(float) for g in groups]
    again = True
    while again:
        again = False
        for i in range(len(groups)):
            for j in range(len(groups) - 1, i, -1):
                if _one_person(boxes[i], boxes[j]):
                    groups[i] += groups.pop(j)
                    other = boxes.pop(j)
                    low = np.minimum(boxes[i][:2], other[:2])
                    high = np.maximum(boxes[i][:2] + boxes[i][2:], other[:2] + other[2:])
                    boxes[i] = np.concatenate([low, high - low])
                    again = True
    return groups


def _one_person(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether box b (the smaller) is a part of the person in box a, by gap and overlap."""
    gap = np.maximum(np.maximum(a[:2], b[:2]) - np.minimum(a[:2] + a[2:], b[:2] + b[2:]), 0)
    overlap = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    tall = max(a[3], b[3])
    if b[2] * b[3] > 0.5 * a[2] * a[3] and b[3] > 0.6 * a[3]:  # as large as the other: somebody else
        return False
    stacked = overlap[0] > 0.5 * min(a[2], b[2]) and gap[1] < 0.12 * tall
    beside = overlap[1] > 0.5 * min(a[3], b[3]) and gap[0] < 0.06 * tall and b[2] * b[3] < 0.1 * a[2] * a[3]
    return bool(stacked or beside)


def _split_at_heads(labels: Labels, mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Part people who touch, half-way between their heads."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if w < 0.55 * h:
        return [mask]
    window = np.where(mask, labels, BACKGROUND)[y : y + h, x : x + w]
    heads = np.isin(window, (HAIR, HEADWEAR))
    heads[int(0.45 * h) :] = False
    count, _, stats, centres = cv2.connectedComponentsWithStats(heads.astype(np.uint8), connectivity=8)
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] > 0.25 * stats[1:, cv2.CC_STAT_AREA].max()]
    places = sorted(float(centres[n][0]) for n in large)
    apart = [p for k, p in enumerate(places) if k == 0 or p - places[k - 1] > 0.22 * min(h, w)]
    if len(apart) < 2:
        return [mask]
    cuts = [x + (a + b) / 2 for a, b in itertools.pairwise(apart)]
    columns = np.digitize(np.arange(mask.shape[1]), cuts)
    return [part for k in range(len(apart)) if (part := mask & (columns == k)[None]).any()]


@dataclass(frozen=True)
class Evidence:
    """What speaks for a parsed area being a person; `score` joins it.

    Attributes:
        area: Share of the picture.
        head: Share of hair, hat and skin in its upper third.
        skin: Share of skin in it.
        clothes: Share of garments in it.
        confidence: Mean probability of its labels.
        joints: Mean score of the pose's twelve limb joints.
        upright: Share of garment area that lies below the hair.
    """

    area: float
    head: float
    skin: float
    clothes: float
    confidence: float
    joints: float
    upright: float


def evidence(labels: Labels, confidence: NDArray[np.float32], pose: Pose) -> Evidence:
    """Measure what `labels` (H, W) uint8 shows, against what a person would show."""
    person = labels != BACKGROUND
    area = max(1, int(person.sum()))
    rows = np.flatnonzero(person.any(1))
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 1)
    upper_third = labels[top : top + max(1, (bottom - top) // 3)]
    head = np.isin(upper_third, (HAIR, HEADWEAR, SKIN)).sum() / max(1, (upper_third != BACKGROUND).sum())
    clothes = np.isin(labels, (UPPER, LOWER, DRESS))
    hair = np.flatnonzero((labels == HAIR).any(1))
    below = clothes[int(hair.mean()) :].sum() / max(1, clothes.sum()) if len(hair) else 0.0
    return Evidence(
        area=area / labels.size,
        head=float(head),
        skin=float((labels == SKIN).sum()) / area,
        clothes=float(clothes.sum()) / area,
        confidence=float(confidence[person].mean()) if person.any() else 0.0,
        joints=float(pose.score[5:17].mean()),
        upright=float(below),
    )


def bag_share(labels: Labels) -> float:
    """Share of bag pixels in the person's area, for a warning."""
    return float((labels == BAG).sum()) / max(1, int((labels != BACKGROUND).sum()))
