"""Pictures in SVG, drawn as paths of numbers: what is shown decides the text, and no text is in them.

Every picture is 720 x 100 and is stretched to the width that a page has (``preserveAspectRatio="none"``),
with strokes that are not. Labels are the page's own text, so that they stay legible on a phone. Colours are
classes; the style sheet knows what they are in the light, in the dark and on paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from markupsafe import Markup

from lab.degrade.report.lanes import APART, COLUMNS, LOST, OK, OTHER, UNKNOWN, Axis, Lane, State

HEIGHT: Final = 100

_BOX: Final[Mapping[State, tuple[str, int, int]]] = {
    UNKNOWN: ("unknown", 26, 74),
    OK: ("ok", 43, 57),
    OTHER: ("other", 68, 86),
    APART: ("apart", 24, 76),
    LOST: ("lost", 1, 99),
}
"""Class, top and bottom of each state: they differ in height, so that colour is not needed to tell them."""


@dataclass(frozen=True)
class Scale:
    """Latencies from ``least`` to ``most`` seconds, on a logarithmic scale."""

    least: float
    most: float

    def y(self, seconds: float) -> int:
        """How far from the top."""
        share = math.log10(max(seconds, self.least) / self.least) / math.log10(self.most / self.least)
        return round(HEIGHT - 2 - min(share, 1) * (HEIGHT - 4))


def scale(lanes: Iterable[Lane]) -> Scale:
    """One scale with round ends for all flows of a report, so that they can be compared."""
    known = [each for each in lanes if each.quantiles]
    least = min((min(half for half, _ in each.columns.values()) for each in known), default=0.001)
    most = max((each.quantiles[2] for each in known), default=1.0)
    least, most = max(least, 1e-5), max(most, 1e-5)
    low = max(each for each in _round(least) if each <= least)
    return Scale(low, min(each for each in _round(most) if each >= most and each >= 5 * low))


def _round(figure: float) -> list[float]:
    """Round figures, up and down from one that is more than 0."""
    power = 10.0 ** math.floor(math.log10(figure))
    return [power * part for part in (0.5, 1, 2, 5, 10, 20, 50)]


def stage(spans: Iterable[tuple[float, float]], away: tuple[float, float] | None, over: Axis) -> Markup:
    """What is behind every lane: where phases begin, and the time of the fault."""
    edges = "".join(f"M{over.at(start):.1f} 0v{HEIGHT}" for start, _ in spans if start > over.start)
    if away is None:
        return _path("edge", edges)
    left, right = (min(max(over.at(moment), 0), COLUMNS) for moment in away)
    return (
        _path("away", f"M{left:.1f} 0h{right - left:.1f}v{HEIGHT}H{left:.1f}z")
        + _path("zero", f"M{left:.1f} 0v{HEIGHT}M{right:.1f} 0v{HEIGHT}")
        + _path("edge", edges)
    )


def lane(each: Lane, scale: Scale) -> Markup:
    """A lane: for a series its states, for a flow its latencies and what was lost."""
    if each.manner is None:
        return _boxes(each.states, (OK, OTHER, UNKNOWN, APART, LOST))
    return _latencies(each, scale) + _boxes(each.states, (UNKNOWN, APART, LOST))


def acts(moments: Iterable[tuple[float, float]], over: Axis) -> Markup:
    """What was done once: when it began, and for how long."""
    path = ""
    for start, seconds in moments:
        left = over.at(start)
        path += f"M{left:.1f} 22h{max(over.at(start + seconds) - left, 0.5):.1f}v56H{left:.1f}z"
    return _path("act", path)


def chart(numbers: Sequence[tuple[float, float | None]], low: float, high: float, over: Axis) -> Markup:
    """A line through numbers over time, broken where there are none. ``high`` is more than ``low``."""
    path, pen = "", "M"
    for moment, value in _thinned(numbers, over):
        if value is None:
            pen = "M"
            continue
        y = HEIGHT - (value - low) / (high - low) * HEIGHT
        # A line of no length with round ends is a dot: a number that stands alone is to be seen.
        path += f"{pen}{over.at(moment):.1f} {y:.1f}" + ("h0" if pen == "M" else "")
        pen = "L"
    return _path("line", path)


def bar(value: float, limit: float, most: float) -> Markup:
    """A bar of ``value`` seconds, and a mark at ``limit`` (0: none)."""
    width = value / most * COLUMNS
    drawn = _path("bar", f"M0 22h{max(width, 1):.1f}v56H0z")
    return drawn + _path("limit", f"M{limit / most * COLUMNS:.1f} 0v{HEIGHT}") if limit else drawn


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis for ``values``: round figures, 0 unless that would flatten what there is to see."""
    low, high = min(values), max(values)
    if 0 <= low < high and low < (high - low) * 4:
        low = 0.0
    # Values that are all the same, or as good as, have an axis of some length too.
    step = 10.0 ** math.floor(math.log10(max(high - low, abs(high) * 1e-6, 1e-9)))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * part) <= 10)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return low, high if high > low else low + step


def ticks(over: Axis) -> list[tuple[float, bool]]:
    """Round moments in seconds since the fault, at most 14, and whether they stay where half would fit."""
    length = over.end - over.start
    step = next((each for each in (5, 10, 15, 30, 60, 120, 300, 600) if length / each <= 13), length / 10)
    first, last = (over.since(end) / step for end in (over.start, over.end))
    return [(at * step, at % 2 == 0) for at in range(math.ceil(first), math.floor(last) + 1)]


def _path(shape: str, drawn: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(shape, drawn)


def _boxes(states: bytes, wanted: Sequence[State]) -> Markup:
    """A path for each state: boxes over the columns that it holds in."""
    found: dict[State, list[str]] = {}
    column = 0
    for state, run in groupby(states):
        width = len(list(run))
        if state in wanted:
            _, top, bottom = _BOX[state]
            found.setdefault(state, []).append(f"M{column} {top}h{width}v{bottom - top}h-{width}z")
        column += width
    return Markup("").join(_path(_BOX[state][0], "".join(found[state])) for state in wanted if state in found)


def _latencies(each: Lane, scale: Scale) -> Markup:
    """The median as a line, and from it to the maximum an area; broken where there was no answer."""
    area = line = ""
    for run in _runs(sorted(each.columns), each.states):
        halves = [(column, scale.y(each.columns[column][0])) for column in run]
        slowest = [(column, scale.y(each.columns[column][1])) for column in run]
        # Down to the right end's own column, so that an answer that stands alone is to be seen.
        halves.append((run[-1] + 1, halves[-1][1]))
        slowest.append((run[-1] + 1, slowest[-1][1]))
        line += _along(halves)
        area += f"{_along([*halves, *reversed(slowest)])}z"
    return _path("slow", area) + _path("half", line)


def _along(points: Sequence[tuple[int, int]]) -> str:
    """A path along points, in as few characters as it takes."""
    moves = (f"{right - left} {below - above}" for (left, above), (right, below) in pairwise(points))
    return f"M{points[0][0]} {points[0][1]}l{' '.join(moves)}".replace(" -", "-")


def _runs(columns: Sequence[int], states: bytes) -> Iterator[list[int]]:
    """Columns with answers, those together between which nothing failed or is missing."""
    run: list[int] = []
    for column in columns:
        if run and any(state != OK for state in states[run[-1] + 1 : column]):
            yield run
            run = []
        run.append(column)
    if run:
        yield run


def _thinned(
    numbers: Sequence[tuple[float, float | None]], over: Axis
) -> Iterator[tuple[float, float | None]]:
    """At most four points a column: the first, the extremes and the last; a hole stays a hole."""
    if len(numbers) <= 2 * COLUMNS:
        yield from numbers
        return
    for _, group in groupby(numbers, key=lambda each: (over.column(each[0]), each[1] is None)):
        points = list(group)
        kept = {0, len(points) - 1}
        if points[0][1] is not None:
            order = sorted(range(len(points)), key=lambda i: points[i][1] or 0.0)
            kept |= {order[0], order[-1]}
        yield from (points[i] for i in sorted(kept))
