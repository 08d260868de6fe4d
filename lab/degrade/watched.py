"""What was watched over time, a series or one manner of a flow: what is known of it, and of which time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from lab.catalog.contract import Phase
from lab.degrade.history import Gap, History, Sample

ENOUGH: Final = 0.95
"""The share of a phase of which something must be known before anything is said of the phase."""

Span = tuple[float, float]

_EPSILON: Final = 1e-9

_UNNOTICED_S = 1.0
"""A request is lost when seconds pass without an answer. What is sent and lost is sent again after one (RFC
6298), so nothing that lasts less makes a request fail, and requests before and after would have been late.
On two busy cores probers were seen to pause for most of a second, and lost nothing."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """``name`` is what figures call it, ``title`` what sentences do; ``every`` and ``timeout`` are seconds.

    ``samples`` are all that there are, ``gaps`` when the sampler itself was late. ``is_flow`` where samples
    are requests; ``missing`` are then the numbers of those that are not known of.
    """

    history: History
    name: str
    title: str
    every: float
    timeout: float
    samples: Sequence[Sample]
    gaps: Sequence[Gap] = ()
    missing: Sequence[tuple[int, int]] = ()
    is_flow: bool = False

    @property
    def noun(self) -> str:
        """What its samples are called."""
        return "requests" if self.is_flow else "samples"

    @property
    def called(self) -> str:
        """Its samples in a sentence: ``requests between app1 and app2``, ``samples of "sync" on app1``."""
        return f"{self.noun} {self.title}" if self.is_flow else f"{self.noun} of {self.title}"

    @property
    def unknown(self) -> int:
        """How many requests were made that are not known of, in the whole run."""
        return sum(last - first + 1 for first, last in self.missing)

    def during(self, phases: Iterable[Phase], *, after: float = 0) -> list[Sample]:
        """Samples that began in ``phases``, in order of time, without the first ``after`` seconds of them.

        A phase ends before the next begins; the last one with the run. Phases that follow one another are
        one stretch, and have one beginning.
        """
        found: list[Sample] = []
        for start, end in stretches(self.history, phases):
            from_start = bisect_left(self._begun, start + after)
            find = bisect_right if end >= self.history.end else bisect_left
            found += self._in_time[from_start : find(self._begun, end)]
        return found

    def since(self, moment: float) -> list[Sample]:
        """Samples that began at ``moment`` or later, to the end of the run, in order of time."""
        start, end = bisect_left(self._begun, moment), bisect_right(self._begun, self.history.end)
        return self._in_time[start:end]

    def known(self, phase: Phase) -> float:
        """The share of a phase of which something is known, 0 to 1."""
        return self._share(self.history.spans[phase])

    def _share(self, span: Span) -> float:
        """The share of ``span`` of which something is known, 0 to 1.

        Of one shorter than ``every`` all is known from one sample in it, or within half a turn of it.
        """
        start, end = span
        near = self.every / 2
        if end - start < self.every and any(start - near <= each <= end + near for each in self._begun):
            return 1.0
        if start == end:
            return float(any(before <= start <= after for before, after in self._known))
        return _overlap(self._known, (start, end)) / (end - start)

    def too_little(self, phases: Iterable[Phase], *, after: float = 0) -> str:
        """Say of which of ``phases`` too little is known for a judgement; empty if of none.

        The first ``after`` seconds of them do not count, as in :meth:`during`.
        """
        if not self.samples:
            return f"there are no {self.called}"
        spans = later(self.history, phases, after)
        worst = min(spans, key=lambda phase: self._share(spans[phase]), default=None)
        if worst is None or (share := self._share(spans[worst])) + _EPSILON >= ENOUGH:
            return ""
        what = f"what counts of {worst}" if after else worst
        return f"only {_percent(share)} of {what} is covered by {self.called}"

    def longest_outage(self, among: Sequence[Sample]) -> float:
        """Seconds from the last good one before failures that are ``among`` to the first good one after.

        Measured between their beginnings. Where there is none before or after, from the first failure, or to
        the end of the last.
        """
        wanted = {each.mono for each in among if not each.ok}
        longest = 0.0
        for first, last in self._outages():
            begun = self._begun[first : last + 1]
            if wanted.isdisjoint(begun):
                continue
            start = self._begun[first - 1] if first else self._begun[first]
            after = self._in_time[last + 1 :][:1]
            end = after[0].mono if after else self._in_time[last].mono + self._in_time[last].seconds
            longest = max(longest, end - start)
        return longest

    def _outages(self) -> Iterator[tuple[int, int]]:
        """Failures that follow one another: the index of the first, and of the last."""
        first = None
        for index, each in enumerate(self._in_time):
            if each.ok and first is not None:
                yield first, index - 1
                first = None
            elif not each.ok and first is None:
                first = index
        if first is not None:
            yield first, len(self._in_time) - 1

    @property
    def _unnoticed(self) -> float:
        return _UNNOTICED_S if self.is_flow and not self.missing else 0.0

    @cached_property
    def _in_time(self) -> list[Sample]:
        return sorted(self.samples, key=lambda sample: sample.mono)

    @cached_property
    def _begun(self) -> list[float]:
        return [each.mono for each in self._in_time]

    @cached_property
    def _known(self) -> list[Span]:
        """When something is known. A sample stands for ``every`` seconds, or for as long as it took.

        It stands for a little longer if the next one came so late: no clock is exact, and a sampler that
        had to wait for an answer goes on at its next turn. What a gap says is not known is not, except while
        a sample was under way. The first sample stands for half a turn before it, too. Of requests, all of
        which are known of, a pause of a second hides no loss: it takes more to lose one.
        """
        turns: list[Span] = []
        busy: list[Span] = []
        for index, each in enumerate(self._in_time):
            start = each.mono - self.every / 2 if index == 0 else each.mono
            end = each.mono + max(self.every, each.seconds)
            slack = max(self._unnoticed, self.every if each.seconds > self.every else self.every / 2)
            following = self._begun[index + 1] if index + 1 < len(self._begun) else end
            turns.append((start, following if end < following <= end + slack else end))
            if each.seconds > 0:
                busy.append((each.mono, each.mono + each.seconds))
        late = [(gap.mono - gap.seconds, gap.mono) for gap in self.gaps]
        return _joined([*_without(_joined(turns), _joined(late)), *busy])


def stretches(history: History, phases: Iterable[Phase]) -> list[Span]:
    """The times of ``phases``, as far as they are there, with those that follow one another as one."""
    return _joined(span for phase in phases if (span := history.spans.get(phase)))


def later(history: History, phases: Iterable[Phase], after: float) -> dict[Phase, Span]:
    """What is left of each of ``phases``, without the first ``after`` seconds of its stretch, if any is."""
    left: dict[Phase, Span] = {}
    phases = tuple(phases)
    beginnings = [start for start, _ in stretches(history, phases)]
    for phase in phases:
        if phase in history.spans:
            start, end = history.spans[phase]
            first = max(each for each in beginnings if each <= start) + after
            if not after or first < end:
                left[phase] = (max(start, first), end)
    return left


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _without(spans: Iterable[Span], holes: Sequence[Span]) -> Iterator[Span]:
    """``spans`` less ``holes``; both in order and apart."""
    for start, end in spans:
        for hole_start, hole_end in holes:
            if hole_end > start and hole_start < end:
                if hole_start > start:
                    yield start, hole_start
                start = max(start, hole_end)
        if end > start:
            yield start, end


def _overlap(spans: Iterable[Span], within: Span) -> float:
    return sum(max(0.0, min(end, within[1]) - max(start, within[0])) for start, end in spans)


def _percent(share: float) -> str:
    """A share as people read it; never rounded up to enough."""
    return f"{int(share * 100)} %"
