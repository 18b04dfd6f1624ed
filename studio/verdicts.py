"""Is this file as it was sealed, and by whom? Manifest and sidecar are asked together, since each sees what the other
cannot.

A manifest does not cover all bytes of a file that it lies in: not its own padding (about a thousand bytes), in MP4 not
the file type and free boxes either. The sidecar's hash covers the whole file, but is not signed; the rest of the
sidecar is, by a digest in the manifest. All that is read here may be hostile: sizes are limited, texts are made plain,
nothing is fetched and nothing in a manifest is followed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pipelines.core.errors import InputError
from studio import disk, provenance, sidecar
from studio.credentials import Trust
from studio.errors import UsageError
from studio.provenance import FACTS, manifest_beside, plain

Status = Literal["trusted", "studio", "foreign", "altered", "none"]

LARGEST_FILE = 512 << 20  # c2pa needs about as much memory as the file has bytes
LARGEST_MANIFEST = 64 << 20
LARGEST_REPORT = 8 << 20  # characters of what c2pa says of a manifest
SHOWN = 50  # ingredients, actions and reasons
BOX = bytes.fromhex("0011001080 0000aa00389b71")  # ends the type of every box of a manifest (ISO 19566-5, C2PA)

WORDS: dict[Status, str] = {
    "trusted": "trusted: signed by {signer}, for whom a public authority vouches",
    "studio": "signed by this studio, not by a public authority",
    "foreign": "signed by someone else: {signer}; not by this studio, not a public authority",
    "altered": "altered since it was sealed",
    "none": "no seal",
}
MEANINGS = {
    "assertion.dataHash.mismatch": "the file's bytes are not those that were signed",
    "assertion.bmffHash.mismatch": "the video's boxes are not those that were signed",
    "assertion.hashedURI.mismatch": "a statement in the manifest is not the one that was signed",
    "assertion.missing": "a statement that was signed is gone from the manifest",
    "assertion.undeclared": "the manifest holds a statement that was not signed",
    "claimSignature.mismatch": "the signature does not fit the manifest",
    "claimSignature.outsideValidity": "it was signed while the certificate was not valid",
    "claim.missing": "the manifest has no claim",
    "claim.hardBindings.missing": "the manifest is not bound to the bytes of any file",
    "signingCredential.expired": "the signer's certificate has expired, so nobody can tell who signs with it now",
    "signingCredential.invalid": "the signer's certificate is not made for content credentials",
    "manifest.unreadable": "the manifest, or the file around it, is damaged",
    "manifest.too-large": "the manifest is larger than any honest one",
    "manifest.missing": "there is no manifest in the file nor beside it",
    "manifest.remote": "the file only names a manifest on the network, and nothing is fetched",
    "file.unreadable": "the file is damaged or not what it begins like, and holds no trace of a manifest",
    "sidecar.sha256.mismatch": "the whole-file hash in the .json beside it is of other bytes",
    "sidecar.manifest.mismatch": "the .c2pa beside it is not the one that was written",
    "sidecar.content.mismatch": "the .json beside it does not say what was signed",
    "sidecar.unreadable": "the .json beside it is damaged",
    "sidecar.missing": "no .json beside it: bytes that the manifest leaves out, such as its padding, were not checked",
    "sidecar.unsigned": "the .json beside it fits these bytes, but is not signed: anybody could have written it",
    "sidecar.was-sealed": "it had a seal when it was written; saving it with another program drops that",
}
HARMLESS = ("sidecar.missing", "sidecar.unsigned", "sidecar.was-sealed", "signingCredential.untrusted")


@dataclass(frozen=True)
class Reason:
    """One thing that was found.

    Attributes:
        code: C2PA's own status code, or one of ours.
        meaning: In plain words.
    """

    code: str
    meaning: str


@dataclass(frozen=True)
class Verdict:
    """What is known of a file's seal.

    Attributes:
        status: ``trusted`` by a public authority, sealed by this ``studio`` or by a ``foreign`` signer, ``altered``
            since, or ``none``: no seal.
        signer: As the certificate names itself; empty without a readable manifest.
        when: When it was made, as the signer says: no time stamp proves it.
        reasons: What was found, the gravest first.
        whole_file: Whether every byte is as the sidecar says; None without a sidecar of ours.
        source_type: How it came about, last word of the IPTC or C2PA digital source type.
        actions: What was done, e.g. ``c2pa.opened``.
        ingredients: Of each its title, relationship, sha256 and, if it was sealed itself, its signer and failures.
    """

    status: Status
    signer: str = ""
    when: str = ""
    reasons: tuple[Reason, ...] = ()
    whole_file: bool | None = None
    source_type: str = ""
    actions: tuple[str, ...] = ()
    ingredients: tuple[dict[str, Any], ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether the file is as a known signer left it."""
        return self.status in ("trusted", "studio")

    @property
    def words(self) -> str:
        """The verdict as one sentence."""
        return WORDS[self.status].format(signer=self.signer or "a signer without a name")

    @property
    def caught_by(self) -> tuple[str, ...]:
        """Which of ``manifest``, ``sidecar`` and ``file`` gave a reason against it."""
        parts = (reason.code.partition(".")[0] for reason in self.reasons if reason.code not in HARMLESS)
        return tuple(dict.fromkeys(part if part in ("sidecar", "file") else "manifest" for part in parts))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: all fields, ``words`` and ``caught_by``."""
        return {**asdict(self), "ok": self.ok, "words": self.words, "caught_by": list(self.caught_by)}


def of_file(path: Path, trust: Trust) -> Verdict:
    """Look at a file, at the manifest in it or beside it, and at the sidecar beside it.

    Raises:
        InputError: ``input.missing``, ``input.unreadable``, ``input.empty`` or ``input.too-large``.
    """
    try:
        _check(path)
        with open(path, "rb") as stream:
            verdict, facts = _by_manifest(path, stream, trust)
            stream.seek(0)
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return _by_sidecar(path, sha256, verdict, facts)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
        raise InputError("input.unreadable", "This file cannot be read", seen=f"{path}: {error}") from error


def _check(path: Path) -> None:
    if not path.exists():
        raise InputError("input.missing", "There is no such file", seen=path, remedy="Check the path")
    if not path.is_file():
        raise InputError("input.unreadable", "This is not a file", seen=path, remedy="Name one file")
    size = path.stat().st_size
    if size == 0:
        raise InputError("input.empty", "This file is empty", seen=f"{path.name}, 0 bytes", remedy="Fetch it again")
    if size > LARGEST_FILE:
        raise InputError(
            "input.too-large",
            "This file is too large to be verified",
            seen=f"{path.name}: {size >> 20} MB",
            remedy=f"The limit is {LARGEST_FILE >> 20} MB, so that memory suffices; try c2patool",
        )


# -- the manifest


def _by_manifest(path: Path, stream: BinaryIO, trust: Trust) -> tuple[Verdict, dict[str, Any]]:
    """What the manifest says, and the facts of this project's own that it signs."""
    kind, beside = provenance.mime(stream.read(16)), manifest_beside(path)
    found = _report(kind, stream, None, trust.own) if kind else None
    manifest = None
    if found is None and beside.is_file():
        kind = provenance.ANY
        if beside.stat().st_size > LARGEST_MANIFEST:
            return Verdict("altered", reasons=(_reason("manifest.too-large"),)), {}
        manifest = beside.read_bytes()
        found = _report(kind, stream, manifest, trust.own) or _reason("manifest.unreadable")
    if found is None or kind is None:
        return Verdict("none", reasons=(_reason("manifest.missing"),)), {}
    if isinstance(found, Reason):
        status = "none" if found.code in ("manifest.remote", "file.unreadable") else "altered"
        return Verdict(status, reasons=(found,)), {}
    return _described(found, _status(found, kind, stream, manifest, trust))


def _report(kind: str, stream: BinaryIO, manifest: bytes | None, anchors: bytes) -> dict[str, Any] | Reason | None:
    """What c2pa reports of a manifest: its JSON, why there is none that can be read, or None if there is none."""
    import c2pa

    errors: Any = c2pa.C2paError  # its kinds are added to the class when c2pa is imported
    stream.seek(0)
    try:
        with (
            disk.uninterrupted(),
            c2pa.Reader(kind, stream, manifest, provenance.offline(user_anchors=anchors)) as reader,
        ):
            text = reader.json()
        if len(text) > LARGEST_REPORT:
            return _reason("manifest.too-large")
        found = json.loads(text)
        return found if _active(found) else _reason("manifest.unreadable")
    except (errors.ManifestNotFound, errors.NotSupported):
        return None
    except c2pa.C2paError as error:
        if str(error).startswith("Remote"):  # c2pa has no class for it
            return _reason("manifest.remote", str(error))
        damaged = manifest is not None or _holds_boxes(stream)
        return _reason("manifest.unreadable" if damaged else "file.unreadable", str(error))
    except (ValueError, RecursionError, TypeError, AttributeError) as error:  # JSON of another shape than c2pa's
        return _reason("manifest.unreadable", type(error).__name__)


def _holds_boxes(stream: BinaryIO) -> bool:
    """Whether the file holds pieces of a manifest."""
    stream.seek(0)
    tail = b""
    while block := stream.read(1 << 20):
        if BOX in tail + block:
            return True
        tail = block[-len(BOX) :]
    return False


def _active(report: Any) -> dict[str, Any]:
    """The manifest that describes the file itself."""
    found = report["manifests"].get(report.get("active_manifest"))
    return found if isinstance(found, dict) else {}


def _failures(report: dict[str, Any]) -> list[dict[str, Any]]:
    results = report.get("validation_results") or {}
    return _dicts((results.get("activeManifest") or {}).get("failure"))


def _status(report: dict[str, Any], kind: str, stream: BinaryIO, manifest: bytes | None, trust: Trust) -> Status:
    state = report.get("validation_state")
    codes = {failure.get("code") for failure in _failures(report)} - {"signingCredential.untrusted"}
    if state == "Trusted" and not codes:
        return "studio"
    if codes == {"signingCredential.expired"}:
        return "foreign"  # c2pa does not ask then whose certificate it is
    if state != "Valid" or codes:
        return "altered"
    if trust.issuer and _trusted(_report(kind, stream, manifest, trust.issuer)):
        if str((_active(report).get("signature_info") or {}).get("cert_serial_number")) == str(trust.serial):
            return "studio"
    return "trusted" if trust.public and _trusted(_report(kind, stream, manifest, trust.public)) else "foreign"


def _trusted(report: dict[str, Any] | Reason | None) -> bool:
    return isinstance(report, dict) and report.get("validation_state") == "Trusted"


def _described(report: dict[str, Any], status: Status) -> tuple[Verdict, dict[str, Any]]:
    """A verdict with what the manifest says of the file, and the facts of this project's own in it."""
    active = _active(report)
    assertions = {item.get("label"): item.get("data") for item in _dicts(active.get("assertions"))}
    steps = [step for label, data in assertions.items() if str(label).startswith("c2pa.actions") and
             isinstance(data, dict) for step in _dicts(data.get("actions"))]  # fmt: skip
    made = next((step for step in steps if step.get("digitalSourceType")), {})
    reasons = [_reason(str(failure.get("code")), str(failure.get("explanation") or "")) for failure in _failures(report)
               if failure.get("code") != "signingCredential.untrusted"]  # fmt: skip
    facts = assertions.get(FACTS)
    verdict = Verdict(
        status,
        signer=_signer(active),
        when=plain((active.get("signature_info") or {}).get("time") or made.get("when") or "", 40),
        reasons=tuple(reasons[:SHOWN]),
        source_type=plain(str(made.get("digitalSourceType", "")).rpartition("/")[2], 60),
        actions=tuple(plain(step.get("action"), 60) for step in steps[:SHOWN]),
        ingredients=tuple(_ingredients(report, active)),
    )
    return verdict, facts if isinstance(facts, dict) else {}


def _signer(manifest: dict[str, Any]) -> str:
    info = manifest.get("signature_info") or {}
    return plain(info.get("common_name") or info.get("issuer") or "", 120)


def _ingredients(report: dict[str, Any], manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in _dicts(manifest.get("ingredients"))[:SHOWN]:
        mark, _, digest = str(item.get("instance_id")).partition(":")
        told = {
            "title": plain(item.get("title")),
            "relationship": plain(item.get("relationship"), 20),
            "sha256": plain(digest, 64) if mark == "sha256" else None,
        }
        own = report["manifests"].get(item.get("active_manifest"))
        if isinstance(own, dict):
            codes = [plain(failure.get("code"), 80) for failure in _failures(item)]
            told.update(signer=_signer(own), failures=[code for code in codes if code not in HARMLESS])
        yield told


# -- the sidecar


def _by_sidecar(path: Path, sha256: str, verdict: Verdict, facts: dict[str, Any]) -> Verdict:
    """Add what the sidecar beside the file knows; a sealed file that does not fit it is altered."""
    beside = sidecar.path_beside(path)
    if not beside.is_file():
        found = ("sidecar.missing",) if verdict.status != "none" and facts else ()
        return _with(verdict, found, None)
    seal, digest = _read_sidecar(beside)
    if seal is None:
        return _with(verdict, ("sidecar.unreadable",) if facts else (), None)
    whole = seal.output.sha256 == sha256
    wrong = [] if whole else ["sidecar.sha256.mismatch"]
    if verdict.status == "none":
        sealed = ["sidecar.was-sealed"] if seal.output.manifest_sha256 else []
        return _with(verdict, [*wrong, *sealed] or ["sidecar.unsigned"], whole)
    if facts and facts.get("sidecar_sha256") != digest:
        wrong.append("sidecar.content.mismatch")
    manifest = manifest_beside(path)
    if manifest.is_file() and not _fits(manifest, seal.output.manifest_sha256):
        wrong.append("sidecar.manifest.mismatch")
    return _with(verdict, wrong, whole)


def _with(verdict: Verdict, codes: list[str] | tuple[str, ...], whole: bool | None) -> Verdict:
    against = [code for code in codes if code not in HARMLESS]
    status: Status = "altered" if against and verdict.status != "none" else verdict.status
    reasons = (*verdict.reasons, *map(_reason, codes))
    return Verdict(**{**vars(verdict), "status": status, "reasons": reasons, "whole_file": whole})


def _read_sidecar(beside: Path) -> tuple[sidecar.Sidecar | None, str]:
    """A sidecar of ours and its digest; None if it is somebody else's file or damaged."""
    if beside.stat().st_size > sidecar.LARGEST:
        return None, ""
    text = beside.read_bytes()
    try:
        return sidecar.parse(text), sidecar.digest(text)
    except UsageError:
        return None, ""


def _fits(manifest: Path, sha256: str | None) -> bool:
    if manifest.stat().st_size > LARGEST_MANIFEST:
        return False
    return hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256


def _reason(code: str, detail: str = "") -> Reason:
    """A reason in our own words where there are some, with c2pa's where there are none."""
    code = plain(code, 80)
    known = MEANINGS.get(code)
    if known is None:
        return Reason(code, plain(detail or "c2pa gives no explanation"))
    return Reason(
        code, f"{known} ({plain(detail, 120)})" if detail and code.startswith(("manifest", "file")) else known
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
