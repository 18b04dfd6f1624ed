"""The pieces of a garment that lies flat: panels, sleeves, collars and hoods on a plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.cloth import Swatch, folds, paint_sleeve, paint_torso, plain_swatch
from pipelines.synthetic.garments import Cut, Garment, as_colour
from pipelines.synthetic.meshes import Floats, Surface
from pipelines.synthetic.worn import topstitch


@dataclass(frozen=True)
class Arrangement:
    """How the garment lies: angle of each sleeve from straight down (image-left, image-right), bend, sag of the hem."""

    angle: tuple[float, float]
    bend: tuple[float, float]
    sag: float
    turn: float
    front_sleeves: bool


def arrange(rng: Generator, garment: Garment) -> Arrangement:
    """Draw how a garment lies."""
    long = garment.sleeve == "long"
    hanging = rng.uniform() < 0.6
    # a short sleeve keeps its own angle, a long one hangs or is spread
    angle = rng.uniform(0.90, 1.25)
    if long:
        angle = rng.uniform(0.36, 0.52) if hanging else rng.uniform(0.52, 1.15)
    other = angle + rng.normal(0, 0.05)
    bend = rng.normal(0, 0.10, 2) if long else np.zeros(2)
    return Arrangement(
        (float(angle), float(max(0.12, other))),
        (float(bend[0]), float(bend[1])),
        float(rng.uniform(-0.004, 0.012)),
        float(rng.normal(0, 0.025)),
        bool(rng.uniform() < 0.5),
    )


def _sleeve_edges(cut: Cut, angle: float, bend: float) -> tuple[Floats, dict[str, Floats]]:
    """Return armhole points (K, 2) from armpit to shoulder, and the sleeve's landmarks, both for x > 0."""
    k = np.linspace(0, 1, 13, dtype=np.float32)
    depth = cut.armpit[1] + (cut.shoulder[1] - cut.armpit[1]) * k
    armhole = np.stack([cut.half(depth) - 0.003, depth], 1)
    shoulder, armpit = np.array(cut.shoulder, np.float32), np.array(cut.armpit, np.float32)
    middle = (shoulder + armpit) / 2
    points = {"shoulder": shoulder, "armpit": armpit}
    line = [middle]
    for share, turn, half, name in (
        (0.5, angle, cut.sleeve_halves[0], "elbow"),
        (0.5, angle + bend, cut.sleeve_halves[1], "cuff"),
    ):
        along = np.array([np.sin(turn), np.cos(turn)])
        line.append(line[-1] + along * share * cut.sleeve)
        mean = turn if name == "cuff" else turn + bend / 2
        up = np.array([np.cos(mean), -np.sin(mean)])
        points[name + "_outer"] = (line[-1] + up * half).astype(np.float32)
        points[name + "_inner"] = (line[-1] - up * half).astype(np.float32)
    return armhole.astype(np.float32), points


def _curve(points: list[Floats], count: int) -> Floats:
    """Sample a three-point line evenly with its corner rounded off."""
    a, b, c = points
    t = np.linspace(0, 1, count, dtype=np.float32)
    out = np.stack([np.interp(t, [0, 0.5, 1], [a[i], b[i], c[i]]) for i in (0, 1)], 1)
    for _ in range(2):
        out[1:-1] = 0.25 * out[:-2] + 0.5 * out[1:-1] + 0.25 * out[2:]
    out[0], out[-1] = a, c
    return out.astype(np.float32)


class Table:
    """Collects the pieces of one flat garment, placing pattern points (x, d) on a plane in centimetres."""

    def __init__(self, place: Callable[[Floats], Floats], detail: float) -> None:
        self.place, self.detail = place, detail
        self.surfaces: list[Surface] = []
        self.pictures: dict[str, Swatch] = {}

    def add(
        self, where: Floats, uv: Floats, name: str, level: float, clip: Floats | None = None, puff: float = 0.5
    ) -> None:
        """Add a grid of pattern points (R, C, 2) at ``level``; edges turn away from the viewer like real cloth."""
        flat = self.place(where)
        points = np.concatenate([flat, np.full((*flat.shape[:2], 1), level, np.float32)], -1).astype(np.float32)
        across = np.linspace(-1, 1, where.shape[1], dtype=np.float32)[None] ** 9
        direction = flat[:, -1:] - flat[:, :1]
        direction = direction / (np.linalg.norm(direction, axis=-1, keepdims=True) + 1e-6)
        tilt = direction * across[..., None] * puff
        normals = np.concatenate([tilt, np.ones((*tilt.shape[:2], 1), np.float32)], -1)
        normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
        self.surfaces.append(
            Surface(
                points,
                normals.astype(np.float32),
                uv.astype(np.float32),
                name,
                3,
                5,
                clip=clip,
                two_sided=True,
                worn=True,
            )
        )


def pieces(garment: Garment, table: Table, lie: Arrangement, density: float, rng: Generator) -> dict[str, Floats]:
    """Add all pieces of ``garment`` to ``table``; returns the landmarks in pattern coordinates by name."""
    cut = garment.pattern_cut
    rows, columns = round(30 * table.detail), round(24 * table.detail)
    d = (np.linspace(0, 1, rows, dtype=np.float32) ** 1.25 * cut.hem[1])[:, None]
    u = np.linspace(-1, 1, columns, dtype=np.float32)[None]

    def sag(x: Floats, d: Floats) -> Floats:
        low = np.clip((d - cut.armpit[1]) / (cut.hem[1] - cut.armpit[1]), 0, 1)
        return lie.sag * (1 - (x / cut.hem[0]) ** 2) * low

    for back in (True, False):
        x = u * cut.half(d[:, 0])[:, None]
        where = np.stack([x, d + sag(x, d)], -1)
        swatch = paint_torso(garment, cut, density, back)
        if back:
            swatch.rgb[:] = (swatch.rgb * 0.74).astype(np.uint8)
            _label(swatch, garment)
        swatch.height[:] += _wrinkles(rng, swatch.height.shape, 0.45)
        name = "torso_back" if back else "torso_front"
        table.pictures[name] = swatch
        clip = (d - cut.neck(x, back)).astype(np.float32)
        table.add(where, swatch.uv(x, np.broadcast_to(d, x.shape)), name, -1.5 if back else 0.0, clip)
    points: dict[str, Floats] = {
        "neck_bottom": np.array([0, cut.neck_front], np.float32),
        "hem_centre": np.array([0, cut.hem[1] + lie.sag], np.float32),
    }
    for sign, side, index in ((-1, "left", 0), (1, "right", 1)):
        armhole, sleeve = _sleeve_edges(cut, lie.angle[index], lie.bend[index])
        if garment.sleeve == "none":
            sleeve |= {
                k + e: sleeve[v] for k in ("elbow_", "cuff_") for e, v in (("outer", "shoulder"), ("inner", "armpit"))
            }
        else:
            picture = paint_sleeve(garment, cut, density, salt=int(sign > 0))
            picture.height[:] += _wrinkles(rng, picture.height.shape, 0.55)
            name = "sleeve_" + ("l" if sign > 0 else "r")
            table.pictures[name] = picture
            count = round(26 * table.detail)
            outer = _curve([sleeve["shoulder"], sleeve["elbow_outer"], sleeve["cuff_outer"]], count)
            inner = _curve([sleeve["armpit"], sleeve["elbow_inner"], sleeve["cuff_inner"]], count)
            q = np.linspace(0, 1, len(armhole), dtype=np.float32)
            grid = inner[:, None] * (1 - q[None, :, None]) + outer[:, None] * q[None, :, None]
            # the first rows follow the curved armhole instead of the straight line from armpit to shoulder
            fade = np.clip(1 - np.linspace(0, 1, count) / 0.25, 0, 1)[:, None, None]
            grid = grid + fade * (armhole - grid[0])[None]
            s = np.linspace(0, 1, count, dtype=np.float32)
            across = (q * 2 - 1)[None] * cut.sleeve_half(s)[:, None]
            uv = picture.uv(across, np.repeat((s * cut.sleeve)[:, None], len(q), 1))
            grid[..., 0] *= sign
            if sign < 0:
                # mirrored: reverse the columns so that the cloth still faces the viewer
                grid, uv = grid[:, ::-1], uv[:, ::-1]
            table.add(grid.astype(np.float32), uv, name, 0.4 if lie.front_sleeves else -0.4)
        points |= {f"{side}_{k}": v * np.array([sign, 1], np.float32) for k, v in sleeve.items()}
        points |= {
            f"{side}_neck": np.array([sign * cut.neck_half, 0], np.float32),
            f"{side}_waist": np.array([sign * cut.waist[0], cut.waist[1]], np.float32),
            f"{side}_hem": np.array([sign * cut.hem[0], cut.hem[1]], np.float32),
        }
    _neck(garment, cut, table, density)
    return points


def _label(swatch: Swatch, garment: Garment) -> None:
    """Sew a maker's label into the back of the neck."""
    x0, x1, d0, d1 = swatch.extent
    h, w = swatch.height.shape
    row = lambda d: int((d - d0) / (d1 - d0) * h)  # noqa: E731
    column = lambda x: int((x - x0) / (x1 - x0) * w)  # noqa: E731
    tone = 235 if sum(garment.colour) < 2.2 else 120
    swatch.rgb[row(0.0165) : row(0.026), column(-0.012) : column(0.012)] = tone


def _wrinkles(rng: Generator, shape: tuple[int, int], strength: float) -> Floats:
    strokes = []
    for _ in range(int(rng.integers(3, 9))):
        u, v, angle = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.95), rng.uniform(0, np.pi)
        length, wide, tall = rng.uniform(0.1, 0.3), rng.uniform(0.015, 0.045), rng.uniform(0.2, 0.6) * strength
        strokes.append((u, v, angle, length, wide, tall))
    return folds(rng, shape, strokes, 0.4 * strength)


def _neck(garment: Garment, cut: Cut, table: Table, density: float) -> None:
    """Lay collar, turtleneck or hood."""
    kind = garment.neckline
    if kind not in ("collar", "turtle", "hood"):
        return
    calm = "plain" if garment.pattern in ("blocks", "gradient", "floral") else garment.pattern
    swatch = plain_swatch(replace(garment, pattern=calm), (-0.1, 0.1, 0.0, 0.06), density, 11)
    inside = plain_swatch(replace(garment, pattern=calm), (-0.1, 0.1, 0.0, 0.06), density, 11)
    inside.rgb[:] = (inside.rgb * 0.68).astype(np.uint8)
    if kind == "collar":
        topstitch(swatch)
    table.pictures |= {"collar": swatch, "inside": inside}
    n = cut.neck_half
    t = np.linspace(0, 1, round(10 * table.detail), dtype=np.float32)[:, None]

    def quad(
        a: tuple, b: tuple, c: tuple, d: tuple, name: str, level: float, bow: float = 0.0, picture: Swatch = swatch
    ) -> None:
        # a-b is the upper or inner edge, d-c the lower or outer one
        s = np.linspace(0, 1, round(14 * table.detail), dtype=np.float32)[None, :, None]
        upper = np.array(a) * (1 - s) + np.array(b) * s
        lower = np.array(d) * (1 - s) + np.array(c) * s
        arch = np.concatenate([np.zeros_like(s), bow * 4 * s * (1 - s)], -1)
        grid = upper * (1 - t[..., None]) + lower * t[..., None] + arch
        uv = picture.uv(grid[..., 0] * 1.0, np.clip(t * 0.05 + 0 * grid[..., 0], 0, 0.06))
        if a[0] > b[0]:
            grid, uv = grid[:, ::-1], uv[:, ::-1]
        table.add(grid.astype(np.float32), uv, name, level, puff=0.25)

    if kind == "collar":
        quad((-n * 0.92, -0.020), (n * 0.92, -0.020), (n, 0.016), (-n, 0.016), "inside", -0.8, -0.006, inside)
        for sign in (-1, 1):
            quad((sign * 0.003, cut.neck_front * 0.98), (sign * n * 0.94, -0.022), (sign * (n + 0.014), 0.010),
                 (sign * 0.040, cut.neck_front + 0.022), "collar", 0.9)  # fmt: skip
    elif kind == "turtle":
        quad((-n * 0.93, -0.048), (n * 0.93, -0.048), (n * 1.04, 0.012), (-n * 1.04, 0.012), "collar", 0.8, 0.004)
    else:
        angle = np.linspace(-1, 1, round(26 * table.detail), dtype=np.float32)[None]
        for name, wide, tall, base, level in (
            ("collar", 0.083, 0.135, 0.034, -2.0),
            ("inside", 0.056, 0.105, 0.030, -1.7),
        ):
            rise = np.sqrt(np.clip(1 - np.abs(angle) ** 2.4, 0, 1))  # the hood's outline
            x, y = angle * wide, base - t * (tall * rise)
            grid = np.stack(np.broadcast_arrays(x, y), -1)[::-1]
            uv = swatch.uv(np.clip(grid[..., 0], -0.1, 0.1), np.clip(0.03 - grid[..., 1] * 0.2, 0, 0.06))
            table.add(grid.astype(np.float32), uv, name, level)
        for sign in (-1, 1):
            quad((sign * 0.004, cut.neck_front + 0.004), (sign * n * 1.06, -0.012), (sign * (n + 0.032), 0.016),
                 (sign * 0.024, cut.neck_front + 0.020), "collar", 0.8)  # fmt: skip
        pale = plain_swatch(
            Garment(colour=as_colour(0.45 * c + 0.5 for c in garment.colour)), (-0.01, 0.01, 0, 0.05), density, 12
        )
        table.pictures["cord"] = pale
        for sign in (-1, 1):
            x, top = sign * 0.020, cut.neck_front + 0.012
            quad(
                (x - 0.0022, top),
                (x + 0.0022, top),
                (x * 1.25 + 0.0022, top + 0.085),
                (x * 1.25 - 0.0022, top + 0.085),
                "cord",
                1.2,
                0,
                pale,
            )
