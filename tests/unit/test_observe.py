"""What is seen of a lab: clusters that are whole, half made, stopped, silent, or made otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import observe as module
from lab.clients import docker, docker_images
from lab.clients.docker_cli import EngineUnreachable, Reason
from lab.clients.kube import Kube
from lab.clients.kube_objects import Node, Unreachable, Workload
from lab.errors import DaemonUnreachable
from lab.host import sandbox
from lab.images.node import NodeImage
from lab.installed import Installed
from lab.mesh import cilium, dns
from lab.observe import generation, made_otherwise, missing_mesh, missing_network, observe, release
from lab.plan.addons import SeenAddons
from lab.plan.resolve import Seen, SeenCluster
from lab.platform.record import Record
from lab.providers.base import ClusterState
from lab.workspace import Workspace
from tests.unit.labs import network, state, workspace

WHOLE = SeenCluster(
    whole=True,
    named=True,
    configured=True,
    networked=True,
    meshed=True,
    addons=SeenAddons(carried=True),
)
NODES = {"east": state("east", "10.200.0.2"), "west": state("west", "10.200.0.3")}


EMPTY: Mapping[str, Any] = {"items": []}
"""No record of any addon."""


class Api:
    """The APIs of all clusters: a lab that is up, unless a test changes it."""

    def __init__(self, lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.silent: set[str] = set()
        self.dying: set[str] = set()
        """Clusters that answer one question more."""

        self.unready: dict[str, set[str]] = {}
        self.absent: set[str] = set()
        self.config: dict[str, str] = {}
        corefile = {"data": {"Corefile": dns.corefile(lab.topology)}}
        monkeypatch.setattr(Kube, "is_ready", lambda kube: self.name(kube) not in self.silent)
        monkeypatch.setattr(Kube, "nodes", lambda kube: self.nodes(kube))
        monkeypatch.setattr(Kube, "workload", lambda kube, *which: self.workload(kube, *which))
        monkeypatch.setattr(Kube, "secrets", lambda kube, *which, **by: self.secrets(kube, *which, **by))
        monkeypatch.setattr(Kube, "get", lambda kube, path, query=None: EMPTY if query else corefile)

    def name(self, kube: Kube) -> str:
        return kube.kubeconfig.stem

    def nodes(self, kube: Kube) -> list[Node]:
        cluster = self.name(kube)
        return [Node("n", "node" not in self.unready.get(cluster, set()), {})]

    def workload(self, kube: Kube, kind: str, namespace: str, name: str) -> Workload | None:
        if name in self.absent:
            return None
        ready = 0 if name in self.unready.get(self.name(kube), set()) else 1
        return Workload(kind, name, 1, ready, True)

    def secrets(self, kube: Kube, namespace: str, *, labels: str) -> list[Mapping[str, Any]]:
        assert (namespace, labels) == ("kube-system", "owner=helm,name=cilium,status=deployed")
        cluster = self.name(kube)
        if cluster in self.dying:
            raise Unreachable("no answer")
        return [{"labels": {cilium.CONFIG_LABEL: self.config[cluster]}}]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A lab with a kubeconfig for each cluster, in an engine that has its network and nodes."""
    made = workspace(tmp_path)
    for cluster in made.topology.clusters:
        path = made.folder.kubeconfig(cluster.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setattr(docker, "networks", lambda label=None: [network("pair")])
    have(monkeypatch, NODES)
    return made


def have(monkeypatch: pytest.MonkeyPatch, nodes: Mapping[str, ClusterState]) -> None:
    monkeypatch.setattr(module, "states", lambda _: dict(nodes))


@pytest.fixture
def api(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api(lab, monkeypatch)
    made.config = {cluster.name: release(lab, cluster, NODES)[1] for cluster in lab.topology.clusters}
    return made


def test_a_lab_that_is_up(lab: Workspace, api: Api) -> None:
    lab.folder.write("verified", generation(NODES))
    seen = observe(lab, node_image=None)
    assert seen.clusters == {"east": WHOLE, "west": WHOLE}
    assert (seen.network, seen.isolated, seen.node_image, seen.verified) == (True, False, False, True)


def test_the_engine_is_not_asked_of_nodes_that_are_no_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise EngineUnreachable(Reason.STOPPED)

    monkeypatch.setattr(docker, "networks", lambda **_: pytest.fail("no network of the lab's is there"))
    monkeypatch.setattr(docker_images, "image", gone)
    have(monkeypatch, {"east": state("east", "10.200.0.2")})
    image = NodeImage(base="node:1", archives=[], shim=False)
    seen = observe(workspace(tmp_path, "pair-multipass"), node_image=image)
    assert (seen.network, seen.node_image, set(seen.clusters)) == (False, False, {"east", "west"})


def test_without_multipass_nothing_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Workspace) -> None:
        raise DaemonUnreachable("Multipass' daemon does not answer")

    monkeypatch.setattr(module, "states", gone)
    assert observe(workspace(tmp_path, "pair-multipass"), node_image=None) == Seen()


def test_without_an_engine_nothing_is_seen(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(label: str | None = None) -> list[object]:
        raise EngineUnreachable(Reason.STOPPED)

    monkeypatch.setattr(docker, "networks", gone)
    assert observe(lab, node_image=None) == Seen()


def test_a_cluster_without_a_kubeconfig_is_half_made(lab: Workspace, api: Api) -> None:
    lab.folder.kubeconfig("east").unlink()
    assert observe(lab, node_image=None).cluster("east") == SeenCluster()


def test_a_cluster_without_all_its_nodes_is_made_again(
    lab: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, {"west": NODES["west"]})
    seen = observe(lab, node_image=None)
    assert seen.cluster("east") == SeenCluster()
    # Its peer's values name a node that is not there any more.
    assert seen.cluster("west") == replace(WHOLE, configured=False)


def test_a_stopped_or_silent_cluster_is_to_be_started(
    lab: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.silent = {"west"}
    assert observe(lab, node_image=None).cluster("west") == SeenCluster(stopped=True)
    have(monkeypatch, {**NODES, "east": state("east", "", running=False)})
    assert observe(lab, node_image=None).cluster("east") == SeenCluster(stopped=True)


def test_a_cluster_that_falls_silent_is_looked_at_step_by_step(lab: Workspace, api: Api) -> None:
    api.dying = {"east"}
    assert observe(lab, node_image=None).cluster("east") == SeenCluster(whole=True)


def test_looking_makes_no_ca_where_it_was_lost(lab: Workspace, api: Api) -> None:
    shutil.rmtree(lab.folder.ca)
    assert observe(lab, node_image=None).cluster("east") == replace(WHOLE, configured=False)
    assert not lab.folder.ca.exists()


def test_other_values_are_to_be_installed(lab: Workspace, api: Api) -> None:
    api.config["east"] = "0123"
    assert observe(lab, node_image=None).cluster("east") == replace(WHOLE, configured=False)


def test_a_node_that_moved_changes_what_its_peers_are_told(
    lab: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, {**NODES, "west": state("west", "10.200.0.9")})
    seen = observe(lab, node_image=None)
    assert seen.cluster("east") == replace(WHOLE, configured=False)
    assert seen.cluster("west") == WHOLE


def test_a_cluster_that_was_made_otherwise_is_not_taken_for_the_one_that_is_asked_for(
    lab: Workspace, api: Api
) -> None:
    east = lab.topology.cluster("east")
    lab.folder.write("made-east", module.specification(east))
    assert made_otherwise(lab, east) == ""
    assert observe(lab, node_image=None).cluster("east") == WHOLE
    older = module.specification(replace(east, kubernetes="1.34"))
    lab.folder.write("made-east", older)
    assert made_otherwise(lab, east) == older
    assert observe(lab, node_image=None).cluster("east") == SeenCluster()


def test_what_is_missing_is_told_in_words(lab: Workspace, api: Api) -> None:
    assert missing_network(lab, "east") is None
    assert missing_mesh(lab, "east") is None
    api.unready["east"] = {"node"}
    assert missing_network(lab, "east") == "node n is not ready"
    api.unready["east"] = {"cilium-operator"}
    assert missing_network(lab, "east") == "cilium-operator: 0 of 1 ready"
    api.unready["east"] = {"clustermesh-apiserver"}
    assert missing_network(lab, "east") is None
    assert missing_mesh(lab, "east") == "clustermesh-apiserver: 0 of 1 ready"
    api.unready["east"] = {"probe"}
    assert missing_mesh(lab, "east") == "the probe is not ready"
    api.absent = {"cilium"}
    assert missing_network(lab, "west") == "cilium is not there yet"


def test_without_a_mesh_its_api_server_is_not_missed(lab: Workspace, api: Api) -> None:
    plain = replace(lab, topology=replace(lab.topology, mesh=replace(lab.topology.mesh, kind="none")))
    api.absent = {"clustermesh-apiserver"}
    assert missing_mesh(plain, "east") is None
    assert missing_mesh(lab, "east") == "clustermesh-apiserver is not there yet"


def test_a_proof_is_good_until_any_node_is_started_again(
    lab: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.folder.write("verified", generation(NODES))
    have(monkeypatch, {**NODES, "east": state("east", "10.200.0.2", since="2")})
    assert not observe(lab, node_image=None).verified
    assert generation(NODES) == generation(dict(reversed(NODES.items())))


@pytest.mark.parametrize(("there", "ruled", "isolated"), [(True, True, True), (True, False, False)])
def test_isolation_is_looked_for_where_it_is_asked_for(
    lab: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch, there: bool, ruled: bool, isolated: bool
) -> None:
    monkeypatch.setattr(sandbox, "available", lambda: there)
    monkeypatch.setattr(sandbox, "isolation", lambda name: ruled and name == "pair")
    closed = replace(lab.topology, network=replace(lab.topology.network, egress="deny"))
    assert observe(replace(lab, topology=closed), node_image=None).isolated == isolated
    assert not observe(lab, node_image=None).isolated


def test_the_node_image_is_looked_for(lab: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    image = NodeImage(base="b", archives=[Path("/a.tar")], shim=False)
    monkeypatch.setattr(docker_images, "image", lambda reference: reference == image.tag or None)
    assert observe(lab, node_image=image).node_image


def test_what_leaves_one_cluster_and_stays_on_another_leaves(
    lab: Workspace, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"web": Record("web", "1", "1", (), ()), "old": Record("old", "1", "1", ("x/web",), ())}
    monkeypatch.setattr(module, "records", lambda _: there)
    seen = observe(lab, node_image=None, staying={("east", "web")})
    assert seen.cluster("east").addons.leaving == {"old": ("x/web",)}
    assert seen.cluster("west").addons.leaving == {"web": (), "old": ("x/web",)}


@pytest.mark.parametrize(("options", "brought"), [({"nodes": "docker"}, True), ({}, False)])
def test_what_the_mesh_needs_is_brought_into_nodes_of_others_where_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], brought: bool
) -> None:
    made = workspace(tmp_path, "existing-pair")
    east = replace(made.topology.cluster("east"), provider_options=options)
    of = replace(made, topology=replace(made.topology, clusters=(east, made.topology.clusters[1])))
    monkeypatch.setattr(docker, "execute", lambda *_, **__: "quay.io/cilium/cilium:v1.19.5\n")
    lacking = module.missing_images(Installed(of, (), NODES), "east")
    assert bool(lacking) == brought
    for images in lacking.values():
        assert "lab.local/python:3" in images
        assert "quay.io/cilium/cilium:v1.19.5" not in images
