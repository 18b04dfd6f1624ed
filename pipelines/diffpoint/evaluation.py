"""`studio eval diffpoint`: is the cloud that comes out the object that was seen.

Both clouds are centred on their bounding boxes, their longest sides made 1, and 2,048 points of each compared that
farthest-point sampling picks. Beside the answer stands what needs no network: of 5,000 training objects the one whose
picture is most alike. Pictures that are refused count as a cloud of one point, so that refusing never pays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from pipelines.core import checkpoint, hub
from pipelines.core.errors import InputError
from pipelines.core.types import OnStep, report
from pipelines.diffpoint.patches import farthest_points
from pipelines.diffpoint.views import as_input, prepare
from pipelines.synthetic import objects
from pipelines.synthetic.objects import CATEGORIES, HELD_OUT, Object, picture, sample_camera, sample_object, surface

POINTS, ASSIGNED = 2048, 1024
NEAR = (0.01, 0.05)  # distances of the F-score
KNOWN = 5000  # training objects that retrieval knows
VIEWS = 3
LOOK = 64  # side in pixels of the pictures that retrieval compares
PICTURE = 192  # side of the drawn views
_OBJECTS_A_STEP = 50

Points = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """One object to be reconstructed.

    Attributes:
        name: Unique.
        category: Empty where the set does not say.
        views: (H, W, 4) or (H, W, 3) uint8 each, at least one.
        points: (N, 3) float32 of its surface, at least 2,048.
    """

    name: str
    category: str
    views: tuple[Picture, ...]
    points: Points


def evaluate(
    data: str | Path | None = None,
    split: str = "all",
    *,
    weights: str | Path = "diffpoint",
    rendered: int = 0,
    known: int = KNOWN,
    points: int = 4096,
    steps: int = 20,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score the way from pictures to a cloud.

    Args:
        data: Folder of ``CATEGORY/ID/view_*.png`` and ``points.npz``; None takes the fixed set.
        split: ``all`` or ``val``.
        weights: Name or folder.
        rendered: How many of the 200 objects of the fixed set; only without ``data``.
        known: Training objects that retrieval knows; 0 leaves it out.
        points: Of each answer.
        steps: Of the sampler.
        seed: Of the answers' noise and of the training objects; the fixed set has its own.
        device: See `runtime.choose`.
        dtype: See `runtime.choose`.
        on_step: Called after each item, and now and then while training objects are drawn.

    Returns:
        See `score`; and ``split``, ``seed``, ``points``, ``steps``, ``weights``, ``weights_sha256``.

    Raises:
        InputError: ``data.split``, ``data.empty``, ``data.rendered``, or what `dataset` raises.
        WeightsError: if the weights are missing or do not fit.
    """
    from pipelines.diffpoint import dataset
    from pipelines.diffpoint.pipeline import DiffPointPipeline

    if data is not None and rendered:
        raise InputError(
            "data.rendered", "The fixed set and a folder cannot be scored at once", seen=f"{data}, {rendered}"
        )
    folder = hub.resolve(weights)
    items = fixed(rendered) if data is None else dataset.scored(data, split)
    pipeline = DiffPointPipeline.from_pretrained(folder, device=device, dtype=dtype)

    def answer(pictures: Sequence[Picture]) -> tuple[Points, float]:
        made = pipeline(pictures, points=points, steps=steps, seed=seed)
        return made.cloud.points, made.confidence

    figures = score(items, answer, known=known, seed=seed, on_step=on_step)
    sha256 = checkpoint.sha256_of(sorted(folder.rglob(checkpoint.WEIGHTS)))
    asked = {"split": "all" if data is None else split, "seed": seed, "points": points, "steps": steps}
    return {**figures, **asked, "weights": str(weights), "weights_sha256": sha256}


def fixed(count: int = objects.EVALUATION_COUNT) -> list[Callable[[], Item]]:
    """The first ``count`` objects of the fixed set, each drawn when it is its turn.

    Raises:
        InputError: ``data.rendered`` for more than there are.
    """
    if not 1 <= count <= objects.EVALUATION_COUNT:
        raise InputError("data.rendered", "The fixed set has not so many objects", seen=count,
                         remedy=f"1 to {objects.EVALUATION_COUNT}")  # fmt: skip

    def drawn(number: int, shape: Object, cameras: list[objects.Camera]) -> Item:
        views = tuple(np.dstack(picture(shape, camera, PICTURE)) for camera in cameras)
        return Item(f"{number:04d}", shape.category, views, _surface(shape, (objects.EVALUATION_SEED, number)))

    return [lambda n=n, s=s, c=c: drawn(n, s, c) for n, (s, c) in enumerate(objects.evaluation_set(count))]


def score(
    items: Sequence[Callable[[], Item]],
    answer: Callable[[Sequence[Picture]], tuple[Points, float]],
    *,
    known: int = KNOWN,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score anything that answers pictures with a cloud and a confidence.

    Args:
        items: Each read when it is its turn.
        answer: Pictures of one object -> (N, 3) points in any frame of the right orientation, and 0 to 1.
        known: Training objects that retrieval knows.
        seed: Of these.
        on_step: See `evaluate`.

    Returns:
        Means over items of ``chamfer`` (half the sum of the mean distances to the nearest point),
        ``fscore_0.01``, ``fscore_0.05`` and ``emd`` of the first view's answer; the same with ``_3views`` behind, of
        the items that have three; with ``_retrieval`` behind, of the training object most alike to the first view;
        ``confidence`` and ``confidence_3views``; ``n``, and ``refused`` by code. The same again under ``trained`` and
        ``held_out`` (categories that the generator draws for training, and the one that is kept from it, where the
        set has such), and for each category under ``categories``. ``ratio`` is ``chamfer`` over ``chamfer_retrieval``.
    """
    rows: list[dict[str, Any]] = []
    steps = len(items) + -(-known // _OBJECTS_A_STEP)
    seen, truths = [], []
    for number, read in enumerate(items):
        item = read()
        row: dict[str, Any] = {"category": item.category}
        for count, suffix in ((1, ""), (VIEWS, f"_{VIEWS}views")):
            if len(item.views) < count:
                continue
            try:
                found, confidence = answer(item.views[:count])
                row[f"confidence{suffix}"] = confidence
            except InputError as error:
                found, row["refused"] = np.zeros((1, 3), np.float32), error.code
            row |= {f"{name}{suffix}": value for name, value in distances(found, item.points).items()}
        rows.append(row)
        seen.append(_look(item.views[0]))
        truths.append(item.points)
        report(on_step, number + 1, steps)
    if known:
        nearest = _nearest(seen, known, seed, lambda done: report(on_step, len(items) + done, steps))
        for row, shape, true in zip(rows, nearest, truths, strict=True):
            found = distances(_surface(shape, (seed, KNOWN)), true)
            row |= {f"{name}_retrieval": value for name, value in found.items()}
    categories = sorted({row["category"] for row in rows} - {""})
    learnt = [row for row in rows if row["category"] in CATEGORIES and row["category"] != HELD_OUT]
    never = [row for row in rows if row["category"] == HELD_OUT]
    return {
        **_means(rows),
        **({"trained": _means(learnt)} if learnt else {}),
        **({"held_out": {"category": HELD_OUT, **_means(never)}} if never else {}),
        "categories": {name: _means([row for row in rows if row["category"] == name]) for name in categories},
        "known": known,
    }


def in_frame(points: Points) -> Points:
    """Centred on the bounding box, longest side 1, 2,048 points far from each other (all, where there are fewer)."""
    low, high = points.min(0), points.max(0)
    points = ((points - (low + high) / 2) / max(float((high - low).max()), 1e-9)).astype(np.float32)
    if len(points) <= POINTS:
        return points
    return points[farthest_points(torch.from_numpy(points)[None], POINTS)[0].numpy()]


def distances(found: Points, true: Points) -> dict[str, float]:
    """``chamfer``, ``fscore_0.01``, ``fscore_0.05`` and ``emd`` of two clouds, each put `in_frame` first."""
    found, true = in_frame(found), in_frame(true)
    there, back = KDTree(true).query(found)[0], KDTree(found).query(true)[0]
    figures = {"chamfer": float(there.mean() + back.mean()) / 2}
    for near in NEAR:
        precision, recall = float((there < near).mean()), float((back < near).mean())
        figures[f"fscore_{near:g}"] = 2 * precision * recall / max(precision + recall, 1e-12)
    # A cloud of fewer points stands for as many as it takes: one far point must not count as one small error.
    costs = cdist(found[np.arange(ASSIGNED) % len(found)], true[:ASSIGNED])
    figures["emd"] = float(costs[linear_sum_assignment(costs)].mean())
    return figures


def _surface(shape: Object, seed: tuple[int, int]) -> Points:
    return surface(shape, np.random.default_rng(seed), 2 * POINTS)[0].astype(np.float32)


def _look(view: Picture) -> NDArray[np.float32]:
    """What retrieval sees of a picture; nothing of one that shows no object."""
    try:
        return as_input(prepare(view, LOOK).picture).ravel()
    except InputError:
        return np.zeros(4 * LOOK * LOOK, np.float32)


def _nearest(
    seen: Sequence[NDArray[np.float32]], known: int, seed: int, on_objects: Callable[[int], None]
) -> list[Object]:
    """Of ``known`` training objects, one picture of each, the most alike to each of the pictures."""
    rng = np.random.default_rng((seed, KNOWN))
    asked = np.stack(seen)
    least: NDArray[np.float64] = np.full(len(asked), np.inf)
    found: list[Object | None] = [None] * len(asked)
    for number in range(known):
        shape = sample_object(rng)
        look = _look(np.dstack(picture(shape, sample_camera(rng), 2 * LOOK)))
        apart = np.square(asked - look).sum(1)
        for at in np.flatnonzero(apart < least):
            least[at], found[at] = apart[at], shape
        if (number + 1) % _OBJECTS_A_STEP == 0 or number + 1 == known:
            on_objects(-(-(number + 1) // _OBJECTS_A_STEP))
    return [shape for shape in found if shape is not None]


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of a group of rows over those that have a figure."""
    told: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row if name not in ("category", "refused")):
        told[name] = round(float(np.mean([row[name] for row in rows if name in row])), 5)
    if told.get("chamfer_retrieval"):
        told["ratio"] = round(told["chamfer"] / told["chamfer_retrieval"], 4)
    return {**told, "n": len(rows), "refused": dict(Counter(row["refused"] for row in rows if "refused" in row))}
