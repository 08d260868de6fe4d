"""From a file's text to values with positions, by the shapes of its vocabulary.

Everything that can be said of a file without knowing what it is about gets said here: YAML, keys,
types, ranges. What the values mean together is for the checks of its kind.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.document.format import Format, Kind
from lab.document.position import Path, Position, Problem, listed, nearest, shorten
from lab.document.scalars import Unfit, Value, expected_integer, free_value, kind_of, read_scalar
from lab.document.shapes import (
    Anything,
    Block,
    Boolean,
    Choice,
    Duration,
    Either,
    Free,
    Integer,
    Network,
    Scalar,
    Sequence,
    Shape,
    Table,
    Text,
)
from lab.document.source import MappingNode, Node, ScalarNode, SequenceNode, Unreadable, parse


@dataclass(frozen=True)
class Mark:
    """Where a value and its key are; for an item of a list both are the item's."""

    key: Position
    value: Position


@dataclass(frozen=True)
class Written:
    """An entry whose shape was not known when it was read: where its key is, and its value as written."""

    key: Position
    node: Node


@dataclass(frozen=True)
class Document:
    """What a file says, each value of the right type, each with its place.

    ``values`` holds what was readable; ``broken`` names what was not, so that later checks do not
    complain of what follows from it; ``written`` keeps the nodes of what has no shape, for whoever learns
    it later.
    """

    file: str
    values: Mapping[str, Any]
    marks: Mapping[Path, Mark]
    broken: frozenset[Path]
    written: Mapping[Path, Node] = dataclasses.field(default_factory=dict)

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

    def entries(self, path: Path) -> dict[str, Written]:
        """Return the entries of the mapping without a shape at ``path``, as they are written."""
        return {
            str(inner[-1]): Written(self.marks[inner].key, node)
            for inner, node in self.written.items()
            if inner[:-1] == path and inner in self.marks
        }


def load(data: bytes, *, file: str, format: Format) -> tuple[Document | None, list[Problem]]:
    """Read a file.

    ``file`` is what messages call it, ``format`` what it should be. Returns the document and every problem
    found; the document is None where there is nothing to go on with (not YAML, not a mapping, another
    version). Raises nothing.
    """
    try:
        root = parse(data, file=file, kind=format.kind)
    except Unreadable as error:
        return None, [error.problem]
    if not isinstance(root, MappingNode):
        message = f"expected a mapping with {listed(format.root.names)}, found {_describe(root)}"
        required = (field.name for field in format.root.fields if field.required)
        remedy = f"Begin with: {', '.join(required)}."
        return None, [Problem(root.position, (), message, remedy, root=format.kind.noun)]
    version = next((v for k, v in root.pairs if isinstance(k, ScalarNode) and k.text == "version"), None)
    if isinstance(version, ScalarNode) and _is_another(version.text, format.version):
        # Another version has other keys: what this one thinks of them would only mislead.
        message = f"{version.text} is not a version that this program reads"
        remedy = f"Write {format.version}, or use the release of lab that the file was written for."
        return None, [Problem(version.position, ("version",), message, remedy)]
    reader = _Reader(format.kind)
    values = reader.block(format.root, root, ())
    document = Document(file, values, reader.marks, frozenset(reader.broken), reader.written)
    return document, reader.problems


def plain_data(node: Node, *, kind: Kind) -> tuple[Any, list[Problem]]:
    """Return what ``node`` says as plain Python data, and what of it cannot be told. Raises nothing."""
    reader = _Reader(kind)
    return reader.free(node, ()), reader.problems


def read_value(shape: Scalar, node: Node) -> Value:
    """Read a node that was kept as it is written, once its shape is known. Raises Unfit."""
    if isinstance(node, ScalarNode):
        return read_scalar(shape, node)
    message = f"expected {_expected(shape)}, found {_describe(node)}"
    raise Unfit(message, f"Write, for instance, {_sample(shape)}.")


def _is_another(stated: str, version: str) -> bool:
    """Whether a file states another version of its own kind."""
    name, _, _ = version.rpartition("/v")
    return stated != version and re.fullmatch(rf"{re.escape(name)}/v[0-9]+", stated) is not None


class _Reader:
    """Walks nodes by shape. A value that does not fit is reported, left out, and noted in ``broken``."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.problems: list[Problem] = []
        self.marks: dict[Path, Mark] = {}
        self.broken: set[Path] = set()
        self.written: dict[Path, Node] = {}

    def value(self, shape: Shape, node: Node, path: Path) -> Any:
        """Return the value of ``node``, or None (which no shape has as a value) after reporting."""
        wanted = shape
        if isinstance(shape, Either):
            shape = shape.short if isinstance(node, ScalarNode) and kind_of(node) != "nothing" else shape.long
        if isinstance(shape, Free):
            return self.free(node, path)
        if isinstance(shape, (Block, Table, Anything)) and isinstance(node, MappingNode):
            if isinstance(shape, Block):
                return self.block(shape, node, path)
            return self.table(shape, node, path) if isinstance(shape, Table) else self.free(node, path)
        if isinstance(shape, Sequence) and isinstance(node, SequenceNode):
            return self.sequence(shape, node, path)
        if isinstance(node, ScalarNode) and isinstance(shape, Scalar):
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
        self.alternatives(shape, meant, place, path)
        return values

    def alternatives(self, shape: Block, meant: set[str], place: Position, path: Path) -> None:
        """Report keys that exclude one another, and the lack of any of those that are needed."""
        if shape.one_of and not meant.intersection(shape.one_of):
            options = listed(shape.one_of, joint="or")
            self.refuse(place, path, f"there is none of {options}", "Give one of these.")
        for group in (shape.one_of, shape.at_most_one_of):
            given = [name for name in group if name in meant]
            if len(given) > 1:
                self.refuse(place, path, f"{listed(given)} exclude one another", "Keep one of them.")

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
        self.written[path] = node
        if isinstance(node, MappingNode):
            entries = self.pairs(node, path)
            self.marks |= {(*path, name): Mark(key, child.position) for name, key, child in entries}
            return {name: self.free(child, (*path, name)) for name, _, child in entries}
        if isinstance(node, SequenceNode):
            self.marks |= {(*path, n): Mark(c.position, c.position) for n, c in enumerate(node.items)}
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
                message = f"a key has to be text, and this one is {_describe(key)}"
                self.refuse(key.position, path, message, self.kind.template)
            elif key.plain and key.text == "<<":
                self.refuse(key.position, path, "the merge key << is not understood", self.kind.share)
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
        self.problems.append(Problem(position, path, message, remedy, against, root=self.kind.noun))
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
        case Boolean():
            return "true or false"
        case Free():
            return "a value"
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
        case Boolean():
            return "true"
        case Anything():
            return "{option: value}"
        case Free():
            return shape.sample
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
