"""Looks at what there is of a lab: its nodes as providers see them, then every cluster through its API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict

from lab.catalog.place import Place, Placed
from lab.clients import docker
from lab.errors import DaemonUnreachable, LabError
from lab.host import sandbox
from lab.images import carry
from lab.images.catalog import needed_for, pulled_names
from lab.images.node import NodeImage
from lab.installed import Installed
from lab.mesh import ca, check, cilium, dns, joined
from lab.plan.addons import SeenAddons
from lab.plan.resolve import Seen, SeenCluster
from lab.platform.install import missing
from lab.platform.record import Record, records
from lab.providers.base import ClusterState
from lab.settings import LABEL
from lab.topology.model import Cluster
from lab.workspace import Workspace, states

CILIUM = "v1.19.5"
"""Version of Cilium's chart and images (lab/images/images.yaml holds the images)."""

DNS = ("Deployment", "coredns")


def observe(
    workspace: Workspace,
    *,
    node_image: NodeImage | None,
    placed: tuple[Placed, ...] = (),
    staying: Collection[Place] = (),
) -> Seen:
    """What was seen of the lab. Changes nothing; takes about a second for three running clusters.

    ``node_image`` is the one that new nodes would be made of, ``placed`` the addons that are wanted now,
    ``staying`` where the topology has addons, asked for now or not: others leave. Without what runs its
    nodes (a container engine, Multipass), nothing is seen.
    """
    contained = any(cluster.traits.at_home for cluster in workspace.topology.clusters)
    try:
        network = contained and bool(docker.networks(label=f"{LABEL}={workspace.lab}"))
        nodes = states(workspace)
    except DaemonUnreachable:
        return Seen()
    addons = Installed(workspace, placed, nodes)
    clusters = workspace.on_each(lambda name: _cluster(addons, workspace.topology.cluster(name), staying))
    return Seen(
        network=network,
        isolated=workspace.isolated and sandbox.available() and sandbox.isolation(workspace.lab),
        node_image=_is_made(node_image),
        verified=workspace.folder.read("verified") == generation(nodes),
        to_prove=frozenset(workspace.folder.read("to-prove").split()),
        clusters=clusters,
    )


def _is_made(node_image: NodeImage | None) -> bool:
    try:
        return node_image is not None and node_image.is_there()
    except DaemonUnreachable:
        # Nodes that are no containers run without the engine.
        return False


def generation(nodes: Mapping[str, ClusterState]) -> str:
    """A name for the nodes as they run now; another one after any of them was replaced or restarted."""
    text = "\n".join(sorted(f"{node.name} {node.since}" for state in nodes.values() for node in state.nodes))
    return hashlib.sha256(text.encode()).hexdigest()


def specification(cluster: Cluster) -> str:
    """What cannot be changed in a cluster that exists, as it is written down when one is made."""
    size = cluster.traits.size
    return json.dumps(
        {
            "kubernetes": cluster.kubernetes,
            "control_plane": cluster.nodes.control_plane,
            "workers": cluster.nodes.workers,
            "pod_cidr": str(cluster.pod_cidr),
            "service_cidr": str(cluster.service_cidr),
            **({"size": asdict(size)} if size else {}),
        }
    )


def made_otherwise(workspace: Workspace, cluster: Cluster) -> str:
    """How ``cluster`` was made, if the topology now asks for something else; empty if not."""
    if not cluster.traits.makes:
        return ""
    made = workspace.folder.read(f"made-{cluster.name}")
    return made if made != specification(cluster) else ""


def release(
    workspace: Workspace, cluster: Cluster, nodes: Mapping[str, ClusterState]
) -> tuple[dict[str, object], str]:
    """Cilium's values for ``cluster`` with its peers as they are now, and their fingerprint.

    Where a Cilium was installed before the lab, they are what that is given besides its own.
    """
    state = nodes[cluster.name]
    peers = {
        name: [node.address for node in each.control_planes if node.address] for name, each in nodes.items()
    }
    authority = ca.authority(workspace.folder.ca, lab=workspace.lab)
    pulled = None if cluster.traits.shells else pulled_names()
    if theirs := there_before(workspace, cluster):
        tree = joined.values(
            workspace.topology,
            cluster,
            theirs,
            peers=peers,
            authority=authority,
            image_tag=CILIUM,
            pulled=pulled,
        )
        return tree, cilium.fingerprint(tree, chart=theirs.version)
    tree = cilium.values(
        workspace.topology,
        cluster,
        endpoint=state.api_host,
        port=state.api_port,
        kube_proxy=state.kube_proxy,
        peers=peers,
        authority=authority,
        image_tag=CILIUM,
        pulled=pulled,
    )
    return tree, cilium.fingerprint(tree, chart=CILIUM)


def there_before(workspace: Workspace, cluster: Cluster) -> joined.Release | None:
    """The release of Cilium that others installed in ``cluster``; a cluster of the lab's own has none."""
    return None if cluster.traits.makes else joined.find(workspace.kubes[cluster.name])


def missing_network(workspace: Workspace, cluster: str) -> str | None:
    """What a cluster's network still lacks, in words; None when it serves."""
    kube = workspace.kubes[cluster]
    waiting = [node.name for node in kube.nodes() if not node.ready]
    if waiting:
        return f"node {waiting[0]} is not ready"
    # What answers for names in a cluster that others made is theirs, and may be called otherwise.
    wanted = [DNS] if workspace.topology.cluster(cluster).traits.makes else []
    return _missing_workloads(workspace, cluster, [*cilium.NETWORK_WORKLOADS, *wanted])


def missing_mesh(workspace: Workspace, cluster: str) -> str | None:
    """What a cluster's part of the mesh still lacks, in words; None when it serves."""
    if workspace.topology.mesh.kind == "cilium":
        missing = _missing_workloads(workspace, cluster, cilium.MESH_WORKLOADS)
        if missing:
            return missing
    probe = workspace.kubes[cluster].workload("Deployment", check.NAMESPACE, "probe")
    return None if probe and probe.is_ready else "the probe is not ready"


def _missing_workloads(workspace: Workspace, cluster: str, wanted: Iterable[tuple[str, str]]) -> str | None:
    for kind, name in wanted:
        workload = workspace.kubes[cluster].workload(kind, cilium.NAMESPACE, name)
        if workload is None:
            return f"{name} is not there yet"
        if not workload.is_ready:
            return f"{name}: {workload.ready} of {workload.wanted} ready"
    return None


def _cluster(addons: Installed, cluster: Cluster, staying: Collection[Place]) -> SeenCluster:
    workspace, nodes = addons.workspace, addons.nodes
    state = nodes.get(cluster.name)
    kube = workspace.kubes[cluster.name]
    # The kubeconfig is the last thing that a creation writes: without it, the nodes are half made.
    if state is None or not state.is_complete(cluster) or not kube.kubeconfig.exists():
        return SeenCluster()
    # To be replaced, once somebody agrees to it.
    if made_otherwise(workspace, cluster):
        return SeenCluster()
    if not state.is_whole(cluster) or not kube.is_ready():
        return SeenCluster(stopped=True)
    try:
        configured = False
        # Looking must not make a CA. Where it was lost, the mesh's certificates are to be made anew.
        if ca.is_there(workspace.folder.ca):
            _, wanted = release(workspace, cluster, nodes)
            records = kube.secrets(cilium.NAMESPACE, labels="owner=helm,name=cilium,status=deployed")
            configured = any(
                record.get("labels", {}).get(cilium.CONFIG_LABEL) == wanted for record in records
            )
        return SeenCluster(
            whole=True,
            named=dns.is_current(kube, workspace.topology),
            configured=configured,
            networked=missing_network(workspace, cluster.name) is None,
            meshed=missing_mesh(workspace, cluster.name) is None,
            addons=_addons(addons, cluster.name, staying),
        )
    except LabError:
        # It answered a moment ago and does not now: up has to look again, step by step.
        return SeenCluster(whole=True)


def _addons(addons: Installed, cluster: str, staying: Collection[Place]) -> SeenAddons:
    kube = addons.workspace.kubes[cluster]
    there = records(kube)
    placed = addons.on(cluster)
    current = [each for each in placed if _is_current(addons, each, there.get(each.addon.name))]
    return SeenAddons(
        current=frozenset(each.addon.name for each in current),
        ready=frozenset(each.addon.name for each in current if not missing(kube, each.addon.ready)),
        carried=not missing_images(addons, cluster),
        leaving={name: record.needs for name, record in there.items() if (cluster, name) not in staying},
    )


def _is_current(addons: Installed, each: Placed, record: Record | None) -> bool:
    return record is not None and record.fingerprint == addons.wanted(each).fingerprint


def missing_images(addons: Installed, cluster: str) -> dict[str, list[str]]:
    """The images that a cluster's nodes lack, by node, as far as they are ours to bring there.

    Nodes that lack none are left out.
    """
    of = addons.workspace.topology.cluster(cluster)
    homes = [each for each in addons.on(cluster) if each.part == "home"]
    wanted = sorted({image for each in homes for image in each.addon.images})
    if not of.traits.preloaded:
        # What nodes of ours are made of, these have not.
        wanted += [image.reference for image in needed_for(["mesh"])]
    if not wanted or not of.traits.shells:
        return {}
    provider = addons.workspace.provider(cluster)
    nodes = [node for node in addons.nodes[cluster].nodes if node.role != "load-balancer"]
    lacking = {node.name: carry.missing(provider.run_on, node.name, wanted) for node in nodes}
    return {node: images for node, images in lacking.items() if images}
