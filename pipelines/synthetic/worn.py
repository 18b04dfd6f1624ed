"""Tops and dresses on a posed body: cloth lofts around torso and arms that read the flat pattern's pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.anatomy import SIGN, arm_path, around, rings, round_start, torso_points
from pipelines.synthetic.bodies import Skeleton
from pipelines.synthetic.cloth import Swatch, folds, paint_sleeve, paint_torso, plain_swatch
from pipelines.synthetic.garments import ARM_LENGTH, Garment, cut_pattern
from pipelines.synthetic.meshes import Floats, Surface, arc_position, grid_normals, loft, tube_frames, unit

TOP = 0.846
UPPER, DRESS = 3, 5
Pieces = tuple[list[Surface], dict[str, Swatch]]


def _ids(garment: Garment) -> tuple[int, int]:
    if garment.category == "dress":
        return DRESS, 6
    return UPPER, 7 if garment.category == "jacket" else 5


def cloth_size(skeleton: Skeleton, garment: Garment, d: Floats) -> tuple[Floats, Floats]:
    """Return what cloth adds to the torso's half width and half depth (cm) at pattern depths ``d``."""
    body, h = skeleton.body, skeleton.body.height
    pit, hem = garment.pattern_cut.armpit[1], garment.length
    gap = (0.0040 + 0.0115 * garment.ease) * h * np.clip(d / 0.09, 0.22, 1)
    thick = 0.004 if garment.category in ("hoodie", "jacket") or garment.fabric == "knit" else 0.001
    gap = gap + thick * h
    out = []
    for part in (0, 1):
        size = body.torso(TOP - d)[part]
        ends = body.torso(np.array([TOP - pit, TOP - min(hem, 0.36)]))[part]
        straight = np.interp(d, [pit, min(hem, 0.36)], ends)
        hang = np.clip(straight - size, 0, None) * (0.25 + 0.75 * garment.ease) * (d > pit)
        out.append(gap * (1.0 if part == 0 else 0.9) + hang)
    flare = garment.flare * h * 0.05 * np.clip((d - 0.20) / 0.2, 0, None) ** 1.2
    out[0], out[1] = out[0] + flare, out[1] + 0.6 * flare
    if garment.rib and garment.category in ("hoodie", "sweater"):
        tight = np.clip((d - (hem - 0.026)) / 0.012, 0, 1) * 0.008 * h
        out[0], out[1] = out[0] - tight, out[1] - tight
    long = d > 0.40
    if long.any():
        # below the hips a dress hangs around both legs
        knees = max(abs(float(skeleton.joints["knee_" + s] @ skeleton.pelvis[:, 0])) for s in "lr") + 0.05 * h
        hips = float(body.torso(np.array([0.47]))[0][0])
        need = hips + (knees - hips) * np.clip((d - 0.34) / 0.22, 0, 1.3)
        out[0] = np.where(long, np.maximum(out[0], need - body.torso(TOP - d)[0]), out[0])
        out[1] = out[1] + np.clip((d - 0.36) / 0.2, 0, 1.2) * (abs(skeleton.stance.stride) * 0.35 + 0.006) * h
    return out[0].astype(np.float32), out[1].astype(np.float32)


def dress_top(skeleton: Skeleton, garment: Garment, detail: float, density: float, rng: Generator) -> Pieces:
    """Put an upper garment or a dress on ``skeleton``.

    Args:
        skeleton: The wearer.
        garment: What to wear.
        detail: Mesh density, 1 for 256x192.
        density: Pixels per unit of body height of the cloth's pictures.
        rng: Of the folds.
    """
    cut = garment.pattern_cut
    label, layout = _ids(garment)
    count = rings(detail, 26 if garment.category != "dress" else 34)
    d = np.linspace(0, 1, count, dtype=np.float32)
    d = (0.35 * d + 0.65 * d**1.35) * cut.hem[1]
    width, depth = cloth_size(skeleton, garment, d)
    cover = cut.half(d)
    if garment.sleeve == "none":
        # a sleeveless panel covers less than the ring around the shoulders
        cover = cut_pattern(replace(garment, category="t-shirt", sleeve="short")).half(d)
        cover = np.maximum(cover, cut.half(d))
    pictures: dict[str, Swatch] = {}
    surfaces = []
    columns = rings(detail, 18)
    for back in (False, True):
        angles = np.linspace(-0.5, 0.5, columns + 1, dtype=np.float32) * np.pi + (np.pi if back else 0)
        points = torso_points(skeleton, TOP - d, angles, width, depth)
        if garment.category == "dress" or garment.flare > 0.2:
            wave = np.sin(angles * 7 + garment.seed % 6)[None] * np.clip((d - 0.24) / 0.3, 0, 1)[:, None]
            _, side, front = skeleton.spine(TOP - d)
            away = np.sin(angles)[None, :, None] * side[:, None] + np.cos(angles)[None, :, None] * front[:, None]
            points = points + away * (wave * (0.004 + 0.012 * garment.flare) * skeleton.body.height)[..., None]
        x = arc_position(points) * cover[:, None] * (-1 if back else 1)
        clip = d[:, None] - cut.neck(x, back)
        # cloth begins where the shoulder's slope leaves the neck; above, it would climb up the neck
        clip = np.minimum(clip, d[:, None] - (0.013 if garment.neckline in ("crew", "v", "scoop", "boat") else 0.004))
        if garment.sleeve == "none":
            clip = np.minimum(clip, np.where(d[:, None] < cut.armpit[1], cut.half(d)[:, None] - np.abs(x), 1.0))
        name = "torso_back" if back else "torso_front"
        swatch = paint_torso(garment, cut, density, back)
        swatch.height[:] += _torso_folds(rng, garment, swatch.height.shape, skeleton, back)
        pictures[name] = swatch
        surfaces.append(
            Surface(
                points.astype(np.float32), grid_normals(points.astype(np.float32), False),
                swatch.uv(x, np.repeat(d[:, None], x.shape[1], 1)), name, label, layout,
                clip=clip.astype(np.float32), worn=True, two_sided=False,
            )
        )  # fmt: skip
    _join_sides(surfaces[-2], surfaces[-1])
    if garment.sleeve != "none":
        for side in "lr":
            pictures["sleeve_" + side] = _sleeve_picture(garment, density, side, rng, skeleton)
            surfaces += _sleeve(skeleton, garment, side, detail, pictures["sleeve_" + side])
    more, extra = _neck_pieces(skeleton, garment, detail, density)
    return surfaces + more, pictures | extra


def _join_sides(front: Surface, back: Surface) -> None:
    """Average the normals where front and back panel meet, so that light does not show the join."""
    for a, b in ((0, -1), (-1, 0)):
        mean = unit(front.normals[:, a] + back.normals[:, b])
        front.normals[:, a] = mean
        back.normals[:, b] = mean


def _torso_folds(rng: Generator, garment: Garment, shape: tuple[int, int], skeleton: Skeleton, back: bool) -> Floats:
    loose = 0.65 + 0.75 * garment.ease
    if back and garment.category != "dress":
        # hardly ever seen: only unevenness
        return folds(rng, shape, [], 0.25 * loose)
    if garment.fabric == "knit":
        loose *= 0.85
    share = lambda d: (d + 0.012) / (garment.length + 0.024)  # noqa: E731
    arm = {-1: skeleton.stance.right.kind, 1: skeleton.stance.left.kind}
    strokes = []
    for sign in (-1, 1):
        lifted = arm[sign] in ("raised", "wave")
        for k in range(3 if lifted else 2):
            angle = (0.9 + 0.25 * k) * -sign
            strokes.append((0.5 + sign * (0.40 - 0.05 * k), share(0.135 + 0.03 * k), angle, 0.17, 0.026, 0.55 * loose))
        for k in range(3):
            strokes.append(
                (0.5 + sign * (0.36 - 0.06 * k), share(0.235 + 0.032 * k), 0.45 * sign, 0.15, 0.026, 0.5 * loose)
            )
        strokes.append((0.5 + sign * 0.22, share(0.06), 1.1 * sign, 0.12, 0.03, 0.25 * loose))
    for k in range(5):
        u = 0.14 + 0.18 * k + rng.uniform(-0.05, 0.05)
        strokes.append((u, share(garment.length * 0.86), np.pi / 2 + rng.normal(0, 0.15), 0.20, 0.028, 0.50 * loose))
    for _ in range(3):
        strokes.append(
            (rng.uniform(0.25, 0.75), share(rng.uniform(0.2, 0.33)), rng.normal(0, 0.35), 0.2, 0.026, 0.35 * loose)
        )
    if garment.category == "dress":
        for k in range(9):
            strokes.append((0.08 + 0.105 * k, 0.80, np.pi / 2, 0.25, 0.03, 1.0))
    return folds(rng, shape, strokes, 0.25 * loose)


def _sleeve_picture(garment: Garment, density: float, side: str, rng: Generator, skeleton: Skeleton) -> Swatch:
    cut = garment.pattern_cut
    swatch = paint_sleeve(garment, cut, density, salt=int(side == "l"))
    loose = 0.35 + 0.65 * garment.ease
    wrist, elbow, root = (skeleton.joints[n + side] for n in ("wrist_", "elbow_", "shoulder_"))
    bend = float(np.arccos(np.clip(unit(wrist - elbow) @ unit(elbow - root), -1, 1)))
    strokes = []
    top, total = 0.03, cut.sleeve + 0.036
    x0, x1, _, _ = swatch.extent
    unit_width = 0.34 / total
    if garment.sleeve in ("long", "elbow"):
        for k in range(4):
            at = (0.5 * ARM_LENGTH + 0.020 * (k - 1.5) + top) / total
            tall = (0.40 + 0.5 * bend) * loose
            strokes.append((0.35 + 0.3 * (k % 2), at, 0.4 * (1 if k % 2 else -1), 0.13, 0.026 * unit_width, tall))
        for k in range(3):
            at = (cut.sleeve - 0.035 - 0.024 * k + top) / total
            strokes.append(
                (0.4 + 0.2 * (k % 2), at, 0.25 * (1 if k % 2 else -1), 0.15, 0.026 * unit_width, 0.5 * loose)
            )
    for k in range(2):
        strokes.append((0.35 + 0.3 * k, (top + 0.05) / total, 1.2, 0.10, 0.035 * unit_width, 0.4 * loose))
    swatch.height[:] += folds(rng, swatch.height.shape, strokes, 0.2 * loose, (x1 - x0) / total)
    return swatch


def _sleeve(skeleton: Skeleton, garment: Garment, side: str, detail: float, swatch: Swatch) -> list[Surface]:
    cut, h, ease = garment.pattern_cut, skeleton.body.height, garment.ease
    label, layout = _ids(garment)
    path, t, sides, fronts = arm_path(skeleton, side, rings(detail, 30))
    share = min(cut.arm_share, 1.0)
    keep = t <= share + 1e-6
    t = np.append(t[keep], share).astype(np.float32)
    grid = np.linspace(0, 1, len(path))
    place = np.stack([np.interp(share, grid, path[:, k]) for k in range(3)])
    path = np.concatenate([path[keep], place[None]]).astype(np.float32)
    last = int(keep.sum()) - 1
    sides, fronts = (
        np.concatenate([sides[keep], sides[last : last + 1]]),
        np.concatenate([fronts[keep], fronts[last : last + 1]]),
    )
    thick = 0.0035 if garment.category in ("hoodie", "jacket") or garment.fabric == "knit" else 0.001
    if share > 0.6:
        gap = np.interp(
            t,
            [0, 0.15, 0.5, 0.88, 1.0],
            [0.002, 0.004 + 0.006 * ease, 0.004 + 0.009 * ease, 0.004 + 0.010 * ease, 0.004 + 0.005 * ease],
        )
        if garment.rib or garment.neckline == "collar":
            gap = np.where(t > share - 0.075, 0.0022, gap) + 0.006 * ease * np.exp(-(((t - share + 0.13) / 0.06) ** 2))
    else:
        gap = np.interp(t, [0, 0.15, share], [0.002, 0.004 + 0.007 * ease, 0.006 + 0.012 * ease])
    radius = skeleton.body.arm_radius(t) + (gap + thick) * h
    # keep the shoulder's ball from standing out of the torso cloth
    radius[t < 0.03] -= 0.001 * h
    # a last ring folded inwards closes the sleeve around the arm
    path, sides, fronts = (np.concatenate([v, v[-1:]]) for v in (path, sides, fronts))
    radius = np.append(radius, radius[-1] * 0.55)
    path, sides, fronts, radius = round_start(path, sides, fronts, radius.astype(np.float32))
    along = np.concatenate(
        [np.array([-0.028, -0.022, -0.014, -0.007], np.float32), t * ARM_LENGTH, t[-1:] * ARM_LENGTH]
    )
    out = []
    columns = rings(detail, 9)
    cover = cut.sleeve_half(np.clip(along / max(cut.sleeve, 1e-3), 0, 1))
    for back in (False, True):
        angles = np.linspace(-0.5, 0.5, columns + 1, dtype=np.float32) * np.pi + (np.pi if back else 0)
        points = loft(path, sides, fronts, radius, radius, angles)
        x = np.linspace(-1, 1, columns + 1, dtype=np.float32)[None] * cover[:, None] * SIGN[side] * (-1 if back else 1)
        uv = swatch.uv(x, np.repeat(along[:, None], columns + 1, 1))
        out.append(Surface(points, grid_normals(points, False), uv, "sleeve_" + side, label, layout, worn=True))
    _join_sides(out[0], out[1])
    return out


def _on_cloth(skeleton: Skeleton, garment: Garment, at: Floats, angles: Floats, lift: float) -> Floats:
    """Points (N, 3) on the worn cloth at N heights and N angles, ``lift`` cm above it."""
    width, depth = cloth_size(skeleton, garment, TOP - at)
    grid = torso_points(skeleton, at, angles, width + lift, depth + lift)
    return grid[np.arange(len(at)), np.arange(len(at))]


def topstitch(swatch: Swatch) -> None:
    """Sew along the outer edge of a collar leaf, which makes the edge readable on plain cloth."""
    _, _, d0, d1 = swatch.extent
    d = d0 + (np.arange(len(swatch.height), dtype=np.float32)[:, None] + 0.5) / len(swatch.height) * (d1 - d0)
    line = np.exp(-(((d - 0.0415) / 0.0013) ** 2)) + 0.9 * np.clip((d - 0.0475) / 0.0025, 0, 1)
    swatch.rgb[:] = (swatch.rgb * (1 - 0.22 * line[..., None])).astype(np.uint8)
    swatch.height[:] -= 0.06 * line


def _neck_pieces(skeleton: Skeleton, garment: Garment, detail: float, density: float) -> Pieces:
    """Collar, turtleneck or hood."""
    h = skeleton.body.height
    label, layout = _ids(garment)
    surfaces: list[Surface] = []
    if garment.neckline not in ("collar", "turtle", "hood"):
        return surfaces, {}
    calm = "plain" if garment.pattern in ("blocks", "gradient", "floral") else garment.pattern
    swatch = plain_swatch(replace(garment, pattern=calm), (-0.1, 0.1, 0.0, 0.06), density, 11)
    if garment.neckline == "collar":
        topstitch(swatch)
    pictures = {"collar": swatch}
    side, up, front = (skeleton.chest[:, k] for k in range(3))
    neck = skeleton.joints["neck"]

    def surface(points: Floats, uv: Floats, two_sided: bool) -> Surface:
        points = points.astype(np.float32)
        return Surface(points, grid_normals(points, False), uv, "collar", label, layout, worn=True, two_sided=two_sided)

    if garment.neckline == "turtle":
        t = np.linspace(1, 0, rings(detail, 7), dtype=np.float32)
        toward = unit(skeleton.joints["head"] - neck)
        path = neck + toward * ((t[:, None] - 0.42) * 0.048 * h)
        radius = (0.0360 - 0.004 * skeleton.body.curves + 0.004 * skeleton.body.weight + 0.020 * (1 - t) ** 2) * h
        radius = radius - 0.003 * h * (t > 0.97)
        angles = around(detail, 20)
        axes = np.repeat(side[None], len(t), 0), np.repeat(front[None], len(t), 0)
        points = loft(path.astype(np.float32), *axes, radius, radius * 1.04, angles)
        wave = np.sin(angles * 1.0)[None] * 0.09 + 0 * t[:, None]
        uv = swatch.uv(wave, np.repeat(0.05 * (1 - t[:, None]), len(angles), 1))
        surfaces.append(Surface(points, grid_normals(points, True), uv, "collar", label, layout, worn=True))
        return surfaces, pictures
    if garment.neckline == "hood":
        angle = np.linspace(0.24, 2 * np.pi - 0.24, rings(detail, 26), dtype=np.float32)
        rise = (1 - np.cos(angle)) / 2
        x, z = 0.060 * np.sin(angle), 0.056 * np.cos(angle) - 0.008
        y = -0.052 + 0.052 * rise**0.7
        path = neck + (x[:, None] * side + y[:, None] * up + z[:, None] * front) * h
        sides, fronts = tube_frames(path.astype(np.float32), up)
        fat = (0.0065 + 0.0185 * rise) * h
        points = loft(path.astype(np.float32), sides, fronts, fat * 1.25, fat, around(detail, 10))
        v = np.repeat(np.linspace(-0.09, 0.09, len(path), dtype=np.float32)[:, None], points.shape[1], 1)
        uv = swatch.uv(v, np.full_like(v, 0.03))
        surfaces.append(Surface(points, grid_normals(points, True), uv, "collar", label, layout, worn=True))
        cord = replace(garment, pattern="plain", fabric="jersey", colour=tuple(0.45 * c + 0.5 for c in garment.colour))
        pictures["cord"] = plain_swatch(cord, (-0.01, 0.01, 0, 0.05), density, 12)
        for sign in (-1, 1):
            fall = np.linspace(0, 1, rings(detail, 8), dtype=np.float32)
            at = TOP - 0.040 - fall * 0.085
            path = _on_cloth(skeleton, garment, at, np.float32(sign) * (0.33 + 0.03 * np.sin(fall * 5)), 0.003 * h)
            sides, fronts = tube_frames(path, side)
            size = np.full(len(path), 0.0024 * h, np.float32)
            points = loft(path, sides, fronts, size, size, around(detail, 5))
            uv = np.full((*points.shape[:2], 2), 0.5, np.float32)
            surfaces.append(Surface(points, grid_normals(points, True), uv, "cord", label, layout, worn=True))
        return surfaces, pictures
    # shirt collar: a band that stands around the neck and a leaf that falls over it, open at the front
    columns = rings(detail, 30)
    angle = np.linspace(0.05, 2 * np.pi - 0.05, columns, dtype=np.float32)
    rise = (1 - np.cos(angle)) / 2
    wide = 0.0375 + 0.004 * skeleton.body.weight
    fold = (
        neck
        + (
            (wide * np.sin(angle))[:, None] * side
            + (-0.022 + 0.046 * rise**0.8)[:, None] * up
            + (wide * 1.10 * np.cos(angle) + 0.004)[:, None] * front
        )
        * h
    )
    point = np.exp(-(((np.minimum(angle, 2 * np.pi - angle) - 0.10) / 0.42) ** 2))
    fall = TOP - 0.010 - 0.052 * point - 0.010 * (1 - rise)
    spread = np.where(angle < np.pi, 1, -1) * np.interp(
        np.minimum(angle, 2 * np.pi - angle), [0.1, 0.6, 1.5, np.pi], [0.42, 0.75, 1.5, np.pi]
    )
    edge = _on_cloth(skeleton, garment, fall.astype(np.float32), spread.astype(np.float32), 0.0085 * h)
    t = np.linspace(0, 1, rings(detail, 6), dtype=np.float32)[:, None, None]
    bulge = np.sin(t * np.pi) * 0.006 * h * unit(edge - neck)[None]
    points = fold[None] * (1 - t) + edge[None] * t + bulge
    v = np.repeat(np.linspace(-0.095, 0.095, columns, dtype=np.float32)[None], len(t), 0)
    surfaces.append(surface(points[:, ::-1], swatch.uv(v, 0.005 + 0.045 * t[..., 0] + 0 * v), True))
    stand = neck + (fold - neck) * 0.97 - up * 0.030 * h * np.clip(1 - 0.2 * rise, 0, 1)[:, None]
    points = np.stack([fold, 0.5 * fold + 0.5 * stand, stand])
    surfaces.append(surface(points[:, ::-1], swatch.uv(v[:3], np.full_like(v[:3], 0.02)), True))
    return surfaces, pictures
