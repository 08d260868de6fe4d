"""Leaving a cluster that stays: what is the lab's goes, and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lab import detach as module
from lab.clients.kube import Kube
from lab.clients.kube_objects import Unreachable
from lab.degrade.faults import Fault
from lab.detach import detach
from lab.errors import HostError
from lab.mesh import joined
from lab.settings import Timeouts
from lab.state import LabFolder
from tests.unit.api import FakeApi

OURS = {"metadata": {"labels": {"lab/name": "pair"}}}
THEIRS = {"metadata": {"labels": {"lab/name": "other"}}}

KINDS: dict[str, dict[str, Any]] = {
    "/api/v1": {
        "resources": [
            {"name": "namespaces", "verbs": ["list", "delete"]},
            {"name": "nodes", "verbs": ["list", "delete"]},
            {"name": "services", "verbs": ["list", "delete"]},
            {"name": "pods", "verbs": ["list", "delete"]},
            {"name": "bindings", "verbs": ["create"]},
        ]
    },
    "/apis": {"groups": [{"preferredVersion": {"groupVersion": "rbac.authorization.k8s.io/v1"}}]},
    "/apis/rbac.authorization.k8s.io/v1": {
        "resources": [{"name": "clusterroles", "verbs": ["list", "delete"]}]
    },
}

ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    made = FakeApi(
        monkeypatch,
        {
            "/readyz": {},
            "/api/v1/namespaces/lab-check": OURS,
            "/api/v1/namespaces/shop": {},
            "/api/v1/nodes/one": OURS,
            "/api/v1/namespaces/shop/services/ours": OURS,
            "/api/v1/namespaces/shop/services/theirs": THEIRS,
            "/api/v1/namespaces/shop/services/helms": {
                "metadata": {"labels": {"lab/name": "pair", "app.kubernetes.io/managed-by": "Helm"}}
            },
            "/api/v1/namespaces/shop/pods/owned": {
                "metadata": {"labels": {"lab/name": "pair"}, "ownerReferences": [{"name": "x"}]}
            },
            f"{ROLES}/ours": OURS,
            f"{ROLES}/plain": {},
        },
    )
    made.objects |= {path: {**told, "metadata": {"labels": {}}} for path, told in KINDS.items()}
    return made


@pytest.fixture
def taken_off(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the Ciliums that were taken off were remembered as."""
    made: list[str] = []

    def take_off(kube: Kube, helm: object, remembered: str, *, timeout: float) -> None:
        made.append(remembered)

    monkeypatch.setattr(joined, "take_off", take_off)
    monkeypatch.setattr(module, "records", lambda _: {})
    return made


def leave(folder: LabFolder) -> None:
    detach(folder, "pair", "east", helm=Path("/helm"), timeouts=Timeouts(addon_ready=1))


def test_only_what_carries_the_labs_label_goes(api: FakeApi, taken_off: list[str], tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    folder.write("cilium-before-east", "as it was")
    leave(folder)
    leave(folder)
    assert api.done == [
        ("DELETE", "/api/v1/namespaces/lab-check"),
        ("DELETE", "/api/v1/namespaces/shop/services/ours"),
        ("DELETE", f"{ROLES}/ours"),
    ]
    assert taken_off == ["as it was", "as it was"]


def test_what_comes_back_is_removed_again(api: FakeApi, taken_off: list[str], tmp_path: Path) -> None:
    path = f"{ROLES}/ours"
    item: Any = api.objects[path]
    left = [1]

    def again(deleted: str) -> None:
        if deleted == path and left:
            left.pop()
            api.objects[path] = item

    api.deleted = again
    leave(LabFolder(tmp_path))
    assert path not in api.objects


def test_one_that_does_not_answer_is_still_known(api: FakeApi, taken_off: list[str], tmp_path: Path) -> None:
    def gone(method: str, path: str) -> None:
        raise Unreachable("no answer")

    api.refuse = gone
    with pytest.raises(HostError) as refused:
        leave(LabFolder(tmp_path))
    assert refused.value.brief == ("east does not answer, and what the lab has put there cannot be removed")
    assert refused.value.details == "no answer"
    assert refused.value.remedy == (
        "Have it answer, or log in again, and remove the lab then: it is still known here. "
        f"If the cluster is gone for good: rm {tmp_path}/kubeconfig/east.yaml"
    )
    assert taken_off == []


def test_a_fault_is_undone_first(api: FakeApi, taken_off: list[str], tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    folder.write("fault", json.dumps(asdict(Fault("kill", "east", "r1"))))
    with pytest.raises(HostError) as refused:
        leave(folder)
    assert refused.value.brief == (
        "a fault of an experiment still stands on east (east: its nodes were killed (SIGKILL))"
    )
    assert api.done == []
