"""Reading and writing weights. The only module that calls ``torch.load``, always ``weights_only=True``, no fallback."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipelines.core.errors import InputError, WeightsError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# What torch's reader raises on files that are cut off or have flipped bytes.
DAMAGE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, struct.error, BadZipFile,
)  # fmt: skip
WRAPPERS = ("state_dict", "model", "model_state_dict", "params", "net", "generator")


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors`` or a torch checkpoint, without running code stored in it.

    Args:
        path: The file. Torch checkpoints may wrap the state dict under one of the usual names.

    Returns:
        Name -> tensor, on the CPU, dtype as stored.

    Raises:
        WeightsError: ``weights.missing``, ``weights.unsafe`` (a pickle with more than tensors in it),
            ``weights.damaged`` or ``weights.not-a-state-dict``.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError("weights.missing", "There is no such weights file", seen=path, remedy="Check the path")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, error) from error
    return _unwrap(read_torch(path), path)


def read_one(files: Sequence[str | Path], wanted: str) -> dict[str, Tensor]:
    """Read the state dict of the one published checkpoint that a set of weights is made of.

    Args:
        files: What was given.
        wanted: What there should be, in words.

    Raises:
        InputError: ``weights.files`` for another number of files.
        WeightsError: What `read_state_dict` raises.
    """
    if len(files) != 1:
        raise InputError("weights.files", "One checkpoint makes these weights", seen=len(files), remedy=wanted)
    return read_state_dict(files[0])


def read_torch(path: str | Path) -> Any:
    """Read a torch file that holds tensors, numbers (numpy's too), strings and containers of these, nothing that runs.

    Raises:
        WeightsError: ``weights.unsafe`` or ``weights.damaged``.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():  # torch warns of a foreign pickle protocol before it refuses the file
            warnings.simplefilter("ignore")
            with torch.serialization.safe_globals(_numpy_scalars()):
                return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "weights.unsafe",
            "This checkpoint holds something other than tensors, and was not opened",
            seen=f"{path.name}: {_first_line(error)[:160]}",
            remedy="Ask its author for a .safetensors file, or for a plain state dict",
        ) from error
    except DAMAGE as error:
        raise _damaged(path, error) from error


def _numpy_scalars() -> list[Any]:
    """What a numpy number in a pickle is made of, under its old and new names: losses and scores of published runs."""
    import _codecs

    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*names, np.dtype, *kinds, _codecs.encode]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        "weights.damaged",
        "This weights file cannot be read; it may be cut off",
        seen=f"{path.name}, {path.stat().st_size} bytes: {_first_line(error)[:120]}",
        remedy="Fetch the file again and compare its size and sha256",
    )


def _unwrap(loaded: Any, path: Path) -> dict[str, Tensor]:
    for name in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
            break
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsError(
            "weights.not-a-state-dict",
            "This checkpoint is not a mapping from parameter names to tensors",
            seen=f"{path.name}: {type(loaded).__name__}",
            remedy="Save model.state_dict() and nothing else",
        )
    prefix = "module."  # left by DataParallel
    return {(key[len(prefix) :] if key.startswith(prefix) else key): value for key, value in loaded.items()}


def load_strict(model: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Copy ``state`` into ``model``; every key and every shape must agree.

    Raises:
        WeightsError: ``weights.mismatch``, naming the first five keys that differ; ``weights.not-finite`` for infinite
            values or NaN, with which a network still answers, and wrongly.
    """
    ours = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    theirs = {key: tuple(value.shape) for key, value in state.items()}
    differences = [
        *(f"missing {key}" for key in ours if key not in theirs),
        *(f"unexpected {key}" for key in theirs if key not in ours),
        *(f"{key}: {theirs[key]} instead of {ours[key]}" for key in ours if key in theirs and ours[key] != theirs[key]),
    ]
    if differences:
        raise WeightsError(
            "weights.mismatch",
            f"These weights do not fit {type(model).__name__}",
            seen=f"{source}: {_first_five(differences)}",
            remedy="Choose the checkpoint of this architecture and size",
        )
    _check_finite(state, source=source)
    model.load_state_dict(state, strict=True)


def _first_five(said: Sequence[str]) -> str:
    return "; ".join(said[:5]) + (f" and {len(said) - 5} more" if len(said) > 5 else "")


def _check_finite(state: Mapping[str, Tensor], *, source: str) -> None:
    values = {key: value for key, value in state.items() if value.is_floating_point() and not value.is_meta}
    bad = [key for key, value in values.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise WeightsError(
            "weights.not-finite",
            "These weights hold infinite values or NaN",
            seen=f"{source}: {_first_five(bad)}",
            remedy="Fetch or export them again; a value beyond 65,504 does not survive float16",
        )


def _halved(value: Tensor) -> Tensor:
    half = value.half()
    return half if bool(torch.isfinite(half).all()) else value


def save_component(folder: str | Path, model: nn.Module, config: Mapping[str, Any], *, half: bool = True) -> None:
    """Write ``config.json`` and ``model.safetensors`` into ``folder``, as diffusers does.

    Args:
        folder: Created if absent.
        model: Its state dict is stored.
        config: JSON-ready constructor arguments.
        half: Store floating-point tensors as float16; one with a value beyond its range (65,504, which a running
            variance may pass) stays as it is.

    Raises:
        WeightsError: ``weights.not-finite`` for a model with an infinite value or NaN; nothing is written.
    """
    folder = Path(folder)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    _check_finite(state, source=str(folder))
    if half:
        state = {key: _halved(value) if value.is_floating_point() else value for key, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / (WEIGHTS + ".part")
    save_file(state, scratch)
    os.replace(scratch, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read ``config.json`` of a component.

    Raises:
        WeightsError: ``weights.missing`` or ``weights.damaged``.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise WeightsError(
            "weights.missing", "This folder holds no config.json", seen=folder, remedy="Name a folder of weights"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(config, dict):
        raise _damaged(path, ValueError("not a JSON object"))
    return config


def load_component(folder: str | Path, model: nn.Module) -> None:
    """Load ``folder``/model.safetensors strictly into ``model`` as float32."""
    state = read_state_dict(Path(folder) / WEIGHTS)
    load_strict(model, {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, source=str(folder))
    model.eval()


def sha256_of(paths: Iterable[str | Path]) -> str:
    """One sha256 over the bytes of several files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
