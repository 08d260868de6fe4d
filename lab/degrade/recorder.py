"""Writes the history of an experiment as it is made; :mod:`lab.degrade.history` says what it looks like."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lab import redact
from lab.engine.appended import Appended
from lab.errors import HostError

log = logging.getLogger(__name__)

_WORTH_A_SYNC: Final = ("phase", "fault")
"""What must be there after the machine has died: how far the experiment was, and what it broke."""

_LONE: Final = (bool, int, float, type(None))


class Recorder(Appended):
    """A history open for writing. Safe to share between threads; usable in a ``with`` statement.

    Samplers are never stopped by it: what cannot be written is lost, :attr:`lost` counts it, the history says
    so as soon as it can be written again, and :meth:`check` tells whoever conducts the experiment.
    """

    def __init__(self, path: Path, redacted: Callable[[str], str] = redact.text) -> None:
        """Create ``path`` (0600, its folder 0700), or append to it when it is there.

        ``redacted`` takes secrets out of a text. Raises HostError when the file cannot be made.
        """
        self.lost = 0
        self._redacted = redacted
        self._trouble: OSError | None = None
        self._told = False
        self._unsaid = 0
        try:
            super().__init__(path)
            size = os.fstat(self._fd).st_size
            # Whoever wrote before may have been killed in the middle of a line.
            self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"
        except OSError as error:
            raise HostError(
                "the history of the experiment cannot be written",
                details=str(error),
                remedy=f"See to {path.parent}: whose it is, and what room there is.",
            ) from error

    def write(self, kind: str, /, **fields: Any) -> None:
        """Append one record, with ``mono`` and ``wall`` of now where they are not among ``fields``.

        It is in the file when this returns, and on the disk if it is a phase or a fault. Never raises.
        """
        now = {"mono": round(time.monotonic(), 6), "wall": round(time.time(), 3)}
        line = self._line(kind, now | fields)
        with self._lock:
            if self._fd < 0:
                return
            try:
                self._append(self._owed(now) + line)
            except OSError as error:
                self.lost += 1
                self._unsaid += 1
                self._note(error)
        if kind in _WORTH_A_SYNC:
            # Not under the lock: a slow disk must not make samplers late.
            try:
                os.fsync(self._fd)
            except OSError as error:
                self._note(error)

    def check(self) -> None:
        """Raise HostError, once, if anything was lost. What was recorded stays."""
        with self._lock:
            error, told = self._trouble, self._told
            self._told = error is not None
        if error and not told:
            raise HostError(
                "the history of the experiment cannot be written any more",
                details=str(error),
                remedy=f"Make room on the disk of {self.path}; what was recorded until then is there.",
            )

    def _note(self, error: OSError) -> None:
        if self._trouble is None:
            log.warning("%s cannot be written: %s", self.path, error)
        self._trouble = self._trouble or error

    def _append(self, text: str) -> None:
        rest = text.encode("utf-8", errors="backslashreplace")
        while rest:
            # A disk that is nearly full takes a part, and then nothing.
            written = os.write(self._fd, rest)
            self._torn = written < len(rest)
            rest = rest[written:]
        self._unsaid = 0

    def _owed(self, now: Mapping[str, float]) -> str:
        """What must stand before the next record: the end of one that was cut, a word on those lost."""
        said = ""
        if self._unsaid:
            note = f"{self._unsaid} records before this are lost: {self._trouble}"
            said = self._line("note", {**now, "text": note})
        return ("\n" if self._torn else "") + said

    def _line(self, kind: str, fields: Mapping[str, Any]) -> str:
        """A record as a line of JSON, without secrets.

        Field by field: what looks like a password without an end would take the fields after it along. In
        the header, which is ours, names are no hint: the version of an operator of secrets is none.
        """
        clean = self._leaves if kind == "run" else self._field
        record = {"kind": kind, **{name: clean(value) for name, value in fields.items()}}
        return _json(record) + "\n"

    def _field(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redacted(value)
        if isinstance(value, _LONE) or _is_numbers(value):
            return value
        text = _json(value)
        redacted = self._redacted(text)
        if redacted == text:
            return value
        try:
            return json.loads(redacted)
        except ValueError:
            return redact.MARK

    def _leaves(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redacted(value)
        if isinstance(value, Mapping):
            return {name: self._leaves(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._leaves(each) for each in value]
        return value


def _is_numbers(value: Any) -> bool:
    """Whether ``value`` holds nothing that could be a secret: the times of a batch, by the hundred."""
    return isinstance(value, list | tuple) and all(type(each) in _LONE for each in value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any, depth: int = 20) -> Any:
    """``value`` as JSON can hold it, whatever it is: NaN, keys that are no texts, what contains itself."""
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, Mapping):
        return {str(name): _plain(each, depth - 1) for name, each in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_plain(each, depth - 1) for each in value]
    return str(value) if depth else "..."
