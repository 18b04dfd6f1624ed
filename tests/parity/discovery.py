"""Finding parity cases by file name, and what the tests of all systems need to run one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.parity import fill

DATA = Path(__file__).parent / "data"
REST = ""  # the kind of a case whose name starts with no other kind
KINDS = {
    "viton_hd": ("seg", "gmm", "alias", "flow"),
    "vitpose": ("official", "hf", "decode", "crop"),
    "vitruvio": ("extra", "mise", "metrics", REST),
    "iml_vit": ("tiny", "full", "edge", "metric"),
    "diffpoint_blocks": ("patch", "uvit"),
}
WITHOUT_COPY = {("iml_vit", "full")}  # the published size, half a megabyte a case; the tiny ones run the same test
LATER = ("moe", "plus")  # mixture-of-experts heads are another issue


@dataclass(frozen=True)
class Case:
    """One reference file.

    Attributes:
        path: The .npz file.
        system: Name of its folder.
        kind: First part of its name, one of KINDS.
    """

    path: Path
    system: str
    kind: str

    @property
    def name(self) -> str:
        """What stands behind the kind, e.g. ``classic_open``."""
        return self.path.stem.removeprefix(f"{self.kind}_")

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays of the file."""
        with np.load(self.path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}

    def entry(self) -> dict[str, Any]:
        """What the JSON files beside the case say about it, by file name or stem; empty if nothing."""
        for path in sorted(self.path.parent.glob("*cases*.json")):
            listed = read_json(path)
            for key in (self.path.name, self.path.stem):
                if isinstance(listed.get(key), dict):
                    return listed[key]
        return {}


def root() -> Path:
    """The folder that holds one folder of cases by system."""
    return Path(os.environ.get("STUDIO_PARITY") or DATA)


def discover(folder: Path) -> list[Case]:
    """All cases of one system's folder, which must be called like a system of KINDS."""
    found = []
    kinds = KINDS[folder.name]
    for path in sorted(folder.glob("*.npz")):
        kind = next((kind for kind in kinds if kind and path.stem.startswith(f"{kind}_")), REST)
        if kind in kinds and not any(word in path.stem for word in LATER):
            found.append(Case(path, folder.name, kind))
    return found


def parameters(system: str, *kinds: str) -> list[Any]:
    """The cases of some kinds as pytest parameters, whose ids name folder and file."""
    folder = root() / system
    cases = [case for case in discover(folder) if case.kind in kinds] if folder.is_dir() else []
    if not cases:
        missing = pytest.mark.skip(reason=f"{folder} holds none; test_discovery decides whether that is an error")
        return [pytest.param(None, marks=missing, id=f"{system}/no-{'-'.join(kinds)}")]
    return [pytest.param(case, id=f"{system}/{case.path.stem}") for case in cases]


def weights_folder() -> Path:
    """The repository's weights folder."""
    return Path(__file__).parents[2] / "weights"


@cache
def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    loaded = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict), f"{path} is not a JSON object"
    return loaded


def filled(shapes: Mapping[str, Any], salt: str, *, positional: bool = False) -> dict[str, torch.Tensor]:
    """The parameters that the reference was computed with."""
    state = fill.fill_state_dict({name: tuple(shape) for name, shape in shapes.items()}, salt, positional)
    return {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of everything a checkpoint of ``model`` holds."""
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def difference(found: Any, expected: Any) -> np.ndarray:
    """Absolute difference in float64; fails on another shape, and on anything that is not a number."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, f"shape {found.shape} instead of {expected.shape}"
    assert np.isfinite(found).all(), "the result holds NaN or infinity"
    return np.abs(found - expected)


def close(name: str, found: Any, expected: Any, tolerance: float, record: Any = None, *, relative: float = 0.0) -> None:
    """Fail, naming the figure, where the two differ by more than ``tolerance`` + ``relative`` x the expected value."""
    gap = difference(found, expected)
    worst = float(gap.max()) if gap.size else 0.0
    if record is not None:
        record(f"max_abs_diff:{name}", worst)
    allowed = tolerance + relative * np.abs(np.asarray(expected, np.float64))
    assert (gap <= allowed).all(), f"{name}: largest difference {worst:.3e}, allowed {tolerance:.1e}"
