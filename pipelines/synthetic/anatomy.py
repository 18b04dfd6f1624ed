"""Skin: torso, neck, arms, hands and legs as lofted surfaces around a posed skeleton."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.synthetic.bodies import Skeleton, arm_axis, leg_axis
from pipelines.synthetic.meshes import (
    Floats,
    Surface,
    cross,
    grid_normals,
    loft,
    smooth_path,
    tube_frames,
    unit,
)

FACE, NECK = 13, 10
ARM = {"l": 14, "r": 15}
LEG = {"l": 16, "r": 17}
SKIN = 2
SIGN = {"l": 1, "r": -1}


def rings(detail: float, base: int) -> int:
    """Number of rows or columns at a level of detail (1 is for pictures of 256x192)."""
    return max(4, round(base * detail))


def around(detail: float, base: int) -> Floats:
    """Angles of one closed ring, first equal to last."""
    return np.linspace(-np.pi, np.pi, rings(detail, base) + 1, dtype=np.float32)


def bust_lobes(angles: Floats) -> Floats:
    """How much of the bust's depth each angle of a torso ring takes, 0..1."""
    return (np.exp(-(((np.abs(angles) - 0.52) / 0.42) ** 2)) + 0.30 * np.exp(-((angles / 0.4) ** 2))).astype(np.float32)


def torso_points(
    skeleton: Skeleton, at: Floats, angles: Floats, width: Floats | float = 0.0, depth: Floats | float = 0.0
) -> Floats:
    """Return (R, C, 3) points of the torso at heights ``at``, widened by ``width`` and deepened by ``depth`` cm."""
    half_width, half_depth, offset = skeleton.body.torso(at)
    centre, side, front = skeleton.spine(at)
    deep = (half_depth + depth)[:, None] + skeleton.body.bust(at)[:, None] * bust_lobes(angles)[None]
    return loft(centre + front * offset[:, None], side, front, half_width + width, deep, angles, power=2.25)


def arm_path(skeleton: Skeleton, side: str, count: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Centre line (N, 3), positions (N,), side and front axes (N, 3) of one arm from shoulder to wrist."""
    joints = np.stack([skeleton.joints[name + side] for name in ("shoulder_", "elbow_", "wrist_")])
    path, t = smooth_path(joints, count)
    sides, fronts = tube_frames(path, arm_axis(skeleton, side))
    return path, t, sides, fronts


def leg_path(skeleton: Skeleton, side: str, count: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Centre line (N, 3), positions (N,), side and front axes (N, 3) of one leg from hip to ankle."""
    joints = np.stack([skeleton.joints[name + side] for name in ("hip_", "knee_", "ankle_")])
    path, t = smooth_path(joints, count, bend=0.2)
    sides, fronts = tube_frames(path, leg_axis(skeleton, side))
    return path, t, sides, fronts


def skin_surface(points: Floats, layout: int, uv: Floats | None = None, texture: str = "skin") -> Surface:
    """Wrap closed rings of points in skin."""
    if uv is None:
        uv = np.full((*points.shape[:2], 2), 0.5, np.float32)
    return Surface(points, grid_normals(points, True), uv, texture, SKIN, layout, matter="skin")


def skin_torso(skeleton: Skeleton, detail: float, bare_shoulders: bool = False) -> list[Surface]:
    """Neck and chest, down to the waist; what clothes cover is simply behind them."""
    at = np.linspace(0.862, 0.50, rings(detail, 18), dtype=np.float32)
    points = torso_points(skeleton, at, around(detail, 20))
    out = [skin_surface(points, NECK)]
    base, head = skeleton.joints["neck"], skeleton.joints["head"]
    h = skeleton.body.height
    up = unit(head - base)
    t = np.linspace(1, 0, rings(detail, 7), dtype=np.float32)
    front = skeleton.chest[:, 2]
    path = base - up * 0.020 * h + (t[:, None] * up) * (0.020 + 0.052) * h + front * (t[:, None] * 0.004 - 0.003) * h
    thick = 0.0305 - 0.0045 * skeleton.body.curves + 0.004 * skeleton.body.weight
    radius = (thick + 0.012 * (1 - t) ** 3) * h
    side = np.repeat(skeleton.chest[None, :, 0], len(t), 0)
    deep = np.repeat(unit(cross(side[:1], up[None])), len(t), 0)
    out.append(skin_surface(loft(path, side, deep, radius, radius * 1.02, around(detail, 14)), NECK))
    return out


def skin_arm(skeleton: Skeleton, side: str, start: float, detail: float, hand: bool = True) -> list[Surface]:
    """One bare arm from position ``start`` in [0, 1] to the wrist, with its hand."""
    path, t, sides, fronts = arm_path(skeleton, side, rings(detail, 22))
    radius = skeleton.body.arm_radius(t)
    if start <= 0:
        path, sides, fronts, radius = round_start(path, sides, fronts, radius)
    else:
        keep = t >= start - 1.5 / len(t)
        path, sides, fronts, radius = path[keep], sides[keep], fronts[keep], radius[keep]
    out = [skin_surface(loft(path, sides, fronts, radius, radius, around(detail, 12)), ARM[side])]
    if hand:
        out += skin_hand(skeleton, side, detail)
    return out


def round_start(path: Floats, sides: Floats, fronts: Floats, radius: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Put half a ball in front of a tube's first ring; the four arrays grow by four rows."""
    lift = np.array([1.48, 1.05, 0.65, 0.3], np.float32)
    back = unit(path[0] - path[1])
    cap = path[0] + back * (0.44 * radius[0] * np.sin(lift))[:, None]
    return (
        np.concatenate([cap, path]).astype(np.float32),
        np.concatenate([np.repeat(sides[:1], 4, 0), sides]),
        np.concatenate([np.repeat(fronts[:1], 4, 0), fronts]),
        np.concatenate([radius[0] * np.cos(lift), radius]).astype(np.float32),
    )


def _hand_frame(skeleton: Skeleton, side: str) -> tuple[Floats, Floats, Floats, float]:
    """Direction of the fingers, palm normal, thumb side, and how far the fingers curl."""
    sign = SIGN[side]
    arm = skeleton.stance.left if sign > 0 else skeleton.stance.right
    d = unit(skeleton.joints["wrist_" + side] - skeleton.joints["elbow_" + side])
    outward, up, front = skeleton.chest[:, 0] * sign, skeleton.chest[:, 1], skeleton.chest[:, 2]
    curl = 0.38
    if arm.kind == "hip":
        fingers, palm = front * 0.75 - outward * 0.42 - up * 0.45, -outward - front * 0.5
        curl = 0.30
    elif arm.kind in ("front", "folded"):
        fingers, palm = d - up * 0.12, -front
        curl = 0.25
    elif arm.kind in ("raised", "wave"):
        fingers, palm = d * 0.9 + up * 0.3, front
        curl = 0.10
    elif arm.kind == "chin":
        fingers, palm = d + up * 0.3, -outward * 0.5 - front * 0.6
        curl = 0.75
    elif arm.kind == "bent":
        fingers, palm = d, -outward + up * 0.4
        curl = 0.5
    else:
        fingers, palm = d - up * 0.15, -outward * 0.85 - front * 0.6
        curl = 0.30 + 0.25 * arm.b
    fingers = unit(fingers)
    palm = unit(palm - (palm @ fingers) * fingers)
    return fingers, palm, sign * cross(palm, fingers), curl


def skin_hand(skeleton: Skeleton, side: str, detail: float) -> list[Surface]:
    """Palm, four fingers and a thumb."""
    h = skeleton.body.height * (1.0 - 0.09 * skeleton.body.curves)
    fingers, palm, thumb, curl = _hand_frame(skeleton, side)
    wrist = skeleton.joints["wrist_" + side]
    angles = around(detail, 10)
    width_axis = cross(fingers, palm) * -1.0
    at = np.array([-0.012, 0.0, 0.012, 0.024, 0.036, 0.046, 0.050], np.float32) * h
    path = wrist + fingers * at[:, None]
    half = np.array([0.0125, 0.0140, 0.0185, 0.0205, 0.0210, 0.0195, 0.0130], np.float32) * h
    thick = np.array([0.0115, 0.0110, 0.0105, 0.0100, 0.0092, 0.0080, 0.0045], np.float32) * h
    count = len(at)
    front = cross(fingers, width_axis)
    out = [
        skin_surface(
            loft(path, np.repeat(width_axis[None], count, 0), np.repeat(front[None], count, 0), half, thick, angles),
            ARM[side],
        )
    ]
    ring = around(detail, 6)
    for place, length, fat in ((0.76, 0.040, 1.0), (0.26, 0.045, 1.03), (-0.25, 0.042, 1.0), (-0.74, 0.033, 0.88)):
        bend = curl * (1.0 + 0.25 * (0.76 - place))
        root = wrist + fingers * (0.045 if abs(place) < 0.5 else 0.041) * h + thumb * place * 0.0185 * h
        out.append(_finger(root, fingers + thumb * place * 0.05, palm, length * h, 0.0056 * h * fat, bend, ring, side))
    root = wrist + fingers * 0.012 * h + thumb * 0.0135 * h + palm * 0.003 * h
    out.append(
        _finger(root, fingers * 0.80 + thumb * 0.48, palm * 0.8 - thumb * 0.3, 0.041 * h, 0.0068 * h, 0.3, ring, side)
    )
    return out


def _finger(
    root: Floats, direction: Floats, inward: Floats, length: float, radius: float, curl: float, ring: Floats, side: str
) -> Surface:
    t = np.array([0, 0.3, 0.55, 0.8, 0.95, 1.0], np.float32)
    bend = np.cumsum(np.array([0.25, 0.55, 0.75, 0.75, 0.75, 0.75], np.float32)) * curl * 0.55
    direction, inward = unit(direction), unit(inward)
    steps = np.cos(bend)[:, None] * direction + np.sin(bend)[:, None] * inward
    path = root + np.cumsum(steps * np.diff(t, prepend=0)[:, None] * length, 0)
    sides, fronts = tube_frames(path.astype(np.float32), unit(cross(direction, inward)))
    size = radius * np.array([1.02, 1.02, 0.98, 0.88, 0.62, 0.08], np.float32)
    return skin_surface(loft(path, sides, fronts, size, size, ring), ARM[side])


def skin_leg(skeleton: Skeleton, side: str, start: float, detail: float) -> list[Surface]:
    """One bare leg from position ``start`` in [0, 1] to the ankle."""
    path, t, sides, fronts = leg_path(skeleton, side, rings(detail, 24))
    keep = t >= start - 1.5 / len(t)
    radius = skeleton.body.leg_radius(t)
    # the calf bulges backwards, the thigh forwards
    shift = skeleton.body.height * (
        0.010 * np.exp(-(((t - 0.25) / 0.2) ** 2)) - 0.010 * np.exp(-(((t - 0.68) / 0.14) ** 2))
    )
    path = path + fronts * shift[:, None].astype(np.float32)
    points = loft(path[keep], sides[keep], fronts[keep], radius[keep], radius[keep] * 1.04, around(detail, 14))
    # behind whatever covers the thigh
    sink = -0.075 * skeleton.body.height * np.clip((start + 0.14 - t[keep]) / 0.04, 0, 1)
    return [replace(skin_surface(points, LEG[side]), bias=sink[:, None].astype(np.float32))]
