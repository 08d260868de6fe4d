"""The default topology on real clusters, beside another lab: nothing of either may meet."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from lab import state
from lab.topology.model import Kept
from lab.workspace import Workspace
from tests.clusters.labs import invoke, nodes, pairs, require_sound

pytestmark = pytest.mark.cluster


def test_every_cluster_has_its_own_addresses(hub_spoke: Workspace) -> None:
    told = invoke("plan", "--json", name=hub_spoke.lab).json
    assert [cluster["name"] for cluster in told["clusters"]] == ["mgmt", "app1", "app2"]
    for cluster in told["clusters"]:
        kube = hub_spoke.kubes[cluster["name"]]
        [node] = kube.get("/api/v1/nodes")["items"]
        assert IPv4Network(node["spec"]["podCIDR"]).subnet_of(IPv4Network(cluster["pod_cidr"]))
        service = kube.get("/api/v1/namespaces/default/services/kubernetes")
        assert IPv4Network(service["spec"]["clusterIP"]).subnet_of(IPv4Network(cluster["service_cidr"]))


def test_two_labs_side_by_side_do_not_meet(hub_spoke: Workspace, pair: Workspace) -> None:
    kept = {name: state.folder(pair.settings, name).kept() for name in state.labs(pair.settings)}
    assert {hub_spoke.lab, pair.lab} <= kept.keys()
    ours = _networks(hub_spoke.topology.kept)
    for name, addresses in kept.items():
        if name != hub_spoke.lab and addresses is not None:
            met = [(one, other) for one in ours for other in _networks(addresses) if one.overlaps(other)]
            assert met == [], name
    assert nodes(hub_spoke).keys().isdisjoint(nodes(pair))

    # Each works while the other does, and neither sees the other's clusters. (All that the larger one
    # promises is proved in test_hub_platform.py.)
    checked = invoke("verify", "-t", "pair", "--json", name=pair.lab).json
    names = {part for check in require_sound(checked, pair) for part in check.split("/")[2:]}
    assert names == {cluster.name for cluster in pair.topology.clusters}
    for lab, topology in ((hub_spoke, "hub-spoke"), (pair, "pair")):
        told = invoke("status", "-t", topology, "--json", name=lab.lab).json["mesh"]
        assert {(link["from"], link["to"]) for link in told if link["ok"]} == set(pairs(lab))


def test_down_of_one_leaves_the_other(hub_spoke: Workspace, pair: Workspace) -> None:
    before = nodes(pair)
    invoke("down", "--yes", name=hub_spoke.lab)
    assert nodes(hub_spoke) == {}
    assert nodes(pair) == before
    told = invoke("status", "-t", "pair", "--json", name=pair.lab).json
    assert [link["ok"] for link in told["mesh"]] == [True, True]


def _networks(kept: Kept) -> list[IPv4Network]:
    clusters = kept.clusters.values()
    return [kept.node_cidr, *(network for each in clusters for network in (each.pod_cidr, each.service_cidr))]
