"""``test``: everything this project can say about itself, the fast part first, real clusters last."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import console
from lab.clients import process
from lab.errors import CheckFailed, HostError, InputError
from lab.host import browser
from lab.host.prepare import make_ready
from lab.settings import PROJECT

TIERS = ("auto", "unit", "cold", "warm")

_FAST = ("tests/unit", "tests/topologies", "tests/addons")
_CLUSTERS = "tests/clusters"

_FAST_TIMEOUT_S = 900.0
_CLUSTERS_TIMEOUT_S = 4 * 3600.0
"""Real clusters on two slow cores, with every image to be made first, take more than an hour."""

_TEAR_DOWN_S = 300.0
"""What interrupted tests have to remove their clusters."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which tests on real clusters to run, and why these."""

    marks: str | None
    """The expression for ``pytest -m``; None for none."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One command that must succeed."""

    name: str
    command: tuple[str, ...]
    timeout_s: float = _FAST_TIMEOUT_S


def run_tests(
    *,
    tier: str = "auto",
    long: bool = False,
    assume_yes: bool = False,
    cached: Callable[[], bool] = lambda: False,
    project: Path = PROJECT,
) -> None:
    """Check style and types, run unit tests, then the tests on real clusters that :func:`choose` names.

    The stages' output goes to stdout as it comes, so that pytest's closing line is there to be read;
    what is run and why, and how long it took, go to stderr. On a terminal the person is asked before
    clusters are made, unless ``assume_yes``; "no" leaves it at the fast stages. Raises
    :class:`lab.errors.CheckFailed` after the first stage that fails, :class:`lab.errors.InputError`
    for a tier that does not exist.
    """
    choice = choose(tier, long=long, cached=cached)
    stages = fast_stages(project)
    console.note(f"tests: {choice.why}")
    if choice.marks is not None and (project / _CLUSTERS).is_dir() and _agreed(assume_yes=assume_yes):
        stages.append(clusters_stage(choice.marks))
    _have_browser(assume_yes=assume_yes)
    started = time.monotonic()
    for stage in stages:
        _run(stage, project=project)
    console.note(f"all {len(stages)} stages passed in {console.duration(time.monotonic() - started)}")


def choose(tier: str, *, long: bool, cached: Callable[[], bool]) -> Choice:
    """The tests on real clusters that ``tier`` stands for.

    ``unit``: none. ``cold``: those marked ``pair``. ``warm``: all but those marked ``long``. ``auto``:
    warm when ``cached`` says that all images are there, else cold. ``long`` adds the long ones, and so
    everything. Raises :class:`lab.errors.InputError` for any other tier, and for ``unit`` with ``long``.
    """
    if tier not in TIERS:
        raise InputError(f"there is no tier {tier!r}", remedy=f"Tiers: {', '.join(TIERS)}.")
    if tier == "unit":
        if long:
            raise InputError(
                "--tier unit and --long contradict each other: long tests need clusters",
                remedy="Leave out one of them.",
            )
        return Choice(marks=None, why="no clusters, because the tier is unit")
    if long:
        return Choice(marks="cluster", why="everything, because of --long")
    because = f"because the tier is {tier}"
    if tier == "auto":
        tier, because = (
            ("warm", "all images are cached") if cached() else ("cold", "images must be made first")
        )
        because = f"because {because}"
    if tier == "warm":
        return Choice(marks="cluster and not long", why=f"all but the long ones (warm), {because}")
    return Choice(marks="cluster and pair and not long", why=f"one pair of clusters (cold), {because}")


def fast_stages(project: Path) -> list[Stage]:
    """What needs no cluster, cheapest first."""
    python = sys.executable
    folders = [folder for folder in _FAST if (project / folder).is_dir()]
    return [
        Stage(name="ruff check", command=(python, "-m", "ruff", "check", ".")),
        Stage(name="ruff format", command=(python, "-m", "ruff", "format", "--check", ".")),
        Stage(name="mypy", command=(python, "-m", "mypy")),
        Stage(name="unit tests", command=(python, "-m", "pytest", "-q", *_colour(), *folders)),
    ]


def clusters_stage(marks: str) -> Stage:
    """The tests on real clusters that carry ``marks``, slowest ones named."""
    command = (sys.executable, "-m", "pytest", "-v", "--durations=10", *_colour(), "-m", marks, _CLUSTERS)
    return Stage(name="tests on real clusters", command=command, timeout_s=_CLUSTERS_TIMEOUT_S)


def _have_browser(*, assume_yes: bool) -> None:
    """Have the browser there that pages are looked at with; without one, those tests are skipped."""
    if browser.find() is not None:
        return
    advice = "with --yes, root has it installed"
    if assume_yes:
        try:
            make_ready(browser.examine, root=os.geteuid() == 0, assume_yes=True)
        except HostError as error:
            advice = error.remedy
        else:
            return
    console.note(f"tests: nobody looks at the report's pages, for there is no Chromium: {advice}")


def _run(stage: Stage, *, project: Path) -> None:
    console.note(f"== {stage.name}")
    started = time.monotonic()
    try:
        process.run(
            stage.command, timeout=stage.timeout_s, cwd=project, on_line=console.out, grace=_TEAR_DOWN_S
        )
    except process.CommandError as error:
        # Its output is above already; of the error only "failed" or "did not end" is news.
        how = "failed" if error.exit_code_of_command is not None else "did not end in time"
        took = console.duration(time.monotonic() - started)
        raise CheckFailed(f"{stage.name}: {how} ({took})", remedy=f"Alone: {_shown(stage)}") from error


def _shown(stage: Stage) -> str:
    return " ".join([".venv/bin/python", *stage.command[1:]])


def _colour() -> tuple[str, ...]:
    return ("--color=yes",) if console.is_coloured(sys.stdout) else ()


def _agreed(*, assume_yes: bool) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return console.confirm("Make real clusters on this machine for it?", assume_yes=assume_yes)
