"""Sees the tunnel: counts the VXLAN packets that a node gets from each of its peers.

Counted in the node's own network namespace by nftables, before anything else handles the packet;
8472 is the Linux kernel's VXLAN port, which Cilium uses by default.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from lab.errors import LabError
from lab.providers.base import ClusterState, Provider

PORTS = {"vxlan": 8472, "geneve": 6081}
_TABLE = "inet lab_verify"


class Counters:
    """The counters while they stand; ``packets`` reads them."""

    def __init__(self, providers: Mapping[str, Provider], nodes: Mapping[str, str]) -> None:
        self._providers = providers
        self._nodes = nodes
        """Cluster of each node that counts, by node."""

    def packets(self) -> dict[tuple[str, str], int]:
        """Tunnel packets seen so far, by (from cluster, to cluster)."""
        seen: dict[tuple[str, str], int] = {}
        for node, cluster in self._nodes.items():
            provider = self._providers[cluster]
            listed = json.loads(provider.run_on(node, ("nft", "--json", "list", "table", *_TABLE.split())))
            for item in listed["nftables"]:
                rule = item.get("rule", {})
                for expression in rule.get("expr", ()):
                    if "counter" in expression and (peer := rule.get("comment")):
                        key = (peer, cluster)
                        seen[key] = seen.get(key, 0) + expression["counter"]["packets"]
        return seen


@contextmanager
def counted(
    providers: Mapping[str, Provider], states: Mapping[str, ClusterState], *, tunnel: str
) -> Iterator[Counters]:
    """Count tunnel packets to the clusters of ``providers`` for a while; nothing is left behind."""
    nodes = {
        node.name: cluster
        for cluster, state in states.items()
        if cluster in providers
        for node in state.nodes
        if node.running and node.role != "load-balancer"
    }
    addresses = {
        cluster: [node.address for node in state.nodes if node.address and node.role != "load-balancer"]
        for cluster, state in states.items()
    }
    try:
        for node, cluster in nodes.items():
            others = {name: found for name, found in addresses.items() if name != cluster}
            providers[cluster].run_on(node, ("nft", "--file", "-"), input=_rules(others, port=PORTS[tunnel]))
        yield Counters(providers, nodes)
    finally:
        for node, cluster in nodes.items():
            _forget(providers[cluster], node)


def _rules(peers: Mapping[str, Sequence[str]], *, port: int) -> str:
    rules = [
        f'    ip saddr {{ {", ".join(addresses)} }} udp dport {port} counter comment "{peer}"'
        for peer, addresses in peers.items()
        if addresses
    ]
    # Deleted first, so that a table left by a verify that was killed does not double the counts.
    lines = [
        f"add table {_TABLE}",
        f"delete table {_TABLE}",
        f"table {_TABLE} {{",
        "  chain seen {",
        "    type filter hook prerouting priority -300;",
        *rules,
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _forget(provider: Provider, node: str) -> None:
    try:
        provider.run_on(node, ("nft", "delete", "table", *_TABLE.split()))
    except LabError:
        # The node went away meanwhile, and the table with it.
        return
