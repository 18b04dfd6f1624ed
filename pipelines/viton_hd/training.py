"""Training the three networks, self-supervised from single photographs or on the VITON-HD data set.

Single photographs (CCP layout and rendered people): pairs.py un-warps the worn garment into a flat one and fits it
back with errors, so that each photo is its own ground truth. Losses, ours: cross-entropy and Dice for SegGenerator;
for ALIASGenerator L1 and its gradient inside the edit region, a feature distance, the opacity's cross-entropy against
where the garment truly is, and smoothness of the shading.

The VITON-HD data set (layout of preprocess.py): the paper's losses (section 3 and appendix A): cross-entropy and a
conditional least-squares GAN for SegGenerator; L1 and the second-order constraint on the grid's points for GMM; hinge
GAN, feature matching and feature distance for ALIASGenerator. The paper measures the feature distance with VGG-19
trained on ImageNet, which cannot be had offline; our own human parser's encoder takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core import checkpoint, training
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.person.parsing.network import ParsingNet
from pipelines.viton_hd import conditioning, pairs
from pipelines.viton_hd.network import CONFIGS, ALIASGenerator, SegGenerator
from pipelines.viton_hd.warping import GMM

PARTS = ("seg", "gmm", "alias")


def features_of(parser: ParsingNet) -> Callable[[Tensor], list[Tensor]]:
    """The parser's encoder maps of pictures in [0, 1], as a frozen feature extractor."""
    parser.eval().requires_grad_(False)
    return lambda picture: parser.features((picture * 2 - 1).contiguous(memory_format=torch.channels_last))[:4]


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
    features: Callable[[Tensor], list[Tensor]],
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
        ours = features(picture)
        with torch.no_grad():
            theirs = features(c.image)
        distance = sum(
            (a.float() - b.float()).abs().mean() / (b.float().abs().mean() + 1e-3)
            for a, b in zip(ours, theirs, strict=True)
        )
        total = 2 * l1 + gradient + 0.2 * painted + 0.15 * opacity + 0.1 * smooth + 0.35 * distance
        return total, {"l1": float(l1.detach()), "painted": float(painted.detach()), "opacity": float(opacity.detach())}

    return loss


def gmm_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """L1 of warped against worn cloth and outline, plus the paper's 0.04 x second-order difference of the points."""
    theta, grid = model(batch["person"], batch["cloth_small"])
    warped = F.grid_sample(batch["cloth"], grid, padding_mode="border", align_corners=False)
    warped_mask = F.grid_sample(batch["cloth_mask"], grid, padding_mode="border", align_corners=False)
    worn = (warped * warped_mask - batch["worn"]).abs().mean()
    outline = (warped_mask - batch["worn_mask"]).abs().mean()
    side = round((theta.shape[1] // 2) ** 0.5)
    points = theta.float().reshape(len(theta), 2, side, side)
    bend = points.diff(n=2, dim=2).abs().mean() + points.diff(n=2, dim=3).abs().mean()
    return worn + outline + 0.04 * bend, {"worn": float(worn.detach()), "outline": float(outline.detach())}


def train(
    data: Sequence[str | Path],
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    part: str = "alias",
    garments: Sequence[str | Path] = (),
    rendered: int = 300,
    network: str = "starter",
    parsing: str = "parsing",
    pose: str = "pose",
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train one network on single photographs and write it to ``folder``/PART/weights.

    Args:
        data: Folders in the CCP layout.
        folder: Run folder; the pairs are prepared there once and the run resumes.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        part: ``seg``, ``gmm`` or ``alias``.
        garments: Folders of photos of upper garments, whose outlines the un-warped garments take.
        rendered: Rendered people to add to the photographs.
        network: A name of `CONFIGS`.
        parsing: Parser whose encoder measures the feature distance.
        pose: Pose network that finds the joints of the photographs.
        log: Receives progress lines.

    Returns:
        The folder of the component.

    Raises:
        InputError: ``train.part`` for an unknown part.
    """
    if part not in PARTS:
        raise InputError("train.part", "There is no such network", seen=part, remedy=f"Use one of: {', '.join(PARTS)}")
    folder = Path(folder)
    shape = CONFIGS[network]
    store = pairs.prepare(data, folder / "pairs.npz", garments=garments, rendered=rendered, pose=pose, log=log)
    log(f"{len(store)} people with {store.fits} fitted garments")
    if part == "seg":
        model, loss, values = SegGenerator(shape.seg), seg_loss, asdict(shape.seg)
    elif part == "gmm":
        model, loss, values = GMM(shape.gmm), gmm_loss, asdict(shape.gmm)
    else:
        from pipelines.person.parsing.pipeline import ParsingPipeline

        parser = ParsingPipeline.from_pretrained(parsing, device=str(runtime.device)).model
        model, loss, values = ALIASGenerator(shape.alias), alias_loss(features_of(parser)), asdict(shape.alias)  # type: ignore[arg-type]
    if isinstance(model, ALIASGenerator):  # start from the first fill and the plain cloth, uncorrected
        for parameter in model.conv_img.parameters():
            nn.init.zeros_(parameter)
    draw = store.gmm_sample if part == "gmm" else store.sample
    model = training.fit(model, loss, draw, folder / part, config, runtime, log=log)
    checkpoint.save_component(folder / part / "weights", model, values)
    return folder / part / "weights"
