"""Training Vitruvio on buildings that are drawn as it goes, or on a folder in the published layout.

The loss is the published one, and so is what is drawn from a folder: a random view, random points with the published
jitter, validation on the first view. Ours, where buildings are drawn: the buildings (pipelines/synthetic), half of the
points close to the surface, a store of earlier drawings so that a slow pencil does not hold up the network, and
mirrored copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.core import checkpoint, training
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.synthetic.buildings import POSES, QUERY, sample_building, sample_points
from pipelines.synthetic.linework import draw_placed, sample_hand, sample_view
from pipelines.vitruvio import dataset
from pipelines.vitruvio.local import mirrored as mirrored_projection
from pipelines.vitruvio.network import CONFIGS, OccupancyConfig, OccupancyNetwork
from pipelines.vitruvio.preparation import pose_of

POLICIES = {"quarter": "quadrant", "canonical": "around", "free": "around"}  # where the camera may stand for each pose

_KEPT_POINTS = 2048
_FRESH = 4  # one drawing in so many is new
_KEPT = 60_000  # drawings, about 30 kB each
_NOWHERE = np.eye(3, 4)  # stands for a projection that is not known, and is not given on
_INK, _LEAST_INK = 160, 40  # grey below which a pixel is ink, and how many a drawing has
_HELD = 96  # drawings that the log's figure is of, from another stream than the 200 of the evaluation


def train(
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    data: Sequence[str | Path] = (),
    network: str = "starter",
    pose: str | None = None,
    points: int = 256,
    start: str | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and write its weights.

    Args:
        folder: Run folder: log, resumable state, weights.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        data: Folders in the layout of dataset.py; none draws buildings as it goes.
        network: One of ``CONFIGS``.
        pose: How buildings stand: ``quarter`` (turned so that the camera is between +x and +z), ``canonical`` (the long
            side along x, seen from anywhere) or ``free`` (any angle), the two that the paper compares. None takes
            ``quarter``; with a folder what its preparation noted, or else ``canonical``.
        points: Points per drawing and step.
        start: Folder of weights to train further; local features may be missing there.
        log: Receives one line now and then.

    Returns:
        Folder of the weights.

    Raises:
        InputError: ``train.network`` or ``train.pose`` for a name that is not known; with a folder what
            `dataset.models` and the files in it raise, or ``data.empty``.
        PipelineError, WeightsError: as `training.fit` and `checkpoint.load_strict`.
    """
    if pose is None:
        pose = (pose_of(data[0]) or "canonical") if data else "quarter"
    for name, value, known in (("network", network, tuple(CONFIGS)), ("pose", pose, POSES)):
        if value not in known:
            raise InputError(f"train.{name}", f"There is no such {name}", seen=value, remedy=f"One of {known}")
    shape = CONFIGS[network]
    rng = np.random.default_rng((config.seed, 1))
    if data:
        source, held = from_folders(data, shape, rng, points)
    else:
        source = training.Reservoir(lambda rng: drawn_building(rng, shape, pose), every=_FRESH, capacity=_KEPT)
        held = [
            sample(drawn_building(rng, shape, pose, near=0.0), rng, _KEPT_POINTS, mirrored=False) for _ in range(_HELD)
        ]

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"val_iou": round(mean_iou(model, held, runtime), 4)}

    torch.manual_seed(config.seed)
    model = OccupancyNetwork(shape)
    if start is not None:
        known = checkpoint.read_state_dict(Path(start) / "model.safetensors")
        if not any(name.startswith("local.") for name in known):  # these start as nothing, so they may join later
            known |= {name: value for name, value in model.state_dict().items() if name.startswith("local.")}
        checkpoint.load_strict(model, known, source=str(start))
    model = training.fit(
        model,
        occupancy_loss,
        lambda rng: sample(source(rng), rng, points, mirrored=pose == "quarter" and rng.random() < 0.5, moved=not data),
        folder,
        config,
        runtime,
        evaluate=evaluate if held else None,
        log=log,
    )
    checkpoint.save_component(Path(folder) / "weights", model, asdict(shape) | {"pose": pose, "threshold": 0.5})
    return Path(folder) / "weights"


def drawn_building(rng: Generator, shape: OccupancyConfig, pose: str, near: float = 0.5) -> dict[str, NDArray[Any]]:
    """Draw a building and its sketch.

    Returns:
        ``sketch`` (S, S) uint8, black on white; ``projection`` (3, 4) float64 of `draw_placed`; ``points`` (2048, 3)
        float16, as the published layout stores them; ``occupied`` (2048,) bool.
    """
    while True:
        building = sample_building(rng, pose=pose)
        camera = sample_view(building, rng, policy=POLICIES[pose])
        hand = sample_hand(rng, 0 if rng.random() < 0.15 else 1)
        sketch, projection = draw_placed(building, camera, hand, rng, size=shape.picture_size)
        if (sketch < _INK).sum() >= _LEAST_INK:  # a careless hand leaves a sheet blank now and then
            break
    points, occupied = sample_points(building, rng, _KEPT_POINTS, near)
    return {"sketch": sketch, "projection": projection, "points": points.astype(np.float16), "occupied": occupied}


def from_folders(
    folders: Sequence[str | Path], shape: OccupancyConfig, rng: Generator, least: int
) -> tuple[Callable[[Generator], dict[str, NDArray[Any]]], list[dict[str, NDArray[np.float32]]]]:
    """What a folder gives instead of `drawn_building`: a source of drawings to train on, and some to validate on.

    Args:
        folders: In the layout of dataset.py.
        shape: Of the network.
        rng: Chooses points of what is validated on.
        least: How many points a step takes of a model.

    Returns:
        ``rng -> {"sketch", "points", "occupied"}`` as `drawn_building`, ``least`` points with the published jitter, and
        ``projection`` if every model has cameras; and up to 96 models of val.lst by their first view, none where that
        list is empty.

    Raises:
        InputError: ``data.empty`` without a model to train on; both functions: ``data.points`` for too few, and
            `Model`'s.
    """
    known = [model for folder in folders for model in dataset.models(folder, "train")]
    if not known:
        raise InputError(
            "data.empty", "train.lst names no model", seen=", ".join(map(str, folders)), remedy="Prepare more meshes"
        )

    validated = [model for folder in folders for model in dataset.models(folder, "val")][:_HELD]
    placed = all(model.has_cameras for model in (*known, *validated))  # a batch cannot have some with, some without

    def drawn(model: dataset.Model, view: int, rng: Generator, count: int) -> dict[str, NDArray[Any]]:
        points, occupied = model.points()
        if len(points) < least:
            raise InputError(
                "data.points", "A model has fewer points than a step takes", seen=f"{model.folder}, {len(points)}",
                remedy=f"Take fewer than {least} with --set points=N, or prepare it with more",
            )  # fmt: skip
        sketch = dataset.read_view(model.views()[view], shape.picture_size)
        chosen = rng.choice(len(points), min(count, len(points)), replace=False, shuffle=False)
        found = {"sketch": sketch, "points": dataset.jittered(points[chosen], rng), "occupied": occupied[chosen]}
        return found | ({"projection": model.projection(view)} if placed else {})

    def source(rng: Generator) -> dict[str, NDArray[Any]]:
        model = known[int(rng.integers(len(known)))]
        return drawn(model, int(rng.integers(len(model.views()))), rng, least)

    held = [drawn(model, 0, rng, _KEPT_POINTS) for model in validated]
    return source, [sample(each, rng, len(each["points"]), mirrored=False) for each in held]


def sample(
    drawn: dict[str, NDArray[Any]], rng: Generator, count: int, *, mirrored: bool, moved: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Take ``count`` of a drawing's points.

    Args:
        drawn: Of `drawn_building`; ``projection`` may be missing, here and then in the answer.
        rng: Source of chance.
        count: How many.
        mirrored: Mirror picture and building. What is mirrored in a picture is, for a camera between +x and +z,
            mirrored at the plane x = z: the two axes change places, and the camera stays between them.
        moved: Shift and scale the picture a little: no two people crop alike.

    Returns:
        ``picture`` (1, S, S) float32 in [0, 1], ``points`` (count, 3), ``occupied`` (count,) and ``projection`` (3, 4)
        float32, where the drawing has one.
    """
    chosen = rng.choice(len(drawn["points"]), count, replace=False, shuffle=False)
    sketch, points = drawn["sketch"], drawn["points"][chosen].astype(np.float32)
    projection = drawn.get("projection", _NOWHERE)
    if moved:
        sketch, projection = _moved(sketch, projection, rng.uniform(0.92, 1.05), rng.uniform(-0.04, 0.04, 2))
    if mirrored:
        sketch, points = sketch[:, ::-1], np.ascontiguousarray(points[:, ::-1])
        projection = mirrored_projection(projection)
    found = {
        "picture": sketch[None].astype(np.float32) / np.float32(255),
        "points": points,
        "occupied": drawn["occupied"][chosen].astype(np.float32),
    }
    return found | ({"projection": projection.astype(np.float32)} if "projection" in drawn else {})


def _moved(
    sketch: NDArray[np.uint8], projection: NDArray[np.float64], scale: float, shift: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Scale about the middle, and shift by shares of half the side."""
    half = sketch.shape[0] / 2
    offset = (1 - scale) * (half - 0.5) + shift * half
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    picture = cv2.warpAffine(sketch, matrix, sketch.shape[::-1], flags=cv2.INTER_LINEAR, borderValue=(255.0,))
    place = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])
    return np.asarray(picture, np.uint8), place @ projection


def occupancy_loss(model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, float]]:
    """The published objective, divided by the number of points: gradients are clipped, and so keep their measure."""
    if not isinstance(model, OccupancyNetwork):
        raise TypeError(f"this loss is OccupancyNetwork's, not {type(model).__name__}'s")
    picture = batch["picture"]
    if model.config.channels == 3:
        picture = picture.expand(-1, 3, -1, -1)
    loss = model.loss(
        batch["points"].clamp(-QUERY, QUERY), batch["occupied"], picture, projection=batch.get("projection")
    )
    count = batch["points"].shape[1]
    parts = {"divergence": loss.divergence, "misplaced": loss.misplaced}
    return loss.total / count, {name: float(part.detach().mean()) for name, part in parts.items()}


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
