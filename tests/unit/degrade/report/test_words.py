from __future__ import annotations

import math

import pytest

from lab.degrade.report import words
from lab.degrade.verdict import Verdict
from tests.unit.degrade.report import judged, made

HELD = "The one claim that was put to the test held."
UNSEEN = "what was measured there would not have shown a broken claim."


def verdict(contract, word, *, control_of=""):
    return Verdict(contract=contract, claim="It holds.", word=word, reason="", control_of=control_of)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        ("a\x00b\x85c\udc80d\ufffee", "a\ufffdb\ufffdc\ufffdd\ufffde"),
        ("\u202ereversed\u2066", "\ufffdreversed\ufffd"),
        ("a\r\nb\rc", "a\nb\ufffdc"),
        ("größer 漢字 🚀", "größer 漢字 🚀"),
    ],
)
def test_what_is_no_text_is_taken_out(text, shown):
    assert words.plain(text) == shown
    assert words.plain(shown) == shown


def test_a_line_is_one_line_and_not_too_long():
    assert words.line(" a\n  b\tc ") == "a b c"
    assert words.line("x" * 50, 10) == "x" * 9 + "…"
    assert len(words.line("word " * 500)) <= 400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.00031, "0.31 ms"),
        (0.0042, "4.2 ms"),
        (0.09, "90 ms"),
        (0.25, "0.2 s"),
        (3.14, "3.1 s"),
        (30, "30 s"),
        (60, "1 min"),
        (94.1, "1 min 34 s"),
        (7200, "2 h"),
        (math.inf, "-"),
    ],
)
def test_lengths_of_time(seconds, shown):
    assert words.lasted(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "+0:00"),
        (-0.04, "+0:00"),
        (-5, "\u22120:05"),
        (4.8, "+0:04.8"),
        (59.96, "+1:00"),
        (723, "+12:03"),
        (723.4, "+12:03"),
    ],
)
def test_moments_count_from_the_fault(seconds, shown):
    assert words.moment(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (7202, "7,202"),
        (10**20, "100,000,000,000,000,000,000"),
        (1.314, "1.31"),
        (0.00012, "1.2e-04"),
        (108.4, "108"),
        (math.nan, "-"),
        ("a\x1bb", "a\ufffdb"),
        (float(10**20), "1e+20"),
        ({"missing": 412}, '{"missing": 412}'),
    ],
)
def test_figures(value, shown):
    assert words.shown(value) == shown


def test_a_figure_is_never_too_long():
    assert len(words.shown(10**400)) <= 30
    assert len(words.shown("x" * 1000)) <= 160


def test_moments_of_the_wall_clock():
    assert words.clock(made.WALL) == "2026-01-01 10:00:00 UTC"
    assert words.stamp(made.WALL) == "2026-01-01T10:00:00Z"
    assert words.stamp("yesterday") == words.stamp(math.nan) == words.stamp(1e300) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("kill", "mgmt", "The cluster mgmt was killed for 1 min 30 s"),
        ("pause", "mgmt", "The cluster mgmt was frozen for 1 min 30 s"),
        ("partition", "mgmt", "The cluster mgmt was cut off for 1 min 30 s"),
        ("isolate", "mgmt", "The cluster mgmt was isolated for 1 min 30 s"),
        ("component", "vault", "The addon vault was taken away for 1 min 30 s"),
        ("flood", "mgmt", "The cluster mgmt was put under the fault flood for 1 min 30 s"),
    ],
)
def test_the_fault_in_words(name, target, said):
    assert words.fault(name, target, 90) == said


def test_a_fault_that_was_not_or_that_stayed():
    assert words.fault("kill", "mgmt", None, real=False) == "The cluster mgmt was to be killed, and was not"
    assert words.fault("stop", "mgmt", None, undone=False).endswith(
        "was shut down, and not brought back within the run"
    )


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([], "No claim was put to the test."),
        ([verdict("C1", "skipped")], "No claim was put to the test."),
        ([verdict("C1", "pass")], HELD),
        ([verdict("C1", "pass"), verdict("C2", "pass"), verdict("C8", "skipped")], "All 2 claims held."),
        (
            [verdict("C1", "fail"), verdict("C2", "pass"), verdict("C3", "inconclusive")],
            "1 of 3 claims did not hold: C1. Whether 1 more holds cannot be told: C3.",
        ),
        ([verdict("C1", "inconclusive")], "Whether 1 of 1 claim holds cannot be told: C1."),
        (
            [verdict("C1", "inconclusive"), verdict("C2", "inconclusive"), verdict("C3", "pass")],
            "Whether 2 of 3 claims hold cannot be told: C1 and C2.",
        ),
        (
            [verdict("C6", "pass"), verdict("C6-x", "pass", control_of="C6")],
            f"{HELD} The negative control C6-x did not fail: {UNSEEN}",
        ),
        (
            [verdict("C6", "pass"), verdict("C6-x", "inconclusive", control_of="C6")],
            f"{HELD} The negative control C6-x could not be judged.",
        ),
    ],
)
def test_the_outcome_in_words(verdicts, said):
    assert words.outcome(verdicts) == said


def test_the_sum():
    assert words.tally([]) == "no contracts"
    assert words.tally(judged.verdicts()) == (
        "6 contracts: 2 pass, 2 fail, 1 inconclusive, 1 skipped; 1 negative control: 1 fails, as it must"
    )
    two = [verdict("X", "fail", control_of="C1"), verdict("Y", "fail", control_of="C1")]
    assert words.tally([*two, verdict("Z", "pass", control_of="C1")]) == (
        "3 negative controls: 2 fail, as they must, 1 did not fail"
    )


def test_what_a_pass_rests_on_is_told_though_it_needs_no_reason():
    [c2] = [each for each in judged.verdicts() if each.contract == "C2"]

    assert words.gist(c2) == "app1: after 33.2 s; acts.complete.value == 1"
    assert words.gist(verdict("C1", "pass")) == ""
