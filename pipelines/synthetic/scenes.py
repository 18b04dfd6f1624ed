"""Places to stand: studio, plain wall, rooms and streets, all drawn small and out of focus."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from pipelines.synthetic.meshes import Floats

BACKGROUNDS = ("white", "studio", "plain", "indoor", "street", "park")


def _rgb(colour: Floats) -> tuple[float, float, float]:
    """A colour the drawing calls of OpenCV accept."""
    red, green, blue = (float(np.clip(v, 0, 1)) for v in colour)
    return red, green, blue


def _ramp(h: int, w: int, top: Floats, bottom: Floats) -> Floats:
    t = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - t) + bottom * t, (h, w, 3)).astype(np.float32).copy()


def _vignette(image: Floats, strength: float) -> None:
    h, w = image.shape[:2]
    y, x = np.linspace(-1, 1, h, dtype=np.float32)[:, None], np.linspace(-1, 1, w, dtype=np.float32)[None]
    image *= (1 - strength * np.clip((x * x + y * y) / 2, 0, 1) ** 1.3)[..., None]


def backdrop(rng: Generator, kind: str, size: tuple[int, int], horizon: float) -> Floats:
    """Return (H, W, 3) float32 in [0, 1].

    Args:
        rng: Source of chance.
        kind: One of ``BACKGROUNDS``.
        size: (H, W) of the picture.
        horizon: Where wall and floor meet, as a share of the height; above 1 there is no floor to see.
    """
    height, width = size
    if kind == "white":
        return np.full((height, width, 3), 1.0, np.float32)
    w = 160
    h = max(8, round(w * height / width))
    line = horizon * h
    if kind in ("studio", "plain"):
        image = _studio(rng, h, w, line, kind == "plain")
        blur = 1.0
    elif kind == "indoor":
        image, blur = _indoor(rng, h, w, line), rng.uniform(0.8, 2.2)
    else:
        image, blur = _outdoor(rng, h, w, line, kind == "park"), rng.uniform(1.0, 2.4)
    small = cv2.GaussianBlur(image, (0, 0), blur)
    image = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), image.dtype)
    return np.clip(image, 0, 1)


def _studio(rng: Generator, h: int, w: int, line: float, coloured: bool) -> Floats:
    if coloured:
        hue = rng.uniform(0.35, 0.92, 3)
        base = 0.55 * hue + 0.45 * hue.mean()
    else:
        base = np.full(3, rng.uniform(0.80, 0.95)) + rng.normal(0, 0.008, 3)
    base = base.astype(np.float32)
    image = _ramp(h, w, base * 0.97, base)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    glow = np.exp(-(((x / w - rng.uniform(0.35, 0.65)) / 0.55) ** 2) - ((y / h - 0.35) / 0.55) ** 2)
    image *= (0.90 + 0.12 * glow)[..., None]
    # the sweep from wall to floor
    floor = 1 / (1 + np.exp(-(y - line) / (0.03 * h)))
    image *= (1 + floor * 0.045 - 0.05 * np.exp(-(((y - line) / (0.07 * h)) ** 2)))[..., None]
    _vignette(image, 0.10)
    return image


def _indoor(rng: Generator, h: int, w: int, line: float) -> Floats:
    wall = (0.45 + 0.45 * rng.uniform() + rng.normal(0, 0.05, 3)).astype(np.float32)
    image = _ramp(h, w, np.clip(wall, 0.2, 0.95), np.clip(wall * 0.9, 0.2, 0.95))
    floor = np.array([0.50, 0.38, 0.28], np.float32) * rng.uniform(0.6, 1.35)
    row = int(np.clip(line, 0, h))
    for k in range(int(rng.integers(2, 6))):
        x0, y0 = int(rng.uniform(-0.1, 0.9) * w), int(rng.uniform(0.02, 0.5) * h)
        x1, y1 = x0 + int(rng.uniform(0.1, 0.35) * w), y0 + int(rng.uniform(0.12, 0.35) * h)
        style = rng.integers(3)
        if style == 0:  # a window
            bright = (0.93, 0.96, 1.0)
            cv2.rectangle(image, (x0, y0), (x1, y1), (0.88, 0.87, 0.85), -1)
            cv2.rectangle(image, (x0 + 2, y0 + 2), (x1 - 2, y1 - 2), bright, -1)
            cv2.line(image, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), (0.8, 0.79, 0.77), 2)
        elif style == 1:  # a picture
            cv2.rectangle(image, (x0, y0), (x1, y1), _rgb(rng.uniform(0.1, 0.4, 3)), -1)
            cv2.rectangle(image, (x0 + 2, y0 + 2), (x1 - 2, y1 - 2), _rgb(rng.uniform(0.4, 0.9, 3)), -1)
            cv2.circle(
                image, ((x0 + x1) // 2, (y0 + y1) // 2), max(2, (x1 - x0) // 5), _rgb(rng.uniform(0.2, 0.9, 3)), -1
            )
        else:  # a shelf with things on it
            tall = int(0.5 * h)
            cv2.rectangle(image, (x0, y0), (x1, y0 + tall), _rgb(floor * 0.8), -1)
            for board in range(y0 + 2, y0 + tall, max(6, tall // 4)):
                x = x0 + 2
                while x < x1 - 3:
                    step = int(rng.integers(2, 6))
                    top = board + int(rng.integers(1, 4))
                    cv2.rectangle(
                        image,
                        (x, top),
                        (x + step - 1, board + max(5, tall // 4) - 3),
                        _rgb(rng.uniform(0.2, 0.9, 3)),
                        -1,
                    )
                    x += step
        _ = k
    if row < h:
        image[row:] = _ramp(h - row, w, floor * 0.85, floor * 1.1)
        for k in range(-12, 13):
            cv2.line(image, (int(w / 2 + k * w * 0.10), row), (int(w / 2 + k * w * 0.34), h), _rgb(floor * 0.82), 1)
        image[max(0, row - 3) : row] = np.clip(wall * 1.12, 0, 1)
    if rng.uniform() < 0.6:
        _plant(rng, image, int(rng.choice([0.08, 0.92]) * w), min(row, h) + 2, 0.35 * h)
    _vignette(image, 0.22)
    return image


def _plant(rng: Generator, image: Floats, x: int, y: int, tall: float) -> None:
    green = np.array([0.22, 0.42, 0.22]) * rng.uniform(0.7, 1.4)
    for _ in range(26):
        angle, reach = rng.uniform(-1.1, 1.1), tall * rng.uniform(0.4, 1.0)
        tip = (int(x + np.sin(angle) * reach * 0.6), int(y - np.cos(angle) * reach))
        cv2.line(image, (x, int(y - tall * 0.2)), tip, _rgb(green * rng.uniform(0.7, 1.3)), 3, cv2.LINE_AA)
    cv2.rectangle(image, (x - 8, int(y - tall * 0.22)), (x + 8, y), (0.72, 0.62, 0.52), -1)


def _outdoor(rng: Generator, h: int, w: int, line: float, park: bool) -> Floats:
    light = rng.uniform(0.75, 1.0)
    image = _ramp(
        h, w, np.array([0.62, 0.76, 0.92], np.float32) * light, np.array([0.90, 0.92, 0.93], np.float32) * light
    )
    row = int(np.clip(line, 0, h))
    if park:
        for depth in np.linspace(0.25, 1, 5):
            for _ in range(7):
                x, r = int(rng.uniform(0, w)), int(rng.uniform(0.08, 0.2) * h)
                y = int(line - depth * 0.05 * h - rng.uniform(0.1, 0.45) * h)
                green = np.array([0.25, 0.42, 0.20]) * rng.uniform(0.6, 1.5) * (1.25 - 0.4 * depth)
                cv2.circle(image, (x, y), r, _rgb(green), -1)
                cv2.line(image, (x, y), (x, row), (0.28, 0.22, 0.17), max(1, r // 6))
        ground = np.array([0.42, 0.52, 0.28], np.float32) * rng.uniform(0.8, 1.2)
    else:
        x = 0
        while x < w:
            wide = int(rng.uniform(0.12, 0.34) * w)
            top = int(rng.uniform(-0.1, 0.45) * h)
            tone = rng.uniform(0.3, 0.8) * (1 + rng.normal(0, 0.06, 3))
            cv2.rectangle(image, (x, top), (x + wide, max(row, top + 1)), _rgb(tone), -1)
            pitch = int(rng.integers(7, 13))
            lit = rng.uniform(0.2, 0.9)
            for wy in range(top + 4, row - 12, pitch):
                for wx in range(x + 3, x + wide - 4, pitch):
                    pane = tone * 0.55 if rng.uniform() < lit else np.array([0.95, 0.85, 0.62])
                    cv2.rectangle(image, (wx, wy), (wx + pitch // 2, wy + pitch // 2 + 1), _rgb(pane), -1)
            shop = _rgb(rng.uniform(0.2, 0.9, 3))
            cv2.rectangle(image, (x + 2, max(0, row - 13)), (x + wide - 2, max(0, row - 9)), shop, -1)
            cv2.rectangle(image, (x + 4, max(0, row - 9)), (x + wide - 4, row), (0.22, 0.24, 0.28), -1)
            x += wide
        ground = np.array([0.52, 0.51, 0.50], np.float32) * rng.uniform(0.7, 1.2)
    if row < h:
        image[row:] = _ramp(h - row, w, ground * 0.88, ground * 1.08)
        if not park:
            cv2.line(image, (0, row + max(2, (h - row) // 4)), (w, row + max(3, (h - row) // 4)), _rgb(ground * 1.2), 1)
    for _ in range(int(rng.integers(0, 14))):
        centre = (int(rng.uniform(0, w)), int(rng.uniform(0, max(1.0, line))))
        spot = image.copy()
        cv2.circle(spot, centre, int(rng.integers(2, 6)), _rgb(rng.uniform(0.7, 1.0, 3)), -1, cv2.LINE_AA)
        image += 0.45 * (spot - image)
    _vignette(image, 0.18)
    return image


def cast_shadow(
    image: Floats, mask: Floats, feet: Floats, scale: float, lean: float, floor: bool, strength: float
) -> None:
    """Darken ``image`` in place where the figure keeps light away.

    Args:
        image: (H, W, 3) float32 background.
        mask: (H, W) float32 coverage of the figure.
        feet: (2, 2) pixel positions of the soles.
        scale: Pixels per centimetre.
        lean: Sideways direction of the shadow, -1 to 1.
        floor: There is a floor to fall on; otherwise the wall behind takes a faint shadow.
        strength: 0 to 1.
    """
    h, w = mask.shape
    step = max(1, round(h / 256))
    small = cv2.resize(mask, (w // step, h // step), interpolation=cv2.INTER_AREA)
    s, size = scale / step, (w // step, h // step)
    if floor:
        base = float(feet[:, 1].max()) / step
        squash = 0.16
        warp = np.array(
            [[1, -lean * 0.35, lean * 0.35 * base], [0, -squash, base * (1 + squash) - 2.0 * s]], np.float32
        )
        warp[1, 1] = squash
        warp[1, 2] = base * (1 - squash) - 1.0 * s
        warp[0, 1], warp[0, 2] = lean * 0.45, -lean * 0.45 * base
        fall = cv2.warpAffine(small, warp, size, flags=cv2.INTER_LINEAR)
        fall = cv2.GaussianBlur(fall, (0, 0), max(0.6, 5.0 * s)) * 0.55
        contact = np.zeros_like(small)
        for x, y in feet / step:
            axes = (max(1, round(8.5 * s)), max(1, round(3.2 * s)))
            cv2.ellipse(contact, (round(float(x)), round(float(y))), axes, 0, 0, 360, 1.0, -1)
        contact = cv2.GaussianBlur(contact, (0, 0), max(0.5, 2.0 * s))
        dark = np.clip(fall + 0.75 * contact, 0, 0.85)
    else:
        move = np.array([[1, 0, lean * 9 * s], [0, 1, 4 * s]], np.float32)
        dark = cv2.GaussianBlur(cv2.warpAffine(small, move, size), (0, 0), max(0.8, 7 * s)) * 0.30
    image *= 1 - strength * cv2.resize(dark, (w, h), interpolation=cv2.INTER_LINEAR)[..., None]


def tabletop(rng: Generator, kind: str, size: tuple[int, int]) -> Floats:
    """Return (H, W, 3) float32 in [0, 1]: what a garment is laid on. ``kind``: ``wood``, ``cloth`` or ``clutter``."""
    height, width = size
    w = 192
    h = max(8, round(w * height / width))
    if kind == "wood":
        tone = np.array([0.62, 0.46, 0.32]) * rng.uniform(0.6, 1.3)
        image = np.zeros((h, w, 3), np.float32)
        grain = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), 0.8, sigmaY=14)
        image[:] = tone.astype(np.float32) * (1 + 0.25 * grain[..., None])
        for x in range(int(rng.integers(5, 20)), w, int(rng.integers(24, 48))):
            image[:, x:] *= np.float32(rng.uniform(0.94, 1.06))
            image[:, x : x + 1] *= 0.6
    elif kind == "cloth":
        base = rng.uniform(0.35, 0.9, 3).astype(np.float32)
        soft = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), 9, sigmaY=16)
        image = np.broadcast_to(base, (h, w, 3)) * (1 + 1.6 * soft[..., None])
        image = image + rng.normal(0, 0.012, (h, w, 1)).astype(np.float32)
    else:
        image = np.broadcast_to(rng.uniform(0.3, 0.9, 3).astype(np.float32), (h, w, 3)).copy()
        for _ in range(int(rng.integers(8, 22))):
            centre = (int(rng.uniform(0, w)), int(rng.uniform(0, h)))
            axes = (int(rng.uniform(6, 46)), int(rng.uniform(6, 46)))
            colour, turn = _rgb(rng.uniform(0.1, 0.95, 3)), float(rng.uniform(0, 180))
            if rng.uniform() < 0.5:
                cv2.ellipse(image, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
            else:
                corners = cv2.boxPoints((centre, axes, turn))
                cv2.fillPoly(image, [np.round(corners).astype(np.int32)], colour, cv2.LINE_AA)
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.5)))
    _vignette(image := np.ascontiguousarray(image, np.float32), 0.12)
    image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return np.clip(image, 0, 1)
