"""A published ViTPose checkpoint, under its authors' or transformers' names, as a folder of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipelines.core import checkpoint
from pipelines.core.errors import WeightsError
from pipelines.vitpose.network import VitPose, config_of, from_published

FILES = ("one checkpoint of 256x192 pixels",)
SIZE = (256, 192)  # height and width of all published checkpoints that the configurations name


def convert(files: Sequence[str | Path], folder: str | Path) -> None:
    """Read a checkpoint, check every key and shape, and write config.json and model.safetensors (float32).

    Args:
        files: One torch or safetensors file.
        folder: Where to write; created.

    Raises:
        InputError: ``weights.files`` for another number of files.
        WeightsError: ``weights.mismatch`` if it is no ViTPose, and what `checkpoint` raises.
    """
    state = from_published(checkpoint.read_one(files, FILES[0]))
    try:
        model = VitPose(config_of(state, image_size=SIZE))
    except (KeyError, IndexError, ValueError) as error:
        raise WeightsError(
            "weights.mismatch", "This checkpoint is no ViTPose network", seen=f"{files[0]}: {error}", remedy=FILES[0]
        ) from error
    checkpoint.load_strict(model, {key: value.float() for key, value in state.items()}, source=str(files[0]))
    checkpoint.save_component(folder, model, asdict(model.config), half=False)
