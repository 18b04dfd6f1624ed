"""From a shape without a unit to millimetres on the bed. The scale is chosen by the user, never guessed."""

from __future__ import annotations

import math

import numpy as np

from pipelines.core.errors import InputError
from pipelines.core.types import Mesh
from pipelines.mesh.topology import checked, z_up

# Longest side of a print in millimetres (our choice): a nozzle's width below, any printer's bed above.
SMALLEST, LARGEST = 0.5, 10_000.0
REMEDY = f"Choose a size that makes the longest side {SMALLEST:g} to {LARGEST:g} mm"


def to_print(
    mesh: Mesh,
    *,
    longest: float | None = None,
    height: float | None = None,
    ratio: float | None = None,
    metres_per_unit: float | None = None,
) -> Mesh:
    """Turn a y-up mesh to z up and scale it to millimetres, base on z = 0, centred in x and y.

    Exactly one of the three choices is given.

    Args:
        mesh: Any y-up mesh.
        longest: Longest side of the bounding box in millimetres.
        height: Height in millimetres.
        ratio: N of the scale 1:N; needs ``metres_per_unit``.
        metres_per_unit: How many metres one unit of the mesh stands for in reality; only with ``ratio``.

    Returns:
        The mesh in the print frame, in millimetres.

    Raises:
        InputError: ``mesh.scale-choice`` (none or several choices), ``mesh.scale-unit`` (1:N without metres per unit,
            or these without 1:N), ``mesh.scale-range`` (zero, negative, not finite, or a print nobody can make), and
            what ``topology.checked`` raises.
    """
    choices = {"longest": longest, "height": height, "ratio": ratio}
    given = {name: float(value) for name, value in choices.items() if value is not None}
    if len(given) != 1:
        raise InputError("mesh.scale-choice", "Exactly one of longest side, height or scale 1:N is needed",
                         seen=", ".join(given) or "none", remedy="Give one of the three")  # fmt: skip
    ((name, value),) = given.items()
    if (name == "ratio") != (metres_per_unit is not None):
        raise InputError("mesh.scale-unit", "A scale 1:N and the metres per unit of the mesh belong together",
                         seen=f"{name} {value:g}, metres per unit {metres_per_unit}",
                         remedy="Give both, or a longest side or a height in millimetres")  # fmt: skip
    for word, number in ((name, value), ("metres per unit", 1.0 if metres_per_unit is None else metres_per_unit)):
        if not math.isfinite(number) or number <= 0:
            raise InputError("mesh.scale-range", f"The {word} must be a positive number", seen=number, remedy=REMEDY)
    mesh = checked(mesh)
    low, high = _bounds(mesh.vertices[np.unique(mesh.faces)])
    size = high - low
    if name == "ratio":
        factor = 1000 * float(metres_per_unit or 0) / value
    else:
        factor = value / float(size[1] if name == "height" else size.max())
    printed = factor * float(size.max())
    if not SMALLEST <= printed <= LARGEST:
        seen = f"{name} {value:g} gives {printed:.4g} mm"
        raise InputError("mesh.scale-range", "Nobody can print a thing of this size", seen=seen, remedy=REMEDY)
    foot = [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2]
    return Mesh(z_up((mesh.vertices - foot) * factor), mesh.faces)


def on_the_bed(mesh: Mesh) -> Mesh:
    """Move a mesh that is z up and in millimetres: base on z = 0, centred in x and y."""
    low, high = _bounds(mesh.vertices[np.unique(mesh.faces)])
    return Mesh(mesh.vertices - [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], mesh.faces)


def _bounds(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points.min(0), points.max(0)
