"""Experiments on real clusters: promises hold, what cannot hold is seen not to, nothing stays broken."""

from __future__ import annotations

import signal
from xml.etree import ElementTree as ET

import pytest

from lab import state
from lab.clients import docker
from lab.degrade import faults, probers
from lab.degrade.left import Left
from lab.workspace import Workspace
from tests.clusters.experiments import broken, degrade, require_whole, runs, verdicts
from tests.clusters.labs import invoke, require_sound

pytestmark = pytest.mark.cluster


@pytest.mark.pair
def test_a_cluster_that_is_killed_takes_nothing_along(pair: Workspace) -> None:
    ran, folder = degrade(pair, "pair", "--hold", "40s")
    found = verdicts(folder)
    assert (found["C1"]["verdict"], found["C5"]["verdict"]) == ("pass", "pass")
    measured = found["C1"]["measured"]["east"]
    assert measured["inside_new"]["lost"] == measured["inside_kept"]["lost"] == 0
    assert measured["inside_new"]["requests"] >= 500
    # What must fail was seen to: requests are lost wherever a lost cluster's backends stay.
    assert found["C5-any-backend"]["verdict"] == "fail"
    assert found["C5-any-backend"]["measured"]["east"]["anywhere_new"]["lost"] > 20
    assert found["C3"]["verdict"] == "skipped"
    assert "pass          C1  " in ran.out
    assert "1 fails, as it must" in ran.out
    require_whole(pair)


@pytest.mark.pair
def test_what_is_written_of_it_can_be_read_again(pair: Workspace) -> None:
    folder = runs(pair)[-1]
    before = (folder / "verdict.json").read_text()
    names = {path.name for path in folder.iterdir()}
    assert names == {"history.jsonl", "verdict.json", "junit.xml", "report.html"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.iterdir()))
    told = invoke("report", "--run", folder.name)
    assert told.out.splitlines()[-1] == str(folder)
    assert (folder / "verdict.json").read_text() == before
    suite = ET.parse(folder / "junit.xml").getroot()
    assert {case.get("name", "")[:3] for case in suite.iter("testcase")} >= {"C1 ", "C5 "}
    assert "<script src" not in (folder / "report.html").read_text()


def test_ctrl_c_undoes_it(pair: Workspace) -> None:
    with broken(pair, "--fault", "pause") as under_way:
        under_way.send_signal(signal.SIGINT)
        _, err = under_way.communicate(timeout=300)
    assert under_way.returncode == 130, err
    assert "interrupted; the fault was undone" in err
    west = docker.container(f"{pair.lab}-west-control-plane")
    assert west is not None
    assert west.status == "running"
    folder = runs(pair)[-1]
    assert verdicts(folder)["C1"]["verdict"] == "inconclusive"
    assert "interrupted" in verdicts(folder)["C1"]["reason"]
    require_whole(pair)


def test_what_a_killed_experiment_owes_is_paid_by_up(pair: Workspace) -> None:
    with broken(pair, "--fault", "kill") as under_way:
        under_way.kill()
        under_way.communicate(timeout=60)
    assert "west: its nodes were killed" in invoke("status", "-t", "pair", name=pair.lab).err
    # What was recorded is there, and is judged for what it is.
    told = invoke("report", expect=5)
    assert "inconclusive" in told.out

    ran = invoke("up", "-t", "pair", "--yes", name=pair.lab)
    assert "An earlier experiment was cut off; undone now: west: its nodes were killed" in ran.err
    assert "objects in east and west are removed" in ran.err
    assert faults.owed(pair.folder) is None
    assert Left(pair.folder).clusters == []
    assert not any(kube.exists(probers.ALL) for kube in pair.kubes.values())
    require_sound(invoke("verify", "-t", "pair", "--json", name=pair.lab).json, pair)


def test_the_next_experiment_clears_what_another_left(pair: Workspace) -> None:
    _, folder = degrade(pair, "pair", "--fault", "partition", "--hold", "60s", "--contract", "C1,C5")
    assert {each["verdict"] for name, each in verdicts(folder).items() if name != "C5-any-backend"} == {
        "pass"
    }
    require_whole(pair)


def test_what_cannot_be_asked_for_changes_nothing(pair: Workspace) -> None:
    before = state.folder(pair.settings, pair.lab).read("fault")
    refused = invoke("degrade", "-t", "pair", "--target", "nowhere", name=pair.lab, expect=2)
    assert "there is no cluster 'nowhere' in" in refused.err
    refused = invoke("degrade", "-t", "pair", "--contract", "C9", name=pair.lab, expect=2)
    assert "there is no contract 'C9'" in refused.err
    assert state.folder(pair.settings, pair.lab).read("fault") == before == ""
