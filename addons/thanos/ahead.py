"""Sends a sample of now to the Receive in the same pod, over and over: ``ahead.py TENANT``.

It stands for whoever has caught up first in a tenant that several share. On port 8080 it says whether the
last sample was taken: its pod gets requests of others only then, so that nobody else is first.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from sample import send

URL = "http://127.0.0.1:19291/api/v1/receive"
EVERY_S = 0.5


class Handler(BaseHTTPRequestHandler):
    """Answers 200 when the last sample was taken, else 503."""

    taken = False

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if Handler.taken else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

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
