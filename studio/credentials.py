"""Who seals: the studio's own small authority, made on first use, or a user's certificate in its place.

    <home>/credentials/root.pem      certificate of the authority: others who have it can recognise this studio's seals
    <home>/credentials/root.key      its private key, 0600, used only to renew the next file
    <home>/credentials/signing.pem   private key and certificate chain that sign, 0600; one file, so that a renewal is
                                     one rename and no process ever reads a key with another's certificate

The folder appears whole: it is filled under a temporary name and renamed. Of two processes that make it at the same
time one wins, and both use what the winner made.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import certificates, disk
from studio.certificates import Signing
from studio.errors import UsageError

if TYPE_CHECKING:
    from studio.settings import Settings

LARGEST = 1 << 20  # bytes of a key or certificate file; the public trust list has some 100 kB


@dataclass(frozen=True)
class Place:
    """Where credentials lie.

    Attributes:
        home: The workspace.
        certificate: A user's certificate chain in place of the studio's own, or None.
        key: Its private key.
        anchors: Certificates of public authorities to be recognised, or None.
    """

    home: Path
    certificate: Path | None = None
    key: Path | None = None
    anchors: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the studio's own credentials are."""
        return self.home / "credentials"


@dataclass(frozen=True)
class Trust:
    """Whose seals are recognised; all PEM.

    Attributes:
        own: Root of the studio's own authority, empty before its first use.
        issuer: Last certificate of a user's own chain, or empty.
        serial: Serial number of the user's own certificate: its issuer has other customers too.
        public: Public authorities, or empty.
    """

    own: bytes = b""
    issuer: bytes = b""
    serial: int = 0
    public: bytes = b""


def place_of(settings: Settings) -> Place:
    """Where the credentials of these settings lie.

    Raises:
        UsageError: ``credentials.incomplete`` if one of certificate and key is named without the other.
    """
    certificate, key = settings.signing_certificate, settings.signing_key
    if (certificate is None) != (key is None):
        raise UsageError(
            "credentials.incomplete",
            "A certificate of your own needs both settings",
            seen=f"signing_{'certificate' if key is None else 'key'} alone",
            remedy="Set signing_certificate and signing_key, or neither",
        )
    return Place(settings.home, certificate, key, settings.trust_anchors)


def load(place: Place) -> Signing:
    """What seals, made or renewed if need be.

    Raises:
        UsageError: ``credentials.*``, naming the file and what to do.
        OutputError: ``output.*`` if the workspace cannot take the new files.
    """
    found = peek(place)
    if found is not None and (place.certificate is not None or not found.ageing):
        return found
    if found is None:
        with disk.told(place.folder):
            _make(place.folder)
    else:
        with disk.told(place.folder):
            _renew(place.folder)
    made = peek(place)
    if made is None:
        raise _damaged(place.folder, "it vanished while it was made")
    return made


def peek(place: Place) -> Signing | None:
    """What would seal, or None if the studio's own credentials are still to be made; changes nothing.

    Raises:
        UsageError: ``credentials.*``.
    """
    if place.certificate is not None and place.key is not None:
        return _users(place.certificate, place.key, _stamp(place.certificate), _stamp(place.key))
    if not place.folder.exists():
        return None
    return _own(place.folder, *(_stamp(place.folder / name) for name in ("root.pem", "root.key", "signing.pem")))


def check(place: Place) -> None:
    """Find out before the work whether `load` will succeed and c2pa accept what it gives; leaves nothing behind.

    Raises:
        UsageError, OutputError: as `load` and `studio.provenance.prove`.
    """
    from studio import provenance

    found = peek(place)
    if found is not None:
        return provenance.prove(found)
    with disk.told(place.folder):
        disk.check_folder(place.home)


def trust(place: Place) -> Trust:
    """Whose seals are recognised here; makes nothing.

    Raises:
        UsageError: ``credentials.*`` if a file that the settings name cannot be used.
    """
    own = b""
    if (place.folder / "root.pem").is_file():
        own = _checked_pem(place.folder / "root.pem")
    public = _checked_pem(place.anchors) if place.anchors is not None else b""
    if place.certificate is None:
        return Trust(own, public=public)
    text = _read(place.certificate)
    chain = certificates.read_certificates(text, str(place.certificate))
    return Trust(own, certificates.pem(chain[-1]), chain[0].serial_number, public)


def _checked_pem(path: Path) -> bytes:
    """A file of certificates, as certificates alone: what else it holds is left out."""
    found = certificates.read_certificates(_read(path), str(path))
    return b"".join(certificates.pem(each) for each in found)


@lru_cache(maxsize=4)
def _users(certificate: Path, key: Path, *_stamps: Any) -> Signing:
    return certificates.read_signing(_read(certificate), _read(key, secret=True), f"{certificate} and {key}")


@lru_cache(maxsize=4)
def _own(folder: Path, *_stamps: Any) -> Signing:
    """The studio's own credentials, checked; the stamps of their files are part of the cache's key only."""
    root = _read(folder / "root.pem")
    _read(folder / "root.key", secret=True)
    both = _read(folder / "signing.pem", secret=True)
    try:
        signing = certificates.read_signing(both, both, str(folder / "signing.pem"))
        ours = certificates.read_certificates(root, str(folder / "root.pem"))[0]
    except UsageError as error:
        if error.code == "credentials.expired":  # the clock may be wrong: nothing is thrown away for that
            raise
        raise _damaged(folder, str(error.seen)) from error
    if certificates.pem(ours) != signing.issuer:
        raise _damaged(folder, "root.pem did not issue the certificate in signing.pem")
    return signing


def _make(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    disk.sweep(folder.parent)
    root, root_key = certificates.make_root()
    with disk.temporary(folder) as part:
        part.mkdir(mode=0o700)
        disk.write(part / "root.pem", root)
        _write_secret(part / "root.key", root_key)
        _write_secret(part / "signing.pem", certificates.make_leaf(root, root_key))
        try:
            os.rename(part, folder)
        except OSError:
            if not (folder / "signing.pem").is_file():  # else another process was faster, and its files are as good
                raise
    disk.sync_folder(folder.parent)


def _renew(folder: Path) -> None:
    """Put a new signing certificate in place; of two processes the later one's stays, and both are whole."""
    root, root_key = _read(folder / "root.pem"), _read(folder / "root.key", secret=True)
    try:
        fresh = certificates.make_leaf(root, root_key)
    except (ValueError, TypeError) as error:
        raise _damaged(folder, str(error)[:120]) from error
    with disk.temporary(folder / "signing.pem") as part:
        _write_secret(part, fresh)
        os.replace(part, folder / "signing.pem")


def _write_secret(path: Path, data: bytes) -> None:
    """Write a file that no one else may read, from its first byte on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _read(path: Path, *, secret: bool = False) -> bytes:
    """A key or certificate file.

    Raises:
        UsageError: ``credentials.unreadable``, or ``credentials.permissions`` for a secret that others may read.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):  # to open a pipe would wait for its writer
            raise OSError("it is no file")
        if state.st_size > LARGEST:
            raise OSError(f"{state.st_size} bytes are too many for a key or a certificate")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(
            "credentials.unreadable",
            "A file that seals results cannot be read",
            seen=f"{path}: {reason}",
            remedy=f"Restore it or its permissions; the studio's own folder {path.parent.name} may also be moved away, "
            "a new one is then made, and what the old one sealed counts as signed by someone else",
        ) from error
    if secret and os.name != "nt" and state.st_mode & 0o077:  # Windows keeps permissions elsewhere
        raise UsageError(
            "credentials.permissions",
            "A private key can be read by other users of this computer",
            seen=f"{path}, mode {stat.S_IMODE(state.st_mode):04o}",
            remedy=f"chmod 600 {path}; on a disk that keeps no permissions, set STUDIO_HOME to another one",
        )
    return data


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced or its permissions are."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_size, state.st_mode


def _damaged(folder: Path, seen: str) -> UsageError:
    return UsageError(
        "credentials.damaged",
        "The studio's own credentials are damaged",
        seen=f"{folder}: {seen}",
        remedy="Restore the folder from a copy, or move it away: a new one is made, and what the old one sealed then "
        "counts as signed by someone else",
    )
