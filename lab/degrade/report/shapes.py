"""What reports need of a history, and the moments in it that everything else is told by.

These are protocols, so that a report can be made of whatever has these shapes; :mod:`lab.degrade.history`
reads them from a file. Moments are ``mono`` (seconds of the observer's monotonic clock) and ``wall`` (Unix).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lab.catalog.contract import Phase


class Moment(Protocol):
    """Anything that happened."""

    @property
    def mono(self) -> float:
        """When it began, by the observer's monotonic clock."""

    @property
    def wall(self) -> float:
        """The same by the wall clock."""


class Sample(Moment, Protocol):
    """One sample of a series, or one request of a flow."""

    @property
    def ok(self) -> bool:
        """Whether it is as it was to be."""

    @property
    def seconds(self) -> float:
        """How long it took; of no meaning for a request that failed."""

    @property
    def value(self) -> Any:
        """What was kept of it."""

    @property
    def error(self) -> str:
        """Why it failed."""


class Act(Sample, Protocol):
    """Something that was done once."""

    @property
    def phase(self) -> str:
        """The phase that it was done in."""


class Gap(Protocol):
    """Time of which nothing is known, because the sampler itself was late."""

    @property
    def mono(self) -> float:
        """When it ended."""

    @property
    def seconds(self) -> float:
        """How much time."""


class Fault(Moment, Protocol):
    """A moment of the fault."""

    @property
    def what(self) -> str:
        """``injected``, ``seen`` or ``undone``."""

    @property
    def detail(self) -> str:
        """In whose words."""


class Note(Moment, Protocol):
    """Something worth telling a reader."""

    @property
    def text(self) -> str:
        """What."""

    @property
    def code(self) -> str:
        """What judges call it; empty where they need not know."""


class History(Protocol):
    """All that was seen. Ids are qualified: ``C3/app1/secret``, and ``C1/app1/inside/new`` for flows."""

    @property
    def run(self) -> Mapping[str, Any]:
        """The header."""

    @property
    def spans(self) -> Mapping[Phase, tuple[float, float]]:
        """When each phase began and ended."""

    @property
    def ended(self) -> bool:
        """Whether the run came to its end, rather than being cut off."""

    @property
    def samples(self) -> Mapping[str, Sequence[Sample]]:
        """Of every series, by time."""

    @property
    def flows(self) -> Mapping[str, Sequence[Sample]]:
        """Of every flow and manner, by number."""

    @property
    def acts(self) -> Mapping[str, Act]:
        """What was done once."""

    @property
    def gaps(self) -> Mapping[str, Sequence[Gap]]:
        """Of every series that has any."""

    @property
    def faults(self) -> Sequence[Fault]:
        """Moments of the fault, by time."""

    @property
    def notes(self) -> Sequence[Note]:
        """Notes, by time."""


def extent(history: History) -> tuple[float, float]:
    """When the first phase began and the last one ended; (0, 0) for a run that ended before any."""
    spans = history.spans.values()
    return min((start for start, _ in spans), default=0.0), max((end for _, end in spans), default=0.0)


def moment(history: History, what: str) -> float | None:
    """When the fault was ``injected``, ``seen`` or ``undone``; None if it was not. The first time counts."""
    return next((each.mono for each in history.faults if each.what == what), None)


def broken(history: History) -> float | None:
    """For how many seconds the fault was in place; None if it was not injected, or never undone."""
    injected, undone = moment(history, "injected"), moment(history, "undone")
    return None if injected is None or undone is None else undone - injected
