"""What is told of a failed step: why containers do not run, their last words, and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.clients.kube import Kube
from lab.evidence import evidence
from lab.plan.step import Step
from lab.workspace import Workspace
from tests.unit.labs import workspace

NETWORK = Step("east/network", "network", cluster="east", summary="wait")
READY = Step("east/web/ready", "addon-ready", cluster="east", summary="wait for web")


def container(name: str, reason: str | None) -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason}} if reason else {"running": {}}}


POD = {
    "metadata": {"name": "cilium-x", "namespace": "kube-system"},
    "status": {
        "initContainerStatuses": [container("mount", "CrashLoopBackOff")],
        "containerStatuses": [container("agent", "PodInitializing"), container("other", None)],
    },
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = workspace(tmp_path)
    monkeypatch.setattr(Kube, "warnings", lambda _, limit: ["Pod/x: BackOff: again"])
    monkeypatch.setattr(Kube, "log", lambda *_, **__: "it broke\n")
    return made


def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, str]]]:
    """What the API is asked; it has one pod, whatever it is asked for."""
    questions: list[tuple[str, Mapping[str, str]]] = []

    def get(_: Kube, path: str, query: Mapping[str, str]) -> Any:
        questions.append((path, query))
        return {"items": [POD]}

    monkeypatch.setattr(Kube, "get", get)
    return questions


def has_kubeconfig(lab: Workspace) -> None:
    path = lab.folder.kubeconfig("east")
    path.parent.mkdir(parents=True)
    path.touch()


def test_what_does_not_run_is_named_with_its_last_words(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = asked(monkeypatch)
    has_kubeconfig(lab)
    assert evidence(lab, NETWORK).splitlines() == [
        "cilium-x/mount: CrashLoopBackOff",
        "    it broke",
        "Pod/x: BackOff: again",
    ]
    assert questions == [("/api/v1/namespaces/kube-system/pods", {})]


def test_of_an_addon_its_own_pods_are_looked_at(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = asked(monkeypatch)
    has_kubeconfig(lab)
    assert evidence(lab, READY).startswith("cilium-x/mount: CrashLoopBackOff")
    assert questions == [("/api/v1/pods", {"labelSelector": "lab/addon=web"})]


def test_where_no_cluster_can_be_asked_there_is_nothing(lab: Workspace) -> None:
    assert evidence(lab, NETWORK) == ""
    assert evidence(lab, Step("lab/verify", "verify", summary="prove")) == ""
