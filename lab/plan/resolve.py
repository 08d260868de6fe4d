"""From what is wanted and what was seen to the steps that lie between. Pure: it can be printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab.catalog.place import Placed
from lab.document.position import listed
from lab.plan.addons import SeenAddons, addon_steps, carry, ends, has_images
from lab.plan.step import Budget, Plan, PlannedCluster, Step
from lab.topology.model import Cluster, Topology

CONTROL_PLANE_MIB = 1100
"""Memory of a control-plane node with Cilium and the mesh API server: 0.9 to 1.1 GiB were seen."""

WORKER_MIB = 500
"""Memory of a worker node with Cilium."""

NODE_DISK_MIB = 700
"""What one node writes of its own: etcd, logs, its copy of /var. What containers share is counted once."""

SYSTEM_DISK_MIB = 3584
"""A virtual machine's own system: the size of Ubuntu's cloud image, unpacked."""

SHARED_DISK_MIB = 2600
"""The node image with everything preloaded, and the archives that it is made of."""

ADDON_IMAGE_MIB = 300
"""An addon's image: its archive, and its copy in the node image. 60 to 730 were seen, and this on average."""

_ESTIMATES_S = {
    "isolation": 1.0,
    "node-network": 1.0,
    "create": 35.0,
    "dns": 1.0,
    "cilium": 8.0,
    "network": 30.0,
    "mesh": 45.0,
    "verify": 15.0,
}
"""Seconds that steps take on two cores with three clusters at once, before there is a journal to tell."""


_REACH_S = 2.0
"""The same for what is there already: one question."""

_PROVE_ALL = "prove the data path between all clusters"

_OF_ADDONS = frozenset({"addon", "addon-ready", "addon-remove", "carry", "image-part", "tool"})
"""Kinds of steps that change addons and nothing below them."""

_PROVED_AFTER = frozenset({"network", "mesh", "addon-remove"})
"""Kinds of steps that the proof waits for, besides whatever brings an addon."""


@dataclass(frozen=True, kw_only=True)
class SeenCluster:
    """What was seen of one cluster. Everything is False where nobody answered."""

    whole: bool = False
    """Every node is there and runs, and the API server is ready."""

    stopped: bool = False
    """Every node is there, but not all of them run, or the API server does not answer yet."""

    named: bool = False
    """Its DNS is configured as the topology's egress asks."""

    configured: bool = False
    """Cilium is installed, with exactly the values that the topology asks for."""

    networked: bool = False
    """Agents, operator and DNS serve, and every node is ready."""

    meshed: bool = False
    """The mesh API server serves, and the probe stands."""

    addons: SeenAddons = field(default_factory=SeenAddons)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of a lab before planning."""

    network: bool = False
    isolated: bool = False
    node_image: bool = False
    verified: bool = False
    """Everything was proved since its nodes were last started, but for what was changed since."""

    to_prove: frozenset[str] = frozenset()
    """Addons that were changed since, and not proved yet."""

    clusters: Mapping[str, SeenCluster] = field(default_factory=dict)

    def cluster(self, name: str) -> SeenCluster:
        """What was seen of the cluster ``name``."""
        return self.clusters.get(name, SeenCluster())


def resolve(
    topology: Topology,
    seen: Seen,
    *,
    bring: Sequence[Step] = (),
    placed: Sequence[Placed] = (),
    durations: Mapping[str, float] | None = None,
) -> Plan:
    """The plan that makes ``topology``, with the addons that are ``placed``, of what was ``seen``.

    ``bring`` are the steps that bring images and tools here; they matter only as long as a cluster
    is missing or Cilium is not installed as it should be. ``durations`` are the seconds that steps
    took last time, by id.
    """
    took = durations or {}
    if topology.clusters and all(
        _stands(seen.cluster(each.name), each.name, placed) for each in topology.clusters
    ):
        # What stands needs nothing more, even where the cache was emptied meanwhile.
        bring = [replace(step, done=True) for step in bring]
    steps = list(_shared(topology, seen, bring))
    creates = [f"{cluster.name}/create" for cluster in topology.clusters]
    # Not all that is brought goes into the node image: some runs beside the nodes.
    brought = [step.id for step in bring if not step.done]
    for cluster in topology.clusters:
        made_of = ["lab/network", "images/node"] if cluster.traits.preloaded else []
        tools = [f"tools/{cluster.traits.tool}"] if cluster.traits.tool else []
        steps += _of_cluster(
            topology,
            cluster,
            seen.cluster(cluster.name),
            brought=tuple(dict.fromkeys([*made_of, *tools, *brought])),
            creates=creates,
        )
    steps += addon_steps(
        placed,
        {each.name: seen.cluster(each.name).addons for each in topology.clusters},
        standing=[
            each.name
            for each in topology.clusters
            if each.traits.preloaded and _is_there(seen.cluster(each.name))
        ],
        brought=[step.id for step in bring if step.kind == "image-part" and not step.done],
        meshed=topology.mesh.kind == "cilium",
    )
    before = [*(step.id for step in steps if step.kind in _PROVED_AFTER), *ends(placed)]
    prove = _to_prove(steps, seen, placed)
    steps.append(
        Step(
            "lab/verify",
            "verify",
            summary=f"prove {listed(prove, most=3)}"
            if prove
            else _PROVE_ALL + (", and every addon" if placed else ""),
            needs=tuple(before),
            done=prove == (),
            estimate_s=_ESTIMATES_S["verify"],
        )
    )
    return Plan(
        lab=topology.name,
        topology=topology.declared_name,
        clusters=tuple(map(_planned, topology.clusters)),
        steps=tuple(_timed(step, took) for step in steps),
        budget=budget(topology, placed),
        prove=prove,
    )


def _to_prove(steps: Iterable[Step], seen: Seen, placed: Sequence[Placed]) -> tuple[str, ...] | None:
    """The addons to prove, where nothing else changes in a lab that was proved; None: everything is."""
    pending = [step for step in steps if not step.done]
    if not seen.verified or any(step.kind not in _OF_ADDONS for step in pending):
        return None
    changed = {step.id.split("/")[1] for step in pending if step.kind.startswith("addon")} | seen.to_prove
    found: dict[str, None] = {}
    # Each comes after what it needs, so what has changed below it is known by then.
    for each in placed:
        if each.addon.name in changed or any(name in found for _, name in each.needs):
            found[each.addon.name] = None
    return tuple(found)


def budget(
    topology: Topology, placed: Sequence[Placed] = (), *, still_to_make: Iterable[str] | None = None
) -> Budget:
    """What the lab takes of the machine; with ``still_to_make``, only what those clusters do."""
    clusters = [
        each
        for each in topology.clusters
        # What others made takes what it takes, and that not of this machine.
        if each.traits.makes and (still_to_make is None or each.name in set(still_to_make))
    ]
    nodes = sum(cluster.nodes.total for cluster in clusters)
    names = {cluster.name for cluster in clusters}
    images = {image for each in placed if each.cluster in names for image in each.addon.images}
    shared = SHARED_DISK_MIB + len(images) * ADDON_IMAGE_MIB if nodes else 0
    return Budget(
        memory_mib=sum(_memory(cluster, placed) for cluster in clusters),
        disk_mib=shared + sum(cluster.nodes.total * _node_disk(cluster, shared) for cluster in clusters),
        # Idle control planes take about a tenth of a core each; what counts is that bringing them up ends.
        cpus=max(2.0, round(0.15 * nodes, 1)) if nodes else 0.0,
    )


def _memory(cluster: Cluster, placed: Sequence[Placed]) -> int:
    """MiB that a cluster takes with its addons, or is given with whatever runs there."""
    nodes, size = cluster.nodes, cluster.traits.size
    if size is not None:
        return nodes.total * size.memory_mib
    addons = sum(
        each.addon.memory_mib for each in placed if each.part == "home" and each.cluster == cluster.name
    )
    return nodes.control_plane * CONTROL_PLANE_MIB + nodes.workers * WORKER_MIB + addons


def _node_disk(cluster: Cluster, shared: int) -> int:
    """MiB that each node of ``cluster`` takes; a machine has a copy of its own of what others share."""
    size = cluster.traits.size
    return NODE_DISK_MIB if size is None else min(size.disk_mib, SYSTEM_DISK_MIB + NODE_DISK_MIB + shared)


def _is_there(seen: SeenCluster) -> bool:
    return seen.whole or seen.stopped


def _stands(seen: SeenCluster, name: str, placed: Sequence[Placed]) -> bool:
    """Whether a cluster needs nothing more that would have to be brought here."""
    defined = {each.addon.name for each in placed if each.cluster == name and each.addon.definitions}
    return (
        seen.whole
        and seen.configured
        and defined <= seen.addons.current
        and (seen.addons.carried or not has_images(name, placed))
    )


def _shared(topology: Topology, seen: Seen, bring: Sequence[Step]) -> Iterable[Step]:
    made = [cluster for cluster in topology.clusters if cluster.traits.preloaded]
    contained = any(cluster.traits.at_home for cluster in made)
    standing = {cluster.name: _is_there(seen.cluster(cluster.name)) for cluster in made}
    if topology.network.egress == "deny":
        # Before the first container of the lab, so that it never sent a packet anywhere.
        yield Step(
            "lab/isolation",
            "isolation",
            summary="let nothing leave the machine",
            done=seen.isolated,
            estimate_s=_ESTIMATES_S["isolation"],
        )
    if made:
        yield Step(
            "lab/network",
            "node-network",
            summary=f"{'container network' if contained else 'addresses for nodes in'} "
            f"{topology.network.node_cidr}",
            needs=("lab/isolation",) if topology.network.egress == "deny" else (),
            # What nodes are given that are no containers is seen by the nodes alone.
            done=all(seen.network if each.traits.at_home else standing[each.name] for each in made),
            estimate_s=_ESTIMATES_S["node-network"],
        )
    yield from bring
    if not made:
        return
    yield Step(
        "images/node",
        "node-image",
        summary="node image with everything preloaded",
        needs=tuple(step.id for step in bring if step.kind == "image-part"),
        done=seen.node_image or all(standing.values()),
        estimate_s=25.0,
    )


def _of_cluster(
    topology: Topology,
    cluster: Cluster,
    seen: SeenCluster,
    *,
    brought: tuple[str, ...],
    creates: Sequence[str],
) -> Iterable[Step]:
    name = cluster.name
    nodes = "1 node" if cluster.nodes.total == 1 else f"{cluster.nodes.total} nodes"
    traits = cluster.traits
    made = f"start {nodes}" if seen.stopped else f"create {nodes}, Kubernetes {cluster.kubernetes}"
    yield Step(
        f"{name}/create",
        "create",
        cluster=name,
        summary=made if traits.makes else f"reach {nodes}, Kubernetes {cluster.kubernetes}",
        needs=brought,
        done=seen.whole,
        estimate_s=_ESTIMATES_S["create"] if traits.makes else _REACH_S,
    )
    if traits.makes:
        closed = topology.network.egress == "deny"
        yield Step(
            f"{name}/dns",
            "dns",
            cluster=name,
            summary="DNS for the cluster only" if closed else "DNS",
            needs=(f"{name}/create",),
            done=seen.whole and seen.named,
            estimate_s=_ESTIMATES_S["dns"],
        )
    # Nodes of the node image hold what the mesh needs, and where nothing can be run nothing is brought.
    carried = traits.shells and not traits.preloaded
    if carried:
        yield carry(name, "bring images into its nodes", needs=(f"{name}/create",), done=seen.addons.carried)
    yield Step(
        f"{name}/cilium",
        "cilium",
        cluster=name,
        summary="install Cilium, with its peers" if topology.mesh.kind == "cilium" else "install Cilium",
        # Every cluster's addresses are values of every other's.
        needs=(*creates, *((f"{name}/images",) if carried else ()), "tools/helm"),
        done=seen.configured,
        estimate_s=_ESTIMATES_S["cilium"],
    )
    yield Step(
        f"{name}/network",
        "network",
        cluster=name,
        summary="wait for agents, nodes and DNS",
        needs=(f"{name}/cilium", *((f"{name}/dns",) if traits.makes else ())),
        done=seen.configured and seen.networked,
        estimate_s=_ESTIMATES_S["network"],
    )
    yield Step(
        f"{name}/mesh",
        "mesh",
        cluster=name,
        summary="wait for the mesh API server" if topology.mesh.kind == "cilium" else "wait for the probe",
        needs=(f"{name}/cilium",),
        done=seen.configured and seen.meshed,
        estimate_s=_ESTIMATES_S["mesh"],
    )


def _planned(cluster: Cluster) -> PlannedCluster:
    return PlannedCluster(
        name=cluster.name,
        role=cluster.role,
        provider=cluster.provider,
        id=cluster.id,
        pod_cidr=str(cluster.pod_cidr),
        service_cidr=str(cluster.service_cidr),
        nodes=cluster.nodes.total,
    )


def _timed(step: Step, took: Mapping[str, float]) -> Step:
    return replace(step, estimate_s=took[step.id]) if step.id in took else step
