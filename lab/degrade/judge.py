"""What came of an experiment, from its history: pure functions, so that it can be judged again at any time.

A contract is judged on each of its clusters, and the first of these that applies is the verdict:

inconclusive  the experiment itself did not come about: the baseline was not clean, it was interrupted or cut
              off before hold ended, the fault was not injected, not seen or not undone
inconclusive  a proof is not so, or cannot be told: the claim was not put to the test
fail          a judgement is not so. What was seen was seen: that little is known of some other time, or that
              another judgement cannot be told, excuses nothing
inconclusive  a judgement cannot be told: less than 95 % of a phase is known, an act never ran
pass          all are so

Of a negative control the same is said, and ``fail`` is what is hoped for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lab.catalog.contract import Judgement
from lab.degrade import rules
from lab.degrade.history import History
from lab.degrade.observed import Observed, observed
from lab.degrade.verdict import ClusterVerdict, Finding, Verdict, Word, together

_INCONCLUSIVE: Final[Word] = "inconclusive"


def judge(history: History) -> list[Verdict]:
    """Return the verdicts on a run's contracts in their order; those skipped everywhere come last."""
    never = _never_happened(history)
    entries: dict[str, list[Mapping[str, Any]]] = {}
    clusters: dict[str, list[ClusterVerdict]] = {}
    for entry in history.run["cases"]:
        entries.setdefault(entry["contract"], []).append(entry)
        verdict = _on_cluster(observed(history, entry), never)
        clusters.setdefault(entry["contract"], []).append(verdict)
    for entry in history.run["skipped"]:
        entries.setdefault(entry["contract"], []).append(entry)
        verdict = ClusterVerdict(
            contract=entry["contract"], cluster=entry["cluster"], word="skipped", reason=entry["reason"]
        )
        clusters.setdefault(entry["contract"], []).append(verdict)
    return [
        together(contract, told[0]["claim"], clusters[contract], control_of=told[0]["control_of"])
        for contract, told in entries.items()
    ]


def _on_cluster(judged: Observed, never: str) -> ClusterVerdict:
    findings = [rules.find(judged, each) for each in judged.judgements]
    word, reason = (_INCONCLUSIVE, never) if never else _word(judged.judgements, findings)
    if never:
        # What could not be told would be so for one reason, many times over.
        findings = [each for each in findings if each.ok is not None]
    return ClusterVerdict(
        contract=judged.contract,
        cluster=judged.cluster,
        word=word,
        reason=reason,
        findings=_apart(findings),
    )


def _word(judgements: Sequence[Judgement], findings: Sequence[Finding]) -> tuple[Word, str]:
    """The verdict, and why; nothing is to be said of a pass."""
    for found in findings:
        if found.proof and not found.ok:
            says = found.says.rstrip(".")
            if found.ok is None:
                return _INCONCLUSIVE, f"it cannot be told whether the claim was put to the test: {found.seen}"
            return _INCONCLUSIVE, f'the claim was not put to the test: "{says}" is not so ({found.seen})'
    for judgement, found in zip(judgements, findings, strict=True):
        if found.ok is False and not found.proof:
            is_sentence = judgement.rule != "holds"
            says = found.says.rstrip(".")
            return "fail", found.seen if is_sentence else f'"{says}" is not so ({found.seen})'
    for found in findings:
        if found.ok is None:
            return _INCONCLUSIVE, found.seen
    if all(found.proof for found in findings):
        return _INCONCLUSIVE, "it has nothing that could be judged"
    return "pass", ""


def _never_happened(history: History) -> str:
    """Why the experiment did not come about; empty if it did."""
    unclean = _note(history, "unclean")
    if unclean is not None:
        return _prefixed("the baseline was not clean", unclean)
    hold = history.spans.get("hold")
    interrupted = [each.mono for each in history.notes if each.code == "interrupted"]
    if any(hold is None or moment <= hold[1] for moment in interrupted):
        return "it was interrupted before the phase hold had ended"
    if hold is None or (not history.ended and list(history.spans)[-1] == "hold"):
        return "it was cut off before the phase hold had ended"
    if history.first("injected") is None:
        return "the fault was never injected"
    unseen = _note(history, "not-seen")
    if unseen is not None or history.first("seen") is None:
        return _prefixed("the fault was never seen", unseen or "")
    not_undone = _note(history, "not-undone")
    if not_undone is not None or history.first("undone") is None:
        return _prefixed("the fault was not undone", not_undone or "")
    return ""


def _note(history: History, code: str) -> str | None:
    return next((each.text for each in history.notes if each.code == code), None)


def _prefixed(what: str, detail: str) -> str:
    """Say ``what``, and ``detail`` with it; a note may say it all by itself."""
    if detail.lower().startswith(what):
        return detail
    return f"{what}: {detail}" if detail else what


def _apart(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings whose figures have names of their own: two judgements may be of one series."""
    used: dict[str, Any] = {}
    made = []
    for found in findings:
        measured = {}
        for key, value in found.measured.items():
            name, number = key, 1
            while name in used and used[name] != value:
                number += 1
                name = f"{key}_{number}"
            used[name] = measured[name] = value
        made.append(replace(found, measured=measured))
    return tuple(made)
