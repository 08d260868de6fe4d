"""Which contracts an experiment judges, on which clusters, and why it does not judge the others. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from lab.catalog.contract import OTHERS, Contract, Flow, Judgement
from lab.catalog.place import Placed
from lab.catalog.templates import expression_paths
from lab.catalog.vocabulary import ANY
from lab.catalog.words import LabView, Words, expression_holds, expression_number
from lab.document.position import did_you_mean, listed
from lab.document.scalars import Unfit
from lab.errors import InputError
from lab.topology.model import Cluster, Topology

DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Told:
    """A contract, and the addon that tells it."""

    contract: Contract
    teller: str
    homes: Mapping[str, Placed]
    """The addon where it is, by cluster; empty where the lab does not have it."""

    def placed(self, cluster: str) -> Placed:
        """The addon as it is on ``cluster``, or else where it is first."""
        return self.homes.get(cluster) or next(iter(self.homes.values()))

    def words(self, cluster: str, view: LabView, **more: str) -> Words:
        """What its texts know on ``cluster``."""
        return Words(self.placed(cluster), view, cluster=cluster, more=more)


@dataclass(frozen=True)
class Stream:
    """A flow from one cluster to a certain service. ``to`` is the cluster meant, or empty."""

    id: str
    flow: Flow
    to: str


@dataclass(frozen=True)
class Case:
    """A contract on one cluster, which is to be judged; what is seen of it is an ``Observed``."""

    told: Told
    cluster: str
    away: str
    streams: tuple[Stream, ...]
    judgements: tuple[Judgement, ...]

    @property
    def contract(self) -> Contract:
        """The contract."""
        return self.told.contract

    @property
    def id(self) -> str:
        """CONTRACT/CLUSTER, with which the ids of its series, flows and acts begin."""
        return f"{self.contract.id}/{self.cluster}"

    @property
    def placed(self) -> Placed:
        """The addon that its texts are of."""
        return self.told.placed(self.cluster)

    def as_json(self) -> dict[str, Any]:
        """What the history says of it: all that its judge needs."""
        contract = self.contract
        return {
            "contract": contract.id,
            "cluster": self.cluster,
            "claim": contract.claim,
            "control_of": contract.control_of,
            "fails": contract.fails,
            "series": {
                each.id: {"summary": each.summary, "every": each.every, "timeout": each.timeout}
                for each in contract.series
            },
            "flows": {
                each.id: {"summary": each.flow.summary, "every": each.flow.every} for each in self.streams
            },
            "acts": {each.id: {"summary": each.summary, "during": each.during} for each in contract.acts},
            "judgements": [
                {
                    "rule": each.rule,
                    "says": each.says,
                    "of": each.of,
                    "phases": list(each.phases),
                    "lost": each.lost,
                    "least": each.least,
                    "after": each.after,
                    "within": each.within,
                    "once": each.once,
                    "expression": each.expression,
                    "proof": each.proof,
                }
                for each in self.judgements
            ],
        }


@dataclass(frozen=True)
class Skipped:
    """A contract that is not judged, and why. ``cluster`` is empty where that concerns all of them."""

    contract: Contract
    reason: str
    cluster: str = ""

    def as_json(self) -> dict[str, str]:
        """What the history says of it."""
        return {
            "contract": self.contract.id,
            "cluster": self.cluster,
            "claim": self.contract.claim,
            "control_of": self.contract.control_of,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Away:
    """What a ``fault`` takes away: a cluster, or an addon of it (``component``), and the cluster runs on."""

    cluster: str
    component: str = ""
    fault: str = "kill"


def choose(known: Sequence[Told], wanted: Collection[str]) -> list[Told]:
    """The contracts that are called ``wanted``, with the controls of each; all, if it is empty.

    Raises :class:`InputError` for one that no addon has.
    """
    ids = [each.contract.id for each in known]
    for name in wanted:
        if name not in ids:
            raise InputError(
                f"there is no contract {name!r}",
                remedy=did_you_mean(name, ids) + f"There are {listed(ids) or 'none'}.",
            )
    return [
        each
        for each in known
        if not wanted or each.contract.id in wanted or each.contract.control_of in wanted
    ]


def bind(
    topology: Topology, told: Sequence[Told], away: Away, *, addons: Collection[str]
) -> tuple[list[Case], list[Skipped]]:
    """What is judged, and what is not. ``addons`` are those that the lab has."""
    cases: list[Case] = []
    skipped: list[Skipped] = []
    for each in told:
        if reason := _beside_the_point(topology, each, away, addons):
            skipped.append(Skipped(each.contract, reason))
            continue
        found = list(_cases(topology, each, away))
        cases += [case for case in found if isinstance(case, Case)]
        skipped += [case for case in found if isinstance(case, Skipped)]
        if not found:
            roles = " or ".join(each.contract.each)
            skipped.append(Skipped(each.contract, f"no cluster of role {roles} is left to judge"))
    return cases, skipped


def _beside_the_point(topology: Topology, told: Told, away: Away, addons: Collection[str]) -> str:
    contract = told.contract
    lacking = [need for need in contract.needs if need not in addons]
    if lacking or not told.homes:
        return f"the lab has no {listed(lacking if told.homes else [told.teller])}"
    role = topology.cluster(away.cluster).role
    if contract.away not in (ANY, role):
        return f"it is about life without a cluster of role {contract.away}; {away.cluster} is {role}"
    if away.component and away.component not in {*contract.needs, told.teller}:
        return f"it does not rest on {away.component}"
    return ""


def _cases(topology: Topology, told: Told, away: Away) -> Iterator[Case | Skipped]:
    contract = told.contract
    for cluster in _judged(topology, told):
        # With one component away, its cluster is still there, and may be judged.
        if cluster.name == away.cluster and not away.component:
            continue
        known = _known(topology, told, cluster, away)
        if contract.when and not expression_holds(contract.when, known):
            yield Skipped(contract, _unmet(told), cluster.name)
            continue
        streams = tuple(_streams(topology, contract, cluster, away))
        there = {stream.flow.id for stream in streams} | {series.id for series in contract.series}
        judgements = tuple(
            _timed(contract, each, known) for each in contract.judgements if not each.of or each.of in there
        )
        if all(each.proof for each in judgements):
            yield Skipped(contract, "there is no other cluster for it", cluster.name)
        else:
            yield Case(told, cluster.name, away.cluster, streams, judgements)


def _known(topology: Topology, told: Told, cluster: Cluster, away: Away) -> dict[str, Any]:
    """What ``when`` and ``after`` know (:data:`lab.catalog.templates.IN_WHEN`)."""
    stale = topology.mesh.stale_backends
    return {
        "options": SimpleNamespace(**told.placed(cluster.name).options),
        "mesh": SimpleNamespace(
            kind=topology.mesh.kind, stale_backends=stale.policy, drop_after=stale.seconds or 0
        ),
        "fault": away.fault,
        "component": away.component,
        "cluster": SimpleNamespace(name=cluster.name, role=cluster.role),
        "away": away.cluster,
    }


def _unmet(told: Told) -> str:
    """Why a contract is not judged whose ``when`` is not true."""
    when = told.contract.when
    if told.contract.otherwise:
        return told.contract.otherwise
    if {path[0] for path in expression_paths(when)} == {"options"}:
        return f"{told.teller} is not set up for it ({when})"
    return f"it does not apply to this lab or this fault ({when})"


def _timed(contract: Contract, judgement: Judgement, known: Mapping[str, Any]) -> Judgement:
    """Return the judgement with its ``after`` made out."""
    if not judgement.later:
        return judgement
    try:
        return replace(judgement, after=max(0.0, expression_number(judgement.later, known)))
    except Unfit as error:
        raise InputError(
            f"{contract.id}: after of a judgement is no time in this lab: {error}", remedy=error.remedy
        ) from error


def _judged(topology: Topology, told: Told) -> list[Cluster]:
    each = told.contract.each
    if not each:
        return [cluster for cluster in topology.clusters if cluster.name in told.homes]
    return list(topology.clusters if ANY in each else topology.of_roles(each))


def _streams(topology: Topology, contract: Contract, cluster: Cluster, away: Away) -> Iterator[Stream]:
    for flow in contract.flows:
        if flow.to != OTHERS:
            yield Stream(flow.id, flow, cluster.name if flow.to else "")
            continue
        for other in topology.clusters:
            # With one component away, its cluster is still there, and may be asked.
            if other.name != cluster.name and (away.component or other.name != away.cluster):
                yield Stream(f"{flow.id}-{other.name}", flow, other.name)
