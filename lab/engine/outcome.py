"""How a run ended, and the words for it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from lab.engine.progress import Result
from lab.errors import Interrupted, LabError, ProvisionError
from lab.plan.step import Step


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """How one step ended."""

    step: Step
    result: Result
    seconds: float = 0.0
    said: str = ""
    """The last thing the step saw."""

    error: BaseException | None = None
    evidence: str = ""
    """What was gathered after a failure."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended: every step of the plan, in its order."""

    steps: tuple[StepOutcome, ...]
    seconds: float

    def by_result(self, result: Result) -> tuple[StepOutcome, ...]:
        """The steps that ended so."""
        return tuple(outcome for outcome in self.steps if outcome.result == result)


def interruption(outcome: Outcome, *, continue_with: str, undo_with: str) -> Interrupted:
    """The error of a run that was interrupted: what was under way, and the commands to go on or back."""
    broken = outcome.by_result("interrupted")
    done = len(outcome.by_result("done")) + len(outcome.by_result("skipped"))
    told = [f"{each.step.id} was interrupted{_last_seen(each)}" for each in broken]
    told += [_told(each) for each in outcome.by_result("failed")]
    return Interrupted(
        f"interrupted with {done} of {len(outcome.steps)} steps done",
        details="\n".join(told),
        remedy=f"To continue: {continue_with}"
        + (f"\nTo remove what is there: {undo_with}" if undo_with else ""),
    )


def failure(outcome: Outcome, *, continue_with: str) -> LabError:
    """The error of a run in which steps failed; there must be one.

    One failure keeps its class and so its exit code. Several, or a bug, become a
    :class:`lab.errors.ProvisionError`.
    """
    failed = outcome.by_result("failed")
    to_continue = f"What is done stays done. To continue: {continue_with}"
    if len(failed) > 1:
        remedies = dict.fromkeys(each.error.remedy for each in failed if isinstance(each.error, LabError))
        return ProvisionError(
            f"{len(failed)} steps failed: {', '.join(each.step.id for each in failed)}",
            details="\n".join(map(_told, failed)),
            remedy="\n".join([*filter(None, remedies), to_continue]),
        )
    only = failed[0]
    brief = f"step {only.step.id} failed: {_brief(only.error)}"
    details = _evidence(only)
    if isinstance(only.error, LabError):
        remedy = "\n".join(filter(None, [only.error.remedy, to_continue]))
        error: LabError = only.error.retold(brief, details=details, remedy=remedy)
    else:
        error = ProvisionError(brief, details=details, remedy=to_continue)
    error.__cause__ = only.error
    return error


def _told(outcome: StepOutcome) -> str:
    evidence = textwrap.indent(_evidence(outcome), "  ")
    return "\n".join(filter(None, [f"{outcome.step.id}: {_brief(outcome.error)}", evidence]))


def _evidence(outcome: StepOutcome) -> str:
    parts = [f"last seen: {outcome.said}"] if outcome.said else []
    if isinstance(outcome.error, LabError) and outcome.error.details:
        parts.append(outcome.error.details)
    if outcome.evidence:
        parts.append(f"evidence:\n{textwrap.indent(outcome.evidence, '  ')}")
    return "\n".join(parts)


def _last_seen(outcome: StepOutcome) -> str:
    return f" (last seen: {outcome.said})" if outcome.said else ""


def _brief(error: BaseException | None) -> str:
    if isinstance(error, LabError):
        return error.brief
    return f"unexpected {type(error).__name__}: {error}"
