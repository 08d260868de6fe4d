"""What providers differ in, as data. Nobody else asks which provider it is: they ask for one of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

FAULTS: Final = frozenset({"kill", "stop", "pause", "partition", "component"})
"""Everything that an experiment can do to a cluster."""


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

    faults: frozenset[str] = FAULTS
    """What experiments may do to them."""

    @property
    def at_home(self) -> bool:
        """Whether new nodes are made of the lab's node image, in the lab's own container network."""
        return self.makes and self.containers

    @property
    def shells(self) -> bool:
        """Whether commands can be run on their nodes."""
        return self.makes or self.containers


TRAITS: Final[Mapping[str, Traits]] = {
    "kind": Traits(makes=True, containers=True, balances=True, tool="kind"),
    "multipass": Traits(makes=True, containers=False),
    "existing": Traits(makes=False, containers=False, faults=frozenset({"component"})),
}
"""Every provider that a topology may name."""


def traits_of(provider: str, options: Mapping[str, Any]) -> Traits:
    """Return the traits of a cluster of ``provider``, whose settings (``options``) may allow more."""
    traits = TRAITS[provider]
    if options.get("nodes") == "docker":
        traits = replace(traits, containers=True)
    if options.get("faults") == "all":
        traits = replace(traits, faults=FAULTS)
    return traits
