"""The data-path probe that runs in a pod of every cluster; shipped as a ConfigMap, standard library only.

``/whoami?nonce=N`` answers who this is, with the nonce: no cache and no other server can give that
answer. ``/ask?url=U&times=T&timeout=S`` asks U from here, T times, each on a connection of its own,
and tells every outcome. It serves both on port 8080, which the probe's policy allows, and on 8081,
which it does not.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit


def ask(url: str, timeout: float) -> dict[str, object]:
    """One request on a connection of its own, and how it ended."""
    started = time.monotonic()
    outcome: dict[str, object]
    try:
        # The URL is the tool's own, through the cluster's API server.
        with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310
            outcome = {"answer": understood(response.read())}
    except (urllib.error.URLError, OSError, ValueError) as error:
        outcome = {"error": str(getattr(error, "reason", None) or error)}
    outcome["seconds"] = round(time.monotonic() - started, 4)
    return outcome


def understood(body: bytes) -> object:
    """What was answered: as JSON where it is, as text elsewhere."""
    text = body.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


class Handler(BaseHTTPRequestHandler):
    """Answers the two questions."""

    def do_GET(self) -> None:
        """Answer a GET."""
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/ask":
            times, timeout = int(query.get("times", "1")), float(query.get("timeout", "3"))
            with ThreadPoolExecutor(max_workers=times) as pool:
                answer: object = list(pool.map(lambda _: ask(query["url"], timeout), range(times)))
        else:
            answer = {
                "cluster": os.environ["LAB_CLUSTER"],
                "pod": os.environ["HOSTNAME"],
                "nonce": query.get("nonce", ""),
            }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Requests are not worth a line each."""


class Server(ThreadingHTTPServer):
    """Keeps a backlog for bursts, and ends its threads with itself."""

    request_queue_size = 64
    daemon_threads = True


if __name__ == "__main__":
    first, *others = [Server(("", int(port)), Handler) for port in sys.argv[1:]]
    for other in others:
        Thread(target=other.serve_forever, daemon=True).start()
    first.serve_forever()
