"""Whether a cluster's samples are all in Thanos: CLUSTER TENANT SINCE INTERVAL; prints JSON.

Two ways to tell. A target that is looked at every INTERVAL seconds gives a sample of ``up`` each time,
whether it answers or not, so the moments of these, and of a counter of the shop, are an interval apart, or
samples between them are lost. Of the target that is looked at every second the agent's own count says how
often it did: on a busy machine it leaves a second out.

And the agent counts the samples that it appends to its log, of all series. As that counter is a sample
itself, Thanos has it once a second; what Thanos has of the time between two of these is compared with what
was appended. All else that is appended are the marks that end a series, which no question to Thanos shows:
they are counted as series that end. One that ends and comes again may have lost samples instead, so
``missing`` is the fewest and the most that are not there.

Standard library only; runs in a probe of the lab.
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

URL = "http://thanos-query.thanos.svc.cluster.local:9090/api/v1/query"
BEAT = 'up{%s,job="beat"}'
LOOKS = 'prometheus_target_interval_length_seconds_count{%s,job="beat",interval="1s"}'
APPENDED = 'prometheus_agent_samples_appended_total{%s,job="beat",type="float"}'
UP = ('up{%s,job="prometheus-agent"}', 'up{%s,job="pods",namespace="demo"}', "demo_orders_total{%s}")

BEAT_S = 1
ENDS_S = 5.0
"""How much may be missing at either end of the time that is looked at: it is no part of the outage."""

TIMEOUT_S = 10
"""The longest that a look at a target takes: Prometheus' own scrape_timeout."""

REPORTED = 5
"""Samples that each look gives besides: up and four more that begin with scrape_."""

PART_S = 300
"""What is asked for at once of all series: their samples have to fit into the probe's memory."""

QUIET_S = 0.1
"""How far from a moment the looks at other targets must be for the counter to be exact there."""

Values = Mapping[float, float]
"""Samples of a series: the value of each moment."""


@dataclass(frozen=True)
class Gaps:
    """What is missing in a series: how many samples, the largest gap, and the moment of the first."""

    lost: int
    largest: float
    first: float | None


def gaps(
    moments: Sequence[float], *, since: float, until: float, interval: float, looks: Values | None = None
) -> Gaps:
    """Return what is missing among ``moments``; ``looks`` counts how often its target was looked at."""
    lost, first = 0, None
    marks = [moment for moment in moments if not looks or moment in looks]
    for early, late in pairwise(marks):
        between = moments[bisect_right(moments, early) : bisect_right(moments, late)]
        due = round(looks[late] - looks[early]) if looks else round((late - early) / interval)
        if due < 0:
            # It was started again, and counts anew.
            due = round((late - early) / interval)
        if due > len(between):
            lost += due - len(between)
            wide = [one for one, other in pairwise([early, *between]) if other - one > 1.5 * interval]
            first = first or (wide or [early])[0] + interval
    largest = max((late - early for early, late in pairwise([since, *moments, until])), default=0.0)
    for early, late in ((since, moments[0]), (moments[-1], until)):
        if late - early > max(1.5 * interval, ENDS_S):
            lost += int((late - early) / interval)
            first = early + interval if first is None or early < first else first
    return Gaps(lost, largest, first)


@dataclass
class Ended:
    """Counts the series that end, told part after part of the time.

    ``had`` are the series that a target had when it was looked at last; ``gone`` those that it had no more.
    """

    surely: int = 0
    perhaps: int = 0
    had: dict[str, set[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    seen: dict[str, float] = field(default_factory=dict)

    def look(self, target: str, moment: float, series: set[str], *, answers: bool) -> None:
        """Take note of the ``series`` that a target had at ``moment``."""
        before = self.had.get(target, set())
        ends = before - series
        if answers:
            self.gone |= ends
        else:
            # Its series end then, that is sure, and may begin again.
            self.surely += len(ends)
        again = series & self.gone
        self.perhaps += len(again)
        self.gone -= again
        self.had[target], self.seen[target] = series, moment

    def begin(self, since: float, interval: float) -> None:
        """Begin to count, knowing what targets had before; of those that are gone the marks may come yet."""
        _, self.perhaps = self._gone(since, interval)
        self.surely, self.gone = 0, set()
        self.had = {name: each for name, each in self.had.items() if not self._is_gone(name, since, interval)}

    def ends(self, until: float, interval: float) -> tuple[int, int]:
        """How many series have ended for sure, and how many perhaps."""
        surely, perhaps = self._gone(until, interval)
        return self.surely + len(self.gone) + surely, self.perhaps + perhaps

    def _gone(self, now: float, interval: float) -> tuple[int, int]:
        """How many series of targets that are there no more have ended for sure, and how many perhaps."""
        gone = {name: each for name, each in self.had.items() if self._is_gone(name, now, interval)}
        # Their marks are made when two more looks would have been, and a tenth.
        surely = sum(len(each) for name, each in gone.items() if self.seen[name] < now - 3.5 * interval)
        return surely, sum(map(len, gone.values())) - surely

    def _is_gone(self, target: str, now: float, interval: float) -> bool:
        return self.seen[target] < now - 1.5 * interval


@dataclass(frozen=True)
class Look:
    """A look at a target: from when to when, and how many samples it gave."""

    start: float
    end: float
    samples: int


def quiet(moments: Iterable[float], others: Sequence[Look], own: Values) -> tuple[float, int] | None:
    """Return the moment around which the least was going on, the first of several, and how much that was.

    At each of ``moments`` a counter was read, which took as long as ``own`` says; ``others`` are looks at
    other targets, of whose samples nobody knows whether that was before or after.
    """

    def overlap(moment: float) -> int:
        start, end = moment - QUIET_S, moment + own[moment] + QUIET_S
        return sum(each.samples for each in others if each.end >= start and each.start <= end)

    found = [(moment, overlap(moment)) for moment in moments]
    return min(found, key=lambda each: each[1], default=None)


def ask(query: str, at: float) -> list[tuple[dict[str, str], dict[float, float]]]:
    """Return the series that Thanos has for a range ``query``, and their samples."""
    asked = urllib.parse.urlencode({"query": query, "time": f"{at:.3f}", "dedup": "false"})
    with urllib.request.urlopen(f"{URL}?{asked}", timeout=30) as answer:  # noqa: S310
        found = json.load(answer)["data"]["result"]
    return [(each["metric"], {moment: float(value) for moment, value in each["values"]}) for each in found]


def parts(start: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield a time in parts that can be asked for."""
    while start < end:
        yield start, min(start + PART_S, end)
        start += PART_S


def read(labels: str, start: float, end: float, ended: Ended) -> int:
    """Return how many samples there are from ``start`` on and before ``end``, and tell ``ended`` of them."""
    count = 0
    for early, late in parts(start, end):
        # A range is without its beginning, and with its end.
        found = ask(f'{{{labels},job!=""}}[{round((late - early) * 1000)}ms]', late - 0.001)
        count += sum(len(samples) for _, samples in found)
        tell(ended, found)
    return count


def tell(ended: Ended, found: Sequence[tuple[dict[str, str], dict[float, float]]]) -> None:
    """Tell ``ended`` which series each target had, moment by moment."""
    targets: dict[str, list[tuple[str, dict[float, float]]]] = {}
    up: dict[str, dict[float, float]] = {}
    for metric, samples in found:
        target = f"{metric.get('job')}/{metric.get('instance')}"
        targets.setdefault(target, []).append((json.dumps(metric, sort_keys=True), samples))
        if metric["__name__"] == "up":
            up[target] = samples
    for target, looks in up.items():
        for moment in sorted(looks):
            there = {name for name, samples in targets[target] if moment in samples}
            ended.look(target, moment, there, answers=looks[moment] == 1)


def edge(labels: str, readings: Values, start: float, end: float) -> tuple[float, int] | None:
    """Return a moment when the counter was exact, and by how much it was not; None if there is no moment."""
    took, gave = (
        {
            (metric["job"], metric["instance"]): samples
            for metric, samples in ask(f"{each}{{{labels}}}[{length}s]", end)
        }
        for length in [round(end - start) + TIMEOUT_S]
        for each in ("scrape_duration_seconds", "scrape_samples_post_metric_relabeling")
    )
    own = next((samples for (job, _), samples in took.items() if job == "beat"), {})
    others = [
        Look(moment, moment + seconds, round(gave.get(target, {}).get(moment, 0)) + REPORTED)
        for target, samples in took.items()
        if target[0] != "beat"
        for moment, seconds in samples.items()
    ]
    # What began after the end is not known of.
    return quiet([each for each in readings if each in own and start <= each < end - 2 * BEAT_S], others, own)


def counted(labels: str, since: float, until: float, interval: float) -> dict[str, object]:
    """Return what the agent counted, what Thanos has of that, and what is missing.

    Nothing, if the agent was started again, or has not been looked at for long enough.
    """
    found = ask(f"{APPENDED % labels}[{until - since:.0f}s]", until)
    readings = found[0][1] if found else {}
    length = 2 * interval + 10
    if not readings or max(readings) - min(readings) < 2 * length:
        return {}
    starts = (min(readings), max(readings) - length)
    edges = [each for start in starts if (each := edge(labels, readings, start, start + length))]
    if len(edges) != len(starts):
        return {}
    (first, unsure), (last, more) = edges
    if readings[last] < readings[first]:
        return {}
    ended = Ended()
    read(labels, first - 3 * interval, first, ended)
    ended.begin(first, interval)
    appended, there = round(readings[last] - readings[first]), read(labels, first, last, ended)
    surely, perhaps = ended.ends(last, interval)
    most = appended - there - surely
    return {
        "appended": appended,
        "found": there,
        "ended": surely,
        "ended_perhaps": perhaps,
        "missing": [max(0, most - perhaps - unsure - more), max(0, most + unsure + more)],
    }


def main(cluster: str, tenant: str, *times: str) -> None:
    """Look, and print what there is."""
    since, interval = map(int, times)
    labels = f'tenant_id="{tenant}",cluster="{cluster}"'
    # The newest samples are still on their way.
    until = int(time.time()) - 2 * interval
    length = f"[{until - since}s]"
    looks = {
        moment: value for _, each in ask(LOOKS % labels + length, until) for moment, value in each.items()
    }
    beats = [sorted(samples) for _, samples in ask(BEAT % labels + length, until)]
    others = [sorted(samples) for each in UP for _, samples in ask(each % labels + length, until)]
    found = [
        *(gaps(each, since=since, until=until, interval=BEAT_S, looks=looks) for each in beats),
        *(gaps(each, since=since, until=until, interval=interval) for each in others),
    ]
    seen = {
        "series": len(found),
        "samples": sum(map(len, [*beats, *others])),
        "fewest_in_a_series": min(map(len, [*beats, *others]), default=0),
        "beats": min(map(len, beats), default=0),
        "lost": sum(each.lost for each in found),
        "largest_gap_s": round(max((each.largest for each in found), default=0.0), 1),
        "first_lost": min((each.first for each in found[: len(beats)] if each.first), default=None),
    }
    print(json.dumps(seen | counted(labels, since, until, interval)))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
