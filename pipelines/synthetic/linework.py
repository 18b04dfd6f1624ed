"""Line drawings of buildings, as a ruler draws them or a hand: black ink on white, cropped to the drawing.

What is drawn is exact (hidden_lines.py); a hand then moves, lengthens, breaks and repeats it. The sizes of those slips
are our choice, wide enough to hold what pens and people do.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
import PIL.Image
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.types import Image, Mesh
from pipelines.synthetic.buildings import Building
from pipelines.synthetic.hidden_lines import (
    Camera,
    Edges,
    drawn_edges,
    in_frame,
    sample_camera,
    sample_view,
    sight,
    visible_runs,
)
from pipelines.synthetic.strokes import joined, resampled, surroundings, wall_marks

__all__ = [
    "CLEAN",
    "Camera",
    "Hand",
    "draw",
    "draw_placed",
    "in_frame",
    "lines",
    "on_paper",
    "sample_camera",
    "sample_hand",
    "sample_view",
]

Floats = NDArray[np.float64]

_SUPERSAMPLING = 2
_POINTS = 14  # points along a stroke of a hand
_SUBPIXEL = 4  # bits


@dataclass(frozen=True)
class Hand:
    """How a drawing is made. Lengths are shares of the drawing's longer side where nothing else is said.

    Attributes:
        stroke: Width of the pen in pixels of a drawing of 128.
        pressure: Share by which the width differs from stroke to stroke.
        jitter: How far ends of strokes miss their corner (sigma).
        wobble: How far strokes leave the straight line (sigma).
        overshoot: How far strokes go past a corner at most.
        gaps: Chance that a stroke is broken.
        missing: Chance that a short stroke is left out; a long one is five times as safe.
        restating: Chance that a stroke is drawn twice.
        roll: Degrees by which the paper is turned.
        shear: Share by which what is right of the middle slides down.
        tone: Darkness of the ink, 0 to 1.
        windows: Share of walls with windows.
        hatching: One side is shaded with parallel strokes.
        ground: A ground line is drawn.
        tree: A tree is drawn.
        margin: White border.
    """

    stroke: float = 1.3
    pressure: float = 0.0
    jitter: float = 0.0
    wobble: float = 0.0
    overshoot: float = 0.0
    gaps: float = 0.0
    missing: float = 0.0
    restating: float = 0.0
    roll: float = 0.0
    shear: float = 0.0
    tone: float = 1.0
    windows: float = 0.0
    hatching: bool = False
    ground: bool = False
    tree: bool = False
    margin: float = 0.06


CLEAN = Hand()


def sample_hand(rng: Generator, level: int = 1) -> Hand:
    """Draw a hand: level 0 is ``CLEAN``, 1 the mix to train with, 2 a careless one to test with."""
    if level <= 0:
        return CLEAN
    worse = 1.0 if level == 1 else 1.5
    return Hand(
        stroke=rng.uniform(0.8, 3.2) * (1.0 if level == 1 else 1.2),
        pressure=rng.uniform(0, 0.25),
        jitter=rng.uniform(0, 0.014) * worse,
        wobble=rng.uniform(0, 0.011) * worse,
        overshoot=rng.uniform(0, 0.05) * worse,
        gaps=rng.uniform(0, 0.12) * worse,
        missing=rng.uniform(0, 0.12) * worse,
        restating=rng.uniform(0, 0.5) * worse if rng.random() < 0.4 else 0.0,
        roll=rng.normal(0, 6) * (1.0 if level == 1 else 1.2),
        shear=rng.normal(0, 0.02) * worse,
        tone=rng.uniform(0.55, 1),
        windows=rng.uniform(0.3, 1) if rng.random() < 0.22 else 0.0,
        hatching=bool(rng.random() < 0.05),
        ground=bool(rng.random() < 0.06),
        tree=bool(rng.random() < 0.03),
        margin=rng.uniform(0.03, 0.09),
    )


def lines(subject: Building | Mesh, camera: Camera, marks: Edges | None = None) -> tuple[Floats, NDArray[np.bool_]]:
    """Return what the camera sees of a building's edges.

    Args:
        subject: A building, or a mesh in the frame of buildings (``in_frame``).
        camera: From where.
        marks: Further lines on its faces.

    Returns:
        (L, 2, 2) float64 ends in the picture, x to the right and y down, in no special unit; and (L,) bool, which of
        them are marks.

    Raises:
        InputError: A mesh outside of the frame of buildings.
    """
    mesh, blocked = sight(subject)
    eye = camera.eye
    edges = drawn_edges(mesh, eye)
    own = len(edges.ends)
    if marks is not None:
        edges = Edges(np.concatenate([edges.ends, marks.ends]), np.concatenate([edges.out, marks.out]))
    runs, edge = visible_runs(edges, eye, blocked)
    return camera.project(runs), edge >= own


def draw(subject: Building | Mesh, camera: Camera, hand: Hand, rng: Generator, size: int = 128) -> NDArray[np.uint8]:
    """Draw a building: `draw_placed` without the places."""
    return draw_placed(subject, camera, hand, rng, size)[0]


def draw_placed(
    subject: Building | Mesh, camera: Camera, hand: Hand, rng: Generator, size: int = 128
) -> tuple[NDArray[np.uint8], Floats]:
    """Draw a building, and tell where its points lie in the picture.

    Args:
        subject: A building, or a mesh in the frame of buildings (``in_frame``); only buildings get windows and
            hatching, as only they know their walls.
        camera: From where.
        hand: How.
        rng: Source of chance for the slips of the hand.
        size: Side of the picture in pixels.

    Returns:
        (size, size) uint8 grey, black ink on white, the drawing centred and filling the square up to the margin; and
        (3, 4) float64, which takes a point (x, y, z, 1) to (u w, v w, w), u and v from -1 to 1 across and down the
        picture; what slips of the hand move lies beside that place. Its last number is 1.

    Raises:
        InputError: A mesh outside of the frame of buildings.
    """
    marks = None
    if isinstance(subject, Building) and (hand.windows or hand.hatching):
        marks = wall_marks(subject.parts, camera.eye, hand.windows, hand.hatching, rng)
    ends, is_mark = lines(subject, camera, marks)
    strokes = joined(ends[~is_mark])
    main = len(strokes)
    strokes += list(ends[is_mark])
    strokes += surroundings((ends.min((0, 1)), ends.max((0, 1))), hand.ground, hand.tree, rng) if len(ends) else []
    strokes, place = _fitted(strokes, hand)
    projection = np.concatenate([2 * place[:2] - place[2:], place[2:]]) @ camera.matrix
    canvas = np.zeros((size * _SUPERSAMPLING,) * 2, np.uint8)
    if hand.jitter or hand.wobble or hand.overshoot or hand.missing or hand.restating or hand.gaps:
        strokes, light = _by_hand(strokes, main, hand, rng)
    else:
        light = [index >= main for index in range(len(strokes))]
    width = hand.stroke * _SUPERSAMPLING * size / 128
    scale = size * _SUPERSAMPLING * 2**_SUBPIXEL
    pressure = 1 + hand.pressure * rng.uniform(-1, 1, len(strokes))
    for stroke, is_light, press in zip(strokes, light, pressure, strict=True):
        thick = width * (0.7 if is_light else 1.0) * press
        tone = hand.tone * (0.85 if is_light else 1.0)
        points = np.round(stroke * scale - 2 ** (_SUBPIXEL - 1)).astype(np.int32)
        cv2.polylines(canvas, [points], False, round(255 * tone), max(1, round(thick)), cv2.LINE_AA, _SUBPIXEL)
    return 255 - cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), projection / projection[2, 3]


def _fitted(strokes: list[Floats], hand: Hand) -> tuple[list[Floats], Floats]:
    """Roll and shear the drawing, then fit it into the unit square; also the (3, 3) matrix that does so."""
    angle = np.radians(hand.roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle) + hand.shear, np.cos(angle)]])
    if not strokes:
        return strokes, np.eye(3)
    everything = np.concatenate(strokes) @ turn.T
    low, high = everything.min(0), everything.max(0)
    scale = (1 - 2 * hand.margin) / max(float((high - low).max()), 1e-9)
    middle = (low + high) / 2
    place = np.eye(3)
    place[:2, :2], place[:2, 2] = scale * turn, 0.5 - scale * middle
    placed = (everything - middle) * scale + 0.5
    return np.split(placed, np.cumsum([len(stroke) for stroke in strokes])[:-1]), place


def _by_hand(strokes: list[Floats], main: int, hand: Hand, rng: Generator) -> tuple[list[Floats], list[bool]]:
    """Return strokes as a hand draws them, and which of them are light."""
    if not strokes:
        return [], []
    points = resampled(strokes, _POINTS)
    length = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1)
    # what is long carries the building and is seldom forgotten
    which = np.flatnonzero(rng.random(len(strokes)) >= hand.missing * np.clip(1.2 - 2 * length, 0.2, 1))
    which = np.concatenate([which, which[rng.random(len(which)) < hand.restating]])
    points, length = points[which], length[which]
    count, light = len(which), which >= main
    share = np.linspace(0, 1, _POINTS)[None, :, None]

    slip = rng.normal(size=(2, count, 1, 2)) * (hand.jitter * np.minimum(1, 4 * length))[:, None, None]
    bow, wave = rng.normal(size=(2, count, 1, 2)) * (hand.wobble * np.minimum(1, 3 * length))[:, None, None]
    pace, phase = rng.uniform(0.7, 1.8, (count, 1, 1)), rng.uniform(0, 2 * np.pi, (count, 1, 1))
    bent = points + slip[0] * (1 - share) + slip[1] * share
    bent += bow * np.sin(np.pi * share) + 0.6 * wave * np.sin(2 * np.pi * pace * share + phase)

    past = rng.random((2, count)) * hand.overshoot * np.minimum(1, 3 * length) * ~light
    first, last = points[:, 0] - points[:, 1], points[:, -1] - points[:, -2]
    bent[:, 0] += first / (np.linalg.norm(first, axis=1, keepdims=True) + 1e-9) * past[0][:, None]
    bent[:, -1] += last / (np.linalg.norm(last, axis=1, keepdims=True) + 1e-9) * past[1][:, None]

    drawn: list[Floats] = []
    lights: list[bool] = []
    broken = rng.random(count) < hand.gaps
    breaks = rng.integers(3, _POINTS - 4, count)
    for index in range(count):
        pieces = [bent[index]]
        if broken[index] and length[index] > 0.08:
            pieces = [bent[index, : breaks[index]], bent[index, breaks[index] + 1 :]]
        drawn += pieces
        lights += [bool(light[index])] * len(pieces)
    return drawn, lights


def on_paper(grey: NDArray[np.uint8], rng: Generator) -> Image:
    """Return a photograph of a drawing on paper: tilt, tint, pen colour, falling light, a shadow, blur, noise, JPEG.

    Args:
        grey: (h, w) uint8 drawing, black ink on white.
        rng: Source of chance.

    Returns:
        (H, W, 3) uint8; a border of paper of 4 to 15 % of the drawing's longer side is added.
    """
    border = round(max(grey.shape) * rng.uniform(0.04, 0.15))
    ink = cv2.copyMakeBorder(255 - grey, border, border, border, border, cv2.BORDER_CONSTANT, value=[0.0])
    height, width = ink.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    tilted = corners + rng.uniform(-0.05, 0.05, (4, 2)).astype(np.float32) * (width, height)
    warp = cv2.getPerspectiveTransform(corners, tilted.astype(np.float32))
    amount = cv2.warpPerspective(ink, warp, (width, height), flags=cv2.INTER_AREA).astype(np.float32)[..., None] / 255

    paper = np.full((height, width, 3), rng.uniform(0.7, 0.97), np.float32) * rng.uniform(0.93, 1.0, 3).astype(
        np.float32
    )
    ruled = rng.random()
    if ruled < 0.16:
        pitch = max(6, round(width * rng.uniform(0.03, 0.06)))
        paper[pitch // 2 :: pitch] *= 0.9
        if ruled < 0.08:
            paper[:, pitch // 2 :: pitch] *= 0.9
    pen = np.array(((0.08, 0.08, 0.1), (0.1, 0.15, 0.45), (0.35, 0.35, 0.36))[int(rng.integers(3))], np.float32)
    photo = paper * (1 - amount) + pen * amount

    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    slope = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    light = 1 - rng.uniform(0, 0.3) * (slope + 0.5)
    if rng.random() < 0.5:
        edge = rng.uniform(-0.3, 0.3)
        light = light * (1 - rng.uniform(0.1, 0.35) / (1 + np.exp(-(slope - edge) * rng.uniform(15, 60))))
    photo *= light.astype(np.float32)[..., None]

    grain = rng.normal(size=(height, width, 1)) * rng.uniform(0.005, 0.025)
    clouds = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 3)[..., None] * rng.uniform(0.01, 0.05)
    photo = cv2.GaussianBlur(np.clip(photo + grain + clouds, 0, 1), (0, 0), rng.uniform(0.4, 1.0))
    data = io.BytesIO()
    PIL.Image.fromarray(np.round(photo * 255).astype(np.uint8)).save(data, "JPEG", quality=int(rng.integers(55, 95)))
    return np.asarray(PIL.Image.open(data), np.uint8)
