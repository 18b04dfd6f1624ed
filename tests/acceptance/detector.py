"""In a process of its own: peak memory of the published IML-ViT, or whether bfloat16 marks what float32 does.

detector.py memory            untrained weights of the published size, both dtypes
detector.py agreement DIR     the starter on the tampered pictures of a set that `studio data tampered` wrote
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import hub, runtime
from pipelines.iml_vit import dataset
from pipelines.iml_vit.network import CONFIGS, ImlVit
from pipelines.iml_vit.pipeline import ImlVitPipeline
from tests.acceptance.warm_tryon import peak_gb

SIDE, PICTURES = 1024, 60


def memory() -> dict[str, Any]:
    """Peak memory of one picture through the published network."""
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    model = ImlVit(CONFIGS["official"])
    for dtype in ("float32", "bfloat16"):
        ImlVitPipeline(model, runtime.choose("cpu", dtype))(picture)
    return {"peak_rss_gb": peak_gb()}


def agreement(folder: Path) -> dict[str, Any]:
    """Intersection over union, pooled, of the pixels that both dtypes mark in tampered pictures."""
    exact, half = (
        ImlVitPipeline.from_pretrained(hub.resolve("iml-vit"), device="cpu", dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    items = [item for item in dataset.listed(folder)[1] if item.mask is not None][:PICTURES]
    both = either = 0
    for item in items:
        picture, _ = dataset.read(item)
        wanted, got = exact(picture).mask, half(picture).mask
        both, either = both + int((wanted & got).sum()), either + int((wanted | got).sum())
    return {"pictures": len(items), "iou": both / max(1, either)}


def main() -> None:
    """Measure and write one JSON object."""
    result = memory() if sys.argv[1] == "memory" else agreement(Path(sys.argv[2]))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
