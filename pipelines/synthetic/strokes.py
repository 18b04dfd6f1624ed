"""Pen strokes on a plane: edges joined as a hand draws them, and what stands on a drawing besides the building."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.synthetic.building_parts import Part
from pipelines.synthetic.hidden_lines import Edges

Floats = NDArray[np.float64]

_SMOOTH = np.cos(np.radians(30))  # a hand goes on through a flatter turn without lifting the pen (our choice)
_SAME_POINT = 1e-4


def joined(lines: Floats) -> list[Floats]:
    """Join lines (L, 2, 2) that go on in each other into polylines (M, 2): pieces of an edge, facets of a curve."""
    span = lines[:, 1] - lines[:, 0]
    length = np.linalg.norm(span, axis=1)
    lines = lines[length > _SAME_POINT]
    direction = span[length > _SAME_POINT] / length[length > _SAME_POINT, None]
    meeting: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for index, ends in enumerate(np.round(lines / _SAME_POINT).astype(np.int64).tolist()):
        for end in (0, 1):
            meeting[tuple(ends[end])].append((index, end))
    partner: dict[tuple[int, int], tuple[int, int]] = {}
    for here in meeting.values():
        # of all that meet, the straightest pair goes first
        pairs = []
        for first, one in enumerate(here):
            for other in here[first + 1 :]:
                straight = float(direction[one[0]] @ direction[other[0]]) * (1 if one[1] != other[1] else -1)
                if straight > _SMOOTH:
                    pairs.append((straight, one, other))
        for _, one, other in sorted(pairs, reverse=True):
            if one not in partner and other not in partner:
                partner[one], partner[other] = other, one
    return _chains(lines, partner)


def _chains(lines: Floats, partner: dict[tuple[int, int], tuple[int, int]]) -> list[Floats]:
    chains: list[Floats] = []
    done = np.zeros(len(lines), bool)
    # open chains from their ends, then what is left runs in circles
    starts = [(i, end) for i in range(len(lines)) for end in (0, 1) if (i, end) not in partner]
    for index, end in starts + [(i, 0) for i in range(len(lines))]:
        if done[index]:
            continue
        points = [lines[index, end]]
        while not done[index]:
            done[index] = True
            points.append(lines[index, 1 - end])
            if (index, 1 - end) not in partner:
                break
            index, end = partner[index, 1 - end]
        chains.append(np.array(points))
    return chains


def resampled(strokes: list[Floats], count: int) -> Floats:
    """Return (S, count, 2) points evenly along polylines (M, 2), of which most are straight lines."""
    share = np.linspace(0, 1, count)
    first, last = (np.array([stroke[end] for stroke in strokes])[:, None] for end in (0, -1))
    points = first + share[:, None] * (last - first)
    for index, stroke in enumerate(strokes):
        if len(stroke) > 2:
            along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
            for axis in (0, 1):
                points[index, :, axis] = np.interp(share * along[-1], along, stroke[:, axis])
    return points


def _on_wall(wall: Floats, lines: Floats) -> Floats:
    """Return lines (L, 2, 3) of shares (L, 2, 2) across and up a wall (4, 3)."""
    across, up = wall[1] - wall[0], wall[3] - wall[0]
    return wall[0] + lines[..., :1] * across + lines[..., 1:] * up


def _rectangle(left: float, right: float, low: float, high: float) -> list[list[tuple[float, float]]]:
    corners = [(left, low), (right, low), (right, high), (left, high)]
    return [[corners[i], corners[(i + 1) % 4]] for i in range(4)]


def _openings(rng: Generator) -> Floats:
    """Draw windows of one wall as lines (L, 2, 2) in shares of it: a grid of openings, bands, or posts."""
    columns, rows = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    wide, high = rng.uniform(0.3, 0.7, 2)
    kind = rng.random()
    lines: list[list[tuple[float, float]]] = []
    if kind < 0.2:
        for row in range(rows):
            lines += [
                [(0.02, (row + 0.5 + side * high / 2) / rows), (0.98, (row + 0.5 + side * high / 2) / rows)]
                for side in (-1, 1)
            ]
    elif kind < 0.3:
        lines += [
            [((column + 1) / (columns + 1), 0.02), ((column + 1) / (columns + 1), 0.98)] for column in range(columns)
        ]
    else:
        for row in range(rows):
            for column in range(columns):
                if rng.random() < 0.9:
                    left, low = (column + 0.5 - wide / 2) / columns, (row + 0.5 - high / 2) / rows
                    lines += _rectangle(left, left + wide / columns, low, low + high / rows)
    if rng.random() < 0.3:
        left, door = rng.uniform(0.1, 0.75), rng.uniform(0.08, 0.15)
        lines += _rectangle(left, left + door, 0, rng.uniform(0.25, 0.5))
    return np.array(lines).reshape(-1, 2, 2)


def _shading(rng: Generator) -> Floats:
    """Draw the hatching of one wall as parallel lines (L, 2, 2) in shares of it."""
    count, lean = int(rng.integers(6, 16)), rng.uniform(-0.15, 0.15)
    at = (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count * (1 - abs(lean)) + max(-lean, 0)
    low, high = rng.uniform(0.02, 0.2, count), rng.uniform(0.75, 0.98, count)
    lines = np.stack([np.stack([at, low], 1), np.stack([at + lean, high], 1)], 1)
    return lines if rng.random() < 0.6 else lines[..., ::-1]


def wall_marks(parts: tuple[Part, ...], eye: Floats, windows: float, hatching: bool, rng: Generator) -> Edges:
    """Draw what is on walls that look at the eye: windows on a share ``windows`` of them, hatching on one side."""
    walls = np.concatenate([part.walls for part in parts])
    out = np.cross(walls[:, 1] - walls[:, 0], walls[:, 3] - walls[:, 0])
    middles = np.repeat([part.vertices.mean(0) for part in parts], [len(part.walls) for part in parts], axis=0)
    out *= np.sign(((walls.mean(1) - middles) * out).sum(1))[:, None]
    out /= np.linalg.norm(out, axis=1, keepdims=True) + 1e-12
    wide = np.linalg.norm(walls[:, 1] - walls[:, 0], axis=1) > 0.1
    high = walls[:, 3, 1] - walls[:, 0, 1] > 0.08
    shown = np.flatnonzero(wide & high & (((eye - walls[:, 0]) * out).sum(1) > 0))
    shaded = out[rng.choice(shown)] if hatching and len(shown) else None
    ends, normals = [np.zeros((0, 2, 3))], [np.zeros((0, 3))]
    for index in shown:
        lines = np.zeros((0, 2, 2))
        if rng.random() < windows:
            lines = _openings(rng)
        if shaded is not None and out[index] @ shaded > 0.99:
            lines = np.concatenate([lines, _shading(rng)])
        ends.append(_on_wall(walls[index], lines))
        normals.append(np.broadcast_to(out[index], (len(lines), 3)))
    return Edges(np.concatenate(ends), np.concatenate(normals))


def surroundings(box: tuple[Floats, Floats], ground: bool, tree: bool, rng: Generator) -> list[Floats]:
    """Draw what people add around a building.

    Args:
        box: Upper left and lower right corner (2,) of the drawing.
        ground: A line on which it stands.
        tree: A tree beside it.
        rng: Source of chance.

    Returns:
        Polylines (M, 2) in the units of the box.
    """
    (left, top), (right, bottom) = box
    size = max(right - left, bottom - top)
    added: list[Floats] = []
    if ground:
        level = bottom - rng.uniform(-0.02, 0.12) * size
        ends = left - rng.uniform(0.02, 0.2) * size, right + rng.uniform(0.02, 0.2) * size
        tilt = rng.normal(0, 0.01) * size
        added.append(np.array([[ends[0], level - tilt], [ends[1], level + tilt]]))
    if tree:
        side = 1 if rng.random() < 0.5 else -1
        x = (right if side > 0 else left) + side * rng.uniform(0.06, 0.2) * size
        foot, crown = bottom - rng.uniform(0, 0.1) * size, rng.uniform(0.08, 0.16) * size
        trunk = rng.uniform(0.1, 0.25) * size
        angle = np.linspace(0, 2 * np.pi, 20)
        radius = crown * (1 + 0.15 * np.sin(angle * int(rng.integers(3, 7)) + rng.uniform(0, 6)))
        blob = np.stack([x + 0.8 * radius * np.cos(angle), foot - trunk - crown + radius * np.sin(angle)], 1)
        added += [np.array([[x, foot], [x, foot - trunk]]), blob]
    return added
