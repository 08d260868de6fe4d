"""Does the steps that an ``addon.yaml`` describes, one after the other, on real clusters."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol
from urllib.parse import quote

from jinja2 import UndefinedError

from lab.catalog.addon import Step
from lab.catalog.objects import Object
from lab.catalog.place import Placed
from lab.catalog.render import render_template
from lab.catalog.templates import mentioned
from lab.catalog.words import LabView, Words, value_at
from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference, Refused, Unreachable
from lab.document.scalars import Unfit
from lab.errors import InputError, LabError, ProvisionError, TemporaryError
from lab.platform.record import references
from lab.redact import Redactor

_EVERY_S = 0.5
_LONGEST_PAUSE_S = 5.0
"""Between tries: as long as the last one took, so that what is dear to ask does not load the lab it asks."""

_SHORTEST_S = 5.0
"""What a command in a pod is given, however little is left: one that is cut off says nothing."""

_SHOWN = 300
"""Characters of an answer that are evidence enough."""

_TOLD = 160
"""Characters of an answer that a person is shown; of one value in it, of what was expected."""

_TOLD_VALUE = 60
_TOLD_CONDITION = 120


@dataclass(frozen=True)
class Outcome:
    """What a step gave: an HTTP status (0 without one), and what was answered, parsed if it is JSON."""

    status: int
    result: Any

    def __str__(self) -> str:
        shown = _shown(self.result, _SHOWN)
        return f"{self.status} {shown}" if self.status else shown

    def told(self, condition: str) -> str:
        """What of it ``condition`` speaks of; where that is not there, how the answer begins."""
        known = {"status": self.status, "result": self.result}
        seen, is_whole = [], self.status >= 400
        for path in mentioned(condition) if condition else (("status",),):
            there, value = value_at(known, path)
            if path == ("status",):
                seen.append(f"status {value}")
            elif there and not isinstance(value, Mapping | list) and len(path) > 1:
                seen.append(f"{_dotted(path)} is {_shown(value, _TOLD_VALUE)}")
            elif path[0] == "result":
                is_whole = True
        text = ", ".join(seen)
        if not is_whole and seen:
            return text
        gist = self.result
        if isinstance(gist, Mapping) and gist.get("kind") == "Status" and gist.get("message"):
            # How the API server refuses: the rest says the same again.
            gist = gist["message"]
        return ": ".join(filter(None, (text, _shown(gist, _TOLD))))


@dataclass(frozen=True)
class Attempted:
    """How steps went: whether all held, and what the last one saw, fit to be shown.

    ``value`` is what was asked for of its outcome; JSON. Of one that did not hold, ``expected`` is what was,
    and ``seen`` the part of the evidence that this speaks of: both short, for a person.
    """

    ok: bool
    evidence: str
    seconds: float
    value: Any = None
    expected: str = ""
    seen: str = ""

    @property
    def why(self) -> str:
        """Why they did not hold, shortly."""
        return f"expected {self.expected}, saw {self.seen}" if self.expected else self.seen or self.evidence


class Ledger(Protocol):
    """Where what steps apply is written down before it is there, until it is removed."""

    def add(self, cluster: str, objects: Collection[Reference], /) -> None:
        """Objects are about to be applied. Raises LabError where that cannot be written down."""

    def forget(self, cluster: str, objects: Collection[Reference], /) -> None:
        """They were removed."""


@dataclass(frozen=True)
class Doer:
    """Does steps for one lab. ``kubes`` has the API of every cluster; ``ledger`` keeps what was applied."""

    lab: LabView
    kubes: Mapping[str, Kube]
    cancelled: Event
    ledger: Ledger | None = None

    def do(
        self,
        placed: Placed,
        steps: Sequence[Step],
        *,
        cluster: str,
        timeout: float,
        more: Mapping[str, Any] | None = None,
        value: str = "",
        leave: bool = False,
    ) -> Attempted:
        """Do ``steps`` of an addon on ``cluster``, within ``timeout`` seconds; never raises a LabError.

        ``more`` is what their texts know besides, ``value`` an expression over the last outcome. With
        ``leave`` what they applied stays, and only the ledger knows; else it is gone afterwards, whatever
        came of it.
        """
        started = time.monotonic()
        seen: Any = None
        attempt = _Attempt(self, placed, cluster, deadline=started + timeout, more=dict(more or {}))
        try:
            with attempt.cleaned_up(leave=leave):
                ok, evidence = attempt.all(steps)
            if value and attempt.last is not None:
                known = {"status": attempt.last.status, "result": attempt.last.result}
                seen = attempt.words.value(value, known)
        except (UndefinedError, Unfit) as error:
            ok, evidence = False, f"the check itself is wrong: {error}"
        except LabError as error:
            ok, evidence = False, " ".join(filter(None, (error.brief, error.details)))
        seconds = round(time.monotonic() - started, 3)
        redactor = Redactor(attempt.words.secrets)
        evidence, seen = redactor.text(evidence), redactor.tree(seen)
        if ok:
            return Attempted(ok, evidence, seconds, seen)
        told = redactor.text(attempt.told or _shown(evidence, _TOLD))
        return Attempted(ok, evidence, seconds, seen, attempt.expected, told)


@dataclass
class _Attempt:
    """Steps that are being done."""

    doer: Doer
    placed: Placed
    cluster: str
    deadline: float
    more: dict[str, Any]
    last: Outcome | None = None
    expected: str = ""
    told: str = ""
    """What the step that did not hold expected, and what of its outcome that speaks of; else empty."""

    _applied: list[tuple[str, tuple[Reference, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the words that the steps' texts know."""
        self.words = Words(self.placed, self.doer.lab, cluster=self.cluster, more=self.more)

    def all(self, steps: Sequence[Step]) -> tuple[bool, str]:
        """Do one step after the other; return whether all held, and what the last one saw."""
        evidence = ""
        for number, step in enumerate(steps, start=1):
            ok, seen = self._step(step)
            evidence = f"{step.verb}: {seen}"
            if not ok:
                return False, f"step {number}, {evidence}"
        return True, evidence

    @contextmanager
    def cleaned_up(self, *, leave: bool) -> Iterator[None]:
        """Remove afterwards what was applied, unless it is to stay."""
        try:
            yield
        finally:
            for cluster, objects in () if leave else reversed(self._applied):
                with suppress(LabError):
                    self._remove(cluster, objects)
                    if self.doer.ledger:
                        self.doer.ledger.forget(cluster, objects)

    def _remove(self, cluster: str, objects: Sequence[Reference]) -> None:
        for each in reversed(objects):
            self.doer.kubes[cluster].remove(each)

    def _rendered(self, template: str, cluster: str) -> tuple[Object, ...]:
        words = Words(self.placed, self.doer.lab, cluster=cluster, more=self.more)
        return render_template(words, template)

    def _step(self, step: Step) -> tuple[bool, str]:
        while True:
            outcome, began = None, time.monotonic()
            try:
                outcome = self.last = self._do(step)
                ok = self._holds(step, outcome)
                seen = str(outcome)
            except TemporaryError as error:
                ok, seen = False, error.brief
            except ProvisionError as error:
                # A command that failed may not fail the next time; what the API server refuses is final.
                if not step.until or isinstance(error, Refused):
                    raise
                ok, seen = False, " ".join(filter(None, (error.brief, error.details)))
            again = bool(step.until) and not ok and time.monotonic() < self.deadline
            pause = min(max(_EVERY_S, time.monotonic() - began), _LONGEST_PAUSE_S)
            if not again or self.doer.cancelled.wait(pause):
                if not ok:
                    self._tell(step, outcome, seen)
                return ok, seen

    def _tell(self, step: Step, outcome: Outcome | None, seen: str) -> None:
        """Keep what a person is shown of a step that did not hold: ``seen``, if there was no outcome."""
        condition = step.until or step.expect
        self.expected = _shown(condition or "status < 400", _TOLD_CONDITION)
        if outcome is None:
            self.told = _shown(seen, _TOLD)
        else:
            # Before anything is cut off: of half a secret nobody knows that it is one.
            known = Redactor(self.words.secrets).tree(outcome.result)
            self.told = Outcome(outcome.status, known).told(condition)

    def _holds(self, step: Step, outcome: Outcome) -> bool:
        condition = step.until or step.expect
        if not condition:
            return outcome.status < 400
        known = {"status": outcome.status, "result": outcome.result}
        # Compared with what is not there yet, an expression is not true; load has seen that it compiles.
        return self.words.holds(condition, known)

    def _do(self, step: Step) -> Outcome:
        arguments = self.words.filled(step.arguments)
        cluster = self._named(arguments.get("on")) if arguments.get("on") else self.cluster
        kube = self.doer.kubes[cluster]
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
                return self._apply(
                    arguments["template"], cluster, dry_run=arguments["dry_run"], keep=arguments["keep"]
                )
            case "delete":
                self._remove(cluster, references(self._rendered(arguments["template"], cluster)))
                return Outcome(200, "removed")
            case "exec":
                return self._execute(kube, arguments)

    def _named(self, place: str) -> str:
        """The cluster called ``place``, or else the first of that role."""
        for cluster in self.doer.lab.clusters:
            if cluster.name == place:
                return place
        for cluster in self.doer.lab.clusters:
            if cluster.role == place:
                return cluster.name
        raise InputError(f"there is no cluster or role {place!r} to ask")

    def _apply(self, template: str, cluster: str, *, dry_run: bool, keep: bool) -> Outcome:
        objects = self._rendered(template, cluster)
        this = (cluster, references(objects))
        if not (dry_run or keep or this in self._applied):
            if self.doer.ledger:
                self.doer.ledger.add(*this)
            self._applied.append(this)
        try:
            self.doer.kubes[cluster].apply(objects, dry_run=dry_run)
        except Refused as error:
            return Outcome(error.status, error.details)
        return Outcome(200, "applied")

    def _execute(self, kube: Kube, arguments: Mapping[str, Any]) -> Outcome:
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
            timeout=max(_SHORTEST_S, self.deadline - time.monotonic()),
        )
        return Outcome(0, _parsed(text))


def _asked(kube: Kube, method: str, path: str, headers: Mapping[str, str] | None, body: object) -> Outcome:
    status, text = kube.ask(method, quote(path, safe="/:?&=%,@+*~!$'();-._[]"), headers=headers, body=body)
    return Outcome(status, _parsed(text))


def _shown(value: Any, most: int) -> str:
    """A value on one line, for a terminal, whatever a program has answered; cut off with dots."""
    text = value if isinstance(value, str) else json.dumps(value)
    short = "".join(each if each.isprintable() else " " for each in " ".join(text.split()))
    return short if len(short) <= most else f"{short[:most]}..."


def _dotted(path: Sequence[str]) -> str:
    """A path as people write it: ``result.conditions[0].status``."""
    return "".join(f"[{key}]" if key.isdecimal() else f".{key}" for key in path).removeprefix(".")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
