"""``status``: what there is of a lab, in a few seconds and without changing anything.

Whether a cluster is connected to a peer has two halves, and both must hold. KVStoreMesh, in its mesh
API server, copies from the peer's: that is the connection between the clusters. The agents read the
copy, so by themselves they would call a peer ready long after it died. Neither proves that packets
pass: that is what ``verify`` is for, and when it last held is shown beside.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab import observe
from lab.catalog.place import Placed
from lab.clients.kube import Kube
from lab.degrade import faults
from lab.errors import LabError
from lab.images.catalog import catalog
from lab.installed import placed
from lab.mesh import cilium
from lab.platform.install import missing
from lab.platform.record import Record, records
from lab.providers.base import ClusterState
from lab.settings import Settings
from lab.supply import only_pulled
from lab.topology.model import Cluster
from lab.workspace import Workspace, open_workspace, states

log = logging.getLogger(__name__)

_ANSWER_S = 2.0
"""What an API server has to say that it is ready: an idle one takes milliseconds."""

_AGENT_S = 5.0
"""What an agent has to tell its status; 0.15 s when idle."""

_KVSTOREMESH_PORT = 9964
"""Metrics of KVStoreMesh, on by default (Cilium's chart: clustermesh.apiserver.metrics.kvstoremesh)."""

_READINESS = re.compile(
    r'^cilium_kvstoremesh_remote_cluster_readiness_status\{[^}]*target_cluster="([^"]+)"[^}]*\} (\S+)$',
    re.MULTILINE,
)

_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ClusterStatus:
    """A cluster: ``state`` is in words, ``reachable`` whether its API server answers and is ready."""

    name: str
    role: str
    state: str
    reachable: bool
    nodes_ready: int
    nodes: int
    """How many the topology wants."""

    memory_mib: int
    """In use by its nodes, page cache left out; 0 when they do not run or it could not be measured."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """The connection from ``source`` to ``target``, and what it lacks."""

    source: str
    target: str
    missing: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is established."""
        return not self.missing


@dataclass(frozen=True, kw_only=True)
class AddonStatus:
    """An addon on a cluster: ``detail`` is what it lacks, in words; empty when it is ready."""

    cluster: str
    name: str
    version: str
    detail: str

    @property
    def ready(self) -> bool:
        """Whether it is installed, and all its workloads are ready."""
        return not self.detail


@dataclass(frozen=True, kw_only=True)
class Status:
    """A lab at one moment."""

    lab: str
    arguments: str
    """What names the lab on a command line."""

    clusters: tuple[ClusterStatus, ...]
    addons: tuple[AddonStatus, ...]
    mesh: tuple[Link, ...]
    """Every ordered pair of clusters; none where the topology wants no mesh."""

    proved: datetime | None
    """When ``verify`` last held, if the nodes have run on since; else None."""

    at: datetime

    def as_json(self) -> dict[str, Any]:
        """The status as ``status --json`` prints it."""
        return {
            "lab": self.lab,
            "clusters": [
                {
                    "name": cluster.name,
                    "reachable": cluster.reachable,
                    "nodes_ready": cluster.nodes_ready,
                    "memory_mib": cluster.memory_mib,
                }
                for cluster in self.clusters
            ],
            "mesh": [{"from": link.source, "to": link.target, "ok": link.ok} for link in self.mesh],
            "addons": [
                {
                    "cluster": addon.cluster,
                    "name": addon.name,
                    "ready": addon.ready,
                    "version": addon.version,
                    "detail": addon.detail,
                }
                for addon in self.addons
            ],
        }


def look(settings: Settings, topology: str, *, name: str | None) -> Status:
    """What there is of the lab. One that is not there is no error: its clusters are not reachable.

    Raises :class:`lab.errors.HostError` without a container engine, or when somebody else's cluster
    has the name of one of ours.
    """
    workspace = open_workspace(settings, topology, name=name)
    faults.remind(workspace)
    nodes = states(workspace)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # The engine takes two seconds to measure memory: the clusters are asked meanwhile.
        measuring = pool.submit(_memory, workspace) if nodes else None
        addons = placed(workspace)
        seen = workspace.on_each(lambda cluster: _look(workspace, cluster, nodes, addons))
        memory = measuring.result() if measuring else {}
    return Status(
        lab=workspace.lab,
        arguments=workspace.arguments,
        clusters=tuple(
            ClusterStatus(
                name=cluster.name,
                role=cluster.role,
                state=seen[cluster.name].state,
                reachable=seen[cluster.name].reachable,
                nodes_ready=seen[cluster.name].nodes_ready,
                nodes=cluster.nodes.control_plane + cluster.nodes.workers,
                memory_mib=memory.get(cluster.name, 0) // _MIB,
            )
            for cluster in workspace.topology.clusters
        ),
        addons=tuple(addon for each in seen.values() for addon in each.addons),
        mesh=tuple(link for each in seen.values() for link in each.links),
        proved=_proved(workspace, nodes),
        at=datetime.now(UTC),
    )


ABSENT = "not there"
"""The state of a cluster of which there is nothing."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What one cluster's API told."""

    state: str
    reachable: bool = False
    nodes_ready: int = 0
    links: tuple[Link, ...] = ()
    addons: tuple[AddonStatus, ...] = ()


def _look(
    workspace: Workspace, name: str, nodes: Mapping[str, ClusterState], placed: Sequence[Placed]
) -> _Seen:
    cluster = workspace.topology.cluster(name)
    kube = workspace.kubes[name]
    state = nodes.get(name)
    if state is None:
        return _unseen(workspace, cluster, ABSENT)
    # Of nodes that cannot be told, only the API server can tell.
    if state.nodes and not any(node.running for node in state.control_planes):
        return _unseen(workspace, cluster, "stopped")
    if not kube.kubeconfig.exists():
        return _unseen(workspace, cluster, "being made")
    try:
        kube.request("GET", "/readyz", timeout=_ANSWER_S)
        ready = sum(node.ready for node in kube.nodes(timeout=_ANSWER_S))
    except LabError as error:
        log.debug("%s: %s", name, error)
        return _unseen(workspace, cluster, "does not answer")
    return _Seen(
        state="ready",
        reachable=True,
        nodes_ready=ready,
        links=_links(workspace, cluster, kube),
        addons=_addons(kube, [each for each in placed if each.cluster == name and each.part == "home"]),
    )


def _addons(kube: Kube, placed: Sequence[Placed]) -> tuple[AddonStatus, ...]:
    if not placed:
        return ()
    there = records(kube)
    return tuple(_addon(kube, each, there.get(each.addon.name)) for each in placed)


def _addon(kube: Kube, each: Placed, record: Record | None) -> AddonStatus:
    if record is None:
        version, detail = each.addon.upstream.version, _not_installed(each)
    elif not record.fingerprint:
        version, detail = record.version, "not installed to its end"
    else:
        version, detail = record.version, missing(kube, each.addon.ready) or ""
    return AddonStatus(cluster=each.cluster, name=each.addon.name, version=version, detail=detail)


def _not_installed(each: Placed) -> str:
    pulled = [name for name in each.addon.images if catalog()[name].source is None]
    return f"not installed: {only_pulled(pulled[0])}" if pulled else "not installed"


def _unseen(workspace: Workspace, cluster: Cluster, state: str) -> _Seen:
    told = f"{cluster.name} is {state}" if state in {ABSENT, "stopped", "being made"} else state
    links = (Link(source=cluster.name, target=peer, missing=told) for peer in _peer_names(workspace, cluster))
    return _Seen(state=state, links=tuple(links))


def _peer_names(workspace: Workspace, cluster: Cluster) -> list[str]:
    if workspace.topology.mesh.kind != "cilium":
        return []
    return [peer.name for peer in workspace.topology.clusters if peer.name != cluster.name]


def _links(workspace: Workspace, cluster: Cluster, kube: Kube) -> tuple[Link, ...]:
    peers = _peer_names(workspace, cluster)
    if not peers:
        return ()
    try:
        pods = kube.pods(cilium.NAMESPACE, labels="k8s-app in (cilium,clustermesh-apiserver)")
        copied = _copied(kube, _running(pods, "clustermesh-apiserver"))
        agents = [_known_to(kube, pod) for pod in _running(pods, "cilium")]
    except LabError as error:
        return tuple(Link(source=cluster.name, target=peer, missing=error.brief) for peer in peers)
    return tuple(
        Link(source=cluster.name, target=peer, missing=_missing(peer, copied=copied, agents=agents))
        for peer in peers
    )


def _missing(
    peer: str, *, copied: Mapping[str, bool] | None, agents: Sequence[Mapping[str, str | None]]
) -> str:
    """What the connection to ``peer`` lacks; empty when it is established."""
    if copied is None:
        return "the mesh API server does not run"
    if peer not in copied:
        return "the mesh API server was told of no such peer"
    if not copied[peer]:
        return f"the mesh API server has no connection to {peer}'s"
    if not agents:
        return "no agent runs"
    for known in agents:
        if peer not in known:
            return "an agent was told of no such peer"
        if (status := known[peer]) is not None:
            return f"an agent is not ready for it: {status}"
    return ""


def _running(pods: Sequence[Mapping[str, Any]], app: str) -> list[str]:
    """Names of the pods of ``app`` that run."""
    return [
        pod["metadata"]["name"]
        for pod in pods
        if pod["metadata"]["labels"].get("k8s-app") == app and pod["status"].get("phase") == "Running"
    ]


def _copied(kube: Kube, pods: Sequence[str]) -> Mapping[str, bool] | None:
    """For each peer whether any of the mesh API servers ``pods`` is connected to it; None without any."""
    if not pods:
        return None
    found: dict[str, bool] = {}
    for pod in pods:
        metrics = kube.ask_pod(
            cilium.NAMESPACE, pod, port=_KVSTOREMESH_PORT, path="/metrics", timeout=_AGENT_S
        )
        for peer, value in _READINESS.findall(metrics):
            found[peer] = found.get(peer, False) or float(value) == 1
    return found


def _known_to(kube: Kube, pod: str) -> Mapping[str, str | None]:
    """For each peer that the agent in ``pod`` knows: None when it is ready, else what it says of it."""
    told = kube.execute(
        cilium.NAMESPACE,
        pod,
        ("cilium-dbg", "status", "-o", "json"),
        container="cilium-agent",
        timeout=_AGENT_S,
    )
    clusters = (json.loads(told).get("cluster-mesh") or {}).get("clusters") or ()
    return {each["name"]: None if each.get("ready") else each.get("status", "") for each in clusters}


def _memory(workspace: Workspace) -> Mapping[str, int]:
    try:
        used: dict[str, int] = {}
        for provider, topology in workspace.shared_out:
            used |= provider.memory(topology)
        return used
    except LabError as error:
        log.warning("memory could not be measured: %s", error)
        return {}


def _proved(workspace: Workspace, nodes: Mapping[str, ClusterState]) -> datetime | None:
    folder = workspace.folder
    if not nodes or folder.read("verified") != observe.generation(nodes):
        return None
    return datetime.fromtimestamp((folder.path / "verified").stat().st_mtime, UTC)
