"""What the programs in the pods meet, on loopback and on their loop: a name server, servers that fail."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from lab.degrade.loop import END, Loop, http

GOOD = http(b'{"cluster": "app1"}')

_PATIENCE_S = 20.0


class OwnLoop(Loop):
    """A loop that can be ended in the middle of everything, and leaves nothing open."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[socket.socket] = set()

    def watch(self, sock: socket.socket, tell: Callable[[], None], *, writing: bool = False) -> None:
        self._open.add(sock)
        super().watch(sock, tell, writing=writing)

    def close(self, sock: socket.socket) -> None:
        self._open.discard(sock)
        super().close(sock)

    def end(self) -> None:
        for sock in list(self._open):
            self.close(sock)
        self._poll.close()


def until(loop: Loop, so: Callable[[], object]) -> None:
    """Run ``loop`` until it is so."""
    ending = time.monotonic() + _PATIENCE_S
    while not so():
        assert time.monotonic() < ending, "it did not come to be so"
        loop.run(time.monotonic() + 0.01)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Resolver:
    """A name server. ``answer`` has the address for the number of a question, from 1; None, it is silent."""

    def __init__(self, loop: Loop) -> None:
        self.asked: list[str] = []
        self.answer: Callable[[int], str | None] = lambda _: "127.0.0.1"
        self.code = 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._sock.getsockname()
        loop.watch(self._sock, self._asked)

    def _asked(self) -> None:
        question, whose = self._sock.recvfrom(512)
        name, place = [], 12
        while question[place]:
            name.append(question[place + 1 : place + 1 + question[place]].decode())
            place += question[place] + 1
        self.asked.append(".".join(name))
        address = self.answer(len(self.asked))
        if address is None:
            return
        record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(address) if address else b""
        counts = struct.pack(">HHHHH", 0x8180 | self.code, 1, bool(record), 0, 0)
        self._sock.sendto(question[:2] + counts + question[12:] + record, whose)


class Peer:
    """A server that does with each request what ``act`` does, which is given the socket and a number.

    Requests are numbered on each connection from 1; ``connections`` are all that there were.
    """

    def __init__(self, loop: Loop, act: Callable[[socket.socket, int], object]) -> None:
        self.connections: list[socket.socket] = []
        self._loop, self._act = loop, act
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listening.getsockname()[1]
        loop.watch(self._listening, self._accept)

    def _accept(self) -> None:
        sock, _ = self._listening.accept()
        self.connections.append(sock)
        count = 0

        def read() -> None:
            nonlocal count
            data = sock.recv(4096)
            for _ in range(data.count(END)):
                count += 1
                self._act(sock, count)
            if not data:
                self._loop.close(sock)

        self._loop.watch(sock, read)
