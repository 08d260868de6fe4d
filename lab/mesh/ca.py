"""The certificate authority that all clusters of a lab share; made once per lab, never leaves it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

VALIDITY = timedelta(days=3 * 365)
"""As long as the certificates that Cilium's chart signs with it (certValidityDuration: 1095)."""

_one_maker = Lock()


@dataclass(frozen=True)
class Authority:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def is_there(folder: Path) -> bool:
    """Whether an authority is kept in ``folder``."""
    return (folder / "ca.crt").exists() and (folder / "ca.key").exists()


def authority(folder: Path, *, lab: str) -> Authority:
    """The authority kept in ``folder``, made on first use. The folder is 0700, the files 0600."""
    certificate, key = folder / "ca.crt", folder / "ca.key"
    # Clusters are seen to side by side, and one maker's key must not meet another's certificate.
    with _one_maker:
        if not is_there(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = _make(lab)
            # The key first: a certificate without its key would be taken for a whole authority.
            _write(key, made.key)
            _write(certificate, made.certificate)
        return Authority(certificate.read_bytes(), key.read_bytes())


def _make(lab: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{lab} mesh CA")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour ago: nodes whose clock is a little behind must accept it, too.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            # Helm's genSignedCert reads EC keys in SEC 1 form.
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )


def _write(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    partial.rename(path)
