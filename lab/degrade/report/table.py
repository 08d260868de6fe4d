"""What the terminal shows of an experiment: a line a contract, the negative controls apart, the sum."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Final

from lab.degrade.report import words
from lab.degrade.verdict import Verdict

Line = list[tuple[str, str]]
"""Pieces of text and the style of each, in Rich's words."""

_STYLE: Final = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "skipped": "dim"}
_NARROWEST: Final = 24
"""Columns for text, however narrow the terminal: it folds lines that are too long in its own way."""


def render_table(verdicts: Sequence[Verdict], *, width: int, colour: bool) -> str:
    """The verdicts as text for ``width`` columns, without a line feed at the end.

    With a ``width`` of 0 every contract is one line, however long: for what reads lines. ``colour`` is
    for terminals (see :func:`lab.console.is_coloured`).
    """
    claims, controls = words.contracts(verdicts), words.controls(verdicts)
    # One width for both parts: an id is never folded, and texts begin below one another.
    most = max((len(words.line(each.contract)) for each in verdicts), default=0)
    lines = _entries(claims, width, most)
    if controls:
        lines += [[], [("Negative controls (these must fail)", "bold")], *_entries(controls, width, most)]
    total = words.tally(verdicts)
    lines += [[], *([(part, "bold")] for part in (textwrap.wrap(total, width) if width else [total]))]
    if colour:
        return _coloured(lines)
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def _entries(verdicts: Sequence[Verdict], width: int, most: int) -> list[Line]:
    return [line for each in verdicts for line in _entry(each, width, most)]


def _entry(verdict: Verdict, width: int, most: int) -> list[Line]:
    """The word, the id, the claim, and why: in one line where it fits, the reason below where it does not."""
    word = verdict.word.upper() if verdict.surprising else verdict.word
    head = f"{word:12}  {words.line(verdict.contract):{most}}  "
    style = _STYLE[verdict.word]
    if verdict.control_of and verdict.word in {"pass", "fail"}:
        style = _STYLE["fail" if verdict.surprising else "pass"]
    claim, reason = words.line(verdict.claim), words.line(verdict.reason, 2000)
    if not width or len(head) + len(claim) + 2 + len(reason) <= width:
        return [[(head, style), (claim, ""), (f"  {reason}" if reason else "", "dim")]]
    room = max(width - len(head), _NARROWEST)
    lines = [(part, "") for part in textwrap.wrap(claim, room) or [""]]
    lines += [(part, "dim") for part in textwrap.wrap(reason, room)]
    return [[(" " * len(head), "") if place else (head, style), line] for place, line in enumerate(lines)]


def _coloured(lines: Sequence[Line]) -> str:
    # Imported here, as in lab.console: only a terminal needs it.
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    shown = Console(
        file=stream, force_terminal=True, color_system="standard", highlight=False, legacy_windows=False
    )
    for line in lines:
        shown.print(Text.assemble(*line), soft_wrap=True)
    return stream.getvalue().rstrip("\n")
