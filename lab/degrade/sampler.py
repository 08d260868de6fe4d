"""Samples everything all the time, each series in a thread of its own, from the first moment to the last.

A thread for each, so that one that waits for a dead cluster's answer does not keep the others from looking.
What the sampler itself missed (this machine was too busy, or asleep) is written down as a gap: of that time
nothing is known.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lab.catalog.contract import Act, Phase, Series
from lab.catalog.words import LabView, Words
from lab.clients.kube import Kube
from lab.degrade.left import Left
from lab.degrade.probers import REQUEST_TIMEOUT_S, Listener
from lab.degrade.recorder import Recorder
from lab.degrade.scope import Case
from lab.platform.check import nonce
from lab.platform.steps import Attempted, Doer

log = logging.getLogger(__name__)

_LISTEN_EVERY_S = 2.0
_STOPPING_S = 30.0
_LAST_BATCH_S = REQUEST_TIMEOUT_S + 1.5
_LATE = 0.5
"""Of its interval: by how much a sample may be late before that is a gap."""


@dataclass
class Latest:
    """What was seen last of a series, for whoever waits for it."""

    ok: bool
    mono: float
    error: str = ""


@dataclass
class Sampler:
    """Samples the series of every case, listens to every prober, and does acts when it is told the phase."""

    view: LabView
    kubes: Mapping[str, Kube]
    cases: tuple[Case, ...]
    recorder: Recorder
    run: str
    """A word that only this experiment uses, for the texts of steps."""

    left: Left
    """Keeps what acts apply, which stays until the experiment ends."""

    latest: dict[str, Latest] = field(default_factory=dict)
    """By qualified id; written by the series' own thread."""

    acts: dict[str, Attempted] = field(default_factory=dict)
    """What came of each act, by qualified id."""

    lost: dict[str, int] = field(default_factory=dict)
    """Requests of each flow that failed, as far as they are known."""

    made: dict[str, int] = field(default_factory=dict)
    _started: int = field(default_factory=lambda: int(time.time()))
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _listeners: list[Listener] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, listeners: list[Listener]) -> None:
        """Begin to sample."""
        self._listeners = listeners
        for case in self.cases:
            for series in case.contract.series:
                self._begin(f"{case.id}/{series.id}", self._sample, case, series)
        if listeners:
            self._begin("listen", self._listen)

    def watch_api(self, name: str, kube: Kube, *, every: float) -> None:
        """Sample whether a cluster's API server answers, as ``lab/NAME/api``."""
        self._begin(f"lab/{name}/api", self._watch, f"lab/{name}/api", kube, every)

    def stop(self) -> None:
        """End sampling, once what is under way is done; fetch what probers still have."""
        self._stop.set()
        deadline = time.monotonic() + _STOPPING_S
        for thread in self._threads:
            thread.join(timeout=max(0.1, deadline - time.monotonic()))
        if self._listeners:
            # Until requests that were begun before have ended, and are in a batch.
            time.sleep(_LAST_BATCH_S)
        for listener in self._listeners:
            self._take(listener)

    def act(self, phase: Phase, *, started: float) -> list[Future[None]]:
        """Do every act of ``phase``, which began at ``started`` (monotonic), each at its time."""
        due = [(case, act) for case in self.cases for act in case.contract.acts if act.during == phase]
        if not due:
            return []
        pool = ThreadPoolExecutor(max_workers=len(due), thread_name_prefix="act")
        futures = [pool.submit(self._act, case, act, started) for case, act in due]
        pool.shutdown(wait=False)
        return futures

    def _begin(self, name: str, act: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=self._guarded, args=(name, act, *arguments), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, name: str, act: Any, *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:
            # Nobody waits for this thread; coverage says that its samples are missing.
            log.exception("the sampler of %s ended", name)
            self.recorder.write("note", text=f"the sampler of {name} ended: {type(error).__name__}: {error}")

    def _sample(self, case: Case, series: Series) -> None:
        name = f"{case.id}/{series.id}"
        doer = self._doer(series.timeout)
        due = time.monotonic()
        while not self._stop.is_set():
            mono, wall = time.monotonic(), time.time()
            if mono - due > _LATE * series.every:
                self.recorder.write("gap", id=name, seconds=round(mono - due, 3))
            done = doer.do(
                case.placed,
                series.steps,
                cluster=case.cluster,
                timeout=series.timeout,
                more=self._words(case),
                value=series.value,
            )
            self._sampled(name, mono, wall, done)
            # A sample that took long was no gap: it looked all that time.
            due = max(due + series.every, time.monotonic())
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _watch(self, name: str, kube: Kube, every: float) -> None:
        while not self._stop.is_set():
            mono, wall = time.monotonic(), time.time()
            ok = kube.is_ready(timeout=every)
            error = "" if ok else "it does not answer, or says that it is not ready"
            self._sampled(name, mono, wall, Attempted(ok, error, round(time.monotonic() - mono, 3)))
            self._stop.wait(max(0.0, mono + every - time.monotonic()))

    def _sampled(self, name: str, mono: float, wall: float, done: Attempted) -> None:
        self.latest[name] = Latest(done.ok, mono, "" if done.ok else done.seen or done.evidence)
        self.recorder.write("sample", id=name, mono=mono, wall=wall, **_came_of(done))

    def _act(self, case: Case, act: Act, started: float) -> None:
        if self._stop.wait(max(0.0, started + act.after - time.monotonic())):
            return
        mono, wall = time.monotonic(), time.time()
        done = self._doer(min(act.timeout, 15.0)).do(
            case.placed,
            act.steps,
            cluster=case.cluster,
            timeout=act.timeout,
            more=self._words(case),
            value=act.value,
            leave=True,
        )
        name = f"{case.id}/{act.id}"
        self.acts[name] = done
        self.recorder.write("act", id=name, phase=act.during, mono=mono, wall=wall, **_came_of(done))

    def _words(self, case: Case) -> dict[str, Any]:
        """What texts of a case know besides: ``acts`` are those that are done."""
        mine = {act.id: self.acts.get(f"{case.id}/{act.id}") for act in case.contract.acts}
        return {
            "away": case.away,
            "judged": case.cluster,
            "run": self.run,
            "started": self._started,
            "acts": {name: done for name, done in mine.items() if done is not None},
            **nonce(),
        }

    def endures(self, case: Case) -> float | None:
        """For how many seconds of an outage a case makes its claim; None if it does not say."""
        if not case.contract.endures:
            return None
        words = Words(case.placed, self.view, cluster=case.cluster, more=self._words(case))
        seconds = words.value(case.contract.endures, {})
        return float(seconds) if isinstance(seconds, int | float) else None

    def _listen(self) -> None:
        while not self._stop.wait(_LISTEN_EVERY_S):
            for listener in self._listeners:
                self._take(listener)

    def _take(self, listener: Listener) -> None:
        with self._lock:
            for record in listener.fetch():
                self.recorder.write(record.pop("kind"), **record)
                name = record["id"]
                self.lost[name] = self.lost.get(name, 0) + len(record["errors"])
                self.made[name] = self.made.get(name, 0) + len(record["ms"])

    def _doer(self, timeout: float) -> Doer:
        kubes = {name: Kube(kube.kubeconfig, timeout=timeout) for name, kube in self.kubes.items()}
        return Doer(self.view, kubes, self._stop, self.left)


def _came_of(done: Attempted) -> dict[str, Any]:
    """What a history says of steps that were done: all of the evidence, and what a person is shown of it."""
    record = {"ok": done.ok, "seconds": done.seconds, "value": done.value}
    if done.ok:
        return {**record, "error": ""}
    return {**record, "error": done.evidence, "expected": done.expected, "seen": done.seen}
