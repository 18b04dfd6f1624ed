"""What IML-ViT is trained on: every pixel, and once more those along the outline of what was manipulated.

Source: the paper, section 3.3; SunnyHaze/IML-ViT 07dd2be (MIT): edge masks of width 7, weight 20.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

EDGE_WIDTH = 7
EDGE_WEIGHT = 20.0


def edge_mask(mask: NDArray[Any], width: int = EDGE_WIDTH) -> NDArray[np.bool_]:
    """The band on both sides of a mask's outline.

    A pixel belongs to it if a cross of ``width`` pixels around it reaches both inside and outside. What lies beyond the
    picture is neither, so that the picture's border is no outline.

    Args:
        mask: (H, W) bool, or numbers that are not 0 inside.
        width: Odd.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (width, width))
    inside = np.asarray(mask != 0, np.uint8)
    grown, eaten = (
        np.asarray(cv2.dilate(part, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0), bool)
        for part in (inside, 1 - inside)
    )
    return grown & eaten


def overlap_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """One minus the soft F1 of each picture that holds a manipulated pixel, their mean (Dice; our addition).

    A mean over all pixels hardly notices a region of one in thirty: it is right where all are called untouched. The
    published recipe has 200 epochs to find out.

    Args:
        logits: (B, 1, h, w), enlarged here to the mask's size.
        mask: (B, 1, H, W) float32, 1 inside.
    """
    chance = F.interpolate(logits.float(), mask.shape[2:], mode="bilinear", align_corners=False).sigmoid()
    held = (chance * mask).sum((1, 2, 3))
    each = 1 - (2 * held + 1) / (chance.sum((1, 2, 3)) + mask.sum((1, 2, 3)) + 1)
    there = mask.amax((1, 2, 3))
    return (each * there).sum() / there.sum().clamp(min=1)


def losses(logits: Tensor, mask: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    """Both parts of the loss.

    Args:
        logits: (B, 1, h, w), enlarged here to the mask's size.
        mask: (B, 1, H, W) float32, 1 inside.
        edge: (B, 1, H, W) float32 of `edge_mask`.

    Returns:
        Mean binary cross-entropy over all pixels, padding included, and ``EDGE_WEIGHT`` times its mean over all pixels
        of those at the edge. The loss is their sum.
    """
    logits = F.interpolate(logits.float(), mask.shape[2:], mode="bilinear", align_corners=False)
    each = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return each.mean(), EDGE_WEIGHT * (each * edge).mean()
