"""What came of an experiment: one verdict for each contract on each cluster, and one for each contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Word = Literal["pass", "fail", "inconclusive", "skipped"]

WORST_FIRST: Final[tuple[Word, ...]] = ("fail", "inconclusive", "pass", "skipped")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One judgement, and what was seen: whether it is so (None: it cannot be told), and figures.

    ``seen`` is short; ``evidence`` is all of it, where that is more.
    """

    says: str
    ok: bool | None
    proof: bool
    seen: str
    evidence: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ClusterVerdict:
    """A contract on one cluster."""

    contract: str
    cluster: str
    word: Word
    reason: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A contract on all of its clusters: the worst of what came of each.

    A negative control (``control_of``) is as expected when it fails; every other contract when it passes.
    """

    contract: str
    claim: str
    word: Word
    reason: str
    clusters: tuple[ClusterVerdict, ...] = ()
    control_of: str = ""

    @property
    def surprising(self) -> bool:
        """Whether somebody has to look: a contract that failed, or a control that did not."""
        return self.word == ("pass" if self.control_of else "fail")

    def as_json(self) -> dict[str, Any]:
        """Its entry in verdict.json; scripts rely on the keys."""
        return {
            "id": self.contract,
            "verdict": self.word,
            "reason": self.reason,
            "claim": self.claim,
            "control_of": self.control_of or None,
            "measured": {
                each.cluster: {key: value for found in each.findings for key, value in found.measured.items()}
                for each in self.clusters
            },
            "evidence": [
                f"{each.cluster}: {found.says}: {found.evidence or found.seen}"
                for each in self.clusters
                for found in each.findings
            ],
        }


def together(
    contract: str, claim: str, clusters: Sequence[ClusterVerdict], *, control_of: str = ""
) -> Verdict:
    """The verdict on a contract from those on its clusters; ``clusters`` is not empty."""
    worst = min(clusters, key=lambda each: WORST_FIRST.index(each.word))
    alike = [each.cluster for each in clusters if each.word == worst.word]
    reason = worst.reason if len(clusters) == 1 or not worst.reason else f"{', '.join(alike)}: {worst.reason}"
    return Verdict(
        contract=contract,
        claim=claim,
        word=worst.word,
        reason=reason,
        clusters=tuple(clusters),
        control_of=control_of,
    )


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """0: all as it should be; 1: a contract failed or a control did not; 5: something cannot be told."""
    if any(each.surprising for each in verdicts):
        return 1
    if any(each.word == "inconclusive" for each in verdicts):
        return 5
    return 0
