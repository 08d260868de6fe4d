"""What ``degrade`` and ``report`` print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import degrading
from lab.degrade import degrade as story
from lab.degrade.verdict import ClusterVerdict, Verdict, Word, together
from lab.errors import CheckFailed, Inconclusive, InputError


def verdict(contract: str, word: Word, *, control_of: str = "") -> Verdict:
    on = ClusterVerdict(contract=contract, cluster="app1", word=word, reason="so it was")
    return together(contract, "A claim.", [on], control_of=control_of)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[story.Request]:
    """Every experiment that was asked for; the first fault passes, each later one has a failure."""
    made: list[story.Request] = []

    def degrade(_: object, request: story.Request, *, quiet: bool) -> tuple[Path, list[Verdict]]:
        made.append(request)
        folder = tmp_path / f"run-{len(made)}"
        folder.mkdir()
        (folder / "verdict.json").write_text(json.dumps({"run": folder.name}))
        return folder, [
            verdict("C1", "pass" if len(made) == 1 else "fail"),
            verdict("C1-control", "fail", control_of="C1"),
        ]

    monkeypatch.setattr(story, "degrade", degrade)
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    return made


def degrade(**changes: Any) -> None:
    options: dict[str, Any] = {
        "name": "",
        "fault": "kill",
        "target": "",
        "hold": "",
        "profile": "quick",
        "contract": "",
        "matrix": False,
        "json": False,
    }
    degrading.degrade("hub-spoke", **(options | changes))


def test_the_last_line_is_the_folder(
    asked: list[story.Request], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    degrade(hold="2m", contract="C1, C3")
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == str(tmp_path / "run-1")
    assert out[0].startswith("pass          C1 ")
    [request] = asked
    assert (request.hold, request.contracts) == (120, ("C1", "C3"))


def test_for_scripts_there_is_nothing_but_json(
    asked: list[story.Request], capsys: pytest.CaptureFixture[str]
) -> None:
    degrade(json=True)
    assert json.loads(capsys.readouterr().out) == {"run": "run-1"}


def test_the_matrix_is_every_fault_of_a_cluster_and_ends_as_the_worst(
    asked: list[story.Request], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckFailed, match="not as it should be: C1"):
        degrade(matrix=True)
    assert [request.fault for request in asked] == ["kill", "stop", "pause", "partition"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["CONTRACT", "KILL", "STOP", "PAUSE", "PARTITION"]
    assert lines[1].split() == ["C1", "pass", "fail", "fail", "fail"]
    assert lines[2].split() == ["C1-control", "fail", "fail", "fail", "fail"]


@pytest.mark.parametrize("fault", ["component", "isolate"])
def test_what_spares_the_nodes_is_not_in_the_matrix(asked: list[story.Request], fault: str) -> None:
    with pytest.raises(
        InputError, match=f"--matrix does each fault of a cluster's nodes, and {fault} is none"
    ):
        degrade(matrix=True, fault=fault)
    assert asked == []


@pytest.mark.parametrize(("text", "why"), [("90", "has no unit"), ("soon", "is not a length of time")])
def test_a_hold_that_is_no_time_is_refused(asked: list[story.Request], text: str, why: str) -> None:
    with pytest.raises(InputError, match=f'--hold: "{text}" {why}'):
        degrade(hold=text)
    assert asked == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"C1": "pass"}, None),
        ({"C1": "pass", "C2": "skipped"}, None),
        ({"C1": "pass", "C2": "inconclusive"}, Inconclusive),
        ({"C1": "fail", "C2": "inconclusive"}, CheckFailed),
        ({"C1": "pass", "control": "fail"}, None),
        # A control that does not fail: the experiment could not have seen a failure.
        ({"C1": "pass", "control": "pass"}, CheckFailed),
        ({"C1": "pass", "control": "inconclusive"}, Inconclusive),
    ],
)
def test_how_it_ends(words: dict[str, Word], error: type[Exception] | None, tmp_path: Path) -> None:
    verdicts = [
        verdict(name, word, control_of="C1" if name == "control" else "") for name, word in words.items()
    ]
    if error is None:
        degrading._raise(tmp_path, verdicts)
        return
    with pytest.raises(error):
        degrading._raise(tmp_path, verdicts)


def test_a_report_of_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    with pytest.raises(InputError, match="there is no experiment to report on"):
        degrading.report(run="", compare="", every=False, json=False)


def test_a_run_that_is_not_there_is_told_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    there = tmp_path / "runs" / "20261121-190037-kill-west"
    there.mkdir(parents=True)
    (there / "history.jsonl").touch()
    with pytest.raises(InputError) as refused:
        degrading.report(run="20261121-190037-kill-wes", compare="", every=False, json=False)
    assert 'Did you mean "20261121-190037-kill-west"?' in refused.value.remedy
    degrading.report(run="", compare="", every=True, json=False)
    assert capsys.readouterr().out == f"{there}\n"


def test_a_history_that_says_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    there = tmp_path / "runs" / "20261121-190037-kill-west"
    there.mkdir(parents=True)
    (there / "history.jsonl").touch()
    with pytest.raises(InputError):
        degrading.report(run="", compare="", every=False, json=False)
