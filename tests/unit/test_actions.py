"""What each kind of step does: that it looks first, continues where it was, and replaces nothing unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from lab import actions, observe
from lab.actions import Maker
from lab.clients import docker
from lab.clients.helm import Helm
from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused, Unreachable
from lab.engine.run import Context
from lab.errors import CheckFailed, InputError
from lab.host import sandbox
from lab.mesh import check, dns, joined
from lab.plan.resolve import Seen, resolve
from lab.plan.step import Step
from lab.providers.base import ClusterState
from lab.providers.existing import Existing
from lab.providers.kind import Kind, bridge_name
from lab.providers.multipass import Multipass
from lab.result import CheckResult
from lab.supply import Supply
from lab.topology.model import Cluster
from lab.workspace import Workspace
from tests.unit.host.hosts import ENGINE
from tests.unit.labs import state, workspace


@dataclass
class FakeSupply:
    """Says what it was asked to bring."""

    done: list[str]

    class node_image:  # noqa: N801  # an attribute of the real one
        tag = "lab.local/node:1"

    @dataclass
    class _Source:
        def chart(self, name: str) -> Path:
            return Path("/charts") / name

    source: _Source = field(default_factory=_Source)

    def bring(self, step: str, *, say: Callable[[str], None], cancelled: Event) -> None:
        self.done.append(f"bring {step}")

    def tool(self, name: str) -> Path:
        return Path("/tools") / name

    def load_beside(self, cluster: Cluster, *, say: Callable[[str], None], cancelled: Event) -> None:
        self.done.append(f"load beside {cluster.name}")


class World:
    """A lab whose provider and APIs write down what is done to them."""

    def __init__(self, lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.done: list[str] = []
        self.nodes: dict[str, ClusterState] = {}
        self.maker = Maker(lab, cast("Supply", FakeSupply(self.done)))
        monkeypatch.setattr(actions, "states", lambda _: self.nodes)
        monkeypatch.setattr(docker, "engine", lambda: ENGINE)
        monkeypatch.setattr(Kind, "start", lambda _, cluster: self.done.append(f"start {cluster.name}"))
        monkeypatch.setattr(Kind, "create", self._create)
        monkeypatch.setattr(Kind, "prepare", lambda *_: self.done.append("network"))
        monkeypatch.setattr(Kube, "is_ready", lambda _: True)

    def _create(self, cluster: Cluster, *, kubeconfig: Path, cancelled: Event | None) -> None:
        self.done.append(f"create {cluster.name}")
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        kubeconfig.touch()

    def there(self, cluster: str, *, running: bool = True) -> None:
        """Have ``cluster``, made as the topology describes it."""
        self.nodes[cluster] = state(cluster, "10.200.0.2", running=running)
        path = self.lab.folder.kubeconfig(cluster)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.lab.folder.write(f"made-{cluster}", observe.specification(self.lab.topology.cluster(cluster)))

    def changed(self, **fields: Any) -> Maker:
        """A maker for the same lab with another east."""
        of = self.lab.topology
        clusters = tuple(replace(each, **fields) if each.name == "east" else each for each in of.clusters)
        return replace(self.maker, workspace=replace(self.lab, topology=replace(of, clusters=clusters)))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(workspace(tmp_path), monkeypatch)


def context() -> Context:
    return Context(Event(), lambda _: None)


def step(name: str, kind: str, *, cluster: str | None = None) -> Step:
    return Step(name, kind, cluster=cluster, summary=f"do {name}")


CREATE = step("east/create", "create", cluster="east")


def test_there_is_an_action_for_every_kind_of_step(world: World) -> None:
    bring = (step("images/image/x", "image-part"), step("tools/kind", "tool"), step("tools/helm", "tool"))
    of = world.lab.topology
    plan = resolve(replace(of, network=replace(of.network, egress="deny")), Seen(), bring=bring)
    of_addons = {"carry", "addon", "addon-ready", "addon-remove"}
    assert {each.kind for each in plan.steps} | of_addons == set(world.maker.actions())


def test_a_new_cluster_is_made_and_how_is_written_down(world: World) -> None:
    world.maker.create(CREATE, context())
    assert world.done == ["load beside east", "create east"]
    made = json.loads(world.lab.folder.read("made-east"))
    assert made == {
        "kubernetes": "1.35",
        "control_plane": 1,
        "workers": 0,
        "pod_cidr": "10.100.0.0/16",
        "service_cidr": "10.150.0.0/16",
    }


def test_a_stopped_cluster_is_started(world: World) -> None:
    world.there("east", running=False)
    world.maker.create(CREATE, context())
    assert world.done == ["start east"]


def test_a_half_made_cluster_is_made_again(world: World) -> None:
    """Its kubeconfig is what kind writes last."""
    world.there("east")
    world.lab.folder.kubeconfig("east").unlink()
    world.maker.create(CREATE, context())
    assert world.done == ["load beside east", "create east"]


def test_a_cluster_that_lost_a_node_is_made_again(world: World) -> None:
    world.there("east")
    world.nodes["east"] = ClusterState(())
    world.maker.create(CREATE, context())
    assert world.done == ["load beside east", "create east"]


CHANGES: list[dict[str, Any]] = [
    {"kubernetes": "1.36"},
    {"nodes": replace(workspace(Path("/nowhere")).topology.cluster("east").nodes, workers=1)},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_topology_replaces_nothing_unasked(world: World, change: dict[str, Any]) -> None:
    world.there("east")
    world.there("west")
    maker = world.changed(**change)
    for act in (maker.require_same, lambda: maker.create(CREATE, context())):
        with pytest.raises(InputError) as refused:
            act()
        [(name, value)] = change.items()
        shown = value if name == "kubernetes" else 1
        assert refused.value.brief.startswith("east was made as {")
        assert json.dumps(shown) in refused.value.brief.partition("the topology now asks for")[2]
        assert refused.value.remedy == (
            "Nothing was changed. Put the topology back, or give up the cluster: "
            "./invoke up -t pair --recreate"
        )
    assert world.done == []
    world.maker.require_same()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_cluster_is_replaced_when_that_is_asked_for(world: World, change: dict[str, Any]) -> None:
    world.there("east")
    maker = replace(world.changed(**change), recreate=True)
    maker.require_same()
    maker.create(CREATE, context())
    assert world.done == ["load beside east", "create east"]
    assert world.lab.folder.read("made-east") == observe.specification(
        maker.workspace.topology.cluster("east")
    )
    # Once is enough.
    replace(maker, recreate=False).require_same()


def test_what_is_not_there_was_not_made_otherwise(world: World) -> None:
    world.there("east")
    del world.nodes["east"]
    world.changed(kubernetes="1.36").require_same()


def test_a_cluster_of_an_older_version_without_a_note_is_taken_as_it_is(world: World) -> None:
    world.there("east")
    (world.lab.folder.path / "made-east").unlink()
    world.changed(kubernetes="1.36").require_same()


def test_parts_and_tools_are_brought_by_their_names(world: World) -> None:
    for name in ("images/program/cilium", "images/image/quay.io/x:1", "tools/helm"):
        world.maker.bring(step(name, "image-part"), context())
    assert world.done == [
        f"bring {step}" for step in ("images/program/cilium", "images/image/quay.io/x:1", "tools/helm")
    ]


def test_isolation_is_that_of_the_labs_own_bridge(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    isolated: list[tuple[str, str]] = []
    monkeypatch.setattr(sandbox, "isolate", lambda bridge, *, lab: isolated.append((bridge, lab)))
    world.maker.isolate(step("lab/isolation", "isolation"), context())
    world.maker.make_network(step("lab/network", "node-network"), context())
    assert isolated == [(bridge_name("pair"), "pair")]
    assert world.done == ["network"]


def test_machines_are_filled_from_the_packed_node_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(workspace(tmp_path, "pair-multipass"), monkeypatch)
    monkeypatch.setattr(docker, "engine", lambda: pytest.fail("its nodes are no containers"))
    monkeypatch.setattr(actions, "packed", lambda image, *_, **__: Path("/packed") / image)
    made: list[Path] = []

    def create(provider: Multipass, cluster: Cluster, **_: object) -> None:
        made.append(provider.archive)

    monkeypatch.setattr(Multipass, "create", create)
    world.maker.create(CREATE, context())
    assert made == [Path("/packed/lab.local/node:1")]
    assert json.loads(world.lab.folder.read("made-east"))["size"] == {
        "memory": "3G",
        "disk": "20G",
        "cpus": 2,
    }


def test_cilium_gets_the_values_of_this_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Helm, tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(Helm, "upgrade", lambda self, *words, **options: calls.append((self, words, options)))
    world.nodes = {"east": state("east", "10.200.0.2"), "west": state("west", "10.200.0.7")}

    world.maker.install_cilium(step("east/cilium", "cilium", cluster="east"), context())

    [(helm, words, options)] = calls
    assert helm.kubeconfig == world.lab.folder.kubeconfig("east")
    assert words == ("cilium", Path("/charts/cilium"))
    assert options["namespace"] == "kube-system"
    assert options["values"]["clustermesh"]["config"]["clusters"] == [
        {"name": "west", "port": 32380, "ips": ["10.200.0.7"]}
    ]
    assert options["values"]["k8sServiceHost"] == "pair-east-control-plane"
    values, fingerprint = observe.release(world.lab, world.lab.topology.cluster("east"), world.nodes)
    assert options["values"] == values
    assert options["labels"] == {"lab-config": fingerprint}


def test_dns_is_configured_as_the_topology_asks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[Any] = []
    monkeypatch.setattr(
        Kube, "apply", lambda kube, manifests: applied.append((kube.kubeconfig.stem, manifests))
    )
    world.maker.configure_dns(step("west/dns", "dns", cluster="west"), context())
    assert applied == [("west", [dns.manifest(world.lab.topology)])]


def test_the_probe_is_applied_as_soon_as_its_kinds_are_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def prepare(topology: object, cluster: str, kube: Kube) -> None:
        tries.append(cluster)
        if len(tries) < 2:
            raise Unreachable("the API server does not know this kind (yet)")

    monkeypatch.setattr(check, "prepare", prepare)
    monkeypatch.setattr(observe, "missing_mesh", lambda *_: None)
    told: list[str] = []
    monkeypatch.setattr(actions, "redial", lambda kube: told.append(kube.kubeconfig.stem))
    said: list[str] = []
    world.maker.wait_for_mesh(step("west/mesh", "mesh", cluster="west"), Context(Event(), said.append))
    assert tries == ["west", "west"]
    assert told == ["west"]
    assert said == ["the API server does not know this kind (yet)"]


def test_what_is_refused_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Refused("apply Namespace lab-check was refused", details="no", status=403)

    monkeypatch.setattr(check, "prepare", refuse)
    with pytest.raises(Refused):
        world.maker.wait_for_mesh(step("west/mesh", "mesh", cluster="west"), context())


def result(name: str, *, ok: bool) -> CheckResult:
    return CheckResult(name, ok, 0.1, "seen so")


def test_a_proof_is_remembered_for_the_nodes_as_they_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.nodes = {"east": state("east", "10.200.0.2")}

    def run(*_: object, on_result: Callable[[CheckResult], None], **__: object) -> list[CheckResult]:
        results = [result("mesh/pod/east/west", ok=True)]
        for each in results:
            on_result(each)
        return results

    monkeypatch.setattr(check, "run", run)
    said: list[str] = []
    world.maker.verify(step("lab/verify", "verify"), Context(Event(), said.append))
    assert said == ["1 checks hold; mesh/pod/east/west holds"]
    assert world.lab.folder.read("verified") == observe.generation(world.nodes)


def test_a_proof_of_some_addons_leaves_the_mesh_as_it_was_proved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "run", lambda *_, **__: pytest.fail("the mesh is not proved again"))
    asked: list[object] = []

    def addon_checks(*_: object, only: object, **__: object) -> list[CheckResult]:
        asked.append(only)
        return [result("demo/east/order", ok=True)]

    monkeypatch.setattr(actions, "addon_checks", addon_checks)
    proved = observe.generation(world.nodes)
    world.lab.folder.write("verified", proved)
    world.lab.folder.write("to-prove", "demo other")
    replace(world.maker, prove=("demo",)).verify(step("lab/verify", "verify"), context())
    assert asked == [("demo",)]
    assert world.lab.folder.read("verified") == proved
    # That is owed still, by an up that asked for something else.
    assert world.lab.folder.read("to-prove") == "other"


def test_a_failed_proof_is_not_and_tells_what_was_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [result("mesh/pod/east/west", ok=True), result("mesh/pod/west/east", ok=False)]
    monkeypatch.setattr(check, "run", lambda *_, **__: results)
    # An earlier proof is void by that.
    world.lab.folder.write("verified", observe.generation(world.nodes))
    with pytest.raises(CheckFailed) as failed:
        world.maker.verify(step("lab/verify", "verify"), context())
    assert failed.value.brief == "1 of 2 checks did not hold"
    assert failed.value.details == "mesh/pod/west/east: seen so"
    assert failed.value.remedy == "See what the clusters say: ./invoke gather -t pair"
    assert world.lab.folder.read("verified") == ""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A lab of clusters that others made, reached already."""
    made = World(workspace(tmp_path, "existing-pair"), monkeypatch)
    made.nodes = {"east": state("east", "172.18.0.2"), "west": state("west", "172.18.0.3")}
    return made


def test_a_cluster_that_others_made_is_reached_with_nothing_brought_to_make_it(
    theirs: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reach(_: Existing, cluster: Cluster, **__: object) -> None:
        theirs.done.append(f"reach {cluster.name}")

    monkeypatch.setattr(Existing, "create", reach)
    theirs.nodes = {}
    theirs.maker.create(CREATE, context())
    assert theirs.done == ["load beside east", "reach east"]
    # It may get other nodes, or another version: that is no reason to make it anew.
    theirs.nodes = {"east": state("east", "172.18.0.2")}
    theirs.changed(kubernetes="1.36").require_same()


@pytest.mark.parametrize("joins", [True, False])
def test_what_there_is_of_cilium_is_remembered_before_it_is_touched(
    theirs: World, monkeypatch: pytest.MonkeyPatch, joins: bool
) -> None:
    release = joined.Release(2, {"metadata": {"name": "cilium", "version": "1.19.5"}}) if joins else None
    monkeypatch.setattr(joined, "find", lambda _: release)
    monkeypatch.setattr(joined, "remember", lambda _: "as it was")
    calls: list[tuple[Path, dict[str, Any]]] = []

    def upgrade(_: Helm, release: str, chart: Path, **options: Any) -> None:
        assert theirs.lab.folder.read("cilium-before-east") == "as it was"
        calls.append((chart, options))

    monkeypatch.setattr(Helm, "upgrade", upgrade)
    step_of_it = step("east/cilium", "cilium", cluster="east")
    theirs.maker.install_cilium(step_of_it, context())
    monkeypatch.setattr(joined, "remember", lambda _: pytest.fail("once, before it is touched"))
    theirs.maker.install_cilium(step_of_it, context())

    chart, options = calls[0]
    assert options["reuse"] is joins
    assert chart.name == ("cilium-1.19.5" if joins else "cilium")
    assert ("kubeProxyReplacement" in options["values"]) is not joins
    assert options["values"]["clustermesh"]["config"]["clusters"] == [
        {"name": "west", "port": 32380, "ips": ["172.18.0.3"]}
    ]
