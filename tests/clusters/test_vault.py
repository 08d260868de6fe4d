"""The addon vault on real clusters: what is promised of it beyond its own checks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab.clients import docker
from lab.clients.wait import wait_until
from lab.settings import LABEL
from lab.workspace import Workspace
from tests.clusters.labs import invoke, unique, workspace

# Long: where nothing is cached its image alone takes a quarter of an hour.
pytestmark = [pytest.mark.cluster, pytest.mark.long]

LOGIN = """
export VAULT_ADDR=http://127.0.0.1:8200
cd /lab/declare
sed 's/^{/{"role_id": "app1", /' secret-id-app1.json > /tmp/login.json
VAULT_TOKEN=$(vault write -field=token auth/approle/login @/tmp/login.json)
export VAULT_TOKEN
vault read -format=json kv/data/%s/demo 2>&1 || true
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    name = unique("t-vault")
    path = tmp_path_factory.mktemp("vault") / f"{name}.yaml"
    path.write_text(
        f"version: lab/v1\nname: {name}\nclusters:\n  mgmt: {{role: mgmt}}\n  app1: {{role: app}}\n"
        "addons:\n  - {use: vault}\n"
    )
    try:
        invoke("up", "-t", str(path), "--yes", timeout=3600)
        yield workspace(str(path), name)
    finally:
        invoke("down", "-t", str(path), "--yes")
    assert docker.networks(f"{LABEL}={name}") == []


def test_its_checks_hold_on_every_cluster(lab: Workspace) -> None:
    checks = invoke("verify", "-t", str(lab.asked_for), "--json").json["checks"]
    held = {check["id"] for check in checks if check["ok"]}
    assert {"vault/mgmt/kv", "vault/mgmt/reach", "vault/app1/reach"} <= held


def test_a_clusters_role_reads_what_is_its_own_and_nothing_else(lab: Workspace) -> None:
    kube = lab.kubes["mgmt"]
    own, others = (
        kube.execute("vault", "vault-0", ["sh", "-c", LOGIN % cluster], container="keeper", timeout=60)
        for cluster in ("app1", "mgmt")
    )
    assert json.loads(own)["data"]["data"]["password"]
    assert "permission denied" in others


def test_it_is_unsealed_again_after_a_restart_with_what_it_held(lab: Workspace) -> None:
    kube = lab.kubes["mgmt"]
    before = kube.execute("vault", "vault-0", ["sh", "-c", LOGIN % "app1"], container="keeper", timeout=60)
    old = kube.get("/api/v1/namespaces/vault/pods/vault-0")["metadata"]["uid"]
    kube.delete("/api/v1/namespaces/vault/pods/vault-0")

    def look() -> str | None:
        for pod in kube.pods("vault", labels="app=vault"):
            ready = all(each["ready"] for each in pod["status"].get("containerStatuses", ()))
            if pod["metadata"]["uid"] != old and ready and pod["status"]["phase"] == "Running":
                return None
        return "vault-0 is not back"

    wait_until("vault-0", look, timeout=180)
    assert "unsealed" in kube.log("vault", "vault-0", container="keeper")
    after = kube.execute("vault", "vault-0", ["sh", "-c", LOGIN % "app1"], container="keeper", timeout=60)
    assert json.loads(after)["data"]["data"] == json.loads(before)["data"]["data"]
