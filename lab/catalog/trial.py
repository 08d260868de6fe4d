"""Renders everything for a lab that is not there yet: what is wrong is known before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jinja2 import UndefinedError

from lab.catalog import objects
from lab.catalog.addon import Check
from lab.catalog.objects import Object
from lab.catalog.place import Placed
from lab.catalog.render import rendered, rendered_template
from lab.catalog.templates import Folder
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


def require_renderable(topology: Topology, placed: Sequence[Placed]) -> None:
    """Render every addon on each of its clusters, and what its checks say.

    Raises InputError with every problem on a line of its own in ``details``: what
    :func:`lab.catalog.render.render` finds, a workload or a service that is named and that no template
    makes, a text of a check that cannot be filled in.
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
    at = words.folder.at(_FILE)
    for place, step in enumerate(check.steps):
        path = ("checks", number, "steps", place, step.verb)
        try:
            words.filled(step.arguments)
        except (Unfit, UndefinedError) as error:
            remedy = error.remedy if isinstance(error, Unfit) else "Correct the name."
            yield Problem(at, path, words.masked(str(error)).rstrip("."), remedy)
        if template := step.arguments.get("template"):
            _, problems = rendered_template(words, template)
            yield from problems
