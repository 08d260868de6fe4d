"""What ``degrade`` and ``report`` print."""

from __future__ import annotations

import json as jsons
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import console
from lab.degrade import degrade as story
from lab.degrade import faults
from lab.degrade.history import FILE
from lab.degrade.report.table import render_table
from lab.degrade.verdict import Verdict, exit_code
from lab.document.position import did_you_mean
from lab.document.scalars import Unfit, duration
from lab.errors import CheckFailed, Inconclusive, InputError
from lab.settings import Settings, from_environment
from lab.topology.traits import SPARING_NODES


def degrade(
    topology: str,
    *,
    name: str,
    fault: str,
    target: str,
    hold: str,
    profile: str,
    contract: str,
    matrix: bool,
    json: bool,
) -> None:
    """Do an experiment and print its verdicts; the last line is its folder. With ``matrix``, one a fault.

    Raises :class:`CheckFailed` when a contract failed (or a negative control did not), and
    :class:`Inconclusive` when something could not be told.
    """
    request = story.Request(
        topology=topology,
        name=name or None,
        fault=fault,
        target=target,
        profile=profile,
        hold=_seconds(hold),
        contracts=tuple(filter(None, (part.strip() for part in contract.split(",")))),
    )
    settings = from_environment()
    if matrix:
        _matrix(settings, request, json=json)
        return
    folder, verdicts = story.degrade(settings, request, quiet=json)
    _print(folder, verdicts, json=json)
    _raise(folder, verdicts)


def _matrix(settings: Settings, request: story.Request, *, json: bool) -> None:
    """Do an experiment for each fault of a cluster's nodes, each with a baseline of its own."""
    if request.fault in SPARING_NODES:
        raise InputError(
            f"--matrix does each fault of a cluster's nodes, and {request.fault} is none of them",
            remedy="Leave out one of --matrix and --fault.",
        )
    done: dict[str, tuple[Path, Sequence[Verdict]]] = {}
    for fault in faults.KINDS:
        if fault not in SPARING_NODES:
            done[fault] = story.degrade(settings, replace(request, fault=fault), quiet=json)
    if json:
        console.out_json({fault: _document(folder) for fault, (folder, _) in done.items()})
    else:
        ids = [each.contract for _, verdicts in done.values() for each in verdicts]
        found = {
            (fault, each.contract): each.word for fault, (_, verdicts) in done.items() for each in verdicts
        }
        rows = [[each, *(found.get((fault, each), "") for fault in done)] for each in dict.fromkeys(ids)]
        console.table(["CONTRACT", *(fault.upper() for fault in done)], rows, names=True)
        console.out()
        for folder, _ in done.values():
            console.out(str(folder))
    for folder, verdicts in sorted(done.values(), key=lambda each: exit_code(each[1])):
        _raise(folder, verdicts)


def report(*, run: str, compare: str, every: bool, json: bool) -> None:
    """Print the verdicts on an experiment, judged again; or what differs from another; or list them all."""
    settings = from_environment()
    if every:
        for folder in story.runs(settings):
            console.out(str(folder))
        return
    folder = _find(settings, run)
    if compare:
        from lab.degrade.report import compare as comparison

        other = _find(settings, compare)
        for each in (folder, other):
            story.judged(each)
        compared = comparison.compare(_document(folder), _document(other))
        if json:
            console.out_json(compared.as_json())
        else:
            console.out(compared.text(width=_width()))
        return
    verdicts = story.judged(folder)
    _print(folder, verdicts, json=json)
    _raise(folder, verdicts)


def _print(folder: Path, verdicts: Sequence[Verdict], *, json: bool) -> None:
    if json:
        console.out_json(_document(folder))
        return
    console.out(render_table(verdicts, width=_width(), colour=console.is_coloured(sys.stdout)))
    console.out()
    console.out(f"Report: {folder / 'report.html'}")
    console.out(str(folder))


def _document(folder: Path) -> Any:
    return jsons.loads((folder / "verdict.json").read_text(encoding="utf-8"))


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _raise(folder: Path, verdicts: Sequence[Verdict]) -> None:
    code = exit_code(verdicts)
    surprising = [each.contract for each in verdicts if each.surprising]
    untold = [each.contract for each in verdicts if each.word == "inconclusive"]
    remedy = f"What was seen: {folder / 'report.html'}"
    if code == CheckFailed.exit_code:
        raise CheckFailed(f"not as it should be: {', '.join(surprising)}", remedy=remedy)
    if code == Inconclusive.exit_code:
        raise Inconclusive(f"it cannot be told of {', '.join(untold)}", remedy=remedy)


def _seconds(text: str) -> float:
    if not text:
        return 0
    try:
        return duration(text)
    except Unfit as error:
        raise InputError(f"--hold: {error}", remedy=error.remedy) from error


def _find(settings: Settings, run: str) -> Path:
    """The folder of an experiment. Raises :class:`InputError` if there is none of that name."""
    if run and (Path(run) / FILE).exists():
        return Path(run).absolute()
    known = story.runs(settings)
    if not known:
        raise InputError("there is no experiment to report on", remedy="Make one: ./invoke degrade")
    if not run:
        return known[-1]
    for folder in known:
        if folder.name == run:
            return folder
    raise InputError(
        f"there is no experiment {run!r}",
        remedy=did_you_mean(run, [folder.name for folder in known]) + "See them all: ./invoke report --all",
    )
