"""What a fault does and owes: the undoing is written down first, and paid by whoever comes next."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.addons import catalog
from lab.catalog.place import Placed, place
from lab.clients import process
from lab.clients.kube_objects import Reference
from lab.clients.process import CommandError
from lab.degrade import faults, probers
from lab.degrade.faults import Fault, Hand, owed
from lab.degrade.left import Left
from lab.degrade.told import of_mesh
from lab.errors import HostError, InputError, ProvisionError
from lab.mesh import isolation
from lab.providers.base import ClusterState, NodeState
from lab.settings import from_environment
from lab.topology.model import Cluster, Topology
from lab.topology.traits import FAULTS
from lab.workspace import Workspace
from tests.unit import labs
from tests.unit.platform.cluster import FakeKube

WORD = Reference("v1", "Secret", "shop", "word")
NODE = NodeState(
    name="l-mgmt-control-plane", role="control-plane", running=True, address="10.200.0.2", since=""
)


class Nodes:
    """A provider that writes down what it is asked to do; ``broken`` makes the undoing fail."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.ran: list[tuple[str, ...]] = []
        self.broken = False
        self.running = True

    def halt(self, cluster: Cluster, how: str) -> None:
        self.done.append((how, cluster.name))

    def start(self, cluster: Cluster) -> None:
        if self.broken:
            raise ProvisionError("it does not start")
        self.done.append(("start", cluster.name))

    def observe(self, topology: object) -> dict[str, ClusterState]:
        return {"mgmt": ClusterState((replace(NODE, running=self.running),))}

    def run_on(self, node: str, command: tuple[str, ...], **_: Any) -> str:
        what = "cut" if "-j DROP" in command[2] else "join"
        self.done.append((what, node))
        self.ran.append(command)
        return ""


class Api:
    """A cluster's API with two workloads of an addon."""

    def __init__(self) -> None:
        self.replicas: dict[str, int] = {}

    def get(self, path: str) -> dict[str, Any]:
        return {"spec": {"replicas": self.replicas.setdefault(path, 2)}}

    def merge(self, path: str, change: dict[str, Any]) -> None:
        self.replicas[path] = change["spec"]["replicas"]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    made = Nodes()
    monkeypatch.setattr(Workspace, "provider", lambda *_: made)
    return made


@pytest.fixture
def cluster(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """The API of mgmt."""
    made = FakeKube()
    monkeypatch.setitem(workspace.__dict__, "kubes", {"mgmt": made})
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return labs.workspace(tmp_path, "hub-spoke")


def placed(workspace: Workspace) -> tuple[Placed, ...]:
    return place(workspace.topology, catalog(from_environment()))


@pytest.mark.parametrize("kind", ["kill", "stop", "pause"])
def test_nodes_are_taken_away_and_started_again(workspace: Workspace, nodes: Nodes, kind: Any) -> None:
    fault = Hand(workspace).inject(Fault(kind, "mgmt", "r1"))
    assert nodes.done == [(kind, "mgmt")]
    assert owed(workspace.folder) == fault
    Hand(workspace).undo(fault)
    assert nodes.done[1:] == [("start", "mgmt")]
    assert owed(workspace.folder) is None


def test_a_partition_is_made_on_each_node_and_mended_there(workspace: Workspace, nodes: Nodes) -> None:
    fault = Hand(workspace).inject(Fault("partition", "mgmt", "r1"))
    assert nodes.done == [("cut", NODE.name)]
    Hand(workspace).undo(fault)
    assert nodes.done[1:] == [("start", "mgmt"), ("join", NODE.name)]


ON_A_NODE = """\
#!/bin/sh
echo "$(basename "$0") $*" >>"$DONE"
case "$(basename "$0") $*" in
"ip -o -4 address show to 10.200.0.2") echo "37: enp5s0    inet 10.200.0.2/32 scope global enp5s0" ;;
*" -D "*) exit 1 ;;
esac
"""


def on_a_node(command: tuple[str, ...], folder: Path) -> list[str]:
    """Run what was to be run on a node, here; return what it asked of iptables."""
    for name in ("ip", "iptables"):
        (folder / name).write_text(ON_A_NODE)
        (folder / name).chmod(0o755)
    done = folder / "done"
    process.run(command, env={"PATH": f"{folder}:{os.environ['PATH']}", "DONE": str(done)})
    lines = done.read_text().splitlines()
    return [line.removeprefix("iptables -w 30 -t ") for line in lines if line.startswith("iptables")]


def test_a_partition_cuts_the_interface_with_the_nodes_address_and_leaves_ssh(
    workspace: Workspace, nodes: Nodes, tmp_path: Path
) -> None:
    Hand(workspace).inject(Fault("partition", "mgmt", "r1"))
    done = on_a_node(nodes.ran[0], tmp_path)
    assert [line for line in done if " -A " in line or " -I " in line] == [
        "raw -A LAB-PARTITION -i enp5s0 -p tcp --dport 22 -j RETURN",
        "raw -A LAB-PARTITION -i enp5s0 -j DROP",
        "mangle -A LAB-PARTITION -o enp5s0 -p tcp --sport 22 -j RETURN",
        "mangle -A LAB-PARTITION -o enp5s0 -j DROP",
        "raw -I PREROUTING -j LAB-PARTITION",
        "mangle -I POSTROUTING -j LAB-PARTITION",
    ]


def test_an_interface_that_is_not_there_is_told(workspace: Workspace, nodes: Nodes, tmp_path: Path) -> None:
    Hand(workspace).inject(Fault("partition", "mgmt", "r1"))
    with pytest.raises(CommandError) as failed:
        on_a_node((*nodes.ran[0][:-1], "10.200.0.99"), tmp_path)
    assert "no interface has the address 10.200.0.99" in failed.value.details


def test_a_policy_is_applied_and_removed_and_no_node_is_touched(
    workspace: Workspace, nodes: Nodes, cluster: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    def policy(topology: Topology, name: str, kube: object) -> dict[str, Any]:
        assert owed(workspace.folder) == Fault("isolate", "mgmt", "r1")
        assert (topology, name, kube) == (workspace.topology, "mgmt", cluster)
        return {"kind": isolation.POLICY.kind, "metadata": {"name": isolation.POLICY.name}}

    monkeypatch.setattr(isolation, "policy", policy)
    fault = Hand(workspace).inject(Fault("isolate", "mgmt", "r1"))
    assert cluster.exists(isolation.POLICY)
    written = owed(workspace.folder)
    assert written == fault
    Hand(workspace).undo(written)
    assert not cluster.exists(isolation.POLICY)
    assert owed(workspace.folder) is None
    assert nodes.done == []
    # Once more, as whoever was interrupted does.
    Hand(workspace).undo(written)


def test_a_component_is_scaled_away_and_back_to_what_it_was(
    workspace: Workspace, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api()
    monkeypatch.setitem(workspace.__dict__, "kubes", {"mgmt": api})
    cluster, component = faults.target(workspace.topology, "thanos", "component", placed(workspace))
    assert cluster == "mgmt"
    fault = Hand(workspace).inject(Fault("component", cluster, "r1", "thanos"), component)
    assert set(api.replicas.values()) == {0}
    assert len(api.replicas) == 2
    # By another command, which knows of it only what was written down.
    written = owed(workspace.folder)
    assert written == fault
    Hand(workspace).undo(written)
    assert set(api.replicas.values()) == {2}


def test_what_is_owed_is_written_down_before_anything_is_done(
    workspace: Workspace, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halt(cluster: Cluster, how: str) -> None:
        assert owed(workspace.folder) == Fault("kill", "mgmt", "r1")
        raise ProvisionError("half of it")

    monkeypatch.setattr(nodes, "halt", halt)
    with pytest.raises(ProvisionError):
        Hand(workspace).inject(Fault("kill", "mgmt", "r1"))
    assert owed(workspace.folder) is not None


def test_a_later_command_pays(
    workspace: Workspace, nodes: Nodes, cluster: FakeKube, capsys: pytest.CaptureFixture[str]
) -> None:
    assert faults.settle(workspace, remedy="") == ""
    faults.remind(workspace)
    assert capsys.readouterr().err == ""
    Hand(workspace).inject(Fault("pause", "mgmt", "r1"))
    Left(workspace.folder).add("mgmt", [probers.ALL, WORD])
    faults.remind(workspace)
    assert capsys.readouterr().err == (
        "An experiment is under way, or was cut off and has left a fault: mgmt: its nodes were frozen: they "
        "answer nothing, and refuse nothing. ./invoke up undoes it.\n"
    )
    told = faults.settle(workspace, remedy="")
    assert told.startswith("mgmt: its nodes were frozen")
    assert told.endswith("; objects in mgmt are removed")
    assert nodes.done == [("pause", "mgmt"), ("start", "mgmt")]
    assert cluster.done == ["remove Secret word", "remove Namespace lab-degrade"]
    assert faults.settle(workspace, remedy="") == ""


def test_objects_are_swept_where_no_fault_was_done_too(
    workspace: Workspace, nodes: Nodes, cluster: FakeKube, capsys: pytest.CaptureFixture[str]
) -> None:
    left = Left(workspace.folder)
    left.add("mgmt", [WORD])
    left.add("app1", [WORD])
    faults.remind(workspace)
    assert "was cut off and has left objects in mgmt and app1." in capsys.readouterr().err
    # Of app1 there is no node any more.
    assert faults.settle(workspace, remedy="") == "objects in mgmt are removed"
    assert Left(workspace.folder).clusters == []


def test_what_lies_in_a_cluster_that_is_away_stays_written_down(
    workspace: Workspace, nodes: Nodes, cluster: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "_BACK_S", 0.0)
    Left(workspace.folder).add("mgmt", [WORD])
    cluster.is_away = True
    told = faults.settle(workspace, remedy="")
    assert told.startswith("objects in mgmt stay until the next time (the API server of mgmt did not come")
    assert Left(workspace.folder).clusters == ["mgmt"]
    nodes.running = False
    assert faults.settle(workspace, remedy="") == (
        "objects in mgmt stay until the next time (its nodes do not run)"
    )
    nodes.running, cluster.is_away = True, False
    assert faults.settle(workspace, remedy="") == "objects in mgmt are removed"


def test_what_cannot_be_undone_stays_owed(workspace: Workspace, nodes: Nodes) -> None:
    Hand(workspace).inject(Fault("kill", "mgmt", "r1"))
    nodes.broken = True
    with pytest.raises(HostError) as refused:
        faults.settle(workspace, remedy="Make it whole.")
    assert "mgmt: its nodes were killed" in refused.value.brief
    assert refused.value.details == "it does not start"
    assert refused.value.remedy == "Make it whole."
    assert owed(workspace.folder) is not None


@pytest.mark.parametrize(
    ("word", "kind", "brief", "remedy"),
    [
        (
            "app3",
            "kill",
            "there is no cluster 'app3' in hub-spoke",
            'Did you mean "app2"? There are mgmt, app1, app2.',
        ),
        (
            "vault",
            "pause",
            "'vault' is an addon, and pause is done to a whole cluster",
            "Take it away with --fault component, or name a cluster: mgmt, app1, app2.",
        ),
        ("mgmt", "component", "there is no addon 'mgmt' in the lab", "Name one with --target: "),
        ("", "component", "a component fault needs an addon", "Name one with --target: "),
        (
            "app3/promtail",
            "component",
            "there is no cluster 'app3' in hub-spoke",
            'Did you mean "app2"? There are mgmt, app1, app2.',
        ),
        (
            "mgmt/vaults",
            "component",
            "there is no addon 'vaults' on mgmt",
            'Did you mean "vault"? Name one with --target: ',
        ),
        ("app1/vault", "component", "there is no addon 'vault' on app1", "Name one with --target: "),
        ("app1/", "component", "a component fault needs an addon", "Name one with --target: "),
        ("/vault", "component", "there is no cluster '' in hub-spoke", "There are mgmt, app1, app2."),
    ],
)
def test_a_target_that_is_not_there(
    workspace: Workspace, word: str, kind: Any, brief: str, remedy: str
) -> None:
    with pytest.raises(InputError) as refused:
        faults.target(workspace.topology, word, kind, placed(workspace))
    assert refused.value.brief == brief
    assert remedy in refused.value.remedy


def test_unless_it_is_named_the_hub_goes_and_in_a_lab_of_equals_the_last(tmp_path: Path) -> None:
    assert faults.target(labs.topology("hub-spoke"), "", "kill", ())[0] == "mgmt"
    assert faults.target(labs.topology("pair"), "", "kill", ())[0] == "west"


def test_an_addon_of_several_clusters_is_the_hubs_or_that_of_a_cluster_that_is_named(
    workspace: Workspace,
) -> None:
    def found(word: str) -> str:
        there = (*of_mesh(workspace.topology), *placed(workspace))
        cluster, component = faults.target(workspace.topology, word, "component", there)
        assert component is not None
        assert (component.cluster, component.addon.name) == (cluster, word.rpartition("/")[2])
        return cluster

    assert [found(f"{name}mesh") for name in ("", "mgmt/", "app1/")] == ["mgmt", "mgmt", "app1"]
    # Where the hub has none of it, the last has.
    assert [found(f"{name}promtail") for name in ("", "app1/")] == ["app2", "app1"]


def test_the_meshs_api_server_of_one_cluster_is_scaled_away(
    workspace: Workspace, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api()
    monkeypatch.setitem(workspace.__dict__, "kubes", {"app1": api})
    there = of_mesh(workspace.topology)
    cluster, component = faults.target(workspace.topology, "app1/mesh", "component", there)
    fault = Hand(workspace).inject(Fault("component", cluster, "r1", "mesh"), component)
    assert fault.target == "app1/mesh"
    assert api.replicas == {"/apis/apps/v1/namespaces/kube-system/deployments/clustermesh-apiserver": 0}
    Hand(workspace).undo(fault)
    assert set(api.replicas.values()) == {2}


def test_a_lab_without_a_mesh_has_none_to_take_away(tmp_path: Path) -> None:
    topology = labs.topology("pair")
    assert of_mesh(replace(topology, mesh=replace(topology.mesh, kind="none"))) == ()


def test_a_fault_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as refused:
        faults.kind("kil")
    assert refused.value.remedy == (
        'Did you mean "kill"? There are kill, stop, pause, partition, isolate, component.'
    )


def test_an_addon_that_cannot_be_scaled_is_refused_and_nothing_is_owed(
    workspace: Workspace, nodes: Nodes
) -> None:
    cluster, component = faults.target(workspace.topology, "promtail", "component", placed(workspace))
    with pytest.raises(InputError, match="promtail cannot be scaled away"):
        Hand(workspace).inject(Fault("component", cluster, "r1", "promtail"), component)
    assert owed(workspace.folder) is None


def test_a_cluster_that_was_there_before_is_not_broken_unasked(workspace: Workspace) -> None:
    of = workspace.topology
    theirs = replace(of.cluster("mgmt"), provider="existing")
    mixed = replace(of, clusters=(theirs, *of.clusters[1:]))
    with pytest.raises(InputError) as refused:
        faults.target(mixed, "", "kill", ())
    assert refused.value.brief == (
        "kill may not be done to mgmt: the topology allows component and isolate there"
    )
    assert refused.value.remedy == (
        "Cut its pods off with --fault isolate, take an addon away with --fault component, or name another "
        "cluster with --target."
    )
    assert faults.target(mixed, "", "isolate", ()) == ("mgmt", None)
    assert faults.target(mixed, "app1", "kill", ()) == ("app1", None)
    agreed = replace(theirs, provider_options={"faults": "all"})
    assert faults.target(replace(of, clusters=(agreed, *of.clusters[1:])), "", "kill", ()) == ("mgmt", None)


def test_a_topology_may_forbid_policies(workspace: Workspace) -> None:
    of = workspace.topology
    theirs = replace(of.cluster("mgmt"), provider="existing", provider_options={"faults": "component"})
    with pytest.raises(InputError) as refused:
        faults.target(replace(of, clusters=(theirs, *of.clusters[1:])), "", "isolate", ())
    assert refused.value.brief == "isolate may not be done to mgmt: the topology allows component there"
    assert refused.value.remedy == (
        "Take an addon away with --fault component, or name another cluster with --target."
    )


def test_clusters_that_are_not_joined_cannot_be_cut_off() -> None:
    topology = labs.topology("pair")
    bare = replace(topology, mesh=replace(topology.mesh, kind="none"))
    with pytest.raises(InputError) as refused:
        faults.target(bare, "", "isolate", ())
    assert refused.value.brief == (
        "isolate cuts pods off from the other clusters, and those of pair are not joined"
    )
    assert refused.value.remedy == "Join them (mesh: {kind: cilium}), or choose another fault."


def test_what_a_topology_may_allow_is_what_there_is() -> None:
    assert faults.KINDS.keys() == FAULTS
