"""One experiment several times in a row on one lab: whether its verdicts are the same each time.

A row for each: when it began, how long it took and how long all took to come back, requests and how many of
them were lost for contracts that promise that none is, and each verdict that is not what the first one had.
The lab is made for it with everything that its topology has; an hour and more for ten of ``quick``. They
may be spread over several runs of this script, on one lab that it leaves standing (``--keep``). Run it
from the checkout: .venv/bin/python bench/repeat.py [-t hub-spoke] [--times 10] [--profile quick] [--keep]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.common import experiment, heading, main, own_lab, row, standing, table
from lab import console
from lab.degrade.history import FILE, read
from lab.degrade.observed import MANNERS
from lab.degrade.profiles import PROFILES
from lab.settings import from_environment
from lab.workspace import Workspace, open_workspace

OF_FLOWS = tuple(f"_{manner}" for manner in MANNERS)
"""What the names of a flow's figures end in."""


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="hub-spoke")
    parser.add_argument("--name", type=own_lab, default="bench-repeat", help="name of the lab (bench-repeat)")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--profile", choices=tuple(PROFILES), default="quick")
    parser.add_argument("--keep", action="store_true", help="take a lab that stands, and leave it standing")
    options = parser.parse_args()
    workspace = open_workspace(from_environment(), options.topology, name=options.name)
    heading(f"the same experiment {options.times} times: {options.topology}, {options.profile}")
    with standing(workspace, whole=True, keep=options.keep):
        _repeat(workspace, options.profile, options.times)


def _repeat(workspace: Workspace, profile: str, times: int) -> None:
    table(("run", "began", "seconds", "all back after s", "requests", "lost", "other than the first"))
    first: dict[str, str] = {}
    same = 0
    for number in range(1, times + 1):
        folder = experiment(workspace, "--profile", profile)
        verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
        words = {each["id"]: each["verdict"] for each in verdict["contracts"]}
        first = first or words
        other = [f"{name} {word}" for name, word in words.items() if first.get(name) != word]
        same += words == first
        row(number, verdict["started"], *_took(folder), *_requests(verdict), ", ".join(other) or "-")
    console.out()
    console.out("Verdicts of the first: " + ", ".join(f"{name} {word}" for name, word in first.items()) + ".")
    console.out()
    console.out(f"The same verdicts: {same} of {times}.")


def _took(folder: Path) -> tuple[float, float | None]:
    """Seconds of the whole run, and until all was back."""
    history = read(folder / FILE)
    start = min(begun for begun, _ in history.spans.values())
    recover = history.spans.get("recover")
    return history.end - start, recover[1] - recover[0] if recover else None


def _requests(verdict: Mapping[str, Any]) -> tuple[int, int]:
    """Requests of contracts, without their controls, and how many of them were lost."""
    figures = [
        figure
        for each in verdict["contracts"]
        if each["control_of"] is None
        for measured in each["measured"].values()
        for name, figure in measured.items()
        if name.endswith(OF_FLOWS)
    ]
    return sum(each["requests"] for each in figures), sum(each["lost"] for each in figures)


if __name__ == "__main__":
    main(measure)
