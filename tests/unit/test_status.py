"""What ``status`` makes of what clusters say; a fake stands at the door to the API and at the engine's."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lab import observe, state, status, status_view, workspace
from lab.clients.kube_objects import Node, Unreachable
from lab.errors import ProvisionError
from lab.host import facts
from lab.providers.base import ClusterState, NodeState
from lab.settings import Settings
from lab.topology.snapshot import HostSnapshot

METRICS = """\
# TYPE cilium_kvstoremesh_remote_cluster_readiness_status gauge
cilium_kvstoremesh_remote_cluster_readiness_status{target_cluster="%s"} %s
cilium_kvstoremesh_remote_clusters 1
"""


class FakeKube:
    """Answers of a cluster, by its name."""

    answers: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.cluster = kubeconfig.stem

    def _answer(self, what: str) -> Any:
        answer = self.answers[self.cluster][what]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def request(self, method, path, *, timeout):
        assert (method, path) == ("GET", "/readyz")
        return self._answer("ready")

    def nodes(self, *, timeout):
        return [Node(name, ready, {}) for name, ready in self._answer("nodes")]

    def pods(self, namespace, *, labels):
        assert namespace == "kube-system"
        return [
            {"metadata": {"name": name, "labels": {"k8s-app": app}}, "status": {"phase": phase}}
            for name, app, phase in self._answer("pods")
        ]

    def ask_pod(self, namespace, pod, *, port, path, timeout):
        assert (pod, port, path) == ("mesh-1", 9964, "/metrics")
        return self._answer("metrics")

    def execute(self, namespace, pod, command, *, container, timeout):
        assert (pod, container) == ("agent-1", "cilium-agent")
        return json.dumps(self._answer("agent"))


class FakeProvider:
    """An engine with some nodes."""

    states: ClassVar[dict[str, ClusterState]] = {}
    bytes_used: ClassVar[dict[str, int] | Exception] = {}

    def __init__(self, **given: object) -> None: ...

    def observe(self, topology):
        return self.states

    def memory(self, topology):
        if isinstance(self.bytes_used, Exception):
            raise self.bytes_used
        return self.bytes_used


def sound(peer: str) -> dict[str, Any]:
    return {
        "ready": "ok",
        "nodes": [("n", True)],
        "pods": [("mesh-1", "clustermesh-apiserver", "Running"), ("agent-1", "cilium", "Running")],
        "metrics": METRICS % (peer, 1),
        "agent": {"cluster-mesh": {"clusters": [{"name": peer, "ready": True, "status": "etcd: 1/1"}]}},
    }


def nodes(cluster: str, *, running: bool = True) -> ClusterState:
    return ClusterState(
        (NodeState(f"pair-{cluster}-control-plane", "control-plane", running, "10.0.0.2", f"{cluster} now"),)
    )


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Settings:
    """The lab ``pair``, sound, as its doors tell of it."""
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    monkeypatch.setattr(facts, "snapshot", lambda settings: HostSnapshot())
    monkeypatch.setattr(workspace, "Kube", FakeKube)
    monkeypatch.setattr(workspace, "PROVIDERS", {"kind": FakeProvider})
    monkeypatch.setattr(FakeKube, "answers", {"east": sound("west"), "west": sound("east")})
    monkeypatch.setattr(FakeProvider, "states", {"east": nodes("east"), "west": nodes("west")})
    monkeypatch.setattr(FakeProvider, "bytes_used", {"east": 1536 * 2**20, "west": 700 * 2**20 + 5})
    folder = state.folder(settings, "pair")
    for cluster in ("east", "west"):
        folder.kubeconfig(cluster).parent.mkdir(parents=True, exist_ok=True)
        folder.kubeconfig(cluster).touch()
    folder.write("verified", observe.generation(FakeProvider.states))
    return settings


def look(settings: Settings) -> status.Status:
    return status.look(settings, "pair", name=None)


def shown(settings: Settings, capsys: pytest.CaptureFixture[str]) -> list[str]:
    status_view.show(look(settings), clear=False)
    return capsys.readouterr().out.splitlines()


def test_a_sound_lab(lab, capsys):
    assert look(lab).as_json() == {
        "lab": "pair",
        "clusters": [
            {"name": "east", "reachable": True, "nodes_ready": 1, "memory_mib": 1536},
            {"name": "west", "reachable": True, "nodes_ready": 1, "memory_mib": 700},
        ],
        "mesh": [{"from": "east", "to": "west", "ok": True}, {"from": "west", "to": "east", "ok": True}],
        "addons": [],
    }
    assert shown(lab, capsys)[:3] == [
        "cluster  role  API server  nodes ready  memory   mesh peers",
        "east     app   ready       1 of 1       1.5 GiB  1 of 1 connected",
        "west     app   ready       1 of 1       0.7 GiB  1 of 1 connected",
    ]


def test_when_the_data_path_was_proved_is_told_until_a_node_starts_again(lab, capsys, monkeypatch):
    assert look(lab).proved is not None
    assert shown(lab, capsys)[-1].startswith("The data path was proved ")

    monkeypatch.setattr(FakeProvider, "states", {"east": nodes("east"), "west": nodes("later")})
    assert look(lab).proved is None
    assert shown(lab, capsys)[-1].endswith(
        "not proved since these nodes were started: ./invoke verify -t pair"
    )


def test_a_lab_that_is_not_there_is_no_error(lab, capsys, monkeypatch):
    monkeypatch.setattr(FakeProvider, "states", {})

    told = look(lab).as_json()
    assert [each["reachable"] for each in told["clusters"]] == [False, False]
    assert [each["ok"] for each in told["mesh"]] == [False, False]
    assert shown(lab, capsys) == ["There is no lab pair. Make it: ./invoke up -t pair"]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"pods": [("agent-1", "cilium", "Running")]}, "the mesh API server does not run"),
        (
            {"pods": [("mesh-1", "clustermesh-apiserver", "Pending"), ("agent-1", "cilium", "Running")]},
            "the mesh API server does not run",
        ),
        ({"pods": [("mesh-1", "clustermesh-apiserver", "Running")]}, "no agent runs"),
        ({"metrics": METRICS % ("west", 0)}, "the mesh API server has no connection to west's"),
        ({"metrics": METRICS % ("north", 1)}, "the mesh API server was told of no such peer"),
        ({"metrics": ""}, "the mesh API server was told of no such peer"),
        ({"metrics": Unreachable("the proxy failed")}, "the proxy failed"),
        ({"agent": ProvisionError("cilium-dbg failed")}, "cilium-dbg failed"),
        ({"agent": {}}, "an agent was told of no such peer"),
        ({"agent": {"cluster-mesh": {"clusters": None}}}, "an agent was told of no such peer"),
        (
            {
                "agent": {
                    "cluster-mesh": {"clusters": [{"name": "west", "ready": False, "status": "no etcd"}]}
                }
            },
            "an agent is not ready for it: no etcd",
        ),
    ],
)
def test_both_halves_of_a_connection_must_hold(lab, capsys, change, missing):
    FakeKube.answers["east"] |= change

    east, west = look(lab).mesh
    assert (east.source, east.target, east.ok, east.missing) == ("east", "west", False, missing)
    assert west.ok
    lines = shown(lab, capsys)
    assert lines[1].endswith("0 of 1 connected")
    assert f"east -> west: {missing}" in lines


@pytest.mark.parametrize(
    ("stopped", "answer", "told"),
    [(True, "ok", "stopped"), (False, Unreachable("no answer"), "does not answer")],
)
def test_a_cluster_that_is_away_is_a_row_and_not_an_error(lab, capsys, monkeypatch, stopped, answer, told):
    states = {"east": nodes("east", running=not stopped), "west": nodes("west")}
    monkeypatch.setattr(FakeProvider, "states", states)
    monkeypatch.setattr(FakeProvider, "bytes_used", {"west": 2**30})
    FakeKube.answers["east"]["ready"] = answer
    FakeKube.answers["west"]["metrics"] = METRICS % ("east", 0)

    east, west = look(lab).as_json()["clusters"]
    assert east == {"name": "east", "reachable": False, "nodes_ready": 0, "memory_mib": 0}
    assert west["reachable"]
    lines = shown(lab, capsys)
    assert lines[1].split() == [
        "east",
        "app",
        *told.split(),
        "0",
        "of",
        "1",
        "-",
        "0",
        "of",
        "1",
        "connected",
    ]
    assert "west -> east: the mesh API server has no connection to east's" in lines
    assert not any(line.startswith("east ->") for line in lines)


def test_a_cluster_whose_creation_is_under_way(lab):
    state.folder(lab, "pair").kubeconfig("east").unlink()

    assert [each.state for each in look(lab).clusters] == ["being made", "ready"]


def test_nodes_that_are_not_ready_are_not_counted(lab, capsys):
    FakeKube.answers["east"]["nodes"] = [("one", False)]

    assert look(lab).clusters[0].nodes_ready == 0
    assert "0 of 1" in shown(lab, capsys)[1]


def test_memory_that_cannot_be_measured_costs_only_itself(lab, monkeypatch):
    monkeypatch.setattr(FakeProvider, "bytes_used", ProvisionError("docker stats did not end"))

    assert [(each.reachable, each.memory_mib) for each in look(lab).clusters] == [(True, 0), (True, 0)]


def test_watching_without_a_terminal_adds_the_time(lab, capsys):
    seen = look(lab)
    status_view.show(seen, clear=True)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"-- {seen.at:%Y-%m-%dT%H:%M:%SZ}"
    assert lines[1].startswith("cluster ")


class Terminal(StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


def test_watching_on_a_terminal_draws_over_in_one_piece(lab, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "6")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    status_view.show(look(lab), clear=True)

    [drawn] = terminal.writes
    assert drawn.startswith("\x1b[H")
    assert drawn.endswith("\x1b[J")
    assert "\x1b[2J" not in drawn
    assert drawn.count("\x1b[K\n") == drawn.count("\n") == 5
