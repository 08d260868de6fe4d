"""The host's routes, resolvers and listening ports: what a lab's addresses and ports must avoid."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

from lab.clients import process
from lab.errors import LabError
from lab.topology.snapshot import Route

_TOOL_S = 20.0

_VPN_DEVICES = (
    "tun",
    "tap",
    "wg",
    "ppp",
    "utun",
    "tailscale",
    "zt",
    "ipsec",
    "vpn",
    "nordlynx",
    "gpd",
    "cscotun",
)
"""How interfaces of common VPN clients begin; for the message only."""


def routes() -> tuple[Route, ...]:
    """The host's IPv4 routes of all tables, policy routing's (WireGuard, Tailscale) included."""
    if sys.platform == "darwin":
        return parse_netstat(process.run(["netstat", "-rn", "-f", "inet"], timeout=_TOOL_S).stdout)
    try:
        return parse_ip_routes(
            process.run(["ip", "-j", "route", "show", "table", "all"], timeout=_TOOL_S).stdout
        )
    except (LabError, ValueError):
        # No iproute2, or busybox's, which knows no JSON.
        return parse_proc_routes(Path("/proc/net/route").read_text())


def default_interfaces() -> tuple[str, ...]:
    """The interfaces through which packets for the rest of the world leave the host."""
    return tuple(dict.fromkeys(route.device for route in routes() if route.is_default and route.device))


def resolvers() -> tuple[IPv4Address, ...]:
    """The host's DNS servers, those behind a local stub included, loopback addresses left out."""
    if sys.platform == "darwin":
        return parse_scutil(process.run(["scutil", "--dns"], timeout=_TOOL_S).stdout)
    found: list[IPv4Address] = []
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if file.is_file():
            found += parse_resolv_conf(file.read_text(errors="replace"))
    return tuple(dict.fromkeys(found))


def listening_ports() -> frozenset[int]:
    """TCP ports on which something listens at 127.0.0.1 or at all addresses."""
    if sys.platform == "darwin":
        return parse_netstat_listeners(process.run(["netstat", "-an", "-p", "tcp"], timeout=_TOOL_S).stdout)
    found: set[int] = set()
    for file in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if file.is_file():
            found |= parse_proc_listeners(file.read_text())
    return frozenset(found)


def parse_ip_routes(text: str) -> tuple[Route, ...]:
    """The routes in the output of ``ip -j route show table all``.

    The table ``local`` holds the host's own addresses. They lie in connected networks, except the
    odd /32 (on a dummy interface, say): only such are kept of it.
    """
    found: list[Route] = []
    own: list[Route] = []
    for entry in json.loads(text):
        network = _network(entry.get("dst", ""))
        if network is None or network.is_multicast or network.is_loopback:
            continue
        route = _route(network, entry.get("dev") or "")
        if entry.get("table") != "local":
            found.append(route)
        elif entry.get("type") == "local":
            own.append(route)
    covered = [route.network for route in found if not route.is_default]
    found += [route for route in own if not any(route.network.subnet_of(network) for network in covered)]
    return _unique(found)


def parse_proc_routes(text: str) -> tuple[Route, ...]:
    """The routes in /proc/net/route: the main table, addresses as little-endian hexadecimals."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        # Bit 0 of the flags is RTF_UP.
        if len(words) >= 8 and int(words[3], 16) & 1:
            address, mask = (IPv4Address(bytes.fromhex(word)[::-1]) for word in (words[1], words[7]))
            found.append(_route(IPv4Network(f"{address}/{mask}", strict=False), words[0]))
    return _unique(found)


def parse_netstat(text: str) -> tuple[Route, ...]:
    """The routes in the output of macOS' ``netstat -rn -f inet``, without its ARP entries (flag L)."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4 or words[0] in {"Destination", "Routing", "Internet:"} or "L" in words[2]:
            continue
        network = _network(_whole(words[0]))
        if network is not None and not network.is_multicast and not network.is_loopback:
            found.append(_route(network, words[3]))
    return _unique(found)


def parse_resolv_conf(text: str) -> list[IPv4Address]:
    """The IPv4 name servers of a resolv.conf, loopback ones left out."""
    lines = (line.split() for line in text.splitlines())
    return _servers(words[1] for words in lines if len(words) >= 2 and words[0] == "nameserver")


def parse_scutil(text: str) -> tuple[IPv4Address, ...]:
    """The IPv4 name servers in the output of macOS' ``scutil --dns``."""
    lines = (line.partition(":") for line in text.splitlines())
    return tuple(
        dict.fromkeys(
            _servers(value.strip() for key, _, value in lines if key.strip().startswith("nameserver["))
        )
    )


def parse_proc_listeners(text: str) -> set[int]:
    """Ports of /proc/net/tcp or tcp6 in the state LISTEN (0A) at loopback or at all addresses."""
    found = set()
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 4 or words[3] != "0A":
            continue
        address, _, port = words[1].partition(":")
        everywhere = not address.strip("0")
        # Words of 32 bits in host order: 127.0.0.1 ends in 7F, ::1 is ...01000000.
        loopback = (len(address) == 8 and address.endswith("7F")) or address.endswith("00000000" + "01000000")
        if everywhere or loopback:
            found.add(int(port, 16))
    return found


def parse_netstat_listeners(text: str) -> frozenset[int]:
    """Ports of macOS' ``netstat -an -p tcp`` that listen at loopback or at all addresses."""
    found = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 6 and words[5] == "LISTEN":
            address, _, port = words[3].rpartition(".")
            if port.isdigit() and address in {"*", "127.0.0.1", "::1"}:
                found.add(int(port))
    return frozenset(found)


def _servers(words: Iterable[str]) -> list[IPv4Address]:
    found = []
    for word in words:
        try:
            address = ip_address(word.partition("%")[0])
        except ValueError:
            continue
        if isinstance(address, IPv4Address) and not address.is_loopback and not address.is_unspecified:
            found.append(address)
    return found


def _route(network: IPv4Network, device: str) -> Route:
    return Route(network, device, "a VPN" if device.startswith(_VPN_DEVICES) else "")


def _network(text: str) -> IPv4Network | None:
    """The IPv4 network of a route's destination, None for IPv6 and anything else."""
    if text == "default":
        return IPv4Network("0.0.0.0/0")
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        return None


def _whole(destination: str) -> str:
    """Netstat's short form in full: ``10.8/16`` is 10.8.0.0/16, ``192.168.1`` is 192.168.1.0/24."""
    address, slash, mask = destination.partition("/")
    octets = address.split(".")
    if not all(octet.isdigit() for octet in octets):
        return destination
    full = ".".join([*octets, "0", "0", "0"][:4])
    return f"{full}/{mask if slash else 8 * len(octets)}"


def _unique(found: Iterable[Route]) -> tuple[Route, ...]:
    return tuple(dict.fromkeys(found))
