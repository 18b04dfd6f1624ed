"""Training the cut-out's network; what it sees is in prior_data.py.

Loss: cross-entropy plus soft Dice, each sample's own, and the worst sixth of a batch does not count: some cut-outs that
serve as labels are wrong, and a small network finds those hardest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core import checkpoint, training
from pipelines.core.runtime import Runtime
from pipelines.person.garment import prior_data
from pipelines.person.garment.prior import CONFIGS, PriorNet, as_input

HELD_SEED = 1_000_003  # of renders and samples that training never draws
HELD_COUNT = 120
AGREED = 0.8  # overlap with the network's own outline below which a label is taken for wrong


def prior_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """The loss over the better five sixths of a batch, and the overlap over all of it."""
    logits, truth = model(batch["image"].contiguous(memory_format=torch.channels_last)), batch["mask"]
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2, 3))
    share = torch.sigmoid(logits)
    dice = 1 - (2 * (share * truth).sum((1, 2, 3)) + 1) / ((share + truth).sum((1, 2, 3)) + 1)
    each = entropy + 0.5 * dice
    kept = each.topk(max(1, round(len(each) * 5 / 6)), largest=False).values
    return kept.mean(), {"overlap": float(_overlap(logits, truth).mean())}


def _overlap(logits: Tensor, truth: Tensor) -> Tensor:
    """(B,) intersection over union."""
    one, other = logits.detach() > 0, truth > 0.5
    return (one & other).sum((1, 2, 3)) / (one | other).sum((1, 2, 3)).clamp(min=1)


@torch.inference_mode()
def evaluate(model: nn.Module, runtime: Runtime, held: prior_data.Stock) -> dict[str, float]:
    """Mean and 10th percentile of the overlap on held-out rendered garments, whose outline is exact."""
    size: int = model.config.size  # type: ignore[assignment, union-attr]
    found = []
    for start in range(0, HELD_COUNT, 24):
        drawn = [
            prior_data.sample(np.random.default_rng((HELD_SEED, start + i)), held, size, (0.0, 0.0, 1.0))
            for i in range(24)
        ]
        images, masks = (
            torch.from_numpy(np.stack([d[k] for d in drawn])).to(runtime.device) for k in ("image", "mask")
        )
        with runtime.autocast():
            found.append(_overlap(model(images), masks).cpu())
    each = torch.cat(found)
    return {"val_overlap": round(float(each.mean()), 4), "val_overlap_p10": round(float(each.quantile(0.1)), 4)}


@torch.inference_mode()
def agreed(model: PriorNet, photos: list[prior_data.Pair], runtime: Runtime) -> list[prior_data.Pair]:
    """The photos whose label an earlier network finds much the same."""
    model = model.to(runtime.device).eval()
    size, out = model.config.size, []
    for start in range(0, len(photos), 32):
        part = photos[start : start + 32]
        images = torch.from_numpy(np.stack([as_input(photo, size) for photo, _ in part])).to(runtime.device)
        masks = torch.from_numpy(np.stack([prior_data.stretched(alpha, size) for _, alpha in part])[:, None])
        with runtime.autocast():
            same = _overlap(model(images), masks.to(runtime.device))
        out += [pair for pair, overlap in zip(part, same.tolist(), strict=True) if overlap >= AGREED]
    return out


def train(
    data: Sequence[Path],
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    network: str = "starter",
    start: str | Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train the cut-out's network and write it to ``folder``/weights.

    Args:
        data: Folders with CLASS/*.jpg, photos of single garments.
        folder: Run folder; resumes if it holds a run. Cut-outs of the photos are kept in ``folder``/cutouts.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        network: A name of `CONFIGS`.
        start: A component folder whose weights the run starts from; labels that it contradicts are left out.
        log: Receives progress lines.

    Returns:
        The folder of the component (config.json and model.safetensors).
    """
    shape = CONFIGS[network]
    torch.manual_seed(config.seed)
    model = PriorNet(shape)
    photos = [pair for place in data for pair in prior_data.label(Path(place), Path(folder) / "cutouts", log)]
    if start is not None:
        checkpoint.load_component(start, model)
        kept = agreed(model, photos, runtime)
        log(f"{len(kept)} of {len(photos)} labels agree with {start}")
        photos = kept
    stock = prior_data.gather(photos, config.seed, 0)
    held = prior_data.Stock([], stock.grounds, prior_data.render(HELD_SEED, 0, HELD_COUNT))
    log(f"{len(stock.photos)} photos, {len(stock.grounds)} grounds, {len(stock.renders)} rendered garments")
    model = training.fit(
        model,
        prior_loss,
        lambda rng: prior_data.sample(rng, stock, shape.size),
        folder,
        config,
        runtime,
        evaluate=lambda m: evaluate(m, runtime, held),
        log=log,
    )
    checkpoint.save_component(Path(folder) / "weights", model, asdict(shape))
    return Path(folder) / "weights"
