"""A picture's past, and how a picture is saved: shrinking, noise, sharpening, a camera's JPEG, screenshots, resizing.

Tampered pictures and untouched ones go through the same of it (tampering.py), so that nothing in here tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.types import Image, Labels

PREPARED_SIDE = 192  # a past never shrinks the shorter side below this
# How often a picture's past holds each step.
SHRUNK, NOISY, SHARPENED, SOFTENED, CAMERA, OFF_GRID = 0.5, 0.7, 0.4, 0.12, 0.85, 0.25

# Colour resolution of a JPEG (4:2:0, 4:2:2, 4:4:4) and how often a saved picture has it.
_CHROMA = (
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, 0.7),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422, 0.1),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444, 0.2),
)
_SHRINKING = (cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
SMOOTH = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class Source:
    """An untouched picture.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        regions: (H, W) uint8 labels of persons, garments and the like, 0 for background; None where unknown.
    """

    picture: Image
    regions: Labels | None = None


def prepare(picture: Image, rng: Generator) -> Image:
    """Give a picture a past: shrinking, noise, sharpening and the JPEG of a camera, each with some probability.

    Args:
        picture: (H, W, 3) uint8 RGB.
        rng: Source of chance.

    Returns:
        (h, w, 3) uint8 RGB; at most as large as the picture, its shorter side not below ``PREPARED_SIDE`` by shrinking.
    """
    return with_past(Source(picture), rng).picture


def with_past(source: Source, rng: Generator) -> Source:
    """Return the source as its camera saved it; regions shrink along."""
    source = developed(source, rng)
    if rng.random() >= CAMERA:
        return source
    picture = source.picture
    off = rng.integers(0, 8, 2) if rng.random() < OFF_GRID else (0, 0)
    # A picture that was cropped after its save has its 8 x 8 blocks anywhere; reflected pixels stand for what was cut.
    framed = cv2.copyMakeBorder(picture, int(off[0]), 0, int(off[1]), 0, cv2.BORDER_REFLECT_101)
    saved, _ = jpeg(np.asarray(framed, np.uint8), int(rng.integers(70, 98)), rng)
    return Source(np.ascontiguousarray(saved[off[0] :, off[1] :]), source.regions)


def developed(source: Source, rng: Generator) -> Source:
    """Shrink, add noise and sharpen or soften, each with some probability: a picture before its first save."""
    picture, regions = source.picture, source.regions
    least = min(1.0, PREPARED_SIDE / min(picture.shape[:2]))
    if rng.random() < SHRUNK and least < 0.95:
        size = scaled(picture.shape, float(rng.uniform(max(0.5, least), 0.95)))
        picture = resized(picture, size, rng)
        regions = None if regions is None else nearest(regions, size)
    if rng.random() < NOISY:
        picture = noisy(picture, float(rng.uniform(0.5, 4.5)), rng)
    chance = rng.random()
    if chance < SHARPENED:
        picture = sharpened(picture, float(rng.uniform(0.6, 1.4)), float(rng.uniform(0.2, 0.9)))
    elif chance < SHARPENED + SOFTENED:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 0.8))), np.uint8)
    return Source(picture, regions)


def noisy(picture: Image, sigma: float, rng: Generator) -> Image:
    """Add noise of ``sigma`` levels as a sensor does: more in light than in shadow, little of it in the colour."""
    h, w = picture.shape[:2]
    light = rng.standard_normal((h, w), dtype=np.float32)
    colour = cv2.resize(rng.standard_normal((h // 2 + 1, w // 2 + 1, 3), dtype=np.float32), (w, h))
    noise = cv2.merge([light, light, light]) + np.float32(0.4) * colour
    strength = np.sqrt(np.arange(256, dtype=np.float32) / 255 * 0.8 + 0.2) * np.float32(sigma)
    return levels(picture + noise * strength[picture])


def sharpened(picture: Image, sigma: float, amount: float) -> Image:
    soft = cv2.GaussianBlur(picture, (0, 0), sigma)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)


# -- saving


def png_or_jpeg(picture: Image, rng: Generator, png: float = 0.4) -> tuple[Image, str]:
    """Save as PNG with probability ``png``, else as JPEG."""
    return (picture, "png") if rng.random() < png else jpeg(picture, int(rng.integers(75, 99)), rng)


def jpeg(picture: Image, quality: int, rng: Generator) -> tuple[Image, str]:
    """Return what a JPEG of this quality keeps, and the words for it."""
    codes, shares = zip(*_CHROMA, strict=True)
    chroma = int(codes[rng.choice(len(codes), p=shares)])
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    _, data = cv2.imencode(".jpg", bgr, options)
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8), f"jpeg {quality}"


def screenshot(picture: Image, rng: Generator) -> tuple[Image, tuple[slice, slice]]:
    """Draw a picture at another scale inside plain borders, with bars and lines of text above or below at times.

    Returns:
        The page, and which part of it the picture is.
    """
    shown = resized(picture, scaled(picture.shape, float(rng.uniform(0.6, 1.3))), rng)
    h, w = shown.shape[:2]
    paper = int(rng.choice([0, 18, 32, 240, 255]))
    edge = int(rng.integers(0, 13))
    top, bottom = (int(rng.uniform(0.05, 0.14) * h) if rng.random() < 0.6 else edge for _ in range(2))
    page = np.full((h + top + bottom, w + 2 * edge, 3), paper, np.uint8)
    place = slice(top, top + h), slice(edge, edge + w)
    page[place] = shown
    ink = (210, 210, 210) if paper < 128 else (40, 40, 40)
    for start, tall in ((0, top), (top + h, bottom)):
        if tall < 14:
            continue
        letters = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(6, 24))))
        size = tall / 60
        cv2.putText(
            page, letters, (edge + 6, start + int(tall * 0.65)), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA
        )
    return page, place


# -- sizes and levels


def scaled(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    """(height, width) after scaling."""
    return max(8, round(shape[0] * factor)), max(8, round(shape[1] * factor))


def resized(picture: Image, size: tuple[int, int], rng: Generator) -> Image:
    """Resize to (height, width) with a filter that fits the direction."""
    filters = _SHRINKING if size[0] < picture.shape[0] else SMOOTH
    return resampled(picture, size, filters[rng.integers(len(filters))])


def resampled(picture: Image, size: tuple[int, int], method: int) -> Image:
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=method), np.uint8)


def nearest(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return resampled(labels, size, cv2.INTER_NEAREST_EXACT)


def levels(values: NDArray[Any]) -> Image:
    """Round to (…) uint8."""
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
