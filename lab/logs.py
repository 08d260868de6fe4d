"""The log file of a run: every command, every wait, and the traceback of what nobody expected.

It is made when there is something to write and not before, so that ``./invoke --list`` leaves no trace.
"""

from __future__ import annotations

import contextlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from lab import redact, settings
from lab.errors import LabError

KEPT = 50
"""Log files that are kept; the oldest go first."""

_LOGGER = "lab"
"""Ours only: other libraries log requests, and requests hold tokens."""

_current: _PrivateFile | None = None


class _PrivateFile(logging.Handler):
    """A log file, 0600 in a folder of 0700, that is opened with its first record."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(
            redact.Formatter("%(asctime)s.%(msecs)03d %(threadName)s %(name)s: %(message)s", "%H:%M:%S")
        )
        self.path: Path | None = None
        self._stream: TextIO | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``. A disk that is full costs us the record, not the run."""
        with contextlib.suppress(OSError, LabError):
            self._stream = self._stream or self._open()
            self._stream.write(self.format(record) + "\n")
            self._stream.flush()

    def _open(self) -> TextIO:
        folder = settings.from_environment().state / "logs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.log"))[: 1 - KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = folder / f"{stamp}-{os.getpid()}.log"
        stream = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
        )
        self.path = path
        return stream


def to_file() -> None:
    """Send what ``lab`` logs to a file of this run from now on; once is enough."""
    global _current
    if _current is None:
        _current = _PrivateFile()
        logger = logging.getLogger(_LOGGER)
        logger.addHandler(_current)
        logger.setLevel(logging.DEBUG)


def written() -> Path | None:
    """This run's log file, if anything has been written to one."""
    return _current.path if _current else None
