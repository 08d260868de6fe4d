"""From what an ``addon.yaml`` says to an :class:`Addon`: defaults filled in, types of options applied.

What can be wrong with one addon by itself is found here; what is between addons is ``load``'s.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final

from lab.catalog.addon import (
    OWN_LICENCE,
    OWN_VERSION,
    Addon,
    Check,
    Definitions,
    Option,
    Step,
    Upstream,
    Url,
    Workload,
    repository_of,
)
from lab.catalog.templates import Folder, expression_fault, inspect, inspect_text, text_fault
from lab.catalog.vocabulary import CHECK_TIMEOUT_S, HIGHEST, LOWEST, VERBS
from lab.document.load import Document
from lab.document.position import Path, Problem, nearest
from lab.document.scalars import Unfit
from lab.topology.vocabulary import NAME_PATTERN

_ONLY_WITH: Final = {"values": "choice", "lowest": "integer", "highest": "integer"}
_TEMPLATE: Final = "{{"


def declare(
    document: Document, *, name: str, folder: Folder, images: Collection[str], kept: Collection[str]
) -> tuple[Addon, list[Problem]]:
    """Make the addon ``name`` of a document, and say what is wrong with it.

    ``images`` are the references that the image catalog knows, ``kept`` what programs keep of their modules,
    as PROGRAM/NAME. What the document lacks because it was broken is left empty: it was reported already,
    and the rest can still be checked.
    """
    addon = _addon(document.values, name=name, folder=folder)
    options, problems = _options(document)
    addon = replace(addon, options=options)
    problems += _images(document, addon, images)
    problems += _definitions(document, kept)
    problems += _repeats(document)
    problems += _steps(document, addon, folder)
    problems += _templates(document, addon, folder)
    return addon, problems


def _addon(values: Mapping[str, Any], *, name: str, folder: Folder) -> Addon:
    upstream = values.get("upstream", {})
    namespace = values.get("namespace", name)
    return Addon(
        name=name,
        folder=folder.path,
        shown=folder.shown,
        summary=values.get("summary", ""),
        upstream=Upstream(
            name=upstream.get("name", name),
            version=upstream.get("version", OWN_VERSION),
            source=upstream.get("from", ""),
            licence=upstream.get("licence", OWN_LICENCE),
            sha256=upstream.get("sha256", ""),
        ),
        on=_words(values.get("on", ())),
        single=values.get("single", False),
        needs=_words(values.get("needs", ())),
        after=_words(values.get("after", ())),
        excludes=_words(values.get("excludes", ())),
        namespace=namespace,
        pod_security=values.get("pod_security", "baseline"),
        memory=values.get("memory", "0Mi"),
        images=_words(values.get("images", ())),
        definitions=tuple(
            Definitions(program, kept, _words(each.get("only", ())))
            for each in _whole(values.get("definitions", ()))
            for program, _, kept in [each.get("from", "").partition("/")]
        ),
        templates=_words(values.get("templates", ())),
        elsewhere=_words(values.get("elsewhere", ())),
        ready=tuple(
            Workload(each.get("kind", "Deployment"), each.get("name", ""), each.get("namespace", namespace))
            for each in _whole(values.get("ready", ()))
        ),
        checks=tuple(_check(each, namespace) for each in _whole(values.get("checks", ()))),
        urls=tuple(
            Url(
                name=each.get("name", ""),
                service=each.get("service", ""),
                namespace=each.get("namespace", namespace),
                port=each.get("port", 0),
                path=each.get("path", "/"),
                user=each.get("user", ""),
                secret=each.get("password", "").removeprefix("secret: "),
            )
            for each in _whole(values.get("urls", ()))
        ),
    )


def _words(value: Any) -> tuple[str, ...]:
    """Return one word or a list of them as a tuple, each once, without what was unreadable."""
    return tuple(dict.fromkeys([value] if isinstance(value, str) else _whole(value)))


def _whole(entries: Any) -> list[Any]:
    """Return the entries of a list that were readable."""
    return [each for each in entries if each is not None]


def _check(values: Mapping[str, Any], namespace: str) -> Check:
    return Check(
        id=values.get("id", ""),
        summary=values.get("summary", ""),
        each=_words(values.get("each", ())),
        timeout=values.get("timeout", CHECK_TIMEOUT_S),
        steps=tuple(_step(each, namespace) for each in _whole(values.get("steps", ()))),
    )


def _step(values: Mapping[str, Any], namespace: str) -> Step:
    verb = next((each for each in VERBS if each in values), "get")
    defaults: dict[str, dict[str, Any]] = {
        "request": {"namespace": namespace, "method": "GET", "path": "/", "headers": {}, "body": None},
        "apply": {"dry_run": False},
        "get": {},
        "exec": {"namespace": namespace, "container": ""},
        "delete": {},
    }
    arguments = {"on": ""} | defaults[verb] | values.get(verb, {})
    return Step(verb, arguments, values.get("expect", ""), values.get("until", ""))  # type: ignore[arg-type]


def _options(document: Document) -> tuple[dict[str, Option], list[Problem]]:
    options: dict[str, Option] = {}
    problems: list[Problem] = []
    for name, entry in document.values.get("options", {}).items():
        path: Path = ("options", name)
        kind = entry.get("type", "text")
        option = Option(
            name,
            kind,
            entry.get("summary", ""),
            values=_words(entry.get("values", ())),
            lowest=entry.get("lowest", LOWEST),
            highest=entry.get("highest", HIGHEST),
        )
        faults = list(_option_faults(document, path, option)) if "type" in entry else []
        if not faults and "type" in entry and "default" in entry:
            try:
                option = replace(option, default=option.read(document.written[*path, "default"]))
            except Unfit as error:
                at = document.at((*path, "default"))
                faults = [Problem(at, (*path, "default"), str(error), error.remedy)]
        options[name] = option
        problems += faults
    return options, problems


def _option_faults(document: Document, path: Path, option: Option) -> Iterator[Problem]:
    for key, kind in _ONLY_WITH.items():
        if (*path, key) in document.marks and option.type != kind:
            message = f"{key} means nothing with type {option.type}"
            yield Problem(
                document.key_at((*path, key)), (*path, key), message, f"Remove it, or write type: {kind}."
            )
    if option.type == "choice" and (*path, "values") not in document.marks:
        yield Problem(document.key_at(path), path, "values is missing", "Add it: the words to choose from.")
    if option.lowest > option.highest:
        message = f"lowest, {option.lowest}, is more than highest, {option.highest}"
        yield Problem(document.key_at(path), path, message, "Exchange them.")


def _images(document: Document, addon: Addon, known: Collection[str]) -> Iterator[Problem]:
    by_repository = {repository_of(each): each for each in known}
    for number, image in enumerate(document.values.get("images", ())):
        if image is None or image in known:
            continue
        path: Path = ("images", number)
        same = by_repository.get(repository_of(image))
        guess = nearest(image, known)
        remedy = (
            f"It has {same}."
            if same
            else f'Did you mean "{guess}"?'
            if guess
            else "Add it there, with its digest and licence."
        )
        yield Problem(document.at(path), path, f"{image} is not in lab/images/images.yaml", remedy)


def _definitions(document: Document, known: Collection[str]) -> Iterator[Problem]:
    for number, each in enumerate(document.values.get("definitions", ())):
        wanted = (each or {}).get("from")
        if wanted is None or wanted in known:
            continue
        path: Path = ("definitions", number, "from")
        guess = nearest(wanted, known)
        remedy = f'Did you mean "{guess}"?' if guess else "Add it there: layout files, and what it keeps."
        message = f"{wanted} is not in lab/images/programs.yaml"
        yield Problem(document.at(path), path, message, remedy)


def _repeats(document: Document) -> Iterator[Problem]:
    """Find what has to be there once: ids of checks, names of URLs, and every name in a list of names."""
    for key, unique in (("checks", "id"), ("urls", "name")):
        entries = enumerate(document.values.get(key, ()))
        yield from _twice(
            document, [((key, number, unique), each.get(unique)) for number, each in entries if each]
        )
    for key in ("on", "needs", "after", "excludes", "images", "templates", "elsewhere"):
        value = document.values.get(key, ())
        if isinstance(value, list):
            yield from _twice(document, [((key, number), each) for number, each in enumerate(value)])


def _twice(document: Document, named: list[tuple[Path, str | None]]) -> Iterator[Problem]:
    seen: dict[str, Path] = {}
    for path, name in named:
        if name in seen:
            against = document.at(seen[name])
            message = f'"{name}" is there already'
            yield Problem(document.at(path), path, message, "Keep one of the two.", against)
        elif name:
            seen[name] = path


def _steps(document: Document, addon: Addon, folder: Folder) -> Iterator[Problem]:
    """Compile every expression and every template in a text of the checks, and look into them."""
    for number, check in enumerate(document.values.get("checks", ())):
        for place, step in enumerate((check or {}).get("steps", ())):
            path: Path = ("checks", number, "steps", place)
            for key in ("expect", "until"):
                if not step or key not in step:
                    continue
                at, here = document.at((*path, key)), (*path, key)
                if fault := expression_fault(step[key]):
                    yield Problem(at, here, f"this is not an expression: {fault}", "Correct it.")
                    continue
                for fault, remedy in inspect_text(step[key], folder, addon=addon, expression=True):
                    yield Problem(at, here, fault, remedy)
            for verb in VERBS:
                yield from _texts(document, (*path, verb), (step or {}).get(verb), addon, folder)


def _texts(document: Document, path: Path, value: Any, addon: Addon, folder: Folder) -> Iterator[Problem]:
    match value:
        case str() if _TEMPLATE in value:
            if fault := text_fault(value):
                yield Problem(document.at(path), path, f"this is not a template: {fault}", "Correct it.")
                return
            for fault, remedy in inspect_text(value, folder, addon=addon, expression=False):
                yield Problem(document.at(path), path, fault, remedy)
        case str() if path[5:] == ("on",) and not re.fullmatch(NAME_PATTERN, value):
            message = f'"{value}" is neither a role nor a template'
            yield Problem(document.at(path), path, message, 'Write a role, any, or "{{ cluster.name }}".')
        case Mapping():
            for key, inner in value.items():
                yield from _texts(document, (*path, key), inner, addon, folder)
        case list():
            for number, inner in enumerate(value):
                yield from _texts(document, (*path, number), inner, addon, folder)


def _templates(document: Document, addon: Addon, folder: Folder) -> Iterator[Problem]:
    """Look for every file that is named, and into those that are templates, each once."""
    inspected: set[str] = set()
    for path, name in _named_files(document.values):
        try:
            folder.read(name)
        except Unfit as error:
            yield Problem(document.at(path), path, str(error), error.remedy)
            continue
        name = PurePosixPath(name).as_posix()
        if name not in inspected:
            inspected.add(name)
            yield from inspect(name, folder, addon=addon, own_names=path[0] != "checks")


def _named_files(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for key in ("templates", "elsewhere"):
        for number, name in enumerate(values.get(key, ())):
            if name is not None:
                yield (key, number), name
    for number, check in enumerate(values.get("checks", ())):
        for place, step in enumerate((check or {}).get("steps", ())):
            for verb in VERBS:
                name = ((step or {}).get(verb) or {}).get("template")
                if name is not None:
                    yield ("checks", number, "steps", place, verb, "template"), name
