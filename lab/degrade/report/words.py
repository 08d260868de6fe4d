"""The words of reports: faults, outcomes, moments and figures as a person would say them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lab import console
from lab.degrade.verdict import Verdict, Word

# Not legal in XML, or an order to a terminal, or turns the reading direction of what follows.
_NOT_TEXT: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)

_DONE: Final = {
    "kill": ("killed", "SIGKILL to its nodes, as when the power fails"),
    "stop": ("shut down", "its nodes were asked to end, and did"),
    "pause": ("frozen", "its nodes stood still: nothing answered, and no connection was closed"),
    "partition": ("cut off", "its nodes ran on, and no packet reached them or left them"),
    "isolate": (
        "isolated",
        "its nodes ran on; a policy refused what its pods sent elsewhere, or got from there",
    ),
    "component": ("taken away", "it alone; the clusters ran on"),
}

_MINUS: Final = "\u2212"

MEANINGS: Final[dict[Word, str]] = {
    "pass": "the claim was put to the test, and what was seen agrees with it",
    "fail": "something was seen that the claim rules out",
    "inconclusive": "too little was seen for either, or the fault was not what it had to be",
    "skipped": "not tried in this run; the reason says why",
}


def plain(value: object) -> str:
    """``value`` as text that may go into XML, HTML and terminals; U+FFFD stands for what may not."""
    return _NOT_TEXT.sub("\ufffd", str(value).replace("\r\n", "\n"))


def line(value: object, most: int = 400) -> str:
    """:func:`plain`, on one line, of ``most`` characters at the most."""
    text = " ".join(plain(value).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def shown(value: Any) -> str:
    """A measured value: a figure as people write it, anything else as it is, shortened."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return line(f"{value:,}", 30)
    if isinstance(value, float):
        return number(value)
    return line(value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True), 160)


def number(value: float) -> str:
    """A figure with three digits that matter, or all that are before the point."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 10**15:
        return f"{value:.3g}"
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"


def lasted(seconds: float) -> str:
    """A length of time: ``0.31 ms``, ``90 ms``, ``3.1 s``, ``60 s``, ``1 min 30 s``."""
    if not math.isfinite(seconds):
        return "-"
    if 0 < seconds < 0.0995:
        return f"{seconds * 1000:.{0 if seconds >= 0.00995 else 1 if seconds >= 0.000995 else 2}f} ms"
    return console.duration(seconds).replace(".0 s", " s").removesuffix(" 00 s").removesuffix(" 00 min")


def moment(seconds: float) -> str:
    """A moment before or after the fault: minutes and seconds, as ``+12:03``; tenths where they matter."""
    sign = _MINUS if round(seconds, 1) < 0 else "+"
    minutes, rest = divmod(round(abs(seconds), 1), 60)
    tenths = "" if rest == int(rest) or minutes >= 10 else f".{round(rest % 1 * 10)}"
    return f"{sign}{minutes:.0f}:{int(rest):02}{tenths}"


def clock(wall: float) -> str:
    """A moment of the wall clock in UTC, to the second."""
    return stamp(wall).replace("T", " ").removesuffix("Z") + " UTC"


def stamp(wall: Any) -> str:
    """The same for machines (ISO 8601); 1970 for what is no moment."""
    try:
        when = datetime.fromtimestamp(float(wall), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        when = datetime.fromtimestamp(0, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def count(how_many: int, thing: str, things: str = "") -> str:
    """``1 contract``, ``2 contracts``."""
    return f"{how_many:,} {thing if how_many == 1 else things or thing + 's'}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def fault(name: str, target: str, seconds: float | None, *, real: bool = True, undone: bool = True) -> str:
    """What was done, as a title.

    ``seconds`` is how long it lasted (None: unknown); ``real`` is whether it was done at all, ``undone``
    whether it was taken back.
    """
    thing = f"The {'addon' if name == 'component' else 'cluster'} {line(target, 80)}"
    done = _DONE[name][0] if name in _DONE else f"put under the fault {line(name, 40)}"
    if not real:
        return f"{thing} was to be {done}, and was not"
    if not undone:
        return f"{thing} was {done}, and not brought back within the run"
    return f"{thing} was {done}" + (f" for {lasted(seconds)}" if seconds is not None else "")


def manner(name: str) -> str:
    """How a fault is done; empty for one that is not known."""
    return _DONE[name][1] if name in _DONE else ""


def contracts(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts on claims, in their order."""
    return [each for each in verdicts if not each.control_of]


def controls(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts on negative controls, in their order."""
    return [each for each in verdicts if each.control_of]


def named(control_of: str, word: Word) -> str:
    """A verdict's word, and what is to be thought of it where a negative control's failure is hoped for."""
    if control_of and word in {"pass", "fail"}:
        return "did not fail" if word == "pass" else "fails, as it must"
    return word


def tone(control_of: str, word: Word) -> Word:
    """The word that a verdict looks like: a negative control that failed is as good as a pass."""
    turned: dict[Word, Word] = {"fail": "pass", "pass": "fail"} if control_of else {}
    return turned.get(word, word)


def gist(verdict: Verdict) -> str:
    """Why the verdict is what it is; of a pass, which needs no reason, what was seen on its first cluster."""
    if verdict.reason or not verdict.clusters:
        return verdict.reason
    first, *more = verdict.clusters
    seen = "; ".join(found.seen for found in first.findings if found.seen and not found.proof)
    return line(f"{first.cluster}: {seen}" if seen and more else seen, 240)


def tally(verdicts: Sequence[Verdict]) -> str:
    """``9 contracts: 7 pass, 1 fail, 1 inconclusive; 2 negative controls: 2 fail, as they must``."""
    parts = []
    claims, tests = contracts(verdicts), controls(verdicts)
    words: tuple[Word, ...] = ("pass", "fail", "inconclusive", "skipped")
    if claims:
        found = [(sum(each.word == word for each in claims), word) for word in words]
        parts.append(
            f"{count(len(claims), 'contract')}: {', '.join(f'{n} {word}' for n, word in found if n)}"
        )
    if tests:
        found = [(sum(each.word == word for each in tests), word) for word in ("fail", "pass", *words[2:])]
        said = ", ".join(f"{n} {_hoped_for(word, n)}" for n, word in found if n)
        parts.append(f"{count(len(tests), 'negative control')}: {said}")
    return "; ".join(parts) or "no contracts"


def _hoped_for(word: Word, how_many: int) -> str:
    if word == "fail":
        return "fails, as it must" if how_many == 1 else "fail, as they must"
    return "did not fail" if word == "pass" else word


def outcome(verdicts: Sequence[Verdict]) -> str:
    """What came of it all, in a sentence or two; the worst first."""
    claims = contracts(verdicts)
    broken = [each.contract for each in claims if each.word == "fail"]
    unclear = [each.contract for each in claims if each.word == "inconclusive"]
    tried = len(claims) - sum(each.word == "skipped" for each in claims)
    said = []
    if broken:
        said.append(f"{len(broken)} of {count(tried, 'claim')} did not hold: {line(listed(broken))}.")
    if unclear:
        which = f"{len(unclear)} more" if broken else f"{len(unclear)} of {count(tried, 'claim')}"
        hold = "holds" if len(unclear) == 1 else "hold"
        said.append(f"Whether {which} {hold} cannot be told: {line(listed(unclear))}.")
    if not broken and not unclear:
        said.append(_all_held(tried))
    said += _of_controls(controls(verdicts))
    return " ".join(said)


def _of_controls(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What is to be said of negative controls that did not fail."""
    for word, end in (
        ("inconclusive", "could not be judged."),
        ("pass", "did not fail: what was measured there would not have shown a broken claim."),
    ):
        ids = [each.contract for each in verdicts if each.word == word]
        if ids:
            yield f"The negative control{'' if len(ids) == 1 else 's'} {line(listed(ids))} {end}"


def _all_held(tried: int) -> str:
    if not tried:
        return "No claim was put to the test."
    return "The one claim that was put to the test held." if tried == 1 else f"All {tried} claims held."
