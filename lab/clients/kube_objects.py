"""What the Kubernetes API gives and refuses, in our words: plain values, and the errors of the door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import ProvisionError, TemporaryError

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
"""The label that kubeadm puts on nodes of the control plane, and others after it."""


class Unreachable(TemporaryError):
    """The API server does not answer (yet)."""


class Refused(ProvisionError):
    """The API server answered, and said no: ``status`` is its HTTP status code, ``body`` what it sent."""

    def __init__(self, brief: str, *, details: str, status: int, body: str = "") -> None:
        super().__init__(brief, details=details)
        self.status = status
        self.body = body


def renamed(value: Any, images: Mapping[str, str]) -> Any:
    """``value``, an object or a part of one, with every container's image as ``images`` call it."""
    if isinstance(value, Mapping) and images:
        return {
            key: images.get(inner, inner)
            if key == "image" and isinstance(inner, str)
            else renamed(inner, images)
            for key, inner in value.items()
        }
    if isinstance(value, list) and images:
        return [renamed(each, images) for each in value]
    return value


@dataclass(frozen=True)
class Node:
    """A node of a cluster, as its API server sees it."""

    name: str
    ready: bool
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Workload:
    """A Deployment, DaemonSet or StatefulSet: how many replicas are wanted, and how many serve."""

    kind: str
    name: str
    wanted: int
    ready: int
    current: bool
    """Whether the controller has seen the newest specification, and every replica follows it."""

    @property
    def is_ready(self) -> bool:
        """Every replica serves, in the version that was asked for."""
        return self.current and self.ready >= self.wanted > 0


@dataclass(frozen=True)
class Reference:
    """What finds an object again. ``namespace`` is empty for what has none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What no two objects of a cluster share: versions of a group are views of the same object."""
        group, slash, _ = self.api_version.rpartition("/")
        return group if slash else "", self.kind, self.namespace, self.name
