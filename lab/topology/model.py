"""A topology as the rest of the program sees it: checked, complete, every address filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal

from lab.document.load import Written
from lab.document.position import Position
from lab.topology.traits import Traits, traits_of

Provider = Literal["kind", "multipass", "existing"]


@dataclass(frozen=True)
class Nodes:
    """How many nodes of a cluster are of which sort."""

    control_plane: int
    workers: int

    @property
    def total(self) -> int:
        """All nodes of the cluster."""
        return self.control_plane + self.workers


@dataclass(frozen=True)
class Addresses:
    """What tells one cluster of a mesh from another on the network.

    ``id`` is Cilium's cluster id; ``mesh_port`` the NodePort of the cluster's mesh API server.
    """

    id: int
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    mesh_port: int


@dataclass(frozen=True)
class Kept:
    """The addresses that a lab was given when it was made, which it never loses while it exists."""

    clusters: Mapping[str, Addresses]
    node_cidr: IPv4Network


@dataclass(frozen=True)
class Cluster:
    """One cluster. ``kubernetes`` is a minor (``1.35``) or an exact (``1.35.8``) version.

    ``provider_options`` are the provider's own settings as the vocabulary has them, defaults merged in.
    """

    name: str
    role: str
    provider: Provider
    kubernetes: str
    nodes: Nodes
    id: int
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    mesh_port: int
    provider_options: Mapping[str, Any]
    position: Position = field(default=Position(""), compare=False, repr=False)
    """Where the file has it, for the messages of whoever looks at the cluster itself."""

    @property
    def addresses(self) -> Addresses:
        """The cluster's addresses by themselves."""
        return Addresses(self.id, self.pod_cidr, self.service_cidr, self.mesh_port)

    @property
    def traits(self) -> Traits:
        """What can be done with it."""
        return traits_of(self.provider, self.provider_options)


@dataclass(frozen=True)
class StaleBackends:
    """What becomes of the service backends of a cluster that is dead.

    ``prefer_local`` keeps them, and has global services that say nothing themselves use their own cluster's.
    ``seconds`` goes with ``drop_after`` and is None otherwise; they begin when Cilium has noticed.
    """

    policy: Literal["keep", "prefer_local", "drop_after"]
    seconds: int | None = None

    @property
    def near_first(self) -> bool:
        """Whether global services that say nothing themselves use their own cluster's backends."""
        return self.policy == "prefer_local"


@dataclass(frozen=True)
class Mesh:
    """How clusters are joined. ``max_clusters`` is Cilium's maxConnectedClusters, 255 or 511."""

    kind: Literal["cilium", "none"]
    tunnel: Literal["vxlan", "geneve"]
    stale_backends: StaleBackends
    max_clusters: int


@dataclass(frozen=True)
class Network:
    """What all clusters share. ``node_cidr`` is the subnet of the lab's own container network."""

    egress: Literal["allow", "deny"]
    node_cidr: IPv4Network


@dataclass(frozen=True)
class AddonUse:
    """An addon that the topology asks for.

    ``on`` holds roles and cluster names as written; empty, the addon decides. ``position`` is where it
    is asked for, for the messages of whoever knows the addon, and ``written`` has each option as the file
    has it.
    """

    use: str
    on: tuple[str, ...]
    options: Mapping[str, Any]
    position: Position
    written: Mapping[str, Written] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Topology:
    """The whole lab as it should be. ``clusters`` and ``addons`` are in file order.

    ``name`` is the lab's: the topology's own unless a second lab of it was asked for;
    ``declared_name`` is always the topology's own.
    """

    name: str
    declared_name: str
    path: Path
    clusters: tuple[Cluster, ...]
    mesh: Mesh
    network: Network
    addons: tuple[AddonUse, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that clusters have, each once, in file order."""
        return tuple(dict.fromkeys(cluster.role for cluster in self.clusters))

    @property
    def kept(self) -> Kept:
        """What to hand to the next reading of the same lab, so that nothing moves."""
        return Kept({cluster.name: cluster.addresses for cluster in self.clusters}, self.network.node_cidr)

    def cluster(self, name: str) -> Cluster:
        """Return the cluster called ``name``; KeyError if there is none."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise KeyError(name)

    def select(self, on: tuple[str, ...]) -> tuple[Cluster, ...]:
        """Return the clusters that ``on`` (roles and cluster names) means, each once, in file order."""
        return tuple(cluster for cluster in self.clusters if cluster.name in on or cluster.role in on)

    def of_roles(self, roles: tuple[str, ...]) -> tuple[Cluster, ...]:
        """Return the clusters that have one of ``roles``, in file order."""
        return tuple(cluster for cluster in self.clusters if cluster.role in roles)

    def context(self, cluster: str) -> str:
        """Return the kubeconfig context of a cluster, ``LAB-CLUSTER``; a kind cluster has that name, too."""
        return f"{self.name}-{cluster}"
