"""`studio eval parsing`: mean intersection over union of nine classes on the CCP layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.core import checkpoint, hub
from pipelines.core.errors import InputError
from pipelines.core.metrics import mean_iou
from pipelines.core.types import Labels, OnStep, report
from pipelines.person.parsing.network import PARSING_CLASSES
from pipelines.person.parsing.pipeline import ParsingPipeline
from pipelines.person.parsing.training import IGNORE, label_table, read_ccp


def evaluate(
    data: str | Path,
    split: str = "all",
    weights: str | Path = "parsing",
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score a parser; predictions are resized (nearest) to the label's size where they differ.

    Args:
        data: Folder with `images/*.jpg` and `labels/*.png`; `label_names.json` in or above it.
        split: ``all`` or ``val`` (one item in ten, by the crc32 of its stem).
        weights: Name or folder.
        device: See `runtime.choose`.
        dtype: See `runtime.choose`.
        on_step: Called after each photo.

    Returns:
        ``miou``, ``iou`` (by class), ``n`` (photos), ``split``, ``weights``, ``weights_sha256`` (of
        model.safetensors).

    Raises:
        InputError: ``data.split``, ``data.layout``, ``data.empty`` or ``input.unreadable``.
        WeightsError: if the weights are missing or do not fit.
    """
    if split not in ("all", "val"):
        raise InputError("data.split", "Unknown split", seen=split, remedy="Use all or val")
    table = label_table(Path(data))
    pairs = read_ccp(data, validation=True if split == "val" else None)
    if not pairs:
        raise InputError("data.empty", "This split holds no photo", seen=f"{data}, {split}", remedy="Use --split all")
    folder = hub.resolve(weights)
    pipeline = ParsingPipeline.from_pretrained(folder, device=device, dtype=dtype)

    def predicted() -> Iterator[tuple[Labels, NDArray[np.uint8]]]:
        for number, (image, label) in enumerate(pairs):
            picture, ids = cv2.imread(str(image), cv2.IMREAD_COLOR), cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
            if picture is None or ids is None:
                raise InputError("input.unreadable", "This photo or its label cannot be read", seen=image)
            truth = table[np.asarray(ids[..., 0] if ids.ndim == 3 else ids, np.intp)]
            labels = pipeline(np.ascontiguousarray(picture[..., ::-1], np.uint8)).labels
            if labels.shape != truth.shape:
                labels = cv2.resize(labels, truth.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)
            yield labels, truth
            report(on_step, number + 1, len(pairs))

    scores = mean_iou(predicted(), PARSING_CLASSES, IGNORE)
    return {
        "miou": scores.pop("miou"),
        "iou": scores,
        "n": len(pairs),
        "split": split,
        "weights": str(weights),
        "weights_sha256": checkpoint.sha256_of([folder / checkpoint.WEIGHTS]),
    }
