"""The painted face: brows, eyes, lips and beard on a flat picture that the skull wears."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.heads import Look, bell


def paint_face(look: Look, skin: tuple[float, float, float], size: int) -> NDArray[np.uint8]:
    """Return (size, size, 3) uint8: the face as seen from the front, chin at the bottom, crown at the top."""
    tone = np.array(skin, np.float32)
    yy, xx = np.mgrid[0:size, 0:size].astype(np.float32)
    x, y = (xx + 0.5) / size * 2 - 1, 1 - (yy + 0.5) / size
    image = np.broadcast_to(tone, (size, size, 3)).copy()
    warm = tone * np.array([1.03, 0.80, 0.78], np.float32)
    dark = tone * np.array([0.74, 0.62, 0.58], np.float32)
    blush = sum(bell(x, y, 0.52 * s, 0.33, 0.27, 0.085) for s in (-1, 1)) * 0.38 + 0.30 * bell(
        x, y, 0, 0.30, 0.17, 0.04
    )
    socket = sum(bell(x, y, 0.38 * s, 0.49, 0.24, 0.05) for s in (-1, 1)) * 0.24
    socket = socket + 0.5 * bell(x, y, 0, 0.263, 0.15, 0.016) + 0.30 * bell(x, y, 0, 0.125, 0.22, 0.018)
    image += blush[..., None] * (warm - tone)
    image += np.clip(socket, 0, 1)[..., None] * (dark - tone)

    def layer(polygons: list[NDArray], colour: NDArray | tuple, alpha: float = 1.0, blur: float = 0.0) -> None:
        place = [np.stack([(p[:, 0] + 1) * size, (1 - p[:, 1]) * 2 * size], 1) for p in polygons]
        # only the polygons' surroundings; even borders, because the mask is drawn at twice the size
        reach = 3 + int(6 * blur * size)
        low = np.maximum(np.floor(np.min([p.min(0) for p in place], 0) / 2).astype(int) - reach, 0)
        high = np.minimum(np.ceil(np.max([p.max(0) for p in place], 0) / 2).astype(int) + reach, size)
        w, h = (int(v) for v in high - low)
        mask = np.zeros((2 * h, 2 * w), np.uint8)
        for p in place:
            cv2.fillPoly(mask, [np.round((p - 2 * low) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        soft = cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        if blur:
            soft = cv2.GaussianBlur(soft, (0, 0), max(0.3, blur * size))
        part = image[low[1] : high[1], low[0] : high[0]]
        part += (soft * alpha)[..., None] * (np.asarray(colour, np.float32) - part)

    def oval(cx: float, cy: float, rx: float, ry: float) -> NDArray:
        t = np.linspace(0, 2 * np.pi, 24)
        return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1)

    def ribbon(along: NDArray, upper: NDArray, lower: NDArray) -> NDArray:
        return np.concatenate([np.stack([along, upper], 1), np.stack([along, lower], 1)[::-1]])

    t = np.linspace(0, 1, 12)
    hair = np.array(look.hair, np.float32)
    if look.beard:
        noise = np.random.default_rng(look.seed).normal(0, 1, (size, size)).astype(np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), size / 160) * 0.10 * size / 100
        lower = 0.33 - 0.20 * np.exp(-((x / 0.55) ** 4)) + 0.30 * np.clip(np.abs(x) - 0.75, 0, 1)
        mask = 1 / (1 + np.exp(-(lower + 0.005 - y) * 60))
        mask = np.maximum(mask, np.clip(1.3 * bell(x, y, 0, 0.238, 0.36, 0.020), 0, 1))
        mask *= 1 - np.clip(1.6 * bell(x, y, 0, 0.187, 0.23, 0.024), 0, 1)
        mask = np.clip(mask * (0.45 + 0.5 * look.beard) + noise * mask, 0, 0.94)
        image += mask[..., None] * (hair * 0.9 + tone * 0.06 - image)
    brow = hair * 0.75 + tone * 0.12
    ink = np.clip(hair * 0.35 + 0.02, 0, 0.2)
    for s in (-1, 1):
        bend = np.array([0.557, 0.583, 0.592, 0.566])
        top = np.interp(t, [0, 0.35, 0.65, 1], bend)
        line = 0.15 + 0.50 * t
        thick = 0.021 * (1 - 0.75 * t**2) * (1.0 if look.lips < 0.3 else 0.75)
        layer([ribbon(s * line, top + thick / 2, top - thick)], brow, 0.85, 0.004)
        cx, cy = 0.385 * s, 0.485
        along = np.linspace(-1, 1, 15)
        upper = cy + 0.038 * (1 - np.abs(along) ** 2.2) + 0.006 * along * s
        lower = cy - 0.024 * (1 - np.abs(along) ** 2.4) + 0.006 * along * s
        ex = cx + 0.185 * along
        almond = ribbon(ex, upper, lower)
        layer([oval(cx, cy + 0.005, 0.23, 0.060)], dark, 0.18, 0.02)
        before = image.copy()
        layer([almond], (0.955, 0.935, 0.92))
        layer([oval(cx, cy + 0.007, 0.088, 0.033)], np.array(look.eyes) * 0.45)
        layer([oval(cx, cy + 0.006, 0.074, 0.028)], look.eyes)
        layer([oval(cx, cy - 0.002, 0.050, 0.014)], np.clip(np.array(look.eyes) * 1.7, 0, 1), 0.6, 0.004)
        layer([oval(cx, cy + 0.007, 0.036, 0.0135)], (0.03, 0.025, 0.025))
        layer([oval(cx - 0.028, cy + 0.018, 0.020, 0.0075)], (1, 1, 1), 0.95)
        layer([ribbon(ex, upper + 0.004, upper - 0.010)], dark * 0.5, 0.45, 0.004)
        inside = np.zeros((size * 2, size * 2), np.uint8)
        place = np.stack([(almond[:, 0] + 1) * size, (1 - almond[:, 1]) * 2 * size], 1)
        cv2.fillPoly(inside, [np.round(place * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
        inside = cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
        image[:] = before + inside * (image - before)
        lash = 0.008 + 0.009 * max(0.0, look.lips - 0.2)
        layer([ribbon(ex, upper + lash, upper - 0.003)], ink, 0.95)
        layer(
            [ribbon(ex, lower + 0.001, lower - 0.004)],
            dark * 0.7,
            0.6,
        )
        layer([ribbon(ex, upper + 0.024, upper + 0.018)], dark * 0.8, 0.5, 0.004)
        layer([oval(0.085 * s, 0.272, 0.042, 0.010)], dark * 0.55, 0.75, 0.004)
        layer([oval(0.165 * s, 0.288, 0.022, 0.022)], dark, 0.45, 0.010)
    natural = tone * np.array([0.90, 0.63, 0.60], np.float32)
    lip = natural * (1 - look.lips * 0.6) + np.array([0.72, 0.22, 0.25], np.float32) * look.lips * 0.6 * (
        0.35 + 0.65 * tone[0]
    )
    half = 0.27 + 0.07 * look.smile
    mx = np.linspace(-half, half, 21)
    r = np.abs(mx) / half
    mid = 0.183 + 0.032 * look.smile * r**1.8 - 0.004 * np.cos(r * 2 * np.pi) * (1 - r)
    up = mid + 0.0215 * (1 - r**1.8) - 0.006 * np.exp(-((mx / 0.05) ** 2))
    low = mid - 0.030 * (1 - r**2.2)
    layer([ribbon(mx, up, mid)], lip * 0.88, 0.92, 0.003)
    layer([ribbon(mx, mid, low)], lip, 0.92, 0.003)
    layer([oval(0, 0.166, 0.11, 0.006)], np.clip(lip * 1.25 + 0.05, 0, 1), 0.5, 0.008)
    layer(
        [ribbon(mx * 1.05, mid + 0.003, mid - 0.003)],
        lip * 0.40,
        0.9,
    )
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
