"""From what was seen to the steps that lie between: fresh, whole, and everything in the middle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.plan.resolve import (
    CONTROL_PLANE_MIB,
    NODE_DISK_MIB,
    SHARED_DISK_MIB,
    SYSTEM_DISK_MIB,
    WORKER_MIB,
    Seen,
    SeenCluster,
    budget,
    resolve,
)
from lab.plan.step import Plan, Step
from lab.topology.model import Topology
from lab.topology.read import read_topology

FOLDER = Path(__file__).parents[3] / "topologies"
GOLDEN = Path(__file__).parent / "golden"

BRING = (
    Step("images/program/cilium", "image-part", summary="build cilium", estimate_s=400.0),
    Step(
        "images/image/cilium:v1",
        "image-part",
        summary="make cilium:v1",
        needs=("images/program/cilium",),
        estimate_s=10.0,
    ),
    Step("tools/kind", "tool", summary="have kind", estimate_s=20.0),
    Step("tools/helm", "tool", summary="have helm", estimate_s=20.0),
)
"""What a source brings, in small."""

HERE = tuple(replace(step, done=True) for step in BRING)

WHOLE = SeenCluster(whole=True, named=True, configured=True, networked=True, meshed=True)


def topology(name: str, **network: str) -> Topology:
    read = read_topology(name, folder=FOLDER)
    return replace(read, network=replace(read.network, **network))  # type: ignore[arg-type]


def seen_whole(of: Topology, **others: SeenCluster) -> Seen:
    clusters = {cluster.name: WHOLE for cluster in of.clusters} | others
    return Seen(network=True, isolated=True, node_image=True, verified=True, clusters=clusters)


def pending(plan: Plan) -> list[str]:
    return [step.id for step in plan.pending]


@pytest.mark.parametrize("name", ["hub-spoke", "pair"])
def test_the_plan_of_a_fresh_lab_is_what_its_golden_file_says(name: str) -> None:
    # To renew it: write the text below to the file, and read the difference.
    plan = resolve(topology(name, egress="deny"), Seen(), bring=BRING)
    text = json.dumps(plan.as_json(), indent=1) + "\n"
    assert text == (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


def test_nothing_is_to_do_in_a_whole_lab() -> None:
    of = topology("hub-spoke", egress="deny")
    plan = resolve(of, seen_whole(of), bring=HERE)
    assert pending(plan) == []
    assert plan.estimate_s == 0


def test_a_whole_lab_needs_no_images_any_more() -> None:
    of = topology("pair")
    plan = resolve(of, replace(seen_whole(of), node_image=False), bring=BRING)
    assert pending(plan) == []


def test_a_mesh_that_was_not_proved_is_all_that_is_left() -> None:
    of = topology("pair")
    assert pending(resolve(of, replace(seen_whole(of), verified=False), bring=HERE)) == ["lab/verify"]


def test_a_stopped_cluster_is_started_and_asked_for_all_again() -> None:
    of = topology("pair")
    plan = resolve(of, seen_whole(of, east=SeenCluster(stopped=True)), bring=HERE)
    assert pending(plan) == [
        "east/create",
        "east/dns",
        "east/cilium",
        "east/network",
        "east/mesh",
        "lab/verify",
    ]
    assert plan.by_id["east/create"].summary == "start 1 node"


def test_a_stopped_cluster_needs_no_node_image() -> None:
    of = topology("pair")
    seen = replace(seen_whole(of, east=SeenCluster(stopped=True)), node_image=False)
    assert "images/node" not in pending(resolve(of, seen, bring=HERE))


def test_a_missing_cluster_needs_its_image_again() -> None:
    of = topology("pair")
    seen = replace(seen_whole(of, west=SeenCluster()), node_image=False)
    plan = resolve(of, seen, bring=HERE)
    assert pending(plan)[0] == "images/node"
    assert plan.by_id["west/create"].summary == "create 1 node, Kubernetes 1.35"
    assert not {"east/create", "east/cilium"} & set(pending(plan))


def test_a_missing_cluster_waits_for_everything_that_must_be_brought() -> None:
    of = topology("pair")
    plan = resolve(of, seen_whole(of, west=SeenCluster()), bring=(*BRING[:2], *HERE[2:]))
    assert plan.by_id["west/create"].needs == (
        "lab/network",
        "images/node",
        "tools/kind",
        "images/program/cilium",
        "images/image/cilium:v1",
    )


def test_new_addresses_of_a_peer_change_the_others_values_only() -> None:
    """A node that came back elsewhere: its peers' Cilium is configured anew, and proved."""
    of = topology("pair")
    changed = replace(WHOLE, configured=False)
    plan = resolve(of, seen_whole(of, east=changed), bring=HERE)
    # Whether agents serve the new values is not known before they have them.
    assert pending(plan) == ["east/cilium", "east/network", "east/mesh", "lab/verify"]


def test_a_mesh_api_server_that_is_away_is_waited_for() -> None:
    of = topology("pair")
    plan = resolve(of, seen_whole(of, west=replace(WHOLE, meshed=False)), bring=HERE)
    assert pending(plan) == ["west/mesh", "lab/verify"]


def test_another_dns_is_configured_and_waited_for() -> None:
    of = topology("pair")
    plan = resolve(of, seen_whole(of, west=replace(WHOLE, named=False)), bring=HERE)
    assert pending(plan) == ["west/dns", "lab/verify"]
    assert "west/dns" in plan.by_id["west/network"].needs


def test_every_cluster_is_there_before_any_is_told_of_its_peers() -> None:
    plan = resolve(topology("hub-spoke"), Seen(), bring=BRING)
    for name in ("mgmt", "app1", "app2"):
        assert {"mgmt/create", "app1/create", "app2/create"} <= set(plan.by_id[f"{name}/cilium"].needs)
    assert plan.by_id["lab/verify"].needs == (
        "mgmt/network",
        "mgmt/mesh",
        "app1/network",
        "app1/mesh",
        "app2/network",
        "app2/mesh",
    )


def test_isolation_comes_before_the_first_container() -> None:
    plan = resolve(topology("pair", egress="deny"), Seen(), bring=BRING)
    assert plan.by_id["lab/network"].needs == ("lab/isolation",)
    assert plan.by_id["east/dns"].summary == "DNS for the cluster only"
    order = [step.id for step in plan.steps]
    assert order.index("lab/isolation") < order.index("lab/network") < order.index("east/create")


def test_without_isolation_there_is_no_such_step() -> None:
    plan = resolve(topology("pair", egress="allow"), Seen(), bring=BRING)
    assert "lab/isolation" not in plan.by_id
    assert plan.by_id["lab/network"].needs == ()
    assert plan.by_id["east/dns"].summary == "DNS"


def test_isolation_that_was_lost_is_put_back() -> None:
    of = topology("pair", egress="deny")
    assert pending(resolve(of, replace(seen_whole(of), isolated=False), bring=HERE)) == [
        "lab/isolation",
        "lab/verify",
    ]


def test_without_a_mesh_the_probe_is_all_that_is_waited_for() -> None:
    of = topology("pair")
    plan = resolve(replace(of, mesh=replace(of.mesh, kind="none")), Seen(), bring=BRING)
    assert plan.by_id["east/cilium"].summary == "install Cilium"
    assert plan.by_id["east/mesh"].summary == "wait for the probe"


def test_what_took_longer_last_time_is_expected_to_again() -> None:
    took = {"east/create": 99.0, "images/program/cilium": 1234.0, "gone/create": 5.0}
    plan = resolve(topology("pair"), Seen(), bring=BRING, durations=took)
    assert plan.by_id["east/create"].estimate_s == 99.0
    assert plan.by_id["images/program/cilium"].estimate_s == 1234.0
    assert plan.by_id["west/create"].estimate_s == 35.0
    # program, image, node image, east, Cilium, mesh, verify
    assert plan.estimate_s == 1234 + 10 + 25 + 99 + 8 + 45 + 15


def test_a_large_lab_is_planned_at_once() -> None:
    plan = resolve(topology("scale-255"), Seen(), bring=BRING)
    assert len(plan.clusters) == 255
    assert len(plan.steps) == 255 * 5 + len(BRING) + 3


def test_the_budget_of_one_node_each() -> None:
    found = budget(topology("hub-spoke"))
    assert found.memory_mib == 3 * CONTROL_PLANE_MIB
    assert found.disk_mib == 3 * NODE_DISK_MIB + SHARED_DISK_MIB
    assert found.cpus == 2.0


def test_the_budget_of_several_control_plane_nodes() -> None:
    """Five of them in three clusters, and four workers."""
    found = budget(topology("hub-spoke-ha"))
    assert found.memory_mib == 5 * CONTROL_PLANE_MIB + 4 * WORKER_MIB
    assert found.disk_mib == 9 * NODE_DISK_MIB + SHARED_DISK_MIB
    assert found.cpus == 2.0


def test_the_budget_counts_only_what_is_still_to_make() -> None:
    of = topology("hub-spoke")
    assert budget(of, still_to_make=["app1"]).memory_mib == CONTROL_PLANE_MIB
    nothing = budget(of, still_to_make=[])
    assert (nothing.memory_mib, nothing.disk_mib, nothing.cpus) == (0, 0, 0.0)
    assert budget(topology("scale-255")).cpus == pytest.approx(38.2)


def test_clusters_that_others_made_are_reached_and_their_dns_is_theirs() -> None:
    of = topology("existing-pair")
    helm = BRING[3]
    plan = resolve(of, Seen(), bring=(helm,))
    assert pending(plan) == [
        "tools/helm",
        "east/create",
        "east/images",
        "west/create",
        "east/cilium",
        "east/network",
        "east/mesh",
        "west/images",
        "west/cilium",
        "west/network",
        "west/mesh",
        "lab/verify",
    ]
    assert plan.by_id["east/create"].summary == "reach 1 node, Kubernetes 1.35"
    assert plan.by_id["east/cilium"].needs == ("east/create", "west/create", "east/images", "tools/helm")
    # They take nothing of this machine.
    assert (plan.budget.memory_mib, plan.budget.disk_mib, plan.budget.cpus) == (0, 0, 0.0)


def test_where_nothing_can_be_run_on_nodes_no_image_is_brought() -> None:
    of = topology("existing-pair")
    far = tuple(replace(each, provider_options={"context": "c"}) for each in of.clusters)
    assert "east/images" not in resolve(replace(of, clusters=far), Seen(), bring=BRING[3:]).by_id


def test_a_hub_that_others_made_and_clusters_of_the_labs_own() -> None:
    of = topology("hub-spoke")
    hub = replace(of.cluster("mgmt"), provider="existing", provider_options={"nodes": "docker"})
    plan = resolve(replace(of, clusters=(hub, *of.clusters[1:])), Seen(), bring=BRING)
    assert plan.by_id["app1/create"].needs[:3] == ("lab/network", "images/node", "tools/kind")
    assert {"lab/network", "images/node", "tools/kind"}.isdisjoint(
        set(plan.by_id["mgmt/create"].needs) - {step.id for step in BRING}
    )
    assert "app1/dns" in plan.by_id
    assert "mgmt/dns" not in plan.by_id
    assert plan.budget.memory_mib == 2 * CONTROL_PLANE_MIB


def test_machines_are_given_addresses_first_and_made_of_the_node_image() -> None:
    of = topology("pair-multipass")
    plan = resolve(of, Seen(), bring=(BRING[0], BRING[3]))
    network = plan.by_id["lab/network"]
    assert (network.summary, network.done) == ("addresses for nodes in 10.200.0.0/24", False)
    assert plan.by_id["east/create"].needs[:2] == ("lab/network", "images/node")
    assert "east/images" not in plan.by_id
    # No container network of theirs can be seen: that they stand says that they were given addresses.
    assert resolve(of, seen_whole(of), bring=BRING).by_id["lab/network"].done
    one = replace(seen_whole(of), network=False, clusters={"east": seen_whole(of).cluster("east")})
    assert not resolve(of, one, bring=BRING).by_id["lab/network"].done


def test_machines_take_what_they_are_given_and_a_copy_of_the_node_image_each() -> None:
    found = budget(topology("article"))
    assert found.memory_mib == (10 + 7 + 7) * 1024
    assert found.disk_mib == SHARED_DISK_MIB + 3 * (SYSTEM_DISK_MIB + NODE_DISK_MIB + SHARED_DISK_MIB)
    small = replace(topology("pair-multipass").cluster("east"), provider_options={"disk": "5G"})
    of = replace(topology("pair-multipass"), clusters=(small,))
    assert budget(of).disk_mib == SHARED_DISK_MIB + 5 * 1024
