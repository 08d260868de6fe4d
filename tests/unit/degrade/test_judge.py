from __future__ import annotations

import copy

import pytest

from lab.degrade.judge import judge
from lab.degrade.verdict import exit_code
from tests.unit.degrade.histories import START, Run, between, figures


def clean(**lengths: float | None) -> Run:
    """A run that passes."""
    run = Run(**lengths)  # type: ignore[arg-type]
    run.series("vault", every=2, fails=between(22, 85))
    run.series("secret", value="x")
    run.judged("silent", "vault", says="Vault is away.", proof=True)
    run.judged("same", "secret", says="The secret stays.")
    return run


def test_what_is_so_passes():
    verdict = clean().verdict()

    assert (verdict.word, verdict.reason) == ("pass", "")
    assert [(each.says, each.ok, each.proof) for each in verdict.findings] == [
        ("Vault is away.", True, True),
        ("The secret stays.", True, False),
    ]


def test_a_fault_that_was_not_real_is_no_pass():
    run = clean()
    run.drop("sample", id="C1/app1/vault")
    run.series("vault", every=2)

    word, reason = run.told()

    assert word == "inconclusive"
    assert reason == (
        'the claim was not put to the test: "Vault is away" is not so '
        '(0 of 27 samples of "vault" on app1 failed in hold)'
    )


def test_a_fault_that_was_not_real_is_no_failure_either():
    run = clean()
    run.drop("sample", id="C1/app1/vault")
    run.series("vault", every=2)
    run.drop("sample", id="C1/app1/secret")
    run.series("secret", value=lambda at: at)

    verdict = run.verdict()

    assert verdict.word == "inconclusive"
    assert [each.ok for each in verdict.findings] == [False, False]


def test_a_proof_that_cannot_be_told_is_none():
    run = clean()
    run.judged("holds", expression="acts.refresh.ok", says="A refresh was tried.", proof=True)
    run.judged("answers", "vault", says="Vault answers.")

    assert run.told() == (
        "inconclusive",
        'it cannot be told whether the claim was put to the test: "refresh" never ran',
    )


def test_a_failure_stands_beside_what_cannot_be_told():
    run = clean()
    run.judged("holds", expression="acts.refresh.ok")
    run.judged("answers", "vault")

    word, reason = run.told()

    assert (word, reason[:20]) == ("fail", "32 of 57 samples of ")


def test_what_cannot_be_told_is_no_pass():
    run = clean()
    run.judged("holds", expression="acts.refresh.ok")

    assert run.told() == ("inconclusive", '"refresh" never ran')


@pytest.mark.parametrize("proof", [True, False])
def test_a_contract_that_judges_nothing_is_no_pass(proof):
    run = Run()
    if proof:
        run.judged("holds", expression="1 == 1", proof=True)

    assert run.told() == ("inconclusive", "it has nothing that could be judged")


def failing() -> Run:
    run = clean()
    run.flow("inside", fails=between(10, 100))
    run.judged("answers", "inside")
    return run


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda run: run.note(5, "app2 did not answer", "unclean"),
            "the baseline was not clean: app2 did not answer",
        ),
        (
            lambda run: run.note(5, "The baseline was not clean: app2 did not answer", "unclean"),
            "The baseline was not clean: app2 did not answer",
        ),
        (
            lambda run: run.note(50, "Ctrl-C", "interrupted"),
            "it was interrupted before the phase hold had ended",
        ),
        (lambda run: run.drop("fault", what="injected"), "the fault was never injected"),
        (lambda run: run.drop("fault", what="seen"), "the fault was never seen"),
        (lambda run: run.note(24, "it answers", "not-seen"), "the fault was never seen: it answers"),
        (lambda run: run.drop("fault", what="undone"), "the fault was not undone"),
        (
            lambda run: run.note(90, "docker is gone", "not-undone"),
            "the fault was not undone: docker is gone",
        ),
    ],
)
def test_an_experiment_that_did_not_come_about_says_nothing(change, reason):
    run = failing()
    assert run.verdict().word == "fail"

    change(run)

    assert run.told() == ("inconclusive", reason)


def test_an_interruption_after_hold_leaves_what_was_seen():
    run = failing()
    run.note(83, "Ctrl-C", "interrupted")

    assert run.verdict().word == "fail"


def test_what_was_cut_off_in_hold_says_nothing():
    run = Run(recover=None, settle=None, whole=False)
    run.flow("inside", fails=between(10, 100))
    run.judged("answers", "inside")

    verdict = run.verdict()

    assert (verdict.word, verdict.reason) == (
        "inconclusive",
        "it was cut off before the phase hold had ended",
    )
    # What was seen is told all the same.
    assert figures(verdict)["inside_new"]["lost"] == 721


def test_a_run_that_never_broke_anything_says_why_once():
    run = Run(inject=None, hold=None, recover=None, settle=None, whole=False)
    run.series("vault", every=2)
    run.judged("silent", "vault", proof=True)
    run.judged("answers", "vault")
    run.note(20, "2 of 10 samples failed", "unclean")

    verdict = run.verdict()

    assert verdict.reason == "the baseline was not clean: 2 of 10 samples failed"
    assert verdict.findings == ()


def test_contracts_come_in_the_order_of_the_header_and_clusters_too():
    run = Run(contract="C3", cluster="app2")
    run.series("a")
    run.judged("answers", "a")
    lost = copy.deepcopy(run.case) | {"contract": "C3", "cluster": "app1", "claim": "It lives."}
    other = copy.deepcopy(run.case) | {"contract": "C1", "claim": "It lives, too."}
    run.cases += [other, lost]
    for each in [record for record in run.records if record["kind"] == "sample"]:
        at = each["mono"] - START
        run.add("sample", at, **_of(each, "C1/app2/a"))
        run.add("sample", at, **(_of(each, "C3/app1/a") | {"ok": at != 40, "error": "timed out"}))
    run.skipped += [
        {"contract": "C3", "cluster": "app3", "claim": "It lives.", "reason": "no vault there"},
        {
            "contract": "C8",
            "cluster": "app1",
            "claim": "A third.",
            "control_of": "C7",
            "reason": "no metrics",
        },
    ]

    verdicts = judge(run.history())

    assert [(each.contract, each.word, each.claim, each.control_of) for each in verdicts] == [
        ("C3", "fail", "It lives.", ""),
        ("C1", "pass", "It lives, too.", ""),
        ("C8", "skipped", "A third.", "C7"),
    ]
    assert [(each.cluster, each.word, each.reason) for each in verdicts[0].clusters] == [
        ("app2", "pass", ""),
        (
            "app1",
            "fail",
            '1 of 23 samples of "a" on app1 failed (timed out), the longest outage 10 s',
        ),
        ("app3", "skipped", "no vault there"),
    ]
    assert verdicts[0].reason.startswith("app1: 1 of 23")
    assert exit_code(verdicts) == 1


def _of(record: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in record.items() if key not in ("kind", "mono", "wall")} | {"id": name}


def test_a_control_is_judged_as_it_is_and_hoped_to_fail():
    run = failing()
    run.case["control_of"] = "C5"

    (verdict,) = judge(run.history())

    assert (verdict.word, verdict.control_of, verdict.surprising) == ("fail", "C5", False)
    assert exit_code([verdict]) == 0


def test_a_run_without_contracts_has_no_verdicts():
    run = Run()
    run.cases.clear()

    assert judge(run.history()) == []


def test_judging_twice_is_judging_once():
    history = failing().history()

    assert judge(history) == judge(history)
