"""`studio eval vitruvio`: is the building that comes out the one that was drawn, and can it be printed.

Everything is measured on the answer, the mesh that the pipeline returns in the frame of buildings, with two baselines
beside it that need no network (baselines.py). A sketch that the pipeline refuses counts as an empty answer, so that
refusing never pays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.core import checkpoint, hub
from pipelines.core.errors import InputError
from pipelines.core.shape_metrics import SAMPLES, inside, occupancy_iou, sample_surface, surface_metrics
from pipelines.core.types import Image, Mesh, OnStep, report
from pipelines.mesh import topology
from pipelines.synthetic.buildings import HELD_OUT
from pipelines.vitruvio import evaluation_set
from pipelines.vitruvio.baselines import KNOWN, Known
from pipelines.vitruvio.evaluation_set import UNKNOWN, Item
from pipelines.vitruvio.extraction import Field

BASE_STEP = 1e-4  # how far a flat base may be from flat, as a share of the longest side (our choice)
BASE_SHARE = 0.1  # of the plan's bounding box that a flat base fills at least (our choice: a tower stands on less)
REPAIR = 0.05  # share of the volume that a repair may change

_MESH_FIGURES = ("chamfer_l1_x10", "normal_consistency")
_DRAWINGS_A_STEP = 25


class Answer(Protocol):
    """What the pipeline's ``BuildingResult`` holds of what is scored."""

    @property
    def mesh(self) -> Mesh: ...
    @property
    def raw(self) -> Mesh: ...
    @property
    def side(self) -> float: ...
    @property
    def prepared(self) -> Any: ...


def evaluate(
    data: str | Path | None = None,
    split: str = "all",
    *,
    weights: str | Path = "vitruvio",
    rendered: int = 0,
    known: int = KNOWN,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score the way from a sketch to a building.

    Args:
        data: Folder of ``ID/sketch.png``, ``ID/points.npz`` and perhaps ``ID/mesh.obj`` (evaluation_set.py); None takes
            the fixed set.
        split: ``all`` or ``val`` (by the crc32 of ID).
        weights: Name or folder.
        rendered: How many of the 200 buildings of the fixed set; only without ``data``.
        known: Training sketches that the baselines know; 0 leaves the baselines out.
        seed: Of the training sketches and of the points on surfaces; the fixed set has its own.
        device: See `runtime.choose`.
        dtype: See `runtime.choose`.
        on_step: Called after each item, and now and then while training sketches are drawn.

    Returns:
        See `score`; and ``split``, ``seed``, ``weights``, ``weights_sha256``.

    Raises:
        InputError: ``data.split``, ``data.empty``, ``data.rendered``, or what `evaluation_set.read_item` raises.
        WeightsError: if the weights are missing or do not fit.
    """
    from pipelines.vitruvio.pipeline import VitruvioPipeline

    if data is not None and rendered:
        raise InputError(
            "data.rendered", "The fixed set and a folder cannot be scored at once", seen=f"{data}, {rendered}"
        )
    folder = hub.resolve(weights)
    if data is None:
        items = evaluation_set.rendered(rendered)
    else:
        items = [lambda path=path: evaluation_set.read_item(path) for path in evaluation_set.listed(data, split)]
    pipeline = VitruvioPipeline.from_pretrained(folder, device=device, dtype=dtype)
    figures = score(
        items,
        lambda picture: pipeline(picture, seed=seed),
        prepare=lambda picture: pipeline.prepare(picture).image,
        # the field lies in the network's frame, which is that of the points only where quarter turns make it
        field=pipeline.field if pipeline.pose == "quarter" else None,
        threshold=pipeline.threshold,
        known=known,
        seed=seed,
        on_step=on_step,
    )
    sha256 = checkpoint.sha256_of(sorted(folder.rglob(checkpoint.WEIGHTS)))
    return {**figures, "split": split, "seed": seed, "weights": str(weights), "weights_sha256": sha256}


def score(
    items: Sequence[Callable[[], Item]],
    answer: Callable[[Image], Answer],
    *,
    prepare: Callable[[Image], NDArray[np.uint8]],
    field: Callable[[NDArray[np.uint8]], Field] | None,
    threshold: float = 0.5,
    known: int = KNOWN,
    seed: int = 0,
    samples: int = SAMPLES,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score anything that answers a sketch with a building.

    Args:
        items: Each read when it is its turn.
        answer: A picture -> the answer.
        prepare: A picture -> its prepared (S, S) image.
        field: A prepared image -> the network's logits, in the frame of the points; None if they are in another.
        threshold: The probability from which on a point is inside.
        known: Training sketches of the baselines.
        seed: See `evaluate`.
        samples: Points on each surface.
        on_step: See `evaluate`.

    Returns:
        Means over items of ``iou`` (the answer's), ``field_iou`` (the network's probability at the points, before
        there is a mesh; None without ``field``), ``chamfer_l1_x10`` and ``normal_consistency`` (only items with a true
        mesh and an answer; None without any), ``watertight_share`` (one closed, positively oriented solid on a flat
        base whose volume is within 5 % of what the network's surface encloses), ``solid_share`` (the same, whatever
        became of the volume), ``retrieval_iou`` and ``mean_shape_iou``; and ``n``, ``n_mesh``, ``refused`` (by code).
        The same again under ``trained`` and ``held_out`` (families that the generator knows, and the one that is kept
        from training), and for each family under ``families``; ``families_from`` counts what named them.
        ``mean_shape_threshold`` and ``known`` say what the baselines are.
    """
    rows: list[dict[str, Any]] = []
    seen: list[Item] = []
    asked: dict[int, NDArray[np.uint8]] = {}
    level = math.log(threshold) - math.log(1 - threshold)
    steps = len(items) + -(-known // _DRAWINGS_A_STEP)
    for number, read in enumerate(items):
        item = read()
        try:
            result = answer(item.picture)
            asked[number] = result.prepared.image
            row = _figures(item, result, seed, samples)
            if field is not None:
                found = field(result.prepared.image)(item.points) >= level
                row["field_iou"] = occupancy_iou(found, item.occupied)
        except InputError as error:
            row = {"iou": 0.0, "watertight": False, "solid": False, "refused": error.code}
            row |= {} if field is None else {"field_iou": 0.0}
        rows.append(row)
        rows[-1]["family"], rows[-1]["family_from"] = item.family, item.family_from
        # neither picture nor surface is needed any more, and there may be thousands of items
        seen.append(Item(item.name, item.family, item.family_from, item.picture[:0], item.points, item.occupied, None))
        report(on_step, number + 1, steps)
    told: dict[str, Any] = {"known": known}
    if known:
        told["mean_shape_threshold"] = _baselines(seen, rows, asked, prepare, known, seed, steps, on_step)
    trained = [row for row in rows if row["family"] not in (HELD_OUT, UNKNOWN)]
    held_out = [row for row in rows if row["family"] == HELD_OUT]
    families = sorted({row["family"] for row in rows} - {UNKNOWN})
    return {
        **_means(rows),
        "trained": _means(trained),
        "held_out": {"family": HELD_OUT, **_means(held_out)},
        "families": {family: _means([row for row in rows if row["family"] == family]) for family in families},
        "families_from": dict(Counter(row["family_from"] for row in rows)),
        **told,
    }


def _figures(item: Item, result: Answer, seed: int, samples: int) -> dict[str, Any]:
    """The figures of one answer."""
    mesh, solid = result.mesh, is_solid(result.mesh)
    figures = {
        "iou": occupancy_iou(inside(mesh.vertices, mesh.faces, item.points), item.occupied),
        "solid": solid,
        "watertight": solid and volume_moved(mesh, result.raw, result.side) <= REPAIR,
    }
    if item.mesh is not None:
        rng = np.random.default_rng((seed, evaluation_set.name_seed(item.name)))
        found = sample_surface(mesh.vertices, mesh.faces, samples, rng)
        true = sample_surface(item.mesh.vertices, item.mesh.faces, samples, rng)
        compared = surface_metrics(*found, *true)
        figures["chamfer_l1_x10"] = 10 * compared["chamfer_l1"]
        figures["normal_consistency"] = compared["normal_consistency"]
    return figures


def is_solid(mesh: Mesh) -> bool:
    """Tell whether a mesh (y up, longest side 1) is one closed, positively oriented solid that stands on a flat base.

    The base is what looks down within ``BASE_STEP`` of the lowest point; it fills ``BASE_SHARE`` of the plan's box.
    """
    if not len(mesh.faces) or not topology.edge_report(mesh).closed:
        return False
    if len(topology.split(mesh)) != 1 or topology.volume(mesh) <= 0:
        return False
    extent = np.ptp(mesh.vertices, axis=0)
    low = mesh.vertices[:, 1] <= mesh.vertices[:, 1].min() + BASE_STEP * extent.max()
    # half the vertical part of the cross product is the area in plan
    down = -topology.cross_products(mesh)[:, 1] / 2
    base = float(down[low[mesh.faces].all(1) & (down > 0)].sum())
    return bool(base >= BASE_SHARE * extent[0] * extent[2])


def volume_moved(mesh: Mesh, raw: Mesh, side: float) -> float:
    """By what share of the raw surface's volume the answer differs from it.

    ``side`` is what the answer's longest side, now 1, was in the raw surface's frame.
    """
    volume = topology.volume(raw) if len(raw.faces) else 0.0
    if volume <= 0:
        return math.inf
    return abs(topology.volume(mesh) * side**3 - volume) / volume


def _baselines(
    items: Sequence[Item],
    rows: list[dict[str, Any]],
    asked: dict[int, NDArray[np.uint8]],
    prepare: Callable[[Image], NDArray[np.uint8]],
    known: int,
    seed: int,
    steps: int,
    on_step: OnStep | None,
) -> float:
    """Add both baselines' IoU to the rows; a sketch that could not be prepared has no nearest one, and scores 0.

    Returns:
        The mean shape's threshold.
    """
    numbers = list(asked)
    side = next(iter(asked.values())).shape if asked else (1, 1)
    bank = Known(np.stack([asked[number] for number in numbers]) if asked else np.zeros((0, *side), np.uint8), prepare)
    rng = np.random.default_rng((seed, KNOWN))
    for drawn in range(known):
        bank.add(rng)
        if (drawn + 1) % _DRAWINGS_A_STEP == 0 or drawn + 1 == known:
            report(on_step, len(items) + -(-(drawn + 1) // _DRAWINGS_A_STEP), steps)
    mean = bank.mean_shape()
    nearest = dict(zip(numbers, bank.nearest, strict=True))
    for number, (item, row) in enumerate(zip(items, rows, strict=True)):
        building = nearest.get(number)
        row["retrieval_iou"] = occupancy_iou(building.occupancy(item.points), item.occupied) if building else 0.0
        row["mean_shape_iou"] = occupancy_iou(mean.occupancy(item.points), item.occupied)
    return mean.threshold


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of a group of rows, None where nothing was measured."""

    def mean(name: str) -> float | None:
        values = [row[name] for row in rows if name in row]
        return float(np.mean(values)) if values else None

    named = {name: mean(name) for name in ("iou", "field_iou", *_MESH_FIGURES)}
    named |= {"watertight_share": mean("watertight"), "solid_share": mean("solid")}
    named |= {name: mean(name) for name in ("retrieval_iou", "mean_shape_iou")}
    counted = {"n": len(rows), "n_mesh": sum(_MESH_FIGURES[0] in row for row in rows)}
    return {**named, **counted, "refused": dict(Counter(row["refused"] for row in rows if "refused" in row))}
