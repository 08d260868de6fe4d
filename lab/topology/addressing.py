"""Gives every cluster the ids, networks and ports that its topology leaves out.

Pure and deterministic: the same declaration, host and memory give the same addresses. A cluster that
has addresses from an earlier ``up`` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from lab.document.position import Problem, listed
from lab.topology.declare import Declaration, DeclaredCluster
from lab.topology.model import Addresses, Kept
from lab.topology.snapshot import Fact
from lab.topology.space import Space
from lab.topology.vocabulary import NODE_PORTS

# Cilium's own default NodePort for a mesh API server, and the first of ours. They must differ: with
# kube-proxy replacement, a port that both clusters have is always answered by the local one, and agents
# connect to themselves (cilium/cilium#24692).
FIRST_MESH_PORT: Final = 32379


@dataclass(frozen=True)
class _Room:
    """What is given already: a cluster's pinned values, and what it kept, before anything is allocated."""

    id: int | None
    pod_cidr: IPv4Network | None
    service_cidr: IPv4Network | None
    mesh_port: int | None


def _given(cluster: DeclaredCluster, kept: Kept | None) -> _Room:
    """Return what need not be allocated for ``cluster``: what it kept, else what its topology says."""
    if kept and cluster.name in kept.clusters:
        had = kept.clusters[cluster.name]
        return _Room(had.id, had.pod_cidr, had.service_cidr, had.mesh_port)
    return _Room(
        cluster.id,
        cluster.pod_cidr.network if cluster.pod_cidr else None,
        cluster.service_cidr.network if cluster.service_cidr else None,
        cluster.mesh_port,
    )


def _taken(declaration: Declaration, *, facts: Iterable[Fact], kept: Kept | None) -> Space:
    """Return everything that an allocation has to stay clear of.

    That is what the host uses (``facts``), what this topology pins, and what this lab kept, also for
    clusters that have left the file: they run until somebody removes them.
    """
    space = Space(fact.network for fact in facts)
    if declaration.node_cidr:
        space.take(declaration.node_cidr.network)
    for cluster in declaration.clusters:
        for cidr in (cluster.pod_cidr, cluster.service_cidr):
            if cidr:
                space.take(cidr.network)
    if kept:
        space.take(kept.node_cidr)
        for had in kept.clusters.values():
            space.take(had.pod_cidr)
            space.take(had.service_cidr)
    return space


def allocate(
    declaration: Declaration, *, facts: tuple[Fact, ...], kept: Kept | None
) -> tuple[Kept | None, list[Problem]]:
    """Return the addresses of every cluster and of the node network.

    In order of the file, a cluster gets the first of its own slot and the pools of ``lab.topology.space``
    that is free. Where there is no room, the first value is None and the list says for whom, and what is
    in the way.
    """
    clusters = declaration.clusters
    rooms = [_given(cluster, kept) for cluster in clusters]
    names = {cluster.name for cluster in clusters}
    absent = [had for name, had in kept.clusters.items() if name not in names] if kept else []
    most = declaration.mesh.max_clusters
    ids = _ids([room.id for room in rooms], taken={had.id for had in absent}, most=most)
    if ids is None:
        return None, [_no_ids(declaration, kept=len(absent))]
    ports = _ports([room.mesh_port for room in rooms], taken={had.mesh_port for had in absent})
    space = _taken(declaration, facts=facts, kept=kept)
    problems: list[Problem] = []
    result: dict[str, Addresses] = {}
    for index, (cluster, room) in enumerate(zip(clusters, rooms, strict=True)):
        pods = room.pod_cidr or _take(space, space.pods(index, nodes=cluster.nodes.total))
        services = room.service_cidr or _take(space, space.services(index))
        if pods is None or services is None:
            problems.append(_no_room(declaration, index, what="services" if pods else "pods", facts=facts))
            break
        result[cluster.name] = Addresses(ids[index], pods, services, ports[index])
    node_cidr = _node_cidr(declaration, space, kept=kept)
    if node_cidr is None:
        problems.append(_no_node_room(declaration, facts))
    return (None if problems or node_cidr is None else Kept(result, node_cidr)), problems


def _node_cidr(declaration: Declaration, space: Space, *, kept: Kept | None) -> IPv4Network | None:
    if kept:
        return kept.node_cidr
    if declaration.node_cidr:
        return declaration.node_cidr.network
    nodes = sum(cluster.nodes.total for cluster in declaration.clusters)
    return space.nodes(nodes=nodes, clusters=len(declaration.clusters))


def _ids(given: list[int | None], *, taken: set[int], most: int) -> list[int] | None:
    """Fill in ids: cluster number i (from 0) gets i+1; if that is gone, the highest that is free.

    From the top, because clusters added later want the low ones. None if there are not enough.
    """
    used = taken | {number for number in given if number is not None}
    ids = list(given)
    for index, number in enumerate(ids):
        if number is None and index + 1 not in used and index < most:
            ids[index] = index + 1
            used.add(index + 1)
    free = (number for number in range(most, 0, -1) if number not in used)
    complete = [next(free, None) if number is None else number for number in ids]
    filled = [number for number in complete if number is not None]
    return filled if len(filled) == len(complete) else None


def _ports(given: list[int | None], *, taken: set[int]) -> list[int]:
    """Fill in NodePorts of mesh API servers: 32379 upwards to 32767, then 32378 downwards.

    Who finds theirs gone takes one from the far end, 30000 upwards. There are 2768 ports for 511 clusters,
    so there is always one left.
    """
    used = taken | {port for port in given if port is not None}
    order = [*range(FIRST_MESH_PORT, NODE_PORTS[1] + 1), *range(FIRST_MESH_PORT - 1, NODE_PORTS[0] - 1, -1)]
    ports = list(given)
    for index, port in enumerate(ports):
        if port is None and order[index] not in used:
            ports[index] = order[index]
            used.add(order[index])
    free = (port for port in reversed(order) if port not in used)
    return [next(free) if port is None else port for port in ports]


def _take(space: Space, network: IPv4Network | None) -> IPv4Network | None:
    if network:
        space.take(network)
    return network


def _no_room(declaration: Declaration, index: int, *, what: str, facts: tuple[Fact, ...]) -> Problem:
    cluster = declaration.clusters[index]
    rest = len(declaration.clusters) - index
    others = f" (nor for {rest - 1} clusters after it)" if rest > 1 else ""
    message = (
        f"no private addresses are left for {cluster.name}'s {what}{others}; in the way: {_largest(facts)}"
    )
    remedy = "Ask for fewer clusters or nodes, or remove what is in the way (a VPN, another lab)."
    return Problem(declaration.document.key_at(cluster.path), cluster.path, message, remedy)


def _no_node_room(declaration: Declaration, facts: tuple[Fact, ...]) -> Problem:
    message = f"no private addresses are left for the nodes; in the way: {_largest(facts)}"
    remedy = "Give network.node_cidr yourself, or remove what is in the way (a VPN, another lab)."
    return Problem(declaration.document.key_at(("network",)), ("network",), message, remedy)


def _no_ids(declaration: Declaration, *, kept: int) -> Problem:
    message = (
        f"{len(declaration.clusters)} clusters, and {kept} that left the file but still run, "
        f"need more ids than the {declaration.mesh.max_clusters} of this mesh"
    )
    remedy = "Remove the lab with `./invoke down`, and make it anew."
    return Problem(declaration.document.key_at(("clusters",)), ("clusters",), message, remedy)


def _largest(facts: tuple[Fact, ...]) -> str:
    """Name the three largest obstacles, which explain a lack of room best."""
    largest = sorted(facts, key=lambda fact: fact.network.prefixlen)
    return listed((fact.words for fact in largest), most=3) or "the topology's own networks"
