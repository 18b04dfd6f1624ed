"""`studio eval pose`: percentage of correct keypoints on the LSP layout, with the flip test as shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import checkpoint, hub
from pipelines.core.errors import InputError
from pipelines.core.metrics import pck_score
from pipelines.core.types import OnStep, report
from pipelines.vitpose.pipeline import VitPosePipeline
from pipelines.vitpose.training import read_lsp, read_picture


def evaluate(
    data: str | Path,
    split: str = "all",
    weights: str | Path = "pose",
    device: str = "auto",
    dtype: str = "auto",
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Score a pose network; the whole crop is the box.

    Args:
        data: Folder with `images/*.jpg` and `joints.json`.
        split: ``all`` or ``val`` (one item in ten, by the crc32 of its stem).
        weights: Name or folder.
        device: See `runtime.choose`.
        dtype: See `runtime.choose`.
        on_step: Called after each photo.

    Returns:
        ``pck``, ``per_joint``, ``n`` (photos), ``joints`` (visible joints scored), ``split``, ``weights``,
        ``weights_sha256`` (of model.safetensors).

    Raises:
        InputError: ``data.split``, ``data.layout``, ``data.empty`` or ``input.unreadable``.
        WeightsError: if the weights are missing or do not fit.
    """
    if split not in ("all", "val"):
        raise InputError("data.split", "Unknown split", seen=split, remedy="Use all or val")
    items = read_lsp(data, validation=True) + (read_lsp(data, validation=False) if split == "all" else [])
    if not items:
        raise InputError("data.empty", "This split holds no photo", seen=f"{data}, {split}", remedy="Use --split all")
    folder = hub.resolve(weights)
    pipeline = VitPosePipeline.from_pretrained(folder, device=device, dtype=dtype)
    found = []
    for number, (path, _, _) in enumerate(items):
        found.append(pipeline(read_picture(path))[0].xy)
        report(on_step, number + 1, len(items))
    visible = np.stack([weight == 1 for _, _, weight in items])
    scores = pck_score(np.stack(found), np.stack([xy for _, xy, _ in items]), visible)
    return {
        "pck": scores.pop("pck"),
        "per_joint": scores,
        "n": len(items),
        "joints": int(visible.sum()),
        "split": split,
        "weights": str(weights),
        "weights_sha256": checkpoint.sha256_of([folder / checkpoint.WEIGHTS]),
    }
