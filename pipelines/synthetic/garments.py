"""Clothes as numbers: what a garment is, how its flat pattern is cut, and how one is drawn at random.

Flat pattern coordinates are shares of a body's height: x across from the centre front (positive towards the wearer's
left, which is the picture's right), d down from the side of the neck. The flat picture and the worn picture both read
the cloth in these coordinates, which is what makes a (flat, worn) pair of the same garment consistent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from pipelines.synthetic.meshes import Floats

UPPER_CATEGORIES = ("t-shirt", "long-sleeve", "shirt", "sweater", "tank", "hoodie", "jacket", "blouse")
LOWER_CATEGORIES = ("trousers", "jeans", "shorts", "skirt")
PATTERNS = ("plain", "hstripes", "vstripes", "check", "dots", "floral", "blocks", "gradient", "melange")
PRINTS = ("none", "letters", "circle", "star", "bars", "mountain", "heart", "photo")
NECKLINES = ("crew", "v", "scoop", "boat", "turtle", "collar", "hood")
ARM_LENGTH = 0.307

Colour = tuple[float, float, float]


def as_colour(values: Iterable[float]) -> Colour:
    """Return three RGB values as a colour; ValueError if there are not three."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue


@dataclass(frozen=True)
class Garment:
    """One piece of clothing, independent of any wearer.

    Attributes:
        category: One of ``UPPER_CATEGORIES``, ``LOWER_CATEGORIES`` or ``dress``.
        sleeve: ``none``, ``short``, ``elbow`` or ``long``.
        neckline: One of ``NECKLINES``.
        length: Neck to hem (waist to hem for lower garments) as a share of the wearer's height.
        ease: 0 close to the body, 1 loose.
        flare: Widening of the hem, 0 straight to 1.
        colour: Ground, RGB in [0, 1].
        accent: Second colour: stripes, print, buttons.
        third: Third colour.
        pattern: One of ``PATTERNS``.
        scale: Size of the pattern, about 1.
        motif: One of ``PRINTS``, on the chest.
        text: Letters of a ``letters`` motif.
        closure: ``none``, ``buttons`` or ``zip``.
        rib: Collar, cuffs and hem are knitted bands.
        pocket: A chest pocket (kangaroo pocket on a hoodie).
        fabric: ``jersey``, ``knit``, ``denim``, ``woven`` or ``satin``.
        seed: Of everything irregular in the cloth.
    """

    category: str = "t-shirt"
    sleeve: str = "short"
    neckline: str = "crew"
    length: float = 0.375
    ease: float = 0.4
    flare: float = 0.0
    colour: Colour = (0.85, 0.85, 0.85)
    accent: Colour = (0.2, 0.25, 0.4)
    third: Colour = (0.7, 0.3, 0.25)
    pattern: str = "plain"
    scale: float = 1.0
    motif: str = "none"
    text: str = "STUDIO"
    closure: str = "none"
    rib: bool = False
    pocket: bool = False
    fabric: str = "jersey"
    seed: int = 0

    @property
    def pattern_cut(self) -> Cut:
        """The flat pattern of an upper garment or dress."""
        return cut_pattern(self)


@dataclass(frozen=True)
class Cut:
    """Flat pattern of a top: half width by depth, neckline, sleeve. Shares of height.

    Attributes:
        rows: (K,) depths of the outline's knots.
        halves: (K,) half widths there.
        neck_half: Half width of the neck hole.
        neck_front: Depth of the front neckline.
        neck_back: Depth of the back neckline.
        shoulder: (half width, depth) of the shoulder tip.
        armpit: (half width, depth) of the armpit.
        waist: (half width, depth).
        hem: (half width, depth).
        sleeve: Length from the armhole's middle, 0 for none.
        sleeve_halves: Half widths of the sleeve at its middle and its cuff.
        arm_share: The same length as a share of the arm (0.5 is the elbow).
        notch: Exponent of the neckline's curve: 1 is a V, 2.6 round, larger squarer.
    """

    rows: Floats
    halves: Floats
    neck_half: float
    neck_front: float
    neck_back: float
    shoulder: tuple[float, float]
    armpit: tuple[float, float]
    waist: tuple[float, float]
    hem: tuple[float, float]
    sleeve: float
    sleeve_halves: tuple[float, float]
    arm_share: float
    notch: float = field(default=2.0)

    def half(self, d: Floats) -> Floats:
        """Half width of the panel at depths ``d``."""
        return np.interp(d, self.rows, self.halves).astype(np.float32)

    def neck(self, x: Floats, back: bool = False) -> Floats:
        """Depth of the neckline at ``x``; negative beyond the neck hole."""
        share = np.abs(x) / self.neck_half
        inside = (self.neck_back if back else self.neck_front) * (1 - np.clip(share, 0, 1) ** self.curve(back))
        return np.where(share < 1, inside, -0.05 * (share - 1)).astype(np.float32)

    def curve(self, back: bool = False) -> float:
        """Exponent of the neckline."""
        return 2.6 if back else self.notch

    def neck_distance(self, x: Floats, d: Floats, back: bool = False) -> Floats:
        """Distance of pattern points outwards from the neckline's edge, about exact near it."""
        deep, power = self.neck_back if back else self.neck_front, self.curve(back)
        share = np.clip(np.abs(x) / self.neck_half, 0, 1)
        slope = deep * power * share ** (power - 1) / self.neck_half
        inside = (d - self.neck(x, back)) / np.sqrt(1 + slope * slope)
        return np.where(np.abs(x) < self.neck_half, inside, np.hypot(np.abs(x) - self.neck_half, d)).astype(np.float32)

    def sleeve_half(self, t: Floats) -> Floats:
        """Half width of the sleeve at shares ``t`` of its length."""
        top = 0.5 * float(np.hypot(self.shoulder[0] - self.armpit[0], self.shoulder[1] - self.armpit[1]))
        return np.interp(t, [0, 0.5, 1], [top, *self.sleeve_halves]).astype(np.float32)


def cut_pattern(garment: Garment) -> Cut:
    """Derive the flat pattern of a top or dress from its description."""
    ease = garment.ease
    neck_half, neck_front, notch = {
        "crew": (0.043, 0.046, 2.6),
        "v": (0.043, 0.088, 1.1),
        "scoop": (0.056, 0.082, 2.8),
        "boat": (0.073, 0.026, 2.4),
        "turtle": (0.037, 0.006, 2.4),
        "collar": (0.038, 0.040, 1.1),
        "hood": (0.045, 0.048, 1.9),
    }[garment.neckline]
    shoulder = 0.113 + 0.013 * ease
    drop = 0.036 + 0.004 * ease
    if garment.category == "tank":
        shoulder, neck_half = 0.079, max(neck_half, 0.054)
        drop = 0.020
    pit = 0.112 + 0.022 * ease
    chest = 0.128 + 0.025 * ease
    hips = 0.133 + 0.022 * ease + 0.05 * garment.flare
    length = garment.length
    tuck = (1 - ease) * 0.016
    hem = chest + (hips - chest) * min(1.0, (length - pit) / 0.24) + garment.flare * max(0.0, length - 0.40) * 0.35
    if garment.category in ("sweater", "hoodie") and garment.rib:
        hem *= 0.94
    middle = pit + 0.5 * (length - pit)
    waist = 0.5 * (chest + hem) - tuck
    share = {"none": 0.0, "short": 0.34, "elbow": 0.5, "long": 0.985}[garment.sleeve]
    if garment.sleeve == "short":
        share += 0.05 * (ease - 0.4)
    elbow = 0.040 + 0.012 * ease if share > 0.6 else 0.043 + 0.011 * ease
    cuff = 0.028 + (0.004 if garment.rib else 0.010) * ease if share > 0.6 else elbow - 0.002
    inset = 0.005 if garment.sleeve != "none" else 0.004
    round_off = 2.0 if garment.sleeve != "none" else 3.6
    f = np.linspace(0, 1, 9)
    armhole = shoulder + (chest - shoulder) * f**round_off - inset * np.sin(np.pi * f)
    rows = [0.0, *(drop + (pit - drop) * f), middle, length, length + 0.02]
    halves = [neck_half, *armhole, waist, hem, hem]
    return Cut(
        np.array(rows, np.float32),
        np.array(halves, np.float32),
        neck_half,
        neck_front,
        0.010,
        (shoulder, drop),
        (chest, pit),
        (waist, middle),
        (hem, length),
        share * ARM_LENGTH,
        (elbow, cuff),
        share,
        notch,
    )


# ground colours that shops sell; light and dark, muted and loud
PALETTE: tuple[Colour, ...] = (
    (0.94, 0.94, 0.93), (0.90, 0.87, 0.80), (0.13, 0.13, 0.15), (0.25, 0.26, 0.29), (0.55, 0.56, 0.58),
    (0.12, 0.17, 0.30), (0.22, 0.36, 0.58), (0.48, 0.65, 0.80), (0.70, 0.14, 0.17), (0.82, 0.40, 0.36),
    (0.90, 0.66, 0.66), (0.93, 0.76, 0.30), (0.86, 0.52, 0.22), (0.24, 0.40, 0.27), (0.53, 0.60, 0.42),
    (0.16, 0.44, 0.46), (0.42, 0.26, 0.46), (0.70, 0.60, 0.80), (0.47, 0.33, 0.24), (0.74, 0.62, 0.48),
)  # fmt: skip
WORDS = ("STUDIO", "NOVA", "WAVE", "1984", "HELLO", "ATLAS", "LUMEN", "NORTH", "42", "ECHO", "SOLAR", "RIVER")


def _colour(rng: Generator, light: bool | None = None) -> Colour:
    colours = [c for c in PALETTE if light is None or (sum(c) > 1.6) == light]
    base = np.array(colours[int(rng.integers(len(colours)))]) + rng.normal(0, 0.025, 3)
    if rng.uniform() < 0.2:
        base = rng.uniform(0.08, 0.92, 3)
        base = base + 0.45 * (base.mean() - base)
    red, green, blue = np.clip(base, 0.05, 0.96)
    return float(red), float(green), float(blue)


def sample_garment(rng: Generator, category: str | None = None) -> Garment:
    """Draw an upper garment.

    Args:
        rng: Source of chance.
        category: One of ``UPPER_CATEGORIES``; None draws one.
    """
    category = category or str(rng.choice(UPPER_CATEGORIES, p=(0.27, 0.17, 0.14, 0.13, 0.08, 0.07, 0.06, 0.08)))
    colour = _colour(rng)
    accent = _colour(rng, light=sum(colour) < 1.6)
    garment = Garment(
        category=category,
        length=float(rng.uniform(0.355, 0.415)),
        ease=float(rng.uniform(0.05, 0.8)),
        flare=float(rng.uniform(0, 0.35)),
        colour=colour,
        accent=accent,
        third=_colour(rng),
        pattern=str(rng.choice(PATTERNS, p=(0.38, 0.13, 0.07, 0.07, 0.08, 0.07, 0.07, 0.05, 0.08))),
        scale=float(rng.uniform(0.7, 1.5)),
        text=str(rng.choice(WORDS)),
        seed=int(rng.integers(1 << 31)),
    )
    motif = str(rng.choice(PRINTS[1:])) if rng.uniform() < 0.45 and garment.pattern in ("plain", "melange") else "none"
    if category == "t-shirt":
        neck = str(rng.choice(("crew", "v", "scoop", "boat"), p=(0.6, 0.2, 0.15, 0.05)))
        sleeve = str(rng.choice(("short", "elbow"), p=(0.85, 0.15)))
        return replace(
            garment, neckline=neck, sleeve=sleeve, motif=motif, rib=neck == "crew", pocket=rng.uniform() < 0.1
        )
    if category == "long-sleeve":
        neck = str(rng.choice(("crew", "v", "scoop", "boat", "turtle"), p=(0.5, 0.15, 0.15, 0.1, 0.1)))
        return replace(garment, neckline=neck, sleeve="long", motif=motif, rib=neck == "crew")
    if category == "shirt":
        pattern = garment.pattern if garment.pattern != "melange" else "check"
        sleeve = str(rng.choice(("long", "short"), p=(0.75, 0.25)))
        return replace(
            garment, neckline="collar", sleeve=sleeve, closure="buttons", pattern=pattern, fabric="woven",
            pocket=rng.uniform() < 0.5, length=float(rng.uniform(0.37, 0.42)), ease=float(rng.uniform(0.2, 0.75)),
        )  # fmt: skip
    if category == "sweater":
        neck = str(rng.choice(("crew", "v", "turtle"), p=(0.6, 0.2, 0.2)))
        return replace(garment, neckline=neck, sleeve="long", fabric="knit", rib=True, ease=float(rng.uniform(0.35, 1)))
    if category == "tank":
        neck = str(rng.choice(("scoop", "v", "crew"), p=(0.6, 0.2, 0.2)))
        return replace(garment, neckline=neck, sleeve="none", motif=motif, ease=float(rng.uniform(0, 0.5)))
    if category == "hoodie":
        zipped = "zip" if rng.uniform() < 0.35 else "none"
        pattern = garment.pattern if garment.pattern in ("plain", "melange", "blocks", "gradient") else "melange"
        return replace(
            garment, neckline="hood", sleeve="long", rib=True, pocket=True, pattern=pattern, closure=zipped,
            motif=motif if zipped == "none" else "none", ease=float(rng.uniform(0.5, 1)), fabric="knit",
        )  # fmt: skip
    if category == "jacket":
        pattern = garment.pattern if garment.pattern in ("plain", "melange", "check", "blocks") else "plain"
        closure = str(rng.choice(("zip", "buttons")))
        fabric = str(rng.choice(("denim", "woven")))
        return replace(
            garment, neckline="collar", sleeve="long", closure=closure, pattern=pattern, fabric=fabric, pocket=True,
            ease=float(rng.uniform(0.5, 1)),
        )  # fmt: skip
    neck = str(rng.choice(("v", "scoop", "boat"), p=(0.4, 0.4, 0.2)))
    sleeve = str(rng.choice(("short", "elbow", "long"), p=(0.3, 0.3, 0.4)))
    pattern = str(rng.choice(("plain", "dots", "floral", "vstripes", "gradient"), p=(0.25, 0.3, 0.25, 0.1, 0.1)))
    return replace(
        garment, neckline=neck, sleeve=sleeve, pattern=pattern, fabric="satin", flare=float(rng.uniform(0.2, 0.7))
    )


def sample_dress(rng: Generator) -> Garment:
    """Draw a dress (people wear it; it is never the garment of a pair)."""
    base = sample_garment(rng, "blouse")
    sleeve = str(rng.choice(("none", "short", "elbow", "long"), p=(0.2, 0.4, 0.2, 0.2)))
    return replace(
        base, category="dress", sleeve=sleeve, length=float(rng.uniform(0.50, 0.68)),
        flare=float(rng.uniform(0.2, 0.9)), ease=float(rng.uniform(0.0, 0.4)), fabric="woven",
    )  # fmt: skip


def sample_lower(rng: Generator, curves: float = 0.5) -> Garment:
    """Draw trousers, jeans, shorts or a skirt; ``length`` counts from the waist."""
    odds = np.array([0.33, 0.37, 0.14, 0.01 + 0.30 * curves])
    category = str(rng.choice(LOWER_CATEGORIES, p=odds / odds.sum()))
    colour = _colour(rng)
    if category == "jeans":
        shade = rng.uniform(0.25, 1.0)
        colour = (float(0.10 + 0.30 * shade), float(0.14 + 0.38 * shade), float(0.24 + 0.46 * shade))
        if rng.uniform() < 0.25:
            colour = (0.13, 0.13, 0.14)
    elif rng.uniform() < 0.6:
        colour = _colour(rng, light=False)
    length = {"trousers": 0.575, "jeans": 0.57, "shorts": rng.uniform(0.23, 0.34), "skirt": rng.uniform(0.25, 0.45)}
    plain = rng.uniform() < (0.85 if category != "skirt" else 0.5)
    pattern = "plain" if plain or category == "jeans" else str(rng.choice(("check", "vstripes", "floral", "dots")))
    return Garment(
        category=category, sleeve="none", neckline="crew", length=float(length[category]),
        ease=float(rng.uniform(0.05, 0.9)), flare=float(rng.uniform(0, 1)), colour=colour, accent=_colour(rng),
        third=_colour(rng), pattern=pattern, scale=float(rng.uniform(0.7, 1.2)),
        fabric="denim" if category == "jeans" else "woven", seed=int(rng.integers(1 << 31)),
    )  # fmt: skip
