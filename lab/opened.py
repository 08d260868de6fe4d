"""``open``: a local address for what an addon serves, and how to log in there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.catalog.addon import Url
from lab.catalog.place import Placed
from lab.catalog.words import secret
from lab.clients.forward import Forwarder
from lab.clients.kube import Kube
from lab.clients.kube_objects import Unreachable
from lab.clients.kube_streams import Connection
from lab.document.position import did_you_mean, listed
from lab.errors import HostError, InputError
from lab.installed import placed
from lab.settings import Settings
from lab.workspace import Workspace, open_workspace, states


@dataclass(frozen=True)
class Door:
    """Something that can be opened, on one cluster of a lab."""

    workspace: Workspace
    placed: Placed
    url: Url

    @property
    def cluster(self) -> str:
        """The cluster that it is on."""
        return self.placed.cluster

    @property
    def password(self) -> str:
        """What to log in with; empty where nobody has to."""
        if not self.url.secret:
            return ""
        return secret(self.workspace.folder.seed(), self.placed.addon.name, self.url.secret)

    def forwarder(self, *, port: int = 0) -> Forwarder:
        """What makes it known on this machine. Each connection goes to a pod that is ready then.

        Raises :class:`HostError` where nothing serves it now, or ``port`` is taken.
        """
        kube = self.workspace.kubes[self.cluster]

        def connect() -> Connection:
            pod, there = _backend(kube, self.url)
            return kube.connect(self.url.namespace, pod, there)

        try:
            _backend(kube, self.url)
        except Unreachable as error:
            raise HostError(
                f"{self.url.name} cannot be opened: {error.brief}",
                details=error.details,
                remedy=f"See what it lacks: ./invoke status{self.workspace.arguments}",
            ) from error
        return Forwarder(connect, port=port)


def find(settings: Settings, what: str, topology: str, *, name: str | None, cluster: str = "") -> Door:
    """What is called ``what`` in a lab; where several clusters have it, on the first, or on ``cluster``.

    Raises :class:`InputError` for what is not there, with what is, and :class:`HostError` when the
    cluster has not been made.
    """
    workspace = open_workspace(settings, topology, name=name)
    doors = list(_doors(workspace))
    named = [door for door in doors if door.url.name == what]
    if not named:
        known = sorted({door.url.name for door in doors})
        raise InputError(
            f"{workspace.lab} has nothing called {what!r} to open",
            remedy=did_you_mean(what, known) + f"There are {listed(known) or 'none'}.",
        )
    chosen = [door for door in named if door.cluster == cluster] if cluster else named
    if not chosen:
        raise InputError(
            f"{what} is not on {cluster}", remedy=f"It is on {listed(door.cluster for door in named)}."
        )
    door = chosen[0]
    if door.cluster not in states(workspace):
        raise HostError(
            f"{workspace.lab}: there is no cluster {door.cluster}",
            remedy=f"Make it: ./invoke up{workspace.arguments}",
        )
    return door


def _doors(workspace: Workspace) -> Iterator[Door]:
    for each in placed(workspace):
        if each.part == "home":
            yield from (Door(workspace, each, url) for url in each.addon.urls)


def _backend(kube: Kube, url: Url) -> tuple[str, int]:
    """A ready pod behind the service of ``url``, and the port that it listens on.

    Raises :class:`Unreachable` where there is none.
    """
    what = f"the service {url.namespace}/{url.service}"
    found = kube.get(
        f"/api/v1/namespaces/{url.namespace}/services",
        query={"fieldSelector": f"metadata.name={url.service}"},
    )["items"]
    if not found:
        raise Unreachable(f"{what} is not there")
    named = {port["port"]: port.get("name", "") for port in found[0]["spec"]["ports"]}
    if url.port not in named:
        raise Unreachable(f"{what} has no port {url.port}")
    slices = kube.get(
        f"/apis/discovery.k8s.io/v1/namespaces/{url.namespace}/endpointslices",
        query={"labelSelector": f"kubernetes.io/service-name={url.service}"},
    )["items"]
    for each in slices:
        ports = [port["port"] for port in each.get("ports") or () if port.get("name", "") == named[url.port]]
        for endpoint in each.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            if ports and endpoint["conditions"].get("ready") and target.get("kind") == "Pod":
                return target["name"], ports[0]
    raise Unreachable(f"nothing behind {what} is ready")
