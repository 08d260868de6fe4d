"""What the commands print, and with which error they end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import commands, console, down, ready, up, verify
from lab.errors import CheckFailed, HostError, InputError
from lab.host.doctor import Check, Fix
from lab.plan.resolve import Seen, SeenCluster, resolve
from lab.plan.step import Plan, Step
from lab.result import CheckResult
from lab.settings import Settings
from tests.unit.labs import topology

TOOLS = (
    Step("tools/kind", "tool", summary="have kind", done=True),
    Step("tools/helm", "tool", summary="have helm", done=True),
)
WHOLE = SeenCluster(whole=True, named=True, configured=True, networked=True, meshed=True)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))


def planned(*, done: bool = False, lab: str | None = None) -> Plan:
    whole = Seen(network=True, node_image=True, verified=True, clusters={"east": WHOLE, "west": WHOLE})
    return resolve(topology(lab=lab), whole if done else Seen(), bring=TOOLS)


def run_up(monkeypatch: pytest.MonkeyPatch, plan: Plan, **options: Any) -> up.Request:
    requests: list[up.Request] = []

    def story(_: Settings, request: up.Request) -> Plan:
        requests.append(request)
        return plan

    monkeypatch.setattr(up, "up", story)
    given: dict[str, Any] = {
        "name": "",
        "images": "auto",
        "only": "",
        "without": "",
        "isolated": False,
        "recreate": False,
        "yes": True,
    }
    commands.up("pair", **(given | options))
    return requests[0]


def test_up_says_what_there_is_and_what_to_do_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    request = run_up(monkeypatch, planned(lab="second"), name="second", recreate=True)
    assert request == up.Request(topology="pair", name="second", yes=True, recreate=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("second is up: 2 clusters in one mesh, in 0.")
    assert lines[1] == "Contexts: second-east, second-west"
    assert lines[2].startswith("Use them: ./invoke kubeconfig -t pair --name second > lab.yaml; ")
    assert lines[2].endswith(" get nodes")
    assert lines[3] == (
        "Look: ./invoke status -t pair --name second   Remove: ./invoke down -t pair --name second"
    )


def test_up_says_when_there_was_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_up(monkeypatch, planned(done=True)).name is None
    assert capsys.readouterr().out.startswith("pair is up already: nothing to do (")


def test_a_plan_is_json_for_scripts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "plan", lambda *_: planned())
    commands.plan("pair", name="", images="auto", only="", without="", isolated=False, json=True)
    assert json.loads(capsys.readouterr().out) == planned().as_json()
    commands.plan("pair", name="", images="auto", only="", without="", isolated=False, json=False)
    assert capsys.readouterr().out.startswith("lab pair\n")


SICK = (
    Check(id="engine", ok=True, found="28", needed="20.10", remedy=""),
    Check(id="memory", ok=False, found="1 GiB", needed="3.2 GiB", remedy="Close something."),
    Check(id="disk", ok=True, found="9 GiB", needed="8 GiB", remedy="It will be tight."),
)


def test_a_doctor_with_a_complaint_ends_as_a_host_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ready, "examine", lambda *_, **__: SICK)
    with pytest.raises(HostError) as failed:
        commands.doctor("pair", name="", json=False)
    assert failed.value.brief == "this host is not ready: memory"
    assert failed.value.remedy == ""
    printed = capsys.readouterr().out
    assert "memory: Close something." in printed
    assert "disk: It will be tight." in printed
    with pytest.raises(HostError):
        commands.doctor("pair", name="", json=True)
    told = json.loads(capsys.readouterr().out)["checks"]
    assert [(each["id"], each["ok"]) for each in told] == [
        ("engine", True),
        ("memory", False),
        ("disk", True),
    ]
    assert told[0].keys() == {"id", "ok", "found", "needed", "remedy"}


def test_a_doctor_without_one_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ready, "examine", lambda *_, **__: SICK[:1])
    commands.doctor("pair", name="", json=False)
    assert "engine" in capsys.readouterr().out


def test_a_doctor_says_what_can_be_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fix = Fix(description="start it", command="systemctl start docker", apply=lambda: None)
    check = Check(id="engine", ok=False, found="-", needed="20.10", remedy="Start it.", fix=fix)
    monkeypatch.setattr(ready, "examine", lambda *_, **__: (check,))
    with pytest.raises(HostError) as failed:
        commands.doctor("pair", name="", json=False)
    assert "./invoke up --yes" in failed.value.remedy


RESULTS = [
    CheckResult("mesh/pod/east/west", True, 0.2, "answered"),
    CheckResult("mesh/pod/west/east", False, 9.0, "timed out"),
]


@pytest.mark.parametrize("as_json", [True, False])
def test_verify_fails_with_what_did_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    monkeypatch.setattr(verify, "verify", lambda *_, **__: RESULTS)
    with pytest.raises(CheckFailed) as failed:
        commands.verify("pair", name="second", json=as_json)
    assert failed.value.brief == "1 of 2 checks did not hold"
    assert failed.value.remedy.endswith("./invoke gather -t pair --name second")
    printed = capsys.readouterr().out
    if as_json:
        assert json.loads(printed)["checks"][1] == {
            "id": "mesh/pod/west/east",
            "ok": False,
            "seconds": 9.0,
            "evidence": "timed out",
        }
    else:
        assert printed == ""


def test_verify_counts_what_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "verify", lambda *_, **__: RESULTS[:1])
    commands.verify("pair", name="", json=False)
    assert capsys.readouterr().out == "1 checks hold.\n"


@dataclass
class Removal:
    """What ``down`` was asked to remove."""

    asked: list[str]
    removed: list[str]


@pytest.fixture
def removal(monkeypatch: pytest.MonkeyPatch) -> Removal:
    made = Removal([], ["cluster east", "network lab-pair"])

    def remove(_: Settings, lab: str) -> list[str]:
        made.asked.append(lab)
        return made.removed

    monkeypatch.setattr(down, "down", remove)
    return made


def test_down_tells_what_went(removal: Removal, capsys: pytest.CaptureFixture[str]) -> None:
    commands.down("pair", name="", yes=True)
    told = capsys.readouterr()
    assert told.out.startswith("pair is gone (")
    assert told.err == "removed cluster east\nremoved network lab-pair\n"
    removal.removed = []
    commands.down("pair", name="second", yes=True)
    assert capsys.readouterr().out == "There is no lab second: nothing to remove.\n"
    assert removal.asked == ["pair", "second"]


def test_down_asks_where_there_is_somebody(
    removal: Removal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    questions: list[str] = []

    def no(question: str, *, assume_yes: bool) -> bool:
        questions.append(question)
        return assume_yes

    monkeypatch.setattr(console, "confirm", no)
    monkeypatch.setattr(commands, "_asks", lambda: True)
    commands.down("pair", name="", yes=False)
    assert removal.asked == []
    assert questions == ["Remove the lab pair, with everything in it?"]
    monkeypatch.setattr(commands, "_asks", lambda: False)
    commands.down("pair", name="", yes=False)
    assert removal.asked == ["pair"]


CATALOG = Path(__file__).parents[1] / "addons" / "catalog"


def asked_for(folder: Path, uses: str) -> str:
    path = folder / "t.yaml"
    path.write_text(
        f"version: lab/v1\nname: t\nclusters: {{a: {{role: app}}, b: {{role: app}}}}\naddons: {uses}\n"
    )
    return str(path)


def test_addons_are_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LAB_ADDONS", str(CATALOG))
    commands.addons("", json=False)
    assert capsys.readouterr().out.splitlines() == [
        "NAME    ON   VERSION  LICENCE     MEMORY  NEEDS  CONTRACTS  SUMMARY",
        "broken  app  1        Apache-2.0  16Mi    -      -          Never becomes ready.",
        "slow    app  1        Apache-2.0  16Mi    -      -          Becomes ready after a while.",
    ]


def test_addons_of_a_topology_say_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_ADDONS", str(CATALOG))
    topology = asked_for(tmp_path, "[{use: slow}]")
    commands.addons(topology, json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["broken", "app", "-", "1"],
        ["slow", "app", "a,", "b"],
    ]
    commands.addons(topology, json=True)
    told = json.loads(capsys.readouterr().out)["addons"]
    assert [(each["name"], each["clusters"]) for each in told] == [("broken", []), ("slow", ["a", "b"])]
    assert told[1] == {
        "name": "slow",
        "summary": "Becomes ready after a while.",
        "on": ["app"],
        "version": "1",
        "licence": "Apache-2.0",
        "memory_mib": 16,
        "needs": [],
        "after": [],
        "contracts": {},
        "options": {"after": 20},
        "clusters": ["a", "b"],
    }


def test_an_addon_that_is_not_there_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ADDONS", str(CATALOG))
    with pytest.raises(InputError) as caught:
        commands.addons(asked_for(tmp_path, "[{use: slwo}]"), json=False)
    assert caught.value.details.endswith(
        't.yaml:4:10 addons[0].use: there is no addon "slwo". Did you mean "slow"?'
    )


def test_without_any_addon_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_ADDONS", str(tmp_path))
    commands.addons("", json=False)
    assert capsys.readouterr().out == "There is no addon in addons/.\n"
