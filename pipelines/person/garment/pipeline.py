"""Product photo in; cut-out, landmarks and sleeve class out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.core import checkpoint, runtime
from pipelines.core.errors import WeightsError
from pipelines.core.types import Finding, Image, Mask, OnStep, report
from pipelines.person.garment.cutout import Cutout, cut_out, from_alpha
from pipelines.person.garment.landmarks import (
    CI,
    CO,
    COUNT,
    EI,
    EO,
    HEM,
    NECK,
    RIGHT,
    SLEEVES,
    H,
    N,
    Points,
    S,
    W,
    mirrored,
)
from pipelines.person.garment.network import GarmentNet, GarmentNetConfig
from pipelines.person.garment.prior import PriorConfig, PriorNet, probability

CUTOUT = "cutout"  # folder of the cut-out's network, within that of the landmarks
FILLS = (0.74, 0.8, 0.86)  # how much of the network's square the garment fills, one view each
DOUBTFUL = 0.03  # mean expected error over the garment's longer side
SNAP = 0.045  # largest move onto the outline, over the garment's longer side
WITHOUT_NETWORK = Finding(
    "garment.no-cutout-network",
    "warning",
    "These weights have no network for the cut-out: the garment was cut out by colours and texture alone",
    "Use the shipped garment weights, or put a trained cut-out network into their folder",
)
ON_OUTLINE = [i + side for side in (0, RIGHT) for i in (N, S, EO, CO, CI, W, H)] + [NECK, HEM]


@dataclass(frozen=True)
class GarmentCut:
    """A garment, cut out and understood.

    Attributes:
        image: (H, W, 3) uint8, as given.
        alpha: (H, W) uint8.
        landmarks: (20, 2) float32 in pixels of the picture; order in `landmarks.LANDMARKS`.
        uncertainty: (20,) float32, expected error in pixels.
        sleeve: ``none``, ``short`` or ``long``.
        category: ``upper`` or ``lower``.
        quality: Quality of the cut-out, 0..1.
        findings: What was noticed.
    """

    image: Image
    alpha: Mask
    landmarks: Points
    uncertainty: NDArray[np.float32]
    sleeve: str
    category: str
    quality: float
    findings: list[Finding] = field(default_factory=list)


class GarmentPipeline:
    """Cut-out, landmark network with averaging over mirrored and scaled views, snapping to the outline."""

    def __init__(self, model: GarmentNet, where: runtime.Runtime, prior: PriorNet | None = None) -> None:
        """Without ``prior``, the network of the cut-out, garments are cut out by colours and texture alone."""
        self.model, self.runtime = model.to(where.device).eval(), where
        self.prior = None if prior is None else prior.to(where.device).eval()
        self.config: GarmentNetConfig = model.config

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str = "auto", dtype: str = "auto") -> GarmentPipeline:
        """Load config.json and model.safetensors from ``folder``, and those of the cut-out from ``folder``/cutout.

        Landmarks alone, as training writes them with ``"cutout": false`` in their config.json, give a pipeline that
        cuts out by colours and texture alone, and says so in a finding.

        Raises:
            WeightsError: if the folder or its weights do not fit; ``weights.missing`` if it lacks ``cutout`` without
                saying so, ``weights.mismatch`` if it says so and has it.
        """
        values = checkpoint.read_config(folder)
        part = Path(folder) / CUTOUT
        promised = bool(values.pop(CUTOUT, True))
        if promised != part.is_dir():
            raise _cutout_error(part, promised)
        for name in ("channels", "decoder"):
            values[name] = tuple(values[name])
        model = GarmentNet(GarmentNetConfig(**values))
        checkpoint.load_component(folder, model)
        prior = None
        if promised:
            shape = checkpoint.read_config(part)
            for name in ("channels", "depth"):
                shape[name] = tuple(shape[name])
            prior = PriorNet(PriorConfig(**shape))
            checkpoint.load_component(part, prior)
        return cls(model, runtime.choose(device, dtype), prior)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16), and those of the cut-out into ``folder``/cutout."""
        checkpoint.save_component(folder, self.model, {**asdict(self.config), CUTOUT: self.prior is not None})
        if self.prior is not None:
            checkpoint.save_component(Path(folder) / CUTOUT, self.prior, asdict(self.prior.config))

    def __call__(self, image: Image, alpha: Mask | None = None, *, on_step: OnStep | None = None) -> GarmentCut:
        """Cut a garment out and find its landmarks.

        Args:
            image: (H, W, 3) uint8 RGB.
            alpha: (H, W) uint8 transparency that the picture came with; None cuts the garment out.
            on_step: Called after the cut-out and after the landmarks.

        Raises:
            InputError: ``garment.none-found``.
        """
        cut = from_alpha(alpha) if alpha is not None else self._cut(image)
        report(on_step, 1, 2)
        points, uncertainty, share = self.landmarks(cut.alpha)
        size = float(np.ptp(points, axis=0).max())
        findings = list(cut.findings)
        if uncertainty.mean() > DOUBTFUL * size:
            findings.append(
                Finding(
                    "garment.shape-unclear",
                    "warning",
                    f"The garment's shape is hard to read (expected error {uncertainty.mean() / size:.1%} of its size)",
                    "Lay it flat with the sleeves spread, front side up",
                )
            )
        report(on_step, 2, 2)
        category = _category(cut.alpha)
        return GarmentCut(
            image, cut.alpha, points, uncertainty, SLEEVES[int(share.argmax())], category, cut.quality, findings
        )

    def _cut(self, image: Image) -> Cutout:
        if self.prior is not None:
            return cut_out(image, probability(self.prior, image, self.runtime))
        cut = cut_out(image)
        return replace(cut, findings=[*cut.findings, WITHOUT_NETWORK])

    @torch.inference_mode()
    def landmarks(self, alpha: Mask) -> tuple[Points, NDArray[np.float32], NDArray[np.float32]]:
        """Landmarks of a cut-out.

        Args:
            alpha: (H, W) uint8, not empty.

        Returns:
            (20, 2) float32 in pixels of ``alpha``, (20,) expected errors in pixels, (3,) sleeve class shares.
        """
        size = self.config.size
        views = [(fill, flip) for fill in FILLS for flip in (False, True)]
        affines = [to_square(alpha, size, fill) for fill in FILLS]
        masks = []
        for affine in affines:
            mask = shrink(alpha, affine, size)
            masks += [mask, mask[:, ::-1]]
        x = torch.from_numpy(np.stack(masks).astype(np.float32)[:, None] / 255).to(self.runtime.device)
        with self.runtime.autocast():
            found = self.model(x)
        raw = ((found.points.float().cpu().numpy() + 1) * size / 2) - 0.5
        each = np.zeros((len(views), COUNT, 2), np.float32)
        for number, (points, (_, flip)) in enumerate(zip(raw, views, strict=True)):
            affine = affines[number // 2]
            straight = mirrored(points, size) if flip else points
            each[number] = (straight - affine[:, 2]) / affine[0, 0]
        mean = each.mean(0)
        unit = np.array([size / 2 / affines[n // 2][0, 0] for n in range(len(views))])
        expected = np.exp(found.log_error.float().cpu().numpy()) * unit[:, None]
        disagreement = np.linalg.norm(each - mean, axis=2).mean(0)
        uncertainty = np.maximum(expected.mean(0), disagreement).astype(np.float32)
        share = found.sleeve.float().softmax(1).mean(0).cpu().numpy()
        bare = int(share.argmax()) == 0
        points = snap(mean, alpha, bare)
        return points, uncertainty, share


def _cutout_error(part: Path, promised: bool) -> WeightsError:
    """The network of the cut-out is not there although it should be, or the other way round."""
    if promised:
        return WeightsError(
            "weights.missing",
            "The network of the cut-out is missing in these garment weights",
            seen=part,
            remedy='Put it there, or write "cutout": false into config.json to cut out by colours and texture alone',
        )
    return WeightsError(
        "weights.mismatch",
        "These garment weights hold a network of the cut-out and say that they have none",
        seen=part,
        remedy='Write "cutout": true into config.json to use it, or take it away',
    )


def to_square(alpha: Mask, size: int, fill: float) -> NDArray[np.float32]:
    """Affine (2, 3) float32 that centres the garment's box in a square of ``size`` pixels, filling ``fill`` of it."""
    x, y, w, h = cv2.boundingRect((alpha > 127).astype(np.uint8))
    scale = size * fill / max(w, h, 1)
    centre = np.array([x + (w - 1) / 2, y + (h - 1) / 2])
    offset = (size - 1) / 2 - centre * scale
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)


def shrink(alpha: Mask, affine: NDArray[np.float32], size: int) -> Mask:
    """The mask in the network's square; area-averaged first, because bilinear sampling alone would alias."""
    scale = float(affine[0, 0])
    matrix = np.vstack([affine, [0, 0, 1]]).astype(np.float64)
    while scale < 0.5:
        height, width = alpha.shape
        half = cv2.resize(alpha, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
        alpha = np.asarray(half, np.uint8)
        ratio = np.array([width / alpha.shape[1], height / alpha.shape[0]])
        matrix = matrix @ np.array([[ratio[0], 0, (ratio[0] - 1) / 2], [0, ratio[1], (ratio[1] - 1) / 2], [0, 0, 1]])
        scale *= 2
    return np.asarray(cv2.warpAffine(alpha, matrix[:2], (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def snap(points: NDArray[np.float32], alpha: Mask, bare: bool) -> Points:
    """Move landmarks that lie on the outline by definition onto it, if it is near.

    Args:
        points: (20, 2) in pixels of ``alpha``.
        alpha: (H, W) uint8.
        bare: Sleeveless: elbow and cuff points go to shoulder and armpit.
    """
    factor = min(1.0, 512 / max(alpha.shape))
    small = cv2.resize(alpha, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else alpha
    ratio = np.array([alpha.shape[1] / small.shape[1], alpha.shape[0] / small.shape[0]])
    contours, _ = cv2.findContours((small > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    out = points.astype(np.float64)
    if bare:
        for first in (0, RIGHT):
            out[[first + EO, first + CO]] = out[first + S]
            out[[first + EI, first + CI]] = out[first + 2]
    if not contours:
        return out.astype(np.float32)
    line = (max(contours, key=cv2.contourArea)[:, 0].astype(np.float64) + 0.5) * ratio - 0.5
    reach = SNAP * float(np.ptp(line, axis=0).max())
    fixed = out.copy()
    for index in ON_OUTLINE:
        distance = np.linalg.norm(line - out[index], axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] < reach:
            fixed[index] = line[nearest]
    if bare:
        for first in (0, RIGHT):
            fixed[[first + EO, first + CO]] = fixed[first + S]
            fixed[[first + EI, first + CI]] = fixed[first + 2]
    return fixed.astype(np.float32)


def _category(alpha: Mask) -> str:
    """``lower`` for what is split from below by a deep gap (trousers), else ``upper``."""
    x, y, w, h = cv2.boundingRect((alpha > 127).astype(np.uint8))
    box = cv2.resize(alpha[y : y + h, x : x + w], (64, 96), interpolation=cv2.INTER_AREA) > 127
    legs = 0
    for row in box[58:92:4]:
        edges = np.flatnonzero(np.diff(np.pad(row.astype(np.int8), 1)))
        runs = edges[1::2] - edges[::2]
        legs += int(len(runs) == 2 and runs.min() > 14)  # hanging sleeves are thinner than legs
    centre_empty = (~box[60:92, 29:35]).mean()
    return "lower" if legs >= 7 and centre_empty > 0.35 else "upper"
