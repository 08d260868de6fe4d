"""What ``gather`` puts into its archive, with secrets planted wherever a cluster could hold one."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml

from lab import gather, ready, state, up, workspace
from lab.clients import docker
from lab.clients.docker_cli import EngineUnreachable, Reason
from lab.clients.docker_objects import Container
from lab.clients.kube_objects import Refused, Unreachable
from lab.errors import HostError, InputError, ProvisionError
from lab.host import facts
from lab.providers.base import ClusterState, NodeState
from lab.settings import Settings
from lab.topology.snapshot import HostSnapshot

PLANTED = "pl4nted-S3cret-value"
NAMELESS = "Rand0mValueWithoutAName"
"""Nothing around it says that it is secret, but for the Secret that it is kept in."""

PEM = "-----BEGIN PRIVATE KEY-----\nplantedKeyBody\n-----END PRIVATE KEY-----\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def meta(name: str, namespace: str = "kube-system", **labels: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "labels": labels, "managedFields": [{"manager": "m"}]}


KUBECONFIG = yaml.safe_dump({"users": [{"user": {"client-key-data": encoded(PEM), "token": PLANTED}}]})
SECRETS = [
    {
        "metadata": meta("planted"),
        "type": "Opaque",
        "data": {"password": encoded(PLANTED), "x": encoded(NAMELESS), "name": encoded("kube-system")},
    },
    {"metadata": meta("sh.helm.release.v1.x"), "type": "helm.sh/release.v1", "data": {"release": "H4sI"}},
]
APPLIED = json.dumps({"kind": "Secret", "data": {"x": encoded(NAMELESS)}})
PODS = [
    {
        "metadata": meta("agent", **{"k8s-app": "cilium"}),
        "spec": {
            "containers": [
                {"env": [{"name": "DB_PASSWORD", "value": PLANTED}, {"name": "PLAIN", "value": NAMELESS}]}
            ]
        },
        "status": {"containerStatuses": [{"name": "cilium-agent", "restartCount": 2}]},
    },
    {
        "metadata": meta("addon", "vault"),
        "spec": {},
        "status": {"initContainerStatuses": [{"name": "init", "restartCount": 0}]},
    },
    {
        "metadata": meta("somebody", "default"),
        "spec": {},
        "status": {"containerStatuses": [{"name": "app", "restartCount": 0}]},
    },
]
LISTS = {
    "secrets": SECRETS,
    "pods": PODS,
    "namespaces": [
        {"metadata": {"name": "vault", "labels": {"lab/name": "pair"}}},
        {"metadata": {"name": "default"}},
    ],
    "configmaps": [
        {"metadata": meta("config"), "data": {"kubeconfig": KUBECONFIG}},
        {"metadata": {**meta("x"), "annotations": {"last-applied-configuration": APPLIED}}, "data": {}},
    ],
}


class FakeKube:
    """A cluster that holds what was planted; ``broken`` answers instead, by cluster."""

    broken: ClassVar[dict[str, Exception]] = {}

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def get(self, path, *, timeout=15):
        if error := self.broken.get(self.kubeconfig.stem):
            raise error
        if path == "/version":
            return {"gitVersion": "v1.35.0"}
        if path.endswith("/ciliumidentities"):
            raise Refused("GET was refused", details="the server could not find it", status=404)
        if path.endswith("/jobs"):
            raise ZeroDivisionError("a bug of ours")
        return {"items": json.loads(json.dumps(LISTS.get(path.rpartition("/")[2], [])))}

    def request(self, method, path, *, query):
        if error := self.broken.get(self.kubeconfig.stem):
            raise error
        return "[+]etcd ok\n"

    def log(self, namespace, pod, *, container, previous, lines):
        assert lines == 2000
        return f"{namespace}/{pod} {previous} said {NAMELESS}\nand Authorization: Bearer {PLANTED}\n{PEM}"

    def execute(self, namespace, pod, command, *, container):
        return f"{' '.join(command)}: token={PLANTED}\n"


class FakeProvider:
    """An engine with a node for each cluster; the west's is stopped."""

    def __init__(self, **given: object) -> None: ...

    def observe(self, topology):
        return {
            name: ClusterState(
                (NodeState(f"pair-{name}-control-plane", "control-plane", name == "east", "10.0.0.2", "now"),)
            )
            for name in ("east", "west")
        }

    def run_on(self, node, command):
        assert node == "pair-east-control-plane"
        assert command[:2] == ("timeout", "20")
        if command[2] == "ss":
            raise ProvisionError("docker failed with exit code 127", details="command: ss\nss: not found")
        return f"{command[2]}: kubeadm join --token abcdef.0123456789abcdef {NAMELESS}\n"


def container(name: str, **labels: str) -> Container:
    return Container(
        name=name,
        id="0" * 64,
        image="i",
        image_id="i",
        status="running",
        labels=labels,
        addresses={},
        networks=(),
        started_at=None,
        exit_code=None,
        env={"DB_PASSWORD": PLANTED},
    )


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Settings:
    """The lab ``pair``, with its doors."""
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    folder = state.folder(settings, "pair")
    for cluster in ("east", "west"):
        folder.kubeconfig(cluster).parent.mkdir(parents=True, exist_ok=True)
        folder.kubeconfig(cluster).write_text(KUBECONFIG)
    folder.ca.mkdir()
    (folder.ca / "key.pem").write_text(PEM)
    folder.journals.mkdir()
    (folder.journals / "up.jsonl").write_text(f'{{"event": "x", "error": "password={PLANTED}"}}\n')
    folder.write("verified", "0" * 64)
    logs = settings.state / "logs"
    logs.mkdir()
    (logs / "1.log").write_text(f"run: tool --token {PLANTED}\n")
    monkeypatch.setattr(FakeKube, "broken", {})
    monkeypatch.setattr(workspace, "Kube", FakeKube)
    monkeypatch.setattr(workspace, "PROVIDERS", {"kind": FakeProvider})
    monkeypatch.setattr(facts, "snapshot", lambda settings: HostSnapshot())
    monkeypatch.setattr(facts, "observe", lambda settings: container("host"))
    found = [container("pair-east-control-plane"), container("x", **{"lab/name": "other"}), container("y")]
    monkeypatch.setattr(docker, "engine", lambda: container("engine"))
    monkeypatch.setattr(docker, "containers", lambda: found)
    monkeypatch.setattr(docker, "networks", lambda label: [])
    monkeypatch.setattr(docker, "volumes", lambda label: [])
    monkeypatch.setattr(docker, "logs", lambda name, *, tail: f"{name} booted with password: {PLANTED}\n")
    monkeypatch.setattr(ready, "examine", lambda *args, name: [])
    plan = SimpleNamespace(as_json=lambda: {"steps": []})
    monkeypatch.setattr(up, "plan", lambda settings, request: plan)
    monkeypatch.chdir(tmp_path)
    return settings


def gathered(settings: Settings, output: str = "") -> tuple[Path, dict[str, str]]:
    path = gather.gather(settings, "pair", name=None, output=output)
    files = {}
    with tarfile.open(path) as archive:
        for entry in archive.getmembers():
            file = archive.extractfile(entry)
            assert file is not None
            assert entry.mode == 0o600
            folder, _, name = entry.name.partition("/")
            assert folder.startswith("pair-20")
            files[name] = file.read().decode()
    return path, files


def test_no_planted_secret_is_anywhere_in_it(lab):
    _, files = gathered(lab)

    everything = "\n".join(files.values())
    for secret in (PLANTED, NAMELESS, "plantedKeyBody", "0123456789abcdef"):
        assert secret not in everything
        assert encoded(secret) not in everything
        assert encoded(secret)[4:20] not in everything
    assert encoded(PEM) not in everything
    assert everything.count("REDACTED") > 30
    # What only looks like one stays, or nobody could read the rest.
    assert '"namespace": "kube-system"' in files["east/objects/pods.json"]


def test_secrets_are_there_by_name_and_type_only(lab):
    _, files = gathered(lab)

    assert json.loads(files["east/objects/secrets.json"]) == [
        {"namespace": "kube-system", "name": "planted", "type": "Opaque", "keys": ["name", "password", "x"]},
        {
            "namespace": "kube-system",
            "name": "sh.helm.release.v1.x",
            "type": "helm.sh/release.v1",
            "keys": ["release"],
        },
    ]


def test_what_is_in_it(lab):
    _, files = gathered(lab)

    assert {
        "index.txt",
        "east/version.json",
        "east/readyz.txt",
        "east/objects/ciliumnodes.json",
        "east/objects/events.json",
        "east/cilium/agent/cilium-dbg-status---verbose.txt",
        "east/logs/kube-system/agent/cilium-agent.log",
        "east/logs/kube-system/agent/cilium-agent.previous.log",
        "east/logs/vault/addon/init.log",
        "east/nodes/pair-east-control-plane/kubelet.log",
        "west/nodes/pair-west-control-plane/container.log",
        "engine/containers.json",
        "host/versions.json",
        "lab/plan.json",
        "lab/topology.yaml",
        "lab/journals/up.jsonl",
        "lab/logs/1.log",
    } <= files.keys()
    # Of others, and keys of ours, nothing.
    assert not [name for name in files if "somebody" in name or "ca/" in name or "kubeconfig" in name]
    assert [each["name"] for each in json.loads(files["engine/containers.json"])] == [
        "pair-east-control-plane"
    ]
    assert json.loads(files["engine/containers.json"])[0]["env"] == ["DB_PASSWORD"]
    assert "managedFields" not in files["east/objects/pods.json"]


def test_the_index_says_what_is_missing_and_why(lab, capsys):
    _, files = gathered(lab)

    missing = files["index.txt"].partition("Held:")[0]
    assert "  east/objects/ciliumidentities.json: GET was refused (the server could not find it)\n" in missing
    assert "  east/objects/jobs.json: ZeroDivisionError: a bug of ours\n" in missing
    node = "pair-east-control-plane"
    assert f"  east/nodes/{node}/sockets.txt: docker failed with exit code 127 (ss: not found)\n" in missing
    assert "  west/nodes/pair-west-control-plane: pair-west-control-plane does not run" in missing
    assert f"Held: {len(files) - 1} files" in files["index.txt"]
    assert "index.txt in the archive says why" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_still_yields_its_nodes(lab):
    FakeKube.broken["east"] = Unreachable("no answer from the API server")

    _, files = gathered(lab)

    assert "east/nodes/pair-east-control-plane/control-plane.log" in files
    assert "east/nodes/pair-east-control-plane/container.log" in files
    assert not [name for name in files if name.startswith("east/objects")]
    assert "west/objects/pods.json" in files
    missing = files["index.txt"]
    assert "east/...: not asked for more: the API server does not answer" in missing
    # One time-out for the Secrets, one more to be sure: not one for each of thirty questions.
    assert missing.count("no answer from the API server") == 2


def test_a_lab_that_was_never_made(lab, monkeypatch):
    state.folder(lab, "pair").remove()
    monkeypatch.setattr(FakeProvider, "observe", lambda self, topology: {})

    _, files = gathered(lab)

    assert "host/facts.json" in files
    assert "east/nodes: there are none" in files["index.txt"]
    assert "it has no kubeconfig" in files["index.txt"]


def test_without_an_engine(lab, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise EngineUnreachable(Reason.STOPPED)

    monkeypatch.setattr(FakeProvider, "observe", refuse)
    monkeypatch.setattr(docker, "containers", refuse)

    _, files = gathered(lab)

    assert "nodes of all clusters: the container engine does not answer" in files["index.txt"]
    assert "engine/containers.json: the container engine does not answer" in files["index.txt"]
    assert "east/objects/pods.json" in files


def test_it_ends_when_time_is_up(lab, monkeypatch):
    monkeypatch.setattr(gather, "_LIMIT_S", -1.0)

    _, files = gathered(lab)

    assert files.keys() == {"index.txt"}
    assert "east/version.json: not asked for: -1 s had passed" in files["index.txt"]


def test_where_it_goes(lab, tmp_path):
    path, _ = gathered(lab)
    assert path.parent == tmp_path
    assert path.name.startswith("pair-20")
    assert path.name.endswith(".tar.gz")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    (tmp_path / "folder").mkdir()
    assert gathered(lab, "folder")[0].parent == tmp_path / "folder"

    (tmp_path / "there.tgz").write_text("an older one")
    assert gathered(lab, "there.tgz")[0] == tmp_path / "there.tgz"
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


@pytest.mark.parametrize("output", ["/dev/null", "nowhere/x.tar.gz"])
def test_where_it_cannot_go(lab, output):
    with pytest.raises(InputError, match="no file can be made at"):
        gather.gather(lab, "pair", name=None, output=output)
    assert not Path("/dev/null").is_file()


def test_a_full_disk_leaves_nothing_behind(lab, tmp_path, monkeypatch):
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)

    with pytest.raises(HostError, match="No space left on device"):
        gather.gather(lab, "pair", name=None, output="")
    assert [each.name for each in tmp_path.iterdir() if "pair-" in each.name] == []
