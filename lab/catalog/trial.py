"""Renders everything for a lab that is not there yet: what is wrong is known before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from jinja2 import TemplateError, UndefinedError

from lab.catalog import objects
from lab.catalog.addon import Check, Step
from lab.catalog.contract import OTHERS, Act, Contract, Series
from lab.catalog.objects import Object
from lab.catalog.place import Placed
from lab.catalog.render import rendered, rendered_template
from lab.catalog.templates import Folder, known_parts
from lab.catalog.words import Api, LabView, Words, look
from lab.document.position import Path, Problem, in_order, listed
from lab.document.scalars import Unfit
from lab.errors import InputError
from lab.topology.model import Topology

_FILE: Final = "addon.yaml"

# What is known of clusters only when they are there. Documentation's own addresses (RFC 5737).
_API: Final = Api("https://192.0.2.1:6443", "dHJpYWw=", "dHJpYWw=", "dHJpYWw=")
_ADDRESS: Final = "192.0.2.1"

_MORE: Final = {"nonce": "n0123456789abcdef"}


class _Whatever:
    """What an act has found: whatever is asked of it."""

    def __getattr__(self, name: str) -> _Whatever:
        return self

    def __getitem__(self, name: object) -> _Whatever:
        return self

    def __contains__(self, name: object) -> bool:
        return True

    def __str__(self) -> str:
        return "0"


_IN_CONTRACTS: Final = {**_MORE, "run": "run0123456789", "started": 0, "acts": _Whatever()}


def require_renderable(topology: Topology, placed: Sequence[Placed]) -> None:
    """Render every addon on each of its clusters, and what its checks and contracts say.

    Raises InputError with every problem on a line of its own in ``details``: what
    :func:`lab.catalog.render.render` finds, a workload or a service that is named and that no template
    makes, a text of a check or a contract that cannot be filled in.
    """
    names = [cluster.name for cluster in topology.clusters]
    # As long as a cluster is not there, and once it is.
    before = look(topology, placed, seed=b"trial")
    apis, addresses = dict.fromkeys(names, _API), dict.fromkeys(names, _ADDRESS)
    after = look(topology, placed, seed=b"trial", apis=apis, addresses=addresses)
    found: dict[str, Problem] = {}
    for each in placed:
        # The same is wrong on every cluster: told once.
        found.update((str(problem), problem) for problem in _problems(each, before, checks=False))
        found.update((str(problem), problem) for problem in _problems(each, after, checks=True))
    if found:
        lines = [str(problem) for problem in in_order(found.values())]
        count = f"{len(lines)} problem" + ("s" if len(lines) > 1 else "")
        brief = f"{count} in the addons of {topology.name}"
        raise InputError(brief, details="\n".join(lines), remedy="Nothing was started.")


def _problems(each: Placed, lab: LabView, *, checks: bool) -> Iterator[Problem]:
    made, problems = rendered(each, lab)
    yield from problems
    if checks and each.part == "home":
        # Of one that cannot be rendered whole, nobody knows what it lacks.
        if not problems:
            yield from _missing(each, made)
        for number, check in enumerate(each.addon.checks):
            yield from _of_check(each, lab, check, number)
        there = {name for cluster in lab.clusters for name in cluster.addons}
        for number, contract in enumerate(each.addon.contracts):
            # Without what it needs it is not judged, and need not be more than a text.
            if there.issuperset(contract.needs):
                yield from _of_contract(each, lab, contract, number)


def _missing(each: Placed, made: Sequence[Object]) -> Iterator[Problem]:
    there = {(thing["kind"], *objects.identity(thing)[2:]) for thing in made}
    for number, workload in enumerate(each.addon.ready):
        if (workload.kind, workload.namespace, workload.name) not in there:
            made_here = sorted(name for kind, _, name in there if kind == workload.kind)
            message = f"no template makes the {workload.kind} {workload.name}"
            yield _problem(each, ("ready", number), message, made_here)
    for number, url in enumerate(each.addon.urls):
        if ("Service", url.namespace, url.service) not in there:
            made_here = sorted(name for kind, _, name in there if kind == "Service")
            message = f"no template makes the Service {url.service}"
            yield _problem(each, ("urls", number), message, made_here)


def _problem(each: Placed, path: Path, message: str, names: Sequence[str]) -> Problem:
    remedy = f"There is {listed(names)}." if names else "Add it to a template."
    return Problem(Folder(each.addon.folder, each.addon.shown).at(_FILE), path, message, remedy)


def _of_check(each: Placed, lab: LabView, check: Check, number: int) -> Iterator[Problem]:
    words = Words(each, lab, more=_MORE)
    yield from _of_steps(words, ("checks", number, "steps"), check.steps)


def _of_contract(each: Placed, lab: LabView, contract: Contract, number: int) -> Iterator[Problem]:
    """Render a contract as if a cluster of its role were away, and all others asked."""
    others = [cluster for cluster in lab.clusters if cluster.name != each.cluster] or [*lab.clusters]
    away = next((cluster for cluster in others if cluster.role == contract.away), others[0]).name
    words = Words(each, lab, more=_IN_CONTRACTS | {"away": away, "judged": each.cluster})
    path: Path = ("contracts", number)
    parts: dict[str, Sequence[Series | Act]] = {"series": contract.series, "acts": contract.acts}
    for key, things in parts.items():
        for place, thing in enumerate(things):
            yield from _of_steps(words, (*path, key, place, "steps"), thing.steps)
            if thing.value:
                yield from _of_expression(words, (*path, key, place, "value"), thing.value)
    for place, flow in enumerate(contract.flows):
        asked = Words(each, lab, more={"away": away} | ({"to": others[-1].name} if flow.to == OTHERS else {}))
        yield from _of_text(asked, (*path, "flows", place, "service"), flow.service)


def _of_steps(words: Words, path: Path, steps: Sequence[Step]) -> Iterator[Problem]:
    for number, step in enumerate(steps):
        here: Path = (*path, number)
        yield from _of_text(words, (*here, step.verb), step.arguments)
        for key, expression in (("expect", step.expect), ("until", step.until)):
            if expression:
                yield from _of_expression(words, (*here, key), expression)
        if template := step.arguments.get("template"):
            _, problems = rendered_template(words, template)
            yield from problems


def _of_text(words: Words, path: Path, value: Any) -> Iterator[Problem]:
    yield from _tried(words, path, partial(words.filled, value))


def _of_expression(words: Words, path: Path, expression: str) -> Iterator[Problem]:
    """Make out whatever in an expression does not depend on an answer."""
    # Of what acts have found nothing can be made out before they are done.
    for part in known_parts(expression, words.variables.keys() - {"acts"}):
        yield from _tried(words, path, partial(part.render, words.variables))


def _tried(words: Words, path: Path, render: Callable[[], object]) -> Iterator[Problem]:
    at = words.folder.at(_FILE)
    try:
        render()
    except (Unfit, UndefinedError) as error:
        remedy = error.remedy if isinstance(error, Unfit) else "Correct the name."
        yield Problem(at, path, words.masked(str(error)).rstrip("."), remedy)
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        message = f"this cannot be rendered: {words.masked(str(error))}"
        yield Problem(at, path, message.rstrip("."), "Correct it.")
