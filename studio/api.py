"""The Python API: ``from studio import tryon, building``.

    from studio import tryon
    artefact = tryon("me.jpg", "shirt.jpg", "dressed.png")
    artefact.sidecar.receipt["edit"]["changed_outside_mask"]    # 0

The same way as the command: recipe -> engine -> store. A `Studio` keeps its pipelines warm between calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from studio import registry, settings, targets
from studio.engine import Engine, OnProgress
from studio.store import Artefact


class Studio:
    """An engine and a workspace.

    Args:
        weights: Name -> a folder of your own in place of the starter.
        **flags: Settings (studio/settings.py): ``home``, ``device``, ``dtype``, ...
    """

    def __init__(self, weights: Mapping[str, str | Path] | None = None, **flags: Any) -> None:
        own = {name: Path(folder) for name, folder in (weights or {}).items()}
        self.engine = Engine(settings.load(**flags), own_weights=own)

    def make(
        self,
        kind: str,
        files: Mapping[str, str | Path],
        output: str | Path | None = None,
        *,
        seed: int = 0,
        force: bool = False,
        layers: bool = False,
        on_progress: OnProgress | None = None,
        **values: Any,
    ) -> Artefact:
        """Make one result.

        Args:
            kind: A row of studio/registry.py, e.g. ``tryon``, ``pose`` or ``building``.
            files: Slot -> path.
            output: File or folder; the working folder if None.
            seed: Of every random draw.
            force: Overwrite.
            layers: Also write what led to the result.
            on_progress: Called between steps; may raise `pipelines.core.errors.Cancelled`.
            **values: The kind's settings.

        Raises:
            PipelineError: with code, what, seen and remedy.
        """
        row = registry.kind(kind)
        chosen = self.engine.settings
        target = targets.target_for(
            output, row.formats, registry.default_name(row, files), preferred=chosen.format, quality=chosen.quality,
            force=force, layers=layers,
        )  # fmt: skip
        self.engine.store.check(target, map(Path, files.values()))
        return self.engine.execute(self.engine.draft(kind, files, values, seed=seed), target, on_progress=on_progress)


@cache
def _default() -> Studio:
    return Studio()


def tryon(
    person: str | Path,
    garment: str | Path,
    output: str | Path | None = None,
    *,
    mask: str | Path | None = None,
    seed: int = 0,
    force: bool = False,
    **values: Any,
) -> Artefact:
    """Dress the person in the garment; ``values`` are the settings of ``tryon`` (category, person_index, protect)."""
    files = {"person": person, "garment": garment, **({"mask": mask} if mask is not None else {})}
    return _default().make("tryon", files, output, seed=seed, force=force, **values)


def pose(photo: str | Path, output: str | Path | None = None, *, force: bool = False, **values: Any) -> Artefact:
    """Find the joints of the people in a photo; writes JSON."""
    return _default().make("pose", {"person": photo}, output, force=force, **values)


def parse(photo: str | Path, output: str | Path | None = None, *, force: bool = False, **values: Any) -> Artefact:
    """Label each pixel of a person; writes a PNG whose palette indices are the class ids."""
    return _default().make("parse", {"person": photo}, output, force=force, **values)


def check(photo: str | Path) -> dict[str, Any]:
    """Look at a picture from all sides: forensics, seal, recipe and traces, as `studio check --json` tells them.

    Raises:
        PipelineError: with code, what, seen and remedy.
    """
    from studio import checking

    return checking.check(_default().engine, Path(photo)).as_dict()


def building(
    sketch: str | Path, output: str | Path | None = None, *, seed: int = 0, force: bool = False, **values: Any
) -> Artefact:
    """Make a building from a sketch; ``values`` are the settings of ``building`` (height_mm, view, profile, ...).

    The print passport is ``artefact.sidecar.receipt["passport"]``.
    """
    return _default().make("building", {"sketch": sketch}, output, seed=seed, force=force, **values)


def cloud(
    *photos: str | Path, output: str | Path | None = None, seed: int = 0, force: bool = False, **values: Any
) -> Artefact:
    """Make a point cloud from one to eight pictures of an object; ``values`` are the settings of ``cloud``."""
    files = {f"view{number}": photo for number, photo in enumerate(photos, 1)}
    return _default().make("cloud", files, output, seed=seed, force=force, **values)


def surface(cloud: str | Path, output: str | Path | None = None, *, force: bool = False, **values: Any) -> Artefact:
    """Make one closed solid of a point cloud; ``values`` are the settings of ``surface`` (height_mm, method, ...)."""
    return _default().make("surface", {"cloud": cloud}, output, force=force, **values)
