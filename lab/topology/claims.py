"""Who of a topology has which network: what its file pins, and what was kept or allocated for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

from lab.document.cidr import Cidr
from lab.document.position import Path, Position, render_path
from lab.topology.declare import Declaration
from lab.topology.model import Kept
from lab.topology.snapshot import Fact

Kind = Literal["pod_cidr", "service_cidr", "node_cidr"]

_NODES: Path = ("network", "node_cidr")


@dataclass(frozen=True)
class Claim:
    """A network of this topology.

    ``text`` is what the file says, or else the network; ``position`` is where, or else whose it is;
    ``cluster`` is the number of the cluster in file order, 0 for the nodes' network. ``movable`` tells
    whether the file could say something else: not what an existing cluster has, nor what was kept or
    allocated. ``on_host`` tells whether it is to be compared with what the host uses.
    """

    kind: Kind
    cluster: int
    network: IPv4Network
    text: str
    path: Path
    position: Position
    movable: bool
    on_host: bool

    def __str__(self) -> str:
        # The nodes' network may be allocated in a file without any line about networks.
        line = f" (line {self.position.line})" if self.movable or self.path != _NODES else ""
        return f"{render_path(self.path)} {self.text}{line}"

    @property
    def has_host_bits(self) -> bool:
        """Whether the text names an address inside the network, not the network."""
        return self.text != str(self.network)


def pinned(declaration: Declaration) -> Iterator[Claim]:
    """Yield what the file gives, in its order."""
    at = declaration.document.at
    for number, cluster in enumerate(declaration.clusters):
        pairs: tuple[tuple[Kind, Cidr | None], ...] = (
            ("pod_cidr", cluster.pod_cidr),
            ("service_cidr", cluster.service_cidr),
        )
        for kind, cidr in pairs:
            if cidr:
                path = (*cluster.path, kind)
                ours = cluster.ours
                yield Claim(kind, number, cidr.network, cidr.text, path, at(path), movable=ours, on_host=ours)
    if cidr := declaration.node_cidr:
        yield Claim("node_cidr", 0, cidr.network, cidr.text, _NODES, at(_NODES), movable=True, on_host=True)


def claims(declaration: Declaration, *, kept: Kept | None, allocated: Kept | None) -> list[Claim]:
    """Return everything that the topology claims.

    What a running lab has (``kept``) outweighs what its file says meanwhile; it is not compared with the
    host, which came later.
    """
    had = kept.clusters if kept else {}
    filled = allocated or kept
    result = []
    for claim in pinned(declaration):
        if claim.kind == "node_cidr" and kept:
            continue
        if claim.kind == "node_cidr" or declaration.clusters[claim.cluster].name not in had:
            result.append(claim)
    present = {(claim.cluster, claim.kind) for claim in result}
    if filled is None:
        return result
    for number, cluster in enumerate(declaration.clusters):
        addresses = filled.clusters.get(cluster.name)
        if addresses is None:
            continue
        whose = declaration.document.key_at(cluster.path)
        fresh = cluster.ours and cluster.name not in had
        given: tuple[tuple[Kind, IPv4Network], ...] = (
            ("pod_cidr", addresses.pod_cidr),
            ("service_cidr", addresses.service_cidr),
        )
        for kind, network in given:
            if (number, kind) not in present:
                path = (*cluster.path, kind)
                result.append(
                    Claim(kind, number, network, str(network), path, whose, movable=False, on_host=fresh)
                )
    if (0, "node_cidr") not in present:
        network, place = filled.node_cidr, declaration.document.key_at(_NODES)
        result.append(
            Claim("node_cidr", 0, network, str(network), _NODES, place, movable=False, on_host=not kept)
        )
    return result


def leftovers(declaration: Declaration, kept: Kept | None) -> Iterator[Fact]:
    """Yield what clusters have that left the file: they run until somebody removes them."""
    present = {cluster.name for cluster in declaration.clusters}
    for name, had in kept.clusters.items() if kept else ():
        if name not in present:
            for kind, network in (("pods", had.pod_cidr), ("services", had.service_cidr)):
                yield Fact(network, f"the {kind} of {name}, {network}, which left the file but still runs")
