"""Losses without a second network: reconstruction of single photographs, and GMM's, which both data layouts share.

For SegGenerator cross-entropy and Dice; for ALIASGenerator L1 and its gradient inside the edit region, a feature
distance, the opacity's cross-entropy against where the garment truly is, and smoothness of the shading; for GMM L1 and
the second-order constraint. All but the last are ours. adversarial.py holds the losses that play against a second one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.person.parsing.network import ParsingNet
from pipelines.viton_hd import conditioning, pairs

BEND = 0.04  # weight of the second-order constraint; see adversarial.py for where it comes from

Features = Callable[[Tensor], list[Tensor]]


def features_of(parser: ParsingNet) -> Features:
    """The parser's encoder maps of pictures in [0, 1], as a frozen feature extractor."""
    parser.eval().requires_grad_(False)
    return lambda picture: parser.features((picture * 2 - 1).contiguous(memory_format=torch.channels_last))[:4]


def feature_distance(features: Features, made: Tensor, real: Tensor) -> Tensor:
    """L1 between feature maps, each relative to the size of the real ones, summed over the maps.

    Args:
        features: Of pictures in [0, 1].
        made: (B, 3, H, W) in [0, 1]; receives gradients.
        real: (B, 3, H, W) in [0, 1].
    """
    ours = features(made)
    with torch.no_grad():
        theirs = features(real)
    parts = [
        (a.float() - b.float()).abs().mean() / (b.float().abs().mean() + 1e-3)
        for a, b in zip(ours, theirs, strict=True)
    ]
    return torch.stack(parts).sum()


def seg_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy plus Dice between the predicted and the true 13-class parse, mostly inside the edit region."""
    c = pairs.conditions(batch)
    noise = (torch.rand_like(c.edit) < 0.159).float()  # share of ones in the published noise map
    logits = model.logits(conditioning.seg_input(c, noise)).float()  # type: ignore[operator]
    weight = 0.1 + c.edit[:, 0]
    entropy = (F.cross_entropy(logits, c.parse, reduction="none") * weight).sum() / weight.sum()
    truth = F.one_hot(c.parse, 13).permute(0, 3, 1, 2).float() * c.edit
    share = logits.softmax(1) * c.edit
    dice = 1 - ((2 * (share * truth).sum((0, 2, 3)) + 20) / ((share + truth).sum((0, 2, 3)) + 20)).mean()
    return entropy + 0.5 * dice, {"entropy": float(entropy.detach()), "dice": float(dice.detach())}


def alias_loss(
    features: Features,
) -> Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, dict[str, float]]]:
    """Build the reconstruction loss of ALIASGenerator over self-supervised pairs."""

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        c = pairs.conditions(batch)
        wanted = batch["noisy_parse"]
        x, labels, divided, misalign = conditioning.alias_inputs(c, wanted)
        # Noise scales stay zero: reconstruction gives no reason to grow them, and drawing costs a third of a step.
        out = model(x, labels, divided, misalign, lambda name, shape: None).float()
        covered, true_upper = batch["covered"], (c.parse == conditioning.UPPER13).float()[:, None]
        picture, _, shading = conditioning.compose(out, c, covered, batch["extended"])
        pixels = 3 * c.edit.sum() + 1
        difference = (picture - c.image) * c.edit
        l1 = difference.abs().sum() / pixels
        gradient = (difference.diff(dim=2).abs().sum() + difference.diff(dim=3).abs().sum()) / pixels
        painted = ((c.base + out[:, :3] - c.image).abs() * c.edit).sum() / pixels
        raw = F.binary_cross_entropy_with_logits(out[:, 3:4] + 1, true_upper, reduction="none")
        opacity = (raw * covered).sum() / (covered.sum() + 1)
        smooth = shading.diff(dim=2).abs().mean() + shading.diff(dim=3).abs().mean()
        distance = feature_distance(features, picture, c.image)
        total = 2 * l1 + gradient + 0.2 * painted + 0.15 * opacity + 0.1 * smooth + 0.35 * distance
        return total, {"l1": float(l1.detach()), "painted": float(painted.detach()), "opacity": float(opacity.detach())}

    return loss


def bend(theta: Tensor) -> Tensor:
    """Mean absolute second difference of the control points, down plus across.

    ACGPN (CVPR 2020), whose constraint the paper takes, writes it as differences of length and of slope between
    neighbouring links. This form, ours, is zero in the same cases but for folds, and has no division in it.

    Args:
        theta: (B, 2 * side ** 2) displacements. The points at rest are a regular grid, so affine maps give 0.
    """
    side = round((theta.shape[1] // 2) ** 0.5)
    points = theta.float().reshape(len(theta), 2, side, side)
    return points.diff(n=2, dim=2).abs().mean() + points.diff(n=2, dim=3).abs().mean()


def gmm_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """L1 of warped against worn cloth and outline, plus `BEND` times `bend`.

    The outline's part is ours: the paper compares the cloth alone, and a white garment on white ground says nothing.
    """
    theta, grid = model(batch["person"], batch["cloth_small"])
    flat = torch.cat([batch["cloth"], batch["cloth_mask"]], 1)
    warped = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    worn = (warped[:, :3] * warped[:, 3:] - batch["worn"]).abs().mean()
    outline = (warped[:, 3:] - batch["worn_mask"]).abs().mean()
    return worn + outline + BEND * bend(theta), {"worn": float(worn.detach()), "outline": float(outline.detach())}
