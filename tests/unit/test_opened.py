"""``open``: which door is meant, what is behind it, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from lab import opened
from lab.catalog.addon import Url
from lab.clients.kube import Kube
from lab.clients.kube_objects import Unreachable
from lab.errors import HostError, InputError
from lab.host import facts
from lab.opened import _backend, find
from lab.settings import Settings
from lab.topology.snapshot import HostSnapshot
from tests.unit.labs import settings

UI = Url(name="ui", service="web", namespace="shop", port=80, path="/")

SERVICE = {"spec": {"ports": [{"name": "metrics", "port": 9090}, {"name": "http", "port": 80}]}}


def endpoint(name: str, *, ready: bool = True) -> dict[str, Any]:
    return {"targetRef": {"kind": "Pod", "name": name}, "conditions": {"ready": ready}}


def slice_of(*endpoints: dict[str, Any]) -> dict[str, Any]:
    ports = [{"name": "metrics", "port": 9090}, {"name": "http", "port": 8080}]
    return {"ports": ports, "endpoints": list(endpoints)}


class FakeKube:
    def __init__(self, services: list[dict[str, Any]], slices: list[dict[str, Any]]) -> None:
        self.services = services
        self.slices = slices

    def get(self, path: str, *, query: dict[str, str]) -> dict[str, Any]:
        if path == "/api/v1/namespaces/shop/services":
            assert query == {"fieldSelector": "metadata.name=web"}
            return {"items": self.services}
        assert path == "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
        assert query == {"labelSelector": "kubernetes.io/service-name=web"}
        return {"items": self.slices}


def backend(services: list[dict[str, Any]], slices: list[dict[str, Any]]) -> tuple[str, int]:
    return _backend(cast("Kube", FakeKube(services, slices)), UI)


def test_a_ready_pod_and_the_port_that_it_listens_on_are_found() -> None:
    slices = [slice_of(), slice_of(endpoint("a", ready=False), endpoint("b"))]
    assert backend([SERVICE], slices) == ("b", 8080)


@pytest.mark.parametrize(
    ("services", "slices", "told"),
    [
        ([], [], "the service shop/web is not there"),
        ([{"spec": {"ports": [{"port": 81}]}}], [], "the service shop/web has no port 80"),
        ([SERVICE], [], "nothing behind the service shop/web is ready"),
        ([SERVICE], [slice_of(endpoint("a", ready=False))], "nothing behind the service shop/web is ready"),
        ([SERVICE], [{"ports": None, "endpoints": None}], "nothing behind the service shop/web is ready"),
    ],
)
def test_what_is_missing_is_told(
    services: list[dict[str, Any]], slices: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(Unreachable) as refused:
        backend(services, slices)
    assert refused.value.brief == told


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(facts, "snapshot", lambda _: HostSnapshot())
    monkeypatch.setattr(opened, "states", lambda _: {"app2": object()})
    return settings(tmp_path)


def test_what_is_not_there_gets_a_list_of_what_is(own: Settings) -> None:
    with pytest.raises(InputError) as refused:
        find(own, "dmeo", "hub-spoke", name=None)
    assert refused.value.brief == "hub-spoke has nothing called 'dmeo' to open"
    assert refused.value.remedy.startswith('Did you mean "demo"? There are ')


def test_where_several_clusters_have_it_one_can_be_chosen(own: Settings) -> None:
    assert find(own, "demo", "hub-spoke", name=None, cluster="app2").cluster == "app2"
    with pytest.raises(InputError) as refused:
        find(own, "demo", "hub-spoke", name=None, cluster="mgmt")
    assert refused.value.remedy == "It is on app1 and app2."


def test_of_a_cluster_that_is_not_made_it_is_said_how_to_make_it(own: Settings) -> None:
    with pytest.raises(HostError) as refused:
        find(own, "demo", "hub-spoke", name=None)
    assert refused.value.brief == "hub-spoke: there is no cluster app1"
    assert refused.value.remedy == "Make it: ./invoke up"
