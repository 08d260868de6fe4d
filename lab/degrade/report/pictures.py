"""The parts of a report that are pictures, with the words around each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from lab.degrade.history import History
from lab.degrade.report import draw, evidence, words
from lab.degrade.report.evidence import Return
from lab.degrade.report.lanes import Axis, Lane, Panel

PHASES: Final = {
    "baseline": "all is whole; whatever fails now makes the run say nothing",
    "inject": "the fault is put in place, until it is seen to be",
    "hold": "the fault lasts",
    "recover": "the fault is taken back, until all is there again",
    "settle": "all is whole again; what was put off catches up",
}

_NARROW: Final = 7.0
"""Percent of the width below which the name of a phase is not written into it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A lane as the page shows it. ``key`` names its picture, so that it can be shown a second time."""

    key: str
    contract: str
    cluster: str
    label: str
    summary: str
    kind: str
    control: bool
    picture: Markup
    title: str
    stat: str
    detail: str
    trouble: bool


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Numbers over time, with what its axis begins and ends with."""

    contract: str
    cluster: str
    label: str
    summary: str
    picture: Markup
    low: str
    high: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """How long something took to return."""

    contract: str
    cluster: str
    summary: str
    picture: Markup
    stat: str
    late: bool


def phases(history: History, over: Axis) -> Iterator[Mapping[str, Any]]:
    """The phases that there were: where each is, how long it took, and what it is for."""
    for phase, (start, end) in history.spans.items():
        left, right = over.share(start), over.share(end)
        yield {
            "name": phase,
            "left": f"{left:.2f}",
            "width": f"{right - left:.2f}",
            "named": right - left >= _NARROW,
            "lasted": words.lasted(end - start),
            "meaning": PHASES[phase],
        }


def ticks(over: Axis, *, fault: bool) -> Iterator[tuple[str, str, bool]]:
    """Where round moments are, what they are called, and whether they stay where there is room for half."""
    for at, stays in draw.ticks(over):
        share = over.share(over.zero + at)
        label = words.moment(at) if at else "fault" if fault else "0:00"
        yield f"{share:.2f}", label, stays and 3 <= share <= 97


def rows(panels: Sequence[Panel], latencies: draw.Scale, over: Axis) -> Iterator[Row]:
    """Every lane, and after those of a contract on a cluster one for its acts."""
    for number, each in enumerate(panels):
        for place, lane in enumerate(each.lanes):
            yield _row(lane, f"lane-{number}-{place}", latencies, over)
        if each.acts:
            yield _acts(each, f"acts-{number}", over)


def _row(lane: Lane, key: str, latencies: draw.Scale, over: Axis) -> Row:
    detail = ""
    if not lane.samples:
        stat = "no samples"
    elif lane.manner is not None:
        stat = f"{lane.failed:,} of {lane.samples:,} lost"
        quantiles = zip(("p50", "p99"), lane.quantiles, strict=False)
        detail = ", ".join(f"{name} {words.lasted(seconds)}" for name, seconds in quantiles)
    elif lane.failed:
        stat = f"{lane.failed:,} of {lane.samples:,} failed"
    else:
        stat = f"{lane.samples:,} ok"
    if lane.changed:
        stat, detail = "its value changed", stat
    title = f"{lane.contract} on {lane.cluster}, {evidence.label(lane)}: {stat}"
    if lane.outages:
        first, last = lane.outages[0], lane.outages[-1]
        stretches = words.count(len(lane.outages), "stretch", "stretches")
        until = words.moment(over.since(last.start + last.seconds))
        title += f", in {stretches} from {words.moment(over.since(first.start))} to {until}"
    return Row(
        key=key,
        contract=lane.contract,
        cluster=lane.cluster,
        label=evidence.label(lane),
        summary=lane.summary,
        kind="flow" if lane.manner else "series",
        control=lane.control,
        picture=draw.lane(lane, latencies),
        title=f"{title}; {detail}" if detail else title,
        stat=stat,
        detail=detail,
        trouble=bool(lane.lost) or (lane.changed and not lane.control),
    )


def _acts(each: Panel, key: str, over: Axis) -> Row:
    said = [f"{name} at {words.moment(over.since(act.mono))}" for name, act in each.acts]
    return Row(
        key=key,
        contract=each.contract,
        cluster=each.cluster,
        label="done once",
        summary=words.listed([name for name, _ in each.acts]),
        kind="acts",
        control=each.control,
        picture=draw.acts(((act.mono, act.seconds) for _, act in each.acts), over),
        title=f"{each.contract} on {each.cluster}, done once: {', '.join(said)}",
        stat=words.count(len(each.acts), "act"),
        detail="",
        trouble=False,
    )


def charts(lanes: Iterable[Lane], over: Axis) -> Iterator[Chart]:
    """A chart for each series of numbers that were not always the same."""
    for lane in lanes:
        values = [value for _, value in lane.numbers if value is not None]
        if not values:
            continue
        low, high = draw.bounds(values)
        first, last, least, most = map(words.number, (values[0], values[-1], min(values), max(values)))
        yield Chart(
            contract=lane.contract,
            cluster=lane.cluster,
            label=lane.id,
            summary=lane.summary,
            picture=draw.chart(lane.numbers, low, high, over),
            low=words.number(low),
            high=words.number(high),
            title=f"{lane.contract} on {lane.cluster}, {lane.id}: from {first} to {last}, "
            f"least {least}, most {most}",
        )


def bars(returns: Sequence[Return]) -> Iterator[Bar]:
    """A bar for each thing that had to return, all on one scale."""
    most = max((max(each.seconds or 0, each.within) for each in returns), default=1) or 1
    for each in returns:
        limit = f"of {words.lasted(each.within)} allowed"
        limit += f" after {each.on}" if each.on else ""
        yield Bar(
            contract=each.contract,
            cluster=each.cluster,
            summary=each.summary,
            picture=draw.bar(most if each.seconds is None else each.seconds, each.within, most),
            stat=f"not back, {limit}" if each.seconds is None else f"{words.lasted(each.seconds)} {limit}",
            late=each.seconds is None or each.seconds > each.within,
        )
