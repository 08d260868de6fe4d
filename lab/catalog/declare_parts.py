"""What addons and contracts are both declared with: lists of names, and steps with the texts in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from lab.catalog.addon import Addon, Step
from lab.catalog.step_vocabulary import VERBS
from lab.catalog.templates import Folder, expression_fault, inspect, inspect_text, text_fault
from lab.document.load import Document
from lab.document.position import Path, Problem, listed, nearest
from lab.document.scalars import Unfit
from lab.topology.vocabulary import NAME_PATTERN

_TEMPLATE: Final = "{{"


def words(value: Any) -> tuple[str, ...]:
    """Return one word or a list of them as a tuple, each once, without what was unreadable."""
    return tuple(dict.fromkeys([value] if isinstance(value, str) else whole(value)))


def whole(entries: Any) -> list[Any]:
    """Return the entries of a list that were readable."""
    return [each for each in entries if each is not None]


def steps(entries: Any, namespace: str) -> tuple[Step, ...]:
    """Return the steps of a list of them; ``namespace`` is theirs where they name none."""
    return tuple(_step(each, namespace) for each in whole(entries))


def _step(values: Mapping[str, Any], namespace: str) -> Step:
    verb = next((each for each in VERBS if each in values), "get")
    defaults: dict[str, dict[str, Any]] = {
        "request": {"namespace": namespace, "method": "GET", "path": "/", "headers": {}, "body": None},
        "apply": {"dry_run": False, "keep": False},
        "get": {},
        "exec": {"namespace": namespace, "container": ""},
        "delete": {},
    }
    arguments = {"on": ""} | defaults[verb] | values.get(verb, {})
    return Step(verb, arguments, values.get("expect", ""), values.get("until", ""))  # type: ignore[arg-type]


def twice(document: Document, named: Iterable[tuple[Path, str | None]]) -> Iterator[Problem]:
    """Find what is named a second time; ``named`` are places and the names there, None if unreadable."""
    seen: dict[str, Path] = {}
    for path, name in named:
        if name in seen:
            against = document.at(seen[name])
            message = f'"{name}" is there already'
            yield Problem(document.at(path), path, message, "Keep one of the two.", against)
        elif name:
            seen[name] = path


def one_of(word: str, known: Collection[str], *, none: str) -> str:
    """Return the remedy for a word that is not among ``known``; ``none`` is it where nothing is known."""
    if guess := nearest(word, known):
        return f'Did you mean "{guess}"?'
    return f"There {'are' if len(known) > 1 else 'is'} {listed(known)}." if known else none


def templates_in(path: Path, entries: Any) -> Iterator[tuple[Path, str]]:
    """Yield the place and the name of every template in the list of steps at ``path``."""
    for number, step in enumerate(entries):
        for verb in VERBS:
            name = ((step or {}).get(verb) or {}).get("template")
            if name is not None:
                yield (*path, number, verb, "template"), name


@dataclass(frozen=True)
class Texts:
    """Compiles templates and expressions that a document has in its texts, or names, and looks into them.

    Without ``addon``, whatever is in an addon's folder is not looked for. ``known`` are the names that a text
    or an expression knows.
    """

    document: Document
    addon: Addon | None

    def steps(
        self, path: Path, entries: Any, *, known: Sequence[str], in_expressions: Sequence[str]
    ) -> Iterator[Problem]:
        """Say what is wrong in the list of steps at ``path``, as far as it was readable."""
        for number, step in enumerate(entries):
            here: Path = (*path, number)
            for key in ("expect", "until"):
                if step and key in step:
                    yield from self.expression((*here, key), step[key], known=in_expressions)
            for verb in VERBS:
                arguments = (step or {}).get(verb) or {}
                yield from self.text((*here, verb), arguments, known=known)
                yield from self._place((*here, verb, "on"), arguments.get("on", ""))

    def expression(self, path: Path, text: str, *, known: Sequence[str]) -> Iterator[Problem]:
        """Say what is wrong with the expression at ``path``."""
        if fault := expression_fault(text):
            yield self._problem(path, f"this is not an expression: {fault}", "Correct it.")
            return
        for fault, remedy in inspect_text(text, known=known, expression=True, addon=self.addon):
            yield self._problem(path, fault, remedy)

    def text(self, path: Path, value: Any, *, known: Sequence[str]) -> Iterator[Problem]:
        """Say what is wrong with the text at ``path``, or with every text in what is there."""
        match value:
            case str() if _TEMPLATE in value:
                if fault := text_fault(value):
                    yield self._problem(path, f"this is not a template: {fault}", "Correct it.")
                    return
                for fault, remedy in inspect_text(value, known=known, expression=False, addon=self.addon):
                    yield self._problem(path, fault, remedy)
            case Mapping():
                for key, inner in value.items():
                    yield from self.text((*path, key), inner, known=known)
            case list():
                for number, inner in enumerate(value):
                    yield from self.text((*path, number), inner, known=known)

    def templates(self, named: Iterable[tuple[Path, str]]) -> Iterator[Problem]:
        """Look for every file that is named at a place, and into those that are templates, each once."""
        if self.addon is None:
            return
        folder = Folder(self.addon.folder, self.addon.shown)
        inspected: set[str] = set()
        for path, name in named:
            try:
                folder.read(name)
            except Unfit as error:
                yield self._problem(path, str(error), error.remedy)
                continue
            name = PurePosixPath(name).as_posix()
            if name not in inspected:
                inspected.add(name)
                # Those that steps name are given more.
                yield from inspect(name, folder, addon=self.addon, own_names="steps" not in path)

    def _place(self, path: Path, value: str) -> Iterator[Problem]:
        if value and _TEMPLATE not in value and not re.fullmatch(NAME_PATTERN, value):
            message = f'"{value}" is neither a role nor a template'
            yield self._problem(path, message, 'Write a role, any, or "{{ cluster.name }}".')

    def _problem(self, path: Path, message: str, remedy: str) -> Problem:
        return Problem(self.document.at(path), path, message, remedy)
