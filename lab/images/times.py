"""How long things took to bring or to make here, the last time: the best estimate for the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Times:
    """One small file for each thing, by the id of the step that brings it; none is kept of failures."""

    folder: Path

    def last(self, step: str) -> float | None:
        """Seconds that ``step`` took the last time; None if it never was done here."""
        try:
            return float(self._file(step).read_text())
        except (OSError, ValueError):
            return None

    @contextmanager
    def taken(self, step: str) -> Iterator[None]:
        """Note how long the block took, when it ends well."""
        started = time.monotonic()
        yield
        # An estimate is not worth failing for.
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file(step).write_text(f"{time.monotonic() - started:.1f}\n")

    def _file(self, step: str) -> Path:
        return self.folder / step.replace("/", "_").replace(":", "_")
