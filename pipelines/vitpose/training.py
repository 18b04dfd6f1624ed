"""Training ViTPose on the LSP layout (`images/*.jpg`, `joints.json`).

Loss, target width and augmentation follow the paper's recipe (mean squared error on Gaussian heat-maps weighted by
visibility, UDP coordinates, flip, scale, rotation). Ours, because a few thousand small pictures are all there is:
colour and erasing augmentation, and a nose taken as the middle of neck and head top at half weight (LSP has no face).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.core import checkpoint, imagenet, training
from pipelines.core.augment import is_validation, recolour
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.vitpose.decoding import COCO_FLIP
from pipelines.vitpose.network import CONFIGS, VitPose

# LSP joint order -> COCO index: ankles, knees, hips, wrists, elbows, shoulders, each with its person-centric side.
LSP_TO_COCO = (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9)
LSP_NECK, LSP_HEAD_TOP = 12, 13

Example = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]  # RGB, (17, 2) pixels, (17,) weight


def read_lsp(folder: str | Path, *, validation: bool) -> list[tuple[Path, NDArray[np.float32], NDArray[np.float32]]]:
    """Read the LSP layout.

    Returns:
        (image path, (17, 2) COCO keypoints in pixels, (17,) weights in [0, 1]) for each item of the split.

    Raises:
        InputError: ``data.layout`` if `joints.json` or `images` is absent.
    """
    folder = Path(folder)
    try:
        joints = json.loads((folder / "joints.json").read_text(encoding="utf-8"))["joints"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "data.layout",
            "This folder is not in the LSP layout",
            seen=folder,
            remedy="It needs images/ and joints.json",
        ) from error
    items = []
    for stem, values in sorted(joints.items()):
        path = folder / "images" / f"{stem}.jpg"
        if is_validation(stem) != validation or not path.is_file():
            continue
        lsp = np.asarray(values, np.float32)
        xy, weight = np.zeros((17, 2), np.float32), np.zeros(17, np.float32)
        xy[list(LSP_TO_COCO)], weight[list(LSP_TO_COCO)] = lsp[:12, :2], lsp[:12, 2]
        if lsp[LSP_NECK, 2] and lsp[LSP_HEAD_TOP, 2]:
            xy[0], weight[0] = (lsp[LSP_NECK, :2] + lsp[LSP_HEAD_TOP, :2]) / 2, 0.5
        items.append((path, xy, weight))
    return items


def heatmaps(xy: NDArray[np.float32], size: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    """Gaussian targets.

    Args:
        xy: (K, 2) coordinates in heat-map pixels.
        size: (height, width).
        sigma: Standard deviation in heat-map pixels.

    Returns:
        (K, height, width) float32 in [0, 1].
    """
    columns, rows = np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32)
    across = np.exp(-((columns[None] - xy[:, :1]) ** 2) / (2 * sigma**2))
    down = np.exp(-((rows[None] - xy[:, 1:]) ** 2) / (2 * sigma**2))
    return (down[:, :, None] * across[:, None, :]).astype(np.float32)


def augmented(example: Example, size: tuple[int, int], sigma: float, rng: np.random.Generator) -> dict[str, Any]:
    """One training sample: random crop, turn, flip and colour of one example.

    Returns:
        image (3, H, W) float32 normalised; target (17, H/4, W/4) float32; weight (17,) float32.
    """
    picture, xy, weight = example
    height, width = size
    rows, columns = picture.shape[:2]
    known = xy[weight > 0]
    if rng.random() < 0.5 or len(known) < 4:
        centre, tall = np.array([columns / 2, rows / 2]), max(rows, columns * height / width) * 1.25
    else:  # a tight box around the joints, as a detector would put out; now and then only the upper half
        if rng.random() < 0.4 and (weight[5:13] > 0).any():
            known = xy[:13][weight[:13] > 0]
        low, high = known.min(0), known.max(0)
        span = np.maximum(high - low, 16) * 1.2
        centre, tall = (low + high) / 2, max(span[1], span[0] * height / width) * 1.25
    tall *= float(np.clip(np.exp(rng.normal(0, 0.22)), 0.6, 1.5))
    centre = centre + rng.normal(0, 0.04, 2) * tall
    turn = rng.normal(0, 18) if rng.random() < 0.6 else 0.0
    scale, radians = height / tall, math.radians(turn)
    c, s = math.cos(radians) * scale, math.sin(radians) * scale
    affine = np.array([[c, -s, 0.0], [s, c, 0.0]])
    flip = rng.random() < 0.5
    if flip:
        affine[0] *= -1
    affine[:, 2] = np.array([(width - 1) / 2, (height - 1) / 2]) - affine[:, :2] @ centre
    warped = cv2.warpAffine(picture, affine, (width, height), flags=cv2.INTER_LINEAR)
    points = xy @ affine[:, :2].T.astype(np.float32) + affine[:, 2].astype(np.float32)
    seen = weight.copy()
    if flip:
        points, seen = points[list(COCO_FLIP)], seen[list(COCO_FLIP)]
    seen[((points < 0) | (points > [width - 1, height - 1])).any(1)] = 0
    image = recolour(warped.astype(np.float32) / np.float32(255), rng)
    if rng.random() < 0.3:
        h, w = (rng.uniform(0.08, 0.3, 2) * size).astype(int)
        y, x = rng.integers(0, height - h), rng.integers(0, width - w)
        image[y : y + h, x : x + w] = rng.uniform(0, 1, 3)
    small = np.array([(width // 4 - 1) / (width - 1), (height // 4 - 1) / (height - 1)], np.float32)
    normal = (image - np.asarray(imagenet.MEAN, np.float32)) / np.asarray(imagenet.STD, np.float32)
    return {
        "image": np.ascontiguousarray(normal.transpose(2, 0, 1), dtype=np.float32),
        "target": heatmaps(points.astype(np.float32) * small, (height // 4, width // 4), sigma),
        "weight": seen.astype(np.float32),
    }


def heatmap_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Mean squared error weighted by visibility, averaged over joints (times 1000, to keep the logs readable).

    Pixels near a joint weigh more (1 + 4 x target): ours, so that maps do not start by collapsing to zero.
    """
    predicted = model(batch["image"].contiguous(memory_format=torch.channels_last)).float()
    target, weight = batch["target"], batch["weight"][..., None, None]
    return 1000 * ((predicted - target) ** 2 * (1 + 4 * target) * weight).mean(), {}


def train(
    data: Sequence[str | Path],
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    network: str = "starter",
    encoder: str | Path | None = None,
    start: str | Path | None = None,
    rendered: Callable[[np.random.Generator], Example] | None = None,
    rendered_share: float = 0.25,
    sigma: float = 1.7,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a ViTPose network and write it to ``folder``/weights.

    Args:
        data: Folders in the LSP layout.
        folder: Run folder; resumes if it holds a run.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        network: A name of `CONFIGS`.
        encoder: A state dict of our human parser, whose encoder starts the `conv` stem; None starts from chance.
        start: A component folder whose weights the run starts from, to train further; its shape must be `network`'s.
        rendered: Draws a rendered person with all 17 keypoints; None trains on photographs only.
        rendered_share: Share of rendered samples.
        sigma: Width of the Gaussian targets in heat-map pixels.
        log: Receives progress lines.

    Returns:
        The folder of the component (config.json and model.safetensors).
    """
    shape = CONFIGS[network]
    items = [item for part in data for item in read_lsp(part, validation=False)]
    held = [item for part in data for item in read_lsp(part, validation=True)]
    pictures = {path: read_picture(path) for path, _, _ in items}
    log(f"{len(items)} photographs to train on, {len(held)} held out")

    drawn = training.Reservoir(rendered) if rendered else None

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        if drawn is not None and rng.random() < rendered_share:
            return augmented(drawn(rng), shape.image_size, sigma, rng)
        path, xy, weight = items[rng.integers(len(items))]
        return augmented((pictures[path], xy, weight), shape.image_size, sigma, rng)

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"val_pck": round(pck(model, held, runtime)["pck"], 4)}

    torch.manual_seed(config.seed)
    model = VitPose(shape)
    if encoder is not None:
        start_stem(model, checkpoint.read_state_dict(encoder))
    if start is not None:
        checkpoint.load_strict(model, checkpoint.read_state_dict(Path(start) / "model.safetensors"), source=str(start))
    model = training.fit(model, heatmap_loss, draw, folder, config, runtime, evaluate=evaluate, log=log)
    checkpoint.save_component(Path(folder) / "weights", model, asdict(shape))
    return Path(folder) / "weights"


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read an RGB picture (H, W, 3) uint8.

    Raises:
        InputError: ``input.unreadable``.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(
            "input.unreadable", "This picture cannot be read", seen=path, remedy="Remove it from the folder"
        )
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def pck(model: nn.Module, items: Sequence[tuple[Path, Any, Any]], runtime: Runtime) -> dict[str, float]:
    """PCK@0.2 as `studio eval pose` defines it, for items of `read_lsp`: pooled (`pck`) and by joint name."""
    from pipelines.core.metrics import pck_score
    from pipelines.vitpose.pipeline import VitPosePipeline

    pipeline = VitPosePipeline(model, runtime)
    truth, found, visible = [], [], []
    for path, xy, weight in items:
        pose = pipeline(read_picture(path))[0]
        truth.append(xy)
        found.append(pose.xy)
        visible.append(weight == 1)
    return pck_score(np.stack(found), np.stack(truth), np.stack(visible))


def start_stem(model: VitPose, parser: Mapping[str, Tensor]) -> None:
    """Copy the encoder of a human parser into the `conv` stem.

    Raises:
        InputError: ``train.encoder`` if the network has another stem or the widths differ.
    """
    stem = model.backbone.patch_embed
    wanted = {key: value for key, value in stem.state_dict().items() if not key.startswith("proj.")}
    if not wanted or any(key not in parser or parser[key].shape != value.shape for key, value in wanted.items()):
        raise InputError("train.encoder", "This parser's encoder does not fit the stem", seen=model.config.stem)
    stem.load_state_dict({key: parser[key].float() for key in wanted}, strict=False)
