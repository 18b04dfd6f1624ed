"""Product pictures: the same garment laid flat, with its own light, wrinkles and arrangement.

The flat picture and the worn picture share nothing but the garment's pattern pictures (cloth.py), so a pair of them is
ground truth for try-on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Image, Mask
from pipelines.synthetic.flat_parts import Table, arrange, pieces
from pipelines.synthetic.garments import UPPER_CATEGORIES, Garment
from pipelines.synthetic.meshes import Floats
from pipelines.synthetic.raster import Camera, rasterize
from pipelines.synthetic.scenes import backdrop, cast_shadow, tabletop
from pipelines.synthetic.shading import Light, shade

_SIDE = ("neck", "shoulder", "armpit", "elbow_outer", "elbow_inner", "cuff_outer", "cuff_inner", "waist", "hem")
LANDMARKS = (*(f"{side}_{name}" for side in ("left", "right") for name in _SIDE), "neck_bottom", "hem_centre")
SURFACES = ("white", "plain", "wood", "cloth", "clutter")
TALL = 172.0  # centimetres per unit of pattern
SUPERSAMPLE = 2


@dataclass(frozen=True)
class RenderedGarment:
    """One product picture and all that is known about it.

    Attributes:
        image: (H, W, 3) uint8.
        alpha: (H, W) uint8, exact coverage of each pixel by the garment.
        landmarks: (20, 2) float32 outline points in the order of ``LANDMARKS``; left is the picture's left.
        garment: What is shown.
        uv: (H, W, 2) float32 pattern coordinates (x, d) of the front panel where it shows, NaN elsewhere.
    """

    image: Image
    alpha: Mask
    landmarks: Floats
    garment: Garment
    uv: Floats


def render_garment(
    garment: Garment,
    rng: Generator | int,
    size: tuple[int, int] = (1024, 768),
    background: str = "white",
) -> RenderedGarment:
    """Draw the product picture of an upper garment.

    Args:
        garment: An upper garment.
        rng: Source of chance, or a seed: light, wrinkles and arrangement, never the garment itself.
        size: (H, W), each at least 64.
        background: One of ``SURFACES``.

    Raises:
        InputError: No upper garment, an unknown background, or a size below 64.
    """
    if garment.category not in UPPER_CATEGORIES:
        raise InputError(
            "synthetic.garment",
            "only upper garments have a flat picture",
            seen=garment.category,
            remedy=f"Use one of {', '.join(UPPER_CATEGORIES)}",
        )
    if background not in SURFACES:
        raise InputError(
            "synthetic.background", "unknown background", seen=background, remedy=f"Use one of {', '.join(SURFACES)}"
        )
    if min(size) < 64:
        raise InputError(
            "synthetic.size", "the picture is too small to draw a garment", seen=size, remedy="Use 64 pixels or more"
        )
    rng = np.random.default_rng(rng) if isinstance(rng, int) else rng
    height, width = size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE
    lie = arrange(rng, garment)
    wave = [(rng.normal(0, 0.0022, 2), rng.uniform(8, 22, 2), rng.uniform(0, 6.28)) for _ in range(3)]
    stretch = rng.uniform(0.95, 1.06, 2)

    def place(where: Floats) -> Floats:
        moved = where.astype(np.float32)
        for amount, frequency, phase in wave:
            moved = moved + (amount * np.sin(where @ frequency + phase)[..., None]).astype(np.float32)
        moved = moved * stretch.astype(np.float32)
        c, s = np.cos(lie.turn), np.sin(lie.turn)
        turned = np.stack([c * moved[..., 0] - s * moved[..., 1], s * moved[..., 0] + c * moved[..., 1]], -1)
        return (turned * np.array([TALL, -TALL])).astype(np.float32)

    detail = float(np.clip((height / 512) ** 0.5, 0.7, 2.2))
    table = Table(place, detail)
    points = pieces(garment, table, lie, float(np.clip(height * 1.35, 200, 2600)), rng)
    spread = np.concatenate([s.points.reshape(-1, 3)[:, :2] for s in table.surfaces])
    low, high = spread.min(0), spread.max(0)
    scale = float(rng.uniform(0.80, 0.94) * min(width / (high[0] - low[0]), height / (high[1] - low[1])))
    if garment.sleeve == "none":
        scale *= 0.84  # without sleeves the body alone would fill the frame
    middle = (low + high) / 2
    centre = (width / 2 - middle[0] * scale, height / 2 + middle[1] * scale + float(rng.normal(0, 0.01)) * height)
    camera = Camera(0.0, 4000.0, scale * 4000.0, centre)
    buffers = rasterize(table.surfaces, camera, (height, width))
    light = Light(
        direction=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.25, 0.7)), 0.8),
        key=(0.62, 0.615, 0.60), sky=(0.45, 0.45, 0.46), ground=(0.38, 0.38, 0.38), shadow=0.35,
    )  # fmt: skip
    colour = shade(buffers, table.surfaces, table.pictures, scale, light)
    top, left = buffers.window
    h, w = buffers.surface.shape
    canvas = np.zeros((height, width, 4), np.float32)
    canvas[top : top + h, left : left + w, :3] = colour
    canvas[top : top + h, left : left + w, 3] = buffers.surface >= 0
    canvas = np.asarray(cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)
    alpha = canvas[..., 3]
    if background in ("white", "plain"):
        image = backdrop(rng, background, size, 1.6)
    else:
        image = tabletop(rng, background, size)
    strength = 0.45 if background == "white" else 0.9
    cast_shadow(
        image, alpha, np.zeros((2, 2), np.float32), scale / SUPERSAMPLE * 0.35, -light.direction[0], False, strength
    )
    image = canvas[..., :3] + image * (1 - alpha[..., None])
    noise = rng.standard_normal(size, dtype=np.float32) * np.float32(rng.uniform(0.001, 0.004))
    if background != "white":
        image = image + noise[..., None]
    else:
        image = image + (noise * alpha)[..., None]
    placed = place(np.stack([points[name] for name in LANDMARKS]))
    landmarks = camera.project(np.concatenate([placed, np.zeros((20, 1), np.float32)], 1))[:, :2] / SUPERSAMPLE - 0.5
    return RenderedGarment(
        (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8),
        (alpha * 255 + 0.5).astype(np.uint8),
        landmarks.astype(np.float32),
        garment,
        _pattern_map(buffers.surface, buffers.uv, buffers.window, table, (height, width)),
    )


def _pattern_map(
    surface: NDArray[np.int16], uv: Floats, window: tuple[int, int], table: Table, size: tuple[int, int]
) -> Floats:
    front = next(k for k, s in enumerate(table.surfaces) if s.texture == "torso_front")
    x0, x1, d0, d1 = table.pictures["torso_front"].extent
    out = np.full((*size, 2), np.nan, np.float32)
    here = uv * np.array([x1 - x0, d1 - d0], np.float32) + np.array([x0, d0], np.float32)
    h, w = surface.shape
    out[window[0] : window[0] + h, window[1] : window[1] + w] = np.where((surface == front)[..., None], here, np.nan)
    return out[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE]
