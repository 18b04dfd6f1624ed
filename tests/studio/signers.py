"""Certificates that tests sign with: another studio's, and ones that lack something."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from studio import certificates
from studio.certificates import Signing

USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
KEYS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p192": lambda: ec.generate_private_key(ec.SECP224R1()),
}


def other_studio() -> Signing:
    """The credentials of a studio on another computer."""
    root, key = certificates.make_root()
    both = certificates.make_leaf(root, key)
    return certificates.read_signing(both, both, "test")


def bought(
    name: str = "A Bought Certificate",
    *,
    kind: str = "p256",
    ca: bool = False,
    use: bool = True,
    purpose: bool = True,
    authority: bool = True,
    start: float = -1,
    end: float = 400,
) -> tuple[bytes, bytes]:
    """A certificate chain (leaf, issuer) and its private key, PEM, as an authority would sell them, or nearly.

    Args:
        name: Common name.
        kind: One of `KEYS`.
        ca: Make it an authority.
        use: With the key usage digitalSignature.
        purpose: With an extended key usage.
        authority: With an authority key identifier.
        start: First day of its validity, from today.
        end: Last day.
    """
    root_key, key = KEYS["p256"](), KEYS[kind]()
    today = datetime.datetime.now(datetime.UTC)

    def begun(subject: str, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An Authority")]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today + datetime.timedelta(days=start))
            .not_valid_after(today + datetime.timedelta(days=end))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )

    root = begun("An Authority", root_key.public_key()).add_extension(x509.BasicConstraints(True, 0), True)
    leaf = begun(name, key.public_key()).add_extension(x509.BasicConstraints(ca, None), True)
    marked = {word: use and word == "digital_signature" for word in USES} | ({} if use else {"key_agreement": True})
    leaf = leaf.add_extension(x509.KeyUsage(**marked), True)
    if purpose:
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    if authority:
        leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
    chain = [each.sign(root_key, hashes.SHA256()) for each in (leaf, root)]
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return b"".join(each.public_bytes(pem) for each in chain), text


def kept(folder: Path, chain: bytes, key: bytes) -> tuple[Path, Path]:
    """Both as files, the key for its owner alone."""
    paths = folder / "chain.pem", folder / "key.pem"
    paths[0].write_bytes(chain)
    paths[1].write_bytes(key)
    paths[1].chmod(0o600)
    return paths
