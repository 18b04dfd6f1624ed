"""Training IML-ViT: on photographs that are tampered with as it goes, or on a published data set of tampered ones.

The map's loss and the optimiser are those of the paper (AdamW, weight decay 0.05, betas 0.9 and 0.999; 1e-4 for the
published network, down along a cosine). Ours is the procedural source, because no data set may be shipped or fetched:
every step tampers with other photographs (synthetic/tampering.py), some less than half are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.core import checkpoint, training
from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError
from pipelines.core.metrics import auc, pixel_f1
from pipelines.core.runtime import Runtime
from pipelines.core.types import Image
from pipelines.iml_vit import calibration, dataset, evaluation_set, inference
from pipelines.iml_vit.augmentation import augmented
from pipelines.iml_vit.calibration import Calibration
from pipelines.iml_vit.dataset import LabelledPicture
from pipelines.iml_vit.losses import edge_mask, losses, overlap_loss
from pipelines.iml_vit.network import CONFIGS, ImlVit, probability
from pipelines.iml_vit.photographs import Photographs
from pipelines.iml_vit.pipeline import ImlVitPipeline
from pipelines.iml_vit.preprocess import BLOCK, BoolMask, padded, prepared
from pipelines.synthetic import tampering

UNTOUCHED = 0.45  # share of pictures that are left alone; pieces beside the edit of a larger picture join them
SHOTS = 0.1  # share of pictures that are screenshots
JUDGED = 0.5  # weight of the loss of the picture as a whole, for networks with a judge (our choice)
MARGIN = 1.3  # a piece of up to this many sides is tampered with and then cut: regions may end at the border
HELD = 160  # pictures of the validation that is logged while training
CALIBRATED, FEWEST = 400, 40  # photographs at most, and at least, that thresholds are fixed on
BETAS = (0.9, 0.999)
LR = {"official": 1e-4, "starter": 6e-4}


def sample(photographs: Photographs, side: int, rng: np.random.Generator) -> tuple[Image, BoolMask]:
    """A picture, (h, w, 3) uint8 with h and w at most ``side``, and its (h, w) mask, which is empty if left alone."""
    source, donor = (photographs.draw(rng, int(side * rng.uniform(1, MARGIN))) for _ in range(2))
    # As often of either: else frames and lines of text would come to mean that a picture is untouched.
    shot = rng.random() < SHOTS
    if rng.random() < UNTOUCHED:
        picture, _ = tampering.authentic(source.picture, rng, "screenshot" if shot else None)
        mask = np.zeros(picture.shape[:2], bool)
    else:
        made = tampering.tamper(source, donor, rng, shot=shot)
        picture, mask = made.picture, made.mask
    return _piece(picture, mask, side, rng)


def _piece(picture: Image, mask: BoolMask, side: int, rng: np.random.Generator) -> tuple[Image, BoolMask]:
    """At most ``side`` pixels each way of both, in whole blocks: turned about, they still begin at the corner."""
    piece = []
    for length in mask.shape:
        start = BLOCK * int(rng.integers(0, max(0, length - side) // BLOCK + 1))
        piece.append(slice(start, start + min(side, length - start) // BLOCK * BLOCK))
    return picture[tuple(piece)], mask[tuple(piece)]


def as_batch_item(picture: Image, mask: BoolMask, side: int) -> dict[str, Any]:
    """What the loss takes: image (3, side, side), mask and edge (1, side, side), all float32.

    The edge is found before the padding, so that the picture's border is none.
    """
    edge = edge_mask(mask)
    return {
        "image": prepared(picture, side, side),
        "mask": padded(mask.astype(np.float32), side, side)[None],
        "edge": padded(edge.astype(np.float32), side, side)[None],
    }


def turned(picture: Image, mask: BoolMask, rng: np.random.Generator) -> tuple[Image, BoolMask]:
    """Both by the same of the eight turns and mirrorings."""
    turns, mirror = int(rng.integers(4)), rng.random() < 0.5
    picture, mask = np.rot90(picture, turns), np.rot90(mask, turns)
    if mirror:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
    return np.ascontiguousarray(picture), np.ascontiguousarray(mask)


def mask_loss(model: ImlVit, batch: dict[str, Tensor], overlap: float = 0.0) -> tuple[Tensor, dict[str, float]]:
    """The paper's loss of a batch, with so much of `overlap_loss` on top, and a judge's; also the parts of it."""
    x, mask = batch["image"].contiguous(memory_format=torch.channels_last), batch["mask"]
    logits, judged = model.judged(x)
    everywhere, edge = losses(logits, mask, batch["edge"])
    parts = {"bce": everywhere, "edge": edge}
    total = everywhere + edge
    if overlap:
        parts["overlap"] = overlap_loss(logits, mask)
        total = total + overlap * parts["overlap"]
    if judged is not None:
        parts["picture"] = F.binary_cross_entropy_with_logits(judged.float(), mask.amax((1, 2, 3)))
        total = total + JUDGED * parts["picture"]
    return total, {name: float(value.detach()) for name, value in parts.items()}


@torch.inference_mode()
def quick_score(model: ImlVit, items: Sequence[dict[str, Any]], runtime: Runtime, batch: int = 8) -> dict[str, float]:
    """Pixel F1 at one half, pooled pixel AUC, and image AUC of items of `as_batch_item`.

    The picture's score is the judge's, or the 99th percentile of the map.

    A figure that needs tampered and untouched pictures is left out where one of them is missing.
    """
    maps, scores = [], []
    for start in range(0, len(items), batch):
        x = torch.from_numpy(np.stack([item["image"] for item in items[start : start + batch]])).to(runtime.device)
        x = x.contiguous(memory_format=torch.channels_last)
        with runtime.autocast():
            logits, judged = model.judged(x)
        chance = probability(logits, (x.shape[2], x.shape[3])).cpu().numpy()[:, 0]
        maps.append(chance)
        if judged is not None:
            scores.append(judged.cpu().numpy())
        else:
            scores.append(np.quantile(chance.reshape(len(chance), -1), 0.99, axis=1))
    found = np.concatenate(maps)
    truth = np.stack([item["mask"][0] for item in items]) > 0.5
    tampered = np.asarray(truth.any((1, 2)))
    figures = {}
    if tampered.any():
        pairs = zip(found[tampered], truth[tampered], strict=True)
        figures["val_f1"] = float(np.mean([pixel_f1(chance > 0.5, inside) for chance, inside in pairs]))
        figures["val_auc_pixel"] = auc(found[:, ::4, ::4].ravel(), truth[:, ::4, ::4].ravel())
    if tampered.any() and not tampered.all():
        figures["val_auc_image"] = auc(np.concatenate(scores), tampered)
    return {name: round(value, 4) for name, value in figures.items()}


def train(
    data: Sequence[str | Path],
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    network: str = "starter",
    side: int = 0,
    overlap: float = 0.0,
    start: str | Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and write its weights.

    Args:
        data: Folders of photographs, which are tampered with as it goes (photographs.py), or of labelled data sets,
            which get the paper's augmentations (dataset.py); not both.
        folder: Run folder: log, resumable state, weights.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        network: One of ``CONFIGS``.
        side: Of the training pictures in pixels; 0 takes the network's input. Smaller ones make more steps, and the
            relative positions of a network trained on them are those of the middle of its tables.
        overlap: Weight of `losses.overlap_loss`, which is not the paper's.
        start: Folder of weights to train further, or a file of masked-autoencoder weights for the encoder.
        log: Receives one line now and then.

    Returns:
        Folder of the weights.

    Raises:
        InputError: ``train.network``, ``train.side``, ``train.data``, or what `Photographs` and `dataset.listed` raise.
        PipelineError, WeightsError: as `training.fit` and `checkpoint.load_strict`.
    """
    if network not in CONFIGS:
        raise InputError("train.network", "There is no such network", seen=network, remedy=f"One of {tuple(CONFIGS)}")
    shape = CONFIGS[network]
    side = side or shape.input_size
    if side % 64 or not 64 <= side <= shape.input_size:
        raise InputError(
            "train.side", "Training pictures cannot have this side", seen=side,
            remedy=f"A multiple of 64 up to {shape.input_size}",
        )  # fmt: skip
    source, held, procedural = _source(data, side, config.seed, log)

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        return as_batch_item(*source(rng), side)

    def loss(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return mask_loss(model, batch, overlap)

    def evaluate(model: Any) -> dict[str, float]:
        return quick_score(model, held, runtime)

    torch.manual_seed(config.seed)
    model = ImlVit(shape)
    if start is not None:
        begin(model, start)
    chosen = asdict(config) | {"betas": BETAS, "lr": LR[network] if config.lr is None else config.lr}
    trained: Any = training.fit(
        model,
        loss,
        draw,
        folder,
        training.TrainConfig(**chosen),
        runtime,
        evaluate=evaluate if held else None,
        settings={"network": network, "side": side, "overlap": overlap, "procedural": procedural},
        log=log,
    )
    pipeline = ImlVitPipeline(trained, runtime)
    pipeline.calibration = calibrated(pipeline, data, log) if procedural else None
    pipeline.save_pretrained(Path(folder) / "weights")
    return Path(folder) / "weights"


Draw = Callable[[np.random.Generator], tuple[Image, BoolMask]]


def _source(
    data: Sequence[str | Path], side: int, seed: int, log: Callable[[str], None]
) -> tuple[Draw, list[dict[str, Any]], bool]:
    """What draws a training picture, the items that are scored while training, and whether it tampers by itself."""
    rng = np.random.default_rng((seed, 1))
    found = [_labelled(Path(folder)) for folder in data]
    items = [item for part in found if part is not None for item in part]
    if items and None in found:
        raise InputError(
            "train.data", "Photographs and labelled data sets cannot be trained on together",
            seen=", ".join(str(folder) for folder in data),
            remedy="Train on the one, then on the other with --set start=DIR",
        )  # fmt: skip
    if items:
        kept = [item for item in items if not is_validation(item.stem)]
        others = _spread([item for item in items if is_validation(item.stem)])
        log(f"{len(kept)} labelled pictures to train on, {len(items) - len(kept)} held out")
        held = [as_batch_item(*_piece(*dataset.read(item), side, rng), side) for item in others]

        def labelled(rng: np.random.Generator) -> tuple[Image, BoolMask]:
            picture, mask = _sound(kept, rng, log)
            return _piece(*augmented(picture, mask, rng), side, rng)

        return labelled, held, False
    photographs = Photographs(data, keep=lambda stem: not is_validation(stem))
    reserve = Photographs(data, keep=is_validation, fewest=0)
    log(f"{len(photographs)} photographs to train on, {len(reserve)} held out")
    held = [as_batch_item(*sample(reserve, side, rng), side) for _ in range(HELD)] if len(reserve) > 1 else []
    return lambda rng: turned(*sample(photographs, side, rng), rng), held, True


def _spread(items: list[LabelledPicture]) -> list[LabelledPicture]:
    """At most HELD items, evenly picked of the tampered and of the untouched ones, which data sets list apart."""
    halves = [[item for item in items if (item.mask is None) == untouched] for untouched in (False, True)]
    picked = [np.linspace(0, len(half) - 1, min(len(half), HELD // 2)).round().astype(int) for half in halves]
    return [half[number] for half, numbers in zip(halves, picked, strict=True) for number in numbers]


def _sound(
    items: list[LabelledPicture], rng: np.random.Generator, log: Callable[[str], None]
) -> tuple[Image, BoolMask]:
    """Read one at random. CASIA v2 holds pairs that do not fit each other: these are told, and left out from then."""
    while True:
        item = items[rng.integers(len(items))]
        try:
            return dataset.read(item)
        except InputError as error:
            if error.code != "data.mask-size" or len(items) < 2:
                raise
            log(f"left out: {error}")
            items.remove(item)


def _labelled(folder: Path) -> list[LabelledPicture] | None:
    """The items of a published data set; None of any other folder."""
    try:
        return dataset.listed(folder)[1]
    except InputError as error:
        if error.code != "data.layout":
            raise
        return None


def calibrated(
    pipeline: ImlVitPipeline, data: Sequence[str | Path], log: Callable[[str], None] = lambda line: None
) -> Calibration | None:
    """Fix thresholds and score on the part of the photographs that neither training nor figures use.

    Returns:
        None, and says so, where that part has fewer than ``FEWEST`` photographs.

    Raises:
        InputError: ``input.unreadable``.
    """
    try:
        items = [item for *_, item in evaluation_set.items(data, "calibration", limit=CALIBRATED)]
    except InputError as error:
        if error.code != "data.empty":
            raise
        items = []
    # The kind that is never trained on must not help to choose a threshold either.
    items = [item for item in items if item.tampered.kind != tampering.HELD_OUT]
    if len(items) < FEWEST:
        log(f"not calibrated: {len(items)} photographs are held out for that, {FEWEST} are needed")
        return None
    tampered, plain = (
        [inference.seen(pipeline.model, picture, pipeline.runtime) for picture in pictures]
        for pictures in ([item.tampered.picture for item in items], [item.authentic for item in items])
    )
    return calibration.fit(tampered, [item.tampered.mask for item in items], plain)


def begin(model: ImlVit, start: str | Path) -> None:
    """Load weights to train further: a folder of ours, or the encoder's from a masked autoencoder's file.

    Raises:
        WeightsError: ``weights.mismatch``.
    """
    path = Path(start)
    if path.is_dir():
        checkpoint.load_strict(model, checkpoint.read_state_dict(path / checkpoint.WEIGHTS), source=str(path))
        return
    own = model.encoder_net.state_dict()
    known = checkpoint.read_state_dict(path)
    # A masked autoencoder has no relative positions, and a class token and last norm that this network lacks.
    missing = {name: value for name, value in own.items() if name not in known and ".rel_pos_" in name}
    checkpoint.load_strict(
        model.encoder_net, {name: known[name] for name in own if name in known} | missing, source=str(path)
    )
