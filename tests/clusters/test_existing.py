"""A lab of clusters that others made, one with a Cilium: joined, used, proved, and left as they were."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import state
from lab.clients import docker
from lab.clients.wait import wait_until
from lab.mesh import isolation
from lab.observe import CILIUM
from lab.settings import LABEL
from lab.topology.model import Topology
from lab.topology.read import read_topology
from lab.workspace import TOPOLOGIES, Workspace
from tests.clusters.experiments import degrade, require_whole, verdicts
from tests.clusters.inventory import differences, inventory, settled
from tests.clusters.labs import Ran, invoke, require_sound, settings, unique
from tests.clusters.others import Others, bridge, made_of, node_image

pytestmark = pytest.mark.cluster

_SUBNET = "172.29.7.0/24"
_SETTLE_S = 180.0
"""Until what is removed is gone, and what others keep for it, too."""

CILIUM_OF_OTHERS = {
    "image": {"tag": CILIUM, "useDigest": False, "pullPolicy": "IfNotPresent"},
    "operator": {
        "replicas": 1,
        "image": {"tag": CILIUM, "useDigest": False, "pullPolicy": "IfNotPresent"},
    },
    "ipam": {"mode": "kubernetes"},
    "envoy": {"enabled": False},
    "l7Proxy": False,
    "hubble": {"enabled": False},
}
"""As somebody may have it who has never heard of a mesh: no name, no id."""


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Others]:
    """Two clusters that others made: east has no network plugin, west has Cilium."""
    of_mesh = made_of()
    image = node_image(of_mesh)
    network, folder = unique("t-others"), tmp_path_factory.mktemp("others")
    there = Others(network, image, folder / "config", folder)
    docker.create_network(network, subnet=_SUBNET, labels={}, bridge=bridge(network))
    try:
        of = shipped()
        for name in ("east", "west"):
            there.make(f"{network}-{name}", of.cluster(name))
        there.install_cilium(f"{network}-west", of_mesh, CILIUM_OF_OTHERS)
        yield there
    finally:
        there.remove()


def shipped() -> Topology:
    return read_topology("existing-pair", folder=TOPOLOGIES)


@pytest.fixture(scope="module")
def topology(others: Others, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped example, with the contexts of these clusters, and something that runs on them."""
    return written(others, tmp_path_factory.mktemp("topology") / "existing-pair.yaml")


def written(others: Others, path: Path, **changes: dict[str, Any]) -> Path:
    """Write the example for these clusters, with ``changes`` to a cluster, by name."""
    document = yaml.safe_load((TOPOLOGIES / "existing-pair.yaml").read_text())
    document["defaults"]["existing"]["kubeconfig"] = str(others.kubeconfig)
    for name, cluster in document["clusters"].items():
        cluster["existing"] = {"context": others.context(f"{others.network}-{name}")}
        cluster.update(changes.get(name, {}))
    document["addons"] = [{"use": "demo"}]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def workspace(topology: Path, name: str) -> Workspace:
    """The lab as the code sees it; as shipped but for its name, since its contexts are for ``up`` alone."""
    return Workspace(settings(), replace(shipped(), name=name), str(topology))


@pytest.fixture(scope="module")
def name() -> str:
    return unique("t-existing")


@pytest.fixture(scope="module")
def before(others: Others) -> dict[str, dict[str, str]]:
    """Everything that both clusters have before the lab comes."""
    return {each: settled(others.kube(f"{others.network}-{each}")) for each in ("east", "west")}


@pytest.fixture(scope="module")
def up(others: Others, topology: Path, name: str, before: object) -> Iterator[Ran]:
    """The lab, which is gone in the end whatever happens."""
    try:
        yield run("up", "-t", str(topology), "--yes", name=name)
    finally:
        run("down", "-t", str(topology), "--yes", name=name)


def run(*words: str, name: str = "", expect: int = 0) -> Ran:
    # Whatever CI asks for: clusters that others made cannot be isolated.
    return invoke(*words, name=name, expect=expect, isolated=False)


def refused(topology: Path, name: str) -> str:
    """What ``plan`` says of a lab that cannot be, after which nothing is there."""
    told = run("plan", "-t", str(topology), name=name, expect=2).err
    assert name not in state.labs(settings())
    return " ".join(told.split())


def same(others: Others, before: dict[str, dict[str, str]]) -> None:
    """Assert that every object of both clusters is what it was, as soon as all has settled."""
    seen: list[str] = []

    def look() -> str | None:
        seen[:] = [
            f"{each}: {difference}"
            for each, was in before.items()
            for difference in differences(was, inventory(others.kube(f"{others.network}-{each}")))
        ]
        return "\n".join(seen) or None

    wait_until("both clusters as they were", look, timeout=_SETTLE_S, every=5)
    assert seen == []


def test_a_plan_reads_the_clusters_and_changes_nothing(
    others: Others, topology: Path, name: str, before: dict[str, dict[str, str]]
) -> None:
    told = run("plan", "-t", str(topology), "--json", name=name).json
    assert [(each["name"], each["provider"], each["nodes"]) for each in told["clusters"]] == [
        ("east", "existing", 1),
        ("west", "existing", 1),
    ]
    ids = {step["id"] for step in told["steps"]}
    assert {"east/create", "east/images", "east/cilium", "west/mesh", "west/demo", "lab/verify"} <= ids
    assert {"lab/network", "images/node", "tools/kind", "east/dns"}.isdisjoint(ids)
    assert told["budget"] == {"memory_mib": 0, "disk_mib": 0, "cpus": 0.0}
    assert name not in state.labs(settings())
    same(others, before)


def test_another_network_plugin_is_refused(
    others: Others, topology: Path, name: str, before: dict[str, dict[str, str]]
) -> None:
    kube = others.kube(f"{others.network}-east")
    labels = {"app": "other-cni"}
    kube.apply(
        [
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": "other-cni", "namespace": "kube-system"},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            # It need not run to be in the way.
                            "nodeSelector": {"nowhere": "yes"},
                            "containers": [{"name": "x", "image": "x.invalid/x:1"}],
                            "volumes": [{"name": "cni", "hostPath": {"path": "/etc/cni/net.d"}}],
                        },
                    },
                },
            }
        ]
    )
    try:
        assert "east has another network plugin: kube-system/other-cni. Take a cluster" in refused(
            topology, name
        )
    finally:
        kube.delete("/apis/apps/v1/namespaces/kube-system/daemonsets/other-cni")
    same(others, before)


def test_networks_that_the_clusters_do_not_have_are_refused(
    others: Others, name: str, tmp_path: Path
) -> None:
    wrong = {"pod_cidr": "10.77.0.0/16", "service_cidr": "10.78.0.0/16"}
    said = refused(written(others, tmp_path / "wrong.yaml", east=wrong), name)
    assert "clusters.east.pod_cidr: 10.77.0.0/16, and east has pods in 10.110.0.0/24." in said
    assert "clusters.east.service_cidr: 10.78.0.0/16, and services of east are in 10.160.0.0/16." in said


def test_networks_that_overlap_on_live_clusters_are_refused(
    others: Others, name: str, tmp_path: Path
) -> None:
    # As if west were what east is.
    other = {"pod_cidr": "10.110.0.0/24", "service_cidr": "10.160.0.0/24"}
    mine = {"pod_cidr": "10.77.0.0/16", "service_cidr": "10.78.0.0/16"}
    said = refused(written(others, tmp_path / "wrong.yaml", east=mine, west=other), name)
    assert "east uses 10.110.0.0/24, which overlaps the pods of west, 10.110.0.0/24." in said


def test_contexts_that_reach_nothing_are_refused(others: Others, name: str, tmp_path: Path) -> None:
    config = yaml.safe_load(others.kubeconfig.read_text())
    [east, west] = [others.context(f"{others.network}-{each}") for each in ("east", "west")]
    # One that is not there, and one whose credentials no API server knows.
    config["contexts"] = [each for each in config["contexts"] if each["name"] != east]
    for user in config["users"]:
        user["user"] = {"token": "expired"}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    said = refused(written(replace(others, kubeconfig=path), tmp_path / "wrong.yaml"), name)
    assert f'there is no context "{east}" in {path}.' in said
    assert f"does not accept the credentials of context {west} (401: Unauthorized)." in said


def test_a_context_without_the_right_is_refused(
    others: Others, name: str, tmp_path: Path, before: dict[str, dict[str, str]]
) -> None:
    kube = others.kube(f"{others.network}-east")
    account = "/api/v1/namespaces/default/serviceaccounts"
    kube.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "guest", "namespace": "default"},
            }
        ]
    )
    try:
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = json.loads(kube.request("POST", f"{account}/guest/token", body=asked))
        config = yaml.safe_load(others.kubeconfig.read_text())
        context = others.context(f"{others.network}-east")
        for user in config["users"]:
            if user["name"] == context:
                user["user"] = {"token": answer["status"]["token"]}
        path = tmp_path / "config"
        path.write_text(yaml.safe_dump(config))
        said = refused(written(replace(others, kubeconfig=path), tmp_path / "wrong.yaml"), name)
        assert f"context {context} may not: nodes is forbidden" in said
        assert 'cannot list resource "nodes"' in said
    finally:
        kube.delete(f"{account}/guest")
    same(others, before)


def test_up_joins_them_and_proves_it(up: Ran, topology: Path, name: str, others: Others) -> None:
    assert up.out.startswith(f"{name} is up: 2 clusters in one mesh")
    checked = run("verify", "-t", str(topology), "--json", name=name).json
    evidence = require_sound(checked, workspace(topology, name))
    assert {"demo/east/across", "demo/west/across"} <= evidence.keys()
    told = run("status", "-t", str(topology), "--json", name=name).json
    assert all(link["ok"] for link in told["mesh"])
    assert [(each["reachable"], each["nodes_ready"]) for each in told["clusters"]] == [(True, 1), (True, 1)]
    again = run("up", "-t", str(topology), "--yes", name=name)
    assert again.out.startswith(f"{name} is up already: nothing to do (")


def test_west_keeps_the_cilium_that_it_had(up: Ran, others: Others) -> None:
    kube = others.kube(f"{others.network}-west")
    config = kube.get("/api/v1/namespaces/kube-system/configmaps/cilium-config")
    assert LABEL not in config["metadata"].get("labels", {})
    assert (config["data"]["cluster-name"], config["data"]["cluster-id"]) == ("west", "2")
    releases = kube.secrets("kube-system", labels="owner=helm,name=cilium")
    assert [(each["labels"]["version"], each["labels"]["status"]) for each in releases] == [
        ("1", "superseded"),
        ("2", "deployed"),
    ]


def test_their_nodes_are_not_broken_unasked(up: Ran, topology: Path, name: str) -> None:
    told = run("degrade", "-t", str(topology), "--fault", "kill", "--target", "east", name=name, expect=2)
    assert "kill may not be done to east: the topology allows component and isolate there" in told.err


def test_a_network_policy_takes_one_away_and_goes_again(
    up: Ran, topology: Path, name: str, others: Others
) -> None:
    # The one with a Cilium of its own, and with a kube-proxy that sees to services.
    lab, kube = workspace(topology, name), others.kube(f"{others.network}-west")
    standing = others.nodes()
    words = ("--fault", "isolate", "--target", "west", "--hold", "30s", "--contract", "C1,C5")
    _, folder = degrade(lab, str(topology), *words, isolated=False)
    found = verdicts(folder)
    assert (found["C1"]["verdict"], found["C5"]["verdict"]) == ("pass", "pass")
    assert found["C5-any-backend"]["verdict"] == "fail"
    assert found["C1"]["measured"]["east"]["inside_new"]["requests"] >= 300
    # It was away without falling silent.
    records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    api = [each["ok"] for each in records if each.get("id") == "lab/west/api"]
    assert sum(api) > 0.9 * len(api) > 30
    assert not kube.exists(isolation.POLICY)
    assert others.nodes() == standing
    require_whole(lab)


def test_down_leaves_both_as_they_were(
    up: Ran, topology: Path, name: str, others: Others, before: dict[str, dict[str, str]]
) -> None:
    standing = others.nodes()
    ran = run("down", "-t", str(topology), "--yes", name=name)
    assert re.match(rf"{name} is gone \(", ran.out)
    assert "removed all of it from east, which stays" in ran.err
    assert name not in state.labs(settings())
    assert others.nodes() == standing
    same(others, before)
