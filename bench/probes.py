"""What the probes of an experiment take: CPU and memory of its pods while it runs, and requests a second.

A lab of the mesh alone, and one experiment in it: its pods ask within the cluster, between clusters that are
left, and services that clusters share, in each cluster but the one that is killed. CPU is what kubelets
count of each pod (``/stats/summary``), from their first reading of a phase to their last, by the times of
these; memory is the largest working set. Requests are those in the experiment's history.
Run it from the checkout: .venv/bin/python bench/probes.py [-t pair] [--minutes 3]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Final

from bench.common import MIB, heading, invoke, main, named, own_lab, row, standing, table
from lab import console
from lab.catalog.contract import Phase
from lab.clients import process
from lab.clients.kube import Kube
from lab.degrade.degrade import runs
from lab.degrade.history import FILE, History, read
from lab.degrade.probers import NAMESPACE
from lab.errors import HostError, LabError
from lab.settings import from_environment
from lab.workspace import Workspace, open_workspace

EVERY_S = 5.0
"""Kubelets look at each container every ten to twenty seconds."""

ANSWERS_WITHIN_S = 5.0

PODS = ("echo", "prober")
"""Who answers, and who asks; beside them, contracts make pods of their own for a while."""

PHASES: Final[tuple[Phase, ...]] = ("baseline", "hold")

Pod = tuple[str, str]
"""A cluster, and which of the experiment's pods in it."""


@dataclass(frozen=True)
class Reading:
    """What kubelet says of a pod: when it looked, on our monotonic clock; seconds of CPU until then; MiB."""

    mono: float
    cpu: float
    memory: float


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="pair")
    parser.add_argument("--name", type=own_lab, default="bench-probes", help="name of the lab (bench-probes)")
    parser.add_argument("--minutes", type=float, default=3, help="how long the cluster stays away (3)")
    options = parser.parse_args()
    settings = from_environment()
    workspace = open_workspace(settings, options.topology, name=options.name)
    heading(f"probes: {options.topology}, the mesh alone")
    lab = named(workspace)
    before = set(runs(settings))
    cancelled = Event()
    with standing(workspace, whole=False):
        with ThreadPoolExecutor(max_workers=1) as pool:
            try:
                experiment = pool.submit(
                    invoke, "degrade", *lab, "--hold", f"{options.minutes * 60:.0f}s", cancelled=cancelled
                )
                seen = _watch(workspace, experiment)
            finally:
                # Whatever ended it: nobody waits for an experiment that is of no use any more.
                cancelled.set()
        made = [folder for folder in runs(settings) if folder not in before]
        if made:
            _show(read(made[-1] / FILE), seen)
        # Where it failed, that is told after what was seen until then.
        experiment.result()
        if not made:
            raise HostError("the experiment has left no history")


def _watch(workspace: Workspace, experiment: Future[process.Result]) -> dict[Pod, list[Reading]]:
    """What kubelets say of the experiment's pods until it ends; of a cluster that is away, nothing."""
    kubes = {name: Kube(kube.kubeconfig, timeout=ANSWERS_WITHIN_S) for name, kube in workspace.kubes.items()}
    # The wall clock is the same for all nodes, which are this machine's.
    offset = time.time() - time.monotonic()
    seen: dict[Pod, dict[float, Reading]] = defaultdict(dict)
    while not experiment.done():
        for cluster, kube in kubes.items():
            with suppress(LabError):
                for name, reading in _readings(kube, offset):
                    seen[cluster, name][reading.mono] = reading
        time.sleep(EVERY_S)
    return {pod: [each for _, each in sorted(readings.items())] for pod, readings in sorted(seen.items())}


def _readings(kube: Kube, offset: float) -> Iterator[tuple[str, Reading]]:
    """Each of the experiment's pods in a cluster, as its kubelet saw it last."""
    for node in kube.nodes():
        for pod in kube.get(f"/api/v1/nodes/{node.name}/proxy/stats/summary")["pods"]:
            for each in pod.get("containers", ()):
                cpu, memory = each.get("cpu", {}), each.get("memory", {})
                # Not the pods of contracts, whose containers are called so, too.
                named = each["name"] in PODS and pod["podRef"]["name"].startswith(f"{each['name']}-")
                is_ours = named and pod["podRef"]["namespace"] == NAMESPACE
                # A container that has just started is not measured yet.
                if is_ours and "usageCoreNanoSeconds" in cpu and "workingSetBytes" in memory:
                    looked = datetime.fromisoformat(cpu["time"]).timestamp() - offset
                    used = cpu["usageCoreNanoSeconds"] / 1e9
                    yield each["name"], Reading(looked, used, memory["workingSetBytes"] / MIB)


def _show(history: History, seen: dict[Pod, list[Reading]]) -> None:
    spans = {phase: history.spans[phase] for phase in PHASES if phase in history.spans}
    away = history.run["target"]
    console.out()
    console.out(
        f"Percent of one core, and MiB, of each pod of an experiment in which {away} is killed: "
        + ", ".join(f"{end - start:.0f} s of {phase}" for phase, (start, end) in spans.items())
        + "."
    )
    table(("cluster", "pod", *spans, "MiB, most"))
    cores: dict[Phase, float] = dict.fromkeys(spans, 0.0)
    most = 0.0
    for (cluster, name), readings in seen.items():
        shares = {phase: _share(readings, span) for phase, span in spans.items()}
        memory = max(each.memory for each in readings)
        row(cluster, name, *(share and share * 100 for share in shares.values()), memory)
        most += memory
        for phase, share in shares.items():
            cores[phase] += share or 0.0
    row("all", "", *(share * 100 for share in cores.values()), most)
    rates = {phase: _rate(history, span) for phase, span in spans.items()}
    table(("", *spans))
    row("requests a second", *rates.values())
    row(
        "ms of a core a request",
        *(1000 * cores[phase] / rate if rate else None for phase, rate in rates.items()),
    )
    row("part of one core", *(f"{share:.3f}" for share in cores.values()))


def _share(readings: list[Reading], span: tuple[float, float]) -> float | None:
    """The part of a core that a pod took, between its first reading within ``span`` and its last."""
    within = [each for each in readings if span[0] <= each.mono <= span[1]]
    if len(within) < 2:
        # Too short, or the pod was not there.
        return None
    return (within[-1].cpu - within[0].cpu) / (within[-1].mono - within[0].mono)


def _rate(history: History, span: tuple[float, float]) -> float:
    """Requests a second that began within ``span``."""
    made = sum(span[0] <= each.mono < span[1] for flow in history.flows.values() for each in flow)
    return made / (span[1] - span[0])


if __name__ == "__main__":
    main(measure)
