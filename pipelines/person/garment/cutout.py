"""Product photo in, alpha of the garment out.

Two ways, chosen by the rim of the picture. Plain backgrounds (white, grey, graded): a smooth model of the background is
fitted to the rim, and the background is what can be reached from the rim without crossing an edge or a change of
colour; soft shadows count as background, hard edges do not, so that a white shirt on white paper stays whole. Anything
else: GrabCut, started from colour clusters of the rim, with background-coloured gaps beside the body opened again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.errors import InputError
from pipelines.core.types import Finding, Image, Mask

PLAIN_SIZE, CLUTTER_SIZE = 400, 200  # longest side that each way works on
RIM = 0.03  # share of the shorter side that is taken as background
LEAST, MOST = 0.012, 0.93  # share of the picture that a garment may cover
GOOD = 0.6  # below this quality the cut-out is called doubtful
Float = NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Cutout:
    """A garment cut out of its photo.

    Attributes:
        alpha: (H, W) uint8, 0 background .. 255 garment.
        quality: 0..1; how much the outline looks like one whole garment before a background unlike it.
        plain: Whether the background was plain.
        findings: ``garment.cluttered``, ``garment.touches-border`` warnings.
    """

    alpha: Mask
    quality: float
    plain: bool
    findings: list[Finding]


def cut_out(image: Image) -> Cutout:
    """Cut the largest garment-like thing out of a product photo.

    Args:
        image: (H, W, 3) uint8 RGB.

    Raises:
        InputError: ``garment.none-found`` if nothing stands out from the background.
    """
    height, width = image.shape[:2]
    if min(height, width) < 24:
        raise _none_found(f"{width}x{height} pixels")
    small, lab = _working(image, PLAIN_SIZE)
    background, noise, share = _background(_smooth(lab))
    plain = share > 0.72 and noise < 3.0
    mask = _plain(lab, background, noise) if plain else None
    if mask is not None and not LEAST < mask.mean() < MOST:
        if mask.mean() <= LEAST and share > 0.97:
            raise _none_found("an even picture")
        mask = None  # the rim was even, the rest is not what it promised
    if mask is None:
        plain = False
        small, lab = _working(image, CLUTTER_SIZE)
        mask = _cluttered(lab)
        if mask is None or not LEAST < mask.mean() < MOST:
            raise _none_found("no region that differs from the rim")
    quality, touching = _quality(mask, lab, plain)
    alpha = _matte(image, small, mask)
    findings = []
    if not plain and quality < GOOD:
        findings.append(
            Finding(
                "garment.cluttered",
                "warning",
                f"The garment does not stand out well from its background (quality {quality:.2f})",
                "Use a photo on a plain background, or give the garment as a PNG with transparency",
            )
        )
    if touching > 0.05:
        findings.append(touches_border(touching))
    return Cutout(alpha, quality, plain, findings)


def from_alpha(alpha: Mask) -> Cutout:
    """Take a picture's own transparency as the cut-out.

    Raises:
        InputError: ``garment.none-found`` if it is (nearly) empty.
    """
    share = float((alpha > 127).mean())
    if share < LEAST / 4:
        raise _none_found(f"transparency covers {share:.1%}")
    mask = (alpha > 127).astype(np.uint8)
    touching = _touching(mask)
    return Cutout(alpha, 1.0, True, [touches_border(touching)] if touching > 0.05 else [])


def touches_border(share: float) -> Finding:
    """The warning for a garment that the picture cuts off."""
    return Finding(
        "garment.touches-border",
        "warning",
        f"The garment touches {share:.0%} of the picture's border and may be cut off",
        "Use a photo that shows the whole garment",
    )


def _none_found(seen: str) -> InputError:
    return InputError(
        "garment.none-found",
        "No garment was found in this picture",
        seen=seen,
        remedy="Use a photo of one garment, laid flat or on a hanger, before a plain background",
    )


def _working(image: Image, longest: int) -> tuple[Image, Float]:
    """Shrunk picture and its Lab values: L in 0..100, a and b centred on 0."""
    factor = longest / max(image.shape[:2])
    small = image
    if factor < 1:
        size = (max(8, round(image.shape[1] * factor)), max(8, round(image.shape[0] * factor)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    lab = cv2.cvtColor(small.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return small, np.asarray(lab, np.float32)


def _smooth(lab: Float) -> Float:
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), 1.0), np.float32)


def _rim(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rim = np.zeros(shape[:2], bool)
    thick = max(2, int(RIM * min(shape[:2])))
    rim[:thick], rim[-thick:], rim[:, :thick], rim[:, -thick:] = True, True, True, True
    return rim


def _background(lab: Float) -> tuple[Float, float, float]:
    """A quadratic surface through the rim's colours.

    Returns:
        Lab of the background everywhere, the deviation of the rim from it, and the share of the rim that follows it, or
        of the second worst of its four sides if that is less (a garment may be cut off at one side).
    """
    height, width = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1).astype(np.float32)
    rim = _rim(lab.shape)
    a, b = terms[rim], lab[rim]
    kept = np.linalg.norm(b - np.median(b, 0), axis=1) < 25
    surface = np.zeros((6, 3), np.float32)
    distance = np.full(len(b), 1e3, np.float32)
    for limit in (12.0, 8.0, 6.0):
        if kept.sum() < 30:
            break
        surface = np.linalg.lstsq(a[kept], b[kept], rcond=None)[0].astype(np.float32)
        distance = np.linalg.norm(b - a @ surface, axis=1)
        kept = distance < limit
    noise = float(np.sqrt((distance[kept] ** 2).mean())) if kept.any() else 99.0
    follows = np.zeros(lab.shape[:2], bool)
    follows[rim] = kept
    thick = max(2, int(RIM * min(height, width)))
    sides = (follows[:thick], follows[-thick:], follows[:, :thick], follows[:, -thick:])
    return terms @ surface, noise, min(float(kept.mean()), sorted(float(side.mean()) for side in sides)[1])


def _plain(lab: Float, background: Float, noise: float) -> NDArray[np.uint8]:
    """Foreground (h, w) of 0 and 1 before an even background."""
    smooth = _smooth(lab)
    difference = smooth - background
    distance = np.linalg.norm(difference, axis=2)
    chroma = np.linalg.norm(difference[..., 1:], axis=2)
    slope = _slope(smooth)
    rim = _rim(lab.shape)
    quiet = rim & (distance < 8)
    ripple = float(np.percentile(slope[quiet], 90)) if quiet.any() else 0.3
    edge = max(0.85, 2.2 * ripple)
    tolerance = max(2.2, 2.5 * noise)
    # A shadow darkens softly and keeps the hue; cloth begins with a step. On a coloured ground the hue alone will do.
    shadow = (chroma < max(3.0, 2 * noise)) & (difference[..., 0] < 0) & (difference[..., 0] > -26) & (slope < edge)
    shadow |= _darker_ground(smooth, background)
    even = (distance < tolerance) & (slope < 1.6 * edge)
    passable = even | shadow
    inside = _enclosed(~passable)
    inside &= _trusted(~inside, (distance > max(2.5 * tolerance, 8)) & ~shadow)
    generous = _enclosed(~even)
    if _solid(inside) < 0.55 * _solid(generous):
        inside = generous  # pale cloth was taken for shadow
    outside = ~inside
    mask = (~outside).astype(np.uint8)
    # The edge itself is two pixels wide at this blur: take back the outer half where it is only edge, not cloth.
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(1))
    trimmed = mask & ~((cv2.erode(mask, _disc(1)) == 0) & (distance < max(tolerance, 6))).astype(np.uint8)
    mask = _tidy(trimmed, distance)
    if not mask.any():
        return mask
    darker = _hard_shadow(mask, difference, chroma)
    contrasting = float(np.median(distance[mask > 0])) > 12
    mask = _without_shadow(mask, darker | passable) if contrasting else _inside_valley(mask, difference[..., 0])
    if contrasting:
        mask = _reopen(mask, (passable & (distance < 2 * tolerance)) | darker)
    return mask


def _enclosed(barrier: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What cannot be reached from the rim without crossing the barrier, small gaps in it closed as far as needed."""
    tries: list[tuple[float, NDArray[np.bool_]]] = []
    for radius in (0, 2, 4, 7):
        wide = cv2.dilate(barrier.astype(np.uint8), _disc(radius)) > 0 if radius else barrier
        inside = (~_connected_to_rim(~wide)).astype(np.uint8)
        if radius:
            inside = cv2.erode(inside, _disc(radius))
        solid = cv2.morphologyEx(inside, cv2.MORPH_OPEN, _disc(6))
        tries.append((float(solid.sum()), inside > 0))
        if not radius and solid.sum() > 0.9 * barrier.sum() > LEAST * barrier.size and barrier[solid > 0].mean() > 0.7:
            return inside > 0  # unlike the ground all over: no outline is needed
    # A broken outline leaves strips that vanish under the opening; a closed one leaves a garment.
    most = max(area for area, _ in tries)
    return next(inside for area, inside in tries if area >= 0.8 * most)


def _solid(mask: NDArray[np.bool_]) -> int:
    """Pixels that are left when strips and crumbs are opened away."""
    return int(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(6)).sum())


def _hard_shadow(mask: NDArray[np.uint8], difference: Float, chroma: Float) -> NDArray[np.bool_]:
    """Darkened ground of the ground's own hue, where the garment differs enough from that to tell the two apart."""
    core = cv2.erode(mask, _disc(max(2, round(0.02 * max(mask.shape))))) > 0
    own = np.median(difference[core if core.any() else mask > 0], 0)
    hue = float(np.linalg.norm(own[1:]))
    if hue > 9 or own[0] > 8:
        deepest = 60.0
    elif own[0] < -40:
        deepest = 0.55 * abs(float(own[0]))
    else:
        return np.zeros(mask.shape, bool)
    drop = -difference[..., 0]
    return (chroma < max(3.5, 0.3 * hue)) & (drop > 1) & (drop < deepest)


def _without_shadow(mask: NDArray[np.uint8], ground: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Take away ``ground`` that hangs on the outside of the mask; stripes that would fray the outline stay."""
    size = max(cv2.boundingRect(mask)[2:])
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    gone = _connected_to_rim((mask == 0) | (ground & (depth < 0.09 * size))) & (mask > 0)
    left = _tidy(mask & ~gone.astype(np.uint8))
    if left.sum() < 0.55 * mask.sum() or _ragged(left) > 1.3 * _ragged(mask) + 5:
        return mask
    return left


def _inside_valley(mask: NDArray[np.uint8], lightness: Float) -> NDArray[np.uint8]:
    """Pale cloth on a pale ground: its shadow is darker than both, so it and what lies beyond it are not cloth."""
    core = cv2.erode(mask, _disc(max(2, round(0.02 * max(mask.shape))))) > 0
    own = float(np.median(lightness[core if core.any() else mask > 0]))
    spread = float(np.median(np.abs(lightness[core] - own))) if core.any() else 1.0
    size = max(cv2.boundingRect(mask)[2:])
    near_edge = cv2.distanceTransform(mask, cv2.DIST_L2, 5) < 0.06 * size
    left = mask & ~((lightness < own - 2 - 2 * spread) & near_edge).astype(np.uint8)
    left = cv2.morphologyEx(left, cv2.MORPH_OPEN, _disc(4))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(left)
    if count < 2:
        return mask
    left = _tidy((parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8))
    if left.sum() < 0.7 * mask.sum() or _ragged(left) > 1.3 * _ragged(mask) + 5:
        return mask
    return left


def _ragged(mask: NDArray[np.uint8]) -> float:
    """Square of the outline's length over the area; 13 for a disc."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    return cv2.arcLength(cv2.approxPolyDP(largest, 1.0, True), True) ** 2 / (cv2.contourArea(largest) + 1e-6)


def _trusted(outside: NDArray[np.bool_], unlike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a garment may be: near the pixels ``unlike`` the ground, if these make up most of what was fenced in.

    Lines in the ground (tiles, creases) fence in pieces of it. A white shirt on white is fenced in by its own edge and
    is mostly like the ground, apart from a print; there everything is kept.
    """
    core = cv2.morphologyEx((unlike & ~outside).astype(np.uint8), cv2.MORPH_OPEN, _disc(3))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(core)
    if count < 2:
        return np.ones(outside.shape, bool)
    largest = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    contours, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(largest, contours, -1, 1, -1)
    _, fenced = cv2.connectedComponents((~outside).astype(np.uint8))
    own = fenced == np.bincount(fenced[largest > 0]).argmax()
    if largest.sum() < 0.6 * own.sum():
        return np.ones(outside.shape, bool)
    return cv2.dilate(core, _disc(4)) > 0


def _darker_ground(lab: Float, background: Float) -> NDArray[np.bool_]:
    """Pixels that are a coloured background, darkened: the same proportions of red, green and blue."""
    ground = float(np.linalg.norm(np.median(background.reshape(-1, 3), 0)[1:]))
    if ground < 12:
        return np.zeros(lab.shape[:2], bool)
    here, there = (np.maximum(cv2.cvtColor(x, cv2.COLOR_LAB2RGB), 1e-3) ** 2.2 for x in (lab, background))
    ratio = here / there
    level = ratio.mean(2)
    spread = np.abs(np.log(ratio / level[..., None])).max(2)
    return (level > 0.12) & (level < 1.1) & (spread < 0.16)


def _slope(lab: Float) -> Float:
    """Length of the colour gradient per pixel."""
    across = cv2.Sobel(lab, cv2.CV_32F, 1, 0, ksize=3) / 8
    down = cv2.Sobel(lab, cv2.CV_32F, 0, 1, ksize=3) / 8
    return np.sqrt((across**2 + down**2).sum(2))


def _connected_to_rim(passable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(passable.astype(np.uint8), 1, constant_values=1)
    _, parts = cv2.connectedComponents(padded, connectivity=4)
    return (parts == parts[0, 0])[1:-1, 1:-1]


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), np.uint8)


def _tidy(mask: NDArray[np.uint8], weight: Float | None = None) -> NDArray[np.uint8]:
    """Drop hanger hooks and crumbs, keep the largest part and what is nearly as large, close its holes."""
    mask = mask.astype(np.uint8)
    radius = max(1, round(0.007 * max(mask.shape)))
    opened = cv2.morphologyEx(np.pad(mask, radius + 1), cv2.MORPH_OPEN, _disc(radius))
    mask = np.asarray(opened, np.uint8)[radius + 1 : -radius - 1, radius + 1 : -radius - 1]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return mask
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    area[0] = 0
    if weight is not None:  # a soft remainder of shadow is larger than it is important
        area *= np.bincount(parts.ravel(), weight.ravel(), count) / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    keep = np.flatnonzero(area >= 0.12 * area.max())
    mask = np.isin(parts, keep).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, contours, -1, 1, -1)
    return mask


def _reopen(mask: NDArray[np.uint8], like_background: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Open gaps between sleeve and body again; a white print in the middle of the chest stays."""
    x, _, w, _ = cv2.boundingRect(mask)
    size = mask.sum()
    found = (like_background & (cv2.erode(mask, _disc(1)) > 0)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, _disc(1))
    count, parts, stats, centres = cv2.connectedComponentsWithStats(found)
    out = mask.copy()
    for part in range(1, count):
        area, tall, wide = (
            stats[part, cv2.CC_STAT_AREA],
            stats[part, cv2.CC_STAT_HEIGHT],
            stats[part, cv2.CC_STAT_WIDTH],
        )
        aside = abs(centres[part][0] - (x + w / 2)) > 0.2 * w
        if 0.003 * size < area < 0.2 * size and aside and tall > 0.45 * wide:
            out[cv2.dilate((parts == part).astype(np.uint8), _disc(1)) > 0] = 0
    return out


def _cluttered(lab: Float) -> NDArray[np.uint8] | None:
    """GrabCut started from an ellipse and from colours that the rim does not have."""
    height, width = lab.shape[:2]
    eight = np.clip(lab * [2.55, 1, 1] + [0, 128, 128], 0, 255).astype(np.uint8)
    eight = cv2.bilateralFilter(eight, 5, 30, 5)
    y, x = np.mgrid[:height, :width]
    radius = ((x - width / 2) / (width / 2)) ** 2 + ((y - height / 2) / (height / 2)) ** 2
    hint = np.where(radius < 0.55, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    rim = _rim(lab.shape)
    hint[rim] = cv2.GC_BGD
    colours = eight.astype(np.float32)
    centres = _clusters(colours[rim], 5)
    near = np.min(np.linalg.norm(colours[:, :, None] - centres, axis=-1), -1)
    hint[(near < 8) & (hint == cv2.GC_PR_FGD)] = cv2.GC_PR_BGD
    hint[(near > 30) & (hint == cv2.GC_PR_BGD) & (radius < 0.9)] = cv2.GC_PR_FGD
    if not (hint == cv2.GC_PR_FGD).any():
        return None
    cv2.setRNGSeed(0)
    cv2.grabCut(eight, hint, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    mask = np.isin(hint, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    mask = cv2.medianBlur(_tidy(mask) * 255, 5) // 255
    if not mask.any():
        return None
    return _reopen_cluttered(colours, mask)


def _clusters(colours: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """k-means centres, (count, 3), the same ones every time."""
    cv2.setRNGSeed(0)
    few = np.ascontiguousarray(colours[:: max(1, len(colours) // 1500)].reshape(-1, 3), np.float32)
    count = min(count, len(few))
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 15, 1.0)
    return cv2.kmeans(few, count, None, criteria, 2, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]


def _reopen_cluttered(colours: Float, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Open what looks like the surroundings and unlike the garment."""
    wide, thin = cv2.dilate(mask, _disc(10)), cv2.dilate(mask, _disc(2))
    ring, core = (wide > 0) & (thin == 0), cv2.erode(mask, _disc(2)) > 0
    if ring.sum() < 60 or core.sum() < 60:
        return mask
    around = _clusters(colours[ring], 4)
    own = _clusters(colours[core], 6)
    own = own[np.array([np.linalg.norm(around - c, axis=1).min() > 18 for c in own])]
    if not len(own):
        return mask
    to_around = np.min(np.linalg.norm(colours[:, :, None] - around, axis=-1), -1)
    to_own = np.min(np.linalg.norm(colours[:, :, None] - own, axis=-1), -1)
    out = _reopen(mask, (to_around < 16) & (to_around < 0.6 * to_own))
    return out if out.sum() > 0.88 * mask.sum() else mask


def _touching(mask: NDArray[np.uint8]) -> float:
    """Share of the picture's border that the garment covers."""
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def _quality(mask: NDArray[np.uint8], lab: Float, plain: bool) -> tuple[float, float]:
    """Quality in [0, 1] and the share of the border that is touched."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    area = cv2.contourArea(largest) + 1e-6
    solid = area / (cv2.contourArea(cv2.convexHull(largest)) + 1e-6)
    x, y, w, h = cv2.boundingRect(mask)
    box = mask[y : y + h, x : x + w]
    symmetry = float((box & box[:, ::-1]).sum() / max(1, (box | box[:, ::-1]).sum()))
    touching = _touching(mask)
    inner = (mask > 0) & (cv2.erode(mask, _disc(4)) == 0)
    outer = (cv2.dilate(mask, _disc(5)) > 0) & (cv2.dilate(mask, _disc(1)) == 0)
    contrast = 1.0
    if not plain and inner.any() and outer.any():
        means = [
            cv2.blur(lab * m[..., None], (15, 15)) / (cv2.blur(m, (15, 15))[..., None] + 1e-3)
            for m in (inner.astype(np.float32), outer.astype(np.float32))
        ]
        edge = (cv2.dilate(mask, _disc(1)) > 0) & (mask == 0)
        step = np.linalg.norm(means[0] - means[1], axis=2)[edge]
        contrast = float(np.clip((step > 7).mean() / 0.85, 0, 1)) if len(step) else 0.0
    shape = min(1.0, solid / 0.62) * min(1.0, 95 / _ragged(mask))
    quality = shape * min(1.0, symmetry / 0.8) * contrast * float(np.clip(1.3 - 4 * touching, 0, 1))
    return float(np.clip(quality, 0, 1)), touching


def _matte(image: Image, small: Image, mask: NDArray[np.uint8]) -> Mask:
    """Alpha at the picture's size: in a thin band along the outline, how far a colour lies from outside to inside."""
    height, width = image.shape[:2]
    soft = cv2.resize(
        cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8), (width, height), interpolation=cv2.INTER_LINEAR
    )
    # The blur rounds corners; this steepens the ramp again and keeps the line where it was.
    alpha = np.clip((soft - 0.5) * 2.2 + 0.5, 0, 1)
    band = (cv2.dilate(mask, _disc(2)) > 0) & (cv2.erode(mask, _disc(2)) == 0)
    wide = cv2.resize(band.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    y, x = np.nonzero(wide)
    if not len(y):
        return (alpha * 255 + 0.5).astype(np.uint8)
    inside = _spread(small, np.asarray(cv2.erode(mask, _disc(2)), np.uint8))
    outside = _spread(small, (cv2.dilate(mask, _disc(3)) == 0).astype(np.uint8))
    sx = np.minimum((x * small.shape[1]) // width, small.shape[1] - 1)
    sy = np.minimum((y * small.shape[0]) // height, small.shape[0] - 1)
    fore, back, here = inside[sy, sx], outside[sy, sx], image[y, x].astype(np.float32)
    way = fore - back
    length = (way**2).sum(1)
    share = np.clip(((here - back) * way).sum(1) / np.maximum(length, 1), 0, 1)
    share = np.clip((share - 0.15) / 0.7, 0, 1)
    # Where inside and outside look alike the colours say nothing, and the drawn outline stands.
    trust = np.clip((np.sqrt(length) - 25) / 50, 0, 1) * 0.85
    alpha[y, x] = alpha[y, x] * (1 - trust) + share * trust
    return (alpha * 255 + 0.5).astype(np.uint8)


def _spread(small: Image, known: NDArray[np.uint8]) -> Float:
    """The blurred mean of the known colours, carried to everywhere near."""
    weight = known.astype(np.float32)
    total = small.astype(np.float32) * weight[..., None]
    out, filled = np.zeros_like(total), np.zeros(weight.shape, np.float32)
    for size in (7, 15, 41):
        w = cv2.blur(weight, (size, size))
        take = np.clip(w / 0.05, 0, 1) * (1 - filled)
        out += cv2.blur(total, (size, size)) / (w + 1e-4)[..., None] * take[..., None]
        filled += take
    mean = total.sum((0, 1)) / max(1.0, float(weight.sum()))
    return out + (1 - filled)[..., None] * mean


def bleed(image: Image, alpha: Mask, share: float = 0.006) -> Image:
    """Repaint a garment's rim and surroundings from inside, so that no background colour fringes it.

    Args:
        image: (H, W, 3) uint8.
        alpha: (H, W) uint8.
        share: Width of the rim over the garment's longer side.
    """
    mask = (alpha > 127).astype(np.uint8)
    _, _, w, h = cv2.boundingRect(mask)
    if not w:
        return image.copy()
    width = max(1, round(share * max(w, h)))
    core = cv2.erode(mask, _disc(width)) > 0
    return nearest_fill(image, core if core.any() else mask > 0)


def nearest_fill(image: NDArray[Value], known: NDArray[np.bool_]) -> NDArray[Value]:
    """Give every pixel that is not ``known`` the colour of the nearest one that is."""
    if known.all() or not known.any():
        return image.copy()
    _, index = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(index, np.int32)
    colours = np.zeros((int(nearest.max()) + 1, 3), image.dtype)
    colours[nearest[known]] = image[known]
    return colours[nearest]
