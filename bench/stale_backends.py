"""What each choice of mesh.stale_backends costs: requests lost when a cluster is, or a mesh API server.

For each choice a lab of two clusters and the mesh alone: one is killed, and judged is what the other sees;
then its mesh API server is taken away, and judged is what it sees itself. Requests are those that
experiments make (docs/degrade.md). It takes about half an hour. Run it from the checkout:
.venv/bin/python bench/stale_backends.py [--hold 240s]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.common import experiment, heading, main, own_lab, row, standing, table
from lab import console
from lab.degrade.history import FILE, History, Sample, read
from lab.degrade.watched import Watched
from lab.document.scalars import Unfit, duration
from lab.errors import HostError
from lab.settings import from_environment
from lab.workspace import Workspace, open_workspace

CHOICES: Final = ("keep", "prefer_local", "{drop_after: 30s}")

TOPOLOGY: Final = """\
version: lab/v1
name: bench-stale
mesh: {{stale_backends: {choice}}}
clusters:
  east: {{role: app}}
  west: {{role: app}}
"""

FAULTS: Final[Mapping[str, str]] = {"kill": "west", "component": "west/mesh"}

FLOWS: Final = ("near", "anywhere", "between")

ENDED_S: Final = 10.0
"""Losses that went on until so long before the end of the outage did not end in it."""


@dataclass(frozen=True)
class Figures:
    """Of one flow, new and kept connections together: how many while it was away, and what of them was lost.

    ``none_from`` is in seconds since the fault: the last loss of the outage began then; None, if they went on
    to its end. ``later`` are those that were lost after the fault was undone.
    """

    requests: int
    lost: int
    longest: float
    none_from: float | None
    later: int


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--name", type=own_lab, default="bench-stale", help="name of the lab (bench-stale)")
    # Long enough for drop_after: Cilium takes up to 150 s to notice, and drops 30 s later.
    parser.add_argument("--hold", default="240s", help="how long each outage lasts (240s)")
    options = parser.parse_args()
    try:
        duration(options.hold)
    except Unfit as error:
        parser.error(f"--hold: {error}")
    settings = from_environment()
    heading(f"stale backends: a cluster, or a mesh API server, is away for {options.hold}")
    console.out()
    console.out(
        "Requests while it was away, on new and on kept connections: to a service of both clusters with "
        "affinity `local` (near), to one that states none (anywhere), to the other cluster's own (between; "
        "with a cluster killed, the one that is left has no other). None lost from: seconds since the fault, "
        "a dash where they were lost to its end. Later: lost once it was undone."
    )
    table(
        (
            "stale_backends",
            "fault",
            "flow",
            "requests",
            "lost",
            "longest outage s",
            "none lost from s",
            "later",
        )
    )
    with TemporaryDirectory() as folder:
        for choice in CHOICES:
            path = Path(folder) / "topology.yaml"
            path.write_text(TOPOLOGY.format(choice=choice), encoding="utf-8")
            workspace = open_workspace(settings, str(path), name=options.name)
            with standing(workspace, whole=False):
                _compare(workspace, choice, hold=options.hold)


def _compare(workspace: Workspace, choice: str, *, hold: str) -> None:
    """A lab with one choice: both faults, a row for each flow."""
    for fault, target in FAULTS.items():
        words = ("--fault", fault, "--target", target, "--profile", "quick", "--hold", hold)
        history = read(experiment(workspace, *words) / FILE)
        if history.first("undone") is None:
            raise HostError("the experiment did not come about")
        for flow in FLOWS:
            seen = _figures(history, flow)
            cells = (seen.requests, seen.lost, seen.longest, seen.none_from, seen.later) if seen else ()
            row(choice, f"{fault} {target}", flow, *(cells or [None] * 5))


def _figures(history: History, flow: str) -> Figures | None:
    """What became of the requests of a flow; None where the experiment had none of it."""
    start, end = (found.mono for what in ("injected", "undone") if (found := history.first(what)))
    flows = [list(each) for each in _of(history, flow)]
    if not flows:
        return None
    away = [each for one in flows for each in one if start <= each.mono < end]
    lost = [each for each in away if not each.ok]
    last = max((each.mono for each in lost), default=start)
    return Figures(
        requests=len(away),
        lost=len(lost),
        longest=max(_longest(history, one, start, end) for one in flows),
        none_from=None if lost and last > end - ENDED_S else last - start,
        later=sum(not each.ok for one in flows for each in one if each.mono >= end),
    )


def _of(history: History, flow: str) -> Iterator[tuple[Sample, ...]]:
    """The requests of each flow of that name: CONTRACT/CLUSTER/FLOW[-CLUSTER]/MANNER."""
    for name, samples in history.flows.items():
        found = name.split("/")[2]
        if found == flow or found.startswith(f"{flow}-"):
            yield tuple(samples)


def _longest(history: History, samples: list[Sample], start: float, end: float) -> float:
    """The longest outage among failures that began between the two, as reports tell it."""
    flow = Watched(history=history, name="", title="", every=0, timeout=0, samples=samples, is_flow=True)
    return flow.longest_outage([each for each in samples if start <= each.mono < end])


if __name__ == "__main__":
    main(measure)
