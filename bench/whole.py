"""How long the whole platform takes, what it takes of memory, and what a changed option costs.

Each run: up with every addon of the topology (its own proof within), verify, a rest, memory of each
cluster, up again with one option of one addon changed, down. Memory is what the nodes use, page cache
left out. Run it from the checkout: .venv/bin/python bench/whole.py [--runs 3] [-t hub-spoke] [--rest 300]
"""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.common import (
    GIB,
    StepTime,
    heading,
    invoke,
    journaled,
    load,
    main,
    median,
    named,
    own_lab,
    require_absent,
    require_warm,
    row,
    table,
    working_sets,
)
from lab import console
from lab.settings import from_environment
from lab.workspace import Workspace, open_workspace

EVERY_S = 10.0

OPTION = ("{use: demo}", "{use: demo, with: {rate: 6}}")
"""What is changed in the topology: another number of orders a second."""


LIMITED = {
    ("app1", "prometheus-agent", "prometheus"): 128,
    ("app2", "prometheus-agent", "prometheus"): 128,
    ("app1", "promtail", "promtail"): 64,
    ("app2", "promtail", "promtail"): 64,
    ("mgmt", "loki", "loki"): 256,
    ("mgmt", "thanos", "receive"): 1024,
}
"""The limits in MiB that the lab's design states: cluster, namespace, container."""


@dataclass(frozen=True)
class Run:
    """One run: seconds of each part, GiB of each cluster, MiB of what is limited, the steps of ``up``."""

    seconds: dict[str, float]
    memory: dict[str, float]
    steps: dict[str, StepTime]
    changed: tuple[str, ...]
    limited: dict[tuple[str, str, str], float]


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="hub-spoke")
    parser.add_argument("--name", type=own_lab, default="bench-all", help="name of the lab (bench-all)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rest", type=float, default=300, help="seconds before memory is read (300)")
    options = parser.parse_args()
    settings = from_environment()
    workspace = open_workspace(settings, options.topology, name=options.name)
    require_absent(settings, workspace)
    require_warm(workspace, whole=True)
    clusters = [cluster.name for cluster in workspace.topology.clusters]
    heading(f"platform: {options.topology}, every addon, images here")
    console.out()
    console.out(
        f"Seconds of `./invoke up` and of `verify` after it; GiB of each cluster's nodes {options.rest:g} s "
        f"later; seconds of `up` after `{OPTION[0]}` became `{OPTION[1]}`."
    )
    table(("run", "load before", "up", "verify", *clusters, "all", "one option", "down"))
    runs = []
    for number in range(1, options.runs + 1):
        before = load()
        try:
            runs.append(_run(workspace, rest=options.rest))
        finally:
            down = invoke("down", *named(workspace), "--yes").seconds
        runs[-1].seconds["down"] = down
        row(number, before, *_cells(runs[-1], clusters))
    cells = zip(*(_cells(run, clusters) for run in runs), strict=True)
    row("median", "", *(median(list(column)) for column in cells))
    console.out()
    console.out("Working sets of what the design limits, in MiB, the largest seen.")
    table(("cluster", "namespace", "container", "most", "limit"))
    for which, limit in LIMITED.items():
        row(*which, max(run.limited[which] for run in runs), limit)
    console.out()
    console.out(f"What one option touched: {', '.join(runs[0].changed)}.")
    console.out()
    console.out("Steps of `up`: seconds that each took, and when it ended after the first one's start.")
    table(("step", "seconds", "ended at"))
    for step in runs[0].steps:
        times = [run.steps[step] for run in runs if step in run.steps]
        row(step, median([each.seconds for each in times]), median([each.ended for each in times]))


def _cells(run: Run, clusters: list[str]) -> list[float]:
    memory = [run.memory[name] for name in clusters]
    parts = [run.seconds[part] for part in ("up", "verify", "option", "down")]
    return [*parts[:2], *memory, sum(memory), *parts[2:]]


def _run(workspace: Workspace, *, rest: float) -> Run:
    lab = named(workspace)
    seconds = {"up": invoke("up", *lab, "--yes").seconds}
    steps = journaled(workspace.folder.journals)
    seconds["verify"] = invoke("verify", *lab).seconds
    limited = _watch(workspace, seconds=rest)
    [(provider, topology)] = workspace.shared_out
    used = provider.memory(topology)
    memory = {name: size / GIB for name, size in used.items()}
    with TemporaryDirectory() as folder:
        changed = Path(folder) / "changed.yaml"
        changed.write_text(_changed(workspace.topology.path))
        other = ("-t", str(changed), "--name", workspace.lab)
        seconds["option"] = invoke("up", *other, "--yes").seconds
    touched = tuple(journaled(workspace.folder.journals))
    return Run(seconds, memory, steps, touched, limited)


def _watch(workspace: Workspace, *, seconds: float) -> dict[tuple[str, str, str], float]:
    """The largest working set of each container that is limited, in MiB, as kubelet tells it."""
    most = dict.fromkeys(LIMITED, 0.0)
    ending = time.monotonic() + seconds
    while time.monotonic() < ending:
        for cluster, kube in workspace.kubes.items():
            for namespace, name, used in working_sets(kube):
                which = (cluster, namespace, name)
                if which in most:
                    most[which] = max(most[which], used)
        time.sleep(EVERY_S)
    return most


def _changed(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    assert OPTION[0] in text, f"{path.name} has no {OPTION[0]}"
    return re.sub(re.escape(OPTION[0]), OPTION[1], text, count=1)


if __name__ == "__main__":
    main(measure)
