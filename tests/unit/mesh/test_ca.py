"""The mesh's certificate authority: made once, for nobody's eyes, and good for what Cilium signs with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab.mesh.ca import VALIDITY, Authority, authority


@pytest.fixture
def made(tmp_path: Path) -> Authority:
    return authority(tmp_path / "lab" / "ca", lab="hub")


def test_only_its_owner_may_read_it(made: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "lab" / "ca"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "ca.crt": 0o600,
        "ca.key": 0o600,
    }
    assert made.key not in repr(made).encode()


def test_it_is_kept(made: Authority, tmp_path: Path) -> None:
    assert authority(tmp_path / "lab" / "ca", lab="hub") == made
    assert authority(tmp_path / "other" / "ca", lab="hub") != made


def test_all_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        made = list(pool.map(lambda _: authority(tmp_path / "ca", lab="hub"), range(8)))
    assert len({each.key for each in made}) == len({each.certificate for each in made}) == 1


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key"])
def test_half_an_authority_is_made_anew_whole(made: Authority, tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "lab" / "ca"
    (folder / lost).unlink()
    again = authority(folder, lab="hub")
    assert again != made
    certificate = x509.load_pem_x509_certificate(again.certificate)
    key = serialization.load_pem_private_key(again.key, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert certificate.public_key() == key.public_key()
    assert (folder / "ca.key").stat().st_mode & 0o777 == 0o600


def test_it_may_sign_and_what_it_signed_is_believed(made: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(made.certificate)
    key = serialization.load_pem_private_key(made.key, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    # SEC 1, the form of EC keys that Helm's template functions read.
    assert made.key.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert certificate.issuer == certificate.subject
    assert certificate.subject.rfc4514_string() == "CN=hub mesh CA"
    certificate.verify_directly_issued_by(certificate)

    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.crl_sign) == (True, True)
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert identifier.value == x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def test_it_is_valid_now_a_little_before_and_for_years(made: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(made.certificate)
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now - timedelta(minutes=50)
    left = certificate.not_valid_after_utc - now
    assert VALIDITY - timedelta(minutes=5) < left <= VALIDITY
