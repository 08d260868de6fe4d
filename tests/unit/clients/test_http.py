"""The door to HTTP, against a server in this process."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.clients import http
from lab.errors import HostError, Interrupted, ProvisionError

CONTENT = bytes(range(256)) * 8192
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PIECE = 1 << 16


class Server(ThreadingHTTPServer):
    """Answers by path, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.path, self.headers.get("X-Test", "")))
        times = sum(asked.startswith(path) for asked, _ in self.server.asked)
        if path == "/file":
            self._answer(200, CONTENT)
        elif path == "/json":
            self._answer(200, b'{"ok": true}')
        elif path == "/login":
            self._answer(200, b"<html>please log in</html>")
        elif path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
        elif path == "/unsized":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)
        elif path == "/short" or (path == "/flaky" and times < 3):
            self._answer(200, CONTENT[: len(CONTENT) // 2], length=len(CONTENT))
        elif path == "/flaky":
            self._answer(200, CONTENT)
        elif path == "/slow":
            self._answer(200, b"", length=len(CONTENT))
            for start in range(0, len(CONTENT), PIECE):
                self.wfile.write(CONTENT[start : start + PIECE])
                time.sleep(0.05)
        else:
            self._answer(int(path.rpartition("/")[2]), b"because")

    def _answer(self, code: int, body: bytes, *, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    started = Server()
    thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield started
    started.shutdown()
    started.server_close()
    thread.join()


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_file_comes_whole(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "file"

    http.download(
        f"{server.url}/moved",
        target,
        sha256=SHA256,
        on_progress=lambda received, total: seen.append((received, total)),
    )

    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_file_of_unknown_size(server: Server, tmp_path: Path) -> None:
    totals: set[int | None] = set()
    http.download(
        f"{server.url}/unsized",
        tmp_path / "file",
        sha256=SHA256,
        on_progress=lambda _, total: totals.add(total),
    )
    assert totals == {None}


def test_another_file_is_not_kept(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("what was there before")

    with pytest.raises(http.ChecksumMismatch, match="is not the file that was asked for") as failed:
        http.download(f"{server.url}/login", target, sha256=SHA256)

    assert SHA256 in failed.value.details
    assert target.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_breaks_off_is_begun_again(server: Server, tmp_path: Path) -> None:
    http.download(f"{server.url}/flaky", tmp_path / "file", sha256=SHA256)
    assert len(server.asked) == 3


def test_a_file_that_always_breaks_off(server: Server, tmp_path: Path) -> None:
    with pytest.raises(http.Unavailable, match="/short does not answer"):
        http.download(f"{server.url}/short", tmp_path / "file", sha256=SHA256)
    assert len(server.asked) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_download_has_an_end(server: Server, tmp_path: Path) -> None:
    with pytest.raises(http.Unavailable, match="did not come in time") as failed:
        http.download(f"{server.url}/slow", tmp_path / "file", sha256=SHA256, timeout=0.2)
    assert "bytes came" in failed.value.details
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_download_can_be_cancelled(server: Server, tmp_path: Path) -> None:
    cancelled = threading.Event()
    with pytest.raises(Interrupted):
        http.download(
            f"{server.url}/slow",
            tmp_path / "file",
            sha256=SHA256,
            on_progress=lambda *_: cancelled.set(),
            cancelled=cancelled,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProvisionError, match="cannot be written"):
        http.download(f"{server.url}/file", tmp_path / "file" / "inside", sha256=SHA256)


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_what_may_pass(code: int, server: Server, tmp_path: Path) -> None:
    with pytest.raises(http.Unavailable, match=f"/{code} is not available now"):
        http.download(f"{server.url}/{code}", tmp_path / "file", sha256=SHA256)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 407])
def test_what_does_not_pass(code: int, server: Server) -> None:
    with pytest.raises(http.Refused) as failed:
        http.get_json(f"{server.url}/{code}?token=secret")
    assert failed.value.status == code
    assert failed.value.details == "because"
    assert "secret" not in str(failed.value)


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(http.Unavailable, match="does not answer") as failed:
        http.download(f"{nobody()}/file", tmp_path / "file", sha256=SHA256)
    assert "refused" in failed.value.details
    assert "HTTPS_PROXY" in failed.value.remedy


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(http.Unavailable) as failed:
        http.get_json(nobody().replace("http://", "http://user:secret@"))
    assert "secret" not in str(failed.value)


def test_json(server: Server) -> None:
    assert http.get_json(f"{server.url}/json", headers={"X-Test": "yes"}) == {"ok": True}
    assert server.asked == [("/json", "yes")]


def test_json_that_is_none(server: Server) -> None:
    with pytest.raises(ProvisionError, match="did not answer with JSON") as failed:
        http.get_json(f"{server.url}/login")
    assert "please log in" in failed.value.details


def test_what_is_reachable(server: Server) -> None:
    assert http.reachable(f"{server.url}/file")
    assert http.reachable(f"{server.url}/401", accept={200, 401})
    assert not http.reachable(f"{server.url}/401")
    assert not http.reachable(f"{nobody()}/")


def test_what_is_in_the_way(server: Server) -> None:
    assert http.obstacle(f"{server.url}/file") is None
    assert http.obstacle(f"{server.url}/503") == "it answered 503 Service Unavailable"
    assert "refused" in (http.obstacle(nobody()) or "")
    assert http.obstacle("http://[") is not None


def test_a_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)

    with pytest.raises(http.Refused):
        http.get_json("http://lab.invalid/404")
    monkeypatch.setenv("NO_PROXY", "lab.invalid")
    with pytest.raises(http.Unavailable):
        http.get_json("http://lab.invalid/404")

    assert [path for path, _ in server.asked] == ["http://lab.invalid/404"]


@pytest.mark.parametrize("proxy", ["nonsense://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used(proxy: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(HostError, match="proxy or certificate settings") as failed:
        http.get_json(f"{server.url}/json")
    assert "ALL_PROXY" in failed.value.remedy
    assert "proxy or certificate settings" in (http.obstacle(f"{server.url}/json") or "")
