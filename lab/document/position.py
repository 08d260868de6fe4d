"""Places in a file, and what is wrong at them.

Every problem that a person can have with a file of theirs is a :class:`Problem`; they are collected,
never raised one by one, and printed one per line in the form that editors and terminals turn into
a link: ``FILE:LINE:COL path: what is wrong. what to do``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where a value is in the data: ``("clusters", "app1", "pod_cidr")``, ``("addons", 0, "on")``."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, order=True)
class Position:
    """A place in a file. ``line`` and ``column`` count from 1, as editors do."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file.

    ``message`` says what is wrong, quoting the value, without a final full stop; ``against`` is the
    place that it collides with, if that is in the file; ``remedy`` is a sentence on what to do; ``root`` is
    what the file as a whole is called, where ``path`` is empty.
    """

    position: Position
    path: Path
    message: str
    remedy: str
    against: Position | None = None
    root: str = "file"

    def __str__(self) -> str:
        line = f" (line {self.against.line})" if self.against else ""
        return f"{self.position} {render_path(self.path) or self.root}: {self.message}{line}. {self.remedy}"


def render_path(path: Path) -> str:
    """Write a path as people do: ``clusters.app1.pod_cidr``, ``addons[0].on``; the root is ""."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _BARE_KEY.fullmatch(part):
            text += f".{part}"
        else:
            text += f'["{shorten(part)}"]'
    return text.lstrip(".")


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems by place, each once: a wrong default is one problem, however many inherit it.

    Those of one place stay in the order in which they were found.
    """
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.position, render_path(p.path))))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` is most likely a slip of, or None."""
    matches = difflib.get_close_matches(word.lower().replace("-", "_"), sorted(known), n=1, cutoff=0.6)
    matches = matches or difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question whether another word was meant, with a space after it; empty if none is like it."""
    guess = nearest(word, known)
    return f'Did you mean "{guess}"? ' if guess else ""


def listed(words: Iterable[object], *, joint: str = "and", most: int = 12) -> str:
    """Join words as prose does: ``a``, ``a and b``, ``a, b and c``; past ``most``, say how many more."""
    things = list(words)
    items = [str(thing) for thing in things[:most]]
    if len(things) > most:
        items.append(f"{len(things) - most} more")
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"


def shorten(text: str, *, most: int = 40) -> str:
    """Make a value safe to quote in a one-line message."""
    flat = "".join(c if c.isprintable() else "?" for c in text)
    return flat if len(flat) <= most else flat[: most - 3] + "..."
