"""Brings the objects of an addon to a cluster, and takes away those that are not part of it any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Event

from lab.catalog.addon import Workload
from lab.catalog.objects import ADDON_LABEL, Object, fingerprint
from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference
from lab.clients.wait import wait_until
from lab.document.position import listed
from lab.errors import InputError
from lab.platform import record as records
from lab.platform.pods import current, waiting
from lab.platform.record import Record
from lab.settings import LABEL

Say = Callable[[str], None]

_CRASHES = 4
"""With kubelet's back-off (10 s, doubled each time) these take more than a minute."""

_NO_IMAGE = frozenset({"ErrImageNeverPull", "InvalidImageName"})
"""What no second try mends."""


@dataclass(frozen=True)
class Wanted:
    """What an addon is to be on a cluster."""

    addon: str
    version: str
    needs: tuple[str, ...]
    objects: Sequence[Object]
    definitions: tuple[str, ...] = ()
    """Names of what upstream defines for it; another name, another definition."""

    define: Callable[[], Sequence[Object]] = tuple
    """Reads these: large, and not needed in order to tell whether they are there."""

    @property
    def fingerprint(self) -> str:
        """A name for all of it."""
        return fingerprint([*self.objects, *({"definitions": each} for each in self.definitions)])

    def record(self, objects: Sequence[Object]) -> Record:
        """What is remembered of it once ``objects``, all of them, are there."""
        return Record(self.addon, self.fingerprint, self.version, self.needs, records.references(objects))


@dataclass(frozen=True)
class Installer:
    """Changes one cluster of a lab. ``timeout`` is in seconds, for each object that has to wait."""

    kube: Kube
    lab: str
    timeout: float
    cancelled: Event | None = None
    say: Say = lambda _: None
    shared: bool = False
    """Whether others have things of their own in the cluster, which are never taken over."""

    def install(self, wanted: Wanted) -> None:
        """Apply every object in order, then remove what an earlier version of the addon left.

        What is being changed is written down first, so that it can be finished, or removed, however this
        ends. Raises :class:`lab.errors.ProvisionError` for what the API server refuses, and
        :class:`lab.clients.wait.TimedOut` for an object whose kind never came.
        """
        things = (*wanted.define(), *wanted.objects)
        new = wanted.record(things)
        old = records.records(self.kube).get(wanted.addon)
        before = old.objects if old else ()
        if self.shared:
            self._require_free(wanted.addon, new.objects)
        records.write(
            self.kube,
            replace(new, fingerprint="", objects=records.joined(before, new.objects)),
            lab=self.lab,
        )
        for thing in things:
            self._apply(thing)
        kept = {each.identity for each in new.objects}
        self._delete([each for each in before if each.identity not in kept])
        records.write(self.kube, new, lab=self.lab)

    def _require_free(self, addon: str, objects: Iterable[Reference]) -> None:
        """Refuse, before anything is applied, to take over what others have."""
        theirs = [
            f"{each.kind} {each.name}" for each in objects if self.kube.is_foreign(each, LABEL, self.lab)
        ]
        if theirs:
            raise InputError(
                f"{addon} cannot be installed: {listed(theirs, most=4)} is there already, and not the lab's",
                remedy=f"Nothing of it was changed. Leave the addon out (--without {addon}), or remove what "
                "is there.",
            )

    def remove(self, record: Record) -> None:
        """Remove every object that ``record`` names, the last applied first, and wait until all are gone."""
        self._delete(record.objects)
        records.forget(self.kube, record.addon)

    def _apply(self, thing: Object) -> None:
        """Apply it; where its kind is new, as soon as that is served and its webhook answers."""
        name = f"{thing['kind']} {thing['metadata']['name']}"
        self.say(name)

        def attempt() -> None:
            self.kube.apply([thing])

        wait_until(name, attempt, timeout=self.timeout, cancelled=self.cancelled, on_look=self.say)

    def _delete(self, objects: Iterable[Reference]) -> None:
        leaving = list(objects)[::-1]
        for each in leaving:
            self.say(f"remove {each.kind} {each.name}")
            self.kube.remove(each)

        def still() -> str | None:
            there = [each for each in leaving if self.kube.exists(each)]
            return f"{there[0].kind} {there[0].name} is still there" if there else None

        if leaving:
            wait_until(
                f"the end of {leaving[0].kind} {leaving[0].name}",
                still,
                timeout=self.timeout,
                cancelled=self.cancelled,
                on_look=self.say,
            )


def hopeless(kube: Kube, addon: str, workloads: Iterable[Workload]) -> str | None:
    """Return why an addon will not become ready by waiting, in words; None while it may.

    A container that has crashed so often that kubelet lets minutes pass before the next try, or whose image
    cannot be had, needs somebody.
    """
    for namespace in dict.fromkeys(each.namespace for each in workloads):
        for pod in current(kube.pods(namespace, labels=f"{ADDON_LABEL}={addon}")):
            for each in waiting(pod):
                if each.reason == "CrashLoopBackOff" and each.restarts >= _CRASHES:
                    return f"{each.pod}/{each.container} has crashed {each.restarts} times"
                if each.reason in _NO_IMAGE:
                    return str(each)
    return None


def missing(kube: Kube, workloads: Iterable[Workload]) -> str | None:
    """Return what an addon still lacks on a cluster, in words; None when all of it is ready."""
    for wanted in workloads:
        if wanted.kind == "Job":
            if not kube.job_is_done(wanted.namespace, wanted.name):
                return f"Job {wanted.name} is not done"
            continue
        found = kube.workload(wanted.kind, wanted.namespace, wanted.name)
        if found is None:
            return f"{wanted.name} is not there yet"
        if not found.is_ready:
            return f"{wanted.name}: {found.ready} of {found.wanted} ready"
    return None
