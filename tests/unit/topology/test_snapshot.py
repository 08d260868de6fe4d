from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from lab.topology.snapshot import FREE_HOST, ContainerNetwork, HostSnapshot, LabCluster, OtherLab, Route


def net(text: str) -> IPv4Network:
    return IPv4Network(text)


def words(snapshot: HostSnapshot, *, lab: str = "mine", node_cidr: IPv4Network | None = None) -> list[str]:
    return [fact.words for fact in snapshot.facts(lab=lab, node_cidr=node_cidr)]


def test_a_free_host_is_in_nobodys_way() -> None:
    assert words(FREE_HOST) == []


def test_default_routes_claim_nothing_even_in_halves() -> None:
    routes = tuple(Route(net(text), "tun0") for text in ("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"))
    assert words(HostSnapshot(routes=routes)) == []


def test_a_vpn_is_named_by_device_and_description() -> None:
    snapshot = HostSnapshot(
        routes=(Route(net("10.8.0.0/16"), "utun3", "corporate VPN"), Route(net("10.9.0.0/16")))
    )
    assert words(snapshot) == [
        "the host's route 10.8.0.0/16 on utun3 (corporate VPN)",
        "the host's route 10.9.0.0/16",
    ]


def test_a_container_network_and_its_route_are_one_thing() -> None:
    snapshot = HostSnapshot(
        routes=(Route(net("172.18.0.0/16"), "br-1"),),
        networks=(ContainerNetwork("kind", (net("172.18.0.0/16"),)),),
    )
    assert words(snapshot) == ['the container network "kind", 172.18.0.0/16']


def test_what_is_ours_is_not_in_our_way() -> None:
    snapshot = HostSnapshot(
        routes=(Route(net("10.200.0.0/24"), "br-2"), Route(net("10.200.5.0/24"), "br-3")),
        networks=(ContainerNetwork("lab-mine", (net("10.200.0.0/24"),), lab="mine"),),
        labs=(
            OtherLab(
                "mine", (LabCluster("a", net("10.100.0.0/16"), net("10.150.0.0/16")),), net("10.200.0.0/24")
            ),
        ),
    )
    assert words(snapshot) == ["the host's route 10.200.5.0/24 on br-3"]
    assert words(snapshot, node_cidr=net("10.200.5.0/24")) == []
    assert len(words(snapshot, lab="other")) == 4


def test_a_suspended_lab_still_has_its_nodes() -> None:
    lab = OtherLab("asleep", (), net("10.200.9.0/24"))
    assert words(HostSnapshot(labs=(lab,))) == ['the nodes of lab "asleep", 10.200.9.0/24']
    running = ContainerNetwork("lab-asleep", (net("10.200.9.0/24"),), lab="asleep")
    assert words(HostSnapshot(labs=(lab,), networks=(running,))) == [
        'the container network "lab-asleep" of lab "asleep", 10.200.9.0/24'
    ]


def test_dns_servers_are_in_the_way() -> None:
    assert words(HostSnapshot(resolvers=(IPv4Address("10.0.0.2"),))) == ["the host's DNS server 10.0.0.2"]
