"""`studio eval iml-vit`: which pixels, and which pictures, of a labelled set are found.

The set is in the layout of evaluation_set.py, or in one of the published layouts of dataset.py.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.core import checkpoint, hub
from pipelines.core.augment import is_validation
from pipelines.core.errors import InputError
from pipelines.core.metrics import auc, pixel_f1, roc
from pipelines.core.types import Image, OnStep, report
from pipelines.iml_vit import dataset
from pipelines.iml_vit.dataset import LabelledPicture
from pipelines.iml_vit.pipeline import Evidence, ImlVitPipeline
from pipelines.synthetic.tampering import HELD_OUT

SPARSE = 4  # every so many pixels along both axes go into the pooled pixel AUC: neighbours say the same
CURVE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # false alarm rates at which the ROC is told


@dataclass(frozen=True)
class Row:
    """What came of one picture.

    Attributes:
        tampered: Whether it was manipulated.
        kind: Of tampering, or the variant of an untouched picture; empty where the set does not say.
        f1: Of its pixels; None if it is untouched.
        iou: Intersection over union of its pixels; None if it is untouched.
        score: Of the picture; where the weights have no calibration, the judge's, or else the highest probability.
        alarmed: Whether the score passes the threshold that ships with the weights.
    """

    tampered: bool
    kind: str
    f1: float | None
    iou: float | None
    score: float
    alarmed: bool


def evaluate(
    data: str | Path,
    split: str = "all",
    *,
    weights: str | Path = "iml-vit",
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score weights on a labelled set.

    Args:
        data: Folder.
        split: ``all`` or ``val`` (by the crc32 of the stem).
        weights: Name or folder.
        device: See `runtime.choose`.
        dtype: See `runtime.choose`.
        on_step: Called after each picture.

    Returns:
        See `summary`; and ``layout``, ``split``, ``weights``, ``weights_sha256``.

    Raises:
        InputError: what `dataset.listed` and `dataset.read` raise, or ``data.empty``.
        WeightsError: if the weights are missing or do not fit.
    """
    layout, items = dataset.listed(data)
    items = [item for item in items if split == "all" or is_validation(item.stem)]
    if not items:
        raise InputError("data.empty", "This part of the data set is empty", seen=f"{data}, split {split}")
    folder = hub.resolve(weights)
    pipeline = ImlVitPipeline.from_pretrained(folder, device=device, dtype=dtype)
    figures = score(items, pipeline, told(Path(data)), on_step=on_step)
    sha256 = checkpoint.sha256_of(sorted(folder.rglob(checkpoint.WEIGHTS)))
    return {**figures, "layout": layout, "split": split, "weights": str(weights), "weights_sha256": sha256}


def told(data: Path) -> dict[str, dict[str, str]]:
    """What ``items.json`` says by stem; empty if there is none.

    Raises:
        InputError: ``data.layout`` if it is not what `evaluation_set.write` writes.
    """
    path = data / "items.json"
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return {stem: {key: str(value) for key, value in about.items()} for stem, about in said.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            "data.layout", "This list of items cannot be read", seen=f"{path}: {error}", remedy="Write the set again"
        ) from error


def score(
    items: Iterable[LabelledPicture],
    pipeline: Callable[[Image], Evidence],
    about: dict[str, dict[str, str]],
    *,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score ``pipeline``; see `summary`."""
    items = list(items)
    rows, chances, truths = [], [], []
    for number, item in enumerate(items):
        picture, mask = dataset.read(item)
        found = pipeline(picture)
        said = about.get(item.stem, {})
        rows.append(_row(found, mask, said.get("kind" if item.mask else "variant", ""), item.mask is not None))
        if item.mask is not None:
            chances.append(found.heat[::SPARSE, ::SPARSE].ravel())
            truths.append(mask[::SPARSE, ::SPARSE].ravel())
        report(on_step, number + 1, len(items))
    pooled = (np.concatenate(chances), np.concatenate(truths)) if chances else None
    return summary(rows, pooled)


def _row(found: Evidence, mask: NDArray[np.bool_], kind: str, tampered: bool) -> Row:
    highest = float(found.heat.max()) if found.judged is None else found.judged
    total = highest if found.score is None else found.score
    alarmed = bool(found.mask.any()) if found.suspicious is None else found.suspicious
    if not tampered:
        return Row(False, kind, None, None, total, alarmed)
    union = int((found.mask | mask).sum())
    iou = float((found.mask & mask).sum() / union) if union else 0.0
    return Row(True, kind, pixel_f1(found.mask, mask), iou, total, alarmed)


def summary(rows: list[Row], pooled: tuple[NDArray[np.float32], NDArray[np.bool_]] | None) -> dict[str, Any]:
    """The figures of a set.

    Args:
        rows: One for each picture.
        pooled: Probabilities and truth of pixels of tampered pictures, or None.

    Returns:
        ``n_tampered``, ``n_authentic``; ``f1`` and ``iou``, means over tampered pictures at the threshold that ships
        with the weights; ``auc_pixel`` pooled; ``auc_image``; ``detected`` and ``false_alarm_rate`` at the image
        threshold that ships; ``roc``, true positives by false alarm rate; ``kinds`` and ``variants``, the same apart;
        ``trained`` and ``held_out``, without and with only the kind that is never trained on. None where a figure needs
        pictures that the set lacks.
    """
    untouched = [row for row in rows if not row.tampered]
    tampered = [row for row in rows if row.tampered]
    scores = np.array([row.score for row in rows])
    truth = np.array([row.tampered for row in rows])
    both = bool(tampered and untouched)
    kinds, variants = defaultdict(list), defaultdict(list)
    for row in tampered:
        kinds[row.kind].append(row)
    for row in untouched:
        variants[row.kind].append(row)
    with_pixels = pooled is not None and 0 < pooled[1].sum() < pooled[1].size
    return {
        **_of_tampered(tampered, untouched),
        "n_authentic": len(untouched),
        "auc_pixel": auc(*pooled) if with_pixels and pooled is not None else None,
        "false_alarm_rate": _mean([row.alarmed for row in untouched]),
        "roc": _curve(scores, truth) if both else {},
        "trained": _of_tampered([row for row in tampered if row.kind != HELD_OUT], untouched),
        "held_out": {"kind": HELD_OUT, **_of_tampered(kinds.get(HELD_OUT, []), untouched)},
        "kinds": {kind: _of_tampered(group, untouched) for kind, group in sorted(kinds.items()) if kind},
        "variants": {
            variant: {"n": len(group), "false_alarm_rate": _mean([row.alarmed for row in group])}
            for variant, group in sorted(variants.items())
            if variant
        },
    }


def _of_tampered(rows: list[Row], untouched: list[Row]) -> dict[str, Any]:
    """Figures of some tampered pictures; their image AUC is against all untouched ones."""
    scores = np.array([row.score for row in (*rows, *untouched)])
    return {
        "n_tampered": len(rows),
        "f1": _mean([row.f1 for row in rows if row.f1 is not None]),
        "iou": _mean([row.iou for row in rows if row.iou is not None]),
        "auc_image": auc(scores, np.arange(len(scores)) < len(rows)) if rows and untouched else None,
        "detected": _mean([row.alarmed for row in rows]),
    }


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values else None


def _curve(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, float]:
    """True positive rate at some false alarm rates."""
    false, true = roc(scores, truth)
    return {f"{rate:g}": float(true[np.flatnonzero(false <= rate)[-1]]) for rate in CURVE}
