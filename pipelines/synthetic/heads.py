"""Heads: skull, ears and hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.anatomy import FACE, SKIN, around, rings
from pipelines.synthetic.bodies import Skeleton
from pipelines.synthetic.meshes import Floats, Surface, grid_normals, loft, tube_frames, unit

HAIR = 1
HAIR_STYLES = ("bald", "buzz", "short", "swept", "curly", "bob", "long", "bun", "afro")
HAIR_COLOURS = (
    (0.07, 0.055, 0.05),
    (0.14, 0.09, 0.065),
    (0.26, 0.16, 0.10),
    (0.40, 0.25, 0.14),
    (0.62, 0.44, 0.24),
    (0.78, 0.62, 0.38),
    (0.50, 0.20, 0.10),
    (0.55, 0.54, 0.53),
)
EYE_COLOURS = ((0.24, 0.14, 0.08), (0.36, 0.22, 0.11), (0.28, 0.36, 0.22), (0.27, 0.42, 0.56), (0.33, 0.36, 0.38))

# share of the way from chin to crown: half width, depth in front, depth behind (shares of half width and half depth)
_PROFILE = np.array(
    [
        [-0.035, 0.16, 0.30, -0.05],
        [-0.015, 0.34, 0.62, 0.00],
        [0.02, 0.45, 0.79, 0.05],
        [0.07, 0.555, 0.85, 0.10],
        [0.14, 0.68, 0.875, 0.22],
        [0.22, 0.79, 0.885, 0.48],
        [0.31, 0.885, 0.895, 0.74],
        [0.40, 0.95, 0.885, 0.90],
        [0.49, 0.985, 0.865, 0.98],
        [0.58, 1.0, 0.905, 1.02],
        [0.68, 0.995, 0.925, 1.02],
        [0.78, 0.94, 0.87, 0.96],
        [0.87, 0.80, 0.72, 0.80],
        [0.94, 0.58, 0.50, 0.56],
        [0.985, 0.30, 0.26, 0.30],
        [1.0, 0.02, 0.02, 0.02],
    ],
    np.float32,
)


@dataclass(frozen=True)
class Look:
    """What a head looks like.

    Attributes:
        style: One of ``HAIR_STYLES``.
        hair: RGB in [0, 1].
        eyes: RGB in [0, 1].
        beard: 0 none, up to 1 full.
        lips: 0 the skin's own colour to 1 lipstick.
        smile: 0 to 1.
        fringe: How far the hair falls over the forehead, 0 to 1.
        part: Side of the parting, -1 to 1.
        hat: ``none``, ``beanie``, ``cap`` or ``sunhat``.
        hat_colour: RGB in [0, 1].
        glasses: ``none``, ``clear`` or ``dark``.
        jaw: Width of the jaw, about 1.
        seed: Of the strands and the stubble.
    """

    style: str = "short"
    hair: tuple[float, float, float] = (0.2, 0.13, 0.09)
    eyes: tuple[float, float, float] = (0.3, 0.2, 0.12)
    beard: float = 0.0
    lips: float = 0.2
    smile: float = 0.6
    fringe: float = 0.2
    part: float = 0.4
    hat: str = "none"
    hat_colour: tuple[float, float, float] = (0.3, 0.32, 0.38)
    glasses: str = "none"
    jaw: float = 1.0
    seed: int = 0


def sample_look(rng: Generator, curves: float) -> Look:
    """Draw a head that suits a body with these ``curves``."""
    soft = rng.uniform() < curves
    styles, odds = (
        (("long", "bob", "bun", "swept", "curly", "afro", "short"), (0.34, 0.20, 0.16, 0.06, 0.10, 0.07, 0.07))
        if soft
        else (("short", "swept", "buzz", "curly", "bald", "afro", "long"), (0.40, 0.20, 0.12, 0.13, 0.06, 0.05, 0.04))
    )
    style = str(rng.choice(styles, p=odds))
    beard = 0.0 if soft or rng.uniform() < 0.55 else float(rng.uniform(0.35, 1.0))
    hat = str(rng.choice(("none", "beanie", "cap", "sunhat"), p=(0.86, 0.06, 0.05, 0.03)))
    hue = rng.uniform(0, 1, 3)
    return Look(
        style=style,
        hair=HAIR_COLOURS[int(rng.choice(len(HAIR_COLOURS), p=(0.2, 0.2, 0.2, 0.13, 0.1, 0.07, 0.05, 0.05)))],
        eyes=EYE_COLOURS[int(rng.integers(len(EYE_COLOURS)))],
        beard=beard,
        lips=float(rng.uniform(0.3, 1.0)) if soft else float(rng.uniform(0.0, 0.25)),
        smile=float(rng.uniform(0.2, 1.0)),
        fringe=float(rng.uniform(0, 1)) if soft else float(rng.uniform(0, 0.5)),
        part=float(rng.uniform(-1, 1)),
        hat=hat,
        hat_colour=(float(0.15 + 0.6 * hue[0]), float(0.15 + 0.5 * hue[1]), float(0.15 + 0.5 * hue[2])),
        glasses=str(rng.choice(("none", "clear", "dark"), p=(0.84, 0.11, 0.05))),
        jaw=float(0.93 + 0.05 * rng.uniform() if soft else 0.98 + 0.09 * rng.uniform()),
        seed=int(rng.integers(1 << 31)),
    )


@dataclass(frozen=True)
class Head:
    """Where the head is: a frame and its size, so that every piece speaks in shares of it.

    Attributes:
        chin: (3,) origin, at chin height on the neck's axis.
        frame: 3x3 columns side, up, front.
        width: Half width in cm.
        depth: Half depth in cm.
        height: Chin to crown in cm.
        jaw: Width of the jaw.
    """

    chin: Floats
    frame: Floats
    width: float
    depth: float
    height: float
    jaw: float

    @classmethod
    def of(cls, skeleton: Skeleton, look: Look) -> Head:
        """Return the head of ``skeleton``."""
        scale = skeleton.body.height**0.5 * 172**0.5 * skeleton.body.head
        return cls(skeleton.joints["head"], skeleton.skull, 0.0450 * scale, 0.0560 * scale, 0.1335 * scale, look.jaw)

    def at(self, x: float, y: float, z: float) -> Floats:
        """World point at shares (x of half width, y of height above the chin, z of half depth)."""
        local = np.array([x * self.width, y * self.height, z * self.depth + 0.16 * self.depth], np.float32)
        return (self.chin + self.frame @ local).astype(np.float32)

    def rings_at(self, y: Floats, angles: Floats, grow: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Return (R, C, 3) points of the skull at heights ``y`` (shares), grown by ``grow`` cm, and local (x, y, z)."""
        width = np.interp(y, _PROFILE[:, 0], _PROFILE[:, 1])
        width = width * (1 + (self.jaw - 1) * np.clip(1 - y / 0.45, 0, 1)) * self.width
        front = np.interp(y, _PROFILE[:, 0], _PROFILE[:, 2]) * self.depth
        back = np.interp(y, _PROFILE[:, 0], _PROFILE[:, 3]) * self.depth
        depth = np.where(np.cos(angles)[None] > 0, front[:, None], back[:, None])
        x = width[:, None] * np.sin(angles)[None]
        z = depth * np.cos(angles)[None] + 0.16 * self.depth
        height = np.repeat((y * self.height)[:, None], len(angles), 1)
        if np.any(grow):
            # outwards from the middle of the skull
            away = np.stack([x, height - 0.55 * self.height, z - 0.1 * self.depth], -1)
            away /= np.sqrt((away * away).sum(-1, keepdims=True)) + 1e-6
            grown = np.stack([x, height, z], -1) + away * np.broadcast_to(grow, x.shape)[..., None]
            x, height, z = grown[..., 0], grown[..., 1], grown[..., 2]
        local = np.stack([x, height, z], -1).astype(np.float32)
        return (self.chin + local @ self.frame.T).astype(np.float32), local


def bell(x: Floats, y: Floats, cx: float, cy: float, sx: float, sy: float) -> Floats:
    """A Gaussian spot at (cx, cy) with widths (sx, sy)."""
    return np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)


def skull(head: Head, detail: float) -> list[Surface]:
    """The bare head with nose, brow, cheeks and ears."""
    count = rings(detail, 30)
    s = np.linspace(-np.pi, np.pi, count + 1, dtype=np.float32)
    angles = s - 0.52 * np.sin(s)
    y = np.interp(
        np.linspace(0, 1, rings(detail, 26)), [0, 0.12, 0.75, 1], [-0.035, 0.03, 0.72, 1.0]
    ).astype(np.float32)  # fmt: skip
    points, local = head.rings_at(y[::-1], angles)
    x, h = local[..., 0] / head.width, local[..., 1] / head.height
    nose = np.interp(h, [0.255, 0.285, 0.315, 0.36, 0.52, 0.56], [0, 0.21, 0.25, 0.19, 0.05, 0.0])
    wide = np.interp(h, [0.25, 0.31, 0.52], [0.26, 0.19, 0.13])
    bump = nose * np.exp(-((x / wide) ** 2))
    bump = bump + 0.035 * bell(x, h, 0, 0.185, 0.30, 0.035) + 0.045 * bell(x, h, 0, 0.045, 0.28, 0.05)
    for sign in (-1, 1):
        bump = (
            bump
            - 0.075 * bell(x, h, 0.38 * sign, 0.485, 0.20, 0.045)
            + 0.05 * bell(x, h, 0.50 * sign, 0.335, 0.25, 0.09)
        )
        bump = bump + 0.03 * bell(x, h, 0.36 * sign, 0.575, 0.28, 0.04)
    facing = np.clip(np.cos(angles), 0, 1)[None]
    points = points + (bump * facing * head.depth)[..., None].astype(np.float32) * head.frame[:, 2]
    u = np.where(np.cos(angles)[None] > 0, x * 0.5 + 0.5, np.sign(x) * 0.5 + 0.5)
    uv = np.stack([np.clip(u, 0.01, 0.99), np.clip(1 - h, 0.01, 0.99)], -1).astype(np.float32)
    out = [Surface(points, grid_normals(points, True), uv, "face", SKIN, FACE, matter="skin")]
    ring = around(detail, 10)
    for sign in (-1, 1):
        t = np.linspace(-1, 1, rings(detail, 7), dtype=np.float32)[::-1]
        size = np.sqrt(np.clip(1 - t * t, 0.0004, 1))
        centre = np.stack([head.at(sign * (0.97 + 0.05 * v), 0.445 + 0.085 * v, -0.05 - 0.06 * v) for v in t])
        sides = np.repeat(unit(head.frame[:, 0] + sign * -0.5 * head.frame[:, 2])[None], len(t), 0)
        fronts = np.repeat(unit(head.frame[:, 2] + sign * 0.5 * head.frame[:, 0])[None], len(t), 0)
        points = loft(centre, sides, fronts, size * 0.10 * head.width, size * 0.16 * head.depth, ring)
        uv = np.full((*points.shape[:2], 2), 0.5, np.float32)
        out.append(Surface(points, grid_normals(points, True), uv, "skin", SKIN, FACE, matter="skin"))
    return out


def surface_point(head: Head, x: float, y: float) -> Floats:
    """World point on the face at share ``x`` of the half width and ``y`` of the height."""
    width = float(np.interp(y, _PROFILE[:, 0], _PROFILE[:, 1]))
    front = float(np.interp(y, _PROFILE[:, 0], _PROFILE[:, 2]))
    return head.at(x, y, front * np.sqrt(max(0.0, 1 - (x / width) ** 2)))


def face_points(head: Head) -> dict[str, Floats]:
    """World points of nose, eyes and ears; ``l`` is the person's own left."""
    return {
        "nose": surface_point(head, 0, 0.315) + head.frame[:, 2] * 0.22 * head.depth,
        "eye_l": surface_point(head, 0.385, 0.485),
        "eye_r": surface_point(head, -0.385, 0.485),
        "ear_l": head.at(0.99, 0.45, -0.02),
        "ear_r": head.at(-0.99, 0.45, -0.02),
    }


def _hairline(angle: Floats, look: Look) -> Floats:
    """Height (share) below which there is no hair, by angle from the front."""
    side = np.abs(angle)
    base = np.interp(
        side, [0, 0.55, 0.95, 1.25, 1.42, 1.62, 2.0, 2.6, np.pi], [0.82, 0.80, 0.73, 0.60, 0.43, 0.44, 0.26, 0.13, 0.11]
    )
    sweep = 0.17 * look.fringe * np.exp(-(((angle - 0.5 * look.part) / 0.75) ** 2))
    return (base - sweep).astype(np.float32)


def _cap(head: Head, look: Look, detail: float, thick: Floats | float, lumps: float = 0.0) -> Surface:
    angles = around(detail, 32)
    y = np.linspace(0.05, 1.0, rings(detail, 26), dtype=np.float32)[::-1]
    y = 1 - (1 - y) ** 1.25
    line = _hairline(angles, look)[None]
    above = y[:, None] - line
    strands = np.sin(angles * 37 + look.part * 9) * 0.5 + np.sin(angles * 61 + 2) * 0.5
    above = above + 0.007 * strands[None] * np.cos(angles * 5 + look.part)[None]
    # the edge lies on the skin, so that nothing shows between hair and head
    grow = np.asarray(thick, np.float32) * head.height * (np.clip(above / 0.13, 0, 1) ** 0.7 - 0.02)
    grow = grow * (1 + 0.35 * np.clip((y[:, None] - 0.6) / 0.4, 0, 1) * (1 - 0.3 * np.cos(angles)[None]))
    if lumps:
        a, b = np.random.default_rng(look.seed).uniform(0, 6, 2)
        wave = np.sin(angles[None] * 9 + a + 3 * np.sin(y[:, None] * 14)) * np.sin(
            y[:, None] * 26 + b + 2 * np.sin(angles[None] * 4)
        )
        grow = grow * (1 + lumps * wave)
    points, _ = head.rings_at(y, angles, grow)
    parting = look.part * 0.45
    u = (angles[None] - parting) / (2 * np.pi) + 0.5 + 0.12 * np.sin(y[:, None] * 4 + look.part)
    uv = np.stack([u * np.ones_like(above), np.repeat(1 - y[:, None], len(angles), 1)], -1)
    return Surface(
        points, grid_normals(points, True), np.clip(uv, 0, 1).astype(np.float32), "hair", HAIR, 2,
        clip=above.astype(np.float32), matter="hair", two_sided=True,
    )  # fmt: skip


def _hair_tube(path: Floats, side: Floats, width: Floats, depth: Floats, detail: float) -> Surface:
    sides, fronts = tube_frames(path, side)
    angles = around(detail, 12)
    points = loft(path, sides, fronts, width, depth, angles)
    v = np.linspace(0, 1, len(path), dtype=np.float32)
    uv = np.stack(np.broadcast_arrays(angles[None] / (2 * np.pi) * 0.6 + 0.5, v[:, None]), -1).astype(np.float32)
    return Surface(points, grid_normals(points, True), uv, "hair", HAIR, 2, matter="hair")


def hair(head: Head, look: Look, skeleton: Skeleton, detail: float) -> list[Surface]:
    """The hair of ``look``, empty for a bald head."""
    if look.style == "bald":
        return []
    thick = {"buzz": 0.014, "short": 0.055, "swept": 0.085, "curly": 0.12, "afro": 0.27, "bun": 0.035}.get(
        look.style, 0.055
    )
    lumps = {"curly": 0.42, "afro": 0.13, "short": 0.05, "swept": 0.06}.get(look.style, 0.0)
    if look.hat != "none":
        thick, lumps = min(thick, 0.05), 0.0
    out = [_cap(head, look, detail, thick, lumps)]
    h = skeleton.body.height
    if look.style == "bun" and look.hat == "none":
        t = np.linspace(-1, 1, rings(detail, 10), dtype=np.float32)
        size = np.sqrt(np.clip(1 - t * t, 0.0005, 1)) * 0.55 * head.width
        middle = head.at(0, 1.07, -0.45)
        path = middle - head.frame[:, 1] * t[:, None] * 0.50 * head.width
        out.append(_hair_tube(path.astype(np.float32), head.frame[:, 0], size, size, detail))
    if look.style in ("long", "bob"):
        drop = {"bob": 0.012, "long": 0.125}[look.style] * h
        t = np.linspace(0, 1, rings(detail, 16), dtype=np.float32)
        y = 0.62 - t * (0.62 + drop / head.height)
        below = np.clip((-y) * head.height / (0.05 * h), 0, 1)
        wide = head.width * (1.09 + 0.13 * np.sin(t * np.pi * 0.75)) - 0.0 * below
        deep = head.depth * (1.14 - 0.22 * t)
        angles = np.linspace(0, 2 * np.pi, rings(detail, 28) + 1, dtype=np.float32) - np.pi
        centre = head.chin + (y * head.height)[:, None] * head.frame[:, 1]
        centre = centre + (0.10 - 0.35 * t)[:, None] * head.depth * head.frame[:, 2]
        sides, fronts = (np.repeat(head.frame[None, :, k], len(t), 0) for k in (0, 2))
        points = loft(centre.astype(np.float32), sides, fronts, wide, deep, angles)
        opening = np.interp(t, [0, 0.2, 0.5, 1], [1.22, 1.28, 1.16, 1.22])
        clip = np.abs(angles)[None] - opening[:, None]
        ragged = 0.02 * np.sin(angles * 13 + look.part * 5) + 0.015 * np.sin(angles * 29)
        clip = np.minimum(clip, (1.0 + ragged[None] - 0.04 - t[:, None]) * 4).astype(np.float32)
        uv = np.stack(np.broadcast_arrays(angles[None] / (2 * np.pi) + 0.5, 0.25 + 0.75 * t[:, None]), -1).astype(
            np.float32
        )
        out.append(
            Surface(points, grid_normals(points, True), uv, "hair", HAIR, 2, clip=clip, two_sided=True, matter="hair")
        )
    if look.style == "long":
        for sign in (-1, 1):
            chest = skeleton.joints["neck"]
            side, up, front = (skeleton.chest[:, k] for k in range(3))
            knots = np.stack(
                [
                    head.at(sign * 0.82, 0.74, 0.12),
                    head.at(sign * 1.10, 0.38, 0.18),
                    head.at(sign * 1.12, 0.10, 0.10),
                    chest + side * sign * 0.060 * h - up * 0.012 * h + front * 0.040 * h,
                    chest + side * sign * 0.064 * h - up * 0.060 * h + front * 0.072 * h,
                    chest + side * sign * 0.058 * h - up * 0.105 * h + front * 0.083 * h,
                ]
            )
            t = np.linspace(0, 5, rings(detail, 20), dtype=np.float32)
            path = np.stack([np.interp(t, np.arange(6), knots[:, k]) for k in range(3)], -1)
            kernel = np.array([0.25, 0.5, 0.25])
            for _ in range(3):
                path[1:-1] = kernel[0] * path[:-2] + kernel[1] * path[1:-1] + kernel[2] * path[2:]
            shape = np.interp(t, [0, 0.7, 3, 4.2, 5], [0.10, 0.70, 1.0, 0.85, 0.12]).astype(np.float32)
            out.append(
                _hair_tube(path.astype(np.float32), head.frame[:, 0], shape * 0.017 * h, shape * 0.013 * h, detail)
            )
    return out
