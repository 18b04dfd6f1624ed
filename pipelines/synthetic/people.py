"""Posed, dressed people with exact ground truth, drawn procedurally.

``render_person`` makes one picture with its keypoints, parsing and layout; ``sample_person`` and ``sample_pair`` are
what trainings call. Everything follows from one seed. The figures are three-dimensional: lofted bodies and clothes
under a pinhole camera, so occlusion and foreshortening come out right by construction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Box, Image, Labels
from pipelines.synthetic import heads
from pipelines.synthetic.bodies import Skeleton, pose_body
from pipelines.synthetic.figures import Figure, build, sample_figure
from pipelines.synthetic.flats import SURFACES, RenderedGarment, render_garment
from pipelines.synthetic.garments import Garment, sample_garment, sample_lower
from pipelines.synthetic.meshes import Floats
from pipelines.synthetic.raster import Buffers, Camera, rasterize
from pipelines.synthetic.scenes import BACKGROUNDS, backdrop, cast_shadow
from pipelines.synthetic.shading import sample_light, shade

KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
FRAMINGS = ("full", "half", "upper")
SUPERSAMPLE = 2


@dataclass(frozen=True)
class RenderedPerson:
    """One picture of one person and all that is known about it.

    Attributes:
        image: (H, W, 3) uint8.
        labels: (H, W) uint8 parsing classes 0..8 (``PARSING_CLASSES``).
        layout: (H, W) uint8 LIP ids 0..19, 20 for a bag; left and right are the person's own.
        keypoints: (17, 2) float32 COCO joints, x and y in pixels; may lie outside the picture.
        visible: (17,) uint8: 0 outside the picture, 1 inside but hidden, 2 seen.
        garment_mask: (H, W) bool where the worn top shows; for a dress the dress.
        box: Around the visible person.
        garment: The worn top.
        figure: Everything else about the person.
        uv: (H, W, 2) float32 pattern coordinates (x, d) of the front panel where it shows, NaN elsewhere.
    """

    image: Image
    labels: Labels
    layout: Labels
    keypoints: Floats
    visible: NDArray[np.uint8]
    garment_mask: NDArray[np.bool_]
    box: Box
    garment: Garment
    figure: Figure
    uv: Floats


def generator(rng_or_seed: Generator | int) -> Generator:
    """Return a generator; an integer seeds a new one."""
    return rng_or_seed if isinstance(rng_or_seed, Generator) else np.random.default_rng(rng_or_seed)


def _camera(rng: Generator, skeleton: Skeleton, look: heads.Look, framing: str, size: tuple[int, int]) -> Camera:
    height, width = size
    h = skeleton.body.height
    joints = np.stack([v for k, v in skeleton.joints.items() if not k.startswith("toe")])
    tall = 0.045 if look.style in ("bun", "afro") or look.hat == "sunhat" else 0.0
    crown = float(skeleton.joints["head"][1]) + (0.155 + tall) * h
    top = max(crown, float(joints[:, 1].max()) + 0.10 * h if joints[:, 1].max() > crown - 0.1 * h else crown)
    bottom = {"full": -0.03, "half": rng.uniform(0.28, 0.40), "upper": rng.uniform(0.43, 0.50)}[framing] * h
    margin = rng.uniform(0.03, 0.08) if framing == "full" else rng.uniform(0.03, 0.10)
    foot = rng.uniform(0.02, 0.06) if framing == "full" else 0.0
    scale = height * (1 - margin - foot) / (top - bottom)
    reach = float(np.abs(joints[:, 0] - joints[:, 0].mean()).max()) + 0.07 * h
    wide = width * 0.98 / (2 * reach)
    # a closer framing rather cuts off an outstretched hand than shows more of the legs
    scale = min(scale, wide) if framing == "full" else max(min(scale, 1.17 * wide), 0.86 * scale)
    distance = float(rng.uniform(420, 700) if framing == "full" else rng.uniform(300, 520))
    eye = float(rng.uniform(0.55, 0.75) * h)
    middle = 0.5 * float(joints[:, 0].min() + joints[:, 0].max())
    slack = max(0.0, width / 2 - reach * scale)
    x = width / 2 - middle * scale + rng.uniform(-0.35, 0.35) * slack
    spare = max(0.0, height - (top - bottom) * scale)
    y = (margin * height if framing != "full" else spare * 0.5) + scale * (top - eye)
    return Camera(eye, distance, scale * distance, (float(x), float(y)))


def render_person(
    rng_or_seed: Generator | int,
    garment: Garment | None = None,
    size: tuple[int, int] = (1024, 768),
    framing: str = "full",
    background: str | None = None,
    *,
    figure: Figure | None = None,
    calm: bool = False,
) -> RenderedPerson:
    """Draw one person.

    Args:
        rng_or_seed: The same seed draws the same picture.
        garment: The top they wear; None draws one (sometimes a dress).
        size: (H, W) of the picture, each at least 64.
        framing: ``full``, ``half`` (to the thighs) or ``upper`` (to the hips).
        background: One of ``BACKGROUNDS``; None draws one.
        figure: The person; None draws one. Its own top yields to ``garment``.
        calm: Shop-model poses only.

    Raises:
        InputError: An unknown framing or background, or a size below 64.
    """
    if framing not in FRAMINGS:
        raise InputError(
            "synthetic.framing", "unknown framing", seen=framing, remedy=f"Use one of {', '.join(FRAMINGS)}"
        )
    if background is not None and background not in BACKGROUNDS:
        raise InputError(
            "synthetic.background", "unknown background", seen=background, remedy=f"Use one of {', '.join(BACKGROUNDS)}"
        )
    if min(size) < 64:
        raise InputError(
            "synthetic.size", "the picture is too small to draw a person", seen=size, remedy="Use 64 pixels or more"
        )
    rng = generator(rng_or_seed)
    if figure is None:
        figure = sample_figure(rng, garment, calm)
    elif garment is not None:
        figure = _wear(figure, garment, rng)
    background = background or str(rng.choice(BACKGROUNDS, p=(0.12, 0.26, 0.16, 0.18, 0.18, 0.10)))
    skeleton = pose_body(figure.body, figure.stance)
    big = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
    camera = _camera(rng, skeleton, figure.look, framing, big)
    detail = float(np.clip(0.9 * (camera.scale / 2.6) ** 0.5, 0.75, 2.6))
    # cloth pictures need no more pixels than the final picture shows
    density = float(np.clip(0.72 * camera.scale * figure.body.height, 150, 2200))
    surfaces, pictures = build(figure, skeleton, detail, density, rng)
    buffers = rasterize(surfaces, camera, big)
    light = sample_light(rng)
    colour = shade(buffers, surfaces, pictures, camera.scale, light)

    top, left = buffers.window
    h, w = buffers.surface.shape
    canvas = np.zeros((*big, 4), np.float32)
    canvas[top : top + h, left : left + w, :3] = colour
    canvas[top : top + h, left : left + w, 3] = buffers.surface >= 0
    canvas = np.asarray(cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)
    alpha = canvas[..., 3]
    soles = np.stack([skeleton.joints["ankle_" + s] * np.array([1, 0, 1], np.float32) for s in "lr"])
    feet = camera.project(soles)[:, :2] / SUPERSAMPLE
    floor = framing == "full"
    line = (float(feet[:, 1].mean()) / size[0] - rng.uniform(0.08, 0.16)) if floor else 1.6
    image = backdrop(rng, background, size, line)
    strength = 0.55 if background != "white" else 0.30
    if floor or background in ("studio", "plain", "white"):
        lean = -light.direction[0]
        cast_shadow(image, alpha, feet, camera.scale / SUPERSAMPLE, lean, floor, strength if floor else strength * 0.5)
    image = canvas[..., :3] + image * (1 - alpha[..., None])
    image = _sensor(image, rng)

    sample = _sampled(buffers.surface, buffers.window, size, -1)
    labels = np.array([s.label for s in surfaces] + [0], np.uint8)[sample]
    layout = np.array([s.layout for s in surfaces] + [0], np.uint8)[sample]
    worn = np.array([s.worn for s in surfaces] + [False])[sample]
    keypoints, visible = _keypoints(figure, skeleton, camera, buffers, size)
    ys, xs = np.nonzero(labels)
    box = (
        Box(float(xs.min()), float(ys.min()), float(np.ptp(xs) + 1), float(np.ptp(ys) + 1))
        if len(xs)
        else Box(0, 0, 0, 0, 0)
    )
    front = next(k for k, s in enumerate(surfaces) if s.texture == "torso_front")
    x0, x1, d0, d1 = pictures["torso_front"].extent
    uv = _sampled(buffers.uv, buffers.window, size, np.nan)
    uv = uv * np.array([x1 - x0, d1 - d0], np.float32) + np.array([x0, d0], np.float32)
    uv = np.where((sample == front)[..., None], uv, np.nan).astype(np.float32)
    return RenderedPerson(image, labels, layout, keypoints, visible, worn, box, figure.top, figure, uv)


def _sampled(window: NDArray, corner: tuple[int, int], size: tuple[int, int], empty: float) -> NDArray:
    """Put every second pixel of a supersampled window into an array of the picture's size."""
    out = np.full((*size, *window.shape[2:]), empty, window.dtype)
    top, left = (-(-(c - SUPERSAMPLE // 2) // SUPERSAMPLE) for c in corner)
    rows = slice(top * SUPERSAMPLE + SUPERSAMPLE // 2 - corner[0], None, SUPERSAMPLE)
    columns = slice(left * SUPERSAMPLE + SUPERSAMPLE // 2 - corner[1], None, SUPERSAMPLE)
    part = window[rows, columns]
    out[top : top + part.shape[0], left : left + part.shape[1]] = part
    return out


def _wear(figure: Figure, garment: Garment, rng: Generator) -> Figure:
    bottom = figure.bottom if figure.bottom is not None else sample_lower(rng, figure.body.curves)
    return replace(figure, top=garment, bottom=bottom)


def _sensor(image: Floats, rng: Generator) -> Image:
    """Give the picture a camera's slight softness, grain and exposure."""
    image = image * float(rng.uniform(0.95, 1.04))
    sigma = float(rng.uniform(0.0, 0.45)) * image.shape[0] / 512
    if sigma > 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), min(sigma, 0.8)), image.dtype)
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32) * np.float32(rng.uniform(0.002, 0.008))
    return (np.clip(image + noise[..., None], 0, 1) * 255 + 0.5).astype(np.uint8)


# how much nearer than the joint the surface over it may lie, as a share of body height
_COVER = (0.04, 0.035, 0.035, 0.04, 0.04, 0.065, 0.065, 0.045, 0.045, 0.04, 0.04, 0.11, 0.11, 0.06, 0.06, 0.06, 0.06)


def _keypoints(
    figure: Figure, skeleton: Skeleton, camera: Camera, buffers: Buffers, size: tuple[int, int]
) -> tuple[Floats, NDArray[np.uint8]]:
    joints = skeleton.joints
    face = heads.face_points(heads.Head.of(skeleton, figure.look))
    points = [face[name] for name in ("nose", "eye_l", "eye_r", "ear_l", "ear_r")]
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        points += [joints[f"{name}_l"], joints[f"{name}_r"]]
    world = np.stack(points)
    place = camera.project(world)[:, :2]
    visible = np.zeros(17, np.uint8)
    top, left = buffers.window
    h, w = buffers.depth.shape
    for k, (x, y) in enumerate(place):
        column, row = int(np.floor(x)), int(np.floor(y))
        if not (0 <= row < size[0] * SUPERSAMPLE and 0 <= column < size[1] * SUPERSAMPLE):
            continue
        inside = 0 <= row - top < h and 0 <= column - left < w
        depth = float(buffers.depth[row - top, column - left]) if inside else -1000.0
        visible[k] = 2 if depth - world[k, 2] < _COVER[k] * figure.body.height else 1
    return ((place / SUPERSAMPLE) - 0.5).astype(np.float32), visible


@dataclass(frozen=True)
class Pair:
    """A person and the flat picture of the very garment they wear.

    Attributes:
        person: The worn picture.
        garment: The product picture.
    """

    person: RenderedPerson
    garment: RenderedGarment


def sample_person(rng: Generator | int, size: tuple[int, int] = (256, 192)) -> tuple[Image, Floats, Floats]:
    """Draw one training item for pose estimation.

    Returns:
        (H, W, 3) uint8 image, (17, 2) float32 keypoints in pixels, (17,) float32 weight: 1 inside the picture, else 0.
    """
    rng = generator(rng)
    framing = str(rng.choice(FRAMINGS, p=(0.6, 0.25, 0.15)))
    drawn = render_person(rng, size=size, framing=framing)
    return drawn.image, drawn.keypoints, (drawn.visible > 0).astype(np.float32)


def sample_parsing(rng: Generator | int, size: tuple[int, int] = (448, 336)) -> tuple[Image, Image]:
    """Draw one training item for human parsing.

    Returns:
        (H, W, 3) uint8 image, (H, W) uint8 class ids as in `PARSING_CLASSES`.
    """
    rng = generator(rng)
    framing = str(rng.choice(FRAMINGS, p=(0.6, 0.25, 0.15)))
    drawn = render_person(rng, size=size, framing=framing)
    return drawn.image, drawn.labels


def sample_pair(
    rng: Generator | int,
    size: tuple[int, int] = (256, 192),
    garment: Garment | None = None,
    framing: str | None = None,
    background: str | None = None,
    flat_background: str | None = None,
) -> Pair:
    """Draw one training item for try-on: a person in a top, and that top's flat picture.

    Args:
        rng: Source of chance, or a seed.
        size: (H, W) of both pictures.
        garment: The top; None draws one.
        framing: One of ``FRAMINGS``; None draws one, mostly half figures.
        background: Behind the person; None draws one.
        flat_background: Below the garment; None draws one, mostly white.
    """
    rng = generator(rng)
    garment = garment or sample_garment(rng)
    framing = framing or str(rng.choice(FRAMINGS, p=(0.25, 0.45, 0.30)))
    person = render_person(rng, garment, size, framing, background, calm=bool(rng.uniform() < 0.5))
    flat_background = flat_background or str(rng.choice(SURFACES, p=(0.62, 0.20, 0.07, 0.06, 0.05)))
    return Pair(person, render_garment(garment, rng, size, flat_background))
