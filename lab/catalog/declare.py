"""From what an ``addon.yaml`` says to an :class:`Addon`: defaults filled in, types of options applied.

What can be wrong with one addon by itself is found here; what is between addons is ``load``'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from lab.catalog.addon import (
    OWN_LICENCE,
    OWN_VERSION,
    Addon,
    Check,
    Definitions,
    Option,
    Upstream,
    Url,
    Workload,
    repository_of,
)
from lab.catalog.declare_contracts import contract_problems, contracts, templates_of_contracts
from lab.catalog.declare_parts import Texts, steps, templates_in, twice, whole, words
from lab.catalog.templates import IN_CHECKS, IN_EXPRESSIONS, Folder
from lab.catalog.vocabulary import CHECK_TIMEOUT_S, HIGHEST, LOWEST
from lab.document.load import Document
from lab.document.position import Path, Problem, nearest
from lab.document.scalars import Unfit

_ONLY_WITH: Final = {"values": "choice", "lowest": "integer", "highest": "integer"}


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
    texts = Texts(document, addon)
    problems += _checks(document, texts)
    problems += contract_problems(document, texts)
    problems += texts.templates(_named_files(document.values))
    return addon, problems


def _addon(values: Mapping[str, Any], *, name: str, folder: Folder) -> Addon:
    upstream = values.get("upstream", {})
    namespace = values.get("namespace", name)
    needs = words(values.get("needs", ()))
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
        on=words(values.get("on", ())),
        single=values.get("single", False),
        needs=needs,
        after=words(values.get("after", ())),
        excludes=words(values.get("excludes", ())),
        namespace=namespace,
        pod_security=values.get("pod_security", "baseline"),
        memory=values.get("memory", "0Mi"),
        images=words(values.get("images", ())),
        definitions=tuple(
            Definitions(program, kept, words(each.get("only", ())))
            for each in whole(values.get("definitions", ()))
            for program, _, kept in [each.get("from", "").partition("/")]
        ),
        templates=words(values.get("templates", ())),
        elsewhere=words(values.get("elsewhere", ())),
        ready=tuple(
            Workload(each.get("kind", "Deployment"), each.get("name", ""), each.get("namespace", namespace))
            for each in whole(values.get("ready", ()))
        ),
        checks=tuple(_check(each, namespace) for each in whole(values.get("checks", ()))),
        contracts=contracts(values.get("contracts", ()), namespace=namespace, needs=needs),
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
            for each in whole(values.get("urls", ()))
        ),
    )


def _check(values: Mapping[str, Any], namespace: str) -> Check:
    return Check(
        id=values.get("id", ""),
        summary=values.get("summary", ""),
        each=words(values.get("each", ())),
        timeout=values.get("timeout", CHECK_TIMEOUT_S),
        steps=steps(values.get("steps", ()), namespace),
    )


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
            values=words(entry.get("values", ())),
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
        yield from twice(
            document, [((key, number, unique), each.get(unique)) for number, each in entries if each]
        )
    for key in ("on", "needs", "after", "excludes", "images", "templates", "elsewhere"):
        value = document.values.get(key, ())
        if isinstance(value, list):
            yield from twice(document, [((key, number), each) for number, each in enumerate(value)])


def _checks(document: Document, texts: Texts) -> Iterator[Problem]:
    for number, check in enumerate(document.values.get("checks", ())):
        entries = (check or {}).get("steps", ())
        yield from texts.steps(
            ("checks", number, "steps"), entries, known=IN_CHECKS, in_expressions=IN_EXPRESSIONS
        )


def _named_files(values: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for key in ("templates", "elsewhere"):
        for number, name in enumerate(values.get(key, ())):
            if name is not None:
                yield (key, number), name
    for number, check in enumerate(values.get("checks", ())):
        yield from templates_in(("checks", number, "steps"), (check or {}).get("steps", ()))
    yield from templates_of_contracts(values.get("contracts", ()))
