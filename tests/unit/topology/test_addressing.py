from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import InputError
from lab.topology.model import Addresses, Cluster, Kept, Topology
from lab.topology.read import read_topology
from lab.topology.snapshot import FREE_HOST, ContainerNetwork, HostSnapshot, LabCluster, OtherLab, Route


def net(text: str) -> IPv4Network:
    return IPv4Network(text)


def read(
    tmp_path: Path,
    text: str,
    *,
    snapshot: HostSnapshot = FREE_HOST,
    kept: Kept | None = None,
    name: str = "t",
) -> Topology:
    file = tmp_path / "t.yaml"
    file.write_text(f"version: lab/v1\nname: {name}\n{text}", encoding="utf-8")
    return read_topology(str(file), folder=tmp_path, snapshot=snapshot, kept=kept)


def refusal(
    tmp_path: Path, text: str, *, snapshot: HostSnapshot = FREE_HOST, kept: Kept | None = None
) -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, snapshot=snapshot, kept=kept)
    return caught.value.details.replace(f"{tmp_path}/", "")


def many(count: int) -> str:
    most = 255 if count <= 255 else 511
    return f"mesh: {{max_clusters: {most}}}\nclusters: {{all: {{count: {count}, prefix: c, role: app}}}}\n"


def networks(topology: Topology) -> list[IPv4Network]:
    found = [network for cluster in topology.clusters for network in (cluster.pod_cidr, cluster.service_cidr)]
    return [*found, topology.network.node_cidr]


def overlapping(found: list[IPv4Network]) -> bool:
    ordered = sorted(found)
    return any(int(a.broadcast_address) >= int(b.network_address) for a, b in pairwise(ordered))


def as_other_lab(topology: Topology) -> OtherLab:
    clusters = tuple(LabCluster(c.name, c.pod_cidr, c.service_cidr) for c in topology.clusters)
    return OtherLab(topology.name, clusters, topology.network.node_cidr)


THREE = "clusters:\n  mgmt: {role: mgmt}\n  app1: {role: app}\n  app2: {role: app}\n"


def test_three_clusters_get_the_documented_addresses(tmp_path: Path) -> None:
    topology = read(tmp_path, THREE)
    assert [(c.id, str(c.pod_cidr), str(c.service_cidr), c.mesh_port) for c in topology.clusters] == [
        (1, "10.100.0.0/16", "10.150.0.0/16", 32379),
        (2, "10.101.0.0/16", "10.151.0.0/16", 32380),
        (3, "10.102.0.0/16", "10.152.0.0/16", 32381),
    ]
    assert topology.network.node_cidr == net("10.200.0.0/24")


@given(count=st.integers(1, 511))
@settings(max_examples=25)
def test_any_number_of_clusters_fits_and_nothing_overlaps(
    tmp_path_factory: pytest.TempPathFactory, count: int
) -> None:
    topology = read(tmp_path_factory.mktemp("t"), many(count))
    assert len(topology.clusters) == count
    assert not overlapping(networks(topology))
    assert sorted(c.id for c in topology.clusters) == list(range(1, count + 1))
    ports = [c.mesh_port for c in topology.clusters]
    assert len(set(ports)) == count
    assert min(ports) >= 30000
    assert max(ports) <= 32767
    assert topology.network.node_cidr.num_addresses > count + 8 * count


@given(fewer=st.integers(1, 120), more=st.integers(1, 120))
@settings(max_examples=25)
def test_clusters_added_at_the_end_move_nobody(
    tmp_path_factory: pytest.TempPathFactory, fewer: int, more: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("t")
    busy = HostSnapshot(
        routes=(Route(net("10.100.0.0/15")), Route(net("10.151.0.0/24")), Route(net("10.206.0.0/16")))
    )
    small, large = (read(tmp_path, many(count), snapshot=busy) for count in (fewer, fewer + more))
    assert [c.addresses for c in large.clusters[:fewer]] == [c.addresses for c in small.clusters]


def routes() -> st.SearchStrategy[IPv4Network]:
    return st.builds(
        lambda low, prefix: IPv4Network((0x0A000000 + low * 4096, prefix), strict=False),
        st.integers(0, 4095),
        st.integers(10, 24),
    )


@given(st.lists(routes(), max_size=12), st.integers(1, 60))
@settings(max_examples=40)
def test_what_the_host_uses_is_never_given_out(
    tmp_path_factory: pytest.TempPathFactory, taken: list[IPv4Network], count: int
) -> None:
    snapshot = HostSnapshot(routes=tuple(Route(network) for network in taken))
    topology = read(tmp_path_factory.mktemp("t"), many(count), snapshot=snapshot)
    found = networks(topology)
    assert not overlapping(found)
    assert not any(network.overlaps(route) for network in found for route in taken)


@pytest.mark.parametrize("count", [3, 255, 511])
def test_a_second_lab_gets_other_addresses(tmp_path: Path, count: int) -> None:
    first = read(tmp_path, many(count), name="first")
    second = read(tmp_path, many(count), name="second", snapshot=HostSnapshot(labs=(as_other_lab(first),)))
    assert not overlapping([*networks(first), *networks(second)])


def test_the_same_lab_seen_again_gets_the_same_addresses(tmp_path: Path) -> None:
    first = read(tmp_path, THREE)
    assert read(tmp_path, THREE, snapshot=HostSnapshot(labs=(as_other_lab(first),))) == first


def test_only_who_is_in_the_way_moves(tmp_path: Path) -> None:
    snapshot = HostSnapshot(
        routes=(Route(net("10.101.4.0/24"), "tun0"),),
        resolvers=(IPv4Address("10.150.0.2"),),
        networks=(ContainerNetwork("x", (net("10.200.0.0/28"),)),),
    )
    mgmt, app1, app2 = read(tmp_path, THREE, snapshot=snapshot).clusters
    assert (mgmt.pod_cidr, mgmt.service_cidr) == (net("10.100.0.0/16"), net("10.204.0.0/20"))
    assert (app1.pod_cidr, app1.service_cidr) == (net("10.204.16.0/20"), net("10.151.0.0/16"))
    assert (app2.pod_cidr, app2.service_cidr) == (net("10.102.0.0/16"), net("10.152.0.0/16"))


def test_a_vpn_that_takes_all_of_10_leaves_shared_space(tmp_path: Path) -> None:
    topology = read(tmp_path, many(255), snapshot=HostSnapshot(routes=(Route(net("10.0.0.0/8"), "tun0"),)))
    assert topology.clusters[0].pod_cidr == net("100.64.0.0/20")
    assert topology.network.node_cidr == net("172.16.0.0/20")
    assert not overlapping(networks(topology))


def test_when_nothing_is_left_it_says_what_is_in_the_way(tmp_path: Path) -> None:
    routes = tuple(Route(net(text), "tun0") for text in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12"))
    way = (
        "in the way: the host's route 10.0.0.0/8 on tun0, the host's route 100.64.0.0/10 on tun0 "
        "and the host's route 172.16.0.0/12 on tun0"
    )
    nodes, pods = refusal(tmp_path, THREE, snapshot=HostSnapshot(routes=routes)).splitlines()
    assert nodes == (
        f"t.yaml:1:1 network: no private addresses are left for the nodes; {way}. "
        "Give network.node_cidr yourself, or remove what is in the way (a VPN, another lab)."
    )
    assert pods == (
        "t.yaml:4:3 clusters.mgmt: no private addresses are left for mgmt's pods (nor for 2 clusters "
        f"after it); {way}. "
        "Ask for fewer clusters or nodes, or remove what is in the way (a VPN, another lab)."
    )


def test_with_nothing_left_no_network_is_proposed(tmp_path: Path) -> None:
    text = "clusters:\n  a: {role: app, pod_cidr: 10.30.0.0/16}\n"
    routes = tuple(Route(net(part)) for part in ("10.0.0.0/8", "100.64.0.0/10"))
    assert refusal(tmp_path, text, snapshot=HostSnapshot(routes=routes)) == (
        "t.yaml:4:28 clusters.a.pod_cidr: 10.30.0.0/16 overlaps the host's route 10.0.0.0/8. "
        "Nothing that a lab may use is free: remove what is in the way (a VPN, another lab)."
    )


def test_pinned_values_stay_and_others_make_room(tmp_path: Path) -> None:
    text = (
        "network: {node_cidr: 10.201.0.0/22}\nclusters:\n"
        "  a: {role: app}\n"
        "  b: {role: app, id: 1, mesh_port: 32379, pod_cidr: 10.100.0.0/16, service_cidr: 10.99.0.0/20}\n"
    )
    topology = read(tmp_path, text)
    a, b = topology.clusters
    assert b.addresses == Addresses(1, net("10.100.0.0/16"), net("10.99.0.0/20"), 32379)
    assert a.addresses == Addresses(255, net("10.204.0.0/20"), net("10.150.0.0/16"), 30000)
    assert topology.network.node_cidr == net("10.201.0.0/22")


def test_ids_fill_up_to_the_last(tmp_path: Path) -> None:
    text = "clusters:\n  all: {count: 254, prefix: c, role: app}\n  last: {role: app, id: 7}\n"
    topology = read(tmp_path, text)
    assert sorted(c.id for c in topology.clusters) == list(range(1, 256))


def test_kept_addresses_outlive_reordering_and_newcomers(tmp_path: Path) -> None:
    before = read(tmp_path, THREE)
    after = read(
        tmp_path,
        "clusters:\n  new: {role: app}\n  app2: {role: app}\n  app1: {role: app}\n  mgmt: {role: mgmt}\n",
        kept=before.kept,
    )
    for name in ("mgmt", "app1", "app2"):
        assert after.cluster(name).addresses == before.cluster(name).addresses
    assert after.cluster("new").addresses == Addresses(
        255, net("10.204.0.0/20"), net("10.204.16.0/20"), 30000
    )
    assert after.network == before.network


def test_what_left_the_file_keeps_its_place_while_it_runs(tmp_path: Path) -> None:
    before = read(tmp_path, THREE)
    text = "clusters:\n  mgmt: {role: mgmt}\n  app3: {role: app}\n"
    app3 = read(tmp_path, text, kept=before.kept).cluster("app3")
    assert not overlapping([*networks(before), app3.pod_cidr, app3.service_cidr])
    assert app3.id not in {c.id for c in before.clusters}
    assert app3.mesh_port not in {c.mesh_port for c in before.clusters}


def test_a_running_lab_is_not_refused_for_what_the_host_did_later(tmp_path: Path) -> None:
    before = read(tmp_path, THREE)
    vpn = HostSnapshot(routes=(Route(net("10.96.0.0/11"), "tun0"), Route(net("10.200.0.0/16"), "tun0")))
    assert read(tmp_path, THREE, snapshot=vpn, kept=before.kept) == before


def test_ids_run_out_only_with_leftovers(tmp_path: Path) -> None:
    before = read(tmp_path, "clusters:\n  old: {role: app}\n")
    assert refusal(tmp_path, many(255), kept=before.kept).endswith(
        "clusters: 255 clusters, and 1 that left the file but still run, need more ids than the 255 "
        "of this mesh. Remove the lab with `./invoke down`, and make it anew."
    )


def test_a_cluster_knows_its_addresses(tmp_path: Path) -> None:
    cluster: Cluster = read(tmp_path, THREE).clusters[1]
    assert cluster.addresses == Addresses(2, net("10.101.0.0/16"), net("10.151.0.0/16"), 32380)
