"""The program that is ahead of everybody in a tenant, and says when it is."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import ClassVar

import pytest

from lab.settings import PROJECT
from tests.unit.addons.test_shop import program


class Receive(BaseHTTPRequestHandler):
    status = 200
    tenants: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.tenants.append(self.headers["THANOS-TENANT"])
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # Its pod has both programs in one folder.
    monkeypatch.syspath_prepend(str(PROJECT / "addons" / "thanos"))
    return program("thanos", "ahead")


@pytest.fixture
def receive() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1/receive"
    server.shutdown()
    server.server_close()


CLOSE = {"Connection": "close"}


class Enough(Exception):
    pass


def ready(ahead: ModuleType) -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ahead.Handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    asked = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    asked.request("GET", "/", headers=CLOSE)
    status = asked.getresponse().status
    asked.close()
    server.server_close()
    return status


def sent(ahead: ModuleType) -> tuple[int, bytes]:
    """Status and body of the answer to samples that somebody else sends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), ahead.Handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    asked = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    asked.request("POST", "/api/v1/receive", b"samples", {"THANOS-TENANT": "shared", **CLOSE})
    answer = asked.getresponse()
    seen = answer.status, answer.read()
    asked.close()
    server.server_close()
    return seen


def test_what_others_send_is_passed_on_only_behind_a_sample_of_its_own(
    ahead: ModuleType, receive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "URL", receive)
    monkeypatch.setattr(Receive, "tenants", [])
    assert sent(ahead) == (503, b"")
    assert Receive.tenants == []
    monkeypatch.setattr(ahead.Handler, "taken", True)
    assert sent(ahead) == (200, b"")
    # What Receive says of them is what the sender is told: 409 has it drop them.
    monkeypatch.setattr(Receive, "status", 409)
    assert sent(ahead)[0] == 409
    assert Receive.tenants == ["shared", "shared"]
    monkeypatch.setattr(ahead, "URL", "http://127.0.0.1:1/")
    assert sent(ahead) == (503, b"")


def test_it_is_ready_once_a_sample_of_it_was_taken(
    ahead: ModuleType, receive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def turn(_: float) -> None:
        seen.append(ready(ahead))
        if len(seen) == 3:
            raise Enough
        Receive.status = 500 if len(seen) == 1 else 200

    class Quiet:
        """Its own server, which wants port 8080."""

        def __init__(self, *_: object) -> None:
            self.serve_forever = lambda: None

    monkeypatch.setattr(ahead, "URL", receive)
    monkeypatch.setattr(ahead.time, "sleep", turn)
    monkeypatch.setattr(ahead, "ThreadingHTTPServer", Quiet)
    assert ready(ahead) == 503
    with pytest.raises(Enough):
        ahead.main("shared")
    assert seen == [200, 503, 200]
    assert set(Receive.tenants) == {"shared"}
