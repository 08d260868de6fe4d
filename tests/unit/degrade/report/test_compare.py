from __future__ import annotations

import copy
import json

import pytest

from lab.degrade.report.compare import compare
from lab.degrade.report.document import document
from tests.unit.degrade.report import judged, made


@pytest.fixture
def run():
    return document(made.history(), judged.verdicts())


@pytest.fixture
def other(run):
    found = copy.deepcopy(run)
    found["run"] = "20260102-100000-kill-mgmt"
    return found


def contract(run, name):
    return next(each for each in run["contracts"] if each["id"] == name)


def test_a_run_is_like_itself(run, other):
    found = compare(run, other)

    assert (found.turns, found.figures, found.settings) == ((), (), ())
    assert found.text() == (
        "a  20260101-100000-kill-mgmt\nb  20260102-100000-kill-mgmt\n\n"
        "All 7 verdicts are the same.\n\nNo figure differs by 10% or more."
    )


def test_verdicts_that_differ_come_first_then_figures(run, other):
    contract(other, "C1").update(verdict="pass", reason="")
    contract(other, "C2").update(verdict="fail", reason="app1: it never came back")
    contract(other, "C1")["measured"]["app2"]["between-app1_new"]["lost"] = 0
    contract(other, "C3")["measured"]["app1"]["sync_returned_s"] = 71.6

    found = compare(run, other)

    _, verdicts, figures = found.text().split("\n\n")
    assert verdicts.splitlines() == [
        "Verdicts  a     b",
        f"C1        fail  pass  was: app2: {judged.LOST}",
        "C2        pass  fail  app1: it never came back",
    ]
    assert figures.splitlines() == [
        "Figures                            a     b  change",
        "C1 app2  between-app1_new.lost     4     0   -100%",
        "C3 app1  sync_returned_s        35.8  71.6   +100%",
    ]
    assert json.loads(json.dumps(found.as_json()))["figures"][1] == {
        "id": "C3",
        "cluster": "app1",
        "name": "sync_returned_s",
        "a": 35.8,
        "b": 71.6,
        "change": 1.0,
    }
    assert [(each["id"], each["a"], each["b"]) for each in found.as_json()["verdicts"]] == [
        ("C1", "fail", "pass"),
        ("C2", "pass", "fail"),
    ]


@pytest.mark.parametrize(
    ("a", "b", "differs"),
    [
        (100, 109, False),
        (100, 115, True),
        (0, 0.0, False),
        (0, 1, True),
        (-5, 5, True),
        (None, 1.2, True),
        ("9f86", "e3b0", True),
        (True, False, True),
        (10**400, 10**400 + 1, True),
    ],
)
def test_a_figure_differs_when_it_can_be_noticed(run, other, a, b, differs):
    contract(run, "C2")["measured"]["app1"]["thing"] = a
    contract(other, "C2")["measured"]["app1"]["thing"] = b

    found = compare(run, other)

    assert [each.name for each in found.figures] == (["thing"] if differs else [])
    assert found.text()


def test_contracts_that_only_one_run_has(run, other):
    other["contracts"] = [each for each in other["contracts"] if each["id"] != "C8"]
    other["contracts"].append({**contract(run, "C1"), "id": "C9", "verdict": "pass", "reason": ""})

    found = compare(run, other)

    assert [(each.contract, each.a, each.b) for each in found.turns] == [
        ("C8", "skipped", None),
        ("C9", None, "pass"),
    ]
    assert "C8        skipped  -" in found.text()


def test_runs_that_were_not_asked_for_the_same_are_told(run, other):
    other["fault"] = "pause"
    other["profile"]["hold_s"] = 600

    assert compare(run, other).settings == (("fault", "kill", "pause"), ("profile hold_s", "90", "600"))


@pytest.mark.parametrize("width", [50, 80, 120])
def test_reasons_are_wrapped(run, other, width):
    contract(other, "C2").update(verdict="fail", reason="it never came back " * 10)

    lines = compare(run, other).text(width=width).splitlines()

    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()).count("it never came back") == 10


def test_hostile_text_gives_no_orders(run, other):
    contract(other, "C2").update(verdict="fail", reason="\x1b[2Jx")
    contract(other, "C2")["measured"]["app1"]["\x1b]0;t\x07"] = "\x1b[1m"

    assert "\x1b" not in compare(run, other).text(width=80)
