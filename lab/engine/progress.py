"""Shows a run while it happens: one live line a cluster on a terminal, a line an event elsewhere.

Everything goes to stderr. Called from several threads at once; whatever happens to the terminal, no
call raises, because a run must not fail for want of somebody to watch it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from lab import console
from lab.plan.step import Plan, Step

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

Result = Literal["done", "skipped", "failed", "interrupted", "not started"]
"""How a step ended; ``skipped`` is one that was already done."""

LAB = "lab"
"""The line of steps that belong to no cluster."""

_HEARTBEAT_S = 30.0
"""Without a terminal, how often a step that still runs says so: CI systems end jobs that stay silent."""

_SUMMARY_ROWS = 40
"""A summary of more steps than this shows the slowest only; a plan of 255 clusters has thousands."""


class Progress(Protocol):
    """What the engine tells whoever is watching."""

    def begin(self, plan: Plan) -> None:
        """The run of ``plan`` starts."""

    def started(self, step: Step) -> None:
        """``step`` starts."""

    def said(self, step: Step, text: str) -> None:
        """``text`` is the last thing that ``step`` saw."""

    def ended(self, step: Step, result: Result, seconds: float) -> None:
        """``step`` ended (or was already done) after ``seconds``."""

    def note(self, text: str) -> None:
        """Something about the run as a whole, as "interrupted, waiting for 2 steps"."""

    def tick(self) -> None:
        """Called about once a second from the thread that runs the plan."""

    def end(self) -> None:
        """The run is over, however it went; show the summary. Called once."""


@dataclass
class _Timings:
    """Seconds that each step took, by the order in which they ended."""

    rows: list[tuple[Step, Result, float]] = field(default_factory=list)

    def show(self, stream: TextIO, *, total: float) -> None:
        shown = [row for row in self.rows if row[1] != "skipped"]
        skipped = len(self.rows) - len(shown)
        title = f"{len(shown)} step{'' if len(shown) == 1 else 's'} in {console.duration(total)}"
        if skipped:
            title += f", {skipped} already done"
        if len(shown) > _SUMMARY_ROWS:
            shown = sorted(shown, key=lambda row: -row[2])[:_SUMMARY_ROWS]
            title += f"; the slowest {_SUMMARY_ROWS}"
        if not shown:
            console.note(title, stream=stream)
            return
        rows = [
            (step.cluster or LAB, step.summary, result, console.duration(seconds))
            for step, result, seconds in shown
        ]
        console.table(("cluster", "step", "result", "time"), rows, title=title, stream=stream)


class PlainProgress:
    """A line when a step starts, when it ends, and every 30 s between: for logs and pipes."""

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._lock = threading.RLock()
        self._running: dict[str, _Running] = {}
        self._timings = _Timings()
        self._begun = clock()
        self._width = len(LAB)

    def begin(self, plan: Plan) -> None:
        """See :class:`Progress`."""
        self._begun = self._clock()
        self._width = max([len(LAB), *(len(step.cluster or LAB) for step in plan.steps)])
        # One line for them all: most runs find most steps done, and what is done is of no interest.
        if done := len(plan.steps) - len(plan.pending):
            self.note(f"{done} of {len(plan.steps)} steps are done already")

    def started(self, step: Step) -> None:
        """See :class:`Progress`."""
        now = self._clock()
        with self._lock:
            self._running[step.id] = _Running(step, since=now, beat=now)
        about = f" (about {console.duration(step.estimate_s)})" if step.estimate_s else ""
        self._line(step, f"...{about}")

    def said(self, step: Step, text: str) -> None:
        """See :class:`Progress`."""
        with self._lock:
            if running := self._running.get(step.id):
                running.detail = text

    def ended(self, step: Step, result: Result, seconds: float) -> None:
        """See :class:`Progress`."""
        with self._lock:
            self._running.pop(step.id, None)
            self._timings.rows.append((step, result, seconds))
        if result not in {"skipped", "not started"}:
            joint = "in" if result == "done" else "after"
            self._line(step, f"... {result} {joint} {console.duration(seconds)}")

    def note(self, text: str) -> None:
        """See :class:`Progress`."""
        with self._lock:
            console.note(text, stream=self._stream)

    def tick(self) -> None:
        """See :class:`Progress`."""
        now = self._clock()
        with self._lock:
            silent = [each for each in self._running.values() if now - each.beat >= _HEARTBEAT_S]
            for each in silent:
                each.beat = now
        for each in silent:
            detail = f": {each.detail}" if each.detail else ""
            self._line(each.step, f"... {console.duration(now - each.since)}{detail}")

    def end(self) -> None:
        """See :class:`Progress`."""
        with _best_effort(), self._lock:
            self._timings.show(self._stream, total=self._clock() - self._begun)

    def _line(self, step: Step, text: str) -> None:
        self.note(f"{(step.cluster or LAB).ljust(self._width)}  {step.summary} {text}")


@dataclass
class _Running:
    step: Step
    since: float
    beat: float = 0.0
    detail: str = ""


@dataclass
class _Row:
    """The state of one cluster's line."""

    steps: int
    ended: int = 0
    failed: bool = False
    running: dict[str, _Running] = field(default_factory=dict)


class LiveProgress:
    """One line a cluster, redrawn in place four times a second."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._console = console.rich_console(self._stream)
        self._lock = threading.RLock()
        self._rows: dict[str, _Row] = {}
        self._timings = _Timings()
        self._begun = time.monotonic()
        self._live: Live | None = None

    def begin(self, plan: Plan) -> None:
        """See :class:`Progress`."""
        from rich.live import Live

        self._begun = time.monotonic()
        for step in plan.steps:
            row = self._rows.setdefault(step.cluster or LAB, _Row(steps=0))
            row.steps += 1
        self._live = Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
        )
        with _best_effort():
            self._live.start()

    def started(self, step: Step) -> None:
        """See :class:`Progress`."""
        with self._lock:
            self._row(step).running[step.id] = _Running(step, since=time.monotonic())

    def said(self, step: Step, text: str) -> None:
        """See :class:`Progress`."""
        with self._lock:
            if running := self._row(step).running.get(step.id):
                running.detail = text

    def ended(self, step: Step, result: Result, seconds: float) -> None:
        """See :class:`Progress`."""
        with self._lock:
            row = self._row(step)
            row.running.pop(step.id, None)
            row.ended += result in {"done", "skipped"}
            row.failed |= result == "failed"
            self._timings.rows.append((step, result, seconds))

    def note(self, text: str) -> None:
        """See :class:`Progress`."""
        with _best_effort():
            self._console.print(text, markup=False)

    def tick(self) -> None:
        """See :class:`Progress`; Rich redraws by itself."""

    def end(self) -> None:
        """See :class:`Progress`."""
        with _best_effort():
            if self._live is not None:
                self._live.stop()
            self._timings.show(self._stream, total=time.monotonic() - self._begun)

    def _row(self, step: Step) -> _Row:
        return self._rows.setdefault(step.cluster or LAB, _Row(steps=1))

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right")
        now = time.monotonic()
        with self._lock:
            # What does not fit on the screen would scroll away line by line with every redraw.
            for name, row in _most_telling(self._rows, room=max(3, self._console.height - 2)):
                mark, style = _mark(row)
                oldest = min(row.running.values(), key=lambda each: each.since, default=None)
                more = f" (+{len(row.running) - 1})" if len(row.running) > 1 else ""
                table.add_row(
                    Text(f"{mark} {name}", style=style),
                    Text(f"{row.ended}/{row.steps}", style="dim"),
                    Text(oldest.step.summary + more if oldest else ""),
                    Text(oldest.detail if oldest else "", style="dim"),
                    Text(_elapsed(oldest, now) if oldest else ""),
                )
        return table


def for_stream(stream: TextIO | None = None) -> Progress:
    """Live progress when ``stream`` (stderr unless given) is a terminal that can show it, else plain."""
    stream = stream or sys.stderr
    return LiveProgress(stream) if console.is_rich(stream) else PlainProgress(stream)


def _elapsed(running: _Running, now: float) -> str:
    elapsed = f"{now - running.since:.0f} s"
    return f"{elapsed} of about {running.step.estimate_s:.0f} s" if running.step.estimate_s else elapsed


def _mark(row: _Row) -> tuple[str, str]:
    if row.failed:
        return "x", "red"
    if row.ended >= row.steps:
        return "+", "green"
    return (">", "bold") if row.running else ("-", "dim")


def _most_telling(rows: dict[str, _Row], *, room: int) -> Sequence[tuple[str, _Row]]:
    """All rows when there is room for them; else those that failed or run, then the others, in order."""
    if len(rows) <= room:
        return list(rows.items())
    busy = [name for name, row in rows.items() if row.failed or row.running]
    rest = [name for name in rows if name not in busy]
    shown = set((busy + rest)[:room])
    return [(name, row) for name, row in rows.items() if name in shown]


def _best_effort() -> contextlib.suppress:
    return contextlib.suppress(OSError, ValueError)
