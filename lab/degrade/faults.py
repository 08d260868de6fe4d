"""What is done to a cluster, or to one addon, and how it is undone, whatever has happened meanwhile.

What is owed, the undoing, is written down before anything is done. So it can be paid by a later command,
where the one that did it was killed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from lab import console
from lab.catalog.place import Placed
from lab.clients.kube import Kube
from lab.degrade.left import Left
from lab.document.position import did_you_mean, listed
from lab.errors import HostError, InputError, LabError
from lab.mesh import isolation
from lab.providers.base import NodeState, Provider
from lab.state import LabFolder
from lab.topology.model import Cluster, Topology
from lab.workspace import Workspace, states

Kind = Literal["kill", "stop", "pause", "partition", "isolate", "component"]

KINDS: Final[Mapping[Kind, str]] = {
    "kill": "its nodes were killed (SIGKILL)",
    "stop": "its nodes were stopped (SIGTERM, then SIGKILL)",
    "pause": "its nodes were frozen: they answer nothing, and refuse nothing",
    "partition": "its nodes were cut off from the network, and run on",
    "isolate": "a network policy cut its pods off from all other clusters and from the outside; "
    "its nodes and its API server go on",
    "component": "its workloads were scaled away; its cluster runs on",
}

_OWED: Final = "fault"
"""File in the lab's folder: what is to be undone."""

_BACK_S: Final = 90.0
"""How long an API server may take until it answers after its nodes were started."""

_CHAIN: Final = "LAB-PARTITION"


@dataclass(frozen=True)
class Fault:
    """A fault: its kind, the cluster, and for a component the addon and what its workloads were scaled to."""

    kind: Kind
    cluster: str
    run: str
    addon: str = ""
    replicas: Mapping[str, int] | None = None

    @property
    def target(self) -> str:
        """What it is done to, as it can be asked for: CLUSTER, or CLUSTER/ADDON."""
        return f"{self.cluster}/{self.addon}" if self.addon else self.cluster

    @property
    def told(self) -> str:
        """What is done, in words."""
        return f"{self.target}: {KINDS[self.kind]}"


def owed(folder: LabFolder) -> Fault | None:
    """The fault that has not been undone, if there is one."""
    text = folder.read(_OWED)
    return Fault(**json.loads(text)) if text else None


def kind(word: str) -> Kind:
    """The kind of fault that is called ``word``. Raises :class:`InputError` if there is none."""
    for each in KINDS:
        if each == word:
            return each
    raise InputError(
        f"there is no fault {word!r}",
        remedy=did_you_mean(word, KINDS) + f"There are {', '.join(KINDS)}.",
    )


@dataclass(frozen=True)
class Hand:
    """Does faults to one lab, and undoes them."""

    workspace: Workspace

    def inject(self, fault: Fault, placed: Placed | None = None) -> Fault:
        """Do it; return it with what its undoing needs. ``placed`` is the addon of a component fault."""
        if fault.kind == "component" and placed is not None:
            fault = replace(fault, replicas=self._replicas(placed))
        self._folder.write(_OWED, json.dumps(asdict(fault)))
        provider = self.workspace.provider(fault.cluster)
        match fault.kind:
            case "kill" | "stop" | "pause":
                provider.halt(self._cluster(fault), fault.kind)
            case "partition":
                for node in self._nodes(fault):
                    _partition(provider, node.name, node.address)
            case "isolate":
                kube = self._kube(fault.cluster)
                kube.apply([isolation.policy(self.workspace.topology, fault.cluster, kube)])
            case "component":
                self._scale(fault, dict.fromkeys(fault.replicas or {}, 0))
        return fault

    def undo(self, fault: Fault) -> None:
        """Undo it. May be done again; what is owed is forgotten only when it succeeded."""
        provider = self.workspace.provider(fault.cluster)
        match fault.kind:
            case "kill" | "stop" | "pause":
                provider.start(self._cluster(fault))
            case "partition":
                # A node that was stopped meanwhile comes back without these rules.
                provider.start(self._cluster(fault))
                for node in self._nodes(fault):
                    _join(provider, node.name)
            case "isolate":
                self._kube(fault.cluster).remove(isolation.POLICY)
            case "component":
                self._scale(fault, fault.replicas or {})
        self._folder.write(_OWED, "")

    @property
    def _folder(self) -> LabFolder:
        return self.workspace.folder

    def _cluster(self, fault: Fault) -> Cluster:
        return self.workspace.topology.cluster(fault.cluster)

    def _nodes(self, fault: Fault) -> list[NodeState]:
        state = states(self.workspace).get(fault.cluster)
        return [node for node in state.nodes if node.running] if state else []

    def _replicas(self, placed: Placed) -> dict[str, int]:
        """What the addon's workloads are scaled to now, by the path of their scale."""
        found = {}
        for each in placed.addon.ready:
            if each.kind in ("Deployment", "StatefulSet"):
                path = f"/apis/apps/v1/namespaces/{each.namespace}/{each.kind.lower()}s/{each.name}"
                wanted = self._kube(placed.cluster).get(path)["spec"].get("replicas", 1)
                found[path] = int(wanted)
        if not found:
            raise InputError(
                f"{placed.addon.name} cannot be scaled away: it has no Deployment or StatefulSet",
                remedy="Choose another component, or a fault of its cluster.",
            )
        return found

    def _scale(self, fault: Fault, replicas: Mapping[str, int]) -> None:
        for path, wanted in replicas.items():
            self._kube(fault.cluster).merge(path, {"spec": {"replicas": wanted}})

    def _kube(self, cluster: str) -> Kube:
        return self.workspace.kubes[cluster]


_CUT = f"""
set -- "$1" $(ip -o -4 address show to "$1")
device=${{3:?no interface has the address $1}}
for table in raw mangle; do
    iptables -w 30 -t $table -N {_CHAIN} 2>/dev/null || iptables -w 30 -t $table -F {_CHAIN}
done
iptables -w 30 -t raw -A {_CHAIN} -i "$device" -p tcp --dport 22 -j RETURN
iptables -w 30 -t raw -A {_CHAIN} -i "$device" -j DROP
iptables -w 30 -t mangle -A {_CHAIN} -o "$device" -p tcp --sport 22 -j RETURN
iptables -w 30 -t mangle -A {_CHAIN} -o "$device" -j DROP
iptables -w 30 -t raw -I PREROUTING -j {_CHAIN}
iptables -w 30 -t mangle -I POSTROUTING -j {_CHAIN}
"""
"""Drops all that comes in at the interface with the node's address ($1) before anything looks at it, and all
that goes out there, pods' packets too. Left is SSH to the node: by it a provider may have to undo this, and
nothing of a lab uses it."""

_MEND = f"""
while iptables -w 30 -t raw -D PREROUTING -j {_CHAIN} 2>/dev/null; do :; done
while iptables -w 30 -t mangle -D POSTROUTING -j {_CHAIN} 2>/dev/null; do :; done
for table in raw mangle; do
    iptables -w 30 -t $table -F {_CHAIN} 2>/dev/null && iptables -w 30 -t $table -X {_CHAIN}
done
true
"""


def _partition(provider: Provider, node: str, address: str) -> None:
    provider.run_on(node, ("sh", "-euc", _MEND + _CUT, "partition", address))


def _join(provider: Provider, node: str) -> None:
    provider.run_on(node, ("sh", "-uc", _MEND))


def settle(workspace: Workspace, *, remedy: str) -> str:
    """Undo what an earlier experiment owes, and remove what it has left; return what it was, in words.

    The text is empty where there is nothing. What lies in a cluster that does not answer stays written down.
    Raises :class:`HostError` with ``remedy`` when a fault cannot be undone.
    """
    fault = owed(workspace.folder)
    if fault is not None:
        try:
            Hand(workspace).undo(fault)
        except LabError as error:
            raise HostError(
                f"a fault of an earlier experiment could not be undone ({fault.told})",
                details=str(error),
                remedy=remedy,
            ) from error
    return "; ".join(filter(None, (fault.told if fault else "", sweep(workspace))))


def sweep(workspace: Workspace) -> str:
    """Remove what an earlier experiment has left in clusters that run; return where, in words."""
    left = Left(workspace.folder)
    if not left.clusters:
        return ""
    nodes = states(workspace)
    for cluster in left.clusters:
        if cluster not in nodes:
            # Its objects went with it.
            left.forget(cluster)
    before = left.clusters
    running = [name for name in before if any(node.running for node in nodes[name].control_planes)]
    # One that was away a moment ago needs a while.
    troubles = left.remove({name: workspace.kubes[name] for name in running}, answers_within=_BACK_S)
    gone = [name for name in before if name not in left.clusters]
    told = [f"objects in {listed(gone)} are removed"] if gone else []
    told += [
        f"objects in {name} stay until the next time ({troubles.get(name, 'its nodes do not run')})"
        for name in left.clusters
    ]
    return "; ".join(told)


def remind(workspace: Workspace) -> None:
    """Say that something of an experiment is still there: it was killed, or is under way."""
    fault, where = owed(workspace.folder), Left(workspace.folder).clusters
    if fault or where:
        what = f"a fault: {fault.told}" if fault else f"objects in {listed(where)}"
        undone = "undoes it" if fault else "removes them"
        console.note(
            f"An experiment is under way, or was cut off and has left {what}. "
            f"./invoke up{workspace.arguments} {undone}."
        )


def target(
    topology: Topology, word: str, kind: Kind, placed: tuple[Placed, ...], *, default_role: str = "mgmt"
) -> tuple[str, Placed | None]:
    """The cluster that a fault is done to, and the addon if it is a component's.

    ``word`` names a cluster, or for a component CLUSTER/ADDON or an ADDON; where no cluster is named, it is
    the first of ``default_role`` (that has the addon), or else the last. Raises :class:`InputError` for what
    is not in the lab.
    """
    if kind == "component":
        component = _component(topology, word, placed, default_role=default_role)
        return component.cluster, component
    if word in {each.addon.name for each in placed} - {each.name for each in topology.clusters}:
        raise InputError(
            f"{word!r} is an addon, and {kind} is done to a whole cluster",
            remedy="Take it away with --fault component, or name a cluster: "
            f"{', '.join(each.name for each in topology.clusters)}.",
        )
    hubs = topology.of_roles((default_role,))
    name = _cluster(topology, word) if word else (hubs or topology.clusters[-1:])[0].name
    allowed = topology.cluster(name).traits.faults
    if kind not in allowed:
        raise InputError(
            f"{kind} may not be done to {name}: the topology allows {listed(sorted(allowed))} there",
            remedy=(
                "Cut its pods off with --fault isolate, take an addon away with --fault component, "
                if "isolate" in allowed
                else "Take an addon away with --fault component, "
            )
            + "or name another cluster with --target.",
        )
    if kind == "isolate" and topology.mesh.kind == "none":
        raise InputError(
            f"isolate cuts pods off from the other clusters, and those of {topology.name} are not joined",
            remedy="Join them (mesh: {kind: cilium}), or choose another fault.",
        )
    return name, None


def _component(topology: Topology, word: str, placed: tuple[Placed, ...], *, default_role: str) -> Placed:
    """The addon on a cluster that ``word`` names."""
    cluster, slash, name = word.rpartition("/")
    if slash:
        cluster = _cluster(topology, cluster)
    where = f"on {cluster}" if slash else "in the lab"
    homes: dict[str, list[Placed]] = {}
    for each in placed:
        if each.part == "home" and cluster in ("", each.cluster):
            homes.setdefault(each.addon.name, []).append(each)
    if name not in homes:
        raise InputError(
            f"there is no addon {name!r} {where}" if name else "a component fault needs an addon",
            remedy=did_you_mean(name, homes) + f"Name one with --target: {', '.join(sorted(homes))}."
            if homes
            else "It has none: choose a fault of a whole cluster.",
        )
    hubs = {each.name for each in topology.of_roles((default_role,))}
    return next((each for each in homes[name] if each.cluster in hubs), homes[name][-1])


def _cluster(topology: Topology, word: str) -> str:
    """``word``, if a cluster is called so."""
    names = [cluster.name for cluster in topology.clusters]
    if word in names:
        return word
    raise InputError(
        f"there is no cluster {word!r} in {topology.name}",
        remedy=did_you_mean(word, names) + f"There are {', '.join(names)}.",
    )
