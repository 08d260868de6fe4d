"""How long planning takes for a topology of 255 clusters, and how long ``./invoke --list`` does.

Run it from the checkout: .venv/bin/python bench/scale.py [--runs 5]
"""

from __future__ import annotations

import argparse
import time

from bench.common import heading, invoke, main, median, row, table
from lab.topology.read import read_topology
from lab.workspace import TOPOLOGIES


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="scale-255")
    parser.add_argument("--runs", type=int, default=5, help="runs of plan and of reading (5)")
    parser.add_argument("--lists", type=int, default=9, help="runs of --list (9)")
    options = parser.parse_args()
    heading(f"scale: {options.topology}")
    table(("seconds of", "runs", "median"))
    plan = ("plan", "-t", options.topology, "--json")
    # Once beforehand, so that Python's and the kernel's caches are warm, as on any day but the first.
    _wall(*plan)
    _show(f"`./invoke {' '.join(plan)} >/dev/null`", [_wall(*plan) for _ in range(options.runs)])
    _read(options.topology)
    _show(
        "reading, checking and addressing it (in process)",
        [_read(options.topology) for _ in range(options.runs)],
    )
    _wall("--list")
    _show("`./invoke --list`", [_wall("--list") for _ in range(options.lists)])


def _wall(*words: str) -> float:
    return invoke(*words, on_line=lambda _: None).seconds


def _read(topology: str) -> float:
    started = time.perf_counter()
    read_topology(topology, folder=TOPOLOGIES)
    return time.perf_counter() - started


def _show(what: str, seconds: list[float]) -> None:
    row(what, " ".join(f"{each:.2f}" for each in seconds), f"{median(seconds) or 0.0:.2f}")


if __name__ == "__main__":
    main(measure)
