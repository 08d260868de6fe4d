"""What pods say of themselves: what is wrong with which, and which of them count."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lab.catalog.addon import Workload
from lab.clients.kube import Kube
from lab.platform.install import hopeless
from lab.platform.pods import current, waiting


def pod(
    name: str, *, owner: str = "web-1", kind: str = "ReplicaSet", at: str = "10:00", **state: Any
) -> dict[str, Any]:
    """A pod with one container, which waits for ``reason`` after ``restarts``."""
    status = {
        "name": "main",
        "state": {"waiting": {"reason": reason}} if (reason := state.get("reason")) else {"running": {}},
        "restartCount": state.get("restarts", 0),
    }
    owners = [{"kind": kind, "name": owner, "uid": owner}]
    metadata = {"name": name, "creationTimestamp": f"2026-01-01T{at}:00Z", "ownerReferences": owners}
    return {"metadata": metadata, "status": {"containerStatuses": [status]}}


def names(pods: list[Any]) -> list[str]:
    return [each["metadata"]["name"] for each in pods]


def test_only_the_newest_replica_set_of_a_deployment_counts() -> None:
    pods = [
        pod("a", owner="web-1"),
        pod("b", owner="web-2", at="10:05"),
        pod("c", owner="other-1", at="09:00"),
    ]
    assert names(current(pods)) == ["c", "b"]


def test_all_pods_of_other_workloads_count() -> None:
    pods = [pod(f"db-{n}", owner="db", kind="StatefulSet", at=f"10:0{n}") for n in range(3)]
    assert names(current(pods)) == ["db-0", "db-1", "db-2"]


def test_a_pod_of_nobodys_counts() -> None:
    alone = pod("alone")
    del alone["metadata"]["ownerReferences"]
    assert names(current([alone])) == ["alone"]


@pytest.mark.parametrize("reason", [None, "ContainerCreating", "PodInitializing"])
def test_starting_is_nothing_wrong(reason: str | None) -> None:
    assert list(waiting(pod("a", reason=reason))) == []


class Pods:
    """A cluster with some pods of an addon."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.found = list(pods)

    def pods(self, namespace: str, *, labels: str) -> list[dict[str, Any]]:
        assert (namespace, labels) == ("shop", "lab/addon=web")
        return self.found


def verdict(*pods: dict[str, Any]) -> str | None:
    ready = [Workload("Deployment", "web", "shop"), Workload("Deployment", "other", "shop")]
    return hopeless(cast("Kube", Pods(*pods)), "web", ready)


def test_a_container_that_crashes_again_and_again_needs_somebody() -> None:
    assert verdict(pod("a", reason="CrashLoopBackOff", restarts=3)) is None
    assert verdict(pod("a", reason="CrashLoopBackOff", restarts=4)) == "a/main has crashed 4 times"


def test_what_the_version_before_did_is_past() -> None:
    old = pod("a", owner="web-1", reason="CrashLoopBackOff", restarts=9)
    assert verdict(old, pod("b", owner="web-2", at="10:05")) is None


def test_an_image_that_cannot_be_there_is_told_at_once() -> None:
    assert verdict(pod("a", reason="ErrImageNeverPull")) == "a/main: ErrImageNeverPull"
    assert verdict(pod("a", reason="ImagePullBackOff")) is None
