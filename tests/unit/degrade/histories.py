"""Makes histories of experiments that never were: phases, samples at a cadence, requests in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lab.degrade.history import History, parse
from lab.degrade.judge import judge
from lab.degrade.verdict import ClusterVerdict

START = 1000.0
WALL = 1_800_000_000.0

Fails = Callable[[float], bool]


def never(at: float) -> bool:
    return False


def between(start: float, end: float) -> Fails:
    """Fails from ``start`` to before ``end``."""
    return lambda at: start <= at < end


class Run:
    """A run whose phases last as many seconds as said; moments are seconds since it began.

    A phase that is None never began. Its cluster is app1, its contract C1.
    """

    def __init__(
        self,
        *,
        baseline: float | None = 20,
        inject: float | None = 2,
        hold: float | None = 60,
        recover: float | None = 10,
        settle: float | None = 20,
        contract: str = "C1",
        cluster: str = "app1",
        whole: bool = True,
    ) -> None:
        lengths = {"baseline": baseline, "inject": inject, "hold": hold, "recover": recover, "settle": settle}
        self.spans: dict[str, tuple[float, float]] = {}
        at = 0.0
        for phase, seconds in lengths.items():
            if seconds is not None:
                self.spans[phase] = (at, at + seconds)
                at += seconds
        self.length = at
        self.records: list[dict[str, Any]] = []
        for phase, (start, _) in self.spans.items():
            self.add("phase", start, phase=phase)
        if whole:
            self.add("phase", self.length, phase="end")
            self.fault("injected", self.start("inject"))
            self.fault("seen", self.start("hold"))
            self.fault("undone", self.start("recover"))
        self.case: dict[str, Any] = {
            "contract": contract,
            "cluster": cluster,
            "claim": "It lives.",
            "control_of": "",
            "fails": "",
            "series": {},
            "flows": {},
            "acts": {},
            "judgements": [],
        }
        self.cases = [self.case]
        self.skipped: list[dict[str, Any]] = []
        self.header: dict[str, Any] = {}

    def start(self, phase: str) -> float:
        return self.spans.get(phase, (self.length, self.length))[0]

    def end(self, phase: str) -> float:
        return self.spans[phase][1]

    def add(self, kind: str, at: float, /, **fields: Any) -> dict[str, Any]:
        record = {"kind": kind, "mono": START + at, "wall": WALL + at, **fields}
        self.records.append(record)
        return record

    def fault(self, what: str, at: float) -> None:
        self.add("fault", at, what=what, detail="")

    def note(self, at: float, text: str, code: str = "") -> None:
        self.add("note", at, text=text, code=code)

    def drop(self, kind: str, **fields: Any) -> None:
        """Take out the records that are so."""
        gone = {"kind": kind, **fields}
        self.records = [
            each for each in self.records if any(each.get(key) != value for key, value in gone.items())
        ]

    def series(
        self,
        name: str,
        *,
        every: float = 5,
        timeout: float = 5,
        fails: Fails = never,
        value: Any = None,
        takes: float = 0.01,
        offset: float = 0.0,
        until: float | None = None,
    ) -> None:
        """Sample at a cadence; ``value`` may be a function of the moment."""
        self.case["series"][name] = {"summary": "", "every": every, "timeout": timeout}
        turn = 0
        while (at := offset + turn * every) <= (self.length if until is None else until):
            self.sample(
                name, at, ok=not fails(at), seconds=takes, value=value(at) if callable(value) else value
            )
            turn += 1

    def sample(
        self, name: str, at: float, *, ok: bool = True, seconds: float = 0.01, value: Any = None
    ) -> dict[str, Any]:
        full = f"{self.case['contract']}/{self.case['cluster']}/{name}"
        error = "" if ok else "timed out"
        value = value if ok else None
        return self.add("sample", at, id=full, ok=ok, seconds=seconds, value=value, error=error)

    def flow(
        self,
        name: str,
        *,
        every: float = 0.1,
        fails: Fails = never,
        kept_fails: Fails | None = None,
        batch: int = 20,
        ms: float = 0.8,
    ) -> None:
        """Requests on new and on kept connections, in batches."""
        self.case["flows"][name] = {"summary": "", "every": every}
        for manner, fail in (("new", fails), ("kept", fails if kept_fails is None else kept_fails)):
            full = f"{self.case['contract']}/{self.case['cluster']}/{name}/{manner}"
            begun = [round(turn * every, 6) for turn in range(round(self.length / every) + 1)]
            for first in range(0, len(begun), batch):
                part = begun[first : first + batch]
                self.add(
                    "batch",
                    part[0],
                    id=full,
                    first=first,
                    at=[round((at - part[0]) * 1000, 3) for at in part],
                    ms=[None if fail(at) else ms for at in part],
                    errors={str(index): "timed out" for index, at in enumerate(part) if fail(at)},
                )

    def act(
        self,
        name: str,
        phase: str = "hold",
        *,
        ok: bool = True,
        value: Any = None,
        error: str = "",
        ran: bool = True,
        summary: str = "",
        **told: str,
    ) -> None:
        """Something done once; ``told`` is what of its evidence a person is shown."""
        self.case["acts"][name] = {"summary": summary, "during": phase}
        if ran:
            came = {"ok": ok, "seconds": 3.1, "value": value, "error": error, **told}
            full = f"{self.case['contract']}/{self.case['cluster']}/{name}"
            self.add("act", self.start(phase), id=full, phase=phase, **came)

    def judged(self, rule: str, of: str = "", *, says: str = "It is so.", **fields: Any) -> None:
        self.case["judgements"].append({"rule": rule, "says": says, "of": of, **fields})

    def first_line(self) -> dict[str, Any]:
        return {
            "kind": "run",
            "mono": START - 1,
            "wall": WALL - 1,
            "format": 1,
            "run": "r1",
            "lab": "hub-spoke",
            "topology": "hub-spoke",
            "fault": "kill",
            "target": "mgmt",
            "profile": {"name": "quick", "baseline_s": 20, "hold_s": 60, "scaled": ""},
            "versions": {"cilium": "1.19.1"},
            "host": {"cpus": "2"},
            "boot": "boot-1",
            "cases": self.cases,
            "skipped": self.skipped,
            **self.header,
        }

    def text(self) -> str:
        """The file, records in the order in which they would have come."""
        records = sorted(self.records, key=lambda record: record["mono"])
        return text_of([self.first_line(), *records])

    def history(self) -> History:
        return parse(self.text(), file="history.jsonl")

    def verdict(self) -> ClusterVerdict:
        """What came of the first contract, on its first cluster."""
        return judge(self.history())[0].clusters[0]

    def told(self) -> tuple[str, str]:
        """The word, and why."""
        verdict = self.verdict()
        return verdict.word, verdict.reason


def text_of(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(each) + "\n" for each in records)


def figures(verdict: ClusterVerdict) -> Mapping[str, Any]:
    return {key: value for found in verdict.findings for key, value in found.measured.items()}
