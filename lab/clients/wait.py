"""One way to wait: with an end, at a steady pace, and with the last thing seen in the error."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from lab.errors import Interrupted, ProvisionError, TemporaryError


class TimedOut(ProvisionError):
    """What was waited for did not come."""


def wait_until(
    what: str,
    look: Callable[[], str | None],
    *,
    timeout: float,
    every: float = 0.5,
    cancelled: Event | None = None,
    on_look: Callable[[str], None] | None = None,
    remedy: str = "",
) -> float:
    """Look every ``every`` seconds until ``look`` returns None; give up after ``timeout`` seconds.

    ``look`` returns None when there is nothing left to wait for, else a few words on what is
    still missing; a :class:`TemporaryError` from it counts as such words, any other error ends
    the wait. ``on_look`` is told the words. Returns the seconds waited. Raises :class:`TimedOut`
    with the last words, or :class:`Interrupted` once ``cancelled`` is set.
    """
    started = time.monotonic()
    missing: str | None = "nothing yet"
    while True:
        try:
            missing = look()
        except TemporaryError as error:
            missing = error.brief
        if missing is None:
            return time.monotonic() - started
        if on_look is not None:
            on_look(missing)
        if time.monotonic() - started >= timeout:
            raise TimedOut(
                f"{what} did not come within {timeout:g} s", details=f"last seen: {missing}", remedy=remedy
            )
        if cancelled is not None:
            if cancelled.wait(every):
                raise Interrupted(f"interrupted while waiting for {what}", details=f"last seen: {missing}")
        else:
            time.sleep(every)
