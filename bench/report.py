"""How long it takes to make the reports of a long run: read its history, judge it, write everything.

Needs no lab. The history is made up: 12 minutes, 20 flows of 10 requests a second, and all else that a run
records. Run it from the checkout: .venv/bin/python bench/report.py [--runs 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from bench.common import MIB, heading, main, median, row, table
from lab.degrade import history
from lab.degrade.judge import judge
from lab.degrade.report.write import PAGE, write_all
from tests.unit.degrade.report import made

LASTS_S = 12 * 60
OWN_FLOWS = 2
"""What each of the two clusters has anyway: within itself, and to the other; each in two manners."""

PARTS = ("reading", "judging", "writing all reports")


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--flows", type=int, default=20, help="flows, each manner counted (20)")
    parser.add_argument("--keep", type=Path, help="a folder for the history and its reports, to look at them")
    options = parser.parse_args()
    heading("report: a long run")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / history.FILE
        scale = LASTS_S / sum(made.DURATIONS.values())
        made.write(path, made.records(scale=scale, flows=max(0, options.flows // 4 - OWN_FLOWS)))
        took = [_once(path) for _ in range(options.runs)]
        requests = sum(map(len, history.read(path).flows.values()))
        table(("seconds of", "runs", "median"))
        for place, part in enumerate(PARTS):
            row(part, options.runs, median([each[place] for each in took]))
        row(f"all of it ({requests} requests)", options.runs, median([sum(each) for each in took]))
        table(("MiB of", "size"))
        for name in (history.FILE, PAGE):
            row(name, (folder / name).stat().st_size / MIB)


def _once(path: Path) -> list[float]:
    """Seconds of each part of making the reports from the history at ``path``, once."""
    began = time.monotonic()
    known = history.read(path)
    read = time.monotonic()
    verdicts = judge(known)
    judged = time.monotonic()
    write_all(path.parent, known, verdicts)
    return [read - began, judged - read, time.monotonic() - judged]


if __name__ == "__main__":
    main(measure)
