"""What a lab cannot live with in clusters that others made: every message, whole."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from lab.addons import catalog
from lab.catalog.place import Placed, place
from lab.mesh.joined import Release
from lab.settings import from_environment
from lab.survey.facts import Facts
from lab.survey.judge import judge
from lab.topology.model import Nodes, Topology
from tests.unit.labs import topology

PLACE = f"{topology('existing-pair').cluster('east').position} clusters.east"

SOUND = Facts(
    version="1.35.8",
    nodes=Nodes(1, 0),
    node_names=("east-control-plane",),
    node_addresses=(IPv4Address("172.18.0.2"),),
    pods=(IPv4Network("10.110.0.0/24"),),
    pod_addresses=(IPv4Address("10.110.0.7"),),
    services=(IPv4Network("10.160.0.0/16"),),
    service_addresses=(IPv4Address("10.160.0.1"),),
    node_ports={},
    storage={"standard": True},
    plugins=(),
    networked=False,
    cilium={},
    cilium_lab="",
    release=None,
    other_labs=(),
)
"""A cluster without a network plugin, as the topology existing-pair says it is."""

CONFIG = {
    "cluster-name": "default",
    "cluster-id": "0",
    "routing-mode": "tunnel",
    "tunnel-protocol": "vxlan",
    "identity-allocation-mode": "crd",
}


def with_cilium(version: str = "1.19.5", **config: str) -> dict[str, Any]:
    changed = {key.replace("_", "-"): value for key, value in config.items()}
    return {
        "networked": True,
        "cilium": {**CONFIG, **changed},
        "release": Release(1, {"metadata": {"version": version}}),
    }


def found(
    of: Topology | None = None,
    *,
    placed: tuple[Placed, ...] = (),
    source: str = "source",
    containers: Collection[str] = ("east-control-plane",),
    **changes: Any,
) -> list[str]:
    """What is said of east, whose facts have these changes."""
    facts = {"east": replace(SOUND, **changes)}
    problems = judge(
        of or topology("existing-pair"),
        facts,
        placed,
        cilium="v1.19.5",
        source=source,
        containers=containers,
    )
    return [str(problem) for problem in problems]


def test_a_sound_cluster() -> None:
    assert found() == []


@pytest.mark.parametrize("version", ["1.18.0", "1.19.5", "1.20.1"])
def test_a_cilium_that_can_join(version: str) -> None:
    assert found(**with_cilium(version)) == []
    assert found(**with_cilium(version, cluster_name="east", cluster_id="1")) == []


def test_a_cilium_of_the_labs_own() -> None:
    ours = {**CONFIG, "cluster-name": "east", "cluster-id": "1"}
    assert found(networked=True, cilium=ours, cilium_lab="existing-pair") == []


CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"version": "1.31.4"},
        (
            ".kubernetes: east runs Kubernetes 1.31.4, which Cilium 1.19 is not made for. "
            "Take another cluster, or upgrade it."
        ),
    ),
    (
        {"other_labs": ("hub-spoke",)},
        (
            ".existing.context: east is part of the lab hub-spoke already. "
            "Remove that lab first, or take another cluster: two meshes cannot share one."
        ),
    ),
    (
        {"pods": (IPv4Network("10.244.0.0/24"),)},
        (
            ".pod_cidr: 10.110.0.0/16, and east has pods in 10.244.0.0/24. "
            "Write the network that the cluster's pods have."
        ),
    ),
    (
        {"pod_addresses": (IPv4Address("10.244.0.9"),)},
        (
            ".pod_cidr: 10.110.0.0/16, and east has pods in 10.244.0.9. "
            "Write the network that the cluster's pods have."
        ),
    ),
    (
        {"pods": ()},
        (
            ".pod_cidr: no node of east has a podCIDR, and Cilium would have none to give to pods. "
            "Have the controller manager allocate them (--allocate-node-cidrs)."
        ),
    ),
    (
        {"services": (IPv4Network("10.96.0.0/16"),)},
        ".service_cidr: 10.160.0.0/16, and services of east are in 10.96.0.0/16. Write 10.96.0.0/16.",
    ),
    (
        {"services": (), "service_addresses": (IPv4Address("10.96.0.1"),)},
        (
            ".service_cidr: 10.160.0.0/16, and east has a service at 10.96.0.1. "
            "Write the network that the cluster's services have."
        ),
    ),
    (
        {"node_ports": {32379: "shop/web"}},
        (
            ".mesh_port: NodePort 32379 is shop/web's in east. "
            "Give mesh_port a number from 30000 to 32767 that is free in every cluster."
        ),
    ),
    (
        {"plugins": ("kube-system/kindnet",), "networked": True},
        (
            ".existing.context: east has another network plugin: kube-system/kindnet. "
            "Take a cluster without one (kind: disableDefaultCNI), or with Cilium: pods cannot have two."
        ),
    ),
    (
        {"networked": True},
        (
            ".existing.context: east has another network plugin: one that shows no DaemonSet. "
            "Take a cluster without one (kind: disableDefaultCNI), or with Cilium: pods cannot have two."
        ),
    ),
    (
        {**with_cilium(), "release": None},
        (
            ".existing.context: east has a Cilium that Helm did not install, and that so cannot be "
            "given back. "
            "Install it with its chart as the release cilium in kube-system, or take another cluster."
        ),
    ),
    (
        with_cilium("1.15.9"),
        (
            ".existing.context: east runs Cilium 1.15.9, and the mesh 1.19.5: more than one minor "
            "version apart. "
            "Upgrade it to 1.19."
        ),
    ),
    (
        with_cilium(cluster_id="7"),
        (
            ".existing.context: east's Cilium has cluster-id 7, and the mesh needs 1 or 0. "
            "Change it there, or in the topology."
        ),
    ),
    (
        with_cilium(cluster_name="prod"),
        (
            ".existing.context: east's Cilium has cluster-name prod, and the mesh needs east or default. "
            "Change it there, or in the topology."
        ),
    ),
    (
        with_cilium(routing_mode="native"),
        (
            ".existing.context: east's Cilium has routing-mode native, and the mesh needs tunnel. "
            "Change it there, or in the topology."
        ),
    ),
    (
        with_cilium(tunnel_protocol="geneve"),
        (
            ".existing.context: east's Cilium has tunnel-protocol geneve, and the mesh needs vxlan. "
            "Change it there, or in the topology."
        ),
    ),
    (
        {"containers": ()},
        (
            ".existing.nodes: east's east-control-plane runs in no container of this machine's engine. "
            "Leave out existing.nodes: images are then pulled by the cluster's own kubelets."
        ),
    ),
    (
        {"pods": (IPv4Network("10.111.4.0/24"),), "pod_addresses": ()},
        (
            ".pod_cidr: 10.110.0.0/16, and east has pods in 10.111.4.0/24. "
            "Write the network that the cluster's pods have.\n"
            f"{PLACE}.pod_cidr: east uses 10.111.4.0/24, which overlaps the pods of west, 10.111.0.0/16. "
            "One of both must be another cluster: what exists cannot be moved from here."
        ),
    ),
    (
        {"node_addresses": (IPv4Address("10.161.3.4"),)},
        (
            ".existing.context: the node 10.161.3.4 of east lies in the services of west, 10.161.0.0/16. "
            "Nodes need addresses of their own: change that network, or take another cluster."
        ),
    ),
]


@pytest.mark.parametrize(("changes", "message"), CASES)
def test_says_exactly(changes: dict[str, Any], message: str) -> None:
    assert "\n".join(found(**changes)) == f"{PLACE}{message}"


def test_the_place_is_that_of_the_cluster_in_the_file() -> None:
    assert PLACE == "topologies/existing-pair.yaml:13:3 clusters.east"


def test_images_that_are_made_here_reach_no_node_that_only_its_api_reaches() -> None:
    of = topology("existing-pair")
    far = replace(of.cluster("east"), provider_options={"context": "prod"})
    elsewhere = replace(of, clusters=(far, of.cluster("west")))
    assert found(elsewhere, source="registry", containers=()) == []
    [said] = found(elsewhere, containers=())
    assert said.endswith(
        "clusters.east.existing: images are made here (--images source), and east is reached by its API "
        "alone. Say --images registry, so that its kubelets can pull them, or existing: {nodes: docker}."
    )


def test_addons_want_a_default_storage_class() -> None:
    of = topology("hub-spoke")
    theirs = replace(
        of.cluster("mgmt"),
        provider="existing",
        provider_options={"nodes": "docker"},
        pod_cidr=IPv4Network("10.110.0.0/16"),
        service_cidr=IPv4Network("10.160.0.0/16"),
    )
    mixed = replace(of, clusters=(theirs, *of.clusters[1:]))
    placed = place(of, catalog(from_environment()))
    problems = judge(
        mixed,
        {"mgmt": replace(SOUND, storage={"slow": False})},
        placed,
        cilium="v1.19.5",
        source="source",
        containers=SOUND.node_names,
    )
    [said] = [problem.message for problem in problems]
    assert said == "mgmt has no default StorageClass for the volumes of addons; there are slow"
