"""What there is of a cluster, against what there should be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.providers.base import ClusterState, NodeState
from lab.topology.model import Nodes
from tests.unit.labs import topology


def nodes(*roles: str, running: bool = True) -> ClusterState:
    return ClusterState(
        tuple(NodeState(f"n{number}", role, running, "", "1") for number, role in enumerate(roles))  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("there", "complete"),
    [
        (nodes("control-plane", "worker"), True),
        (nodes("worker", "control-plane", "load-balancer"), True),
        (nodes("control-plane", "worker", running=False), True),
        (nodes("control-plane"), False),
        (nodes("control-plane", "worker", "worker"), False),
        (nodes("control-plane", "control-plane", "worker"), False),
        (nodes(), False),
    ],
)
def test_complete_is_every_node_and_no_other(there: ClusterState, complete: bool) -> None:
    cluster = replace(topology().cluster("east"), nodes=Nodes(control_plane=1, workers=1))
    assert there.is_complete(cluster) == complete
    assert there.is_whole(cluster) == (complete and all(node.running for node in there.nodes))


def test_a_stopped_load_balancer_makes_a_cluster_less_than_whole() -> None:
    cluster = topology().cluster("east")
    running = nodes("control-plane", "load-balancer")
    assert running.is_whole(cluster)
    stopped = replace(running.nodes[1], running=False)
    assert not ClusterState((running.nodes[0], stopped)).is_whole(cluster)
