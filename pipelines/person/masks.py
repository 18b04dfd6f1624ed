"""Where a garment may change a person's photo, where it may not, and what is wrong with a given mask."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Finding, Labels, Mask, Pose
from pipelines.person import body as bodies
from pipelines.person import layout as lip
from pipelines.person.body import Body

CATEGORIES = ("upper", "lower", "dress")
TOPS = (lip.UPPER, lip.COAT, lip.SCARF)
BOTTOMS = (lip.PANTS, lip.SKIRT, lip.SOCKS)
# What a category replaces; the other of tops and bottoms is another garment, and stays.
WORN = {"upper": (*TOPS, lip.DRESS), "lower": (*BOTTOMS, lip.DRESS), "dress": (*TOPS, *BOTTOMS, lip.DRESS)}
ALWAYS_KEPT = (*lip.HEAD, lip.GLOVE, *lip.LIMB_SHOES, lip.BAG)
MARGIN = 0.08  # of a unit: what a parser's outline may be off by, and the old garment's shadow
LINT_SIDE = 512


def garment_mask(layout: Labels, pose: Pose, category: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find the pixels that a new garment of a category may change, without knowing the garment.

    Args:
        layout: (H, W) uint8 of `LIP_NAMES`.
        pose: The person's pose, for sleeves and waist.
        category: ``upper``, ``lower`` or ``dress``.

    Returns:
        edit (H, W) bool: the old garment and a margin around it, bare arms and neckline or bare legs (a sleeve may
        cover or uncover them), and room for a wider cut. protected (H, W) bool: hair, face, headwear, hands, shoes, bag
        and other garments. The two do not overlap; what is in neither is changed only where a garment really reaches.

    Raises:
        InputError: ``mask.category``.
    """
    _check_category(category)
    body = bodies.measure(lip.parsed(layout), pose)
    unit, waist = body.unit, body.pelvis[1]
    y = np.arange(layout.shape[0])[:, None]
    hands = lip.hands(layout, pose)
    kept = np.isin(layout, ALWAYS_KEPT) | hands

    dress = layout == lip.DRESS
    if category == "upper":  # of a dress, a top replaces what is above the hips
        old = np.isin(layout, TOPS) | (dress & (y < waist + 0.2 * unit))
    elif category == "lower":
        old = np.isin(layout, BOTTOMS) | (dress & (y > waist - 0.2 * unit))
    else:
        old = np.isin(layout, WORN["dress"])

    bare, room = np.zeros(layout.shape, bool), np.zeros(layout.shape, np.uint8)
    if category != "lower":
        bare |= (np.isin(layout, lip.ARMS) | ((layout == lip.NECK) & (y > body.chin[1] + 0.1 * unit))) & ~hands
        _draw_torso(room, body)
        for side in (0, 1):
            _draw_limb(room, body, body.arm(side)[:3], (bodies.ELBOWS[side], bodies.WRISTS[side]), 0.2)
    if category != "upper":
        bare |= np.isin(layout, lip.LEGS) & (y > waist - 0.3 * unit)
        _draw_skirt(room, body, old | bare)
    if category == "upper":
        below = np.isin(layout, BOTTOMS) | (dress & ~old)
        kept |= _below_hem(below, old, body) | np.isin(layout, lip.LEGS)
    elif category == "lower":
        kept |= np.isin(layout, (*TOPS, *lip.ARMS, lip.NECK)) | (dress & ~old)

    edit = cv2.dilate((old | bare).astype(np.uint8), _disc(MARGIN * unit)) > 0
    edit |= room > 0
    return edit & ~kept, kept


def feather(edit: NDArray[np.bool_], protected: NDArray[np.bool_], radius: float) -> Mask:
    """Soften an edit mask; the soft rim belongs to the mask, and nothing protected gets any of it.

    Args:
        edit: (H, W) bool.
        protected: (H, W) bool.
        radius: Width of the rim outside ``edit`` in pixels; towards protected pixels it is half as wide and lies
            inside, so that hair in front of the garment keeps a soft outline.

    Returns:
        (H, W) uint8: 255 inside, falling to 0 over the rim, 0 wherever ``protected``.
    """
    inside = edit & ~protected
    if not inside.any():
        return np.zeros(edit.shape, np.uint8)
    radius = max(radius, 0.5)
    beyond = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    soft = np.clip(1 - beyond / (radius + 1), 0, 1)
    if protected.any():
        near = cv2.distanceTransform((~protected).astype(np.uint8), cv2.DIST_L2, 5)
        soft = np.minimum(soft, np.clip(near / (0.5 * radius + 1), 0, 1))
    mask = np.rint(255 * soft).astype(np.uint8)
    mask[protected] = 0
    return mask


def lint(mask: Mask, layout: Labels, category: str, pose: Pose | None = None) -> list[Finding]:
    """Say what is wrong with a mask before anything is generated.

    Args:
        mask: (H, W) uint8, drawn by a person or made by `garment_mask`; 128 and more counts as marked.
        layout: (H, W) uint8 of `LIP_NAMES`.
        category: ``upper``, ``lower`` or ``dress``.
        pose: Makes the hands more certain, if there is one.

    Returns:
        Findings, worst first; empty if nothing is wrong.

    Raises:
        InputError: ``mask.size``, ``mask.type`` or ``mask.category``.
    """
    _check_category(category)
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise InputError(
            "mask.type",
            "A mask is one plane of 8-bit values",
            seen=f"{mask.dtype} {mask.shape}",
            remedy="Save it as grey PNG",
        )
    if mask.shape != layout.shape:
        raise InputError(
            "mask.size",
            "The mask must be as large as the person's photo",
            seen=f"mask {mask.shape[1]}x{mask.shape[0]}, photo {layout.shape[1]}x{layout.shape[0]}",
            remedy="Save the mask at the photo's size",
        )
    if not (mask > 127).any():
        return [
            Finding(
                "mask.empty",
                "error",
                "The mask marks no pixel",
                "Mark the garment that is to be replaced, or leave the mask to the studio",
            )
        ]
    shrink = min(1.0, LINT_SIDE / max(layout.shape))
    if shrink < 1:  # shares do not need full resolution
        size = (max(1, round(layout.shape[1] * shrink)), max(1, round(layout.shape[0] * shrink)))
        layout = cv2.resize(layout, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        pose = replace(pose, xy=pose.xy * np.float32(shrink)) if pose else None
    marked = mask > 127
    return [
        *_wrong_place(marked, layout, category),
        *_touched(marked, layout, pose),
        *_extent(marked, layout, category),
    ]


def _wrong_place(marked: NDArray[np.bool_], layout: Labels, category: str) -> list[Finding]:
    person = layout != lip.BACKGROUND
    unit = bodies.measure(lip.parsed(layout), lip.no_pose(layout.shape)).unit
    near = cv2.dilate(person.astype(np.uint8), _disc(0.35 * unit)) > 0
    off = _share(marked & ~near, marked)
    if off > 0.35 or not person.any():
        return [
            Finding(
                "mask.outside-person",
                "warning",
                f"{off:.0%} of the mask lies away from the person",
                "Check that the mask belongs to this photo, or choose another person in it",
            )
        ]
    clothes = marked & np.isin(layout, (*TOPS, *BOTTOMS, lip.DRESS, *lip.LIMB_SHOES, lip.BAG))
    right = _share(clothes & np.isin(layout, WORN[category]), clothes)
    if clothes.sum() > 0.02 * person.sum() and right < 0.5:
        names = sorted({lip.LIP_NAMES[n] for n in np.unique(layout[clothes]) if n not in WORN[category]})
        return [
            Finding(
                "mask.wrong-class",
                "warning",
                f"{1 - right:.0%} of the clothes under the mask are not {_a(category)}: {', '.join(names)}",
                "Move the mask, or choose the category that it covers",
            )
        ]
    return []


def _touched(marked: NDArray[np.bool_], layout: Labels, pose: Pose | None) -> list[Finding]:
    found = []
    parts = (
        ("face", np.isin(layout, (lip.FACE, lip.SUNGLASSES)), 0.03, "warning"),
        ("hands", lip.hands(layout, pose), 0.15 if pose else 0.35, "warning"),
        ("hair", layout == lip.HAIR, 0.12, "info"),
    )
    for name, part, limit, severity in parts:
        share = _share(marked & part, part)
        if share > limit:
            found.append(
                Finding(
                    f"mask.touches-{name}",
                    severity,
                    f"The mask covers {share:.0%} of the {name}",
                    f"Erase it there, or keep {name} protected",
                )
            )
    return found


def _extent(marked: NDArray[np.bool_], layout: Labels, category: str) -> list[Finding]:
    found = []
    person, picture = max(1, int((layout != lip.BACKGROUND).sum())), layout.size
    area = int(marked.sum())
    if area > 1.5 * person or area > 0.7 * picture:
        found.append(
            Finding(
                "mask.too-large",
                "warning",
                f"The mask is {area / person:.1f} times the person's area and {area / picture:.0%} of the picture",
                "Mark the garment and a narrow rim; everything under the mask is painted anew",
            )
        )
    old = np.isin(layout, WORN[category])
    if category != "dress" and (layout == lip.DRESS).any():
        old &= layout != lip.DRESS  # only half of a dress is replaced, so what remains of it is no leak
    if old.sum() < 0.01 * person:
        if not (layout == lip.DRESS).any():
            found.append(
                Finding(
                    "mask.nothing-worn",
                    "info",
                    f"No {_a(category)} was found on the person",
                    "The garment is laid over what is there; check the preview",
                )
            )
        return found
    left = _share(old & ~marked, old)
    if left > 0.08:
        found.append(
            Finding(
                "mask.leak",
                "warning",
                f"{left:.0%} of the old garment is not under the mask and would stay visible",
                "Extend the mask over its sleeves, collar and hem",
            )
        )
    return found


def _draw_torso(canvas: NDArray[np.uint8], body: Body) -> None:
    """Shoulders to hips, a little wider than the joints."""
    unit = body.unit
    shoulders, hips = body.joints[list(bodies.SHOULDERS)], body.joints[list(bodies.HIPS)]
    corners = np.array([shoulders[0], shoulders[1], hips[1], hips[0]])
    wider = np.array([unit * 0.16 * np.sign(c[0] - corners[:, 0].mean()) for c in corners])
    corners[:, 0] += wider
    cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], 1)


def _draw_limb(
    canvas: NDArray[np.uint8], body: Body, chain: list[bodies.Point], joints: tuple[int, ...], radius: float
) -> None:
    """Room around the bones that were really found; a guessed arm would free pixels that have nothing to do with it."""
    thick = max(1, round(2 * radius * body.unit))
    for (start, end), joint in zip(itertools.pairwise(chain), joints, strict=True):
        if not body.trusted[joint]:
            break
        points = [(round(float(p[0])), round(float(p[1]))) for p in (start, end)]
        cv2.line(canvas, points[0], points[1], 1, thick)


def _draw_skirt(canvas: NDArray[np.uint8], body: Body, worn: NDArray[np.bool_]) -> None:
    """Fill between the legs down to the knees: a skirt hangs there where trousers do not."""
    knee = int(body.joints[list(bodies.KNEES), 1].mean())
    rows, columns = np.nonzero(worn[: max(knee, 1)])
    if len(rows) > 2:
        hull = cv2.convexHull(np.stack([columns, rows], 1).astype(np.int32))
        cv2.fillConvexPoly(canvas, hull, 1)


def _below_hem(below: NDArray[np.bool_], old: NDArray[np.bool_], body: Body) -> NDArray[np.bool_]:
    """The lower garment, less a band under the top's hem that a slightly longer top may cover."""
    torso = np.abs(np.arange(old.shape[1]) - body.pelvis[0]) < 0.7 * body.unit
    _, parts, stats, _ = cv2.connectedComponentsWithStats(old.astype(np.uint8))
    if len(stats) > 1:  # a stray patch further down has no say in where the hem is
        old = parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    hem = [float(np.flatnonzero(column)[-1]) for column in old.T[torso] if column.any()]
    limit = max(np.median(hem) + 0.15 * body.unit if hem else 0.0, body.pelvis[1])
    return below & ~((np.arange(old.shape[0])[:, None] < limit) & torso[None])


def _disc(radius: float) -> NDArray[np.uint8]:
    r = max(1, round(radius))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)).astype(np.uint8)


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float(part.sum()) / max(1.0, float(whole.sum()))


def _a(category: str) -> str:
    return {"upper": "upper garment", "lower": "lower garment", "dress": "dress"}[category]


def _check_category(category: str) -> None:
    if category not in CATEGORIES:
        raise InputError(
            "mask.category", "Unknown garment category", seen=category, remedy=f"Use one of: {', '.join(CATEGORIES)}"
        )
