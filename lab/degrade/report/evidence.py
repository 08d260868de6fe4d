"""What stands behind a verdict, laid out for reading: judgements, figures, acts, and what failed when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.degrade.history import Done, History
from lab.degrade.report import words
from lab.degrade.report.lanes import LOST, MANNERS, Axis, Lane, Outage, Panel
from lab.degrade.verdict import ClusterVerdict, Finding, Verdict

MOST_OUTAGES: Final = 20
"""Rows of one table of failures; the rest is counted."""

_WHY: Final = 160
"""Characters of what a failure said; the history has all of them."""

_SMALL: Final = 3
"""Figures of a set that are no table, if it is the only one of its kind."""

_UNITS: Final = {"s": "s", "ms": "ms", "mib": "MiB", "bytes": "bytes", "percent": "%"}
"""What the last word of a figure's name says of it."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures of several things of one kind. Every row has a cell for each column; the first is its name."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that was done once, or was to be."""

    summary: str
    when: str
    took: str
    result: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Samples that failed one after another."""

    of: str
    when: str
    lasted: str
    samples: str
    why: str
    lost: bool


@dataclass(frozen=True, kw_only=True)
class Part:
    """A contract on one cluster."""

    cluster: str
    word: str
    tone: str
    reason: str
    open: bool
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]
    figures: tuple[tuple[str, str], ...]
    acts: tuple[Act, ...]
    failures: tuple[Failure, ...]
    more_failures: int


@dataclass(frozen=True, kw_only=True)
class Return:
    """How long after the fault's undoing something was back, or after what it waits ``on``.

    ``seconds`` is None where it was not seen to be.
    """

    contract: str
    cluster: str
    summary: str
    seconds: float | None
    within: float
    on: str = ""


def cases(history: History) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What was judged, by contract and cluster."""
    return {(case["contract"], case["cluster"]): case for case in history.run["cases"]}


def part(history: History, verdict: Verdict, on: ClusterVerdict, seen: Panel | None, over: Axis) -> Part:
    """All that is known of a contract on a cluster. ``seen`` is what was watched there, if anything was."""
    tables, figures = _measured(on.findings)
    failures = _failures(seen.lanes, over) if seen else []
    return Part(
        cluster=on.cluster,
        word=words.named(verdict.control_of, on.word),
        tone=words.tone(verdict.control_of, on.word),
        reason=on.reason,
        open=bool({on.word, words.tone(verdict.control_of, on.word)} & {"fail", "inconclusive"}),
        findings=on.findings,
        tables=tuple(tables),
        figures=tuple(figures),
        acts=tuple(_acts(cases(history)[on.contract, on.cluster], seen, over)) if seen else (),
        failures=tuple(failures[:MOST_OUTAGES]),
        more_failures=len(failures[MOST_OUTAGES:]),
    )


def returns(history: History, verdicts: Sequence[Verdict]) -> Iterator[Return]:
    """Everything that had to come back, in the order of the verdicts; without what cannot be told."""
    known = cases(history)
    for on in (each for verdict in verdicts for each in verdict.clusters):
        case = known.get((on.contract, on.cluster), {"judgements": ()})
        for judgement in case["judgements"]:
            found = next((each for each in on.findings if each.says == judgement["says"]), None)
            if judgement["rule"] != "returns" or found is None or found.ok is None:
                continue
            seconds = found.measured.get(f"{judgement['of']}_returned_s")
            yield Return(
                contract=on.contract,
                cluster=on.cluster,
                summary=case["series"].get(judgement["of"], {}).get("summary") or judgement["says"],
                seconds=float(seconds) if isinstance(seconds, int | float) else None,
                within=float(judgement["within"]),
                on=judgement["once"],
            )


def heading(key: str) -> str:
    """What a figure is called: ``longest outage (s)`` for ``longest_outage_s``."""
    *head, last = key.split("_")
    return f"{' '.join(head)} ({_UNITS[last]})" if head and last in _UNITS else key.replace("_", " ")


def _measured(findings: Sequence[Finding]) -> tuple[list[Table], list[tuple[str, str]]]:
    """Figures that come in sets as tables, one for each kind of set; others, and small sets, one by one."""
    sets: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    figures: dict[str, str] = {}
    for found in findings:
        for key, value in found.measured.items():
            if isinstance(value, Mapping):
                sets.setdefault(tuple(value), {})[_name(key)] = value
            else:
                figures[heading(key)] = words.shown(value)
    for keys, rows in list(sets.items()):
        if len(rows) == 1 and len(keys) <= _SMALL:
            [(name, values)] = sets.pop(keys).items()
            figures |= {f"{name}: {heading(key)}": words.shown(values[key]) for key in keys}
    tables = [
        Table(
            columns=("", *map(heading, keys)),
            rows=tuple((name, *(words.shown(values[key]) for key in keys)) for name, values in rows.items()),
        )
        for keys, rows in sets.items()
    ]
    return tables, list(figures.items())


def _name(key: str) -> str:
    flow, _, manner = key.rpartition("_")
    found = (f"{flow}, {text}" for name, text in MANNERS.items() if flow and name == manner)
    return next(found, key.replace("_", " "))


def _acts(case: Mapping[str, Any], seen: Panel, over: Axis) -> Iterator[Act]:
    acts = dict(seen.acts)
    for name, about in case["acts"].items():
        done = acts.get(name)
        summary = about["summary"] or name
        if done is None:
            yield Act(summary=summary, when=f"never, was due in {about['during']}", took="", result="")
            continue
        yield Act(
            summary=summary,
            when=f"{words.moment(over.since(done.mono))} ({done.phase})",
            took=words.lasted(done.seconds),
            result=_result(done),
        )


def _result(done: Done) -> str:
    """What came of an act: its value, or what was expected and what was seen instead."""
    if done.ok:
        return "ok" if done.value is None else f"ok: {words.shown(done.value)}"
    return f"failed: {words.line(done.why)}" if done.why else "failed"


def _failures(lanes: Sequence[Lane], over: Axis) -> list[Failure]:
    """What failed, what was claimed not to first, then by time."""
    found: list[tuple[Lane, Outage]] = [(lane, outage) for lane in lanes for outage in lane.outages]
    found.sort(key=lambda each: (each[1].state != LOST, each[1].start))
    return [
        Failure(
            of=label(lane),
            when=words.moment(over.since(outage.start)),
            lasted=words.lasted(outage.seconds),
            samples=f"{outage.samples:,}",
            why="; ".join(
                words.line(error, _WHY) + (f" ({times:,} times)" if times < outage.samples else "")
                for error, times in outage.errors
                if error
            ),
            lost=outage.state == LOST,
        )
        for lane, outage in found
    ]


def label(lane: Lane) -> str:
    """The name of a lane within its contract and cluster."""
    return f"{lane.id}, {MANNERS[lane.manner]}" if lane.manner else lane.id
