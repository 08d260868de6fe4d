"""Puts the reports of a run into its folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.degrade.history import History
from lab.degrade.report import document
from lab.degrade.report.html import html
from lab.degrade.report.junit import junit
from lab.degrade.verdict import Verdict
from lab.errors import HostError

VERDICT: Final = "verdict.json"
JUNIT: Final = "junit.xml"
PAGE: Final = "report.html"


def write_all(folder: Path, history: History, verdicts: Sequence[Verdict]) -> None:
    """Write ``verdict.json``, ``junit.xml`` and ``report.html``, each whole or not at all, 0600.

    They are written in this order: what scripts read is there even if a page cannot be made. Raises
    HostError where they cannot be written; what was there before is still there then.
    """
    _write(folder / VERDICT, document.text(history, verdicts).encode())
    _write(folder / JUNIT, junit(history, verdicts))
    _write(folder / PAGE, html(history, verdicts).encode())


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            # One that somebody left may be readable for others.
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise HostError(
            f"{path} cannot be written",
            details=str(error),
            remedy="The history is kept: ./invoke report makes the reports from it.",
        ) from error
