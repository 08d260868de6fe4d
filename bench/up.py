"""How long a lab takes from nothing, once images are here, and what it takes of memory.

Each run: up, a minute of rest, up again, verify, down. Memory is what the nodes use, page cache left
out. Run it from the checkout: .venv/bin/python bench/up.py [--runs 3] [-t hub-spoke]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

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
)
from lab import console
from lab.settings import from_environment
from lab.workspace import Workspace, open_workspace

COLUMNS = ("up", "memory GiB", "memory at rest GiB", "second up", "verify", "down")


@dataclass(frozen=True)
class Run:
    """One run: a figure for each of COLUMNS (seconds unless it says GiB), and the steps of ``up``."""

    figures: tuple[float, ...]
    steps: dict[str, StepTime]


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="hub-spoke")
    parser.add_argument("--name", type=own_lab, default="bench-up", help="name of the lab (bench-up)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rest", type=float, default=60, help="seconds before memory is read again (60)")
    options = parser.parse_args()
    settings = from_environment()
    workspace = open_workspace(settings, options.topology, name=options.name)
    require_absent(settings, workspace)
    require_warm(workspace)
    heading(f"up: {options.topology}, {len(workspace.topology.clusters)} clusters, images here")
    console.out()
    console.out(
        f"Seconds of `./invoke up --only mesh` (its own verify within), memory of all nodes right after and "
        f"{options.rest:g} s later, then `up` again, `verify` and `down`."
    )
    table(("run", "load before", *COLUMNS))
    runs = []
    for number in range(1, options.runs + 1):
        before = load()
        try:
            runs.append(_run(workspace, rest=options.rest))
        finally:
            _down(workspace)
        row(number, before, *runs[-1].figures)
    row("median", "", *(median([run.figures[column] for run in runs]) for column in range(len(COLUMNS))))
    _print_steps(runs)


def _run(workspace: Workspace, *, rest: float) -> Run:
    lab = named(workspace)
    up = invoke("up", *lab, "--only", "mesh", "--yes")
    at_once = _memory(workspace)
    steps = journaled(workspace.folder.journals)
    time.sleep(rest)
    at_rest = _memory(workspace)
    again = invoke("up", *lab, "--only", "mesh", "--yes")
    verify = invoke("verify", *lab)
    down = _down(workspace)
    return Run((up.seconds, at_once, at_rest, again.seconds, verify.seconds, down), steps)


def _memory(workspace: Workspace) -> float:
    """Of all nodes together, in GiB."""
    [(provider, topology)] = workspace.shared_out
    used = provider.memory(topology)
    console.note("memory: " + ", ".join(f"{name} {size / GIB:.2f} GiB" for name, size in used.items()))
    return sum(used.values()) / GIB


def _down(workspace: Workspace) -> float:
    return invoke("down", *named(workspace), "--yes").seconds


def _print_steps(runs: list[Run]) -> None:
    console.out()
    console.out("Steps of `up`: seconds that each took, and when it ended after the first one's start.")
    table(("step", *(f"run {number}" for number in range(1, len(runs) + 1)), "median", "ended at, median"))
    for step in runs[0].steps:
        times = [run.steps[step] for run in runs if step in run.steps]
        row(
            step,
            *(run.steps[step].seconds if step in run.steps else None for run in runs),
            median([each.seconds for each in times]),
            median([each.ended for each in times]),
        )


if __name__ == "__main__":
    main(measure)
