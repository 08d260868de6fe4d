from __future__ import annotations

import pytest

from lab.degrade.report import evidence, lanes
from lab.degrade.verdict import together
from tests.unit.degrade.report import judged, made


def part(contract, cluster, *, history=None, verdicts=None):
    history = history or made.history()
    over = lanes.axis(history)
    panels = {(each.contract, each.cluster): each for each in lanes.panels(history, over)}
    [verdict] = [each for each in verdicts or judged.verdicts() if each.contract == contract]
    [on] = [each for each in verdict.clusters if each.cluster == cluster]
    return evidence.part(history, verdict, on, panels.get((contract, cluster)), over)


def test_figures_of_flows_are_a_table():
    [table] = part("C1", "app2").tables

    assert table.columns == ("", "requests", "lost", "longest outage (s)", "p50 (ms)", "p99 (ms)")
    assert table.rows[2] == ("between-app1, new connections", "2,599", "4", "0.5", "1.31", "8.42")
    assert [row[0] for row in table.rows] == [
        "inside, new connections",
        "inside, kept connections",
        "between-app1, new connections",
        "between-app1, kept connections",
    ]


def test_other_figures_stand_alone():
    assert dict(part("C3", "app1").figures) == {
        "secret samples": "130",
        "secret value": "9f86d081884c",
        "sync returned (s)": "35.8",
        "mount": "3.2",
    }
    found = part("C6-ten-tries", "app1")
    assert dict(found.figures)["lines: missing"] == "412"
    assert found.tables == ()


def test_what_failed_is_told_with_when_and_why():
    [failure] = part("C1", "app2").failures

    assert (failure.of, failure.samples, failure.lost) == ("between-app1, new connections", "4", True)
    assert failure.when.startswith("+0:2")
    assert failure.why == "timed out"


def test_what_may_fail_comes_after_what_may_not():
    history = made.history()
    vault = history.samples["C3/app1/vault"]
    history.samples["C3/app1/secret"][0:1] = [vault[0]._replace(ok=False, error="")]
    history.run["cases"][2]["judgements"].append(made.judgement("answers", "it is there", of="secret"))

    failures = part("C3", "app1", history=history).failures

    assert (failures[0].of, failures[0].lost) == ("secret", True)
    assert {each.lost for each in failures[1:]} == {False}
    [away] = [each for each in failures if each.of == "vault"]
    assert "connection refused (" in away.why
    assert "timed out after 5 s (" in away.why


def test_only_so_many_failures_are_listed():
    history = made.history()
    samples = history.samples["C4/app2/denied"]
    history.samples["C4/app2/denied"] = [each._replace(ok=i % 2 == 0) for i, each in enumerate(samples)]

    found = part("C4", "app2", history=history)

    assert len(found.failures) == evidence.MOST_OUTAGES
    assert found.more_failures == len(samples) // 2 - evidence.MOST_OUTAGES


def test_acts_say_what_came_of_them():
    refresh, mount = part("C3", "app1").acts

    assert refresh.summary == "a refresh is forced, and fails"
    assert refresh.when.endswith("(hold)")
    assert refresh.result == "failed: could not get secret data from provider: connection refused"
    assert mount.result == "ok"
    assert part("C6", "app1").acts[0].result == 'ok: {"missing": 0, "twice": 0}'


def test_an_act_that_never_ran_is_told_too():
    history = made.history()
    del history.acts["C3/app1/mount"]

    assert part("C3", "app1", history=history).acts[1].when == "never, was due in hold"


def test_evidence_of_what_is_not_well_is_open():
    assert part("C1", "app2").open
    assert part("C4", "app1").open
    assert not part("C1", "app1").open
    assert part("C6-ten-tries", "app1").open


def test_a_cluster_that_the_history_does_not_know():
    verdict = together("C9", "It holds.", [judged.on("C9", "app7", "skipped", "no such addon")])

    found = part("C9", "app7", verdicts=[verdict])

    assert (found.word, found.acts, found.failures) == ("skipped", (), ())


def test_everything_that_had_to_return():
    found = list(evidence.returns(made.history(), judged.verdicts()))

    assert [(each.contract, each.cluster, each.seconds, each.within) for each in found][:2] == [
        ("C2", "app1", 33.2, 120),
        ("C2", "app2", 33.2, 120),
    ]
    assert {each.contract for each in found} == {"C2", "C3", "C6", "C6-ten-tries"}
    assert found[0].summary == "Thanos takes samples"


@pytest.mark.parametrize(
    ("ok", "seconds", "told"),
    [(True, 3.0, [3.0]), (False, 130, [130.0]), (False, None, [None]), (None, None, [])],
)
def test_what_cannot_be_told_is_not_said_to_be_away(ok, seconds, told):
    measured = {} if seconds is None else {"thanos_returned_s": seconds}
    finding = judged.finding("samples are taken again", "what was seen", measured, ok=ok)
    verdict = together("C2", "It holds.", [judged.on("C2", "app1", "fail", "why", finding)])

    assert [each.seconds for each in evidence.returns(made.history(), [verdict])] == told


def test_units_are_told():
    assert evidence.heading("longest_outage_s") == "longest outage (s)"
    assert evidence.heading("memory_mib") == "memory (MiB)"
    assert evidence.heading("s") == "s"
    assert evidence.heading("thanos_returned_s_2") == "thanos returned s 2"
