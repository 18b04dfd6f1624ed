"""From boxes to crops and from heat-maps back to keypoints, with unbiased data processing (UDP) and DARK refinement.

Sources: Huang et al., "The Devil is in the Details", CVPR 2020 (UDP); Zhang et al., "Distribution-Aware Coordinate
Representation", CVPR 2020 (DARK); constants as in ViTAE-Transformer/ViTPose c050ed2 (Apache-2.0).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core.types import Box

COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO_FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
BODY25_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
PIXEL_STD = 200.0
PADDING = 1.25
BLUR_KERNEL = 11


def box_to_centre_scale(box: Box, image_size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Widen a box to the network's aspect ratio and pad it by 1.25.

    Args:
        box: Pixels of the picture.
        image_size: (height, width) of the network's input.

    Returns:
        centre (2,) in pixels and scale (2,) = (width, height) / 200, float32.
    """
    aspect = image_size[1] / image_size[0]
    w, h = float(box.w), float(box.h)
    centre = np.array([box.x + w * 0.5, box.y + h * 0.5], np.float32)
    if w > aspect * h:
        h = w / aspect
    elif w < aspect * h:
        w = h * aspect
    return centre, np.array([w / PIXEL_STD, h / PIXEL_STD], np.float32) * np.float32(PADDING)


def udp_matrix(
    centre: NDArray[np.float32], scale: NDArray[np.float32], image_size: tuple[int, int], degrees: float = 0.0
) -> NDArray[np.float32]:
    """Affine matrix (2, 3) float32 from picture to crop in UDP coordinates: pixel centres span size - 1 units."""
    # Single precision where the published code has it: two levels of a crop's pixels hang on the last bits.
    to = np.array([image_size[1], image_size[0]]) - 1.0
    span = np.asarray(scale, np.float32) * np.float32(PIXEL_STD)
    x, y = np.asarray(centre, np.float32) * np.float32(2)
    a, b = to / span
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = np.zeros((2, 3), np.float32)
    matrix[0] = a * c, -a * s, a * (-0.5 * x * c + 0.5 * y * s + 0.5 * span[0])
    matrix[1] = b * s, b * c, b * (-0.5 * x * s - 0.5 * y * c + 0.5 * span[1])
    return matrix


def classic_matrix(
    centre: NDArray[np.float32], scale: NDArray[np.float32], image_size: tuple[int, int], degrees: float = 0.0
) -> NDArray[np.float64]:
    """Affine matrix (2, 3) float64 from picture to crop without UDP: sides of width and height pixels, one scale."""
    height, width = image_size
    half, angle = float(np.float32(scale[0]) * np.float32(PIXEL_STD)) / 2, math.radians(degrees)
    up = np.array([half * math.sin(angle), -half * math.cos(angle)])
    origin, target = np.asarray(centre, np.float64), np.array([width / 2, height / 2])
    above = np.array([0.0, -width / 2])
    source, goal = (
        np.stack([p, p + v, p + v + [v[1], -v[0]]]).astype(np.float32) for p, v in ((origin, up), (target, above))
    )
    return np.asarray(cv2.getAffineTransform(source, goal), np.float64)


def crop(picture: NDArray[np.uint8], matrix: NDArray[np.float32], image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bilinear crop with a black border, (H, W, 3) uint8 -> (height, width, 3) uint8."""
    warped = cv2.warpAffine(picture, matrix, (image_size[1], image_size[0]), flags=cv2.INTER_LINEAR)
    return np.asarray(warped, np.uint8)


def argmax_keypoints(heatmaps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Peak of each map.

    Args:
        heatmaps: (N, K, h, w) float32.

    Returns:
        xy (N, K, 2) float32 in heat-map pixels, (-1, -1) where the peak is not positive; score (N, K) float32.
    """
    n, k, _, w = heatmaps.shape
    flat = heatmaps.reshape(n, k, -1)
    index = flat.argmax(2)
    score = np.take_along_axis(flat, index[..., None], 2)[..., 0]
    xy = np.stack([index % w, index // w], -1).astype(np.float32)
    xy[score <= 0] = -1
    return xy, score.astype(np.float32)


def refine_dark(
    xy: NDArray[np.float32],
    heatmaps: NDArray[np.float32],
    kernel: int = BLUR_KERNEL,
    *,
    sigma: float = 0.0,
    border: int = cv2.BORDER_REFLECT_101,
) -> NDArray[np.float32]:
    """Move integer peaks to the maximum of a local log-Gaussian (one Newton step of DARK, UDP variant).

    Args:
        xy: (N, K, 2) float32 integer peaks.
        heatmaps: (N, K, h, w) float32; not modified.
        kernel: Size of the Gaussian blur.
        sigma: Of the blur in pixels; 0 follows OpenCV's rule, 2.0 for a kernel of 11. transformers has 0.8.
        border: OpenCV's border rule of the blur. transformers has BORDER_REFLECT.

    Returns:
        (N, K, 2) float32. A peak of (-1, -1), which stands for none, comes back as some place nobody should use.
    """
    n, k, h, w = heatmaps.shape
    maps = heatmaps.reshape(n * k, h, w)
    blurred = np.stack([cv2.GaussianBlur(m, (kernel, kernel), sigma, borderType=border) for m in maps])
    padded = np.pad(np.log(np.clip(blurred, 0.001, 50)), ((0, 0), (1, 1), (1, 1)), mode="edge")
    flat, row = padded.ravel(), w + 2
    peaks = xy.reshape(-1, 2).astype(int) + 1
    index = peaks[:, 0] + row * peaks[:, 1] + (h + 2) * row * np.arange(n * k)

    def at(dx: int, dy: int) -> NDArray[np.float64]:
        return flat[index + dx + row * dy].astype(np.float64)

    centre = at(0, 0)
    gradient = np.stack([(at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2], -1)
    dxx = at(1, 0) - 2 * centre + at(-1, 0)
    dyy = at(0, 1) - 2 * centre + at(0, -1)
    dxy = 0.5 * (at(1, 1) - at(1, 0) - at(0, 1) + 2 * centre - at(-1, 0) - at(0, -1) + at(-1, -1))
    hessian = np.stack([dxx, dxy, dxy, dyy], -1).reshape(-1, 2, 2)
    step = np.linalg.inv(hessian + np.finfo(np.float32).eps * np.eye(2)) @ gradient[..., None]
    return (xy.reshape(-1, 2) - step[..., 0]).reshape(n, k, 2).astype(np.float32)


def refine_quarter(xy: NDArray[np.float32], heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move integer peaks by a quarter of a pixel towards the higher neighbour, as heads without UDP are decoded.

    Args:
        xy: (N, K, 2) float32 integer peaks.
        heatmaps: (N, K, h, w) float32.

    Returns:
        (N, K, 2) float32; peaks within one pixel of the border stay.
    """
    n, k, h, w = heatmaps.shape
    maps, moved = heatmaps.reshape(n * k, h, w), xy.reshape(-1, 2).copy()
    x, y = moved.astype(int).T
    inner = np.flatnonzero((x > 1) & (x < w - 1) & (y > 1) & (y < h - 1))
    x, y = x[inner], y[inner]
    moved[inner, 0] += 0.25 * np.sign(maps[inner, y, x + 1] - maps[inner, y, x - 1])
    moved[inner, 1] += 0.25 * np.sign(maps[inner, y + 1, x] - maps[inner, y - 1, x])
    return moved.reshape(n, k, 2)


def to_picture(
    xy: NDArray[np.float32],
    centre: NDArray[np.float32],
    scale: NDArray[np.float32],
    heatmap_size: tuple[int, int],
    *,
    udp: bool = True,
) -> NDArray[np.float32]:
    """Map (K, 2) heat-map coordinates back to picture pixels: size - 1 units across under UDP, else size units."""
    h, w = heatmap_size
    size = np.asarray(scale, np.float32) * PIXEL_STD
    units = np.array([w, h], np.float32) - (1 if udp else 0)
    return np.asarray(xy * (size / units) + centre - size * 0.5, np.float32)


def decode_udp(
    heatmaps: NDArray[np.float32],
    centres: NDArray[np.float32],
    scales: NDArray[np.float32],
    kernel: int = BLUR_KERNEL,
    *,
    sigma: float = 0.0,
    border: int = cv2.BORDER_REFLECT_101,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heat-maps of N people to keypoints: argmax, DARK, back to the picture.

    Args:
        heatmaps: (N, K, h, w) float32.
        centres: (N, 2) float32, from `box_to_centre_scale`.
        scales: (N, 2) float32.
        kernel: See `refine_dark`, also for the two below.
        sigma: See there.
        border: See there.

    Returns:
        xy (N, K, 2) float32 in picture pixels; score (N, K) float32.
    """
    peaks, score = argmax_keypoints(heatmaps)
    refined = refine_dark(peaks, heatmaps, kernel, sigma=sigma, border=border)
    return _all_to_picture(refined, centres, scales, heatmaps, udp=True), score


def decode_classic(
    heatmaps: NDArray[np.float32], centres: NDArray[np.float32], scales: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """As `decode_udp` for heads trained without UDP: argmax, quarter pixel, back to the picture."""
    peaks, score = argmax_keypoints(heatmaps)
    return _all_to_picture(refine_quarter(peaks, heatmaps), centres, scales, heatmaps, udp=False), score


def _all_to_picture(
    xy: NDArray[np.float32],
    centres: NDArray[np.float32],
    scales: NDArray[np.float32],
    heatmaps: NDArray[np.float32],
    *,
    udp: bool,
) -> NDArray[np.float32]:
    size = (heatmaps.shape[2], heatmaps.shape[3])
    return np.stack([to_picture(p, c, s, size, udp=udp) for p, c, s in zip(xy, centres, scales, strict=True)])


def coco_to_body25(
    xy: NDArray[np.float32], score: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """COCO-17 -> OpenPose BODY_25 order; neck and mid-hip are midpoints, feet stay (0, 0) with score 0.

    Args:
        xy: (17, 2) float32.
        score: (17,) float32.

    Returns:
        (25, 2) and (25,) float32.
    """
    out_xy, out_score = np.zeros((25, 2), np.float32), np.zeros(25, np.float32)
    for target, name in enumerate(BODY25_NAMES):
        if name in COCO_NAMES:
            source = COCO_NAMES.index(name)
            out_xy[target], out_score[target] = xy[source], score[source]
    for target, (left, right) in ((1, (5, 6)), (8, (11, 12))):
        out_xy[target] = (xy[left] + xy[right]) / 2
        out_score[target] = min(score[left], score[right])
    out_xy[out_score <= 0] = 0
    return out_xy, out_score
