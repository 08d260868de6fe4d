"""Makes an addon's own checks: what its ``addon.yaml`` describes, step by step, on real clusters."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from typing import Any
from urllib.parse import quote

from jinja2 import UndefinedError

from lab.catalog.addon import Check, Step
from lab.catalog.place import Placed
from lab.catalog.render import render_template
from lab.catalog.words import LabView, Words
from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused, Unreachable
from lab.document.scalars import Unfit
from lab.errors import InputError, LabError, ProvisionError, TemporaryError
from lab.platform.record import references
from lab.redact import Redactor
from lab.result import CheckResult

_EVERY_S = 0.5
_SHOWN = 300
"""Characters of an answer that are evidence enough."""


@dataclass(frozen=True)
class Subject:
    """One check of an addon on one cluster."""

    placed: Placed
    check: Check
    cluster: str

    @property
    def id(self) -> str:
        """Its name, ``ADDON/CLUSTER/ID``."""
        return f"{self.placed.addon.name}/{self.cluster}/{self.check.id}"


@dataclass
class Runner:
    """Makes the checks of one lab. ``kubes`` has the API of every cluster."""

    lab: LabView
    kubes: Mapping[str, Kube]
    cancelled: Event

    def run(self, subject: Subject) -> CheckResult:
        """Return how the check went. What it applied is gone afterwards, whatever came of it."""
        started = time.monotonic()
        attempt = _Attempt(self, subject, deadline=started + subject.check.timeout)
        try:
            with attempt.cleaned_up():
                ok, evidence = attempt.steps()
        except (UndefinedError, Unfit) as error:
            ok, evidence = False, f"the check itself is wrong: {error}"
        except LabError as error:
            ok, evidence = False, " ".join(filter(None, (error.brief, error.details)))
        seconds = round(time.monotonic() - started, 2)
        return CheckResult(subject.id, ok, seconds, Redactor(attempt.words.secrets).text(evidence))


@dataclass(frozen=True)
class _Outcome:
    """What a step gave: an HTTP status (0 without one), and what was answered, parsed if it is JSON."""

    status: int
    result: Any

    def __str__(self) -> str:
        text = self.result if isinstance(self.result, str) else json.dumps(self.result)
        # For a terminal, whatever a program has answered.
        short = "".join(each if each.isprintable() else " " for each in " ".join(text.split()))
        shown = short if len(short) <= _SHOWN else f"{short[:_SHOWN]}..."
        return f"{self.status} {shown}" if self.status else shown


class _Attempt:
    """One run of a check."""

    def __init__(self, runner: Runner, subject: Subject, *, deadline: float) -> None:
        self._runner = runner
        self._subject = subject
        self._deadline = deadline
        self._applied: list[tuple[str, str]] = []
        # A letter first, so that an answer that is the nonce alone is never taken for a number.
        self._nonce = {"nonce": f"n{secrets.token_hex(8)}"}
        self.words = Words(subject.placed, runner.lab, cluster=subject.cluster, more=self._nonce)

    def steps(self) -> tuple[bool, str]:
        """Do one step after the other; return whether all held, and what the last one saw."""
        evidence = ""
        for number, step in enumerate(self._subject.check.steps, start=1):
            ok, seen = self._step(step)
            evidence = f"{step.verb}: {seen}"
            if not ok:
                return False, f"step {number}, {evidence}"
        return True, evidence

    @contextmanager
    def cleaned_up(self) -> Iterator[None]:
        """Remove afterwards what was applied and not deleted by the check itself."""
        try:
            yield
        finally:
            for template, cluster in reversed(self._applied):
                with suppress(LabError):
                    self._remove(template, cluster)

    def _step(self, step: Step) -> tuple[bool, str]:
        while True:
            try:
                outcome = self._do(step)
                ok = self._holds(step, outcome)
                seen = str(outcome)
            except TemporaryError as error:
                ok, seen = False, error.brief
            except ProvisionError as error:
                # A command that failed may not fail the next time; what the API server refuses is final.
                if not step.until or isinstance(error, Refused):
                    raise
                ok, seen = False, " ".join(filter(None, (error.brief, error.details)))
            again = bool(step.until) and not ok and time.monotonic() < self._deadline
            if not again or self._runner.cancelled.wait(_EVERY_S):
                return ok, seen

    def _holds(self, step: Step, outcome: _Outcome) -> bool:
        condition = step.until or step.expect
        if not condition:
            return outcome.status < 400
        known = {"status": outcome.status, "result": outcome.result}
        # Compared with what is not there yet, an expression is not true; load has seen that it compiles.
        return self.words.holds(condition, known)

    def _do(self, step: Step) -> _Outcome:
        arguments = self.words.filled(step.arguments)
        cluster = self._named(arguments.get("on")) if arguments.get("on") else self._subject.cluster
        kube = self._runner.kubes[cluster]
        match step.verb:
            case "request":
                path = (
                    f"/api/v1/namespaces/{arguments['namespace']}/services/"
                    f"{arguments['service']}:{arguments['port']}/proxy{arguments['path']}"
                )
                return _asked(
                    kube, arguments["method"], path, arguments.get("headers"), arguments.get("body")
                )
            case "get":
                return _asked(kube, "GET", arguments["path"], None, None)
            case "apply":
                return self._apply(arguments["template"], cluster, dry_run=arguments["dry_run"])
            case "delete":
                self._remove(arguments["template"], cluster)
                return _Outcome(200, "removed")
            case "exec":
                return self._execute(kube, arguments)

    def _named(self, place: str) -> str:
        """The cluster called ``place``, or else the first of that role."""
        for cluster in self._runner.lab.clusters:
            if cluster.name == place:
                return place
        for cluster in self._runner.lab.clusters:
            if cluster.role == place:
                return cluster.name
        raise InputError(f"there is no cluster or role {place!r} to ask")

    def _apply(self, template: str, cluster: str, *, dry_run: bool) -> _Outcome:
        kube = self._runner.kubes[cluster]
        if not dry_run and (template, cluster) not in self._applied:
            self._applied.append((template, cluster))
        try:
            kube.apply(self._objects(template, cluster), dry_run=dry_run)
        except Refused as error:
            return _Outcome(error.status, error.details)
        return _Outcome(200, "applied")

    def _remove(self, template: str, cluster: str) -> None:
        for each in references(self._objects(template, cluster))[::-1]:
            self._runner.kubes[cluster].remove(each)

    def _objects(self, template: str, cluster: str) -> tuple[dict[str, Any], ...]:
        words = Words(self._subject.placed, self._runner.lab, cluster=cluster, more=self._nonce)
        return render_template(words, template)

    def _execute(self, kube: Kube, arguments: Mapping[str, Any]) -> _Outcome:
        pods = kube.pods(arguments["namespace"], labels=arguments["labels"])
        running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
        if not running:
            raise Unreachable(f"no pod {arguments['labels']} runs in {arguments['namespace']}")
        pod = running[0]
        container = arguments.get("container") or pod["spec"]["containers"][0]["name"]
        text = kube.execute(
            arguments["namespace"],
            pod["metadata"]["name"],
            arguments["command"],
            container=container,
            timeout=max(1.0, self._deadline - time.monotonic()),
        )
        return _Outcome(0, _parsed(text))


def _asked(kube: Kube, method: str, path: str, headers: Mapping[str, str] | None, body: object) -> _Outcome:
    status, text = kube.ask(method, quote(path, safe="/:?&=%,@+*~!$'();-._[]"), headers=headers, body=body)
    return _Outcome(status, _parsed(text))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
