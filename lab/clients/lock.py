"""One at a time across processes and threads: for what would otherwise be brought or made twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from filelock import FileLock, Timeout

from lab.clients.wait import wait_until

_LONGEST_S = 2 * 3600.0
"""Longer than anything that is done under such a lock: building the largest programs."""


@contextmanager
def one_at_a_time(path: Path, *, what: str, cancelled: Event | None = None) -> Iterator[None]:
    """Hold the lock file ``path``; wait while somebody else does.

    The lock goes with the process that holds it, so one that was killed leaves none. ``what`` is what
    is waited for, in an error's words. Raises :class:`lab.errors.Interrupted` once ``cancelled`` is set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)

    def taken() -> str | None:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return "somebody else is at it"
        return None

    wait_until(what, taken, timeout=_LONGEST_S, every=0.2, cancelled=cancelled)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` if nobody else does, without waiting; say whether that is so."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
