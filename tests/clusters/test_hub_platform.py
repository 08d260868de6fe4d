"""The platform of the default topology on real clusters, as a user meets it.

What addons promise for themselves is in their own checks, which ``verify`` makes; here is that all of them
are made, and what goes beyond: a hub that heals, doors that open, an addon made by the documentation alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.clients.kube_objects import Refused
from lab.clients.wait import wait_until
from lab.installed import Installed, placed
from lab.settings import PROJECT
from lab.workspace import Workspace, states
from tests.clusters.labs import Ran, invoke, require_sound, started

pytestmark = pytest.mark.cluster

ALL = ("mgmt", "app1", "app2")
APPS = ("app1", "app2")

CHECKS = {
    "vault/{}/kv": ("mgmt",),
    "vault/{}/reach": ALL,
    "thanos/{}/store": ("mgmt",),
    "thanos/{}/write": ALL,
    "alerts/{}/firing": ("mgmt",),
    "loki/{}/line": ALL,
    "argocd/{}/login": ("mgmt",),
    "argocd/{}/clone": ALL,
    "argocd/{}/page": APPS,
    "argocd/{}/sync": APPS,
    "argocd/{}/drift": APPS,
    "velero/{}/restore": ("mgmt",),
    "external-secrets/{}/sync": APPS,
    "prometheus-agent/{}/counter": APPS,
    "prometheus-agent/{}/containers": APPS,
    "promtail/{}/line": APPS,
    "kyverno/{}/denied-image": APPS,
    "kyverno/{}/denied-limits": APPS,
    "kyverno/{}/admitted": APPS,
    "kyverno/{}/privileged": ALL,
    "kyverno/{}/absent": ("mgmt",),
    "gateway/{}/outside": APPS,
    "demo/{}/order": APPS,
    "demo/{}/across": APPS,
}
"""What ``verify`` proves of the platform, and where; grafana's image can only be pulled."""


def test_every_promise_of_the_platform_is_proved(hub_spoke: Workspace) -> None:
    evidence = require_sound(invoke("verify", "--json", name=hub_spoke.lab).json, hub_spoke)
    wanted = {check.format(cluster) for check, clusters in CHECKS.items() for cluster in clusters}
    assert {check for check in evidence if not check.startswith(("mesh/", "grafana/"))} == wanted


def test_status_says_what_there_is_and_why_something_is_not(hub_spoke: Workspace) -> None:
    told = invoke("status", "--json", name=hub_spoke.lab).json["addons"]
    lacking = {(each["cluster"], each["name"]): each["detail"] for each in told if not each["ready"]}
    left_out = invoke("images", "--json", name=hub_spoke.lab).json["left_out"]
    assert {name for _, name in lacking} == set(left_out)
    assert all(left_out[name] in detail for (_, name), detail in lacking.items())
    assert {each["name"] for each in told} >= {"vault", "thanos", "loki", "argocd", "velero", "kyverno"}


def test_up_again_changes_nothing(hub_spoke: Workspace) -> None:
    before = _versions(hub_spoke)
    assert "nothing to do" in invoke("up", "--yes", name=hub_spoke.lab).out
    assert _versions(hub_spoke) == before


def test_what_can_only_be_pulled_is_right_all_the_same(hub_spoke: Workspace) -> None:
    """The API server of a real cluster takes every object of an addon that is left out here."""
    left_out = invoke("images", "--json", name=hub_spoke.lab).json["left_out"]
    everything = Installed(hub_spoke, placed(hub_spoke), states(hub_spoke))
    for each in everything.placed:
        if each.addon.name in left_out:
            kube = hub_spoke.kubes[each.cluster]
            namespace, *others = everything.wanted(each).objects
            kube.apply([namespace])
            try:
                kube.apply(others, dry_run=True)
            finally:
                kube.delete(f"/api/v1/namespaces/{namespace['metadata']['name']}")


LOGIN = """
export VAULT_ADDR=http://127.0.0.1:8200
cd /lab/declare
sed 's/^{/{"role_id": "app1", /' secret-id-app1.json > /tmp/login.json
VAULT_TOKEN=$(vault write -field=token auth/approle/login @/tmp/login.json)
export VAULT_TOKEN
vault read -format=json kv/data/%s/demo 2>&1 || true
"""


def test_a_clusters_role_reads_what_is_its_own_and_nothing_else(hub_spoke: Workspace) -> None:
    assert json.loads(_vault(hub_spoke, "app1"))["data"]["data"]["password"]
    assert "permission denied" in _vault(hub_spoke, "app2")


def test_vault_is_unsealed_again_after_a_restart_with_what_it_held(hub_spoke: Workspace) -> None:
    kube = hub_spoke.kubes["mgmt"]
    before = json.loads(_vault(hub_spoke, "app1"))["data"]["data"]
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
    assert json.loads(_vault(hub_spoke, "app1"))["data"]["data"] == before


def test_nothing_was_killed_for_want_of_memory(hub_spoke: Workspace) -> None:
    killed = [
        f"{cluster}: {pod['metadata']['namespace']}/{pod['metadata']['name']}/{each['name']}"
        for cluster, kube in hub_spoke.kubes.items()
        for pod in kube.get("/api/v1/pods")["items"]
        for each in pod["status"].get("containerStatuses", ())
        for state in (each.get("state", {}), each.get("lastState", {}))
        if state.get("terminated", {}).get("reason") == "OOMKilled"
    ]
    assert killed == []


@pytest.mark.parametrize(
    ("what", "path", "expected"),
    [
        ("demo", "/?order=at-the-door", b"at-the-door"),
        ("vault", "/v1/sys/health", b'"sealed":false'),
        ("thanos", "/api/v1/stores", b"receive"),
        ("alertmanager", "/api/v2/status", b"versionInfo"),
        ("loki", "/ready", b"ready"),
        ("argocd", "/healthz", b"ok"),
        ("gateway", "/?order=through-the-gateway", b"through-the-gateway"),
    ],
)
def test_it_can_be_opened(hub_spoke: Workspace, what: str, path: str, expected: bytes) -> None:
    with started("open", what, "--name", hub_spoke.lab) as door:
        assert door.stdout is not None
        url = door.stdout.readline().split(": ", 1)[1].strip()
        base = re.match(r"http://localhost:\d+", url)
        assert base is not None
        with urllib.request.urlopen(base[0] + path, timeout=30) as answer:
            assert expected in answer.read()
        door.send_signal(signal.SIGINT)
        assert door.wait(timeout=30) == 0


def test_a_password_is_shown_only_when_that_is_asked_for(hub_spoke: Workspace) -> None:
    assert _password(hub_spoke) is None
    token = _password(hub_spoke, "--show-password")
    status, _ = hub_spoke.kubes["mgmt"].ask(
        "GET",
        "/api/v1/namespaces/vault/services/vault:8200/proxy/v1/auth/token/lookup-self",
        headers={"X-Vault-Token": token},
    )
    assert status == 200


# ---- an addon that is written by the documentation alone


@pytest.fixture(scope="module")
def hello(hub_spoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The topology of the lab with the addon of docs/addons.md, and that in a folder of addons."""
    folder = tmp_path_factory.mktemp("hello")
    shutil.copytree(PROJECT / "addons", folder / "addons")
    home = folder / "addons" / "hello"
    home.mkdir()
    text = (PROJECT / "docs" / "addons.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, block in zip(("addon.yaml", "hello.yaml.j2"), blocks, strict=False):
        (home / name).write_text(block)
    [program] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (home / "hello.py").write_text(program)
    topology = folder / "topology.yaml"
    shipped = (PROJECT / "topologies" / "hub-spoke.yaml").read_text()
    topology.write_text(shipped + blocks[2].removeprefix("addons:\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LAB_ADDONS", str(folder / "addons"))
        yield topology


def _with(topology: Path, hub_spoke: Workspace, *words: str) -> Ran:
    return invoke(words[0], "-t", str(topology), *words[1:], name=hub_spoke.lab)


def _pending(topology: Path, hub_spoke: Workspace) -> list[str]:
    steps = _with(topology, hub_spoke, "plan", "--json").json["steps"]
    return sorted(step["id"] for step in steps if not step["done"])


HELLO_STEPS = sorted(["app1/hello", "app1/hello/ready", "app2/hello", "app2/hello/ready", "lab/verify"])


def test_the_addon_of_the_documentation_works(hub_spoke: Workspace, hello: Path) -> None:
    assert _pending(hello, hub_spoke) == HELLO_STEPS
    _with(hello, hub_spoke, "up", "--yes")
    checks = {each["id"]: each for each in _with(hello, hub_spoke, "verify", "--json").json["checks"]}
    assert checks["hello/app1/greets"]["evidence"].startswith("request: 200 Ahoy from app1")
    assert checks["hello/app2/greets"]["ok"]


def test_one_option_that_changes_touches_one_addon(hub_spoke: Workspace, hello: Path) -> None:
    before = _versions(hub_spoke)
    hello.write_text(hello.read_text().replace("word: Ahoy", "word: Servus"))
    assert _pending(hello, hub_spoke) == HELLO_STEPS
    _with(hello, hub_spoke, "up", "--yes")
    assert {name for name, version in _versions(hub_spoke).items() if before[name] != version} == {
        ("app1", "hello"),
        ("app2", "hello"),
    }


def test_what_is_taken_out_again_is_gone(hub_spoke: Workspace, hello: Path) -> None:
    hello.write_text(re.sub(".*use: hello.*\n", "", hello.read_text()))
    _with(hello, hub_spoke, "up", "--yes")
    for cluster in APPS:
        with pytest.raises(Refused) as gone:
            hub_spoke.kubes[cluster].get("/api/v1/namespaces/hello")
        assert gone.value.status == 404
    assert "nothing to do" in invoke("up", "--yes", name=hub_spoke.lab).out


def _versions(lab: Workspace) -> dict[tuple[str, str], str]:
    """For each addon on each cluster, what its record says: it changes when anything of it is applied."""
    found: dict[tuple[str, str], str] = {}
    for cluster, kube in lab.kubes.items():
        path = "/api/v1/namespaces/kube-system/configmaps"
        for each in kube.get(path, query={"labelSelector": "lab/record=addon"})["items"]:
            found[cluster, each["data"]["addon"]] = each["metadata"]["resourceVersion"]
    return found


def _vault(lab: Workspace, cluster: str) -> str:
    """What the role of app1 is told of a cluster's secret."""
    command = ["sh", "-c", LOGIN % cluster]
    return lab.kubes["mgmt"].execute("vault", "vault-0", command, container="keeper", timeout=60)


def _password(lab: Workspace, *words: str) -> Any:
    """The password that ``open vault --json`` tells before it waits."""
    with started("open", "vault", "--name", lab.lab, "--json", *words) as door:
        assert door.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1] != "}\n":
            lines.append(door.stdout.readline())
            assert lines[-1], lines
        door.send_signal(signal.SIGINT)
        assert door.wait(timeout=30) == 0
    return json.loads("".join(lines))["password"]
