"""X.509 for sealing: a small authority of the studio's own, and the checks of any certificate that is to sign.

C2PA accepts a signing certificate only if it is no authority itself, is meant for signatures, names one of a few uses
and points to its issuer (C2PA 2.x, "X.509 certificates"); what is checked here was measured against c2pa 0.91. Nothing
in a certificate of ours says whose computer it is: its name holds a piece of its own key's hash.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from studio.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

ORGANISATION = "Creative Studio, self-made certificate"
# There is no time stamp from outside, so a seal holds as long as its certificate: readers call it invalid afterwards.
ROOT_YEARS, LEAF_YEARS, RENEWAL_YEARS = 30, 10, 5
YEAR = datetime.timedelta(days=365)
# Uses that C2PA readers accept: e-mail protection, document signing, and C2PA's own "claim signing".
USES = ("1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.62558.2.1")


@dataclass(frozen=True)
class Signing:
    """A private key with its certificate chain, checked.

    Attributes:
        key: PKCS8, PEM.
        chain: PEM, the signing certificate first, its issuers after it.
        algorithm: Name of c2pa's enumeration, e.g. ``ES256``.
        name: Common name of the signing certificate.
        serial: Its serial number.
        until: End of its validity, UTC.
        issuer: PEM of the chain's last certificate.
    """

    key: bytes
    chain: bytes
    algorithm: str
    name: str
    serial: int
    until: datetime.datetime
    issuer: bytes

    @property
    def ageing(self) -> bool:
        """Whether a certificate of our own is due for renewal."""
        return self.until - now() < RENEWAL_YEARS * YEAR


def now() -> datetime.datetime:
    """The time that validity is judged by."""
    return datetime.datetime.now(datetime.UTC)


# -- making


def make_root() -> tuple[bytes, bytes]:
    """A new authority: its certificate and its private key, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{studio_name(key.public_key())}, root")
    use = {"key_cert_sign": True, "crl_sign": True}
    built = _builder(name, name, key.public_key(), ROOT_YEARS, use).add_extension(x509.BasicConstraints(True, 0), True)
    return pem(_signed(built, key)), _key_pem(key)


def make_leaf(root: bytes, root_key: bytes) -> bytes:
    """A new signing key with its chain, all in one PEM text: key, signing certificate, root.

    Raises:
        ValueError: if the root or its key cannot be read.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority = x509.load_pem_x509_certificate(root)
    authority_key: Any = serialization.load_pem_private_key(root_key, None)
    key = ec.generate_private_key(ec.SECP256R1())
    issuer: Any = authority.public_key()
    name, use = _name(studio_name(issuer)), {"digital_signature": True}
    built = (
        _builder(name, authority.subject, key.public_key(), LEAF_YEARS, use)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(USES[0])]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False)
    )
    return _key_pem(key) + pem(_signed(built, authority_key)) + root


def studio_name(public_key: Any) -> str:
    """What a studio calls itself: eight digits of its root key's hash tell one studio from another."""
    from cryptography.hazmat.primitives import serialization

    bits = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digits = hashlib.sha256(bits).hexdigest()[:8]
    return f"Creative Studio {digits[:4]}-{digits[4:]}"


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION), x509.NameAttribute(NameOID.COMMON_NAME, common),
    ])  # fmt: skip


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: Any, years: int, use: dict[str, bool]
) -> x509.CertificateBuilder:
    from cryptography import x509

    uses = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    start = now() - datetime.timedelta(days=1)  # clocks of other computers may be a little behind
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + years * YEAR)
        .add_extension(x509.KeyUsage(**{name: use.get(name, False) for name in uses}), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
    )


def _signed(built: x509.CertificateBuilder, key: Any) -> x509.Certificate:
    from cryptography.hazmat.primitives import hashes

    return built.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM text."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


# -- reading


def read_signing(chain: bytes, key: bytes, where: str) -> Signing:
    """Check a certificate chain and its private key.

    Args:
        chain: PEM, the signing certificate first; other PEM blocks are passed over.
        key: PEM.
        where: For messages: the file or files that these came from.

    Raises:
        UsageError: ``credentials.not-pem``, ``.encrypted``, ``.mismatch``, ``.expired``, ``.chain`` or ``.unsuitable``.
    """
    certificates = read_certificates(chain, where)
    private = _read_key(key, where)
    leaf = certificates[0]
    if leaf.public_key() != private.public_key():
        raise _bad("mismatch", "The private key does not belong to the certificate", where, "Name the pair")
    for each in certificates:
        if not each.not_valid_before_utc <= now() <= each.not_valid_after_utc:
            dates = f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
            raise _bad(
                "expired",
                "A certificate is not valid today",
                f"{where}: {common_name(each)}, valid {dates}",
                "Renew it, or correct this computer's clock",
            )
    _check_chain(certificates, where)
    _check_leaf(leaf, where)
    pems = [pem(each) for each in certificates]
    return Signing(_key_pem(private), b"".join(pems), _algorithm(private.public_key(), where), common_name(leaf),
                   leaf.serial_number, leaf.not_valid_after_utc, pems[-1])  # fmt: skip


def read_certificates(text: bytes, where: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, at least one.

    Raises:
        UsageError: ``credentials.not-pem``.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise _bad(
            "not-pem",
            "This is no certificate in PEM form",
            f"{where}: {_first_line(error)}",
            "Convert it: openssl x509 -inform der -in FILE -out FILE.pem",
        ) from error


def _read_key(text: bytes, where: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(text, None)
    except TypeError as error:
        raise _bad(
            "encrypted",
            "The private key is locked with a passphrase",
            where,
            "Unlock it for the studio: openssl pkey -in KEY -out KEY.plain, then chmod 600",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _bad(
            "not-pem",
            "This is no private key in PEM form",
            f"{where}: {_first_line(error)}",
            "Convert it: openssl pkey -inform der -in KEY -out KEY.pem",
        ) from error


def _check_chain(certificates: list[x509.Certificate], where: str) -> None:
    from cryptography.exceptions import InvalidSignature

    if len(certificates) < 2:
        raise _bad(
            "chain",
            "The issuer's certificate is missing",
            f"{where}: 1 certificate",
            "Append the issuers' certificates to the file; a certificate that signed itself is not accepted",
        )
    for child, parent in pairwise(certificates):
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise _bad(
                "chain",
                "The certificates do not form a chain",
                f"{where}: {common_name(child)} was not issued by {common_name(parent)}",
                "Put the signing certificate first, then its issuer, then that one's issuer",
            ) from error


def _check_leaf(leaf: x509.Certificate, where: str) -> None:
    from cryptography import x509

    lacks: list[str] = []
    if (constraints := _extension(leaf, x509.BasicConstraints)) is not None and constraints.ca:
        lacks.append("it is an authority (basic constraints CA)")
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        lacks.append("no key usage digitalSignature")
    uses = _extension(leaf, x509.ExtendedKeyUsage)
    if uses is None or not {use.dotted_string for use in uses} & set(USES):
        lacks.append("no extended key usage emailProtection, documentSigning or C2PA claim signing")
    if _extension(leaf, x509.AuthorityKeyIdentifier) is None:
        lacks.append("no authority key identifier")
    if lacks:
        raise _bad(
            "unsuitable",
            "Content credentials cannot be signed with this certificate",
            f"{where}: {'; '.join(lacks)}",
            "Ask the authority for a C2PA signing certificate",
        )


def _extension(certificate: x509.Certificate, kind: Any) -> Any:
    """An extension's value, or None."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: an extension that cannot be read
        return None


def _algorithm(public: Any, where: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, ec.EllipticCurvePublicKey):
        found = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}.get(public.curve.name)
    elif isinstance(public, rsa.RSAPublicKey):
        found = "PS256" if public.key_size >= 2048 else None
    else:
        found = "ED25519" if isinstance(public, ed25519.Ed25519PublicKey) else None
    if found is None:
        raise _bad(
            "unsuitable",
            "Content credentials cannot be signed with this kind of key",
            where,
            "Use a key on P-256, P-384 or P-521, RSA from 2048 bits, or Ed25519",
        )
    return found


def common_name(certificate: x509.Certificate) -> str:
    """A certificate's common name as printable text, or its whole subject."""
    from cryptography.x509.oid import NameOID

    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(found[0].value) if found else certificate.subject.rfc4514_string()
    return "".join(c if c.isprintable() else "?" for c in text)[:120]


def _bad(code: str, what: str, seen: str, remedy: str) -> UsageError:
    return UsageError(f"credentials.{code}", what, seen=seen, remedy=remedy)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
