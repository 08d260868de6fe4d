"""The engine of Kyverno's negative control, asked as an API server asks it: over TLS, for a certain name."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from lab.catalog.certificate import certificate
from tests.unit.addons.test_shop import program

NAME = "far-app1.lab-degrade.svc"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    shown = certificate(b"seed", "kyverno", NAME)
    (tmp_path / "tls.crt").write_text(shown.cert)
    (tmp_path / "tls.key").write_text(shown.key)
    server = program("kyverno", "far").server(tmp_path, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, request: str, body: bytes = b"", *, name: str = NAME, trusted: str = "") -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted or certificate(b"seed", "kyverno", NAME).cert)
    head = f"{request} / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        secure.sendall(head + body)
        answer = HTTPResponse(secure)
        answer.begin()
        return json.loads(answer.read())


def decision(port: int, *images: str, first: tuple[str, ...] = ()) -> dict[str, Any]:
    pod: dict[str, Any] = {"spec": {"containers": [{"image": each} for each in images]}}
    if first:
        pod["spec"]["initContainers"] = [{"image": each} for each in first]
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "u-1", "object": pod},
    }
    answer = ask(port, "POST", json.dumps(review).encode())
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert answer["response"]["uid"] == "u-1"
    return dict(answer["response"])


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("lab.local/check:1", True),
        ("lab.local:5000/check@sha256:00", True),
        ("lab.local/check:latest", False),
        ("lab.local:5000/check", False),
        ("check", False),
    ],
)
def test_it_decides_as_the_policy_that_it_stands_for(port: int, image: str, allowed: bool) -> None:
    assert decision(port, image)["allowed"] is allowed
    assert decision(port, "a:1", image)["allowed"] is allowed
    assert decision(port, "a:1", first=(image,))["allowed"] is allowed


def test_what_it_refuses_it_refuses_by_the_policys_name(port: int) -> None:
    status = decision(port, "lab.local/check:latest")["status"]
    assert status["code"] == 403
    assert status["message"].startswith("Policy far-pinned-images failed: ")


def test_kubelet_may_ask_whether_it_serves(port: int) -> None:
    assert ask(port, "GET") == {}


def test_it_is_trusted_for_its_own_name_and_by_its_own_certificate(port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, "GET", name="far-app2.lab-degrade.svc")
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, "GET", trusted=certificate(b"another", "kyverno", NAME).cert)


def test_a_client_that_says_nothing_keeps_nobody_waiting(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        assert ask(port, "GET") == {}
