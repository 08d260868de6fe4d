"""What every command starts from: the topology as it stands on this host, its folder, its provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from lab import state
from lab.clients.kube import Kube
from lab.document.position import listed
from lab.errors import InputError
from lab.host import facts
from lab.images.catalog import pulled_names
from lab.providers import PROVIDERS
from lab.providers.base import ClusterState, Provider
from lab.settings import PROJECT, Settings
from lab.topology.model import Cluster, Topology
from lab.topology.read import read_topology
from lab.topology.snapshot import HostSnapshot

T = TypeVar("T")

TOPOLOGIES = PROJECT / "topologies"


@dataclass(frozen=True)
class Workspace:
    """One lab, as a command sees it. Nothing need exist yet."""

    settings: Settings
    topology: Topology
    asked_for: str
    """The topology as the user named it, for commands that we suggest."""

    @property
    def lab(self) -> str:
        """The lab's name."""
        return self.topology.name

    @cached_property
    def folder(self) -> state.LabFolder:
        """The lab's own folder."""
        return state.folder(self.settings, self.lab)

    @cached_property
    def kubes(self) -> Mapping[str, Kube]:
        """The API of every cluster, whether it answers or not."""
        return {
            cluster.name: Kube(self.folder.kubeconfig(cluster.name), images=pulled_names())
            if not cluster.traits.shells
            else Kube(self.folder.kubeconfig(cluster.name))
            for cluster in self.topology.clusters
        }

    @property
    def arguments(self) -> str:
        """What names this lab on a command line, for commands that we suggest."""
        return naming(self.asked_for, self.lab if self.lab != self.topology.declared_name else "")

    @property
    def isolated(self) -> bool:
        """Whether the lab must not send packets off the machine."""
        return self.topology.network.egress == "deny"

    def provider(self, cluster: str, **materials: Any) -> Provider:
        """The provider of ``cluster``; its ``materials`` are needed only to create it."""
        name = self.topology.cluster(cluster).provider
        return PROVIDERS[name](settings=self.settings, lab=self.lab, **materials)

    @property
    def shared_out(self) -> list[tuple[Provider, Topology]]:
        """Every provider of the lab, with a topology of those clusters alone that are its own."""
        own: dict[str, list[Cluster]] = {}
        for cluster in self.topology.clusters:
            own.setdefault(cluster.provider, []).append(cluster)
        return [
            (self.provider(clusters[0].name), replace(self.topology, clusters=tuple(clusters)))
            for clusters in own.values()
        ]

    def on_each(self, act: Callable[[str], T]) -> dict[str, T]:
        """``act`` on every cluster's name, side by side."""
        names = [cluster.name for cluster in self.topology.clusters]
        with ThreadPoolExecutor(max_workers=min(16, len(names))) as pool:
            return dict(zip(names, pool.map(act, names), strict=True))


def naming(topology: str, name: str) -> str:
    """What names a lab on a command line: its topology, unless it is the default, and its own name."""
    return (f" -t {topology}" if topology != "hub-spoke" else "") + (f" --name {name}" if name else "")


def open_workspace(
    settings: Settings, topology: str, *, name: str | None, isolated: bool = False
) -> Workspace:
    """The lab that ``topology`` (a name or a path) describes, called ``name`` if that is given.

    Addresses given earlier are kept; others are allocated on the host as it is. Raises
    :class:`InputError` for a topology that cannot be.
    """
    declared = _read(settings, topology, name=name, snapshot=HostSnapshot())
    # Read twice: only the first reading tells which lab's kept addresses to take into account.
    read = _read(settings, topology, name=name, snapshot=facts.snapshot(settings), lab=declared.name)
    if isolated or settings.isolated:
        if elsewhere := [cluster.name for cluster in read.clusters if not cluster.traits.at_home]:
            raise InputError(
                f"{read.path.name}: {listed(elsewhere)} cannot be isolated: "
                "their nodes stand in no container network of the lab's",
                remedy="Leave out --isolated (LAB_ISOLATED).",
            )
        read = replace(read, network=replace(read.network, egress="deny"))
    return Workspace(settings, read, topology)


def states(workspace: Workspace) -> dict[str, ClusterState]:
    """What there is of the lab's clusters."""
    found: dict[str, ClusterState] = {}
    for provider, topology in workspace.shared_out:
        found |= provider.observe(topology)
    return found


def _read(
    settings: Settings, topology: str, *, name: str | None, snapshot: HostSnapshot, lab: str = ""
) -> Topology:
    kept = state.folder(settings, lab).kept() if lab else None
    return read_topology(topology, folder=TOPOLOGIES, snapshot=snapshot, kept=kept, lab_name=name)
