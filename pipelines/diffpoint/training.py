"""Training DiffPoint on objects that are drawn as it goes.

Not stated by the paper, and our choice: the loss is the mean squared distance of each point's estimate, weighted by the
signal-to-noise ratio within bounds (diffusion.py); colours and normals are learnt beside it, the more the less noise
there is. One picture in ten is replaced by none, so that classifier-free guidance can be had.

At high noise the best estimate of every point is the middle of the object, so that the loss says little of what the
pictures show. The merged tokens are therefore asked directly as well: a layer that is thrown away afterwards tells from
each of them which of some cells the surface passes through. Each object is noised twice, its pictures read once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.core import checkpoint, training
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.core.shape_metrics import chamfer
from pipelines.diffpoint import diffusion
from pipelines.diffpoint.augmentation import disturbed
from pipelines.diffpoint.inference import sampled
from pipelines.diffpoint.network import CONFIGS, DiffPoint
from pipelines.diffpoint.views import as_input
from pipelines.synthetic.objects import picture, sample_camera, sample_object, surface

VIEWS = 3  # of each object
DROPPED = 0.1
COLOUR, NORMAL, CELLS = 0.1, 0.1, 1.0  # weights of the three other losses
CELLS_A_SIDE = 16  # of the object's box, for what the pictures' tokens are asked
NOISED = 2  # times that each object is, within a step
_KEPT_POINTS = 4096
_FRESH = 5  # one object in so many is new
_KEPT = 2500  # objects, about 0.3 MB each
_HELD, _HELD_SEED = 48, 77
_QUICK_STEPS = 12


def train(
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    network: str = "starter",
    points: int = 1024,
    start: str | Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and write its weights.

    Args:
        folder: Run folder: log, resumable state, weights.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        network: One of ``CONFIGS``; ``official`` takes tokens of CLIP, which drawn objects do not have.
        points: Of each cloud and step; at least the network's ``coarse``.
        start: Folder of weights to train further.
        log: Receives one line now and then.

    Returns:
        Folder of the weights.

    Raises:
        InputError: ``train.network`` or ``train.points``.
        PipelineError, WeightsError: as `training.fit` and `checkpoint.load_strict`.
    """
    known = [name for name, shape in CONFIGS.items() if shape.image == "conv"]
    if network not in known:
        raise InputError("train.network", "There is no such network", seen=network, remedy=f"One of {known}")
    shape = CONFIGS[network]
    if not shape.coarse <= points <= _KEPT_POINTS:
        raise InputError(
            "train.points", "Clouds to train on cannot have so many points", seen=points,
            remedy=f"From {shape.coarse} to {_KEPT_POINTS}",
        )  # fmt: skip
    source = training.Reservoir(lambda rng: drawn_object(rng, shape.image_size), every=_FRESH, capacity=_KEPT)
    held = [drawn_object(np.random.default_rng((_HELD_SEED, number)), shape.image_size) for number in range(_HELD)]
    share = diffusion.signal()

    def loss(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return cloud_loss(model, batch, share)

    def evaluate(model: Any) -> dict[str, float]:
        return quick_score(model.network, held, runtime)

    torch.manual_seed(config.seed)
    model = Asked(DiffPoint(shape))
    if start is not None:
        checkpoint.load_strict(model.network, checkpoint.read_state_dict(Path(start) / checkpoint.WEIGHTS), source=str(start))
    trained = training.fit(
        model, loss, lambda rng: sample(source(rng), rng, points), folder, config, runtime,
        evaluate=evaluate, settings={"network": network, "points": points}, log=log,
    )  # fmt: skip
    checkpoint.save_component(Path(folder) / "weights", trained.network, asdict(shape))
    return Path(folder) / "weights"


class Asked(nn.Module):
    """The network, and the layer that asks its condition where the surface is; only training needs that one.

    Attributes:
        network: What is trained.
    """

    def __init__(self, network: DiffPoint) -> None:
        super().__init__()
        self.network = network
        self.cells = nn.Linear(network.config.embed, -(-(CELLS_A_SIDE**3) // network.config.condition))

    def occupied(self, condition: Tensor) -> Tensor:
        """(B, condition, embed) -> (B, 4096) logits, each token answering for a run of cells."""
        return self.cells(condition).flatten(1)[:, : CELLS_A_SIDE**3]


def drawn_object(rng: Generator, size: int) -> dict[str, NDArray[Any]]:
    """Draw an object, three views of it and its surface.

    Returns:
        ``views`` (3, S, S, 4) uint8 colours and coverage; ``points`` (4096, 9) float16 place, colour in [0, 1], normal.
    """
    shape = sample_object(rng)
    views = []
    for _ in range(VIEWS):
        colours, cover = picture(shape, sample_camera(rng), size)
        views.append(np.concatenate([colours, cover[..., None]], 2))
    points, normals, colours = surface(shape, rng, _KEPT_POINTS)
    return {"views": np.stack(views), "points": np.concatenate([points, colours, normals], 1).astype(np.float16)}


def sample(item: dict[str, NDArray[Any]], rng: Generator, points: int) -> dict[str, NDArray[np.float32]]:
    """What the loss takes, float32: ``views`` (3, 4, S, S) in any order, ``cloud`` (points, 9), ``cells`` (4096,)."""
    views = [as_input(disturbed(item["views"][number], rng)) for number in rng.permutation(VIEWS)]
    chosen = rng.choice(len(item["points"]), points, replace=False)
    cloud = item["points"][chosen].astype(np.float32)
    cloud[:, :3] *= diffusion.SCALE
    place = np.clip((item["points"][:, :3].astype(np.float32) + 0.5) * CELLS_A_SIDE, 0, CELLS_A_SIDE - 1).astype(int)
    cells = np.zeros(CELLS_A_SIDE**3, np.float32)
    cells[(place[:, 0] * CELLS_A_SIDE + place[:, 1]) * CELLS_A_SIDE + place[:, 2]] = 1
    return {"views": np.stack(views), "cloud": cloud, "cells": cells}


def cloud_loss(model: Asked, batch: dict[str, Tensor], share: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and its parts.

    Args:
        model: In training mode.
        batch: Of `sample`.
        share: Of `diffusion.signal`.
    """
    network = model.network
    # One view as often as two and three together.
    count = max(1, int(torch.randint(0, 4, ())))
    condition = network.condition(batch["views"][:, :count])
    cells = F.binary_cross_entropy_with_logits(model.occupied(condition).float(), batch["cells"])
    cloud, condition = (value.repeat_interleave(NOISED, 0) for value in (batch["cloud"], condition))
    steps = torch.randint(0, diffusion.STEPS, (len(cloud),), device=cloud.device)
    share = share.to(cloud.device)[steps]
    dropped = torch.rand(len(cloud), device=cloud.device) < DROPPED
    condition = torch.where(dropped[:, None, None], network.nothing.to(condition.dtype), condition)
    clean = cloud[..., :3]
    found = network(diffusion.noised(clean, torch.randn_like(clean), share), steps, condition)
    place = (found[..., :3] - clean).square().mean((1, 2))
    told = share * ~dropped  # what colour and normal the points of pure noise have means nothing
    colour = ((found[..., 3:6] - cloud[..., 3:6]).square().mean((1, 2)) * told).mean()
    normal = ((1 - F.cosine_similarity(found[..., 6:], cloud[..., 6:], dim=-1)).mean(1) * told).mean()
    total = (diffusion.weight(share) * place).mean() + COLOUR * colour + NORMAL * normal + CELLS * cells
    parts = {"place": place.mean(), "colour": colour, "normal": normal, "cells": cells}
    return total, {name: float(value.detach()) for name, value in parts.items()}


def quick_score(
    model: DiffPoint, held: list[dict[str, NDArray[Any]]], runtime: Runtime, *, points: int = 1024, batch: int = 16
) -> dict[str, float]:
    """Mean chamfer distance of clouds drawn in few steps from one view and from three, for the log."""
    figures = {}
    for count in (1, VIEWS):
        distances = []
        for first in range(0, len(held), batch):
            group = held[first : first + batch]
            views = np.stack([[as_input(view) for view in item["views"][:count]] for item in group])
            with torch.inference_mode(), runtime.autocast():
                condition = model.condition(torch.from_numpy(views).to(runtime.device))
            found = sampled(model, condition, points, runtime, clouds=len(group), steps=_QUICK_STEPS)
            for cloud, item in zip(found[..., :3].cpu().numpy(), group, strict=True):
                distances.append(chamfer(cloud, item["points"][:2048, :3].astype(np.float32))[0])
        figures[f"val_chamfer_{count}"] = round(float(np.mean(distances)), 5)
    return figures
