"""Two kinds of recipe with real, tiny pipelines, so that the spine is tested without waiting for large networks.

``soften`` blurs the photo inside a mask, in steps, with numpy only. ``filter`` runs a seeded 3x3 convolution whose
weights are read by the project's own loader. Subprocesses import this module to have the kinds registered.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipelines.core.errors import InputError
from pipelines.core.types import Finding
from studio import registry
from studio.registry import Call, Edit, Kind, Origin, Product, Slot


class SoftenSettings(BaseModel):
    """How long, how strong, and how it shall fail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = 3
    seconds: float = 0.0  # each step
    fail: Literal["", "bug", "memory", "input", "die"] = ""
    leak: bool = False  # change a pixel outside the mask


def soften(call: Call) -> Product:
    """Average with the neighbours, inside the mask only."""
    image, values = call.inputs["person"], call.settings
    mask = call.inputs.get("mask")
    if mask is None:
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[image.shape[0] // 4 : image.shape[0] // 2, image.shape[1] // 4 : image.shape[1] // 2] = 255
    work = image.astype(np.float64)
    work += np.random.default_rng(call.seed).normal(0, 3, work.shape)
    for step in range(values.steps):
        time.sleep(values.seconds)
        work = (work + np.roll(work, 1, 0) + np.roll(work, -1, 0) + np.roll(work, 1, 1) + np.roll(work, -1, 1)) / 5
        call.on_step(step + 1, values.steps, np.clip(work, 0, 255).astype(np.uint8))
    _fail(values.fail)
    soft = np.clip(np.rint(work), 0, 255).astype(np.uint8)
    result = np.where(mask[..., None] > 0, soft, image)
    if values.leak:
        result[np.unravel_index(mask.argmin(), mask.shape)] ^= 1
    note = Finding("soften.note", "info", "This picture was softened", "Nothing")
    return Product(pixels=result, edit=Edit(image, mask), findings=(note,), layers={"mask": mask, "work": soft})


def _fail(way: str) -> None:
    if way == "bug":
        raise RuntimeError("a defect of the pipeline")
    if way == "memory":
        raise MemoryError
    if way == "input":
        raise InputError("input.no-person", "There is no person in this picture", remedy="Use another")
    if way == "die":
        os.kill(os.getpid(), signal.SIGKILL)


class FilterSettings(BaseModel):
    """None."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FilterPipeline:
    """One convolution."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @staticmethod
    def network() -> Any:
        """The network, with its weights as torch makes them."""
        from torch import nn

        return nn.Conv2d(3, 3, 3, padding=1)

    @classmethod
    def from_pretrained(cls, folder: Path, *, device: str = "auto", dtype: str = "auto") -> FilterPipeline:
        """Load config.json and model.safetensors."""
        from pipelines.core import checkpoint

        checkpoint.read_config(folder)
        model = cls.network()
        checkpoint.load_component(folder, model)
        return cls(model)

    @classmethod
    def create(cls, folder: Path, seed: int = 0) -> Path:
        """Write a new set of weights."""
        import torch

        from pipelines.core import checkpoint

        torch.manual_seed(seed)
        checkpoint.save_component(folder, cls.network(), {"kind": "filter"})
        return folder

    def __call__(self, image: Any) -> Any:
        """(H, W, 3) uint8 -> the same, convolved."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
            y = self.model(x)[0].permute(1, 2, 0)
        return (y.clamp(0, 1).numpy() * 255).round().astype(np.uint8)


def run_filter(call: Call) -> Product:
    """Convolve the whole photo."""
    image = call.inputs["person"]
    result = call.load(f"{__name__}:FilterPipeline", "filter")(image)
    call.on_step(1, 1, result)
    return Product(pixels=result, edit=Edit(image, np.full(image.shape[:2], 255, np.uint8)))


def count(call: Call) -> Product:
    """A document instead of a picture."""
    height, width = call.inputs["person"].shape[:2]
    call.on_step(1, 1, None)
    return Product(document={"width": width, "height": height, "mean": round(float(call.inputs["person"].mean()), 3)})


_PERSON = Slot("person", "photo", "photo")
_MASK = Slot("mask", "mask", "mask", required=False)
_EDITED, _FOUND = Origin("algorithmicallyEnhanced", "person"), Origin("algorithmicMedia")
_RUN = f"{__name__}:"
KINDS = (
    Kind("soften", "Soften", SoftenSettings, (_PERSON, _MASK), (), (), f"{_RUN}soften", registry.PICTURES, _EDITED),
    Kind(
        "filter", "Filter", FilterSettings, (_PERSON,), ("filter",), ("filter",), f"{_RUN}run_filter", ("png",), _EDITED
    ),
    Kind("count", "Count", FilterSettings, (_PERSON,), (), (), f"{_RUN}count", ("json",), _FOUND),
)
registry.KINDS.update({kind.name: kind for kind in KINDS})
