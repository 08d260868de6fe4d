"""Reads every addon there is, and says everything that is wrong with any of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from lab import graph
from lab.catalog.addon import Addon, Catalog
from lab.catalog.declare import declare
from lab.catalog.declare_contracts import control_problems
from lab.catalog.declare_parts import one_of
from lab.catalog.templates import Folder
from lab.catalog.vocabulary import ANY, FORMAT
from lab.document.load import Document, load
from lab.document.position import Position, Problem, in_order
from lab.errors import InputError
from lab.topology.vocabulary import NAME_LONGEST, NAME_PATTERN

FILE: Final = "addon.yaml"

MESH: Final = "mesh"
"""What ``--only`` knows besides addons: the mesh alone."""

_RESERVED: Final = {MESH: "means the mesh alone to --only", ANY: "means every cluster"}


def load_catalog(
    folder: Path, *, images: Collection[str], kept: Collection[str] = (), contracts: Collection[str] = ()
) -> Catalog:
    """Read every addon in ``folder``, of which each sub-folder is one.

    ``images`` are the references that the image catalog knows, ``kept`` what programs keep of their modules,
    as PROGRAM/NAME, ``contracts`` the ids of the mesh's own contracts. Raises InputError, with every problem
    of every addon on a line of its own in ``details``, sorted by place.
    """
    addons: dict[str, Addon] = {}
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.startswith((".", "_")):
            continue
        shown = f"{folder.name}/{path.name}"
        problems += _name(path.name, shown)
        document, more = _read(path, shown)
        problems += more
        # Even of one that cannot be read the name is known, so that nobody is told that it is not there.
        addon, more = declare(
            document or Document(f"{shown}/{FILE}", {}, {}, frozenset()),
            name=path.name,
            folder=Folder(path, shown),
            images=images,
            kept=kept,
        )
        addons[path.name] = addon
        if document is not None:
            documents[path.name] = document
            problems += more
    problems += _unknown(addons, documents)
    problems += _circles(addons, documents)
    problems += _contradictions(addons, documents)
    problems += _contracts(addons, documents, contracts)
    if problems:
        raise _refusal(problems, folder.name)
    return Catalog(addons)


def needs_of(addon: Addon) -> tuple[str, ...]:
    """Return what must be ready before ``addon``: what it needs, and what it comes after."""
    return tuple(dict.fromkeys((*addon.needs, *addon.after)))


def _name(name: str, shown: str) -> Iterator[Problem]:
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > NAME_LONGEST:
        remedy = f"Use lower-case letters, digits and inner dashes, at most {NAME_LONGEST} characters."
        yield Problem(Position(shown), (), f'"{name}" cannot be the name of an addon', remedy, root="addon")
    if name in _RESERVED:
        message = f'"{name}" cannot be the name of an addon: it {_RESERVED[name]}'
        yield Problem(Position(shown), (), message, "Choose another name.", root="addon")


def _read(path: Path, shown: str) -> tuple[Document | None, list[Problem]]:
    try:
        data = (path / FILE).read_bytes()
    except FileNotFoundError:
        remedy = "Add it, or remove the folder."
        return None, [Problem(Position(shown), (), f"there is no {FILE}", remedy, root="addon")]
    except OSError as error:
        message = f"{FILE} cannot be read: {error.strerror}"
        return None, [Problem(Position(shown), (), message, "Check its permissions.", root="addon")]
    return load(data, file=f"{shown}/{FILE}", format=FORMAT)


def _unknown(addons: Mapping[str, Addon], documents: Mapping[str, Document]) -> Iterator[Problem]:
    for document in documents.values():
        for key in ("needs", "after", "excludes"):
            for number, other in enumerate(document.values.get(key, ())):
                if other is not None and other not in addons:
                    path = (key, number)
                    remedy = one_of(other, addons, none="")
                    yield Problem(document.at(path), path, f'there is no addon "{other}"', remedy)


def _circles(addons: Mapping[str, Addon], documents: Mapping[str, Document]) -> Iterator[Problem]:
    """Say the first circle of each group of addons that need one another."""
    needs = {name: [each for each in needs_of(addon) if each in addons] for name, addon in addons.items()}
    while True:
        try:
            graph.order(needs)
        except graph.CycleError as error:
            first, second = error.names[:2]
            key = "needs" if second in addons[first].needs else "after"
            message = f"what is needed goes round in a circle: {' -> '.join(error.names)}"
            at = documents[first].at((key,))
            yield Problem(at, (key,), message, "Remove one of these needs.")
            needs[first].remove(second)
        else:
            return


def _contradictions(addons: Mapping[str, Addon], documents: Mapping[str, Document]) -> Iterator[Problem]:
    """Find who excludes an addon that it cannot do without."""
    needs = {name: [each for each in addon.needs if each in addons] for name, addon in addons.items()}
    for name, document in documents.items():
        needed = graph.closure(needs, needs[name])
        for number, other in enumerate(document.values.get("excludes", ())):
            if other == name or other in needed:
                path = ("excludes", number)
                message = (
                    f"{name} excludes {other}, which it needs" if other != name else f"{name} excludes itself"
                )
                yield Problem(document.at(path), path, message, "Remove it here, or there.")


def _contracts(
    addons: Mapping[str, Addon], documents: Mapping[str, Document], mesh: Collection[str]
) -> Iterator[Problem]:
    """Find contracts that two addons have, and those that name an addon or a contract that is not there."""
    owners = dict.fromkeys(mesh, f"the {MESH}")
    for name, document in documents.items():
        for number, contract in enumerate(document.values.get("contracts", ())):
            known_as = (contract or {}).get("id")
            if known_as is not None and owners.setdefault(known_as, name) != name:
                at = ("contracts", number, "id")
                message = f'"{known_as}" is a contract of {owners[known_as]} already'
                yield Problem(document.at(at), at, message, "Choose another id.")
            for place, need in enumerate((contract or {}).get("needs", ())):
                if need is not None and need not in addons:
                    path = ("contracts", number, "needs", place)
                    remedy = one_of(need, addons, none="")
                    yield Problem(document.at(path), path, f'there is no addon "{need}"', remedy)
    # Of an addon that cannot be read nobody knows the contracts.
    if len(documents) == len(addons):
        yield from control_problems(documents.values(), owners)


def _refusal(problems: list[Problem], shown: str) -> InputError:
    lines = [str(problem) for problem in in_order(problems)]
    count = f"{len(lines)} problem" + ("s" if len(lines) > 1 else "")
    return InputError(f"{count} in {shown}", details="\n".join(lines), remedy="Nothing was started.")
