"""The topology with three control-plane nodes: the hub outlives any one of its nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.clients import docker
from lab.clients.wait import wait_until
from lab.workspace import Workspace
from tests.clusters.labs import invoke, nodes, require_sound, unique, workspace

pytestmark = [pytest.mark.cluster, pytest.mark.long]

TOPOLOGY = "hub-spoke-ha"


@pytest.fixture(scope="module")
def ha() -> Iterator[Workspace]:
    name = unique("t-ha")
    try:
        invoke("up", "-t", TOPOLOGY, "--yes", name=name, timeout=3000)
        yield workspace(TOPOLOGY, name)
    finally:
        invoke("down", "-t", TOPOLOGY, "--yes", name=name)


def test_it_has_the_nodes_that_it_should(ha: Workspace) -> None:
    told = invoke("status", "-t", TOPOLOGY, "--json", name=ha.lab).json
    assert [(each["name"], each["nodes_ready"]) for each in told["clusters"]] == [
        ("mgmt", 5),
        ("app1", 2),
        ("app2", 2),
    ]
    roles = [node.labels["io.x-k8s.kind.role"] for node in nodes(ha).values()]
    assert sorted(set(roles)) == ["control-plane", "external-load-balancer", "worker"]
    assert roles.count("control-plane") == 5


def test_every_ordered_pair_is_proved(ha: Workspace) -> None:
    require_sound(invoke("verify", "-t", TOPOLOGY, "--json", name=ha.lab).json, ha)


def test_the_hub_outlives_one_control_plane_node(ha: Workspace) -> None:
    docker.kill_container(f"{ha.lab}-mgmt-control-plane2")

    def still_two() -> str | None:
        ready = [node.name for node in ha.kubes["mgmt"].nodes() if node.ready]
        return None if len(ready) == 4 else f"{len(ready)} nodes are ready"

    wait_until("an API server that has missed one node", still_two, timeout=300)
    ran = invoke("up", "-t", TOPOLOGY, "--yes", name=ha.lab)
    assert ran.out.startswith(f"{ha.lab} is up: ")
    require_sound(invoke("verify", "-t", TOPOLOGY, "--json", name=ha.lab).json, ha)
