"""Every figure that `studio eval` prints, defined once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError

COCO_TORSO = ((5, 12), (6, 11))  # left shoulder to right hip, right shoulder to left hip
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # for values in [0, 1]
LSP_JOINTS = {
    "ankle": (15, 16),
    "knee": (13, 14),
    "hip": (11, 12),
    "wrist": (9, 10),
    "elbow": (7, 8),
    "shoulder": (5, 6),
}


def pck_score(
    found: NDArray[np.float32], truth: NDArray[np.float32], visible: NDArray[np.bool_], threshold: float = 0.2
) -> dict[str, float]:
    """Percentage of correct keypoints of LSP's twelve limb joints, pooled over people.

    A visible joint is right within ``threshold`` x the larger distance from a shoulder to the opposite hip; where these
    are not annotated, within ``threshold`` x half the diagonal of the annotated joints' box.

    Args:
        found: (N, 17, 2) COCO keypoints in pixels.
        truth: (N, 17, 2).
        visible: (N, 17) bool.
        threshold: Share of the torso.

    Returns:
        ``pck`` and one entry by joint, in [0, 1].
    """
    scored = np.zeros(17, bool)
    scored[[i for pair in LSP_JOINTS.values() for i in pair]] = True
    right = np.zeros(visible.shape, bool)
    for n, (xy, seen) in enumerate(zip(truth, visible, strict=True)):
        torso = [np.linalg.norm(xy[a] - xy[b]) for a, b in COCO_TORSO if seen[a] and seen[b]]
        known = xy[seen & scored]
        reference = max(torso) if torso else 0.5 * np.linalg.norm(np.ptp(known, axis=0)) if len(known) else 0.0
        right[n] = np.linalg.norm(found[n] - xy, axis=1) <= threshold * reference
    counted = visible & scored
    pooled = float((right & counted).sum() / max(1, counted.sum()))
    by_joint = {
        name: float((right & counted)[:, pair].sum() / max(1, counted[:, pair].sum()))
        for name, pair in LSP_JOINTS.items()
    }
    return {"pck": pooled, **by_joint}


def mean_iou(
    pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]], classes: Sequence[str], ignore: int = 255
) -> dict[str, float]:
    """Mean over classes of pooled intersection over pooled union.

    Args:
        pairs: (predicted, true) labels, (H, W) uint8 each of the same size; true pixels equal to ``ignore`` are left
            out.
        classes: Class names in id order.
        ignore: Label that is not scored.

    Returns:
        ``miou`` and one entry by class. A class that neither side ever has counts as 0.
    """
    count = len(classes)
    confusion = np.zeros((count, count), np.int64)
    for predicted, true in pairs:
        known = true != ignore
        confusion += np.bincount(true[known].astype(int) * count + predicted[known], minlength=count**2).reshape(
            count, count
        )
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    iou = hit / np.maximum(union, 1)
    return {"miou": float(iou.mean()), **{name: float(value) for name, value in zip(classes, iou, strict=True)}}


def ssim_map(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Structural similarity at every pixel (Wang et al., 2004): Gaussian window 11, sigma 1.5, mean of the channels.

    Args:
        a: (H, W, 3) float in [0, 1].
        b: The same size.

    Returns:
        (H, W) float64 in [-1, 1]; windows at the border are mirrored.

    Raises:
        InputError: ``metrics.images`` if the sizes differ or the values are no floats.
    """
    _check_pair(a, b)
    x, y = a.astype(np.float64), b.astype(np.float64)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.GaussianBlur(values, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA, borderType=cv2.BORDER_REFLECT_101)
        return np.asarray(blurred, np.float64)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    similarity = (2 * mx * my + SSIM_C1) * (2 * cov + SSIM_C2)
    similarity /= (mx**2 + my**2 + SSIM_C1) * (vx + vy + SSIM_C2)
    return similarity.mean(2) if similarity.ndim == 3 else similarity


def ssim(a: NDArray[np.floating], b: NDArray[np.floating], region: NDArray[np.bool_] | None = None) -> float:
    """Mean of `ssim_map` over ``region`` (H, W) bool, or over the whole picture.

    Raises:
        InputError: ``metrics.images`` or ``metrics.region``.
    """
    return _mean_over(ssim_map(a, b), region)


def l1(a: NDArray[np.floating], b: NDArray[np.floating], region: NDArray[np.bool_] | None = None) -> float:
    """Mean absolute difference of two (H, W, 3) pictures in [0, 1] over ``region`` (H, W) bool, or everywhere.

    Raises:
        InputError: ``metrics.images`` or ``metrics.region``.
    """
    _check_pair(a, b)
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return _mean_over(difference.mean(2) if difference.ndim == 3 else difference, region)


def silhouette_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two (H, W) bool silhouettes; 0 if both are empty.

    Raises:
        InputError: ``metrics.images`` if the sizes differ.
    """
    if a.shape != b.shape:
        raise InputError(
            "metrics.images", "Two silhouettes of different size cannot be compared", seen=(a.shape, b.shape)
        )
    return float((a & b).sum() / max(1, (a | b).sum()))


def edited_outside_mask(before: NDArray[np.uint8], after: NDArray[np.uint8], mask: NDArray[np.uint8]) -> int:
    """Number of pixels that differ where ``mask`` (H, W), feather included, is 0. Pictures are (H, W, 3) uint8.

    Raises:
        InputError: ``metrics.images`` if the sizes differ.
    """
    if before.shape != after.shape or before.shape[:2] != mask.shape:
        raise InputError(
            "metrics.images",
            "Picture, result and mask must have one size",
            seen=f"{before.shape}, {after.shape}, {mask.shape}",
        )
    return int(((before != after).any(2) & (mask == 0)).sum())


def pixel_f1(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """F1 of the pixels that are marked in one picture; 0 where the truth marks none, as published.

    Args:
        found: (H, W) bool.
        truth: (H, W) bool.

    Raises:
        InputError: ``metrics.size`` if they differ in size.
    """
    if found.shape != truth.shape:
        raise InputError("metrics.size", "These masks differ in size", seen=f"{found.shape} and {truth.shape}")
    right = int((found & truth).sum())
    return 2 * right / max(1, int(found.sum()) + int(truth.sum()))


def roc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The receiver operating characteristic.

    Args:
        scores: (N,), larger where the answer is rather yes.
        positive: (N,) bool, with both answers among them.

    Returns:
        False and true positive rates, both from 0 to 1, one entry for each different score and one for none.

    Raises:
        InputError: ``metrics.one-class`` if all or none are positive.
    """
    yes = int(positive.sum())
    if not 0 < yes < len(positive):
        raise InputError("metrics.one-class", "A ROC needs both kinds of items", seen=f"{yes} of {len(positive)}")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # equal scores are one step
    hits = np.cumsum(positive[order])[last]
    return (
        np.concatenate([[0.0], (last + 1 - hits) / (len(positive) - yes)]),
        np.concatenate([[0.0], hits / yes]),
    )


def auc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under `roc`: how often a positive item scores higher than another, ties counted half."""
    false, true = roc(scores, positive)
    return float((np.diff(false) * (true[1:] + true[:-1])).sum() / 2)


def _check_pair(a: NDArray, b: NDArray) -> None:
    if a.shape != b.shape or a.ndim not in (2, 3):
        raise InputError("metrics.images", "Two pictures of different size cannot be compared", seen=(a.shape, b.shape))
    if not (np.issubdtype(a.dtype, np.floating) and np.issubdtype(b.dtype, np.floating)):
        raise InputError(
            "metrics.images",
            "Pictures are compared as floats in [0, 1]",
            seen=(a.dtype, b.dtype),
            remedy="Divide by 255",
        )


def _mean_over(values: NDArray[np.float64], region: NDArray[np.bool_] | None) -> float:
    if region is None:
        return float(values.mean())
    if region.shape != values.shape or not region.any():
        raise InputError(
            "metrics.region",
            "The region to score must be as large as the picture and not empty",
            seen=f"{region.shape}, {int(region.sum())} pixels",
        )
    return float(values[region].mean())
