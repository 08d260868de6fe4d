"""Routes, resolvers and ports, as the tools of each system print them."""

from __future__ import annotations

import json
import socket
import sys
from ipaddress import IPv4Address, IPv4Network

import pytest

from lab.host import network
from lab.topology.snapshot import Route


def test_routes_of_all_tables() -> None:
    entries = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "flags": []},
        {"dst": "10.8.0.0/24", "dev": "tun0"},
        {"dst": "0.0.0.0/1", "dev": "wg0", "table": "51820"},
        {"dst": "192.0.2.0/24", "dev": "eth0", "protocol": "kernel"},
        {"dst": "192.0.2.2", "dev": "eth0", "table": "local", "type": "local"},
        {"dst": "10.9.9.9", "dev": "lo", "table": "local", "type": "local"},
        {"dst": "192.0.2.255", "dev": "eth0", "table": "local", "type": "broadcast"},
        {"dst": "127.0.0.0/8", "dev": "lo", "table": "local", "type": "local"},
        {"type": "blackhole", "dst": "10.50.0.0/16", "dev": None},
        {"dst": "fe80::/64", "dev": "eth0"},
        {"type": "multicast", "dst": "224.0.0.0/4", "dev": "eth0"},
    ]
    assert network.parse_ip_routes(json.dumps(entries)) == (
        Route(IPv4Network("0.0.0.0/0"), "eth0"),
        Route(IPv4Network("10.8.0.0/24"), "tun0", "a VPN"),
        Route(IPv4Network("0.0.0.0/1"), "wg0", "a VPN"),
        Route(IPv4Network("192.0.2.0/24"), "eth0"),
        Route(IPv4Network("10.50.0.0/16")),
        Route(IPv4Network("10.9.9.9/32"), "lo"),
    )


def test_routes_without_iproute2() -> None:
    text = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
down0\t0000000A\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0
"""
    assert network.parse_proc_routes(text) == (
        Route(IPv4Network("0.0.0.0/0"), "eth0"),
        Route(IPv4Network("172.17.0.0/16"), "docker0"),
    )


def test_routes_of_macos() -> None:
    text = """\
Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.1.1        UGScg                 en0
10.8/16            10.8.0.2           UGSc                utun4
10.8.0.2           10.8.0.1           UH                  utun4
127                127.0.0.1          UCS                   lo0
169.254            link#6             UCS                   en0      !
192.168.1          link#6             UCS                   en0      !
192.168.1.1        0:11:22:33:44:55   UHLWIir               en0   1190
224.0.0/4          link#6             UmCS                  en0      !
"""
    assert network.parse_netstat(text) == (
        Route(IPv4Network("0.0.0.0/0"), "en0"),
        Route(IPv4Network("10.8.0.0/16"), "utun4", "a VPN"),
        Route(IPv4Network("10.8.0.2/32"), "utun4", "a VPN"),
        Route(IPv4Network("169.254.0.0/16"), "en0"),
        Route(IPv4Network("192.168.1.0/24"), "en0"),
    )


def test_resolvers() -> None:
    text = """\
# made by somebody
nameserver 127.0.0.53
nameserver 10.0.0.53
nameserver fe80::1%eth0
nameserver nonsense
options edns0
nameserver
"""
    assert network.parse_resolv_conf(text) == [IPv4Address("10.0.0.53")]


def test_resolvers_of_macos() -> None:
    text = """\
resolver #1
  nameserver[0] : 192.168.1.1
  nameserver[1] : fd00::1
  reach    : 0x00020002 (Reachable,Directly Reachable Address)
resolver #2
  domain   : corp.example
  nameserver[0] : 10.20.0.2
resolver #3
  nameserver[0] : 192.168.1.1
"""
    assert network.parse_scutil(text) == (IPv4Address("192.168.1.1"), IPv4Address("10.20.0.2"))


def test_listeners() -> None:
    text = """\
  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 00000000:0016 00000000:0000 0A 00000000:00000000
   2: 0200A8C0:0050 00000000:0000 0A 00000000:00000000
   3: 0100007F:2328 0100007F:1F90 01 00000000:00000000
   4: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A
   5: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A
"""
    assert network.parse_proc_listeners(text) == {8080, 22, 631, 443}


def test_listeners_of_macos() -> None:
    text = """\
Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)
tcp4       0      0  127.0.0.1.8080         *.*                    LISTEN
tcp46      0      0  *.6443                 *.*                    LISTEN
tcp4       0      0  192.168.1.5.22         *.*                    LISTEN
tcp4       0      0  127.0.0.1.9000         127.0.0.1.52011        ESTABLISHED
"""
    assert network.parse_netstat_listeners(text) == {8080, 6443}


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="reads the system's own tables")
def test_a_port_that_listens_is_seen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert port not in network.listening_ports()
        server.listen()
        assert port in network.listening_ports()


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="reads the system's own tables")
def test_this_machine_has_routes() -> None:
    assert all(isinstance(route, Route) for route in network.routes())
    assert set(network.default_interfaces()) <= {route.device for route in network.routes()}
