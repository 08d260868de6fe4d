"""The moments of a history that everything else is told by."""

from __future__ import annotations

from lab.degrade.history import History


def extent(history: History) -> tuple[float, float]:
    """When the first phase began and the last one ended; (0, 0) for a run that ended before any."""
    spans = history.spans.values()
    return min((start for start, _ in spans), default=0.0), max((end for _, end in spans), default=0.0)


def moment(history: History, what: str) -> float | None:
    """When the fault was ``injected``, ``seen`` or ``undone``; None if it was not. The first time counts."""
    first = history.first(what)
    return None if first is None else first.mono


def broken(history: History) -> float | None:
    """For how many seconds the fault was in place; None if it was not injected, or never undone."""
    injected, undone = moment(history, "injected"), moment(history, "undone")
    return None if injected is None or undone is None else undone - injected
