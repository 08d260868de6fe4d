"""The smallest mesh on machines of the stand-in for Multipass: real cloud-init, kubeadm, Cilium.

Tests follow one another: the last removes the lab.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lab.clients import docker, multipass
from lab.clients.multipass import Machine
from lab.clients.process import CommandError
from lab.clients.wait import wait_until
from lab.degrade.faults import Fault, Hand
from lab.errors import ProvisionError
from lab.installed import placed
from lab.providers.multipass import Multipass, filled
from lab.supply import supply
from lab.workspace import Workspace, open_workspace
from tests.clusters.experiments import require_whole, verdicts
from tests.clusters.labs import Ran, invoke, require_sound, settings, unique
from tests.clusters.standin import remove_network, with_stand_in
from tests.multipass import confirm, machine_image

pytestmark = pytest.mark.cluster

LONG = pytest.mark.long

TOPOLOGY = "pair-multipass"


def run(*words: str, name: str, expect: int = 0) -> Ran:
    # Whatever CI asks for: machines cannot be isolated. The stand-in's have no way off this machine.
    return invoke(*words, "-t", TOPOLOGY, name=name, expect=expect, isolated=False)


def opened(name: str) -> Workspace:
    return open_workspace(replace(settings(), isolated=False), TOPOLOGY, name=name)


@pytest.fixture(scope="module", autouse=True)
def image() -> Iterator[str]:
    """The stand-in on PATH; yields its machines' image. In CI it must be possible to make that."""
    if (os.geteuid() != 0 or shutil.which("debootstrap") is None) and not os.environ.get("CI"):
        pytest.skip("making the stand-in's machines needs root and debootstrap")
    tag = machine_image.build(settings())
    with pytest.MonkeyPatch.context() as patch, with_stand_in():
        patch.setenv("MULTIPASS_STANDIN_IMAGE", tag)
        yield tag
        remove_network()


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    """The lab's name; the lab is gone afterwards, whatever has happened."""
    lab = unique("t-vms")
    yield lab
    run("down", "--yes", name=lab)


@pytest.fixture
def lab(name: str) -> Workspace:
    return opened(name)


def ours(lab: Workspace) -> Mapping[str, Machine]:
    return {each: found for each, found in multipass.machines().items() if each.startswith(f"{lab.lab}-")}


@LONG
@pytest.mark.parametrize("dialect", ["1.16", "next"])
def test_the_stand_in_is_as_expected(
    dialect: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MULTIPASS_STANDIN_DIALECT", dialect)
    assert confirm.main() == 0, capsys.readouterr().out


@contextmanager
def container(image: str) -> Iterator[str]:
    """A container in which programs of ``image`` can be run."""
    made = docker.run_container(image, entrypoint="sleep", command=["infinity"])
    try:
        yield made
    finally:
        docker.remove_container(made)


def values(node: str) -> dict[str, object]:
    """What templates know of a cluster of one node."""
    return {
        "node": node,
        "lab": "t-vms-0000",
        "cluster": opened("t-vms-0000").topology.cluster("east"),
        "endpoint": node,
        "addresses": {node: "10.200.0.2"},
        "control_planes": [node],
    }


def test_cloud_init_finds_nothing_wrong_with_the_user_data(image: str) -> None:
    user_data = filled("machine", **values("t-vms-0000-east-control-plane"))
    check = ["sh", "-euc", "cat >/tmp/user-data; cloud-init schema --config-file /tmp/user-data"]
    with container(image) as made:
        docker.execute(made, check, input=user_data)


def test_up_from_nothing(lab: Workspace) -> None:
    run("up", "--yes", name=lab.lab)
    require_sound(run("verify", "--json", name=lab.lab).json, lab)
    assert {each.state for each in ours(lab).values()} == {"Running"}
    assert len(ours(lab)) == 2


def test_kubeadm_finds_nothing_wrong_with_its_configuration(lab: Workspace) -> None:
    made_of = supply(settings(), lab.topology, images="auto", wanted=placed(lab))
    assert made_of.node_image is not None
    join = {"token": "abcdef.0123456789abcdef", "pin": "sha256:" + "ab" * 32}
    check = ["sh", "-euc", "cat >/tmp/kubeadm.yaml; kubeadm config validate --config /tmp/kubeadm.yaml"]
    more = {"version": "v1.35.8", "certificate_key": "ab" * 32, **values("t-vms-0000-east-control-plane")}
    with container(made_of.node_image.tag) as made:
        for joined in (None, join):
            docker.execute(made, check, input=filled("kubeadm", join=joined, **more))


def test_up_again_has_nothing_to_do(lab: Workspace) -> None:
    plan = run("plan", "--json", name=lab.lab).json
    assert [step["id"] for step in plan["steps"] if not step["done"]] == []


def test_what_is_told_of_it(lab: Workspace) -> None:
    found = run("status", "--json", name=lab.lab).json
    assert [(each["name"], each["reachable"], each["nodes_ready"]) for each in found["clusters"]] == [
        ("east", True, 1),
        ("west", True, 1),
    ]
    assert all(each["memory_mib"] > 0 for each in found["clusters"])
    checks = {each["id"]: each["ok"] for each in run("doctor", "--json", name=lab.lab).json["checks"]}
    assert {"multipass", "multipass/driver", "multipass/bridge", "multipass/memory"} <= checks.keys()


def test_images_came_with_the_machine_and_nothing_was_pulled(lab: Workspace) -> None:
    for node in ours(lab):
        journal = multipass.execute(node, ("journalctl", "--no-pager", "--unit=containerd"))
        assert "PullImage" not in journal


@LONG
def test_a_machine_that_comes_back_under_another_address(lab: Workspace) -> None:
    before = ours(lab)
    stopped = f"{lab.lab}-east-control-plane"
    multipass.stop(stopped)
    run("up", "--yes", name=lab.lab)
    after = ours(lab)
    assert after[stopped].address != before[stopped].address
    config = yaml.safe_load(lab.folder.kubeconfig("east").read_text())
    assert config["clusters"][0]["cluster"]["server"] == f"https://{after[stopped].address}:6443"
    require_sound(run("verify", "--json", name=lab.lab).json, lab)


@pytest.mark.parametrize("how", ["kill", pytest.param("pause", marks=LONG)])
def test_what_is_taken_away_is_left_so_until_it_is_started(lab: Workspace, how: str) -> None:
    provider = Multipass(settings=lab.settings, lab=lab.lab)
    east, node = lab.topology.cluster("east"), f"{lab.lab}-east-control-plane"
    provider.halt(east, how)  # type: ignore[arg-type]
    state = {"kill": "Stopped", "pause": "Suspended"}[how]
    assert ours(lab)[node].state == state
    with pytest.raises(ProvisionError, match=f"{node} does not run: it is {state}"):
        provider.run_on(node, ("true",))
    provider.start(east)
    assert ours(lab)[node].state == "Running"


@LONG
@pytest.mark.parametrize("fault", ["kill", "stop", "pause", "partition"])
def test_an_experiment(lab: Workspace, fault: str) -> None:
    words = ("--profile", "quick", "--fault", fault, "--contract", "C1,C5", "--hold", "30s")
    ran = run("degrade", *words, name=lab.lab)
    found = verdicts(Path(ran.out.splitlines()[-1]))
    assert (found["C1"]["verdict"], found["C5"]["verdict"]) == ("pass", "pass")
    assert found["C5-any-backend"]["verdict"] == "fail"
    require_whole(lab)


def test_a_partition_leaves_the_way_by_which_it_is_undone(lab: Workspace) -> None:
    hand, node = Hand(lab), f"{lab.lab}-west-control-plane"
    peer = lab.provider("east").observe(lab.topology)["east"].nodes[0].address
    ping = ("ping", "-c", "1", "-W", "2", peer)
    # It may have been started just now.
    wait_until("an answer", lambda: _until_answered(node, ping), timeout=60)
    fault = hand.inject(Fault("partition", "west", "r1"))
    try:
        with pytest.raises(CommandError):
            multipass.execute(node, ping)
    finally:
        hand.undo(fault)
    assert " 0% packet loss" in multipass.execute(node, ping)
    run("up", "--yes", name=lab.lab)
    require_sound(run("verify", "--json", name=lab.lab).json, lab)


def _until_answered(node: str, ping: tuple[str, ...]) -> str | None:
    try:
        return None if " 0% packet loss" in multipass.execute(node, ping) else "packets are lost"
    except CommandError as error:
        return error.brief


def test_a_strangers_machine_is_left_alone() -> None:
    lab = unique("t-vms")
    stranger = f"{lab}-east-control-plane"
    multipass.launch(
        stranger, image="24.04", cpus=1, memory="1G", disk="5G", user_data="#cloud-config\n{}\n", timeout=300
    )
    try:
        ran = run("up", "--yes", name=lab, expect=3)
        assert f"there is a machine {stranger} that this lab did not make; it was left alone" in ran.err
        run("down", "--yes", name=lab)
        assert stranger in multipass.machines()
    finally:
        multipass.delete([stranger])


def test_without_a_daemon(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIPASS_STANDIN_DAEMON", "stopped")
    ran = run("up", "--yes", name=lab.lab, expect=3)
    assert "Multipass' daemon does not answer" in ran.err
    assert "sudo snap start multipass" in ran.err


def test_down_leaves_nothing(lab: Workspace) -> None:
    run("down", "--yes", name=lab.lab)
    assert ours(lab) == {}
    assert not lab.folder.path.exists()
