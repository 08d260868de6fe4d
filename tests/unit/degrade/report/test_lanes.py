from __future__ import annotations

from random import Random

import pytest

from lab.catalog.contract import Phase
from lab.degrade.history import Fault, Gap, Sample
from lab.degrade.report import lanes
from lab.degrade.report.lanes import APART, COLUMNS, LOST, OK, OTHER, UNKNOWN, Axis
from tests.unit.degrade.report import made
from tests.unit.degrade.report.made import History

SPANS: dict[Phase, tuple[float, float]] = {
    "baseline": (1000.0, 1100.0),
    "inject": (1100.0, 1110.0),
    "hold": (1110.0, 1300.0),
    "recover": (1300.0, 1350.0),
    "settle": (1350.0, 1360.0),
}


def sample(mono, *, ok=True, seconds=0.01, value=None, error="timed out"):
    return Sample(mono, made.WALL + mono, ok, seconds, value, "" if ok else error)


def history(samples, *judgements, flow=False, control_of="", every=2.0):
    """A run of 360 s, two columns a second, in which one thing is watched."""
    kind = {"flows" if flow else "series": {"thing": {"summary": "a thing", "every": every, "timeout": 1}}}
    case = made.case("C1", "app1", "It holds.", control_of=control_of, judgements=list(judgements), **kind)
    found = History(run={"cases": [case]}, spans=dict(SPANS), faults=[Fault(1100, 0, "injected")])
    if flow:
        found.flows["C1/app1/thing/new"] = samples
    else:
        found.samples["C1/app1/thing"] = samples
    return found


def lane(found):
    [panel] = lanes.panels(found, lanes.axis(found))
    return panel.lanes[0]


def regular(fails=(), *, every=2.0, **fields):
    """Samples of the whole run; those in ``fails`` (from, to) fail."""
    moments = [1000 + step * every for step in range(int(360 / every))]
    return [sample(at, ok=not any(a <= at < b for a, b in fails), **fields) for at in moments]


def test_time_counts_from_the_fault():
    over = lanes.axis(history([]))

    assert (over.start, over.end, over.zero) == (1000, 1360, 1100)
    assert over.column(1180) == COLUMNS // 2
    assert (over.column(0), over.column(9999)) == (0, COLUMNS - 1)
    assert (over.share(1180), over.share(0), over.since(1090)) == (50, 0, -10)


def test_without_a_fault_it_counts_from_the_beginning():
    found = history([])
    found.faults.clear()

    assert lanes.axis(found).zero == 1000
    assert lanes.axis(History(run={"cases": []})) == Axis(0, 1, 0)


def test_what_answers_is_one_band():
    found = lane(history(regular()))

    assert set(found.states) == {OK}
    assert (found.samples, found.failed, found.outages) == (180, 0, ())


def test_a_failure_is_held_against_it_only_where_a_claim_says_so():
    answers = made.judgement("answers", "it answers", of="thing", phases=["hold"])
    samples = regular([(1050, 1052), (1200, 1206)])

    found = lane(history(samples, answers))

    assert [(each.start, each.samples, each.state) for each in found.outages] == [
        (1050, 1, APART),
        (1200, 3, LOST),
    ]
    assert (found.failed, found.lost) == (4, 3)
    assert found.states[100:104] == bytes([APART] * 4)
    assert found.states[400:412] == bytes([LOST] * 12)
    assert found.states[412] == OK


def test_what_fails_before_it_counts_is_not_held_against_it():
    answers = made.judgement("answers", "it answers", of="thing", phases=["hold"], after=60)
    samples = regular([(1120, 1126), (1200, 1206)])

    found = lane(history(samples, answers))

    assert [(each.start, each.state) for each in found.outages] == [(1120, APART), (1200, LOST)]


@pytest.mark.parametrize("rule", ["silent", "returns", "same"])
def test_other_rules_let_it_fail(rule):
    found = lane(history(regular([(1110, 1300)]), made.judgement(rule, "so it is", of="thing")))

    assert found.lost == 0
    assert found.failed == 95


def test_without_phases_a_claim_is_about_all_of_them():
    found = lane(history(regular([(1010, 1012)]), made.judgement("answers", "it answers", of="thing")))

    assert found.lost == 1


def test_a_negative_control_may_fail():
    answers = made.judgement("answers", "it answers", of="thing")

    assert lane(history(regular([(1200, 1206)]), answers, control_of="C0")).lost == 0


@pytest.mark.parametrize(
    ("of", "name", "flow", "about"),
    [
        ("between", "between-app2", True, True),
        ("between", "between", True, True),
        ("between", "betweenapp2", True, False),
        ("secret", "secret-2", False, False),
        ("", "thing", True, False),
    ],
)
def test_a_judgement_of_flows_is_about_each_of_that_name(of, name, flow, about):
    assert lanes.is_of({"of": of}, name, flow=flow) is about


def test_a_single_loss_among_many_is_seen_in_its_column():
    samples = regular(every=0.01)
    place = samples.index(next(each for each in samples if each.mono > 1200.1))
    samples[place] = sample(samples[place].mono, ok=False)

    found = lane(history(samples, made.judgement("answers", "it answers", of="thing"), flow=True, every=0.01))

    assert found.states[400] == LOST
    assert found.states.count(LOST) == 1
    assert found.lost == 1


def test_another_value_is_another_state_where_it_was_to_stay():
    samples = [each._replace(value="b" if 1200 <= each.mono < 1210 else "a") for each in regular()]
    same = made.judgement("same", "it stays", of="thing")

    assert not lane(history(samples)).changed
    found = lane(history(samples, same))
    assert found.changed
    assert found.states[400:420] == bytes([OTHER] * 20)
    assert found.states[420] == OK


def test_values_are_the_same_whatever_their_order():
    samples = [
        sample(1000 + at, value={"b": 1, "a": 2} if at % 4 else {"a": 2, "b": 1}) for at in range(0, 360, 2)
    ]

    assert not lane(history(samples, made.judgement("same", "it stays", of="thing"))).changed


def test_time_without_samples_is_not_well():
    samples = [each for each in regular() if not 1200 <= each.mono < 1220]

    found = lane(history(samples))

    assert found.states[:400] == bytes([OK] * 400)
    assert found.states[402:438] == bytes([UNKNOWN] * 36)
    assert found.states[442:] == bytes([OK] * (COLUMNS - 442))


def test_a_gap_of_the_sampler_is_time_of_which_nothing_is_known():
    found = history(regular(every=10), every=10)
    found.gaps["C1/app1/thing"] = [Gap(1209.0, 8.0)]

    assert UNKNOWN not in lane(history(regular(every=10), every=10)).states
    assert lane(found).states[404:416] == bytes([UNKNOWN] * 12)


def test_a_gap_does_not_hide_a_failure():
    found = history(regular([(1200, 1202)]))
    found.gaps["C1/app1/thing"] = [Gap(1230.0, 60.0)]

    assert APART in lane(found).states


def test_a_request_that_takes_its_whole_time_is_no_hole():
    samples = [sample(1000 + at, ok=False, seconds=30) for at in range(0, 360, 30)]

    assert set(lane(history(samples)).states) == {APART}


def test_what_was_never_sampled_is_unknown():
    assert set(lane(history([])).states) == {UNKNOWN}


def test_latencies_by_column():
    samples = [sample(1200 + step / 100, seconds=step / 1000) for step in range(1, 50)]

    found = lane(history(samples, flow=True, every=0.01))

    assert found.columns == {400: (0.025, 0.049)}
    assert found.quantiles == (0.025, 0.049, 0.049)
    assert found.manner == "new"


def test_of_what_was_lost_there_is_no_latency():
    found = lane(history([sample(1200, ok=False, seconds=0.4)], flow=True))

    assert (found.columns, found.quantiles) == ({}, ())


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([1, 2, 3], True),
        ([1.5, 2, None], False),
        ([1, 1, 1], False),
        (["1", "2"], False),
        ([True, False], False),
        ([1, 10**400], False),
        ([1, float("nan")], False),
    ],
)
def test_numbers_that_change_are_drawn(values, drawn):
    samples = [sample(1200 + step, value=value) for step, value in enumerate(values)]

    assert bool(lane(history(samples)).numbers) is drawn


def test_a_failed_sample_is_a_hole_among_numbers():
    samples = [sample(1200, value=1), sample(1202, ok=False), sample(1204, value=3)]

    assert lane(history(samples)).numbers == ((1200, 1.0), (1202, None), (1204, 3.0))


def test_errors_of_an_outage_are_counted():
    samples = [sample(1200 + at, ok=False, error="refused" if at else "timed out") for at in range(4)]

    [outage] = lane(history([*samples, sample(1206)])).outages

    assert outage.errors == (("refused", 3), ("timed out", 1))
    assert outage.seconds == 6


def test_lanes_are_by_cluster_and_negative_controls_come_last():
    found = made.history()

    panels = lanes.panels(found, lanes.axis(found))

    assert [(each.cluster, each.contract) for each in panels] == [
        (cluster, contract)
        for cluster in ("app1", "app2")
        for contract in ("C1", "C2", "C3", "C4", "C6", "C6-ten-tries")
    ]
    assert [(each.id, each.manner) for each in panels[0].lanes] == [
        ("rollout", None),
        ("inside", "new"),
        ("inside", "kept"),
        ("between-app2", "new"),
        ("between-app2", "kept"),
    ]
    assert [name for name, _ in panels[2].acts] == ["refresh", "mount"]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_sampled_no_failure_vanishes(seed):
    random = Random(seed)
    moments = sorted(random.uniform(990, 1370) for _ in range(random.randrange(1, 400)))
    samples = [sample(at, ok=random.random() > 0.1, seconds=random.random() * 5) for at in moments]
    found = history(samples, made.judgement("answers", "it answers", of="thing", phases=["hold"]))

    drawn, over = lane(found), lanes.axis(found)

    assert drawn.failed == sum(not each.ok for each in samples)
    assert drawn.lost == sum(not each.ok and 1110 <= each.mono <= 1300 for each in samples)
    for each in samples:
        if not each.ok and over.start <= each.mono <= over.end:
            assert drawn.states[over.column(each.mono)] >= APART
    assert len(drawn.states) == COLUMNS
