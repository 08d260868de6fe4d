"""Agents are told once that their mesh API server serves, and their configuration stays what it was."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

import pytest
import yaml

from lab.clients.kube import Kube
from lab.mesh.redial import marked, redial

CONFIG = "endpoints:\n- https://clustermesh-apiserver.kube-system.svc:2379\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


@pytest.mark.parametrize("config", [CONFIG, CONFIG.rstrip()])
def test_only_a_comment_is_added(config: str) -> None:
    text = decoded(marked({"west": encoded(config)}, "server-1")["west"])
    assert text != config
    assert yaml.safe_load(text) == yaml.safe_load(config)


def test_the_same_server_changes_nothing_again() -> None:
    once = marked({"west": encoded(CONFIG)}, "server-1")
    assert marked(once, "server-1") == {}


def test_a_new_server_takes_the_place_of_the_old() -> None:
    twice = marked(marked({"west": encoded(CONFIG)}, "server-1"), "server-2")
    assert "server-1" not in decoded(twice["west"])
    assert len(decoded(twice["west"]).splitlines()) == len(CONFIG.splitlines()) + 1


class FakeKube:
    """A cluster with one mesh API server and two agents; takes merge patches."""

    def __init__(self) -> None:
        self.data = {"west": encoded(CONFIG)}
        self.annotations: dict[str, dict[str, str]] = {"cilium-a": {}, "cilium-b": {}}
        self.merged: list[str] = []

    def pods(self, namespace: str, *, labels: str) -> list[Mapping[str, Any]]:
        names = {"k8s-app=clustermesh-apiserver": ["server-1"], "k8s-app=cilium": list(self.annotations)}
        return [
            {"metadata": {"name": name, "annotations": dict(self.annotations.get(name, {}))}}
            for name in names[labels]
        ]

    def get(self, path: str) -> Any:
        return {"data": dict(self.data)}

    def merge(self, path: str, change: Mapping[str, Any]) -> None:
        name = path.rpartition("/")[2]
        self.merged.append(name)
        self.data.update(change.get("data", {}))
        if name in self.annotations:
            self.annotations[name].update(change["metadata"]["annotations"])


def test_the_secret_comes_first_then_every_agents_pod_and_both_only_once() -> None:
    kube = FakeKube()
    redial(cast("Kube", kube))
    assert kube.merged == ["cilium-clustermesh", "cilium-a", "cilium-b"]
    redial(cast("Kube", kube))
    assert len(kube.merged) == 3
