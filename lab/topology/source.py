"""From the bytes of a file to plain nodes with positions.

PyYAML scans and parses; its constructors are not used, so nothing in a file can name a type, and no
YAML 1.1 guess is made about a scalar: ``on`` stays the text "on" until a shape says what it should
be. Aliases are shared, not copied, and their expanded size is counted while reading, so a file that
would explode is refused before anything walks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import yaml

from lab.topology.position import Position, Problem, shorten

# The largest topology that can mean something (511 clusters, each with every key) is about 100 KiB, some
# 20,000 nodes, and five levels deep.
MOST_BYTES: Final = 256 * 1024
MOST_NODES: Final = 40_000
MOST_LEVELS: Final = 16

# What YAML 1.2 (5.1, "c-printable") lets a stream hold.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class ScalarNode:
    """A scalar as written. ``plain`` means unquoted: YAML readers may take it for a number or boolean."""

    position: Position
    text: str
    plain: bool
    size: int = 1
    levels: int = 0


@dataclass(frozen=True)
class SequenceNode:
    """A list as written. ``size`` counts all values, ``levels`` how deep they go, aliases written out."""

    position: Position
    items: tuple[Node, ...]
    size: int
    levels: int


@dataclass(frozen=True)
class MappingNode:
    """A mapping as written: keys may repeat, and need not be scalars."""

    position: Position
    pairs: tuple[tuple[Node, Node], ...]
    size: int
    levels: int


Node = ScalarNode | SequenceNode | MappingNode


class Unreadable(Exception):
    """The file is not YAML that a topology may be written in; carries the one problem that ends reading."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def parse(data: bytes, *, file: str) -> Node:
    """Read one YAML document and return its root.

    ``file`` is what positions call the file. Raises Unreadable for what is not UTF-8, not YAML, more
    or less than one document, too large, too deep, tagged, or explosive when its aliases are expanded.
    """
    text = _decode(data, file=file)
    try:
        # Event by event, so that a file that is too deep is left at that depth: PyYAML's scanner needs time
        # quadratic in it.
        return _Composer(file).compose(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, file=file) from error


def _decode(data: bytes, *, file: str) -> str:
    if len(data) > MOST_BYTES:
        raise _unreadable(
            Position(file),
            f"the file has {len(data) // 1024} KiB, more than the {MOST_BYTES // 1024} KiB of a topology",
            "Use {count: ..., prefix: ...} for many equal clusters.",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        raise _unreadable(
            _place(before, file=file),
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            "Save the file as UTF-8.",
        ) from error
    if found := _UNPRINTABLE.search(text):
        raise _unreadable(
            _place(text[: found.start()], file=file),
            f"there is a control character, U+{ord(found.group()):04X}",
            "Remove it.",
        )
    return text


def _place(before: str, *, file: str) -> Position:
    """The position just after the text ``before``."""
    return Position(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _syntax(error: yaml.MarkedYAMLError, *, file: str) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    place = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
    if error.problem and "'\\t'" in error.problem:
        return _unreadable(
            place, "there is a tab, and YAML is indented with spaces only", "Replace it with spaces."
        )
    begun = error.context_mark
    where = f"(begun on line {begun.line + 1})" if begun else None
    reasons = " ".join(part for part in (error.context, where, error.problem) if part)
    return _unreadable(
        place,
        f"this is not YAML: {reasons}",
        "Look at this line and the one before it: indentation, quotes, brackets, colons.",
    )


def _unreadable(position: Position, message: str, remedy: str) -> Unreadable:
    return Unreadable(Problem(position, (), message, remedy))


@dataclass
class _Open:
    """A collection whose end has not been read yet."""

    event: yaml.CollectionStartEvent
    children: list[Node]


class _Composer:
    """Builds nodes from parser events without recursion: depth is checked, no stack overflows."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.open: list[_Open] = []
        self.roots: list[Node] = []

    def compose(self, events: Iterable[yaml.Event]) -> Node:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and self.roots:
                raise _unreadable(
                    self.at(event),
                    "a second document begins here",
                    "A topology is one document: keep one to a file.",
                )
            if isinstance(event, yaml.NodeEvent):
                self.node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.close()
        if not self.roots or (isinstance(root := self.roots[0], ScalarNode) and root.plain and not root.text):
            raise _unreadable(
                Position(self.file),
                "the file holds nothing",
                "Begin with version, name and clusters; topologies/pair.yaml is the shortest example.",
            )
        return self.roots[0]

    def node(self, event: yaml.NodeEvent) -> None:
        place = self.at(event)
        if isinstance(event, yaml.AliasEvent):
            self.add(self.alias(event), at=place)
            return
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            name = str(tag).replace("tag:yaml.org,2002:", "!!")
            raise _unreadable(
                place,
                f"the tag {shorten(name)} is not allowed",
                "A topology is plain data: remove the tag.",
            )
        if isinstance(event, yaml.ScalarEvent):
            node = ScalarNode(place, event.value, plain=event.style is None)
            self.remember(event, node)
            self.add(node, at=place)
        elif isinstance(event, yaml.CollectionStartEvent):
            self.refuse_depth(len(self.open) + 1, at=place)
            self.open.append(_Open(event, []))

    def close(self) -> None:
        done = self.open.pop()
        place, children = self.at(done.event), tuple(done.children)
        size = 1 + sum(child.size for child in children)
        levels = 1 + max((child.levels for child in children), default=0)
        node: Node
        if isinstance(done.event, yaml.MappingStartEvent):
            node = MappingNode(place, tuple(zip(children[::2], children[1::2], strict=True)), size, levels)
        else:
            node = SequenceNode(place, children, size, levels)
        self.remember(done.event, node)
        self.add(node, at=place)

    def alias(self, event: yaml.AliasEvent) -> Node:
        name = str(event.anchor)
        if name in self.anchors:
            return self.anchors[name]
        if any(collection.event.anchor == name for collection in self.open):
            raise _unreadable(
                self.at(event), f"*{name} stands inside the value that it repeats", "Write the value out."
            )
        raise _unreadable(
            self.at(event),
            f"*{name} repeats a value that is not marked",
            f"Mark a value before it with &{name}.",
        )

    def remember(self, event: yaml.NodeEvent, node: Node) -> None:
        if event.anchor is not None:
            self.anchors[str(event.anchor)] = node

    def add(self, node: Node, *, at: Position) -> None:
        if node.size > MOST_NODES:
            raise _unreadable(
                at,
                f"its aliases make this {node.size:,} values, and a topology has at most {MOST_NODES:,}",
                "Write what is meant without aliases.",
            )
        # Aliases of aliases nest, too, without any bracket to show for it.
        self.refuse_depth(len(self.open) + node.levels, at=at)
        (self.open[-1].children if self.open else self.roots).append(node)

    def refuse_depth(self, levels: int, *, at: Position) -> None:
        if levels > MOST_LEVELS:
            raise _unreadable(
                at,
                f"this is nested more than {MOST_LEVELS} levels deep",
                "No part of a topology needs that: flatten it.",
            )

    def at(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return Position(self.file, mark.line + 1, mark.column + 1) if mark else Position(self.file)
