"""What a lab cannot live with in clusters that others made: from facts to problems, nothing asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from lab.catalog.place import Placed
from lab.document.position import Problem, listed
from lab.mesh.joined import NEWEST_APART
from lab.survey.facts import Facts
from lab.topology.model import Cluster, Topology
from lab.topology.versions import CILIUM, may_be_there, minor_of

Found = Callable[[str, str, str], Problem]
"""Makes a problem of a cluster: the key that it is about, what is wrong, and what to do."""


def finder(cluster: Cluster) -> Found:
    """Return what makes a problem of ``cluster``."""

    def problem(key: str, message: str, remedy: str) -> Problem:
        path = ("clusters", cluster.name, *key.split("."))
        return Problem(cluster.position, path, message, remedy)

    return problem


def judge(
    topology: Topology,
    facts: Mapping[str, Facts],
    placed: Sequence[Placed],
    *,
    cilium: str,
    source: str,
    containers: Collection[str],
) -> Iterator[Problem]:
    """Yield what is wrong with the clusters that ``facts`` are known of, by name.

    ``placed`` are the addons that are wanted, ``cilium`` is the mesh's version, ``source`` where images come
    from, ``containers`` are those that run in this machine's engine.
    """
    for name, found in facts.items():
        cluster = topology.cluster(name)
        yield from _cluster(topology, cluster, found, placed)
        yield from _network_plugin(topology, cluster, found, ours=cilium.removeprefix("v"))
        yield from _images(cluster, found, source=source, containers=containers)
    yield from _overlaps(topology, facts)


def _cluster(
    topology: Topology, cluster: Cluster, facts: Facts, placed: Sequence[Placed]
) -> Iterator[Problem]:
    problem = finder(cluster)
    if not may_be_there(facts.version):
        yield problem(
            "kubernetes",
            f"{cluster.name} runs Kubernetes {facts.version}, which Cilium {CILIUM} is not made for",
            "Take another cluster, or upgrade it.",
        )
    if facts.other_labs:
        yield problem(
            "existing.context",
            f"{cluster.name} is part of the lab {facts.other_labs[0]} already",
            "Remove that lab first, or take another cluster: two meshes cannot share one.",
        )
    yield from _networks_differ(cluster, facts)
    if (owner := facts.node_ports.get(cluster.mesh_port)) is not None:
        yield problem(
            "mesh_port",
            f"NodePort {cluster.mesh_port} is {owner}'s in {cluster.name}",
            "Give mesh_port a number from 30000 to 32767 that is free in every cluster.",
        )
    homes = [each for each in placed if each.cluster == cluster.name and each.part == "home"]
    if homes and not any(facts.storage.values()):
        there = f"; there are {listed(sorted(facts.storage))}" if facts.storage else ""
        yield problem(
            "existing.context",
            f"{cluster.name} has no default StorageClass for the volumes of addons{there}",
            "Make one the default (storageclass.kubernetes.io/is-default-class), or place addons elsewhere.",
        )


def _images(cluster: Cluster, facts: Facts, *, source: str, containers: Collection[str]) -> Iterator[Problem]:
    """Images are brought into nodes that are containers here, and pulled by all others."""
    problem = finder(cluster)
    if cluster.traits.containers:
        if lacking := sorted(set(facts.node_names).difference(containers)):
            yield problem(
                "existing.nodes",
                f"{cluster.name}'s {listed(lacking, most=3)} runs in no container of this machine's engine",
                "Leave out existing.nodes: images are then pulled by the cluster's own kubelets.",
            )
    elif source != "registry":
        yield problem(
            "existing",
            f"images are made here (--images {source}), and {cluster.name} is reached by its API alone",
            "Say --images registry, so that its kubelets can pull them, or existing: {nodes: docker}.",
        )


def _networks_differ(cluster: Cluster, facts: Facts) -> Iterator[Problem]:
    """Compare what the topology says that the cluster has with what it uses."""
    problem = finder(cluster)
    outside: Iterable[object] = [each for each in facts.pods if not each.subnet_of(cluster.pod_cidr)] or [
        each for each in facts.pod_addresses if each not in cluster.pod_cidr
    ]
    if strays := list(dict.fromkeys(outside)):
        yield problem(
            "pod_cidr",
            f"{cluster.pod_cidr}, and {cluster.name} has pods in {listed(strays, most=3)}",
            "Write the network that the cluster's pods have.",
        )
    if not facts.pods:
        yield problem(
            "pod_cidr",
            f"no node of {cluster.name} has a podCIDR, and Cilium would have none to give to pods",
            "Have the controller manager allocate them (--allocate-node-cidrs).",
        )
    if facts.services and cluster.service_cidr not in facts.services:
        yield problem(
            "service_cidr",
            f"{cluster.service_cidr}, and services of {cluster.name} are in {listed(facts.services)}",
            f"Write {facts.services[0]}.",
        )
    elif strays := [each for each in facts.service_addresses if each not in cluster.service_cidr]:
        yield problem(
            "service_cidr",
            f"{cluster.service_cidr}, and {cluster.name} has a service at {strays[0]}",
            "Write the network that the cluster's services have.",
        )


def _network_plugin(topology: Topology, cluster: Cluster, facts: Facts, *, ours: str) -> Iterator[Problem]:
    """A cluster has no network yet, or the lab's Cilium, or one that can join the mesh."""
    problem = finder(cluster)
    config = facts.cilium
    if not config and (facts.plugins or facts.networked):
        what = listed(facts.plugins) or "one that shows no DaemonSet"
        yield problem(
            "existing.context",
            f"{cluster.name} has another network plugin: {what}",
            "Take a cluster without one (kind: disableDefaultCNI), or with Cilium: pods cannot have two.",
        )
        return
    if not config or facts.cilium_lab == topology.name:
        return
    if facts.release is None:
        yield problem(
            "existing.context",
            f"{cluster.name} has a Cilium that Helm did not install, and that so cannot be given back",
            "Install it with its chart as the release cilium in kube-system, or take another cluster.",
        )
        return
    version = facts.release.version
    if not _near(version, ours):
        yield problem(
            "existing.context",
            f"{cluster.name} runs Cilium {version}, and the mesh {ours}: more than one minor version apart",
            f"Upgrade it to {minor_of(ours)}.",
        )
    for key, wanted in _wanted(topology, cluster).items():
        if (has := config.get(key)) is not None and has not in wanted:
            yield problem(
                "existing.context",
                f"{cluster.name}'s Cilium has {key} {has}, and the mesh needs {listed(wanted, joint='or')}",
                "Change it there, or in the topology.",
            )


def _wanted(topology: Topology, cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """What cilium-config may say, by key; first what the mesh is to have."""
    return {
        "cluster-name": (cluster.name, "default"),
        "cluster-id": (str(cluster.id), "0"),
        "routing-mode": ("tunnel",),
        "tunnel-protocol": (topology.mesh.tunnel,),
        "max-connected-clusters": (str(topology.mesh.max_clusters),),
        "identity-allocation-mode": ("crd",),
    }


def _near(one: str, other: str) -> bool:
    (major, minor), (their_major, their_minor) = (
        tuple(map(int, minor_of(each).split("."))) for each in (one, other)
    )
    return major == their_major and abs(minor - their_minor) <= NEWEST_APART


def _overlaps(topology: Topology, facts: Mapping[str, Facts]) -> Iterator[Problem]:
    """Networks and addresses in use that another cluster of the lab has, in use or by its topology."""
    claimed = {
        each.name: ((each.pod_cidr, "pods"), (each.service_cidr, "services")) for each in topology.clusters
    }
    for name, found in facts.items():
        cluster = topology.cluster(name)
        problem = finder(cluster)
        used = [
            *((each, "pod_cidr") for each in found.pods),
            *((each, "service_cidr") for each in found.services),
        ]
        for other, networks in claimed.items():
            for network, what in networks:
                met = [(each, key) for each, key in used if other != name and each.overlaps(network)]
                # Told already, where the topology says the same of both.
                if met and not any(mine.overlaps(network) for mine, _ in claimed[name]):
                    yield problem(
                        met[0][1],
                        f"{name} uses {met[0][0]}, which overlaps the {what} of {other}, {network}",
                        "One of both must be another cluster: what exists cannot be moved from here.",
                    )
                if inside := [each for each in found.node_addresses if each in network]:
                    yield problem(
                        "existing.context",
                        f"the node {inside[0]} of {name} lies in the {what} of {other}, {network}",
                        "Nodes need addresses of their own: change that network, or take another cluster.",
                    )
