"""Streams to pods: commands and connections. A part of the door :mod:`lab.clients.kube`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socket import socket
from typing import TYPE_CHECKING, Any

from lab.clients.kube_errors import converted
from lab.clients.kube_objects import Unreachable
from lab.errors import ProvisionError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_CONNECT_S = 15.0


@dataclass(frozen=True)
class Connection:
    """A connection to a port of a pod. What ``socket`` sends arrives there, and the other way round."""

    socket: socket
    _forward: Any

    def close(self) -> None:
        """End it; what is on its way may be lost."""
        self._forward.close()


def connect(api: ApiClient, namespace: str, pod: str, port: int) -> Connection:
    """Connect to a port of a pod. Raises :class:`Unreachable` where the API server cannot do so."""
    from kubernetes.stream.ws_client import portforward_call

    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
    with converted(f"connect to {namespace}/{pod}:{port}"):
        forward = _call(portforward_call, api, path, query_params=[("ports", str(port))])
    return Connection(forward.socket(port), forward)


def execute(
    api: ApiClient, namespace: str, pod: str, command: Sequence[str], *, container: str, timeout: float
) -> str:
    """See :meth:`lab.clients.kube.Kube.execute`."""
    # Takes half a second to import, and few commands need it.
    import websocket
    from kubernetes.stream.ws_client import (
        ERROR_CHANNEL,
        STDERR_CHANNEL,
        STDOUT_CHANNEL,
        websocket_call,
    )

    what = f"{command[0]} in {namespace}/{pod}"
    deadline = time.monotonic() + timeout
    with converted(what):
        query = [("container", container), ("stdout", "true"), ("stderr", "true")]
        query += [("command", word) for word in command]
        # Not kubernetes.stream.stream: it bends the client, which other threads use meanwhile.
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
        answer = _call(websocket_call, api, path, query_params=query, _preload_content=False)
        try:
            while answer.is_open() and (left := deadline - time.monotonic()) > 0:
                answer.update(timeout=left)
            ended = not answer.is_open()
            printed, complained, outcome = (
                str(answer.read_channel(channel))
                for channel in (STDOUT_CHANNEL, STDERR_CHANNEL, ERROR_CHANNEL)
            )
        except websocket.WebSocketException as error:
            raise Unreachable(f"{what}: the connection was cut", details=str(error)) from error
        finally:
            answer.close(timeout=1)
            # Where the server closed first, the client takes the connection for closed, too, and
            # leaves the socket to the garbage collector.
            answer.sock.shutdown()
    if not ended:
        raise ProvisionError(f"{what} did not end within {timeout:g} s", details=complained)
    if not outcome:
        raise Unreachable(f"{what}: the connection was cut", details=complained)
    status = json.loads(outcome)
    if status.get("status") != "Success":
        raise ProvisionError(f"{what} failed: {status.get('message')}", details=complained or printed)
    return printed


def _call(ask: Callable[..., Any], api: ApiClient, path: str, **more: Any) -> Any:
    """Have ``ask`` open the stream at ``path``."""
    import websocket

    # The client connects without any time limit, and has no other way to be given one.
    websocket.setdefaulttimeout(_CONNECT_S)
    method, url, headers, *_ = api.param_serialize(
        "GET", path, header_params={"Accept": "*/*"}, auth_settings=["BearerToken"]
    )
    return ask(api.configuration, method, url, headers=headers, **more)
