"""What tells of a lab, on a real one: status, kubeconfig, gather, and commands run in pods."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import gather, kubeconfig, status
from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused
from lab.clients.wait import wait_until
from lab.errors import InputError, LabError, ProvisionError
from lab.mesh import check
from lab.settings import LABEL
from lab.workspace import Workspace
from tests.clusters.labs import unique

pytestmark = [pytest.mark.cluster, pytest.mark.pair]

PLANTED = "pl4nted-S3cret-in-a-real-cluster"
NAMELESS = "Rand0mValueThatNothingNames"
PEM = "-----BEGIN PRIVATE KEY-----\nplantedKeyBodyplantedKeyBody\n-----END PRIVATE KEY-----\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_status_sees_the_mesh_from_both_sides(pair: Workspace) -> None:
    started = time.monotonic()
    seen = status.look(pair.settings, pair.asked_for, name=pair.lab)

    assert [(each.name, each.state, each.nodes_ready) for each in seen.clusters] == [
        ("east", "ready", 1),
        ("west", "ready", 1),
    ]
    assert [(each.source, each.target, each.missing) for each in seen.mesh] == [
        ("east", "west", ""),
        ("west", "east", ""),
    ]
    assert seen.proved is not None
    assert time.monotonic() - started < 30  # three seconds where nothing else runs


def _agent(kube: Kube) -> str:
    [pod] = kube.pods("kube-system", labels="k8s-app=cilium")
    return str(pod["metadata"]["name"])


def test_a_command_in_a_pod(pair: Workspace) -> None:
    kube = pair.kubes["east"]
    agent = _agent(kube)

    def execute(*command: str, timeout: float = 30) -> str:
        return kube.execute("kube-system", agent, command, container="cilium-agent", timeout=timeout)

    assert execute("sh", "-c", "echo out; echo err >&2") == "out\n"
    assert json.loads(execute("cilium-dbg", "status", "-o", "json"))["cluster"]
    assert len(execute("sh", "-c", "yes 0123456789 | head -n 100000")) == 1_100_000
    with pytest.raises(ProvisionError, match=r"failed: .*exit code 3") as failed:
        execute("sh", "-c", "echo why >&2; exit 3")
    assert failed.value.details == "why\n"
    started = time.monotonic()
    with pytest.raises(ProvisionError, match="did not end within 1 s"):
        execute("sleep", "60", timeout=1)
    assert time.monotonic() - started < 20
    with pytest.raises(LabError, match="not-there"):
        kube.execute("kube-system", "not-there", ("true",), container="x")


def test_merged_contexts_lead_to_the_clusters(
    pair: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(path))
    _, contexts = kubeconfig.merge(pair.settings, pair.asked_for, name=pair.lab)
    try:
        assert contexts == [f"{pair.lab}-east", f"{pair.lab}-west"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        config = yaml.safe_load(path.read_text())
        for context in contexts:
            copy = tmp_path / context
            copy.write_text(yaml.safe_dump({**config, "current-context": context}))
            assert [node.name for node in Kube(copy).nodes()] == [f"{context}-control-plane"]
    finally:
        assert kubeconfig.forget(pair.settings, pair.lab) == [f"context {', '.join(contexts)} from {path}"]
    assert yaml.safe_load(path.read_text())["contexts"] == []

    path.write_text(f"clusters: [{{name: {contexts[0]}, cluster: {{server: 'https://192.0.2.1'}}}}]\n")
    with pytest.raises(InputError, match="is not this lab's"):
        kubeconfig.merge(pair.settings, pair.asked_for, name=pair.lab)


def _planted(lab: str, namespace: str) -> list[dict[str, Any]]:
    """A pod that has secrets in its environment and tells of them, and what else could hold one."""
    labels = {LABEL: lab}
    metadata = {"name": "planted", "namespace": namespace, "labels": labels}
    users = yaml.safe_dump({"users": [{"user": {"token": PLANTED, "client-key-data": encoded(PEM)}}]})
    program = (
        "import os; print('I have', os.environ['PLAIN'], 'and Authorization: Bearer', os.environ['X_TOKEN'])"
    )
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": {**labels, "pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"password": PLANTED, "x": NAMELESS},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"config": users, "key.pem": PEM},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65534,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "app",
                        "image": check.IMAGE,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python3", "-c", program],
                        "env": [{"name": "PLAIN", "value": NAMELESS}, {"name": "X_TOKEN", "value": PLANTED}],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
    ]


@pytest.fixture
def planted(pair: Workspace) -> Iterator[str]:
    """A namespace of the lab's in the east, full of secrets."""
    namespace = unique("planted")
    kube = pair.kubes["east"]
    namespaced = f"/api/v1/namespaces/{namespace}"
    try:
        first, *others = _planted(pair.lab, namespace)
        kube.apply([first])
        # A pod needs its namespace's service account, which is made a moment later.
        wait_until(
            "the service account", lambda: _there(kube, f"{namespaced}/serviceaccounts/default"), timeout=60
        )
        kube.apply(others)
        wait_until(
            "the pod's end",
            lambda: (
                None if kube.get(f"{namespaced}/pods/planted")["status"]["phase"] == "Succeeded" else "runs"
            ),
            timeout=120,
        )
        yield namespace
    finally:
        kube.delete(namespaced)


def _there(kube: Kube, path: str) -> str | None:
    try:
        kube.get(path)
    except Refused as error:
        return error.details
    return None


def _read(path: Path) -> dict[str, str]:
    files = {}
    with tarfile.open(path) as archive:
        for entry in archive.getmembers():
            file = archive.extractfile(entry)
            assert file is not None
            files[entry.name.partition("/")[2]] = file.read().decode()
    return files


def _real_secrets(pair: Workspace) -> set[str]:
    """What is secret in the lab itself, as it is written and a piece of it."""
    found = {base64.b64encode(file.read_bytes()).decode() for file in pair.folder.ca.glob("*key*")}
    for name, kube in pair.kubes.items():
        config = yaml.safe_load(pair.folder.kubeconfig(name).read_text())
        found.add(config["users"][0]["user"]["client-key-data"])
        for secret in kube.get("/api/v1/secrets")["items"]:
            found |= {
                value
                for key, value in (secret.get("data") or {}).items()
                if key.endswith(".key") or key in {"token-secret", "password"}
            }
    assert len(found) > 8
    decoded = {base64.b64decode(value).decode() for value in found}
    bodies = {
        line for text in decoded for line in text.splitlines() if line.strip("=") and "-----" not in line
    }
    return found | bodies


def test_an_archive_tells_everything_but_secrets(pair: Workspace, planted: str, tmp_path: Path) -> None:
    path = gather.gather(pair.settings, pair.asked_for, name=pair.lab, output=str(tmp_path))
    files = _read(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log = files[f"east/logs/{planted}/planted/app.log"]
    assert log == "I have REDACTED and Authorization: Bearer REDACTED\n"
    assert f'"namespace": "{planted}"' in files["east/objects/secrets.json"]
    for name, text in files.items():
        for secret in (PLANTED, NAMELESS, "plantedKeyBody", *_real_secrets(pair)):
            assert secret not in text, name
            assert encoded(secret) not in text, name

    missing = [
        line for line in files["index.txt"].partition("Held:")[0].splitlines() if line.startswith("  ")
    ]
    # What a container said before its last start is gone when its node was started anew, too.
    assert [line for line in missing if ".previous.log: " not in line] == []
    for cluster in ("east", "west"):
        node = f"{cluster}/nodes/{pair.lab}-{cluster}-control-plane"
        assert "Started kubelet" in files[f"{node}/kubelet.log"]
        assert f"{pair.lab}-{cluster}-control-plane" in files[f"{cluster}/objects/ciliumnodes.json"]
        assert f"{cluster}/objects/events.json" in files
        agent = _agent(pair.kubes[cluster])
        told = files[f"{cluster}/cilium/{agent}/cilium-dbg-status---verbose.txt"]
        assert "1/1 remote clusters ready" in told
    assert {check["id"] for check in json.loads(files["host/doctor.json"])} >= {"engine", "memory"}
    assert {step["id"] for step in json.loads(files["lab/plan.json"])["steps"]} >= {"east/create"}
    assert any(name.startswith("lab/journals/") for name in files)
