"""The sidecar: recipe + receipt + environment + hashes, inside the file and beside it."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import InputError
from studio import __version__, clouds, media, meshes, pictures
from studio.recipe import Recipe, Sha256, bad, read_json

SCHEMA = "studio.sidecar/1"
LARGEST = 4 * pictures.MAX_SIDECAR
BESIDE_ONLY = ("sha256", "bytes", "manifest_sha256")  # what is known of a file only once it is finished


class Output(BaseModel):
    """The file that belongs to a sidecar.

    Attributes:
        format: ``png``, ``jpeg``, ``webp``, ``mp4``, ``json``, or one of studio/meshes.py and studio/clouds.py.
        quality: JPEG quality.
        width: Pixels; 0 for what is no picture.
        height: Pixels; 0 for what is no picture.
        pixels_sha256: Of the array that decoding the file gives; for JSON, of the document's canonical text; for a
            mesh, of its corners and triangles; for a cloud, of its points, colours and normals.
        sha256: Of the whole file; only beside the file, which cannot hold its own hash.
        bytes: Its size; only beside the file.
        manifest_sha256: Of its C2PA manifest, in the file or beside it; only beside the file.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal["png", "jpeg", "webp", "mp4", "json", "3mf", "stl", "obj", "ply", "glb", "ifc", "xyz", "las", "laz"]
    quality: int = Field(default=95, ge=1, le=100)
    width: int = Field(default=0, ge=0, le=10**6)
    height: int = Field(default=0, ge=0, le=10**6)
    pixels_sha256: Sha256
    sha256: Sha256 | None = None
    bytes: int | None = None
    manifest_sha256: Sha256 | None = None


class Sidecar(BaseModel):
    """Everything known about how a file was made.

    Attributes:
        layout: Of this structure (written as ``schema``).
        studio: Version of the studio.
        created: UTC, ISO 8601.
        recipe: What was asked.
        recipe_sha256: Its hash.
        output: The file.
        receipt: What was done to which pixels, by which weights, how long it took, what was noticed.
        environment: What must be equal for bit-identical results.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    layout: Literal["studio.sidecar/1"] = Field(default=SCHEMA, alias="schema")
    studio: str = Field(default=__version__, max_length=64)
    created: str = Field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), max_length=32)
    recipe: Recipe
    recipe_sha256: Sha256
    output: Output
    receipt: dict[str, Any] = {}
    environment: dict[str, str] = {}

    def text(self, *, output: Output | None = None, indent: int | None = None) -> str:
        """JSON text, with ``output`` in place of our own if given."""
        data = self.model_dump(mode="json", by_alias=True)
        data["output"] = (output or self.output).model_dump(mode="json", exclude_none=True)
        return json.dumps(data, indent=indent, sort_keys=indent is not None, allow_nan=False)


def parse(text: str | bytes) -> Sidecar:
    """Read an untrusted sidecar.

    Raises:
        UsageError: ``recipe.bad``.
    """
    data = read_json(text, limit=LARGEST)
    try:
        return Sidecar.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def digest(text: str | bytes) -> str:
    """Hash of what a sidecar says, the same for the one inside a file and the one beside it; goes into the manifest.

    Raises:
        UsageError: ``recipe.bad`` if it is no JSON object.
    """
    data = read_json(text, limit=LARGEST)
    if not isinstance(data, dict) or not isinstance(data.get("output"), dict):
        raise bad("no sidecar")
    data["output"] = {name: value for name, value in data["output"].items() if name not in BESIDE_ONLY}
    return hashlib.sha256(json.dumps(data, sort_keys=True, allow_nan=False).encode()).hexdigest()


def path_beside(path: Path) -> Path:
    """Where the sidecar of the file ``path`` lies: NAME.png.json beside NAME.png."""
    return path.with_name(path.name + ".json")


def read(path: Path) -> tuple[Sidecar, list[str]]:
    """The sidecar of a file of ours, from inside it or from beside it.

    Args:
        path: A picture, mesh, cloud or JSON document that the studio made.

    Returns:
        The sidecar, and what does not agree between file and sidecar (empty when all is as it was written).

    Raises:
        InputError: ``input.*`` if the file cannot be read; ``input.no-recipe`` if it carries no sidecar.
        UsageError: ``recipe.bad``.
    """
    data = media.read_bytes(path)
    inside = embedded(data)
    beside = path_beside(path)
    if inside is None and not beside.is_file():
        raise InputError(
            "input.no-recipe",
            "This file carries no recipe",
            seen=path,
            remedy="Other programs drop it when they save again; keep the .json beside the file",
        )
    notes: list[str] = []
    whole = hashlib.sha256(data).hexdigest()
    outer = parse(media.read_bytes(beside)) if beside.is_file() else None
    if outer is not None and outer.output.sha256 != whole:
        notes.append(f"{beside.name} describes other bytes than {path.name} has now")
    sidecar = parse(inside) if inside is not None else outer
    if sidecar is None:
        raise InputError("input.no-recipe", "This file carries no recipe", seen=path)
    if sidecar.recipe.sha256() != sidecar.recipe_sha256:
        notes.append("the recipe does not match its own hash: it was edited")
    return sidecar, notes


def embedded(data: bytes) -> str | None:
    """The sidecar text inside a file of ours (picture, mesh, cloud or JSON document), or None."""
    held = meshes.embedded_sidecar(data) or clouds.embedded_sidecar(data)
    if held is not None:
        return held
    if data[:1] in (b"{", b"[", b" ", b"\n"):
        document = read_json(data, limit=64 * 1024 * 1024)
        held = document.get(pictures.SIDECAR_KEY) if isinstance(document, dict) else None
        return None if held is None else json.dumps(held)
    return pictures.embedded_sidecar(data)


def hash_pixels(pixels: Any) -> str:
    """sha256 of an array's shape and bytes."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
