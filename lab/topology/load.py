"""From a topology file's text to values with positions, by the shapes of the vocabulary.

Everything that can be said of a file without knowing what a cluster is gets said here: YAML, keys,
types, ranges. What the values mean together is ``check``'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.topology.position import Path, Position, Problem, listed, nearest, shorten
from lab.topology.scalars import Unfit, expected_integer, free_value, kind_of, read_scalar
from lab.topology.shapes import (
    Anything,
    Block,
    Choice,
    Duration,
    Either,
    Integer,
    Network,
    Sequence,
    Shape,
    Table,
    Text,
)
from lab.topology.source import MappingNode, Node, ScalarNode, SequenceNode, Unreadable, parse
from lab.topology.vocabulary import TOPOLOGY, VERSION

_OTHER_VERSION = re.compile(r"lab/v[0-9]+")


@dataclass(frozen=True)
class Mark:
    """Where a value and its key are; for an item of a list both are the item's."""

    key: Position
    value: Position


@dataclass(frozen=True)
class Document:
    """What a file says, each value of the right type, each with its place.

    ``values`` holds what was readable; ``broken`` names what was not, so that later checks do not
    complain of what follows from it.
    """

    file: str
    values: Mapping[str, Any]
    marks: Mapping[Path, Mark]
    broken: frozenset[Path]

    def at(self, path: Path) -> Position:
        """Return the position of the value at ``path``, or of the nearest enclosing thing that is written."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks[path].value if path else Position(self.file)

    def key_at(self, path: Path) -> Position:
        """Return the position of the key at ``path``, or of the nearest enclosing one."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks[path].key if path else Position(self.file)


def load(data: bytes, *, file: str) -> tuple[Document | None, list[Problem]]:
    """Read a topology file.

    ``file`` is what messages call it. Returns the document and every problem found; the document is
    None where there is nothing to go on with (not YAML, not a mapping, another version). Raises nothing.
    """
    try:
        root = parse(data, file=file)
    except Unreadable as error:
        return None, [error.problem]
    if not isinstance(root, MappingNode):
        message = f"expected a mapping with {listed(TOPOLOGY.names)}, found {_describe(root)}"
        return None, [Problem(root.position, (), message, "Begin with: version, name, clusters.")]
    version = next((v for k, v in root.pairs if isinstance(k, ScalarNode) and k.text == "version"), None)
    if isinstance(version, ScalarNode) and version.text != VERSION and _OTHER_VERSION.fullmatch(version.text):
        # Another version has other keys: what this one thinks of them would only mislead.
        message = f"{version.text} is not a version that this program reads"
        remedy = f"Write {VERSION}, or use the release of lab that the file was written for."
        return None, [Problem(version.position, ("version",), message, remedy)]
    reader = _Reader()
    values = reader.block(TOPOLOGY, root, ())
    return Document(file, values, reader.marks, frozenset(reader.broken)), reader.problems


class _Reader:
    """Walks nodes by shape. A value that does not fit is reported, left out, and noted in ``broken``."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.marks: dict[Path, Mark] = {}
        self.broken: set[Path] = set()

    def value(self, shape: Shape, node: Node, path: Path) -> Any:
        """Return the value of ``node``, or None (which no shape has as a value) after reporting."""
        wanted = shape
        if isinstance(shape, Either):
            shape = shape.short if isinstance(node, ScalarNode) and kind_of(node) != "nothing" else shape.long
        if isinstance(shape, (Block, Table, Anything)) and isinstance(node, MappingNode):
            if isinstance(shape, Block):
                return self.block(shape, node, path)
            return self.table(shape, node, path) if isinstance(shape, Table) else self.free(node, path)
        if isinstance(shape, Sequence) and isinstance(node, SequenceNode):
            return self.sequence(shape, node, path)
        if isinstance(node, ScalarNode) and isinstance(shape, (Text, Integer, Choice, Network, Duration)):
            try:
                return read_scalar(shape, node)
            except Unfit as error:
                return self.refuse(node.position, path, str(error), error.remedy)
        message = f"expected {_expected(wanted)}, found {_describe(node)}"
        return self.refuse(node.position, path, message, f"Write, for instance, {_sample(wanted)}.")

    def block(self, shape: Block, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        meant: set[str] = set()
        for name, key, child in self.pairs(node, path):
            if name not in shape.names:
                meant.add(self.unknown(shape, name, key, path))
                continue
            self.marks[*path, name] = Mark(key, child.position)
            value = self.value(shape.find(name).shape, child, (*path, name))
            if value is not None:
                values[name] = value
            meant.add(name)
        place = self.marks[path].key if path in self.marks else node.position
        merged = any(isinstance(key, ScalarNode) and key.text == "<<" for key, _ in node.pairs)
        for field in shape.fields:
            if field.required and field.name not in meant and not merged:
                self.refuse(place, path, f"{field.name} is missing", f"Add it. {field.doc}")
            mark = self.marks.get((*path, field.name))
            if field.needs and mark and field.needs not in meant:
                message = f"{field.name} means nothing without {field.needs}"
                self.refuse(mark.key, (*path, field.name), message, "Give both, or neither.")
        return values

    def table(self, shape: Table, node: MappingNode, path: Path) -> Any:
        if not node.pairs:
            return self.refuse(node.position, path, "it is empty", "Name at least one.")
        values: dict[str, Any] = {}
        for name, key, child in self.pairs(node, path):
            self.marks[*path, name] = Mark(key, child.position)
            try:
                read_scalar(shape.key, ScalarNode(key, name, plain=False))
            except Unfit as error:
                self.refuse(key, (*path, name), str(error), error.remedy)
            value = self.value(shape.value, child, (*path, name))
            if value is not None:
                values[name] = value
        return values

    def sequence(self, shape: Sequence, node: SequenceNode, path: Path) -> Any:
        if not node.items:
            return self.refuse(
                node.position, path, "the list is empty", "Name at least one, or remove the key."
            )
        values = []
        for number, child in enumerate(node.items):
            self.marks[*path, number] = Mark(child.position, child.position)
            value = self.value(shape.item, child, (*path, number))
            values.append(value)
        return values

    def free(self, node: Node, path: Path) -> Any:
        """Read a value without a shape: whatever it is, as plain Python data."""
        if isinstance(node, MappingNode):
            return {name: self.free(child, (*path, name)) for name, _, child in self.pairs(node, path)}
        if isinstance(node, SequenceNode):
            return [self.free(child, (*path, number)) for number, child in enumerate(node.items)]
        try:
            return free_value(node)
        except Unfit as error:
            return self.refuse(node.position, path, str(error), error.remedy)

    def pairs(self, node: MappingNode, path: Path) -> list[tuple[str, Position, Node]]:
        """Return the entries whose keys are text and new; report the others."""
        seen: dict[str, Position] = {}
        entries = []
        for key, child in node.pairs:
            if not isinstance(key, ScalarNode):
                remedy = (
                    "Write a word before the colon. A topology is data: {{ }} templates are not filled in."
                )
                self.refuse(
                    key.position, path, f"a key has to be text, and this one is {_describe(key)}", remedy
                )
            elif key.plain and key.text == "<<":
                remedy = "Put what clusters share under defaults."
                self.refuse(key.position, path, "the merge key << is not understood", remedy)
            elif key.text in seen:
                message = f'"{shorten(key.text)}" is there already'
                self.refuse(
                    key.position, (*path, key.text), message, "Keep one of the two.", against=seen[key.text]
                )
            else:
                seen[key.text] = key.position
                entries.append((key.text, key.position, child))
        return entries

    def unknown(self, shape: Block, name: str, key: Position, path: Path) -> str:
        """Report an unknown key and return the known one that was probably meant, or ""."""
        guess = nearest(name, shape.names)
        remedy = f'Did you mean "{guess}"?' if guess else f"Known here: {listed(shape.names, most=20)}."
        self.refuse(key, (*path, name), f'"{shorten(name)}" is not a key of {shape.noun}', remedy)
        return guess or ""

    def refuse(
        self, position: Position, path: Path, message: str, remedy: str, *, against: Position | None = None
    ) -> None:
        self.problems.append(Problem(position, path, message, remedy, against))
        self.broken.add(path)


def _expected(shape: Shape) -> str:
    """Complete the sentence "expected ..."."""
    match shape:
        case Text():
            return shape.expected
        case Integer():
            return expected_integer(shape)
        case Choice():
            return listed(shape.values, joint="or")
        case Network():
            return "a network"
        case Duration():
            return "a length of time"
        case Sequence():
            return "a list"
        case Block() | Table() | Anything():
            return "a mapping"
        case Either():
            return f"{_expected(shape.short)}, or {_expected(shape.long)}"


def _sample(shape: Shape) -> str:
    """Write the smallest value that fits, as it would stand in a file."""
    match shape:
        case Text():
            return shape.sample
        case Integer():
            return str(shape.only[0] if shape.only else shape.lowest)
        case Choice():
            return shape.values[0]
        case Network():
            return "10.100.0.0/16"
        case Duration():
            return "60s"
        case Anything():
            return "{option: value}"
        case Sequence():
            return f"[{_sample(shape.item)}]"
        case Table():
            return f"{{name: {_sample(shape.value)}}}"
        case Block():
            fields = [field for field in shape.fields if field.required] or list(shape.fields[:1])
            return "{" + ", ".join(f"{field.name}: {_sample(field.shape)}" for field in fields) + "}"
        case Either():
            return _sample(shape.short)


def _describe(node: Node) -> str:
    if isinstance(node, MappingNode):
        # What {{ x }} is to YAML: a mapping whose only key is a mapping.
        template = any(isinstance(key, MappingNode) for key, _ in node.pairs)
        return "a {{ template }}, which data cannot hold" if template else "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    kind = kind_of(node)
    return "nothing" if kind == "nothing" else f'{kind or "text"}, "{shorten(node.text)}"'
