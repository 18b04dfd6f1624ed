"""A picture in; where it may have been manipulated, and how far that is to be believed, out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core import checkpoint, runtime
from pipelines.core.errors import WeightsError
from pipelines.core.types import Box, Image, OnStep
from pipelines.iml_vit import inference
from pipelines.iml_vit.calibration import Calibration
from pipelines.iml_vit.network import ImlVit, ImlVitConfig

PIXEL = 0.5  # the published threshold, where weights come without a calibration
SPECK = 0.0005  # regions of a smaller share of the picture are not told
REGIONS = 20  # the largest ones that are


@dataclass(frozen=True)
class Region:
    """A connected part of the picture above the threshold.

    Attributes:
        box: In pixels of the picture.
        share: Of the picture's area that it covers, in [0, 1].
        mean: Its mean probability.
    """

    box: Box
    share: float
    mean: float


@dataclass(frozen=True)
class Evidence:
    """What the network says. It is weak evidence, whatever the score.

    Attributes:
        heat: (H, W) float32 probability that a pixel was manipulated.
        mask: (H, W) bool, heat of at least ``pixel_threshold``.
        regions: The largest parts of the mask, in descending order.
        score: Chance in [0, 1] that the picture was manipulated, if half of all pictures were; None without a
            calibration.
        suspicious: Whether the score reaches the threshold that ships with the weights; None without one.
        as_high: Share of untouched pictures that score as high or higher; None without a calibration.
        judged: What the network's judge said, a logit, before any calibration; None of a network without one.
        pixel_threshold: See ``mask``.
        image_threshold: See ``suspicious``.
    """

    heat: NDArray[np.float32]
    mask: NDArray[np.bool_]
    regions: tuple[Region, ...]
    score: float | None
    suspicious: bool | None
    as_high: float | None
    judged: float | None
    pixel_threshold: float
    image_threshold: float | None


class ImlVitPipeline:
    """Manipulation localisation for pictures of any size."""

    def __init__(self, model: ImlVit, where: runtime.Runtime, calibration: Calibration | None = None) -> None:
        self.runtime, self.calibration = where, calibration
        self.model = runtime.channels_last(model.to(where.device)).eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str = "auto", dtype: str = "auto") -> ImlVitPipeline:
        """Load config.json and model.safetensors from ``folder``.

        Raises:
            WeightsError: if the folder or its weights do not fit.
        """
        values = checkpoint.read_config(folder)
        try:
            stored = values.pop("calibration", None)
            values["global_blocks"] = tuple(values["global_blocks"])
            model = ImlVit(ImlVitConfig(**values))
            calibration = None if stored is None else Calibration.read(stored, judge=model.config.judge)
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                "weights.mismatch",
                "This folder does not describe an IML-ViT network",
                seen=f"{folder}: {type(error).__name__}: {error}",
                remedy="Name a folder that this project wrote; `studio weights convert iml-vit` makes one",
            ) from error
        checkpoint.load_component(folder, model)
        return cls(model, runtime.choose(device, dtype), calibration)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16)."""
        values = asdict(self.model.config)
        if self.calibration is not None:
            values["calibration"] = self.calibration.as_dict()
        checkpoint.save_component(folder, self.model, values)

    def __call__(self, picture: Image, *, on_step: OnStep | None = None) -> Evidence:
        """Look for manipulated pixels.

        Args:
            picture: (H, W, 3) uint8 RGB, as it was decoded: shrinking or saving it again first loses the traces.
            on_step: Called after each view of it; may raise ``Cancelled``.
        """
        seen = inference.seen(self.model, picture, self.runtime, on_step=on_step)
        heat = inference.enlarged(seen.logits, picture.shape[:2])
        known = self.calibration
        threshold = PIXEL if known is None else known.pixel
        mask = heat >= threshold
        score = None if known is None else known.score(seen)
        return Evidence(
            heat=heat,
            mask=mask,
            regions=regions_of(mask, heat),
            score=score,
            suspicious=None if known is None or score is None else score >= known.image,
            as_high=None if known is None or score is None else known.as_high(score),
            judged=seen.judged,
            pixel_threshold=threshold,
            image_threshold=None if known is None else known.image,
        )


def regions_of(mask: NDArray[np.bool_], heat: NDArray[np.float32]) -> tuple[Region, ...]:
    """Connected parts of a mask, the largest first, without specks."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= SPECK * mask.size]
    large.sort(key=lambda n: -int(stats[n, cv2.CC_STAT_AREA]))
    found = []
    for n in large[:REGIONS]:
        left, top, width, height, area = (int(value) for value in stats[n])
        piece = np.s_[top : top + height, left : left + width]
        mean = float(heat[piece][labels[piece] == n].mean())
        found.append(Region(Box(left, top, width, height), area / mask.size, mean))
    return tuple(found)
