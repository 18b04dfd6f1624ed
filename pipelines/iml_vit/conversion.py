"""A published IML-ViT checkpoint as a folder of weights that the pipeline loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipelines.core import checkpoint
from pipelines.core.errors import WeightsError
from pipelines.iml_vit.network import ImlVit, config_of, from_published

FILES = ("one IML-ViT checkpoint, released or of a training",)


def convert(files: Sequence[str | Path], folder: str | Path) -> None:
    """Read a checkpoint, check every key and shape, and write config.json and model.safetensors (float32).

    Args:
        files: One torch or safetensors file: a bare state dict as released, or a training's, which nests it.
        folder: Where to write; created.

    Raises:
        InputError: ``weights.files`` for another number of files.
        WeightsError: ``weights.mismatch`` if it is no such network, and what `checkpoint` raises.
    """
    state = from_published(checkpoint.read_one(files, FILES[0]))
    try:
        model = ImlVit(config_of(state))
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise WeightsError(
            "weights.mismatch", "This checkpoint is no IML-ViT network", seen=f"{files[0]}: {error}", remedy=FILES[0]
        ) from error
    checkpoint.load_strict(model, state, source=str(files[0]))
    checkpoint.save_component(folder, model, asdict(model.config), half=False)
