"""What building from source took on this machine: seconds and disk of each program in the cache.

Each build notes it of itself, whichever command it was for (``images --build``, ``up``). The whole is from
the beginning of the first to the end of the last; where builds were not one after another, for an
interruption or because a later version was built on another day, give the time that counts with ``--since``.
Run it from the checkout: .venv/bin/python bench/builds.py [--since 2026-01-31T12:00]
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from bench.common import heading, main, row, table
from lab import console
from lab.errors import HostError
from lab.settings import from_environment


def measure() -> None:
    """Parse the command line, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--since", type=_moment, default=datetime.min.replace(tzinfo=UTC), help="UTC")
    options = parser.parse_args()
    notes = (from_environment().cache / "programs").glob("*/build.json")
    built = [each for each in (json.loads(note.read_text()) for note in notes) if _end(each) >= options.since]
    if not built:
        raise HostError("nothing was built here", remedy="./invoke images --build --images source")
    heading("programs, built from source")
    table(("program", "seconds", "MiB", "ended at, s"))
    begin = min(_end(each).timestamp() - each["seconds"] for each in built)
    for each in sorted(built, key=_end):
        ended = _end(each).timestamp() - begin
        row(f"{each['program']} {each['version']}", each["seconds"], each["disk_mib"], round(ended))
    console.out()
    together = sum(each["seconds"] for each in built)
    console.out(
        f"{len(built)} programs: {together / 60:.0f} minutes together, side by side; the last was there "
        f"{(max(map(_end, built)).timestamp() - begin) / 60:.1f} minutes after the first was begun."
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _end(note: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(note["finished"])


if __name__ == "__main__":
    main(measure)
