"""What a provider must be able to do: eleven methods, in the vocabulary of nodes.

What else they differ in is data: :class:`lab.topology.traits.Traits`, and a cluster's :class:`ClusterState`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Literal, Protocol

from lab.clients.process import DEFAULT_TIMEOUT_S
from lab.host.doctor import Check
from lab.plan.step import Budget
from lab.topology.model import Cluster, Topology


@dataclass(frozen=True)
class NodeState:
    """A node that exists, running or not."""

    name: str
    role: Literal["control-plane", "worker", "load-balancer"]
    running: bool
    address: str
    """Its address in the lab's own network; empty while it is stopped."""

    since: str
    """When it was last started, and which container it is: another value after any restart."""


@dataclass(frozen=True)
class ClusterState:
    """What there is of a cluster."""

    nodes: tuple[NodeState, ...]
    endpoint: str = ""
    """Host name or address of its API server as its own nodes reach it, if that is not a node's address."""

    api_port: int = 6443
    """Where the API server listens there."""

    kube_proxy: bool = False
    """Whether it has a kube-proxy, which stays in charge of services' addresses."""

    @property
    def api_host(self) -> str:
        """What its nodes call its API server; empty where that cannot be told, as of stopped nodes."""
        return self.endpoint or next((node.address for node in self.control_planes if node.address), "")

    @property
    def control_planes(self) -> tuple[NodeState, ...]:
        """The nodes that run the control plane."""
        return tuple(node for node in self.nodes if node.role == "control-plane")

    def is_complete(self, cluster: Cluster) -> bool:
        """Whether every node that ``cluster`` wants is there, running or not, and no other.

        Of a cluster that the lab does not make, nobody wants a number of nodes.
        """
        if not cluster.traits.makes:
            return bool(self.nodes)
        count = {role: sum(node.role == role for node in self.nodes) for role in ("control-plane", "worker")}
        return (
            count["control-plane"] == cluster.nodes.control_plane and count["worker"] == cluster.nodes.workers
        )

    def is_whole(self, cluster: Cluster) -> bool:
        """Whether every node that ``cluster`` wants is there and running."""
        return self.is_complete(cluster) and all(node.running for node in self.nodes)


class Provider(Protocol):
    """Makes, finds and removes the nodes of clusters; knows nothing of what runs on them.

    Whatever ``topology`` a method takes has the clusters of this provider, and no other.
    """

    @property
    def bridge(self) -> str:
        """The host's interface that packets of the nodes come from; empty where they cannot be kept here."""
        ...

    def checks(self, needed: Budget) -> tuple[Check, ...]:
        """What the doctor finds of what makes these clusters; a lab is made only where all of it is well.

        ``needed`` is what those of the lab that are still to be made take of the machine.
        """
        ...

    def observe(self, topology: Topology) -> dict[str, ClusterState]:
        """What there is of the lab's clusters, by name; clusters of which there is nothing are left out.

        Raises :class:`lab.errors.HostError` when something of that name exists and is not ours.
        """
        ...

    def prepare(self, topology: Topology) -> None:
        """Make what all clusters of the lab share (a network, addresses). Does nothing the second time."""
        ...

    def create(self, cluster: Cluster, *, kubeconfig: Path, cancelled: Event | None) -> None:
        """Make the nodes of ``cluster`` and its control plane; write its kubeconfig (0600).

        What is left of an earlier, unfinished attempt is removed first.
        """
        ...

    def start(self, cluster: Cluster) -> None:
        """Start the nodes that are stopped or frozen, keeping their addresses.

        Where the API server is reached at another address now, the kubeconfig of :meth:`create` gets it.
        """
        ...

    def halt(self, cluster: Cluster, how: Literal["kill", "stop", "pause"]) -> None:
        """Take the running nodes away: killed, shut down, or frozen. :meth:`start` undoes it."""
        ...

    def run_on(
        self,
        node: str,
        command: tuple[str, ...],
        *,
        input: str | IO[bytes] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> str:
        """Run ``command`` on a node as root; return what it printed. ``timeout`` is in seconds."""
        ...

    def memory(self, topology: Topology) -> dict[str, int]:
        """Memory in use by each cluster's nodes, in bytes, page cache left out."""
        ...

    def clusters(self) -> list[str]:
        """Names of the clusters that there are of the lab, whatever its topology says by now."""
        ...

    def delete(self, lab: str, cluster: str) -> None:
        """Remove the nodes of a cluster and their volumes; nothing happens if there are none.

        A cluster that the lab did not make is forgotten.
        """
        ...

    def release(self, lab: str) -> list[str]:
        """Remove what the clusters of the lab shared; return it, in words. All clusters must be gone."""
        ...
