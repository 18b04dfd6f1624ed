"""Training the landmark network on drawn silhouettes. No photograph is involved.

Loss: smooth L1 on the landmarks, cross-entropy on the sleeve class, and the Laplace likelihood of the distances, which
teaches the network to say how far off it expects to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core import checkpoint, training
from pipelines.core.runtime import Runtime
from pipelines.person.garment import silhouettes
from pipelines.person.garment.network import CONFIGS, GarmentNet
from pipelines.person.garment.pipeline import CUTOUT

HELD_SEED = 1_000_003  # training draws from (config.seed, worker), which never reaches this
HELD_COUNT = 600


def sample(rng: np.random.Generator, size: int) -> dict[str, Any]:
    """One training sample: mask (1, size, size) float32, points (20, 2) float32 in [-1, 1], sleeve int64."""
    drawn = silhouettes.draw(rng, size)
    return {
        "mask": drawn.mask[None].astype(np.float32) / 255,
        "points": (drawn.landmarks + 0.5) * (2 / size) - 1,
        "sleeve": np.int64(drawn.sleeve),
    }


def landmark_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of the three losses; logs the mean distance in pixels of a 96 px mask."""
    found = model(batch["mask"].contiguous(memory_format=torch.channels_last))
    place = F.smooth_l1_loss(found.points, batch["points"], beta=0.03)
    distance = (found.points - batch["points"]).norm(dim=2).detach()
    spread = found.log_error.clamp(-7, 1)
    likelihood = (distance * torch.exp(-spread) + spread).mean()
    sleeve = F.cross_entropy(found.sleeve, batch["sleeve"])
    right = (found.sleeve.argmax(1) == batch["sleeve"]).float().mean()
    figures = {"pixels_of_96": float(distance.mean()) * 48, "sleeve": float(right)}
    return 10 * place + 0.02 * likelihood + 0.1 * sleeve, figures


@torch.inference_mode()
def evaluate(model: nn.Module, runtime: Runtime, count: int = HELD_COUNT) -> dict[str, float]:
    """Mean distance in pixels of a 96 px mask and sleeve accuracy on held-out silhouettes, without averaging."""
    size: int = model.config.size  # type: ignore[assignment, union-attr]
    drawn = [sample(np.random.default_rng((HELD_SEED, i)), size) for i in range(count)]
    distances, right = [], []
    for start in range(0, count, 100):
        part = drawn[start : start + 100]
        masks = torch.from_numpy(np.stack([d["mask"] for d in part])).to(runtime.device)
        with runtime.autocast():
            found = model(masks)
        truth = torch.from_numpy(np.stack([d["points"] for d in part])).to(runtime.device)
        distances.append((found.points - truth).norm(dim=2).mean(1).cpu())
        right += [int(a) == int(d["sleeve"]) for a, d in zip(found.sleeve.argmax(1), part, strict=True)]
    pixels = torch.cat(distances).float() * 48
    return {
        "val_pixels_of_96": round(float(pixels.mean()), 3),
        "val_pixels_p90": round(float(pixels.quantile(0.9)), 3),
        "val_sleeve": round(float(np.mean(right)), 4),
    }


def train(
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    network: str = "starter",
    start: str | Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train the landmark network and write it to ``folder``/weights.

    Args:
        folder: Run folder; resumes if it holds a run.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        network: A name of `CONFIGS`.
        start: A component folder whose weights the run starts from, to train further; its shape must be `network`'s.
        log: Receives progress lines.

    Returns:
        The folder of the component: config.json, which says that there is no network of the cut-out, and
        model.safetensors.
    """
    shape = CONFIGS[network]
    torch.manual_seed(config.seed)
    model = GarmentNet(shape)
    if start is not None:
        checkpoint.load_strict(model, checkpoint.read_state_dict(Path(start) / "model.safetensors"), source=str(start))
    model = training.fit(
        model,
        landmark_loss,
        lambda rng: sample(rng, shape.size),
        folder,
        config,
        runtime,
        evaluate=lambda m: evaluate(m, runtime),
        log=log,
    )
    checkpoint.save_component(Path(folder) / "weights", model, {**asdict(shape), CUTOUT: False})
    return Path(folder) / "weights"
