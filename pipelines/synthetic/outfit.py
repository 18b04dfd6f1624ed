"""Everything a person wears besides the top: trousers, skirts, shoes, bags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.anatomy import SIGN, around, leg_path, rings, round_start, torso_points
from pipelines.synthetic.bodies import ANKLE, Skeleton
from pipelines.synthetic.cloth import Swatch, folds, plain_swatch
from pipelines.synthetic.garments import Garment, as_colour
from pipelines.synthetic.meshes import Floats, Surface, cross, grid_normals, loft, tube_frames, unit
from pipelines.synthetic.worn import Pieces

WAIST = 0.612
LOWER, SHOES, BAG = 4, 6, 7
SHOE_KINDS = ("sneaker", "boot", "flat")


def _wrap(points: Floats, swatch: Swatch, x: Floats, d: Floats, name: str, label: int, layout: int) -> Surface:
    points = points.astype(np.float32)
    return Surface(points, grid_normals(points, True), swatch.uv(x, d), name, label, layout)


def dress_lower(skeleton: Skeleton, garment: Garment, detail: float, density: float, rng: Generator) -> Pieces:
    """Put trousers, jeans, shorts or a skirt on ``skeleton``; lengths count from the waist."""
    if garment.category == "skirt":
        return _skirt(skeleton, garment, detail, density, rng)
    h, layout = skeleton.body.height, 9
    trunk = plain_swatch(garment, (-0.17, 0.17, 0.0, 0.17), density, 21)
    _belt(trunk, garment)
    strokes = [(0.5 + s * 0.05, 0.85, 0.5 * s, 0.10, 0.03, 0.5) for s in (-1, 1) for _ in range(2)]
    trunk.height[:] += folds(rng, trunk.height.shape, strokes, 0.12)
    pictures = {"trunk": trunk}
    at = np.linspace(WAIST, 0.462, rings(detail, 13), dtype=np.float32)
    angles = around(detail, 22)
    gap = (0.0022 + 0.004 * garment.ease) * h
    points = torso_points(skeleton, at, angles, np.full(len(at), gap, np.float32), gap)
    x = np.repeat((0.16 * np.sin(angles))[None], len(at), 0)
    surfaces = [_wrap(points, trunk, x, np.repeat((WAIST - at)[:, None], len(angles), 1), "trunk", LOWER, layout)]
    surfaces[0] = replace(surfaces[0], bias=-0.025 * h)
    reach = 1.02 if garment.category != "shorts" else np.clip((garment.length - 0.10) / 0.472, 0.12, 0.55)
    for side in "lr":
        path, t, sides, fronts = leg_path(skeleton, side, rings(detail, 30))
        keep = t <= reach
        t, path, sides, fronts = t[keep], path[keep], sides[keep], fronts[keep]
        loose = garment.ease if garment.category != "shorts" else 0.35 + 0.65 * garment.ease
        room = np.interp(
            t,
            [0, 0.2, 0.5, 0.85, 1],
            [
                0.001,
                0.002 + 0.006 * loose,
                0.002 + 0.013 * loose,
                0.003 + 0.021 * loose,
                0.003 + (0.020 + 0.012 * garment.flare) * loose,
            ],
        )
        radius = skeleton.body.leg_radius(t) + room * h
        shift = h * (0.008 * np.exp(-(((t - 0.25) / 0.2) ** 2)) - 0.006 * np.exp(-(((t - 0.68) / 0.14) ** 2)))
        path = path + fronts * shift[:, None].astype(np.float32)
        along = t * 0.472
        if reach > 1:
            # the cuff rests on the shoe
            path = np.concatenate([path, path[-1:] + (path[-1:] - path[-2:-1]) * 0.4])
            sides, fronts = np.concatenate([sides, sides[-1:]]), np.concatenate([fronts, fronts[-1:]])
            radius, along = np.append(radius, radius[-1] * 1.03), np.append(along, along[-1] + 0.012)
        swatch = plain_swatch(garment, (-0.09, 0.09, -0.06, 0.50), density, 22 + (side == "l"))
        swatch.height[:] += folds(rng, swatch.height.shape, _leg_strokes(garment), 0.20, 0.32)
        pictures["leg_" + side] = swatch
        radius = radius.astype(np.float32)
        path, sides, fronts, radius = round_start(path.astype(np.float32), sides, fronts, radius)
        along = np.concatenate([[-0.05, -0.04, -0.026, -0.012], along]).astype(np.float32)
        ring = around(detail, 16)
        points = loft(path, sides, fronts, radius, radius * 1.04, ring)
        x = np.repeat((0.08 * np.sin(ring))[None], len(along), 0)
        d = np.repeat(along[:, None], len(ring), 1)
        leg = _wrap(points, swatch, x, d, "leg_" + side, LOWER, layout)
        # a top's hem hangs over the thighs, however much they bulge
        sink = -0.035 * h * np.clip(1 - along / 0.17, 0, 1)
        surfaces.append(replace(leg, bias=sink[:, None].astype(np.float32)))
    return surfaces, pictures


def _belt(swatch: Swatch, garment: Garment) -> None:
    """Waistband, fly and pocket lines on the front of the trunk."""
    h, w = swatch.height.shape
    d = (np.arange(h, dtype=np.float32)[:, None] + 0.5) / h * 0.17
    x = ((np.arange(w, dtype=np.float32)[None] + 0.5) / w - 0.5) * 0.34
    line = np.exp(-(((d - 0.021) / 0.0014) ** 2)) + 0 * x
    line = line + np.exp(-(((x - 0.012) / 0.0014) ** 2)) * (d > 0.02) * (d < 0.085)
    for sign in (-1, 1):
        pocket = (x * sign - 0.075) - 0.06 * np.sqrt(np.clip((d - 0.02) / 0.07, 0, 1))
        line = line + np.exp(-((pocket / 0.0016) ** 2)) * (d > 0.021) * (d < 0.085)
    swatch.height[:] -= 0.12 * np.clip(line, 0, 1)
    shade = 1 - 0.25 * np.clip(line, 0, 1)
    swatch.rgb[:] = np.clip(swatch.rgb * shade[..., None], 0, 255).astype(np.uint8)


def _leg_strokes(garment: Garment) -> list[tuple[float, float, float, float, float, float]]:
    """Creases at the crotch, the knee and above the cuff of one trouser leg."""
    loose = 0.5 + 0.5 * garment.ease
    strokes = []
    for k in range(3):
        at = (0.236 + 0.026 * (k - 1) + 0.06) / 0.56
        strokes.append((0.5 + 0.12 * (-1) ** k, at, 0.35 * (-1) ** k, 0.085, 0.016, 0.50 * loose))
    for k in range(4):
        at = (0.455 - 0.020 * k + 0.06) / 0.56
        strokes.append((0.5 + 0.12 * (-1) ** k, at, 0.25 * (-1) ** k, 0.10, 0.015, 0.60 * loose))
    for k in range(3):
        strokes.append((0.42 + 0.08 * k, (0.03 + 0.03 * k + 0.06) / 0.56, 0.6, 0.07, 0.018, 0.40 * loose))
    strokes.append((0.5, 0.45, np.pi / 2, 0.30, 0.03, 0.35))
    return strokes


def _skirt(skeleton: Skeleton, garment: Garment, detail: float, density: float, rng: Generator) -> Pieces:
    body, h = skeleton.body, skeleton.body.height
    t = np.linspace(0, 1, rings(detail, 22), dtype=np.float32)
    d = t * garment.length
    at = WAIST - d
    width, depth, offset = body.torso(np.maximum(at, 0.475))
    knees = max(
        abs(float((skeleton.joints["knee_" + s] - skeleton.joints["pelvis"]) @ skeleton.pelvis[:, 0])) for s in "lr"
    )
    hips = float(body.torso(np.array([0.475]))[0][0])
    need = hips + (max(knees + 0.048 * h, hips * (0.98 - 0.1 * (1 - garment.flare))) - hips) * np.clip(
        (d - 0.14) / 0.2, 0, 1.25
    )
    flare = (0.012 + 0.16 * garment.flare) * h * np.clip((d - 0.05) / 0.4, 0, 1)
    half = np.where(d < 0.137, width + 0.004 * h, np.maximum(need + 0.004 * h, 0)) + flare
    deep = depth + 0.004 * h + 0.75 * flare + abs(skeleton.stance.stride) * 0.5 * h * np.clip((d - 0.12) / 0.25, 0, 1)
    angles = around(detail, 44)
    pleats = (0.002 + 0.016 * garment.flare) * h * np.clip((d - 0.06) / 0.25, 0, 1)
    wave = pleats[:, None] * np.sin(angles * (8 + garment.seed % 5) + 1)[None]
    centre, side, front = skeleton.spine(at)
    points = loft(centre + front * offset[:, None], side, front, half, deep, angles)
    away = np.sin(angles)[None, :, None] * side[:, None] + np.cos(angles)[None, :, None] * front[:, None]
    points = points + away * wave[..., None]
    swatch = plain_swatch(garment, (-0.34, 0.34, -0.005, garment.length + 0.01), density * 0.7, 25)
    strokes = [(rng.uniform(0.1, 0.9), 0.6, np.pi / 2, 0.35, 0.035, 0.7) for _ in range(10)]
    swatch.height[:] += folds(rng, swatch.height.shape, strokes, 0.15, 1.5)
    x = np.where(np.abs(angles) < np.pi / 2, angles, np.sign(angles) * np.pi - angles) / (np.pi / 2) * 0.17
    x = x[None] * (1 + 0.8 * t[:, None] * garment.flare)
    surface = _wrap(points, swatch, x, np.repeat(d[:, None], len(angles), 1), "skirt", LOWER, 12)
    sink = -0.045 * h * np.clip(1 - d / 0.17, 0, 1)
    return [replace(surface, bias=sink[:, None].astype(np.float32))], {"skirt": swatch}


def shoes(
    skeleton: Skeleton, kind: str, colour: tuple[float, float, float], detail: float, covered: bool = False
) -> Pieces:
    """Put shoes of ``kind`` on both feet; trousers hide a boot's shaft (``covered``)."""
    h = skeleton.body.height * (1 - 0.05 * skeleton.body.curves)
    upper = Garment(colour=colour, fabric="jersey")
    pale = as_colour(0.25 * c + 0.70 if kind == "sneaker" else 0.35 * c for c in colour)
    pictures = {
        "shoe": plain_swatch(upper, (0, 1, 0, 1), 48, 31),
        "sole": plain_swatch(Garment(colour=pale), (0, 1, 0, 1), 8, 32),
    }
    if kind == "sneaker":
        _laces(pictures["shoe"])
    surfaces = []
    for side in "lr":
        ankle, toe = skeleton.joints["ankle_" + side], unit(skeleton.joints["toe_" + side] * np.array([1, 0, 1]))
        up = np.array([0, 1, 0], np.float32)
        across = cross(up, toe)
        ground = float(ankle[1]) - ANKLE * skeleton.body.height
        length = 0.150 * h
        t = (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, rings(detail, 16)))).astype(np.float32)
        where = (t - 0.27) * length
        wide = (
            np.interp(
                t,
                [0, 0.03, 0.1, 0.3, 0.5, 0.7, 0.86, 0.96, 1],
                [0.002, 0.012, 0.0175, 0.019, 0.0215, 0.0255, 0.0235, 0.0145, 0.002],
            )
            * h
        )
        top = (
            np.interp(
                t,
                [0, 0.03, 0.1, 0.27, 0.42, 0.6, 0.8, 0.93, 1],
                [0.020, 0.040, 0.050, 0.053, 0.045, 0.034, 0.026, 0.020, 0.008],
            )
            * h
        )
        if kind == "flat":
            top = top * np.interp(t, [0, 0.15, 0.3, 0.55, 1], [0.85, 0.8, 0.55, 0.7, 0.9])
        wide[[0, -1]] = 0.0
        base = np.array([ankle[0], ground, ankle[2]], np.float32)
        path = base + where[:, None] * toe + (top * 0.42)[:, None] * up
        ring = around(detail, 16)
        axes = np.repeat(across[None], len(t), 0), np.repeat(up[None], len(t), 0)
        points = loft(
            path.astype(np.float32), *axes, wide.astype(np.float32), (top * 0.58).astype(np.float32), ring, power=2.5
        )
        points[..., 1] = np.maximum(points[..., 1], ground + 0.003 * h)
        uv = np.stack(np.broadcast_arrays(np.clip(ring / np.pi, -1, 1)[None] * 0.5 + 0.5, t[:, None]), -1).astype(
            np.float32
        )
        label = 18 if side == "l" else 19
        surfaces.append(
            Surface(
                points,
                grid_normals(points, True),
                uv,
                "shoe",
                SHOES,
                label,
                matter="cloth" if kind == "sneaker" else "gloss",
            )
        )
        sole = loft(
            (base + where[:, None] * toe).astype(np.float32),
            *axes,
            np.where(wide > 0, wide * 1.09 + 0.0008 * h, 0.0).astype(np.float32),
            np.full(len(t), 0.011 * h, np.float32),
            ring,
            power=4,
        )
        sole[..., 1] = np.maximum(sole[..., 1], ground)
        plain = np.full((*sole.shape[:2], 2), 0.5, np.float32)
        surfaces.append(Surface(sole, grid_normals(sole, True), plain, "sole", SHOES, label))
        if kind == "boot" and not covered:
            path_, s, sides, fronts = leg_path(skeleton, side, rings(detail, 24))
            keep = s > 0.80
            path_ = np.concatenate([path_[keep], path_[-1:] - up * 0.018 * h]).astype(np.float32)
            sides, fronts = np.concatenate([sides[keep], sides[-1:]]), np.concatenate([fronts[keep], fronts[-1:]])
            radius = np.append(skeleton.body.leg_radius(s[keep]) + 0.004 * h, 0.024 * h).astype(np.float32)
            points = loft(path_, sides, fronts, radius, radius * 1.1, ring)
            surfaces.append(
                Surface(
                    points,
                    grid_normals(points, True),
                    np.full((*points.shape[:2], 2), 0.25, np.float32),
                    "shoe",
                    SHOES,
                    label,
                    matter="gloss",
                )
            )
    return surfaces, pictures


def _laces(swatch: Swatch) -> None:
    h, w = swatch.height.shape
    for k in range(4):
        row = int(h * (0.42 + 0.075 * k))
        left, right = int(w * 0.42), max(int(w * 0.58), int(w * 0.42) + 1)
        swatch.rgb[row : row + max(1, h // 36), left:right] = 235
        swatch.height[row : row + max(1, h // 36), left:right] += 0.15


def bag(
    skeleton: Skeleton, side: str, colour: tuple[float, float, float], crossbody: bool, detail: float, density: float
) -> Pieces:
    """Hang a bag at the hip of ``side``, from the same or (``crossbody``) the other shoulder."""
    h = skeleton.body.height
    sign = SIGN[side]
    pelvis, chest = skeleton.pelvis, skeleton.chest
    width = float(skeleton.body.torso(np.array([0.50]))[0][0])
    middle = skeleton.joints["pelvis"] + pelvis[:, 0] * sign * (width + 0.026 * h) + pelvis[:, 2] * 0.035 * h
    middle = middle - np.array([0, 0.035 if not crossbody else 0.02, 0], np.float32) * h
    swatch = plain_swatch(Garment(colour=colour, fabric="jersey"), (0, 1, 0, 1), min(density, 96), 41)
    rows = np.array([0.0, 0.04, 0.12, 0.5, 0.9, 1.0], np.float32)
    tall, wide = (0.105, 0.050) if crossbody else (0.165, 0.070)
    path = middle + np.array([0, 1, 0], np.float32) * ((0.5 - rows) * tall * h)[:, None]
    axis = unit(pelvis[:, 0] * 0.55 + pelvis[:, 2] * sign * -0.83) * 1.0
    face = cross(axis, np.array([0, 1, 0], np.float32))
    size = np.array([0.2, 0.94, 1.0, 1.04, 1.0, 0.85], np.float32)
    ring = around(detail, 20)
    axes = np.repeat(axis[None], 6, 0).astype(np.float32), np.repeat(face[None], 6, 0)
    points = loft(path.astype(np.float32), *axes, size * wide * h, size * 0.020 * h, ring, power=4)
    uv = np.stack(np.broadcast_arrays(ring[None] / (2 * np.pi) + 0.5, rows[:, None]), -1).astype(np.float32)
    surfaces = [Surface(points, grid_normals(points, True), uv, "bag", BAG, 20, matter="gloss")]
    away = -sign if crossbody else sign
    shoulder = skeleton.joints["neck"] + chest[:, 0] * away * 0.066 * h - chest[:, 1] * 0.014 * h
    t = np.linspace(0, 1, rings(detail, 24), dtype=np.float32)[:, None]
    for front in (1, -1):
        start, end = shoulder, middle + np.array([0, tall * 0.45 * h, 0], np.float32) + pelvis[:, 2] * 0.012 * h * front
        line = start * (1 - t) + end * t
        # lift the strap off the body: nearest torso ring at the same height
        share = np.clip((line[:, 1] / h), 0.45, 0.85)
        bulge = skeleton.body.torso(share.astype(np.float32))[1] + skeleton.body.bust(share) + 0.026 * h
        centre = skeleton.spine(share.astype(np.float32))[0]
        outside = np.abs((line - centre) @ chest[:, 0]) / (skeleton.body.torso(share.astype(np.float32))[0] + 0.03 * h)
        forward = bulge * np.sqrt(np.clip(1 - outside**2, 0, 1)) * front
        have = (line - centre) @ chest[:, 2]
        lifted = np.where(front > 0, np.maximum(have, forward), np.minimum(have, forward))
        path = line + (lifted - have)[:, None] * chest[:, 2]
        for _ in range(2):
            path[1:-1] = 0.25 * path[:-2] + 0.5 * path[1:-1] + 0.25 * path[2:]
        sides, fronts = tube_frames(path.astype(np.float32), chest[:, 0])
        thick = np.full(len(path), 0.0032 * h, np.float32)
        points = loft(path.astype(np.float32), sides, fronts, thick * 1.6, thick * 0.7, around(detail, 6))
        plain = np.full((*points.shape[:2], 2), 0.5, np.float32)
        surfaces.append(Surface(points, grid_normals(points, True), plain, "bag", BAG, 20, matter="gloss"))
    return surfaces, {"bag": swatch}
