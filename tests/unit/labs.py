"""Labs for tests that make none: shipped topologies as read on a free host, in folders of the test's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.clients.docker_objects import Container, EngineNetwork
from lab.providers.base import ClusterState, NodeState
from lab.providers.kind import network_name
from lab.settings import LABEL, Settings
from lab.topology.model import Topology
from lab.topology.read import read_topology
from lab.workspace import TOPOLOGIES, Workspace


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings whose files are all in ``folder``."""
    return Settings(cache=folder / "cache", state=folder / "state", **changes)


def topology(name: str = "pair", *, lab: str | None = None, egress: str = "allow") -> Topology:
    """A shipped topology."""
    read = read_topology(name, folder=TOPOLOGIES, lab_name=lab)
    return replace(read, network=replace(read.network, egress=egress))  # type: ignore[arg-type]


def workspace(
    folder: Path, name: str = "pair", *, lab: str | None = None, egress: str = "allow"
) -> Workspace:
    """A lab of a shipped topology, of which nothing exists."""
    return Workspace(settings(folder), topology(name, lab=lab, egress=egress), name)


def network(lab: str, **changes: Any) -> EngineNetwork:
    """The container network of a lab."""
    made = EngineNetwork(
        name=network_name(lab),
        id="n1",
        subnets=("10.200.0.0/24",),
        labels={LABEL: lab},
        bridge="lab-0",
    )
    return replace(made, **changes)


def node(
    lab: str, cluster: str, *, role: str = "control-plane", number: int = 1, **changes: Any
) -> Container:
    """A node container of kind's, in its lab's network and running, unless said otherwise."""
    name = f"{lab}-{cluster}-{role}{number if number > 1 else ''}"
    made = Container(
        name=name,
        id=(name.encode().hex() * 4)[:64],
        image="lab.local/node:1",
        image_id="sha256:1",
        status="running",
        labels={"io.x-k8s.kind.cluster": f"{lab}-{cluster}", "io.x-k8s.kind.role": role},
        addresses={network_name(lab): f"10.200.0.{number + 1}"},
        networks=(network_name(lab),),
        started_at=datetime(2026, 11, 21, 9, tzinfo=UTC),
        exit_code=None,
        env={},
    )
    return replace(made, **changes)


def state(cluster: str, *addresses: str, running: bool = True, since: str = "1") -> ClusterState:
    """A cluster with a control-plane node at each of ``addresses``."""
    return ClusterState(
        tuple(
            NodeState(f"pair-{cluster}-{number}", "control-plane", running, address, since)
            for number, address in enumerate(addresses)
        ),
        endpoint=f"pair-{cluster}-control-plane",
    )
