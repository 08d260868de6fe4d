"""What comes across a cluster's border, as pods on both sides of it are told. Nothing here is a cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from lab.clients.kube import Kube
from lab.clients.kube_objects import Unreachable
from lab.degrade.border import shut, still_open


class Probe:
    """The probe of a cluster, which gets no answer from ``cut``."""

    def __init__(self, *cut: str) -> None:
        self.cut = cut
        self.asked: list[str] = []
        self.away = False

    def request(self, method: str, path: str, *, query: Mapping[str, str], timeout: float) -> str:
        assert (method, path) == ("GET", "/api/v1/namespaces/lab-check/services/probe:8080/proxy/ask")
        assert timeout > float(query["timeout"])
        if self.away:
            raise Unreachable("the API server does not answer")
        name = query["url"].removeprefix("http://echo-").partition(".lab-degrade.svc.cluster.local:8080/")[0]
        self.asked.append(name)
        if name in self.cut:
            return json.dumps([{"error": "timed out", "seconds": 2.0}])
        return json.dumps([{"answer": {"cluster": name}, "seconds": 0.01}])


def kubes(**probes: Probe) -> dict[str, Kube]:
    return {name: cast("Kube", probe) for name, probe in probes.items()}


def test_everybody_is_asked_on_either_side_and_nobody_besides() -> None:
    there = {"mgmt": Probe(), "app1": Probe(), "app2": Probe()}
    assert shut(kubes(**there), "app1") is None
    assert {name: sorted(probe.asked) for name, probe in there.items()} == {
        "mgmt": ["app1"],
        "app1": ["app2", "mgmt"],
        "app2": ["app1"],
    }


def test_one_that_is_not_reached_is_told() -> None:
    there = kubes(mgmt=Probe("app1"), app1=Probe(), app2=Probe())
    assert shut(there, "app1") == "mgmt does not reach app1"
    assert still_open(there, "app1") == "app1 still reaches mgmt"


def test_a_border_is_closed_when_nothing_comes_across_in_either_direction() -> None:
    there = kubes(mgmt=Probe("app1"), app1=Probe("mgmt", "app2"), app2=Probe("app1"))
    assert still_open(there, "app1") is None


@pytest.mark.parametrize("look", [shut, still_open])
def test_that_nobody_could_be_asked_is_no_answer(look: Any) -> None:
    away = Probe("app1")
    away.away = True
    there = kubes(mgmt=away, app1=Probe("mgmt"))
    assert look(there, "app1") == "not every pod could be asked: the API server does not answer"


def test_an_answer_of_another_cluster_is_none() -> None:
    class Elsewhere(Probe):
        def request(self, *_: Any, **__: Any) -> str:
            return json.dumps([{"answer": {"cluster": "app2"}, "seconds": 0.01}])

    assert shut(kubes(mgmt=Elsewhere(), app1=Probe()), "app1") == "mgmt does not reach app1"
