"""What a CI runner does: the small platform is made, loses its hub, and is judged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.clients import docker
from lab.settings import LABEL
from lab.workspace import Workspace
from tests.clusters.experiments import degrade, require_whole, verdicts
from tests.clusters.labs import invoke, unique, workspace

pytestmark = pytest.mark.cluster

TOPOLOGY = "hub-spoke-small"


@pytest.fixture(scope="module")
def small(pair_name: str) -> Iterator[Workspace]:
    """The small lab with the machine to itself, gone in the end whatever happens."""
    invoke("down", "--yes", name=pair_name)
    name = unique("t-small")
    try:
        invoke("up", "-t", TOPOLOGY, "--yes", name=name)
        yield workspace(TOPOLOGY, name)
    finally:
        invoke("down", "-t", TOPOLOGY, "--yes", name=name)
    assert docker.networks(f"{LABEL}={name}") == []


def test_what_one_application_cluster_can_show_holds(small: Workspace) -> None:
    ran, folder = degrade(small, TOPOLOGY)
    found = verdicts(folder)
    promises = ("C1", "C2", "C3", "C4", "C5", "C6")
    assert {name: found[name]["verdict"] for name in promises} == dict.fromkeys(promises, "pass")
    # There is no second application cluster for requests between them.
    measured = found["C1"]["measured"]["app1"]
    assert measured["inside_new"]["requests"] >= 1000
    assert not [key for key in measured if key.startswith("between")]
    assert found["C7"]["verdict"] == "skipped"
    assert found["C7"]["reason"] == "the lab has no argocd"
    controls = ("C3-delete", "C4-far", "C5-any-backend")
    assert {name: found[name]["verdict"] for name in controls} == dict.fromkeys(controls, "fail")
    assert "3 fail, as they must" in ran.out
    require_whole(small)
