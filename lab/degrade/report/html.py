"""``report.html``: an experiment for a reader who was not there.

It is one file that needs nothing from elsewhere: it has no scripts, and forbids itself to load anything. What
others wrote (evidence, errors, names) goes through the template's escaping; only
:mod:`lab.degrade.report.draw` makes markup, of numbers.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lab.degrade.history import History
from lab.degrade.report import draw, evidence, lanes, pictures, words
from lab.degrade.report.moments import broken, extent, moment
from lab.degrade.verdict import Verdict


def html(history: History, verdicts: Sequence[Verdict]) -> str:
    """The page."""
    run, over = history.run, lanes.axis(history)
    panels = lanes.panels(history, over)
    seen = {(each.contract, each.cluster): each for each in panels}
    drawn = [lane for each in panels for lane in each.lanes]
    latencies = draw.scale(drawn)
    rows = list(pictures.rows(panels, latencies, over))
    injected, undone = (moment(history, what) for what in ("injected", "undone"))
    away = None if injected is None else (injected, over.end if undone is None else undone)
    page = _environment().get_template("report.html.j2")
    return page.render(
        run=run,
        title=words.fault(
            run["fault"],
            run["target"],
            broken(history),
            real=injected is not None,
            undone=undone is not None,
        ),
        outcome=words.outcome(verdicts),
        tone=_tone(verdicts),
        tally=words.tally(verdicts),
        facts=list(_facts(history)),
        warnings=list(_warnings(history)),
        notes=[(words.moment(over.since(note.mono)), note.text) for note in history.notes],
        claims=words.contracts(verdicts),
        controls=words.controls(verdicts),
        meanings=words.MEANINGS,
        anchor=_anchors(verdicts),
        named=words.named,
        toned=words.tone,
        gist=words.gist,
        fails={case["contract"]: case["fails"] for case in run["cases"]},
        stage=draw.stage(history.spans.values(), away, over),
        phases=list(pictures.phases(history, over)),
        ticks=list(pictures.ticks(over, fault=injected is not None)),
        scale=(words.lasted(latencies.most), words.lasted(latencies.least)),
        groups=[
            (cluster, [row for row in rows if row.cluster == cluster])
            for cluster in dict.fromkeys(row.cluster for row in rows)
        ],
        charts=list(pictures.charts(drawn, over)),
        bars=list(pictures.bars(list(evidence.returns(history, verdicts)))),
        contracts=[
            (verdict, [
                (
                    evidence.part(history, verdict, on, seen.get((on.contract, on.cluster)), over),
                    [row for row in rows if (row.contract, row.cluster) == (on.contract, on.cluster)],
                )
                for on in verdict.clusters
            ])
            for verdict in verdicts
        ],
        again=command(run),
        faults=[(words.moment(over.since(each.mono)), each.what, each.detail) for each in history.faults],
    ).lstrip()  # fmt: skip


def command(run: Mapping[str, Any]) -> str:
    """The command line that makes the experiment again."""
    # As it was typed: a topology that lies in no folder of ours is known by its path alone.
    declared, typed = run["topology"], run["asked_for"]["topology"]
    given = [("-t", typed or declared), ("--fault", run["fault"]), ("--target", run["target"])]
    if run["lab"] != declared:
        given.insert(1, ("--name", run["lab"]))
    given += [("--profile", run["profile"]["name"]), ("--hold", f"{run['profile']['hold_s']:g}s")]
    given.append(("--contract", run["asked_for"]["contract"]))
    return shlex.join(["./invoke", "degrade", *(words.line(w) for pair in given if pair[1] for w in pair)])


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # The one place through which all text goes.
        finalize=lambda value: value if isinstance(value, Markup) else words.plain(value),
    )


def _tone(verdicts: Sequence[Verdict]) -> str:
    """What the outcome looks like as a whole."""
    if any(each.surprising for each in verdicts):
        return "fail"
    found = {each.word for each in verdicts}
    held = any(each.word == "pass" for each in words.contracts(verdicts))
    return "inconclusive" if "inconclusive" in found else "pass" if held else "skipped"


def _anchors(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Where the page has each contract: under its id, where that is one."""
    return {
        each.contract: each.contract
        if re.fullmatch(r"[A-Z][A-Za-z0-9-]*", each.contract)
        else f"contract-{i}"
        for i, each in enumerate(verdicts)
    }


def _warnings(history: History) -> Iterator[str]:
    """What a reader must know before anything else."""
    if not history.ended:
        yield "This run was cut off. What would have come after its last record is not known."
    yield from (note.text for note in history.notes if note.code)


def _facts(history: History) -> Iterator[tuple[str, str]]:
    run, (start, end) = history.run, extent(history)
    yield "Began", words.clock(run["wall"])
    yield "Took", words.lasted(end - start)
    injected, seen = (moment(history, what) for what in ("injected", "seen"))
    told = [words.manner(run["fault"]), *(each.detail for each in history.faults if each.what == "injected")]
    if injected is not None and seen is not None:
        told.append(f"seen {words.lasted(max(seen - injected, 0))} after it was done")
    yield "Fault", "; ".join(filter(None, told)) or run["fault"]
    yield "Profile", run["profile"]["name"] or "none"
    yield (
        "Judged on",
        words.listed(list(dict.fromkeys(case["cluster"] for case in run["cases"]))) or "nothing",
    )
    yield "Lab", run["lab"]
    yield "Run", run["run"]
