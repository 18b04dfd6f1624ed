"""Bodies and how they stand: proportions, a spine that bends, arms and legs placed by two-bone inverse kinematics.

Lengths are shares of the body's height unless a name says otherwise; the rest pose stands upright with arms down.
``left`` is the person's own left, at +x for somebody who faces the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.meshes import Floats, between, cross, rotation, unit

HIP, CHEST, SHOULDER, NECK, CHIN, CROWN = 0.515, 0.74, 0.813, 0.848, 0.864, 1.0
UPPER_ARM, FOREARM, HAND = 0.165, 0.142, 0.098
ANKLE, KNEE = 0.042, 0.283

# height above ground, half width, half depth, forward offset; then what frame and weight add to the half width
_TORSO = np.array(
    [
        [0.862, 0.0310, 0.0330, 0.000, 0.000, 0.003],
        [0.848, 0.0340, 0.0360, -0.002, 0.000, 0.004],
        [0.838, 0.0480, 0.0400, -0.004, 0.001, 0.004],
        [0.826, 0.0740, 0.0460, -0.004, 0.003, 0.005],
        [0.812, 0.0965, 0.0520, -0.004, 0.005, 0.006],
        [0.790, 0.0985, 0.0590, -0.002, 0.006, 0.008],
        [0.760, 0.0980, 0.0650, 0.000, 0.006, 0.011],
        [0.725, 0.0960, 0.0680, 0.002, 0.005, 0.014],
        [0.685, 0.0890, 0.0640, 0.001, 0.004, 0.018],
        [0.640, 0.0815, 0.0590, 0.000, 0.003, 0.023],
        [0.605, 0.0800, 0.0570, 0.000, 0.002, 0.025],
        [0.565, 0.0870, 0.0610, 0.000, 0.001, 0.023],
        [0.530, 0.0945, 0.0660, -0.002, 0.000, 0.019],
        [0.500, 0.0960, 0.0670, -0.003, 0.000, 0.016],
        [0.475, 0.0930, 0.0630, -0.003, 0.000, 0.014],
        [0.455, 0.0820, 0.0540, -0.002, 0.000, 0.012],
    ],
    np.float32,
)[::-1]


@dataclass(frozen=True)
class Body:
    """Shape of one person.

    Attributes:
        height: Centimetres.
        curves: 0 straight to 1 curved (narrower shoulders and waist, wider hips, bust).
        weight: -1 slim to 1 heavy.
        head: Scale of the head.
        skin: RGB in [0, 1].
    """

    height: float = 172.0
    curves: float = 0.5
    weight: float = 0.0
    head: float = 1.06
    skin: tuple[float, float, float] = (0.87, 0.68, 0.56)

    def torso(self, at: Floats) -> tuple[Floats, Floats, Floats]:
        """Half width, half depth and forward offset of the torso (centimetres) at heights ``at`` (shares)."""
        rows = _TORSO
        c, w = self.curves, self.weight
        width = np.interp(at, rows[:, 0], rows[:, 1] + rows[:, 4] * (0.6 - c) * 2 + rows[:, 5] * w)
        depth = np.interp(at, rows[:, 0], rows[:, 2] + rows[:, 5] * w * 1.15)
        width = width - 0.0075 * c * _bump(at, 0.615, 0.035) + 0.0065 * c * _bump(at, 0.51, 0.035)
        depth = depth + 0.004 * c * _bump(at, 0.50, 0.04)
        offset = np.interp(at, rows[:, 0], rows[:, 3])
        offset = offset + 0.010 * max(0.0, w) * _bump(at, 0.585, 0.05)
        h = self.height
        return (width * h).astype(np.float32), (depth * h).astype(np.float32), (offset * h).astype(np.float32)

    def bust(self, at: Floats) -> Floats:
        """Extra depth of the chest's front in centimetres at heights ``at``."""
        return (self.height * (0.004 + 0.017 * self.curves) * _bump(at, 0.716, 0.027)).astype(np.float32)

    @property
    def shoulder_half(self) -> float:
        """Half distance of the shoulder joints, centimetres."""
        return self.height * (0.1025 - 0.011 * self.curves + 0.004 * self.weight)

    @property
    def hip_half(self) -> float:
        """Half distance of the hip joints, centimetres."""
        return self.height * (0.050 + 0.004 * self.curves + 0.003 * self.weight)

    def arm_radius(self, t: Floats) -> Floats:
        """Radius of the bare arm in centimetres at t in [0, 1] from shoulder to wrist."""
        knots = [0, 0.10, 0.22, 0.36, 0.48, 0.58, 0.7, 0.88, 1.0]
        radii = np.array([0.0230, 0.0272, 0.0268, 0.0245, 0.0215, 0.0225, 0.0210, 0.0160, 0.0145])
        scale = 1.0 - 0.13 * self.curves + np.array([0.30, 0.32, 0.32, 0.28, 0.2, 0.2, 0.18, 0.1, 0.06]) * self.weight
        return (self.height * np.interp(t, knots, radii * scale)).astype(np.float32)

    def leg_radius(self, t: Floats) -> Floats:
        """Radius of the bare leg in centimetres at t in [0, 1] from hip to ankle."""
        knots = [0, 0.1, 0.25, 0.4, 0.5, 0.58, 0.68, 0.85, 1.0]
        radii = np.array([0.0500, 0.0500, 0.0440, 0.0350, 0.0295, 0.0300, 0.0325, 0.0225, 0.0190])
        bulk = np.array([0.2, 0.24, 0.26, 0.22, 0.18, 0.16, 0.16, 0.12, 0.08])
        scale = 1.0 + 0.06 * (self.curves - 0.5) + bulk * self.weight
        return (self.height * np.interp(t, knots, radii * scale)).astype(np.float32)


def _bump(at: Floats, centre: float, width: float) -> Floats:
    return np.exp(-0.5 * ((np.asarray(at) - centre) / width) ** 2)


@dataclass(frozen=True)
class Arm:
    """What one arm does: ``kind`` names the gesture, ``a`` and ``b`` in [0, 1] vary it."""

    kind: str = "relaxed"
    a: float = 0.5
    b: float = 0.5


@dataclass(frozen=True)
class Stance:
    """A pose, angles in radians. ``right``/``left`` are the person's own sides.

    Attributes:
        yaw: Turn of the whole body.
        twist: Further turn of the chest.
        lean: Sideways lean of the chest.
        stoop: Forward lean of the chest.
        sway: Sideways shift of the pelvis as a share of height; the pelvis tilts with it.
        look: Yaw, pitch, roll of the head relative to the chest.
        right: The right arm.
        left: The left arm.
        stride: Forward offset of the right foot as a share of height (minus: backward).
        spread: Half distance of the feet as a share of height.
        toes: Outward turn of right and left foot.
    """

    yaw: float = 0.0
    twist: float = 0.0
    lean: float = 0.0
    stoop: float = 0.0
    sway: float = 0.0
    look: tuple[float, float, float] = (0.0, 0.0, 0.0)
    right: Arm = field(default_factory=Arm)
    left: Arm = field(default_factory=Arm)
    stride: float = 0.0
    spread: float = 0.055
    toes: tuple[float, float] = (0.25, 0.25)


ARM_KINDS = ("relaxed", "hip", "front", "pocket", "raised", "wave", "folded", "bent", "back", "chin")


@dataclass(frozen=True)
class Skeleton:
    """A body in a stance, in world centimetres.

    Attributes:
        body: Whose.
        stance: In which stance.
        joints: 3-vectors by name: ``shoulder_l``, ``elbow_r``, ``hip_l``, ... ``neck``, ``head``.
        chest: 3x3 frame of the chest (columns side, up, front).
        pelvis: 3x3 frame of the pelvis.
        skull: 3x3 frame of the head.
        table: (S,) heights with (S, 3) spine points and (S, 3, 3) frames beside them.
    """

    body: Body
    stance: Stance
    joints: dict[str, Floats]
    chest: Floats
    pelvis: Floats
    skull: Floats
    table: tuple[Floats, Floats, Floats]

    def spine(self, at: Floats) -> tuple[Floats, Floats, Floats]:
        """Centre, side axis and front axis, each (N, 3), of the torso at heights ``at`` (shares of height)."""
        heights, points, frames = self.table
        at = np.asarray(at, np.float32)
        slot = np.clip((at - heights[0]) / (heights[1] - heights[0]), 0, len(heights) - 1.001)
        low = slot.astype(int)
        mix = (slot - low)[:, None]
        centre = points[low] * (1 - mix) + points[low + 1] * mix
        # below the table the spine goes on straight
        below = np.minimum(at - heights[0], 0)[:, None] * self.body.height
        centre = centre + below * frames[0][:, 1]
        frame = frames[low] * (1 - mix[..., None]) + frames[low + 1] * mix[..., None]
        return centre.astype(np.float32), unit(frame[..., 0]), unit(frame[..., 2])


def _two_bones(root: Floats, target: Floats, upper: float, lower: float, pole: Floats) -> tuple[Floats, Floats]:
    """Return middle and end joint that reach for ``target`` with the middle joint towards ``pole``."""
    reach = target - root
    distance = float(np.clip(np.linalg.norm(reach), abs(upper - lower) + 0.5, (upper + lower) * 0.999))
    axis = unit(reach)
    pole = unit(pole - (pole @ axis) * axis)
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    off = np.sqrt(max(upper**2 - along**2, 0.0))
    return (root + axis * along + pole * off).astype(np.float32), (root + axis * distance).astype(np.float32)


def _place_arm(
    arm: Arm, sign: int, root: Floats, chest: Floats, pelvis: Floats, origin: Floats, body: Body
) -> tuple[Floats, Floats]:
    """Return elbow and wrist. ``sign`` is +1 for the left arm; ``origin`` is the hip centre."""
    h = body.height
    upper, lower = UPPER_ARM * h, FOREARM * h
    side, up, front = chest[:, 0] * sign, chest[:, 1], chest[:, 2]
    if arm.kind in ("relaxed", "back", "raised", "wave", "bent"):
        if arm.kind == "raised":
            lift, swing, fold = 1.7 + 0.9 * arm.a, 0.25, (2.2 + 0.55 * arm.a, 0.2)
        elif arm.kind == "wave":
            lift, swing, fold = 0.7 + 0.5 * arm.a, 0.15, (2.4 + 0.6 * arm.b, 0.25)
        elif arm.kind == "bent":
            lift, swing, fold = 0.2 + 0.25 * arm.a, 0.0, (0.35 - 0.5 * arm.b, 1.2 + 0.8 * arm.a)
        elif arm.kind == "back":
            lift, swing, fold = 0.22 + 0.15 * arm.a, -0.45 * arm.b, (0.12 + 0.1 * arm.a, -0.1 - 0.2 * arm.b)
        else:
            lift, swing = 0.13 + 0.22 * arm.a + 0.10 * max(body.weight, 0), -0.08 + 0.35 * (arm.b - 0.5)
            fold = (0.02 + 0.22 * arm.a, swing + 0.12 + 0.3 * arm.b)
        directions = [
            unit(side * np.sin(out) * np.cos(s) - up * np.cos(out) * np.cos(s) + front * np.sin(s))
            for out, s in ((lift, swing), fold)
        ]
        elbow = root + directions[0] * upper
        return elbow.astype(np.float32), (elbow + directions[1] * lower).astype(np.float32)
    pside, pup, pfront = pelvis[:, 0] * sign, pelvis[:, 1], pelvis[:, 2]
    width, depth, _ = (float(v[0]) for v in body.torso(np.array([0.60])))
    if arm.kind == "hip":
        target = origin + pside * (width + 0.018 * h) + pup * (0.055 + 0.02 * arm.a) * h + pfront * 0.022 * h
        pole = side - 0.25 * front * (0.5 + arm.b) - 0.1 * up
    elif arm.kind == "pocket":
        target = origin + pside * (width + 0.012 * h) + pup * (0.0 + 0.01 * arm.a) * h + pfront * 0.045 * h
        pole = side * (0.7 + 0.4 * arm.b) - front * 0.6
    elif arm.kind == "front":
        target = origin - pside * 0.008 * h + pup * (-0.005 + 0.05 * arm.a) * h + pfront * (depth + 0.042 * h)
        pole = side * 0.9 - front * 0.35 - up * 0.3
    elif arm.kind == "chin":
        target = root - side * (0.055 * h) + up * (0.035 + 0.02 * arm.a) * h + front * 0.125 * h
        pole = side * 0.25 - up * 0.9 + front * 0.2
    else:  # folded over the chest, the left forearm in front
        lift = (0.142 if sign > 0 else 0.128) * h
        target = origin - pside * 0.058 * h + chest[:, 1] * lift + front * (depth + (0.075 if sign > 0 else 0.052) * h)
        pole = side * 0.8 - up * 0.5 - front * 0.1
    return _two_bones(root, target.astype(np.float32), upper, lower, pole)


def pose_body(body: Body, stance: Stance) -> Skeleton:
    """Place every joint of ``body`` in ``stance``; the feet stand on the ground y = 0."""
    h = body.height
    tilt = stance.sway * 1.1
    pelvis = rotation(stance.yaw, 0.0, -tilt)
    chest = rotation(stance.yaw + stance.twist, stance.stoop, stance.lean + tilt * 0.8)
    heights = np.linspace(0.44, 0.88, 45, dtype=np.float32)
    mix = np.clip((heights - HIP) / (CHEST - HIP), 0, 1)
    mix = mix * mix * (3 - 2 * mix)
    yaw = stance.yaw + stance.twist * mix
    roll = -tilt + (stance.lean + tilt * 1.8) * mix
    pitch = stance.stoop * mix
    frames = np.stack([rotation(*angles) for angles in zip(yaw, pitch, roll, strict=True)])
    steps = frames[:, :, 1] * (heights[1] - heights[0]) * h
    points = np.cumsum(steps, 0)
    start = int(np.argmin(np.abs(heights - HIP)))
    origin = np.array([stance.sway * h, (HIP - 0.004 - abs(stance.stride) * 0.12) * h, 0], np.float32)
    points = (points - points[start] + origin).astype(np.float32)
    joints: dict[str, Floats] = {"pelvis": origin}
    centre = points[int(np.argmin(np.abs(heights - SHOULDER)))]
    joints["neck"] = points[int(np.argmin(np.abs(heights - NECK)))]
    for name, sign, arm in (("r", -1, stance.right), ("l", 1, stance.left)):
        lift = 0.0
        if arm.kind == "raised":
            lift = 0.022
        elif arm.kind == "wave":
            lift = 0.010
        root = centre + chest[:, 0] * sign * body.shoulder_half + chest[:, 1] * (lift - 0.013) * h
        joints["shoulder_" + name] = root.astype(np.float32)
        elbow, wrist = _place_arm(arm, sign, root, chest, pelvis, origin, body)
        joints["elbow_" + name], joints["wrist_" + name] = elbow, wrist
        hip = origin + pelvis[:, 0] * sign * body.hip_half
        joints["hip_" + name] = hip.astype(np.float32)
        toe = stance.toes[0 if sign < 0 else 1] * sign + stance.yaw
        forward = rotation(stance.yaw)[:, 2] * (-sign) * stance.stride * h
        ankle = rotation(stance.yaw)[:, 0] * sign * (stance.spread + 0.008) * h + forward
        ankle = ankle + np.array([0, ANKLE * h, 0]) + np.array([0, 0.02 * h * (sign * stance.stride > 0.05), 0])
        pole = rotation(toe * 0.6 + stance.yaw * 0.4)[:, 2]
        knee, end = _two_bones(hip, ankle.astype(np.float32), (HIP - KNEE) * h, (KNEE - ANKLE) * h, pole)
        joints["knee_" + name], joints["ankle_" + name] = knee, end
        joints["toe_" + name] = rotation(toe)[:, 2]
    skull = chest @ rotation(*stance.look) if any(stance.look) else chest
    # a nodding chest does not make the gaze nod as much
    joints["head"] = (joints["neck"] + unit(chest[:, 1] + skull[:, 1]) * (CHIN - NECK) * h).astype(np.float32)
    return Skeleton(body, stance, joints, chest, pelvis, skull.astype(np.float32), (heights, points, frames))


def arm_axis(skeleton: Skeleton, side: str) -> Floats:
    """Axis across the arm at the shoulder that points to +x when the arm hangs down, carried there without twist."""
    bone = skeleton.joints["elbow_" + side] - skeleton.joints["shoulder_" + side]
    return between(-skeleton.chest[:, 1], bone) @ skeleton.chest[:, 0]


def hinge_front(skeleton: Skeleton, side: str) -> Floats:
    """Direction the front of the knee points to."""
    bone = skeleton.joints["ankle_" + side] - skeleton.joints["hip_" + side]
    toe = skeleton.joints["toe_" + side]
    axis = unit(bone)
    return unit(toe - (toe @ axis) * axis)


def leg_axis(skeleton: Skeleton, side: str) -> Floats:
    """Axis across the leg that points to +x for somebody who faces the camera."""
    bone = skeleton.joints["ankle_" + side] - skeleton.joints["hip_" + side]
    return unit(cross(hinge_front(skeleton, side), unit(bone)))


SKIN_TONES = (
    (0.96, 0.80, 0.71),
    (0.93, 0.74, 0.62),
    (0.88, 0.67, 0.53),
    (0.80, 0.58, 0.43),
    (0.68, 0.46, 0.33),
    (0.58, 0.40, 0.30),
    (0.47, 0.32, 0.245),
)


def sample_body(rng: Generator) -> Body:
    """Draw a grown-up: 155 to 192 cm, slim to heavy, any skin tone."""
    curves = float(np.clip(rng.choice([0.12, 0.85]) + rng.normal(0, 0.12), 0, 1))
    height = float(np.clip(rng.normal(179 - 13 * curves, 6), 152, 194))
    slot = rng.uniform(0, len(SKIN_TONES) - 1)
    low = min(int(slot), len(SKIN_TONES) - 2)
    skin = np.array(SKIN_TONES[low]) * (1 - slot + low) + np.array(SKIN_TONES[low + 1]) * (slot - low)
    weight = float(np.clip(rng.normal(0.0, 0.38), -0.75, 1.0))
    red, green, blue = (float(v) for v in np.clip(skin * rng.uniform(0.97, 1.03, 3), 0, 1))
    return Body(height, curves, weight, float(rng.uniform(1.02, 1.12)), (red, green, blue))


def sample_stance(rng: Generator, calm: bool = False) -> Stance:
    """Draw a stance: mostly frontal standing, arms by the usual gestures.

    Args:
        rng: Source of chance.
        calm: Only shop-model poses (small turns, arms down, on the hip or in the pocket).
    """
    turn = 0.16 if calm else 0.34
    yaw = float(np.clip(rng.normal(0, turn), -0.85, 0.85))
    weights = [0.55, 0.14, 0, 0.12, 0, 0, 0, 0.05, 0.14, 0] if calm else [
        0.42, 0.11, 0.05, 0.09, 0.06, 0.05, 0.0, 0.10, 0.10, 0.02
    ]  # fmt: skip
    weights = np.array(weights) / np.sum(weights)

    def arm() -> Arm:
        return Arm(str(rng.choice(ARM_KINDS, p=weights)), float(rng.uniform()), float(rng.uniform()))

    right, left = arm(), arm()
    pair = rng.uniform()
    if pair < 0.35:
        left = Arm(right.kind, float(np.clip(right.a + rng.normal(0, 0.15), 0, 1)), float(rng.uniform()))
    elif not calm and pair < 0.43:
        right, left = Arm("folded"), Arm("folded")
    elif not calm and pair < 0.52:
        right, left = Arm("front", 0.3, 0.5), Arm("front", 0.75, 0.5)
    walking = rng.uniform() < (0.12 if calm else 0.25)
    look = (float(np.clip(rng.normal(0, 0.18), -0.5, 0.5)), float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06)))
    return Stance(
        yaw=yaw,
        twist=float(rng.normal(0, 0.07)),
        lean=float(rng.normal(0, 0.025)),
        stoop=float(abs(rng.normal(0, 0.03))),
        sway=float(rng.normal(0, 0.012)),
        look=look,
        right=right,
        left=left,
        stride=float(rng.choice([-1, 1]) * rng.uniform(0.04, 0.13)) if walking else float(rng.normal(0, 0.01)),
        spread=float(rng.uniform(0.028, 0.045) if walking else rng.uniform(0.035, 0.085)),
        toes=(float(rng.uniform(0.05, 0.45)), float(rng.uniform(0.05, 0.45))),
    )
