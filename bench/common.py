"""What all measurements share: the heading, tables, running ./invoke, and leaving nothing behind."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from types import FrameType
from typing import NoReturn

from lab import console, observe, state
from lab.clients import docker, process
from lab.clients.kube import Kube
from lab.degrade.degrade import runs
from lab.engine import journal
from lab.errors import CheckFailed, HostError, Inconclusive, LabError
from lab.host import container_engine, tools
from lab.images.catalog import needed_for
from lab.images.node import NodeImage
from lab.installed import placed
from lab.settings import LABEL, PROJECT, Settings
from lab.supply import Supply, supply
from lab.workspace import Workspace, states

LONG_S = 7200.0
"""No single command of a measurement takes longer, or it is a failure."""

GIB = 2**30
MIB = 2**20


def named(workspace: Workspace) -> tuple[str, ...]:
    """The words that name a lab on a command line."""
    return ("-t", workspace.asked_for, "--name", workspace.lab)


# ---- what is printed


def heading(title: str) -> None:
    """Print what a reader must know before any figure: when, of what, on what, and by which command."""
    kubernetes = needed_for(["base"])[0].reference.rpartition(":")[2]
    try:
        engine = docker.engine().version
    except docker.EngineUnreachable:
        engine = "none that answers"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Without this machine's folders, which are nobody's business.
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    command = shlex.join([".venv/bin/python", f"bench/{Path(sys.argv[0]).name}", *words])
    console.out(f"### {title}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    console.out()
    console.out(
        f"kind {tools.tools()['kind'].version}, Kubernetes {kubernetes}, Cilium {observe.CILIUM}, "
        f"Docker {engine}, kernel {platform.release()}; {os.cpu_count()} cores, {memory / GIB:.1f} GiB; "
        f"load average before {load()}; commit {_commit()}; `{command}`"
    )


def load() -> str:
    """The load average of the last 1, 5 and 15 minutes."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def table(columns: Sequence[str]) -> None:
    """Print the head of a Markdown table; :func:`row` prints its rows, each as soon as it is known."""
    console.out()
    row(*columns)
    row(*("---" for _ in columns))


def row(*cells: object) -> None:
    """Print a row of a Markdown table: numbers with three digits or so, None as a dash."""
    console.out("| " + " | ".join(_cell(cell) for cell in cells) + " |")


def median(values: Sequence[float]) -> float | None:
    """The median of ``values``, None when there are none."""
    return statistics.median(values) if values else None


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return str(value)


def _commit() -> str:
    def git(*words: str) -> str:
        return process.run(["git", "-C", PROJECT, *words]).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (" and changes" if git("status", "--porcelain") else "")


# ---- what is run


def main(measure: Callable[[], None]) -> NoReturn:
    """Run ``measure``, tell errors as ``./invoke`` does, and exit with their code.

    SIGTERM is Ctrl-C, so that what was made is removed in either case.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        measure()
    except LabError as error:
        console.error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def own_lab(name: str) -> str:
    """Check an argument that names a lab: one that these scripts may remove. For argparse."""
    if not name.startswith(("bench-", "b-")):
        raise argparse.ArgumentTypeError(f"{name}: the lab is removed in the end, so call it bench-...")
    return name


def invoke(
    *words: str,
    checkout: Path = PROJECT,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = console.note,
    cancelled: Event | None = None,
) -> process.Result:
    """Run ``./invoke WORDS``; its progress goes to our stderr. Raises for any exit code but 0.

    ``cancelled``, once set, interrupts it.
    """
    console.note(f"$ ./invoke {shlex.join(words)}")
    return process.run(
        [checkout / "invoke", *words],
        cwd=checkout,
        env=env,
        timeout=LONG_S,
        on_line=on_line,
        cancelled=cancelled,
        # Interrupted, it has containers to let go of.
        grace=60,
    )


def experiment(workspace: Workspace, *words: str) -> Path:
    """Run ``./invoke degrade WORDS`` and return its folder; whether contracts held is not asked here."""
    before = set(runs(workspace.settings))
    try:
        invoke("degrade", *named(workspace), *words)
    except process.CommandError as error:
        if error.exit_code_of_command not in (CheckFailed.exit_code, Inconclusive.exit_code):
            raise
    made = [each for each in runs(workspace.settings) if each not in before]
    if len(made) != 1:
        raise HostError(f"{len(made)} experiments were made, where one was asked for")
    return made[0]


@contextmanager
def standing(workspace: Workspace, *, whole: bool, keep: bool = False) -> Iterator[None]:
    """A lab that was not there and is gone afterwards: with all that its topology has, or the mesh alone.

    With ``keep`` it may have been there, and stays: for several measurements on one lab. Raises what
    :func:`require_absent` and :func:`require_warm` do.
    """
    if not keep:
        require_absent(workspace.settings, workspace)
    require_warm(workspace, whole=whole)
    lab = named(workspace)
    try:
        invoke("up", *lab, *(() if whole else ("--only", "mesh")), "--yes")
        yield
    finally:
        if not keep:
            invoke("down", *lab, "--yes")


@dataclass
class Stopwatch:
    """Seconds of every part of a run, in order."""

    seconds: dict[str, float]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add what happens within to the part ``name``."""
        console.note(f"{name} ...")
        started = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            console.note(f"{name} ... {took:.1f} s")


@dataclass(frozen=True)
class StepTime:
    """How long a step of ``up`` took, and when it ended, in seconds since the run's start."""

    seconds: float
    ended: float


def journaled(folder: Path) -> dict[str, StepTime]:
    """The steps that the newest journal in ``folder`` says were done, in the order of their ends."""
    records = journal.read(max(folder.glob(f"*{journal.SUFFIX}")))
    [start] = [record.mono for record in records if record.event == "run-start"]
    return {
        record.step: StepTime(float(record.fields["seconds"]), record.mono - start)
        for record in records
        if record.event == "step-end" and record.step and record.fields.get("outcome") == "done"
    }


def working_sets(kube: Kube) -> Iterator[tuple[str, str, float]]:
    """Namespace, name and working set in MiB of each container of a cluster, as its kubelets tell it now."""
    for node in kube.nodes():
        summary = kube.get(f"/api/v1/nodes/{node.name}/proxy/stats/summary")
        for pod in summary["pods"]:
            for each in pod.get("containers", ()):
                used = each["memory"].get("workingSetBytes", 0) / MIB
                yield pod["podRef"]["namespace"], each["name"], used


# ---- what must be there before, and must not be there after


def require_warm(workspace: Workspace, *, whole: bool = False) -> Supply:
    """What the lab is made of, all of it here already; with its addons if it is ``whole``.

    Raises :class:`HostError` where images or tools would have to be brought first: that is measured
    by cold.py, and would spoil any other figure.
    """
    wanted = placed(workspace) if whole else ()
    made_of = supply(workspace.settings, workspace.topology, images="auto", wanted=wanted)
    missing = [step.summary for step in made_of.steps() if not step.done]
    if not missing and not made_of.node_image.is_there():
        missing = ["the node image"]
    if missing:
        raise HostError(
            f"the image cache is not warm: {len(missing)} missing, first of all {missing[0]}",
            remedy=f"Fill it: ./invoke up{workspace.arguments}{'' if whole else ' --only mesh'} --yes, then "
            f"./invoke down{workspace.arguments}; or measure that with bench/cold.py.",
        )
    return made_of


def require_absent(settings: Settings, workspace: Workspace) -> None:
    """Raise :class:`HostError` unless there is nothing at all of the lab."""
    label = f"{LABEL}={workspace.lab}"
    if state.folder(settings, workspace.lab).path.exists() or states(workspace) or docker.networks(label):
        raise HostError(
            f"there is a lab {workspace.lab} already, and a measurement starts from nothing",
            remedy=f"Remove it: ./invoke down{workspace.arguments} --yes",
        )


def bare_node_image(made_of: Supply) -> NodeImage:
    """A node image as kind's own are: with Kubernetes' images in it, and nothing of the mesh."""
    images = (made_of.base, *needed_for(["node"]))
    archives = [made_of.source.archive(image) for image in images if not made_of.source.carried(image)]
    return NodeImage(base=made_of.base.reference, archives=archives, shim=container_engine.shim_needed())


@contextmanager
def at_hand(image: NodeImage) -> Iterator[float]:
    """Have ``image`` for a while; gives the seconds that making it took. What was there stays."""
    was_there = image.is_there()
    started = time.monotonic()
    console.note("making a node image" if not was_there else f"{image.tag} is here already")
    image.make(timeout=1800, say=console.note)
    try:
        yield time.monotonic() - started
    finally:
        if not was_there:
            docker.remove_image(image.tag)
