"""Histories as lanes over time: what was seen of each series and flow, a state for each column of a picture.

A run of 12 minutes has 150000 requests, and a screen has some hundred columns. What is drawn of a column
is the worst that was seen in it: a single lost request among a thousand must not vanish.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lab.catalog.contract import PHASES, Manner
from lab.degrade.history import Done, History, Sample
from lab.degrade.report.moments import extent, moment
from lab.degrade.watched import later

COLUMNS: Final = 720

UNKNOWN: Final = 0
"""Nothing was sampled: not the same as "all was well"."""

OK: Final = 1
OTHER: Final = 2
"""It answered, with another value than at first, where the value was to stay the same."""

APART: Final = 3
"""It failed, and no claim says that it may not: what is away, or a negative control."""

LOST: Final = 4
"""It failed in a phase in which a claim says that it answers."""

State = int
"""One of the above; of two in a column the greater is shown."""

MANNERS: Final[dict[Manner, str]] = {"new": "new connections", "kept": "kept connections"}


@dataclass(frozen=True)
class Axis:
    """Time from left to right. ``zero`` is the moment that people count from: the fault, or the beginning."""

    start: float
    end: float
    zero: float

    def column(self, mono: float) -> int:
        """The column that a moment is in; the nearest one for a moment outside."""
        return min(max(int(self.at(mono)), 0), COLUMNS - 1)

    def at(self, mono: float) -> float:
        """Where a moment is, in columns."""
        return (mono - self.start) / (self.end - self.start) * COLUMNS

    def share(self, mono: float) -> float:
        """The same, as a percentage of the width, at most all of it."""
        return min(max((mono - self.start) / (self.end - self.start) * 100, 0), 100)

    def since(self, mono: float) -> float:
        """Seconds since the fault, negative before it."""
        return mono - self.zero


@dataclass(frozen=True, kw_only=True)
class Outage:
    """Samples that failed one after another. ``seconds`` is from the first of them to the next good one."""

    start: float
    seconds: float
    samples: int
    state: State
    errors: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One series, or one manner of a flow, over the whole run. Latencies are in seconds."""

    contract: str
    cluster: str
    id: str
    summary: str
    control: bool
    states: bytes
    samples: int
    outages: tuple[Outage, ...]
    manner: Manner | None = None
    columns: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Of flows: median and maximum of the latencies in a column."""

    quantiles: tuple[float, ...] = ()
    """Of flows that had any answer: p50, p99 and the maximum over the run."""

    numbers: tuple[tuple[float, float | None], ...] = ()
    """Of series with numbers for values: moments and values, None where a sample failed."""

    @property
    def failed(self) -> int:
        """Samples that failed."""
        return sum(each.samples for each in self.outages)

    @property
    def changed(self) -> bool:
        """Whether the value was another one at some time, where it was to stay the same."""
        return OTHER in self.states

    @property
    def lost(self) -> int:
        """Samples that failed where a claim says that they do not."""
        return sum(each.samples for each in self.outages if each.state == LOST)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """All that was sampled and done for a contract on a cluster."""

    contract: str
    cluster: str
    control: bool
    lanes: tuple[Lane, ...]
    acts: tuple[tuple[str, Done], ...]


def axis(history: History) -> Axis:
    """The time that pictures of ``history`` show."""
    start, end = extent(history)
    at = moment(history, "injected")
    return Axis(start, max(end, start + 1), start if at is None else at)


def panels(history: History, over: Axis) -> list[Panel]:
    """Everything that was watched: by cluster as in the run's header, and negative controls last in each."""
    cases = history.run["cases"]
    clusters = list(dict.fromkeys(case["cluster"] for case in cases))
    cases = sorted(cases, key=lambda case: (clusters.index(case["cluster"]), bool(case["control_of"])))
    return [
        Panel(
            contract=case["contract"],
            cluster=case["cluster"],
            control=bool(case["control_of"]),
            lanes=tuple(_lanes(history, case, over)),
            acts=tuple(_acts(history, case)),
        )
        for case in cases
    ]


def _acts(history: History, case: Mapping[str, Any]) -> Iterator[tuple[str, Done]]:
    for name in case["acts"]:
        done = history.acts.get(f"{case['contract']}/{case['cluster']}/{name}")
        if done is not None:
            yield name, done


def _lanes(history: History, case: Mapping[str, Any], over: Axis) -> Iterator[Lane]:
    prefix = f"{case['contract']}/{case['cluster']}"
    for name, series in case["series"].items():
        yield _lane(history, case, name, series, history.samples.get(f"{prefix}/{name}", ()), over)
    for name, flow in case["flows"].items():
        for manner in MANNERS:
            samples = history.flows.get(f"{prefix}/{name}/{manner}", ())
            yield _lane(history, case, name, flow, samples, over, manner=manner)


def _lane(
    history: History,
    case: Mapping[str, Any],
    id: str,
    about: Mapping[str, Any],
    samples: Sequence[Sample],
    over: Axis,
    *,
    manner: Manner | None = None,
) -> Lane:
    judgements = [each for each in case["judgements"] if is_of(each, id, flow=manner is not None)]
    control = bool(case["control_of"])
    claimed = [] if control else list(_claimed(history, judgements))
    stays = any(each["rule"] == "same" for each in judgements)
    qualified = "/".join(filter(None, (case["contract"], case["cluster"], id, manner)))
    states = _states(samples, over, every=float(about["every"]), claimed=claimed, stays=stays)
    for gap in history.gaps.get(qualified, ()):
        _unknown(states, over, gap.mono - gap.seconds, gap.mono)
    latencies = sorted(each.seconds for each in samples if each.ok) if manner else []
    return Lane(
        contract=case["contract"],
        cluster=case["cluster"],
        id=id,
        summary=about["summary"],
        control=control,
        states=bytes(states),
        samples=len(samples),
        outages=tuple(_outages(samples, claimed)),
        manner=manner,
        columns=_columns(samples, over) if manner else {},
        quantiles=tuple(_quantile(latencies, share) for share in (0.5, 0.99, 1)) if latencies else (),
        numbers=() if manner else _numbers(samples),
    )


def is_of(judgement: Mapping[str, Any], id: str, *, flow: bool) -> bool:
    """Whether a judgement is about the series or flow ``id``; of flows, ``between`` is each ``between-*``."""
    of = judgement["of"]
    return bool(of) and (id == of or (flow and id.startswith(f"{of}-")))


def _claimed(history: History, judgements: Iterable[Mapping[str, Any]]) -> Iterator[tuple[float, float]]:
    """Spans in which a claim says that there are answers."""
    for each in judgements:
        if each["rule"] == "answers":
            yield from later(history, each["phases"] or PHASES, each["after"]).values()


def _failure(moment: float, claimed: Sequence[tuple[float, float]]) -> State:
    return LOST if any(start <= moment <= end for start, end in claimed) else APART


def _states(
    samples: Sequence[Sample],
    over: Axis,
    *,
    every: float,
    claimed: Sequence[tuple[float, float]],
    stays: bool,
) -> bytearray:
    """The worst state of each column.

    A sample stands for the time until the next one was due, and the first one for the time since it was.
    """
    states = bytearray(COLUMNS)
    scale, start = COLUMNS / (over.end - over.start), over.start
    first: str | None = None
    for i, each in enumerate(samples):
        if not each.ok:
            state = _failure(each.mono, claimed)
        elif stays:
            value = json.dumps(each.value, sort_keys=True, default=str)
            first = value if first is None else first
            state = OK if value == first else OTHER
        else:
            state = OK
        until = each.mono + max(each.seconds or 0.0, every)
        # The next one is never on the dot: only when it is later than by a whole period is time missing.
        if i + 1 < len(samples) and samples[i + 1].mono <= until + every:
            until = samples[i + 1].mono
        began = start if i == 0 and each.mono - start <= every else each.mono
        begin = min(max(int((began - start) * scale), 0), COLUMNS - 1)
        end = min(int((until - start) * scale), COLUMNS)
        for column in range(begin, max(end, begin + 1)):
            if states[column] < state:
                states[column] = state
    return states


def _unknown(states: bytearray, over: Axis, start: float, end: float) -> None:
    """Take what good samples were stretched over out of a gap; what failed in its columns stays."""
    for column in range(over.column(start) + 1, over.column(end)):
        if states[column] < APART:
            states[column] = UNKNOWN


def _outages(samples: Sequence[Sample], claimed: Sequence[tuple[float, float]]) -> Iterator[Outage]:
    """Failing samples, those that follow each other in the same state together."""
    run: list[Sample] = []
    state = UNKNOWN
    for each in samples:
        now = UNKNOWN if each.ok else _failure(each.mono, claimed)
        if run and now != state:
            yield _outage(run, state, until=each.mono)
            run = []
        state = now
        if not each.ok:
            run.append(each)
    if run:
        yield _outage(run, state, until=run[-1].mono + (run[-1].seconds or 0.0))


def _outage(run: Sequence[Sample], state: State, *, until: float) -> Outage:
    errors = Counter(each.error for each in run)
    return Outage(
        start=run[0].mono,
        seconds=max(until - run[0].mono, 0.0),
        samples=len(run),
        state=state,
        errors=tuple(errors.most_common(3)),
    )


def _columns(samples: Sequence[Sample], over: Axis) -> dict[int, tuple[float, float]]:
    scale, start = COLUMNS / (over.end - over.start), over.start
    found: dict[int, list[float]] = {}
    for each in samples:
        if each.ok:
            found.setdefault(int((each.mono - start) * scale), []).append(each.seconds)
    return {
        column: (_quantile(sorted(latencies), 0.5), max(latencies))
        for column, latencies in found.items()
        if 0 <= column < COLUMNS
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank: a latency that was measured, nothing between two."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _numbers(samples: Sequence[Sample]) -> tuple[tuple[float, float | None], ...]:
    """Moments and values, where all are numbers and they are not all the same; else nothing."""
    values = [each.value for each in samples if each.ok]
    if not all(_is_number(value) for value in values) or len(set(values)) < 2:
        return ()
    return tuple((each.mono, float(each.value) if each.ok else None) for each in samples)


def _is_number(value: Any) -> bool:
    """Whether it can be drawn: JSON has integers that no float holds, and Python reads NaN from it."""
    return type(value) in {int, float} and -1e18 < value < 1e18
