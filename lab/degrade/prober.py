"""What runs in pods during an experiment; shipped as a ConfigMap, standard library only.

``prober.py serve PORT NAME`` answers every request with NAME. ``prober.py probe FILE PORT`` makes the
requests that FILE (JSON) tells of, ``{"flows": [{"id", "host", "port", "every", "timeout"}]}``: each
flow many times a second, on a new connection each (``ID/new``, the name looked up each time) and on one that
is kept (``ID/kept``). What came of them is kept in memory and printed, in batches, each a JSON line; ``GET
/batches?from=N`` on PORT answers with those from number N on. Whoever asks may go away and come again.
"""

import errno
import json
import os
import socket
import sys
import time
from functools import partial

from lab.degrade.loop import CLOSES, END, MOST_BYTES, Every, Loop, Server, Timer, http

BATCH_S = 1.0
MOST_LINES = 400
DNS_RETRY_S = 0.3
"""A resolver asks again when a datagram was lost; one that waits five seconds, as libc's, tells less."""

UNANSWERED = "closed without an answer"
_WILL_CLOSE = CLOSES.lower()
ENCODE = json.JSONEncoder(separators=(",", ":")).encode


class Names:
    """Looks up addresses (A records) at the pod's own name server, each time anew."""

    def __init__(self, loop: Loop) -> None:
        address = nameserver()
        self._sock = socket.socket(
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM
        )
        self._sock.setblocking(False)
        self._sock.connect(address)
        self._asking: dict[bytes, Request] = {}
        self._count = int.from_bytes(os.urandom(2), "big")
        loop.watch(self._sock, self._answered)

    def number(self, request: "Request") -> bytes:
        """A number for a question that ``request`` has, told to it when it is answered."""
        self._count = (self._count + 1) & 0xFFFF
        number = self._count.to_bytes(2, "big")
        self._asking[number] = request
        return number

    def ask(self, question: bytes) -> None:
        """Send a question, which begins with its number."""
        try:
            self._sock.send(question)
        except OSError:
            # The name server refuses, or did before: the question is asked again.
            return

    def forget(self, number: bytes) -> None:
        """Nobody waits for an answer any more."""
        self._asking.pop(number, None)

    def _answered(self) -> None:
        try:
            answer = self._sock.recv(MOST_BYTES)
        except OSError:
            # The name server refuses, and is asked again.
            return
        if request := self._asking.pop(answer[:2], None):
            request.found(answer)


def nameserver() -> tuple[str, int]:
    """The pod's own name server."""
    lines = text_of("/etc/resolv.conf").split("\n")
    return next(line.split()[1] for line in lines if line.startswith("nameserver")), 53


def first_address(answer: bytes, place: int) -> str:
    """The first address in an answer whose records begin at ``place``; OSError if there is none."""
    try:
        if code := answer[3] & 15:
            raise OSError(f"the name server answers with code {code}")
        for _ in range(int.from_bytes(answer[6:8], "big")):
            # Names here are pointers, or labels that end with a zero or a pointer.
            while answer[place] and answer[place] < 192:
                place += answer[place] + 1
            place += 2 if answer[place] >= 192 else 1
            kind, length = answer[place : place + 2], int.from_bytes(answer[place + 8 : place + 10], "big")
            place += 10
            if kind == b"\0\1":
                return socket.inet_ntoa(answer[place : place + 4])
            place += length
    except IndexError:
        raise OSError("the name server's answer cannot be read") from None
    raise OSError("the name has no address")


def connecting(address: str, port: int) -> socket.socket:
    """A socket whose connection is being made."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    if (code := sock.connect_ex((address, port))) not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(code, os.strerror(code))
    return sock


class Recorder:
    """Puts the outcomes of one flow in order, and into batches."""

    def __init__(self, name: str, boot: str) -> None:
        self._name, self._boot = name, boot
        self._next = 1
        self._done: dict[int, tuple[float, float, float | None, str]] = {}

    def add(self, number: int, began: tuple[float, float], ms: float | None, error: str = "") -> None:
        """Note what came of request ``number``."""
        self._done[number] = (*began, ms, error)

    def flush(self) -> str:
        """A batch of what is complete: every number up to the first that is still under way. May be empty."""
        batch: list[tuple[float, float, float | None, str]] = []
        while len(batch) < MOST_LINES and (each := self._done.pop(self._next, None)) is not None:
            batch.append(each)
            self._next += 1
        if not batch:
            return ""
        mono, wall = batch[0][:2]
        record = {
            "kind": "batch",
            "id": self._name,
            "boot": self._boot,
            "mono": round(mono, 4),
            "wall": round(wall, 4),
            "first": self._next - len(batch),
            "at": [round((each[0] - mono) * 1000, 1) for each in batch],
            "ms": [None if each[2] is None else round(each[2], 2) for each in batch],
            "errors": {str(place): each[3] for place, each in enumerate(batch) if each[3]},
        }
        return ENCODE(record)


class Flow:
    """Requests to a service, in one manner: each on a connection of its own, or all on one that is kept."""

    def __init__(
        self, loop: Loop, names: Names, record: Recorder, told: dict[str, str | int | float], *, keeps: bool
    ) -> None:
        self.loop, self.names, self.record, self.keeps = loop, names, record, keeps
        self.port, self.timeout = int(told["port"]), float(told["timeout"])
        host = str(told["host"])
        self.text = f"GET / HTTP/1.1\r\nHost: {host}".encode() + (b"" if keeps else CLOSES) + END
        labels = b"".join(bytes([len(part)]) + part.encode() for part in host.split("."))
        self.question = b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
        self.kept: socket.socket | None = None
        self.lost: OSError | None = None
        self.busy = False
        self._number = 0

    def turn(self) -> None:
        """Make a request. One connection is for one at a time: while it is busy, its turn is left out."""
        if not (self.keeps and self.busy):
            self._number += 1
            self.busy = True
            Request(self, self._number).begin()

    def idle(self) -> None:
        """Look what became of the connection that is kept while nobody asked: who asks next is told."""
        assert self.kept is not None
        try:
            if self.kept.recv(MOST_BYTES):
                return
            self.lost = ConnectionResetError(UNANSWERED)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost = error
        self.loop.close(self.kept)
        self.kept = None


class Request(Timer):
    """One request: the name looked up, a connection, the question, the answer, and what came of it noted.

    Each step tries at once, and goes on when the loop tells it that there is more; ``flow.timeout`` after
    the beginning it is over in any case, not counting what the machine did not let this process run.
    """

    def __init__(self, flow: Flow, number: int) -> None:
        self._flow, self._number = flow, number
        self._began = (time.monotonic(), time.time())
        self._stalled = flow.loop.stalled
        self._answer = self._head = self._key = b""
        self._sock = flow.kept

    @property
    def _deadline(self) -> float:
        """When its time is over: what the machine did not let this process run is not counted."""
        return self._began[0] + self._flow.timeout + self._flow.loop.stalled - self._stalled

    def begin(self) -> None:
        """Take the connection that is kept, or look the name up for a new one."""
        flow = self._flow
        if flow.lost is not None:
            self._fail(flow.lost)
        elif self._sock is not None:
            flow.loop.at(self._deadline, self)
            self._ask()
        else:
            self._key = flow.names.number(self)
            self._look_up(self._began[0])

    def ring(self, now: float) -> None:
        """The time is over; or there is no address yet, and the name server is asked again."""
        if now >= self._deadline:
            self._fail(TimeoutError())
        elif self._sock is None:
            self._look_up(now)
        else:
            self._flow.loop.at(self._deadline, self)

    def _look_up(self, now: float) -> None:
        self._flow.loop.at(min(now + DNS_RETRY_S, self._deadline), self)
        self._flow.names.ask(self._key + self._flow.question)

    def found(self, answer: bytes) -> None:
        """The name server has answered: connect."""
        try:
            self._sock = connecting(first_address(answer, len(self._flow.question) + 2), self._flow.port)
        except OSError as error:
            self._fail(error)
        else:
            self._ask()

    def _ask(self) -> None:
        """Send the question. Within a machine a connection is there at once: no need to wait for it."""
        flow, sock = self._flow, self._sock
        assert sock is not None
        try:
            sock.send(flow.text)
        except BlockingIOError:
            flow.loop.watch(sock, self._ask, writing=True)
        except OSError as error:
            self._fail(error)
        else:
            if sock is flow.kept:
                flow.loop.hand_over(sock, self._read)
            else:
                flow.loop.watch(sock, self._read)

    def _read(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(MOST_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        self._answer += data
        if not data:
            self._fail(ConnectionResetError(UNANSWERED))
        elif self._is_whole():
            self._end(self._sock)

    def _is_whole(self) -> bool:
        """Whether there is enough of an answer: its head, and its body where another one will follow."""
        head, end, body = self._answer.partition(END)
        if not (end and self._flow.keeps):
            return bool(end)
        self._head = head.lower()
        said = self._head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0].strip()
        return not said.isdigit() or len(body) >= int(said)

    def _end(self, sock: socket.socket) -> None:
        flow, now = self._flow, time.monotonic()
        version, _, status = self._answer[:12].partition(b" ")
        if not version.startswith(b"HTTP/1.") or status != b"200":
            self._fail(OSError(self._answer[:60].split(b"\r\n")[0].decode("ascii", "replace")))
            return
        if now > self._deadline:
            self._fail(TimeoutError())
            return
        flow.record.add(self._number, self._began, (now - self._began[0]) * 1000)
        if flow.keeps and version == b"HTTP/1.1" and _WILL_CLOSE not in self._head:
            flow.kept = sock
            flow.loop.hand_over(sock, flow.idle)
        else:
            # The manner is new, or the server's: one that says that it closes is taken at its word.
            flow.kept = None
            flow.loop.close(sock)
        self.over, flow.busy = True, False

    def _fail(self, error: OSError) -> None:
        flow = self._flow
        said = "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        flow.record.add(self._number, self._began, None, said)
        flow.names.forget(self._key)
        if self._sock is not None:
            flow.loop.close(self._sock)
        if flow.keeps:
            flow.kept = flow.lost = None
        self.over, flow.busy = True, False


def probe(loop: Loop, told: dict[str, list[dict[str, str | int | float]]], boot: str, port: int) -> None:
    """Have ``loop`` make the requests of every flow, and answer with what came of them."""
    names, begins = Names(loop), time.monotonic()
    lines: list[str] = []
    recorders: list[Recorder] = []
    turns: dict[float, list[Flow]] = {}
    for each in told["flows"]:
        for manner in ("new", "kept"):
            recorders.append(Recorder(f"{each['id']}/{manner}", boot))
            flow = Flow(loop, names, recorders[-1], each, keeps=manner == "kept")
            turns.setdefault(float(each["every"]), []).append(flow)

    def turn(flows: list[Flow]) -> None:
        for flow in flows:
            flow.turn()

    def flush() -> None:
        batches = [line for recorder in recorders if (line := recorder.flush())]
        lines.extend(batches)
        sys.stdout.write("".join(f"{line}\n" for line in batches))
        sys.stdout.flush()

    def answer(head: bytes) -> bytes:
        number = head.split(b"\r\n")[0].partition(b"from=")[2].split(b" ")[0]
        first = int(number[:9]) if number.isdigit() else 0
        wanted = lines[first : first + MOST_LINES]
        page = {"next": first + len(wanted), "lines": wanted}
        return http(json.dumps(page).encode(), "Connection: close")

    for every, flows in turns.items():
        Every(loop, begins, every, partial(turn, flows))
    Every(loop, begins + BATCH_S, BATCH_S, flush)
    Server(loop, port, answer)


def serve(loop: Loop, port: int, name: str) -> None:
    """Have ``loop`` answer with ``name``."""
    answer = http(json.dumps({"cluster": name}).encode())
    Server(loop, port, lambda _: answer)


def text_of(path: str) -> str:
    """What is in a file."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  pathlib is a MiB in each pod
        return file.read()


def boot_id() -> str:
    """Which boot of which machine this is: times of one can be compared. Empty where nobody says (macOS)."""
    try:
        return text_of("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


if __name__ == "__main__":
    forever = Loop()
    if sys.argv[1] == "serve":
        serve(forever, int(sys.argv[2]), sys.argv[3])
    else:
        probe(forever, json.loads(text_of(sys.argv[2])), boot_id(), int(sys.argv[3]))
    forever.run()
