"""A port of this machine's loopback that leads into a cluster, for as long as somebody wants it."""

from __future__ import annotations

import logging
import socket
import socketserver
from collections.abc import Callable
from threading import Thread
from typing import Protocol

from lab.errors import HostError, LabError

log = logging.getLogger(__name__)

_CHUNK = 65536


class Far(Protocol):
    """The other end of a connection."""

    @property
    def socket(self) -> socket.socket:
        """What is sent here arrives there, and the other way round."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Forwarder(socketserver.ThreadingTCPServer):
    """Listens on 127.0.0.1, and joins each connection with one that ``connect`` makes.

    ``port`` 0 is any that is free. Raises :class:`HostError` where the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, connect: Callable[[], Far], *, port: int = 0) -> None:
        self.connect = connect
        try:
            super().__init__(("127.0.0.1", port), _Joined)
        except OSError as error:
            raise HostError(
                f"port {port} of this machine cannot be listened on",
                details=str(error),
                remedy="Choose another with --port, or none.",
            ) from error

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])


class _Joined(socketserver.BaseRequestHandler):
    """One connection. An end that comes from either side is passed on to the other."""

    server: Forwarder
    request: socket.socket

    def handle(self) -> None:
        try:
            far = self.server.connect()
        except LabError as error:
            # The browser is told by the connection's end; a person who looks finds why in the log.
            log.info("%s %s", error.brief, error.details)
            return
        try:
            back = Thread(target=_copy, args=(far.socket, self.request), daemon=True)
            back.start()
            _copy(self.request, far.socket)
            back.join()
        finally:
            far.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, until nothing does; then say so to ``target``."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
    except OSError as error:
        log.debug("a forwarded connection was cut: %s", error)
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError as error:
        log.debug("a forwarded connection was gone already: %s", error)
