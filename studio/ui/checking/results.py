"""What is known of a dropped picture: the heat map that was made, and what its file says without any network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from studio import checking, media, pictures, sidecar, traces
from studio.recipe import InputRef
from studio.ui import inputs, workspace
from studio.ui.components import fit_inside
from studio.ui.components.heat import LONG_EDGE
from studio.ui.state import Picture
from studio.verdicts import Verdict


@dataclass(frozen=True)
class Heat:
    """A heat map.

    Attributes:
        photo: (h, w, 3) uint8, as large as it is shown.
        heat: (h, w) uint8, 255 where the network is surest of manipulation.
        size: (H, W) of the picture itself.
        forensics: Score, meaning, regions, as in the receipt; in pixels of the picture itself.
    """

    photo: np.ndarray
    heat: np.ndarray
    size: tuple[int, int]
    forensics: dict[str, Any]


def heat(artefact: str, picture: Picture) -> Heat:
    """Read what a finished check wrote.

    Raises:
        InputError: if files are gone.
    """
    path = Path(artefact)
    return _heat(path, path.stat().st_mtime_ns if path.is_file() else 0, picture.sha256, picture.name)


@lru_cache(maxsize=8)
def _heat(path: Path, stamp: int, sha256: str, name: str) -> Heat:
    seal, _ = sidecar.read(path)
    found = seal.receipt.get("forensics")
    photo = inputs.photo(sha256, name)
    return Heat(  # small: the server keeps some of them
        photo=fit_inside(photo, LONG_EDGE),
        heat=fit_inside(pictures.pixels_of(media.read_bytes(path)), LONG_EDGE),
        size=(photo.shape[0], photo.shape[1]),
        forensics=found if isinstance(found, dict) else {},
    )


def verdict(picture: Picture) -> Verdict:
    """Whose seal the dropped file carries, and whether it holds.

    Raises:
        InputError: ``input.*`` if it is not kept any more.
    """
    return workspace.verdict_of(workspace.store().input_path(picture.sha256))


@lru_cache(maxsize=32)
def trace(picture: Picture) -> dict[str, Any]:
    """What the file says of its own history; see `traces.Traces.as_dict`.

    Raises:
        InputError: ``input.not-kept``.
    """
    data = workspace.store().read_input(InputRef(sha256=picture.sha256, name=picture.name))
    return traces.examine(data, picture.name, inputs.photo(picture.sha256, picture.name)).as_dict()


@lru_cache(maxsize=32)
def recipe(picture: Picture) -> str:
    """How the studio made the file, in a line; empty if it carries no recipe of ours."""
    made = checking.recipe_of(workspace.store().input_path(picture.sha256))
    return "" if made is None else f"{made['kind']}, made {made['created']} of {', '.join(made['inputs'].values())}"
