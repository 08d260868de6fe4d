"""What a run did and how long each step took: one file a run, one JSON object a line, only ever appended to.

Two clocks are kept. ``at`` is wall time, for people and for comparing with logs of the clusters; ``mono``
is monotonic seconds, for durations, which wall time gets wrong when the clock is set or a laptop sleeps.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import redact
from lab.engine.appended import Appended

log = logging.getLogger(__name__)

SUFFIX = ".jsonl"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of a journal."""

    at: str
    """UTC, ISO 8601, to the millisecond."""

    mono: float
    """Seconds of the monotonic clock; only differences within one run mean anything."""

    event: str
    """``run-start``, ``step-start``, ``step-end`` or ``run-end``."""

    step: str | None
    """The step's id, for the events of a step."""

    fields: dict[str, Any]
    """Whatever else was recorded: ``outcome``, ``seconds``, ``error``, ..."""


class Journal(Appended):
    """A journal open for writing. Safe to share between threads; usable in a ``with`` statement."""

    def write(self, event: str, *, step: str | None = None, **fields: object) -> None:
        """Append one record, without secrets that its fields may quote (an error's details, say).

        A record is one ``write`` call, so it is there as a whole or, when the machine dies, cut short at
        the end of the file; :func:`read` knows. A disk that is full costs us the record, not the run.
        """
        record = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "mono": round(time.monotonic(), 3),
            "event": event,
            **({"step": step} if step is not None else {}),
            **fields,
        }
        line = json.dumps(redact.tree(record), ensure_ascii=False, default=_as_text) + "\n"
        with self._lock:
            try:
                os.write(self._fd, line.encode("utf-8", errors="backslashreplace"))
            except OSError as error:
                log.warning("%s: a record is lost: %s", self.path, error)


def new_path(folder: Path, command: str) -> Path:
    """A name in ``folder`` for the journal of a run that starts now; names sort by time."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return folder / f"{stamp}Z-{command}-{os.getpid()}{SUFFIX}"


def read(path: Path) -> list[Record]:
    """The records of one journal, in order.

    Lines that are not whole records (the last one of a run that was killed) are left out. Raises
    :class:`OSError` when there is no such file.
    """
    records = []
    # Not splitlines(), which also splits at what JSON may hold within a line, as U+2028.
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            fields = json.loads(line)
            at, mono, event = fields.pop("at"), fields.pop("mono"), fields.pop("event")
        except (ValueError, KeyError, AttributeError):
            continue
        records.append(Record(at=at, mono=mono, event=event, step=fields.pop("step", None), fields=fields))
    return records


def last_durations(folder: Path) -> dict[str, float]:
    """Seconds that each step took the last time it was done, from all journals in ``folder``.

    Empty when there is no such folder. A step that was skipped or failed says nothing.
    """
    durations: dict[str, float] = {}
    for path in sorted(_journals(folder)):
        for record in read(path):
            if record.event == "step-end" and record.step and record.fields.get("outcome") == "done":
                durations[record.step] = float(record.fields.get("seconds", 0.0))
    return durations


def _as_text(value: object) -> str:
    return redact.text(str(value))


def _journals(folder: Path) -> Iterable[Path]:
    return folder.glob(f"*{SUFFIX}") if folder.is_dir() else ()
