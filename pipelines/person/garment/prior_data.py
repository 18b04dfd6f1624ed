"""What the cut-out's network learns from: photos with the cut-outs that rate best, and garments with exact outlines.

Three kinds of samples: photos as they are; their garments pasted on other grounds; rendered garments, whose outline is
exact, on all kinds of grounds, some on a hanger. Colours of garment and ground are changed apart from each other, often
until they are nearly alike, because that is where colours alone fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError
from pipelines.core.types import Image, Mask
from pipelines.person.garment.cutout import cut_out, nearest_fill
from pipelines.person.garment.prior import as_input
from pipelines.person.garment.regions import border_share, disc
from pipelines.synthetic.flats import render_garment
from pipelines.synthetic.garments import sample_garment
from pipelines.synthetic.scenes import tabletop

LONGEST = 208  # pixels of a stored photo
GOOD = 0.6  # cut-outs below this quality teach nothing
RENDERS = 500
KINDS = (0.5, 0.2, 0.3)  # shares of photos, pasted garments and rendered garments
Float = NDArray[np.float32]
Pair = tuple[Image, Mask]


@dataclass(frozen=True)
class Stock:
    """What samples are made of; all at most ``LONGEST`` pixels long.

    Attributes:
        photos: (h, w, 3) uint8 photos and (h, w) uint8 alphas of their garments.
        grounds: (h, w, 3) uint8, what is left of photos without their garment.
        renders: (h, w, 3) uint8 rendered garments and their exact (h, w) uint8 alphas.
    """

    photos: list[Pair]
    grounds: list[Image]
    renders: list[Pair]


def label(folder: Path, cache: Path, log: Callable[[str], None]) -> list[Pair]:
    """Photos of ``folder``/CLASS/*.jpg that are not held out, with cut-outs of good quality.

    Args:
        folder: Photos of single garments.
        cache: Where cut-outs are kept as pictures, so that a run that goes on finds them.
        log: Receives a line now and then.
    """
    pairs = []
    paths = sorted(p for p in folder.glob("*/*.jpg") if not is_validation(p.stem))
    for number, path in enumerate(paths):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            continue
        photo = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        kept = cache / path.parent.name / f"{path.stem}.png"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(kept), _trusted(photo))
        alpha = cv2.imread(str(kept), cv2.IMREAD_GRAYSCALE)
        if alpha is not None and alpha.any():
            pairs.append((_shrunk(photo), _shrunk(np.asarray(alpha, np.uint8))))
        if number % 200 == 199:
            log(f"{number + 1} of {len(paths)} photos cut out, {len(pairs)} of them well")
    return pairs


def _trusted(photo: Image) -> Mask:
    """The cut-out, or nothing where it is doubtful."""
    empty = np.zeros(photo.shape[:2], np.uint8)
    try:
        found = cut_out(photo)
    except InputError:
        return empty
    mask = (found.alpha > 127).astype(np.uint8)
    return found.alpha if found.quality >= GOOD and mask.mean() > 0.1 and border_share(mask) < 0.1 else empty


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = min(1.0, LONGEST / max(image.shape[:2]))
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def stretched(alpha: Mask, size: int) -> Float:
    """An alpha as the network should answer it: (size, size) float32 in [0, 1]."""
    return np.asarray(cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def render(seed: int, first: int, count: int) -> list[Pair]:
    """Rendered garments with exact alphas, numbers ``first`` and on of ``seed``."""
    out = []
    for number in range(first, first + count):
        rng = np.random.default_rng((seed, number))
        shot = render_garment(sample_garment(rng), rng, (LONGEST, 160), "plain")
        out.append((bled(shot.image, shot.alpha), shot.alpha))
    return out


def bled(image: Image, alpha: Mask) -> Image:
    """The garment's own colours carried over its outline, so that nothing of the old ground shows."""
    return nearest_fill(image, cv2.erode((alpha > 127).astype(np.uint8), disc(1)) > 0)


def emptied(photo: Image, alpha: Mask) -> Image:
    """The photo without its garment, filled in from around."""
    hole = cv2.dilate((alpha > 20).astype(np.uint8), disc(5))
    return np.asarray(cv2.inpaint(photo, hole, 4, cv2.INPAINT_TELEA), np.uint8)


def gather(photos: list[Pair], seed: int, first: int, renders: int | None = None) -> Stock:
    """All that samples are made of, from labelled photos (may be none)."""
    return Stock(
        photos, [emptied(*pair) for pair in photos[::2]], render(seed, first, RENDERS if renders is None else renders)
    )


def sample(rng: np.random.Generator, stock: Stock, size: int, kinds: tuple[float, ...] = KINDS) -> dict[str, Any]:
    """One sample: image (3, size, size) float32 in [-1, 1], mask (1, size, size) float32 in [0, 1]."""
    kind = int(rng.choice(3, p=kinds)) if stock.photos else 2
    if kind == 0:
        photo, alpha = stock.photos[rng.integers(len(stock.photos))]
        cloth, cover = photo.astype(np.float32), _share(alpha)
        matrix = _placement(rng, photo.shape, size, 0.95, 1.3)
        cloth, cover = (_moved(part, matrix, size, cv2.BORDER_REFLECT) for part in (cloth, cover))
        ground = cloth
    else:
        choice = stock.photos if kind == 1 else stock.renders
        source, alpha = choice[rng.integers(len(choice))]
        x, y, w, h = cv2.boundingRect(alpha)
        source, alpha = source[y : y + h, x : x + w], alpha[y : y + h, x : x + w]
        paint = bled(source, alpha) if kind == 1 else source
        aspect = rng.uniform(0.7, 1.4)  # of the photo that the garment would fill
        frame = max(h, w / aspect), max(w, h * aspect)
        matrix = _placement(rng, alpha.shape, size, 0.5, 1.05, frame)
        cloth = _moved(paint.astype(np.float32), matrix, size, cv2.BORDER_REPLICATE)
        cover = _moved(_share(alpha), matrix, size, cv2.BORDER_CONSTANT)
        ground = _ground(rng, stock, size)
        if kind == 2 and rng.random() < 0.4:
            _hang(rng, ground, cover)
        ground = _shaded(rng, ground, cover)
    cloth, ground = _recoloured(rng, cloth, ground, cover)
    mixed = cloth * cover[..., None] + ground * (1 - cover[..., None])
    image = _photographed(rng, np.asarray(mixed, np.float32))
    return {"image": as_input(image, size), "mask": cover[None].astype(np.float32)}


def _share(alpha: Mask) -> Float:
    return np.asarray(alpha, np.float32) / np.float32(255)


def _placement(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    size: int,
    least: float,
    most: float,
    frame: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Affine (2, 3) from a picture (or a frame around it) into the square: stretched, turned, shifted, mirrored."""
    height, width = frame or shape[:2]
    zoom = rng.uniform(least, most)
    turn = np.deg2rad(rng.normal(0, 7) + (90 * rng.integers(4) if rng.random() < 0.06 else 0))
    across, down = zoom * size / width * rng.uniform(0.92, 1.08), zoom * size / height * rng.uniform(0.92, 1.08)
    if rng.random() < 0.5:
        across = -across
    c, s = np.cos(turn), np.sin(turn)
    linear = np.array([[c, -s], [s, c]]) @ np.diag([across, down])
    free = max(0.04, abs(1 - zoom) / 2)
    centre = size / 2 + rng.uniform(-free, free, 2) * size
    return np.column_stack([linear, centre - linear @ [shape[1] / 2, shape[0] / 2]])


def _moved(image: Float, matrix: NDArray[np.float64], size: int, border: int) -> Float:
    return np.asarray(
        cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border), np.float32
    )


def _ground(rng: np.random.Generator, stock: Stock, size: int) -> Float:
    """(size, size, 3) in 0..255: another photo's ground, a piece of one repeated, boards, cloth, a wall or paper."""
    kind = rng.random()
    if kind < 0.65 and stock.grounds:
        photo = stock.grounds[rng.integers(len(stock.grounds))].astype(np.float32)
        if kind < 0.2:  # a corner of it, repeated: sharp texture everywhere
            side = int(rng.integers(24, 64))
            y, x = rng.integers(2) * (photo.shape[0] - side), rng.integers(2) * (photo.shape[1] - side)
            piece = photo[y : y + side, x : x + side]
            times = -(-LONGEST // side)
            photo = np.asarray(cv2.copyMakeBorder(piece, 0, 0, 0, 0, cv2.BORDER_REFLECT), np.float32)
            row = np.concatenate([photo if i % 2 == 0 else photo[:, ::-1] for i in range(times)], 1)
            photo = np.concatenate([row if i % 2 == 0 else row[::-1] for i in range(times)], 0)
        return _moved(photo, _placement(rng, photo.shape, size, 1.0, 1.4), size, cv2.BORDER_REFLECT)
    if kind < 0.8:
        surface = str(rng.choice(("wood", "cloth", "clutter")))
        return np.asarray(tabletop(rng, surface, (size, size)) * 255, np.float32)
    level = rng.uniform(235, 255) if rng.random() < 0.6 else rng.uniform(40, 235)
    colour = np.clip(level + rng.normal(0, 4 if level > 235 else 18, 3), 0, 255)
    ramp = np.linspace(rng.uniform(0.8, 1), 1, size)
    plain = np.ones((size, size, 3), np.float32) * colour
    plain *= (ramp[:, None] if rng.random() < 0.5 else ramp[None])[..., None]
    return plain.astype(np.float32)


def _hang(rng: np.random.Generator, ground: Float, cover: Float) -> None:
    """Draw a hanger behind the garment: hook, neck and two arms."""
    x, y, w, h = cv2.boundingRect((cover > 0.5).astype(np.uint8))
    if not w:
        return
    colour = [float(v) for v in (rng.uniform(20, 240, 3) if rng.random() < 0.5 else [rng.uniform(20, 240)] * 3)]
    thick = int(rng.integers(1, 4))
    middle, top = int(x + w / 2 + rng.normal(0, 0.02) * w), int(y + 0.02 * h)
    reach, drop = rng.uniform(0.15, 0.3) * w, rng.uniform(0.03, 0.1) * h
    for side in (-1, 1):
        cv2.line(ground, (middle, top), (int(middle + side * reach), int(top + drop)), colour, thick + 1, cv2.LINE_AA)
    stem = int(rng.uniform(0.02, 0.08) * h)
    cv2.line(ground, (middle, top), (middle, top - stem), colour, thick, cv2.LINE_AA)
    radius = max(2, int(rng.uniform(0.015, 0.035) * h))
    cv2.ellipse(ground, (middle, top - stem - radius), (radius, radius), 0, -200, 90, colour, thick, cv2.LINE_AA)


def _shaded(rng: np.random.Generator, ground: Float, cover: Float) -> Float:
    """The garment's shadow on the ground."""
    shift = np.array([[1, 0, rng.normal(0, 2.5)], [0, 1, rng.normal(1, 2.5)]], np.float32)
    size = (cover.shape[1], cover.shape[0])
    dark = cv2.GaussianBlur(cv2.warpAffine(cover, shift, size), (0, 0), float(rng.uniform(0.6, 5)))
    return ground * (1 - rng.uniform(0, 0.5) * dark[..., None]).astype(np.float32)


def _recoloured(rng: np.random.Generator, cloth: Float, ground: Float, cover: Float) -> tuple[Float, Float]:
    """Cloth and ground in other colours; in a third of all samples the cloth comes near the ground's colour."""
    inside, near = cover > 0.9, cv2.dilate(cover, disc(9)) > 0.1
    rim = near & (cover < 0.1)
    draw = rng.random()
    if not inside.any() or not rim.any() or draw < 0.3:
        return cloth, ground
    own, other = cloth[inside].mean(0), ground[rim].mean(0)
    if draw < 0.6:
        wanted = other + rng.normal(0, 10) + rng.normal(0, 4, 3)
    else:
        wanted = own + rng.normal(0, 45) + rng.normal(0, 25, 3)
    wanted = np.clip(wanted, 15, 245)
    gain = wanted / np.maximum(own, 20)
    contrast = np.clip(gain, 0.5, 1.6) * rng.uniform(0.7, 1.1)  # shading grows with the cloth's lightness
    return np.clip((cloth - own) * contrast + wanted, 0, 255).astype(np.float32), ground


def _photographed(rng: np.random.Generator, image: Float) -> Image:
    """Exposure, white balance, saturation, gamma, blur and noise."""
    lit = image * np.float32(rng.uniform(0.75, 1.2)) * rng.normal(1, 0.05, 3).astype(np.float32)
    grey = lit.mean(2, keepdims=True)
    lit = np.clip(grey + (lit - grey) * rng.uniform(0.5, 1.4), 0, 255)
    lit = np.asarray(255 * (lit / 255) ** rng.uniform(0.75, 1.35), np.float32)
    if rng.random() < 0.3:
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), float(rng.uniform(0.3, 1.0))), np.float32)
    grainy = lit + rng.normal(0, rng.uniform(0, 5), lit.shape)
    return np.clip(grainy, 0, 255).astype(np.uint8)
