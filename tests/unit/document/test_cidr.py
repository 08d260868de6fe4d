from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.document.cidr import NotNetwork, is_private, nested, parse_cidr, prefix_for, span


def networks() -> st.SearchStrategy[IPv4Network]:
    # A small corner of 10/8, so that networks do meet.
    return st.builds(
        lambda address, prefix: IPv4Network((0x0A000000 + address * 256, prefix), strict=False),
        st.integers(0, 1023),
        st.integers(14, 24),
    )


def test_host_bits_do_not_hide_the_network() -> None:
    cidr = parse_cidr("10.97.0.0/12")
    assert cidr.network == IPv4Network("10.96.0.0/12")
    assert cidr.text != str(cidr.network)
    assert span(cidr.network) == "10.96.0.0-10.111.255.255"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0/8",
        "ten/8",
        "10.0.0.0/-1",
        "fd00::/8",
        "010.0.0.0/8",
    ],
)
def test_what_is_not_a_network_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(NotNetwork) as caught:
        parse_cidr(text)
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("10.0.0.0/8", True),
        ("172.31.0.0/16", True),
        ("172.32.0.0/16", False),
        ("100.127.0.0/16", True),
        ("100.128.0.0/16", False),
        ("192.168.0.0/15", False),
        ("127.0.0.0/8", False),
        ("169.254.0.0/16", False),
    ],
)
def test_private_is_rfc_1918_and_6598(text: str, private: bool) -> None:
    assert is_private(IPv4Network(text)) is private


@pytest.mark.parametrize(
    ("addresses", "prefix"), [(1, 32), (2, 31), (3, 30), (256, 24), (257, 23), (65536, 16)]
)
def test_the_longest_prefix_that_is_large_enough(addresses: int, prefix: int) -> None:
    assert prefix_for(addresses) == prefix


@given(st.lists(networks(), max_size=30))
def test_the_sweep_finds_what_comparing_all_pairs_finds(found: list[IPv4Network]) -> None:
    distinct = set(found)
    pairs = {(a, b) for a in distinct for b in distinct if a != b and b.subnet_of(a)}
    assert {(outer, inner) for outer, inners in nested(found).items() for inner in inners} == pairs
