"""Light: from per-pixel surface buffers to colour, with relief, soft occlusion and self-shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.synthetic.cloth import Swatch
from pipelines.synthetic.meshes import Floats, Surface, unit
from pipelines.synthetic.raster import MATTERS, Buffers


@dataclass(frozen=True)
class Light:
    """One key light and what surrounds it.

    Attributes:
        direction: (3,) towards the key light.
        key: RGB strength of the key light.
        sky: RGB strength from above.
        ground: RGB strength from below.
        shadow: 0 none to 1 black self-shadows.
    """

    direction: tuple[float, float, float] = (-0.45, 0.55, 0.70)
    key: tuple[float, float, float] = (0.62, 0.60, 0.57)
    sky: tuple[float, float, float] = (0.50, 0.51, 0.53)
    ground: tuple[float, float, float] = (0.30, 0.29, 0.28)
    shadow: float = 0.55


def sample_light(rng: Generator) -> Light:
    """Draw a light from above, left or right, between hard and soft."""
    side = float(rng.choice([-1, 1]) * rng.uniform(0.15, 0.65))
    warm = float(rng.normal(0, 0.025))
    power = float(rng.uniform(0.50, 0.72))
    fill = float(rng.uniform(0.46, 0.60)) + 0.25 * (0.6 - power)
    return Light(
        direction=(side, float(rng.uniform(0.5, 0.85)), 0.62),
        key=(power * (1 + warm), power, power * (1 - 1.3 * warm)),
        sky=(fill, fill, fill * (1 + 0.02)),
        ground=(fill * 0.62, fill * 0.60, fill * 0.58),
        shadow=float(rng.uniform(0.35, 0.65)),
    )


def pack(pictures: dict[str, Swatch]) -> tuple[NDArray[np.uint8], Floats, dict[str, tuple[int, int, int, int]]]:
    """Put all swatches into one picture: RGB, height, and (x, y, w, h) per name. One remap then textures everything."""
    order = sorted(pictures, key=lambda name: -pictures[name].height.shape[0])
    limit = max(
        sum(pictures[n].height.size for n in order) ** 0.5 * 1.25, max(pictures[n].height.shape[1] for n in order) + 2
    )
    places: dict[str, tuple[int, int, int, int]] = {}
    x = y = shelf = wide = 0
    for name in order:
        h, w = pictures[name].height.shape
        if x + w > limit:
            x, y, shelf = 0, y + shelf, 0
        places[name] = (x, y, w, h)
        x, shelf, wide = x + w, max(shelf, h), max(wide, x + w)
    rgb = np.zeros((y + shelf, wide, 3), np.uint8)
    height = np.zeros((y + shelf, wide), np.float32)
    for name, (px, py, w, h) in places.items():
        rgb[py : py + h, px : px + w] = pictures[name].rgb
        height[py : py + h, px : px + w] = pictures[name].height
    return rgb, height, places


def texture(buffers: Buffers, surfaces: list[Surface], pictures: dict[str, Swatch]) -> tuple[Floats, Floats]:
    """Return (h, w, 3) float32 albedo in [0, 1] and (h, w) relief in centimetres."""
    rgb, height, places = pack(pictures)
    table = np.array([places[surface.texture] for surface in surfaces] + [(0, 0, 1, 1)], np.float32)
    x0, y0, w, h = (table[:, k][buffers.surface] for k in range(4))
    u = x0 + np.clip(buffers.uv[..., 0] * w - 0.5, 0, w - 1)
    v = y0 + np.clip(buffers.uv[..., 1] * h - 0.5, 0, h - 1)
    u, v = u.astype(np.float32), v.astype(np.float32)
    albedo = cv2.remap(rgb, u, v, cv2.INTER_LINEAR).astype(np.float32) * (1 / 255)
    return albedo, np.asarray(cv2.remap(height, u, v, cv2.INTER_LINEAR), np.float32)


def _relief(normal: Floats, height: Floats, same: NDArray, scale: float) -> Floats:
    """Tilt normals by the slope of ``height``; ``same`` marks pixels whose neighbours lie on the same surface."""
    gx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=scale / 8)
    gy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=scale / 8)
    limit = 0.75
    gx, gy = limit * np.tanh(gx * same / limit), limit * np.tanh(gy * same / limit)
    out = normal.copy()
    out[..., 0] -= gx
    out[..., 1] += gy
    return out / (np.sqrt((out * out).sum(-1, keepdims=True)) + 1e-6)


def _blur(image: Floats, sigma: float) -> Floats:
    """Gaussian for any sigma; large ones on a smaller picture, which looks the same and costs little."""
    if sigma < 0.3:
        return image
    if sigma < 4:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), image.dtype)
    step = int(sigma // 2)
    h, w = image.shape[:2]
    small = cv2.resize(image, (max(2, w // step), max(2, h // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR), image.dtype)


def _occlusion(depth: Floats, mask: Floats, scale: float) -> Floats:
    """Darkening in [0, 1] of what lies behind something nearby: depth against its blurred self."""
    out = np.zeros_like(depth)
    held = np.where(mask > 0, depth, 0)
    for radius, reach, strength in ((1.8, 4.0, 0.62), (5.0, 12.0, 0.55)):
        sigma = max(0.6, radius * scale)
        around = _blur(held, sigma) / (_blur(mask, sigma) + 1e-3)
        out += strength * np.clip((around - depth) / reach, 0, 1)
    return np.clip(out, 0, 0.8) * mask


def _shadow(depth: Floats, direction: Floats, scale: float) -> Floats:
    """Share in [0, 1] of the key light that other parts of the figure take away."""
    h, w = depth.shape
    out = np.zeros((h, w), np.float32)
    flat = float(np.hypot(direction[0], direction[1]))
    steps = (2.0, 4.0, 7.0, 11.0, 16.0)
    for step in steps:
        dx, dy = round(direction[0] / flat * step * scale), round(-direction[1] / flat * step * scale)
        if abs(dx) >= w or abs(dy) >= h:
            continue
        there = depth[max(0, dy) : h + min(0, dy), max(0, dx) : w + min(0, dx)]
        here = depth[max(0, -dy) : h + min(0, -dy), max(0, -dx) : w + min(0, -dx)]
        target = out[max(0, -dy) : h + min(0, -dy), max(0, -dx) : w + min(0, -dx)]
        rise = there - here - step * direction[2] / flat
        np.maximum(target, np.clip((rise - 0.6) / 2.0, 0, 1) * (rise < 26), out=target)
    return _blur(out, 0.55 * scale)


def shade(buffers: Buffers, surfaces: list[Surface], pictures: dict[str, Swatch], scale: float, light: Light) -> Floats:
    """Return (h, w, 3) float32 colour in [0, 1] of the window; zero where nothing was drawn.

    Args:
        buffers: What the rasteriser saw.
        surfaces: The same list it saw.
        pictures: Swatches by name.
        scale: Pixels per centimetre.
        light: The light.
    """
    mask = (buffers.surface >= 0).astype(np.float32)
    albedo, height = texture(buffers, surfaces, pictures)
    matter = np.array([MATTERS.index(s.matter) for s in surfaces] + [-1], np.int8)[buffers.surface]

    # soften creases between overlapping parts of one body, but not across real gaps in depth
    sigma = 0.75 * scale
    weight = _blur(mask, sigma)[..., None] + 1e-3
    near = _blur(np.where(mask > 0, buffers.depth, 0), sigma) / weight[..., 0]
    calm = np.exp(-(((near - buffers.depth) / 1.1) ** 2)) * np.isin(matter, (0, 1)) * mask
    soft = _blur(buffers.normal, sigma) / weight
    normal = buffers.normal + (0.75 * calm)[..., None] * (soft - buffers.normal)
    kind = buffers.surface
    same = np.zeros(kind.shape, np.float32)
    same[1:-1, 1:-1] = (
        (kind[1:-1, 1:-1] == kind[:-2, 1:-1]) & (kind[1:-1, 1:-1] == kind[2:, 1:-1])
        & (kind[1:-1, 1:-1] == kind[1:-1, :-2]) & (kind[1:-1, 1:-1] == kind[1:-1, 2:])
    )  # fmt: skip
    normal = _relief(normal, height, same, scale)

    direction = unit(np.array(light.direction, np.float32))
    # the fold's valley sees less of the room
    cavity = np.clip(height * 0.10, -0.16, 0.06) * same
    # from here on only pixels that show something, one row each
    seen = np.flatnonzero(mask)
    blocked = light.shadow * _shadow(buffers.depth, direction, scale).ravel()[seen]
    hidden = _occlusion(buffers.depth, mask, scale).ravel()[seen]
    colour = _light_up(
        normal.reshape(-1, 3)[seen], albedo.reshape(-1, 3)[seen], matter.ravel()[seen], blocked, hidden,
        cavity.ravel()[seen], direction, light,
    )  # fmt: skip
    out = np.zeros_like(albedo)
    out.reshape(-1, 3)[seen] = colour
    return out


def _light_up(
    normal: Floats, albedo: Floats, matter: NDArray[np.int8], blocked: Floats, hidden: Floats, cavity: Floats,
    direction: Floats, light: Light,
) -> Floats:  # fmt: skip
    """Return (N, 3) colours in [0, 1] of N lit points; all arguments but the last two have N rows."""
    facing = normal @ direction
    lit = np.clip(facing * 0.72 + 0.28, 0, 1) * (1 - blocked)
    up = normal[:, 1] * 0.5 + 0.5
    edge = np.clip(1 - np.abs(normal[:, 2]), 0, 1)
    dim = 1 - 0.16 * edge * edge
    room = (1 - hidden + cavity) * dim
    lit *= dim
    low = room * (1 - up)
    high = room * up
    skin = (matter == 0).astype(np.float32)
    # light that travels through skin leaves it redder where the light falls off
    falloff = skin * np.exp(-(((facing - 0.12) / 0.35) ** 2)) * (1 - 0.5 * hidden)
    half = unit(direction + np.array([0, 0, 1], np.float32))
    shine = np.clip(normal @ half, 0, 1)
    shine2 = shine * shine
    shine6 = shine2 * shine2 * shine2
    shine12 = shine6 * shine6
    gloss = skin * 0.085 * shine12 + (matter == 3) * 0.30 * shine12 * shine12 + (matter == 1) * 0.022 * shine6
    hairy = np.flatnonzero(matter == 2)
    if len(hairy):
        tone = albedo[hairy].mean(-1)
        band = np.exp(-(((normal[hairy, 1] - 0.42 + 3.0 * (tone % 0.02)) / 0.17) ** 2))
        gloss[hairy] += (0.13 + 0.25 * tone) * band * (1 - blocked[hairy]) * np.clip(facing[hairy] + 0.35, 0, 1)
    gloss *= 1 - hidden
    out = np.zeros_like(albedo)
    for k, red in enumerate((0.075, 0.012, 0.0)):
        got = lit * light.key[k] + low * light.ground[k] + high * light.sky[k]
        if red:
            got += falloff * red
        out[:, k] = albedo[:, k] * got + gloss
    return np.clip(out, 0, 1)
