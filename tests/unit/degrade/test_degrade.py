"""What is told before anything is broken: words that mean nothing, a lab that is not there or not whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.degrade import degrade as module
from lab.degrade.degrade import Request, degrade
from lab.errors import HostError, InputError, LabError
from lab.providers.base import ClusterState, NodeState
from tests.unit import labs

ASKED = Request(topology="pair", name="two", fault="kill", target="", profile="quick", hold=0, contracts=())
NODE = NodeState(name="n", role="control-plane", running=True, address="", since="")


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, ClusterState]:
    """What there is of the lab ``two``: nothing, unless a test says so."""
    made: dict[str, ClusterState] = {}
    workspace = labs.workspace(tmp_path, "pair", lab="two")
    monkeypatch.setattr(module, "open_workspace", lambda *_, **__: workspace)
    monkeypatch.setattr(module, "states", lambda _: made)
    return made


def refusal(folder: Path, **changes: Any) -> LabError:
    with pytest.raises(LabError) as refused:
        degrade(labs.settings(folder), replace(ASKED, **changes), quiet=True)
    return refused.value


@pytest.mark.parametrize(
    ("changes", "brief", "remedy"),
    [
        ({"profile": "quik"}, "there is no profile 'quik'", 'Did you mean "quick"? '),
        ({"fault": "kil"}, "there is no fault 'kil'", 'Did you mean "kill"? '),
        ({"target": "wst"}, "there is no cluster 'wst' in two", 'Did you mean "west"? '),
        ({"contracts": ("C9",)}, "there is no contract 'C9'", "There are C1, C2, "),
        (
            {"fault": "component", "target": "west"},
            "there is no addon 'west' in the lab",
            "Name one with --target: mesh.",
        ),
    ],
)
def test_words_that_mean_nothing_are_told_without_a_lab(
    tmp_path: Path, nodes: dict[str, ClusterState], changes: dict[str, Any], brief: str, remedy: str
) -> None:
    error = refusal(tmp_path, **changes)
    assert isinstance(error, InputError)
    assert error.brief == brief
    assert error.remedy.startswith(remedy)


def test_a_lab_that_is_not_there(tmp_path: Path, nodes: dict[str, ClusterState]) -> None:
    error = refusal(tmp_path)
    assert isinstance(error, HostError)
    assert error.brief == "there is no lab two to degrade"
    assert error.remedy == "Make it first: ./invoke up -t pair --name two"


def test_a_lab_that_is_not_whole(tmp_path: Path, nodes: dict[str, ClusterState]) -> None:
    nodes["east"] = ClusterState((NODE,))
    nodes["west"] = ClusterState((replace(NODE, running=False),))
    error = refusal(tmp_path)
    assert isinstance(error, HostError)
    assert error.brief == "two is not whole, and nothing was broken; down: west"
    assert error.remedy == "Make it whole first: ./invoke up -t pair --name two"
