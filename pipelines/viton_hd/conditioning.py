"""What the two starter networks see, built the same way in training and in use.

The published networks read the same tensors from a prepared data set (preprocess.py, flow.py). The starter differs in
four ways, all ours: the garment comes already fitted to the body by the part mesh, so SegGenerator sees the warped
cloth; the region to be redrawn is marked in the channel of class 12 of the agnostic parse, because it is not the fixed
drawing of the paper; and ALIASGenerator puts out, beside RGB, an opacity and a log-shading of the warped cloth, so that
prints keep the sharpness of the garment's photograph at any size; and its RGB is a correction of a first fill, in which
each class of the wanted parse flows in from where it is known, so that plain backgrounds and sleeves of skin need no
learning (of what it puts out, the pipeline uses the shading; see weights/cards/viton-hd.md). The neck counts as face,
not as background as in the published table: it has to be filled with skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipelines.person.garment.cutout import nearest_fill
from pipelines.viton_hd import preprocess
from pipelines.viton_hd.preprocess import TO_PARSE7

TO_PARSE13 = np.append(preprocess.TO_PARSE13, np.uint8(0))  # id 20, a bag, is background to the networks
TO_PARSE13[preprocess.NECK] = 2
# Classes that may be filled from one another: background, skin, what is worn below, legs.
SKIN = (2, 5, 6)
FILLS = ((0,), SKIN, (4, 11), (7, 8))
TONE = 0.7  # share of the person's middle skin tone in newly bared skin
UPPER13, REDRAW13 = 3, 12
SHADING = 0.6  # largest log-shading


@dataclass(frozen=True)
class Conditions:
    """Everything the networks need, for B people at network size.

    Attributes:
        image: (B, 3, H, W) float32 RGB in [0, 1], the photograph.
        edit: (B, 1, H, W) float32, 1 where pixels may change.
        parse: (B, H, W) int64, 13 classes of the person as photographed (in training: as wanted).
        pose: (B, 3, H, W) float32 limb map in [0, 1].
        cloth: (B, 3, H, W) float32 RGB in [0, 1], the garment fitted to the body, 0 outside.
        cloth_mask: (B, 1, H, W) float32 in [0, 1].
        base: (B, 3, H, W) float32 RGB in [0, 1], the photograph with the edit region filled by `first_fill`.
    """

    image: Tensor
    edit: Tensor
    parse: Tensor
    pose: Tensor
    cloth: Tensor
    cloth_mask: Tensor
    base: Tensor


def seg_input(c: Conditions, noise: Tensor) -> Tensor:
    """(B, 21, H, W): cloth mask 1, cloth 3, agnostic parse 13, pose 3, noise 1; the published order and ranges."""
    agnostic = torch.where(c.edit[:, 0] > 0.5, REDRAW13, c.parse)
    parse = F.one_hot(agnostic, 13).permute(0, 3, 1, 2).float()
    return torch.cat([c.cloth_mask, (c.cloth * 2 - 1) * c.cloth_mask, parse, c.pose * 2 - 1, noise], 1)


def alias_inputs(c: Conditions, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs of ALIASGenerator.

    Args:
        c: Conditions.
        wanted: (B, H, W) int64, 13 classes of the dressed person.

    Returns:
        x (B, 11, H, W): filled picture, pose, cloth in [-1, 1], cloth mask and edit mask in [0, 1]; seg (B, 7, H, W);
        seg_div (B, 8, H, W); misalign (B, 1, H, W): wanted upper that the fitted cloth does not cover.
    """
    agnostic = c.base * 2 - 1
    x = torch.cat([agnostic, c.pose * 2 - 1, (c.cloth * 2 - 1) * c.cloth_mask, c.cloth_mask, c.edit], 1)
    seg = F.one_hot(torch.from_numpy(TO_PARSE7).long().to(wanted.device)[wanted], 7).permute(0, 3, 1, 2).float()
    misalign = (seg[:, 2:3] - c.cloth_mask).clamp(min=0)
    divided = torch.cat([seg, misalign], 1)
    divided[:, 2:3] -= misalign
    return x, seg, divided, misalign


def compose(out: Tensor, c: Conditions, covered: Tensor, cloth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lay the shaded cloth over the painted rest, inside the edit region only.

    Args:
        out: (B, 5, H, W): correction of the base in [-1, 1], opacity logit, raw shading.
        c: Conditions.
        covered: (B, 1, H, W) in [0, 1], where cloth may lie.
        cloth: (B, 3, H, W) in [0, 1], extended over small gaps.

    Returns:
        picture (B, 3, H, W) in [0, 1], opacity (B, 1, H, W), log-shading (B, 1, H, W).
    """
    painted = (c.base + out[:, :3]).clamp(0, 1)
    opacity = torch.sigmoid(out[:, 3:4] + 1) * covered
    shading = SHADING * torch.tanh(out[:, 4:5])
    shaded = (cloth * shading.exp()).clamp(0, 1)
    inside = opacity * shaded + (1 - opacity) * painted
    return c.image * (1 - c.edit) + c.edit * inside, opacity, shading


def first_fill(
    image: NDArray[np.float32], edit: NDArray[np.bool_], wanted: NDArray[np.integer], *, sigma: float
) -> NDArray[np.float32]:
    """Fill the edit region class by class with the nearest known pixels of that class, softened.

    Args:
        image: (H, W, 3) float32 in [0, 1].
        edit: (H, W) bool.
        wanted: (H, W), 13 classes of the dressed person; outside ``edit`` those of the photograph.
        sigma: Softening inside the filled region, in pixels.

    Returns:
        (H, W, 3) float32; outside ``edit`` equal to ``image``. Where nothing of a class is known the nearest known
        pixel of any class serves.
    """
    filled = nearest_fill(image, ~edit)
    for classes in FILLS:
        mine = np.isin(wanted, classes)
        target, source = edit & mine, ~edit & mine
        inner = cv2.erode(source.astype(np.uint8), disc(1)) > 0  # the rim mixes two classes
        source = inner if inner.sum() > 20 else source
        if target.any() and source.sum() > 5:
            filled[target] = nearest_fill(image, source)[target]
            if classes == SKIN:  # the nearest skin is often a shadowed rim: mostly the person's own middle tone
                tone = np.median(image[source], axis=0)
                filled[target] += TONE * (tone - filled[target])
    # Soften every class by itself, or skin would bleed into the background.
    soft = filled.copy()
    for classes in FILLS:
        mine = np.isin(wanted, classes)
        weight = mine.astype(np.float32)
        target = edit & mine
        if target.any():
            mean = cv2.GaussianBlur(filled * weight[..., None], (0, 0), sigma)
            soft[target] = (mean / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-4)[..., None])[target]
    return np.where(edit[..., None], soft, image).astype(np.float32)


def disc(radius: float) -> NDArray[np.uint8]:
    """A round structuring element of at least one pixel."""
    r = max(1, round(radius))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)), np.uint8)
