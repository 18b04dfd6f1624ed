"""The edits of one region, each (source, donor, rng) -> (picture, mask), and the cutting and pasting they share.

An edit says nothing about the size of its mask or whether it can be seen; tampering.py tries again where it must.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.types import Image
from pipelines.synthetic.picture_past import SMOOTH, Source, jpeg, levels, noisy, resampled, scaled, sharpened
from pipelines.synthetic.tampered_regions import Mask, Window, enlarged, shape, window_around, within_bounds

SEAM = 4  # no pixel further than this outside the mask is changed by an edit
SEAM_BLURRED = 0.35  # how often, where an edit does not say otherwise

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cut:
    """A piece of picture: ``picture`` (h, w, 3) uint8 and which of its pixels are meant, ``shape`` (h, w) bool."""

    picture: Image
    shape: Mask


# -- cutting and pasting


def paste(
    picture: Image, cut: Cut, corner: tuple[int, int], rng: Generator, *, seam: float | None = None
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
    return levels(below32 + (above - below32) * alpha[..., None])


def _signed_distance(within: Mask) -> Floats:
    """(h, w) float32 distance from the outline in pixels, positive inside; ±1/2 for the pixels next to it."""
    inside = cv2.distanceTransform(within.view(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~within).view(np.uint8), cv2.DIST_L2, 5)
    return np.where(within, inside - np.float32(0.5), np.float32(0.5) - outside).astype(np.float32)


def _cut(picture: Image, mask: Mask) -> Cut:
    window = window_around(mask, SEAM)
    return Cut(picture[window], mask[window])


def _turned(cut: Cut, factor: float, turn: float, flip: bool) -> Cut:
    """Flip, scale and turn a cut; its box grows to hold the turned corners."""
    picture, mask = cut.picture, cut.shape
    if flip:
        picture, mask = np.ascontiguousarray(picture[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    if factor != 1:
        size = scaled(mask.shape, factor)
        picture = resampled(picture, size, cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        mask = enlarged(mask, size)
    if turn:
        h, w = mask.shape
        affine = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), turn, 1)
        wide = math.ceil(h * abs(affine[0, 1]) + w * abs(affine[0, 0]))
        tall = math.ceil(h * abs(affine[0, 0]) + w * abs(affine[0, 1]))
        affine[:, 2] += ((wide - w) / 2, (tall - h) / 2)
        picture = _warped(picture, affine, (tall, wide), cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        full = mask.view(np.uint8) * np.uint8(255)
        mask = _warped(full, affine, (tall, wide), cv2.INTER_LINEAR, cv2.BORDER_CONSTANT) > 127
    return Cut(picture, mask)


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


def _foreign(source: Source, donor: Source, rng: Generator) -> Cut:
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


def splice(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    cut = _foreign(source, donor, rng)
    corner = _some_corner(source.picture.shape[:2], cut.shape.shape, rng)
    if rng.random() < 0.5:
        cut = _matched(cut, source.picture, corner, float(rng.uniform(0.3, 0.9)))
    return paste(source.picture, cut, corner, rng)


def _matched(cut: Cut, picture: Image, corner: tuple[int, int], strength: float) -> Cut:
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
    table = levels(np.arange(256, dtype=np.float32)[:, None] * gain + shift)
    return Cut(_through(cut.picture, table), cut.shape)


def _through(picture: Image, table: NDArray[np.uint8]) -> Image:
    """Send each channel through its column of a (256, 3) uint8 table."""
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), table[None]), np.uint8)


def copy_move(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
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
    return paste(source.picture, cut, best, rng)


def _overlap(origin: Mask, moved: Mask, corner: tuple[int, int]) -> float:
    """Share of ``moved``, put at ``corner``, that lies on ``origin``."""
    top, left = max(0, corner[0]), max(0, corner[1])
    there = origin[top : corner[0] + moved.shape[0], left : corner[1] + moved.shape[1]]
    here = moved[top - corner[0] :, left - corner[1] :][: there.shape[0], : there.shape[1]]
    return float((here & there).sum() / max(1, here.sum()))


def removal(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    size = source.picture.shape[:2]
    mask = shape(size, rng, source.regions if rng.random() < 0.7 else None, (0.01, 0.12))
    # who removes a thing covers its rim too
    wider = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8), iterations=int(rng.integers(1, 4)))
    mask = np.asarray(wider, np.uint8).view(bool)
    window = window_around(mask, 12)
    place, within = source.picture[window], mask[window]
    smooth = _inpainted(place, within, rng)
    if rng.random() < 0.55:
        smooth = _healed(source.picture, smooth, window, rng)
    elif rng.random() < 0.6:
        smooth = noisy(smooth, float(rng.uniform(0.5, 3.5)), rng)
    return paste(source.picture, Cut(smooth, within), (window[0].start, window[1].start), rng)


def _inpainted(place: Image, within: Mask, rng: Generator) -> Image:
    """Fill the inside from the outside; large places are filled small and enlarged, which costs them sharpness only."""
    side = 96 if rng.random() < 0.5 else 64
    factor = min(1.0, side / max(within.shape))
    size = scaled(within.shape, factor)
    # wider than the shape, or what is left of the rim bleeds in
    rim = cv2.dilate(within.view(np.uint8), np.ones((3, 3), np.uint8), iterations=2)
    method = cv2.INPAINT_TELEA if rng.random() < 0.5 else cv2.INPAINT_NS
    small = cv2.resize(place, size[::-1], interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(rim, size[::-1], interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)
    filled = np.asarray(cv2.inpaint(small, hole, 3, method), np.uint8)
    return resampled(filled, within.shape, cv2.INTER_CUBIC) if factor < 1 else filled


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
    return levels(smooth + (patch.astype(np.int16) - low))


def _in_place(
    source: Source, mask: Mask, change: Callable[[Image], Image], rng: Generator, seam: float | None = None
) -> tuple[Image, Mask]:
    """Apply a change to the surroundings of a region and keep it inside the region."""
    window = window_around(mask, SEAM)
    content = change(np.ascontiguousarray(source.picture[window]))
    return paste(source.picture, Cut(content, mask[window]), (window[0].start, window[1].start), rng, seam=seam)


def recolour(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
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
    curve = levels(255 * (np.arange(256) / 255) ** power)
    return _through(picture, np.stack([curve] * 3, 1))


def _tint(picture: Image, rng: Generator) -> Image:
    """Give it a colour and leave its light."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    colour = rng.uniform(0.2, 1, 3).astype(np.float32)
    tinted = grey * (colour / colour.mean())
    strength = np.float32(rng.uniform(0.4, 0.9))
    return levels(picture * (1 - strength) + tinted * strength)


_COLOURINGS = (_hue, _saturation, _brightness, _gamma, _tint)


def resample(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    factor = float(rng.uniform(0.82, 0.96) if rng.random() < 0.4 else rng.uniform(1.05, 1.25))
    turn = float(rng.uniform(2, 12) * rng.choice([-1, 1]))
    chance = rng.random()  # scaled, turned, or both
    factor, turn = 1.0 if chance < 0.35 else factor, 0.0 if chance > 0.7 else turn
    method = SMOOTH[rng.integers(len(SMOOTH))]

    def about_the_middle(picture: Image) -> Image:
        h, w = picture.shape[:2]
        affine = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), turn, factor)
        return _warped(picture, affine, (h, w), method, cv2.BORDER_REFLECT_101)

    mask = shape(source.picture.shape[:2], rng, source.regions)
    return _in_place(source, mask, about_the_middle, rng, seam=0.2)


def rejpeg(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
    mask = shape(source.picture.shape[:2], rng, source.regions)
    window = window_around(mask, SEAM)
    quality, off = int(rng.integers(30, 76)), rng.integers(0, 8, 2)
    # the window's corner has a phase of its own; together they must not fall on the picture's grid
    if not (window[0].start - off[0]) % 8 and not (window[1].start - off[1]) % 8:
        off += (3, 5)

    def saved(picture: Image) -> Image:
        framed = cv2.copyMakeBorder(picture, int(off[0]), 0, int(off[1]), 0, cv2.BORDER_REFLECT_101)
        return np.ascontiguousarray(jpeg(np.asarray(framed, np.uint8), quality, rng)[0][off[0] :, off[1] :])

    return _in_place(source, mask, saved, rng, seam=0.1)


def blur(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
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
    return sharpened(picture, float(rng.uniform(0.8, 2)), float(rng.uniform(0.8, 2)))


def _streak(rng: Generator) -> Floats:
    """The (11, 11) float32 kernel of a straight movement."""
    kernel = np.zeros((11, 11), np.float32)
    angle, reach = rng.uniform(0, math.pi), rng.uniform(1.5, 5)
    x, y = math.cos(angle) * reach, math.sin(angle) * reach
    cv2.line(kernel, (round(5 - x), round(5 - y)), (round(5 + x), round(5 + y)), 1.0, 1)
    return kernel / kernel.sum()


def seamless(source: Source, donor: Source, rng: Generator) -> tuple[Image, Mask]:
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
    if not within_bounds(room):
        return content, room
    window = window_around(room, 3)
    place, within = np.ascontiguousarray(source.picture[window]), room[window].view(np.uint8) * np.uint8(255)
    rows, columns = window_around(room[window], 0)
    middle = ((columns.start + columns.stop) // 2, (rows.start + rows.stop) // 2)
    mode = cv2.NORMAL_CLONE if rng.random() < 0.6 else cv2.MIXED_CLONE
    cloned = cv2.seamlessClone(np.ascontiguousarray(content[window]), place, within, middle, mode)
    cut = Cut(np.asarray(cloned, np.uint8), room[window])
    return paste(source.picture, cut, (window[0].start, window[1].start), rng, seam=0.0)
