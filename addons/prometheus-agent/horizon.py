"""For how long an agent's log keeps what cannot be sent: WAL METRICS FREQUENCY; prints JSON.

What Prometheus 3.15 does (tsdb/agent/db.go: run, truncate; tsdb/wlog/watcher.go: loop, watch): every
FREQUENCY seconds a new segment is begun, and of those that were closed the older two thirds go, sent or
not. A segment is also closed when it is full, at 128 MiB. Who sends reads one segment after the other, and
stops where the queue in memory is full. The file that it has open it reads to the end, even when that is
deleted; if the next one is gone then, it fails, and begins again with what is scraped after that. So what is
lost begins with the segment after the one in which it stopped, and is lost when that one is deleted.

Standard library only; runs in a pod that sees the log.
"""

import json
import math
import re
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

QUEUE = "hub"
"""The name of the remote write."""

SEGMENT = 128 * 1024 * 1024
FULL = 0.97
"""Of its size: a closed segment that is larger was closed because it was full, not by the clock."""

EARLY_S, LATE_S = 1.0, 1.0
"""By how much a sample is older than its place in the log; and what each truncation takes, from whose end the
next one is counted. At most."""

RATES = (0.5, 1.0, 2.0)
"""What the log may grow by meanwhile, of what it grew by so far."""

PHASES = 24


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A file of the log: its number, its size in bytes, and when it was written to last."""

    index: int
    size: int
    written: float


@dataclass(frozen=True, kw_only=True)
class Agent:
    """What an agent says of itself: when it began, where it reads, what its queue holds and gets a second."""

    began: float
    reads: int
    room: int
    rate: float


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log at a moment: its first and last segment, the bytes in the last one, and the next truncation."""

    now: float
    first: int
    last: int
    filled: float
    truncation: float


@dataclass(frozen=True, kw_only=True)
class Fate:
    """When a segment is begun and deleted, and how many truncations there are until then."""

    begun: float
    deleted: float
    until_begun: int = 0
    until_deleted: int = 0


def segments(listing: Mapping[str, tuple[int, float]]) -> list[Segment]:
    """Return the segments among files (name: size and time of the last write), in their order."""
    found = [
        Segment(index=int(name), size=size, written=written)
        for name, (size, written) in listing.items()
        if re.fullmatch(r"\d{8}", name)
    ]
    return sorted(found, key=lambda each: each.index)


def truncations(log: Sequence[Segment], *, began: float, now: float, frequency: float) -> list[float]:
    """Return when the next truncation may be: one moment if the log tells which, else some of a period."""
    # What was closed before it was full was closed by a truncation, or when the agent ended.
    closed = [each.written for each in log[:-1] if each.size < FULL * SEGMENT]
    if not closed and len(log) > 1:
        return [now + frequency * (number + 1) / PHASES for number in range(PHASES)]
    since = now - max([began, *closed])
    late = since % frequency
    overdue = [now] if since >= frequency and late < LATE_S else []
    return [*overdue, now - late + frequency]


def steps(log: Log, *, frequency: float, growth: float) -> Iterator[tuple[Log, int]]:
    """Yield the log after each segment that is begun, and how many truncations there were until then.

    ``growth`` is in bytes a second.
    """
    number = 0
    while True:
        full = log.now + (SEGMENT - log.filled) / growth if growth else math.inf
        first = log.first
        if log.truncation <= full:
            number += 1
            drop = first + (log.last - 1 - first) * 2 // 3
            first = drop + 1 if drop > first else first
            log = replace(log, now=log.truncation, truncation=log.truncation + frequency)
        else:
            log = replace(log, now=full)
        log = replace(log, first=first, last=log.last + 1, filled=0.0)
        yield log, number


def fate(log: Log, index: int, begun: float, *, frequency: float, growth: float) -> Fate:
    """Return what becomes of the segment ``index``, which was ``begun`` then if it is there already."""
    made = Fate(begun=begun, deleted=log.now)
    if log.first > index:
        return made
    for later, number in steps(log, frequency=frequency, growth=growth):
        if later.last == index:
            made = replace(made, begun=later.now, until_begun=number)
        if later.first > index:
            return replace(made, deleted=later.now, until_deleted=number)
    raise AssertionError("a log is truncated for ever")


def horizon(log: Sequence[Segment], agent: Agent, *, now: float, frequency: float) -> dict[str, list[float]]:
    """Return when the first lost sample is scraped, and how many seconds after ``now`` it is lost.

    That is ``lost_from`` and ``endures``, each at the earliest and at the latest. Reading stops where it is
    ``now``, or anywhere from there to where the queue is full.
    """
    first, last = log[0], log[-1]
    written = {each.index: each.written for each in log}
    age = now - (first.written if len(log) > 1 else agent.began)
    grown = sum(each.size for each in (log[1:] or log)) / max(age, 1.0)
    filled = now + (agent.room / agent.rate if agent.rate else frequency)
    found: list[Fate] = []
    for moment in truncations(log, began=agent.began, now=now, frequency=frequency):
        state = Log(now=now, first=first.index, last=last.index, filled=last.size, truncation=moment)
        for growth in (grown * each for each in RATES):
            earliest, latest = min(agent.reads, last.index), last.index
            for later, _ in steps(state, frequency=frequency, growth=growth):
                if later.now > filled:
                    break
                latest = later.last
            # What is between has a fate between theirs.
            found += [
                fate(state, stop + 1, written.get(stop, now), frequency=frequency, growth=growth)
                for stop in (earliest, latest)
            ]
    return {
        "lost_from": [
            round(min(each.begun for each in found) - EARLY_S, 1),
            round(max(each.begun + LATE_S * (each.until_begun + 1) for each in found), 1),
        ],
        "endures": [
            round(min(each.deleted for each in found) - now, 1),
            round(max(each.deleted + LATE_S * each.until_deleted for each in found) - now, 1),
        ],
    }


def agent(metrics: str, *, now: float) -> Agent:
    """Return what an agent's ``metrics`` say of it, and of the queue QUEUE."""

    def value(name: str, labels: str = "") -> float:
        found = re.search(rf"^{name}{{[^}}]*{labels}[^}}]*}} (\S+)$|^{name} (\S+)$", metrics, re.MULTILINE)
        return float(found[1] or found[2]) if found else 0.0

    def queue(name: str) -> float:
        return value(f"prometheus_remote_storage_{name}", f'remote_name="{QUEUE}"')

    began = value("process_start_time_seconds")
    batch, capacity = int(queue("max_samples_per_send")), int(queue("shard_capacity"))
    # One that is sent, those that wait, one that is being filled (storage/remote/queue_manager.go: newQueue).
    batches = 2 + max(1, capacity // batch) if batch else 0
    return Agent(
        began=began,
        reads=int(value("prometheus_wal_watcher_current_segment", f'consumer="{QUEUE}"')),
        room=int(max(1.0, queue("shards"))) * batch * batches,
        rate=value("prometheus_agent_samples_appended_total", 'type="float"') / max(now - began, 1.0),
    )


def listed(folder: Path) -> Iterator[tuple[str, tuple[int, float]]]:
    """Yield the files of a folder, but what goes meanwhile."""
    for path in folder.iterdir():
        try:
            seen = path.stat()
        except FileNotFoundError:
            continue
        yield path.name, (seen.st_size, seen.st_mtime)


def main(wal: str, metrics: str, frequency: str) -> None:
    """Look at both, and print what follows."""
    with urllib.request.urlopen(metrics, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    log, now = segments(dict(listed(Path(wal)))), time.time()
    seen = {
        "asked": round(now, 1),
        "segments": [log[0].index, log[-1].index],
        "bytes": sum(each.size for each in log),
    }
    print(json.dumps(seen | horizon(log, agent(text, now=now), now=now, frequency=float(frequency))))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
