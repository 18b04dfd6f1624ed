"""The sample inputs of assets/ that newcomers try first: people, garments, sketches and objects, from fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipelines.core.types import Image
from pipelines.synthetic import objects
from pipelines.synthetic.buildings import sample_building
from pipelines.synthetic.flats import render_garment
from pipelines.synthetic.garments import Garment
from pipelines.synthetic.linework import CLEAN, Camera, Hand, draw, on_paper
from pipelines.synthetic.people import render_person

SIZE = (1024, 768)
QUALITY = 88
SKETCH_SIZE = 900
OBJECT_SIZE = 640


@dataclass(frozen=True)
class PersonSample:
    """One sample person: the seed draws body, pose, head, lower garment and light."""

    seed: int
    framing: str
    background: str
    top: Garment


@dataclass(frozen=True)
class ObjectSample:
    """One picture of a sample object: the seed draws the object, which several pictures share.

    Attributes:
        seed: Of the object.
        category: Of the object.
        azimuth: Of the camera, in degrees.
        elevation: Of the camera, in degrees.
        wall: Grey of the backdrop, 0 to 255.
    """

    seed: int
    category: str
    azimuth: float
    elevation: float
    wall: int


@dataclass(frozen=True)
class SketchSample:
    """One sample sketch: the seed draws the building and the slips of the hand.

    Attributes:
        seed: Of every draw.
        family: Of the building.
        camera: From where it is drawn.
        hand: How.
        photo: Whether it is a photograph of paper instead of a clean scan.
    """

    seed: int
    family: str
    camera: Camera
    hand: Hand
    photo: bool = False


GARMENTS: dict[str, Garment] = {
    "tee_plain": Garment("t-shirt", colour=(0.42, 0.55, 0.47), length=0.395, rib=True, ease=0.45, seed=11),
    "longsleeve_stripes": Garment(
        "long-sleeve", "long", "boat", 0.375, 0.35, colour=(0.94, 0.93, 0.90), accent=(0.12, 0.17, 0.30),
        pattern="hstripes", scale=0.9, seed=12,
    ),
    "tee_print": Garment(
        "t-shirt", colour=(0.93, 0.92, 0.89), accent=(0.15, 0.30, 0.42), third=(0.88, 0.45, 0.27), motif="mountain",
        length=0.395, rib=True, ease=0.5, seed=16,
    ),
    "shirt_check": Garment(
        "shirt", "long", "collar", 0.395, 0.5, colour=(0.82, 0.22, 0.20), accent=(0.15, 0.15, 0.19),
        third=(0.93, 0.84, 0.60), pattern="check", closure="buttons", pocket=True, fabric="woven", seed=14,
    ),
    "sweater_mustard": Garment(
        "sweater", "long", "crew", 0.375, 0.65, colour=(0.83, 0.61, 0.23), rib=True, fabric="knit", seed=15,
    ),
    "hoodie_grey": Garment(
        "hoodie", "long", "hood", 0.385, 0.7, colour=(0.60, 0.62, 0.65), accent=(0.16, 0.20, 0.34), pattern="melange",
        motif="letters", text="NORTH", rib=True, pocket=True, fabric="jersey", seed=17,
    ),
    "tank_coral": Garment("tank", "none", "scoop", 0.37, 0.25, colour=(0.88, 0.45, 0.40), seed=18),
    "blouse_dots": Garment(
        "blouse", "elbow", "v", 0.375, 0.45, 0.4, colour=(0.16, 0.22, 0.40), accent=(0.95, 0.93, 0.90), pattern="dots",
        fabric="satin", seed=19,
    ),
}  # fmt: skip

PEOPLE: dict[str, PersonSample] = {
    "half_studio_tee": PersonSample(
        2002, "half", "studio", Garment("t-shirt", colour=(0.62, 0.74, 0.84), length=0.395, ease=0.4, rib=True, seed=3)
    ),
    "half_white_longsleeve": PersonSample(
        2106, "half", "white", Garment("long-sleeve", "long", "crew", 0.38, 0.35, colour=(0.24, 0.26, 0.30), seed=4)
    ),
    "full_studio_striped_tee": PersonSample(
        2204, "full", "studio",
        Garment(
            "t-shirt", colour=(0.93, 0.92, 0.90), accent=(0.70, 0.20, 0.22), pattern="hstripes",
            length=0.385, ease=0.35, seed=6,
        ),
    ),
    "full_street_sweater": PersonSample(
        2302, "full", "street",
        Garment("sweater", "long", "crew", 0.375, 0.55, colour=(0.24, 0.40, 0.37), rib=True, fabric="knit", seed=5),
    ),
    "half_plain_shirt": PersonSample(
        2405, "half", "plain",
        Garment(
            "shirt", "long", "collar", 0.395, 0.4, colour=(0.80, 0.86, 0.93), closure="buttons", fabric="woven",
            pocket=True, seed=7,
        ),
    ),
    "full_indoor_hoodie": PersonSample(
        2505, "full", "indoor",
        Garment(
            "hoodie", "long", "hood", 0.385, 0.6, colour=(0.55, 0.25, 0.28), rib=True, pocket=True, pattern="melange",
            seed=9,
        ),
    ),
}  # fmt: skip


SKETCHES: dict[str, SketchSample] = {
    "tower_by_ruler": SketchSample(1003, "setback", Camera(40, 24, 35), CLEAN),
    "chapel_by_hand": SketchSample(
        1002, "church", Camera(40, 20, 35),
        Hand(stroke=1.5, pressure=0.2, jitter=0.006, wobble=0.006, overshoot=0.03, restating=0.3, tone=0.85),
    ),
    "house_on_paper": SketchSample(
        1004, "house", Camera(38, 24, 35),
        Hand(stroke=1.7, pressure=0.15, jitter=0.006, wobble=0.005, overshoot=0.02, roll=3, tone=0.9), photo=True,
    ),
}  # fmt: skip


def sketch_picture(name: str) -> Image:
    """Draw one sample sketch, (H, W, 3) uint8, about 900 pixels wide; KeyError for an unknown name."""
    sample = SKETCHES[name]
    rng = np.random.default_rng(sample.seed)
    building = sample_building(rng, sample.family)
    grey = draw(building, sample.camera, sample.hand, rng, SKETCH_SIZE)
    return on_paper(grey, rng) if sample.photo else np.repeat(grey[..., None], 3, axis=2)


OBJECTS: dict[str, ObjectSample] = {
    f"{category}_{side}": ObjectSample(seed, category, azimuth, elevation, wall)
    for category, seed, wall in (("chair", 17, 222), ("lamp", 15, 206), ("plane", 16, 214))
    for side, azimuth, elevation in (("front", 32, 18), ("left", -70, 24), ("back", 160, 20))
}


def object_picture(name: str) -> Image:
    """Draw one picture of a sample object before a backdrop, (640, 640, 3) uint8; KeyError for an unknown name."""
    sample = OBJECTS[name]
    shape = objects.sample_object(np.random.default_rng(sample.seed), sample.category)
    inner = round(OBJECT_SIZE * 0.82)
    drawn, covered = objects.picture(shape, objects.Camera(sample.azimuth, sample.elevation, 2.6), inner)
    edge = (OBJECT_SIZE - inner) // 2
    frame = [(edge, OBJECT_SIZE - inner - edge)] * 2
    cover = np.pad(covered, frame)[..., None].astype(np.float32) / 255
    colours = np.pad(drawn, [*frame, (0, 0)]).astype(np.float32)
    fall = np.linspace(1.06, 0.9, OBJECT_SIZE, dtype=np.float32)[:, None, None]
    # The shadow: what stands on the ground, pressed flat and out of focus.
    ground = np.flatnonzero(cover[..., 0].any(1)).max()
    flat = cv2.resize(cover[..., 0], (OBJECT_SIZE, OBJECT_SIZE // 8), interpolation=cv2.INTER_AREA)
    shadow = np.zeros((OBJECT_SIZE, OBJECT_SIZE), np.float32)
    top = min(ground - flat.shape[0] // 2, OBJECT_SIZE - flat.shape[0])
    shadow[top : top + flat.shape[0]] = flat
    shade = 1 - 0.22 * cv2.GaussianBlur(shadow, (0, 0), 14)[..., None]
    wall = sample.wall * np.array([1.0, 0.99, 0.965], np.float32) * fall * shade
    grain = np.random.default_rng(sample.seed).normal(size=(OBJECT_SIZE, OBJECT_SIZE, 1)).astype(np.float32) * 1.5
    return np.asarray(np.clip(colours * cover + wall * (1 - cover) + grain, 0, 255), np.uint8)


def garment_picture(name: str) -> Image:
    """Draw one sample garment, (1024, 768, 3) uint8; KeyError for an unknown name."""
    return render_garment(GARMENTS[name], 100 + GARMENTS[name].seed, SIZE, "white").image


def person_picture(name: str) -> Image:
    """Draw one sample person, (1024, 768, 3) uint8; KeyError for an unknown name."""
    sample = PEOPLE[name]
    return render_person(sample.seed, sample.top, SIZE, sample.framing, sample.background, calm=True).image


def write_samples(folder: str | Path) -> list[Path]:
    """Write ``people/*.jpg``, ``garments/*.jpg``, ``sketches/*.jpg`` and ``objects/*.jpg`` below ``folder``.

    The same bytes on the same machine.

    Returns:
        The paths written.
    """
    folder = Path(folder)
    written = []
    kinds = (
        ("people", PEOPLE, person_picture),
        ("garments", GARMENTS, garment_picture),
        ("sketches", SKETCHES, sketch_picture),
        ("objects", OBJECTS, object_picture),
    )
    for kind, names, picture in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name in names:
            path = folder / kind / f"{name}.jpg"
            path.write_bytes(
                cv2.imencode(".jpg", picture(name)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            )
            written.append(path)
    return written
