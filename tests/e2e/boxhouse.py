"""A stand-in for the building system in tests of the page: a house whose walls are as wide and high as the ink.

Scale, passport, wall thickness and files are the real ones, so what the page shows of them is true. `install` puts it
into the registry of the calling process, next to what boxpaste.py does for the try-on.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from boxpaste import png
from PIL import Image, ImageDraw

from pipelines.core.errors import InputError
from pipelines.core.types import Finding, Mesh
from studio import meshes, registry, viewing
from studio.registry import Call, Product
from studio.runners.mesh import passport_of, scaled, told

STEP_SECONDS = 0.25
VARIANTS = 3


def sketch(shift: int = 0, size: int = 240) -> np.ndarray:
    """A drawn box in perspective, black on white: (H, W, 3) uint8."""
    image = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(image)
    s = size / 240
    front, left, right = (120 * s, (200 + shift) * s), (50 * s, 170 * s), (190 * s, 165 * s)
    for at in (front, left, right):
        pen.line((at, (at[0], at[1] - 90 * s)), "black", 3)
    for dy in (0, -90 * s):
        pen.line([(x, y + dy) for x, y in (left, front, right)], "black", 3)
    return np.asarray(image)


def write_samples(folder: Path) -> Path:
    """Two sketches as files; returns ``folder``."""
    for name, shift in (("shed", 0), ("hall", 12)):
        path = folder / "sketches" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(sketch(shift)))
    return folder


def install() -> None:
    """Register the stand-in for the kinds ``building`` and ``building-plan``, without weights."""
    for name, function in (("building", "run"), ("building-plan", "plan")):
        row = registry.KINDS[name]
        registry.KINDS[name] = dataclasses.replace(row, runner=f"boxhouse:{function}", weights=())


def ink(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool, or the error of an empty page."""
    dark = picture.min(axis=2) < 128
    if not dark.any():
        raise InputError("sketch.empty", "There is nothing drawn on this page", remedy="Draw a building on it")
    return dark


def plan(call: Call) -> Product:
    """The ink, cropped to a square of 128."""
    dark = ink(call.inputs["sketch"])
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    cut = dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = np.asarray(Image.fromarray(np.where(cut, 0, 255).astype(np.uint8)).resize((128, 128)))
    _wait(call, 2)
    few = bool(dark.mean() < 0.004)
    return Product(
        pixels=small,
        findings=(Finding("sketch.faint", "warning", "There is little ink on this page", "Draw more"),) * few,
        layers={"ink": np.where(dark, 0, 255).astype(np.uint8)},
    )


def house(wide: float, high: float, deep: float) -> Mesh:
    """A box with a ridge roof, y up, closed."""
    x, z, eaves = wide / 2, deep / 2, 0.7 * high
    base = [(-x, 0, -z), (x, 0, -z), (x, 0, z), (-x, 0, z)]
    top = [(a, eaves, b) for a, _, b in base]
    corners = np.array([*base, *top, (-x, high, 0), (x, high, 0)], np.float64)
    faces = [(0, 1, 2), (0, 2, 3), (0, 4, 5), (0, 5, 1), (2, 6, 7), (2, 7, 3)]
    faces += [(1, 5, 9), (1, 9, 6), (1, 6, 2), (3, 7, 8), (3, 8, 4), (3, 4, 0)]
    faces += [(4, 8, 9), (4, 9, 5), (7, 6, 9), (7, 9, 8)]
    return Mesh(corners, np.array(faces, np.int64))


def run(call: Call) -> Product:
    """The house, deeper with each variant, in millimetres."""
    settings = call.settings
    dark = ink(call.inputs["sketch"])
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    mesh = house(np.ptp(columns) / 240, np.ptp(rows) / 240, 0.3 + 0.2 * settings.variant)
    printed = meshes.rounded(scaled(mesh, settings))
    found = passport_of(printed, settings.profile, settings.source)
    shown = np.full((200, 200, 3), 235 - 40 * settings.variant, np.uint8)
    shown[60:160, 40:160] = (120, 150, 140)
    _wait(call, 6, shown)
    from pipelines.mesh.printability import wall_thickness

    return Product(
        mesh=printed,
        title="Building",
        preview=shown,
        receipt={
            "passport": told(found),
            "confidence": 0.42,
            "camera": {"azimuth": 41.0, "elevation": 22.0, "field_of_view": 35.0},
            "variants": VARIANTS,
            "changes": [{"name": "clean-up", "message": "made 4 walls upright"}],
        },
        findings=(
            Finding("building.doubtful", "warning", "This reading is a guess", "Try another reading"),
            *found.findings,
        ),
        layers={"same view": shown, viewing.LAYER: viewing.pack(printed, wall_thickness(printed))},
    )


def _wait(call: Call, steps: int, preview: Any = None) -> None:
    for done in range(1, steps + 1):
        time.sleep(STEP_SECONDS)
        call.on_step(done, steps, preview)
