"""Ruled and squared paper: lines that run over the whole sheet at even distances are taken off the contrast."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# All our choice: no building is drawn with so many even lines that run over both ends of the sheet.
_TURNS = np.arange(-8, 8.01, 0.5)  # degrees
_LEAST = 6  # lines
_COVERED = 0.8  # share of a line that is seen
_EVEN = 0.12  # spread of the distances, as share of them


def without_ruling(contrast: Floats) -> Floats:
    """Take ruled lines, along or across or both, off a contrast (h, w) in [0, 1]; ink across them stays."""
    clean = _without_rows(contrast)
    return np.ascontiguousarray(_without_rows(np.ascontiguousarray(clean.T)).T)


def _without_rows(contrast: Floats) -> Floats:
    height = len(contrast)
    # strong ink would drown faint lines, so all count alike from a little contrast on
    flat = np.minimum(contrast, 0.08)
    flat = (flat - cv2.blur(flat, (1, 15))).astype(np.float32)
    best, best_score, profile = 0.0, 0.0, np.zeros(height)
    for turn in _TURNS:
        rows = _sheared(flat, np.tan(np.radians(turn))).mean(1)
        score = float(np.sort(np.maximum(rows, 0))[-height // 8 :].sum())
        if score > best_score:
            best, best_score, profile = float(np.tan(np.radians(turn))), score, rows
    rows = _even_rows(profile)
    if len(rows) < _LEAST:
        return contrast
    level = _sheared(contrast, best)
    found = [row for row in rows if _runs_over(level, row)]
    if len(found) < max(_LEAST, 0.6 * len(rows)):
        return contrast
    for row in rows:
        low, high = max(row - 3, 0), min(row + 4, height)
        band = level[low:high]
        # the line's own depth is what its palest third shows: on the rest there may be ink
        level[low:high] = np.where(band < 2.2 * np.percentile(band, 33, axis=1, keepdims=True) + 0.015, 0, band)
    return np.clip(_sheared(level, -best), 0, 1).astype(np.float32)


def _sheared(image: Floats, slope: float) -> Floats:
    height, width = image.shape
    move = np.array([[1, 0, 0], [-slope, 1, slope * width / 2]], np.float32)
    return cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def _even_rows(profile: NDArray[np.floating]) -> list[int]:
    """Rows of peaks of a profile that keep an even distance, or nothing."""
    strong = 0.25 * float(np.sort(profile)[-_LEAST:].mean())
    inside = profile[1:-1]
    peaks = np.flatnonzero((inside >= profile[:-2]) & (inside > profile[2:]) & (inside > max(strong, 0.004))) + 1
    if len(peaks) < _LEAST:
        return []
    gaps = np.diff(peaks)
    pitch = float(np.median(gaps))
    even = np.abs(gaps - pitch) < max(_EVEN * pitch, 1.5)
    if pitch < 6 or even.mean() < 0.7:
        return []
    return [int(row) for row in peaks]


def _runs_over(level: Floats, row: int) -> bool:
    """Whether a row is darker than what lies above and below it over the whole sheet, both ends too."""
    height, width = level.shape
    line = level[max(row - 1, 0) : row + 2].max(0)
    beside = np.maximum(level[max(row - 6, 0)], level[min(row + 6, height - 1)])
    seen = line > beside + 0.01
    end = max(width // 25, 4)
    return bool(seen.mean() > _COVERED and seen[:end].mean() > 0.5 and seen[-end:].mean() > 0.5)
