"""Read an occupancy field as a few storeys with straight-sided plans of any angle. Unit-free, y up; our own method.

Blocks (massing.py) lie along the axes; a wing that stands at an angle would come out of them in steps. Here the heights
are cut where the plan changes, by dynamic programming on what each cell adds (as in massing.py), and each plan is the
outline of its mean probability, made of few straight lines: axes first, then the directions that long walls ask for,
each with the one across it. Lines of different storeys that nearly meet are one. Roofs are flat.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from pipelines.mesh.massing import OVERLAP, THIN, Samples

Floats = NDArray[np.float64]

MOST = 5
LAST = 0.012  # share of the whole gain that a further storey has to add (our choice)
FINE = 1.6  # cells by which a plan may leave its outline before it gets a corner
ALIKE = 14.0  # degrees within which a wall takes a known direction
LONG = 6.0  # cells from which on a wall may ask for a direction of its own
SHORT = 2.5  # cells below which a wall is left out
MEET = 2.5  # cells; lines closer than this are one
LOW = 0.06  # of the building's longest side; a lower storey is a blurred roof (and not less than 3 cells)
# A wall is left out, and its neighbours meet, where that moves this share of the plan at most: blurred corners look
# cut off. An eighth side of an octagon is worth more than twice as much.
CUT_OFF, ALL_CUT_OFF = 0.02, 0.06


@dataclass(frozen=True)
class Storey:
    """One height range and its plan, in cells from the samples' corner.

    Attributes:
        bottom, top: Heights.
        plan: Loops (M, 2) of x and z; inner ones are courts.
    """

    bottom: float
    top: float
    plan: tuple[Floats, ...]


@dataclass
class _Lines:
    """Directions in degrees, and the lines that are in use: direction, and place along its normal."""

    directions: list[float] = field(default_factory=lambda: [0.0, 90.0])
    known: list[tuple[float, float]] = field(default_factory=list)

    def direction(self, angle: float, length: float) -> float:
        """The known direction next to an angle, or the angle itself if none is near and the wall is long."""
        away = [abs((angle - known + 90) % 180 - 90) for known in self.directions]
        nearest = int(np.argmin(away))
        if away[nearest] <= ALIKE or length < LONG:
            return self.directions[nearest]
        self.directions += [angle % 180, (angle + 90) % 180]
        return angle % 180

    def place(self, direction: float, offset: float) -> float:
        """The place of a line of this direction that nearly meets, or its own."""
        for known, at in self.known:
            if known == direction and abs(at - offset) < MEET:
                return at
        self.known.append((direction, offset))
        return offset


def storeys(samples: Samples) -> list[Storey]:
    """Find the storeys of a building, from the ground up; an empty list if no plan has straight sides enough."""
    weight = 2 * samples.values.astype(np.float64) - 1
    upto = np.concatenate([np.zeros_like(weight[:, :1]), np.cumsum(weight, axis=1)], 1)
    lines = _Lines()
    found: list[Storey] = []
    floor = 0.0
    cuts = _cuts(upto, max(3, round(LOW * max(weight.shape))))
    means = [(upto[:, high] - upto[:, low]) / (high - low) for low, high in itertools.pairwise(cuts)]
    for number, mean in enumerate(means):
        above = means[number + 1] if number + 1 < len(means) else np.full_like(mean, -1)
        top = _top(samples.values, (mean > 0) & (above <= 0), cuts[number + 1])
        plan = _plan(mean, lines)
        if not plan:
            break
        found.append(Storey(floor, top, plan))
        floor = top
    return found


def turned_share(found: list[Storey]) -> float:
    """Share of all walls that are along no axis."""
    total = turned = 0.0
    for storey in found:
        for loop in storey.plan:
            span = np.roll(loop, -1, axis=0) - loop
            length = np.hypot(*span.T)
            total += float(length.sum())
            turned += float(length[np.abs(span).min(1) > 0.05 * length].sum())
    return turned / total if total else 0.0


def solid(found: list[Storey], samples: Samples):  # -> manifold3d.Manifold, z up
    """The union of storeys, in the frame of the building turned z up."""
    import manifold3d

    parts = []
    for storey in found:
        loops = [loop * samples.step * (1, -1) + (samples.corner[0], -samples.corner[2]) for loop in storey.plan]
        section = manifold3d.CrossSection(loops, manifold3d.FillRule.EvenOdd)
        bottom = storey.bottom - (OVERLAP if storey.bottom else 0)
        height = (storey.top - bottom) * samples.step
        parts.append(section.extrude(height).translate((0, 0, float(samples.corner[1] + bottom * samples.step))))
    return manifold3d.Manifold.batch_boolean(parts, manifold3d.OpType.Add)


def _cuts(upto: Floats, least: int) -> list[int]:
    """Heights between storeys, ground and top among them, in cells: the best sum of gains less what each costs."""
    count = upto.shape[1]
    if count <= least:
        return [0, count - 1]
    gain = np.full((count, count), -np.inf)
    for low in range(count - least):
        gain[low, low + least :] = np.maximum(upto[:, low + least :] - upto[:, low : low + 1], 0).sum((0, 2))
    cost = LAST * float(gain[0].max())
    best = np.full((MOST + 1, count), -np.inf)
    came = np.zeros((MOST + 1, count), np.int64)
    best[0, 0] = 0
    for number in range(1, MOST + 1):
        options = best[number - 1][:, None] + gain - cost
        came[number], best[number] = options.argmax(0), options.max(0)
    number, top = np.unravel_index(int(best[1:].argmax()), best[1:].shape)
    number, top = int(number) + 1, int(top)
    cuts = [top]
    while number:
        top = int(came[number, top])
        cuts.append(top)
        number -= 1
    return cuts[::-1]


def _top(values: NDArray[np.float32], columns: NDArray[np.bool_], top: int) -> float:
    """Where, around a cut, the mean probability of the columns that end there passes one half."""
    if not columns.any():
        return float(top)
    line = values.transpose(0, 2, 1)[columns].mean(0)
    for cell in range(max(top - 3, 0), min(top + 3, len(line) - 1)):
        if line[cell] >= 0.5 > line[cell + 1]:
            return float(cell + 0.5 + (line[cell] - 0.5) / (line[cell] - line[cell + 1]))
    return float(top)


def _plan(mean: Floats, lines: _Lines) -> tuple[Floats, ...]:
    """Straight-sided loops around the places of a plan that are more likely inside than not."""
    least = (THIN * max(mean.shape)) ** 2
    loops = []
    outlines = [outline - 0.5 for outline in find_contours(np.pad(mean, 1, constant_values=-1.0), 0.0)]
    for outline in sorted(outlines, key=lambda each: -abs(_area(each))):
        if abs(_area(outline)) < 4 * least:
            continue
        loop = _straight(outline[:-1], lines)
        if loop is not None:
            loops.append(loop)
        elif not loops:
            return ()
    return tuple(loops)


def _straight(outline: Floats, lines: _Lines) -> Floats | None:
    """Lines in place of an outline (M, 2), or None if they do not close to about its area."""
    corners = cv2.approxPolyDP(outline.astype(np.float32)[:, None], FINE, True)[:, 0]
    if len(corners) < 3:
        return None
    at = sorted(int(np.hypot(*(outline - corner).T).argmin()) for corner in corners)
    sides = []
    for first, last in zip(at, [*at[1:], at[0] + len(outline)], strict=True):
        piece = outline[np.arange(first, last + 1) % len(outline)]
        span = piece[-1] - piece[0]
        sides.append((float(np.hypot(*span)), float(np.degrees(np.arctan2(span[1], span[0]))), piece))
    for length, angle, _ in sorted(sides, key=lambda side: -side[0]):
        lines.direction(angle, length)
    walls = []
    for length, angle, piece in sides:
        if length < SHORT:
            continue
        direction = lines.direction(angle, length)
        middle = piece[len(piece) // 6 : len(piece) - len(piece) // 6]
        offset = float((middle @ _normal(direction)).mean())
        walls.append((direction, offset, length, piece[0]))
    loop = _closed(_fewest(_joined(walls)), lines)
    if loop is None or not 0.8 < _area(loop) / _area(outline) < 1.25:
        return None
    return loop


def _joined(walls: list[tuple[float, float, float, Floats]]) -> list[tuple[float, float]]:
    """Make neighbours of one direction one line where they nearly meet; else put the wall across between them."""
    merged: list[tuple[float, float, float, Floats]] = []
    for wall in walls:
        if merged and merged[-1][0] == wall[0] and abs(merged[-1][1] - wall[1]) < MEET:
            before = merged.pop()
            total = before[2] + wall[2]
            wall = (wall[0], (before[1] * before[2] + wall[1] * wall[2]) / total, total, before[3])
        merged.append(wall)
    if len(merged) > 1 and merged[0][0] == merged[-1][0] and abs(merged[0][1] - merged[-1][1]) < MEET:
        first, last = merged[0], merged.pop()
        total = first[2] + last[2]
        merged[0] = (first[0], (first[1] * first[2] + last[1] * last[2]) / total, total, last[3])
    out: list[tuple[float, float]] = []
    for number, (direction, offset, _, start) in enumerate(merged):
        if merged[number - 1][0] == direction and len(merged) > 1:
            across = (direction + 90) % 180
            out.append((across, float(start @ _normal(across))))
        out.append((direction, offset))
    return out


def _fewest(walls: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out walls, the one that moves the plan least first."""
    corners = _corners(walls)
    whole, moved = 0.0 if corners is None else abs(_area(corners)), 0.0
    while corners is not None and len(walls) > 3:
        options = []
        for number in range(len(walls)):
            fewer = walls[:number] + walls[number + 1 :]
            there = _corners(fewer)
            if there is not None and fewer[number - 1][0] != fewer[number % len(fewer)][0]:
                options.append((abs(abs(_area(there)) - abs(_area(corners))), number, there))
        if not options:
            break
        change, number, there = min(options, key=lambda option: option[0])
        if change > CUT_OFF * whole or moved + change > ALL_CUT_OFF * whole:
            break
        walls, corners, moved = walls[:number] + walls[number + 1 :], there, moved + change
    return walls


def _closed(walls: list[tuple[float, float]], lines: _Lines) -> Floats | None:
    """The corners of walls, each on the line in use that it nearly meets; None as `_corners`."""
    return _corners([(direction, lines.place(direction, offset)) for direction, offset in walls])


def _corners(walls: list[tuple[float, float]]) -> Floats | None:
    """Where neighbouring lines meet (M, 2); None for fewer than three, or where two are nearly parallel."""
    if len(walls) < 3:
        return None
    direction, offset = np.radians([wall[0] for wall in walls]), np.array([wall[1] for wall in walls])
    normal = np.stack([-np.sin(direction), np.cos(direction)], 1)
    following, beyond = np.roll(normal, -1, axis=0), np.roll(offset, -1)
    across = normal[:, 0] * following[:, 1] - normal[:, 1] * following[:, 0]
    if np.abs(across).min() < np.sin(np.radians(8)):
        return None
    x = (offset * following[:, 1] - beyond * normal[:, 1]) / across
    z = (beyond * normal[:, 0] - offset * following[:, 0]) / across
    return np.stack([x, z], 1)


def _normal(direction: float) -> Floats:
    angle = np.radians(direction)
    return np.array([-np.sin(angle), np.cos(angle)])


def _area(loop: Floats) -> float:
    x, z = loop.T
    return float((x * np.roll(z, -1) - z * np.roll(x, -1)).sum() / 2)
