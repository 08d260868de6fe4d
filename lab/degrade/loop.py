"""The loop of what runs in pods during an experiment, and a server on it; see :mod:`lab.degrade.prober`.

On two cores that also run the clusters, twenty requests a second and flow must cost next to nothing. So it
is one thread, which wakes once for all that is due. asyncio takes three times as long, and twice the memory.
"""

import select
import socket
import time
from collections.abc import Callable
from heapq import heappop, heappush

MOST_CALLERS = 500
"""Connections that a server holds; one more, and that which has been silent the longest is closed."""

MOST_BYTES = 4096
"""No request is longer; and no more than this is read at once."""

END = b"\r\n\r\n"
CLOSES = b"\r\nConnection: close"

LATE_S = 0.05
"""Later than this a loop runs only when the machine gave it no time."""


class Timer:
    """Something that wants to be told when a moment has come, unless it is ``over`` by then."""

    over = False

    def ring(self, now: float) -> None:
        """The moment has come."""


class Loop:
    """Waits for sockets and for moments, and tells who asked to be told: they act, and never wait.

    Whoever is told of a socket must bear that there is nothing to do: it may have been for another socket,
    closed since, whose number this one has.
    """

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._told: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self.stalled = 0.0
        """Seconds in all in which it wanted to run and did not: they are the machine's, nobody else's."""

    def at(self, moment: float, timer: Timer) -> None:
        """Tell ``timer`` at ``moment``, on the monotonic clock."""
        self._count += 1
        heappush(self._timers, (moment, self._count, timer))

    def watch(self, sock: socket.socket, tell: Callable[[], None], *, writing: bool = False) -> None:
        """Tell whenever ``sock`` can be read, or written; instead of whoever was told of it."""
        number = sock.fileno()
        events = select.EPOLLOUT if writing else select.EPOLLIN
        if number in self._told:
            self._poll.modify(number, events)
        else:
            self._poll.register(number, events)
        self._told[number] = tell

    def hand_over(self, sock: socket.socket, tell: Callable[[], None]) -> None:
        """Tell ``tell`` of a socket that is watched, instead."""
        self._told[sock.fileno()] = tell

    def close(self, sock: socket.socket) -> None:
        """Close ``sock``, and tell nobody of it any more."""
        self._told.pop(sock.fileno(), None)
        sock.close()

    def run(self, until: float = float("inf")) -> None:
        """Wait and tell, until that moment."""
        timers, told = self._timers, self._told
        while (now := time.monotonic()) < until:
            while timers and timers[0][2].over:
                heappop(timers)
            wakes = min(until, timers[0][0]) if timers else until
            events = self._poll.poll(max(0.0, wakes - now) if wakes < float("inf") else -1, 64)
            woke = time.monotonic()
            self._note_lateness(woke - max(wakes, now))
            for number, _ in events:
                if tell := told.get(number):
                    tell()
            now = time.monotonic()
            while timers and timers[0][0] <= now:
                timer = heappop(timers)[2]
                if not timer.over:
                    timer.ring(now)
            # Nobody who is told waits for anything.
            self._note_lateness(time.monotonic() - woke)

    def _note_lateness(self, seconds: float) -> None:
        if seconds > LATE_S:
            self.stalled += seconds


class Every(Timer):
    """Does ``act`` every so often, beginning at ``due``; of what was missed, once is made up for."""

    def __init__(self, loop: Loop, due: float, every: float, act: Callable[[], None]) -> None:
        self._loop, self._due, self._every, self._act = loop, due, every, act
        loop.at(due, self)

    def ring(self, now: float) -> None:
        """Do it, and wait for the next time."""
        self._due = max(self._due + self._every, now - self._every)
        self._loop.at(self._due, self)
        self._act()


def http(body: bytes, *more: str, kind: str = "application/json") -> bytes:
    """An answer, with ``more`` headers."""
    lines = ("HTTP/1.1 200 OK", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more)
    return "\r\n".join(lines).encode() + END + body


class Server:
    """Answers HTTP requests, as many as come on a connection; ``answer`` makes an answer of a head."""

    def __init__(self, loop: Loop, port: int, answer: Callable[[bytes], bytes]) -> None:
        self.loop, self.answer = loop, answer
        self._callers: dict[Caller, None] = {}
        self._listening = socket.create_server(("", port), backlog=512)
        self._listening.setblocking(False)
        loop.watch(self._listening, self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listening.accept()
        except OSError:
            # Gone before it was accepted.
            return
        Caller(self, sock).go_on()

    def hold(self, caller: "Caller") -> None:
        """Remember that ``caller`` is there, and was heard of just now."""
        self._callers.pop(caller, None)
        self._callers[caller] = None
        if len(self._callers) > MOST_CALLERS:
            next(iter(self._callers)).close()

    def forget(self, caller: "Caller") -> None:
        """It is gone."""
        self._callers.pop(caller, None)


class Caller:
    """A connection to a server: what has come of a request, and what is left to send of answers."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server, self._sock = server, sock
        self._asked = self._unsent = b""
        self._closes = False
        self._writing: bool | None = None

    def go_on(self) -> None:
        """Read, answer what is whole, send; then wait. Who takes no answers is not read from."""
        try:
            ended = self._exchange()
        except BlockingIOError:
            ended = False
        except OSError:
            ended = True
        if ended or len(self._asked) > MOST_BYTES:
            self.close()
            return
        self._server.hold(self)
        writing = bool(self._unsent)
        if writing is not self._writing:
            self._server.loop.watch(self._sock, self.go_on, writing=writing)
            self._writing = writing

    def _exchange(self) -> bool:
        """Do what can be done now, and tell whether that was all."""
        if not self._unsent:
            data = self._sock.recv(MOST_BYTES, socket.MSG_DONTWAIT)
            if not data:
                return True
            self._take(data)
        if self._unsent:
            self._unsent = self._unsent[self._sock.send(self._unsent, socket.MSG_DONTWAIT) :]
        return self._closes and not self._unsent

    def _take(self, data: bytes) -> None:
        self._asked += data
        while not self._closes and END in self._asked:
            head, _, self._asked = self._asked.partition(END)
            answer = self._server.answer(head)
            self._unsent += answer
            self._closes = CLOSES in head or CLOSES in answer[:200]

    def close(self) -> None:
        """Let go of it."""
        self._server.forget(self)
        self._server.loop.close(self._sock)
