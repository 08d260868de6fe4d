"""What was seen on the host before a lab is planned.

Observing is done elsewhere; here are only the facts, handed in, so that planning stays pure and a test
can invent any host it likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final


@dataclass(frozen=True)
class Route:
    """A route of the host, VPNs included. ``device`` and ``description`` are for messages only."""

    network: IPv4Network
    device: str = ""
    description: str = ""

    @property
    def is_default(self) -> bool:
        """Whether this is where everything without a better route goes.

        A VPN that takes all traffic may split it in two (OpenVPN's ``redirect-gateway def1`` adds
        0.0.0.0/1 and 128.0.0.0/1): those are a default route as well, and claim no network.
        """
        return self.network.prefixlen <= 1


@dataclass(frozen=True)
class ContainerNetwork:
    """A network of the container engine. ``lab`` is the value of its ``lab/name`` label, if it has one."""

    name: str
    subnets: tuple[IPv4Network, ...]
    lab: str | None = None


@dataclass(frozen=True)
class LabCluster:
    """A cluster of another lab on this host."""

    name: str
    pods: IPv4Network
    services: IPv4Network


@dataclass(frozen=True)
class OtherLab:
    """A lab on this host, running or suspended. One that has the name of ours is ours, and is skipped."""

    name: str
    clusters: tuple[LabCluster, ...] = ()
    node_cidr: IPv4Network | None = None


@dataclass(frozen=True)
class Fact:
    """Address space that the host uses already, and how to speak of it."""

    network: IPv4Network
    words: str


@dataclass(frozen=True)
class HostSnapshot:
    """Everything on the host that a lab's addresses could collide with. Empty: a free host."""

    routes: tuple[Route, ...] = ()
    networks: tuple[ContainerNetwork, ...] = ()
    resolvers: tuple[IPv4Address, ...] = ()
    labs: tuple[OtherLab, ...] = ()

    def facts(self, *, lab: str, node_cidr: IPv4Network | None) -> tuple[Fact, ...]:
        """Return what is in the way of the lab called ``lab``.

        Left out: default routes, the lab's own network and addresses (``node_cidr``, what carries its
        name), and routes into container networks, since the network itself is in the list.
        """
        own = [subnet for network in self.networks if network.lab == lab for subnet in network.subnets]
        own += [node_cidr] if node_cidr else []
        others = [network for network in self.networks if network.lab != lab]
        bridged = own + [subnet for network in others for subnet in network.subnets]
        facts = [
            Fact(route.network, _route_words(route))
            for route in self.routes
            if not route.is_default and not any(route.network.subnet_of(subnet) for subnet in bridged)
        ]
        for network in others:
            owner = f' of lab "{network.lab}"' if network.lab else ""
            facts += [Fact(s, f'the container network "{network.name}"{owner}, {s}') for s in network.subnets]
        facts += [
            Fact(IPv4Network(address), f"the host's DNS server {address}") for address in self.resolvers
        ]
        for other in self.labs:
            if other.name == lab:
                continue
            for cluster in other.clusters:
                facts.append(
                    Fact(cluster.pods, f'{cluster.name}\'s pods of lab "{other.name}", {cluster.pods}')
                )
                facts.append(
                    Fact(
                        cluster.services,
                        f'{cluster.name}\'s services of lab "{other.name}", {cluster.services}',
                    )
                )
            # Seen as a container network already, unless the lab is suspended and its network is gone.
            if other.node_cidr and other.node_cidr not in bridged:
                facts.append(Fact(other.node_cidr, f'the nodes of lab "{other.name}", {other.node_cidr}'))
        return tuple(facts)


FREE_HOST: Final = HostSnapshot()


def _route_words(route: Route) -> str:
    device = f" on {route.device}" if route.device else ""
    description = f" ({route.description})" if route.description else ""
    return f"the host's route {route.network}{device}{description}"
