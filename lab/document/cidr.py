"""IPv4 networks as people write them, and the words to talk about them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

# RFC 1918, and RFC 6598's shared space, which clouds use for pods. Python's is_private says less and more:
# it leaves out 100.64.0.0/10 and takes in loopback, link-local and documentation networks.
PRIVATE: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)

_CIDR = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}")


class NotNetwork(ValueError):
    """The text is not one IPv4 network; ``str()`` says why, ``remedy`` what to write."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True)
class Cidr:
    """A network and the text that stands for it.

    The text may have host bits (``10.97.0.0/12``, which *is* ``10.96.0.0/12``): that is a problem to
    report, but what it collides with can be said all the same, so ``network`` is always there.
    """

    text: str
    network: IPv4Network


def parse_cidr(text: str) -> Cidr:
    """Read ``10.100.0.0/16``. Host bits are kept for the caller to see. Raises NotNetwork."""
    if "," in text:
        raise NotNetwork("is more than one network", "Give one IPv4 network: a lab is single-stack.")
    if ":" in text:
        raise NotNetwork("is IPv6", "Give an IPv4 network such as 10.100.0.0/16: a lab is IPv4 only.")
    if "/" not in text:
        raise NotNetwork("has no prefix length", f"Write how large it is, such as {text}/16.")
    address, _, prefix = text.partition("/")
    if not _CIDR.fullmatch(text) or int(prefix) > 32:
        raise NotNetwork(
            "is not a network in CIDR notation", "Write it as address/prefix, such as 10.100.0.0/16."
        )
    try:
        network = IPv4Network((str(IPv4Address(address)), int(prefix)), strict=False)
    except ValueError:
        raise NotNetwork(
            "is not a network in CIDR notation",
            "Each part of the address is 0 to 255, without leading zeros.",
        ) from None
    return Cidr(text, network)


def is_private(network: IPv4Network) -> bool:
    """Tell whether all of ``network`` is address space that anybody may use."""
    return any(network.subnet_of(private) for private in PRIVATE)


def span(network: IPv4Network) -> str:
    """Write a network's first and last address: ``10.96.0.0-10.111.255.255``."""
    return f"{network.network_address}-{network.broadcast_address}"


def nested(networks: Iterable[IPv4Network]) -> dict[IPv4Network, list[IPv4Network]]:
    """Return, for each network that holds others, those others; equal networks count once.

    Two CIDR networks overlap only by one holding the other. So a walk in order of first address, widest
    first, with the chain of networks that are still open, finds all overlaps of n networks in n log n steps
    without comparing all pairs; the chain is never longer than there are prefix lengths.
    """
    inside: dict[IPv4Network, list[IPv4Network]] = {}
    chain: list[tuple[int, IPv4Network]] = []
    for network in sorted(set(networks)):
        while chain and chain[-1][0] < int(network.network_address):
            chain.pop()
        for _, outer in chain:
            inside.setdefault(outer, []).append(network)
        chain.append((int(network.broadcast_address), network))
    return inside


def prefix_for(addresses: int) -> int:
    """Return the longest prefix whose network has at least ``addresses`` addresses (1 or more)."""
    return 32 - (addresses - 1).bit_length()
