"""From an addon on a cluster to the Kubernetes objects that are applied there.

What a template knows:

``lab``        the lab's name
``cluster``    the cluster that it is rendered for, a :class:`ClusterView`
``clusters``   all clusters of the lab
``addon``      ``name``, ``version`` and ``namespace`` of the addon
``options``    the addon's options, defaults filled in; durations are seconds
``image(x)``   the full reference of the addon's image of the repository ``x``
``file(x)``    the text of a file in the addon's folder
``secret(x)``  a secret of the lab, the same each time; ``of=`` another addon's, ``cluster=`` for one cluster
``certificate(x)``  a certificate for a server called ``x``, the same each time: ``cert`` and ``key``, PEM
``home(x)``    the name of the cluster that the addon ``x`` is on; of several, the first

Besides Jinja2's filters there are ``b64encode``, ``b64decode``, ``to_json``, ``to_yaml`` and ``sha256``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from types import TracebackType
from typing import Final

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError

from lab.catalog import objects
from lab.catalog.objects import Object
from lab.catalog.place import Placed
from lab.catalog.templates import SUFFIX, Folder, environment
from lab.catalog.words import LabView, Words
from lab.document.format import Kind
from lab.document.load import plain_data
from lab.document.position import Position, Problem, in_order, listed, nearest, shorten
from lab.document.scalars import Unfit
from lab.document.source import Unreadable, parse_all
from lab.errors import InputError

_CORRECT: Final = "Correct the template."

# Definitions of custom resources are the largest: up to a megabyte, and some thirty levels deep.
_MANIFEST: Final = Kind(
    noun="manifest",
    most_bytes=8 * 1024 * 1024,
    most_values=500_000,
    most_levels=96,
    begin="Give at least one object.",
    shrink="Split it into several templates.",
)


def render(placed: Placed, lab: LabView) -> tuple[Object, ...]:
    """Return the objects of an addon on a cluster, in the order in which they are applied.

    Each has the lab's label and the addon's; its Namespace is the first. Raises InputError with every
    problem on a line of its own in ``details``: a name that is not known, a result that is not YAML, an
    object without kind or name, two objects that are the same.
    """
    made, problems = rendered(placed, lab)
    if problems:
        raise _refusal(placed, problems)
    return tuple(made)


def rendered(placed: Placed, lab: LabView) -> tuple[list[Object], list[Problem]]:
    """Return what :func:`render` does, as far as it can be made, and what is wrong with the rest."""
    made: list[Object] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str, str, str], str] = {("", "Namespace", "", placed.addon.namespace): "the lab"}
    for template in placed.templates:
        things, more = _Template(Words(placed, lab), template).objects()
        problems += more
        for thing in things:
            if (identity := objects.identity(thing)) in seen:
                problems.append(_repeat(placed, template, seen[identity], thing))
            seen[identity] = template
        made += things
    addon = placed.addon
    if addon.namespace in objects.namespaces(made) and addon.namespace not in objects.KUBERNETES_OWN:
        own = objects.namespace_object(addon.namespace, pod_security=addon.pod_security)
        made.insert(0, finished(placed, lab, own))
    return made, problems


def render_template(words: Words, template: str) -> tuple[Object, ...]:
    """Return the objects of one file of an addon, as checks apply them, with ``words`` for what it knows.

    Raises InputError as :func:`render` does.
    """
    made, problems = rendered_template(words, template)
    if problems:
        raise _refusal(words.placed, problems)
    return tuple(made)


def rendered_template(words: Words, template: str) -> tuple[list[Object], list[Problem]]:
    """Return what :func:`render_template` does, as far as it can be made, and what is wrong with the rest."""
    return _Template(words, template).objects()


class _Failed(Exception):
    """A template that could not be rendered."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Template:
    """One file of an addon, to be rendered for one cluster."""

    def __init__(self, words: Words, name: str) -> None:
        self.placed = words.placed
        self.lab = words.lab
        self.name = name
        self.folder = words.folder
        self.words = words

    def objects(self) -> tuple[list[Object], list[Problem]]:
        """Return the objects that the file makes, and what is wrong with others."""
        try:
            text = self.text()
        except _Failed as failure:
            return [], [failure.problem]
        made, problems = self.read(text)
        if problems and self.words.masked(text) != text:
            # Messages quote what they speak of: they are made once more, of a text without secrets.
            _, masked = self.read(self.words.masked(text))
            message = "a secret makes this unreadable"
            problems = masked or [
                Problem(each.position, (), message, "Put it in quotes.", root="manifest") for each in problems
            ]
        return made, problems

    def read(self, text: str) -> tuple[list[Object], list[Problem]]:
        # A template's lines are not those of what it makes, and it is the latter that are counted.
        file = f"{self.folder.shown}/{self.name}" + (" (rendered)" if self.name.endswith(SUFFIX) else "")
        try:
            roots = parse_all(text.encode(), file=file, kind=_MANIFEST)
        except Unreadable as error:
            return [], [_quoting(error.problem, text)]
        made: list[Object] = []
        problems: list[Problem] = []
        for root in roots:
            thing, wrong = plain_data(root, kind=_MANIFEST)
            if not wrong and (fault := objects.fault_of(thing)):
                remedy = "Every object has apiVersion, kind and metadata.name."
                wrong = [Problem(root.position, (), fault, remedy, root="manifest")]
            problems += [_quoting(each, text) for each in wrong]
            if not wrong:
                made.append(finished(self.placed, self.lab, thing))
        return made, problems

    def text(self) -> str:
        """Return what the file says for its cluster. Raises _Failed."""
        try:
            if not self.name.endswith(SUFFIX):
                return self.folder.read(self.name)
            return environment(self.folder).get_template(self.name).render(self.words.variables)
        except TemplateSyntaxError as error:
            file = error.filename or f"{self.folder.shown}/{self.name}"
            raise self.failed(Position(file, error.lineno), str(error.message), _CORRECT) from error
        except Unfit as error:
            raise self.failed(self.line_of(error), str(error), error.remedy) from error
        except UndefinedError as error:
            raise self.failed(self.line_of(error), str(error), self.known_names(str(error))) from error
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise self.failed(self.line_of(error), f"this cannot be rendered: {error}", _CORRECT) from error

    def failed(self, at: Position, message: str, remedy: str) -> _Failed:
        return _Failed(Problem(at, (), self.words.masked(message).rstrip("."), remedy, root="template"))

    def line_of(self, error: BaseException) -> Position:
        """Return the innermost place in the addon's files that an error came from.

        Jinja2 puts templates' own files and lines into tracebacks.
        """
        found = Position(f"{self.folder.shown}/{self.name}")
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if file.startswith(f"{self.folder.shown}/"):
                found = Position(file, trace.tb_lineno)
            trace = trace.tb_next
        return found

    def known_names(self, message: str) -> str:
        """Say what is known, to somebody who is told that a name is not."""
        unknown = re.match('"(.*)" is not known', message)
        if message.endswith("not there yet"):
            return "Ask for it only where it is: {% if ... %}."
        if unknown is None:
            return "Correct the name."
        guess = nearest(unknown[1], self.words.variables)
        return f'Did you mean "{guess}"?' if guess else f"Known here: {listed(self.words.variables)}."


def finished(placed: Placed, lab: LabView, thing: Object) -> Object:
    """Return an object as it is applied: in the addon's namespace if it names none, with both labels.

    What becomes of a dead cluster's backends is the topology's choice: so is whom global services prefer.
    """
    labels = {objects.LABEL: lab.name, objects.ADDON_LABEL: placed.addon.name}
    made = objects.labelled(objects.placed_in(thing, placed.addon.namespace), labels)
    return objects.near_first(made) if lab.near_first else made


def _quoting(problem: Problem, text: str) -> Problem:
    """Add the line that a problem is about: nobody can look it up."""
    lines = text.splitlines()
    line = lines[problem.position.line - 1].strip() if problem.position.line <= len(lines) else ""
    return replace(problem, message=f'{problem.message}, in "{shorten(line, most=80)}"')


def _repeat(placed: Placed, template: str, same: str, thing: Object) -> Problem:
    _, kind, namespace, name = objects.identity(thing)
    where = f" in {namespace}" if namespace else ""
    return Problem(
        Folder(placed.addon.folder, placed.addon.shown).at(template),
        (),
        f"the {kind} {name}{where} is there already, from {same}",
        "Keep one of the two.",
        root="manifest",
    )


def _refusal(placed: Placed, problems: list[Problem]) -> InputError:
    lines = [str(problem) for problem in in_order(problems)]
    count = f"{len(lines)} problem" + ("s" if len(lines) > 1 else "")
    brief = f"{count} in {placed.addon.shown}, rendered for {placed.cluster}"
    return InputError(brief, details="\n".join(lines), remedy="Nothing was applied.")
