"""A published Occupancy Networks or Vitruvio checkpoint as a folder of weights that the pipeline loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from pipelines.core import checkpoint
from pipelines.core.errors import WeightsError
from pipelines.vitruvio.network import OccupancyConfig, OccupancyNetwork

FILES = ("one checkpoint of an image-conditioned occupancy network",)


def convert(files: Sequence[str | Path], folder: str | Path) -> None:
    """Read a checkpoint, check every key and shape, and write config.json and model.safetensors (float32).

    Args:
        files: One torch or safetensors file; the published ones wrap the state dict under ``model``.
        folder: Where to write; created.

    Raises:
        InputError: ``weights.files`` for another number of files.
        WeightsError: ``weights.mismatch`` if it is no such network, and what `checkpoint` raises.
    """
    state = checkpoint.read_one(files, FILES[0])
    try:
        model = OccupancyNetwork(config_of(state))
    except (IndexError, ValueError) as error:
        raise WeightsError(
            "weights.mismatch", "This checkpoint is no occupancy network", seen=f"{files[0]}: {error}", remedy=FILES[0]
        ) from error
    checkpoint.load_strict(model, state, source=str(files[0]))
    checkpoint.save_component(folder, model, asdict(model.config), half=False)


def config_of(state: Mapping[str, Tensor]) -> OccupancyConfig:
    """Read the constructor values of a published network off its shapes; what they do not tell is as published."""

    def size(name: str, axis: int, default: int) -> int:
        return state[name].shape[axis] if name in state else default

    plain = OccupancyConfig()
    return OccupancyConfig(
        c_dim=size("encoder.fc.weight", 0, plain.c_dim),
        z_dim=size("decoder.fc_z.weight", 1, 0),
        decoder="simple" if "decoder.fc_c.weight" in state else "cbatchnorm",
        hidden=size("decoder.fc_p.weight", 0, plain.hidden),
        encoder_width=size("encoder.features.conv1.weight", 0, plain.encoder_width),
    )
