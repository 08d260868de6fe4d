"""What a person reads: the result on stdout, everything on the way there on stderr.

A script that takes our stdout gets the result and nothing else. Text is plain unless the stream is a
terminal that can do more (not ``TERM=dumb``); ``NO_COLOR`` is honoured. Rich is
imported only when a terminal is there to show it, because importing it takes longer than most commands.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from lab.errors import LabError

if TYPE_CHECKING:
    from rich.console import Console

Tree = Mapping[str, "Tree"]
"""Labels, and below each of them more labels."""


def is_rich(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}


def is_coloured(stream: TextIO) -> bool:
    """Whether colour may be sent to ``stream`` (https://no-color.org)."""
    return is_rich(stream) and not os.environ.get("NO_COLOR")


def rich_console(stream: TextIO) -> Console:
    """A Rich console on ``stream`` that follows our rules for colour."""
    from rich.console import Console

    return Console(file=stream, no_color=not is_coloured(stream), highlight=False, soft_wrap=False)


def out(text: str = "") -> None:
    """Print a line of the result to stdout.

    Raises :class:`BrokenPipeError` when the reader has gone; ``lab.cli`` ends quietly then.
    """
    print(text, flush=True)


def out_json(value: object) -> None:
    """Print ``value`` to stdout as JSON, in the form that all ``--json`` options share."""
    out(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def note(text: str = "", *, stream: TextIO | None = None) -> None:
    """Print a line to stderr, or to ``stream``: progress, hints, questions.

    Nobody may be listening any more (a closed terminal); that is no reason to leave work half done.
    """
    with contextlib.suppress(OSError, ValueError):
        print(text, file=stream or sys.stderr, flush=True)


def error(failure: LabError) -> None:
    """Print an error to stderr: what happened, the evidence (indented), what to do."""
    if is_coloured(sys.stderr):
        from rich.text import Text

        text = Text.assemble(("error: ", "bold red"), (failure.brief, "bold"))
        if failure.details:
            text.append("\n" + _indented(failure.details))
        if failure.remedy:
            text.append("\n" + failure.remedy, style="cyan")
        with contextlib.suppress(OSError, ValueError):
            rich_console(sys.stderr).print(text, soft_wrap=True)
    else:
        note(error_text(failure))


def error_text(failure: LabError) -> str:
    """The text that :func:`error` prints, without colour."""
    parts = (f"error: {failure.brief}", _indented(failure.details), failure.remedy)
    return "\n".join(part for part in parts if part)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    title: str = "",
    stream: TextIO | None = None,
    names: bool = False,
) -> None:
    """Print a table to stdout, or to ``stream``: drawn on a terminal, aligned columns elsewhere.

    A cell that is a number is aligned right. ``None`` is shown as ``-``. Every row has as many cells
    as there are ``columns``. With ``names`` the first is what the row is called, and is not folded, however
    narrow the terminal.
    """
    stream = stream or sys.stdout
    numeric = [
        all(isinstance(row[i], int | float) for row in rows) and bool(rows) for i in range(len(columns))
    ]
    cells = [[_cell(value) for value in row] for row in rows]
    if is_rich(stream):
        from rich import box
        from rich.table import Table
        from rich.text import Text

        drawn = Table(
            title=Text(title) if title else None,
            title_justify="left",
            title_style="",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for column, right in zip(columns, numeric, strict=True):
            whole = names and not drawn.columns
            drawn.add_column(
                Text(column), justify="right" if right else "left", overflow="fold", no_wrap=whole
            )
        for row in cells:
            drawn.add_row(*map(Text, row))
        rich_console(stream).print(drawn)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [title] if title else []
    for row in [list(columns), *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    print("\n".join(lines), file=stream, flush=True)


def tree(label: str, children: Tree, *, stream: TextIO | None = None) -> None:
    """Print a tree to stdout, or to ``stream``: with branches on a terminal, by indentation elsewhere."""
    stream = stream or sys.stdout
    if is_rich(stream):
        from rich.text import Text
        from rich.tree import Tree as Drawn

        def grow(branch: Drawn, below: Tree) -> Drawn:
            for name, further in below.items():
                grow(branch.add(Text(name)), further)
            return branch

        rich_console(stream).print(grow(Drawn(Text(label)), children))
        return

    def lines(below: Tree, depth: int) -> list[str]:
        return [
            line
            for name, further in below.items()
            for line in ("  " * depth + name, *lines(further, depth + 1))
        ]

    print("\n".join([label, *lines(children, 1)]), file=stream, flush=True)


def confirm(question: str, *, assume_yes: bool) -> bool:
    """Ask on stderr and read the answer from stdin; only ``y`` and ``yes`` are yes.

    ``assume_yes`` (``--yes``) answers without asking. Without a terminal on both sides nothing is
    asked, and the answer is no.
    """
    if assume_yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        note(f"{question} Not asking without a terminal: give --yes to say yes.")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def duration(seconds: float) -> str:
    """Seconds for people: ``0.4 s``, ``12.3 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _indented(text: str) -> str:
    return textwrap.indent(text.rstrip(), "  ")
