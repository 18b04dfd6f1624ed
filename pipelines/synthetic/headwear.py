"""Hats and glasses."""

from __future__ import annotations

import numpy as np

from pipelines.synthetic.anatomy import around, rings
from pipelines.synthetic.heads import Head, Look, surface_point
from pipelines.synthetic.meshes import Floats, Surface, grid_normals, loft, tube_frames, unit

HEADWEAR = 8


def hat(head: Head, look: Look, detail: float) -> list[Surface]:
    """Beanie, cap or sunhat; empty for none."""
    if look.hat == "none":
        return []
    angles = around(detail, 28)
    floor = {"beanie": 0.66, "cap": 0.70, "sunhat": 0.70}[look.hat]
    y = np.linspace(floor, 1.0, rings(detail, 16), dtype=np.float32)[::-1]
    lift = {"beanie": 0.085, "cap": 0.075, "sunhat": 0.10}[look.hat]
    grow = lift * head.height * (1 + 0.4 * np.clip((y - floor) / (1 - floor), 0, 1))[:, None]
    points, local = head.rings_at(y, angles, grow)
    v = (local[..., 1] / head.height - floor) / (1.15 - floor)
    u = np.repeat(angles[None] / (2 * np.pi) + 0.5, len(y), 0)
    uv = np.stack([u, np.clip(1 - v, 0, 1)], -1).astype(np.float32)
    out = [Surface(points, grid_normals(points, True), uv, "hat", HEADWEAR, 1)]
    if look.hat == "beanie":
        band_y = np.array([floor + 0.13, floor + 0.12, floor + 0.01, floor - 0.01], np.float32)
        grown = np.array([0.02, 0.108, 0.104, 0.03], np.float32) * head.height
        points, _ = head.rings_at(band_y, angles, grown[:, None])
        uv = np.stack(
            np.broadcast_arrays(angles[None] / (2 * np.pi) + 0.5, 0.80 + 0.15 * np.linspace(0, 1, 4)[:, None]), -1
        )
        out.append(Surface(points, grid_normals(points, True), uv.astype(np.float32), "hat", HEADWEAR, 1))
        return out
    t = np.linspace(0, 1, rings(detail, 6), dtype=np.float32)
    inner, _ = head.rings_at(np.full(1, floor + 0.01, np.float32), angles, 0.07 * head.height)
    ring = inner[0] - (head.chin + head.frame[:, 1] * (floor + 0.01) * head.height)
    if look.hat == "cap":
        reach = np.clip(np.cos(angles), 0, 1) ** 1.2 * 0.72
        clip = np.repeat((np.cos(angles) - 0.12)[None], len(t), 0).astype(np.float32)
        fall = 0.05
    else:
        reach, clip, fall = np.full(len(angles), 0.75), None, 0.02
    spread = 1 + t[:, None, None] * reach[None, :, None]
    points = head.chin + head.frame[:, 1] * (floor + 0.01) * head.height + ring[None] * spread
    drop = t[:, None] ** 2 * fall * head.height * np.ones_like(reach)[None]
    points = (points - drop[..., None] * head.frame[:, 1]).astype(np.float32)
    uv = np.stack(np.broadcast_arrays(angles[None] / (2 * np.pi) + 0.5, 0.85 + 0.1 * t[:, None]), -1).astype(np.float32)
    out.append(Surface(points, grid_normals(points, True), uv, "hat", HEADWEAR, 1, clip=clip, two_sided=True))
    return out


def glasses(head: Head, look: Look, detail: float) -> list[Surface]:
    """Rims, bridge, temples and, when dark, lenses."""
    if look.glasses == "none":
        return []
    front = float(surface_point(head, 0, 0.5) @ head.frame[:, 2] - head.chin @ head.frame[:, 2]) + 0.06 * head.depth
    right, up, forward = (head.frame[:, k] for k in range(3))
    origin = head.chin + up * 0.47 * head.height
    radius, wire = 0.30 * head.width, (0.030 if look.glasses == "clear" else 0.036) * head.width
    t = np.linspace(0, 2 * np.pi, rings(detail, 20) + 1, dtype=np.float32)
    out = []
    tone = "glasses"

    def pipe(path: Floats, side: Floats) -> None:
        sides, fronts = tube_frames(path.astype(np.float32), side)
        size = np.full(len(path), wire, np.float32)
        points = loft(path, sides, fronts, size, size, around(detail, 5))
        uv = np.full((*points.shape[:2], 2), 0.5, np.float32)
        out.append(Surface(points, grid_normals(points, True), uv, tone, HEADWEAR, 4, matter="gloss"))

    for sign in (-1, 1):
        middle = origin + right * sign * 0.40 * head.width
        bow = front - 0.10 * head.depth * np.clip(np.cos(t) * sign, 0, 1)
        rim = middle + right * (np.cos(t) * radius * 1.12)[:, None] - up * (np.sin(t) * radius * 0.85)[:, None]
        rim = rim + forward * bow[:, None]
        pipe(rim, forward)
        hinge = origin + right * sign * 0.76 * head.width + forward * (front - 0.12 * head.depth)
        end = head.at(sign * 1.04, 0.49, -0.15)
        pipe(hinge + (end - hinge) * np.linspace(0, 1, 5)[:, None], up)
        if look.glasses == "dark":
            r = np.linspace(0.02, 1, 4, dtype=np.float32)
            disc = middle + forward * front + (rim - middle - forward * front)[None] * r[:, None, None]
            normals = np.broadcast_to(unit(forward + up * 0.25), disc.shape).astype(np.float32)
            uv = np.full((*disc.shape[:2], 2), 0.5, np.float32)
            out.append(Surface(disc.astype(np.float32), normals, uv, tone, HEADWEAR, 4, two_sided=True, matter="gloss"))
    pipe(
        origin
        + up * 0.02 * head.height
        + forward * front
        + right * (np.linspace(-0.09, 0.09, 4) * head.width)[:, None],
        up,
    )
    return out
