"""From the name of a set of weights to the folder that holds it. Consent and downloads are the product's business.

Places, in this order: a folder given as such; shipped weights (`weights/` of the checkout or of the installed package);
the workspaces that were added, or else ``$STUDIO_HOME``, where pulled weights lie under `weights/NAME`.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError, WeightsError

MANIFEST = "manifest.toml"
MARKERS = ("config.json", "model_index.json")
_workspaces: list[Path] = []


@cache
def root() -> Path:
    """The folder with the manifest, the cards and the shipped weights.

    Raises:
        WeightsError: ``weights.missing`` if the installation has none.
    """
    package = Path(str(resources.files("pipelines")))
    for place in (package / "weights", package.parent / "weights"):
        if (place / MANIFEST).is_file():
            return place
    raise WeightsError(
        "weights.missing",
        "This installation has no weights folder",
        seen=package / "weights",
        remedy="Install the package again, or work in a checkout of the repository",
    )


def assets() -> Path:
    """The folder of the sample inputs: of the checkout, or of the product that was installed beside this package.

    Raises:
        InputError: ``input.missing`` if the installation has none.
    """
    here = Path(str(resources.files("pipelines"))).parent
    for place in (here / "studio" / "assets", here / "assets"):
        if (place / "samples").is_dir():
            return place
    raise InputError(
        "input.missing", "This installation has no sample inputs", seen=here / "assets", remedy="Give a folder"
    )


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """Name -> entry of every set of weights that is known.

    Raises:
        WeightsError: ``weights.damaged`` if the manifest cannot be read.
    """
    path = root() / MANIFEST
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))["weights"]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            "weights.damaged", "The list of weights cannot be read", seen=f"{path}: {error}", remedy="Restore the file"
        ) from error


def add_workspace(home: str | Path) -> None:
    """Let weights that were pulled into ``home``/weights be found."""
    if Path(home) not in _workspaces:
        _workspaces.append(Path(home))


def workspaces() -> list[Path]:
    """Where pulled weights are looked for."""
    chosen = os.environ.get("STUDIO_HOME")
    return [*_workspaces, *([Path(chosen).expanduser()] if chosen and not _workspaces else [])]


def resolve(name_or_folder: str | Path) -> Path:
    """Find the folder of a set of weights.

    Args:
        name_or_folder: A name of the manifest, e.g. ``pose``, or a folder with config.json or model_index.json. A name
            wins over a folder of the same name in the working directory; write ``./pose`` for that.

    Returns:
        A folder that holds config.json or model_index.json.

    Raises:
        WeightsError: ``weights.missing``.
    """
    known = manifest().get(str(name_or_folder))
    if known is None:
        folder = Path(name_or_folder)
        if _holds_weights(folder):
            return folder
        what = "This folder holds no weights" if folder.is_dir() else "There are no weights of this name"
        raise WeightsError(
            "weights.missing",
            what,
            seen=name_or_folder,
            remedy=f"Name a folder with {' or '.join(MARKERS)}, or one of: {', '.join(manifest())}",
        )
    places = [root() / known["folder"]] if "folder" in known else []
    places += [home / "weights" / str(name_or_folder) for home in workspaces()]
    for place in places:
        if _holds_weights(place):
            return place
    fallback = (
        f"studio weights pull {name_or_folder}"
        if "repo" in known
        else f"Put them into STUDIO_HOME/weights/{name_or_folder}"
    )
    raise WeightsError(
        "weights.missing",
        f"The weights {name_or_folder} are not on this computer",
        seen=", ".join(str(place) for place in places),
        remedy=known.get("how") or fallback,
    )


def _holds_weights(folder: Path) -> bool:
    return any((folder / marker).is_file() for marker in MARKERS)
