"""Training Vitruvio on buildings that are drawn as it goes: no data set, no download.

The loss is the published one. Ours: the buildings (pipelines/synthetic), half of the points close to the surface, a
store of earlier drawings so that a slow pencil does not hold up the network, and mirrored copies.
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

from pipelines.core import checkpoint, training
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.synthetic.buildings import POSES, QUERY, sample_building, sample_points
from pipelines.synthetic.linework import draw, sample_hand, sample_view
from pipelines.vitruvio.network import CONFIGS, OccupancyConfig, OccupancyNetwork

POLICIES = {"quarter": "quadrant", "canonical": "around", "free": "around"}  # where the camera may stand for each pose

_KEPT_POINTS = 2048
_FRESH = 4  # one drawing in so many is new
_KEPT = 60_000  # drawings, about 30 kB each
_HELD = 96  # drawings that the log's figure is of, from another stream than the 200 of the evaluation


def train(
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    network: str = "starter",
    pose: str = "quarter",
    points: int = 256,
    start: str | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and write its weights.

    Args:
        folder: Run folder: log, resumable state, weights.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        network: One of ``CONFIGS``.
        pose: How buildings stand: ``quarter`` (turned so that the camera is between +x and +z), ``canonical`` (the long
            side along x, seen from anywhere) or ``free`` (any angle), the two that the paper compares.
        points: Points per drawing and step.
        start: Folder of weights to train further.
        log: Receives one line now and then.

    Returns:
        Folder of the weights.

    Raises:
        InputError: ``train.network`` or ``train.pose`` for a name that is not known.
        PipelineError, WeightsError: as `training.fit` and `checkpoint.load_strict`.
    """
    for name, value, known in (("network", network, tuple(CONFIGS)), ("pose", pose, POSES)):
        if value not in known:
            raise InputError(f"train.{name}", f"There is no such {name}", seen=value, remedy=f"One of {known}")
    shape = CONFIGS[network]
    source = training.Reservoir(lambda rng: drawn_building(rng, shape, pose), every=_FRESH, capacity=_KEPT)
    rng = np.random.default_rng((config.seed, 1))
    held = [sample(drawn_building(rng, shape, pose, near=0.0), rng, _KEPT_POINTS, mirrored=False) for _ in range(_HELD)]

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"val_iou": round(mean_iou(model, held, runtime), 4)}

    torch.manual_seed(config.seed)
    model = OccupancyNetwork(shape)
    if start is not None:
        checkpoint.load_strict(model, checkpoint.read_state_dict(Path(start) / "model.safetensors"), source=str(start))
    model = training.fit(
        model,
        occupancy_loss,
        lambda rng: sample(source(rng), rng, points, mirrored=pose == "quarter" and rng.random() < 0.5),
        folder,
        config,
        runtime,
        evaluate=evaluate,
        log=log,
    )
    checkpoint.save_component(Path(folder) / "weights", model, asdict(shape) | {"pose": pose, "threshold": 0.5})
    return Path(folder) / "weights"


def drawn_building(rng: Generator, shape: OccupancyConfig, pose: str, near: float = 0.5) -> dict[str, NDArray[Any]]:
    """Draw a building and its sketch.

    Returns:
        ``sketch`` (S, S) uint8, black on white; ``points`` (2048, 3) float16, as the published layout stores them;
        ``occupied`` (2048,) bool.
    """
    building = sample_building(rng, pose=pose)
    camera = sample_view(building, rng, policy=POLICIES[pose])
    sketch = draw(building, camera, sample_hand(rng, 0 if rng.random() < 0.15 else 1), rng, size=shape.picture_size)
    points, occupied = sample_points(building, rng, _KEPT_POINTS, near)
    return {"sketch": sketch, "points": points.astype(np.float16), "occupied": occupied}


def sample(
    drawn: dict[str, NDArray[Any]], rng: Generator, count: int, *, mirrored: bool
) -> dict[str, NDArray[np.float32]]:
    """Take ``count`` of a drawing's points.

    Args:
        drawn: Of `drawn_building`.
        rng: Source of chance.
        count: How many.
        mirrored: Mirror picture and building. What is mirrored in a picture is, for a camera between +x and +z,
            mirrored at the plane x = z: the two axes change places, and the camera stays between them.

    Returns:
        ``picture`` (1, S, S) float32 in [0, 1], ``points`` (count, 3) and ``occupied`` (count,) float32.
    """
    chosen = rng.choice(len(drawn["points"]), count, replace=False, shuffle=False)
    sketch, points = drawn["sketch"], drawn["points"][chosen].astype(np.float32)
    if mirrored:
        sketch, points = sketch[:, ::-1], np.ascontiguousarray(points[:, ::-1])
    picture = sketch[None].astype(np.float32) / np.float32(255)
    return {"picture": picture, "points": points, "occupied": drawn["occupied"][chosen].astype(np.float32)}


def occupancy_loss(model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
    """The published objective, divided by the number of points: gradients are clipped, and so keep their measure."""
    if not isinstance(model, OccupancyNetwork):
        raise TypeError(f"this loss is OccupancyNetwork's, not {type(model).__name__}'s")
    picture = batch["picture"]
    if model.config.channels == 3:
        picture = picture.expand(-1, 3, -1, -1)
    loss = model.loss(batch["points"].clamp(-QUERY, QUERY), batch["occupied"], picture)
    count = batch["points"].shape[1]
    return loss.total / count, {"divergence": float(loss.divergence.detach().mean())}


@torch.inference_mode()
def mean_iou(model: nn.Module, held: list[dict[str, NDArray[np.float32]]], runtime: Runtime) -> float:
    """Mean over drawings of the intersection over union of even points."""
    total = 0.0
    for item in held:
        batch = {name: torch.as_tensor(value, device=runtime.device)[None] for name, value in item.items()}
        picture = batch["picture"].expand(-1, model.config.channels, -1, -1)  # pyright: ignore
        with runtime.autocast():
            inside = model(batch["points"], picture)[0] > 0
        truth = batch["occupied"][0] > 0.5
        total += float((inside & truth).sum() / (inside | truth).sum().clamp(min=1))
    return total / len(held)
