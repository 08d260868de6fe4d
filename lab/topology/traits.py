"""What providers differ in, as data. Nobody else asks which provider it is: they ask for one of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

FAULTS: Final = frozenset({"kill", "stop", "pause", "partition", "isolate", "component"})
"""Everything that an experiment can do to a cluster."""

SPARING_NODES: Final = frozenset({"isolate", "component"})
"""What of it is done through the cluster's API server alone."""

_MIB: Final[Mapping[str, float]] = {"K": 1 / 1024, "M": 1, "G": 1024}


@dataclass(frozen=True, kw_only=True)
class Size:
    """What each node of a cluster is given of this machine, written as in a topology: ``10G``, ``512M``."""

    memory: str
    disk: str
    cpus: int

    @property
    def memory_mib(self) -> int:
        """Its memory, in MiB."""
        return int(mib(self.memory))

    @property
    def disk_mib(self) -> int:
        """The most that its disk takes, in MiB."""
        return int(mib(self.disk))


USUAL: Final = Size(memory="4G", disk="20G", cpus=2)
"""What a virtual machine is given where the topology says nothing."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What can be done with the clusters of a provider."""

    makes: bool
    """Whether the lab makes and removes them. Others were there before and stay: what they have (nodes,
    networks, DNS) is theirs, and all that the lab puts there is taken off again."""

    containers: bool
    """Whether their nodes are containers of this machine's engine."""

    balances: bool = False
    """Whether a load balancer stands in front of several control-plane nodes, beside them."""

    tool: str = ""
    """The program that makes them, if it is one that the lab brings."""

    size: Size | None = None
    """What each of their nodes is given, where that is fixed; other nodes share what there is."""

    faults: frozenset[str] = FAULTS
    """What experiments may do to them."""

    @property
    def preloaded(self) -> bool:
        """Whether new nodes are made of the lab's node image, and so hold every image from the start."""
        return self.makes

    @property
    def at_home(self) -> bool:
        """Whether new nodes stand in the lab's own container network, where a lab can be isolated."""
        return self.makes and self.containers

    @property
    def shells(self) -> bool:
        """Whether commands can be run on their nodes."""
        return self.makes or self.containers


TRAITS: Final[Mapping[str, Traits]] = {
    "kind": Traits(makes=True, containers=True, balances=True, tool="kind"),
    "multipass": Traits(makes=True, containers=False, size=USUAL),
    "existing": Traits(makes=False, containers=False, faults=SPARING_NODES),
}
"""Every provider that a topology may name."""


def traits_of(provider: str, options: Mapping[str, Any]) -> Traits:
    """Return the traits of a cluster of ``provider``, whose settings (``options``) may allow more or less."""
    traits = TRAITS[provider]
    if traits.size is not None:
        given = {each.name: options[each.name] for each in fields(Size) if each.name in options}
        traits = replace(traits, size=replace(traits.size, **given))
    if options.get("nodes") == "docker":
        traits = replace(traits, containers=True)
    match options.get("faults"):
        case "component":
            traits = replace(traits, faults=frozenset({"component"}))
        case "all":
            traits = replace(traits, faults=FAULTS)
    return traits


def mib(size: str) -> float:
    """Return the MiB of a size such as ``1.5G``."""
    return float(size[:-1]) * _MIB[size[-1]]
