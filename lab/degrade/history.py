"""The history of an experiment: everything that was sampled and done, as it was recorded, and read again.

It is one file, one JSON object a line, only ever appended to; :class:`lab.degrade.recorder.Recorder` writes
it. All that is judged afterwards is in it. Moments are seconds of the observer's monotonic clock; the wall
clock may be set at any time, and is kept for people.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from lab.catalog.contract import PHASES, Phase
from lab.degrade.header import FORMAT, Unshaped, header
from lab.document.position import listed, shorten
from lab.errors import InputError

FILE: Final = "history.jsonl"

_END: Final = "end"
_ORDER: Final = {name: place for place, name in enumerate((*PHASES, _END))}

LONGEST_REQUEST_S: Final = 10.0
"""What a failed request took is not recorded: as long as until the next began, but no longer than this."""

_MOST: Final = 1e15
"""No moment, duration or number of a request is as far from 0 as this; NaN and infinity are not either."""

_SHORT: Final = 160
"""Characters of evidence that a person is shown: an earlier version recorded nothing shorter."""

_APART_S: Final = 1.0
"""Two requests of one number that began further apart than this are two: whoever makes them began anew."""


class Sample(NamedTuple):
    """One sample of a series, or one request of a flow. ``mono`` and ``wall`` are its beginning.

    ``error`` is what a person is shown; the record in the file may have more.
    """

    mono: float
    wall: float
    ok: bool
    seconds: float
    value: Any = None
    error: str = ""


class Gap(NamedTuple):
    """The sampler itself was late: nothing is known of the ``seconds`` before ``mono``."""

    mono: float
    seconds: float


class Done(NamedTuple):
    """An act: what came of it. ``error`` is all of the evidence against it.

    ``expected`` and ``seen`` say it shortly; empty where nothing failed, or an earlier version recorded it.
    """

    mono: float
    wall: float
    phase: str
    ok: bool
    seconds: float
    value: Any
    error: str
    expected: str = ""
    seen: str = ""

    @property
    def why(self) -> str:
        """Why it failed, shortly."""
        if self.expected and self.seen:
            return f"expected {self.expected}, saw {self.seen}"
        return shorten(self.seen or self.error, most=_SHORT)


class Fault(NamedTuple):
    """The fault was ``injected``, ``seen`` or ``undone``."""

    mono: float
    wall: float
    what: str
    detail: str = ""


class Note(NamedTuple):
    """Worth telling a reader; with a ``code`` where judges must know."""

    mono: float
    wall: float
    text: str
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class History:
    """What is known of one run.

    ``run`` is the header. ``spans`` says when phases began and ended, in their order; ``ended`` is false of
    a run that was cut off, whose last phase ends with the last that was recorded. ``samples`` and ``flows``
    are by qualified id (``C3/app1/secret``, ``C1/app1/inside/new``), in their order, each once; ``missing``
    are the numbers of requests that were made and are not known, first and last.
    """

    run: Mapping[str, Any]
    spans: Mapping[Phase, tuple[float, float]]
    ended: bool
    samples: Mapping[str, Sequence[Sample]]
    flows: Mapping[str, Sequence[Sample]]
    missing: Mapping[str, Sequence[tuple[int, int]]]
    acts: Mapping[str, Done]
    gaps: Mapping[str, Sequence[Gap]]
    faults: Sequence[Fault]
    notes: Sequence[Note]

    @property
    def end(self) -> float:
        """When the last phase ended; 0 where there was none."""
        return max((end for _, end in self.spans.values()), default=0.0)

    def first(self, what: str) -> Fault | None:
        """The first time that the fault was ``what``."""
        return next((fault for fault in self.faults if fault.what == what), None)


def read(path: Path) -> History:
    """Read a history, as far as it goes. Raises InputError where it cannot be one."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        raise InputError(
            f"there is no history at {path}", remedy="Name the folder of a run: degrade prints it last."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read", details=str(error), remedy="Check its permissions."
        ) from error
    return parse(text, file=str(path))


def parse(text: str, *, file: str) -> History:
    """Return the history in ``text``, which errors call ``file``. Raises InputError as :func:`read` does."""
    # Not splitlines(), which also splits at what JSON may hold within a line, as U+2028.
    lines = text.split("\n")
    first, *records = [_record(line) for line in lines if line.strip()] or [None]
    run = _header(first, file)
    reading = _Reading(run, (each for each in (first, *records) if each is not None))
    cut = bool(lines[-1].strip()) and records[-1:] == [None]
    for each in records[:-1] if cut else records:
        reading.take(each)
    return reading.made(cut=cut)


def _record(line: str) -> dict[str, Any] | None:
    """The record in a line; None where there is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not (
        _is_number(record.get("mono")) and _is_number(record.get("wall"))
    ):
        return None
    return record


def _header(record: Mapping[str, Any] | None, file: str) -> dict[str, Any]:
    remedy = "Nothing was tried yet when it ended, or it is not a history: run degrade again."
    if record is None or record.get("kind") != "run":
        raise InputError(f"{file} does not begin with what was tried", remedy=remedy)
    if record.get("format") != FORMAT:
        raise InputError(
            f"{file} is of format {shorten(str(record.get('format')))}, and this version reads {FORMAT}",
            remedy="Use the version of the tool that wrote it.",
        )
    try:
        return header(record)
    except Unshaped as error:
        raise InputError(f"{file} does not say what was tried", details=str(error), remedy=remedy) from error


class _Reading:
    """What has been read of a history so far."""

    def __init__(self, run: dict[str, Any], records: Iterable[Mapping[str, Any]]) -> None:
        self.run = run
        self.anchors = sorted((each["wall"], each["mono"]) for each in records if not self._is_foreign(each))
        self.last = max(mono for _, mono in self.anchors)
        self.phases: dict[str, float] = {}
        self.samples: dict[str, list[Sample]] = {}
        self.requests: dict[str, dict[int, Sample]] = {}
        self.acts: dict[str, Done] = {}
        self.gaps: dict[str, list[Gap]] = {}
        self.faults: list[Fault] = []
        self.notes: list[Note] = []
        self.anew: set[str] = set()
        self.unreadable = 0

    def take(self, record: Mapping[str, Any] | None) -> None:
        """Add a record; what is not one, or not whole, is counted. Kinds that are not known are left out."""
        if record is None:
            self.unreadable += 1
            return
        take = {
            "phase": self._phase,
            "sample": self._sample,
            "gap": self._gap,
            "batch": self._batch,
            "act": self._act,
            "fault": self._fault,
            "note": self._note,
        }.get(str(record.get("kind")))
        if take:
            try:
                take(record, self._moment(record), float(record["wall"]))
            except (KeyError, TypeError, ValueError):
                self.unreadable += 1

    def made(self, *, cut: bool) -> History:
        """The history, whose last line was ``cut`` off or not."""
        flows = {name: _in_order(requests) for name, requests in sorted(self.requests.items())}
        missing = {name: _missing(requests) for name, requests in sorted(self.requests.items())}
        return History(
            run=self.run,
            spans=self._spans(),
            ended=_END in self.phases,
            samples={name: _once(samples) for name, samples in sorted(self.samples.items())},
            flows=flows,
            missing={name: holes for name, holes in missing.items() if holes},
            acts=dict(sorted(self.acts.items())),
            gaps={name: sorted(set(gaps)) for name, gaps in sorted(self.gaps.items())},
            faults=sorted(set(self.faults)),
            notes=[*sorted(set(self.notes)), *self._own_notes(cut=cut)],
        )

    def _spans(self) -> dict[Phase, tuple[float, float]]:
        begun = sorted((mono, _ORDER[name]) for name, mono in self.phases.items() if name != _END)
        spans: dict[Phase, tuple[float, float]] = {}
        end = self.phases.get(_END, self.last)
        for mono, place in reversed(begun):
            spans[PHASES[place]] = (mono, max(mono, end))
            end = mono
        return dict(reversed(spans.items()))

    def _own_notes(self, *, cut: bool) -> list[Note]:
        wall = self.anchors[-1][0]
        texts = []
        if cut:
            texts.append("the last record was cut off: the observer was killed while writing it")
        if _END not in self.phases:
            texts.append("the run was cut off: its end was not recorded")
        if self.unreadable:
            texts.append(f"{self.unreadable} of the records cannot be read")
        if self.anew:
            texts.append(
                f"requests were numbered anew, and what is known of them is not whole: {listed(self.anew)}"
            )
        return [Note(self.last, wall, text) for text in texts]

    def _is_foreign(self, record: Mapping[str, Any]) -> bool:
        return record.get("boot") not in (None, "", self.run["boot"])

    def _moment(self, record: Mapping[str, Any]) -> float:
        """When ``record`` begins, on the observer's monotonic clock.

        Another machine's says nothing here: its wall time is compared with that of the observer's records,
        with the nearest of them, because the observer's wall clock may have been set in between.
        """
        if not self._is_foreign(record):
            return float(record["mono"])
        wall = record["wall"]
        place = bisect_left(self.anchors, (wall, -math.inf))
        near = self.anchors[max(0, place - 1) : place + 1]
        there, mono = min(near, key=lambda anchor: abs(anchor[0] - wall))
        return float(mono + wall - there)

    def _phase(self, record: Mapping[str, Any], mono: float, wall: float) -> None:
        name = record["phase"]
        if name not in _ORDER:
            raise ValueError
        self.phases[name] = min(mono, self.phases.get(name, mono))

    def _sample(self, record: Mapping[str, Any], mono: float, wall: float) -> None:
        ok, seconds = _boolean(record["ok"]), _number(record["seconds"])
        error = _text(record.get("seen") or record.get("error"))
        sample = Sample(mono, wall, ok, seconds, record.get("value"), error)
        self.samples.setdefault(_name(record["id"]), []).append(sample)

    def _gap(self, record: Mapping[str, Any], mono: float, wall: float) -> None:
        self.gaps.setdefault(_name(record["id"]), []).append(Gap(mono, _number(record["seconds"])))

    def _batch(self, record: Mapping[str, Any], mono: float, wall: float) -> None:
        name, first, errors = _name(record["id"]), record["first"], record.get("errors") or {}
        begun, latencies = record["at"], record["ms"]
        if type(first) is not int or not isinstance(errors, dict) or len(begun) != len(latencies):
            raise ValueError
        if not all(map(_is_number, begun)) or not all(ms is None or _is_number(ms) for ms in latencies):
            raise ValueError
        flow = self.requests.setdefault(name, {})
        for index, (at, ms) in enumerate(zip(begun, latencies, strict=True)):
            after = at / 1000
            if ms is None:
                made = Sample(mono + after, wall + after, False, 0.0, None, _text(errors.get(str(index))))
            else:
                made = Sample(mono + after, wall + after, True, ms / 1000)
            known = flow.get(first + index)
            if known is None:
                flow[first + index] = made
            elif known != made:
                if abs(known.mono - made.mono) > _APART_S:
                    self.anew.add(name)
                flow[first + index] = min(known, made)
        if begun:
            self.last = max(self.last, mono + begun[-1] / 1000)

    def _act(self, record: Mapping[str, Any], mono: float, wall: float) -> None:
        name, error = _name(record["id"]), _text(record.get("error"))
        ok, seconds = _boolean(record["ok"]), _number(record["seconds"])
        expected, seen = _text(record.get("expected")), _text(record.get("seen"))
        phase, value = _text(record.get("phase")), record.get("value")
        done = Done(mono, wall, phase, ok, seconds, value, error, expected, seen)
        if name not in self.acts or done[:5] < self.acts[name][:5]:
            self.acts[name] = done

    def _fault(self, record: Mapping[str, Any], mono: float, wall: float) -> None:
        self.faults.append(Fault(mono, wall, _name(record["what"]), _text(record.get("detail"))))

    def _note(self, record: Mapping[str, Any], mono: float, wall: float) -> None:
        self.notes.append(Note(mono, wall, _name(record["text"]), _text(record.get("code"))))


def _once(samples: list[Sample]) -> list[Sample]:
    """Samples in their order, each once: a series has no two that began at the same moment."""
    found: dict[float, Sample] = {}
    for each in sorted(samples, key=lambda sample: (sample.mono, sample.ok, sample.seconds)):
        found.setdefault(each.mono, each)
    return list(found.values())


def _in_order(requests: Mapping[int, Sample]) -> list[Sample]:
    """Requests by number; those that failed took until the next began, if that is known."""
    numbers = sorted(requests)
    made = [requests[number] for number in numbers]
    for index, each in enumerate(made[:-1]):
        if not each.ok and numbers[index + 1] == numbers[index] + 1:
            took = made[index + 1].mono - each.mono
            made[index] = each._replace(seconds=min(max(took, 0.0), LONGEST_REQUEST_S))
    return made


def _missing(requests: Mapping[int, Sample]) -> list[tuple[int, int]]:
    numbers = sorted(requests)
    return [(before + 1, after - 1) for before, after in pairwise(numbers) if after > before + 1]


def _is_number(value: Any) -> bool:
    # Not isinstance: there are hundreds of thousands of them, and True is none.
    return (type(value) is float or type(value) is int) and -_MOST < value < _MOST


def _number(value: Any) -> float:
    if not _is_number(value):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
