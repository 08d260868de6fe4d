"""Two runs side by side: what came out otherwise, and which figures are others.

It compares what ``verdict.json`` holds, so that runs of another version of this tool can be compared too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.degrade.report import words

NOTICEABLE: Final = 0.1
"""A figure is another one when it differs by this share of the greater: no two runs measure the same."""

_ABSENT: Final = "-"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A contract whose verdict is another one, or that only one of the runs has (None)."""

    contract: str
    claim: str
    a: str | None
    b: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that is another one. ``name`` is the path to it: ``inside_new.p50_ms``."""

    contract: str
    cluster: str
    name: str
    a: Any
    b: Any

    @property
    def change(self) -> float | None:
        """By how much of ``a`` it grew; None where that is no number."""
        if not (_is_number(self.a) and _is_number(self.b)) or not self.a:
            return None
        return float((self.b - self.a) / abs(self.a))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What differs between the runs ``a`` and ``b``. ``settings`` are their faults, targets and profiles."""

    a: str
    b: str
    settings: tuple[tuple[str, str, str], ...]
    turns: tuple[Turn, ...]
    figures: tuple[Figure, ...]
    same: int

    def as_json(self) -> dict[str, Any]:
        """The same for scripts."""
        return {
            "a": self.a,
            "b": self.b,
            "settings": [{"name": name, "a": a, "b": b} for name, a, b in self.settings],
            "verdicts": [
                {"id": each.contract, "a": each.a, "b": each.b, "reason": each.reason} for each in self.turns
            ],
            "figures": [
                {
                    "id": each.contract,
                    "cluster": each.cluster,
                    "name": each.name,
                    "a": each.a,
                    "b": each.b,
                    "change": None if each.change is None else round(each.change, 4),
                }
                for each in self.figures
            ],
        }

    def text(self, *, width: int = 0) -> str:
        """The same for people: verdicts first, then figures. ``width`` 0 is without an end."""
        parts = [f"a  {self.a}\nb  {self.b}"]
        if self.settings:
            parts.append(_table(("Not alike", "a", "b"), self.settings))
        if self.turns:
            rows = [(each.contract, each.a or _ABSENT, each.b or _ABSENT, each.reason) for each in self.turns]
            parts.append(_table(("Verdicts", "a", "b", ""), rows, width=width))
        else:
            parts.append(f"All {words.count(self.same, 'verdict')} are the same.")
        if self.figures:
            figures = [
                (
                    f"{each.contract} {each.cluster}",
                    each.name,
                    words.shown(each.a),
                    words.shown(each.b),
                    "" if each.change is None else f"{each.change:+.0%}",
                )
                for each in self.figures
            ]
            parts.append(_table(("Figures", "", "a", "b", "change"), figures, right=(2, 3, 4)))
        else:
            parts.append(f"No figure differs by {NOTICEABLE:.0%} or more.")
        return "\n\n".join(parts)


def compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """What differs between two documents as :func:`lab.degrade.report.document.document` makes them."""
    ours, theirs = ({each["id"]: each for each in run["contracts"]} for run in (a, b))
    pairs = {name: (ours.get(name), theirs.get(name)) for name in dict.fromkeys([*ours, *theirs])}
    turns = [
        _turn(name, one, other)
        for name, (one, other) in pairs.items()
        if one is None or other is None or one["verdict"] != other["verdict"]
    ]
    return Comparison(
        a=words.line(a["run"]),
        b=words.line(b["run"]),
        settings=tuple(_settings(a, b)),
        turns=tuple(turns),
        figures=tuple(
            figure for one, other in pairs.values() if one and other for figure in _figures(one, other)
        ),
        same=len(pairs) - len(turns),
    )


def _settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What the runs were asked to do otherwise: figures of such runs can hardly be compared."""
    one, other = (
        {"fault": run.get("fault"), "target": run.get("target")}
        | {f"profile {key}": value for key, value in (run.get("profile") or {}).items()}
        for run in (a, b)
    )
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            yield words.line(name), words.shown(one.get(name)), words.shown(other.get(name))


def _turn(id: str, a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> Turn:
    there = b or a or {}
    # Why it is as it is now; where that needs no reason, why it was not.
    reason = (b or {}).get("reason") or (f"was: {a['reason']}" if a and a.get("reason") else "")
    return Turn(
        contract=words.line(id),
        claim=words.line(there.get("claim", "")),
        a=words.line(a["verdict"]) if a else None,
        b=words.line(b["verdict"]) if b else None,
        reason=words.line(reason),
    )


def _figures(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Figure]:
    for cluster in dict.fromkeys([*a["measured"], *b["measured"]]):
        ours, theirs = (dict(_flat(each["measured"].get(cluster, {}))) for each in (a, b))
        for name in dict.fromkeys([*ours, *theirs]):
            if _differs(ours.get(name), theirs.get(name)):
                yield Figure(
                    contract=words.line(a["id"]),
                    cluster=words.line(cluster),
                    name=words.line(name),
                    a=ours.get(name),
                    b=theirs.get(name),
                )


def _flat(measured: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in measured.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differs(a: Any, b: Any) -> bool:
    if _is_number(a) and _is_number(b):
        return bool(a != b and abs(a - b) >= NOTICEABLE * max(abs(a), abs(b)))
    return bool(a != b)


def _is_number(value: Any) -> bool:
    """Whether it can be counted with: JSON has integers that no float holds, and Python reads NaN from it."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e18 < value < 1e18


def _table(
    columns: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    width: int = 0,
    right: tuple[int, ...] = (),
) -> str:
    """Aligned columns; the last one is folded where it does not fit into ``width``."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    lines = []
    for row in (columns, *rows):
        *cells, last = row
        room = max(width - before, 24) if width and len(columns) - 1 not in right else 0
        first, *more = (textwrap.wrap(last, room) if room else [last]) or [""]
        padded = [
            cell.rjust(wide) if place in right else cell.ljust(wide)
            for place, (cell, wide) in enumerate(zip([*cells, first], widths, strict=True))
        ]
        lines += ["  ".join(padded).rstrip(), *(" " * before + part for part in more)]
    return "\n".join(lines)
