"""Training DiffPoint on objects that are drawn as it goes, or on folders of real ones (layouts.py).

Not stated by the paper, and our choice: the loss is the mean squared distance of each point's estimate, weighted by the
signal-to-noise ratio within bounds (diffusion.py); colours and normals are learnt beside it, the more the less noise
there is. One picture in ten is replaced by none, so that classifier-free guidance can be had.

At high noise the best estimate of every point is near the middle of the object, whatever the pictures show, and at low
noise the points themselves say where they belong: the loss teaches little about pictures. A network with ``cells`` is
therefore asked for them and their colours directly (binary cross-entropy and squared distance), one with ``cameras``
for where a picture was taken from (where that is known), and for nothing else in the first part of a training, when
five times as many pictures are read in the same time. Each object is noised three times, its pictures read once.

Where colours or normals of an object are not known, nothing is asked of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipelines.core import checkpoint, training
from pipelines.core.errors import InputError
from pipelines.core.runtime import Runtime
from pipelines.core.shape_metrics import chamfer
from pipelines.diffpoint import dataset, diffusion, layouts
from pipelines.diffpoint.augmentation import disturbed
from pipelines.diffpoint.cameras import camera_loss
from pipelines.diffpoint.clip import ClipTokens
from pipelines.diffpoint.inference import sampled
from pipelines.diffpoint.network import CONFIGS, DiffPoint
from pipelines.diffpoint.views import as_input
from pipelines.synthetic.objects import picture, sample_camera, sample_object, surface

VIEWS = 3  # of each object
DROPPED = 0.1
# Weights of the other losses; UNSEEN is of cells of no picture.
COLOUR, NORMAL, CELLS, UNSEEN, CAMERA = 2.0, 0.1, 1.0, 0.1, 0.1
NOISED = 3  # times that each object is, within a step
READING = 0.25  # share of a training in which pictures are read and nothing else
_KEPT_POINTS = dataset.KEPT
_FRESH = 5  # one object in so many is new
_KEPT = 2500  # objects, about 0.3 MB each
_HELD, _HELD_SEED = 48, 77
_QUICK_STEPS = 12

Draw = Callable[[Generator], dict[str, NDArray[Any]]]


def train(
    folder: str | Path,
    config: training.TrainConfig,
    runtime: Runtime,
    *,
    data: Sequence[str | Path] = (),
    network: str = "starter",
    points: int = 0,
    clip: str | Path | None = None,
    start: str | Path | None = None,
    reading: float = READING,
    log: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train a network and write its weights.

    Args:
        folder: Run folder: log, resumable state, weights.
        config: Bounds and optimiser settings.
        runtime: Device and dtype.
        data: Folders that `layouts.listed` recognises; none draws objects as it goes.
        network: One of ``CONFIGS``.
        points: Of each cloud and step, at least the network's ``coarse``; 0 takes that many.
        clip: Folder of CLIP's vision tower in transformers' layout, for ``official``, which reads pictures through it.
            It is not trained, and not written: the weights are used with a copy of it as ``image_encoder/`` in them.
        start: Folder of weights to train further.
        reading: Share of the training, 0 to 0.9, in which a network with cells learns to read pictures alone.
        log: Receives one line now and then.

    Returns:
        Folder of the weights.

    Raises:
        InputError: ``train.network``, ``train.points``, ``train.reading``, ``data.empty``, or as `layouts.listed`.
        PipelineError, WeightsError: as `training.fit`, `checkpoint.load_strict` and `ClipTokens.from_pretrained`.
    """
    if network not in CONFIGS:
        raise InputError("train.network", "There is no such network", seen=network, remedy=f"One of {tuple(CONFIGS)}")
    shape = CONFIGS[network]
    if (shape.image == "clip") != (clip is not None):
        what = "reads pictures through CLIP" if clip is None else "does not read pictures through CLIP"
        raise InputError(
            "train.network", f"This network {what}", seen=f"{network}, clip={clip}",
            remedy="Add --set clip=DIR with its vision tower" if clip is None else "Leave clip out",
        )  # fmt: skip
    points = points or shape.coarse
    if not shape.coarse <= points <= _KEPT_POINTS:
        raise InputError(
            "train.points", "Clouds to train on cannot have so many points", seen=points,
            remedy=f"From {shape.coarse} to {_KEPT_POINTS}",
        )  # fmt: skip
    if not 0 <= reading <= 0.9:
        raise InputError("train.reading", "No such share of a training", seen=reading, remedy="From 0 to 0.9")
    encoder = None if clip is None else ClipTokens.from_pretrained(clip, runtime)
    if encoder is not None:
        encoder.check(shape, source=str(clip))
    draw, held = from_folders(data, shape.image_size, log) if data else _drawing(shape.image_size)
    source = training.Reservoir(draw, every=_FRESH, capacity=_KEPT)
    share = diffusion.signal()

    def loss(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return cloud_loss(model, batch, share, encoder)

    def evaluate(model: Any) -> dict[str, float]:
        return quick_score(model, held, runtime, encoder)

    def draw_sample(rng: Generator) -> dict[str, NDArray[np.float32]]:
        return sample(source(rng), rng, points, shape.cells)

    torch.manual_seed(config.seed)
    model = DiffPoint(shape)
    if start is not None:
        checkpoint.load_strict(model, checkpoint.read_state_dict(Path(start) / checkpoint.WEIGHTS), source=str(start))
    settings: dict[str, Any] = {"network": network, "points": points}
    settings |= ({"procedural": False} if data else {}) | ({"reading": reading} if shape.cells else {})
    begun = (Path(folder) / "state.pt").is_file()
    first, config = parts_of(config, reading if shape.cells else 0.0)
    if not begun and (first.minutes or first.steps):

        def read_alone(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
            return reading_loss(model, batch, encoder)[:2]

        read = training.fit(
            model, read_alone, draw_sample, Path(folder) / "reading", first, runtime, settings=settings, log=log
        )
        model.load_state_dict(read.state_dict())
    trained: Any = training.fit(
        model, loss, draw_sample, folder, config, runtime,
        evaluate=evaluate if held else None, settings=settings, log=log,
    )  # fmt: skip
    checkpoint.save_component(Path(folder) / "weights", trained, asdict(shape))
    if clip is not None:
        log(f"a copy of {clip} as {Path(folder) / 'weights' / 'image_encoder'} makes these weights whole")
    return Path(folder) / "weights"


def _drawing(size: int) -> tuple[Draw, list[dict[str, NDArray[Any]]]]:
    """What draws an object to train on, and the objects that are scored while training."""
    held = [drawn_object(np.random.default_rng((_HELD_SEED, number)), size) for number in range(_HELD)]
    return lambda rng: drawn_object(rng, size), held


def from_folders(
    folders: Sequence[str | Path], size: int, log: Callable[[str], None] = lambda line: None
) -> tuple[Draw, list[dict[str, NDArray[Any]]]]:
    """What folders give instead of `drawn_object`: a source of objects to train on, and some to score while training.

    Args:
        folders: That `layouts.listed` recognises.
        size: Side of a view.
        log: Told what was found, and what is left out.

    Returns:
        ``rng -> object`` over all folders alike, and up to 48 of the kept-out objects, none where no object is.

    Raises:
        InputError: ``data.empty`` without an object to train on, or what `layouts.listed` raises; the source
            ``data.empty`` when none of its objects can be read.
    """
    known: list[layouts.Item] = []
    reserve: list[layouts.Item] = []
    for folder in folders:
        found = layouts.listed(folder)
        parts = found.of("train"), found.of("val")
        left_out = f"; left out: {layouts.told(found.left_out)}" if found.left_out else ""
        log(f"{folder} ({found.layout}): {len(parts[0])} objects to train on, {len(parts[1])} held out{left_out}")
        known += parts[0]
        reserve += parts[1]
    if not known:
        raise InputError(
            "data.empty", "There is no object to train on", seen=", ".join(map(str, folders)),
            remedy="One object in ten is held out: add some",
        )  # fmt: skip
    held = []
    for number in np.linspace(0, len(reserve) - 1, min(len(reserve), _HELD)).round().astype(int):
        try:
            held.append(dataset.load(reserve[number], np.random.default_rng((_HELD_SEED, number)), size, VIEWS))
        except InputError as error:
            log(f"left out: {error}")
    return dataset.Source(known, size, VIEWS, log), held


def parts_of(config: training.TrainConfig, reading: float) -> tuple[training.TrainConfig, training.TrainConfig]:
    """The two parts of a training, by minutes or by steps; the first draws other objects than the second."""
    first = replace(config, seed=config.seed + 1)
    if config.minutes is not None:
        minutes = config.minutes * reading
        return replace(first, minutes=minutes), replace(config, minutes=config.minutes - minutes)
    if config.steps is None:
        return replace(first, steps=0), config  # which `training.fit` refuses
    steps = round(config.steps * reading)
    return replace(first, steps=steps), replace(config, steps=config.steps - steps)


def drawn_object(rng: Generator, size: int) -> dict[str, NDArray[Any]]:
    """Draw an object, three views of it and its surface.

    Returns:
        ``views`` (3, S, S, 4) uint8 colours and coverage; ``cameras`` (3, 3) float16 azimuth and elevation in degrees
        and distance; ``points`` (4096, 9) float16 place, colour in [0, 1], normal.
    """
    shape = sample_object(rng)
    cameras = [sample_camera(rng) for _ in range(VIEWS)]
    views = [np.dstack(picture(shape, camera, size)) for camera in cameras]
    points, normals, colours = surface(shape, rng, _KEPT_POINTS)
    return {
        "views": np.stack(views),
        "cameras": np.array([(c.azimuth, c.elevation, c.distance) for c in cameras], np.float16),
        "points": np.concatenate([points, colours, normals], 1).astype(np.float16),
    }


def sample(item: dict[str, NDArray[Any]], rng: Generator, points: int, cells: int) -> dict[str, NDArray[np.float32]]:
    """What the losses take, float32.

    Args:
        item: Of `drawn_object`.
        rng: Source of chance.
        points: Of the cloud.
        cells: Along each side of the object's box; 0 for a network without them.

    Returns:
        ``views`` (3, 4, S, S) in any order; ``cameras`` (3, 3) of them, NaN where unknown; ``cloud`` (points, 9);
        ``cells`` (cells^3,), 1 where a point of the surface was drawn: of large surfaces a fifth of the cells stay
        empty by chance; ``colours`` ((cells / 2)^3, 3) means of blocks of cells, NaN where no point or no colour is.
    """
    order = rng.permutation(VIEWS)
    views = [as_input(disturbed(item["views"][number], rng)) for number in order]
    cameras = item.get("cameras", np.full((VIEWS, 3), np.nan))[order].astype(np.float32)
    chosen = rng.choice(len(item["points"]), points, replace=False)
    cloud = item["points"][chosen].astype(np.float32)
    cloud[:, :3] *= diffusion.SCALE
    everything = item["points"].astype(np.float32)
    filled = np.zeros(cells**3, np.float32)
    colours = np.zeros(((cells // 2) ** 3, 3), np.float32)
    if cells:
        filled[_cell_of(everything, cells)] = 1
        block = _cell_of(everything, cells // 2)
        counts = np.bincount(block, minlength=len(colours))
        sums = [np.bincount(block, everything[:, 3 + channel], len(colours)) for channel in range(3)]
        with np.errstate(invalid="ignore"):
            colours = (np.stack(sums, 1) / counts[:, None]).astype(np.float32)
    return {"views": np.stack(views), "cameras": cameras, "cloud": cloud, "cells": filled, "colours": colours}


def _cell_of(points: NDArray[np.float32], side: int) -> NDArray[np.int64]:
    """(N, 3 or more) points -> (N,) number of the cell of the object's box that each is in, x slowest, z fastest."""
    place = np.clip((points[:, :3] + 0.5) * side, 0, side - 1).astype(np.int64)
    return (place[:, 0] * side + place[:, 1]) * side + place[:, 2]


def reading_loss(
    network: DiffPoint, batch: dict[str, Tensor], encoder: ClipTokens | None = None
) -> tuple[Tensor, dict[str, float], Tensor]:
    """How badly the pictures' tokens tell cells, their colours and cameras; the same for the log, and the tokens.

    Args:
        network: In training mode.
        batch: Of `sample`.
        encoder: For networks that take tokens of CLIP.
    """
    # One view as often as two and three together.
    count = max(1, int(torch.randint(0, 4, ())))
    views = batch["views"][:, :count]
    condition, camera = network.read(views if encoder is None else encoder.tokens(views))
    total, parts = condition.new_zeros(()), {}
    if camera is not None:
        turned = camera_loss(camera, batch["cameras"][:, 0])
        total, parts["camera"] = total + CAMERA * turned, float(turned.detach())
    if network.config.cells:
        told = F.binary_cross_entropy_with_logits(network.occupied(condition), batch["cells"])
        known = batch["colours"].isfinite()
        unlike = (network.coloured(condition) - batch["colours"].nan_to_num()).square()
        tint = (unlike * known).sum() / known.sum().clamp(min=1)
        # What no picture says: how likely each cell is at all.
        usual = batch["cells"].mean(0, keepdim=True)
        unseen = F.binary_cross_entropy_with_logits(network.occupied(network.nothing), usual)
        total = total + CELLS * told + COLOUR * tint + UNSEEN * unseen
        parts |= {"cells": float(told.detach()), "cells_colour": float(tint.detach())}
    return total, parts, condition


def cloud_loss(
    network: DiffPoint, batch: dict[str, Tensor], share: Tensor, encoder: ClipTokens | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and its parts.

    Args:
        network: In training mode.
        batch: Of `sample`; colours and normals of ``cloud`` may be NaN.
        share: Of `diffusion.signal`.
        encoder: For networks that take tokens of CLIP.
    """
    read, parts, condition = reading_loss(network, batch, encoder)
    cloud, condition = (value.repeat_interleave(NOISED, 0) for value in (batch["cloud"], condition))
    steps = torch.randint(0, diffusion.STEPS, (len(cloud),), device=cloud.device)
    share = share.to(cloud.device)[steps]
    dropped = torch.rand(len(cloud), device=cloud.device) < DROPPED
    condition = torch.where(dropped[:, None, None], network.nothing.to(condition.dtype), condition)
    clean = cloud[..., :3]
    found = network(diffusion.noised(clean, torch.randn_like(clean), share), steps, condition)
    place = (found[..., :3] - clean).square().mean((1, 2))
    told = share * ~dropped  # what colour and normal the points of pure noise have means nothing
    known, cloud = cloud.isfinite(), cloud.nan_to_num()
    colour = (_mean((found[..., 3:6] - cloud[..., 3:6]).square(), known[..., 3:6]) * told).mean()
    unlike = 1 - F.cosine_similarity(found[..., 6:], cloud[..., 6:], dim=-1)
    normal = (_mean(unlike, known[..., 6:].all(-1)) * told).mean()
    total = (diffusion.weight(share) * place).mean() + COLOUR * colour + NORMAL * normal + read
    told_parts = {"place": place.mean(), "colour": colour, "normal": normal}
    return total, {name: float(value.detach()) for name, value in told_parts.items()} | parts


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """(B, ...) -> (B,) means over what is known, 0 where nothing is."""
    inner = tuple(range(1, values.dim()))
    return (values * known).sum(inner) / known.sum(inner).clamp(min=1)


def quick_score(
    model: DiffPoint,
    held: list[dict[str, NDArray[Any]]],
    runtime: Runtime,
    encoder: ClipTokens | None = None,
    *,
    points: int = 1024,
    batch: int = 16,
) -> dict[str, float]:
    """Mean chamfer distance of clouds drawn in few steps from one view and from three, for the log."""
    figures = {}
    points = max(points, model.config.coarse)
    for count in (1, VIEWS):
        distances = []
        for first in range(0, len(held), batch):
            group = held[first : first + batch]
            views = np.stack([[as_input(view) for view in item["views"][:count]] for item in group])
            with torch.inference_mode(), runtime.autocast():
                seen = torch.from_numpy(views).to(runtime.device)
                condition = model.condition(seen if encoder is None else encoder.tokens(seen))
            found = sampled(model, condition, points, runtime, clouds=len(group), steps=_QUICK_STEPS)
            for cloud, item in zip(found[..., :3].cpu().numpy(), group, strict=True):
                distances.append(chamfer(cloud, item["points"][:2048, :3].astype(np.float32))[0])
        figures[f"val_chamfer_{count}"] = round(float(np.mean(distances)), 5)
    return figures
