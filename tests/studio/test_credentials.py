"""The studio's own authority and a user's certificate: made once, kept from others, renewed, refused with a reason."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import signers

from studio import certificates, credentials, disk, provenance, settings
from studio.credentials import Place
from studio.errors import OutputError, UsageError
from studio.settings import load


@pytest.fixture
def place(workspace: Path) -> Place:
    return Place(workspace)


def refused(place: Place) -> UsageError:
    """The error that loading gives; it names a file and what to do."""
    with pytest.raises(UsageError) as caught:
        provenance.prove(credentials.load(place))
    assert caught.value.code.startswith("credentials.") and caught.value.seen and caught.value.remedy
    return caught.value


def users(place: Place, folder: Path, chain: bytes, key: bytes) -> Place:
    """The same workspace with a certificate of the user's own."""
    return Place(place.home, *signers.kept(folder, chain, key))


# -- the studio's own


def test_first_use(place: Place) -> None:
    assert credentials.peek(place) is None and not place.folder.exists()
    made = credentials.load(place)
    assert credentials.load(place) == made == credentials.peek(place)
    assert {path.name: path.stat().st_mode & 0o777 for path in place.folder.iterdir()} == {
        "root.pem": 0o644 & ~_umask(), "root.key": 0o600, "signing.pem": 0o600,
    }  # fmt: skip
    assert place.folder.stat().st_mode & 0o777 == 0o700
    assert not list(place.home.glob(".*"))
    provenance.prove(made)
    assert made.name.startswith("Creative Studio ") and made.algorithm == "ES256"
    years = (made.until - certificates.now()) / certificates.YEAR
    assert 9.9 < years < 10.1 and not made.ageing


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def test_nothing_in_it_names_a_person_or_a_computer(place: Place) -> None:
    credentials.load(place)
    from cryptography import x509

    name = r"CN=Creative Studio [0-9a-f]{4}-[0-9a-f]{4}(\\, root)?,O=Creative Studio\\, self-made certificate"
    for certificate in x509.load_pem_x509_certificates((place.folder / "signing.pem").read_bytes()):
        assert re.fullmatch(name, certificate.subject.rfc4514_string())


MAKE = """
import sys
from pathlib import Path
from studio import credentials
print(credentials.load(credentials.Place(Path(sys.argv[1]))).serial)
"""


def test_processes_that_start_together_share_one(place: Place) -> None:
    command = [sys.executable, "-c", MAKE, str(place.home)]
    root = Path(credentials.__file__).parents[1]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(6)]
    said = {process.communicate(timeout=60)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 6
    assert said == {str(credentials.load(place).serial)}
    assert sorted(path.name for path in place.home.iterdir()) == ["credentials"]


def test_what_a_killed_process_left_is_cleared(place: Place) -> None:
    with subprocess.Popen(["sleep", "60"]) as dead:
        dead.kill()
    left = place.home / f".credentials.{disk._host()}-{dead.pid}-1.part"
    left.mkdir(parents=True)
    (left / "root.key").write_bytes(b"half")
    credentials.load(place)
    assert not left.exists()


def test_an_old_certificate_is_renewed_by_the_same_authority(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first, trust = credentials.load(place), credentials.trust(place)
    later = certificates.now() + 5.5 * certificates.YEAR
    monkeypatch.setattr(certificates, "now", lambda: later)
    second = credentials.load(place)
    assert second.serial != first.serial and second.issuer == first.issuer and second.name == first.name
    assert credentials.trust(place) == trust and second.until > first.until
    assert sorted(path.name for path in place.folder.iterdir()) == ["root.key", "root.pem", "signing.pem"]


def test_a_clock_far_off_throws_nothing_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = credentials.load(place)
    credentials._own.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "now", lambda: datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC))
        assert refused(place).code == "credentials.expired"
    assert credentials.load(place).serial == made.serial


@pytest.mark.parametrize("name", ["root.key", "signing.pem"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_key_that_others_can_read_is_refused(place: Place, name: str, mode: int) -> None:
    credentials.load(place)
    (place.folder / name).chmod(mode)
    error = refused(place)
    assert error.code == "credentials.permissions" and f"{mode:04o}" in str(error.seen) and "chmod 600" in error.remedy
    (place.folder / name).chmod(0o600)
    credentials.load(place)


@pytest.mark.parametrize("name", ["root.pem", "root.key", "signing.pem"])
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff" * 3000, b"-----BEGIN CERTIFICATE-----\nAAAA\n", None, "pipe"]
)
def test_damaged_files_are_told(place: Place, name: str, content: bytes | str | None) -> None:
    credentials.load(place)
    path = place.folder / name
    path.unlink()
    if content == "pipe":
        os.mkfifo(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
        path.chmod(0o600)
    if name == "root.key" and isinstance(content, bytes):
        return  # it is read only for a renewal
    assert refused(place).code in ("credentials.damaged", "credentials.unreadable")


def test_a_damaged_root_key_is_told_at_the_renewal(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.load(place)
    (place.folder / "root.key").write_bytes(b"hello")
    later = certificates.now() + 6 * certificates.YEAR
    monkeypatch.setattr(certificates, "now", lambda: later)
    assert refused(place).code == "credentials.damaged"


def test_another_studios_root_does_not_fit(place: Place) -> None:
    credentials.load(place)
    (place.folder / "root.pem").write_bytes(certificates.make_root()[0])
    assert refused(place).code == "credentials.damaged"


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as caught:
        credentials.load(Place(tmp_path / "file" / "home"))
    assert caught.value.code == "output.unwritable"


# -- a user's


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("rsa", "PS256"), ("ed25519", "ED25519")],
)
def test_a_bought_certificate_signs(place: Place, tmp_path: Path, kind: str, algorithm: str) -> None:
    with_own = users(place, tmp_path, *signers.bought("Jane's Shop", kind=kind))
    found = credentials.load(with_own)
    provenance.prove(found)
    assert (found.algorithm, found.name) == (algorithm, "Jane's Shop") and not place.folder.exists()
    assert credentials.trust(with_own).serial == found.serial


@pytest.mark.parametrize(
    ("lacking", "code", "word"),
    [
        ({"ca": True}, "unsuitable", "authority"),
        ({"use": False}, "unsuitable", "digitalSignature"),
        ({"purpose": False}, "unsuitable", "extended key usage"),
        ({"authority": False}, "unsuitable", "authority key identifier"),
        ({"kind": "rsa1024"}, "unsuitable", "chain.pem"),
        ({"kind": "p192"}, "unsuitable", "chain.pem"),
        ({"start": -50, "end": -20}, "expired", "Bought"),
        ({"start": 20, "end": 50}, "expired", "Bought"),
    ],
)
def test_an_unfit_certificate_is_refused(
    place: Place, tmp_path: Path, lacking: dict[str, object], code: str, word: str
) -> None:
    error = refused(users(place, tmp_path, *signers.bought(**lacking)))  # type: ignore[arg-type]
    assert error.code == f"credentials.{code}" and word in str(error.seen)


def test_pairs_that_do_not_belong_together(place: Place, tmp_path: Path) -> None:
    chain, key = signers.bought()
    other_chain, other_key = signers.bought()
    end = b"-----END CERTIFICATE-----\n"
    leaf, root = (part + end for part in chain.split(end)[:2])
    other_root = other_chain.split(end)[1] + end
    assert refused(users(place, tmp_path, chain, other_key)).code == "credentials.mismatch"
    assert refused(users(place, tmp_path, leaf, key)).code == "credentials.chain"
    assert refused(users(place, tmp_path, leaf + other_root, key)).code == "credentials.chain"
    assert refused(users(place, tmp_path, root + leaf, key)).code == "credentials.mismatch"


@pytest.mark.parametrize("text", [b"", b"hello", b"\x30\x82\x01\x00", b"\xff" * 5000])
def test_files_that_are_not_pem(place: Place, tmp_path: Path, text: bytes) -> None:
    chain, key = signers.bought()
    assert refused(users(place, tmp_path, text, key)).code == "credentials.not-pem"
    assert refused(users(place, tmp_path, chain, text)).code == "credentials.not-pem"


def test_a_locked_key(place: Place, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s

    chain, key = signers.bought()
    locked = s.load_pem_private_key(key, None).private_bytes(
        s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret")
    )
    assert refused(users(place, tmp_path, chain, locked)).code == "credentials.encrypted"


def test_bad_places(place: Place, tmp_path: Path) -> None:
    own = users(place, tmp_path, *signers.bought())
    assert own.key is not None and own.certificate is not None
    own.key.chmod(0o644)
    assert refused(own).code == "credentials.permissions"
    assert refused(Place(place.home, tmp_path / "none", own.key)).code == "credentials.unreadable"
    assert refused(Place(place.home, tmp_path, own.key)).code == "credentials.unreadable"
    with open(tmp_path / "huge.pem", "wb") as stream:
        stream.truncate(1 << 33)
    assert refused(Place(place.home, tmp_path / "huge.pem", own.key)).code == "credentials.unreadable"


def test_settings(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key = signers.kept(tmp_path, *signers.bought())
    monkeypatch.setenv("STUDIO_SIGNING_CERTIFICATE", str(chain))
    with pytest.raises(UsageError) as caught:
        credentials.place_of(load())
    assert caught.value.code == "credentials.incomplete"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDIO_SIGNING_KEY", "key.pem")
    assert credentials.place_of(settings.load()) == Place(workspace, chain, key)


def test_anchors_that_cannot_be_read(place: Place, tmp_path: Path) -> None:
    (tmp_path / "list.pem").write_text("hello")
    with pytest.raises(UsageError) as caught:
        credentials.trust(Place(place.home, anchors=tmp_path / "list.pem"))
    assert caught.value.code == "credentials.not-pem"
