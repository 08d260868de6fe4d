"""Being asked to end, by Ctrl-C and the like, without being torn away from what is under way."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks us to end: Ctrl-C, a CI system's time limit, a terminal that is closed."""


@contextlib.contextmanager
def asked_to_end(tell: Callable[[], None]) -> Iterator[None]:
    """Call ``tell`` for each signal that asks us to end, instead of what the signal does otherwise.

    Raising from a handler could lose a step that has just ended, so the main thread is only told.
    A signal that is ignored (``nohup``) stays so. Outside the main thread Python allows no handlers.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():

        def handler(number: int, frame: FrameType | None) -> None:
            tell()

        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                previous[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
