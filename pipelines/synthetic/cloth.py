"""What cloth looks like: patterns, prints, seams and folds, painted in flat pattern coordinates.

Every picture here comes as a pair: RGB albedo and a height in centimetres, from which the light later makes relief.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.synthetic.garments import Cut, Garment
from pipelines.synthetic.meshes import Floats


@dataclass(frozen=True)
class Swatch:
    """A painted piece of cloth.

    Attributes:
        rgb: (h, w, 3) uint8 albedo.
        height: (h, w) float32 centimetres, relief only.
        extent: (x0, x1, d0, d1) in pattern coordinates that the picture spans.
    """

    rgb: NDArray[np.uint8]
    height: Floats
    extent: tuple[float, float, float, float]

    def uv(self, x: Floats, d: Floats) -> Floats:
        """Return (..., 2) texture coordinates in [0, 1] of pattern points."""
        x0, x1, d0, d1 = self.extent
        return np.stack([(x - x0) / (x1 - x0), (d - d0) / (d1 - d0)], -1).astype(np.float32)


def _grid(extent: tuple[float, float, float, float], density: float) -> tuple[Floats, Floats]:
    x0, x1, d0, d1 = extent
    w, h = (max(8, min(1600, round(span * density))) for span in (x1 - x0, d1 - d0))
    x = x0 + (np.arange(w, dtype=np.float32) + 0.5) / w * (x1 - x0)
    d = d0 + (np.arange(h, dtype=np.float32) + 0.5) / h * (d1 - d0)
    return x[None], d[:, None]


def _edge(value: Floats, width: float) -> Floats:
    """0 to 1 across ``value`` = 0 over ``width``: stripes without staircase."""
    return np.clip(value / max(width, 1e-6) + 0.5, 0, 1)


def _mix(image: Floats, colour: tuple | Floats, weight: Floats) -> None:
    image += weight[..., None] * (np.asarray(colour, np.float32) - image)


def pattern(garment: Garment, x: Floats, d: Floats, salt: int = 0) -> Floats:
    """Return (h, w, 3) float32 albedo of the bare pattern at pattern points; ``salt`` varies what is irregular."""
    shape = np.broadcast_shapes(x.shape, d.shape)
    image = np.broadcast_to(np.array(garment.colour, np.float32), (*shape, 3)).copy()
    pixel = float(d[1, 0] - d[0, 0]) if len(d) > 1 else 0.01
    size = garment.scale
    kind = garment.pattern
    if kind == "hstripes":
        period = 0.034 * size
        share = 0.5 if garment.seed % 2 else 0.28
        wave = np.abs(((d / period) % 1.0) - 0.5) - 0.5 * (1 - share)
        _mix(image, garment.accent, np.broadcast_to(_edge(wave * period, pixel), shape))
    elif kind == "vstripes":
        period = 0.020 * size
        wave = np.abs(((x / period) % 1.0) - 0.5) - 0.32
        _mix(image, garment.accent, np.broadcast_to(_edge(wave * period, pixel), shape))
    elif kind == "check":
        period = 0.036 * size
        across = _edge((np.abs(((x / period) % 1.0) - 0.5) - 0.25) * period, pixel)
        down = _edge((np.abs(((d / period) % 1.0) - 0.5) - 0.25) * period, pixel)
        _mix(image, garment.accent, 0.5 * (across + down))
        fine = np.maximum(
            _edge((0.045 - np.abs(((x / period + 0.25) % 1.0) - 0.5)) * period, pixel),
            _edge((0.045 - np.abs(((d / period + 0.25) % 1.0) - 0.5)) * period, pixel),
        )
        _mix(image, garment.third, 0.55 * fine)
    elif kind == "dots":
        period = 0.023 * size
        row = np.floor(d / period)
        px, py = ((x / period + 0.5 * (row % 2)) % 1.0) - 0.5, ((d / period) % 1.0) - 0.5
        _mix(image, garment.accent, _edge((0.25 - np.sqrt(px * px + py * py)) * period, pixel))
    elif kind == "floral":
        _flowers(image, garment, x, d, salt)
    elif kind == "blocks":
        if garment.seed % 3 == 0:
            edge = d - 0.20 + 0.0 * x
        elif garment.seed % 3 == 1:
            edge = d - 0.125 + 0.0 * x
            _mix(image, garment.third, np.broadcast_to(_edge(d - 0.25 + 0.0 * x, pixel), shape))
        else:
            edge = x + 0.0 * d
        lower = _edge(edge, pixel)
        if garment.seed % 3 == 1:
            lower = lower * (1 - _edge(d - 0.25 + 0.0 * x, pixel))
        _mix(image, garment.accent, np.broadcast_to(lower, shape))
    elif kind == "gradient":
        _mix(image, garment.accent, np.broadcast_to(np.clip((d - 0.06) / 0.28, 0, 1), shape))
    elif kind == "melange":
        noise = np.random.default_rng(garment.seed + salt).normal(0, 1, shape).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), 0.5 + 0.0008 / pixel, sigmaY=0.5 + 0.0003 / pixel)
        image *= 1 + 0.055 * (noise / (noise.std() + 1e-6))[..., None]
    return image


def _flowers(image: Floats, garment: Garment, x: Floats, d: Floats, salt: int) -> None:
    rng = np.random.default_rng(garment.seed + 31 * salt)
    pixel = float(x[0, 1] - x[0, 0])
    spots = np.zeros((0, 2))
    for spot in rng.uniform((x[0, 0], d[0, 0]), (x[0, -1], d[-1, 0]), (400, 2)):
        if not len(spots) or ((spots - spot) ** 2).sum(1).min() > (0.026 * garment.scale) ** 2:
            spots = np.concatenate([spots, spot[None]])
        if len(spots) > 90 / garment.scale:
            break
    for spot in spots:
        centre = np.array([(spot[0] - x[0, 0]) / pixel, (spot[1] - d[0, 0]) / pixel])
        radius = 0.0065 * garment.scale * rng.uniform(0.7, 1.25) / pixel
        turn = rng.uniform(0, 6.28)
        leaf = tuple(0.5 * c for c in garment.third[::-1])
        colour = garment.accent if rng.uniform() < 0.7 else garment.third
        for k in range(2):
            place = centre + 1.9 * radius * np.array([np.cos(turn + 2.2 * k + 0.6), np.sin(turn + 2.2 * k + 0.6)])
            axes = (max(1, round(radius * 0.9)), max(1, round(radius * 0.38)))
            tilt = float(np.degrees(turn + 2.2 * k + 0.6))
            cv2.ellipse(image, (round(place[0]), round(place[1])), axes, tilt, 0, 360, leaf, -1, cv2.LINE_AA)
        for k in range(5):
            place = centre + radius * np.array([np.cos(turn + 1.2566 * k), np.sin(turn + 1.2566 * k)])
            where = np.round(place * 16).astype(int)
            cv2.circle(image, (int(where[0]), int(where[1])), int(radius * 0.68 * 16), colour, -1, cv2.LINE_AA, 4)
        where = np.round(centre * 16).astype(int)
        heart = tuple(0.35 + 0.6 * c for c in garment.colour)
        cv2.circle(image, (int(where[0]), int(where[1])), int(radius * 0.5 * 16), heart, -1, cv2.LINE_AA, 4)


def motif(garment: Garment, x: Floats, d: Floats, image: Floats) -> None:
    """Print the chest motif onto ``image`` in place."""
    if garment.motif == "none":
        return
    size = 0.062 * (0.8 + 0.35 * (garment.seed % 7) / 6)
    side = max(24, int(2 * size / float(x[0, 1] - x[0, 0])))
    art, alpha = _artwork(garment, side)
    centre = (0.0, garment.pattern_cut.neck_front + 0.035 + size)
    scale = side / (2 * size)
    u = ((x - centre[0] + size) * scale - 0.5 + 0 * d).astype(np.float32)
    v = ((d - centre[1] + size) * scale - 0.5 + 0 * x).astype(np.float32)
    paint = cv2.remap(art, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    cover = cv2.remap(alpha, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    image += cover[..., None] * (paint - image)


def _artwork(garment: Garment, side: int) -> tuple[Floats, Floats]:
    """Return (side, side, 3) float32 colours and (side, side) float32 coverage of the motif."""
    art = np.broadcast_to(np.array(garment.accent, np.float32), (side, side, 3)).copy()
    alpha = np.zeros((side, side), np.float32)
    thick = max(1, side // 9)

    def polygon(points: list, target: Floats, value: tuple | float) -> None:
        where = np.round(np.array(points, np.float64) * side * 16).astype(np.int32)
        cv2.fillPoly(target, [where], value, cv2.LINE_AA, shift=4)

    kind = garment.motif
    if kind in ("letters", "bars"):
        font = cv2.FONT_HERSHEY_DUPLEX if garment.seed % 2 else cv2.FONT_HERSHEY_TRIPLEX
        (w, _), _ = cv2.getTextSize(garment.text, font, 1.0, 3)
        scale = side * 0.94 / w
        line = max(1, round(2.6 * scale))
        base = side * (0.40 if kind == "letters" else 0.55)
        letters = np.zeros((side, side), np.uint8)
        cv2.putText(letters, garment.text, (int(side * 0.03), int(base)), font, scale, 255, line, cv2.LINE_AA)
        alpha[:] = letters / np.float32(255)
        for k in range(3 if kind == "bars" else 1):
            top = int(base + side * (0.07 + 0.09 * k))
            art[top : top + thick] = garment.third if k % 2 == 0 else garment.accent
            inset = int(side * 0.09 * k)
            alpha[top : top + max(1, int(side * 0.045)), inset : side - inset] = 1.0
    elif kind == "circle":
        centre = (side // 2, side // 2)
        cv2.circle(alpha, centre, int(side * 0.46), 1.0, -1, cv2.LINE_AA)
        cv2.circle(art, centre, int(side * 0.33), garment.third, -1, cv2.LINE_AA)
        cv2.circle(art, centre, int(side * 0.20), garment.accent, -1, cv2.LINE_AA)
    elif kind == "star":
        angle = np.linspace(-np.pi / 2, 1.5 * np.pi, 11)[:10]
        reach = np.where(np.arange(10) % 2 == 0, 0.48, 0.2)
        polygon(np.stack([0.5 + reach * np.cos(angle), 0.5 + reach * np.sin(angle)], 1).tolist(), alpha, 1.0)
    elif kind == "heart":
        t = np.linspace(0, 2 * np.pi, 48)
        px = 0.5 + 0.45 * np.sin(t) ** 3
        py = 0.46 - 0.028 * (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        polygon(np.stack([px, py], 1).tolist(), alpha, 1.0)
    elif kind == "mountain":
        cv2.circle(alpha, (int(side * 0.66), int(side * 0.30)), int(side * 0.15), 1.0, -1, cv2.LINE_AA)
        cv2.circle(art, (int(side * 0.66), int(side * 0.30)), int(side * 0.16), garment.third, -1, cv2.LINE_AA)
        for peak in ([(0.02, 0.86), (0.36, 0.26), (0.66, 0.86)], [(0.42, 0.86), (0.70, 0.46), (0.98, 0.86)]):
            polygon(peak, alpha, 1.0)
        polygon([(0.02, 0.86), (0.36, 0.26), (0.66, 0.86)], art, garment.accent)
        polygon([(0.29, 0.38), (0.36, 0.26), (0.43, 0.39), (0.37, 0.44)], art, garment.colour)
    else:  # a picture in a frame: bands of colour under a sun
        alpha[int(side * 0.04) : int(side * 0.96), int(side * 0.12) : int(side * 0.88)] = 1.0
        ramp = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
        art[:] = np.array(garment.third, np.float32) * (1 - ramp) + np.array(garment.accent, np.float32) * ramp
        cv2.circle(art, (side // 2, int(side * 0.48)), int(side * 0.2), (0.97, 0.85, 0.45), -1, cv2.LINE_AA)
        art[int(side * 0.62) :] *= 0.55
    return art, alpha


def texture_fabric(garment: Garment, x: Floats, d: Floats, image: Floats, salt: int) -> Floats:
    """Add the weave to ``image`` in place; returns its (h, w) height in centimetres."""
    shape = image.shape[:2]
    pixel = float(d[1, 0] - d[0, 0])
    height = np.zeros(shape, np.float32)
    rng = np.random.default_rng(garment.seed + 7 + salt)
    if garment.fabric == "knit" and pixel < 0.0030:
        course = np.sin(2 * np.pi * (d / 0.0052)) * np.sin(2 * np.pi * x / 0.0058 + np.pi * np.floor(d / 0.0026))
        height += 0.05 * course
        image *= 1 + 0.035 * course[..., None]
    elif garment.fabric == "denim":
        grain = rng.normal(0, 1, shape).astype(np.float32)
        twill = np.sin(2 * np.pi * (x + d) / 0.0042) if pixel < 0.002 else 0.0
        image *= 1 + (0.03 * grain + 0.03 * twill)[..., None]
    elif pixel < 0.0022:
        image *= 1 + 0.014 * rng.normal(0, 1, shape).astype(np.float32)[..., None]
    return height


def _stitch(image: Floats, height: Floats, distance: Floats, pixel: float, depth: float = 0.10) -> None:
    """Sew a seam where ``distance`` (pattern units) is 0."""
    line = np.exp(-((distance / max(0.0011, 0.7 * pixel)) ** 2)).astype(np.float32)
    image *= 1 - 0.20 * line[..., None]
    height -= depth * line


def _ribs(garment: Garment, image: Floats, height: Floats, band: Floats, along: Floats, pixel: float) -> None:
    """Turn ``band`` (0..1) into knitted ribs that run across ``along``."""
    tone = 0.90 if sum(garment.colour) > 0.6 else 1.25
    image *= (1 + band * (tone - 1))[..., None]
    if pixel < 0.0028:
        wave = np.sin(2 * np.pi * along / 0.0062).astype(np.float32)
        image *= (1 + 0.07 * band * wave)[..., None]
        height += 0.05 * band * wave


def paint_torso(garment: Garment, cut: Cut, density: float, back: bool = False) -> Swatch:
    """Paint the front or back panel, ``density`` pixels per unit of height."""
    reach = float(cut.halves.max()) + 0.006
    extent = (-reach, reach, -0.012, cut.hem[1] + 0.012)
    x, d = _grid(extent, density)
    pixel = float(d[1, 0] - d[0, 0])
    image = pattern(garment, x, d, salt=int(back))
    if not back:
        motif(garment, x, d, image)
    height = texture_fabric(garment, x, d, image, int(back))
    zero = np.zeros(image.shape[:2], np.float32)
    near = cut.neck_distance(x, d + zero, back)
    if garment.neckline in ("crew", "v", "scoop", "boat"):
        wide = 0.0125 if garment.rib else 0.007
        band = _edge(wide - near, pixel)
        _ribs(garment, image, height, band * float(garment.rib), np.arctan2(x, 0.05 + 0 * d) * 0.05, pixel)
        height += 0.06 * band
        _stitch(image, height, near - wide, pixel)
    if garment.category not in ("dress",):
        lift = 0.020 if garment.rib and garment.category in ("sweater", "hoodie") else 0.010
        if lift > 0.015:
            _ribs(garment, image, height, _edge(d - (cut.hem[1] - lift) + zero, pixel), x + zero, pixel)
        _stitch(image, height, d - (cut.hem[1] - lift) + zero, pixel)
    if not back:
        _front_details(garment, cut, x, d, image, height, pixel)
    return Swatch((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), height, extent)


def _front_details(
    garment: Garment, cut: Cut, x: Floats, d: Floats, image: Floats, height: Floats, pixel: float
) -> None:
    zero = np.zeros(image.shape[:2], np.float32)
    soft = max(pixel, 0.0006)
    if garment.closure == "buttons":
        for side in (-0.010, 0.010):
            _stitch(image, height, x - side + zero, pixel, 0.05)
        height += 0.05 * _edge(0.010 - np.abs(x) + zero, soft)
        image *= (1 - 0.14 * np.exp(-(((x - 0.0115) / 0.0016) ** 2)) + zero)[..., None]
        button = (
            garment.accent
            if garment.fabric == "denim"
            else (0.93, 0.92, 0.88)
            if sum(garment.colour) < 1.5
            else (0.35, 0.33, 0.32)
        )
        for at in np.arange(cut.neck_front + 0.022, cut.hem[1] - 0.02, 0.047):
            away = np.sqrt(x**2 + (d - at) ** 2)
            image *= (1 - 0.35 * np.exp(-(((away - 0.0045) / 0.0014) ** 2)))[..., None]
            _mix(image, button, _edge(0.0042 - away, soft))
            height += 0.08 * _edge(0.0042 - away, soft)
    elif garment.closure == "zip":
        _mix(image, tuple(0.5 * c for c in garment.colour), 0.75 * _edge(0.0075 - np.abs(x) + zero, soft))
        teeth = 0.55 + 0.25 * np.sign(np.sin(2 * np.pi * d / 0.004))
        _mix(image, (0.62, 0.62, 0.64), teeth * _edge(0.0028 - np.abs(x) + zero, soft))
        height -= 0.08 * np.exp(-(((np.abs(x) - 0.008) / 0.0015) ** 2)) + zero
    if garment.pocket and garment.category == "hoodie":
        top, bottom = cut.hem[1] - 0.115, cut.hem[1] - 0.024
        half = 0.055 + 0.022 * np.clip((d - top) / 0.06, 0, 1)
        inside = np.minimum(np.minimum(half - np.abs(x), d - top), bottom - d)
        height += 0.10 * _edge(inside - 0.001, 3 * soft)
        _stitch(image, height, inside, pixel, 0.05)
    elif garment.pocket:
        sides = (1,) if garment.category in ("t-shirt", "shirt") else (-1, 1)
        for side in sides:
            px, py = (
                np.abs(x - side * 0.056) - 0.024,
                np.abs(d - 0.135) - 0.027 + 0.006 * np.abs(x - side * 0.056) / 0.024,
            )
            inside = -np.maximum(px, py)
            height += 0.05 * _edge(inside, 2 * soft)
            _stitch(image, height, inside - 0.002, pixel, 0.06)
            if garment.category == "jacket":
                _stitch(image, height, np.where(np.abs(x - side * 0.056) < 0.024, d - 0.122, 1.0) + zero, pixel, 0.06)
    if garment.category == "jacket":
        _stitch(image, height, d - 0.095 + zero, pixel, 0.06)


def paint_sleeve(garment: Garment, cut: Cut, density: float, salt: int) -> Swatch:
    """Paint one sleeve: x across, d along from the armhole."""
    reach = max(float(cut.sleeve_half(np.linspace(0, 1, 9)).max()), 0.03) + 0.004
    length = max(cut.sleeve, 0.02)
    extent = (-reach, reach, -0.03, length + 0.006)
    x, d = _grid(extent, density)
    pixel = float(d[1, 0] - d[0, 0])
    source = garment
    if garment.pattern == "blocks":
        # colour blocks of the body go on at the same height of the sleeve
        image = pattern(garment, x * 0 + (0.1 if salt else -0.1), d + 0.07, salt + 5)
    elif garment.pattern == "gradient":
        image = pattern(garment, x, d + 0.06, salt + 5)
    else:
        image = pattern(source, x, d, salt + 5)
    height = texture_fabric(garment, x, d, image, salt + 5)
    zero = np.zeros(image.shape[:2], np.float32)
    cuff = 0.008
    if garment.sleeve == "long":
        cuff = 0.024 if garment.rib or garment.neckline == "collar" else 0.010
    if garment.rib and garment.sleeve == "long":
        _ribs(garment, image, height, _edge(d - (length - cuff) + zero, pixel), x + zero, pixel)
    if garment.neckline == "collar" and garment.sleeve == "long":
        height += 0.06 * _edge(d - (length - cuff) + zero, pixel)
    _stitch(image, height, d - (length - cuff) + zero, pixel)
    return Swatch((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), height, extent)


def plain_swatch(garment: Garment, extent: tuple[float, float, float, float], density: float, salt: int) -> Swatch:
    """Paint a piece without details: collars, trouser legs, skirts."""
    x, d = _grid(extent, density)
    image = pattern(garment, x, d, salt)
    height = texture_fabric(garment, x, d, image, salt)
    return Swatch((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), height, extent)


def folds(
    rng: Generator,
    shape: tuple[int, int],
    strokes: list[tuple[float, float, float, float, float, float]],
    noise: float,
    aspect: float = 1.0,
) -> Floats:
    """Draw soft creases.

    Args:
        rng: Source of chance; every stroke is jittered.
        shape: Of the result.
        strokes: (u, v, angle, length, width, height): place in [0, 1], direction in radians (0 runs along u), sizes as
            shares of the picture's height, height in centimetres.
        aspect: Width of the real cloth over its height.
        noise: Height of the gentle unevenness that no stroke explains, centimetres.

    Returns:
        (h, w) float32 height in centimetres.
    """
    # creases are soft: a coarse drawing, smoothly enlarged, is the same picture
    h = w = int(np.clip(max(shape) / 4, 36, 72))
    v, u = np.mgrid[0:h, 0:w].astype(np.float32)
    u, v = (u + 0.5) / w, (v + 0.5) / h
    if strokes:
        table = np.array(strokes, np.float32)
        table = table + rng.normal(0, 1, table.shape).astype(np.float32) * np.array(
            [0.02, 0.02, 0.16, 0, 0, 0], np.float32
        )
        table[:, 3:] *= rng.uniform(0.65, 1.35, (len(table), 3)).astype(np.float32)
        cu, cv, angle, length, width, tall = (column[:, None, None] for column in table.T)
        du, dv = (u[None] - cu) * aspect, v[None] - cv
        p = du * np.cos(angle) + dv * np.sin(angle)
        q = -du * np.sin(angle) + dv * np.cos(angle)
        q = q + 0.25 * p * p / np.maximum(length, 0.05) * rng.normal(0, 1, (len(table), 1, 1)).astype(np.float32)
        ridge = np.exp(-((q / width) ** 2)) - 0.4 * np.exp(-(((q - 1.9 * width) / (1.6 * width)) ** 2))
        out = (tall * ridge * np.exp(-((p / length) ** 2))).sum(0)
    else:
        out = np.zeros((h, w), np.float32)
    small = rng.normal(0, 1, (7, 7)).astype(np.float32)
    out = out + noise * cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(out.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
