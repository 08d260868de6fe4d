"""Addons on real clusters, with those made for tests: the tool has never heard of them.

Tests follow one another, as somebody would who edits the pair's topology: in the end it is as it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.clients.kube_objects import Reference, Refused
from lab.images import carry
from lab.platform.record import records
from lab.settings import LABEL, PROJECT
from lab.workspace import Workspace
from tests.clusters.labs import Ran, invoke, nodes, workspace

pytestmark = pytest.mark.cluster

IMAGE = "lab.local/python:3"

SLOW = Reference("apps/v1", "Deployment", "slow", "slow")
KNOWN = Reference("v1", "Service", "slow", "slow")


class Edited:
    """A copy of the pair's topology file that somebody edits, and the lab that it describes."""

    def __init__(self, pair: Workspace, folder: Path) -> None:
        self.name = pair.lab
        self.path = folder / "edited.yaml"
        self._shipped = pair.topology.path.read_text()
        self.write()

    def write(self, *uses: str) -> None:
        """Have these addons in the file."""
        listed = "".join(f"  - {use}\n" for use in uses)
        self.path.write_text(self._shipped + (f"addons:\n{listed}" if uses else ""))

    def invoke(self, *words: str, expect: int = 0) -> Ran:
        """Run a command for this lab."""
        return invoke(words[0], "-t", str(self.path), *words[1:], name=self.name, expect=expect)

    @property
    def lab(self) -> Workspace:
        """The lab as the file describes it now."""
        return workspace(str(self.path), self.name)


@pytest.fixture(scope="module")
def edited(pair: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    """The file, without addons; the pair has none afterwards, whatever happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LAB_ADDONS", str(PROJECT / "tests" / "addons" / "catalog"))
        made = Edited(pair, tmp_path_factory.mktemp("addons"))
        try:
            yield made
        finally:
            made.write()
            made.invoke("up", "--yes")


def addons_of(edited: Edited) -> dict[tuple[str, str], dict[str, Any]]:
    """What ``status`` says of addons, by cluster and name."""
    told = edited.invoke("status", "--json").json["addons"]
    return {(each["cluster"], each["name"]): each for each in told}


def test_an_addon_that_is_added_is_installed_and_proved(edited: Edited) -> None:
    edited.write("{use: slow, on: west, with: {after: 3s}}")
    ran = edited.invoke("up", "--yes")
    assert ", 1 addon, in " in ran.out
    assert addons_of(edited) == {
        ("west", "slow"): {"cluster": "west", "name": "slow", "ready": True, "version": "1", "detail": ""}
    }
    checks = {check["id"]: check for check in edited.invoke("verify", "--json").json["checks"]}
    assert checks["slow/west/answers"]["ok"]
    assert "west" in checks["slow/west/answers"]["evidence"]


def test_other_clusters_know_it_and_have_no_more(edited: Edited) -> None:
    east = edited.lab.kubes["east"]
    assert east.exists(KNOWN)
    assert not east.exists(SLOW)
    assert edited.lab.kubes["west"].exists(SLOW)


def test_its_objects_carry_the_labs_label_and_the_addons(edited: Edited) -> None:
    kube = edited.lab.kubes["west"]
    [pod] = kube.pods("slow", labels=f"{LABEL}={edited.name},lab/addon=slow")
    assert pod["status"]["phase"] == "Running"
    namespace = kube.get("/api/v1/namespaces/slow")["metadata"]["labels"]
    assert (namespace[LABEL], namespace["pod-security.kubernetes.io/enforce"]) == (edited.name, "baseline")


def test_up_again_changes_nothing(edited: Edited) -> None:
    before = edited.lab.kubes["west"].get("/apis/apps/v1/namespaces/slow/deployments/slow")
    ran = edited.invoke("up", "--yes")
    assert ran.out.startswith(f"{edited.name} is up already: nothing to do (")
    after = edited.lab.kubes["west"].get("/apis/apps/v1/namespaces/slow/deployments/slow")
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


def test_an_option_that_changes_is_applied(edited: Edited) -> None:
    edited.write("{use: slow, on: west, with: {after: 5s}}")
    pending = [step for step in edited.invoke("plan", "--json").json["steps"] if not step["done"]]
    assert [step["id"] for step in pending] == ["west/slow", "west/slow/ready", "lab/verify"]
    edited.invoke("up", "--yes")
    made = edited.lab.kubes["west"].get("/apis/apps/v1/namespaces/slow/deployments/slow")
    [container] = made["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["initialDelaySeconds"] == 5


def test_an_image_that_a_node_lacks_is_brought_there(edited: Edited) -> None:
    [node] = [name for name in nodes(edited.lab) if "west" in name]
    run_on = edited.lab.provider("west").run_on
    run_on(node, ("ctr", "--namespace", "k8s.io", "images", "rm", IMAGE))
    assert carry.missing(run_on, node, [IMAGE]) == [IMAGE]
    edited.invoke("up", "--yes")
    assert carry.missing(run_on, node, [IMAGE]) == []


def test_one_that_never_becomes_ready_is_told_with_evidence(edited: Edited) -> None:
    edited.write("{use: slow, on: west, with: {after: 5s}}", "{use: broken, on: east}")
    ran = edited.invoke("up", "--yes", expect=4)
    assert "step east/broken/ready failed: broken does not become ready" in ran.err
    assert "it is broken on purpose" in ran.err
    assert f"To continue: ./invoke up -t {edited.path} --name {edited.name}" in ran.err
    told = addons_of(edited)
    assert told["east", "broken"]["detail"] == "broken: 0 of 1 ready"
    assert told["west", "slow"]["ready"]
    failed = edited.invoke("verify", "--json", expect=1).json["checks"]
    assert [check["id"] for check in failed if not check["ok"]] == ["broken/east/answers"]


def test_what_moves_to_another_cluster_leaves_the_first(edited: Edited) -> None:
    edited.write("{use: slow, on: east, with: {after: 3s}}")
    edited.invoke("up", "--yes")
    assert {where: each["ready"] for where, each in addons_of(edited).items()} == {("east", "slow"): True}
    # The other cluster knows it now, and has it no more.
    west = edited.lab.kubes["west"]
    assert west.exists(KNOWN)
    assert not west.exists(SLOW)


def test_what_leaves_the_topology_leaves_the_clusters(edited: Edited) -> None:
    edited.write()
    edited.invoke("up", "--yes")
    assert addons_of(edited) == {}
    for cluster, namespace in (("east", "broken"), ("east", "slow"), ("west", "slow")):
        kube = edited.lab.kubes[cluster]
        assert records(kube) == {}
        with pytest.raises(Refused) as gone:
            kube.get(f"/api/v1/namespaces/{namespace}")
        assert gone.value.status == 404
    assert edited.invoke("up", "--yes").out.startswith(f"{edited.name} is up already")


def test_an_addon_that_nobody_has_changes_nothing(edited: Edited) -> None:
    edited.write("{use: slwo}")
    refused = edited.invoke("up", "--yes", expect=2)
    assert 'there is no addon "slwo". Did you mean "slow"?' in refused.err
    edited.write()


def test_a_privileged_pod_is_denied_on_every_cluster(edited: Edited) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": "default"},
        "spec": {"containers": [{"name": "p", "image": IMAGE, "securityContext": {"privileged": True}}]},
    }
    for kube in edited.lab.kubes.values():
        with pytest.raises(Refused) as denied:
            kube.apply([pod], dry_run=True)
        assert 'violates PodSecurity "baseline' in denied.value.details
