"""A hub that others made, and a cluster of the lab's own, in one mesh: only the second one goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.clients import docker
from lab.clients.wait import wait_until
from lab.providers.kind import bridge_name, network_name
from lab.settings import LABEL
from lab.topology.read import read_topology
from lab.workspace import TOPOLOGIES
from tests.clusters.inventory import differences, inventory, settled
from tests.clusters.labs import Ran, invoke, unique
from tests.clusters.others import Others, made_of, node_image

pytestmark = pytest.mark.cluster

_SUBNET = "172.29.8.0/24"
_SETTLE_S = 180.0


def run(*words: str, name: str) -> Ran:
    # Whatever CI asks for: clusters that others made cannot be isolated.
    return invoke(*words, name=name, isolated=False)


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[tuple[str, Path, Others]]:
    """A hub that others made, in the network that a lab's own clusters are to stand in."""
    image = node_image(made_of())
    name = unique("t-mixed")
    document = {
        "version": "lab/v1",
        "name": "mixed",
        "network": {"node_cidr": _SUBNET},
        "defaults": {"existing": {"nodes": "docker", "kubeconfig": str(tmp_path / "config")}},
        "clusters": {
            "mgmt": {
                "role": "mgmt",
                "provider": "existing",
                "existing": {"context": f"kind-{network_name(name)}-hub"},
                "pod_cidr": "10.110.0.0/16",
                "service_cidr": "10.160.0.0/16",
            },
            "app1": {"role": "app"},
        },
    }
    path = tmp_path / "mixed.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    there = Others(network_name(name), image, tmp_path / "config", tmp_path)
    docker.create_network(there.network, subnet=_SUBNET, labels={LABEL: name}, bridge=bridge_name(name))
    try:
        hub = read_topology("existing-pair", folder=TOPOLOGIES).cluster("east")
        there.make(f"{there.network}-hub", hub, kube_proxy=False)
        yield name, path, there
    finally:
        run("down", "-t", str(path), "--yes", name=name)
        there.remove()


def test_a_hub_that_others_made_and_a_cluster_of_the_labs_own(mixed: tuple[str, Path, Others]) -> None:
    name, path, there = mixed
    hub = f"{there.network}-hub"
    before = settled(there.kube(hub))
    standing = there.nodes()
    assert run("up", "-t", str(path), "--yes", name=name).out.startswith(f"{name} is up: 2 clusters")
    checked = run("verify", "-t", str(path), "--json", name=name).json
    assert [each for each in checked["checks"] if not each["ok"]] == []
    assert {"mesh/pod/mgmt/app1", "mesh/tunnel/app1/mgmt"} <= {each["id"] for each in checked["checks"]}
    ran = run("down", "-t", str(path), "--yes", name=name)
    assert "removed all of it from mgmt, which stays" in ran.err
    assert "removed cluster app1" in ran.err
    # Its node runs on, in the network that it stands in.
    assert there.nodes() == standing
    found: list[str] = []

    def look() -> str | None:
        found[:] = differences(before, inventory(there.kube(hub)))
        return "\n".join(found) or None

    wait_until("the hub as it was", look, timeout=_SETTLE_S, every=5)
