"""Refuses pods with images that are not pinned, for the API server of another cluster; standard library only.

``far.py FOLDER PORT`` serves with the certificate in FOLDER (tls.crt, tls.key) what API servers ask webhooks:
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import json
import re
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REFUSED = "Policy far-pinned-images failed: every image must have a digest, or a tag other than latest"


def is_pinned(image: str) -> bool:
    """Whether an image has a digest; or a tag, that is a colon that no slash follows, other than latest."""
    return "@" in image or (re.search(":[^/]+$", image) is not None and not image.endswith(":latest"))


def answer(review: dict) -> dict:
    """What is answered to an AdmissionReview of a pod."""
    request = review["request"]
    spec = request["object"]["spec"]
    containers = spec["containers"] + spec.get("initContainers", [])
    response = {"uid": request["uid"], "allowed": all(is_pinned(each["image"]) for each in containers)}
    if not response["allowed"]:
        response["status"] = {"code": 403, "message": REFUSED}
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


class Handler(BaseHTTPRequestHandler):
    """Answers API servers, and kubelet, which asks whether it serves."""

    timeout = 5

    def do_GET(self) -> None:
        """Say that it serves."""
        self.reply(b"{}")

    def do_POST(self) -> None:
        """Decide on a pod."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(json.dumps(answer(review)).encode())

    def reply(self, body: bytes) -> None:
        """Send JSON."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """Requests are not worth a line each."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server on ``port`` that shows the certificate in ``folder``."""
    made = ThreadingHTTPServer(("", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    # The handshake is made by the thread that answers: a client that says nothing keeps no other waiting.
    made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
    return made


if __name__ == "__main__":
    server(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
