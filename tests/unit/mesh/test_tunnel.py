"""Counting tunnel packets: the rules that are loaded, what is read of them, and that none stay."""

from __future__ import annotations

import json
from typing import cast

import pytest

from lab.errors import ProvisionError
from lab.mesh import tunnel
from lab.providers.base import ClusterState, NodeState, Provider

STATES = {
    "east": ClusterState(
        (
            NodeState("east-1", "control-plane", True, "10.200.0.2", "1"),
            NodeState("east-2", "worker", True, "10.200.0.3", "1"),
            NodeState("east-lb", "load-balancer", True, "10.200.0.4", "1"),
        )
    ),
    "west": ClusterState(
        (
            NodeState("west-1", "control-plane", True, "10.200.0.5", "1"),
            NodeState("west-2", "worker", False, "", "1"),
        )
    ),
}


class Nodes:
    """Nodes with an nft each; ``tables`` holds what each was given last."""

    def __init__(self, *, counts: dict[str, dict[str, int]] | None = None) -> None:
        self.counts = counts or {}
        self.tables: dict[str, str] = {}
        self.calls: list[tuple[str, ...]] = []

    def run_on(self, node: str, command: tuple[str, ...], *, input: str | None = None) -> str:
        self.calls.append((node, *command[1:3]))
        if "delete" in command:
            if node not in self.tables:
                raise ProvisionError("no such table")
            del self.tables[node]
        elif input is not None:
            self.tables[node] = input
        elif "list" in command:
            return json.dumps(listed(self.counts.get(node, {})))
        return ""


def listed(counts: dict[str, int]) -> dict[str, object]:
    """What ``nft --json list table`` prints."""
    rules = [
        {
            "rule": {
                "family": "inet",
                "table": "lab_verify",
                "comment": peer,
                "expr": [{"match": {}}, {"counter": {"packets": packets, "bytes": packets * 100}}],
            }
        }
        for peer, packets in counts.items()
    ]
    return {"nftables": [{"metainfo": {}}, {"table": {}}, {"chain": {}}, *rules]}


def providers(nodes: Nodes) -> dict[str, Provider]:
    return dict.fromkeys(STATES, cast("Provider", nodes))


def test_each_node_counts_what_comes_from_each_peer() -> None:
    nodes = Nodes()
    with tunnel.counted(providers(nodes), STATES, tunnel="vxlan"):
        assert nodes.tables.keys() == {"east-1", "east-2", "west-1"}
        assert '    ip saddr { 10.200.0.5 } udp dport 8472 counter comment "west"' in nodes.tables["east-1"]
        assert 'comment "east"' not in nodes.tables["east-1"]
        assert (
            '    ip saddr { 10.200.0.2, 10.200.0.3 } udp dport 8472 counter comment "east"'
            in nodes.tables["west-1"]
        )
        # One left by a verify that was killed does not count twice.
        assert nodes.tables["east-1"].splitlines()[:3] == [
            "add table inet lab_verify",
            "delete table inet lab_verify",
            "table inet lab_verify {",
        ]
    assert nodes.tables == {}


def test_geneve_has_a_port_of_its_own() -> None:
    nodes = Nodes()
    with tunnel.counted(providers(nodes), STATES, tunnel="geneve"):
        assert "udp dport 6081" in nodes.tables["west-1"]


def test_packets_are_summed_over_a_clusters_nodes() -> None:
    nodes = Nodes(counts={"east-1": {"west": 3}, "east-2": {"west": 4}, "west-1": {"east": 0}})
    with tunnel.counted(providers(nodes), STATES, tunnel="vxlan") as counters:
        assert counters.packets() == {("west", "east"): 7, ("east", "west"): 0}
        nodes.counts["west-1"] = {"east": 9}
        assert counters.packets()["east", "west"] == 9


def test_nothing_is_left_after_an_error() -> None:
    nodes = Nodes()

    def fail() -> None:
        with tunnel.counted(providers(nodes), STATES, tunnel="vxlan"):
            # A node that went away meanwhile took its table with it.
            del nodes.tables["east-1"]
            raise KeyError("inside")

    with pytest.raises(KeyError):
        fail()
    assert nodes.tables == {}


def test_a_node_that_cannot_count_is_an_error_and_the_others_stop() -> None:
    nodes = Nodes()
    real = nodes.run_on

    def broken(node: str, command: tuple[str, ...], *, input: str | None = None) -> str:
        if node == "west-1" and input is not None:
            raise ProvisionError("no nft here")
        return real(node, command, input=input)

    nodes.run_on = broken  # type: ignore[method-assign]
    with (
        pytest.raises(ProvisionError, match="no nft here"),
        tunnel.counted(providers(nodes), STATES, tunnel="vxlan"),
    ):
        raise AssertionError("it must not come to this")
    assert nodes.tables == {}


def test_nothing_is_counted_where_nothing_can_be_run() -> None:
    nodes = Nodes()
    only_west = {"west": cast("Provider", nodes)}
    with tunnel.counted(only_west, STATES, tunnel="vxlan"):
        assert list(nodes.tables) == ["west-1"]
        assert 'comment "east"' in nodes.tables["west-1"]
