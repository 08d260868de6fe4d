"""From the text of one scalar to a value of its shape."""

from __future__ import annotations

import re
from typing import Final

import yaml

from lab.document.cidr import Cidr, NotNetwork, parse_cidr
from lab.document.position import listed, nearest, shorten
from lab.document.shapes import Boolean, Choice, Duration, Integer, Network, Scalar, Text
from lab.document.source import ScalarNode

# Without sign, leading zeros, underscores or colons: 010 is eight to YAML 1.1 and ten to YAML 1.2, 1:30 is
# ninety to YAML 1.1 and text to YAML 1.2.
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")

DURATION_PATTERN: Final = "([0-9]+h)?([0-9]+m)?([0-9]+s)?"
_DURATION: Final = re.compile(DURATION_PATTERN)

_KINDS: Final = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "null": "nothing",
}
_RESOLVER: Final = yaml.resolver.Resolver()

Value = str | int | bool | Cidr


class Unfit(Exception):
    """A value that does not fit its shape: what is wrong, and what to write."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def kind_of(node: ScalarNode) -> str | None:
    """Say what YAML 1.1 takes an unquoted scalar for, such as "a boolean"; None for text.

    PyYAML's own resolver decides, so this agrees with every other tool built on it.
    """
    if not node.plain:
        return None
    tag = _RESOLVER.resolve(yaml.ScalarNode, node.text, (True, False))  # type: ignore[no-untyped-call]
    return _KINDS.get(str(tag).rpartition(":")[2])


def read_scalar(shape: Scalar, node: ScalarNode) -> Value:
    """Read ``node`` as ``shape``: text, whole number, Cidr, seconds, or truth. Raises Unfit."""
    match shape:
        case Text():
            return _text(shape, node)
        case Integer():
            return _integer(shape, node)
        case Choice():
            return _choice(shape, node)
        case Network():
            return _network(node)
        case Duration():
            return duration(node.text)
        case Boolean():
            return _boolean(node)


def _text(shape: Text, node: ScalarNode) -> str:
    kind = kind_of(node)
    if kind == "nothing":
        message = f"nothing is written here, where {shape.expected} is expected"
        raise Unfit(message, f"Write one, such as {shape.sample}.")
    if kind is not None:
        why = " (and 1.30 would be 1.3)" if _FLOAT.fullmatch(node.text) else ""
        raise Unfit(f"unquoted, {node.text} is {kind} to YAML{why}, not text", _respell(shape, node.text))
    if not re.fullmatch(shape.pattern, node.text):
        raise Unfit(f'"{shorten(node.text)}" is not {shape.expected}', _respell(shape, node.text))
    if shape.longest is not None and len(node.text) > shape.longest:
        raise Unfit(
            f'"{shorten(node.text)}" has {len(node.text)} characters, more than the {shape.longest} allowed',
            "Shorten it.",
        )
    return node.text


def _respell(shape: Text, text: str) -> str:
    """Propose the same word spelled as ``shape`` wants it, or else just what is wanted."""
    low = text.lower()
    for candidate in (
        text,
        low,
        low.replace("_", "-").replace(".", "-").replace(" ", "-"),
        text.upper(),
        low.removeprefix("v"),
    ):
        if re.fullmatch(shape.pattern, candidate):
            return f'Write "{candidate}".'
    return f"Write one, such as {shape.sample}."


def _integer(shape: Integer, node: ScalarNode) -> int:
    expected = expected_integer(shape)
    if not node.plain and _DECIMAL.fullmatch(node.text):
        raise Unfit(
            f'"{shorten(node.text)}" is text, where {expected} is expected',
            f"Write {node.text} without quotes.",
        )
    if not _DECIMAL.fullmatch(node.text):
        if kind_of(node) == "a number" and not _FLOAT.fullmatch(node.text):
            raise Unfit(
                f"{shorten(node.text)} is a different number to different readers of YAML",
                "Write it in plain decimal digits.",
            )
        found = "nothing" if kind_of(node) == "nothing" else f'"{shorten(node.text)}"'
        raise Unfit(f"found {found}, where a number is expected", f"Write {expected}.")
    number = int(node.text) if len(node.text) < 20 else None
    fits = (
        number in shape.only if shape.only else number is not None and shape.lowest <= number <= shape.highest
    )
    if number is None or not fits:
        if shape.only:
            raise Unfit(f"{shorten(node.text)} is not {expected}", "Write one of these.")
        raise Unfit(f"{shorten(node.text)} is out of range", f"Write {expected}.")
    return number


def _choice(shape: Choice, node: ScalarNode) -> str:
    if node.text in shape.values:
        return node.text
    options = listed(shape.values, joint="or")
    if kind_of(node) == "nothing":
        raise Unfit(
            f"nothing is written here, where {options} is expected", f"Write {options}, or remove the key."
        )
    guess = nearest(node.text, shape.values)
    remedy = f'Did you mean "{guess}"?' if guess and len(shape.values) > 1 else f"Write {options}."
    raise Unfit(f'"{shorten(node.text)}" is not {options}', remedy)


def _network(node: ScalarNode) -> Cidr:
    if kind_of(node) == "nothing":
        raise Unfit(
            "nothing is written here, where a network is expected", "Remove the key, and one is allocated."
        )
    try:
        return parse_cidr(node.text)
    except NotNetwork as error:
        raise Unfit(f"{shorten(node.text)} {error}", error.remedy) from error


def duration(text: str) -> int:
    """Return the seconds that ``text`` means, such as 60s, 5m or 1h30m. Raises Unfit for any other."""
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        wrong = "has no unit" if _DECIMAL.fullmatch(text) else "is not a length of time"
        raise Unfit(f'"{shorten(text)}" {wrong}', "Write it with units, such as 60s, 5m or 1h30m.")
    hours, minutes, seconds = (int((part or "0x")[:-1]) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def _boolean(node: ScalarNode) -> bool:
    if node.plain and node.text in ("true", "false"):
        return node.text == "true"
    if node.text in ("true", "false"):
        raise Unfit(
            f'"{node.text}" is text, where true or false is expected', f"Write {node.text} without quotes."
        )
    found = "nothing" if kind_of(node) == "nothing" else f'"{shorten(node.text)}"'
    raise Unfit(f"found {found}, where true or false is expected", "Write true or false.")


def expected_integer(shape: Integer) -> str:
    """Say which numbers fit: "255 or 511", "a whole number from 1 to 7"."""
    if shape.only:
        return listed((str(number) for number in shape.only), joint="or")
    return f"a whole number from {shape.lowest} to {shape.highest}"


def free_value(node: ScalarNode) -> str | int | float | bool | None:
    """Read a scalar that has no shape (an addon's option) where YAML 1.1 and 1.2 agree on what it is.

    Raises Unfit where they do not: ``yes``, ``010``, ``1:30``, ``2026-01-01``.
    """
    kind = kind_of(node)
    if kind is None:
        return node.text
    if kind == "nothing":
        return None
    if node.text in ("true", "false"):
        return node.text == "true"
    if _DECIMAL.fullmatch(node.text) and len(node.text) < 20:
        return int(node.text)
    if _FLOAT.fullmatch(node.text):
        return float(node.text)
    remedy = f'Write "{node.text}" if it is text' + (
        ", true or false if it is a boolean." if kind == "a boolean" else "."
    )
    raise Unfit(
        f"unquoted, {shorten(node.text)} is {kind} to some readers of YAML and text to others", remedy
    )
