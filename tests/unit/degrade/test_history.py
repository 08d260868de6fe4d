from __future__ import annotations

import json
import random

import pytest

from lab.degrade.history import Done, Fault, Gap, Sample, parse, read
from lab.degrade.judge import judge
from lab.errors import InputError
from tests.unit.degrade.histories import START, WALL, Run, between, text_of


def test_what_was_recorded_is_read(tmp_path):
    run = Run()
    run.series("sync", every=60, value={"n": 1}, fails=between(60, 61))
    run.act("refresh", error="no route", ok=False)
    run.add("gap", 30, id="C1/app1/sync", seconds=7.5)
    run.note(40, "a word")
    path = tmp_path / "history.jsonl"
    path.write_text(run.text())

    history = read(path)

    assert history.run["fault"] == "kill"
    assert history.spans["hold"] == (START + 22, START + 82)
    assert list(history.spans) == ["baseline", "inject", "hold", "recover", "settle"]
    assert history.ended
    assert history.end == START + 112
    assert history.samples["C1/app1/sync"] == [
        Sample(START, WALL, True, 0.01, {"n": 1}, ""),
        Sample(START + 60, WALL + 60, False, 0.01, None, "timed out"),
    ]
    assert history.acts["C1/app1/refresh"] == Done(
        START + 22, WALL + 22, "hold", False, 3.1, None, "no route"
    )
    assert history.gaps["C1/app1/sync"] == [Gap(START + 30, 7.5)]
    assert history.first("seen") == Fault(START + 22, WALL + 22, "seen", "")
    assert [note.text for note in history.notes] == ["a word"]


def batch(run: Run, at: float, first: int, ms: list[float | None], **fields: object) -> None:
    run.add(
        "batch",
        at,
        id="C1/app1/inside/new",
        first=first,
        at=[index * 100.0 for index in range(len(ms))],
        ms=ms,
        **fields,
    )


def test_requests_are_by_number_and_count_once():
    run = Run()
    batch(run, 2.0, 20, [1.0, None, 3.0], errors={"1": "timed out"})
    batch(run, 1.0, 10, [5.0, 6.0])
    batch(run, 2.1, 21, [None, 3.0], errors={"0": "timed out"})

    history = run.history()

    flow = history.flows["C1/app1/inside/new"]
    assert [(round(each.mono - START, 3), each.ok, each.error) for each in flow] == [
        (1.0, True, ""),
        (1.1, True, ""),
        (2.0, True, ""),
        (2.1, False, "timed out"),
        (2.2, True, ""),
    ]
    assert [round(each.seconds, 3) for each in flow] == [0.005, 0.006, 0.001, 0.1, 0.003]
    assert history.missing == {"C1/app1/inside/new": [(12, 19)]}


def test_a_failed_request_took_until_the_next_began_but_not_for_ever():
    run = Run()
    for at, first in ((1.0, 1), (3.0, 2), (60.0, 3)):
        batch(run, at, first, [None])
    batch(run, 61.0, 5, [None])

    flow = run.history().flows["C1/app1/inside/new"]

    assert [each.seconds for each in flow] == [2.0, 10.0, 0.0, 0.0]


def test_requests_that_were_numbered_anew_are_told():
    run = Run()
    batch(run, 1.0, 1, [1.0, 1.0])
    batch(run, 50.0, 1, [1.0, 1.0])

    history = run.history()

    assert len(history.flows["C1/app1/inside/new"]) == 2
    assert "numbered anew" in history.notes[-1].text


@pytest.mark.parametrize("backwards", [False, True])
def test_what_contradicts_itself_is_read_the_same_in_any_order(backwards):
    run = Run()
    run.series("sync", until=-1)
    run.act("refresh", ok=True)
    run.act("refresh", ok=False)
    run.sample("sync", 30, ok=True)
    run.sample("sync", 30, ok=False)
    batch(run, 3.0, 1, [1.0])
    batch(run, 3.0, 1, [None])
    run.add("phase", 25, phase="hold")
    run.fault("undone", 100)
    first, *rest = map(json.loads, run.text().splitlines())
    if backwards:
        rest.reverse()

    history = parse(text_of([first, *rest]), file="x")

    assert [each.ok for each in history.samples["C1/app1/sync"]] == [False]
    assert [each.ok for each in history.flows["C1/app1/inside/new"]] == [False]
    assert history.acts["C1/app1/refresh"].ok is False
    assert history.spans["hold"][0] == START + 22
    assert [each.mono - START for each in history.faults] == [20, 22, 82, 100]


@pytest.mark.parametrize("step", [0, 3600, -3600])
def test_what_another_machine_recorded_is_placed_by_wall_time_whatever_happens_to_it(step):
    run = Run()
    run.series("sync", every=1)
    batch(run, 5.0, 1, [1.0], boot="boot-2")
    batch(run, 70.25, 2, [1.0], boot="boot-2")
    for record in run.records:
        if record.get("boot"):
            record["mono"] += 77_777
        if record["mono"] - START >= 50 and record["wall"] > WALL + 49:
            record["wall"] += step

    flow = run.history().flows["C1/app1/inside/new"]

    assert [round(each.mono - START, 3) for each in flow] == [5.0, 70.25]


def test_a_run_that_was_cut_off_ends_with_what_was_recorded_last():
    run = Run(whole=False, recover=None, settle=None)
    run.series("sync", until=40)

    history = run.history()

    assert not history.ended
    assert history.spans["hold"] == (START + 22, START + 40)
    assert history.notes[-1].text == "the run was cut off: its end was not recorded"


def test_a_last_line_that_was_cut_off_is_left_out_and_told():
    run = Run()
    run.series("sync")
    text = run.text()

    history = parse(text[:-30], file="x")

    assert [note.text for note in history.notes] == [
        "the last record was cut off: the observer was killed while writing it",
        "the run was cut off: its end was not recorded",
    ]


def test_lines_that_are_no_records_are_counted():
    run = Run()
    broken: list[dict[str, object]] = [
        {"kind": "sample", "mono": 1, "wall": 1, "id": 5, "ok": True, "seconds": 1},
        {"kind": "sample", "mono": 1, "wall": 1, "id": "a", "ok": 1, "seconds": 1},
        {"kind": "batch", "mono": 1, "wall": 1, "id": "a", "first": 1, "at": [1], "ms": [1, 2]},
        {"kind": "batch", "mono": 1, "wall": 1, "id": "a", "first": 1, "at": 3, "ms": 3},
        {"kind": "phase", "mono": 1, "wall": 1, "phase": "lunch"},
        {"kind": "note", "mono": 1, "wall": 1},
        {"kind": "note", "mono": float("nan"), "wall": 1, "text": "never"},
        {"kind": "note", "wall": 1, "text": "never"},
    ]
    later = [{"kind": "weather", "mono": 1, "wall": 1}]
    text = run.text() + text_of(broken) + "[]\n{\n" + "[" * 100_000 + "\n\n" + text_of(later)

    history = parse(text, file="x")

    assert history.notes[-1].text == "11 of the records cannot be read"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "x does not begin with what was tried"),
        ("\n\n", "x does not begin with what was tried"),
        ("\x00\x00", "x does not begin with what was tried"),
        ('{"kind":"run","format":1,"mono":1', "x does not begin with what was tried"),
        ('{"kind":"run","format":1}', "x does not begin with what was tried"),
        ('{"kind":"note","mono":1,"wall":1}', "x does not begin with what was tried"),
        ('{"kind":"run","mono":1,"wall":1}', "x is of format None, and this version reads 1"),
        ('{"kind":"run","format":2,"mono":1,"wall":1}', "x is of format 2, and this version reads 1"),
    ],
)
def test_what_is_no_history_is_refused(text, error):
    with pytest.raises(InputError) as caught:
        parse(text, file="x")

    assert caught.value.brief == error
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("change", "details"),
    [
        ({"cases": "none"}, 'it.cases is "none"'),
        ({"fault": 5}, "it.fault is 5"),
        ({"profile": {"hold_s": True}}, "profile.hold_s is true"),
        ({"cases": [7]}, "cases[0] is 7"),
        ({"cases": [{"contract": "C1"}]}, "cases[0] has no cluster"),
        ({"skipped": [{"cluster": "app1"}]}, "skipped[0] has no contract"),
        (
            {"cases": [{"contract": "C1", "cluster": "a", "series": {"s": {"every": 0}}}]},
            "cases[0].series.s.every is 0",
        ),
        (
            {"cases": [{"contract": "C1", "cluster": "a", "judgements": [{"rule": "wins"}]}]},
            'cases[0].judgements[0].rule is "wins", not answers, silent, same, returns or holds',
        ),
        (
            {
                "cases": [
                    {"contract": "C1", "cluster": "a", "judgements": [{"rule": "same", "phases": ["x"]}]}
                ]
            },
            'cases[0].judgements[0].phases has "x", which is not baseline, inject, hold, recover or settle',
        ),
    ],
)
def test_a_header_that_does_not_say_what_was_tried_is_refused(change, details):
    run = Run()
    run.header = change

    with pytest.raises(InputError) as caught:
        run.history()

    assert (caught.value.brief, caught.value.details) == (
        "history.jsonl does not say what was tried",
        details,
    )


def test_what_a_header_leaves_out_stands_for_nothing():
    run = Run()
    run.header = {
        "cases": [{"contract": "C1", "cluster": "app1", "judgements": [{"rule": "same"}]}],
        "host": None,
    }

    header = run.history().run

    assert header["host"] == {}
    assert header["cases"][0]["judgements"][0]["least"] == 1
    assert header["wall"] == WALL - 1


def test_a_file_that_is_not_there_is_an_error_for_people(tmp_path):
    with pytest.raises(InputError, match="there is no history at"):
        read(tmp_path / "history.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def values(seed: random.Random) -> object:
    return seed.choice(
        [None, True, -1, 1e300, 10**400, "", "x", [], {}, [1], {"a": 1}, [None], float("inf"), "hold", 0.0]
    )


def broken(seed: random.Random, thing: object) -> object:
    """``thing`` with something in it that nobody expects there."""
    if isinstance(thing, dict) and thing and seed.random() < 0.9:
        key = seed.choice(sorted(thing))
        if seed.random() < 0.2:
            return {name: each for name, each in thing.items() if name != key}
        return {**thing, key: broken(seed, thing[key])}
    if isinstance(thing, list) and thing and seed.random() < 0.8:
        place = seed.randrange(len(thing))
        return [*thing[:place], broken(seed, thing[place]), *thing[place + 1 :]]
    return values(seed)


@pytest.mark.parametrize("number", range(10))
def test_no_broken_file_makes_a_traceback(number):
    seed = random.Random(number)
    run = Run(baseline=6, hold=6, settle=6)
    run.series("sync", every=1, value=3)
    run.flow("inside", fails=between(7, 8))
    run.act("refresh")
    run.judged("answers", "inside")
    run.judged("returns", "sync", within=5)
    run.judged("same", "sync")
    run.judged("silent", "sync")
    run.judged("holds", expression="acts.refresh.ok and series.sync.hold.most > 1")
    lines = [json.loads(line) for line in run.text().splitlines()]

    for _ in range(60):
        made = [broken(seed, each) if seed.random() < 0.1 else each for each in lines]
        if seed.random() < 0.5:
            made[0] = lines[0]
        text = "".join(json.dumps(each) + "\n" for each in made)
        text = text[: seed.randrange(len(text))] if seed.random() < 0.5 else text
        try:
            history = parse(text, file="x")
        except InputError:
            continue
        for verdict in judge(history):
            assert verdict.word
            json.dumps(verdict.as_json())
