"""Multipass: whose machines are touched, what addresses they keep, and what a failure leaves."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.clients import multipass as door
from lab.clients import process
from lab.clients.multipass import Machine
from lab.clients.process import CommandError
from lab.errors import DaemonUnreachable, HostError, Interrupted, ProvisionError
from lab.plan.resolve import budget
from lab.providers import claims
from lab.providers.multipass import Multipass
from lab.topology.model import Cluster, Nodes, Topology
from tests.unit.labs import settings
from tests.unit.labs import topology as shipped

ADMIN = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "pair-east", "cluster": {"server": "https://pair-east-control-plane:6443"}}],
        "users": [{"name": "kubernetes-admin", "user": {"client-key-data": "a2V5"}}],
        "contexts": [{"name": "admin", "context": {"cluster": "pair-east", "user": "kubernetes-admin"}}],
        "current-context": "admin",
    }
)
PIN = "sha256:" + "ab" * 32


class Host:
    """Multipass, at its door: machines, what was done to them, and what fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.machines: dict[str, Machine] = {}
        self.done: list[tuple[str, ...]] = []
        self.said: dict[str, str] = {}
        self.fails: dict[str, Exception] = {}
        self.stdin: dict[str, str] = {}
        self.called: list[str] = []
        self.away: HostError | None = None
        monkeypatch.setattr(door, "machines", self._machines)
        monkeypatch.setattr(door, "version", lambda: "1.16.1")
        monkeypatch.setattr(door, "launch", self._launch)
        monkeypatch.setattr(door, "execute", self._execute)
        monkeypatch.setattr(door, "transfer", lambda source, name, target, **_: self._do("transfer", name))
        monkeypatch.setattr(door, "delete", self._delete)
        monkeypatch.setattr(door, "memory", lambda names: dict.fromkeys(names, 100))
        monkeypatch.setattr(door, "start", lambda names, **_: self._turn(names, "Running", "start"))
        monkeypatch.setattr(door, "suspend", lambda name: self._turn([name], "Suspended", "suspend"))
        monkeypatch.setattr(
            door, "stop", lambda name, force=False: self._turn([name], "Stopped", "kill" if force else "stop")
        )

    def add(self, name: str, state: str = "Running", address: str = "10.97.0.5") -> None:
        self.machines[name] = Machine(name, state, address if state == "Running" else "")

    def _machines(self) -> dict[str, Machine]:
        if self.away:
            raise self.away
        return dict(self.machines)

    def _do(self, what: str, *rest: str) -> None:
        self.done.append((what, *rest))
        for text, error in self.fails.items():
            if text in " ".join((what, *rest)):
                raise error

    def _launch(self, name: str, *, user_data: str, **sizes: Any) -> None:
        self.stdin[name] = user_data
        self.said[f"sizes {name}"] = f"{sizes['cpus']} {sizes['memory']} {sizes['disk']} {sizes['image']}"
        self.add(name)
        self._do("launch", name)

    def _execute(
        self, name: str, command: Sequence[str], *, input: str = "", what: str = "", **_: Any
    ) -> str:
        self.called += [what] if what else []
        if input:
            self.stdin[f"{name} {' '.join(command)}"] = input
        self._do("run", name, *command)
        answers = {"version": "v1.35.8\n", "cat /etc/kubernetes": ADMIN, "UserspaceTimestamp": "id\nMon\n"}
        answers["token create"] = (
            f"kubeadm join h:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash {PIN}\n"
        )
        return next((text for words, text in answers.items() if words in " ".join(command)), "")

    def _delete(self, names: Sequence[str]) -> None:
        for name in names:
            del self.machines[name]
        self._do("delete", *names)

    def _turn(self, names: Sequence[str], state: str, what: str) -> None:
        for name in names:
            self.add(name, state, address="10.97.0.99")
        self._do(what, *names)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


@pytest.fixture
def topology() -> Topology:
    """The pair, on machines."""
    read = shipped()
    made = [replace(each, provider="multipass", provider_options={}) for each in read.clusters]
    return replace(read, clusters=tuple(made))


@pytest.fixture
def provider(tmp_path: Path) -> Multipass:
    return Multipass(settings=settings(tmp_path), lab="pair", archive=tmp_path / "node.tar")


def kubeconfig(provider: Multipass) -> Path:
    return provider.settings.lab("pair") / "kubeconfig" / "east.yaml"


def create(provider: Multipass, topology: Topology, cluster: Cluster | None = None) -> None:
    provider.prepare(topology)
    provider.create(cluster or topology.cluster("east"), kubeconfig=kubeconfig(provider), cancelled=None)


def command_failed(output: str) -> CommandError:
    return CommandError("multipass failed with exit code 1", exit_code_of_command=1, output=output)


def test_a_cluster_is_made_of_a_machine(host: Host, provider: Multipass, topology: Topology) -> None:
    create(provider, topology)
    name = "pair-east-control-plane"
    assert [words[:3] for words in host.done] == [
        ("launch", name),
        ("run", name, "sh"),
        ("transfer", name),
        ("run", name, "lab-fill"),
        ("run", name, "lab-network"),
        ("run", name, "kubeadm"),
        ("run", name, "lab-kubeadm"),
        ("run", name, "kubectl"),
        ("run", name, "cat"),
    ]
    assert host.said[f"sizes {name}"] == "2 4G 20G 24.04"
    assert provider.clusters() == ["east"]
    config = yaml.safe_load(kubeconfig(provider).read_text())
    assert config["clusters"][0] == {
        "name": "pair-east",
        "cluster": {"server": "https://10.97.0.5:6443", "tls-server-name": name},
    }
    assert config["contexts"] == [
        {"name": "pair-east", "context": {"cluster": "pair-east", "user": "pair-east"}}
    ]
    assert config["current-context"] == config["users"][0]["name"] == "pair-east"
    assert stat.S_IMODE(kubeconfig(provider).stat().st_mode) == 0o600


def test_sizes_are_the_topologys(host: Host, provider: Multipass) -> None:
    article = shipped("article")
    hub = replace(provider, lab="article")
    hub.prepare(article)
    for cluster in article.clusters:
        hub.create(cluster, kubeconfig=kubeconfig(hub), cancelled=None)
    assert [host.said[f"sizes article-{each}-control-plane"] for each in ("mgmt", "app1")] == [
        "2 10G 40G 24.04",
        "2 7G 40G 24.04",
    ]


def test_what_kubeadm_reads(host: Host, provider: Multipass, topology: Topology) -> None:
    create(provider, topology)
    init, cluster, kubelet = yaml.safe_load_all(host.stdin["pair-east-control-plane lab-kubeadm init"])
    assert {each["apiVersion"] for each in (init, cluster)} == {"kubeadm.k8s.io/v1beta4"}
    assert init["localAPIEndpoint"] == {"advertiseAddress": "10.200.0.2", "bindPort": 6443}
    assert init["nodeRegistration"]["taints"] == []
    assert init["nodeRegistration"]["kubeletExtraArgs"] == [
        {"name": "node-ip", "value": "10.200.0.2"},
        {"name": "node-labels", "value": "lab/name=pair"},
    ]
    assert cluster["controlPlaneEndpoint"] == "pair-east-control-plane:6443"
    assert cluster["kubernetesVersion"] == "v1.35.8"
    east = topology.cluster("east")
    assert cluster["networking"] == {
        "podSubnet": str(east.pod_cidr),
        "serviceSubnet": str(east.service_cidr),
    }
    assert cluster["apiServer"]["extraArgs"][0]["name"] == "admission-control-config-file"
    assert kubelet["cgroupDriver"] == "systemd"


def test_several_control_planes_share_a_name(host: Host, provider: Multipass, topology: Topology) -> None:
    east = replace(topology.cluster("east"), nodes=Nodes(control_plane=2, workers=1))
    create(provider, replace(topology, clusters=(east, topology.cluster("west"))), east)
    init, cluster, _ = yaml.safe_load_all(
        host.stdin["pair-east-control-plane lab-kubeadm init --upload-certs"]
    )
    second = yaml.safe_load(host.stdin["pair-east-control-plane2 lab-kubeadm join"])
    worker = yaml.safe_load(host.stdin["pair-east-worker lab-kubeadm join"])
    assert cluster["controlPlaneEndpoint"] == "pair-east-api:6443"
    assert "taints" not in init["nodeRegistration"]
    assert second["controlPlane"]["certificateKey"] == init["certificateKey"]
    assert second["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == "10.200.0.3"
    assert "controlPlane" not in worker
    assert worker["discovery"]["bootstrapToken"] == {
        "apiServerEndpoint": "pair-east-api:6443",
        "token": "abcdef.0123456789abcdef",
        "caCertHashes": [PIN],
    }
    hosts = file_of(host.stdin["pair-east-worker"], "/etc/lab/hosts").splitlines()
    assert hosts == [
        "10.200.0.2 pair-east-control-plane # lab",
        "10.200.0.3 pair-east-control-plane2 # lab",
        "10.200.0.4 pair-east-worker # lab",
        "10.200.0.5 pair-west-control-plane # lab",
        "10.200.0.2 pair-east-api # lab",
        "10.200.0.3 pair-east-api # lab",
    ]


def file_of(user_data: str, path: str) -> str:
    """A file that cloud-init is to write."""
    assert user_data.startswith("#cloud-config\n")
    [content] = [each["content"] for each in yaml.safe_load(user_data)["write_files"] if each["path"] == path]
    return str(content)


def test_what_cloud_init_reads(host: Host, provider: Multipass, topology: Topology) -> None:
    create(provider, topology)
    user_data = host.stdin["pair-east-control-plane"]
    assert "address=10.200.0.2\n" in file_of(user_data, "/usr/local/sbin/lab-network")
    admission = yaml.safe_load(file_of(user_data, "/etc/kubernetes/lab/pod-security.yaml"))
    assert admission["kind"] == "AdmissionConfiguration"
    kubelet = file_of(user_data, "/etc/systemd/system/kubelet.service")
    assert "$KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n" in kubelet
    assert not re.search("token|PRIVATE", user_data)


def script(user_data: str, name: str, folder: Path) -> Path:
    """A script of the machine's that can be run here, in ``folder``, with the programs that are there."""
    text = file_of(user_data, f"/usr/local/sbin/{name}")
    for place in ("/run/", "/etc/"):
        text = text.replace(f" {place}", f" {folder}/").replace(f">{place}", f">{folder}/")
        text = text.replace(f"={place}", f"={folder}/").replace(f"<{place}", f"<{folder}/")
    path = folder / name
    path.write_text(text.replace("#!/bin/sh", f"#!/bin/sh\nPATH={folder}:$PATH"))
    path.chmod(0o755)
    return path


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_where_kubeadm_fails_kubelet_says_why(
    host: Host, provider: Multipass, topology: Topology, tmp_path: Path
) -> None:
    create(provider, topology)
    run = script(host.stdin["pair-east-control-plane"], "lab-kubeadm", tmp_path)
    program(tmp_path, "kubeadm", 'cat "${2#--config=}"; echo "kubeadm: $1" >&2; exit 7')
    program(tmp_path, "journalctl", 'echo "said by $3"')
    with pytest.raises(CommandError) as failed:
        process.run([run, "init"], input="a configuration\n")
    assert failed.value.exit_code_of_command == 7
    assert failed.value.details.splitlines()[1:] == [
        "a configuration",
        "kubeadm: init",
        "said by --unit=kubelet",
    ]
    assert not (tmp_path / "lab-kubeadm.yaml").exists()


ADDRESSES = """\
2: cilium_host    inet 10.100.0.17/32 scope global cilium_host\\       valid_lft forever preferred_lft forever
37: eth0    inet 10.97.113.9/24 brd 10.97.113.255 scope global eth0\\       valid_lft forever
37: eth0    inet 10.200.0.2/32 scope global eth0\\       valid_lft forever preferred_lft forever
"""


def test_a_machine_takes_the_ways_that_it_is_told_on_its_own_interface(
    host: Host, provider: Multipass, topology: Topology, tmp_path: Path
) -> None:
    create(provider, topology)
    run = script(host.stdin["pair-east-control-plane"], "lab-network", tmp_path)
    (tmp_path / "lab").mkdir()
    (tmp_path / "known").write_text(ADDRESSES)
    program(
        tmp_path,
        "ip",
        f"""case "$*" in
        "-o -4 address show scope global") cat {tmp_path}/known ;;
        "-4 route show 10.200.0.4") echo "10.200.0.4 via 10.97.113.4 dev eth0 src 10.200.0.2" ;;
        "-4 "*) ;;
        *) echo "$*" >>{tmp_path}/done ;;
        esac""",
    )
    process.run([run, "routes"], input="10.200.0.3 10.97.113.5\n10.200.0.4 10.97.113.4\n")
    assert (tmp_path / "done").read_text().splitlines() == [
        "address replace 10.200.0.2/32 dev eth0",
        "route replace 10.200.0.3 via 10.97.113.5 dev eth0 src 10.200.0.2",
    ]


def test_what_there_is(host: Host, provider: Multipass, topology: Topology) -> None:
    assert provider.observe(topology) == {}
    create(provider, topology)
    [node] = provider.observe(topology)["east"].nodes
    assert (node.name, node.role, node.running) == ("pair-east-control-plane", "control-plane", True)
    assert (node.address, node.since) == ("10.200.0.2", "id Mon")
    provider.halt(topology.cluster("east"), "kill")
    [node] = provider.observe(topology)["east"].nodes
    assert (node.running, node.address, node.since) == (False, "", "Stopped")
    host.add(node.name, "Deleted")
    assert provider.observe(topology) == {}


def test_addresses_stay_when_clusters_come_and_go(
    host: Host, provider: Multipass, topology: Topology
) -> None:
    provider.prepare(topology)
    before = claims.read(provider.settings.lab("pair")).addresses
    newcomer = replace(topology.cluster("east"), name="first")
    provider.prepare(replace(topology, clusters=(newcomer, *topology.clusters)))
    after = claims.read(provider.settings.lab("pair")).addresses
    assert before == {"pair-east-control-plane": "10.200.0.2", "pair-west-control-plane": "10.200.0.3"}
    assert after == {**before, "pair-first-control-plane": "10.200.0.4"}


@pytest.mark.parametrize("how", ["kill", "stop", "pause"])
def test_what_was_taken_away_comes_back_under_another_address(
    host: Host, provider: Multipass, topology: Topology, how: Any
) -> None:
    create(provider, topology)
    east, name = topology.cluster("east"), "pair-east-control-plane"
    provider.halt(east, how)
    assert host.done[-1] == ({"pause": "suspend"}.get(how, how), name)
    provider.halt(east, how)
    provider.start(east)
    assert host.done[-2:] == [("start", name), ("run", name, "lab-network", "routes")]
    assert "server: https://10.97.0.99:6443" in kubeconfig(provider).read_text()
    assert provider.observe(topology)["east"].nodes[0].address == "10.200.0.2"


def test_a_drift_without_a_restart_is_mended_too(host: Host, provider: Multipass, topology: Topology) -> None:
    create(provider, topology)
    host.add("pair-east-control-plane", address="10.97.0.77")
    host.done.clear()
    provider.start(topology.cluster("east"))
    assert host.done == [("run", "pair-east-control-plane", "lab-network", "routes")]
    assert "server: https://10.97.0.77:6443" in kubeconfig(provider).read_text()


def test_machines_hear_where_the_others_are(host: Host, provider: Multipass, topology: Topology) -> None:
    create(provider, topology)
    create(provider, topology, topology.cluster("west"))
    host.add("pair-east-control-plane", address="10.97.0.77")
    provider.start(topology.cluster("east"))
    heard = {name.split()[0]: text for name, text in host.stdin.items() if name.endswith("routes")}
    assert heard == {
        "pair-east-control-plane": "10.200.0.3 10.97.0.5\n",
        "pair-west-control-plane": "10.200.0.2 10.97.0.77\n",
    }


def test_memory_is_of_what_runs(host: Host, provider: Multipass, topology: Topology) -> None:
    create(provider, topology)
    assert provider.memory(topology) == {"east": 100}
    provider.halt(topology.cluster("east"), "stop")
    assert provider.memory(topology) == {}


def test_a_strangers_machine_is_left_alone(host: Host, provider: Multipass, topology: Topology) -> None:
    host.add("pair-east-control-plane")
    for act in (lambda: provider.observe(topology), lambda: create(provider, topology)):
        with pytest.raises(HostError) as refused:
            act()
        assert str(refused.value) == (
            "there is a machine pair-east-control-plane that this lab did not make; it was left alone\n"
            "Give the lab another name (--name NAME), or remove it: "
            "multipass delete --purge pair-east-control-plane"
        )
    provider.delete("pair", "east")
    assert list(host.machines) == ["pair-east-control-plane"]


def test_one_that_came_meanwhile_is_left_alone_too(
    host: Host, provider: Multipass, topology: Topology
) -> None:
    host.fails["launch"] = command_failed('launch failed: instance "pair-east-control-plane" already exists')
    with pytest.raises(ProvisionError):
        create(provider, topology)
    assert "pair-east-control-plane" in host.machines
    assert provider.clusters() == []


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("launch", ""),
        ("cloud-init status", "cloud-init"),
        ("lab-fill", "unpacking"),
        ("lab-kubeadm", "kubeadm init"),
    ],
)
def test_what_fails_is_called_by_its_name_and_removed(
    host: Host, provider: Multipass, topology: Topology, where: str, what: str
) -> None:
    host.fails[where] = command_failed("the command's own words")
    with pytest.raises(ProvisionError, match="exit code 1"):
        create(provider, topology)
    assert host.called[-1:] == [what] * bool(what)
    assert host.machines == {}
    assert provider.clusters() == []
    assert not kubeconfig(provider).exists()


def test_an_interruption_leaves_what_the_next_command_removes(
    host: Host, provider: Multipass, topology: Topology
) -> None:
    host.fails["transfer"] = Interrupted("interrupted")
    with pytest.raises(Interrupted):
        create(provider, topology)
    assert provider.clusters() == ["east"]
    host.fails.clear()
    provider.delete("pair", "east")
    assert provider.release("pair") == []
    assert (host.machines, provider.clusters()) == ({}, [])


def test_what_is_there_cannot_be_told_without_multipass(
    host: Host, provider: Multipass, topology: Topology
) -> None:
    host.away = DaemonUnreachable("Multipass' daemon does not answer")
    with pytest.raises(DaemonUnreachable):
        provider.observe(topology)
    # `down` of a lab that has no machine asks nobody.
    assert provider.clusters() == []


def test_what_the_doctor_asks_for(host: Host, provider: Multipass, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "driver", lambda: "qemu")
    monkeypatch.setattr(door, "images", lambda word: [word])
    needed = budget(shipped("article"), still_to_make={"mgmt", "app2"})
    found = {check.id: check.needed for check in provider.checks(needed)}
    assert found["multipass/memory"] == "17408 MiB free"
    assert found["multipass/disk"] == f"{needed.disk_mib} MiB free"
    assert found["multipass/image"] == "Ubuntu 24.04, fetched once"
