"""Families of buildings: each draws the parts of one building at random, in any position and any unit.

Families differ by plan and massing; roofs, heights and small things are drawn across them. What is here is our own
choice: wide ranges on purpose, as a network meets drawings of buildings that no script has made.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.building_footprints import bent, grid, polygon, twisted
from pipelines.synthetic.building_parts import (
    Rect,
    box,
    cone,
    dome,
    extruded,
    pyramid,
    regular,
    ridged,
    tapered,
)
from pipelines.synthetic.building_roofs import (
    ROOF_WEIGHTS,
    ROOFS,
    WING_ROOFS,
    Parts,
    chance,
    interval,
    ring,
    roofed,
    spread,
    wings,
)


def slab(rng: Generator) -> Parts:
    """One block under any roof, from a low hall to a tall prism."""
    width = rng.uniform(0.5, 1)
    plan = Rect(0, width, 0, width * rng.uniform(0.25, 1))
    return roofed(rng, plan, spread(rng, 0.12, 1.7), str(rng.choice(ROOFS, p=ROOF_WEIGHTS)), rng.uniform(0.3, 1.3))


def l_plan(rng: Generator) -> Parts:
    """Two wings that share a corner."""
    depth, bar, wing = rng.uniform(0.5, 1), rng.uniform(0.16, 0.42), rng.uniform(0.16, 0.42)
    return wings(rng, [Rect(0, 1, 0, bar * depth), Rect(0, wing, 0, depth)])


def t_plan(rng: Generator) -> Parts:
    """A bar and a wing from somewhere in its middle."""
    depth, bar, wing = rng.uniform(0.5, 1), rng.uniform(0.18, 0.45), rng.uniform(0.16, 0.4)
    x0, x1 = interval(rng, 0.18, 0.82, wing)
    return wings(rng, [Rect(0, 1, 0, bar * depth), Rect(x0, x1, 0, depth)])


def u_plan(rng: Generator) -> Parts:
    """A bar and two wings to one side, equal or not."""
    depth, bar = rng.uniform(0.5, 1.1), rng.uniform(0.16, 0.38)
    left = rng.uniform(0.16, 0.36)
    right = left if chance(rng, 0.6) else rng.uniform(0.16, 0.36)
    end = depth if chance(rng, 0.6) else depth * rng.uniform(0.55, 1)
    return wings(rng, [Rect(0, 1, 0, bar * depth), Rect(0, left, 0, depth), Rect(1 - right, 1, 0, end)])


def e_plan(rng: Generator) -> Parts:
    """A bar with three or four equal teeth (a comb)."""
    depth, bar = rng.uniform(0.4, 0.9), rng.uniform(0.16, 0.34)
    teeth = 3 if chance(rng, 0.75) else 4
    wide = rng.uniform(0.3, 0.6) / (teeth - 0.5)
    starts = np.linspace(0, 1 - wide, teeth)
    middle = depth if chance(rng, 0.6) else depth * rng.uniform(0.6, 1)
    ends = [depth if i in (0, teeth - 1) else middle for i in range(teeth)]
    return wings(
        rng, [Rect(0, 1, 0, bar * depth), *(Rect(x, x + wide, 0, z) for x, z in zip(starts, ends, strict=True))]
    )


def h_plan(rng: Generator) -> Parts:
    """Two bars joined by a third."""
    depth, left, right = rng.uniform(0.5, 1.1), rng.uniform(0.18, 0.36), rng.uniform(0.18, 0.36)
    z0, z1 = interval(rng, 0.12 * depth, 0.88 * depth, depth * rng.uniform(0.18, 0.4))
    return wings(rng, [Rect(0, left, 0, depth), Rect(1 - right, 1, 0, depth), Rect(0, 1, z0, z1)])


def court(rng: Generator) -> Parts:
    """Four wings around a court, low enough to look into it more often than not."""
    depth, thin = rng.uniform(0.55, 1), rng.uniform(0.14, 0.32)
    other = thin * depth if chance(rng, 0.6) else rng.uniform(0.14, 0.32) * depth
    return wings(rng, ring(Rect(0, 1, 0, depth), thin, other))


def cross(rng: Generator) -> Parts:
    """Two bars that cross, often with something above the crossing."""
    depth, wide, deep = rng.uniform(0.6, 1), rng.uniform(0.2, 0.42), rng.uniform(0.2, 0.42)
    (x0, x1), (z0, z1) = interval(rng, 0.2, 0.8, wide), interval(rng, 0.2 * depth, 0.8 * depth, deep * depth)
    height, kind = spread(rng, 0.15, 0.8), str(rng.choice(WING_ROOFS[:3]))
    pitch = rng.uniform(0.3, 1.1)
    parts = roofed(rng, Rect(0, 1, z0, z1), height, kind, pitch) + roofed(
        rng, Rect(x0, x1, 0, depth), height, kind, pitch
    )
    if chance(rng, 0.4):
        middle = Rect(x0, x1, z0, z1)
        top = height * rng.uniform(1.2, 2.0)
        if chance(rng, 0.35):
            radius = min(middle.width, middle.depth) / 2
            parts.append(dome(regular(*middle.centre, radius, 20), 0, top, radius * rng.uniform(0.6, 1.2)))
        else:
            parts += roofed(rng, middle, top, "pyramid" if chance(rng, 0.6) else "flat", rng.uniform(0.5, 2))
    return parts


def tower(rng: Generator) -> Parts:
    """One or two towers on a low podium."""
    depth = rng.uniform(0.5, 1)
    parts = [box(Rect(0, 1, 0, depth), 0, rng.uniform(0.06, 0.35))]
    for _ in range(1 if chance(rng, 0.7) else 2):
        x0, x1 = interval(rng, 0, 1, rng.uniform(0.22, 0.6))
        z0, z1 = interval(rng, 0, depth, min(rng.uniform(0.25, 0.75), 1) * depth)
        plan, height = Rect(x0, x1, z0, z1), rng.uniform(0.5, 2.2)
        if chance(rng, 0.12):
            parts.append(extruded(regular(*plan.centre, min(plan.width, plan.depth) / 2, 20), 0, height))
        elif chance(rng, 0.12):
            parts.append(tapered(plan, 0, 0, height, plan.grown(-min(plan.width, plan.depth) * rng.uniform(0.05, 0.3))))
        else:
            kind = str(rng.choice(("flat", "pyramid", "penthouse", "shed"), p=(0.7, 0.12, 0.12, 0.06)))
            parts += roofed(rng, plan, height, kind, rng.uniform(0.5, 2))
    return parts


def setback(rng: Generator) -> Parts:
    """A stack of storeys, each standing back from the one below on some sides."""
    plan, height, parts = Rect(0, 1, 0, rng.uniform(0.5, 1)), 0.0, []
    storey, even = rng.uniform(0.12, 0.6), chance(rng, 0.5)
    for _ in range(int(rng.integers(2, 6))):
        height += storey * rng.uniform(0.6, 1.4)
        parts.append(box(plan, 0, height))
        share = np.full(4, rng.uniform(0.06, 0.16)) if even else rng.uniform(0.05, 0.25, 4) * (rng.random(4) < 0.6)
        wide, deep = plan.width, plan.depth
        plan = Rect(
            plan.x0 + wide * share[0], plan.x1 - wide * share[1], plan.z0 + deep * share[2], plan.z1 - deep * share[3]
        )
    if chance(rng, 0.25):
        parts.append(pyramid(plan, 0, height, rng.uniform(0.1, 0.6)))
    return parts


def house(rng: Generator) -> Parts:
    """A dwelling with what grows on it: cross gables, chimneys, dormers, lean-tos, porches."""
    depth, eaves, pitch = rng.uniform(0.45, 0.9), rng.uniform(0.2, 0.7), rng.uniform(0.35, 1.0)
    plan, ridge = Rect(0, 1, 0, depth), eaves + pitch * depth / 2
    kind = str(rng.choice(("gable", "hip", "eaves", "gambrel", "mansard"), p=(0.45, 0.2, 0.2, 0.08, 0.07)))
    parts = roofed(rng, plan, eaves, kind, pitch, along_x=True)
    front = chance(rng, 0.7)

    def before(x0: float, x1: float, out: float) -> Rect:
        return Rect(x0, x1, depth / 2, depth + out) if front else Rect(x0, x1, -out, depth / 2)

    if chance(rng, 0.5):
        wide = rng.uniform(0.25, 0.45)
        plan_of_wing = before(*interval(rng, 0, 1, wide), rng.uniform(0.08, 0.5))
        parts += roofed(rng, plan_of_wing, eaves * rng.uniform(0.7, 1), "gable", pitch, along_x=False)
    if chance(rng, 0.35):
        side = rng.uniform(0.07, 0.12)
        x0, x1 = interval(rng, 0.1, 0.9, side)
        parts.append(box(Rect(x0, x1, depth / 2 - side / 2, depth / 2 + side / 2), 0, ridge + rng.uniform(0.04, 0.16)))
    if kind in ("gable", "eaves") and chance(rng, 0.25):
        wide = rng.uniform(0.12, 0.22)
        x0, x1 = interval(rng, 0.1, 0.9, wide)
        base = eaves + 0.25 * (ridge - eaves)
        plan_of_dormer = before(x0, x1, -rng.uniform(0.1, 0.16) * depth)
        parts += roofed(rng, plan_of_dormer, min(base + 0.1, ridge * 0.92), "gable", 0.7, along_x=False)
    if chance(rng, 0.3):
        out = rng.uniform(0.2, 0.45)
        span = interval(rng, 0, depth, depth * rng.uniform(0.4, 0.95))
        side = Rect(0.9, 1 + out, *span) if chance(rng, 0.5) else Rect(-out, 0.1, *span)
        low = str(rng.choice(("flat", "gable", "shed")))
        parts += roofed(rng, side, eaves * rng.uniform(0.45, 0.8), low, pitch * 0.6)
    if chance(rng, 0.2):
        wide, high = rng.uniform(0.18, 0.35), eaves * rng.uniform(0.5, 0.8)
        porch = before(*interval(rng, 0.05, 0.95, wide), rng.uniform(0.08, 0.2))
        parts.append(box(porch, high - 0.05, high))
        post = (porch.z1 - 0.03, porch.z1) if front else (porch.z0, porch.z0 + 0.03)
        parts += [box(Rect(x, x + 0.03, *post), 0, high) for x in (porch.x0, porch.x1 - 0.03)]
    return parts


def rounded(rng: Generator) -> Parts:
    """Cylinders and polygonal prisms under flat tops, cones and domes, alone or with a block."""
    corners, radius = int(rng.choice((5, 6, 8, 20, 20))), rng.uniform(0.25, 0.5)
    height, stretch = spread(rng, 0.2, 1.7), 1.0 if chance(rng, 0.7) else rng.uniform(0.6, 1.7)
    plan = regular(0, 0, radius, corners, np.pi / corners, stretch)
    top, rise = rng.random(), radius * rng.uniform(0.3, 1.4)
    if top < 0.5:
        parts = [extruded(plan, 0, height)]
    elif top < 0.8:
        parts = [cone(plan, 0, height, rise)]
    else:
        parts = [dome(plan, 0, height, radius * rng.uniform(0.4, 1.1))]
    beside = rng.random()
    if beside < 0.35:
        x0, x1, z0, z1 = rng.uniform(1, 2.2, 4) * radius * (-1, 1, -0.5, 0.5)
        parts.append(box(Rect(x0, x1, z0, z1), 0, height * rng.uniform(0.2, 0.75)))
    elif beside < 0.5:
        parts.append(
            extruded(plan * rng.uniform(0.4, 0.8), 0, height * rng.uniform(1.2, 1.6) + (rise if top > 0.5 else 0))
        )
    return parts


def church(rng: Generator) -> Parts:
    """Nave and tower, with or without transept, aisles and apse."""
    depth, eaves, pitch = rng.uniform(0.32, 0.55), rng.uniform(0.22, 0.5), rng.uniform(0.5, 1.3)
    parts = roofed(rng, Rect(0, 1, 0, depth), eaves, "gable", pitch, along_x=True)
    side = rng.uniform(0.18, 0.32)
    x0 = -side * rng.uniform(0, 0.95)
    z0 = (depth - side) / 2 if chance(rng, 0.7) else rng.uniform(-side * 0.8, depth - side * 0.2)
    parts += roofed(rng, Rect(x0, x0 + side, z0, z0 + side), rng.uniform(0.6, 1.3), "pyramid", rng.uniform(0.8, 4.5))
    if chance(rng, 0.4):
        wide, out = rng.uniform(0.2, 0.35), rng.uniform(0.1, 0.3)
        start, end = interval(rng, 0.35, 0.95, wide)
        parts += roofed(rng, Rect(start, end, -out, depth + out), eaves, "gable", pitch, along_x=False)
    if chance(rng, 0.3):
        parts.append(cone(regular(1, depth / 2, depth * 0.4, 20), 0, eaves * 0.9, pitch * depth * 0.35))
    if chance(rng, 0.25):
        aisle = rng.uniform(0.1, 0.18)
        parts.append(box(Rect(0.05, 0.95, -aisle, depth + aisle), 0, eaves * rng.uniform(0.4, 0.7)))
    return parts


def cluster(rng: Generator) -> Parts:
    """Two to four blocks grown together without a plan."""
    parts: Parts = []
    last: Rect | None = None
    pitch = rng.uniform(0.3, 1)
    for _ in range(int(rng.integers(2, 5))):
        wide, deep = rng.uniform(0.25, 0.8, 2)
        x0 = z0 = 0.0
        if last is not None:
            x0 = rng.uniform(last.x0, last.x1) - wide * rng.uniform(0.1, 0.9)
            z0 = rng.uniform(last.z0, last.z1) - deep * rng.uniform(0.1, 0.9)
        last = Rect(x0, x0 + wide, z0, z0 + deep)
        kind = str(rng.choice(("flat", "gable", "hip", "shed"), p=(0.68, 0.14, 0.1, 0.08)))
        parts += roofed(rng, last, spread(rng, 0.12, 1.3), kind, pitch)
    return parts


def works(rng: Generator) -> Parts:
    """Halls in rows under sheds, gables or vaults, with silos, chimneys and a head building."""
    count, depth = int(rng.integers(2, 6)), rng.uniform(0.4, 1)
    eaves, pitch = rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.9)
    kind = str(rng.choice(("shed", "gable", "vault"), p=(0.4, 0.35, 0.25)))
    edges = np.linspace(0, 1, count + 1)
    # halls that only touched would leave it to rounding whether they are one body
    parts: Parts = [box(Rect(0, 1, 0, depth), 0, eaves)]
    for start, end in pairwise(edges):
        if kind == "shed":
            section = ((-1, 0), (-1, eaves + pitch / count), (1, eaves), (1, 0))
            parts.append(ridged(Rect(start, end, 0, depth), section, along_x=False))
        else:
            parts += roofed(rng, Rect(start, end, 0, depth), eaves, kind, pitch, along_x=False)
    if chance(rng, 0.35):
        out = rng.uniform(0.1, 0.3)
        parts.append(
            box(Rect(-out, 0.02, *interval(rng, 0, depth, depth * rng.uniform(0.4, 1))), 0, eaves * rng.uniform(0.8, 2))
        )
    if chance(rng, 0.35):
        radius = rng.uniform(0.03, 0.06)
        shaft = regular(rng.uniform(0.1, 0.9), rng.uniform(0.2, 0.8) * depth, radius, 20)
        parts.append(extruded(shaft, 0, eaves + rng.uniform(0.4, 1.0)))
    if chance(rng, 0.25):
        radius, height = rng.uniform(0.1, 0.18), eaves * rng.uniform(1.1, 2.5)
        for number in range(int(rng.integers(1, 4))):
            parts.append(extruded(regular(1 + radius * 0.8, radius * (1 + 1.9 * number), radius, 20), 0, height))
    return parts


def zigzag(rng: Generator) -> Parts:
    """Blocks in a staggered row, each set off from the last: Z and S plans, stepped terraces."""
    count, wide = int(rng.integers(2, 5)), rng.uniform(0.25, 0.5)
    depth, stagger = rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.7)
    back_and_forth, height = chance(rng, 0.5), spread(rng, 0.15, 0.9)
    kind, pitch = str(rng.choice(WING_ROOFS[:4], p=(0.5, 0.25, 0.15, 0.1))), rng.uniform(0.3, 1)
    climb = rng.uniform(-0.12, 0.12) if chance(rng, 0.4) else 0.0
    parts: Parts = []
    for number in range(count):
        z0 = depth * stagger * (number % 2 if back_and_forth else number)
        plan = Rect(number * wide * 0.96, number * wide * 0.96 + wide, z0, z0 + depth)
        parts += roofed(rng, plan, max(height + climb * number, 0.1), kind, pitch, along_x=True)
    return parts


# Family -> (how its parts are drawn, how often). What is hard to read from one drawing comes twice as often.
GENERATORS: dict[str, tuple[Callable[[Generator], Parts], float]] = {
    "slab": (slab, 1.0),
    "l-plan": (l_plan, 2.0),
    "t-plan": (t_plan, 2.0),
    "u-plan": (u_plan, 2.0),
    "e-plan": (e_plan, 1.5),
    "h-plan": (h_plan, 1.0),
    "court": (court, 2.0),
    "cross": (cross, 1.0),
    "tower": (tower, 2.0),
    "setback": (setback, 1.0),
    "house": (house, 1.5),
    "rounded": (rounded, 1.0),
    "church": (church, 1.0),
    "cluster": (cluster, 1.5),
    "grid": (grid, 2.0),
    "polygon": (polygon, 2.0),
    "bent": (bent, 1.0),
    "twisted": (twisted, 0.5),
    "works": (works, 1.0),
    "zigzag": (zigzag, 0.0),
}
