"""The demo shop: a front, a back and a customer, one program; standard library only.

``shop.py back`` takes orders and says which cluster took them. ``shop.py front`` passes each order on to
a back, in any cluster, and says which. ``shop.py load`` is the customer: it orders at a steady rate, writes
one numbered JSON line for each order, and counts; asked, it says which number was the last. All three answer
``/healthz`` and ``/metrics``.

A line holds ``run`` (new with each start of the program) and ``seq`` (1, 2, 3, ... within a run), so that
a reader can tell which lines are missing and which came twice.
"""

import hashlib
import http.client
import json
import os
import sys
import threading
import time
import uuid
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

CLUSTER = os.environ["LAB_CLUSTER"]
POD = os.environ["HOSTNAME"]
PORT = 8080
TIMEOUT_S = 2.0
PASSWORD = Path("/secret/password")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class Counters:
    """Counters and histograms by name and labels, written in Prometheus' text format."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._types: dict[str, str] = {}
        self._values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}

    def add(self, name: str, count: int = 1, /, **labels: str) -> None:
        """Count one more; 0 has it there from the start, so that what begins later is seen to grow."""
        with self._lock:
            self._types[name] = "counter"
            self._add(name, name, labels, count)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Count something that took ``seconds``, in a histogram."""
        with self._lock:
            self._types[name] = "histogram"
            for most in BUCKETS_S:
                self._add(name, f"{name}_bucket", {**labels, "le": str(most)}, int(seconds <= most))
            self._add(name, f"{name}_bucket", {**labels, "le": "+Inf"}, 1)
            self._add(name, f"{name}_count", labels, 1)
            self._add(name, f"{name}_sum", labels, seconds)

    def text(self) -> str:
        """All of them, as a scrape reads them."""
        lines: list[str] = []
        with self._lock:
            for name, of_type in sorted(self._types.items()):
                lines.append(f"# TYPE {name} {of_type}")
                for (own, labels), value in self._values[name].items():
                    written = ",".join(f'{label}="{text}"' for label, text in labels)
                    lines.append(f"{own}{{{written}}} {value}" if written else f"{own} {value}")
        return "\n".join([*lines, ""])

    def _add(self, name: str, own: str, labels: dict[str, str], amount: float) -> None:
        values = self._values.setdefault(name, {})
        key = (own, tuple(sorted(labels.items())))
        values[key] = values.get(key, 0) + amount


COUNTERS = Counters()


def ask(host: str, path: str) -> dict[str, object]:
    """The JSON at ``http://HOST:8080PATH``, on a connection of its own; OSError or ValueError without."""
    connection = http.client.HTTPConnection(host, PORT, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise OSError(f"{host} answered {response.status}")
        answer: dict[str, object] = json.loads(body)
        return answer
    except http.client.HTTPException as error:
        raise OSError(f"{host}: {type(error).__name__}") from error
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """What all three roles answer; :meth:`order` differs."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a GET."""
        parts = urlsplit(self.path)
        if parts.path == "/healthz":
            self._send(200, "text/plain", "ok\n")
        elif parts.path == "/metrics":
            self._send(200, "text/plain; version=0.0.4", COUNTERS.text())
        else:
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            status, answer = self.order(query)
            self._send(status, "application/json", json.dumps(answer) + "\n")

    def order(self, query: dict[str, str]) -> tuple[int, dict[str, object]]:
        """Status and answer to an order."""
        return 404, {"error": "nothing is sold here"}

    def _send(self, status: int, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        """The customer's lines are the log."""


class Back(Handler):
    """Takes orders."""

    def order(self, query: dict[str, str]) -> tuple[int, dict[str, object]]:
        """The order, who took it, and of the password, where there is one, enough of a hash to tell it by."""
        COUNTERS.add("demo_back_orders_total")
        answer: dict[str, object] = {"order": query.get("order", ""), "cluster": CLUSTER, "pod": POD}
        with suppress(FileNotFoundError):
            answer["secret"] = hashlib.sha256(PASSWORD.read_bytes()).hexdigest()[:8]
        return 200, answer


class Front(Handler):
    """Passes orders on to a back."""

    def order(self, query: dict[str, str]) -> tuple[int, dict[str, object]]:
        """Who passed the order on, and what the back said."""
        order = query.get("order", "")
        started = time.monotonic()
        try:
            back = ask(os.environ["BACK"], "/?" + urlencode({"order": order}))
        except (OSError, ValueError) as error:
            COUNTERS.add("demo_front_orders_total", result="failed")
            return 502, {"order": order, "cluster": CLUSTER, "error": str(error)}
        COUNTERS.add("demo_front_orders_total", result="served", back=str(back["cluster"]))
        COUNTERS.observe("demo_front_back_seconds", time.monotonic() - started, back=str(back["cluster"]))
        return 200, {"order": order, "cluster": CLUSTER, "pod": POD, "back": back}


LAST: dict[str, object] = {"run": uuid.uuid4().hex[:12], "seq": 0, "cluster": CLUSTER}
"""What the customer's last line was."""


class Customer(Handler):
    """Says how far it is."""

    def order(self, query: dict[str, str]) -> tuple[int, dict[str, object]]:
        """The run, and the number of the last line."""
        return 200, dict(LAST)


class Server(ThreadingHTTPServer):
    """Keeps a backlog for bursts, and ends its threads with itself."""

    request_queue_size = 64
    daemon_threads = True


def customer(rate: float) -> None:
    """Order ``rate`` times a second, for ever; a slow answer never delays the orders after it by more."""
    run, seq, due = LAST["run"], 0, time.monotonic()
    for result in ("ok", "failed"):
        COUNTERS.add("demo_orders_total", 0, result=result)
    while True:
        seq += 1
        started = time.monotonic()
        line: dict[str, object] = {"run": run, "seq": seq, "cluster": CLUSTER}
        try:
            answer = ask(os.environ["FRONT"], "/?" + urlencode({"order": f"{run}-{seq}"}))
            line |= {"ok": True, "back": answer["back"]["cluster"]}  # type: ignore[index]
        except (OSError, ValueError, KeyError, TypeError) as error:
            line |= {"ok": False, "error": str(error)}
        line["ms"] = round((time.monotonic() - started) * 1000, 1)
        COUNTERS.add("demo_orders_total", result="ok" if line["ok"] else "failed")
        COUNTERS.add("demo_lines_total")
        print(json.dumps(line), flush=True)  # noqa: T201
        LAST["seq"] = seq
        due = max(due + 1 / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    role = sys.argv[1]
    server = Server(("", PORT), {"back": Back, "front": Front, "load": Customer}[role])
    if role == "load":
        threading.Thread(target=server.serve_forever, daemon=True).start()
        customer(float(os.environ["RATE"]))
    else:
        server.serve_forever()
