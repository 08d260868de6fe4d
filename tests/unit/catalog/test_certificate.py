from __future__ import annotations

import base64
from pathlib import Path

from cryptography import x509

from lab.catalog.certificate import certificate
from lab.catalog.render import render
from lab.catalog.words import Words
from tests.unit.catalog.addons import CONFIG, view, write


def test_it_is_the_same_each_time_and_another_for_each_lab_addon_and_host() -> None:
    made = certificate(b"seed", "x", "a.b.svc")
    assert made == certificate(b"seed", "x", "a.b.svc")
    others = [
        certificate(b"other", "x", "a.b.svc"),
        certificate(b"seed", "y", "a.b.svc"),
        certificate(b"seed", "x", "c.b.svc"),
    ]
    assert len({made.key, *(each.key for each in others)}) == 4
    assert made.key not in repr(made)


def test_it_is_a_servers_and_no_authority() -> None:
    read = x509.load_pem_x509_certificate(certificate(b"seed", "x", "a.b.svc").cert.encode())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.b.svc"]
    assert not read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    read.verify_directly_issued_by(read)


def test_templates_ask_for_one_and_its_key_is_a_secret(tmp_path: Path) -> None:
    text = CONFIG + "data:\n  cert: {{ certificate('a.b.svc').cert | to_json }}\n"
    write(tmp_path, main__yaml__j2=text)
    [there], lab = view(tmp_path, "[{use: x, on: a}]")
    made = certificate(lab.seed, "x", "a.b.svc")
    assert render(there, lab)[-1]["data"] == {"cert": made.cert}
    words = Words(there, lab)
    assert words.variables["certificate"]("a.b.svc") == made
    encoded = base64.b64encode(made.key.encode()).decode()
    assert words.masked(f"{made.key} {encoded}").strip("x ") == ""
