"""Address space: what is taken, and where to look for what is free.

Everything is deterministic and first-fit, so the same topology on the same host gets the same
addresses, and a cluster added at the end moves none of those before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Final

from lab.document.cidr import prefix_for

# kube-controller-manager's --node-cidr-mask-size is 24 for IPv4, and kubeadm leaves it so
# (kubernetes/kubernetes cmd/kubeadm/app/apis/kubeadm/validation, defaultNodeMaskCIDRIPv4).
NODE_MASK: Final = 24

# Cluster i of the first 50 gets 10.(100+i).0.0/16 for pods and 10.(150+i).0.0/16 for services: numbers that
# a person can read in a packet dump. Whoever cannot have theirs goes to the pools below, never to another
# cluster's slot, which is why one cluster's bad luck does not move the rest.
SLOTS: Final = 50
POD_SLOTS: Final = 100
SERVICE_SLOTS: Final = 150
SLOT_PREFIX: Final = 16

# Past the slots: 16 nodes, 4096 services. 511 clusters of that size take 64 of the /16s below.
SMALL_PREFIX: Final = 20


def _octets(first: int, last: int) -> tuple[tuple[int, int], ...]:
    return ((int(IPv4Network(f"10.{first}.0.0/16")[0]), int(IPv4Network(f"10.{last}.0.0/16")[-1])),)


def _whole(text: str) -> tuple[tuple[int, int], ...]:
    network = IPv4Network(text)
    return ((int(network[0]), int(network[-1])),)


# In order of how seldom others use them. Left for last: 10.0-10.15 (home and office networks), 10.42-10.43
# (k3s), 10.88-10.89 (Podman), 10.244 (kind's and flannel's pods). 10.100-10.199 are the slots, 10.200-10.203
# the nodes'. Where a VPN routes all of 10/8, RFC 6598's shared space remains.
CLUSTER_POOLS: Final = (
    *_octets(204, 243),
    *_octets(245, 255),
    *_octets(16, 41),
    *_octets(44, 87),
    *_octets(90, 99),
    *_octets(0, 15),
    *_octets(42, 43),
    *_octets(88, 89),
    *_octets(244, 244),
    *_whole("100.64.0.0/11"),
    *_whole("100.96.0.0/12"),
    *_whole("100.112.0.0/13"),
)

# Clear of every pool that Docker takes networks from by itself, 172.17.0.0/16 to 172.31.0.0/16 and
# 192.168.0.0/16 (moby/moby daemon/libnetwork/ipamutils/utils.go): a suspended lab's network is gone, and
# Docker would give an address from its pools to the next project that asks.
NODE_POOLS: Final = (*_octets(200, 203), *_whole("172.16.0.0/16"), *_whole("100.120.0.0/14"))

# The smallest node network, and room beside the nodes for the gateway, registry and proxies of a lab and,
# per cluster, for load-balancer addresses.
NODE_NETWORK_PREFIX: Final = 24
NODE_NETWORK_SPARE: Final = 16
LOAD_BALANCER_ADDRESSES: Final = 8


def pod_prefix_for(nodes: int) -> int:
    """Return the longest prefix that holds a /24 of pods for each of ``nodes``."""
    return NODE_MASK - (nodes - 1).bit_length()


def node_prefix_for(*, nodes: int, clusters: int) -> int:
    """Return the prefix of a lab's node network: room for growth, and at least a /24."""
    return min(
        NODE_NETWORK_PREFIX, prefix_for(nodes + NODE_NETWORK_SPARE + clusters * LOAD_BALANCER_ADDRESSES)
    )


class Space:
    """A set of IPv4 addresses that are taken, kept as disjoint, merged, sorted intervals."""

    def __init__(self, taken: Iterable[IPv4Network] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for network in taken:
            self.take(network)

    def take(self, network: IPv4Network) -> None:
        """Mark a network as taken; overlaps with what is taken already are fine."""
        first, last = int(network.network_address), int(network.broadcast_address)
        # All intervals that touch or overlap this one, from left to right, melt into one.
        left = bisect_left(self._lasts, first - 1)
        right = bisect_right(self._firsts, last + 1)
        if left < right:
            first, last = min(first, self._firsts[left]), max(last, self._lasts[right - 1])
        self._firsts[left:right] = [first]
        self._lasts[left:right] = [last]

    def is_free(self, network: IPv4Network) -> bool:
        """Tell whether no address of ``network`` is taken."""
        return self._obstacle(int(network.network_address), int(network.broadcast_address)) is None

    def find(self, pools: Iterable[tuple[int, int]], *, prefix: int) -> IPv4Network | None:
        """Return the first free network of that size in ``pools``, in their order; None if there is none."""
        size = 1 << (32 - prefix)
        for first, last in pools:
            start = -(-first // size) * size
            while start + size - 1 <= last:
                obstacle = self._obstacle(start, start + size - 1)
                if obstacle is None:
                    return IPv4Network((start, prefix))
                start = -(-(obstacle + 1) // size) * size
        return None

    def pods(self, index: int, *, nodes: int) -> IPv4Network | None:
        """Return free pod addresses for cluster number ``index`` (from 0) with that many nodes."""
        prefix = pod_prefix_for(nodes)
        slot = pod_slot(index) if prefix >= SLOT_PREFIX else None
        if slot and self.is_free(slot):
            return slot
        return self.find(CLUSTER_POOLS, prefix=min(SMALL_PREFIX, prefix))

    def services(self, index: int) -> IPv4Network | None:
        """Return free service addresses for cluster number ``index`` (from 0)."""
        slot = service_slot(index)
        return slot if slot and self.is_free(slot) else self.find(CLUSTER_POOLS, prefix=SMALL_PREFIX)

    def nodes(self, *, nodes: int, clusters: int) -> IPv4Network | None:
        """Return free addresses for the nodes of a lab of that size."""
        return self.find(NODE_POOLS, prefix=node_prefix_for(nodes=nodes, clusters=clusters))

    def _obstacle(self, first: int, last: int) -> int | None:
        """Return the last address of the first taken interval that meets first..last."""
        at = bisect_left(self._lasts, first)
        return self._lasts[at] if at < len(self._lasts) and self._firsts[at] <= last else None


def pod_slot(index: int) -> IPv4Network | None:
    """Return 10.(100+i).0.0/16 for the first 50 clusters, None for later ones."""
    return IPv4Network(f"10.{POD_SLOTS + index}.0.0/{SLOT_PREFIX}") if index < SLOTS else None


def service_slot(index: int) -> IPv4Network | None:
    """Return 10.(150+i).0.0/16 for the first 50 clusters, None for later ones."""
    return IPv4Network(f"10.{SERVICE_SLOTS + index}.0.0/{SLOT_PREFIX}") if index < SLOTS else None
