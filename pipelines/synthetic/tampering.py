"""Tampered pictures with the exact mask of what was tampered with, for training and judging a manipulation localiser.

Every picture is first given a past (picture_past.py: shrinking, noise, sharpening, a camera's JPEG), then edited in one
region (tampered_regions.py, tampering_edits.py), then finished here (saved, now and then resized or shown in a
screenshot). `authentic` leaves out the edit and nothing else, so a localiser finds no other difference between the two.
Splice, copy-move and removal are the three edits of the public benchmarks (Columbia, CASIA, NIST 16); recolouring,
local resampling, local JPEG and blur are ours, so that the traces of an edit are learnt and not the look of misplaced
objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from pipelines.core.errors import InputError
from pipelines.core.types import Image
from pipelines.synthetic import tampering_edits
from pipelines.synthetic.picture_past import (
    PREPARED_SIDE,
    Source,
    developed,
    jpeg,
    nearest,
    png_or_jpeg,
    prepare,
    resampled,
    resized,
    scaled,
    screenshot,
    with_past,
)
from pipelines.synthetic.tampered_regions import (
    ATTEMPTS,
    LEAST,
    MOST,
    Mask,
    shape,
    window_around,
    within_bounds,
)
from pipelines.synthetic.tampering_edits import SEAM, Cut, paste

__all__ = [
    "HELD_OUT", "KINDS", "LEAST", "MOST", "PREPARED_SIDE", "SEAM", "SMALLEST", "VARIANTS", "Item", "Source", "Tampered",
    "authentic", "evaluation_items", "prepare", "shape", "tamper",
]  # fmt: skip

KINDS = ("splice", "copy-move", "removal", "recolour", "resample", "rejpeg", "blur")
HELD_OUT = "seamless"  # judges whether what was learnt carries over to an edit that training never shows
VARIANTS = ("plain", "camera", "resized", "screenshot")  # of an authentic picture; "plain" is the variant None

SMALLEST = 64  # shortest side that is worked on

# How often a finished picture is saved without loss, as JPEG, or resized and then saved one way or the other.
FINISH_PNG, FINISH_JPEG, FINISH_RESIZED = 0.35, 0.45, 0.20
SHOT_PNG = 0.65  # how often a screenshot is saved without loss

# Mean change in levels below which another region is tried: an edit nobody could find teaches nothing.
_LEAST_CHANGE = {"splice": 4.0, "copy-move": 3.0, "removal": 2.0, "recolour": 9.0}
_LEAST_CHANGE_OTHERWISE = 0.9

_EDITS: dict[str, Callable[[Source, Source, Generator], tuple[Image, Mask]]] = {
    "splice": tampering_edits.splice,
    "copy-move": tampering_edits.copy_move,
    "removal": tampering_edits.removal,
    "recolour": tampering_edits.recolour,
    "resample": tampering_edits.resample,
    "rejpeg": tampering_edits.rejpeg,
    "blur": tampering_edits.blur,
    HELD_OUT: tampering_edits.seamless,
}


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


def tamper(
    source: Source,
    donor: Source,
    rng: Generator,
    *,
    kind: str | None = None,
    shot: bool = False,
) -> Tampered:
    """Edit one region of a picture.

    Args:
        source: The picture to edit, both sides at least ``SMALLEST``.
        donor: Where a splice comes from; of any size from ``SMALLEST`` on. It gets a past of its own.
        rng: Source of chance.
        kind: One of ``KINDS`` or ``HELD_OUT``; drawn evenly from ``KINDS`` if None.
        shot: Finish it as a screenshot instead of saving it, perhaps at another size.

    Returns:
        The picture has the size of the prepared source unless finishing resized or framed it. The mask covers ``LEAST``
        to ``MOST`` of it, or less of a screenshot. The edit leaves pixels further than ``SEAM`` outside the mask alone.

    Raises:
        InputError: ``tampering.size`` if a picture is too small, ``tampering.regions`` if labels do not fit their
            picture, ``tampering.kind`` if the kind is unknown.
    """
    for each in (source, donor):
        _check(each)
    kind = KINDS[rng.integers(len(KINDS))] if kind is None else kind
    if kind not in _EDITS:
        raise InputError("tampering.kind", "There is no such kind of tampering", seen=kind, remedy=f"One of {KINDS}")
    source = with_past(source, rng)
    donor = with_past(donor, rng) if kind in ("splice", HELD_OUT) else donor
    picture, mask = _edited(kind, source, donor, rng)
    picture, mask, words = (_shot if shot else _finished)(picture, mask, rng)
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
        return jpeg(developed(Source(picture), rng).picture, int(rng.integers(85, 98)), rng)
    if variant == "resized":
        past = prepare(picture, rng)
        factor = float(rng.uniform(0.5, 0.9) if rng.random() < 0.6 else rng.uniform(1.1, 1.3))
        saved, words = png_or_jpeg(resized(past, scaled(past.shape, factor), rng), rng)
        return saved, f"resized {factor:.2f}, {words}"
    if variant == "screenshot":
        past = prepare(picture, rng)
        shot, _, words = _shot(past, np.zeros(past.shape[:2], bool), rng)
        return shot, words
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


def _edited(kind: str, source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    """Edit until the edit is of a fair size and can be seen; where nothing can be (a flat picture), keep the last."""
    best: tuple[Image, Mask] | None = None
    for _ in range(ATTEMPTS):
        picture, mask = _EDITS[kind](source, donor, rng)
        if not within_bounds(mask):
            continue
        best = picture, mask
        window = window_around(mask, 0)
        change = cv2.absdiff(picture[window], source.picture[window])[mask[window]].mean()
        if change >= _LEAST_CHANGE.get(kind, _LEAST_CHANGE_OTHERWISE):
            break
    if best is None:  # an odd format that no region of the donor fits into
        other = source.picture[:, ::-1] if kind == "copy-move" else donor.picture
        mask = shape(source.picture.shape[:2], rng)
        window = window_around(mask, SEAM)
        content = resampled(np.ascontiguousarray(other), mask.shape, cv2.INTER_LINEAR)[window]
        best = paste(source.picture, Cut(content, mask[window]), (window[0].start, window[1].start), rng)
    return best


def _shot(picture: Image, mask: Mask, rng: Generator) -> tuple[Image, Mask, str]:
    """Save a screenshot of a picture; return it, where the mask is in it, and the words for it."""
    page, place = screenshot(picture, rng)
    saved, words = png_or_jpeg(page, rng, png=SHOT_PNG)
    shown = np.zeros(page.shape[:2], bool)
    shown[place] = nearest(mask.view(np.uint8), shown[place].shape).view(bool)
    return saved, shown, f"screenshot, {words}"


def _finished(picture: Image, mask: Mask, rng: Generator) -> tuple[Image, Mask, str]:
    """Save a picture as it is or resized; return it, its mask and the words for it."""
    chance = rng.random()
    if chance < FINISH_PNG:
        return picture, mask, "png"
    if chance < FINISH_PNG + FINISH_JPEG:
        saved, words = jpeg(picture, int(rng.integers(75, 99)), rng)
        return saved, mask, words
    factor = float(rng.uniform(0.6, 0.95) if rng.random() < 0.6 else rng.uniform(1.05, 1.3))
    size = scaled(picture.shape, factor)
    small = nearest(mask.view(np.uint8), size).view(bool)
    if mask.any() and not within_bounds(small):  # a hair of a mask that would not survive
        return picture, mask, "png"
    saved, words = png_or_jpeg(resized(picture, size, rng), rng)
    return saved, small, f"resized {factor:.2f}, {words}"
