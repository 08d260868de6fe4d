"""The loop in the pods, and its server: who is slow, silent or many keeps nobody from being answered."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from lab.degrade import loop as looping
from lab.degrade.loop import Every, Loop, Server, Timer
from tests.unit.degrade.pods import GOOD, OwnLoop, free_port, until

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="pods run Linux")

ASKS = b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n"
ASKS_ONCE = b"GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n"


@pytest.fixture
def loop() -> Iterator[Loop]:
    own = OwnLoop()
    yield own
    own.end()


@pytest.fixture
def call(loop: Loop) -> Iterator[Callable[[], socket.socket]]:
    """Makes connections to a server on the loop."""
    port = free_port()
    Server(loop, port, lambda _: GOOD)
    made: list[socket.socket] = []

    def connect() -> socket.socket:
        made.append(socket.create_connection(("127.0.0.1", port)))
        made[-1].setblocking(False)
        return made[-1]

    yield connect
    for sock in made:
        sock.close()


def heard(loop: Loop, sock: socket.socket, size: int) -> bytes:
    """What comes of ``sock``, until there are ``size`` bytes of it or it is closed."""
    found = bytearray()

    def enough() -> bool:
        try:
            while data := sock.recv(65536):
                found.extend(data)
        except BlockingIOError:
            return len(found) >= size
        except ConnectionResetError:
            return True
        return True

    until(loop, enough)
    return bytes(found)


def test_many_requests_on_one_connection_are_answered(loop: Loop, call: Callable[[], socket.socket]) -> None:
    sock = call()
    for _ in range(3):
        sock.send(ASKS)
        assert heard(loop, sock, len(GOOD)) == GOOD
    sock.send(ASKS + ASKS)
    assert heard(loop, sock, 2 * len(GOOD)) == GOOD + GOOD


def test_who_asks_to_close_is_answered_and_left(loop: Loop, call: Callable[[], socket.socket]) -> None:
    sock = call()
    sock.send(ASKS_ONCE)
    # It waits for more than it can get: until the end.
    assert heard(loop, sock, len(GOOD) + 1) == GOOD


def test_a_request_may_come_byte_by_byte_while_others_are_answered(
    loop: Loop, call: Callable[[], socket.socket]
) -> None:
    slow = call()
    for place in range(len(ASKS)):
        slow.send(ASKS[place : place + 1])
        quick = call()
        quick.send(ASKS_ONCE)
        assert heard(loop, quick, len(GOOD)) == GOOD
    assert heard(loop, slow, len(GOOD)) == GOOD


def test_who_takes_no_answers_is_not_read_from_and_loses_none(
    loop: Loop, call: Callable[[], socket.socket]
) -> None:
    greedy, sent, refused = call(), 0, 0
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    while refused < 20:
        try:
            while True:
                sent += greedy.send((ASKS * 100)[sent % len(ASKS) :])
                refused = 0
        except BlockingIOError:
            refused += 1
        loop.run(time.monotonic() + 0.01)
    other = call()
    other.send(ASKS)
    assert heard(loop, other, len(GOOD)) == GOOD
    answered = sent // len(ASKS)
    assert heard(loop, greedy, answered * len(GOOD)) == GOOD * answered


def test_a_request_without_end_is_not_listened_to(loop: Loop, call: Callable[[], socket.socket]) -> None:
    sock = call()
    sock.send(b"x" * (2 * looping.MOST_BYTES))
    assert heard(loop, sock, 1) == b""


def test_who_goes_away_in_the_middle_keeps_nobody(loop: Loop, call: Callable[[], socket.socket]) -> None:
    for linger in (0, 1):
        gone = call()
        gone.send(ASKS[:10])
        loop.run(time.monotonic() + 0.02)
        if linger:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
    sock = call()
    sock.send(ASKS)
    assert heard(loop, sock, len(GOOD)) == GOOD


def test_where_there_are_too_many_the_one_that_was_silent_longest_goes(
    loop: Loop, call: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looping, "MOST_CALLERS", 3)
    first, second, third = (call() for _ in range(3))
    for sock in (first, second, third, first):
        sock.send(ASKS)
        assert heard(loop, sock, len(GOOD)) == GOOD
    fourth = call()
    assert heard(loop, second, 1) == b""
    for sock in (third, fourth, first):
        sock.send(ASKS)
        assert heard(loop, sock, len(GOOD)) == GOOD


class Bell(Timer):
    def __init__(self, name: str, rung: list[str]) -> None:
        self._name, self._rung = name, rung

    def ring(self, now: float) -> None:
        self._rung.append(self._name)


def test_moments_come_in_their_order_but_for_what_is_over(loop: Loop) -> None:
    rung: list[str] = []
    now = time.monotonic()
    bells = {name: Bell(name, rung) for name in "abcd"}
    for name, after in (("c", 0.03), ("a", 0.0), ("b", 0.02), ("d", 0.01)):
        loop.at(now + after, bells[name])
    bells["d"].over = True
    until(loop, lambda: len(rung) == 3)
    assert rung == ["a", "b", "c"]


def test_of_turns_that_were_missed_one_is_made_up_for() -> None:
    class Written(Loop):
        def __init__(self) -> None:
            self.moments: list[float] = []

        def at(self, moment: float, timer: Timer) -> None:
            self.moments.append(moment)

    loop, done = Written(), []
    every = Every(loop, 10.0, 2.0, lambda: done.append(1))
    for now in (10.0, 12.5, 14.0, 25.0, 25.0, 25.0, 27.0):
        every.ring(now)
    assert loop.moments == [10.0, 12.0, 14.0, 16.0, 23.0, 25.0, 27.0, 29.0]
    assert len(done) == 7
