"""Picture in, class of every pixel out: a coarse pass finds the person, a fine pass looks closer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipelines.core import checkpoint, runtime
from pipelines.core.types import Box, Image, Labels, OnStep, report
from pipelines.person.parsing.network import BACKGROUND, BAG, DRESS, LOWER, UPPER, ParsingConfig, ParsingNet

FINE = (384, 288)
SIZES = (FINE,)  # of the windows whose answers are averaged
SURE_BAG = 0.55  # mean probability below which a bag is taken for what lies behind it
MARGIN = 1.12  # the window is this much larger than the person's box


@dataclass(frozen=True)
class Parsing:
    """What each pixel shows.

    Attributes:
        labels: (H, W) uint8, index into `PARSING_CLASSES`.
        confidence: (H, W) float32 in [0, 1], the probability of the chosen class.
    """

    labels: Labels
    confidence: NDArray[np.float32]


class ParsingPipeline:
    """Human parsing of a whole picture or of a box in it."""

    def __init__(self, model: nn.Module, where: runtime.Runtime) -> None:
        self.model = runtime.channels_last(model.to(where.device)).eval()
        self.runtime = where
        self.config: ParsingConfig = model.config  # type: ignore[assignment]

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str = "auto", dtype: str = "auto") -> ParsingPipeline:
        """Load config.json and model.safetensors from ``folder``.

        Raises:
            WeightsError: if the folder or its weights do not fit.
        """
        values = checkpoint.read_config(folder)
        for name in ("channels", "image_size"):
            values[name] = tuple(values[name])
        model = ParsingNet(ParsingConfig(**values))
        checkpoint.load_component(folder, model)
        return cls(model, runtime.choose(device, dtype))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16)."""
        checkpoint.save_component(folder, self.model, asdict(self.config))

    def __call__(self, image: Image, box: Box | None = None, *, on_step: OnStep | None = None) -> Parsing:
        """Classify every pixel.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: Where to look; None finds the largest person first.
            on_step: Called after the coarse and after the fine pass.

        Returns:
            Labels and confidence at the picture's size. Outside the window that was looked at all is background.
        """
        height, width = image.shape[:2]
        if box is None:
            coarse = self.glance(image)
            box = _largest(coarse.labels != BACKGROUND)
            factor = height / coarse.labels.shape[0]
            box = Box(*(factor * v for v in (box.x, box.y, box.w, box.h))) if box else Box(0, 0, width, height)
        report(on_step, 1, 2)
        window = _grown(box, MARGIN)
        # Planes are resampled no finer than the photo, and no finer than four times the network's own grid.
        coarser = min(1.0, 4 * FINE[0] / window.h)
        small = image if coarser == 1 else _resized(image, coarser)
        scaled = Box(window.x * coarser, window.y * coarser, window.w * coarser, window.h * coarser)
        labels, confidence = tidy(self._average(small, scaled))
        if small is not image:
            labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
            confidence = cv2.resize(confidence, (width, height), interpolation=cv2.INTER_LINEAR)
        report(on_step, 2, 2)
        return Parsing(labels.astype(np.uint8), confidence.astype(np.float32))

    def glance(self, image: Image, side: int = 320) -> Parsing:
        """Classify a small copy of the whole picture, to find people in it.

        Args:
            image: (H, W, 3) uint8 RGB.
            side: Longest side of the copy.

        Returns:
            Labels and confidence of that copy, whose sides are multiples of 32.
        """
        height, width = image.shape[:2]
        scale = side / max(height, width)
        size = (max(32, round(height * scale / 32) * 32), max(32, round(width * scale / 32) * 32))
        copy = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        share = self._forward(copy.astype(np.uint8), flip=False)
        return Parsing(share.argmax(0).astype(np.uint8), share.max(0))

    def _average(self, image: Image, box: Box) -> NDArray[np.float32]:
        """Class probabilities (C, H, W) float32 at the picture's size, averaged over the sizes of the fine pass."""
        planes = [self._window(image, box, size) for size in SIZES]
        return planes[0] if len(planes) == 1 else np.stack(planes).mean(0)

    @torch.inference_mode()
    def _forward(self, window: Image, *, flip: bool) -> NDArray[np.float32]:
        """Class probabilities (C, H, W) float32 of a window whose sides are multiples of 32."""
        x = torch.from_numpy(window.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        x = torch.cat([x, x.flip(3)]) if flip else x
        with self.runtime.autocast():
            logits = self.model(x.to(self.runtime.device).contiguous(memory_format=torch.channels_last))
        share = logits.float().softmax(1)
        share = (share[0] + share[1].flip(2)) / 2 if flip else share[0]
        return share.cpu().numpy()

    def _window(self, image: Image, box: Box, size: tuple[int, int]) -> NDArray[np.float32]:
        """Class probabilities (C, H, W) float32 at the picture's size, from one window and its mirror image."""
        height, width = image.shape[:2]
        scale = min(size[0] / box.h, size[1] / box.w)
        affine = np.array([[scale, 0, size[1] / 2 - 0.5], [0, scale, size[0] / 2 - 0.5]])
        affine[:, 2] -= scale * np.array([box.x + box.w / 2 - 0.5, box.y + box.h / 2 - 0.5])
        source, shrink = image, 1
        while scale * shrink < 0.5:  # bilinear sampling alone would skip pixels
            source = _resized(source, 0.5)
            shrink *= 2
        pre = np.array([[shrink, 0, (shrink - 1) / 2], [0, shrink, (shrink - 1) / 2], [0, 0, 1]])
        window = cv2.warpAffine(source, affine @ pre, (size[1], size[0]), borderMode=cv2.BORDER_REPLICATE)
        share = self._forward(window.astype(np.uint8), flip=True)
        back = cv2.invertAffineTransform(affine)
        full = [
            cv2.warpAffine(
                plane,
                back,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=float(number == BACKGROUND),
            )
            for number, plane in enumerate(share)
        ]
        return np.stack(full).astype(np.float32, copy=False)


def tidy(probabilities: NDArray[np.float32]) -> tuple[Labels, NDArray[np.float32]]:
    """Turn probabilities into labels without crumbs.

    Islands too small to be a garment, and bags that the network is not sure of, go to their next best class. The limits
    are those that raised the mean IoU on both halves of the validation photos; calling a top with a little dress in it
    all top, or the other way round, lowered it.

    Args:
        probabilities: (C, H, W) float32 summing to 1 over C.

    Returns:
        labels (H, W) uint8, confidence (H, W) float32.
    """
    height, width = probabilities.shape[1:]
    sigma = max(0.6, max(height, width) / 400)
    p = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in probabilities])
    labels = p.argmax(0).astype(np.uint8)
    person = max(1, int((labels != BACKGROUND).sum()))
    for number in range(len(p)):
        count, parts, stats, _ = cv2.connectedComponentsWithStats((labels == number).astype(np.uint8))
        if count < 2:
            continue
        largest = stats[1:, cv2.CC_STAT_AREA].max()
        least = 0.12 * largest if number in (UPPER, LOWER, DRESS) else 0.001 * person
        for part in range(1, count):
            x, y, w, h = stats[part, :4]
            window = (slice(y, y + h), slice(x, x + w))
            here = parts[window] == part
            unsure = number == BAG and p[(number, *window)][here].mean() < SURE_BAG
            if unsure or stats[part, cv2.CC_STAT_AREA] < min(least, 0.02 * person):
                others = p[(slice(None), *window)].copy()
                others[number] = -1
                labels[window][here] = others.argmax(0)[here]
    confidence = np.take_along_axis(p, labels[None].astype(np.int64), 0)[0]
    return labels, confidence.astype(np.float32)


def field_of_view(box: Box) -> Box:
    """What the fine pass sees when asked to look at ``box``: the box with a margin, widened to the window's shape."""
    wide = _grown(box, MARGIN)
    scale = min(FINE[0] / wide.h, FINE[1] / wide.w)
    width, height = FINE[1] / scale, FINE[0] / scale
    return Box(box.x + (box.w - width) / 2, box.y + (box.h - height) / 2, width, height, box.score)


def _largest(person: NDArray[np.bool_]) -> Box | None:
    """Box of the largest person; a belt or a collar that was missed must not cut off the head."""
    reach = max(1, round(0.02 * max(person.shape)))
    joined = cv2.dilate(person.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    _, parts = cv2.connectedComponents(joined)
    areas = np.bincount(parts[person], minlength=2)
    chosen = person & (parts == areas.argmax())
    if areas.max() < 0.002 * person.size:
        return None
    x, y, w, h = cv2.boundingRect(chosen.astype(np.uint8))
    return Box(float(x), float(y), float(w), float(h))


def _grown(box: Box, factor: float) -> Box:
    return Box(
        box.x - box.w * (factor - 1) / 2, box.y - box.h * (factor - 1) / 2, box.w * factor, box.h * factor, box.score
    )


def _resized(image: Image, factor: float) -> Image:
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
