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
from studio import credentials, disk, media, meshes, pictures, provenance, sealing, sidecar
from studio.credentials import Place
from studio.database import open_database
from studio.errors import OutputError
from studio.provenance import Sealed
from studio.recipe import InputRef, Recipe
from studio.registry import Product
from studio.sidecar import Sidecar
from studio.targets import Target

TRASH_DAYS = 30


@dataclass(frozen=True)
class Artefact:
    """What was written.

    Attributes:
        path: The file.
        sidecar_path: Its sidecar.
        sidecar: What that says.
        layers: Folder with what led to the result, or None.
        manifest: Its content credentials where they are not inside the file, or None.
    """

    path: Path
    sidecar_path: Path
    sidecar: Sidecar
    layers: Path | None = None
    manifest: Path | None = None


class Store:
    """A workspace: kept inputs, the gallery, and the way results reach the disk.

    Args:
        home: Its folder.
        place: Where the credentials lie that seal results; the workspace's own if None.
    """

    def __init__(self, home: Path, place: Place | None = None) -> None:
        self.home = home
        self.place = place or Place(home)

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
            UsageError: ``credentials.*`` if nothing can be sealed.
            PipelineError: ``mesh.needs-extra`` for a format whose library is not installed.
        """
        meshes.check(target.format)
        with disk.told(target.path):  # a name that fits need not fit with what stands beside it
            for path in (target.path, *companions(target.path)):
                disk.check_name(path)
        if target.path.is_dir():
            raise OutputError(
                "output.unwritable", "The output's name is a folder", seen=target.path, remedy="Name a file"
            )
        with disk.told(target.path):
            disk.check_folder(target.path.parent)
        if target.force:  # else nothing is overwritten
            _spare_inputs(target.path, inputs)
        credentials.check(self.place)

    def write(self, product: Product, recipe: Recipe, receipt: dict[str, Any], environment: dict[str, str],
              target: Target) -> Artefact:  # fmt: skip
        """Write a product, sealed, its sidecar inside and beside, and a gallery row.

        Args:
            product: What the runner returned.
            recipe: What was asked.
            receipt: Of the engine: weights, timings, findings; the edit is added here, measured on the encoded file.
            environment: What must be equal for bit-identical results.
            target: Where to; a taken name becomes NAME-2 unless ``force``.

        Raises:
            OutputError: ``output.unwritable``, ``output.disk-full`` or ``output.damaged``; nothing is left then.
            UsageError: ``credentials.*`` if it cannot be sealed.
        """
        body = sealing.encode(product, target.format, target.quality)
        seal = sealing.seal_of(product, body, recipe, receipt, environment, target.format, target.quality)
        sealed = self.seal(sealing.embed(body, target.format, seal), seal, target.path.name)
        beside = sealing.beside(seal, sealed)
        layers = product.layers if target.layers else {}
        with disk.told(target.path):
            target.path.parent.mkdir(parents=True, exist_ok=True)
            disk.sweep(target.path.parent)
            with contextlib.ExitStack() as stack:
                part, *companion_parts = (
                    stack.enter_context(disk.temporary(path)) for path in (target.path, *companions(target.path))
                )
                disk.write(part, sealed.data)
                _check_written(part, sealed.data, seal)
                _write_companions(companion_parts, layers, sealed, beside)
                with disk.uninterrupted():
                    path = _settle(part, target)
                    for made, name in zip(companion_parts, companions(path), strict=True):
                        if made.exists():
                            os.replace(made, name)
                    disk.sync_folder(path.parent)
        artefact = Artefact(
            path, sidecar.path_beside(path), beside, layers_beside(path) if layers else None,
            provenance.manifest_beside(path) if sealed.beside else None,
        )  # fmt: skip
        self._enter(artefact)
        self._keep_preview(product, beside.output.sha256)
        return artefact

    def seal(self, data: bytes, seal: Sidecar, name: str) -> Sealed:
        """Sign a finished file of ours, with the inputs that it was made from as far as they are kept here.

        Args:
            data: The file with its sidecar inside.
            seal: That sidecar.
            name: Of the file.

        Raises:
            UsageError: ``credentials.*``.
        """
        return sealing.sign(data, seal, name, self._kept, credentials.load(self.place))

    def _kept(self, ref: InputRef) -> bytes | None:
        """An input's bytes where a manifest of its own may be in them; None if it is not kept or very large."""
        path = self.input_path(ref.sha256)
        if not path.is_file() or path.stat().st_size > provenance.LARGEST_INGREDIENT:
            return None
        try:
            return self.read_input(ref)
        except InputError:
            return None

    def trash(self, path: Path) -> Path:
        """Move a result with all that belongs to it into the workspace's trash, which forgets after thirty days.

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
            for item in (path, *companions(path)):
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


def _check_written(part: Path, data: bytes, seal: Sidecar) -> None:
    """Read the file back from the disk: what is sealed is what lies there."""
    there = part.read_bytes()
    if there != data or sealing.content_hash(sealing.content(there, seal.output.format)) != seal.output.pixels_sha256:
        raise OutputError("output.damaged", "The file on the disk is not what was written", seen=part.parent)


def _settle(part: Path, target: Target) -> Path:
    """Move the finished file to its name, without ever replacing one that was not given up."""
    if target.force:
        for old in reversed(companions(target.path)):  # else, for a moment, they would describe other pixels
            disk.remove(old)
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
    return any(each.exists() for each in (path, provenance.manifest_beside(path), sidecar.path_beside(path)))


def written_under(path: Path) -> Iterator[Path]:
    """The results that lie under a name, with those that had to take a number behind it."""
    return takewhile(_taken, _numbered(path))


def places_beside(ref: InputRef, folder: Path | None) -> list[Path]:
    """Where an input that is not kept in the workspace is looked for: in the folder and in the one above."""
    return [] if folder is None else [folder / ref.name, folder.parent / ref.name]


def _spare_inputs(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that would overwrite, or with what belongs to it remove, a file it is made from."""
    for given in inputs:
        with contextlib.suppress(OSError, ValueError):  # an input that is not there is told by whoever reads it
            layers = any(_same(layers_beside(path), folder) for folder in Path(os.path.realpath(given)).parents)
            if layers or any(_same(each, given) for each in (path, *companions(path))):
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


def companions(path: Path) -> tuple[Path, Path, Path]:
    """What may lie beside a result: layers, manifest, sidecar.

    The sidecar is last and comes last: what lies without one is not a whole result.
    """
    return layers_beside(path), provenance.manifest_beside(path), sidecar.path_beside(path)


def _write_companions(parts: list[Path], layers: Mapping[str, Any], sealed: Sealed, beside: Sidecar) -> None:
    """Write those of `companions` that this result has."""
    scratch, manifest, marker = parts
    _write_layers(layers, scratch)
    if sealed.beside:
        disk.write(manifest, sealed.manifest)
    disk.write(marker, (beside.text(indent=2) + "\n").encode())


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
