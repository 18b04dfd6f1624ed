"""What the fit needs to know of the wearer: checked joints, and the outline of what is worn now.

Joints of a small pose network are noisy, and one wild elbow puts a sleeve on a face. So every joint is held against the
parsing and replaced by a rule where the two cannot both be true. Everything happens on a small crop around the worn
garment, and lengths are counted in shoulder widths, so that the size of the photograph does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Labels, Pose
from pipelines.person.garment.arms import figure, find_arm
from pipelines.person.garment.warp import smooth_line
from pipelines.person.parsing.network import BAG, DRESS, HAIR, HEADWEAR, LOWER, SKIN, UPPER

WORKING = 180  # the worn garment's longer side on the working crop, in pixels
TORSO_LENGTH = 1.8  # shoulder line to hip joints, in shoulder widths
NOSE_RISE = 0.5  # shoulder line to nose
SHOULDER_INSET = 0.14  # a shoulder joint lies this share of the silhouette's width inside it
Vector = NDArray[np.float64]


@dataclass
class Worn:
    """The working crop: masks (h, w) bool, and how to get back to the picture (xy = working * scale + offset)."""

    labels: Labels
    garment: NDArray[np.bool_]
    head: NDArray[np.bool_]
    body: NDArray[np.bool_]
    top: float
    width: float
    middle: float
    scale: Vector
    offset: Vector

    def to_working(self, xy: NDArray[np.floating]) -> Vector:
        """Picture pixels -> working pixels."""
        return (np.asarray(xy, np.float64) + 0.5 - self.offset) / self.scale - 0.5

    def to_picture(self, xy: NDArray[np.floating]) -> Vector:
        """Working pixels -> picture pixels."""
        return (np.asarray(xy, np.float64) + 0.5) * self.scale + self.offset - 0.5

    def inside(self, mask: NDArray[np.bool_], point: Vector) -> bool:
        """Whether the pixel under ``point`` is set; points outside the crop are not."""
        x, y = round(float(point[0])), round(float(point[1]))
        return 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and bool(mask[y, x])


@dataclass
class Body:
    """Joints in working pixels; index 0 is the side on the left of the picture.

    Attributes:
        shoulders, elbows, wrists, hips: (2, 2) float64.
        unit: Distance between the shoulder joints.
        guessed: Names of joints that a rule replaced.
    """

    shoulders: Vector
    elbows: Vector
    wrists: Vector
    hips: Vector
    unit: float
    guessed: list[str] = field(default_factory=list)


def worn_garment(labels: Labels) -> Worn | None:
    """Crop and shrink the labels around the worn upper garment or dress; None if there is next to none."""
    garment = (labels == UPPER) | (labels == DRESS)
    rows, columns = np.flatnonzero(garment.any(1)), np.flatnonzero(garment.any(0))
    if garment.sum() < 60 or len(rows) < 6 or len(columns) < 6:
        return None
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    scale = max(1.0, max(tall, wide) / WORKING)
    margin = 0.6 * max(tall, wide)
    x0, y0 = max(0, int(columns[0] - margin)), max(0, int(rows[0] - margin))
    x1, y1 = min(labels.shape[1], int(columns[-1] + margin)), min(labels.shape[0], int(rows[-1] + margin))
    size = (max(8, round((x1 - x0) / scale)), max(8, round((y1 - y0) / scale)))
    small = np.asarray(cv2.resize(labels[y0:y1, x0:x1], size, interpolation=cv2.INTER_NEAREST), np.uint8)
    garment = _largest_parts((small == UPPER) | (small == DRESS))
    counts = garment.sum(1)
    top = float(np.flatnonzero(counts > 3)[0]) if (counts > 3).any() else 0.0
    # Street coats hang open and arms stick out: the median row is the torso with the arms beside it.
    width = float(np.median(counts[counts > 3])) if (counts > 3).any() else 8.0
    middle = float(np.median(np.nonzero(garment[int(top) : int(top + 1.2 * width)])[1]))
    crown = np.isin(small, (HAIR, HEADWEAR))
    if crown.sum() > 20:
        near = np.abs(np.arange(small.shape[1]) - middle) < width
        xs = np.nonzero(crown & near[None] & (np.arange(small.shape[0])[:, None] < top + 0.4 * width))[1]
        middle = float(np.median(xs)) if len(xs) > 10 else middle
    yy, xx = np.mgrid[: small.shape[0], : small.shape[1]]
    face = (small == SKIN) & (yy < top + 0.12 * width) & (np.abs(xx - middle) < 0.42 * width)
    head = face | crown
    body = np.isin(small, (SKIN, UPPER, DRESS, BAG)) & ~head
    offset = np.array([x0, y0], np.float64)
    exact = np.array([(x1 - x0) / size[0], (y1 - y0) / size[1]])
    return Worn(small, garment, head, body, top, width, middle, exact, offset)


def _largest_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Components of at least a tenth of the largest one."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 3:
        return mask
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    return np.isin(parts, np.flatnonzero(area >= 0.1 * area.max()))


def read_body(worn: Worn, pose: Pose) -> Body:
    """Joints of the pose, each checked against the parsing."""
    score = {name: float(s) for name, s in zip(pose.names, pose.score, strict=True)}

    def pair(name: str) -> Vector:
        # The person's own right is usually on the left of the picture.
        return worn.to_working(np.stack([pose.point(f"right_{name}"), pose.point(f"left_{name}")]))

    shoulders, elbows, wrists, hips = (pair(n) for n in ("shoulder", "elbow", "wrist", "hip"))
    scores = np.array(
        [[score[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist", "hip")] for side in ("right", "left")]
    )
    if shoulders[0, 0] > shoulders[1, 0]:
        shoulders, elbows, wrists, hips, scores = (x[::-1].copy() for x in (shoulders, elbows, wrists, hips, scores))
    guessed: list[str] = []
    nose = worn.to_working(pose.point("nose"))
    shoulders = _check_shoulders(worn, shoulders, hips, nose, scores[:, 0], guessed)
    unit = float(np.linalg.norm(shoulders[1] - shoulders[0]))
    body = Body(shoulders, elbows, wrists, _check_hips(worn, shoulders, hips, scores[:, 3], unit), unit, guessed)
    _check_arms(worn, body, scores)
    return body


def _check_shoulders(
    worn: Worn, shoulders: Vector, hips: Vector, nose: Vector, score: Vector, guessed: list[str]
) -> Vector:
    """Shoulders on which pose and silhouette agree.

    The pose tells the body's size three times over (shoulder width, torso length, head to shoulders), of which the
    middle one is taken; the silhouette tells how much room the cloth takes and where its middle is.
    """
    middle = shoulders.mean(0)
    sizes = (
        float(np.linalg.norm(shoulders[1] - shoulders[0])),
        float(hips[:, 1].mean() - middle[1]) / TORSO_LENGTH,
        float(middle[1] - nose[1]) / NOSE_RISE,
    )
    size = float(np.median(sizes))
    reliable = score.min() > 0.05 and 0.2 * worn.width < size < 1.6 * worn.width
    reliable = reliable and worn.top - 0.5 * size < middle[1] < worn.top + 1.1 * size
    if not reliable:
        size, middle = 0.6 * worn.width, np.array([worn.middle, worn.top + 0.15 * worn.width])
        guessed += ["left shoulder", "right shoulder"]
    band = worn.body[max(0, int(middle[1] + 0.05 * size)) : max(3, int(middle[1] + 0.5 * size))]
    seen = band.sum(0) >= max(1, 0.3 * len(band))
    columns = np.flatnonzero(seen & (np.abs(np.arange(len(seen)) - middle[0]) < 1.3 * size))
    if len(columns) < 0.5 * size:
        return middle + np.array([[-0.5 * size, 0], [0.5 * size, 0]])
    left, right = float(columns[0]), float(columns[-1])
    room = (1 - 2 * SHOULDER_INSET) * (right - left)
    unit = float(np.clip((size + room) / 2, 0.85 * size, 1.4 * size))
    centre = (left + right) / 2
    x = (middle[0] + centre) / 2 if abs(middle[0] - centre) < 0.2 * unit else centre
    expected = np.array([[x - unit / 2, 0], [x + unit / 2, 0]])
    for side in range(2):
        expected[side, 1] = _shoulder_top(worn, expected[side], unit) + 0.14 * unit
    expected[:, 1] = expected[:, 1].mean() + np.clip(expected[:, 1] - expected[:, 1].mean(), -0.05 * unit, 0.05 * unit)
    out = expected.copy()
    for side, name in enumerate(("left", "right")):
        if reliable and (np.abs(shoulders[side] - expected[side]) < (0.3 * unit, 0.3 * unit)).all():
            out[side] = (shoulders[side] + expected[side]) / 2
        elif reliable:
            guessed.append(f"{name} shoulder")
    reach = float(np.linalg.norm(out[1] - out[0]))
    out[:, 0] = out[:, 0].mean() + (out[:, 0] - out[:, 0].mean()) * unit / reach
    level = out[:, 1].mean()  # people stand upright; a steep shoulder line is a misplaced joint
    out[:, 1] = level + np.clip(out[:, 1] - level, -0.1 * unit, 0.1 * unit)
    return out


def _shoulder_top(worn: Worn, joint: Vector, unit: float) -> float:
    """Row in which the outline passes above a shoulder, in working pixels; hair on the shoulder counts as shoulder."""
    low = max(0, int(worn.top - 0.1 * unit))
    columns = slice(max(0, int(joint[0] - 0.06 * unit)), int(joint[0] + 0.06 * unit) + 1)
    either = (worn.body | worn.head)[low:, columns]
    rows = [float(np.argmax(column)) for column in either.T if column.any()]
    top = low + float(np.median(rows)) if rows else worn.top + 0.1 * unit
    return float(np.clip(top, worn.top - 0.05 * unit, worn.top + 0.4 * unit))


def _check_hips(worn: Worn, shoulders: Vector, hips: Vector, score: Vector, unit: float) -> Vector:
    """Hips below the shoulders, pulled towards the pose's where those are plausible, and onto the body's middle."""
    centre = shoulders.mean(0) + np.array([0, TORSO_LENGTH * unit])
    seen = hips.mean(0)
    drop = (seen[1] - shoulders[:, 1].mean()) / unit
    if score.min() > 0.15 and 1.35 < drop < 2.4 and abs(seen[0] - centre[0]) < 0.4 * unit:
        centre = (centre + seen) / 2
    low = int(np.clip(centre[1] - 0.06 * unit, 0, worn.labels.shape[0] - 3))
    lap = np.isin(worn.labels[low : low + max(3, int(0.12 * unit))], (UPPER, LOWER, DRESS))
    band = np.asarray(lap.any(axis=0))
    near = np.flatnonzero(band & (np.abs(np.arange(len(band)) - centre[0]) < 0.7 * unit))
    if len(near) > 3:
        centre[0] = np.clip(np.median(near), centre[0] - 0.22 * unit, centre[0] + 0.22 * unit)
    return np.stack([centre + np.array([x * unit, 0]) for x in (-0.34, 0.34)])


def _check_arms(worn: Worn, body: Body, scores: Vector) -> None:
    """Elbows and wrists that agree with the picture; the pose's own where they do."""
    seen = figure(worn.body & ~worn.head, (worn.labels == SKIN) & ~worn.head, body.shoulders, body.hips)
    for side, name in enumerate(("left", "right")):
        said = np.stack([body.elbows[side], body.wrists[side]])
        found = find_arm(seen, side, body.shoulders[side], said, scores[side, 1:3])
        for joint, there, was in zip(("elbow", "wrist"), found, said, strict=True):
            if np.linalg.norm(there - was) > 0.35 * body.unit:
                body.guessed.append(f"{name} {joint}")
        body.elbows[side], body.wrists[side] = found


def arm_line(body: Body, side: int, start: Vector, count: int = 40) -> tuple[Vector, Vector]:
    """Points along an arm from ``start`` to just beyond the wrist, (count, 2), and the length at each, (count,)."""
    elbow, wrist = body.elbows[side], body.wrists[side]
    line = smooth_line([start, elbow, wrist + (wrist - elbow) * 0.06], count)
    return line, np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]


def worn_sleeve(labels: Labels, pose: Pose) -> str:
    """Sleeve class of what is worn now, from how far down the arms cloth is found: ``none``, ``short`` or ``long``."""
    worn = worn_garment(labels)
    if worn is None:
        return "none"
    return sleeve_of(worn, read_body(worn, pose))


def sleeve_of(worn: Worn, body: Body) -> str:
    """`worn_sleeve` for a body that was read already."""
    reaches = []
    radius = max(1, int(0.07 * body.unit))
    for side in range(2):
        line, reached = arm_line(body, side, body.shoulders[side])
        shares, signs = reached[2:] / reached[-1], []
        for point in line[2:]:
            x, y = int(point[0]), int(point[1])
            patch = worn.labels[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
            cloth = float(np.isin(patch, (UPPER, DRESS)).mean()) if patch.size else 0.0
            bare = float((patch == SKIN).mean()) if patch.size else 0.0
            signs.append(float(cloth > max(0.4, bare)) - float(bare > max(0.3, cloth)))
        if np.count_nonzero(signs) < 4:
            continue
        # The cuff is where most cloth lies before and most skin behind: one stray patch does not move it.
        before = np.r_[0, np.cumsum(signs)]
        reaches.append(float(np.r_[shares[0], shares][before == before.max()].mean()))
    if not reaches:
        return "long"
    reach = float(np.mean(reaches))
    return "long" if reach > 0.58 else "short" if reach > 0.22 else "none"
