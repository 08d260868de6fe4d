"""The lab's Git server: HTTP in front of ``git http-backend``, which is Git's own; standard library only.

``git-front.py FOLDER`` serves the bare repositories in ``FOLDER``, as Git's smart protocol asks for them:
``/NAME.git/info/refs``, ``/NAME.git/git-upload-pack``, ``/NAME.git/git-receive-pack``. There is ``/healthz``
besides, and at ``/`` a list of what can be cloned. Whoever reaches it may read and push: right for a lab, and
for nothing else.
"""

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

PORT = 8080

MOST_BYTES = 32 * 1024 * 1024
"""Of a request's body, as it is sent. What it unpacks to is bounded by Git (receive.maxInputSize)."""

MOST_AT_ONCE = 4
"""Runs of Git. Each is two or three processes, and all of them share one small memory limit."""

IDLE_S = 30.0
"""Without a byte from the client, or to it."""

RUN_S = 120.0
"""For one run of Git, and for waiting for one's turn."""

BLOCK = 64 * 1024
LONGEST_LINE = 1024

# Nothing in it needs decoding, no part begins with a dot, and there is no slash in a name.
ROUTE = re.compile(r"/([A-Za-z0-9][\w.-]{0,99}\.git)/(info/refs|git-upload-pack|git-receive-pack)", re.ASCII)
SERVICES = ("service=git-upload-pack", "service=git-receive-pack")
LENGTH = re.compile(r"[0-9]{1,12}")
CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?\r?\n")
PROTOCOL = re.compile(r"[a-z0-9=:.]{1,64}")
HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


class Refused(Exception):
    """A request that is not passed on to Git; the text is the answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves the repositories in ``folder``."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], folder: Path) -> None:
        super().__init__(address, Handler)
        self.folder = folder
        self.turns = threading.BoundedSemaphore(MOST_AT_ONCE)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away; of all else, what the base class says."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Answers on one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "git-front"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        """Answer a GET."""
        self.answered()

    def do_POST(self) -> None:
        """Answer a POST."""
        self.answered()

    def answered(self) -> None:
        """Have Git answer, or do it ourselves."""
        try:
            self.answer()
        except Refused as refusal:
            # What is left of the request would be taken for the next one.
            self.close_connection = True
            self.say(refusal.status, f"{refusal}\n")

    def answer(self) -> None:
        """As :meth:`answered`, but Refused is raised."""
        path, _, query = self.path.partition("?")
        is_get = self.command == "GET"
        if is_get and ("Content-Length" in self.headers or "Transfer-Encoding" in self.headers):
            raise Refused(HTTPStatus.BAD_REQUEST, "a GET has no body")
        if is_get and path == "/healthz":
            self.say(HTTPStatus.OK, "ok\n")
        elif is_get and path == "/":
            self.say(HTTPStatus.OK, self.listing())
        else:
            self.check(path, query)
            with self.body() as body, self.turn():
                self.run_git(path, query, body)

    def listing(self) -> str:
        """Return how each repository is cloned, by the name that the client knows this server by."""
        host = self.headers.get("Host", "")
        base = f"http://{host}" if HOST.fullmatch(host) else ""
        names = sorted(each.name for each in self.server.folder.glob("[A-Za-z0-9]*.git"))
        return "".join(f"git clone {base}/{name}\n" for name in names)

    def check(self, path: str, query: str) -> None:
        """Raise Refused unless this is one of the requests that Git's smart protocol is made of."""
        route = ROUTE.fullmatch(path)
        if not route:
            raise Refused(HTTPStatus.NOT_FOUND, "nothing is here; / lists what can be cloned")
        asks = route[2] == "info/refs"
        if self.command != ("GET" if asks else "POST"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"not with {self.command}")
        if asks and query not in SERVICES:
            raise Refused(HTTPStatus.FORBIDDEN, "only Git's smart protocol is spoken here")

    @contextmanager
    def body(self) -> Iterator[IO[bytes]]:
        """Have the request's body in a file: Git reads at its own pace, and knows where it ends."""
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if codings and (lengths or [each.strip().lower() for each in codings] != ["chunked"]):
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is sent in a way that is not understood")
        if len(lengths) > 1 or not all(LENGTH.fullmatch(each) for each in lengths):
            raise Refused(HTTPStatus.BAD_REQUEST, "the body's length is not a number")
        with tempfile.TemporaryFile() as kept:
            self.keep(kept, self.chunks() if codings else iter(int(each) for each in lengths))
            yield kept

    def keep(self, kept: IO[bytes], sizes: Iterator[int]) -> None:
        """Copy as many bytes of the request as ``sizes`` say, from one to the next, and rewind."""
        total = 0
        for size in sizes:
            total += size
            if total > MOST_BYTES:
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_BYTES} bytes at once")
            left = size
            while left:
                block = self.rfile.read(min(left, BLOCK))
                if not block:
                    raise Refused(HTTPStatus.BAD_REQUEST, "the body ended early")
                kept.write(block)
                left -= len(block)
        kept.seek(0)

    def chunks(self) -> Iterator[int]:
        """Yield the size of each chunk (RFC 9112, 7.1) when its first byte is the next to be read."""
        while True:
            head = CHUNK.fullmatch(self.rfile.readline(LONGEST_LINE))
            if not head:
                raise Refused(HTTPStatus.BAD_REQUEST, "a chunk without its size")
            if not (size := int(head[1], 16)):
                break
            yield size
            if self.rfile.readline(LONGEST_LINE).strip(b"\r\n"):
                raise Refused(HTTPStatus.BAD_REQUEST, "a chunk that is longer than its size")
        for _ in range(16):
            if not self.rfile.readline(LONGEST_LINE).strip(b"\r\n"):
                return
        raise Refused(HTTPStatus.BAD_REQUEST, "too much after the last chunk")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until Git may be run once more."""
        if not self.server.turns.acquire(timeout=RUN_S):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many at once; try again")
        try:
            yield
        finally:
            self.server.turns.release()

    def run_git(self, path: str, query: str, body: IO[bytes]) -> None:
        """Run ``git http-backend`` as the CGI program that it is, and pass on its answer as it comes."""
        git = subprocess.Popen(
            ["git", "http-backend"],
            stdin=body,
            stdout=subprocess.PIPE,
            env=self.environment(path, query, os.fstat(body.fileno()).st_size),
            # With whatever it starts it can be ended as one.
            start_new_session=True,
        )
        watchdog = threading.Timer(RUN_S, end, [git])
        watchdog.start()
        try:
            with git:
                try:
                    self.pass_on(git)
                except BaseException:
                    end(git)
                    raise
        finally:
            watchdog.cancel()

    def environment(self, path: str, query: str, length: int) -> dict[str, str]:
        """Return what git-http-backend(1) wants to be told; of the client's headers, only what it needs."""
        told = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REMOTE_ADDR": str(self.client_address[0]),
        }
        if self.command == "POST":
            told["CONTENT_LENGTH"] = str(length)
        if self.headers.get("Content-Encoding", "") in {"gzip", "x-gzip"}:
            told["HTTP_CONTENT_ENCODING"] = "gzip"
        if PROTOCOL.fullmatch(self.headers.get("Git-Protocol", "")):
            told["GIT_PROTOCOL"] = self.headers["Git-Protocol"]
        return {**os.environ, **told}

    def pass_on(self, git: subprocess.Popen[bytes]) -> None:
        """Pass on what Git answers."""
        assert git.stdout
        headers = http.client.parse_headers(git.stdout)
        if not headers:
            raise Refused(HTTPStatus.BAD_GATEWAY, "Git gave no answer")
        in_chunks = self.request_version == "HTTP/1.1"
        self.close_connection = self.close_connection or not in_chunks
        self.send_response(int(headers.get("Status", "200").split()[0]))
        for name in ("Content-Type", "Cache-Control", "Expires", "Pragma"):
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header(*(("Transfer-Encoding", "chunked") if in_chunks else ("Connection", "close")))
        self.end_headers()
        while block := git.stdout.read1(BLOCK):  # type: ignore[attr-defined]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if in_chunks else block)
        if git.wait() < 0:
            # It was ended: so that nobody takes this for the whole answer, the last chunk never comes.
            self.close_connection = True
        elif in_chunks:
            self.wfile.write(b"0\r\n\r\n")

    def say(self, status: HTTPStatus, text: str) -> None:
        """Answer with a text of our own."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log a line for each request but the kubelet's."""
        if "/healthz" not in self.requestline:
            super().log_request(code, size)


def end(git: subprocess.Popen[bytes]) -> None:
    """End a run and what it started, if it has not ended by itself."""
    if git.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(git.pid, signal.SIGKILL)


if __name__ == "__main__":
    # The first process of a container is not ended by a signal that it does not take.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Server(("", PORT), Path(sys.argv[1])).serve_forever()
