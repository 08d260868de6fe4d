"""What must be so of every history there can be, tried on some hundreds that were made up."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from lab.catalog.contract import PHASES
from lab.degrade.history import parse
from lab.degrade.judge import judge
from lab.errors import InputError
from tests.unit.degrade.histories import START, Run, text_of

SEEDS = range(8)
CASES = 25

# Every phase is shorter than ten samples or batches: even where one belongs to two phases, or is the first,
# what is missing with it is more than may be. In longer ones a hole can be too small to be minded.
CADENCE = 1.0
FLOW = 0.2
BATCH = 10


def words(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each.word, each.reason) for each in judge(parse(text_of(records), file="x"))]


def everything(records: list[dict[str, Any]]) -> str:
    return json.dumps([each.as_json() for each in judge(parse(text_of(records), file="x"))])


def made(seed: random.Random, *, calm: bool = False) -> list[dict[str, Any]]:
    """The records of a run with all rules in it, in which this or that went wrong, unless it was ``calm``."""
    lengths = {phase: seed.choice([3.0, 7.0, 9.5]) for phase in PHASES}
    lengths["hold"] = seed.choice([6.0, 8.0, 9.6])
    # There is nothing to wait for, at times.
    for phase in ("inject", "recover"):
        lengths[phase] = seed.choice([0.0, lengths[phase]])
    run = Run(**lengths)  # type: ignore[arg-type]
    start, undone = run.start("inject"), run.start("recover")
    is_back = undone + seed.choice([0.5, 1.5] if calm else [0.5, 2.0, 6.0])

    def trouble() -> set[float]:
        """Moments, to the tenth, at which something fails."""
        if calm or seed.random() < 0.6:
            return set()
        first = seed.uniform(0, run.length)
        length = seed.choice([0.2, 1.0, 5.0])
        return {round(first + step / 10, 1) for step in range(int(length * 10))}

    lost, kept_lost, odd = trouble(), trouble(), trouble()
    run.flow(
        "inside",
        every=FLOW,
        batch=BATCH,
        fails=lambda at: round(at, 1) in lost,
        kept_fails=lambda at: round(at, 1) in kept_lost,
    )
    changes = None if calm else seed.choice([None, None, seed.uniform(0, run.length)])
    back = None if changes is None else changes + seed.choice([1.0, 100.0])
    run.series(
        "secret",
        every=CADENCE,
        value=lambda at: (
            "new" if changes is not None and back is not None and changes <= at < back else "old"
        ),
        fails=lambda at: round(at, 1) in odd,
    )
    real = calm or seed.random() < 0.92
    run.series("hub", every=CADENCE, timeout=1, fails=lambda at: real and start <= at < is_back)
    run.act("refresh", ok=seed.random() < 0.08 and not calm, ran=calm or seed.random() < 0.95)
    run.judged("silent", "hub", proof=True)
    run.judged("holds", expression="not acts.refresh.ok", proof=seed.random() < 0.5)
    possible: list[dict[str, Any]] = [
        {"rule": "answers", "of": "inside"},
        {"rule": "answers", "of": "inside", "lost": 3},
        {"rule": "answers", "of": "inside", "phases": ["hold"]},
        {"rule": "answers", "of": "inside", "phases": ["hold"], "after": 3},
        {"rule": "answers", "of": "secret", "phases": ["hold", "settle"], "after": 2},
        {"rule": "answers", "of": "secret"},
        {"rule": "same", "of": "secret"},
        {"rule": "returns", "of": "hub", "within": 3},
        {"rule": "holds", "expression": "flows.inside.new.hold.lost < 5 and series.secret.hold.failed < 2"},
    ]
    for judgement in seed.sample(possible, seed.randint(1, len(possible))):
        run.judged(**judgement)
    return [run.first_line(), *sorted(run.records, key=lambda record: record["mono"])]


def stirred(seed: random.Random, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, some of it twice, and all but the first line in any order."""
    first, *rest = records
    again = [each for each in rest if seed.random() < 0.2]
    rest = rest + again + split_again(seed, rest)
    seed.shuffle(rest)
    return [first, *rest]


def split_again(seed: random.Random, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parts of batches, as a sender makes them that does not know what has arrived."""
    parts = []
    for each in records:
        if each["kind"] == "batch" and seed.random() < 0.2:
            cut = seed.randrange(len(each["at"]))
            errors = {str(int(at) - cut): why for at, why in each["errors"].items() if int(at) >= cut}
            parts.append(
                {
                    **each,
                    "first": each["first"] + cut,
                    "at": each["at"][cut:],
                    "ms": each["ms"][cut:],
                    "errors": errors,
                }
            )
    return parts


def is_sample(record: dict[str, Any]) -> bool:
    return record["kind"] in ("sample", "batch", "act")


@pytest.mark.parametrize("number", SEEDS)
def test_what_comes_twice_or_late_changes_nothing(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed)

        assert everything(stirred(seed, records)) == everything(records)


@pytest.mark.parametrize("number", SEEDS)
def test_what_is_missing_makes_neither_a_pass_nor_a_failure(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed)
        ((before, _reason),) = words(records)
        share = seed.choice([0.01, 0.1, 0.5, 1.0])
        kept = [each for each in records if not (is_sample(each) and seed.random() < share)]
        if len(kept) == len(records):
            kept.remove(seed.choice([each for each in records if is_sample(each)]))

        ((after, reason),) = words(kept)

        assert after in (before, "inconclusive"), reason


@pytest.mark.parametrize("number", SEEDS)
def test_one_sample_that_is_missing_makes_no_pass(number):
    """The hardest case: of a run that fails for one sample, just that one.

    Not the very last of the run: it stands for next to nothing.
    """
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed, calm=True)
        records[0]["cases"][0]["judgements"].append({"rule": "answers", "of": "secret"})
        assert words(records) == [("pass", "")]
        end = records[-1]["mono"]
        spoiled = seed.choice(
            [
                place
                for place, each in enumerate(records)
                if each.get("id") == "C1/app1/secret" and each["mono"] <= end - CADENCE
            ]
        )
        failing = [*records]
        failing[spoiled] = {**records[spoiled], "ok": False, "value": None}
        assert words(failing)[0][0] == "fail"

        ((word, reason),) = words([*records[:spoiled], *records[spoiled + 1 :]])

        assert word == "inconclusive"
        assert '"secret"' in reason


def edges(records: list[dict[str, Any]]) -> list[float]:
    """When phases begin and end, and moments just before and after."""
    at = [each["mono"] for each in records if each["kind"] == "phase"]
    near = [moment + step for moment in at for step in (-0.001, 0.0, 0.001)]
    return [moment for moment in near if min(at) <= moment <= max(at)]


@pytest.mark.parametrize("number", SEEDS)
def test_one_lost_request_is_a_failure_whenever_it_was(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed, calm=True)
        records[0]["cases"][0]["judgements"].append({"rule": "answers", "of": "inside"})
        assert words(records) == [("pass", "")]
        batches = [each for each in records if each["kind"] == "batch" and each["id"].endswith("/new")]
        at = seed.choice([*edges(records), seed.uniform(START, batches[-1]["mono"])])
        batch = next(each for each in reversed(batches) if each["mono"] <= at)
        index = seed.randrange(len(batch["at"]))
        # Moved to the very moment: the request before and after it are where they were.
        batch["at"][index] = (at - batch["mono"]) * 1000
        batch["ms"][index] = None
        batch["errors"] = {str(index): "timed out"}

        made_worse = stirred(seed, records) if seed.random() < 0.5 else records
        ((word, reason),) = words(made_worse)

        assert word == "fail"
        assert reason.startswith("1 of "), reason
        assert "over new connections was lost (timed out)" in reason


@pytest.mark.parametrize("number", SEEDS)
def test_a_lost_request_is_a_failure_from_the_moment_on_that_counts(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed, calm=True)
        spans = {each["phase"]: each["mono"] for each in records if each["kind"] == "phase"}
        start, end = spans["hold"], spans["recover"]
        after = seed.choice([0.5, 2.0, 4.0])
        records[0]["cases"][0]["judgements"] = [
            {"rule": "answers", "of": "inside", "phases": ["hold"], "after": after}
        ]
        assert words(records) == [("pass", "")]
        at = seed.choice([start + after, start + after - 0.001, end - 0.001, seed.uniform(START, end + 5)])
        batches = [each for each in records if each["kind"] == "batch" and each["id"].endswith("/new")]
        batch = next(each for each in reversed(batches) if each["mono"] <= at)
        index = seed.randrange(len(batch["at"]))
        batch["at"][index] = (at - batch["mono"]) * 1000
        batch["ms"][index] = None
        moment = batch["mono"] + batch["at"][index] / 1000

        ((word, _),) = words(stirred(seed, records))

        assert word == ("fail" if start + after <= moment < end else "pass")


@pytest.mark.parametrize("number", SEEDS)
def test_a_clock_that_is_set_changes_nothing(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed)
        before = everything(records)
        step = seed.choice([-3600, 3600, -1, 86_400])
        when = seed.choice(records)["mono"]
        stepped = [
            {**each, "wall": each["wall"] + step} if each["mono"] >= when else dict(each) for each in records
        ]

        assert everything(stepped) == before


@pytest.mark.parametrize("number", SEEDS)
def test_a_machine_with_a_clock_of_its_own_changes_nothing(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed)
        before = words(records)
        away = seed.uniform(-1e6, 1e6)
        step, when = seed.choice([0, 3600, -3600]), seed.choice(records)["mono"]
        moved = []
        for each in records:
            wall = each["wall"] + (step if each["mono"] >= when else 0)
            if each["kind"] == "batch":
                moved.append({**each, "wall": wall, "mono": each["mono"] + away, "boot": "boot-2"})
            else:
                moved.append({**each, "wall": wall})

        assert [word for word, _ in words(moved)] == [word for word, _ in before]


@pytest.mark.parametrize("number", SEEDS)
def test_a_sampler_that_was_late_makes_no_failure_and_no_pass(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed)
        ((before, _reason),) = words(records)
        gap = {
            "kind": "gap",
            "id": f"C1/app1/{seed.choice(['secret', 'hub'])}",
            "mono": seed.choice(records)["mono"],
            "wall": 0.0,
            "seconds": seed.uniform(0, 10),
        }

        ((after, reason),) = words([*records, gap])

        assert after in (before, "inconclusive"), reason


@pytest.mark.parametrize("number", SEEDS)
def test_a_file_that_ends_anywhere_is_read_as_far_as_it_goes(number):
    seed = random.Random(number)
    for _ in range(CASES):
        records = made(seed)
        text = text_of(records)
        cut = seed.randrange(len(text))
        if cut < text.index("\n"):
            with pytest.raises(InputError):
                parse(text[:cut], file="x")
            continue

        history = parse(text[:cut], file="x")

        undone = history.first("undone") is not None
        for verdict in judge(history):
            assert undone or verdict.word == "inconclusive"
        whole = parse(text, file="x")
        for name, samples in history.samples.items():
            assert list(samples) == list(whole.samples[name])[: len(samples)]
