"""The way back: from a garment on a person to a flat product picture, for training pairs and for evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Image, Labels, Pose
from pipelines.person.garment.cutout import nearest_fill
from pipelines.person.garment.fit import Fit, fit
from pipelines.person.garment.landmarks import CI, CO, EI, EO, RIGHT, SLEEVES, A, Points, S, similarity_frame
from pipelines.person.garment.silhouettes import outline
from pipelines.person.garment.warp import TORSO, warp
from pipelines.person.parsing.network import BAG, DRESS, HAIR, HEADWEAR, SKIN, UPPER


class Flat(NamedTuple):
    """A worn garment made flat.

    Attributes:
        image: (H, W, 3) uint8, white around the garment.
        mask: (H, W) uint8, 0 or 255.
        points: (20, 2) float32 landmarks in the picture; the sleeves may be shorter than what was asked for.
        sleeve: Sleeve class of the result.
        fit: Where these landmarks lie on the person, in pixels of the photo.
    """

    image: Image
    mask: NDArray[np.uint8]
    points: Points
    sleeve: str
    fit: Fit


class FlatOutline(NamedTuple):
    """Landmarks of a real flat garment, ready to receive another one's cloth."""

    points: Points
    sleeve: str
    name: str


def unwarp(
    photo: Image, labels: Labels, pose: Pose, points: Points, size: tuple[int, int], *, sleeve: str | None = None
) -> Flat:
    """Make the garment that a person wears into a flat product picture.

    Args:
        photo: (H, W, 3) uint8.
        labels: (H, W) uint8 parsing classes of the photo.
        pose: Keypoints in its pixels.
        points: (20, 2) landmarks of the flat picture to make, in its pixels.
        size: (height, width) of the flat picture.
        sleeve: Sleeve class of ``points``; None takes it to be long enough for anything. The result's is the shorter of
            this and the worn one, and the sleeves are cut to what there is cloth for.

    Raises:
        InputError: ``fit.no-garment-worn`` or ``fit.too-little-cloth``.
    """
    asked = sleeve or "long"
    first = fit(points, asked, labels, pose, limit_length=False)
    order = SLEEVES.index
    result = SLEEVES[min(order(asked), order(first.worn_sleeve))]
    points = cut_sleeves(points, asked, result)
    placed = fit(points, result, labels, pose, limit_length=False) if result != asked else first
    cloth = np.isin(labels, (UPPER, DRESS))
    sure = cv2.erode(cloth.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))) > 0
    filled = nearest_fill(photo, sure if sure.any() else cloth)
    # Hair, bags and hands lie in front of cloth; they are filled, not cut out.
    occluder = np.isin(labels, (HAIR, BAG, HEADWEAR))
    alpha = ((cloth | occluder) * 255).astype(np.uint8)
    skin = ((labels == SKIN) * 255).astype(np.uint8)
    sleeves = result != "none"
    flat = warp(filled, alpha, placed.target, points, size, sleeves=sleeves)
    hands = warp(filled, skin, placed.target, points, size, sleeves=sleeves)
    shape = np.zeros(size, np.uint8)
    for polygon in outline(points.astype(np.float64))[0]:
        cv2.fillPoly(shape, [np.round(polygon * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    inside = cv2.erode(shape, np.ones((3, 3), np.uint8)) > 0
    keep = (flat.alpha > 0.5) & (shape > 0)
    keep |= (hands.alpha > 0.5) & (hands.parts == TORSO) & inside & _low_on_torso(points, size)
    mask = _one_piece(keep)
    if mask.sum() < 0.25 * max(1, (shape > 0).sum()):
        raise InputError(
            "fit.too-little-cloth",
            "Too little of the worn garment is visible to make it flat",
            seen=f"{mask.sum() / max(1, (shape > 0).sum()):.0%} of the outline",
            remedy="Use a photo in which the garment is not hidden",
        )
    image = np.where(mask[..., None], np.round(flat.rgb * 255), 255).astype(np.uint8)
    empty = mask & (flat.alpha < 0.5)
    if empty.any():
        image = np.where(mask[..., None], nearest_fill(image, mask & ~empty), 255).astype(np.uint8)
    return Flat(image, (mask * 255).astype(np.uint8), points, result, placed)


def _low_on_torso(points: Points, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Rows below the armpits: skin above them is a neckline, below them a hand."""
    level = float(max(points[A, 1], points[RIGHT + A, 1]))
    return np.repeat((np.arange(size[0]) > level)[:, None], size[1], 1)


def _one_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Smooth, keep the largest component and fill its holes."""
    binary = cv2.medianBlur((mask * 255).astype(np.uint8), 5)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(binary)
    if count < 2:
        return np.zeros(mask.shape, bool)
    largest = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    contours, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(largest, contours, -1, 1, -1)
    return largest > 0


def cut_sleeves(points: Points, sleeve: str, wanted: str) -> Points:
    """Landmarks of the same garment with shorter sleeves.

    Args:
        points: (20, 2).
        sleeve: What it has.
        wanted: What it shall have; nothing changes if that is not shorter.
    """
    if SLEEVES.index(wanted) >= SLEEVES.index(sleeve):
        return points
    out = points.copy()
    for first in (0, RIGHT):
        side = points[first : first + 9]
        if wanted == "none":
            out[first + EO] = out[first + CO] = side[S]
            out[first + EI] = out[first + CI] = side[A]
            continue
        width = similarity_frame(points)[3]
        upper = float(np.linalg.norm((side[EO] + side[EI] - side[S] - side[A]) / 2)) + 1e-6
        share = min(1.0, 0.42 * width / upper)  # a short sleeve is about 0.4 shoulder widths long
        out[first + CO] = side[S] + (side[EO] - side[S]) * share
        out[first + CI] = side[A] + (side[EI] - side[A]) * share
        out[first + EO] = (side[S] + out[first + CO]) / 2
        out[first + EI] = (side[A] + out[first + CI]) / 2
    return out


def framed(points: Points, size: tuple[int, int], fill: float = 0.92) -> Points:
    """Centre landmarks in a picture of ``size`` = (height, width), as large as fits into ``fill`` of it."""
    low, high = points.min(0), points.max(0)
    scale = fill * min(size[1] / (high[0] - low[0]), size[0] / (high[1] - low[1]))
    centre = np.array([size[1] - 1, size[0] - 1]) / 2
    return ((points - (low + high) / 2) * scale + centre).astype(np.float32)


def garment_bank(
    folder: str | Path, pipeline, size: tuple[int, int], *, best: int = 200, largest_uncertainty: float = 0.02
) -> list[FlatOutline]:
    """Outlines of the real garments in a folder that were cut out and understood well.

    Args:
        folder: Pictures, directly or in folders below.
        pipeline: A `GarmentPipeline`.
        size: (height, width) that the landmarks are framed for.
        best: Look at no more pictures than give this many outlines.
        largest_uncertainty: Mean expected error over the garment's longer side.

    Raises:
        InputError: ``data.layout`` if no picture is usable.
    """
    bank: list[FlatOutline] = []
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            continue
        try:
            cut = pipeline(np.ascontiguousarray(picture[..., ::-1]))
        except InputError:
            continue
        spread = float(cut.uncertainty.mean() / np.ptp(cut.landmarks, axis=0).max())
        if cut.quality < 0.75 or spread > largest_uncertainty:
            continue
        bank.append(FlatOutline(framed(cut.landmarks, size), cut.sleeve, path.stem))
        if len(bank) >= best:
            break
    if not bank:
        raise InputError(
            "data.layout",
            "No usable garment picture in this folder",
            seen=folder,
            remedy="Name a folder of product photos",
        )
    return bank
