"""One experiment: its phases, in order, each written down as it begins; and the undoing, whatever happens."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from lab.catalog.contract import Phase
from lab.catalog.place import Placed
from lab.catalog.words import LabView
from lab.clients.kube import Kube
from lab.clients.wait import TimedOut, wait_until
from lab.degrade import border, probers
from lab.degrade.faults import Fault, Hand, Kind
from lab.degrade.left import Left
from lab.degrade.probers import Listener, Route
from lab.degrade.profiles import Profile
from lab.degrade.recorder import Recorder
from lab.degrade.sampler import Sampler
from lab.degrade.scope import DOMAIN, Case
from lab.errors import Interrupted, LabError
from lab.workspace import Workspace

_CLEAN_S = 60.0
_CLEAN_FOR_S = 3.0
"""How long all must have been well before the baseline begins, and how long that is waited for."""

_SEEN_S = 90.0
_SEEN: Final[Mapping[Kind, str]] = {"isolate": "none of its pods reaches another cluster, or is reached"}
"""What is seen of a fault that is no silence of an API server's."""

_BACK_S = 120.0
"""How long a cluster that comes back is waited for where nobody has: what acts have put there is removed."""

_STILL_AWAY_S = 5.0
_ACTS_END_S = 20.0
_WATCH_EVERY_S = 1.0
_TELL_EVERY_S = 30.0


class _Ended(Exception):
    """The experiment cannot go on; what it was about has been written down."""


@dataclass
class Experiment:
    """What is needed to do it once. ``say`` is told what is going on; ``cancelled`` ends it early."""

    workspace: Workspace
    view: LabView
    cases: tuple[Case, ...]
    fault: Fault
    component: Placed | None
    profile: Profile
    recorder: Recorder
    say: Callable[[str], None]
    cancelled: Event
    _sampler: Sampler = field(init=False)
    _left: Left = field(init=False)
    _acts: list[Future[None]] = field(default_factory=list)
    _broken: bool = False
    _since: float = 0.0
    """When the phase began, or the fault was done: what was seen before says nothing of it."""

    _lost_before: int = -1
    _well_since: float = 0.0

    def __post_init__(self) -> None:
        """Make what samples."""
        # Letters first: what is all digits would be a number where it is read as YAML.
        word = f"run{hashlib.sha256(self.fault.run.encode()).hexdigest()[:10]}"
        self._left = Left(self.workspace.folder)
        self._sampler = Sampler(self.view, self.workspace.kubes, self.cases, self.recorder, word, self._left)

    def run(self) -> None:
        """Do it. What went wrong with the experiment itself is a note in its history, for its judge.

        Raises :class:`LabError` when what it needs in the clusters could not be set up, before anything is
        broken, and when the fault could not be undone.
        """
        try:
            listeners = self._set_up()
            try:
                self._sampler.start(listeners)
                self._sampler.watch_api(
                    self.fault.cluster, self._kubes[self.fault.cluster], every=_WATCH_EVERY_S
                )
                self._phases()
            except _Ended:
                pass
            except Interrupted:
                self._note("it was interrupted", code="interrupted")
            finally:
                # However it ended: nothing stays broken.
                if self._broken:
                    self._undo()
            self.recorder.write("phase", phase="end")
        finally:
            self._sampler.stop()
            self._clean_up()

    # ---- phases

    def _phases(self) -> None:
        self._baseline()
        self._inject()
        self._hold()
        self._recover()
        self._settle()

    def _baseline(self) -> None:
        self.say(f"sampling {self._extent()}; waiting until all is well")
        # Before anything is timed: what is sampled may be what they make.
        self._acts += self._sampler.act("baseline", started=time.monotonic())
        self._finish_acts()
        if failed := [f"{name}: {done.why}" for name, done in self._sampler.acts.items() if not done.ok]:
            self._unclean("; ".join(failed))
        self._warn()
        try:
            self._wait("all is well", self._unwell, timeout=_CLEAN_S)
        except TimedOut as error:
            self._unclean(error.details)
        self.say(f"baseline: {self.profile.baseline:g} s")
        self._begin("baseline")
        lost = dict(self._sampler.lost)
        self._sleep(self.profile.baseline)
        more = [name for name, count in self._sampler.lost.items() if count > lost.get(name, 0)]
        if problems := [*self._failing(), *(f"{name} lost requests" for name in more)]:
            self._unclean("; ".join(problems))

    def _warn(self) -> None:
        """Say whose claim is not made of so long an outage."""
        hold = self.profile.hold
        for case in self.cases:
            seconds = self._sampler.endures(case)
            if seconds is not None and seconds < hold:
                self._note(f"{case.id} endures an outage of {seconds:.0f} s; this one is to last {hold:g} s")

    def _unclean(self, why: str) -> None:
        self._note(f"the baseline was not clean, so nothing was broken: {why}", code="unclean")
        raise _Ended

    def _inject(self) -> None:
        self.say(self.fault.told)
        self._begin("inject")
        self._broken = True
        try:
            self.fault = Hand(self.workspace).inject(self.fault, self.component)
        except LabError as error:
            self._note(f"the fault could not be injected: {error}", code="not-seen")
            raise _Ended from error
        self._since = time.monotonic()
        self.recorder.write("fault", what="injected", detail="")
        try:
            self._wait("the fault", self._still_there, timeout=_SEEN_S)
        except TimedOut as error:
            self._note(f"the fault was not seen: {error.details}", code="not-seen")
            raise _Ended from error
        self.recorder.write("fault", what="seen", detail=_SEEN.get(self.fault.kind, "it answers no more"))

    def _hold(self) -> None:
        self.say(f"it is away; so it stays for {self.profile.hold:g} s")
        self._begin("hold")
        self._sleep(self.profile.hold)
        self._finish_acts()

    def _recover(self) -> None:
        self._undo()
        try:
            self._wait("all to come back", self._not_back, timeout=self.profile.recover)
        except TimedOut as error:
            self._note(f"not all came back within {self.profile.recover:g} s: {error.details}")
        self._finish_acts()

    def _settle(self) -> None:
        self.say("all is back; looking for what came through")
        self._begin("settle")
        self._sleep(self.profile.settle)
        self._finish_acts()

    def _begin(self, phase: Phase) -> None:
        self._since = time.monotonic()
        self.recorder.write("phase", phase=phase, mono=self._since)
        self.recorder.check()
        if phase != "baseline":
            self._acts += self._sampler.act(phase, started=self._since)

    def _undo(self) -> None:
        self.say(f"undoing it: {self.fault.target} comes back")
        self._begin("recover")
        try:
            Hand(self.workspace).undo(self.fault)
        except LabError as error:
            self._note(f"the fault could not be undone: {error}", code="not-undone")
            raise
        self._broken = False
        self.recorder.write("fault", what="undone", detail="")

    # ---- what is waited for

    def _unwell(self) -> str | None:
        """What is not well, or has not been for long enough."""
        now = time.monotonic()
        lost = sum(self._sampler.lost.values())
        if (problems := self._failing()) or lost != self._lost_before:
            self._lost_before, self._well_since = lost, now
            return "; ".join(problems) or "requests are lost"
        return None if now - self._well_since >= _CLEAN_FOR_S else "all is well, but not for long"

    def _failing(self) -> list[str]:
        """Every series that failed last, or was never sampled, and every flow that is silent."""
        found = []
        for case in self.cases:
            for series in case.contract.series:
                latest = self._sampler.latest.get(f"{case.id}/{series.id}")
                if latest is None or not latest.ok:
                    found.append(f"{case.id}/{series.id}: {latest.error if latest else 'no sample yet'}")
            found += [
                f"{case.id}/{stream.id}: no requests yet"
                for stream in case.streams
                if not self._sampler.made.get(f"{case.id}/{stream.id}/new")
            ]
        # That nothing comes across says something only where it did before.
        if self.fault.kind == "isolate" and (what := border.shut(self._kubes, self.fault.cluster)):
            found.append(what)
        return found

    def _still_there(self) -> str | None:
        """What of the target still answers."""
        if self.component is not None:
            for each in self.component.addon.ready:
                if each.kind in ("Deployment", "StatefulSet"):
                    found = self._kubes[self.fault.cluster].workload(each.kind, each.namespace, each.name)
                    if found is not None and found.ready:
                        return f"{each.name} still serves"
            return None
        if self.fault.kind == "isolate":
            return border.still_open(self._kubes, self.fault.cluster)
        answers = self._answers()
        if answers is None:
            return f"{self.fault.cluster} was not asked since"
        return f"{self.fault.cluster} still answers" if answers else None

    def _not_back(self) -> str | None:
        """What is not back after the undoing."""
        if not self._answers():
            return f"the API server of {self.fault.cluster} does not answer"
        late = [
            name
            for name, latest in self._sampler.latest.items()
            if not latest.ok or latest.mono < self._since
        ]
        if late:
            return f"{late[0]}: {self._sampler.latest[late[0]].error}"
        return border.shut(self._kubes, self.fault.cluster) if self.fault.kind == "isolate" else None

    def _answers(self) -> bool | None:
        """Whether the target's API server answers; None if it was not asked since."""
        latest = self._sampler.latest.get(f"lab/{self.fault.cluster}/api")
        return None if latest is None or latest.mono < self._since else latest.ok

    def _wait(self, what: str, look: Callable[[], str | None], *, timeout: float) -> None:
        wait_until(what, look, timeout=timeout, every=0.25, cancelled=self.cancelled)

    def _sleep(self, seconds: float) -> None:
        """Let time pass, telling now and then how it goes; end early when interrupted."""
        phase_ends = time.monotonic() + seconds
        while (left := phase_ends - time.monotonic()) > 0:
            if self.cancelled.wait(min(left, _TELL_EVERY_S)):
                raise Interrupted("interrupted")
            if seconds > _TELL_EVERY_S and phase_ends - time.monotonic() > 1:
                self.say(f"{phase_ends - time.monotonic():.0f} s more; {self._so_far()}")
            self.recorder.check()

    def _finish_acts(self) -> None:
        """Wait for acts that are under way: each has a time limit of its own."""
        while any(not act.done() for act in self._acts):
            if self.cancelled.wait(0.25):
                raise Interrupted("interrupted")

    # ---- in the clusters

    @property
    def _kubes(self) -> Mapping[str, Kube]:
        return self.workspace.kubes

    def _set_up(self) -> list[Listener]:
        run = self.fault.run
        self.say("setting up the probers")
        routes: dict[str, list[Route]] = {cluster.name: [] for cluster in self.workspace.topology.clusters}
        for case in self.cases:
            for stream in case.streams:
                service = case.told.words(case.cluster, self.view, away=case.away, to=stream.to).filled(
                    stream.flow.service
                )
                host = f"{service}.{stream.flow.namespace}.svc.{DOMAIN}"
                routes[case.cluster].append(
                    Route(f"{case.id}/{stream.id}", host, stream.flow.port, stream.flow.every)
                )
        # First whoever answers, everywhere: a connection that is kept stays where it was made, and one that
        # was made too early would be to a cluster that is not the nearest.
        self._on_each({name: [] for name in routes})
        self._on_each({name: each for name, each in routes.items() if each})
        return [Listener(self._kubes[name], run) for name, each in routes.items() if each]

    def _on_each(self, routes: Mapping[str, list[Route]]) -> None:
        """Set the probers of these clusters up, all at once."""

        def set_up(name: str) -> None:
            self._left.add(name, [probers.ALL])
            probers.set_up(
                self.workspace.topology,
                name,
                self._kubes[name],
                self.fault.run,
                routes[name],
                cancelled=self.cancelled,
            )

        with ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(set_up, routes))

    def _clean_up(self) -> None:
        """Remove the probers and what acts have applied. What cannot be removed is a note."""
        # An act that is under way may be about to apply something.
        wait(self._acts, timeout=_ACTS_END_S)
        patience = _STILL_AWAY_S if self._broken else _BACK_S
        for cluster, why in self._left.remove(self._kubes, answers_within=patience).items():
            self._note(f"not everything could be removed from {cluster}: {why}")

    def _note(self, text: str, *, code: str = "") -> None:
        self.say(text)
        self.recorder.write("note", text=text, **({"code": code} if code else {}))

    def _extent(self) -> str:
        series = sum(len(case.contract.series) for case in self.cases)
        streams = sum(len(case.streams) for case in self.cases)
        return f"{series} series and {streams} flows of requests"

    def _so_far(self) -> str:
        made, lost = sum(self._sampler.made.values()), sum(self._sampler.lost.values())
        failing = sum(not each.ok for each in self._sampler.latest.values())
        return f"{made} requests, {lost} lost; {failing} of {len(self._sampler.latest)} series fail"
