"""The kinds of value that a file can hold.

A shape describes; it does not act. ``load`` reads a file by its shapes and ``schema`` writes the
same shapes as JSON Schema, so a key and its rules are written down once, in ``vocabulary``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A string that ``pattern`` matches whole. ``expected`` completes "expected ..."; ``sample`` is one."""

    expected: str
    sample: str
    pattern: str = ".+"
    longest: int | None = None


@dataclass(frozen=True)
class Integer:
    """A whole number from ``lowest`` to ``highest``; with ``only``, one of those."""

    lowest: int
    highest: int
    only: tuple[int, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """An IPv4 network in CIDR notation."""


@dataclass(frozen=True)
class Duration:
    """A length of time with units, ``90s``, ``1h30m``; read as seconds."""


@dataclass(frozen=True)
class Boolean:
    """``true`` or ``false``, and no other spelling."""


@dataclass(frozen=True)
class Anything:
    """A mapping whose content somebody else checks: an addon knows its own options."""


@dataclass(frozen=True)
class Free:
    """A value of any kind, which somebody else checks. ``sample`` is one."""

    sample: str


@dataclass(frozen=True)
class Sequence:
    """A list of at least one ``item``."""

    item: Shape


@dataclass(frozen=True)
class Table:
    """A mapping from names of the user's choosing to ``value``, in file order, not empty."""

    key: Text
    value: Block


@dataclass(frozen=True)
class Block:
    """A mapping with known keys. ``noun`` is what messages call it: "a cluster", "mesh".

    Exactly one of the keys in ``one_of`` is given, and at most one of those in ``at_most_one_of``.
    """

    noun: str
    fields: tuple[Field, ...]
    one_of: tuple[str, ...] = ()
    at_most_one_of: tuple[str, ...] = ()

    def find(self, name: str) -> Field:
        """Return the field called ``name``; KeyError if there is none."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that the block may have."""
        return tuple(field.name for field in self.fields)


@dataclass(frozen=True)
class Either:
    """A short form (a scalar) or a long one (a block or a list); the node's kind tells which."""

    short: Text | Choice
    long: Block | Sequence


Scalar = Text | Integer | Choice | Network | Duration | Boolean
Shape = Scalar | Anything | Free | Sequence | Table | Block | Either


@dataclass(frozen=True)
class Field:
    """A key of a block: its shape, what it means (shown by editors), and what it is when left out.

    ``needs`` names a key of the same block without which this one means nothing.
    """

    name: str
    shape: Shape
    doc: str
    required: bool = False
    default: str | int | bool | None = None
    needs: str | None = None
    examples: tuple[str | int, ...] = ()
