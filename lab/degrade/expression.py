"""Expressions over what was seen: ``acts.refresh.ok and series.backlog.hold.most > 0``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

from jinja2 import Environment, TemplateError, TemplateSyntaxError

from lab.catalog import templates
from lab.catalog.contract import PHASES, Manner, Phase
from lab.degrade.history import Done, History
from lab.degrade.watched import Watched

ROOTS: Final = ("acts", "series", "flows", "phases")

Path = tuple[str, ...]
"""What an expression mentions: ``("series", "backlog", "hold", "most")``."""


@cache
def _language() -> Environment:
    return templates.environment()


def mentioned(expression: str) -> tuple[Path, ...]:
    """What ``expression`` asks of acts, series, flows and phases, as far as it says so outright.

    Raises jinja2's TemplateSyntaxError.
    """
    return tuple(path for path in templates.mentioned(expression) if len(path) > 1 and path[0] in ROOTS)


def words(
    history: History,
    acts: Mapping[str, Done],
    series: Mapping[str, Watched],
    flows: Mapping[str, Mapping[Manner, Sequence[Watched]]],
) -> dict[str, SimpleNamespace]:
    """What expressions know. What was not seen is not there: an act that never ran, the most of no numbers.

    ``flows`` are by id and manner; of those to several clusters under one id, the sum is known.
    """
    return {
        "acts": SimpleNamespace(
            **{
                name: SimpleNamespace(ok=done.ok, value=done.value, seconds=done.seconds, error=done.error)
                for name, done in acts.items()
            }
        ),
        "series": SimpleNamespace(
            **{
                name: SimpleNamespace(**{phase: _figures(each, phase) for phase in history.spans})
                for name, each in series.items()
            }
        ),
        "flows": SimpleNamespace(
            **{
                name: SimpleNamespace(
                    **{
                        manner: SimpleNamespace(**{phase: _sum(each, phase) for phase in history.spans})
                        for manner, each in manners.items()
                    }
                )
                for name, manners in flows.items()
            }
        ),
        "phases": SimpleNamespace(
            **{phase: SimpleNamespace(seconds=end - start) for phase, (start, end) in history.spans.items()}
        ),
    }


def _sum(flows: Sequence[Watched], phase: Phase) -> SimpleNamespace:
    requests = [request for each in flows for request in each.during([phase])]
    return SimpleNamespace(requests=len(requests), lost=sum(not each.ok for each in requests))


def _figures(watched: Watched, phase: Phase) -> SimpleNamespace:
    samples = watched.during([phase])
    values = [each.value for each in samples if each.ok]
    numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
    made: dict[str, Any] = {"count": len(samples), "failed": sum(not each.ok for each in samples)}
    if values:
        made |= {"first": values[0], "last": values[-1]}
    if numbers:
        made |= {"least": min(numbers), "most": max(numbers)}
    return SimpleNamespace(**made)


def holds(expression: str, known: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether ``expression`` is true, and, where it cannot be told for what it asks, why not.

    Raises jinja2's TemplateSyntaxError.
    """
    compiled = _language().compile_expression(expression, undefined_to_none=False)
    try:
        return bool(compiled(dict(known))), ""
    except TemplateSyntaxError:
        raise
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return False, str(error)


def asked(path: Path) -> tuple[str, Phase | None]:
    """The series or flow that ``path`` is about, empty if it is none, and the phase that it names."""
    root, *keys = path
    place = {"phases": 0, "series": 1, "flows": 2}.get(root, len(keys))
    phase = next((each for each in PHASES if keys[place : place + 1] == [each]), None)
    return keys[0] if root in ("series", "flows") else "", phase
