"""How chairs, tables, lamps, shelves, mugs, vases, cars, planes and houses are drawn at random, piece by piece.

Sizes are relative; `objects.sample_object` scales what comes out. y is up, +z the front.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.object_parts import Colour, Part, block, hexahedron, rod, slab, tube, turn_about, turned

Drawn = list[Part]


def colour(rng: Generator) -> Colour:
    """Any colour, greys and browns more often than others."""
    chance = rng.random()
    if chance < 0.3:
        level = float(rng.uniform(0.08, 0.95))
        return level, level, level
    hue = float(rng.uniform(0.05, 0.12)) if chance < 0.55 else float(rng.random())
    return colorsys.hsv_to_rgb(hue, float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.25, 0.95)))


def _legs(rng: Generator, width: float, depth: float, height: float, thick: float, tint: Colour) -> Drawn:
    """Four legs below a plate, upright or spread, round or square, tapered or not; at times joined by bars."""
    spread = float(rng.uniform(0, 0.12)) if rng.random() < 0.35 else 0.0
    segments, taper = (4, 10)[int(rng.random() < 0.5)], float(rng.uniform(0.5, 1))
    inset = thick / 2 + float(rng.choice([0, rng.uniform(0, 0.15)])) * width
    at = [(x * (width / 2 - inset), z * (depth / 2 - inset)) for x in (-1, 1) for z in (-1, 1)]
    legs = [
        rod((x, height, z), (x * (1 + spread / width * 2), 0, z * (1 + spread / depth * 2)), thick / 2 * 1.3, tint,
            segments=segments, taper=taper)
        for x, z in at
    ]  # fmt: skip
    if rng.random() < 0.3:
        level, x, z = height * float(rng.uniform(0.2, 0.5)), abs(at[0][0]), abs(at[0][1])
        legs += [rod((side * x, level, -z), (side * x, level, z), thick * 0.35, tint) for side in (-1, 1)]
        if rng.random() < 0.5:
            legs.append(rod((-x, level, 0), (x, level, 0), thick * 0.35, tint))
    return legs


def chair(rng: Generator) -> Drawn:
    """A seat on legs, a column or a closed base; a back that is full, barred or open; at times arms."""
    seat_tint, frame = colour(rng), colour(rng)
    width, depth, seat = rng.uniform(0.4, 0.62), rng.uniform(0.4, 0.6), rng.uniform(0.36, 0.55)
    thick, leg = rng.uniform(0.03, 0.12), rng.uniform(0.025, 0.06)
    parts = [block((-width / 2, seat, -depth / 2), (width / 2, seat + thick, depth / 2), seat_tint)]
    base = rng.random()
    if base < 0.65:
        parts += _legs(rng, width, depth, seat + 0.01, leg, frame)
    elif base < 0.85:
        arms, reach = int(rng.integers(4, 7)), rng.uniform(0.2, 0.32)
        parts.append(rod((0, 0.05, 0), (0, seat + 0.01, 0), leg * 0.7, frame))
        for number in range(arms):
            angle = 2 * np.pi * number / arms
            parts.append(rod((0, 0.08, 0), (reach * np.sin(angle), 0.03, reach * np.cos(angle)), leg * 0.6, frame))
    else:
        parts.append(block((-width / 2, 0, -depth / 2), (width / 2, seat + 0.01, depth / 2), frame))
    tall, lean, back = rng.uniform(0.3, 0.7), rng.uniform(0, 0.25), rng.uniform(0.03, 0.09)
    upright: Drawn = []
    kind = rng.random()
    if kind < 0.45:
        upright.append(block((-width / 2, 0, 0), (width / 2, tall, back), seat_tint, (float(rng.uniform(0.7, 1)), 1)))
    else:
        upright.append(block((-width / 2, tall * 0.75, 0), (width / 2, tall, back), frame))
        bars = int(rng.integers(2, 6))
        for x in np.linspace(-width / 2 + back / 2, width / 2 - back / 2, bars):
            upright.append(rod((x, 0, back / 2), (x, tall * 0.8, back / 2), back * 0.35, frame))
        if kind > 0.75:
            upright.append(block((-width / 2, tall * 0.3, back * 0.2), (width / 2, tall * 0.42, back * 0.8), frame))
    tilt = turn_about(0, -lean)
    parts += [part.moved(tilt, (0, seat + thick * 0.5, -depth / 2)) for part in upright]
    if rng.random() < 0.35:
        level = seat + thick + rng.uniform(0.15, 0.27)
        for side in (-1, 1):
            x = side * (width / 2 - 0.02)
            parts.append(block((x - 0.025, level, -depth / 2), (x + 0.025, level + 0.04, depth / 2 - 0.04), frame))
            parts.append(rod((x, seat, depth / 2 - 0.08), (x, level + 0.02, depth / 2 - 0.08), 0.02, frame))
    return parts


def table(rng: Generator) -> Drawn:
    """A rectangular or round top on legs, one column, or two side walls; at times a drawer or a lower board."""
    top, frame = colour(rng), colour(rng)
    width, depth, tall = rng.uniform(0.7, 1.6), rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.85)
    thick, leg = rng.uniform(0.025, 0.09), rng.uniform(0.03, 0.09)
    if rng.random() < 0.3:
        radius = width / 2
        plate = [(0, tall), (radius, tall), (radius, tall + thick), (0, tall + thick)]
        parts = [turned(plate, top, segments=28)]
        if rng.random() < 0.6:
            parts.append(rod((0, 0.02, 0), (0, tall + 0.01, 0), leg * 0.8, frame, taper=float(rng.uniform(0.6, 1))))
            foot = radius * rng.uniform(0.4, 0.8)
            parts.append(turned([(0, 0), (foot, 0), (foot * rng.uniform(0.3, 1), 0.05), (0, 0.05)], frame, segments=24))
        else:
            parts += _legs(rng, radius * 1.3, radius * 1.3, tall + 0.01, leg, frame)
        return parts
    parts = [block((-width / 2, tall, -depth / 2), (width / 2, tall + thick, depth / 2), top)]
    if rng.random() < 0.75:
        parts += _legs(rng, width, depth, tall + 0.01, leg, frame)
    else:
        x, inset = width / 2, rng.uniform(0, 0.15) * width
        for side in (-1, 1):
            low = sorted((side * (x - inset), side * (x - inset - leg)))
            parts.append(block((low[0], 0, -depth / 2), (low[1], tall + 0.01, depth / 2), frame))
    if rng.random() < 0.3:
        level = tall * rng.uniform(0.15, 0.4)
        parts.append(block((-width * 0.44, level, -depth * 0.42), (width * 0.44, level + 0.03, depth * 0.42), top))
    if rng.random() < 0.25:
        deep = rng.uniform(0.1, 0.25)
        parts.append(block((-width * 0.42, tall - deep, -depth * 0.4), (width * 0.42, tall + 0.01, depth * 0.4), frame))
    return parts


def lamp(rng: Generator) -> Drawn:
    """A foot, a pole that is straight or bent twice, and a shade."""
    shade, frame = colour(rng), colour(rng)
    tall, pole = rng.uniform(0.5, 1.6), rng.uniform(0.012, 0.04)
    foot = rng.uniform(0.12, 0.26)
    parts = [turned([(0, 0), (foot, 0), (foot * rng.uniform(0.4, 1), rng.uniform(0.03, 0.08)), (0, 0.081)], frame)]
    low, cap = rng.uniform(0.14, 0.36), rng.uniform(0.25, 1.0)
    high = rng.uniform(0.16, 0.42)
    hood = turned([(0, 0), (low, 0), (low * cap, high), (0, high)], shade, segments=24)
    if rng.random() < 0.6:
        if rng.random() < 0.4:  # a belly instead of a pole
            belly, neck = rng.uniform(0.08, 0.22), pole * 1.2
            profile = [
                (0, 0.05),
                (foot * 0.5, 0.05),
                (belly, tall * 0.35),
                (neck, tall * 0.75),
                (neck, tall),
                (0, tall),
            ]
            parts.append(turned(profile, frame, convex=False))
        else:
            parts.append(rod((0, 0.03, 0), (0, tall, 0), pole, frame))
        return [*parts, hood.moved(np.eye(3), (0, tall - high * rng.uniform(0.1, 0.5), 0))]
    elbow = np.array([0, tall * rng.uniform(0.4, 0.7), -rng.uniform(0, 0.3)])
    end = elbow + np.array([0, tall * rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.6)])
    parts += [rod((0, 0.03, 0), elbow, pole, frame), rod(elbow, end, pole, frame)]
    return [*parts, hood.moved(turn_about(0, -rng.uniform(0, 0.8)), end - [0, high * 0.7, 0])]


def shelf(rng: Generator) -> Drawn:
    """Boards between two sides, with or without back, dividers and doors."""
    frame, board = colour(rng), colour(rng)
    width, depth, tall = rng.uniform(0.4, 1.3), rng.uniform(0.2, 0.45), rng.uniform(0.6, 1.9)
    thick = rng.uniform(0.02, 0.05)
    levels = int(rng.integers(2, 7))
    base = rng.uniform(0, 0.15) if rng.random() < 0.4 else 0.0
    parts = [
        block((side * width / 2 - thick / 2, 0, -depth / 2), (side * width / 2 + thick / 2, tall, depth / 2), frame)
        for side in (-1, 1)
    ]
    heights = np.linspace(base, tall - thick, levels)
    parts += [block((-width / 2, y, -depth / 2), (width / 2, y + thick, depth / 2), board) for y in heights]
    if rng.random() < 0.55:
        parts.append(block((-width / 2, base, -depth / 2), (width / 2, tall, -depth / 2 + 0.02), board))
    if rng.random() < 0.45:
        for x in np.linspace(-width / 2, width / 2, int(rng.integers(3, 5)))[1:-1]:
            parts.append(block((x - thick / 2, base, -depth / 2), (x + thick / 2, tall, depth / 2), frame))
    if rng.random() < 0.3 and levels > 2:
        row = int(rng.integers(levels - 1))
        parts.append(
            block((-width / 2, heights[row], depth / 2 - 0.02), (width / 2, heights[row + 1], depth / 2), frame)
        )
    return parts


def _vessel(profile: list[tuple[float, float]], wall: float, tint: Colour, segments: int) -> Part:
    """An outer profile from the bottom's middle to the rim, and the inner one back to the bottom."""
    floor = profile[0][1] + wall
    inner = [(max(radius - wall, wall * 0.3), max(height, floor)) for radius, height in profile[1:]]
    inner[-1] = (inner[-1][0], profile[-1][1])
    return turned([*profile, *inner[::-1], (0, floor)], tint, segments=segments, convex=False)


def vase(rng: Generator) -> Drawn:
    """A turned vessel of a smooth random profile; at times two handles."""
    tint, tall = colour(rng), rng.uniform(0.7, 1.6)
    knots = np.array([rng.uniform(0.12, 0.35), rng.uniform(0.15, 0.5), rng.uniform(0.1, 0.45), rng.uniform(0.08, 0.4)])
    at = np.linspace(0, 1, 14)
    smooth = np.interp(at, np.linspace(0, 1, 4), knots)
    for _ in range(3):
        smooth[1:-1] = (smooth[:-2] + 2 * smooth[1:-1] + smooth[2:]) / 4
    profile = [(0.0, 0.0), *((float(radius), float(y)) for radius, y in zip(smooth, at * tall, strict=True))]
    parts = [_vessel(profile, 0.03, tint, int(rng.choice([6, 8, 24, 24, 24])))]
    if rng.random() < 0.3:
        low, high, out = rng.uniform(0.35, 0.55) * tall, rng.uniform(0.7, 0.92) * tall, rng.uniform(0.12, 0.25)
        bow = np.linspace(0, np.pi, 12)
        inner = np.interp(low + (high - low) * (1 - np.cos(bow)) / 2, at * tall, smooth) - 0.015
        path = np.stack([inner + out * np.sin(bow), low + (high - low) * (1 - np.cos(bow)) / 2, 0 * bow], 1)
        handle = tube(path, rng.uniform(0.02, 0.04), tint)
        parts += [handle, handle.mirrored()]
    return parts


def mug(rng: Generator) -> Drawn:
    """A straight or tapered cup with one handle."""
    tint, tall = colour(rng), rng.uniform(0.7, 1.3)
    low, high = rng.uniform(0.32, 0.5), rng.uniform(0.36, 0.55)
    profile = [(0.0, 0.0), (low * 0.9, 0.0), (low, 0.05), ((low + high) / 2, tall / 2), (high, tall)]
    parts = [_vessel(profile, rng.uniform(0.03, 0.07), tint, 28)]
    bow = np.linspace(0, np.pi, 14)
    bottom, top, out = tall * rng.uniform(0.12, 0.3), tall * rng.uniform(0.65, 0.9), rng.uniform(0.2, 0.4)
    y = bottom + (top - bottom) * (1 - np.cos(bow)) / 2
    path = np.stack([low + (high - low) * y / tall - 0.02 + out * np.sin(bow) ** rng.uniform(0.5, 1), y, 0 * bow], 1)
    return [*parts, tube(path, rng.uniform(0.035, 0.07), colour(rng) if rng.random() < 0.2 else tint)]


def car(rng: Generator) -> Drawn:
    """A body, a cabin of glass, four wheels: saloon, hatchback, van, pick-up."""
    paint, glass, tyre = colour(rng), (0.12, 0.15, 0.2), (0.08, 0.08, 0.08)
    long, wide = rng.uniform(1.7, 2.4), rng.uniform(0.34, 0.44)
    low, waist, roof = rng.uniform(0.12, 0.2), rng.uniform(0.42, 0.56), rng.uniform(0.7, 1.0)
    front, back = long / 2, -long / 2
    nose, tail = ((waist - low) * rng.uniform(0.7, 1) for _ in range(2))
    body = [
        (back, low), (front, low), (front, low + nose * 0.7), (front - 0.06 * long, low + nose), (0.1 * long, waist),
        (back + 0.05 * long, waist), (back, low + tail),
    ]  # fmt: skip
    hull = [(z, max(y, low)) for z, y in body]
    parts = [slab(_convex(hull), wide, paint)]
    kind = rng.choice(["saloon", "hatchback", "van", "pick-up"])
    begin = {"saloon": 0.22, "hatchback": 0.22, "van": 0.36, "pick-up": 0.2}[kind] * long
    end = {"saloon": -0.3, "hatchback": -0.44, "van": -0.48, "pick-up": -0.12}[kind] * long
    slope, rear = rng.uniform(0.08, 0.16) * long, (rng.uniform(0.02, 0.12) if kind != "saloon" else 0.12) * long
    cabin = [(end, waist - 0.02), (begin, waist - 0.02), (begin - slope, roof), (end + rear, roof)]
    tint = paint if kind == "van" else glass
    parts.append(slab(cabin, wide * 0.94, tint, narrower=float(rng.uniform(0.75, 0.95))))
    parts.append(block((-wide * 0.7, roof - 0.02, end + rear), (wide * 0.7, roof + 0.015, begin - slope), paint))
    if kind == "pick-up":
        for side in (-1, 1):
            x = sorted((side * wide, side * (wide - 0.05)))
            parts.append(block((x[0], waist - 0.02, back), (x[1], waist + 0.1, end), paint))
    radius, thick = rng.uniform(0.15, 0.22), rng.uniform(0.07, 0.12)
    wheel = turned([(0, 0), (radius, 0), (radius, thick), (0, thick)], tyre, segments=18)
    for z in (front - rng.uniform(0.16, 0.22) * long, back + rng.uniform(0.16, 0.22) * long):
        right = wheel.moved(turn_about(2, -np.pi / 2), (wide - thick * 0.7, radius, z))
        parts += [right, right.mirrored()]
    return parts


def _convex(outline: list[tuple[float, float]]) -> list[tuple[float, float]]:
    import cv2

    hull = cv2.convexHull(np.asarray(outline, np.float32), clockwise=False)[:, 0]
    return [(float(z), float(y)) for z, y in hull]


def _wing(
    rng: Generator, root: float, tip: float, span: float, sweep: float, thick: float, rise: float, tint: Colour
) -> Part:
    """The right one of two, from x = 0 outwards, its root's front edge at z = root / 2."""
    corners = [
        (0, -thick / 2, root / 2), (span, rise - thick / 4, root / 2 - sweep),
        (span, rise - thick / 4, root / 2 - sweep - tip), (0, -thick / 2, -root / 2),
    ]  # fmt: skip
    above = [(x, y + (thick if x == 0 else thick / 2), z) for x, y, z in corners]
    return hexahedron(np.array([*corners, *above]), tint)


def plane(rng: Generator) -> Drawn:
    """A fuselage, swept or straight wings, a tail; engines below the wings or a propeller in front."""
    paint, second = colour(rng), colour(rng)
    long, radius = rng.uniform(1.7, 2.4), rng.uniform(0.09, 0.17)
    nose, tail = rng.uniform(0.1, 0.25), rng.uniform(0.25, 0.45)
    profile = [(0, 0), (radius * 0.25, 0), (radius, tail * long), (radius, (1 - nose) * long),
               (radius * 0.7, (1 - nose * 0.4) * long), (radius * 0.2, long), (0, long)]  # fmt: skip
    body = turned(profile, paint, segments=16).moved(turn_about(0, np.pi / 2), (0, 0, -long / 2))
    jet = rng.random() < 0.65
    sweep = rng.uniform(0.25, 0.6) if jet else rng.uniform(0, 0.08)
    root, span = rng.uniform(0.28, 0.5), rng.uniform(0.75, 1.2)
    height = radius * rng.uniform(-0.6, 0.8)
    wing = _wing(rng, root, root * rng.uniform(0.3, 0.8), span, sweep, 0.05, rng.uniform(0, 0.12), second)
    right = wing.moved(np.eye(3), (0, height, rng.uniform(0, 0.2)))
    parts = [body, right, right.mirrored()]
    rear = -long / 2 + rng.uniform(0.12, 0.2)
    high = radius * 0.4 if rng.random() < 0.7 else 0.38
    tail_wing = _wing(rng, 0.2, 0.12, rng.uniform(0.25, 0.42), sweep * 0.35, 0.035, 0.02, second)
    tail_wing = tail_wing.moved(np.eye(3), (0, high, rear))
    fin = _wing(rng, 0.28, 0.14, rng.uniform(0.3, 0.42), rng.uniform(0.08, 0.2), 0.04, 0, second)
    fin = fin.moved(turn_about(2, np.pi / 2), (0, radius * 0.3, rear))
    parts += [tail_wing, tail_wing.mirrored(), fin]
    if jet:
        size = rng.uniform(0.05, 0.09)
        pod = turned([(0, 0), (size * 0.7, 0), (size, 0.12), (size, 0.3), (0, 0.3)], paint, segments=14)
        for x in ((0.38,), (0.3, 0.6))[int(rng.random() < 0.4)]:
            z = 0.1 + root / 2 - sweep * x / span - 0.1
            right = pod.moved(turn_about(0, np.pi / 2), (x * span, height - size * 1.1, z - 0.15))
            parts += [right, right.mirrored()]
    else:
        reach = rng.uniform(0.22, 0.34)
        parts.append(block((-0.025, -reach, long / 2 - 0.01), (0.025, reach, long / 2 + 0.015), (0.15, 0.15, 0.15)))
    return parts


def house(rng: Generator) -> Drawn:
    """Walls with a gable, hip, shed or flat roof; at times a wing, a chimney, a porch."""
    wall, roof = colour(rng), colour(rng)
    width, depth, tall = rng.uniform(0.8, 1.4), rng.uniform(0.6, 1.1), rng.uniform(0.4, 0.9)
    parts = _roofed(rng, (0.0, 0.0), width, depth, tall, wall, roof)
    if rng.random() < 0.4:
        side = rng.choice([-1, 1])
        parts += _roofed(rng, (side * width * 0.55, depth * rng.uniform(0.1, 0.4)), width * rng.uniform(0.4, 0.6),
                         depth * rng.uniform(0.5, 0.8), tall * rng.uniform(0.6, 1), wall, roof)  # fmt: skip
    if rng.random() < 0.5:
        x, z, size = width * rng.uniform(-0.3, 0.3), depth * rng.uniform(-0.3, 0.1), rng.uniform(0.04, 0.08)
        parts.append(block((x - size, tall * 0.8, z - size), (x + size, tall * rng.uniform(1.3, 1.7), z + size), wall))
    parts += _openings(rng, width, depth, tall)
    if rng.random() < 0.3:
        reach, level = rng.uniform(0.15, 0.3), tall * rng.uniform(0.4, 0.6)
        parts.append(
            block((-width * 0.3, level, depth / 2 - 0.01), (width * 0.3, level + 0.04, depth / 2 + reach), roof)
        )
        z = depth / 2 + reach - 0.05
        parts += [
            rod((side * width * 0.26, 0, z), (side * width * 0.26, level + 0.01, z), 0.025, wall) for side in (-1, 1)
        ]
    return parts


def _openings(rng: Generator, width: float, depth: float, tall: float) -> Drawn:
    """A door in the middle of the front and windows around, all standing out a little."""
    door, glass = colour(rng), (0.2, 0.24, 0.3)
    wide, out = rng.uniform(0.06, 0.1), 0.012
    parts = [block((-wide, 0, depth / 2), (wide, min(0.85 * tall, 0.36), depth / 2 + out), door)]
    size, level = rng.uniform(0.05, 0.09), tall * rng.uniform(0.5, 0.7)
    for x in np.linspace(-width / 2, width / 2, int(rng.integers(3, 6)) * 2 + 1)[1::2]:
        for z, side in ((depth / 2, 1), (-depth / 2, -1)):
            if side < 0 or abs(x) > wide + size:
                faces = sorted((z, z + side * out))
                parts.append(block((x - size, level - size, faces[0]), (x + size, level + size, faces[1]), glass))
    return parts


def _roofed(
    rng: Generator, at: tuple[float, float], width: float, depth: float, tall: float, wall: Colour, roof: Colour
) -> Drawn:
    x, z = at
    over, rise = rng.uniform(0, 0.08), rng.uniform(0.2, 0.5)
    walls = block((x - width / 2, 0, z - depth / 2), (x + width / 2, tall, z + depth / 2), wall)
    low = (x - width / 2 - over, tall - 0.005, z - depth / 2 - over)
    high = (x + width / 2 + over, tall + rise, z + depth / 2 + over)
    kind = rng.random()
    if kind < 0.45:
        return [walls, block(low, high, roof, (1.0, 0.01) if width > depth else (0.01, 1.0))]
    if kind < 0.75:
        return [walls, block(low, high, roof, (float(rng.uniform(0.05, 0.6)), 0.05) if width > depth else (0.05, 0.4))]
    return [walls, block(low, (high[0], tall + 0.06, high[2]), roof)]


KINDS: dict[str, Callable[[Generator], Drawn]] = {
    "chair": chair, "table": table, "lamp": lamp, "shelf": shelf, "mug": mug,
    "vase": vase, "car": car, "plane": plane, "house": house,
}  # fmt: skip
