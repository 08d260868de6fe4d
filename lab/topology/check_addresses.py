"""Rules about networks: well-formed, private, large enough, and overlapping nothing.

Pod networks of different clusters may not overlap even with ``mesh: {kind: none}``, where Cilium would
not mind: a mesh can be switched on later, a pod network cannot be changed, and a packet dump in which two
clusters share addresses teaches nobody anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from lab.document.cidr import PRIVATE, is_private, nested, prefix_for, span
from lab.document.position import Path, Problem, listed
from lab.topology.claims import Claim, claims, leftovers, pinned
from lab.topology.declare import Declaration, DeclaredCluster
from lab.topology.model import Kept
from lab.topology.snapshot import Fact
from lab.topology.space import (
    LOAD_BALANCER_ADDRESSES,
    NODE_MASK,
    NODE_NETWORK_SPARE,
    Space,
    pod_prefix_for,
)

# kubernetes/kubernetes cmd/kubeadm/app/constants/constants.go, MaximumBitsForServiceSubnet, and
# cmd/kube-apiserver/app/options/validation.go, maxCIDRBits: at most 20 bits, so the API server's allocation
# bitmap stays small. MinimumAddressesInServiceSubnet is 10: DNS is always the tenth address.
SERVICE_LARGEST: Final = 12
SERVICE_SMALLEST: Final = 28


@dataclass(frozen=True)
class Finding:
    """What is wrong with a claim. Without a ``remedy``, another network is proposed."""

    claim: Claim
    message: str
    remedy: str | None = None

    def problem(self, propose: Callable[[Claim], str]) -> Problem:
        """Make a problem of the finding."""
        return Problem(self.claim.position, self.claim.path, self.message, self.remedy or propose(self.claim))


def check_sizes(declaration: Declaration) -> Iterator[Problem]:
    """Yield what is wrong with each network that the file gives, looked at alone."""
    for claim in pinned(declaration):
        if not is_private(claim.network):
            message = f"{claim.text} is not private address space"
            remedy = f"Take a part of {listed(PRIVATE, joint='or')}."
            yield Problem(claim.position, claim.path, message, remedy)
    for cluster in declaration.clusters:
        if cluster.ours:
            yield from _cluster_sizes(declaration, cluster)
    nodes = sum(cluster.nodes.total for cluster in declaration.clusters)
    needed = nodes + NODE_NETWORK_SPARE + len(declaration.clusters) * LOAD_BALANCER_ADDRESSES
    if declaration.node_cidr and declaration.node_cidr.network.num_addresses < needed:
        path: Path = ("network", "node_cidr")
        message = (
            f"{declaration.node_cidr.text} has {declaration.node_cidr.network.num_addresses} addresses, "
            f"fewer than the {needed} for {nodes} nodes, {LOAD_BALANCER_ADDRESSES} load-balancer addresses "
            f"a cluster and the lab's own services"
        )
        yield Problem(
            declaration.document.at(path), path, message, f"Give a /{prefix_for(needed)} or larger."
        )


def _cluster_sizes(declaration: Declaration, cluster: DeclaredCluster) -> Iterator[Problem]:
    pods, services, nodes = cluster.pod_cidr, cluster.service_cidr, cluster.nodes.total
    # Pods may have at most a /8 (kubeadm's PodSubnetNodeMaskMaxDiff is 16): no private network is larger.
    if pods and pods.network.prefixlen > pod_prefix_for(nodes):
        position, path = declaration.source(cluster, "pod_cidr")
        room = 1 << (NODE_MASK - pods.network.prefixlen) if pods.network.prefixlen <= NODE_MASK else 0
        message = (
            f"{pods.text} has room for {room or 'no'} node{'' if room == 1 else 's'} of a /{NODE_MASK} each, "
            f"and {cluster.name} has {nodes}"
        )
        yield Problem(position, path, message, f"Give a /{pod_prefix_for(nodes)} or larger, or leave it out.")
    if services and not SERVICE_LARGEST <= services.network.prefixlen <= SERVICE_SMALLEST:
        position, path = declaration.source(cluster, "service_cidr")
        large = services.network.prefixlen < SERVICE_LARGEST
        reason = (
            f"larger than the /{SERVICE_LARGEST} that kube-apiserver takes"
            if large
            else f"smaller than the /{SERVICE_SMALLEST} that cluster DNS needs"
        )
        remedy = f"Give a /{SERVICE_LARGEST} to /{SERVICE_SMALLEST}; a /16 is plenty."
        yield Problem(position, path, f"{services.text} is {reason}", remedy)


def check_networks(
    declaration: Declaration, *, facts: tuple[Fact, ...], kept: Kept | None, allocated: Kept | None
) -> list[Problem]:
    """Return every overlap: between the networks of this topology, and of those with the host's.

    What a running lab has kept is not compared with the host: the host came later, and a refused
    topology would stand in the way of ``down``.
    """
    claimed = claims(declaration, kept=kept, allocated=allocated)
    others = (*facts, *leftovers(declaration, kept))
    findings = [*_host_bits(pinned(declaration)), *_among_themselves(claimed), *_with_others(claimed, others)]
    # What is proposed instead has to be clear of everything that may stay.
    wrong = {finding.claim for finding in findings}
    stays = [claim.network for claim in claimed if claim not in wrong]
    propose = _Proposals(declaration, Space([*stays, *(fact.network for fact in others)]))
    return [*(finding.problem(propose) for finding in findings), *_kept_sizes(declaration, kept)]


class _Proposals:
    """Proposes networks that are free, no two alike."""

    def __init__(self, declaration: Declaration, space: Space) -> None:
        self._declaration = declaration
        self._space = space
        self._proposed: dict[Claim, str] = {}

    def __call__(self, claim: Claim) -> str:
        if claim not in self._proposed:
            self._proposed[claim] = self._propose(claim)
        return self._proposed[claim]

    def _propose(self, claim: Claim) -> str:
        if not claim.movable:
            return "What an existing cluster has cannot be changed from here: take another cluster."
        clusters = self._declaration.clusters
        match claim.kind:
            case "pod_cidr":
                free = self._space.pods(claim.cluster, nodes=clusters[claim.cluster].nodes.total)
            case "service_cidr":
                free = self._space.services(claim.cluster)
            case "node_cidr":
                nodes = sum(cluster.nodes.total for cluster in clusters)
                free = self._space.nodes(nodes=nodes, clusters=len(clusters))
        if free is None:
            return "Nothing that a lab may use is free: remove what is in the way (a VPN, another lab)."
        self._space.take(free)
        return f"Leave it out and a free one is allocated, or give one yourself: {free} is free."


def _host_bits(given: Iterable[Claim]) -> Iterator[Finding]:
    seen: set[IPv4Network] = set()
    for claim in given:
        # Of claims to one network, those after the first are told in the same breath what they repeat.
        if claim.has_host_bits and claim.network not in seen:
            yield Finding(claim, _as_it_is(claim), f"Write {claim.network} if that is meant.")
        seen.add(claim.network)


def _among_themselves(claimed: Iterable[Claim]) -> Iterator[Finding]:
    """Yield a finding for each network that repeats another, and one for each that holds others."""
    owners: dict[IPv4Network, list[Claim]] = {}
    # What cannot be moved was there first, so that blame falls on what can.
    for claim in sorted(claimed, key=lambda claim: claim.movable):
        owners.setdefault(claim.network, []).append(claim)
    inside = nested(owners)
    for network, sharing in owners.items():
        for number, claim in enumerate(sharing[1:], start=1):
            same = listed(sharing[:number], most=3)
            it = f"{_as_it_is(claim)}," if claim.has_host_bits else f"{claim.text} is"
            yield Finding(claim, f"{it} the same network as {same}")
        if network in inside:
            held = [claim for inner in inside[network] for claim in owners[inner]]
            yield from _holding(sharing, sorted(held, key=lambda claim: (claim.position, claim.kind)))


def _holding(sharing: list[Claim], held: list[Claim]) -> Iterator[Finding]:
    """Blame the outer network if it can be moved, else what can be inside it, else the outer one."""
    outer = next((claim for claim in sharing if claim.movable), sharing[0])
    movable = [claim for claim in held if claim.movable]
    if outer.movable or not movable:
        yield Finding(outer, f"{outer.text} ({span(outer.network)}) contains {listed(held, most=4)}")
        return
    for claim in movable:
        yield Finding(claim, f"{claim.text} lies inside {outer}")


def _with_others(claimed: Iterable[Claim], facts: tuple[Fact, ...]) -> Iterator[Finding]:
    on_host = [claim for claim in claimed if claim.on_host]
    known: dict[IPv4Network, list[Fact]] = {}
    for fact in facts:
        known.setdefault(fact.network, []).append(fact)
    inside = nested([*known, *(claim.network for claim in on_host)])
    around: dict[IPv4Network, list[IPv4Network]] = {}
    for outer in inside.keys() & known.keys():
        for inner in inside[outer]:
            around.setdefault(inner, []).append(outer)
    for claim in on_host:
        network = claim.network
        near = sorted(
            [*around.get(network, ()), network, *inside.get(network, ())], key=lambda n: n.prefixlen
        )
        if met := [fact.words for other in near for fact in known.get(other, ())]:
            yield Finding(claim, f"{claim.text} overlaps {listed(met, most=3)}")


def _as_it_is(claim: Claim) -> str:
    return f"{claim.text} has host bits: it is {claim.network} ({span(claim.network)})"


def _kept_sizes(declaration: Declaration, kept: Kept | None) -> Iterator[Problem]:
    """A lab that grew past what it was given at first: nodes can be added only while there is room."""
    for cluster in declaration.clusters:
        had = kept.clusters.get(cluster.name) if kept else None
        if had is None or not cluster.ours or had.pod_cidr.prefixlen <= pod_prefix_for(cluster.nodes.total):
            continue
        position, path = declaration.source(cluster, "nodes")
        room = 1 << max(0, NODE_MASK - had.pod_cidr.prefixlen)
        message = (
            f"{cluster.name} was made with pods in {had.pod_cidr}, which is room for {room} nodes, "
            f"and is to have {cluster.nodes.total}"
        )
        remedy = "Take fewer nodes, or remove the lab with `./invoke down` and make it anew."
        yield Problem(position, path, message, remedy)
