from __future__ import annotations

from ipaddress import IPv4Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.topology.space import (
    CLUSTER_POOLS,
    NODE_POOLS,
    Space,
    node_prefix_for,
    pod_prefix_for,
    pod_slot,
    service_slot,
)

TEN = ((int(IPv4Network("10.0.0.0/16")[0]), int(IPv4Network("10.0.0.0/16")[-1])),)


def net(text: str) -> IPv4Network:
    return IPv4Network(text)


def corner() -> st.SearchStrategy[IPv4Network]:
    return st.builds(
        lambda address, prefix: IPv4Network((0x0A000000 + address * 256, prefix), strict=False),
        st.integers(0, 255),
        st.integers(17, 26),
    )


@given(st.lists(corner(), max_size=20), corner())
def test_free_means_overlapping_nothing_that_was_taken(taken: list[IPv4Network], asked: IPv4Network) -> None:
    assert Space(taken).is_free(asked) == (not any(network.overlaps(asked) for network in taken))


@given(st.lists(corner(), max_size=20), st.integers(18, 26))
def test_find_returns_the_first_that_is_free(taken: list[IPv4Network], prefix: int) -> None:
    expected = next(
        (s for s in net("10.0.0.0/16").subnets(new_prefix=prefix) if not any(s.overlaps(t) for t in taken)),
        None,
    )
    assert Space(taken).find(TEN, prefix=prefix) == expected


def test_the_slots_are_the_documented_ones() -> None:
    assert (pod_slot(0), service_slot(0)) == (net("10.100.0.0/16"), net("10.150.0.0/16"))
    assert (pod_slot(49), service_slot(49)) == (net("10.149.0.0/16"), net("10.199.0.0/16"))
    assert (pod_slot(50), service_slot(50)) == (None, None)


def test_who_cannot_have_a_slot_gets_no_other_clusters_slot() -> None:
    space = Space([net("10.100.0.0/24"), net("10.150.7.0/24")])
    assert space.pods(0, nodes=1) == net("10.204.0.0/20")
    assert space.services(0) == net("10.204.0.0/20")


@pytest.mark.parametrize(("nodes", "prefix"), [(1, 24), (2, 23), (3, 22), (256, 16), (257, 15)])
def test_every_node_has_room_for_its_pods(nodes: int, prefix: int) -> None:
    assert pod_prefix_for(nodes) == prefix


def test_a_cluster_too_large_for_a_slot_gets_a_larger_block() -> None:
    assert Space().pods(0, nodes=257) == net("10.204.0.0/15")


@pytest.mark.parametrize(
    ("nodes", "clusters", "prefix"),
    [(2, 2, 24), (3, 3, 24), (20, 20, 24), (30, 30, 23), (255, 255, 20), (511, 511, 19)],
)
def test_the_node_network_grows_with_the_lab(nodes: int, clusters: int, prefix: int) -> None:
    assert node_prefix_for(nodes=nodes, clusters=clusters) == prefix


def test_pools_do_not_meet_one_another_nor_the_slots() -> None:
    slots = (int(net("10.100.0.0/16")[0]), int(net("10.199.0.0/16")[-1]))
    ranges = sorted([*CLUSTER_POOLS, *NODE_POOLS, slots])
    assert all(first <= last for first, last in ranges)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(ranges))


def test_node_pools_are_clear_of_what_docker_gives_out() -> None:
    docker = [net(f"172.{second}.0.0/16") for second in range(17, 32)] + [net("192.168.0.0/16")]
    for first, last in NODE_POOLS:
        assert not any(first <= int(network[-1]) and int(network[0]) <= last for network in docker)
