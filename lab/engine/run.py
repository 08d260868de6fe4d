"""Runs a plan: what can go side by side goes side by side, and what went wrong is told whole.

The main thread decides and each step has a thread of its own, which ends with its step. These are daemon
threads, not a pool's: a pool is waited for when the interpreter exits, and after a second Ctrl-C nothing is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from lab.engine.journal import Journal
from lab.engine.outcome import Outcome, StepOutcome, failure, interruption
from lab.engine.progress import Progress, Result
from lab.engine.signals import asked_to_end
from lab.errors import Interrupted, LabError
from lab.plan.step import Plan, Step

log = logging.getLogger(__name__)

_TICK_S = 1.0


@dataclass
class Context:
    """What an action gets besides its step."""

    cancelled: threading.Event
    """Set when the run is to end early; give it to everything that waits."""

    _on_say: Callable[[str], None]

    last_said: str = ""
    """What :meth:`say` was last given."""

    def say(self, text: str) -> None:
        """Show ``text`` as what the step now sees or waits for; it is also kept for a failure's report."""
        self.last_said = " ".join(text.split())
        self._on_say(self.last_said)


Action = Callable[[Step, Context], None]
"""Does a step. Returning is success; raising is failure. Runs in a thread of its own."""


@dataclass
class _Ended:
    """A step's thread has finished."""

    outcome: StepOutcome


class _Asked:
    """Somebody pressed Ctrl-C, or the like."""


@dataclass
class _Run:
    """The moving parts of one run; touched by the main thread only, except where said."""

    plan: Plan
    actions: Mapping[str, Action]
    progress: Progress
    journal: Journal
    workers: int
    evidence: Callable[[Step], str] | None
    news: SimpleQueue[_Ended | _Asked] = field(default_factory=SimpleQueue)
    """Written by step threads and signal handlers: ``SimpleQueue.put`` is safe in both."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    running: dict[str, Context] = field(default_factory=dict)
    ended: dict[str, StepOutcome] = field(default_factory=dict)
    asked: int = 0

    def go(self) -> None:
        """Start what can be started and take in what ends, until nothing runs and nothing may start."""
        for step in self.plan.steps:
            if step.done:
                self._take(StepOutcome(step=step, result="skipped"))
        while self.asked < 2:
            self._start_ready()
            if not self.running:
                return
            try:
                news = self.news.get(timeout=_TICK_S)
            except Empty:
                self.progress.tick()
                continue
            if isinstance(news, _Ended):
                self._take(news.outcome)
            else:
                self._cancel()

    def drain(self) -> None:
        """Take in a request to end that came too late to stop anything: it is still a request to end."""
        while not self.news.empty():
            if isinstance(self.news.get(), _Asked):
                self._cancel()

    @property
    def has_failed(self) -> bool:
        return any(outcome.result == "failed" for outcome in self.ended.values())

    def _start_ready(self) -> None:
        if self.has_failed or self.cancelled.is_set():
            return
        for step in self.plan.steps:
            if len(self.running) >= self.workers:
                return
            new = step.id not in self.ended and step.id not in self.running
            if new and all(need in self.ended for need in step.needs):
                self._start(step)

    def _start(self, step: Step) -> None:
        context = Context(self.cancelled, lambda text: self.progress.said(step, text))
        self.running[step.id] = context
        self.journal.write("step-start", step=step.id, kind=step.kind)
        self.progress.started(step)
        threading.Thread(target=self._do, args=(step, context), name=step.id, daemon=True).start()

    def _do(self, step: Step, context: Context) -> None:
        """Run one action to its end; in the step's own thread."""
        started = time.monotonic()
        error: BaseException | None = None
        try:
            self.actions[step.kind](step, context)
        except BaseException as raised:  # noqa: BLE001  # without news this thread would be waited for
            error = raised
        result: Result = "done"
        evidence = ""
        seconds = time.monotonic() - started
        if error is not None:
            ours = isinstance(error, Interrupted) and self.cancelled.is_set()
            result = "interrupted" if ours else "failed"
            if not isinstance(error, LabError):
                log.error("step %s", step.id, exc_info=error)
            if result == "failed" and not self.cancelled.is_set():
                evidence = self._gather(step)
        self.news.put(
            _Ended(
                StepOutcome(
                    step=step,
                    result=result,
                    seconds=seconds,
                    said=context.last_said,
                    error=error,
                    evidence=evidence,
                )
            )
        )

    def _gather(self, step: Step) -> str:
        if self.evidence is None:
            return ""
        try:
            return self.evidence(step).strip()
        except Exception as error:  # the step's own failure must not be hidden by this one
            log.warning("no evidence on %s", step.id, exc_info=error)
            return f"(none could be gathered: {error})"

    def _take(self, outcome: StepOutcome) -> None:
        step = outcome.step
        self.running.pop(step.id, None)
        self.ended[step.id] = outcome
        error = {"error": str(outcome.error)} if outcome.error else {}
        said = {"said": outcome.said} if outcome.said else {}
        seconds = round(outcome.seconds, 3)
        self.journal.write("step-end", step=step.id, outcome=outcome.result, seconds=seconds, **said, **error)
        self.progress.ended(step, outcome.result, outcome.seconds)

    def _cancel(self) -> None:
        self.asked += 1
        self.cancelled.set()
        if self.asked == 1 and self.running:
            waiting = ", ".join(self.running)
            self.progress.note(f"interrupted: waiting for {waiting} (Ctrl-C again: do not wait)")

    def outcome(self, *, seconds: float) -> Outcome:
        """What is known now of every step."""
        return Outcome(steps=tuple(map(self._outcome_of, self.plan.steps)), seconds=seconds)

    def _outcome_of(self, step: Step) -> StepOutcome:
        if step.id in self.ended:
            return self.ended[step.id]
        if step.id in self.running:
            return StepOutcome(step=step, result="interrupted", said=self.running[step.id].last_said)
        return StepOutcome(step=step, result="not started")


def run(
    plan: Plan,
    actions: Mapping[str, Action],
    *,
    progress: Progress,
    journal: Journal,
    workers: int,
    evidence: Callable[[Step], str] | None = None,
    continue_with: str = "./invoke up",
    undo_with: str = "./invoke down",
) -> Outcome:
    """Do every step of ``plan`` that is not done, at most ``workers`` at once, each after what it needs.

    ``actions`` says how to do each kind of step. After a failure nothing new starts and what runs may
    finish. On Ctrl-C, SIGTERM or SIGHUP ``Context.cancelled`` is set and what runs is waited for; asked
    a second time, we no longer wait. ``evidence`` is called on a failed step, in its thread, for what
    a person would want to see; its own failure does no harm. ``continue_with`` and ``undo_with`` are
    the commands that errors name.

    Raises :class:`lab.errors.Interrupted` when interrupted; the error of the one step that failed, told
    in full, with its class and exit code; or :class:`lab.errors.ProvisionError` when several failed or
    when an action has a bug. :class:`KeyError` when there is no action for a kind of step, before
    anything starts.
    """
    unknown = sorted({step.kind for step in plan.pending} - actions.keys())
    if unknown:
        raise KeyError(f"no action for steps of kind {', '.join(unknown)}")
    this = _Run(plan, actions, progress, journal, workers, evidence)
    started = time.monotonic()
    journal.write("run-start", lab=plan.lab, topology=plan.topology, steps=[step.id for step in plan.steps])
    progress.begin(plan)
    ending = "failed"
    try:
        with asked_to_end(lambda: this.news.put(_Asked())):
            this.go()
        this.drain()
        ending = "interrupted" if this.cancelled.is_set() else "failed" if this.has_failed else "done"
    finally:
        outcome = this.outcome(seconds=time.monotonic() - started)
        journal.write("run-end", outcome=ending, seconds=round(outcome.seconds, 3))
        progress.end()
    if ending == "interrupted":
        raise interruption(outcome, continue_with=continue_with, undo_with=undo_with)
    if ending == "failed":
        raise failure(outcome, continue_with=continue_with)
    return outcome
