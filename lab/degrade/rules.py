"""Whether one judgement is so, by its rule: from what was seen, and nothing else.

What was seen stays seen: a request that was lost, a value that changed, is told however little is known of
the rest. That nothing happened can only be told of a time of which enough is known.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from jinja2 import TemplateSyntaxError

from lab import redact
from lab.catalog.contract import PHASES, Judgement, Phase, Rule
from lab.catalog.words import value_at
from lab.degrade import expression
from lab.degrade.history import History, Sample
from lab.degrade.observed import Observed
from lab.degrade.verdict import Finding
from lab.degrade.watched import Watched, later, stretches
from lab.document.position import listed, shorten

STAYS_S: Final = 30.0
"""How long what has returned must be well without a failure, to have returned."""

SILENT: Final = 0.9
"""The share of samples that fail where something is silent: a request may get through to what is dying."""


@dataclass(frozen=True)
class _Seen:
    """Whether it is so (None: it cannot be told), a sentence on what was seen, and figures.

    ``evidence`` is all of it, where that is more than a sentence. Of several that are not so, the one with
    the greatest ``weight`` is told.
    """

    ok: bool | None
    text: str
    measured: Mapping[str, Any] = field(default_factory=dict)
    weight: int = 0
    evidence: str = ""


def find(case: Observed, judgement: Judgement) -> Finding:
    """Return what was seen of a judgement, and whether it is so."""
    seen = _RULES[judgement.rule](case, judgement)
    return Finding(
        says=judgement.says,
        ok=seen.ok,
        proof=judgement.proof,
        seen=seen.text,
        evidence=seen.evidence,
        measured=seen.measured,
    )


def _answers(case: Observed, judgement: Judgement) -> _Seen:
    seen = _of_each(case, judgement, _answers_one, _all_answered)
    if not judgement.after:
        return seen
    late = f"what counts begins after {_seconds(judgement.after)} of {_phases(judgement)[0]}"
    return replace(seen, text=f"{seen.text}; {late}")


def _phases(judgement: Judgement) -> tuple[Phase, ...]:
    """The phases that an ``answers`` is of."""
    return judgement.phases or PHASES


def _answers_one(history: History, judgement: Judgement, watched: Watched) -> _Seen:
    phases, after = _phases(judgement), judgement.after
    samples = watched.during(phases, after=after)
    failures = [each for each in samples if not each.ok]
    outage = watched.longest_outage(failures)
    took = sorted(each.seconds for each in samples if each.ok)
    measured: dict[str, Any] = {
        "requests": len(samples),
        "lost": len(failures),
        "longest_outage_s": round(outage, 1),
        "p50_ms": _milliseconds(took, 0.5),
        "p99_ms": _milliseconds(took, 0.99),
    }
    if watched.unknown:
        measured["unknown"] = watched.unknown
    if len(failures) > judgement.lost:
        most = f"; at most {judgement.lost} may" if judgement.lost else ""
        text = _loss(watched, samples, failures, outage) + most
        return _Seen(False, text, {watched.name: measured}, len(failures))
    doubt = _doubt(history, watched, phases, after=after)
    if not doubt and len(samples) < judgement.least:
        doubt = f"there are only {len(samples)} {watched.called}, of {judgement.least} that it takes"
    if doubt:
        return _Seen(None, doubt, {watched.name: measured})
    if failures:
        text = f"{_loss(watched, samples, failures, outage)}; {judgement.lost} may"
    else:
        text = f"none of {len(samples)} {watched.called} {_failed(watched, 1)}"
    if watched.unknown:
        text += f"; {watched.unknown} of the whole run are not known of"
    return _Seen(True, text, {watched.name: measured})


def _all_answered(seen: Sequence[_Seen]) -> str:
    """What to say where several flows are as they should be."""
    figures = [each for one in seen for each in one.measured.values()]
    lost, requests = (sum(each[key] for each in figures) for key in ("lost", "requests"))
    were = "were" if lost > 1 else "was"
    return f"{lost or 'none'} of {requests} requests in {len(figures)} flows {were} lost"


def _loss(watched: Watched, samples: Sequence[Sample], failures: Sequence[Sample], outage: float) -> str:
    why = _errors(failures)
    return (
        f"{len(failures)} of {len(samples)} {watched.called} {_failed(watched, len(failures))}"
        f"{f' ({why})' if why else ''}, the longest outage {_seconds(outage)}"
    )


def _failed(watched: Watched, count: int) -> str:
    return f"{'was' if count == 1 else 'were'} lost" if watched.is_flow else "failed"


def _errors(failures: Sequence[Sample]) -> str:
    """What failures said, the most frequent first."""
    errors = [
        shorten(error, most=80)
        for error, _ in Counter(each.error for each in failures).most_common()
        if error
    ]
    return listed(errors, most=1)


def _silent(case: Observed, judgement: Judgement) -> _Seen:
    return _of_each(case, judgement, _silent_one, lambda seen: "; ".join(each.text for each in seen))


def _silent_one(history: History, judgement: Judgement, watched: Watched) -> _Seen:
    phases = judgement.phases or ("hold",)
    # One that was still waiting at the end (a node that is paused answers when it goes on) tells of later.
    ends = [end for _, end in stretches(history, phases)]
    samples = [
        each
        for each in watched.during(phases, after=watched.timeout)
        if not any(each.mono < end < each.mono + each.seconds for end in ends)
    ]
    failures = [each for each in samples if not each.ok]
    measured = {f"{watched.name}_silent": {"samples": len(samples), "failed": len(failures)}}
    doubt = _doubt(history, watched, phases)
    if not doubt and not samples:
        doubt = f"there are no {watched.called} in {listed(phases)} after {_seconds(watched.timeout)}"
    if doubt:
        return _Seen(None, doubt, measured)
    text = f"{len(failures)} of {len(samples)} {watched.called} failed in {listed(phases)}"
    return _Seen(len(failures) >= SILENT * len(samples), text, measured)


def _same(case: Observed, judgement: Judgement) -> _Seen:
    return _of_each(case, judgement, _same_one, lambda seen: "; ".join(each.text for each in seen))


def _same_one(history: History, judgement: Judgement, watched: Watched) -> _Seen:
    phases = [phase for phase in PHASES if phase in history.spans]
    samples = [each for each in watched.during(phases) if each.ok]
    values = [_canonical(each.value) for each in samples]
    value = values[0] if values else ""
    measured = {f"{watched.name}_samples": len(samples), f"{watched.name}_value": shorten(value)}
    other = next((index for index, each in enumerate(values) if each != value), None)
    if other is not None:
        before, after = _apart(value, values[other])
        when = _when(history, samples[other].mono)
        return _Seen(False, f"{watched.title} changed {when}, from {before} to {after}", measured)
    doubt = "" if "baseline" in phases else "the run had no phase baseline"
    doubt = doubt or watched.too_little(phases)
    for phase in () if doubt else (phases[0], phases[-1]):
        if not any(each.ok for each in watched.during([phase])):
            doubt = f"no {watched.called} were ok in {phase}"
    if not doubt and value == "null":
        doubt = f"{watched.called} have no value that could be compared"
    if not doubt and redact.MARK in value:
        doubt = f"the value of {watched.title} was taken out as a secret, so it cannot be compared"
    if doubt:
        return _Seen(None, doubt, measured)
    return _Seen(True, f"{watched.title} had one value in {len(samples)} samples, {shorten(value)}", measured)


def _returns(case: Observed, judgement: Judgement) -> _Seen:
    one = partial(_returns_one, first=case.series.get(judgement.once))
    return _of_each(case, judgement, one, lambda seen: "; ".join(each.text for each in seen))


def _returns_one(history: History, judgement: Judgement, watched: Watched, *, first: Watched | None) -> _Seen:
    undone = history.first("undone")
    if undone is None and "recover" not in history.spans:
        return _Seen(None, "the fault was not undone")
    start = undone.mono if undone else history.spans["recover"][0]
    counted_from, what = start, "the fault was undone"
    if first is not None:
        if (before := _back(first.since(start))) is None:
            return _Seen(None, f"{first.title} was not ok again, and {watched.title} waits on it")
        counted_from, what = before.mono + before.seconds, f"{first.title} was"
    samples = watched.since(start)
    back = _back(samples)
    failures = [each for each in samples if not each.ok and (back is None or each.mono < back.mono)]
    # What waits on another may have been sampled right before that one was.
    took = max(0.0, back.mono + back.seconds - counted_from) if back else None
    measured = {f"{watched.name}_returned_s": round(took, 1)} if took is not None else {}
    within = _seconds(judgement.within)
    back_text = f"{watched.title} was ok again {_seconds(took or 0)} after {what}, and had {within}"
    if failures and failures[-1].mono > counted_from + judgement.within:
        last = failures[-1]
        why = f" ({shorten(last.error, most=80)})" if last.error else ""
        still = f"{watched.title} still failed {_seconds(last.mono - counted_from)} after {what}{why}"
        return _Seen(False, back_text if back else f"{still}, and had {within}", measured)
    # What was ended in recover, and is back, is back.
    doubt = _doubt(history, watched, ["recover", "settle"] if "settle" in history.spans else ["recover"])
    if not doubt and not samples:
        doubt = f"there are no {watched.called} after the fault was undone"
    if not doubt and took is None:
        left = _seconds(history.end - counted_from)
        doubt = f"the run ended {left} after {what}, and {watched.title} has {within} to be back"
    if doubt or took is None:
        return _Seen(None, doubt, measured)
    return _Seen(took <= judgement.within, back_text, measured)


def _back(samples: Sequence[Sample]) -> Sample | None:
    """The first of those that are well for long enough, or else to the end."""
    first = None
    for each in samples:
        first = (first or each) if each.ok else None
        if first is not None and each.mono + each.seconds - first.mono >= STAYS_S:
            break
    return first


def _holds(case: Observed, judgement: Judgement) -> _Seen:
    try:
        paths = expression.mentioned(judgement.expression)
        flows = {path[1]: case.by_manner(path[1]) for path in paths if path[0] == "flows"}
        known = expression.words(case.history, case.acts, case.series, flows)
        ok, trouble = expression.holds(judgement.expression, known)
    except TemplateSyntaxError as error:
        return _Seen(None, f"its expression cannot be read: {error.message}")
    acts = list(dict.fromkeys(path[1] for path in paths if path[0] == "acts"))
    measured = {name: _worth(case, name) for name in acts if name in case.acts}
    never = [_named(case, name) for name in acts if name not in case.acts]
    doubt = f"{listed(never)} never ran" if never and not ok else ""
    for path in paths:
        doubt = doubt or _doubt_about(case, path)
    if doubt:
        return _Seen(None, doubt, measured)
    rest = []
    for path in paths:
        there, value = value_at(known, path)
        if path[0] != "acts" and there:
            rest.append(f"{'.'.join(path)} is {_figure(value)}")
    rest += [trouble] if trouble else []
    done = [name for name in acts if name in case.acts]
    text = "; ".join([*(_act(case, name, paths) for name in done), *rest]) or judgement.expression
    return _Seen(ok, text, measured, evidence="; ".join([*(_whole(case, name) for name in done), *rest]))


def _doubt_about(case: Observed, path: expression.Path) -> str:
    """Why nothing can be said of what an expression mentions: no such phase, or too little known of it."""
    name, phase = expression.asked(path)
    if phase and phase not in case.history.spans:
        return f"the run had no phase {phase}"
    if not name or not phase:
        return ""
    return next((text for each in case.of(name) if (text := each.too_little([phase]))), "")


def _worth(case: Observed, id: str) -> Any:
    done = case.acts[id]
    return round(done.seconds, 1) if done.value is None else done.value


def _named(case: Observed, id: str) -> str:
    """What sentences call an act."""
    return f'"{case.summaries.get(id) or id}"'


def _act(case: Observed, id: str, paths: Sequence[expression.Path]) -> str:
    """What came of an act, as far as ``paths`` ask for it: values in it, or else whether it was done."""
    done, took = case.acts[id], f"after {_seconds(case.acts[id].seconds)}"
    mine = [path[2:] for path in paths if path[:2] == ("acts", id)]
    values = []
    for path in mine:
        there, value = value_at({"value": done.value}, path)
        if there:
            values.append(f"{'.'.join(path[1:]) or 'its value'} is {_figure(value)}")
    if values and all(path[:1] in (("value",), ("seconds",)) for path in mine):
        return f"{_named(case, id)}: {', '.join(values)} {took}"
    how = f"was done {took}" if done.ok else ": ".join(filter(None, (f"failed {took}", done.why)))
    return ", ".join([f"{_named(case, id)} {how}", *values])


def _whole(case: Observed, id: str) -> str:
    """The same with all that was recorded."""
    done = case.acts[id]
    text = f"{id} {'was done' if done.ok else 'failed'} after {_seconds(done.seconds)}"
    if done.error:
        text += f" ({done.error})"
    return text if done.value is None else f"{text}, its value {_canonical(done.value)}"


_RULES: Final[Mapping[Rule, Callable[[Observed, Judgement], _Seen]]] = {
    "answers": _answers,
    "silent": _silent,
    "same": _same,
    "returns": _returns,
    "holds": _holds,
}


def _of_each(
    case: Observed,
    judgement: Judgement,
    one: Callable[[History, Judgement, Watched], _Seen],
    well: Callable[[Sequence[_Seen]], str],
) -> _Seen:
    """A judgement is meant of each that its name stands for. The worst is told, or ``well`` of all."""
    seen = [one(case.history, judgement, each) for each in case.of(judgement.of)]
    if not seen:
        return _Seen(None, f'there is nothing called "{judgement.of}" that was watched')
    measured = {key: value for each in seen for key, value in each.measured.items()}
    for ok in (False, None):
        bad = [each for each in seen if each.ok is ok]
        if bad:
            worst = max(bad, key=lambda each: each.weight)
            more = f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else ""
            return _Seen(ok, worst.text + more, measured)
    return _Seen(True, seen[0].text if len(seen) == 1 else well(seen), measured)


def _doubt(history: History, watched: Watched, phases: Sequence[Phase], *, after: float = 0) -> str:
    """Why nothing can be said of ``phases`` without their first ``after`` seconds; empty if something can."""
    for phase in phases:
        if phase not in history.spans:
            return f"the run had no phase {phase}"
    if after and not later(history, phases, after):
        lasted = sum(end - start for start, end in stretches(history, phases))
        return f"{listed(phases)} lasted {_seconds(lasted)}"
    return watched.too_little(phases, after=after)


def _when(history: History, moment: float) -> str:
    injected = history.first("injected")
    if injected is None:
        return f"{_seconds(moment - min(start for start, _ in history.spans.values()))} after the beginning"
    after = moment - injected.mono
    return f"{_seconds(abs(after))} {'after' if after >= 0 else 'before'} the fault"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def _figure(value: Any) -> str:
    """A value in a sentence."""
    return shorten(_canonical(round(value, 3) if isinstance(value, float) else value))


def _apart(one: str, other: str) -> tuple[str, str]:
    """Two values short enough for a sentence, and so that the difference can be seen."""
    alike = next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    cut = max(0, alike - 10) if max(len(one), len(other)) > 40 else 0
    dots = "..." if cut else ""
    return dots + shorten(one[cut:]), dots + shorten(other[cut:])


def _milliseconds(sorted_seconds: Sequence[float], share: float) -> float | None:
    """The time within which ``share`` of the requests were answered."""
    if not sorted_seconds:
        return None
    place = max(0, math.ceil(share * len(sorted_seconds)) - 1)
    return round(sorted_seconds[place] * 1000, 1)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 10 and round(value, 1) != round(value) else f"{value:.0f} s"
