"""A file that is only ever appended to: a journal, the history of an experiment."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Appended:
    """Such a file, open for writing; usable in a ``with`` statement. Whoever writes holds ``_lock``."""

    def __init__(self, path: Path) -> None:
        """Create ``path`` (0600, its folder 0700), or append to it when it is there. Raises OSError."""
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the file; what is written afterwards is lost."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
