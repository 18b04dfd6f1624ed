"""Families of buildings whose plan is no rectangle and no letter: many-cornered, skewed, bent and twisted ones."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.synthetic.building_parts import Floats, Rect, box, cone, extruded, turned
from pipelines.synthetic.building_roofs import Parts, chance, roofed, spread


def grid(rng: Generator) -> Parts:
    """A many-cornered right-angled plan: cells of an uneven grid, in one or several heights."""
    columns, rows = (int(n) for n in rng.integers(2, 5, 2))
    xs, zs = ([0.0, *np.cumsum(rng.uniform(0.12, 0.4, n)).tolist()] for n in (columns, rows))
    filled = _walked(rng, rows, columns)
    height, steps = spread(rng, 0.12, 1.2), chance(rng, 0.35)
    parts = []
    for line in range(rows):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], filled[line], [0]])))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            own = height * float(rng.choice((0.6, 1.0, 1.5))) if steps else height
            parts.append(box(Rect(xs[start], xs[end], zs[line], zs[line + 1]), 0, own))
    return parts


def _walked(rng: Generator, rows: int, columns: int) -> NDArray[np.bool_]:
    """Fill cells (rows, columns) on a random walk that leaves at least one, so that the plan is no rectangle."""
    filled = np.zeros((rows, columns), bool)
    row, column = int(rng.integers(rows)), int(rng.integers(columns))
    for _ in range(int(rng.integers(2 * (rows + columns), 4 * rows * columns))):
        if filled.sum() < filled.size - 1:
            filled[row, column] = True
        if chance(rng, 0.5):
            row = int(np.clip(row + rng.choice((-1, 1)), 0, rows - 1))
        else:
            column = int(np.clip(column + rng.choice((-1, 1)), 0, columns - 1))
    return filled


def polygon(rng: Generator) -> Parts:
    """An irregular plan drawn up: trapezoids, convex many-corners, and letters whose corners are not square."""
    height, kind = spread(rng, 0.12, 1.4), rng.random()
    if kind < 0.3:
        return [extruded(_skewed(rng, Rect(0, 1, 0, rng.uniform(0.3, 1)), 0.18), 0, height)]
    if kind < 0.5:
        plan = _many_cornered(rng)
        if chance(rng, 0.25):
            return [cone(plan, 0, height, rng.uniform(0.1, 0.4))]
        parts = [extruded(plan, 0, height)]
        if chance(rng, 0.3):
            middle = plan.mean(0)
            parts.append(extruded(middle + (plan - middle) * rng.uniform(0.4, 0.8), 0, height * rng.uniform(1.2, 2)))
        return parts
    outline = np.array(_LETTERS[int(rng.integers(len(_LETTERS)))], np.float64)
    outline = outline * (1, rng.uniform(0.5, 1)) + rng.normal(0, rng.uniform(0.01, 0.05), outline.shape)
    return prism(outline @ np.array([[1, 0], [rng.normal(0, 0.15), 1]]), height)


_LETTERS = (
    ((0, 0), (1, 0), (1, 0.35), (0.38, 0.35), (0.38, 1), (0, 1)),
    ((0, 0), (1, 0), (1, 1), (0.68, 1), (0.68, 0.4), (0.32, 0.4), (0.32, 1), (0, 1)),
    ((0, 0), (1, 0), (1, 0.4), (0.68, 0.4), (0.68, 1), (0.3, 1), (0.3, 0.4), (0, 0.4)),
    ((0, 0), (0.6, 0), (0.6, 0.2), (1, 0.2), (1, 0.75), (0.8, 0.75), (0.8, 1), (0.2, 1), (0.2, 0.6), (0, 0.6)),
    ((0, 0.2), (0.5, 0), (1, 0.2), (0.85, 0.6), (0.5, 0.42), (0.15, 0.6)),
    ((0, 0), (0.75, 0), (1, 0.3), (1, 1), (0.55, 1), (0.55, 0.5), (0, 0.5)),
)


def prism(outline: Floats, height: float) -> Parts:
    """Return a plan of any simple shape, (K, 2) points counter-clockwise, drawn up as convex prisms that overlap.

    Prisms that only touched would leave it to the union's rounding whether they are one body.
    """
    pieces = convex_pieces(outline)
    seams = [
        _seam(outline, one, other, shared)
        for first, one in enumerate(pieces)
        for other in pieces[first + 1 :]
        if (shared := _shared_edge(one, other)) is not None
    ]
    return [extruded(plan, 0, height) for plan in [*(outline[piece] for piece in pieces), *seams]]


def convex_pieces(outline: Floats) -> list[list[int]]:
    """Cut a simple polygon, (K, 2) points counter-clockwise, into convex ones: ears, put together while that is convex.

    Own code, as libraries cut differently from one release to the next, and an evaluation set must not.
    """
    pieces = _ears(outline)
    at = 0
    while at < len(pieces):
        for other in pieces[at + 1 :]:
            shared = _shared_edge(pieces[at], other)
            if shared is None:
                continue
            start, end = shared
            one, two = _from(pieces[at], end), _from(other, start)
            whole = one + two[1:-1]
            if _is_convex(outline[whole]):
                pieces[at] = whole
                pieces.remove(other)
                break
        else:
            at += 1
    return pieces


def _ears(outline: Floats) -> list[list[int]]:
    left, cut = list(range(len(outline))), []
    while len(left) > 3:
        ears = []
        for at in range(len(left)):
            ear = [left[at - 1], left[at], left[(at + 1) % len(left)]]
            a, b, c = outline[ear]
            others = [outline[index] for index in left if index not in ear]
            if _left(a, b, c) > 0 and not any(min(_left(a, b, p), _left(b, c, p), _left(c, a, p)) >= 0 for p in others):
                ears.append((_left(a, b, c), at, ear))
        if not ears:
            raise ValueError(f"no simple polygon that runs counter-clockwise: {outline.tolist()}")
        _, at, ear = max(ears)
        cut.append(ear)
        del left[at]
    return [*cut, left]


def _left(a: Floats, b: Floats, c: Floats) -> float:
    """Twice the area of a triangle of points (2,), positive if it runs counter-clockwise."""
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _is_convex(plan: Floats, least: float = 1e-6) -> bool:
    count = len(plan)
    return all(_left(plan[i - 1], plan[i], plan[(i + 1) % count]) > least for i in range(count))


def _from(piece: list[int], start: int) -> list[int]:
    at = piece.index(start)
    return piece[at:] + piece[:at]


def _shared_edge(one: list[int], other: list[int]) -> tuple[int, int] | None:
    """Return the edge (start, end) of one piece that the other runs along the other way."""
    back = {(other[i], other[i - 1]) for i in range(len(other))}
    return next(((one[i - 1], one[i]) for i in range(len(one)) if (one[i - 1], one[i]) in back), None)


def _seam(outline: Floats, one: list[int], other: list[int], shared: tuple[int, int]) -> Floats:
    """Return a convex plan (4, 2) across the shared edge, inside both pieces."""
    start, end = outline[list(shared)]
    middle, reach = (start + end) / 2, 0.5
    while True:
        left, right = (middle + reach * (outline[piece].mean(0) - middle) for piece in (one, other))
        plan = np.array([start, right, end, left])
        if _is_convex(plan, 0.0):  # so it is at the latest when both corners are close to the middle
            return plan
        reach /= 2


def _skewed(rng: Generator, plan: Rect, amount: float) -> Floats:
    corners = np.array([(x, z) for x, _, z in plan.corners(0)])
    return corners + rng.uniform(-amount, amount, (4, 2)) * (plan.width, plan.depth)


def _many_cornered(rng: Generator) -> Floats:
    """Return a convex plan of five to nine corners."""
    count = int(rng.integers(5, 10))
    angle = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * np.pi / count
    return np.stack([np.cos(angle) * 0.5, np.sin(angle) * rng.uniform(0.3, 0.5)], 1)


def bent(rng: Generator) -> Parts:
    """Wings that meet at odd angles, as on old streets: one to three turned blocks at a main one."""
    height, kind = spread(rng, 0.15, 0.9), "gable" if chance(rng, 0.4) else "flat"
    pitch, wide = rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.4)
    parts = roofed(rng, Rect(0, 1, -wide / 2, wide / 2), height, kind, pitch)
    for _ in range(int(rng.integers(1, 4))):
        at, degrees = float(rng.choice((0.1, 0.9))) + rng.normal(0, 0.03), rng.uniform(20, 160) * rng.choice((-1, 1))
        own, length = wide * rng.uniform(0.7, 1.1), rng.uniform(0.4, 0.9)
        wing = roofed(
            rng, Rect(0, length, -own / 2, own / 2), height * rng.choice((1.0, rng.uniform(0.6, 1.4))), kind, pitch
        )
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        parts += [each.placed(turn, np.array([-at, 0, 0]), 1.0) for each in wing]
    return parts


def twisted(rng: Generator) -> Parts:
    """Storeys stacked out of square: each turned, shifted or cantilevered over the one below."""
    plan = np.array([(x, z) for x, _, z in Rect(-0.5, 0.5, *(rng.uniform(0.25, 0.5) * np.array([-1, 1]))).corners(0)])
    step, bottom, parts = rng.uniform(4, 40) * rng.choice((-1, 1)), 0.0, []
    for storey in range(int(rng.integers(2, 5))):
        top = bottom + rng.uniform(0.15, 0.5)
        shift = rng.uniform(-0.15, 0.15, 2) if storey else np.zeros(2)
        parts.append(extruded(turned(plan, step * storey, (0, 0)) + shift, bottom, top))
        bottom = top
        plan = plan * rng.uniform(0.75, 1.1)
    return parts
