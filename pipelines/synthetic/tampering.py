"""Tampered pictures with the exact mask of what was tampered with, for training and judging a manipulation localiser.

Every picture is first given a past (`prepare`: shrinking, noise, sharpening, a camera's JPEG), then edited in one
region, then finished (saved, now and then resized). `authentic` leaves out the edit and nothing else, so a localiser
finds no other difference between the two. Splice, copy-move and removal are the three edits of the public benchmarks
(Columbia, CASIA, NIST 16); recolouring, local resampling, local JPEG and blur are ours, so that the traces of an edit
are learnt and not the look of misplaced objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.core.errors import InputError
from pipelines.core.types import Image, Labels

KINDS = ("splice", "copy-move", "removal", "recolour", "resample", "rejpeg", "blur")
HELD_OUT = "seamless"  # judges whether what was learnt carries over to an edit that training never shows
VARIANTS = ("plain", "camera", "resized", "screenshot")  # of an authentic picture; "plain" is the variant None

LEAST, MOST = 0.005, 0.45  # share of the picture that a mask covers
SEAM = 4  # no pixel further than this outside the mask is changed by an edit
SMALLEST = 64  # shortest side that is worked on
PREPARED_SIDE = 192  # a past never shrinks the shorter side below this

# How often a finished picture is saved without loss, as JPEG, or resized and then saved one way or the other.
FINISH_PNG, FINISH_JPEG, FINISH_RESIZED = 0.35, 0.45, 0.20
# How often a picture's past holds each step.
SHRUNK, NOISY, SHARPENED, SOFTENED, CAMERA, OFF_GRID = 0.5, 0.7, 0.4, 0.12, 0.85, 0.25
SEAM_BLURRED = 0.35
LABELLED = 0.75  # how often a region follows the labels of its picture, where it has any

# Mean change in levels below which another region is tried: an edit nobody could find teaches nothing.
_LEAST_CHANGE = {"splice": 4.0, "copy-move": 3.0, "removal": 2.0, "recolour": 9.0}
_LEAST_CHANGE_OTHERWISE = 0.9
_ATTEMPTS = 6
_CANVAS = 128  # side on which outlines are drawn before they are enlarged

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Window = tuple[slice, slice]

# Colour resolution of a JPEG (4:2:0, 4:2:2, 4:4:4) and how often a saved picture has it.
_CHROMA = (
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, 0.7),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, 0.1),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, 0.2),
)
_SHRINKING = (cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_SMOOTH = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class Source:
    """An untouched picture.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        regions: (H, W) uint8 labels of persons, garments and the like, 0 for background; None where unknown.
    """

    picture: Image
    regions: Labels | None = None


@dataclass(frozen=True)
class Tampered:
    """A picture with one tampered region.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, True where tampered: where a feathered seam shows more of the edit than of the picture.
        kind: One of ``KINDS`` or ``HELD_OUT``.
        finishing: What happened afterwards, in words, e.g. ``resized 0.71, jpeg 90``.
    """

    picture: Image
    mask: Mask
    kind: str
    finishing: str


@dataclass(frozen=True)
class Item:
    """One source of the evaluation set, once tampered with and once not.

    Attributes:
        stem: File stem, unique in the set.
        tampered: The edit.
        authentic: (H, W, 3) uint8 RGB, of its own size.
        variant: One of ``VARIANTS``.
        saved: How the authentic picture was saved, in words.
    """

    stem: str
    tampered: Tampered
    authentic: Image
    variant: str
    saved: str


@dataclass(frozen=True)
class _Cut:
    """A piece of picture: ``picture`` (h, w, 3) uint8 and which of its pixels are meant, ``shape`` (h, w) bool."""

    picture: Image
    shape: Mask


def tamper(
    source: Source,
    donor: Source,
    rng: Generator,
    *,
    kind: str | None = None,
    finish: bool = True,
    prepared: bool = False,
) -> Tampered:
    """Edit one region of a picture.

    Args:
        source: The picture to edit, both sides at least ``SMALLEST``.
        donor: Where a splice comes from; of any size from ``SMALLEST`` on. It gets a past of its own.
        rng: Source of chance.
        kind: One of ``KINDS`` or ``HELD_OUT``; drawn evenly from ``KINDS`` if None.
        finish: Save and perhaps resize the result; otherwise it is as the edit left it.
        prepared: Both pictures have been through `prepare` already.

    Returns:
        The picture has the size of the prepared source unless finishing resized it. The mask covers ``LEAST`` to
        ``MOST`` of it. Pixels further than ``SEAM`` outside the mask are untouched by the edit.

    Raises:
        InputError: ``tampering.size`` if a picture is too small, ``tampering.regions`` if labels do not fit their
            picture, ``tampering.kind`` if the kind is unknown.
    """
    for each in (source, donor):
        _check(each)
    kind = KINDS[rng.integers(len(KINDS))] if kind is None else kind
    if kind not in _EDITS:
        raise InputError("tampering.kind", "There is no such kind of tampering", seen=kind, remedy=f"One of {KINDS}")
    if not prepared:
        source = _with_past(source, rng)
        donor = _with_past(donor, rng) if kind in ("splice", HELD_OUT) else donor
    picture, mask = _edited(kind, source, donor, rng)
    if not finish:
        return Tampered(picture, mask, kind, "none")
    picture, mask, words = _finished(picture, mask, rng)
    return Tampered(picture, mask, kind, words)


def authentic(picture: Image, rng: Generator, variant: str | None = None) -> tuple[Image, str]:
    """Return an untouched picture, (H, W, 3) uint8 RGB, that went through the past and the finishing of a tampered one.

    Args:
        picture: (H, W, 3) uint8 RGB, both sides at least ``SMALLEST``.
        rng: Source of chance.
        variant: None (or ``plain``) for the mix of `tamper`; ``camera`` for one JPEG save at high quality; ``resized``
            for a resampling before the last save; ``screenshot`` for another scale inside borders, bars and text.

    Returns:
        The picture and how it was saved, in words.

    Raises:
        InputError: ``tampering.size`` if the picture is too small, ``tampering.variant`` if the variant is unknown.
    """
    _check(Source(picture))
    if variant is None or variant == "plain":
        past = prepare(picture, rng)
        finished, _, words = _finished(past, np.zeros(past.shape[:2], bool), rng)
        return finished, words
    if variant == "camera":
        return _jpeg(_developed(Source(picture), rng).picture, int(rng.integers(85, 98)), rng)
    if variant == "resized":
        past = prepare(picture, rng)
        factor = float(rng.uniform(0.5, 0.9) if rng.random() < 0.6 else rng.uniform(1.1, 1.3))
        resized, words = _saved(_resized(past, _scaled(past.shape, factor), rng), rng)
        return resized, f"resized {factor:.2f}, {words}"
    if variant == "screenshot":
        shot, words = _saved(_screenshot(prepare(picture, rng), rng), rng, png=0.65)
        return shot, f"screenshot, {words}"
    raise InputError("tampering.variant", "There is no such variant", seen=variant, remedy=f"One of {VARIANTS}")


def evaluation_items(sources: Sequence[Source], seed: int = 20_26) -> Iterator[Item]:
    """Yield one item per source, each drawn from (seed, its number) alone, so any item can be made again by itself.

    Kinds (the held-out one among them) and variants take turns, and every kind meets every variant.

    Raises:
        InputError: ``tampering.sources`` if there are fewer than two sources: a splice needs another one.
    """
    if len(sources) < 2:
        raise InputError("tampering.sources", "An evaluation set needs two pictures or more", seen=len(sources))
    kinds = (*KINDS, HELD_OUT)
    for i, source in enumerate(sources):
        rng = np.random.default_rng((seed, i))
        donor = sources[(i + 1 + int(rng.integers(len(sources) - 1))) % len(sources)]
        variant = VARIANTS[(i + i // len(kinds)) % len(VARIANTS)]
        tampered = tamper(source, donor, rng, kind=kinds[i % len(kinds)])
        untouched, saved = authentic(source.picture, rng, variant)
        yield Item(f"{i:05d}", tampered, untouched, variant, saved)


def prepare(picture: Image, rng: Generator) -> Image:
    """Give a picture a past: shrinking, noise, sharpening and the JPEG of a camera, each with some probability.

    Args:
        picture: (H, W, 3) uint8 RGB.
        rng: Source of chance.

    Returns:
        (h, w, 3) uint8 RGB; at most as large as the picture, its shorter side not below ``PREPARED_SIDE`` by shrinking.
    """
    return _with_past(Source(picture), rng).picture


def _check(source: Source) -> None:
    picture, regions = source.picture, source.regions
    if picture.ndim != 3 or picture.shape[2] != 3 or min(picture.shape[:2]) < SMALLEST:
        raise InputError(
            "tampering.size",
            "This picture is too small to edit, or is not (H, W, 3)",
            seen=picture.shape,
            remedy=f"Both sides need at least {SMALLEST} pixels",
        )
    if regions is not None and (regions.shape != picture.shape[:2] or regions.dtype != np.uint8):
        raise InputError(
            "tampering.regions",
            "These labels do not belong to the picture",
            seen=f"{regions.shape} {regions.dtype}",
            remedy="They need the picture's height and width, and uint8",
        )


# -- the past and the finishing


def _with_past(source: Source, rng: Generator) -> Source:
    """Return the source as its camera saved it; regions shrink along."""
    source = _developed(source, rng)
    if rng.random() >= CAMERA:
        return source
    picture = source.picture
    off = rng.integers(0, 8, 2) if rng.random() < OFF_GRID else (0, 0)
    # A picture that was cropped after its save has its 8 x 8 blocks anywhere; reflected pixels stand for what was cut.
    framed = cv2.copyMakeBorder(picture, int(off[0]), 0, int(off[1]), 0, cv2.BORDER_REFLECT_101)
    saved, _ = _jpeg(np.asarray(framed, np.uint8), int(rng.integers(70, 98)), rng)
    return Source(np.ascontiguousarray(saved[off[0] :, off[1] :]), source.regions)


def _developed(source: Source, rng: Generator) -> Source:
    """Shrink, add noise and sharpen or soften, each with some probability: a picture before its first save."""
    picture, regions = source.picture, source.regions
    least = min(1.0, PREPARED_SIDE / min(picture.shape[:2]))
    if rng.random() < SHRUNK and least < 0.95:
        size = _scaled(picture.shape, float(rng.uniform(max(0.5, least), 0.95)))
        picture = _resized(picture, size, rng)
        regions = None if regions is None else _nearest(regions, size)
    if rng.random() < NOISY:
        picture = _noisy(picture, float(rng.uniform(0.5, 4.5)), rng)
    chance = rng.random()
    if chance < SHARPENED:
        picture = _sharpened(picture, float(rng.uniform(0.6, 1.4)), float(rng.uniform(0.2, 0.9)))
    elif chance < SHARPENED + SOFTENED:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 0.8))), np.uint8)
    return Source(picture, regions)


def _noisy(picture: Image, sigma: float, rng: Generator) -> Image:
    """Add noise of ``sigma`` levels as a sensor does: more in light than in shadow, little of it in the colour."""
    h, w = picture.shape[:2]
    light = rng.standard_normal((h, w), dtype=np.float32)
    colour = cv2.resize(rng.standard_normal((h // 2 + 1, w // 2 + 1, 3), dtype=np.float32), (w, h))
    noise = cv2.merge([light, light, light]) + np.float32(0.4) * colour
    strength = np.sqrt(np.arange(256, dtype=np.float32) / 255 * 0.8 + 0.2) * np.float32(sigma)
    return _levels(picture + noise * strength[picture])


def _sharpened(picture: Image, sigma: float, amount: float) -> Image:
    soft = cv2.GaussianBlur(picture, (0, 0), sigma)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)


def _finished(picture: Image, mask: Mask, rng: Generator) -> tuple[Image, Mask, str]:
    """Save a picture as it is or resized; return it, its mask and the words for it."""
    chance = rng.random()
    if chance < FINISH_PNG:
        return picture, mask, "png"
    if chance < FINISH_PNG + FINISH_JPEG:
        saved, words = _jpeg(picture, int(rng.integers(75, 99)), rng)
        return saved, mask, words
    factor = float(rng.uniform(0.6, 0.95) if rng.random() < 0.6 else rng.uniform(1.05, 1.3))
    size = _scaled(picture.shape, factor)
    small = _nearest(mask.view(np.uint8), size).view(bool)
    if mask.any() and not _within_bounds(small):  # a hair of a mask that would not survive
        return picture, mask, "png"
    saved, words = _saved(_resized(picture, size, rng), rng)
    return saved, small, f"resized {factor:.2f}, {words}"


def _saved(picture: Image, rng: Generator, png: float = 0.4) -> tuple[Image, str]:
    """Save as PNG with probability ``png``, else as JPEG."""
    return (picture, "png") if rng.random() < png else _jpeg(picture, int(rng.integers(75, 99)), rng)


def _jpeg(picture: Image, quality: int, rng: Generator) -> tuple[Image, str]:
    """Return what a JPEG of this quality keeps, and the words for it."""
    codes, shares = zip(*_CHROMA, strict=True)
    chroma = int(codes[rng.choice(len(codes), p=shares)])
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    _, data = cv2.imencode(".jpg", bgr, options)
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8), f"jpeg {quality}"


def _screenshot(picture: Image, rng: Generator) -> Image:
    """Draw a picture at another scale inside plain borders, with bars and lines of text above or below at times."""
    shown = _resized(picture, _scaled(picture.shape, float(rng.uniform(0.6, 1.3))), rng)
    h, w = shown.shape[:2]
    paper = int(rng.choice([0, 18, 32, 240, 255]))
    edge = int(rng.integers(0, 13))
    top, bottom = (int(rng.uniform(0.05, 0.14) * h) if rng.random() < 0.6 else edge for _ in range(2))
    page = np.full((h + top + bottom, w + 2 * edge, 3), paper, np.uint8)
    page[top : top + h, edge : edge + w] = shown
    ink = (210, 210, 210) if paper < 128 else (40, 40, 40)
    for start, tall in ((0, top), (top + h, bottom)):
        if tall < 14:
            continue
        letters = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(6, 24))))
        size = tall / 60
        cv2.putText(
            page, letters, (edge + 6, start + int(tall * 0.65)), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA
        )
    return page


def _scaled(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    """(height, width) after scaling."""
    return max(8, round(shape[0] * factor)), max(8, round(shape[1] * factor))


def _resized(picture: Image, size: tuple[int, int], rng: Generator) -> Image:
    """Resize to (height, width) with a filter that fits the direction."""
    filters = _SHRINKING if size[0] < picture.shape[0] else _SMOOTH
    return _resampled(picture, size, filters[rng.integers(len(filters))])


def _resampled(picture: Image, size: tuple[int, int], method: int) -> Image:
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=method), np.uint8)


def _nearest(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return _resampled(labels, size, cv2.INTER_NEAREST_EXACT)


def _levels(values: NDArray[Any]) -> Image:
    """Round to (…) uint8."""
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


# -- regions


def shape(
    size: tuple[int, int],
    rng: Generator,
    regions: Labels | None = None,
    share: tuple[float, float] = (0.01, 0.35),
) -> Mask:
    """Draw a region: a labelled one where there are labels (mostly), else an ellipse, polygon, rectangle or blob.

    Args:
        size: (height, width).
        rng: Source of chance.
        regions: (H, W) uint8 labels, 0 for background.
        share: Smallest and largest share of the picture to aim for, drawn evenly in its logarithm.

    Returns:
        (H, W) bool covering ``LEAST`` to ``MOST``.
    """
    if regions is not None and rng.random() < LABELLED:
        labelled = _labelled(regions, rng)
        if labelled is not None and LEAST * 1.2 <= labelled.mean() <= min(MOST * 0.95, share[1] * 1.3):
            return labelled
    height, width = size
    for _ in range(_ATTEMPTS):
        outline = _outline(rng)
        area = math.exp(rng.uniform(math.log(share[0]), math.log(share[1]))) * height * width
        factor = math.sqrt(area / max(1, int(outline.sum())))
        factor = min(factor, 0.96 * height / outline.shape[0], 0.96 * width / outline.shape[1])
        piece = _enlarged(outline, _scaled(outline.shape, factor))
        mask = np.zeros(size, bool)
        top, left = (int(rng.integers(0, full - part + 1)) for full, part in zip(size, piece.shape, strict=True))
        mask[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
        if LEAST * 1.2 <= mask.mean() <= MOST * 0.95:
            return mask
    mask = np.zeros(size, bool)
    mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = True
    return mask


def _labelled(regions: Labels, rng: Generator) -> Mask | None:
    """One label, two of them, or everything that is not background; its largest piece, its outline a little off."""
    present = np.flatnonzero(np.bincount(regions.ravel(), minlength=256)[1:]) + 1
    if not len(present):
        return None
    chance = rng.random()
    count = 1 if chance < 0.5 else 2 if chance < 0.65 else len(present)
    wanted = np.zeros(256, np.uint8)
    wanted[rng.choice(present, min(count, len(present)), replace=False)] = 1
    piece = _largest_piece(wanted[regions])
    reach = int(rng.integers(0, 3))
    if reach:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        piece = cv2.dilate(piece, kernel) if rng.random() < 0.7 else cv2.erode(piece, kernel)
    return np.asarray(piece, np.uint8).view(bool)


def _largest_piece(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if len(stats) < 2:
        return mask
    return (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)


def _outline(rng: Generator) -> Mask:
    """Draw an outline that fills its (h, w) bool box; the longer side is up to ``_CANVAS``."""
    canvas = np.zeros((_CANVAS, _CANVAS), np.uint8)
    half = _CANVAS // 2
    turn, flat = float(rng.uniform(0, 180)), float(rng.uniform(0.35, 1))
    chance = rng.random()
    if chance < 0.2:
        cv2.ellipse(canvas, (half, half), (half - 2, int((half - 2) * flat)), turn, 0, 360, 1, -1)
    elif chance < 0.35:
        turn = turn if rng.random() < 0.4 else 0.0
        corners = cv2.boxPoints(((half, half), (1.3 * half, 1.3 * half * flat), turn))
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
    elif chance < 0.6:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 14))))
        reach = rng.uniform(0.45, 0.95, len(angles)) * half
        corners = half + np.stack([np.cos(angles) * reach, np.sin(angles) * reach * flat], 1)
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
        canvas = _largest_piece(canvas)
    else:
        canvas = _blob(rng, flat)
    filled = np.asarray(ndimage.binary_fill_holes(canvas), bool)
    return filled[_window(filled, 0)]


def _blob(rng: Generator, flat: float) -> NDArray[np.uint8]:
    """Smooth noise that falls off from the middle, cut at a level: coarse noise makes lobes, fine noise coastlines."""
    grid = int(rng.integers(4, 14))
    coarse = rng.standard_normal((grid, grid), dtype=np.float32)
    noise = cv2.resize(coarse, (_CANVAS, _CANVAS), interpolation=cv2.INTER_CUBIC)
    across = np.linspace(-1, 1, _CANVAS, dtype=np.float32)
    fall = across[None] ** 2 + (across[:, None] / flat) ** 2
    height = np.float32(rng.uniform(0.15, 0.5)) * noise - fall
    return _largest_piece((height > -rng.uniform(0.25, 0.6)).astype(np.uint8))


def _enlarged(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize a mask to (height, width) with smooth edges."""
    return _resampled(mask.view(np.uint8) * np.uint8(255), size, cv2.INTER_LINEAR) > 127


def _window(mask: Mask, margin: int) -> Window:
    """The box around the True pixels, wider by a margin, within the picture; the whole picture if none is True."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + 1 + margin),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + 1 + margin),
    )


def _within_bounds(mask: Mask) -> bool:
    return LEAST <= mask.mean() <= MOST


# -- cutting and pasting


def _edited(kind: str, source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    """Edit until the edit is of a fair size and can be seen; where nothing can be (a flat picture), keep the last."""
    best: tuple[Image, Mask] | None = None
    for _ in range(_ATTEMPTS):
        picture, mask = _EDITS[kind](source, donor, rng)
        if not _within_bounds(mask):
            continue
        best = picture, mask
        window = _window(mask, 0)
        change = cv2.absdiff(picture[window], source.picture[window])[mask[window]].mean()
        if change >= _LEAST_CHANGE.get(kind, _LEAST_CHANGE_OTHERWISE):
            break
    if best is None:  # an odd format that no region of the donor fits into
        other = source.picture[:, ::-1] if kind == "copy-move" else donor.picture
        mask = shape(source.picture.shape[:2], rng)
        window = _window(mask, SEAM)
        content = _resampled(np.ascontiguousarray(other), mask.shape, cv2.INTER_LINEAR)[window]
        best = _paste(source.picture, _Cut(content, mask[window]), (window[0].start, window[1].start), rng)
    return best


def _paste(
    picture: Image, cut: _Cut, corner: tuple[int, int], rng: Generator, *, seam: float | None = None
) -> tuple[Image, Mask]:
    """Paste a cut with its top left at ``corner`` (row, column), feathered; with chance ``seam`` its seam is blurred.

    The feather runs from 0 to 3 pixels to either side of the outline, so the mask (more edit than picture) is the shape
    itself. What lies beyond the picture is cut off.
    """
    height, width = picture.shape[:2]
    top, left = max(0, corner[0]), max(0, corner[1])
    bottom, right = min(height, corner[0] + cut.shape.shape[0]), min(width, corner[1] + cut.shape.shape[1])
    mask, edited = np.zeros((height, width), bool), picture.copy()
    if bottom <= top or right <= left:
        return edited, mask
    inner = (slice(top - corner[0], bottom - corner[0]), slice(left - corner[1], right - corner[1]))
    within, outer = cut.shape[inner], (slice(top, bottom), slice(left, right))
    mask[outer] = within
    signed = _signed_distance(within)
    feather = float(rng.choice([0.0, rng.uniform(0.6, 3.0)], p=[0.3, 0.7]))
    alpha = np.clip(0.5 + signed / (2 * feather), 0, 1) if feather else within.astype(np.float32)
    mixed = _mix(picture[outer], cut.picture[inner], alpha)
    if rng.random() < (SEAM_BLURRED if seam is None else seam):
        soft = cv2.GaussianBlur(mixed, (0, 0), float(rng.uniform(0.6, 1.4)))
        mixed = _mix(mixed, np.asarray(soft, np.uint8), (np.abs(signed) < rng.uniform(1, 3)).astype(np.float32))
    edited[outer] = mixed
    return edited, mask


def _mix(below: Image, above: Image, alpha: Floats) -> Image:
    """Lay (h, w, 3) ``above`` over ``below`` with (h, w) alpha in [0, 1]; alpha 0 keeps every bit of ``below``."""
    below32 = below.astype(np.float32)
    return _levels(below32 + (above - below32) * alpha[..., None])


def _signed_distance(within: Mask) -> Floats:
    """(h, w) float32 distance from the outline in pixels, positive inside; ±1/2 for the pixels next to it."""
    inside = cv2.distanceTransform(within.view(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~within).view(np.uint8), cv2.DIST_L2, 5)
    return np.where(within, inside - np.float32(0.5), np.float32(0.5) - outside).astype(np.float32)


def _cut(picture: Image, mask: Mask) -> _Cut:
    window = _window(mask, SEAM)
    return _Cut(picture[window], mask[window])


def _turned(cut: _Cut, factor: float, turn: float, flip: bool) -> _Cut:
    """Flip, scale and turn a cut; its box grows to hold the turned corners."""
    picture, mask = cut.picture, cut.shape
    if flip:
        picture, mask = np.ascontiguousarray(picture[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    if factor != 1:
        size = _scaled(mask.shape, factor)
        picture = _resampled(picture, size, cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        mask = _enlarged(mask, size)
    if turn:
        h, w = mask.shape
        affine = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), turn, 1)
        wide = math.ceil(h * abs(affine[0, 1]) + w * abs(affine[0, 0]))
        tall = math.ceil(h * abs(affine[0, 0]) + w * abs(affine[0, 1]))
        affine[:, 2] += ((wide - w) / 2, (tall - h) / 2)
        picture = _warped(picture, affine, (tall, wide), cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        full = mask.view(np.uint8) * np.uint8(255)
        mask = _warped(full, affine, (tall, wide), cv2.INTER_LINEAR, cv2.BORDER_CONSTANT) > 127
    return _Cut(picture, mask)


def _warped(
    picture: NDArray[np.uint8], affine: NDArray[Any], size: tuple[int, int], method: int, border: int
) -> NDArray[np.uint8]:
    """Move pixels by a (2, 3) affine into a picture of (height, width); beyond the border it is as ``border`` says."""
    return np.asarray(cv2.warpAffine(picture, affine, size[::-1], flags=method, borderMode=border), np.uint8)


def _some_turn(rng: Generator, most: float) -> float:
    return float(rng.uniform(-most, most)) if rng.random() < 0.45 else 0.0


def _some_corner(size: tuple[int, int], part: tuple[int, ...], rng: Generator, beyond: float = 0.12) -> tuple[int, int]:
    """(row, column) of a box's top left, at most the share ``beyond`` of the box outside the picture on each side."""
    corner = []
    for full, length in zip(size, part, strict=False):
        low, high = -beyond * length, full - (1 - beyond) * length
        corner.append(round(rng.uniform(min(low, high), max(low, high))))
    return corner[0], corner[1]


# -- the edits


def _foreign(source: Source, donor: Source, rng: Generator) -> _Cut:
    """A region of the donor, flipped, scaled and turned to a plausible size in the source."""
    cut = _cut(donor.picture, shape(donor.picture.shape[:2], rng, donor.regions))
    height, width = source.picture.shape[:2]
    aim = math.exp(rng.uniform(math.log(0.015), math.log(0.3))) * height * width
    area = max(1, int(cut.shape.sum()))
    factor = float(np.clip(math.sqrt(aim / area), 0.35, 1.5))
    if rng.random() < 0.35 and 0.015 * height * width < area < 0.4 * height * width:
        factor = 1.0  # as it is: a splice that no resampling gives away
    factor = max(factor, math.sqrt(0.012 * height * width / area))
    factor = min(factor, height / cut.shape.shape[0], width / cut.shape.shape[1])
    return _turned(cut, factor, _some_turn(rng, 25), rng.random() < 0.5)


def _splice(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    cut = _foreign(source, donor, rng)
    corner = _some_corner(source.picture.shape[:2], cut.shape.shape, rng)
    if rng.random() < 0.5:
        cut = _matched(cut, source.picture, corner, float(rng.uniform(0.3, 0.9)))
    return _paste(source.picture, cut, corner, rng)


def _matched(cut: _Cut, picture: Image, corner: tuple[int, int], strength: float) -> _Cut:
    """Move mean and contrast of a cut part of the way to those of the place it goes to, channel by channel."""
    h, w = cut.shape.shape
    place = picture[max(0, corner[0]) : corner[0] + h, max(0, corner[1]) : corner[1] + w]
    if not place.size or not cut.shape.any():
        return cut
    inside = cut.picture[cut.shape].astype(np.float32)
    mean, spread = inside.mean(0), inside.std(0) + 4
    there, wide = cv2.meanStdDev(place)
    gain = 1 + strength * (np.clip((wide[:, 0] + 4) / spread, 0.7, 1.4) - 1)
    shift = mean + strength * (there[:, 0] - mean) - gain * mean
    table = _levels(np.arange(256, dtype=np.float32)[:, None] * gain + shift)
    return _Cut(_through(cut.picture, table), cut.shape)


def _through(picture: Image, table: NDArray[np.uint8]) -> Image:
    """Send each channel through its column of a (256, 3) uint8 table."""
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), table[None]), np.uint8)


def _copy_move(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    size = source.picture.shape[:2]
    origin = shape(size, rng, source.regions, (0.01, 0.2))
    factor = float(rng.uniform(0.7, 1.4)) if rng.random() < 0.4 else 1.0
    cut = _turned(_cut(source.picture, origin), factor, _some_turn(rng, 40), rng.random() < 0.35)
    best, least = (0, 0), math.inf
    for _ in range(12):
        corner = _some_corner(size, cut.shape.shape, rng)
        overlap = _overlap(origin, cut.shape, corner)
        if overlap < least:
            best, least = corner, overlap
        if overlap < 0.1:
            break
    return _paste(source.picture, cut, best, rng)


def _overlap(origin: Mask, moved: Mask, corner: tuple[int, int]) -> float:
    """Share of ``moved``, put at ``corner``, that lies on ``origin``."""
    top, left = max(0, corner[0]), max(0, corner[1])
    there = origin[top : corner[0] + moved.shape[0], left : corner[1] + moved.shape[1]]
    here = moved[top - corner[0] :, left - corner[1] :][: there.shape[0], : there.shape[1]]
    return float((here & there).sum() / max(1, here.sum()))


def _removal(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    size = source.picture.shape[:2]
    mask = shape(size, rng, source.regions if rng.random() < 0.7 else None, (0.01, 0.12))
    # who removes a thing covers its rim too
    wider = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8), iterations=int(rng.integers(1, 4)))
    mask = np.asarray(wider, np.uint8).view(bool)
    window = _window(mask, 12)
    place, within = source.picture[window], mask[window]
    smooth = _inpainted(place, within, rng)
    if rng.random() < 0.55:
        smooth = _healed(source.picture, smooth, window, rng)
    elif rng.random() < 0.6:
        smooth = _noisy(smooth, float(rng.uniform(0.5, 3.5)), rng)
    return _paste(source.picture, _Cut(smooth, within), (window[0].start, window[1].start), rng)


def _inpainted(place: Image, within: Mask, rng: Generator) -> Image:
    """Fill the inside from the outside; large places are filled small and enlarged, which costs them sharpness only."""
    side = 96 if rng.random() < 0.5 else 64
    factor = min(1.0, side / max(within.shape))
    size = _scaled(within.shape, factor)
    # wider than the shape, or what is left of the rim bleeds in
    rim = cv2.dilate(within.view(np.uint8), np.ones((3, 3), np.uint8), iterations=2)
    method = cv2.INPAINT_TELEA if rng.random() < 0.5 else cv2.INPAINT_NS
    small = cv2.resize(place, size[::-1], interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(rim, size[::-1], interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)
    filled = np.asarray(cv2.inpaint(small, hole, 3, method), np.uint8)
    return _resampled(filled, within.shape, cv2.INTER_CUBIC) if factor < 1 else filled


def _healed(picture: Image, smooth: Image, window: Window, rng: Generator) -> Image:
    """Give a smooth filling the texture of a place nearby, as a healing brush does."""
    h, w = smooth.shape[:2]
    patches = []
    for _ in range(3):
        away = rng.permutation([rng.choice([-1, 1]) * rng.uniform(1, 1.3), rng.uniform(-0.3, 0.3)]) * (h, w)
        top = int(np.clip(window[0].start + away[0], 0, picture.shape[0] - h))
        left = int(np.clip(window[1].start + away[1], 0, picture.shape[1] - w))
        patches.append(picture[top : top + h, left : left + w])
    patch = min(patches, key=lambda place: float(place[::2, ::2].std()))  # a calm place: no object lands in the filling
    low = np.asarray(cv2.blur(patch, (15, 15)), np.int16)
    return _levels(smooth + (patch.astype(np.int16) - low))


def _in_place(
    source: Source, mask: Mask, change: Callable[[Image], Image], rng: Generator, seam: float | None = None
) -> tuple[Image, Mask]:
    """Apply a change to the surroundings of a region and keep it inside the region."""
    window = _window(mask, SEAM)
    content = change(np.ascontiguousarray(source.picture[window]))
    return _paste(source.picture, _Cut(content, mask[window]), (window[0].start, window[1].start), rng, seam=seam)


def _recolour(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    mask = shape(source.picture.shape[:2], rng, source.regions)
    return _in_place(source, mask, lambda picture: _recoloured(picture, rng), rng)


def _recoloured(picture: Image, rng: Generator) -> Image:
    """Turn hue, saturation, brightness, gamma or tint, one or two of them at once."""
    ways = rng.choice(len(_COLOURINGS), int(rng.integers(1, 3)), replace=False)
    for way in ways:
        picture = _COLOURINGS[way](picture, rng)
    return picture


def _hue(picture: Image, rng: Generator) -> Image:
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.integers(12, 169))) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def _saturation(picture: Image, rng: Generator) -> Image:
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    amount = float(rng.uniform(0, 0.5) if rng.random() < 0.4 else rng.uniform(1.6, 2.6))
    return np.asarray(cv2.addWeighted(picture, amount, grey, 1 - amount, 0), np.uint8)


def _brightness(picture: Image, rng: Generator) -> Image:
    gain = float(rng.uniform(0.55, 0.82) if rng.random() < 0.5 else rng.uniform(1.2, 1.6))
    return np.asarray(cv2.convertScaleAbs(picture, alpha=gain), np.uint8)


def _gamma(picture: Image, rng: Generator) -> Image:
    power = float(rng.uniform(0.5, 0.75) if rng.random() < 0.5 else rng.uniform(1.35, 2.0))
    curve = _levels(255 * (np.arange(256) / 255) ** power)
    return _through(picture, np.stack([curve] * 3, 1))


def _tint(picture: Image, rng: Generator) -> Image:
    """Give it a colour and leave its light."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    colour = rng.uniform(0.2, 1, 3).astype(np.float32)
    tinted = grey * (colour / colour.mean())
    strength = np.float32(rng.uniform(0.4, 0.9))
    return _levels(picture * (1 - strength) + tinted * strength)


_COLOURINGS = (_hue, _saturation, _brightness, _gamma, _tint)


def _resample(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    factor = float(rng.uniform(0.82, 0.96) if rng.random() < 0.4 else rng.uniform(1.05, 1.25))
    turn = float(rng.uniform(2, 12) * rng.choice([-1, 1]))
    chance = rng.random()  # scaled, turned, or both
    factor, turn = 1.0 if chance < 0.35 else factor, 0.0 if chance > 0.7 else turn
    method = _SMOOTH[rng.integers(len(_SMOOTH))]

    def about_the_middle(picture: Image) -> Image:
        h, w = picture.shape[:2]
        affine = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), turn, factor)
        return _warped(picture, affine, (h, w), method, cv2.BORDER_REFLECT_101)

    mask = shape(source.picture.shape[:2], rng, source.regions)
    return _in_place(source, mask, about_the_middle, rng, seam=0.2)


def _rejpeg(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    mask = shape(source.picture.shape[:2], rng, source.regions)
    window = _window(mask, SEAM)
    quality, off = int(rng.integers(30, 76)), rng.integers(0, 8, 2)
    # the window's corner has a phase of its own; together they must not fall on the picture's grid
    if not (window[0].start - off[0]) % 8 and not (window[1].start - off[1]) % 8:
        off += (3, 5)

    def saved(picture: Image) -> Image:
        framed = cv2.copyMakeBorder(picture, int(off[0]), 0, int(off[1]), 0, cv2.BORDER_REFLECT_101)
        return np.ascontiguousarray(_jpeg(np.asarray(framed, np.uint8), quality, rng)[0][off[0] :, off[1] :])

    return _in_place(source, mask, saved, rng, seam=0.1)


def _blur(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    mask = shape(source.picture.shape[:2], rng, source.regions)
    return _in_place(source, mask, lambda picture: _defocused(picture, rng), rng, seam=0.6)


def _defocused(picture: Image, rng: Generator) -> Image:
    """Blur as a lens, a median filter or a moving hand would, or sharpen."""
    chance = rng.random()
    if chance < 0.4:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.8, 3))), np.uint8)
    if chance < 0.6:
        return np.asarray(cv2.medianBlur(picture, int(rng.choice([3, 5]))), np.uint8)
    if chance < 0.8:
        return np.asarray(cv2.filter2D(picture, -1, _streak(rng)), np.uint8)
    return _sharpened(picture, float(rng.uniform(0.8, 2)), float(rng.uniform(0.8, 2)))


def _streak(rng: Generator) -> Floats:
    """The (11, 11) float32 kernel of a straight movement."""
    kernel = np.zeros((11, 11), np.float32)
    angle, reach = rng.uniform(0, math.pi), rng.uniform(1.5, 5)
    x, y = math.cos(angle) * reach, math.sin(angle) * reach
    cv2.line(kernel, (round(5 - x), round(5 - y)), (round(5 + x), round(5 + y)), 1.0, 1)
    return kernel / kernel.sum()


def _seamless(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    """Clone a donor's region by solving Poisson's equation (Pérez et al. 2003, as OpenCV has it)."""
    cut = _foreign(source, donor, rng)
    size = source.picture.shape[:2]
    corner = _some_corner(size, cut.shape.shape, rng, beyond=0.0)
    # Three pixels of the picture must stay around the clone, and the solver works on whole pictures of one size.
    room = np.zeros(size, bool)
    content = source.picture.copy()
    top, left = max(0, corner[0]), max(0, corner[1])
    part = cut.shape[: size[0] - top, : size[1] - left]
    room[top : top + part.shape[0], left : left + part.shape[1]] = part
    content[top : top + part.shape[0], left : left + part.shape[1]] = cut.picture[: part.shape[0], : part.shape[1]]
    room[:3], room[-3:], room[:, :3], room[:, -3:] = False, False, False, False
    if not _within_bounds(room):
        return content, room
    window = _window(room, 3)
    place, within = np.ascontiguousarray(source.picture[window]), room[window].view(np.uint8) * np.uint8(255)
    rows, columns = _window(room[window], 0)
    middle = ((columns.start + columns.stop) // 2, (rows.start + rows.stop) // 2)
    mode = cv2.NORMAL_CLONE if rng.random() < 0.6 else cv2.MIXED_CLONE
    cloned = cv2.seamlessClone(np.ascontiguousarray(content[window]), place, within, middle, mode)
    cut = _Cut(np.asarray(cloned, np.uint8), room[window])
    return _paste(source.picture, cut, (window[0].start, window[1].start), rng, seam=0.0)


_EDITS: dict[str, Callable[[Source, Source, Generator], tuple[Image, Mask]]] = {
    "splice": _splice,
    "copy-move": _copy_move,
    "removal": _removal,
    "recolour": _recolour,
    "resample": _resample,
    "rejpeg": _rejpeg,
    "blur": _blur,
    HELD_OUT: _seamless,
}
