"""From a user's photo to what the network sees: the object cut out, centred on grey, as a square.

Source: ours; the paper says nothing of pictures that are no renderings. Without a transparent background of its own,
a photo is cut out by GrabCut (Rother et al., 2004, as in OpenCV): the frame of the picture is background, and what
differs from all colours of it is probably not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Box, Finding, Image, Mask
from pipelines.synthetic.objects import MARGIN

SMALLEST = 32  # pixels of the shorter side, of picture and of object
_WORKED = 320  # longest side that is cut out at
_FRAME = 0.03  # share of the shorter side that is background on all four sides
_COLOURS = 6  # of the background
_ROUNDS = 5
_LEAST, _MOST = 0.004, 0.9  # share of the picture that an object has
_CRUMB = 0.02  # parts smaller than so much of the largest one are left out
_SECOND = 0.35  # a part as large as so much of the largest one may be another object
_APART = 0.03  # if it lies so far from it, as a share of the picture's longer side
_RAGGED = 0.12  # share of its outline's box that an object covers at least
GREY = 128


@dataclass(frozen=True)
class View:
    """One cut-out picture.

    Attributes:
        picture: (S, S, 4) uint8 colours and coverage.
        mask: (H, W) uint8 coverage in the user's picture.
        box: The part of the user's picture that became the square; it may reach beyond it.
        findings: What was noticed.
    """

    picture: NDArray[np.uint8]
    mask: Mask
    box: Box
    findings: tuple[Finding, ...]

    @property
    def on_grey(self) -> Image:
        """(S, S, 3) uint8, as the network sees it."""
        cover = self.picture[..., 3:].astype(np.float32) / 255
        return np.asarray(np.rint(self.picture[..., :3] * cover + GREY * (1 - cover)), np.uint8)


def prepare(picture: NDArray[np.uint8], size: int, *, mask: Mask | None = None) -> View:
    """Cut an object out.

    Args:
        picture: (H, W, 3) or (H, W, 4) uint8; a fourth channel that is not opaque everywhere is the mask.
        size: Side of the square.
        mask: (H, W) uint8, where the user says what the object is.

    Raises:
        InputError: ``object.small``; ``object.none`` if nothing, or everything, stands out.
    """
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST:
        raise InputError(
            "object.small", "This picture is too small to show an object", seen=f"{width} x {height}",
            remedy=f"Both sides need at least {SMALLEST} pixels",
        )  # fmt: skip
    if mask is None and picture.shape[2] == 4 and picture[..., 3].min() < 128:
        mask = np.ascontiguousarray(picture[..., 3])
    colours = np.ascontiguousarray(picture[..., :3])
    given = mask is not None
    cover = mask if mask is not None else cut_out(colours)
    cover, several = _largest(cover)
    inside = cover >= 128
    share = float(inside.mean())
    if share < _LEAST or (share > _MOST and not given):
        raise InputError(
            "object.none", "No object stands out of this picture", seen=f"{100 * share:.1f} % of it",
            remedy="Photograph it before a plain background, seen all around it, or give a mask or a transparent PNG",
        )  # fmt: skip
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    if share / ((bottom - top) * (right - left) / inside.size) < _RAGGED:
        raise InputError(
            "object.none", "What stands out of this picture is scattered, and no object",
            seen=f"{100 * share:.1f} % of the picture in shreds",
            remedy="Photograph it before a plain background, or give a mask or a transparent PNG",
        )  # fmt: skip
    findings = []
    if several:
        findings.append(Finding(
            "object.several", "warning", "There may be more than one object; the largest was taken",
            "Photograph one at a time, or give a mask",
        ))  # fmt: skip
    if (top == 0) + (left == 0) + (bottom == height) + (right == width) >= 1:
        findings.append(Finding(
            "object.cut-off", "warning", "The object reaches the border of the picture; what lies beyond is a guess",
            "Step back until it is seen whole",
        ))  # fmt: skip
    side = max(bottom - top, right - left) / (1 - 2 * MARGIN)
    box = Box(float((left + right) / 2 - side / 2), float((top + bottom) / 2 - side / 2), float(side), float(side))
    return View(_square(colours, cover, box, size), cover, box, tuple(findings))


def as_input(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(S, S, 4) uint8 colours and coverage -> (4, S, S) float32 in [-1, 1], grey where nothing is covered."""
    cover = picture[..., 3:].astype(np.float32) / 255
    colours = picture[..., :3].astype(np.float32) * cover + GREY * (1 - cover)
    found = np.concatenate([colours / 127.5 - 1, cover * 2 - 1], 2).transpose(2, 0, 1)
    return np.ascontiguousarray(found, np.float32)


def _square(colours: Image, cover: Mask, box: Box, size: int) -> NDArray[np.uint8]:
    """The box as (S, S, 4): shrunk by areas, what lies beyond the picture is not covered."""
    edge = int(np.ceil(max(0, -box.x, -box.y, box.x + box.w - colours.shape[1], box.y + box.h - colours.shape[0]))) + 1
    both = np.concatenate([colours, cover[..., None]], 2)
    both = np.pad(both, ((edge, edge), (edge, edge), (0, 0)))
    x, y, side = (round(value) for value in (box.x + edge, box.y + edge, box.w))
    piece = both[y : y + side, x : x + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(piece, (size, size), interpolation=method), np.uint8)


def cut_out(colours: Image) -> Mask:
    """(H, W, 3) uint8 -> (H, W) uint8 coverage of what stands out of its background; all 0 if nothing does."""
    height, width = colours.shape[:2]
    factor = min(1.0, _WORKED / max(height, width))
    small = cv2.resize(
        colours, (max(8, round(width * factor)), max(8, round(height * factor))), interpolation=cv2.INTER_AREA
    )
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    frame = max(2, round(_FRAME * min(small.shape[:2])))
    border = np.ones(small.shape[:2], bool)
    border[frame:-frame, frame:-frame] = False
    distance = _unlike(lab, lab[border])
    inner = distance[~border]
    level, _ = cv2.threshold(
        np.clip(inner * 4, 0, 255).astype(np.uint8)[None], 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU
    )
    likely = distance * 4 > max(level, 40)
    if not likely[~border].any():
        return np.zeros((height, width), np.uint8)
    state = np.where(likely, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[border] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    back, fore = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), state, (0, 0, 1, 1), back, fore, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    return np.asarray(cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _unlike(lab: NDArray[np.float32], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) distance in colour from the nearest of the background's colours, in units of how much that one varies."""
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    count = min(_COLOURS, len(samples))
    _, labels, centres = cv2.kmeans(samples, count, None, stop, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    least = np.full(lab.shape[:2], np.inf, np.float32)
    for number, centre in enumerate(centres):
        own = samples[labels[:, 0] == number]
        if len(own) < 0.02 * len(samples):
            continue  # a corner of the object that reaches into the frame
        spread = np.maximum(own.std(0), 3.0)
        least = np.minimum(least, np.linalg.norm((lab - centre) / spread, axis=2))
    return np.asarray(cv2.GaussianBlur(np.minimum(least * 5, 100), (0, 0), 1.0), np.float32)


def _largest(cover: Mask) -> tuple[Mask, bool]:
    """The largest part with what belongs to it, and whether another one is about as large and apart from it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((cover >= 128).astype(np.uint8), connectivity=8)
    if count < 2:
        return cover, False
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = 1 + int(areas.argmax())
    away = cv2.distanceTransform((labels != largest).astype(np.uint8), cv2.DIST_L2, 5)
    kept = labels == largest
    several = False
    for number in range(1, count):
        part = labels == number
        if number == largest or areas[number - 1] < _CRUMB * areas[largest - 1]:
            continue
        apart = float(away[part].min()) > _APART * max(cover.shape)
        if areas[number - 1] >= _SECOND * areas[largest - 1] and apart:
            several = True
        elif not apart or areas[number - 1] < _SECOND * areas[largest - 1]:
            kept |= part
    near = cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.where(near, cover, 0).astype(np.uint8), several
