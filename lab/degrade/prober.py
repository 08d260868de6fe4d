"""What runs in pods during an experiment; shipped as a ConfigMap, standard library only.

``prober.py serve PORT NAME`` answers every request with NAME. ``prober.py probe FILE PORT`` makes the
requests that FILE (JSON) tells of, ``{"flows": [{"id", "host", "port", "every", "timeout"}]}``: each
flow many times a second, on a new connection each (``ID/new``, the name looked up each time) and on one that
is kept (``ID/kept``). What came of them is kept in memory and printed, in batches, each a JSON line; ``GET
/batches?from=N`` on PORT answers with those from number N on. Whoever asks may go away and come again.

It is one thread: on two cores that also run the clusters, twenty requests a second and flow must cost
next to nothing.
"""

import asyncio
import json
import secrets
import socket
import struct
import sys
import time
from pathlib import Path

BATCH_S = 1.0
MOST_LINES = 400
DNS_RETRY_S = 0.3
"""A resolver asks again when a datagram was lost; one that waits five seconds, as libc's, tells less."""


class Server(asyncio.Protocol):
    """Answers HTTP requests, as many as come on a connection."""

    def __init__(self, name: str) -> None:
        self.answer = _http(json.dumps({"cluster": name}).encode(), "application/json")
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self.pending += data
        while b"\r\n\r\n" in self.pending:
            head, _, self.pending = self.pending.partition(b"\r\n\r\n")
            self.transport.write(self.answer)  # type: ignore[attr-defined]
            if b"\r\nConnection: close" in head:
                self.transport.close()


def _http(body: bytes, kind: str = "text/plain") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Names(asyncio.DatagramProtocol):
    """Looks up addresses (A records) at the pod's own name server, each time anew."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}

    async def start(self) -> None:
        """Open the socket that all questions are asked by."""
        lines = Path("/etc/resolv.conf").read_text(encoding="ascii").split("\n")
        server = next(line.split()[1] for line in lines if line.startswith("nameserver"))
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(server, 53))

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Give an answer to whoever waits for it."""
        waiting = self._waiting.get(data[:2])
        if waiting is not None and not waiting.done():
            waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """The name server refuses: the question is asked again."""

    async def address(self, host: str) -> str:
        """The address of ``host``, a full name; OSError if there is none."""
        labels = b"".join(bytes([len(part)]) + part.encode() for part in host.split("."))
        number = struct.pack(">H", secrets.randbits(16))
        question = number + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
        loop = asyncio.get_running_loop()
        waiting = self._waiting[number] = loop.create_future()
        again: asyncio.Handle = loop.call_soon(lambda: None)

        def ask() -> None:
            nonlocal again
            self._transport.sendto(question)
            again = loop.call_later(DNS_RETRY_S, ask)

        ask()
        try:
            return _first_address(await waiting, len(question))
        finally:
            again.cancel()
            del self._waiting[number]


def _first_address(answer: bytes, place: int) -> str:
    if answer[3] & 15:
        raise OSError(f"the name server answers with code {answer[3] & 15}")
    for _ in range(struct.unpack(">H", answer[6:8])[0]):
        # Names here are pointers, or labels that end with a zero or a pointer.
        while answer[place] and answer[place] < 192:
            place += answer[place] + 1
        place += 2 if answer[place] >= 192 else 1
        kind, _, _, length = struct.unpack(">HHIH", answer[place : place + 10])
        place += 10
        if kind == 1:
            return socket.inet_ntoa(answer[place : place + 4])
        place += length
    raise OSError("the name has no address")


NAMES = Names()


def request(host: str, last: str = "") -> bytes:
    """A request; ``last`` is its last header, with the line's end."""
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n{last}\r\n".encode()


def require_good(answer: bytes) -> None:
    """Raise OSError for an answer that is not what was asked for."""
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError(answer[:60].split(b"\r\n")[0].decode("ascii", "replace"))


class Connection(asyncio.Protocol):
    """A connection of a flow, for one request at a time."""

    def __init__(self) -> None:
        self._answer = b""
        self._waiting: asyncio.Future[None] | None = None
        self.lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to ask."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take in an answer."""
        self._answer += data
        if b"\r\n\r\n" in self._answer:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember why; whoever waits is told."""
        self.lost = exc or ConnectionResetError("closed without an answer")
        self._end(self.lost)

    async def ask(self, host: str) -> None:
        """One request. OSError where it fails."""
        if self.lost is not None:
            raise self.lost
        self._answer = b""
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request(host))  # type: ignore[attr-defined]
        await self._waiting
        require_good(self._answer)

    def close(self) -> None:
        """Give it up."""
        self.transport.abort()  # type: ignore[attr-defined]

    def _end(self, error: Exception | None) -> None:
        if self._waiting is None or self._waiting.done():
            return
        if error is None:
            self._waiting.set_result(None)
        else:
            self._waiting.set_exception(error)


async def opened(flow: dict) -> socket.socket:  # type: ignore[type-arg]
    """A socket that is connected to the service of ``flow``, its name looked up."""
    address = await NAMES.address(flow["host"])
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, flow["port"]))
    except BaseException:
        made.close()
        raise
    return made


async def connected(flow: dict) -> Connection:  # type: ignore[type-arg]
    """A new connection of ``flow``."""
    made = await opened(flow)
    _, connection = await asyncio.get_running_loop().create_connection(Connection, sock=made)
    return connection


async def once_anew(flow: dict) -> None:  # type: ignore[type-arg]
    """One request on a connection of its own, with as few turns of the event loop as there can be."""
    loop = asyncio.get_running_loop()
    with await opened(flow) as made:
        made.send(request(flow["host"], "Connection: close\r\n"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = await loop.sock_recv(made, 4096)
            if not more:
                raise ConnectionResetError("closed without an answer")
            answer += more
    require_good(answer)


class Recorder:
    """Puts the outcomes of one flow in order, and into batches."""

    def __init__(self, name: str, boot: str, lines: list[str]) -> None:
        self._name, self._boot, self._lines = name, boot, lines
        self._next = 1
        self._done: dict[int, tuple[float, float, float | None, str]] = {}

    def add(self, number: int, began: tuple[float, float], ms: float | None, error: str = "") -> None:
        """Note what came of request ``number``."""
        self._done[number] = (*began, ms, error)

    def flush(self) -> None:
        """Make a batch of what is complete: every number up to the first that is still under way."""
        batch: list[tuple[float, float, float | None, str]] = []
        while len(batch) < MOST_LINES and (each := self._done.pop(self._next, None)) is not None:
            batch.append(each)
            self._next += 1
        if not batch:
            return
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
        line = json.dumps(record, separators=(",", ":"))
        self._lines.append(line)
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _named(error: BaseException) -> str:
    return "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__


async def ask_anew(flow: dict, record: Recorder) -> None:  # type: ignore[type-arg]
    """Make a request every so often, each on a connection of its own, whatever becomes of those before."""
    number, due, under_way = 0, time.monotonic(), set()

    async def once(number: int) -> None:
        began = (time.monotonic(), time.time())
        try:
            async with asyncio.timeout(flow["timeout"]):
                await once_anew(flow)
        except OSError as error:
            record.add(number, began, None, _named(error))
        else:
            record.add(number, began, (time.monotonic() - began[0]) * 1000)

    while True:
        number += 1
        task = asyncio.create_task(once(number))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        due = max(due + flow["every"], time.monotonic() - flow["every"])
        await asyncio.sleep(due - time.monotonic())


async def ask_on(flow: dict, record: Recorder) -> None:  # type: ignore[type-arg]
    """Make a request every so often on one connection; where it breaks, on the next."""
    number, due, connection = 0, time.monotonic(), None
    while True:
        number += 1
        began = (time.monotonic(), time.time())
        try:
            async with asyncio.timeout(flow["timeout"]):
                if connection is None:
                    connection = await connected(flow)
                await connection.ask(flow["host"])
        except OSError as error:
            record.add(number, began, None, _named(error))
            if connection is not None:
                connection.close()
                connection = None
        else:
            record.add(number, began, (time.monotonic() - began[0]) * 1000)
        due = max(due + flow["every"], time.monotonic())
        await asyncio.sleep(due - time.monotonic())


async def probe(config: dict, port: int) -> None:  # type: ignore[type-arg]
    """Make the requests of every flow, and answer with what came of them, for ever."""
    await NAMES.start()
    lines: list[str] = []
    recorders, tasks = [], []
    for flow in config["flows"]:
        for manner, act in (("new", ask_anew), ("kept", ask_on)):
            recorder = Recorder(f"{flow['id']}/{manner}", config["boot"], lines)
            recorders.append(recorder)
            tasks.append(asyncio.create_task(act(flow, recorder)))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        first = int(request.partition("from=")[2] or 0)
        wanted = lines[first : first + MOST_LINES]
        body = json.dumps({"next": first + len(wanted), "lines": wanted}).encode()
        writer.write(_http(body, "application/json"))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "", port):
        while True:
            await asyncio.sleep(BATCH_S)
            for recorder in recorders:
                recorder.flush()
            for task in tasks:
                if task.done():
                    task.result()


async def serve(port: int, name: str) -> None:
    """Answer with ``name``, for ever."""
    server = await asyncio.get_running_loop().create_server(lambda: Server(name), "", port, backlog=512)
    await server.serve_forever()


def boot_id() -> str:
    """Which boot of which machine this is: times of one can be compared. Empty where nobody says (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2]), sys.argv[3]))
    else:
        told = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        asyncio.run(probe({**told, "boot": boot_id()}, int(sys.argv[3])))
