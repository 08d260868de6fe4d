"""Certificates that addons' servers show: each trusts itself, and is the same each time it is asked for."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(2120, 1, 1, tzinfo=UTC)
"""Not from now on: it would be another certificate in each template that names it."""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, PEM. Whoever is to trust the server is given ``cert``."""

    cert: str
    key: str = field(repr=False)


def certificate(seed: bytes, addon: str, host: str) -> Certificate:
    """Return the certificate of ``addon`` for the DNS name ``host``, made of the lab's ``seed`` alone.

    Its key is HMAC-SHA256 of both names, and Ed25519 signs the same text the same way (RFC 8032).
    """
    # Only few addons ask, and it takes its time.
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    # A secret's text has no blank (:func:`lab.catalog.words.secret`), so none is this key.
    digest = hmac.new(seed, f"certificate {addon}/{host}".encode(), hashlib.sha256).digest()
    key = Ed25519PrivateKey.from_private_bytes(digest)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, addon)])
    public = key.public_key().public_bytes_raw()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(hashlib.sha256(public).digest()[:16]) | 1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, None)
    )
    return Certificate(
        made.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )
