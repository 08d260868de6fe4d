from __future__ import annotations

import re
from dataclasses import replace

import pytest

from lab.degrade.report.table import render_table
from tests.unit.degrade.report import judged


def test_without_a_width_every_contract_is_a_line():
    lines = render_table(judged.verdicts(), width=0, colour=False).splitlines()

    assert lines[0] == (
        "FAIL          C1            Application workloads run on when mgmt dies."
        "  app2: 4 of 2599 requests to app1 were lost (timed out), the longest outage 0.5 s"
    )
    assert [line.split()[1] for line in lines[:6]] == ["C1", "C2", "C3", "C4", "C6", "C8"]
    assert lines[6:8] == ["", "Negative controls (these must fail)"]
    assert lines[8].startswith("fail          C6-ten-tries  ")
    assert lines[-1].startswith("6 contracts: 2 pass, 2 fail")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_lines_are_wrapped_and_lose_nothing(width):
    text = render_table(judged.verdicts(), width=width, colour=False)

    assert max(map(len, text.splitlines())) <= max(width, 52)
    assert " ".join(text.split()) == " ".join(render_table(judged.verdicts(), width=0, colour=False).split())
    assert not re.search(r" $", text, re.MULTILINE)


def test_ids_are_whole_and_texts_below_one_another_at_80_columns():
    claim = judged.verdicts()[0]
    control = replace(judged.verdicts()[5], contract="C5-any-backend", control_of="C5")

    lines = render_table([claim, control], width=80, colour=False).splitlines()

    begin = len("inconclusive  C5-any-backend  ")
    heads = [line[:begin].split() for line in lines if line[:1].strip()]
    assert heads[0] == ["FAIL", "C1"]
    assert ["fail", "C5-any-backend"] in heads
    texts = lines[: lines.index("")] + lines[lines.index("") + 2 : -2]
    assert all(line[begin - 1] == " " and line[begin] != " " for line in texts)
    assert max(map(len, lines)) <= 80


def test_only_what_somebody_must_look_at_is_in_capitals():
    text = render_table(judged.verdicts(), width=80, colour=False)

    assert re.findall(r"^[A-Z]{4,}.*?C\S+", text, re.MULTILINE) == ["FAIL          C1", "FAIL          C3"]
    control = replace(judged.verdicts()[5], word="pass")
    assert (
        render_table([control], width=0, colour=False)
        .splitlines()[2]
        .startswith("PASS          C6-ten-tries")
    )


def test_colour_changes_no_word():
    coloured = render_table(judged.verdicts(), width=80, colour=True)

    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == render_table(
        judged.verdicts(), width=80, colour=False
    ).splitlines()


def test_evidence_gives_no_orders_to_a_terminal():
    hostile = replace(
        judged.verdicts()[0],
        contract="C1\x1b[2J",
        claim="\x1b]0;title\x07[bold]x[/bold]",
        reason="\r\x1b[1A\u202eok",
    )

    plain = render_table([hostile], width=80, colour=False)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", plain)
    assert "[bold]x[/bold]" in plain
    assert "[bold]x[/bold]" in render_table([hostile], width=80, colour=True)


def test_of_nothing_there_is_little_to_say():
    assert render_table([], width=80, colour=False).strip() == "no contracts"
