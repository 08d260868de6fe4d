"""From a machine that has nothing of ours: clone, ./invoke up, until it returned.

A fresh clone of the checkout (its last commit) in a temporary folder, with caches, state and .venv of
its own there; no pip cache, and the Go that lab brings rather than this machine's. The node image and
its base are put aside in the container engine for the time, and put back. What cannot be cold here: the
engine itself, Debian's packages that are installed already, and layers in the engine's store (where it
had the base node image before, that image's half a gigabyte is missing from the figures of disk).

Disk is the used space of the file systems of that folder and of the engine, every 2 s, less what it was
at the start: on a machine where nobody else writes.

Run it from the checkout: .venv/bin/python bench/cold.py [-t hub-spoke] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from bench.common import (
    heading,
    invoke,
    journaled,
    main,
    own_lab,
    require_absent,
    row,
    table,
)
from lab import console
from lab.clients import docker, process
from lab.errors import HostError, LabError
from lab.settings import PROJECT, from_environment
from lab.workspace import open_workspace

EVERY_S = 2.0

GB = 10**9

REFERENCES = """
import sys
from lab.settings import from_environment
from lab.supply import supply
from lab.workspace import open_workspace
settings = from_environment()
topology = open_workspace(settings, sys.argv[1], name=sys.argv[2]).topology
made_of = supply(settings, topology, images=sys.argv[3])
print(made_of.base.reference, made_of.node_image.tag)
"""
"""Asks the clone, which may differ from the checkout, what it will call its images."""


@dataclass
class Disk:
    """Samples the disk in a thread; all figures are GB more than at the start."""

    folders: tuple[Path, ...]
    worst: float = 0.0
    worst_at: float = 0.0
    worst_while: str = ""
    said: str = ""
    """The last line that ``up`` has printed."""

    _start: int = field(init=False)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        """Take the measure of the start."""
        self._start, self._started = self._used(), time.monotonic()

    def now(self) -> float:
        """The space that is used more now than at the start."""
        return (self._used() - self._start) / GB

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Sample all the while."""
        stop = Event()

        def sample() -> None:
            while not stop.wait(EVERY_S):
                if (now := self.now()) > self.worst:
                    self.worst, self.worst_while = now, self.said
                    self.worst_at = time.monotonic() - self._started

        sampler = Thread(target=sample, daemon=True)
        sampler.start()
        try:
            yield
        finally:
            stop.set()
            sampler.join()

    def _used(self) -> int:
        file_systems = {folder.stat().st_dev: folder for folder in self.folders}
        return sum(shutil.disk_usage(folder).used for folder in file_systems.values())


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="hub-spoke")
    parser.add_argument("--name", type=own_lab, default="bench-cold", help="name of the lab (bench-cold)")
    parser.add_argument("--images", default="source", choices=("source", "registry"))
    parser.add_argument("--only", default="mesh", help="as of up (mesh: no addons); empty: all of them")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument(
        "--seed", type=Path, help="a cache to start with, to try this script: the figures mean nothing then"
    )
    options = parser.parse_args()
    settings = from_environment()
    require_absent(settings, open_workspace(settings, options.topology, name=options.name))
    heading(f"cold: {options.topology} from nothing, images from {options.images}")
    if options.seed:
        console.out("\n**Not cold: begun with a cache, to try the script.**")
    with ExitStack() as stack:
        # Not world-readable by accident: kubeconfigs and the mesh's CA lie below.
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-cold-", dir=options.folder)))
        checkout = folder / "checkout"
        lab = ("-t", options.topology, "--name", options.name)
        env = {
            "LAB_CACHE": str(folder / "cache"),
            "LAB_STATE": str(folder / "state"),
            "PIP_NO_CACHE_DIR": "1",
            "PATH": _path_without_go(),
        }
        process.run(["git", "clone", "--quiet", PROJECT, checkout], timeout=300)
        # Docker makes its root folder; before its first start there is none.
        disk = Disk(tuple(path for path in (folder.parent, docker.engine().root_dir) if path.exists()))
        if options.seed:
            shutil.copytree(options.seed, folder / "cache", copy_function=os.link)
        else:
            for reference in _references(checkout, env, (*lab[1::2], options.images)):
                if (found := docker.image(reference)) is not None:
                    size = found.size_bytes / GB
                    console.out(f"\nPut aside for the time: {reference}, {size:.2f} GB.")
                stack.enter_context(_put_aside(reference))
        # Last in, first out: the lab goes before its images and its folder do.
        stack.callback(_down, checkout, env, lab)
        only = ("--only", options.only) if options.only else ()
        _measure(
            disk, folder, ("up", *lab, "--images", options.images, *only, "--yes"), env, name=options.name
        )
    console.out()
    console.out(f"After everything was removed again: {disk.now():.2f} GB more than before.")


def _measure(disk: Disk, folder: Path, up: tuple[str, ...], env: dict[str, str], *, name: str) -> None:
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        disk.said = line
        console.note(line)

    with disk.watched():
        took = invoke(*up, checkout=folder / "checkout", env=env, on_line=on_line).seconds
    steps = journaled(folder / "state" / "labs" / name / "journals")
    table(("what", "figure"))
    row("`./invoke up`, .venv included, minutes", took / 60)
    row(
        "... of that, outside of its steps, minutes", (took - max(each.ended for each in steps.values())) / 60
    )
    row("disk at its worst, GB", disk.worst)
    row("... after minutes", disk.worst_at / 60)
    row("... last line before", disk.worst_while.strip())
    row("disk when `up` has returned, GB", disk.now())
    for part in ("cache", "state", "checkout"):
        row(f"... of that, {part}, GB", _size(folder / part) / GB)
    estimates = [line.strip() for line in lines if "about" in line and "... (about" not in line]
    console.out()
    console.out("Estimates that were printed, against the truth:")
    console.out()
    for line in estimates or ["(none)"]:
        console.out(f"- {line}")
    programs = [step for step in steps if step.startswith("images/program/")]
    if programs:
        console.out(
            f"- true: {len(programs)} programs took {sum(steps[step].seconds for step in programs) / 60:.1f} "
            f"minutes together, side by side; the last was ready "
            f"{max(steps[step].ended for step in programs) / 60:.1f} minutes after the first step began"
        )
    table(("step", "seconds", "ended at"))
    for step, time_of in steps.items():
        row(step, time_of.seconds, time_of.ended)


def _references(checkout: Path, env: dict[str, str], arguments: tuple[str, ...]) -> list[str]:
    """The base node image and the node image, as the clone names them: the base first."""
    # From the clone's folder, which comes first on Python's path: its lab, with our packages.
    command = [sys.executable, "-c", REFERENCES, *arguments]
    return process.run(command, cwd=checkout, env=env, timeout=120).stdout.split()


@contextmanager
def _put_aside(reference: str) -> Iterator[None]:
    """Have no image called ``reference`` for a while; whatever gets that name meanwhile is removed."""
    kept = f"bench.local/kept/{reference}"
    # One that is there already was left by a run that was killed.
    if docker.image(kept) is None and docker.image(reference) is not None:
        docker.tag(reference, kept)
    docker.remove_image(reference)
    try:
        yield
    finally:
        docker.remove_image(reference)
        if docker.image(kept) is not None:
            docker.tag(kept, reference)
            docker.remove_image(kept)


def _down(checkout: Path, env: dict[str, str], lab: tuple[str, ...]) -> None:
    # Whatever went wrong, images must still be put back.
    try:
        invoke("down", *lab, "--yes", checkout=checkout, env=env)
    except LabError as error:
        console.error(error)


def _path_without_go() -> str:
    """PATH without folders that are there for a Go toolchain: a bare machine has none."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    kept = [each for each in folders if not Path(each, "go").exists() or Path(each, "git").exists()]
    if not shutil.which("python3", path=os.pathsep.join(kept)):
        raise HostError("without the folders of Go there is no python3 on PATH")
    return os.pathsep.join(kept)


def _size(folder: Path) -> int:
    """Bytes that the files below ``folder`` take on disk, each once."""
    sizes: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            stat = path.lstat()
            sizes[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(sizes.values())


if __name__ == "__main__":
    main(measure)
