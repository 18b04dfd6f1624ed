"""Roofs on rectangular plans, and wings that share one kind of roof: what the families of buildings are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.building_parts import Part, Rect, box, even_turns, hip, pyramid, ridged, tapered

Parts = list[Part]

ROOFS = ("flat", "gable", "hip", "pyramid", "shed", "mansard", "gambrel", "vault", "eaves", "parapet", "penthouse")
ROOF_WEIGHTS = np.array([0.32, 0.16, 0.12, 0.05, 0.07, 0.06, 0.03, 0.03, 0.05, 0.05, 0.06])
WING_ROOFS = ("flat", "gable", "hip", "shed", "mansard")
WING_WEIGHTS = np.array([0.56, 0.22, 0.13, 0.05, 0.04])


def spread(rng: Generator, low: float, high: float) -> float:
    """Draw between two values, evenly in the logarithm: heights differ by factors."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng: Generator, probability: float) -> bool:
    """Tell whether something happens that has this probability."""
    return bool(rng.random() < probability)


def interval(rng: Generator, low: float, high: float, size: float) -> tuple[float, float]:
    """Place an interval of ``size`` between two values."""
    start = rng.uniform(low, max(low, high - size))
    return start, start + size


def roofed(rng: Generator, plan: Rect, eaves: float, kind: str, pitch: float, along_x: bool | None = None) -> Parts:
    """Return walls with a roof of one of ``ROOFS``; ``pitch`` is rise over run, ridges run along the longer side."""
    along = plan.width >= plan.depth if along_x is None else along_x
    half = (plan.depth if along else plan.width) / 2
    rise = pitch * half
    if kind == "gable":
        return [ridged(plan, ((-1, 0), (-1, eaves), (0, eaves + rise), (1, eaves), (1, 0)), along)]
    if kind == "hip":
        return [hip(plan, 0, eaves, pitch * min(plan.width, plan.depth) / 2)]
    if kind == "pyramid":
        return [pyramid(plan, 0, eaves, pitch * min(plan.width, plan.depth) / 2)]
    if kind == "shed":
        ends = (eaves + rise, eaves) if chance(rng, 0.5) else (eaves, eaves + rise)
        return [ridged(plan, ((-1, 0), (-1, ends[0]), (1, ends[1]), (1, 0)), along)]
    if kind == "mansard":
        inset = min(plan.width, plan.depth) * rng.uniform(0.08, 0.3)
        return [tapered(plan, 0, eaves, eaves + inset * rng.uniform(0.7, 2.2), plan.grown(-inset))]
    if kind == "gambrel":
        knee, low = rng.uniform(0.45, 0.7), eaves + rise * rng.uniform(0.65, 0.85)
        section = ((-1, 0), (-1, eaves), (-knee, low), (0, eaves + rise), (knee, low), (1, eaves), (1, 0))
        return [ridged(plan, section, along)]
    if kind == "vault":
        high = 0.8 * rise
        arc = [(-np.cos(t), eaves + high * np.sin(t)) for t in even_turns(np.linspace(0, np.pi, 11), high / half)]
        return [ridged(plan, ((-1, 0), *arc, (1, 0)), along)]
    if kind == "eaves":
        wide = plan.grown(half * rng.uniform(0.06, 0.2))
        if chance(rng, 0.5):
            return [box(plan, 0, eaves), ridged(wide, ((-1, eaves), (0, eaves + rise), (1, eaves)), along)]
        return [box(plan, 0, eaves), hip(wide, eaves, eaves, rise)]
    if kind == "parapet":
        thick = min(plan.width, plan.depth) * rng.uniform(0.06, 0.12)
        height = eaves + min(rng.uniform(0.03, 0.09), 0.4 * eaves)
        return [box(plan, 0, eaves), *(box(rim, 0, height) for rim in ring(plan, thick, thick))]
    if kind == "penthouse":
        (x0, x1), (z0, z1) = (
            interval(rng, low, high, (high - low) * rng.uniform(0.25, 0.6))
            for low, high in ((plan.x0, plan.x1), (plan.z0, plan.z1))
        )
        return [box(plan, 0, eaves), box(Rect(x0, x1, z0, z1), 0, eaves + rng.uniform(0.05, 0.2))]
    return [box(plan, 0, eaves)]


def ring(plan: Rect, across: float, along: float) -> tuple[Rect, Rect, Rect, Rect]:
    """Return four bars around a court: widths ``across`` in x and ``along`` in z."""
    return (
        Rect(plan.x0, plan.x1, plan.z0, plan.z0 + along),
        Rect(plan.x0, plan.x1, plan.z1 - along, plan.z1),
        Rect(plan.x0, plan.x0 + across, plan.z0, plan.z1),
        Rect(plan.x1 - across, plan.x1, plan.z0, plan.z1),
    )


def wings(rng: Generator, plans: Sequence[Rect]) -> Parts:
    """Return roofed wings of one building: one kind of roof, equal heights or not, now and then a tower."""
    height = spread(rng, 0.12, 0.95)
    kind = str(rng.choice(WING_ROOFS, p=WING_WEIGHTS))
    pitch = rng.uniform(0.3, 1.1)
    unequal = chance(rng, 0.35)
    parts: Parts = []
    for plan in plans:
        own = kind if not unequal or chance(rng, 0.7) else "flat"
        parts += roofed(rng, plan, height * (rng.uniform(0.5, 1.5) if unequal else 1.0), own, pitch)
    if chance(rng, 0.18):
        bar = plans[int(rng.integers(len(plans)))]
        side = min(bar.width, bar.depth, 0.32)
        (x0, x1), (z0, z1) = interval(rng, bar.x0, bar.x1, side), interval(rng, bar.z0, bar.z1, side)
        top = "pyramid" if chance(rng, 0.4) else "flat"
        parts += roofed(rng, Rect(x0, x1, z0, z1), height * rng.uniform(1.3, 2.5), top, rng.uniform(0.6, 2.0))
    return parts
