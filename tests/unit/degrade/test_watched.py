from __future__ import annotations

import pytest

from lab.degrade.observed import observed
from lab.degrade.watched import Watched
from tests.unit.degrade.histories import START, Run, between


def watched(run: Run, name: str = "sync") -> Watched:
    history = run.history()
    (entry,) = history.run["cases"]
    return observed(history, entry).of(name)[0]


def begun(samples) -> list[float]:
    return [round(each.mono - START, 3) for each in samples]


def test_a_sample_belongs_to_the_phase_in_which_it_began():
    run = Run(baseline=10, inject=5, hold=10, recover=5, settle=5)
    run.series("sync", takes=4)

    one = watched(run)

    assert begun(one.during(["baseline"])) == [0, 5]
    assert begun(one.during(["inject"])) == [10]
    assert begun(one.during(["hold"])) == [15, 20]
    assert begun(one.during(["settle"])) == [30, 35]
    assert begun(one.during(["settle", "baseline"])) == [0, 5, 30, 35]
    assert begun(one.during(["hold", "recover"], after=5)) == [20, 25]


def test_a_sample_that_began_after_the_end_belongs_to_none():
    run = Run(baseline=10, inject=5, hold=10, recover=5, settle=5)
    run.series("sync", until=50)

    one = watched(run)

    assert begun(one.during(["settle"])) == [30, 35]
    assert begun(one.since(START + 20)) == [20, 25, 30, 35]


def test_at_its_cadence_a_series_tells_of_everything():
    run = Run()
    run.series("sync", offset=2)

    one = watched(run)

    assert [one.known(phase) for phase in one.history.spans] == pytest.approx([1] * 5)


def test_a_sampler_may_be_a_little_late():
    run = Run()
    run.series("sync", every=5.6)
    run.case["series"]["sync"]["every"] = 5

    assert watched(run).known("hold") == pytest.approx(1)


def test_what_is_not_sampled_is_not_known():
    run = Run(hold=100)
    run.series("sync")
    run.records = [
        each for each in run.records if each["kind"] != "sample" or not 60 <= each["mono"] - START < 80
    ]

    one = watched(run)

    assert one.known("hold") == pytest.approx(0.8)
    assert one.too_little(["baseline", "hold"]) == (
        'only 80 % of hold is covered by samples of "sync" on app1'
    )
    assert one.too_little(["baseline"]) == ""


def test_time_in_which_the_sampler_was_late_is_not_known():
    run = Run(hold=100)
    run.series("sync")
    run.add("gap", 50, id="C1/app1/sync", seconds=4.0)
    run.add("gap", 53, id="C1/app1/sync", seconds=6.0)

    assert watched(run).known("hold") == pytest.approx(0.93, abs=0.001)


def test_while_a_sample_is_under_way_its_time_is_known_even_if_the_next_is_late_for_it():
    run = Run(hold=100)
    run.series("sync", until=40)
    run.sample("sync", 45, ok=False, seconds=30)
    run.add("gap", 75, id="C1/app1/sync", seconds=25)
    for at in range(75, 160, 5):
        run.sample("sync", at)

    assert watched(run).known("hold") == pytest.approx(1)


def test_a_black_hole_that_takes_the_whole_time_out_is_known():
    run = Run(hold=100)
    run.series("sync", until=20, timeout=7)
    for at in range(25, 160, 10):
        run.sample("sync", at, ok=False, seconds=7)

    assert watched(run).known("hold") == pytest.approx(1)


@pytest.mark.parametrize(
    ("samples", "known"),
    [((20.5,), 1), ((18,), 1), ((23,), 1), ((16,), 0.5), ((10, 30), 0), ((), 0)],
)
def test_of_a_phase_shorter_than_the_cadence_one_sample_near_is_enough(samples, known):
    run = Run(baseline=20, inject=2)
    run.series("sync", until=-1)
    for at in samples:
        run.sample("sync", at)

    assert watched(run).known("inject") == pytest.approx(known)


@pytest.mark.parametrize(("samples", "known"), [((18,), 1), ((16,), 1), ((14.9,), 0), ((23,), 0)])
def test_of_a_phase_without_length_one_sample_near_is_enough(samples, known):
    run = Run(baseline=20, inject=0)
    run.series("sync", until=-1)
    for at in (0, *samples):
        run.sample("sync", at)

    assert watched(run).known("inject") == known


def test_nothing_is_known_of_what_was_never_sampled():
    run = Run()
    run.series("sync", until=-1)
    run.flow("inside")
    run.drop("batch", id="C1/app1/inside/new")

    assert watched(run).too_little(["hold"]) == 'there are no samples of "sync" on app1'
    assert watched(run, "inside").too_little(["hold"]) == (
        'there are no requests of "inside" on app1 over new connections'
    )


def test_a_black_hole_is_known_to_requests_that_wait_in_it():
    run = Run(baseline=10, inject=1, hold=20, recover=5, settle=5)
    run.flow("inside")
    flow = []
    at, number = 0.0, 0
    while at < 41:
        fails = 12 <= at < 28
        flow.append((at, number, fails))
        at, number = at + (2 if fails else 0.1), number + 1
    run.drop("batch")
    for at, number, fails in flow:
        for manner in ("new", "kept"):
            run.add(
                "batch", at, id=f"C1/app1/inside/{manner}", first=number, at=[0], ms=[None if fails else 1]
            )

    assert watched(run, "inside").known("hold") == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [(10, 12, 2.1), (0, 2, 2.0), (109, 113, 3.1), (0, 113, 112)],
)
def test_an_outage_lasts_from_the_last_good_one_before_to_the_first_good_one_after(start, end, seconds):
    run = Run()
    run.flow("inside", fails=between(start, end))

    one = watched(run, "inside")

    assert one.longest_outage(one.since(START)) == pytest.approx(seconds)


def test_the_longest_outage_is_one_of_those_asked_for():
    run = Run()
    run.flow("inside", fails=lambda at: 1 <= at < 9 or 30 <= at < 31)

    one = watched(run, "inside")

    assert one.longest_outage(one.during(["hold"])) == pytest.approx(1.1)
    assert one.longest_outage(one.during(["settle"])) == 0
