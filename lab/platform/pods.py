"""What the status of a pod says of containers that do not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_STARTING = frozenset({"", "PodInitializing", "ContainerCreating"})
"""What every container waits for, as a rule."""


@dataclass(frozen=True)
class Waiting:
    """A container that is kept from running, and Kubernetes' word for why."""

    namespace: str
    pod: str
    container: str
    reason: str
    restarts: int

    def __str__(self) -> str:
        """As it is shown to people."""
        return f"{self.pod}/{self.container}: {self.reason}"


def waiting(pod: Mapping[str, Any]) -> Iterator[Waiting]:
    """Yield the containers of ``pod`` that something is wrong with, init containers first."""
    metadata, status = pod["metadata"], pod["status"]
    for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        reason = (each.get("state", {}).get("waiting") or {}).get("reason") or ""
        if reason not in _STARTING:
            yield Waiting(
                metadata.get("namespace", ""),
                metadata["name"],
                each["name"],
                reason,
                each.get("restartCount", 0),
            )


def current(pods: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those of ``pods`` that are of the newest version of their workload.

    While a Deployment changes, pods of its earlier ReplicaSets run on; what is wrong with them may be
    what the change mends.
    """
    ordered = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    newest = {_workload(pod): _owner(pod).get("uid") for pod in ordered}
    return [pod for pod in ordered if _owner(pod).get("uid") == newest[_workload(pod)]]


def _owner(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    owners = pod["metadata"].get("ownerReferences") or [{}]
    owner: Mapping[str, Any] = owners[0]
    return owner


def _workload(pod: Mapping[str, Any]) -> tuple[str, str]:
    owner = _owner(pod)
    kind, name = owner.get("kind", ""), owner.get("name", "")
    # A ReplicaSet is called after its Deployment, with a hash of the pod template.
    return kind, name.rpartition("-")[0] if kind == "ReplicaSet" else name
