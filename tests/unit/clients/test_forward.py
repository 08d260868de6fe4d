"""A local port that leads somewhere: what goes in comes out there, and an end on one side ends the other."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread

import pytest

from lab.clients.forward import Forwarder
from lab.errors import HostError, ProvisionError


class Shout(socketserver.StreamRequestHandler):
    """Says back, louder, the one line that it is told, and hangs up."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


@dataclass
class Far:
    socket: socket.socket

    def close(self) -> None:
        self.socket.close()


@contextmanager
def running(server: socketserver.TCPServer) -> Iterator[int]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(port: int, line: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(line)
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return answer


def test_each_connection_is_joined_with_one_of_its_own() -> None:
    with running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Shout)) as far:
        made: list[Far] = []

        def connect() -> Far:
            made.append(Far(socket.create_connection(("127.0.0.1", far), timeout=10)))
            return made[-1]

        with running(Forwarder(connect)) as port:
            long = b"b" * 1_000_000
            assert ask(port, b"a\n") == b"A\n"
            assert ask(port, long + b"\n") == long.upper() + b"\n"
        assert len(made) == 2
        assert all(each.socket.fileno() == -1 for each in made)


def test_where_nothing_answers_the_connection_ends_and_the_next_is_tried() -> None:
    tried: list[int] = []

    def connect() -> Far:
        tried.append(1)
        raise ProvisionError("nothing is ready")

    with running(Forwarder(connect)) as port:
        assert ask(port, b"") == b""
        assert ask(port, b"") == b""
    assert len(tried) == 2


def test_it_listens_on_loopback_only() -> None:
    with Forwarder(lambda: pytest.fail("nobody asked")) as forwarder:
        assert forwarder.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError) as refused:
            Forwarder(lambda: pytest.fail("nobody asked"), port=port)
    assert refused.value.brief == f"port {port} of this machine cannot be listened on"
