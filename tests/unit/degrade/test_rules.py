from __future__ import annotations

import pytest

from lab.degrade import rules
from lab.degrade.judge import judge
from tests.unit.degrade.histories import START, Run, between, figures


def found(run: Run):
    """The only finding."""
    (finding,) = run.verdict().findings
    return finding


def test_requests_that_are_all_answered():
    run = Run()
    run.flow("inside")
    run.judged("answers", "inside", least=100)

    finding = found(run)

    assert (finding.ok, finding.seen) == (True, "none of 2242 requests in 2 flows was lost")
    assert finding.measured == {
        f"inside_{manner}": {"requests": 1121, "lost": 0, "longest_outage_s": 0, "p50_ms": 0.8, "p99_ms": 0.8}
        for manner in ("new", "kept")
    }


def test_requests_that_were_lost():
    run = Run()
    run.flow("between-app2", fails=between(40, 40.3))
    run.skipped.append({"contract": "C9", "cluster": "app2", "reason": "no"})
    run.judged("answers", "between")

    finding = found(run)

    assert finding.ok is False
    assert finding.seen == (
        "3 of 1121 requests between app1 and app2 over new connections were lost (timed out), "
        "the longest outage 0.4 s (and 1 more like it)"
    )


def test_new_and_kept_connections_are_judged_apart_and_the_worst_is_told():
    run = Run()
    run.flow("inside", fails=between(40, 40.05), kept_fails=between(40, 41))
    run.judged("answers", "inside", lost=5)

    finding = found(run)

    assert finding.ok is False
    assert finding.seen == (
        '10 of 1121 requests of "inside" on app1 over kept connections were lost (timed out), '
        "the longest outage 1.1 s; at most 5 may"
    )
    assert finding.measured["inside_new"]["lost"] == 1


def test_as_many_requests_as_may_be_lost():
    run = Run()
    run.series("sync", fails=between(40, 41))
    run.judged("answers", "sync", lost=1)

    finding = found(run)

    assert finding.ok
    assert (
        finding.seen == '1 of 23 samples of "sync" on app1 failed (timed out), the longest outage 10 s; 1 may'
    )


def test_only_the_phases_that_are_judged_count():
    run = Run()
    run.series("sync", fails=between(22, 82))
    run.judged("answers", "sync", phases=["baseline", "settle"])
    run.judged("answers", "sync", phases=["hold"])

    first, second = run.verdict().findings

    assert (first.ok, second.ok) == (True, False)
    assert first.measured["sync"]["requests"] == 8
    # Figures of one name would hide one another.
    assert second.measured["sync_2"]["requests"] == 12


def test_what_began_before_it_counts_says_nothing():
    run = Run()
    run.flow("anywhere", every=0.5, fails=between(22, 42))
    run.judged("answers", "anywhere", phases=["hold"])
    run.judged("answers", "anywhere", phases=["hold"], after=20)
    run.judged("answers", "anywhere", phases=["hold"], after=19.5)
    run.judged("answers", "anywhere", phases=["hold"], after=20, least=81)

    whole, late, early, many = run.verdict().findings

    assert whole.ok is False
    assert (late.ok, late.seen) == (
        True,
        "none of 160 requests in 2 flows was lost; what counts begins after 20 s of hold",
    )
    assert late.measured["anywhere_new_2"]["requests"] == 80
    assert early.ok is False
    assert early.seen == (
        '1 of 81 requests of "anywhere" on app1 over new connections was lost (timed out), the longest '
        "outage 20 s (and 1 more like it); what counts begins after 20 s of hold"
    )
    assert many.ok is None


def test_a_stretch_of_phases_has_one_beginning_that_does_not_count():
    run = Run()
    run.series("sync", every=1, fails=between(20, 84))
    run.judged("answers", "sync", phases=["hold", "recover"], after=62)
    run.judged("answers", "sync", phases=["hold", "settle"], after=10)

    after_hold, apart = run.verdict().findings

    assert (after_hold.ok, after_hold.measured["sync"]["requests"]) == (True, 8)
    assert apart.ok is False


def test_an_outage_that_ended_too_early_says_nothing():
    run = Run(hold=60)
    run.flow("anywhere", every=0.5)
    run.judged("answers", "anywhere", phases=["hold"], after=90)

    assert run.told() == (
        "inconclusive",
        "hold lasted 60 s (and 1 more like it); what counts begins after 90 s of hold",
    )


def test_only_of_what_counts_something_must_be_known():
    run = Run()
    run.series("sync", every=1, offset=42)
    run.judged("answers", "sync", phases=["hold"], after=20)
    assert run.told() == ("pass", "")

    late = Run()
    late.series("sync", every=1, offset=46)
    late.judged("answers", "sync", phases=["hold"], after=20)
    assert late.told() == (
        "inconclusive",
        (
            'only 91 % of what counts of hold is covered by samples of "sync" on app1; '
            "what counts begins after 20 s of hold"
        ),
    )


def test_too_few_samples_say_nothing_unless_they_fail():
    run = Run()
    run.series("sync")
    run.judged("answers", "sync", least=24)
    assert found(run).ok is None
    assert found(run).seen == 'there are only 23 samples of "sync" on app1, of 24 that it takes'

    failing = Run()
    failing.series("sync", fails=between(40, 41))
    failing.judged("answers", "sync", least=24)
    assert found(failing).ok is False


def test_requests_that_were_never_heard_of_are_not_lost():
    run = Run()
    run.flow("inside", batch=10)
    run.drop("batch", first=300)
    run.judged("answers", "inside")
    finding = found(run)
    assert finding.ok
    assert finding.measured["inside_new"]["unknown"] == 10

    for first in range(310, 360, 10):
        run.drop("batch", first=first)
    finding = found(run)
    assert finding.ok is None
    assert finding.seen == (
        'only 90 % of hold is covered by requests of "inside" on app1 over new connections '
        "(and 1 more like it)"
    )


def test_what_was_lost_was_lost_however_little_else_is_known():
    run = Run()
    run.series("sync", until=30, fails=between(25, 26))
    run.judged("answers", "sync")

    assert run.verdict().word == "fail"


def test_nothing_can_be_said_of_what_was_not_watched():
    run = Run()
    run.judged("answers", "between")

    assert run.told() == ("inconclusive", 'there is nothing called "between" that was watched')


def test_nothing_can_be_said_of_a_phase_that_never_was():
    run = Run(settle=None)
    run.series("sync")
    run.judged("answers", "sync")

    assert run.told() == ("inconclusive", "the run had no phase settle")


def test_what_is_away_is_silent():
    run = Run()
    # Asked just before: the answer came in hold.
    run.series("vault", every=2, fails=between(24, 85))
    run.judged("silent", "vault")

    finding = found(run)

    assert finding.ok
    assert finding.seen == '27 of 27 samples of "vault" on app1 failed in hold'
    assert finding.measured == {"vault_silent": {"samples": 27, "failed": 27}}


def test_what_is_answered_when_it_is_back_was_silent_before():
    run = Run()
    run.series("vault", every=10, fails=between(24, 81))
    # Asked in hold, of a node that is paused; answered in recover.
    run.sample("vault", 81, seconds=2)
    run.judged("silent", "vault")

    assert found(run).seen == '6 of 6 samples of "vault" on app1 failed in hold'


@pytest.mark.parametrize(("answered", "ok"), [(2, True), (3, False)])
def test_nine_of_ten_that_fail_are_silence(answered, ok):
    run = Run()
    run.series("vault", every=2, fails=lambda at: 22 <= at < 82 and at not in (40, 50, 60)[:answered])
    run.judged("silent", "vault")

    assert found(run).ok is ok


def test_a_flow_can_be_silent():
    run = Run()
    run.flow("hub", fails=between(23, 85))
    run.judged("silent", "hub")

    assert found(run).ok
    assert found(run).seen == (
        '590 of 590 requests of "hub" on app1 over new connections failed in hold; '
        '590 of 590 requests of "hub" on app1 over kept connections failed in hold'
    )


def test_a_hold_shorter_than_the_time_out_tells_nothing_of_silence():
    run = Run(hold=4)
    run.series("vault", every=1, fails=between(20, 30))
    run.judged("silent", "vault")

    assert found(run).seen == 'there are no samples of "vault" on app1 in hold after 5 s'
    assert found(run).ok is None


def test_a_value_that_stays():
    run = Run()
    run.series("secret", value=lambda at: {"b": 1, "a": "x"} if at < 50 else {"a": "x", "b": 1})
    run.judged("same", "secret")

    finding = found(run)

    assert finding.ok
    assert finding.seen == '"secret" on app1 had one value in 23 samples, {"a":"x","b":1}'
    assert finding.measured == {"secret_samples": 23, "secret_value": '{"a":"x","b":1}'}


@pytest.mark.parametrize(("start", "end"), [(40, 70), (40, 200)])
def test_a_value_that_changes_even_if_it_changes_back(start, end):
    run = Run()
    run.series("secret", value=lambda at: "new" if start <= at < end else "old")
    run.judged("same", "secret")

    assert run.told() == ("fail", '"secret" on app1 changed 20 s after the fault, from "old" to "new"')


def test_a_value_that_changes_before_the_fault():
    run = Run()
    run.series("secret", value=lambda at: 2 if at >= 10 else 1)
    run.judged("same", "secret")

    assert run.told() == ("fail", '"secret" on app1 changed 10 s before the fault, from 1 to 2')


def test_of_long_values_the_difference_is_shown():
    run = Run()
    run.series("secret", value=lambda at: "0" * 60 + ("new" if at >= 40 else "old"))
    run.judged("same", "secret")

    assert run.told()[1].endswith('from ...0000000000old" to ...0000000000new"')


@pytest.mark.parametrize(
    ("fails", "seen"),
    [
        (between(0, 20), 'no samples of "secret" on app1 were ok in baseline'),
        (between(92, 200), 'no samples of "secret" on app1 were ok in settle'),
    ],
)
def test_a_value_must_have_been_seen_before_and_after(fails, seen):
    run = Run()
    run.series("secret", value=1, fails=fails)
    run.judged("same", "secret")

    assert (found(run).ok, found(run).seen) == (None, seen)


def test_while_it_cannot_be_read_a_value_may_be_what_it_likes():
    run = Run()
    run.series("secret", value=1, fails=between(22, 82))
    run.judged("same", "secret")

    assert found(run).ok


def test_a_run_that_ended_early_has_another_last_phase():
    run = Run(settle=None)
    run.series("secret", value=1)
    run.judged("same", "secret")

    assert found(run).ok


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, 'samples of "secret" on app1 have no value that could be compared'),
        (
            {"key": "REDACTED"},
            'the value of "secret" on app1 was taken out as a secret, so it cannot be compared',
        ),
    ],
)
def test_what_cannot_be_compared_is_not_the_same(value, seen):
    run = Run()
    run.series("secret", value=value)
    run.judged("same", "secret")

    assert run.told() == ("inconclusive", seen)


def test_what_returns_in_time():
    run = Run()
    run.series("sync", every=1, fails=between(22, 89), takes=0.2)
    run.judged("returns", "sync", within=10)

    finding = found(run)

    assert (finding.ok, finding.seen) == (
        True,
        '"sync" on app1 was ok again 7.2 s after the fault was undone, and had 10 s',
    )
    assert finding.measured == {"sync_returned_s": 7.2}


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        (between(22, 99), '"sync" on app1 was ok again 17 s after the fault was undone, and had 10 s'),
        (
            lambda at: 22 <= at < 85 or at == 108,
            '"sync" on app1 was ok again 27 s after the fault was undone, and had 10 s',
        ),
        (
            between(22, 200),
            '"sync" on app1 still failed 30 s after the fault was undone (timed out), and had 10 s',
        ),
    ],
)
def test_what_returns_late_or_not_for_good(fails, told):
    run = Run()
    run.series("sync", every=1, fails=fails, takes=0)
    run.judged("returns", "sync", within=10)

    assert run.told() == ("fail", told)


def test_what_fails_again_long_after_it_returned_had_returned(monkeypatch):
    """One answer that an observer does not get, minutes later, is not the recovery's."""
    monkeypatch.setattr(rules, "STAYS_S", 20.0)
    run = Run()
    run.series("sync", every=1, fails=lambda at: 22 <= at < 85 or at == 108, takes=0)
    run.judged("returns", "sync", within=10)

    assert found(run).measured == {"sync_returned_s": 3.0}
    assert found(run).ok is True


def test_what_failed_when_the_time_was_over_did_not_return():
    run = Run()
    run.series("sync", every=1, fails=between(22, 200))
    run.judged("returns", "sync", within=27)

    assert run.verdict().word == "fail"


def waiting(sync_back: float) -> Run:
    """Secrets wait on Vault, which is back 8 s after the undoing."""
    run = Run()
    run.series("vault", every=1, fails=between(22, 90), takes=0)
    run.series("sync", every=1, fails=between(22, sync_back), takes=0)
    run.judged("returns", "sync", within=10, once="vault")
    return run


@pytest.mark.parametrize(
    ("back", "told"),
    [
        (97, ("pass", '"sync" on app1 was ok again 7 s after "vault" on app1 was, and had 10 s')),
        (89, ("pass", '"sync" on app1 was ok again 0 s after "vault" on app1 was, and had 10 s')),
        (105, ("fail", '"sync" on app1 was ok again 15 s after "vault" on app1 was, and had 10 s')),
        (
            200,
            ("fail", '"sync" on app1 still failed 22 s after "vault" on app1 was (timed out), and had 10 s'),
        ),
    ],
)
def test_what_waits_on_another_has_its_time_from_there(back, told):
    run = waiting(back)
    finding = found(run)

    assert ("pass" if finding.ok else "fail", finding.seen) == told


def test_what_waits_on_what_does_not_return_cannot_be_told():
    run = Run()
    run.series("vault", every=1, fails=between(22, 200))
    run.series("sync", every=1, fails=between(22, 200))
    run.judged("returns", "sync", within=10, once="vault")

    assert run.told() == (
        "inconclusive",
        '"vault" on app1 was not ok again, and "sync" on app1 waits on it',
    )


def test_an_answer_is_there_when_it_is_there():
    run = Run()
    run.series("sync", every=1, fails=between(22, 83), until=82)
    run.sample("sync", 83, seconds=20)
    for at in range(103, 113):
        run.sample("sync", at)
    run.judged("returns", "sync", within=10)

    assert found(run).measured == {"sync_returned_s": 21.0}
    assert found(run).ok is False


def test_what_was_asked_before_the_undoing_says_nothing_of_the_return():
    run = Run()
    run.series("sync", every=1, fails=between(22, 81))
    run.fault("undone", 86)
    run.drop("fault", mono=START + 82)
    run.judged("returns", "sync", within=10)

    assert found(run).measured == {"sync_returned_s": 0.0}


def test_a_run_that_ended_before_the_time_was_over_says_nothing_of_the_return():
    run = Run()
    run.series("sync", every=1, fails=between(22, 200))
    run.judged("returns", "sync", within=60)

    assert run.told() == (
        "inconclusive",
        'the run ended 30 s after the fault was undone, and "sync" on app1 has 60 s to be back',
    )


def test_without_samples_after_the_undoing_nothing_is_said_of_the_return():
    run = Run()
    run.series("sync", every=1, until=81)
    run.judged("returns", "sync", within=60)

    assert run.told() == (
        "inconclusive",
        'only 0 % of recover is covered by samples of "sync" on app1',
    )


def test_an_expression_that_is_true():
    run = Run()
    run.series("backlog", value=lambda at: at, fails=between(50, 56))
    run.flow("inside", fails=between(40, 40.3))
    run.act("refresh", ok=False, error="no route to host")
    run.act("mount", value="kept")
    run.judged(
        "holds",
        expression="not acts.refresh.ok and 'no route' in acts.refresh.error"
        " and acts['mount'].value == 'kept' and acts.mount.seconds < 5"
        " and series.backlog.hold.most > 70 and series.backlog.hold.failed == 2"
        " and flows.inside.new.hold.lost == 3 and phases.hold.seconds >= 60",
    )

    finding = found(run)

    assert finding.ok
    assert finding.seen == (
        '"refresh" failed after 3.1 s: no route to host; "mount": its value is "kept" after 3.1 s; '
        "series.backlog.hold.most is 80.0; series.backlog.hold.failed is 2; "
        "flows.inside.new.hold.lost is 3; phases.hold.seconds is 60.0"
    )
    assert finding.measured == {"refresh": 3.1, "mount": "kept"}


def test_an_expression_that_is_false():
    run = Run()
    run.act("refresh", ok=True)
    run.judged("holds", expression="not acts.refresh.ok", says="A refresh was tried and failed.")

    assert run.told() == (
        "fail",
        '"A refresh was tried and failed" is not so ("refresh" was done after 3.1 s)',
    )


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("acts.refresh.ok", ("inconclusive", '"refresh" never ran')),
        ("not acts.refresh.ok", ("inconclusive", '"refresh" never ran')),
        ("acts['new-pod'].ok and acts.refresh.ok", ("inconclusive", '"new-pod" and "refresh" never ran')),
        ("acts.refresh is defined", ("inconclusive", '"refresh" never ran')),
        ("series.sync.hold.count == 12 or acts.refresh.ok", ("pass", "")),
        (
            "series.sync.hold.most > 1",
            (
                "fail",
                '"It is so" is not so (there is no "most" among count, failed, first and last)',
            ),
        ),
        ("series.sync.hold.first > 1", ("fail",)),
        ("series.other.hold.count", ("fail",)),
        ("1 / 0", ("fail", '"It is so" is not so (division by zero)')),
        ("2 +", ("inconclusive",)),
        ("''.__class__", ("fail",)),
        ("phases.hold.seconds == 60.0", ("pass", "")),
    ],
)
def test_what_an_expression_asks_for_may_not_be_there(expression, told):
    run = Run()
    run.series("sync", value="x")
    run.act("refresh", ran=False)
    run.act("new-pod", ran=False)
    run.judged("holds", expression=expression)

    assert run.told()[: len(told)] == told


def test_an_expression_over_what_is_hardly_known_tells_nothing():
    run = Run()
    run.series("sync", until=60, value=3)
    run.judged("holds", expression="series.sync.hold.most == 3")

    assert run.told() == (
        "inconclusive",
        'only 71 % of hold is covered by samples of "sync" on app1',
    )


def test_an_expression_over_a_phase_that_never_was_tells_nothing():
    run = Run(settle=None)
    run.judged("holds", expression="phases.settle.seconds > 1")

    assert run.told() == ("inconclusive", "the run had no phase settle")


def test_an_expression_over_flows_to_several_clusters_has_their_sum():
    run = Run()
    run.flow("between-app2", fails=between(40, 40.3))
    run.flow("between-app3", fails=between(50, 50.2), kept_fails=between(50, 50.1))
    run.judged("holds", expression="flows.between.new.hold.lost == 5 and flows.between.kept.hold.lost == 4")
    run.judged("holds", expression="flows['between-app2'].new.hold.lost == 3")
    run.judged("holds", expression="flows.inside.new.hold.lost == 0")

    assert [each.ok for each in run.verdict().findings] == [True, True, False]


def test_an_act_that_failed_is_told_shortly_and_shown_whole():
    run = Run()
    whole = 'step 4, get: 404 {"kind": "Status", "message": "secrets \\"word\\" not found", "code": 404}'
    run.act(
        "emptied",
        "settle",
        ok=False,
        error=whole,
        summary="Vault comes back without that word",
        expected="status == 200",
        seen='status 404: secrets "word" not found',
    )
    run.judged("holds", expression="acts.emptied.ok", says="The Secret stays.")

    word, reason = run.told()
    assert word == "fail"
    assert reason == (
        '"The Secret stays" is not so ("Vault comes back without that word" failed after 3.1 s: '
        'expected status == 200, saw status 404: secrets "word" not found)'
    )
    [verdict] = judge(run.history())
    assert verdict.as_json()["evidence"] == [f"app1: The Secret stays.: emptied failed after 3.1 s ({whole})"]


def test_of_a_value_that_is_asked_for_the_act_tells_that():
    run = Run()
    value = {"looked_for": 1097, "missing": 520, "first_missing": [7600], "last_missing": [8119]}
    run.act("lines", ok=False, value=value, error="step 1, exec: ...", summary="every line is looked for")
    run.judged("holds", expression="acts.lines.value.missing == 0", says="Every line is there.")

    [finding] = run.verdict().findings

    assert finding.seen == '"every line is looked for": missing is 520 after 3.1 s'
    assert '"first_missing":[7600]' in finding.evidence
    assert "step 1, exec" in finding.evidence


def test_what_an_earlier_version_recorded_of_an_act_is_cut_short():
    run = Run()
    run.act("mount", ok=False, error="x" * 300)
    run.judged("holds", expression="acts.mount.ok")

    [finding] = run.verdict().findings

    assert finding.seen == f'"mount" failed after 3.1 s: {"x" * 157}...'
    assert "x" * 300 in finding.evidence


def test_names_of_acts_and_series_hide_behind_nothing():
    run = Run()
    run.series("values", value=1)
    run.act("items", value=2)
    run.act("get")
    run.judged("holds", expression="series.values.hold.last == 1 and acts.items.value == 2 and acts.get.ok")

    assert run.told() == ("pass", "")
    assert figures(run.verdict()) == {"items": 2, "get": 3.1}
