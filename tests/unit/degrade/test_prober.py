"""The program in the pods: every request numbered once, what failed named, names looked up. On loopback."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from lab.degrade import prober

# Each test ends its event loop in the middle of requests; whose sockets are still open then is chance.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What is left of a loop is found here, and not in another test."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    async def address(_: object, host: str) -> str:
        return "127.0.0.1"

    async def start(_: object) -> None:
        pass

    monkeypatch.setattr(prober.Names, "address", address)
    monkeypatch.setattr(prober.Names, "start", start)
    monkeypatch.setattr(prober, "BATCH_S", 0.1)


def told(lines: list[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        record = json.loads(line)
        found.setdefault(record["id"], []).append(record)
    return found


async def probe(flow: dict[str, Any], port: int, seconds: float) -> list[str]:
    """Probe for a while, and fetch what came of it, page by page, as the listener does."""
    task = asyncio.create_task(prober.probe({"boot": "b1", "flows": [flow]}, port))
    await asyncio.sleep(seconds)
    lines: list[str] = []
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /batches?from={len(lines)} HTTP/1.1\r\n\r\n".encode())
        body = (await reader.read()).split(b"\r\n\r\n", 1)[1]
        writer.close()
        page = json.loads(body)["lines"]
        lines += page
        if not page:
            break
    task.cancel()
    return lines


def run(go: Any) -> list[str]:
    """What ``go`` returns; whatever it has begun is ended with it."""

    async def whole() -> list[str]:
        lines: list[str] = await go()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)
        return lines

    return asyncio.run(whole())


class Silent(asyncio.Protocol):
    """Accepts, and says nothing."""

    made: ClassVar[list[asyncio.BaseTransport]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.append(transport)


class Breaking(prober.Server):
    """Answers three requests, and closes."""

    made: ClassVar[list[asyncio.BaseTransport]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.made.append(transport)
        self.count = 0

    def data_received(self, data: bytes) -> None:
        self.count += 1
        super().data_received(data)
        if self.count == 3:
            self.transport.close()


def test_every_request_has_a_number_and_a_latency(port: int) -> None:
    async def go() -> list[str]:
        server = asyncio.create_task(prober.serve(port, "app1"))
        await asyncio.sleep(0.1)
        flow = {"id": "C1/app1/inside", "host": "echo", "port": port, "every": 0.02, "timeout": 1.0}
        lines = await probe(flow, port + 1, 1.0)
        server.cancel()
        return lines

    found = told(run(go))
    assert found.keys() == {"C1/app1/inside/new", "C1/app1/inside/kept"}
    for batches in found.values():
        numbers = [batch["first"] + place for batch in batches for place in range(len(batch["ms"]))]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > 5
        assert all(ms is not None and ms > 0 for batch in batches for ms in batch["ms"])
        assert all(batch["boot"] == "b1" and batch["errors"] == {} for batch in batches)
        assert all(len(batch["at"]) == len(batch["ms"]) for batch in batches)


def test_what_is_refused_is_lost_with_its_reason_and_the_next_is_tried(port: int) -> None:
    async def go() -> list[str]:
        flow = {"id": "f", "host": "echo", "port": port, "every": 0.02, "timeout": 1.0}
        return await probe(flow, port + 1, 0.6)

    for batches in told(run(go)).values():
        assert sum(len(batch["ms"]) for batch in batches) > 3
        for batch in batches:
            assert batch["ms"] == [None] * len(batch["ms"])
            assert all("refused" in error.lower() or "111" in error for error in batch["errors"].values())


def test_what_does_not_answer_in_time_is_lost_and_does_not_hold_up_the_others(port: int) -> None:
    async def go() -> list[str]:
        server = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", port)
        flow = {"id": "f", "host": "echo", "port": port, "every": 0.05, "timeout": 0.3}
        lines = await probe(flow, port + 1, 1.5)
        server.close()
        for each in Silent.made:
            each.close()
        return lines

    found = told(run(go))
    new = [error for batch in found["f/new"] for error in batch["errors"].values()]
    kept = [error for batch in found["f/kept"] for error in batch["errors"].values()]
    assert set(new) == set(kept) == {"timed out"}
    # New connections do not wait for one another; those that are kept do.
    assert len(new) > 2 * len(kept)


def test_a_connection_that_is_kept_is_made_again_when_it_breaks(port: int) -> None:
    async def go() -> list[str]:
        server = await asyncio.get_running_loop().create_server(lambda: Breaking("app1"), "127.0.0.1", port)
        flow = {"id": "f", "host": "echo", "port": port, "every": 0.02, "timeout": 1.0}
        lines = await probe(flow, port + 1, 0.8)
        server.close()
        for each in Breaking.made:
            each.close()
        return lines

    kept = told(run(go))["f/kept"]
    latencies = [ms for batch in kept for ms in batch["ms"]]
    assert latencies[:3] != [None] * 3
    assert any(ms is not None for ms in latencies[4:])
    assert None in latencies


def test_an_address_is_read_from_an_answer() -> None:
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\4echo\3lab\0\0\1\0\1"
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\1\0\2\xc0\x11"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x0a\x01\x02\x03"
    answer = struct.pack(">HHHHHH", 7, 0x8180, 1, 2, 0, 0) + question[12:] + alias + record
    assert prober._first_address(answer, len(question)) == "10.1.2.3"
    unknown = struct.pack(">HHHHHH", 7, 0x8183, 1, 0, 0, 0) + question[12:]
    with pytest.raises(OSError, match="code 3"):
        prober._first_address(unknown, len(question))
