"""What the policy of an isolated cluster refuses: what is not of the cluster, and nothing that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from lab.clients.kube import Kube
from lab.mesh.isolation import POLICY, policy
from lab.settings import LABEL
from lab.topology.model import Topology
from tests.unit import labs

OTHERS = {
    "matchExpressions": [
        {"key": "io.cilium.k8s.policy.cluster", "operator": "Exists"},
        {"key": "io.cilium.k8s.policy.cluster", "operator": "NotIn", "values": ["mgmt"]},
    ]
}


class Api:
    """A cluster with nodes at 172.29.0.2 and so on, and its API server at certain addresses."""

    def __init__(self, nodes: int, *servers: str) -> None:
        self.nodes = [
            {"type": kind, "address": address}
            for number in range(nodes)
            for kind, address in (("Hostname", f"n{number}"), ("InternalIP", f"172.29.0.{number + 2}"))
        ]
        self.servers = servers

    def get(self, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        if path == "/api/v1/nodes":
            return {
                "items": [
                    {"status": {"addresses": self.nodes[at : at + 2]}} for at in range(0, len(self.nodes), 2)
                ]
            }
        assert query == {"labelSelector": "kubernetes.io/service-name=kubernetes"}
        return {
            "items": [
                {"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"]}]},
                {"addressType": "IPv4", "endpoints": None},
                {"addressType": "IPv4", "endpoints": [{"addresses": [each]} for each in self.servers]},
            ]
        }


def made(api: Api, topology: Topology | None = None, cluster: str = "mgmt") -> dict[str, Any]:
    return policy(topology or labs.topology("hub-spoke"), cluster, cast("Kube", api))


def test_it_is_found_again_and_carries_the_labs_label() -> None:
    found = made(Api(1, "172.29.0.2"))
    assert (found["apiVersion"], found["kind"]) == (POLICY.api_version, POLICY.kind)
    assert found["metadata"] == {"name": POLICY.name, "labels": {LABEL: "hub-spoke"}}


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("server", ["172.29.0.2", "34.1.1.1"])
def test_it_only_refuses_and_takes_nothing_else_from_the_pods_that_it_selects(
    nodes: int, server: str
) -> None:
    for spec in made(Api(nodes, server))["specs"]:
        assert spec["enableDefaultDeny"] == {"ingress": False, "egress": False}
        assert {"ingress", "egress"}.isdisjoint(spec)
        assert spec["ingressDeny"]
        assert spec["egressDeny"]


def test_a_cluster_of_one_node_refuses_other_clusters_the_outside_and_other_nodes() -> None:
    [spec] = made(Api(1, "172.29.0.2"))["specs"]
    # Pods, and not what else Cilium has for an endpoint: nodes, and whoever asks whether they are well.
    assert spec["endpointSelector"] == {
        "matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "Exists"}]
    }
    assert spec["ingressDeny"] == [
        {"fromEndpoints": [OTHERS]},
        {"fromEntities": ["world"]},
        {"fromEntities": ["remote-node"]},
    ]
    assert spec["egressDeny"] == [
        {"toEndpoints": [OTHERS]},
        {"toEntities": ["world"]},
        {"toEntities": ["remote-node"]},
    ]


def test_with_several_nodes_only_the_mesh_api_server_is_kept_from_them() -> None:
    pods, mesh = made(Api(3, "172.29.0.2", "172.29.0.3", "172.29.0.4"))["specs"]
    assert pods["ingressDeny"] == [{"fromEndpoints": [OTHERS]}, {"fromEntities": ["world"]}]
    assert pods["egressDeny"] == [{"toEndpoints": [OTHERS]}, {"toEntities": ["world"]}]
    assert mesh["endpointSelector"] == {
        "matchLabels": {
            "io.kubernetes.pod.namespace": "kube-system",
            "k8s-app": "clustermesh-apiserver",
        }
    }
    assert mesh["ingressDeny"] == [
        {
            "fromEntities": ["remote-node"],
            "toPorts": [{"ports": [{"port": "2379", "protocol": "TCP"}]}],
        }
    ]
    # Its own API server, on another node, it still reaches.
    topology = labs.topology("hub-spoke")
    ports = [str(topology.cluster(name).mesh_port) for name in ("app1", "app2")]
    assert mesh["egressDeny"] == [
        {
            "toEntities": ["remote-node"],
            "toPorts": [{"ports": [{"port": port, "protocol": "TCP"} for port in ports]}],
        }
    ]


def test_an_api_server_that_is_outside_of_the_nodes_is_spared() -> None:
    [spec] = made(Api(1, "34.1.1.2", "34.1.1.1"))["specs"]
    outside = [{"cidr": "0.0.0.0/0", "except": ["34.1.1.1/32", "34.1.1.2/32"]}]
    assert spec["ingressDeny"][1] == {"fromCIDRSet": outside}
    assert spec["egressDeny"][1] == {"toCIDRSet": outside}


def test_no_list_of_ports_is_longer_than_cilium_takes() -> None:
    api = Api(2, "172.29.0.2")
    many = made(api, labs.topology("scale-255"), "edge-001")["specs"][1]["egressDeny"][0]["toPorts"]
    # pkg/policy/api/rule_validation.go: maxPorts
    assert max(len(each["ports"]) for each in many) == 40
    assert sum(len(each["ports"]) for each in many) == 254


def test_a_name_that_yaml_would_take_for_something_else_stays_a_name() -> None:
    topology = labs.topology("hub-spoke")
    renamed = replace(topology, clusters=(replace(topology.clusters[0], name="no"), *topology.clusters[1:]))
    [spec] = made(Api(1, "172.29.0.2"), renamed, "no")["specs"]
    [selector] = spec["ingressDeny"][0]["fromEndpoints"]
    assert selector["matchExpressions"][1]["values"] == ["no"]
