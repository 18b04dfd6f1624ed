"""One person before a camera looks at them: body, stance, head and clothes, and the surfaces they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from pipelines.synthetic import faces, heads, headwear
from pipelines.synthetic.anatomy import skin_arm, skin_leg, skin_torso
from pipelines.synthetic.bodies import ANKLE, HIP, Body, Skeleton, Stance, sample_body, sample_stance
from pipelines.synthetic.cloth import Swatch, plain_swatch
from pipelines.synthetic.garments import Colour, Garment, as_colour, sample_dress, sample_garment, sample_lower
from pipelines.synthetic.meshes import Surface
from pipelines.synthetic.outfit import SHOE_KINDS, WAIST, bag, dress_lower, shoes
from pipelines.synthetic.worn import TOP, dress_top


@dataclass(frozen=True)
class Figure:
    """Everything that makes one person, before a camera looks at them.

    Attributes:
        body: Shape and skin.
        stance: Pose.
        look: Head, hair, face.
        top: Upper garment, or a dress (then there is no ``bottom``).
        bottom: Lower garment.
        shoe: One of ``SHOE_KINDS``.
        shoe_colour: RGB in [0, 1].
        socks: Socks show below shorts and skirts.
        bag: ``none``, ``shoulder`` or ``crossbody``.
        bag_side: ``l`` or ``r``.
        bag_colour: RGB in [0, 1].
    """

    body: Body
    stance: Stance
    look: heads.Look
    top: Garment
    bottom: Garment | None
    shoe: str = "sneaker"
    shoe_colour: Colour = (0.2, 0.2, 0.22)
    socks: bool = False
    bag: str = "none"
    bag_side: str = "l"
    bag_colour: Colour = (0.4, 0.25, 0.15)


def sample_figure(rng: Generator, garment: Garment | None = None, calm: bool = False) -> Figure:
    """Draw a person.

    Args:
        rng: Source of chance.
        garment: What they wear on top; None draws a top, one time in nine a dress.
        calm: Shop-model poses only.
    """
    body = sample_body(rng)
    stance = sample_stance(rng, calm)
    look = heads.sample_look(rng, body.curves)
    top = garment
    if top is None:
        top = sample_dress(rng) if body.curves > 0.5 and rng.uniform() < 0.22 else sample_garment(rng)
    bottom = None if top.category == "dress" else sample_lower(rng, body.curves)
    hue = rng.uniform(0, 1, 6)
    dark = rng.uniform() < 0.65
    return Figure(
        body=body,
        stance=stance,
        look=look,
        top=top,
        bottom=bottom,
        shoe=str(rng.choice(SHOE_KINDS, p=(0.62, 0.18, 0.20))),
        shoe_colour=as_colour(0.08 + (0.22 if dark else 0.78) * v for v in 0.7 * hue[0] + 0.3 * hue[:3]),
        socks=bool(rng.uniform() < 0.4),
        bag=str(rng.choice(("none", "shoulder", "crossbody"), p=(0.86, 0.08, 0.06))),
        bag_side=str(rng.choice(("l", "r"))),
        bag_colour=as_colour(0.10 + 0.55 * v for v in 0.5 * hue[3] + 0.5 * hue[3:]),
    )


def _flat(colour: Colour, size: int = 4) -> Swatch:
    rgb = np.broadcast_to((np.clip(np.array(colour), 0, 1) * 255).astype(np.uint8), (size, size, 3)).copy()
    return Swatch(rgb, np.zeros((size, size), np.float32), (0, 1, 0, 1))


def _strands(look: heads.Look, size: int) -> Swatch:
    rng = np.random.default_rng(look.seed)
    w, h = size, max(16, size // 2)
    fine = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), 0.7, sigmaY=h * 0.16)
    broad = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), w / 60, sigmaY=h * 0.3)
    lock = 0.6 * fine / (fine.std() + 1e-6) + 0.8 * broad / (broad.std() + 1e-6)
    colour = np.array(look.hair, np.float32)
    rgb = colour * (1 + 0.17 * lock[..., None]) + 0.01 * lock[..., None]
    return Swatch((np.clip(rgb, 0, 1) * 255).astype(np.uint8), 0.10 * lock, (0, 1, 0, 1))


def build(
    figure: Figure, skeleton: Skeleton, detail: float, density: float, rng: Generator
) -> tuple[list[Surface], dict[str, Swatch]]:
    """Make all surfaces of a figure and the pictures on them.

    Args:
        figure: The person.
        skeleton: The posed body of the same person.
        detail: Mesh density, 1 for 256x192.
        density: Texture pixels per unit of body height.
        rng: Of the folds.
    """
    body, look, top, bottom = figure.body, figure.look, figure.top, figure.bottom
    face = int(np.clip(density * 0.20, 64, 420))
    pictures = {
        "skin": _flat(body.skin),
        "face": Swatch(faces.paint_face(look, body.skin, face), np.zeros((face, face), np.float32), (0, 1, 0, 1)),
        "hair": _strands(look, int(np.clip(density * 0.45, 96, 700))),
        "hat": plain_swatch(Garment(colour=look.hat_colour, fabric="knit"), (0, 1, 0, 1), 64, 51),
        "glasses": _flat((0.06, 0.06, 0.07)),
    }
    head = heads.Head.of(skeleton, look)
    surfaces = skin_torso(skeleton, detail)
    surfaces += heads.skull(head, detail) + heads.hair(head, look, skeleton, detail)
    surfaces += headwear.hat(head, look, detail) + headwear.glasses(head, look, detail)
    sleeve = top.pattern_cut.arm_share
    for side in "lr":
        arm = skeleton.stance.left if side == "l" else skeleton.stance.right
        surfaces += skin_arm(skeleton, side, 0.0 if sleeve <= 0 else sleeve, detail, hand=arm.kind != "pocket")
        hem = _bare_from(top, bottom)
        if hem < 1:
            surfaces += skin_leg(skeleton, side, hem, detail)
    covered = bottom is not None and bottom.category in ("trousers", "jeans")
    parts = [
        dress_top(skeleton, top, detail, density, rng),
        shoes(skeleton, figure.shoe, figure.shoe_colour, detail, covered),
    ]
    if bottom is not None:
        parts.append(dress_lower(skeleton, bottom, detail, density, rng))
    if figure.bag != "none":
        parts.append(bag(skeleton, figure.bag_side, figure.bag_colour, figure.bag == "crossbody", detail, density))
    for more, extra in parts:
        surfaces += more
        pictures |= extra
    return surfaces, pictures


def _bare_from(top: Garment, bottom: Garment | None) -> float:
    """Where the bare leg begins, 0 at the hip to 1 at the ankle: a little above what covers it."""
    if bottom is not None and bottom.category in ("trousers", "jeans"):
        return 1.0
    ground = TOP - top.length if bottom is None else WAIST - bottom.length
    return float(np.clip((HIP - ground) / (HIP - ANKLE) - 0.10, 0.02, 0.9))
