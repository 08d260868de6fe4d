"""What was seen of a contract on one cluster: what judgements are about, read from a history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from lab.catalog.contract import Judgement, Manner
from lab.degrade.history import Done, History
from lab.degrade.watched import Watched

MANNERS: Final[tuple[Manner, ...]] = get_args(Manner)

_FLOW_TIMEOUT_S: Final = 1.0
"""A flow's requests are not said to have a time-out; each is over soon."""

_OVER: Final[Mapping[Manner, str]] = {"new": "over new connections", "kept": "over kept connections"}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was seen of a contract on one cluster. ``flows`` are by id and manner; ``acts`` were done.

    ``summaries`` are those of acts, by id.
    """

    history: History
    contract: str
    cluster: str
    judgements: tuple[Judgement, ...]
    series: Mapping[str, Watched]
    flows: Mapping[str, Mapping[Manner, Watched]]
    acts: Mapping[str, Done]
    summaries: Mapping[str, str]

    def of(self, name: str) -> list[Watched]:
        """What a judgement of ``name`` is about: a series, or each flow of that name in each manner.

        A flow to several clusters is one for each of them: ``between`` is ``between-app1``, ``between-app2``.
        """
        if name in self.series:
            return [self.series[name]]
        return [watched for each in self._flows(name) for watched in self.flows[each].values()]

    def by_manner(self, name: str) -> dict[Manner, list[Watched]]:
        """The flows of that name, as :meth:`of` has them; empty if there is none."""
        flows = self._flows(name)
        return {manner: [self.flows[each][manner] for each in flows] for manner in MANNERS if flows}

    def _flows(self, name: str) -> list[str]:
        return [name] if name in self.flows else [each for each in self.flows if each.startswith(f"{name}-")]


def observed(history: History, entry: Mapping[str, Any]) -> Observed:
    """Return what was seen of the case that ``entry`` of the header describes."""
    prefix = f"{entry['contract']}/{entry['cluster']}/"
    acts = {name: done for name in entry["acts"] if (done := history.acts.get(prefix + name))}
    return Observed(
        history=history,
        contract=entry["contract"],
        cluster=entry["cluster"],
        judgements=tuple(_judgement(each) for each in entry["judgements"]),
        series={name: _series(history, entry, name) for name in entry["series"]},
        flows={
            name: {manner: _flow(history, entry, name, manner) for manner in MANNERS}
            for name in entry["flows"]
        },
        acts=acts,
        summaries={name: about["summary"] for name, about in entry["acts"].items()},
    )


def _judgement(entry: Mapping[str, Any]) -> Judgement:
    return Judgement(
        rule=entry["rule"],
        says=entry["says"],
        of=entry["of"],
        phases=tuple(entry["phases"]),
        lost=entry["lost"],
        least=entry["least"],
        after=entry["after"],
        within=entry["within"],
        once=entry["once"],
        expression=entry["expression"],
        proof=entry["proof"],
    )


def _series(history: History, entry: Mapping[str, Any], name: str) -> Watched:
    full = f"{entry['contract']}/{entry['cluster']}/{name}"
    return Watched(
        history=history,
        name=name,
        title=f'"{name}" on {entry["cluster"]}',
        every=entry["series"][name]["every"],
        timeout=entry["series"][name]["timeout"],
        samples=history.samples.get(full, ()),
        gaps=history.gaps.get(full, ()),
    )


def _flow(history: History, entry: Mapping[str, Any], name: str, manner: Manner) -> Watched:
    full = f"{entry['contract']}/{entry['cluster']}/{name}/{manner}"
    every = entry["flows"][name]["every"]
    return Watched(
        history=history,
        name=f"{name}_{manner}",
        title=f"{_route(history, entry['cluster'], name)} {_OVER[manner]}",
        every=every,
        timeout=max(every, _FLOW_TIMEOUT_S),
        samples=history.flows.get(full, ()),
        gaps=history.gaps.get(full, ()),
        missing=history.missing.get(full, ()),
        is_flow=True,
    )


def _route(history: History, cluster: str, name: str) -> str:
    """Where a flow's requests go, in words: its name ends in a cluster's name if they go to that."""
    clusters = {each["cluster"] for key in ("cases", "skipped") for each in history.run[key]}
    for other in sorted(clusters - {"", cluster}, key=len, reverse=True):
        if name.endswith(f"-{other}"):
            return f"between {cluster} and {other}"
    return f'of "{name}" on {cluster}'
