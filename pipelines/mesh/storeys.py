"""Read an occupancy field as a few storeys with straight-sided plans of any angle. Unit-free, y up; our own method.

Blocks (massing.py) lie along the axes; a wing that stands at an angle would come out of them in steps. Here the heights
are cut where the plan changes, by dynamic programming on what each cell adds (as in massing.py), and each plan is the
outline of its mean probability, made of few straight lines: along the axes, and along the directions that long walls
ask for, each with the one across it. Lines of different storeys that nearly meet are one. Roofs are flat.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from pipelines.mesh.massing import OVERLAP, THIN, Samples

Floats = NDArray[np.float64]

MOST = 5
LAST = 0.012  # share of the whole gain that a further storey has to add (our choice)
FINE = 1.6  # cells by which a plan may leave its outline before it gets a corner
ALIKE = 12.0  # degrees within which walls have one direction, or that and the one across it
AXIS = 5.0  # degrees within which that is along the axes
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


@dataclass(frozen=True)
class _Side:
    """A nearly straight piece of an outline: its points (M, 2), length and angle in degrees."""

    points: Floats
    length: float
    angle: float


def storeys(samples: Samples) -> list[Storey]:
    """Find the storeys of a building, from the ground up; an empty list if a plan has no straight sides."""
    weight = 2 * samples.values.astype(np.float64) - 1
    upto = np.concatenate([np.zeros_like(weight[:, :1]), np.cumsum(weight, axis=1)], 1)
    cuts = _cuts(upto, max(3, round(LOW * max(weight.shape))))
    means = [(upto[:, high] - upto[:, low]) / (high - low) for low, high in itertools.pairwise(cuts)]
    outlines = [_outlines(mean) for mean in means]
    sides = [[_sides(outline) for outline in loops] for loops in outlines]
    directions = _directions([side for loops in sides for loop in loops for side in loop])
    known: list[tuple[float, float]] = []
    found: list[Storey] = []
    floor = 0.0
    for number, mean in enumerate(means):
        above = means[number + 1] if number + 1 < len(means) else np.full_like(mean, -1)
        top = _top(samples.values, (mean > 0) & (above <= 0), cuts[number + 1])
        plan = []
        for outline, pieces in zip(outlines[number], sides[number], strict=True):
            loop = _straight(pieces, directions, known)
            if loop is None or not 0.8 < _area(loop) / _area(outline) < 1.25:
                return []
            plan.append(loop)
        if not plan:
            break
        found.append(Storey(floor, top, tuple(plan)))
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
        # courts are wound the other way, and stay open whatever else overlaps
        outwards = _area(loops[0]) > 0
        section = manifold3d.CrossSection(
            loops, manifold3d.FillRule.Positive if outwards else manifold3d.FillRule.Negative
        )
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


def _outlines(mean: Floats) -> list[Floats]:
    """Loops (M, 2) around what of a plan is more likely inside than not, courts wound the other way; no small ones."""
    least = 4 * (THIN * max(mean.shape)) ** 2
    loops = [loop[:-1] - 0.5 for loop in find_contours(np.pad(mean, 1, constant_values=-1.0), 0.0)]
    return sorted((loop for loop in loops if abs(_area(loop)) >= least), key=lambda loop: -abs(_area(loop)))


def _sides(outline: Floats) -> list[_Side]:
    """Cut an outline where it turns."""
    corners = cv2.approxPolyDP(outline.astype(np.float32)[:, None], FINE, True)[:, 0]
    at = sorted(int(np.hypot(*(outline - corner).T).argmin()) for corner in corners)
    sides = []
    for first, last in zip(at, [*at[1:], at[0] + len(outline)], strict=True):
        points = outline[np.arange(first, last + 1) % len(outline)]
        span = points[-1] - points[0]
        length = float(np.hypot(*span))
        if length >= SHORT:
            sides.append(_Side(points, length, float(np.degrees(np.arctan2(span[1], span[0])))))
    return sides


def _directions(sides: list[_Side]) -> list[float]:
    """Directions in [0, 90) of long walls, each with the one across it: means by length, and the axes."""
    groups: list[tuple[float, list[tuple[float, float]]]] = [(0.0, [])]
    for side in sorted(sides, key=lambda each: -each.length):
        if side.length < LONG:
            continue
        for first, members in groups:
            away = (side.angle - first + 45) % 90 - 45
            if abs(away) <= (ALIKE if members else AXIS):
                members.append((away, side.length))
                break
        else:
            groups.append((side.angle % 90, [(0.0, side.length)]))
    found = [0.0]
    for first, members in groups[1:]:
        away, length = np.array(members).T
        mean = (first + float(np.average(away, weights=length))) % 90
        if min(mean, 90 - mean) > AXIS:
            found.append(mean)
    return found


def _straight(sides: list[_Side], directions: list[float], known: list[tuple[float, float]]) -> Floats | None:
    """Lines in place of an outline, those of earlier outlines (direction and place) where they nearly meet them."""
    walls = []
    for side in sides:
        both = [turn for direction in directions for turn in (direction, direction + 90)]
        direction = both[int(np.argmin([abs((side.angle - turn + 90) % 180 - 90) for turn in both]))]
        middle = side.points[len(side.points) // 6 : len(side.points) - len(side.points) // 6]
        walls.append((direction, float((middle @ _normal(direction)).mean()), side.length, side.points[0]))
    placed = []
    for direction, offset in _fewest(_joined(walls)):
        same = [at for turn, at in known if turn == direction and abs(at - offset) < MEET]
        placed.append((direction, same[0] if same else offset))
    known += placed
    return _corners(placed)


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
            if there is not None:
                options.append((abs(abs(_area(there)) - abs(_area(corners))), number, there))
        if not options:
            break
        change, number, there = min(options, key=lambda option: option[0])
        if change > CUT_OFF * whole or moved + change > ALL_CUT_OFF * whole:
            break
        walls, corners, moved = walls[:number] + walls[number + 1 :], there, moved + change
    return walls


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
