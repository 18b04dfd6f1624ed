"""Where each picture was taken from: told by a token of its own, one bin for each of three figures.

Source: ours; the paper reconstructs in a frame that pictures share and does not ask from where they look. Bins and not
regression: a table looks the same from two sides, a vase from all, and a mean of right answers is a wrong one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.synthetic.objects import Camera

AZIMUTHS = 36  # bins over the whole turn
ELEVATIONS, LOWEST, HIGHEST = 12, -15.0, 75.0  # bins, and degrees between which they lie
DISTANCES, NEAREST, FARTHEST = 5, 1.5, 3.5  # bins, and lengths of the object between which they lie
BINS = AZIMUTHS + ELEVATIONS + DISTANCES
_AROUND = 1  # bins to each side of the likeliest one whose mean is the answer


def bins_of(cameras: Tensor) -> Tensor:
    """(N, 3) azimuth and elevation in degrees and distance -> (N, 3) int64 bins."""
    azimuth = (cameras[:, 0] % 360) / 360 * AZIMUTHS
    elevation = (cameras[:, 1] - LOWEST) / (HIGHEST - LOWEST) * ELEVATIONS
    distance = (cameras[:, 2] - NEAREST) / (FARTHEST - NEAREST) * DISTANCES
    most = torch.tensor([AZIMUTHS, ELEVATIONS, DISTANCES], device=cameras.device) - 1
    return torch.minimum(torch.stack([azimuth, elevation, distance], 1).long().clamp(min=0), most)


def camera_loss(logits: Tensor, cameras: Tensor) -> Tensor:
    """Mean cross-entropy over the three figures and the pictures whose camera is known.

    Args:
        logits: (N, BINS).
        cameras: (N, 3), NaN where unknown.
    """
    known = cameras.isfinite().all(1)
    parts = logits.split((AZIMUTHS, ELEVATIONS, DISTANCES), 1)
    asked = bins_of(cameras.nan_to_num())
    each = [F.cross_entropy(part.float(), asked[:, number], reduction="none") for number, part in enumerate(parts)]
    return (torch.stack(each).mean(0) * known).sum() / known.sum().clamp(min=1)


def likeliest(logits: Tensor, count: int) -> list[tuple[Camera, float]]:
    """The likeliest cameras of one picture, no two of them neighbours.

    Args:
        logits: (BINS,).
        count: How many.

    Returns:
        Cameras, best first, and the logarithm of how many times as likely the first one is.
    """
    azimuths, elevations, distances = (
        part.float().softmax(0).cpu().numpy() for part in logits.split((AZIMUTHS, ELEVATIONS, DISTANCES))
    )
    elevation = _near(elevations, int(elevations.argmax()), wraps=False)
    distance = _near(distances, int(distances.argmax()), wraps=False)
    found: list[int] = []
    for at in np.argsort(-azimuths):
        if all(min((at - other) % AZIMUTHS, (other - at) % AZIMUTHS) > _AROUND + 1 for other in found):
            found.append(int(at))
        if len(found) == count:
            break
    cameras = [
        Camera(
            azimuth=(_near(azimuths, at, wraps=True) * 360 / AZIMUTHS + 180) % 360 - 180,
            elevation=LOWEST + elevation * (HIGHEST - LOWEST) / ELEVATIONS,
            distance=NEAREST + distance * (FARTHEST - NEAREST) / DISTANCES,
        )
        for at in found
    ]
    shares = np.maximum(azimuths[found], 1e-6)
    return list(zip(cameras, np.log(shares[0] / shares).tolist(), strict=True))


def _near(shares: np.ndarray, at: int, *, wraps: bool) -> float:
    """Mean place of the bins around ``at``, in bins; the middle of the first one is 0.5."""
    around = np.arange(at - _AROUND, at + _AROUND + 1)
    if not wraps:
        around = around[(around >= 0) & (around < len(shares))]
    weights = shares[around % len(shares)]
    return float((weights * (around + 0.5)).sum() / max(weights.sum(), 1e-12))
