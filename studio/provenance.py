"""Content credentials: a C2PA manifest that says what a file is, what it was made from and how, signed last.

PNG, JPEG, WebP and MP4 carry their manifest inside. Everything else gets it as a file of its own beside it, NAME.c2pa,
whose hash covers every byte. So does 3MF, though c2pa could embed one, taking the file for a ZIP archive. Measured with
c2pa 0.91.3, lib3mf 2.5.0 and PrusaSlicer 2.5: it refuses deflated entries, and stored ones make a mesh of 5,120
triangles seven times as large (48 kB -> 352 kB); what it then writes PrusaSlicer opens without a word, but lib3mf
refuses in strict mode ("ZIP file contains inconsistencies") and warns of otherwise. Packed anew by Python, the same
entries pass, so it is c2pa's way of writing the archive, which its own hash does not allow to be changed. Hence a
manifest beside the file, for which neither program has to be asked.

Nothing here uses the network: no time stamp, no revocation check, no fetched manifest. `offline` turns each off.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from studio import __version__, disk
from studio.certificates import Signing
from studio.errors import UsageError

# What carries its manifest inside, by the studio's name of the format.
EMBEDDED = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}
ANY = "application/octet-stream"  # c2pa takes it for a file that it does not know, and hashes all of it
FACTS = "invalid.creative-studio.recipe"  # .invalid is reserved: nobody else's label can be the same
GENERATOR = {"name": "Creative Studio", "version": __version__}
LARGEST_INGREDIENT = 128 << 20  # bytes; of larger inputs the hash is named, but a manifest inside is not looked for
UNPACKED_MB = 32  # of a compressed manifest

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# The value for findings of a trained network that are data about a picture and show nothing is C2PA's own.
SOURCE_TYPES = {
    "trainedAlgorithmicData": "http://c2pa.org/digitalsourcetype/trainedAlgorithmicData",
    "trainedAlgorithmicMedia": IPTC + "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia": IPTC + "compositeWithTrainedAlgorithmicMedia",
    "algorithmicallyEnhanced": IPTC + "algorithmicallyEnhanced",
    "algorithmicMedia": IPTC + "algorithmicMedia",
}
Relationship = Literal["parentOf", "componentOf", "inputTo"]


@dataclass(frozen=True)
class Ingredient:
    """Something that a file was made from.

    Attributes:
        label: Unique word for it, e.g. ``person``.
        title: Its file's name.
        sha256: Of its bytes.
        relationship: ``parentOf`` for what was edited, ``componentOf`` for what was placed in it, ``inputTo`` for what
            was only looked at.
        data: Its bytes, in which a manifest of its own is looked for and kept; None if they are not at hand.
    """

    label: str
    title: str
    sha256: str
    relationship: Relationship
    data: bytes | None = None


@dataclass(frozen=True)
class Sealed:
    """A file and its manifest.

    Attributes:
        data: The file: with the manifest inside if its format can hold one, else as it was.
        manifest: The manifest store.
        beside: Whether the manifest is not in the file and has to be written beside it.
    """

    data: bytes
    manifest: bytes
    beside: bool


def manifest_beside(path: Path) -> Path:
    """Where the manifest of a file lies that cannot hold one itself: NAME.stl.c2pa beside NAME.stl."""
    return path.with_name(path.name + ".c2pa")


def offline(**trust: bytes) -> Any:
    """A c2pa context that neither fetches nor follows anything, with these PEM texts as c2pa's settings ``trust``."""
    import c2pa

    switched_off = {"enabled": False}
    return c2pa.Context(c2pa.Settings.from_dict({
        "version": 1,
        "core": {
            "allowed_network_hosts": [], "allow_redirects": False, "decode_identity_assertions": False,
            "max_decompressed_manifest_size_in_mb": UNPACKED_MB,
        },
        "trust": {name: text.decode("ascii") for name, text in trust.items() if text},
        "verify": {
            "remote_manifest_fetch": False, "ocsp_fetch": False, "verify_timestamp_trust": False, "verify_trust": True,
            "verify_after_reading": True, "verify_after_sign": True,
        },
        "builder": {
            "thumbnail": switched_off,  # of people, whom nobody asked
            "certificate_status_fetch": None, "auto_timestamp_assertion": switched_off,
            "actions": {f"auto_{name}_action": switched_off for name in ("created", "opened", "placed")},
        },
    }))  # fmt: skip


def seal(
    data: bytes,
    format: str,
    *,
    title: str,
    source_type: str,
    ingredients: Sequence[Ingredient],
    facts: Mapping[str, Any],
    signing: Signing,
) -> Sealed:
    """Sign a finished file.

    Args:
        data: The file, complete but for its manifest; at least one byte.
        format: As the studio calls it; one of `EMBEDDED` gets its manifest inside.
        title: The file's name.
        source_type: A key of `SOURCE_TYPES`.
        ingredients: What it was made from.
        facts: JSON-ready, signed as an assertion of this project's own.
        signing: Who signs.

    Raises:
        UsageError: ``credentials.unusable`` if c2pa refuses to sign with this certificate, or this file.
    """
    import c2pa

    inside = EMBEDDED.get(format)
    definition = {
        "claim_generator_info": [GENERATOR], "title": title, "assertions": [{"label": FACTS, "data": dict(facts)}],
    }  # fmt: skip
    try:
        builder = c2pa.Builder(definition, offline(user_anchors=signing.issuer))
        if inside is None:
            builder.set_no_embed()
        for ingredient in ingredients:
            _add(builder, ingredient)
        for action in _actions(source_type, ingredients):
            builder.add_action(action)
        info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg[signing.algorithm], signing.chain, signing.key, None)
        target = io.BytesIO()
        # c2pa calls back into Python to read and write; an interrupt in there would be told as a traceback.
        with disk.uninterrupted():
            manifest = builder.sign(c2pa.Signer.from_info(info), inside or ANY, io.BytesIO(data), target)
    except c2pa.C2paError as error:
        raise UsageError(
            "credentials.unusable",
            "The result could not be sealed",
            seen=f"{signing.name}: {plain(str(error))}",
            remedy="Check signing_certificate and signing_key, or leave them out: the studio then signs by itself",
        ) from error
    return Sealed(target.getvalue() if inside else data, manifest, inside is None)


def _add(builder: Any, ingredient: Ingredient) -> None:
    """Name an ingredient by title and hash, and keep the manifest that it may carry itself."""
    import c2pa

    about = {
        "title": ingredient.title, "relationship": ingredient.relationship, "label": ingredient.label,
        "instance_id": f"sha256:{ingredient.sha256}",
    }  # fmt: skip
    if ingredient.data is not None and len(ingredient.data) <= LARGEST_INGREDIENT and (kind := mime(ingredient.data)):
        try:
            with disk.uninterrupted():
                builder.add_ingredient(about, kind, io.BytesIO(ingredient.data))
            return
        except c2pa.C2paError:  # a broken manifest, or one on the network: the input is named without it
            pass
    builder.add_ingredient(about, ANY, io.BytesIO())


def _actions(source_type: str, ingredients: Sequence[Ingredient]) -> list[dict[str, Any]]:
    """What was done, in C2PA's words: opened and edited if there is a parent, else created; and what was placed."""
    by: dict[str, list[str]] = {"parentOf": [], "componentOf": [], "inputTo": []}
    for ingredient in ingredients:
        by[ingredient.relationship].append(ingredient.label)
    made: dict[str, Any] = {
        "action": "c2pa.edited" if by["parentOf"] else "c2pa.created",
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "softwareAgent": GENERATOR,
        "digitalSourceType": SOURCE_TYPES[source_type],
    }
    if by["inputTo"]:
        made["parameters"] = {"ingredientIds": by["inputTo"]}
    opened = [_on("c2pa.opened", label) for label in by["parentOf"]]
    placed = [_on("c2pa.placed", label) for label in by["componentOf"]]
    return [*opened, *placed, made] if opened else [made, *placed]


def _on(action: str, label: str) -> dict[str, Any]:
    return {"action": action, "parameters": {"ingredientIds": [label]}}


@lru_cache(maxsize=4)
def prove(signing: Signing) -> None:
    """Find out before any work whether c2pa signs with this certificate and accepts the result: two milliseconds.

    Raises:
        UsageError: ``credentials.unusable``.
    """
    import c2pa

    sealed = seal(b"-", "", title="-", source_type="algorithmicMedia", ingredients=(), facts={}, signing=signing)
    context = offline(user_anchors=signing.issuer)
    with c2pa.Reader(ANY, io.BytesIO(sealed.data), sealed.manifest, context) as reader:
        if reader.get_validation_state() == "Trusted":
            return
        failures = json.loads(reader.json()).get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    raise UsageError(
        "credentials.unusable",
        "Seals by this certificate would not be valid",
        seen=f"{signing.name}: {', '.join(plain(failure.get('code')) for failure in failures) or 'not trusted'}",
        remedy="Ask the authority for a C2PA signing certificate, or leave signing_certificate out",
    )


def mime(data: bytes) -> str | None:
    """The kind of a file that may carry a manifest inside, by its first 16 bytes; None for any other.

    PDF, SVG and office files could carry one too. The studio makes and reads none of these, so no parser of them is
    given a stranger's file.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return {b"avif": "image/avif", b"heic": "image/heic", b"mif1": "image/heif"}.get(data[8:12], "video/mp4")
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "image/tiff"
    return "image/gif" if data[:6] in (b"GIF87a", b"GIF89a") else None


def plain(value: object, length: int = 200) -> str:
    """A text from a manifest, which anybody can write, made fit for a terminal: printable, of one line, not long."""
    text = value if isinstance(value, str) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text[: 2 * length])[:length]
