from __future__ import annotations

import threading
import time

import pytest

from lab.clients.wait import TimedOut, wait_until
from lab.errors import InputError, Interrupted, TemporaryError


def answers(*missing: str | None):
    """A look that sees one of ``missing`` after the other, and then the last for ever."""
    left = list(missing)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_what_is_there_is_not_waited_for():
    started = time.monotonic()

    assert wait_until("a node", answers(None), timeout=10, every=5) < 1
    assert time.monotonic() - started < 1


def test_waits_until_nothing_is_missing():
    told: list[str] = []

    wait_until("pods", answers("2 missing", "1 missing", None), timeout=10, every=0.01, on_look=told.append)

    assert told == ["2 missing", "1 missing"]


def test_a_timeout_says_what_was_last_seen():
    with pytest.raises(TimedOut) as caught:
        wait_until("all pods", answers("2 missing", "1 missing"), timeout=0.05, every=0.01, remedy="Look.")

    assert str(caught.value) == "all pods did not come within 0.05 s\nlast seen: 1 missing\nLook."
    assert caught.value.exit_code == 4


def test_looks_at_least_once():
    wait_until("a node", answers(None), timeout=0)


def test_a_temporary_error_counts_as_something_missing():
    calls = 0

    def look() -> str | None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise TemporaryError("connection refused")
        return None

    told: list[str] = []
    wait_until("the API", look, timeout=10, every=0.01, on_look=told.append)

    assert told == ["connection refused"] * 2


def test_any_other_error_ends_the_wait():
    def look() -> str | None:
        raise InputError("no such cluster")

    with pytest.raises(InputError, match="no such cluster"):
        wait_until("the API", look, timeout=10, every=5)


def test_cancelled_ends_the_wait_at_once():
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    started = time.monotonic()

    with pytest.raises(Interrupted) as caught:
        wait_until("all pods", answers("1 missing"), timeout=60, every=30, cancelled=cancelled)

    assert time.monotonic() - started < 5
    assert str(caught.value) == "interrupted while waiting for all pods\nlast seen: 1 missing"
