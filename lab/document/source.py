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

import yaml

from lab.document.format import Kind
from lab.document.position import Position, Problem, shorten

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
    """The file is not YAML as we take it; carries the one problem that ends reading."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def parse(data: bytes, *, file: str, kind: Kind) -> Node:
    """Read one YAML document and return its root.

    ``file`` is what positions call the file. Raises Unreadable for what is not UTF-8, not YAML, more
    or less than one document, too large, too deep, tagged, or explosive when its aliases are expanded.
    """
    composer = _Composer(file, kind)
    _compose(data, composer, loader=yaml.SafeLoader)
    if not composer.roots or _is_nothing(composer.roots[0]):
        raise _unreadable(kind, Position(file), "the file holds nothing", kind.begin)
    return composer.roots[0]


def parse_all(data: bytes, *, file: str, kind: Kind) -> tuple[Node, ...]:
    """Read a stream of YAML documents and return the root of each that holds anything.

    Raises Unreadable as :func:`parse` does, except for the number of documents. What is written for
    Kubernetes can be a megabyte, so libyaml's scanner is used where PyYAML has it.
    """
    composer = _Composer(file, kind, several=True)
    _compose(data, composer, loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return tuple(root for root in composer.roots if not _is_nothing(root))


def _compose(data: bytes, composer: _Composer, *, loader: type[yaml.SafeLoader]) -> None:
    text = _decode(data, file=composer.file, kind=composer.kind)
    try:
        # Event by event, so that a file that is too deep is left at that depth: PyYAML's scanner needs time
        # quadratic in it.
        composer.compose(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, file=composer.file, kind=composer.kind) from error


def _is_nothing(root: Node) -> bool:
    return isinstance(root, ScalarNode) and root.plain and not root.text


def _decode(data: bytes, *, file: str, kind: Kind) -> str:
    if len(data) > kind.most_bytes:
        size, most = len(data) // 1024, kind.most_bytes // 1024
        message = f"the file has {size} KiB, more than the {most} KiB of {kind.a_noun}"
        raise _unreadable(kind, Position(file), message, kind.shrink)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        raise _unreadable(
            kind,
            _place(before, file=file),
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            "Save the file as UTF-8.",
        ) from error
    if found := _UNPRINTABLE.search(text):
        raise _unreadable(
            kind,
            _place(text[: found.start()], file=file),
            f"there is a control character, U+{ord(found.group()):04X}",
            "Remove it.",
        )
    return text


def _place(before: str, *, file: str) -> Position:
    """The position just after the text ``before``."""
    return Position(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _syntax(error: yaml.MarkedYAMLError, *, file: str, kind: Kind) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    place = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
    if error.problem and "'\\t'" in error.problem:
        message = "there is a tab, and YAML is indented with spaces only"
        return _unreadable(kind, place, message, "Replace it with spaces.")
    begun = error.context_mark
    where = f"(begun on line {begun.line + 1})" if begun else None
    reasons = " ".join(part for part in (error.context, where, error.problem) if part)
    return _unreadable(
        kind,
        place,
        f"this is not YAML: {reasons}",
        "Look at this line and the one before it: indentation, quotes, brackets, colons.",
    )


def _unreadable(kind: Kind, position: Position, message: str, remedy: str) -> Unreadable:
    return Unreadable(Problem(position, (), message, remedy, root=kind.noun))


@dataclass
class _Open:
    """A collection whose end has not been read yet."""

    event: yaml.CollectionStartEvent
    children: list[Node]


class _Composer:
    """Builds nodes from parser events without recursion: depth is checked, no stack overflows."""

    def __init__(self, file: str, kind: Kind, *, several: bool = False) -> None:
        self.file = file
        self.kind = kind
        self.several = several
        self.anchors: dict[str, Node] = {}
        self.open: list[_Open] = []
        self.roots: list[Node] = []

    def compose(self, events: Iterable[yaml.Event]) -> None:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                # An anchor holds for its document.
                self.anchors = {}
                if self.roots and not self.several:
                    raise self.refused(
                        event,
                        "a second document begins here",
                        f"{self.kind.a_noun.capitalize()} is one document: keep one to a file.",
                    )
            if isinstance(event, yaml.NodeEvent):
                self.node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.close()

    def node(self, event: yaml.NodeEvent) -> None:
        place = self.at(event)
        if isinstance(event, yaml.AliasEvent):
            self.add(self.alias(event), at=place)
            return
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            name = str(tag).replace("tag:yaml.org,2002:", "!!")
            remedy = f"{self.kind.a_noun.capitalize()} is plain data: remove the tag."
            raise self.refused(event, f"the tag {shorten(name)} is not allowed", remedy)
        if isinstance(event, yaml.ScalarEvent):
            # PyYAML says None of a plain scalar, libyaml "".
            node = ScalarNode(place, event.value, plain=not event.style)
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
            message = f"*{name} stands inside the value that it repeats"
            raise self.refused(event, message, "Write the value out.")
        message = f"*{name} repeats a value that is not marked"
        raise self.refused(event, message, f"Mark a value before it with &{name}.")

    def remember(self, event: yaml.NodeEvent, node: Node) -> None:
        if event.anchor is not None:
            self.anchors[str(event.anchor)] = node

    def add(self, node: Node, *, at: Position) -> None:
        most = self.kind.most_values
        if node.size > most:
            message = (
                f"its aliases make this {node.size:,} values, and {self.kind.a_noun} has at most {most:,}"
            )
            raise _unreadable(self.kind, at, message, "Write what is meant without aliases.")
        # Aliases of aliases nest, too, without any bracket to show for it.
        self.refuse_depth(len(self.open) + node.levels, at=at)
        (self.open[-1].children if self.open else self.roots).append(node)

    def refuse_depth(self, levels: int, *, at: Position) -> None:
        if levels > self.kind.most_levels:
            message = f"this is nested more than {self.kind.most_levels} levels deep"
            remedy = f"No part of {self.kind.a_noun} needs that: flatten it."
            raise _unreadable(self.kind, at, message, remedy)

    def refused(self, event: yaml.Event, message: str, remedy: str) -> Unreadable:
        return _unreadable(self.kind, self.at(event), message, remedy)

    def at(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return Position(self.file, mark.line + 1, mark.column + 1) if mark else Position(self.file)
