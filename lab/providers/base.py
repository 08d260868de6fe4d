"""What a provider must be able to do: nine methods, in the vocabulary of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Literal, Protocol

from lab.clients.process import DEFAULT_TIMEOUT_S
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

    @property
    def control_planes(self) -> tuple[NodeState, ...]:
        """The nodes that run the control plane."""
        return tuple(node for node in self.nodes if node.role == "control-plane")

    def is_complete(self, cluster: Cluster) -> bool:
        """Whether every node that ``cluster`` wants is there, running or not, and no other."""
        count = {role: sum(node.role == role for node in self.nodes) for role in ("control-plane", "worker")}
        return (
            count["control-plane"] == cluster.nodes.control_plane and count["worker"] == cluster.nodes.workers
        )

    def is_whole(self, cluster: Cluster) -> bool:
        """Whether every node that ``cluster`` wants is there and running."""
        return self.is_complete(cluster) and all(node.running for node in self.nodes)


class Provider(Protocol):
    """Makes, finds and removes the nodes of clusters; knows nothing of what runs on them."""

    def observe(self, topology: Topology) -> dict[str, ClusterState]:
        """What there is of the lab's clusters, by name; clusters of which there is nothing are left out.

        Raises :class:`lab.errors.HostError` when something of that name exists and is not ours.
        """
        ...

    def prepare(self, topology: Topology) -> None:
        """Make what all clusters of the lab share (a network). Does nothing the second time."""
        ...

    def create(self, cluster: Cluster, *, kubeconfig: Path, cancelled: Event | None) -> None:
        """Make the nodes of ``cluster`` and its control plane; write its kubeconfig (0600).

        What is left of an earlier, unfinished attempt is removed first.
        """
        ...

    def start(self, cluster: Cluster) -> None:
        """Start the nodes that are stopped or frozen, keeping their addresses."""
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

    def delete(self, lab: str, cluster: str) -> None:
        """Remove the nodes of a cluster and their volumes; nothing happens if there are none."""
        ...

    def release(self, lab: str) -> None:
        """Remove what the clusters of the lab shared. All clusters must be gone."""
        ...
