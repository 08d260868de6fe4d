"""The door of a Receive that somebody is ahead in: ``ahead.py TENANT``.

It sends a sample of now to the Receive in its pod, over and over, as whoever has caught up first does in a
tenant that several share. What others send, to port 8080, is passed on only while the last of these was
taken: nobody else is first, whatever starts before what. Until then they are told to come again (503).
"""

import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from sample import send

URL = "http://127.0.0.1:19291/api/v1/receive"
EVERY_S = 0.5
TIMEOUT_S = 10.0


class Handler(BaseHTTPRequestHandler):
    """Passes on what is sent, and answers 503 while the last own sample was not taken."""

    taken = False
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Say whether it is ready."""
        self._answer(200 if Handler.taken else 503)

    def do_POST(self) -> None:
        """Pass samples on."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not Handler.taken:
            self._answer(503)
            return
        kept = {
            name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
        }
        try:
            asked = urllib.request.Request(URL, body, kept)
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
                self._answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                self._answer(error.code, error.read())
        except OSError:
            self._answer(503)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Requests are not worth a line each."""


def main(tenant: str) -> None:
    """Send until the end."""
    Thread(target=ThreadingHTTPServer(("", 8080), Handler).serve_forever, daemon=True).start()
    while True:
        try:
            Handler.taken = send(tenant, "ahead", URL) == 200
        except OSError:
            Handler.taken = False
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
