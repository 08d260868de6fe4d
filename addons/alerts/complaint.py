"""Has one thing to say to whoever reads its metrics: ``complaint.py HOME NONCE``."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

HOME, NONCE = sys.argv[1:]


class Complaint(BaseHTTPRequestHandler):
    """The same answer to everything."""

    def do_GET(self) -> None:
        """Answer a GET."""
        body = f'lab_check_firing{{home="{HOME}",nonce="{NONCE}"}} 1\n'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("", 8080), Complaint).serve_forever()
