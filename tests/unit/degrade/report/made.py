"""A made-up experiment: the hub of three clusters is killed, and most of what was claimed holds.

:func:`records` is what a run writes, line by line; :func:`history` what is read of it. What came of it is in
:mod:`tests.unit.degrade.report.judged`. Everything is drawn from a seed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from lab.catalog.contract import Phase
from lab.degrade import history as history_module
from lab.degrade.history import Done, Fault, Gap, Note, Sample, parse

WALL = 1_767_261_600.0
"""2026-01-01 10:00 UTC."""

BOOT_S = 5000.0
"""The observer's monotonic clock at that moment."""

DURATIONS = {"baseline": 60.0, "inject": 4.0, "hold": 90.0, "recover": 46.0, "settle": 60.0}


@dataclass(frozen=True, kw_only=True)
class History(history_module.History):
    """A history of which tests state, and change, only what they are about."""

    run: dict[str, Any]
    spans: dict[Phase, tuple[float, float]] = field(default_factory=dict)
    ended: bool = True
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    flows: dict[str, list[Sample]] = field(default_factory=dict)
    missing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    acts: dict[str, Done] = field(default_factory=dict)
    gaps: dict[str, list[Gap]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def judgement(rule: str, says: str, **fields: Any) -> dict[str, Any]:
    """A judgement as a header has it."""
    numbers = {"lost": 0, "least": 1, "after": 0, "within": 0}
    empty = {"of": "", "phases": [], **numbers, "once": "", "expression": "", "proof": False}
    return {"rule": rule, "says": says, **empty, **fields}


def case(contract: str, cluster: str, claim: str, **fields: Any) -> dict[str, Any]:
    """A case as a header has it."""
    empty: dict[str, Any] = {"control_of": "", "fails": "", "series": {}, "flows": {}, "acts": {}}
    return {"contract": contract, "cluster": cluster, "claim": claim, **empty, "judgements": [], **fields}


CLAIMS = {
    "C1": "Application workloads run on when mgmt dies.",
    "C2": "Metrics are kept while Thanos is away, and are all there afterwards.",
    "C3": "Secrets stay as they are while Vault is away.",
    "C4": "Policies are enforced without mgmt.",
    "C6": "Every log line is in Loki afterwards, once.",
    "C6-ten-tries": "Every log line is in Loki afterwards, once, with Promtail's own default of ten tries.",
    "C7": "What Argo CD deployed stays, and what changed meanwhile converges.",
    "C8": "Agents need a third of the memory of servers.",
}


def cases(cluster: str, others: Sequence[str], *, flows: int) -> Iterator[dict[str, Any]]:
    """What is judged on ``cluster``; ``flows`` more of them than C1 has, for measurements."""
    yield case(
        "C1",
        cluster,
        CLAIMS["C1"],
        series={"rollout": {"summary": "a rollout of one pod ends", "every": 10, "timeout": 30}},
        flows={
            "inside": {"summary": "requests within the cluster", "every": 0.1},
            **{f"between-{to}": {"summary": f"requests to {to}", "every": 0.1} for to in others},
            **{f"more{i}": {"summary": f"requests to service {i}", "every": 0.1} for i in range(flows)},
        },
        judgements=[
            judgement("answers", "no request within the cluster is lost", of="inside", least=100),
            judgement("answers", "no request between application clusters is lost", of="between", least=100),
            judgement("answers", "rollouts end", of="rollout"),
        ],
    )
    yield case(
        "C2",
        cluster,
        CLAIMS["C2"],
        series={
            "thanos": {"summary": "Thanos takes samples", "every": 5, "timeout": 5},
            "backlog": {"summary": "samples that wait to be sent", "every": 5, "timeout": 5},
        },
        acts={"complete": {"summary": "every sample of the outage is in Thanos", "during": "settle"}},
        judgements=[
            judgement("silent", "Thanos is away", of="thanos", proof=True),
            judgement("returns", "samples are taken again", of="thanos", within=120),
            judgement("holds", "every sample is there", expression="acts.complete.value == 1"),
        ],
    )
    yield case(
        "C3",
        cluster,
        CLAIMS["C3"],
        series={
            "secret": {"summary": "the Secret's content, hashed", "every": 2, "timeout": 5},
            "vault": {"summary": "Vault answers", "every": 5, "timeout": 5},
            "sync": {"summary": "External Secrets says that it is in step", "every": 5, "timeout": 5},
        },
        acts={
            "refresh": {"summary": "a refresh is forced, and fails", "during": "hold"},
            "mount": {"summary": "a new pod mounts the Secret", "during": "hold"},
        },
        judgements=[
            judgement("silent", "Vault is away", of="vault", proof=True),
            judgement("same", "the Secret is the same byte for byte", of="secret"),
            judgement("returns", "External Secrets is in step again", of="sync", within=120, once="vault"),
            judgement("holds", "a new pod can mount it", expression="acts.mount.ok"),
        ],
    )
    yield case(
        "C4",
        cluster,
        CLAIMS["C4"],
        series={"denied": {"summary": "an unpinned image is denied", "every": 5, "timeout": 5}},
        judgements=[judgement("answers", "Kyverno denies it, by the policy's name", of="denied")],
    )
    for name, control_of in (("C6", ""), ("C6-ten-tries", "C6")):
        yield case(
            name,
            cluster,
            CLAIMS[name],
            control_of=control_of,
            fails="ten tries are over after some minutes, and what they carried is dropped."
            if control_of
            else "",
            series={"loki": {"summary": "Loki takes lines", "every": 5, "timeout": 5}},
            acts={"lines": {"summary": "all numbered lines are asked for", "during": "settle"}},
            judgements=[
                judgement("silent", "Loki is away", of="loki", proof=True),
                judgement("returns", "lines are taken again", of="loki", within=120),
                judgement("holds", "no line is missing", expression="acts.lines.value.missing == 0"),
            ],
        )


def header(clusters: Sequence[str], *, flows: int = 0) -> dict[str, Any]:
    """The first record."""
    return {
        "kind": "run",
        "format": 1,
        "mono": BOOT_S,
        "wall": WALL,
        "run": "20260101-100000-kill-mgmt",
        "lab": "hub-spoke",
        "topology": "hub-spoke",
        "asked_for": {"topology": "hub-spoke", "contract": ""},
        "fault": "kill",
        "target": "mgmt",
        "profile": {
            "name": "quick",
            "baseline_s": 60,
            "hold_s": 90,
            "scaled": "Prometheus truncates its log every minute instead of every two hours",
        },
        "versions": {"Kubernetes": "1.35.0", "Cilium": "1.19.5", "Prometheus": "3.9.0", "Vault": "1.21.1"},
        "host": {"kernel": "6.12.41", "CPUs": "2", "memory": "24 GiB", "container engine": "Docker 29.1"},
        "boot": "0d3f",
        "cases": [
            each
            for name in clusters
            for each in cases(name, [other for other in clusters if other != name], flows=flows)
        ],
        "skipped": [
            {
                "contract": "C8",
                "cluster": "app1",
                "claim": CLAIMS["C8"],
                "control_of": "",
                "reason": "the topology has no Prometheus to compare with",
            }
        ],
    }


def records(
    *, clusters: Sequence[str] = ("app1", "app2"), scale: float = 1.0, flows: int = 0, seed: int = 1
) -> Iterator[dict[str, Any]]:
    """A run in which app1's Secret changes, and app2 loses requests. ``scale`` makes all of it longer."""
    random = Random(seed)
    run = header(clusters, flows=flows)
    yield run
    edges, now = {}, BOOT_S + 1
    for phase, seconds in DURATIONS.items():
        edges[phase] = now
        yield _at(now, kind="phase", phase=phase)
        now += seconds * scale
    end = now
    down, up = edges["inject"] + 0.2, edges["recover"] + 0.1
    yield _at(down, kind="fault", what="injected", detail="docker kill b-hub-mgmt-control-plane")
    yield _at(down + 3.1, kind="fault", what="seen", detail="mgmt's API server: connection refused")
    yield _at(up, kind="fault", what="undone", detail="docker start b-hub-mgmt-control-plane")
    back = up + 31 * scale
    for each in run["cases"]:
        prefix = f"{each['contract']}/{each['cluster']}"
        for name, series in each["series"].items():
            yield from _series(f"{prefix}/{name}", series, (edges["baseline"], end), (down, back), random)
        for name in each["flows"]:
            for manner in ("new", "kept"):
                lost = (edges["hold"] + 20, edges["hold"] + 20.4)
                hurt = lost if f"{prefix}/{name}/{manner}" == "C1/app2/between-app1/new" else (0.0, 0.0)
                yield from _flow(f"{prefix}/{name}/{manner}", (edges["baseline"], end), hurt, random)
        for number, (name, act) in enumerate(each["acts"].items()):
            value: Any = {
                "complete": 1,
                "lines": {"missing": 412 if each["control_of"] else 0, "twice": 0},
            }.get(name)
            yield _at(
                edges[act["during"]] + 8 + 12 * number,
                kind="act",
                id=f"{prefix}/{name}",
                phase=act["during"],
                ok=name != "refresh",
                seconds=round(2 + random.random() * 4, 3),
                value=value,
                error="could not get secret data from provider: connection refused"
                if name == "refresh"
                else "",
            )
    yield _at(edges["hold"] + 44, kind="gap", id="C4/app1/denied", seconds=14.0)
    yield _at(edges["settle"] + 3, kind="note", text="app2: the API server was slow for 3 s")
    yield _at(end, kind="phase", phase="end")


def _at(mono: float, **fields: Any) -> dict[str, Any]:
    return {"mono": round(mono, 6), "wall": round(WALL + mono - BOOT_S, 6), **fields}


def _series(
    id: str,
    series: dict[str, Any],
    run: tuple[float, float],
    away: tuple[float, float],
    random: Random,
) -> Iterator[dict[str, Any]]:
    name, now, segments = id.rpartition("/")[2], run[0] + random.random(), 0.0
    while now < run[1]:
        down = away[0] <= now < away[1]
        ok = not (down and name in {"thanos", "vault", "sync", "loki"})
        seconds = 0.01 + random.random() * 0.1 if ok else random.choice((0.02, 0.03, series["timeout"]))
        value: Any = None
        if name == "secret":
            # Somebody emptied it while Vault was away, on one cluster.
            value = (
                "e3b0c44298fc" if id.startswith("C3/app1") and down and now > away[0] + 40 else "9f86d081884c"
            )
        if name == "backlog":
            segments = (
                segments + 800 * random.random() if down else max(segments - 2600, 90 * random.random())
            )
            value = round(segments)
        if id != "C4/app1/denied" or not away[0] + 35 < now < away[0] + 48:
            yield _at(
                now,
                kind="sample",
                id=id,
                ok=ok,
                seconds=round(seconds, 4),
                value=value,
                error="" if ok else "connection refused" if seconds < 1 else "timed out after 5 s",
            )
        now += max(series["every"], seconds) + random.random() * 0.02


def _flow(
    id: str, run: tuple[float, float], lost: tuple[float, float], random: Random
) -> Iterator[dict[str, Any]]:
    number, now, base = 1, run[0] + random.random() / 10, 0.5 + random.random()
    while now < run[1]:
        begun: list[float] = []
        latencies: list[float | None] = []
        errors: dict[str, str] = {}
        for index in range(50):
            moment = now + index * 0.1
            if moment >= run[1]:
                break
            begun.append(round(index * 100.0 + random.random(), 2))
            if lost[0] <= moment < lost[1]:
                latencies.append(None)
                errors[str(index)] = "timed out"
            else:
                # Mostly quick, sometimes ten times slower, as on a busy machine.
                latencies.append(
                    round(base * (1 + random.random()) * (12 if random.random() > 0.995 else 1), 3)
                )
        yield _at(now, kind="batch", id=id, first=number, at=begun, ms=latencies, errors=errors)
        number += len(begun)
        now += len(begun) * 0.1


@cache
def _lines() -> list[dict[str, Any]]:
    return list(records())


def history(lines: Sequence[dict[str, Any]] | None = None) -> History:
    """What is read of ``lines``: of :func:`records`, unless others are given. Tests change what they get."""
    lines = _lines() if lines is None else lines
    read = parse("\n".join(map(json.dumps, lines)), file="history.jsonl")
    return History(
        run=copy.deepcopy(dict(read.run)),
        spans=dict(read.spans),
        ended=read.ended,
        samples={name: list(samples) for name, samples in read.samples.items()},
        flows={name: list(samples) for name, samples in read.flows.items()},
        acts=dict(read.acts),
        gaps={name: list(gaps) for name, gaps in read.gaps.items()},
        faults=list(read.faults),
        notes=list(read.notes),
    )


def write(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    """A history as a run leaves it."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(each)}\n" for each in lines)
