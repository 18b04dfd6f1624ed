"""Where a result goes: a path and a format, worked out of what was asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from studio import clouds, disk, meshes, pictures
from studio.errors import UsageError

SUFFIX_OF = {
    "png": ".png", "jpeg": ".jpg", "webp": ".webp", "json": ".json",
    **{name: suffix for suffix, name in {**meshes.SUFFIXES, **clouds.SUFFIXES}.items()},
}  # fmt: skip
FORMAT_OF = {**pictures.SUFFIXES, ".json": "json", **meshes.SUFFIXES, **clouds.SUFFIXES}


@dataclass(frozen=True)
class Target:
    """Where a result goes: a path with the suffix of its format."""

    path: Path
    format: str
    quality: int = 95
    force: bool = False
    layers: bool = False


def target_for(
    output: str | Path | None,
    formats: tuple[str, ...],
    default_name: str,
    *,
    format: str | None = None,
    preferred: str = "png",
    quality: int = 95,
    force: bool = False,
    layers: bool = False,
) -> Target:
    """Work out path and format of an output.

    Args:
        output: File, folder, or None for a file in the working folder.
        formats: What the kind can write.
        default_name: Stem for an output that names no file.
        format: Asked for explicitly.
        preferred: Taken when nothing else says.
        quality: JPEG quality.
        force: Overwrite.
        layers: Also write what led to the result.

    Raises:
        UsageError: ``output.format``.
        OutputError: ``output.unwritable`` for a name that no file can have.
    """
    path = Path(output) if output is not None else Path.cwd()
    with disk.told(path):
        disk.check_name(path)
    if path.is_dir() or str(output).endswith(("/", os.sep)):
        path = path / default_name
        suffix = ""
    else:
        suffix = path.suffix.lower()
    by_name = FORMAT_OF.get(suffix)
    if suffix and by_name is None and format is None and output is not None:
        raise bad_format(path.name, formats)
    asked = {"jpg": "jpeg"}.get(format or "", format)
    chosen = asked or by_name or (preferred if preferred in formats else formats[0])
    if chosen not in formats or (by_name and asked and by_name != asked):
        raise bad_format(f"{path.name}{f' with --format {format}' if format else ''}", formats)
    if by_name != chosen:
        path = path.with_name(path.name + SUFFIX_OF[chosen])
    return Target(path, chosen, quality, force, layers)


def bad_format(seen: str, formats: tuple[str, ...]) -> UsageError:
    """The error for a format that a kind cannot write."""
    return UsageError(
        "output.format",
        "This output format does not fit",
        seen=seen,
        remedy=f"Use {' or '.join(SUFFIX_OF[name] for name in formats)}",
    )
