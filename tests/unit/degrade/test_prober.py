"""The program in the pods: every request numbered once, what failed named, names looked up. On loopback."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lab.degrade import prober, probers
from lab.degrade.loop import Loop, Timer, http
from lab.topology.read import read_topology
from lab.workspace import TOPOLOGIES
from tests.unit.degrade.pods import GOOD, OwnLoop, Peer, Resolver, free_port, until

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="pods run Linux")


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setattr(prober, "BATCH_S", 0.05)
    own = OwnLoop()
    yield own
    own.end()


@pytest.fixture
def names(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver(loop)
    monkeypatch.setattr(prober, "nameserver", lambda: resolver.address)
    return resolver


class Told:
    """What a prober printed of one flow, called "f"."""

    def __init__(self, printed: Callable[[], str]) -> None:
        self._printed = printed
        self._lines = ""

    def batches(self, manner: str) -> list[dict[str, Any]]:
        self._lines += self._printed()
        records = [json.loads(line) for line in self._lines.splitlines()]
        return [record for record in records if record["id"] == f"f/{manner}"]

    def ms(self, manner: str) -> list[float | None]:
        return [ms for batch in self.batches(manner) for ms in batch["ms"]]

    def errors(self, manner: str) -> list[str]:
        """Of each request, empty where it was answered."""
        return [
            batch["errors"].get(str(place), "")
            for batch in self.batches(manner)
            for place in range(len(batch["ms"]))
        ]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(lambda: capsys.readouterr().out)


def probe(loop: Loop, port: int, *, timeout: float = 5.0, every: float = 0.02) -> int:
    """Make the requests of one flow; return the port that tells of them."""
    flow: dict[str, str | int | float] = {
        "id": "f",
        "host": "echo.lab.svc",
        "port": port,
        "every": every,
        "timeout": timeout,
    }
    own = free_port()
    prober.probe(loop, {"flows": [flow]}, "b1", own)
    return own


def test_every_request_has_a_number_and_a_latency(loop: Loop, names: Resolver, told: Told) -> None:
    port = free_port()
    prober.serve(loop, port, "app1")
    probe(loop, port)
    until(loop, lambda: all(len(told.ms(manner)) > 10 for manner in ("new", "kept")))
    for manner in ("new", "kept"):
        batches = told.batches(manner)
        numbers = [batch["first"] + place for batch in batches for place in range(len(batch["ms"]))]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all(ms is not None and ms > 0 for ms in told.ms(manner))
        assert all(batch["kind"] == "batch" and batch["boot"] == "b1" for batch in batches)
        assert all(batch["errors"] == {} and len(batch["at"]) == len(batch["ms"]) for batch in batches)
        assert all(batch["at"] == sorted(batch["at"]) and batch["at"][0] == 0 for batch in batches)
        assert all(abs(batch["wall"] - time.time()) < 60 for batch in batches)


def test_each_new_connection_looks_its_name_up_and_one_that_is_kept_does_once(
    loop: Loop, names: Resolver, told: Told
) -> None:
    peer = Peer(loop, lambda sock, _: sock.send(GOOD))
    probe(loop, peer.port)
    until(loop, lambda: len(told.ms("new")) > 10 and len(told.ms("kept")) > 10)
    assert set(names.asked) == {"echo.lab.svc"}
    # Whatever is under way now may have asked, and not connected yet.
    assert len(told.ms("new")) + 1 <= len(peer.connections) <= len(names.asked)


def test_where_nobody_listens_requests_are_lost_with_the_reason_and_the_next_is_tried(
    loop: Loop, names: Resolver, told: Told
) -> None:
    probe(loop, free_port())
    until(loop, lambda: len(told.ms("new")) > 5 and len(told.ms("kept")) > 5)
    for manner in ("new", "kept"):
        assert set(told.ms(manner)) == {None}
        assert all("refused" in error.lower() for error in told.errors(manner))


def test_what_does_not_answer_in_time_is_lost_and_does_not_hold_up_the_others(
    loop: Loop, names: Resolver, told: Told
) -> None:
    peer = Peer(loop, lambda *_: None)
    probe(loop, peer.port, timeout=0.3)
    until(loop, lambda: len(told.ms("kept")) > 2)
    new, kept = told.errors("new"), told.errors("kept")
    assert set(new) == set(kept) == {"timed out"}
    # New connections do not wait for one another; those that are kept do.
    assert len(new) > 2 * len(kept)


CLOSING = http(b"{}", "Connection: close")


class Freeze(Timer):
    """The machine gives the process no time for a while."""

    def ring(self, now: float) -> None:
        self.over = True
        time.sleep(0.8)


def test_while_the_prober_itself_does_not_run_no_time_is_over(
    loop: Loop, names: Resolver, told: Told
) -> None:
    """Of what it finds unanswered when it goes on, the answer may have been there for long."""

    def answer() -> None:
        with answering:
            while not enough.is_set():
                with suppress(TimeoutError):
                    sock, _ = answering.accept()
                    with sock:
                        sock.recv(4096)
                        time.sleep(0.05)
                        sock.send(CLOSING)

    answering = socket.create_server(("127.0.0.1", 0), backlog=512)
    answering.settimeout(0.05)
    enough = threading.Event()
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    probe(loop, answering.getsockname()[1], timeout=0.4, every=0.2)
    until(loop, lambda: len(told.ms("new")) > 2)
    for more in (3, 6):
        loop.at(time.monotonic() + 0.21, Freeze())
        until(loop, partial(lambda most: len(told.ms("new")) > most, 2 + more))
    enough.set()
    thread.join(5)
    assert set(told.errors("new")) == {""}
    assert loop.stalled >= 1.5


def test_what_is_never_connected_is_lost_in_time(loop: Loop, names: Resolver, told: Told) -> None:
    # Its queue is full: the kernel drops what comes, as a dead node does.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        probe(loop, port, timeout=0.2)
        until(loop, lambda: len(told.ms("new")) > 3 and len(told.ms("kept")) > 1)
        for caller in callers:
            caller.close()
    assert set(told.errors("new")) == set(told.errors("kept")) == {"timed out"}


def test_what_comes_too_late_is_lost(loop: Loop, names: Resolver, told: Told) -> None:
    def late(sock: socket.socket, _: int) -> None:
        # The whole loop stands still, as on a machine that is too busy.
        time.sleep(0.15)
        sock.send(GOOD)

    peer = Peer(loop, late)
    probe(loop, peer.port, timeout=0.1, every=5)
    until(loop, lambda: told.ms("new") and told.ms("kept"))
    assert told.errors("new") == told.errors("kept") == ["timed out"]


def test_a_reset_is_a_loss_with_its_reason(loop: Loop, names: Resolver, told: Told) -> None:
    def reset(sock: socket.socket, _: int) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        loop.close(sock)

    peer = Peer(loop, reset)
    probe(loop, peer.port)
    until(loop, lambda: len(told.ms("new")) > 3 and len(told.ms("kept")) > 3)
    for manner in ("new", "kept"):
        assert all("reset" in error.lower() for error in told.errors(manner))


def test_an_end_without_an_answer_is_a_loss(loop: Loop, names: Resolver, told: Told) -> None:
    def half(sock: socket.socket, _: int) -> None:
        sock.send(GOOD[:20])
        loop.close(sock)

    peer = Peer(loop, half)
    probe(loop, peer.port)
    until(loop, lambda: len(told.ms("new")) > 3 and len(told.ms("kept")) > 3)
    assert set(told.errors("new")) == set(told.errors("kept")) == {"closed without an answer"}


def test_another_answer_is_a_loss_and_told(loop: Loop, names: Resolver, told: Told) -> None:
    peer = Peer(loop, lambda sock, _: sock.send(GOOD.replace(b"200 OK", b"503 Busy")))
    probe(loop, peer.port)
    until(loop, lambda: len(told.ms("new")) > 3 and len(told.ms("kept")) > 3)
    assert set(told.errors("new")) == set(told.errors("kept")) == {"HTTP/1.1 503 Busy"}
    # It is not used again.
    assert len(peer.connections) >= len(told.ms("new")) + len(told.ms("kept"))


def test_a_connection_that_is_kept_is_made_again_only_after_a_failure(
    loop: Loop, names: Resolver, told: Told
) -> None:
    closing: list[socket.socket] = []

    def third(sock: socket.socket, count: int) -> None:
        if count == 3:
            # Nobody asks when it breaks: who asks next is told.
            sock.send(GOOD)
            loop.close(sock)
            closing.append(sock)
        else:
            sock.send(GOOD)

    peer = Peer(loop, third)
    probe(loop, peer.port)
    until(loop, lambda: len(told.ms("kept")) > 12)
    assert [bool(error) for error in told.errors("kept")[:12]] == [False, False, False, True] * 3
    assert len(closing) >= 3


@pytest.mark.parametrize("answer", [GOOD.replace(b"1.1", b"1.0"), http(b"{}", "connection: Close")])
def test_a_server_that_closes_after_each_answer_loses_none(
    loop: Loop, names: Resolver, told: Told, answer: bytes
) -> None:
    def one(sock: socket.socket, _: int) -> None:
        sock.send(answer)
        loop.close(sock)

    peer = Peer(loop, one)
    probe(loop, peer.port)
    until(loop, lambda: len(told.ms("new")) > 3 and len(told.ms("kept")) > 3)
    assert set(told.errors("new")) == set(told.errors("kept")) == {""}


def test_an_answer_may_come_in_pieces(loop: Loop, names: Resolver, told: Told) -> None:
    def slow(sock: socket.socket, _: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(0, len(GOOD), 7):
            sock.send(GOOD[place : place + 7])

    peer = Peer(loop, slow)
    probe(loop, peer.port)
    until(loop, lambda: len(told.ms("new")) > 5 and len(told.ms("kept")) > 5)
    assert set(told.errors("new")) == set(told.errors("kept")) == {""}


@pytest.mark.parametrize(
    ("address", "code", "reason"),
    [
        ("", 0, "the name has no address"),
        ("", 3, "the name server answers with code 3"),
        (None, 0, "timed out"),
    ],
)
def test_a_name_without_an_address_is_a_loss(
    loop: Loop, names: Resolver, told: Told, address: str | None, code: int, reason: str
) -> None:
    names.answer, names.code = lambda _: address, code
    probe(loop, free_port(), timeout=0.2)
    until(loop, lambda: len(told.ms("new")) > 3 and len(told.ms("kept")) > 1)
    assert set(told.errors("new")) == set(told.errors("kept")) == {reason}


def test_a_question_that_was_lost_is_asked_again(
    loop: Loop, names: Resolver, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "DNS_RETRY_S", 0.05)
    # Of the two questions at the beginning, and the two after them, none is answered.
    names.answer = lambda number: "127.0.0.1" if number > 4 else None
    peer = Peer(loop, lambda sock, _: sock.send(GOOD))
    probe(loop, peer.port, every=5)
    until(loop, lambda: told.ms("new") and told.ms("kept"))
    assert told.errors("new") == told.errors("kept") == [""]
    assert len(names.asked) >= 6


def test_a_name_server_that_is_not_there_is_asked_until_the_time_is_over(
    loop: Loop, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "DNS_RETRY_S", 0.02)
    monkeypatch.setattr(prober, "nameserver", lambda: ("127.0.0.1", free_port()))
    probe(loop, free_port(), timeout=0.2)
    until(loop, lambda: len(told.ms("new")) > 3 and len(told.ms("kept")) > 1)
    assert set(told.errors("new")) == set(told.errors("kept")) == {"timed out"}


def test_batches_are_told_page_by_page_and_are_what_was_printed(
    loop: Loop, names: Resolver, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prober, "MOST_LINES", 3)
    peer = Peer(loop, lambda sock, _: sock.send(GOOD))
    own = probe(loop, peer.port)
    until(loop, lambda: len(told.batches("new")) > 4)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(query: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{own}/batches{query}"
        with ThreadPoolExecutor() as pool:
            asking = pool.submit(lambda: opener.open(url, timeout=10).read())
            until(loop, asking.done)
            page: dict[str, Any] = json.loads(asking.result())
        return page

    first, second = ask(""), ask("?from=3")
    assert (first["next"], second["next"]) == (3, 6)
    assert ask("?from=1") == {"next": 4, "lines": [*first["lines"][1:], second["lines"][0]]}
    assert ask("?from=100000") == {"next": 100000, "lines": []}
    assert ask("?from=nothing") == first
    found = [json.loads(line) for line in (*first["lines"], *second["lines"])]
    for manner in ("new", "kept"):
        mine = [record for record in found if record["id"] == f"f/{manner}"]
        assert mine == told.batches(manner)[: len(mine)]


def test_a_batch_ends_before_what_is_still_under_way() -> None:
    record = prober.Recorder("f/new", "b1")
    assert record.flush() == ""
    record.add(1, (10.0, 1000.0), 1.234)
    record.add(3, (10.2, 1000.2), None, "refused")
    assert json.loads(record.flush()) == {
        "kind": "batch",
        "id": "f/new",
        "boot": "b1",
        "mono": 10.0,
        "wall": 1000.0,
        "first": 1,
        "at": [0.0],
        "ms": [1.23],
        "errors": {},
    }
    assert record.flush() == ""
    record.add(2, (10.1, 1000.1), 2.0)
    later = json.loads(record.flush())
    assert (later["first"], later["at"], later["ms"]) == (2, [0.0, 100.0], [2.0, None])
    assert later["errors"] == {"1": "refused"}


def test_an_address_is_read_from_an_answer() -> None:
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\4echo\3lab\0\0\1\0\1"
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\x11"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x0a\x01\x02\x03"
    answer = struct.pack(">HHHHHH", 7, 0x8180, 1, 2, 0, 0) + question[12:] + alias + record
    assert prober.first_address(answer, len(question)) == "10.1.2.3"
    unknown = struct.pack(">HHHHHH", 7, 0x8183, 1, 0, 0, 0) + question[12:]
    with pytest.raises(OSError, match="code 3"):
        prober.first_address(unknown, len(question))
    for cut in (2, 11, len(question), len(answer) - 17):
        with pytest.raises(OSError, match=r"cannot be read|no address"):
            prober.first_address(answer[:cut], len(question))


def test_what_is_shipped_runs_on_the_standard_library_alone(tmp_path: Path) -> None:
    topology = read_topology("pair", folder=TOPOLOGIES)
    route = probers.Route("C1/east/inside", "echo.lab.svc", 8080, 0.1)
    items = probers.manifests(topology, "east", "r1", [route])
    [shipped] = [item for item in items if item["kind"] == "ConfigMap"]
    pods = {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]
        for item in items
        if item["kind"] == "Deployment"
    }
    assert json.loads(shipped["data"]["flows.json"])["flows"][0]["id"] == "C1/east/inside"
    # Without flows nothing is looked up, whatever name server there is here.
    shipped["data"]["flows.json"] = '{"flows": []}'
    for name, path in (("echo", "/"), ("prober", "/batches")):
        [container] = pods[name]["containers"]
        folder = tmp_path / name
        for item in pods[name]["volumes"][0]["configMap"]["items"]:
            place = folder / item["path"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(shipped["data"][item["key"]])
        port = str(free_port())
        words = [
            port if word == str(container["ports"][0]["containerPort"]) else word
            for word in container["command"][1:]
        ]
        env = {each["name"]: each["value"] for each in container["env"]}
        running = subprocess.Popen(
            # -S: nothing that is installed is there.
            [sys.executable, "-S", *(word.replace("/prober/", f"{folder}/", 1) for word in words)],
            env={"PATH": os.environ["PATH"], **env, "PYTHONPATH": str(folder)},
            cwd=tmp_path,
        )
        try:
            answer = _asked(running, int(port), path)
        finally:
            running.kill()
            running.wait()
        assert answer == ({"cluster": "east"} if name == "echo" else {"next": 0, "lines": []})


def _asked(running: subprocess.Popen[bytes], port: int, path: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ending = time.monotonic() + 20
    while True:
        try:
            found: dict[str, Any] = json.loads(
                opener.open(f"http://127.0.0.1:{port}{path}", timeout=5).read()
            )
            return found
        except OSError:
            assert running.poll() is None, "it has ended"
            assert time.monotonic() < ending, "nobody listens"
            time.sleep(0.05)
