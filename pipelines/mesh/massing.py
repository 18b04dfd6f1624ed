"""Read an occupancy field as a few upright blocks with roofs. Unit-free, y up; our own method, no source.

The gain of a shape is the sum of 2p - 1 over the cells it holds that no earlier shape does: what a cell adds to the
expected number of rightly labelled ones. Blocks are found one after the other by their gain, each as the best range
along one axis while the other two are held, again and again until nothing changes. Then roofs, as heights over the
plan, are tried on each block; then walls of different blocks that nearly meet are put on one plane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Corner = tuple[int, int, int]

MOST, TRIES = 16, 24
THIN = 0.04  # of the building's longest side; what is left of a blurred wall, no block
EMPTY = 3.0  # what an unlikely cell costs a block more than it costs a roof: else narrow courts are built over
# What a roof or a round plan has to add over a flat right-angled block, as shares of the whole gain and of the block's.
ROOF_OF_ALL, ROOF_OF_BLOCK = 0.004, 0.02
CURVED = 2.0  # times as much for a curved one
LEAST_RISE = 3.0  # cells; a blurred flat roof is as domed as that
SIDES = 32  # of a round plan
DISC = 1.118  # half side of the square of best gain on a disc -> its radius: sqrt(1 - s^2) = s / 2
OVERLAP = 0.01  # cells by which blocks reach into each other, so that none merely touch


@dataclass(frozen=True)
class Care:
    """How closely blocks follow a field.

    Attributes:
        last: A block that adds less than this share of the whole gain is not wanted.
        meet: Cells; walls, floors and roofs closer than this are one.
    """

    last: float
    meet: float


# From a building of few planes to one of many (our choice).
CARES = (Care(0.01, 3.0), Care(0.006, 2.0), Care(0.004, 1.3))


@dataclass(frozen=True)
class Samples:
    """Probabilities at the centres of cubic cells above a base.

    Attributes:
        values: (nx, ny, nz) float32 in [0, 1].
        corner: (3,) lower corner of the first cell; its y is the base.
        step: Side of a cell.
    """

    values: NDArray[np.float32]
    corner: Floats
    step: float


@dataclass(frozen=True)
class Block:
    """An upright block and what is on it, lengths in cells from the samples' corner.

    Attributes:
        plan: x0, x1, z0, z1.
        bottom, eaves, tip: Heights; tip equals eaves on a flat roof.
        roof: A key of ``ROOFS``.
        gain: When it was found.
    """

    plan: tuple[float, float, float, float]
    bottom: float
    eaves: float
    tip: float
    roof: str
    gain: float

    def heights(self, x: Floats, z: Floats) -> Floats:
        """Height of the roof above points of the plan, -1 outside of it."""
        x0, x1, z0, z1 = self.plan
        u = (2 * x - x0 - x1) / (x1 - x0)
        v = (2 * z - z0 - z1) / (z1 - z0)
        rise = risen(self.roof, u, v, (x1 - x0) / (z1 - z0))
        return np.where(rise >= 0, self.eaves + (self.tip - self.eaves) * rise, -1.0)


ROOFS = ("flat", "gable-x", "gable-z", "hip", "pyramid", "shed+x", "shed-x", "shed+z", "shed-z", "vault-x", "vault-z",
         "round", "cone", "dome")  # fmt: skip
ROUND = ("round", "cone", "dome")


def risen(roof: str, u: Floats, v: Floats, aspect: float) -> Floats:
    """Share of a roof's rise at places of its plan, u along x and v along z in [-1, 1]; -1 outside of the plan."""
    a, b = 1 - np.abs(u), 1 - np.abs(v)
    if roof in ROUND:
        radius = np.hypot(u, v)
        inside = radius <= 1
        full = {"round": np.ones_like(u), "cone": 1 - radius, "dome": np.sqrt(np.clip(1 - radius**2, 0, 1))}[roof]
    else:
        inside = (a >= 0) & (b >= 0)
        full = {
            "flat": lambda: np.ones_like(u),
            "gable-x": lambda: b,  # its ridge along x
            "gable-z": lambda: a,
            "hip": lambda: np.minimum(a * max(aspect, 1.0), b * max(1 / aspect, 1.0)),
            "pyramid": lambda: np.minimum(a, b),
            "shed+x": lambda: (1 + u) / 2,
            "shed-x": lambda: (1 - u) / 2,
            "shed+z": lambda: (1 + v) / 2,
            "shed-z": lambda: (1 - v) / 2,
            "vault-x": lambda: np.sqrt(np.clip(1 - v**2, 0, 1)),
            "vault-z": lambda: np.sqrt(np.clip(1 - u**2, 0, 1)),
        }[roof]()
    return np.where(inside, np.clip(full, 0, 1), -1.0)


def blocks(samples: Samples, care: Care) -> list[Block]:
    """Find the blocks of a building, the one with the largest gain first; an empty list if nothing is likely inside."""
    weight = 2 * samples.values - 1
    thin = THIN * max(weight.shape)
    boxes = _boxes(weight, thin, care.last)
    everything = float(weight[weight > 0].sum())
    left = weight.copy()
    found: list[Block] = []
    for number, (low, high) in enumerate(boxes):
        others = left.copy()
        for later in boxes[number + 1 :]:
            others[_cells(*later)] = 0
        # From pure to best: the search leaves out what is half empty, and with it the blurred edge.
        low, high, gain = _grown(others, low, high)
        if gain < care.last * everything or min(np.subtract(high, low)) <= thin:
            continue
        block = _sharp(samples.values, others, low, high, gain)
        # What stands on a block and rises steeply is no roof of it; what is lower may be one in steps.
        under = left.copy()
        steep = min(block.plan[1] - block.plan[0], block.plan[3] - block.plan[2]) / 2
        for later in boxes[number + 1 :]:
            if later[1][1] > high[1] + steep:
                under[_cells(*later)] = 0
        block = _roofed(block, under, everything)
        found.append(block)
        left[covered(block, left.shape)] = 0
    return _snapped(found, care.meet)


def _boxes(weight: Floats, thin: float, last: float) -> list[tuple[Corner, Corner]]:
    """Boxes of cells that are nearly pure, largest gain first; a thin one is passed over as a blurred edge."""
    left = np.where(weight < 0, EMPTY * weight, weight)
    everything = float(weight[weight > 0].sum())
    found = []
    for _ in range(TRIES):
        low, high, gain = _best_box(left)
        if gain <= last * everything or len(found) == MOST:
            break
        if min(np.subtract(high, low)) > thin:
            found.append((low, high))
        left[_cells(low, high)] = 0
    return found


def _cells(low: Corner, high: Corner) -> tuple[slice, slice, slice]:
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def covered(block: Block, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(nx, ny, nz) whether the centre of a cell lies in the block."""
    x, y, z = (np.arange(n) + 0.5 for n in shape)
    top = block.heights(*np.meshgrid(x, z, indexing="ij"))
    return (y[None, :, None] < top[:, None, :]) & (y[None, :, None] > block.bottom)


def solid(found: list[Block], samples: Samples):  # -> manifold3d.Manifold, z up
    """The union of blocks, in the frame of the building turned z up."""
    import manifold3d

    hulls = [manifold3d.Manifold.hull_points(_corners(block, samples)) for block in found]
    return manifold3d.Manifold.batch_boolean(hulls, manifold3d.OpType.Add)


def _best_box(left: Floats) -> tuple[Corner, Corner, float]:
    """The box of cells with the largest sum, found from several starts: lower corner, upper corner, sum."""
    starts = _starts(left)
    return max((_grown(left, low, high) for low, high in starts), key=lambda found: found[2])


def _grown(left: Floats, low: Corner, high: Corner) -> tuple[Corner, Corner, float]:
    """Take the best range along each axis in turn until the sum of the box grows no more."""
    first, last, gain = list(low), list(high), -np.inf
    for _ in range(8):
        reached = gain
        for axis in (1, 0, 2):
            own = tuple(slice(None) if axis == other else slice(first[other], last[other]) for other in range(3))
            line = left[own].sum(tuple(other for other in range(3) if other != axis))
            first[axis], last[axis], reached = _best_range(line, grounded=axis == 1)
        if reached <= gain + 1e-3:
            break
        gain = reached
    return (first[0], first[1], first[2]), (last[0], last[1], last[2]), float(gain)


def _starts(left: Floats) -> list[tuple[Corner, Corner]]:
    """Places to start from: all of it, and where squares and bars of the plan hold most."""
    from scipy.ndimage import uniform_filter

    high = left.shape[1]
    starts: list[tuple[Corner, Corner]] = [((0, 0, 0), (left.shape[0], high, left.shape[2]))]
    columns = np.maximum(np.cumsum(left, axis=1).max(1), 0)
    for size in ((3, 3), (9, 9), (3, 19), (19, 3)):
        smooth = uniform_filter(columns, size, mode="constant")  # pyright: ignore[reportArgumentType]
        for _ in range(2):
            x, z = (int(at) for at in np.unravel_index(int(smooth.argmax()), smooth.shape))
            near = max(0, x - size[0] // 2), 0, max(0, z - size[1] // 2)
            far = min(left.shape[0], x + size[0] // 2 + 1), high, min(left.shape[2], z + size[1] // 2 + 1)
            starts.append((near, far))
            smooth[max(0, x - 8) : x + 9, max(0, z - 8) : z + 9] = 0
    return starts


def _best_range(line: Floats, *, grounded: bool) -> tuple[int, int, float]:
    """First and last + 1 of the run with the largest sum; one from the ground is preferred where that costs nothing."""
    sums = np.concatenate([[0.0], np.cumsum(line, dtype=np.float64)])
    gains = np.triu(sums[None, :] - sums[:, None], 1)
    first, last = np.unravel_index(int(gains.argmax()), gains.shape)
    if grounded and gains[0, last] >= 0.98 * gains[first, last]:
        first = 0
    return int(first), int(max(last, first + 1)), float(gains[first, last])


def _sharp(values: Floats, left: Floats, low: Corner, high: Corner, gain: float) -> Block:
    """Put each side of a box of cells where the mean probability across it passes one half."""
    free = left != 0
    sides: list[float] = []
    for axis in range(3):
        own = tuple(slice(None) if axis == other else slice(low[other], high[other]) for other in range(3))
        across = tuple(other for other in range(3) if other != axis)
        line = (values[own] * free[own]).sum(across) / np.maximum(free[own].sum(across), 1)
        sides += [_passes(line, low[axis], -1), _passes(line, high[axis] - 1, 1)]
    x0, x1, y0, y1, z0, z1 = sides
    return Block((x0, x1, z0, z1), y0 if low[1] > 1 else 0.0, y1, y1, "flat", gain)


def _passes(line: Floats, last: int, step: int) -> float:
    """Where values pass one half between cell ``last`` and the next one outwards."""
    edge = last + 0.5 + 0.5 * step
    if not 0 <= last + step < len(line):
        return edge
    inner, outer = float(line[last]), float(line[last + step])
    return last + 0.5 + step * (inner - 0.5) / (inner - outer) if inner > 0.5 > outer else edge


def _roofed(block: Block, left: Floats, everything: float) -> Block:
    """Give a block the roof, and the round plan, that its cells ask for clearly enough."""
    x0, x1, z0, z1 = block.plan
    x, z = (x0 + x1) / 2, (z0 + z1) / 2
    disc = (x + (x0 - x) * DISC, x + (x1 - x) * DISC, z + (z0 - z) * DISC, z + (z1 - z) * DISC)
    count, floor = left.shape[1], round(block.bottom)
    columns_x, columns_z = (
        np.unique(np.linspace(max(0, a), min(n, b) - 1, 20).round().astype(int))
        for a, b, n in ((disc[0], disc[1], left.shape[0]), (disc[2], disc[3], left.shape[2]))
    )
    # Of every column the gain up to each height, so that a roof is scored by one look-up a column.
    part = left[np.ix_(columns_x, np.arange(floor, count), columns_z)]
    upto = (
        np.concatenate([np.zeros_like(part[:, :1]), np.cumsum(part, axis=1)], 1)
        .transpose(0, 2, 1)
        .reshape(-1, count - floor + 1)
    )
    at_x, at_z = (grid.ravel() + 0.5 for grid in np.meshgrid(columns_x, columns_z, indexing="ij"))
    # A sum over some columns stands for all of them.
    share = (
        (min(left.shape[0], disc[1]) - max(0, disc[0])) * (min(left.shape[2], disc[3]) - max(0, disc[2])) / len(at_x)
    )
    highest = min(float(count), block.eaves + 0.9 * (block.eaves - block.bottom) + 6)
    best, best_gain, extra = block, -np.inf, 0.0
    for roof in ROOFS:
        plan = disc if roof in ROUND else block.plan
        shaped = replace(block, plan=plan, roof=roof, eaves=0.0, tip=1.0)
        rise = shaped.heights(at_x, at_z)
        inside = rise >= 0
        if roof in ("flat", "round"):
            eaves = np.arange(floor + 1, count + 1, dtype=float)
            tips = eaves
        else:
            walls, ridges = np.linspace(block.bottom, block.eaves + 1, 13), np.linspace(block.eaves, highest, 11)
            eaves, tips = (grid.ravel() for grid in np.meshgrid(walls, ridges, indexing="ij"))
            keep = tips - eaves >= LEAST_RISE
            eaves, tips = eaves[keep], tips[keep]
        if not len(eaves) or not inside.any():
            continue
        heights = eaves[:, None] + (tips - eaves)[:, None] * rise[inside][None]
        cell = np.clip(heights - floor, 0, count - floor - 1e-6)
        under = cell.astype(int)
        rows = np.arange(inside.sum())
        known = upto[inside]
        value = known[rows, under] + (cell - under) * (known[rows, under + 1] - known[rows, under])
        gains = value.sum(1) * share
        at = int(gains.argmax())
        gain = float(gains[at])
        if roof == "flat":
            extra = max(ROOF_OF_ALL * everything, ROOF_OF_BLOCK * gain)
            best_gain = gain
        elif (gain := gain - extra * (CURVED if roof in ROUND or roof.startswith("vault") else 1.0)) > best_gain:
            best, best_gain = replace(shaped, eaves=float(eaves[at]), tip=float(tips[at])), gain
    return replace(best, gain=block.gain)


def _snapped(found: list[Block], meet: float) -> list[Block]:
    """Put walls that nearly meet on one plane, and floors and flat roofs on one height."""
    square = [block for block in found if block.roof not in ROUND]
    spans = []
    for first, across in ((0, 2), (2, 0)):
        at, weight = [], []
        for block in square:
            area = (block.plan[across + 1] - block.plan[across]) * (block.eaves - block.bottom) + 1e-3
            at += [block.plan[first], block.plan[first + 1]]
            weight += [area, area]
        spans.append(_together(np.array(at), np.array(weight), meet))
    heights, weight = [], []
    for block in found:
        area = (block.plan[1] - block.plan[0]) * (block.plan[3] - block.plan[2])
        heights += [block.bottom, block.eaves]
        weight += [area if block.bottom else 1e9, area]
    levels = _together(np.array(heights), np.array(weight), meet)
    made, row = [], 0
    for number, block in enumerate(found):
        plan = block.plan
        if block.roof not in ROUND:
            plan = (*spans[0][2 * row : 2 * row + 2], *spans[1][2 * row : 2 * row + 2])
            row += 1
        bottom, eaves = levels[2 * number], levels[2 * number + 1]
        tip = eaves if block.tip == block.eaves else block.tip
        if plan[1] - plan[0] > 1 and plan[3] - plan[2] > 1 and max(eaves, tip) - bottom > 0.5:
            sides = (float(plan[0]), float(plan[1]), float(plan[2]), float(plan[3]))
            made.append(replace(block, plan=sides, bottom=float(bottom), eaves=float(eaves), tip=float(tip)))
    return made


def _together(at: Floats, weight: Floats, meet: float) -> Floats:
    """Replace values that lie within ``meet`` of their group's mean, in order, by that mean."""
    out = at.copy()
    group: list[int] = []
    for index in np.argsort(at, kind="stable"):
        if group and at[index] - np.average(at[group], weights=weight[group]) > meet:
            group = []
        group.append(int(index))
        out[group] = np.average(at[group], weights=weight[group])
    return out


def _corners(block: Block, samples: Samples) -> NDArray[np.float64]:
    """(K, 3) corners whose hull the block is, z up."""
    x0, x1, z0, z1 = block.plan
    if block.bottom:
        block = replace(block, bottom=block.bottom - OVERLAP)
    x, z, half_x, half_z = (x0 + x1) / 2, (z0 + z1) / 2, (x1 - x0) / 2 + OVERLAP, (z1 - z0) / 2 + OVERLAP
    if block.roof in ROUND:
        turn = np.arange(SIDES) * 2 * np.pi / SIDES
        rim = np.stack([np.cos(turn), np.sin(turn)], 1)
        rings = {"round": [(1.0, 0.0)], "cone": [(1.0, 0.0), (0.0, 1.0)],
                 "dome": [(np.cos(t), np.sin(t)) for t in np.linspace(0, np.pi / 2, 7)]}[block.roof]  # fmt: skip
        top = [(rim * r, np.full(SIDES, h)) for r, h in rings]
    else:
        rim = np.array([(-1.0, -1), (1, -1), (1, 1), (-1, 1)])
        aspect = half_x / half_z
        inner = _breaks(block.roof, aspect)
        top = [(inner, risen(block.roof, inner[:, 0], inner[:, 1], aspect))]
    plans, heights = [rim], [np.full(len(rim), block.bottom)]
    for plan, rise in top:
        plans.append(plan)
        heights.append(block.eaves + (block.tip - block.eaves) * np.clip(rise, 0, 1))
    flat = np.concatenate(plans) * (half_x, half_z) + (x, z)
    y = np.concatenate(heights)
    points = np.stack([flat[:, 0], y, flat[:, 1]], 1) * samples.step + samples.corner
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1).astype(np.float64)


def _breaks(roof: str, aspect: float) -> Floats:
    """(K, 2) places of the plan where a right-angled roof has corners."""
    corners = [(-1.0, -1.0), (1, -1), (1, 1), (-1, 1)]
    if roof == "gable-x":
        corners += [(-1, 0), (1, 0)]
    elif roof == "gable-z":
        corners += [(0, -1), (0, 1)]
    elif roof == "pyramid":
        corners += [(0, 0)]
    elif roof == "hip":
        ridge = 1 - min(aspect, 1 / aspect)
        corners += [(-ridge, 0), (ridge, 0)] if aspect >= 1 else [(0, -ridge), (0, ridge)]
    elif roof == "vault-x":
        corners = [(end, -np.cos(t)) for end in (-1, 1) for t in np.linspace(0, np.pi, 13)]
    elif roof == "vault-z":
        corners = [(-np.cos(t), end) for end in (-1, 1) for t in np.linspace(0, np.pi, 13)]
    return np.array(corners)
