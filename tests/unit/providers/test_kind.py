"""kind: what it is asked to make, whose clusters are ours, and that nobody else's are touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.clients import docker
from lab.clients.docker_objects import Container, EngineNetwork
from lab.errors import HostError, ProvisionError
from lab.providers.kind import Kind, bridge_name, control_plane_endpoint, network_name
from lab.topology.model import Nodes
from tests.unit.labs import network, node, settings, topology


class Engine:
    """A container engine of two lists, at the door; ``done`` has what was asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.containers: list[Container] = []
        self.networks: list[EngineNetwork] = []
        self.done: list[tuple[str, ...]] = []
        monkeypatch.setattr(docker, "containers", self._containers)
        monkeypatch.setattr(docker, "networks", self._networks)
        monkeypatch.setattr(docker, "create_network", self._create_network)
        for verb in ("start_container", "unpause_container", "remove_container", "remove_network"):
            monkeypatch.setattr(docker, verb, lambda name, verb=verb: self.done.append((verb, name)))

    def _containers(self, *, labels: Mapping[str, str | None], all: bool = True) -> list[Container]:
        return [each for each in self.containers if all_match(each.labels, labels) and (all or each.running)]

    def _networks(self, label: str | None = None) -> list[EngineNetwork]:
        if label is None:
            return self.networks
        name, _, value = label.partition("=")
        return [each for each in self.networks if each.labels.get(name) == value]

    def _create_network(self, name: str, **options: Any) -> None:
        self.done.append(("create_network", name, options["subnet"], options["bridge"]))


def all_match(labels: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(name in labels and value in {None, labels[name]} for name, value in wanted.items())


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch)


@pytest.fixture
def kind(tmp_path: Path) -> Kind:
    return Kind(settings=settings(tmp_path), lab="pair", image="lab.local/node:1")


def test_what_kind_is_asked_for(kind: Kind) -> None:
    of = topology("hub-spoke-ha")
    config = replace(kind, lab="hub").configuration(of.cluster("mgmt"))
    assert (config["kind"], config["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert config["name"] == "hub-mgmt"
    assert config["networking"] == {
        "apiServerAddress": "127.0.0.1",
        "podSubnet": str(of.cluster("mgmt").pod_cidr),
        "serviceSubnet": str(of.cluster("mgmt").service_cidr),
        "disableDefaultCNI": True,
        "kubeProxyMode": "none",
    }
    assert [each["role"] for each in config["nodes"]] == ["control-plane"] * 3 + ["worker"] * 2
    assert all(each["image"] == "lab.local/node:1" for each in config["nodes"])
    assert all(each["labels"] == {"lab/name": "hub"} for each in config["nodes"])


def test_a_port_of_the_api_server_can_be_asked_for(kind: Kind) -> None:
    cluster = replace(topology().cluster("east"), provider_options={"api_port": 6500})
    assert kind.configuration(cluster)["networking"]["apiServerPort"] == 6500
    assert "apiServerPort" not in kind.configuration(topology().cluster("east"))["networking"]


def test_the_api_server_enforces_pod_security_from_a_file_that_control_planes_mount(kind: Kind) -> None:
    cluster = replace(topology().cluster("east"), nodes=Nodes(control_plane=3, workers=1))
    config = kind.configuration(cluster)
    *servers, worker = config["nodes"]
    assert "extraMounts" not in worker
    [mount] = {json.dumps(each["extraMounts"]) for each in servers}
    [mounted] = json.loads(mount)
    assert mounted["readOnly"] is True
    patch = yaml.safe_load(config["kubeadmConfigPatches"][1])
    assert patch["kind"] == "ClusterConfiguration"
    assert patch["apiServer"]["extraArgs"] == {"admission-control-config-file": mounted["containerPath"]}
    [volume] = patch["apiServer"]["extraVolumes"]
    assert mounted["containerPath"].startswith(volume["mountPath"] + "/")


def test_a_node_image_can_be_asked_for(kind: Kind) -> None:
    cluster = replace(topology().cluster("east"), provider_options={"image": "kindest/node:v1.35.8"})
    assert [each["image"] for each in kind.configuration(cluster)["nodes"]] == ["kindest/node:v1.35.8"]


@pytest.mark.parametrize("old", [True, False])
def test_kubelets_are_told_of_an_old_cgroup_only_where_there_is_one(kind: Kind, old: bool) -> None:
    patch, _ = replace(kind, cgroup_v1=old).configuration(topology().cluster("east"))["kubeadmConfigPatches"]
    kubelet = yaml.safe_load(patch)
    assert kubelet["kind"] == "KubeletConfiguration"
    assert kubelet["featureGates"] == {"KubeletInUserNamespace": True}
    assert kubelet.get("failCgroupV1") is (False if old else None)


def test_names_of_the_lab(kind: Kind) -> None:
    assert network_name("pair") == "lab-pair"
    # The kernel's limit for an interface's name, whatever the lab is called.
    for lab in ("pair", "a" * 32):
        assert len(bridge_name(lab)) == 14
    assert bridge_name("pair") != bridge_name("pair2")
    assert control_plane_endpoint("pair-east", 1) == "pair-east-control-plane"
    assert control_plane_endpoint("pair-east", 3) == "pair-east-external-load-balancer"


def test_ours_is_what_stands_in_our_network(kind: Kind, engine: Engine) -> None:
    engine.networks = [network("pair"), network("other")]
    engine.containers = [
        node("pair", "west", status="exited", addresses={}),
        node("pair", "east", role="worker"),
        node("pair", "east"),
        node("other", "east"),
        node("pair", "north"),
    ]
    found = kind.observe(topology())
    assert list(found) == ["west", "east"]
    assert [(each.name, each.role, each.running) for each in found["east"].nodes] == [
        ("pair-east-control-plane", "control-plane", True),
        ("pair-east-worker", "worker", True),
    ]
    [stopped] = found["west"].nodes
    assert (stopped.running, stopped.address) == (False, "")
    assert found["east"].nodes[0].address == "10.200.0.2"


def test_a_node_that_was_started_again_is_told_apart(kind: Kind, engine: Engine) -> None:
    engine.networks = [network("pair")]
    before = node("pair", "east")
    assert before.started_at is not None
    seen = []
    for each in (
        before,
        replace(before, started_at=before.started_at.replace(hour=10)),
        replace(before, id="f" * 64),
    ):
        engine.containers = [each]
        seen.append(kind.observe(topology())["east"].nodes[0].since)
    assert len(set(seen)) == 3


def test_a_load_balancer_is_no_worker(kind: Kind, engine: Engine) -> None:
    engine.networks = [network("pair")]
    engine.containers = [
        node("pair", "east", role="external-load-balancer"),
        *(node("pair", "east", number=number) for number in (1, 2, 3)),
    ]
    cluster = replace(topology().cluster("east"), nodes=Nodes(control_plane=3, workers=0))
    state = kind.observe(topology())["east"]
    assert state.is_whole(cluster)
    assert len(state.control_planes) == 3


@pytest.mark.parametrize(
    "foreign",
    [
        {"networks": ("kind",), "addresses": {"kind": "172.18.0.2"}},
        {"networks": ("none",), "addresses": {}},
        {"networks": ("kind",), "addresses": {}, "status": "exited"},
        {"networks": (), "addresses": {}, "status": "created"},
    ],
)
@pytest.mark.parametrize("with_network", [True, False])
def test_a_strangers_cluster_is_refused_running_or_not(
    kind: Kind, engine: Engine, foreign: dict[str, Any], with_network: bool
) -> None:
    engine.networks = [network("pair")] if with_network else []
    engine.containers = [node("pair", "east", **foreign)]
    for act in (
        lambda: kind.observe(topology()),
        lambda: kind.delete("pair", "east"),
        lambda: replace(kind, binary=Path("/bin/true")).create(
            topology().cluster("east"), kubeconfig=Path("/nowhere/x"), cancelled=None
        ),
    ):
        with pytest.raises(HostError) as refused:
            act()
        assert refused.value.brief == (
            "there is a kind cluster pair-east that this lab did not make; it was left alone"
        )
        assert refused.value.details == "its nodes: pair-east-control-plane"
        assert "--name NAME" in refused.value.remedy
    assert engine.done == []


def test_a_network_of_that_name_makes_nothing_ours(kind: Kind, engine: Engine) -> None:
    """The label counts: somebody's own network may be called as ours would be."""
    engine.networks = [network("pair", labels={})]
    engine.containers = [node("pair", "east")]
    with pytest.raises(HostError, match="this lab did not make"):
        kind.observe(topology())
    assert kind.clusters() == []


def test_clusters_are_those_in_the_network_whatever_the_topology_says(kind: Kind, engine: Engine) -> None:
    engine.networks = [network("pair")]
    engine.containers = [
        node("pair", "west", status="exited", addresses={}),
        node("pair", "gone-from-the-file"),
        node("pair-2", "east"),
        node("pair", "east", networks=("kind",)),
    ]
    assert kind.clusters() == ["gone-from-the-file", "west"]
    assert replace(kind, lab="nothing").clusters() == []


def test_the_network_is_made_once(kind: Kind, engine: Engine) -> None:
    of = topology()
    kind.prepare(of)
    assert engine.done == [("create_network", "lab-pair", str(of.network.node_cidr), bridge_name("pair"))]
    engine.networks = [network("pair")]
    kind.prepare(of)
    assert len(engine.done) == 1


def test_a_strangers_network_is_refused(kind: Kind, engine: Engine) -> None:
    engine.networks = [network("pair", labels={"lab/name": "other"})]
    with pytest.raises(HostError) as refused:
        kind.prepare(topology())
    assert refused.value.brief == "there is a container network lab-pair that this lab did not make"
    assert engine.done == []


def test_start_wakes_each_node_as_it_needs(kind: Kind, engine: Engine) -> None:
    engine.containers = [
        node("pair", "east"),
        node("pair", "east", role="worker", status="paused"),
        node("pair", "east", role="worker", number=2, status="exited"),
    ]
    kind.start(topology().cluster("east"))
    assert engine.done == [
        ("unpause_container", "pair-east-worker"),
        ("start_container", "pair-east-worker2"),
    ]


def test_delete_and_release_take_all_of_it(kind: Kind, engine: Engine) -> None:
    engine.networks = [network("pair"), network("other")]
    engine.containers = [node("pair", "east"), node("pair", "west"), node("other", "east")]
    kind.delete("pair", "east")
    kind.delete("pair", "north")
    # A cluster is still there, whosever it is.
    assert kind.release("pair") == []
    engine.containers = []
    assert kind.release("pair") == ["network lab-pair"]
    assert engine.done == [
        ("remove_container", "pair-east-control-plane"),
        ("remove_network", "lab-pair"),
    ]


def test_a_cluster_that_others_made_in_the_labs_network_is_not_the_labs(kind: Kind, engine: Engine) -> None:
    engine.networks = [network("pair")]
    engine.containers = [node("other", "hub", networks=(network("pair").name,))]
    assert kind.clusters() == []
    assert kind.release("pair") == []
    assert engine.done == []


KIND = """\
#!/bin/sh
echo "$*" >{folder}/arguments
env | grep KIND_ >{folder}/environment
cat >{folder}/config.yaml
for word; do
    case "$word" in --kubeconfig=*) path=${{word#*=}} ;; --name=*) name=kind-${{word#*=}} ;; esac
done
cat >"$path" <<END
apiVersion: v1
clusters: [{{cluster: {{server: "https://127.0.0.1:1"}}, name: $name}}]
contexts: [{{context: {{cluster: $name, user: $name}}, name: $name}}]
current-context: $name
kind: Config
users: [{{name: $name, user: {{client-key-data: c2VjcmV0}}}}]
END
"""


def test_create_calls_kind_and_names_the_context(kind: Kind, engine: Engine, tmp_path: Path) -> None:
    engine.networks = [network("pair")]
    engine.containers = [node("pair", "east", status="exited")]
    binary = tmp_path / "kind"
    binary.write_text(KIND.format(folder=tmp_path))
    binary.chmod(0o755)
    kubeconfig = tmp_path / "lab" / "kubeconfig" / "east.yaml"

    replace(kind, binary=binary).create(topology().cluster("east"), kubeconfig=kubeconfig, cancelled=None)

    # What was left of an earlier attempt went first.
    assert engine.done == [("remove_container", "pair-east-control-plane")]
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[:2] == ["create", "cluster"]
    assert {"--name=pair-east", "--retain", "--wait=0s", f"--kubeconfig={kubeconfig}"} <= set(arguments)
    assert (tmp_path / "environment").read_text() == "KIND_EXPERIMENTAL_DOCKER_NETWORK=lab-pair\n"
    sent = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert sent == kind.configuration(topology().cluster("east"))
    config = yaml.safe_load(kubeconfig.read_text())
    assert config["current-context"] == "pair-east"
    assert config["contexts"] == [
        {"name": "pair-east", "context": {"cluster": "pair-east", "user": "pair-east"}}
    ]
    assert {config["clusters"][0]["name"], config["users"][0]["name"]} == {"pair-east"}
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert kubeconfig.parent.stat().st_mode & 0o777 == 0o700
    [admission] = kind.settings.lab(kind.lab).glob("pod-security.yaml")
    assert admission.stat().st_mode & 0o777 == 0o600


def test_without_kind_nothing_is_touched(kind: Kind, engine: Engine, tmp_path: Path) -> None:
    engine.networks, engine.containers = [network("pair")], [node("pair", "east")]
    with pytest.raises(HostError, match="kind was not found"):
        kind.create(topology().cluster("east"), kubeconfig=tmp_path / "x" / "east.yaml", cancelled=None)
    assert engine.done == []


def test_memory_is_that_of_running_nodes(kind: Kind, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.networks = [network("pair")]
    engine.containers = [
        node("pair", "east"),
        node("pair", "east", role="worker"),
        node("pair", "west", status="exited"),
    ]
    monkeypatch.setattr(docker, "execute", lambda name, command: "150\n50\n")
    assert kind.memory(topology()) == {"east": 200}


def test_a_node_that_went_away_uses_no_memory(
    kind: Kind, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str, command: object) -> str:
        raise ProvisionError(f"no container {name}")

    engine.networks, engine.containers = [network("pair")], [node("pair", "east")]
    monkeypatch.setattr(docker, "execute", gone)
    assert kind.memory(topology()) == {"east": 0}
