"""Cilium's values: what each cluster is told of itself and of its peers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lab.mesh import cilium
from lab.mesh.ca import Authority
from lab.topology.model import StaleBackends, Topology
from tests.unit.labs import topology

AUTHORITY = Authority(b"the certificate", b"the private key")
PEERS = {"mgmt": ["10.200.0.2"], "app1": ["10.200.0.3"], "app2": ["10.200.0.4", "10.200.0.5"]}


def values(cluster: str, *, of: Topology | None = None, **changes: Any) -> dict[str, Any]:
    of = of or topology("hub-spoke")
    given: dict[str, Any] = {
        "endpoint": f"hub-spoke-{cluster}-control-plane",
        "peers": PEERS,
        "authority": AUTHORITY,
        "image_tag": "v1.19.5",
    }
    return cilium.values(of, of.cluster(cluster), **(given | changes))


def test_every_cluster_has_its_own_id_name_and_port() -> None:
    trees = {name: values(name) for name in PEERS}
    assert [tree["cluster"] for tree in trees.values()] == [
        {"name": "mgmt", "id": 1},
        {"name": "app1", "id": 2},
        {"name": "app2", "id": 3},
    ]
    ports = [tree["clustermesh"]["apiserver"]["service"]["nodePort"] for tree in trees.values()]
    assert ports == [32379, 32380, 32381]
    assert trees["app1"]["k8sServiceHost"] == "hub-spoke-app1-control-plane"
    assert trees["app1"]["k8sServicePort"] == 6443


def test_a_cluster_knows_all_peers_and_not_itself() -> None:
    assert values("app1")["clustermesh"]["config"] == {
        "enabled": True,
        "clusters": [
            {"name": "mgmt", "port": 32379, "ips": ["10.200.0.2"]},
            {"name": "app2", "port": 32381, "ips": ["10.200.0.4", "10.200.0.5"]},
        ],
    }


def test_a_peer_of_which_there_is_nothing_is_left_out() -> None:
    tree = values("app1", peers={"mgmt": ["10.200.0.2"]})
    assert [peer["name"] for peer in tree["clustermesh"]["config"]["clusters"]] == ["mgmt"]


@pytest.mark.parametrize(
    ("stale", "ttl"),
    [
        (StaleBackends("keep"), "0s"),
        (StaleBackends("prefer_local"), "0s"),
        (StaleBackends("drop_after", 90), "90s"),
    ],
)
def test_what_becomes_of_a_dead_clusters_backends(stale: StaleBackends, ttl: str) -> None:
    of = topology("hub-spoke")
    of = replace(of, mesh=replace(of.mesh, stale_backends=stale))
    assert values("mgmt", of=of)["clustermesh"]["cacheTTL"] == ttl


def test_the_mesh_is_as_large_as_the_topology_says() -> None:
    of = topology("hub-spoke")
    of = replace(of, mesh=replace(of.mesh, max_clusters=511, tunnel="geneve"))
    tree = values("mgmt", of=of)
    assert tree["clustermesh"]["maxConnectedClusters"] == 511
    assert (tree["routingMode"], tree["tunnelProtocol"]) == ("tunnel", "geneve")


def test_without_a_mesh_there_is_no_mesh_api_server() -> None:
    of = topology("hub-spoke")
    assert "clustermesh" not in values("mgmt", of=replace(of, mesh=replace(of.mesh, kind="none")))


def test_nothing_is_pulled_behind_our_back() -> None:
    tree = values("mgmt")
    for image in (
        tree["image"],
        tree["operator"]["image"],
        tree["clustermesh"]["apiserver"]["image"],
    ):
        assert image == {"tag": "v1.19.5", "useDigest": False, "pullPolicy": "IfNotPresent"}
    assert not tree["envoy"]["enabled"]
    assert not tree["hubble"]["enabled"]


def test_all_objects_carry_the_labs_label() -> None:
    assert values("mgmt", of=topology("hub-spoke", lab="second"))["commonLabels"] == {"lab/name": "second"}


def test_every_cluster_has_the_same_authority_and_no_repr_shows_its_key() -> None:
    authorities = [values(name)["tls"]["ca"] for name in PEERS]
    assert authorities[0] == authorities[1] == authorities[2]
    assert authorities[0] == {"cert": "dGhlIGNlcnRpZmljYXRl", "key": "dGhlIHByaXZhdGUga2V5"}
    assert "private key" not in repr(AUTHORITY)
    assert "the certificate" in repr(AUTHORITY)


def fingerprint(**changes: Any) -> str:
    return cilium.fingerprint(values("app1", **changes), chart="v1.19.5")


def test_a_fingerprint_is_stable_and_fits_a_label() -> None:
    assert fingerprint() == fingerprint(peers=dict(reversed(PEERS.items())))
    assert len(fingerprint()) <= 63
    assert fingerprint().isalnum()


@pytest.mark.parametrize(
    "changes",
    [
        {"peers": {**PEERS, "mgmt": ["10.200.0.9"]}},
        {"peers": {"mgmt": ["10.200.0.2"]}},
        {"authority": Authority(b"the certificate", b"another key")},
        {"endpoint": "elsewhere"},
        {"image_tag": "v1.19.6"},
    ],
)
def test_a_fingerprint_changes_with_any_value(changes: dict[str, Any]) -> None:
    assert fingerprint(**changes) != fingerprint()
    tree = values("app1")
    assert cilium.fingerprint(tree, chart="v1.19.6") != fingerprint()


def test_an_own_address_is_no_value_of_ones_own() -> None:
    """A cluster whose own node moved need not be configured anew; its peers must."""
    assert fingerprint(peers={**PEERS, "app1": ["10.200.0.9"]}) == fingerprint()


def test_values_are_json() -> None:
    assert json.loads(json.dumps(values("mgmt"))) == values("mgmt")


def test_the_images_of_the_catalog_are_the_ones_that_the_chart_asks_for() -> None:
    from lab.images.catalog import catalog
    from lab.observe import CILIUM

    asked = set()
    for value, repository in cilium.IMAGES.items():
        # The chart adds the operator's variant by itself.
        asked.add(f"{repository}{'-generic' if value == 'operator.image' else ''}:{CILIUM}")
    assert asked <= catalog().keys()


def test_a_cluster_that_others_made_is_left_as_it_was_found() -> None:
    of = topology("existing-pair")
    tree = cilium.values(
        of,
        of.cluster("east"),
        endpoint="172.18.0.2",
        port=443,
        kube_proxy=True,
        peers={"west": ["172.18.0.3"]},
        authority=AUTHORITY,
        image_tag="v1.19.5",
        pulled={"quay.io/cilium/operator-generic:v1.19.5": "quay.io/cilium/operator-generic@sha256:0"},
    )
    assert tree["cni"] == {"uninstall": True}
    assert tree["operator"]["setNodeTaints"] is False
    assert tree["kubeProxyReplacement"] is False
    assert (tree["k8sServiceHost"], tree["k8sServicePort"]) == ("172.18.0.2", 443)
    # What nodes pull for themselves is named by its digest, the rest by its tag.
    assert tree["operator"]["image"]["override"] == "quay.io/cilium/operator-generic@sha256:0"
    assert "override" not in tree["image"]
    assert "cni" not in values("app1")
