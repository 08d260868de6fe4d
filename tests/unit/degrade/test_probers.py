"""What an experiment needs in a cluster: the services that its requests are for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.degrade.probers import manifests
from lab.topology.model import StaleBackends
from tests.unit import labs


@pytest.mark.parametrize(
    ("stale", "affinity"),
    [
        (StaleBackends("keep"), ""),
        (StaleBackends("prefer_local"), "local"),
        (StaleBackends("drop_after", 30), ""),
    ],
)
def test_one_service_is_as_the_topology_has_those_that_say_nothing_themselves(
    stale: StaleBackends, affinity: str
) -> None:
    topology = labs.topology("pair")
    topology = replace(topology, mesh=replace(topology.mesh, stale_backends=stale))
    made = manifests(topology, "east", "r1", ())
    found = {
        each["metadata"]["name"]: each["metadata"].get("annotations", {}).get("service.cilium.io/affinity")
        for each in made
        if each["kind"] == "Service"
    }
    assert found == {
        "echo": None,
        "echo-west": "",
        "echo-east": "",
        "echo-all": affinity,
        "echo-near": "local",
    }
