"""A kind of file: what may stand in it, how large it may be, and the words in which one speaks of it."""

from __future__ import annotations

from dataclasses import dataclass

from lab.document.shapes import Block


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is true of one kind of file only. ``begin`` and what follows it are remedies, whole sentences."""

    noun: str
    """What one is called, without an article: "topology"."""

    most_bytes: int
    most_values: int
    """Counted with aliases written out."""

    most_levels: int

    begin: str
    """How to begin one, said of an empty file."""

    shrink: str
    """How to make a large one smaller."""

    share: str = "Write it out in both places."
    """What to do where a merge key was meant to share values."""

    template: str = "Write a word before the colon."
    """What to do about a key that is not text, such as ``{{ x }}`` makes."""

    @property
    def a_noun(self) -> str:
        """The noun with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


@dataclass(frozen=True)
class Format:
    """A kind of file with a vocabulary of ours.

    ``version`` is what such a file states: ``lab/v1``. What is before ``/v`` tells the kinds apart.
    """

    kind: Kind
    version: str
    root: Block
