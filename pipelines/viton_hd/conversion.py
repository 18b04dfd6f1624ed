"""The three published VITON-HD checkpoints as a folder of weights that the pipeline loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.core import checkpoint
from pipelines.core.errors import InputError, WeightsError
from pipelines.viton_hd.network import CONFIGS, ALIASGenerator, SegGenerator
from pipelines.viton_hd.warping import GMM

FILES = ("seg_final.pth", "gmm_final.pth", "alias_final.pth")
PARTS: dict[str, Callable[[], nn.Module]] = {
    "seg": lambda: SegGenerator(CONFIGS["official"].seg),
    "gmm": lambda: GMM(CONFIGS["official"].gmm),
    "alias": lambda: ALIASGenerator(CONFIGS["official"].alias),
}


def convert(files: Sequence[str | Path], folder: str | Path) -> None:
    """Read the checkpoints, check every key and shape, and write model_index.json and a folder for each (float32).

    Pose, parsing and garment are this project's; which file is which network is told by its tensors.

    Args:
        files: Three torch or safetensors files, in any order.
        folder: Where to write; created.

    Raises:
        InputError: ``weights.files`` if not each of the three networks is there once.
        WeightsError: ``weights.mismatch`` for a file that is none of the three, and what `checkpoint` raises.
    """
    folder = Path(folder)
    with torch.device("meta"):
        keys = {name: frozenset(make().state_dict()) for name, make in PARTS.items()}
    found: dict[str, Path] = {}
    for file in map(Path, files):
        state = checkpoint.read_state_dict(file)
        name = max(keys, key=lambda name: len(keys[name] & state.keys()))
        if not keys[name] & state.keys():
            raise WeightsError(
                "weights.mismatch", "This checkpoint is none of VITON-HD's networks", seen=file, remedy=", ".join(FILES)
            )
        if name in found:
            raise _not_three([*(str(path) for path in found.values()), f"{file} ({name} again)"])
        network = PARTS[name]()
        checkpoint.load_strict(network, state, source=str(file))
        config: Any = network.config
        checkpoint.save_component(folder / name, network, asdict(config), half=False)
        found[name] = file
    if len(found) < len(PARTS):
        raise _not_three([str(path) for path in found.values()])
    index: dict[str, Any] = {"_class_name": "VitonHDPipeline", "tier": "official"}
    index |= {name: name for name in ("parsing", "pose", "garment")}
    for name, make in PARTS.items():
        with torch.device("meta"):
            kind = type(make())
        index[name] = [kind.__module__, kind.__name__]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _not_three(seen: list[str]) -> InputError:
    return InputError(
        "weights.files",
        "VITON-HD needs each of its three checkpoints once",
        seen=", ".join(seen) or "none",
        remedy=f"Give {', '.join(FILES)}",
    )
