"""The one place that writes artefacts, keeps inputs by hash, and lists what was made.

A result is written to a temporary file in its own folder, synced, read back and checked, and then renamed into place;
its sidecar follows as the commit marker. At whatever moment the process dies, a name holds a whole file or nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError
from studio import disk, media, meshes, pictures, sealing, sidecar
from studio.database import open_database
from studio.errors import OutputError, UsageError
from studio.recipe import InputRef, Recipe
from studio.registry import Product
from studio.sidecar import Sidecar

SUFFIX_OF = {
    "png": ".png", "jpeg": ".jpg", "webp": ".webp", "json": ".json",
    **{name: suffix for suffix, name in meshes.SUFFIXES.items()},
}  # fmt: skip
FORMAT_OF = {**pictures.SUFFIXES, ".json": "json", **meshes.SUFFIXES}
TRASH_DAYS = 30


@dataclass(frozen=True)
class Target:
    """Where a result goes: a path with the suffix of its format."""

    path: Path
    format: str
    quality: int = 95
    force: bool = False
    layers: bool = False


@dataclass(frozen=True)
class Artefact:
    """What was written."""

    path: Path
    sidecar_path: Path
    sidecar: Sidecar
    layers: Path | None = None


class Store:
    """A workspace: kept inputs, the gallery, and the way results reach the disk."""

    def __init__(self, home: Path) -> None:
        self.home = home

    # -- inputs, by content

    def input_path(self, sha256: str) -> Path:
        """Where the input with this hash is or would be kept."""
        return self.home / "inputs" / sha256[:2] / sha256

    def keep_input(self, data: bytes, name: str) -> InputRef:
        """Keep an input's bytes under their hash, so that a rerun finds them."""
        ref = reference(data, name)
        path = self.input_path(ref.sha256)
        if not path.is_file():
            with disk.told(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                disk.sweep(path.parent)
                with disk.temporary(path) as part:
                    disk.write(part, data)
                    os.replace(part, path)
        return ref

    def read_input(self, ref: InputRef, beside: Path | None = None) -> bytes:
        """The bytes of an input, from the workspace or from a file near ``beside``; the hash decides, not the name.

        Raises:
            InputError: ``input.not-kept``, naming what is missing.
        """
        for place in (self.input_path(ref.sha256), *places_beside(ref, beside)):
            if place.is_file() and place.stat().st_size <= media.MAX_FILE_BYTES:
                data = place.read_bytes()
                if hashlib.sha256(data).hexdigest() == ref.sha256:
                    return data
        raise InputError(
            "input.not-kept",
            f"An input of this recipe is not on this computer: {ref.name}",
            seen=f"sha256 {ref.sha256}",
            remedy="Put that file beside the result, or set STUDIO_HOME to the workspace that made it",
        )

    # -- outputs

    def check(self, target: Target, inputs: Iterable[Path] = ()) -> None:
        """Find out before the work whether the target can be written; leaves nothing behind.

        Args:
            target: Where a result is to go.
            inputs: The files it is made from, which it must not take the place of; they need not exist.

        Raises:
            OutputError: ``output.unwritable``, ``output.disk-full`` or ``output.is-input``.
            PipelineError: ``mesh.needs-extra`` for a format whose library is not installed.
        """
        meshes.check(target.format)
        with disk.told(target.path):  # a name that fits need not fit with what stands beside it
            for path in (target.path, sidecar.path_beside(target.path), layers_beside(target.path)):
                disk.check_name(path)
        if target.path.is_dir():
            raise OutputError(
                "output.unwritable", "The output's name is a folder", seen=target.path, remedy="Name a file"
            )
        with disk.told(target.path):
            disk.check_folder(target.path.parent)
        if target.force:  # else nothing is overwritten
            _spare_inputs(target.path, inputs)

    def write(self, product: Product, recipe: Recipe, receipt: dict[str, Any], environment: dict[str, str],
              target: Target) -> Artefact:  # fmt: skip
        """Write a product, its sidecar inside and beside, and a gallery row.

        Args:
            product: What the runner returned.
            recipe: What was asked.
            receipt: Of the engine: weights, timings, findings; the edit is added here, measured on the encoded file.
            environment: What must be equal for bit-identical results.
            target: Where to; a taken name becomes NAME-2 unless ``force``.

        Raises:
            OutputError: ``output.unwritable``, ``output.disk-full`` or ``output.damaged``; nothing is left then.
        """
        body = sealing.encode(product, target.format, target.quality)
        seal = sealing.seal_of(product, body, recipe, receipt, environment, target.format, target.quality)
        data = sealing.embed(body, target.format, seal)
        whole = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        beside = seal.model_copy(update={"output": seal.output.model_copy(update=whole)})
        wanted = product.layers if target.layers else {}
        with disk.told(target.path):
            target.path.parent.mkdir(parents=True, exist_ok=True)
            disk.sweep(target.path.parent)
            with (
                disk.temporary(target.path) as part,
                disk.temporary(sidecar.path_beside(target.path)) as marker,
                disk.temporary(layers_beside(target.path)) as scratch,
            ):
                disk.write(part, data)
                _check_written(part, data, seal)
                disk.write(marker, (beside.text(indent=2) + "\n").encode())
                _write_layers(wanted, scratch)
                with disk.uninterrupted():
                    path = _settle(part, target)
                    if wanted:
                        os.replace(scratch, layers_beside(path))
                    os.replace(marker, sidecar.path_beside(path))
                    disk.sync_folder(path.parent)
        artefact = Artefact(path, sidecar.path_beside(path), beside, layers_beside(path) if wanted else None)
        self._enter(artefact)
        self._keep_preview(product, beside.output.sha256)
        return artefact

    def trash(self, path: Path) -> Path:
        """Move a result with its sidecar and layers into the workspace's trash, which forgets after thirty days.

        Returns:
            The folder in the trash.

        Raises:
            InputError: ``input.missing`` if there is no such file.
            OutputError: ``output.unwritable`` if it cannot be moved.
        """
        if not path.is_file():
            raise InputError("input.missing", "There is no such result", seen=path, remedy="It may be deleted already")
        rubbish = self.home / "trash"
        with disk.told(path):
            for old in rubbish.glob("*"):
                if time.time() - old.stat().st_mtime > TRASH_DAYS * 86_400:
                    disk.remove(old)
            folder = rubbish / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}"
            folder.mkdir(parents=True)
            # The sidecar last, as it came: what lies without one is not a whole result.
            for item in (path, layers_beside(path), sidecar.path_beside(path)):
                if item.exists():
                    shutil.move(item, folder / item.name)
        return folder

    # -- gallery

    def _enter(self, artefact: Artefact) -> None:
        seal = artefact.sidecar
        row = (
            time.time(), str(artefact.path.resolve()), seal.recipe.kind, seal.recipe_sha256, seal.output.sha256,
            seal.recipe.seed, seal.output.width, seal.output.height, seal.receipt.get("tier"),
            seal.receipt.get("commercial"), seal.receipt.get("timings", {}).get("total"),
        )  # fmt: skip
        # The artefact is whole and sealed by now; a gallery that cannot take the row must not undo it.
        with contextlib.suppress(OutputError, sqlite3.Error), contextlib.closing(open_database(self.home)) as base:
            base.execute(
                "INSERT INTO artefacts (created, path, kind, recipe_sha256, file_sha256, seed, width, height, tier, "
                "commercial, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def preview_path(self, file_sha256: str) -> Path:
        """Where a small PNG of the result with this hash is or would be: only for what is no picture itself."""
        return self.home / "thumbnails" / file_sha256[:2] / f"{file_sha256}.png"

    def _keep_preview(self, product: Product, file_sha256: str | None) -> None:
        if product.preview is None or file_sha256 is None:
            return
        path = self.preview_path(file_sha256)
        with contextlib.suppress(OSError):  # as in `_enter`: the artefact is whole without it
            path.parent.mkdir(parents=True, exist_ok=True)
            with disk.temporary(path) as part:
                disk.write(part, pictures.thumbnail(product.preview))
                os.replace(part, path)

    def gallery(self, *, kind: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """What was made, newest first, as far as the files are still there."""
        with contextlib.closing(open_database(self.home)) as base:
            rows = base.execute(
                "SELECT * FROM artefacts WHERE ?1 IS NULL OR kind = ?1 ORDER BY created DESC, id DESC LIMIT ?2",
                (kind, limit),
            ).fetchall()
        return [dict(row) for row in rows if Path(row["path"]).is_file()]


def reference(data: bytes, name: str) -> InputRef:
    """The recipe's reference to an input."""
    plain = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name)[-255:].strip(". ") or "input"
    return InputRef(sha256=hashlib.sha256(data).hexdigest(), name=plain)


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


def _check_written(part: Path, data: bytes, seal: Sidecar) -> None:
    """Read the file back from the disk: what is sealed is what lies there."""
    there = part.read_bytes()
    if there != data or sealing.content_hash(sealing.content(there, seal.output.format)) != seal.output.pixels_sha256:
        raise OutputError("output.damaged", "The file on the disk is not what was written", seen=part.parent)


def _settle(part: Path, target: Target) -> Path:
    """Move the finished file to its name, without ever replacing one that was not given up."""
    if target.force:
        sidecar.path_beside(target.path).unlink(missing_ok=True)  # else, for a moment, it would describe other pixels
        shutil.rmtree(layers_beside(target.path), ignore_errors=True)
        os.replace(part, target.path)
        return target.path
    return next(path for path in _numbered(target.path) if not _taken(path) and _placed(part, path))


def _placed(part: Path, path: Path) -> bool:
    """Give a finished file its name; False if another process took it a moment ago."""
    try:
        os.link(part, path)  # a rename would overwrite
    except FileExistsError:
        return False
    except OSError:  # no hard links on this file system (FAT, some network shares)
        os.replace(part, path)
    else:
        part.unlink()
    return True


def _numbered(path: Path) -> Iterator[Path]:
    """The names that a result tries in turn: NAME, NAME-2, NAME-3, without end."""
    yield path
    yield from (path.with_stem(f"{path.stem}-{number}") for number in count(2))


def _taken(path: Path) -> bool:
    return path.exists() or sidecar.path_beside(path).exists()


def written_under(path: Path) -> Iterator[Path]:
    """The results that lie under a name, with those that had to take a number behind it."""
    return takewhile(_taken, _numbered(path))


def places_beside(ref: InputRef, folder: Path | None) -> list[Path]:
    """Where an input that is not kept in the workspace is looked for: in the folder and in the one above."""
    return [] if folder is None else [folder / ref.name, folder.parent / ref.name]


def _spare_inputs(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that would overwrite, or with its sidecar or layers remove, a file it is made from."""
    for given in inputs:
        with contextlib.suppress(OSError, ValueError):  # an input that is not there is told by whoever reads it
            layers = any(_same(layers_beside(path), folder) for folder in Path(os.path.realpath(given)).parents)
            if layers or _same(path, given) or _same(sidecar.path_beside(path), given):
                raise OutputError(
                    "output.is-input",
                    "The output would overwrite a file that it is made from",
                    seen=f"{path} and {given}",
                    remedy="Give the output another name",
                )


def _same(one: Path, other: Path) -> bool:
    """Whether two names are one file or folder: through links, and where large letters and small ones are alike."""
    return one.exists() and other.exists() and one.samefile(other)


def layers_beside(path: Path) -> Path:
    """The folder with what led to a result."""
    return path.with_name(path.name + ".layers")


def _write_layers(layers: Mapping[str, Any], folder: Path) -> None:
    """Write the layers into a new folder: pictures, (H, W[, 3]) uint8 or bool, as PNG files, bytes as they are."""
    import numpy as np

    if layers:
        folder.mkdir()
    for name, array in layers.items():
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60]
        if isinstance(array, bytes):
            disk.write(folder / f"{plain}.bin", array)
            continue
        values = np.asarray(array)
        if values.dtype == np.bool_:
            values = values.astype(np.uint8) * 255
        if values.dtype == np.uint8 and (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))):
            disk.write(folder / f"{plain}.png", pictures.encode(np.ascontiguousarray(values), "png"))
