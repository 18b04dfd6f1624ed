"""A product as the bytes of a file that carries its sidecar, and what such a file shows. No disk is touched here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from pipelines.core.types import Cloud, Mesh
from studio import clouds, meshes, pictures, provenance, registry, sidecar
from studio.certificates import Signing
from studio.provenance import Ingredient, Relationship, Sealed
from studio.recipe import InputRef, Recipe
from studio.registry import Edit, Product
from studio.sidecar import Output, Sidecar


def encode(product: Product, format: str, quality: int) -> bytes:
    """The product as a file without sidecar."""
    if product.document is not None:
        return _document_text(product.document).encode()
    if product.mesh is not None:
        passport = product.receipt.get("passport")
        return meshes.encode(product.mesh, format, passport=passport, title=product.title)
    if product.cloud is not None:
        return clouds.encode(product.cloud, format)
    return pictures.encode(product.pixels, format, quality=quality, palette=product.palette)


def _document_text(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, allow_nan=False)


def content(body: bytes, format: str) -> Any:
    """What a file shows: its decoded pixels, its mesh or cloud, or its document without sidecar."""
    if clouds.holds(body, format):
        return clouds.content(body, format)
    if format in meshes.FORMATS:
        return meshes.content(body, format)
    if format != "json":
        return pictures.pixels_of(body)
    document = json.loads(body)
    document.pop(pictures.SIDECAR_KEY, None)
    return document


def content_hash(shown: Any) -> str:
    """Hash of what `content` returns."""
    if isinstance(shown, dict):
        return hashlib.sha256(_document_text(shown).encode()).hexdigest()
    if isinstance(shown, Mesh):
        return meshes.hash_mesh(shown)
    if isinstance(shown, Cloud):
        return clouds.hash_cloud(shown)
    return sidecar.hash_pixels(shown)


def edit_receipt(edit: Edit, shown: Any, format: str) -> dict[str, Any]:
    """Which pixels were edited, counted on the decoded file. JPEG changes every pixel a little: nothing is claimed."""
    import numpy as np

    inside = edit.mask > 0
    changed = (shown != edit.original).any(axis=2)
    lossless = format != "jpeg"
    return {
        "mask_pixels": int(inside.sum()),
        "mask_share": round(float(inside.mean()), 6),
        "changed_pixels": int(changed.sum()) if lossless else None,
        "changed_outside_mask": int((changed & ~inside).sum()) if lossless else None,
        "measured_on": "the written file, decoded" if lossless else "nothing: JPEG changes every pixel a little",
        "mask_sha256": sidecar.hash_pixels(np.ascontiguousarray(edit.mask)),
    }


def seal_of(
    product: Product,
    body: bytes,
    recipe: Recipe,
    receipt: dict[str, Any],
    environment: dict[str, str],
    format: str,
    quality: int,
) -> Sidecar:
    """The sidecar of an encoded product."""
    height, width = (0, 0) if product.pixels is None else product.pixels.shape[:2]
    shown = content(body, format)
    output = Output.model_validate({
        "format": format, "quality": quality, "width": width, "height": height,
        "pixels_sha256": content_hash(shown),
    })  # fmt: skip
    edit = {} if product.edit is None else {"edit": edit_receipt(product.edit, shown, format)}
    return Sidecar(
        recipe=recipe,
        recipe_sha256=recipe.sha256(),
        output=output,
        receipt={**receipt, **product.receipt, **edit},
        environment=environment,
    )


def embed(body: bytes, format: str, seal: Sidecar) -> bytes:
    """The file with its sidecar inside."""
    if format == "json":
        document = {**json.loads(body), pictures.SIDECAR_KEY: json.loads(seal.text())}
        return (json.dumps(document, indent=1) + "\n").encode()
    if clouds.holds(body, format):
        return clouds.embed(body, format, seal.text())
    if format in meshes.FORMATS:
        return meshes.embed(body, format, seal.text())
    return pictures.embed(body, format, seal.text())


def sign(data: bytes, seal: Sidecar, name: str, read: Callable[[InputRef], bytes | None], signing: Signing) -> Sealed:
    """The file with its content credentials, the last change to its bytes.

    Args:
        data: The file with its sidecar inside.
        seal: That sidecar.
        name: Of the file.
        read: Gives the bytes of an input, or None.
        signing: Who signs.

    Raises:
        UsageError: ``credentials.unusable``; ``recipe.kind``.
    """
    recipe, origin = seal.recipe, registry.kind(seal.recipe.kind).origin
    ingredients = [
        Ingredient(slot, ref.name, ref.sha256, _relationship(slot, origin), read(ref))
        for slot, ref in recipe.inputs.items()
    ]
    facts = {
        "kind": recipe.kind,
        "recipe_sha256": seal.recipe_sha256,
        "content_sha256": seal.output.pixels_sha256,
        "sidecar_sha256": sidecar.digest(seal.text()),
    }
    return provenance.seal(data, seal.output.format, title=name, source_type=origin.source, ingredients=ingredients,
                           facts=facts, signing=signing)  # fmt: skip


def _relationship(slot: str, origin: registry.Origin) -> Relationship:
    return "parentOf" if slot == origin.parent else "componentOf" if slot in origin.parts else "inputTo"


def beside(seal: Sidecar, sealed: Sealed) -> Sidecar:
    """The sidecar that goes beside a finished file: with the hashes of what a file cannot say of itself."""
    whole = {
        "sha256": hashlib.sha256(sealed.data).hexdigest(),
        "bytes": len(sealed.data),
        "manifest_sha256": hashlib.sha256(sealed.manifest).hexdigest(),
    }
    return seal.model_copy(update={"output": seal.output.model_copy(update=whole)})


def converted(data: bytes, seal: Sidecar, format: str) -> tuple[bytes, Sidecar]:
    """A mesh or cloud of ours in another format, with its sidecar inside.

    Args:
        data: The file.
        seal: Its sidecar.
        format: One of studio/meshes.py, or of studio/clouds.py.

    Returns:
        The file, not yet signed, and its sidecar.

    Raises:
        InputError: ``mesh.*`` or ``cloud.*`` if the file is damaged.
        PipelineError: ``mesh.needs-extra`` for IFC without its library.
    """
    if seal.output.format == format:
        return data, seal
    meshes.check(format)
    shown = content(data, seal.output.format)
    mesh = meshes.rounded(shown) if isinstance(shown, Mesh) else None
    cloud = shown if isinstance(shown, Cloud) else None
    product = Product(mesh=mesh, cloud=cloud, receipt=seal.receipt, title=seal.recipe.kind.capitalize())
    body = encode(product, format, seal.output.quality)
    new = seal_of(product, body, seal.recipe, {}, seal.environment, format, seal.output.quality)
    return embed(body, format, new), new
