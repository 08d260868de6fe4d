"""What came of one check, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckResult:
    """One check: whether it held, the seconds until it did (or was given up), and what was seen."""

    id: str
    ok: bool
    seconds: float
    evidence: str
