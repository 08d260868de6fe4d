"""The language of addons' templates, and what can be wrong with one before it is rendered."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, Final

import yaml
from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
)
from jinja2.meta import find_referenced_templates, find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lab.catalog.addon import Addon
from lab.document.position import Position, Problem, listed, nearest, shorten
from lab.document.scalars import Unfit

SUFFIX: Final = ".j2"
"""What the name of a template ends in; a file without it is taken as it is."""

NAMES: Final = (
    "lab",
    "cluster",
    "clusters",
    "addon",
    "options",
    "image",
    "file",
    "secret",
    "certificate",
    "home",
)
"""What every template knows; :mod:`lab.catalog.render` says what each is."""

_ANSWER: Final = ("status", "result")

IN_CHECKS: Final = (*NAMES, "nonce")
IN_EXPRESSIONS: Final = (*IN_CHECKS, *_ANSWER)
"""What texts and expressions of checks know."""

IN_CONTRACTS: Final = (*IN_CHECKS, "away", "judged", "run", "started", "acts")
IN_CONTRACT_EXPRESSIONS: Final = (*IN_CONTRACTS, *_ANSWER)
"""The same of contracts: ``away`` is the name of the cluster that is away, ``judged`` of the one that is
judged (in a template that is applied elsewhere, ``cluster`` is another), ``run`` a word that only this
experiment uses, ``started`` when it began (Unix seconds), ``acts`` what came of acts that are done."""

IN_SERVICES: Final = (*NAMES, "away")
"""What a flow's service knows."""

IN_WHEN: Final = ("options", "mesh", "fault", "component", "cluster", "away")
"""What decides whether a contract is judged: ``fault`` is its kind (kill, ...); ``component`` the addon that
is away, empty where a whole cluster is; ``cluster`` the one that is judged; ``away`` the name of the other,
or of the component's."""

IN_AFTER: Final = ("options", "mesh")
"""What tells from when on something is judged."""

KNOWN_OF: Final[Mapping[str, Sequence[str]]] = {
    "mesh": ("kind", "stale_backends", "drop_after"),
    "cluster": ("name", "role"),
}
"""What these two are asked for there. ``mesh.drop_after`` is in seconds, 0 where nothing is dropped."""

# What YAML takes for the end of a line, or refuses, where JSON lets it stand.
_NOT_FOR_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


class Folder:
    """The files of one addon. ``shown`` is what messages call the folder."""

    def __init__(self, path: Path, shown: str) -> None:
        self.path = path
        self.shown = shown

    def read(self, name: str) -> str:
        """Return the text of a file. Raises Unfit where there is none, or none that may be read."""
        parts = PurePosixPath(name).parts
        path = self.path.joinpath(*parts)
        if name.startswith("/") or ".." in parts or not _is_inside(path, self.path):
            raise Unfit(
                f'"{shorten(name)}" leads out of the addon\'s folder', "Put the file into the folder."
            )
        if not path.is_file():
            guess = nearest(name, self.names())
            remedy = f'Did you mean "{guess}"?' if guess else f"Add it to {self.shown}."
            raise Unfit(f'there is no file "{shorten(name)}"', remedy)
        try:
            return path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unfit(f'"{shorten(name)}" is not UTF-8', "Save the file as UTF-8.") from error
        except OSError as error:
            raise Unfit(f'"{shorten(name)}" cannot be read', "Check its permissions.") from error

    def names(self) -> tuple[str, ...]:
        """The files in the folder and below it, as templates name them, sorted."""
        found = (path for path in self.path.rglob("*") if path.is_file())
        return tuple(sorted(path.relative_to(self.path).as_posix() for path in found))

    def at(self, name: str, line: int = 1) -> Position:
        """Return the place of a line in a file."""
        return Position(f"{self.shown}/{name}", line)


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


class _Loader(BaseLoader):
    """Finds what a template includes, in the addon's folder and nowhere else."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        try:
            source = self.folder.read(template)
        except Unfit as error:
            raise TemplateNotFound(template, f"{error}. {error.remedy}") from error
        # The file's name is what tracebacks of rendering, and so our messages, call it.
        return source, f"{self.folder.shown}/{template}", lambda: True


class _Unknown(StrictUndefined):
    """A name that stands for nothing; says which ones would have stood for something."""

    @property
    def _undefined_message(self) -> str:
        name = str(self._undefined_name)
        if self._undefined_hint:
            return self._undefined_hint
        thing = self._undefined_obj
        if thing is None:
            return f'"{shorten(name)}" is asked of something that is not there yet'
        if isinstance(thing, Mapping):
            return f'there is no "{shorten(name)}" among {listed(thing) or "nothing"}'
        if isinstance(thing, SimpleNamespace) or is_dataclass(thing):
            return f'there is no "{shorten(name)}" among {listed(vars(thing)) or "nothing"}'
        return f'"{shorten(name)}" is not known'


def environment(folder: Folder | None = None) -> Environment:
    """Return the language of templates, and of the expressions in checks.

    What is unknown is an error, and a template can look at data only: nothing in it reaches Python. It can
    include files of ``folder``.
    """
    made = ImmutableSandboxedEnvironment(
        undefined=_Unknown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        loader=_Loader(folder) if folder else None,
    )
    made.filters |= {
        "b64encode": _b64encode,
        "b64decode": _b64decode,
        "to_json": _to_json,
        "to_yaml": _to_yaml,
        "sha256": _sha256,
    }
    return made


def inspect(name: str, folder: Folder, *, addon: Addon, own_names: bool = True) -> Iterator[Problem]:
    """Yield what is wrong with a template, and with those that it includes, as far as can be told unrendered.

    That is syntax, filters, names that no template knows (unless ``own_names`` is false: a check's templates
    are given more), options, images and files that the addon has not. The file itself must be readable.
    """
    language = environment(folder)
    waiting, seen = [name], {name}
    while waiting:
        name = waiting.pop(0)
        if not name.endswith(SUFFIX):
            continue
        source = folder.read(name)
        try:
            language.compile(source, name)
            tree = language.parse(source, name)
        except TemplateSyntaxError as error:
            yield _problem(folder.at(name, error.lineno), _sentence(error), "Correct the template.")
            continue
        for line, fault, remedy in (
            *(_unknown_names(tree) if own_names else ()),
            *_unknown_things(tree, folder, addon),
        ):
            yield _problem(folder.at(name, line), fault, remedy)
        included = [each for each in find_referenced_templates(tree) if each and each not in seen]
        seen.update(included)
        waiting += [each for each in included if not _fault_of_file(folder, each)]


_Fault = tuple[int, str, str]
"""What is wrong in a template: its line, what, and what to do."""


def inspect_text(
    text: str, *, known: Sequence[str], expression: bool, addon: Addon | None
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a text or an ``expression``, as :func:`inspect` does, and what to do.

    ``known`` are the names that it knows. Without ``addon``, files, images and options are not looked for.
    """
    tree = _parsed(text) if expression else environment().parse(text)
    things = () if addon is None else _unknown_things(tree, Folder(addon.folder, addon.shown), addon)
    for _, fault, remedy in (*_unknown_names(tree, known), *things):
        yield fault, remedy


def expression_paths(expression: str) -> Iterator[tuple[str, ...]]:
    """Yield every path that an expression names outright, each once: ``a.b.c`` and ``a["b"]`` in it."""
    prefixes = (path[:end] for path in mentioned(expression) for end in range(2, len(path) + 1))
    yield from dict.fromkeys(prefixes)


def mentioned(expression: str) -> tuple[tuple[str, ...], ...]:
    """Return what an expression asks for, each once, as far as it says so outright, names alone too.

    Of ``a.b["c"][0]`` that is ``("a", "b", "c", "0")``. Raises jinja2's TemplateSyntaxError.
    """
    return tuple(dict.fromkeys(_paths(_parsed(expression))))


def _paths(node: nodes.Node) -> Iterator[tuple[str, ...]]:
    if path := _path(node):
        yield path
        return
    for child in node.iter_child_nodes():
        yield from _paths(child)


def _path(node: nodes.Node) -> tuple[str, ...]:
    """The names from a node's root to it; empty where one of them is not written out."""
    match node:
        case nodes.Name():
            return (node.name,)
        case nodes.Getattr():
            key: object = node.attr
        case nodes.Getitem(arg=nodes.Const(value=value)):
            key = value
        case _:
            return ()
    before = _path(node.node)
    return (*before, str(key)) if before else ()


def known_parts(expression: str, known: Collection[str]) -> Iterator[Template]:
    """Yield the largest parts of an expression that ask for nothing but ``known``, each as a template."""
    language = environment()
    waiting: list[nodes.Node] = [_parsed(expression)]
    while waiting:
        node = waiting.pop(0)
        names = {each.name for each in (node, *node.find_all(nodes.Name)) if isinstance(each, nodes.Name)}
        if not isinstance(node, nodes.Expr) or not names <= {*known, *language.globals}:
            waiting += node.iter_child_nodes()
        elif not isinstance(node, nodes.Const):
            part = nodes.Template([nodes.Output([node], lineno=1)], lineno=1)
            yield Template.from_code(language, language.compile(part), language.make_globals(None))


def _parsed(expression: str) -> nodes.Template:
    return environment().parse("{{ (" + expression + ") }}")


def _unknown_names(tree: nodes.Template, known: Sequence[str] = NAMES) -> Iterator[_Fault]:
    unknown = find_undeclared_variables(tree) - {*known, *environment().globals}
    for found in tree.find_all(nodes.Name):
        if found.name in unknown:
            unknown.remove(found.name)
            guess = nearest(found.name, known)
            remedy = f'Did you mean "{guess}"?' if guess else f"Known here: {listed(known)}."
            yield found.lineno, f'"{found.name}" is not known', remedy


def _unknown_things(tree: nodes.Template, folder: Folder, addon: Addon) -> Iterator[_Fault]:
    """Look at what is named outright: ``options.x``, ``image("x")``, ``file("x")``, ``include "x"``."""
    for option in tree.find_all(nodes.Getattr):
        of_options = isinstance(option.node, nodes.Name) and option.node.name == "options"
        if of_options and option.attr not in addon.options:
            guess = nearest(option.attr, addon.options)
            remedy = f'Did you mean "{guess}"?' if guess else "State it under options in addon.yaml."
            message = f'{addon.name} has no option "{option.attr}"'
            yield option.lineno, message, remedy
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.args and isinstance(call.args[0], nodes.Const):
            value = str(call.args[0].value)
            if call.node.name == "file" and (fault := _fault_of_file(folder, value)):
                yield call.lineno, str(fault), fault.remedy
            if call.node.name == "image":
                try:
                    find_image(addon, value)
                except Unfit as error:
                    yield call.lineno, str(error), error.remedy
    for include in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        template = getattr(include, "template", None)
        named = str(template.value) if isinstance(template, nodes.Const) else ""
        if named and (fault := _fault_of_file(folder, named)):
            yield include.lineno, str(fault), fault.remedy


def find_image(addon: Addon, repository: str) -> str:
    """Return the addon's image of ``repository``. Raises Unfit where it has none, or several."""
    found = addon.image(repository)
    if found is None:
        has = listed(addon.images) or "none"
        message = f'{addon.name} has no image "{shorten(repository)}"'
        raise Unfit(message, f"Name one of its images in full, or as REGISTRY/REPOSITORY; it has {has}.")
    return found


def _fault_of_file(folder: Folder, name: str) -> Unfit | None:
    try:
        folder.read(name)
    except Unfit as error:
        return error
    return None


def _problem(position: Position, message: str, remedy: str) -> Problem:
    return Problem(position, (), message, remedy, root="template")


def expression_fault(text: str) -> str:
    """Say why ``text`` is not a Jinja2 expression; empty if it is one."""
    return _fault(lambda: environment().compile_expression(text))


def text_fault(text: str) -> str:
    """Say why ``text`` is not a Jinja2 template; empty if it is one."""
    return _fault(lambda: environment().from_string(text))


def _fault(compile: Callable[[], object]) -> str:
    try:
        compile()
    except TemplateSyntaxError as error:
        return _sentence(error)
    return ""


def _sentence(error: TemplateSyntaxError) -> str:
    return str(error.message).rstrip(".")


def _b64encode(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _b64decode(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


def _to_json(value: Any) -> str:
    """Write ``value`` as JSON that is YAML as well."""
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_FOR_YAML.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _to_yaml(value: Any) -> str:
    """Write ``value`` as YAML in block style, keys in their order."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
