"""The real probe, as a process on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from lab.clients.wait import wait_until
from lab.mesh import probe

PROGRAM = Path(probe.__file__)


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        return [
            held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)
        ]


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """The ports of a probe that calls itself ``east``."""
    one, other = free_ports(2)
    numbers = one, other
    env = {**os.environ, "LAB_CLUSTER": "east", "HOSTNAME": "probe-1"}
    # As in its pod: nothing but the standard library.
    command = [sys.executable, "-I", "-S", "-u", str(PROGRAM), *map(str, numbers)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:

        def silent() -> str | None:
            with socket.socket() as probing:
                return "nobody listens" if probing.connect_ex(("127.0.0.1", numbers[1])) else None

        wait_until("the probe", silent, timeout=20, every=0.05)
        yield numbers
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == b""


def get(port: int, path: str, **query: str) -> Any:
    with urlopen(f"http://127.0.0.1:{port}{path}?{urlencode(query)}", timeout=10) as response:
        assert response.headers["Content-Type"] == "application/json"
        return json.load(response)


def test_it_says_who_it_is_with_the_nonce(ports: tuple[int, int]) -> None:
    for port in ports:
        assert get(port, "/whoami", nonce="abc") == {"cluster": "east", "pod": "probe-1", "nonce": "abc"}
    assert get(ports[0], "/whoami")["nonce"] == ""


def test_it_asks_another(ports: tuple[int, int]) -> None:
    url = f"http://127.0.0.1:{ports[1]}/whoami?nonce=a%20b"
    [outcome] = get(ports[0], "/ask", url=url)
    assert outcome["answer"] == {"cluster": "east", "pod": "probe-1", "nonce": "a b"}
    assert 0 <= outcome["seconds"] < 3


def test_it_asks_many_times_at_once(ports: tuple[int, int]) -> None:
    outcomes = get(ports[0], "/ask", url=f"http://127.0.0.1:{ports[0]}/whoami?nonce=n", times="40")
    assert [outcome["answer"]["nonce"] for outcome in outcomes] == ["n"] * 40


def test_what_refuses_is_told(ports: tuple[int, int]) -> None:
    [outcome] = get(ports[0], "/ask", url=f"http://127.0.0.1:{free_ports(1)[0]}/whoami")
    assert "refused" in outcome["error"]
    assert "answer" not in outcome


def test_what_does_not_answer_is_given_up_in_time(ports: tuple[int, int]) -> None:
    """A port that takes connections and says nothing, as a blocked one does not even that."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        [outcome] = get(ports[0], "/ask", url=f"http://127.0.0.1:{port}/whoami", timeout="0.2")
    assert "timed out" in outcome["error"]
    assert 0.15 < outcome["seconds"] < 3


def test_an_answer_that_is_no_json_is_told_as_text(ports: tuple[int, int]) -> None:
    def answer_once(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=answer_once, args=(server,))
        thread.start()
        [outcome] = get(ports[0], "/ask", url=f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join(5)
    assert outcome["answer"] == "<html>"


def test_the_probe_needs_only_the_standard_library() -> None:
    source = PROGRAM.read_text()
    assert "from lab" not in source
    assert "import lab" not in source
