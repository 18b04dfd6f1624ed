"""Random outlines of flat upper garments with exact landmarks: the only thing the landmark network learns from.

Shapes are drawn in units of half the shoulder width, with the origin between the shoulders: sleeveless tops, T-shirts,
shirts and sweaters, with hoods, collars, hanger hooks, folded or hanging sleeves, crooked photographs and the mistakes
a cut-out makes (bites, bumps, closed gaps between sleeve and body).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.person.garment.landmarks import CI, CO, EI, EO, RIGHT, SLEEVES, A, H, N, S, W

SIZE = 96
OVERSAMPLE = 2
Curve = NDArray[np.float64]  # (n, 2)


@dataclass(frozen=True)
class Silhouette:
    """One drawn garment.

    Attributes:
        mask: (size, size) uint8, 0 outside, 255 inside, antialiased.
        landmarks: (20, 2) float32 pixels of the mask.
        sleeve: Index into `SLEEVES`.
    """

    mask: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    sleeve: int


def bent(a: NDArray[np.float64], b: NDArray[np.float64], bow: float, count: int = 8) -> Curve:
    """Quadratic curve from ``a`` to ``b``, bulging by about ``bow`` / 2 of its length."""
    t = np.linspace(0, 1, count)[:, None]
    along = b - a
    middle = (a + b) / 2 + np.array([along[1], -along[0]]) * bow
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * middle + t * t * b


def _choose(rng: np.random.Generator, *ranges: tuple[float, float, float]) -> float:
    """A value from one of (weight, low, high)."""
    weights = np.array([r[0] for r in ranges])
    _, low, high = ranges[rng.choice(len(ranges), p=weights / weights.sum())]
    return float(rng.uniform(low, high))


def _arm(rng: np.random.Generator, style: dict[str, float], shoulder: Curve, armpit: Curve) -> Curve:
    """elbow outer, inner, cuff outer, inner of the right-hand side, (4, 2)."""
    upper = style["angle"] + rng.uniform(-0.1, 0.1)
    lower = upper + style["bend"] + rng.uniform(-0.1, 0.1)
    length = style["length"] * rng.uniform(0.96, 1.04)
    down = np.array([[math.sin(t), math.cos(t)] for t in (upper, lower)])
    out = np.array([[math.cos(t), -math.sin(t)] for t in (upper, lower)])
    elbow = (shoulder + armpit) / 2 + down[0] * max(0.06, length / 2)
    cuff = elbow + down[1] * max(0.06, length / 2)
    mitre = (out[0] + out[1]) / 2
    return np.stack(
        [
            elbow + mitre * style["elbow"],
            elbow - mitre * style["elbow"],
            cuff + out[1] * style["cuff"],
            cuff - out[1] * style["cuff"],
        ]
    )


def _style(rng: np.random.Generator, sleeve: str) -> dict[str, float]:
    """Measures of one garment in half shoulder widths."""
    style: dict[str, float] = {"slope": _choose(rng, (3, 0.06, 0.3), (1, 0.3, 0.5))}
    if sleeve == "none":
        style["neck"] = rng.uniform(0.35, 0.88)
        style["armpit_x"], style["armpit_y"] = rng.uniform(0.92, 1.5), rng.uniform(0.55, 1.35)
        style["hem_y"] = style["armpit_y"] + rng.uniform(1.2, 3.0)
        style["dip"] = rng.uniform(-0.05, 1.0)
    else:
        style["neck"] = _choose(rng, (4, 0.24, 0.55), (1, 0.55, 0.8))
        style["armpit_x"], style["armpit_y"] = rng.uniform(0.78, 1.1), _choose(rng, (4, 0.6, 1.1), (1, 1.1, 1.5))
        style["hem_y"] = _choose(rng, (5, 1.9, 3.2), (1, 1.4, 1.9), (1, 3.2, 4.0))
        style["dip"] = _choose(rng, (3, -0.12, 0.25), (1, 0.25, 0.7))
    style["hem_x"] = style["armpit_x"] * _choose(rng, (4, 0.85, 1.15), (1, 0.7, 0.85), (1, 1.15, 1.6))
    style["waist"] = (style["armpit_x"] + style["hem_x"]) / 2 + rng.uniform(-0.16, 0.06)
    style["angle"] = _choose(rng, (4, 0.25, 1.0), (2, 0.05, 0.3), (2, 0.9, 1.7))
    style["bend"] = 0.0
    if sleeve == "long":
        style["length"] = _choose(rng, (4, 2.0, 3.3), (1, 1.35, 2.0))
        style["elbow"], style["cuff"] = rng.uniform(0.24, 0.46), _choose(rng, (4, 0.15, 0.34), (1, 0.34, 0.6))
        style["bend"] = rng.uniform(-0.35, 0.35)
        if rng.random() < 0.16:  # folded inwards, over the body
            style["bend"] = -style["angle"] - rng.uniform(-0.1, 1.5)
    else:
        style["length"] = _choose(rng, (4, 0.45, 1.15), (1, 0.14, 0.45))
        style["elbow"] = rng.uniform(0.3, 0.55)
        style["cuff"] = style["elbow"] * rng.uniform(0.85, 1.08)
    return style


def _side(rng: np.random.Generator, style: dict[str, float], sleeve: str) -> Curve:
    """The nine points of the right-hand side, (9, 2)."""
    points = np.zeros((9, 2))
    points[N] = style["neck"], -style["slope"]
    points[S] = 1.0, 0.0
    points[A] = style["armpit_x"], style["armpit_y"]
    points[H] = style["hem_x"], style["hem_y"]
    points[W] = style["waist"], (style["armpit_y"] + style["hem_y"]) / 2
    if sleeve == "none":
        points[[EO, CO]], points[[EI, CI]] = points[S], points[A]
    else:
        points[[EO, EI, CO, CI]] = _arm(rng, style, points[S], points[A])
    return points


def draw_points(rng: np.random.Generator) -> tuple[Curve, int]:
    """Landmarks of a random garment before it is crumpled and photographed, (20, 2), and its sleeve class."""
    number = int(rng.choice(3, p=(0.22, 0.36, 0.42)))
    sleeve = SLEEVES[number]
    style = _style(rng, sleeve)
    left, right = _side(rng, style, sleeve), None
    if rng.random() < 0.4:
        other = dict(style)
        other["angle"] += rng.uniform(-0.35, 0.35)
        if sleeve == "long":
            other["bend"] += rng.uniform(-0.5, 0.5)
        right = _side(rng, other, sleeve)
    else:
        right = _side(rng, style, sleeve)
    neck = [rng.uniform(-0.05, 0.05), -style["slope"] + style["dip"]]
    hem = [rng.uniform(-0.05, 0.05), style["hem_y"] + _choose(rng, (3, -0.06, 0.1), (1, -0.15, 0.35))]
    return np.concatenate([left * [-1, 1], right, [neck, hem]]), number


def outline(points: Curve, rng: np.random.Generator | None = None) -> tuple[list[Curve], Curve]:
    """Polygons (body, then the two sleeves) through the landmarks, and the curve that the body's outline follows.

    Args:
        points: (20, 2) landmarks, in any unit.
        rng: Bows the edges at random; None draws them plain.
    """
    bow = rng.normal(0, 0.05, 14) if rng is not None else np.zeros(14)
    left, right, neck, hem = points[:RIGHT], points[RIGHT : RIGHT + 9], points[18], points[19]
    bare = np.linalg.norm(left[CO] - left[S]) < 1e-6
    hole = abs(float(bow[13])) * 2 + 0.22 if bare else 0.0  # an armhole is cut inwards
    body = np.concatenate(
        [
            bent(left[N], neck, bow[0] + 0.12, 6),
            bent(neck, right[N], bow[0] + 0.12, 6),
            bent(right[N], right[S], bow[1] * 0.5, 5),
            bent(right[S], right[A], -hole + bow[2] * 0.5, 6),
            bent(right[A], right[W], bow[3]),
            bent(right[W], right[H], bow[3]),
            bent(right[H], hem, bow[4] - 0.03),
            bent(hem, left[H], bow[4] - 0.03),
            bent(left[H], left[W], bow[5]),
            bent(left[W], left[A], bow[5]),
            bent(left[A], left[S], -hole + bow[6] * 0.5, 6),
            bent(left[S], left[N], bow[7] * 0.5, 5),
        ]
    )
    parts = [body]
    for side, sign in ((left, -1.0), (right, 1.0)):
        if not bare:
            parts.append(
                np.concatenate(
                    [
                        bent(side[S], side[EO], sign * 0.05 + bow[8] * 0.5),
                        bent(side[EO], side[CO], bow[9] * 0.5),
                        bent(side[CO], side[CI], bow[10]),
                        bent(side[CI], side[EI], bow[11] * 0.5),
                        bent(side[EI], side[A], bow[12]),
                    ]
                )
            )
    return parts, body


def _crumple(rng: np.random.Generator):
    """A random smooth map of the plane: turn, shear, stretch and three waves."""
    turn = rng.normal(0, 0.09) if rng.random() < 0.85 else rng.normal(0, 0.3)
    c, s = math.cos(turn), math.sin(turn)
    matrix = np.array([[c, -s], [s, c]]) @ np.array(
        [[rng.uniform(0.8, 1.25), rng.normal(0, 0.05)], [rng.normal(0, 0.03), 1]]
    )
    waves = [(rng.normal(0, 0.04, 2), rng.uniform(0.6, 1.9, 2), rng.uniform(0, 2 * math.pi)) for _ in range(3)]

    def apply(points: Curve) -> Curve:
        bentpoints = points @ matrix.T
        out = bentpoints.copy()
        for size, frequency, phase in waves:
            out += size * np.sin(bentpoints @ frequency + phase)[:, None]
        return out

    return apply


def draw(rng: np.random.Generator, size: int = SIZE, *, errors: bool = True) -> Silhouette:
    """Draw one garment's mask with its landmarks.

    Args:
        rng: Source of chance.
        size: Side of the square mask in pixels.
        errors: Add the mistakes of a cut-out, hoods, collars and hangers.
    """
    raw, sleeve = draw_points(rng)
    crumple = _crumple(rng)
    polygons = [crumple(p) for p in outline(raw, rng)[0]]
    points = crumple(raw)
    everything = np.concatenate(polygons)
    low, high = everything.min(0), everything.max(0)
    scale = size * rng.uniform(0.7, 0.9) / float((high - low).max())
    offset = (size - (high - low) * scale) / 2 + rng.normal(0, 0.012 * size, 2) - low * scale
    big = size * OVERSAMPLE

    def to_pixels(p: Curve) -> NDArray[np.int32]:
        return np.round(((p * scale + offset + 0.5) * OVERSAMPLE - 0.5) * 8).astype(np.int32)

    canvas = np.zeros((big, big), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(canvas, [to_pixels(polygon)], 255, cv2.LINE_AA, shift=3)
    if errors:
        _decorate(canvas, points, scale * OVERSAMPLE, to_pixels, rng)
        _damage(canvas, to_pixels(everything) // 8, rng)
    mask = np.asarray(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    return Silhouette(mask, (points * scale + offset).astype(np.float32), sleeve)


def _decorate(canvas: NDArray[np.uint8], points: Curve, unit: float, to_pixels, rng: np.random.Generator) -> None:
    """Hood, collar or hanger, drawn into ``canvas``; ``unit`` is half a shoulder width in its pixels."""
    left, right = points[N], points[RIGHT + N]
    middle, across = (left + right) / 2, right - left
    x, y = (int(v) for v in to_pixels(middle[None])[0] // 8)
    tilt = math.degrees(math.atan2(across[1], across[0]))
    chance = rng.random()
    if chance < 0.12:  # hood
        axes = (int(unit * rng.uniform(0.4, 0.85)), int(unit * rng.uniform(0.4, 0.95)))
        cv2.ellipse(canvas, (x, y - axes[1] // 3), axes, tilt, 0, 360, 255, -1, cv2.LINE_AA)
    elif chance < 0.3:  # standing or lying collar
        up = np.array([across[1], -across[0]]) / (np.linalg.norm(across) + 1e-6)
        tall, spread = rng.uniform(0.08, 0.45), rng.uniform(-0.15, 0.2)
        flat = rng.uniform(0.1, 1.0)
        top = [
            left + up * tall - across * spread * 0.3,
            middle + up * tall * flat,
            right + up * tall + across * spread * 0.3,
        ]
        cv2.fillPoly(canvas, [to_pixels(np.stack([left, *top, right, points[18]]))], 255, cv2.LINE_AA, shift=3)
    if rng.random() < 0.14:  # what is left of a hanger
        thick = max(1, int(unit * rng.uniform(0.03, 0.1)))
        height = int(unit * rng.uniform(0.3, 0.9))
        cv2.line(canvas, (x, y), (x + int(rng.normal(0, 0.05) * unit), y - height), 255, thick)
        cv2.ellipse(canvas, (x + height // 5, y - height), (height // 5, height // 5), 0, 150, 380, 255, thick)
        cv2.fillPoly(
            canvas,
            [to_pixels(np.stack([left, middle, right, middle + np.array([0, rng.uniform(0.05, 0.2)])]))],
            255,
            shift=3,
        )


def _damage(canvas: NDArray[np.uint8], edge: NDArray[np.int32], rng: np.random.Generator) -> None:
    """Bites and bumps on the outline, closed gaps, a wobbling border."""
    share = canvas.shape[0] / 192
    for _ in range(rng.integers(0, 4)):
        x, y = edge[rng.integers(len(edge))]
        radius = int(rng.uniform(2, 9) * share)
        cv2.circle(canvas, (int(x), int(y)), radius, 255 if rng.random() < 0.4 else 0, -1)
    if rng.random() < 0.25:
        kernel = np.ones((int(rng.integers(3, 13)),) * 2, np.uint8)
        canvas[:] = cv2.morphologyEx(canvas, cv2.MORPH_CLOSE, kernel)
    if rng.random() < 0.25:
        kernel = np.ones((int(rng.integers(2, 5)),) * 2, np.uint8)
        canvas[:] = cv2.erode(canvas, kernel) if rng.random() < 0.5 else cv2.dilate(canvas, kernel)
    if rng.random() < 0.3:
        noise = cv2.resize(
            rng.standard_normal((24, 24)).astype(np.float32), canvas.shape[::-1], interpolation=cv2.INTER_CUBIC
        )
        soft = cv2.GaussianBlur(canvas, (0, 0), 3 * share).astype(np.float32) / 255
        canvas[:] = np.where(soft + 0.12 * noise > 0.5, 255, 0)
