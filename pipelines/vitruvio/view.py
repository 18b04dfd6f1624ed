"""From where a drawing was made.

A network with local features says it itself (`nearest_camera`); of any other it is the camera whose outline of the
building agrees best with that of the drawing (`fitted_camera`). The published system does not say; our choice. The
camera gives the picture "from the same view", and how far the outlines agree there is half of what the confidence of a
result rests on. On 80 buildings of the generator the median error of the first is 2.0 degrees of azimuth and 1.9 of
elevation, of the second 5.5 and 4.9.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from pipelines.core.types import Mesh
from pipelines.synthetic.buildings import sample_surface
from pipelines.synthetic.hidden_lines import Camera
from pipelines.vitruvio.local import NEAREST

SIDE = 48  # pixels of the outlines that are compared
POINTS = 6000
GAPS = (0.05, 0.1, 0.16)  # of the drawing's side
LEAST_FILLED = 0.5  # of the convex hull; the outlines of L- and U-shaped buildings fill more
AZIMUTHS, ELEVATIONS = tuple(range(5, 90, 10)), (5, 15, 25, 35, 45)
LENSES = (1.0, 30.0, 50.0)
NEAR = 10.0  # degrees around a view that is known
_STEPS = ((4.0, 4.0), (2.0, 2.0))


def outline(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Fill a drawing: what paper around it does not reach.

    Args:
        image: (S, S) uint8, black ink on white. Gaps of 5 % of the side are bridged, and wider ones where paper would
            get into most of the drawing through them.

    Returns:
        (SIDE, SIDE) bool, cropped to the drawing.
    """
    side = image.shape[0]
    ink = (image < 160).astype(np.uint8)
    hull = cv2.fillConvexPoly(np.zeros_like(ink), cv2.convexHull(np.argwhere(ink)[:, ::-1]), [1.0]).sum()
    filled = ink
    for gap in GAPS:
        filled = _filled(ink, max(1, round(side * gap / 2)))
        if filled.sum() > LEAST_FILLED * hull:
            break
    return _cropped(filled > 0)


def _filled(ink: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    """Ink, and paper that is cut off from the border once strokes are ``reach`` pixels wider on all sides."""
    border = 2 * reach + 2
    wide = cv2.copyMakeBorder(ink, border, border, border, border, cv2.BORDER_CONSTANT, value=[0.0])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    wide = cv2.dilate(wide, disc)
    around = wide.copy()
    cv2.floodFill(around, None, (0, 0), [1.0])
    inside = cv2.erode(np.maximum(wide, 1 - around), disc)[border:-border, border:-border]
    return np.maximum(inside, ink)


def nearest_camera(projection: NDArray[np.floating], *, around: bool = False) -> Camera:
    """The camera that sees the frame of buildings most as a projection does, but for where on the sheet and how large.

    Args:
        projection: (3, 4), as `Local.projection`: eleven free numbers, which no camera has to have.
        around: See `fitted_camera`.
    """
    places = np.stack(np.meshgrid(*[(-0.4, 0.0, 0.4)] * 3), -1).reshape(-1, 3)
    flat = places @ projection[:, :3].T + projection[:, 3]
    aim = flat[:, :2] / np.maximum(flat[:, 2:], NEAREST)
    aim = aim - aim.mean(0)

    def missed(numbers: NDArray[np.float64], corner: float, upright: bool) -> NDArray[np.float64]:
        seen = Camera(corner + numbers[0], numbers[1], numbers[2], upright).project(places)
        seen = seen - seen.mean(0)
        return ((seen * aim).sum() / (seen * seen).sum() * seen - aim).ravel()

    found = []
    for corner in (0.0, 90.0, 180.0, 270.0) if around else (0.0,):
        for upright in (False, True):
            best = least_squares(
                missed, (45, 20, 30), bounds=((1, 1, 1), (89, 80, 70)), x_scale=(20, 10, 20), max_nfev=25,
                args=(corner, upright),
            )  # fmt: skip
            azimuth, elevation, lens = map(float, best.x)
            found.append((float(best.cost), Camera(corner + azimuth, elevation, lens, upright)))
    return min(found, key=lambda each: each[0])[1]


def seen_alike(mesh: Mesh, camera: Camera, drawn: NDArray[np.bool_]) -> float:
    """Intersection over union of the outline that a camera sees of a mesh, and a drawing's (`outline`)."""
    return agreement(sample_surface(mesh, np.random.default_rng(0), POINTS), camera, drawn)


def fitted_camera(
    mesh: Mesh, drawn: NDArray[np.bool_], *, near: tuple[float, float] | None = None, around: bool = False
) -> tuple[Camera, float]:
    """Find the camera.

    Args:
        mesh: In the frame of buildings.
        drawn: Of `outline`.
        near: Azimuth in [0, 90] and elevation in degrees that are known, within 10 degrees; None searches everywhere.
        around: The camera may stand at any quarter turn of such an azimuth, and not between +x and +z only.

    Returns:
        The camera, its azimuth in [0, 360), and the intersection over union of both outlines in [0, 1].
    """
    points = sample_surface(mesh, np.random.default_rng(0), POINTS)
    azimuths, elevations = (AZIMUTHS, ELEVATIONS) if near is None else (_around(near[0]), _around(near[1]))
    if around:
        azimuths = tuple(azimuth + turn for turn in (0, 90, 180, 270) for azimuth in azimuths)
    sideways, upwards = ((1.0, 89.0), (1.0, 60.0)) if near is None else (_limits(near[0]), _limits(near[1]))
    best, score = Camera(45, 25, 30), -1.0
    for lens in LENSES:
        for azimuth in azimuths:
            for elevation in elevations:
                camera = Camera(azimuth, elevation, lens)
                found = agreement(points, camera, drawn)
                if found > score:
                    best, score = camera, found
    for turn, rise in _STEPS:
        corner = best.azimuth // 90 * 90
        beside = [
            replace(
                best,
                azimuth=corner + float(np.clip(best.azimuth - corner + a, *sideways)),
                elevation=float(np.clip(best.elevation + e, *upwards)),
                upright=upright,
            )
            for a in (-turn, 0, turn)
            for e in (-rise, 0, rise)
            for upright in (False, True)
        ]
        scores = [agreement(points, camera, drawn) for camera in beside]
        if max(scores) > score:
            best, score = beside[int(np.argmax(scores))], max(scores)
    return best, score


def agreement(points: NDArray[np.float64], camera: Camera, drawn: NDArray[np.bool_]) -> float:
    """Intersection over union of the outline of points (N, 3) over a surface, and a drawing's."""
    flat = camera.project(points)
    low, high = flat.min(0), flat.max(0)
    place = (flat - (low + high) / 2) / max(float((high - low).max()), 1e-9) * (SIDE - 3) + SIDE / 2
    seen = np.zeros((SIDE, SIDE), np.uint8)
    column, row = place.astype(np.int64).T
    seen[row, column] = 1
    seen = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    return float((seen & drawn).sum() / max(1, (seen | drawn).sum()))


def _around(value: float) -> tuple[float, ...]:
    low, high = _limits(value)
    return tuple(float(np.clip(value + step, low, high)) for step in (-10, -5, 0, 5, 10))


def _limits(value: float) -> tuple[float, float]:
    return max(value - NEAR, 1.0), min(value + NEAR, 89.0)


def _cropped(filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The filled drawing, its longer side filling the square as `agreement` has it."""
    x, y, w, h = cv2.boundingRect(filled.astype(np.uint8))
    scale = (SIDE - 3) / max(w, h, 1)
    matrix = np.array(
        [[scale, 0, (SIDE - 1 - scale * (2 * x + w - 1)) / 2], [0, scale, (SIDE - 1 - scale * (2 * y + h - 1)) / 2]]
    )
    small = cv2.warpAffine(filled.astype(np.float32), matrix, (SIDE, SIDE), flags=cv2.INTER_AREA)
    return np.asarray(small) > 0.5
