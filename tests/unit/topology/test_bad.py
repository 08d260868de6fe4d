"""Every way to get a topology wrong that we know of, and exactly what is said about it.

A case is a file ``bad/NAME.yaml`` beside ``bad/NAME.expected.txt``, which holds the whole message. All are
read on the same busy host: a VPN, Docker's bridge, a DNS server in a routed network, a running lab and
a suspended one.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.topology.read import read_topology
from lab.topology.snapshot import ContainerNetwork, HostSnapshot, LabCluster, OtherLab, Route

BAD = Path(__file__).parent / "bad"
NAMES = sorted(path.stem for path in BAD.glob("*.yaml"))

HOST = HostSnapshot(
    routes=(
        Route(IPv4Network("0.0.0.0/0"), "eth0", "the default route"),
        Route(IPv4Network("10.8.0.0/16"), "tun0", "VPN"),
        Route(IPv4Network("172.17.0.0/16"), "docker0"),
        Route(IPv4Network("192.168.1.0/24"), "eth0"),
    ),
    networks=(
        ContainerNetwork("bridge", (IPv4Network("172.17.0.0/16"),)),
        ContainerNetwork("lab-classroom", (IPv4Network("10.200.0.0/24"),), lab="classroom"),
    ),
    resolvers=(IPv4Address("10.53.0.2"), IPv4Address("127.0.0.53")),
    labs=(
        OtherLab(
            "classroom",
            (LabCluster("east", IPv4Network("10.112.0.0/16"), IPv4Network("10.160.0.0/16")),),
            IPv4Network("10.200.0.0/24"),
        ),
        OtherLab(
            "asleep",
            (LabCluster("north", IPv4Network("10.120.0.0/16"), IPv4Network("10.170.0.0/16")),),
            IPv4Network("10.200.9.0/24"),
        ),
    ),
)

LINE = re.compile(r"bad/[a-z0-9-]+\.yaml:\d+:\d+ [a-z]\S*: .+[^.]\. [A-Z].*[.?]")


def message(name: str) -> str:
    with pytest.raises(InputError) as caught:
        read_topology(name, folder=BAD, snapshot=HOST)
    return f"{caught.value}\n"


@pytest.mark.parametrize("name", NAMES)
def test_says_exactly(name: str) -> None:
    expected = BAD / f"{name}.expected.txt"
    assert message(name) == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_is_one_line_of_place_path_fault_and_remedy(name: str) -> None:
    for line in message(name).splitlines()[1:-1]:
        assert LINE.fullmatch(line), line


def test_there_are_enough_cases_and_no_orphans() -> None:
    assert len(NAMES) >= 90
    assert {path.name.removesuffix(".expected.txt") for path in BAD.glob("*.txt")} == set(NAMES)
