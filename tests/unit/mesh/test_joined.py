"""A Cilium that others installed: it is read from Helm's record, joins, and is given back as it was."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.clients.helm import Helm
from lab.clients.kube import Kube
from lab.mesh import ca, joined
from lab.topology.model import Topology
from tests.unit.api import FakeApi
from tests.unit.labs import topology

SECRETS = "/api/v1/namespaces/kube-system/secrets"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPS = "/apis/apps/v1/namespaces/kube-system"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
PART = {"app.kubernetes.io/part-of": "cilium"}

CHART = {
    "metadata": {"name": "cilium", "version": "1.18.2", "apiVersion": "v2"},
    "values": {"debug": False},
    "templates": [{"name": "templates/a/b.yaml", "data": base64.b64encode(b"kind: A\n").decode()}],
    "files": [
        {"name": "files/x.txt", "data": base64.b64encode(b"x").decode()},
        {"name": "files/empty", "data": None},
    ],
    "schema": base64.b64encode(b"{}").decode(),
}


def record(revision: int, status: str, *, ours: bool = False) -> dict[str, Any]:
    """Helm's record of a revision of the release."""
    packed = base64.b64encode(gzip.compress(json.dumps({"chart": CHART, "n": revision}).encode()))
    labels = {"owner": "helm", "name": "cilium", "status": status, "version": str(revision)}
    return {
        "metadata": {"labels": {**labels, **({"lab-config": "f"} if ours else {})}},
        "data": {"release": base64.b64encode(packed).decode()},
    }


def at(revision: int) -> str:
    return f"{SECRETS}/sh.helm.release.v1.cilium.v{revision}"


class Tool:
    """Helm that writes down what it is asked for, and does to the API what it would."""

    def __init__(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api = api
        self.asked: list[tuple[Any, ...]] = []
        monkeypatch.setattr(Helm, "uninstall", lambda _, *words, **__: self._uninstall(*words))
        monkeypatch.setattr(Helm, "rollback", lambda _, *words, **__: self._rollback(*words))

    def _uninstall(self, *words: Any) -> None:
        self.asked.append(("uninstall", *words))
        for path in [path for path in self.api.objects if "/sh.helm.release." in path]:
            del self.api.objects[path]

    def _rollback(self, release: str, revision: int) -> None:
        self.asked.append(("rollback", release, revision))
        self.api.objects[at(9)] = {
            "metadata": {**record(9, "deployed")["metadata"], "name": at(9).split("/")[-1]}
        }
        self.api.objects[at(revision)]["metadata"]["labels"]["status"] = "superseded"


def workload(*, generation: int = 1) -> dict[str, Any]:
    status = {"desiredNumberScheduled": 1, "numberReady": 1, "updatedNumberScheduled": 1, "readyReplicas": 1}
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": 1},
        "status": {**status, "updatedReplicas": 1, "observedGeneration": generation},
    }


def kube() -> Kube:
    return Kube(Path("/nowhere"))


def helm() -> Helm:
    return Helm(Path("/helm"), Path("/nowhere"), Path("/home"))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    return FakeApi(
        monkeypatch,
        {
            f"{APPS}/daemonsets/cilium": workload(),
            f"{APPS}/deployments/cilium-operator": workload(),
            f"{CRDS}/gateways.gateway.networking.k8s.io": {"spec": {"group": "gateway.networking.k8s.io"}},
            f"{LEASES}/kube-scheduler": {},
        },
    )


def with_theirs(api: FakeApi) -> None:
    """Have a Cilium that was there before, with what it had made."""
    of_old = {"metadata": {"labels": PART}, "spec": {"replicas": 1}}
    for path, item in {
        at(1): record(1, "superseded"),
        at(2): record(2, "deployed"),
        f"{CRDS}/ciliumnodes.cilium.io": {"spec": {"group": "cilium.io"}},
        f"{LEASES}/cilium-operator-resource-lock": {},
        f"{APPS}/controllerrevisions/cilium-1": {"metadata": {"labels": PART}},
        f"{APPS}/replicasets/cilium-operator-1": of_old,
    }.items():
        name = path.rpartition("/")[2]
        metadata = {"name": name, "labels": {}, **item.get("metadata", {})}
        api.objects[path] = {**item, "metadata": metadata}


def pair() -> Topology:
    return topology()


def test_theirs_is_what_carries_no_label_of_ours(api: FakeApi) -> None:
    assert joined.find(kube()) is None
    with_theirs(api)
    api.objects[at(3)] = {"metadata": {**record(3, "deployed", ours=True)["metadata"], "name": "v3"}}
    found = joined.find(kube())
    assert found is not None
    assert (found.revision, found.version) == (2, "1.18.2")


def test_its_chart_is_taken_out_of_its_record(tmp_path: Path) -> None:
    root = joined.write_chart(joined.Release(2, CHART), tmp_path)
    assert root == tmp_path / "cilium-1.18.2"
    assert yaml.safe_load((root / "Chart.yaml").read_text()) == CHART["metadata"]
    assert yaml.safe_load((root / "values.yaml").read_text()) == {"debug": False}
    assert (root / "templates/a/b.yaml").read_text() == "kind: A\n"
    assert (root / "files/x.txt").read_text() == "x"
    assert (root / "files/empty").read_text() == ""
    assert (root / "values.schema.json").read_text() == "{}"


@pytest.mark.parametrize(("version", "with_image"), [("1.19.5", True), ("1.18.2", False)])
def test_it_is_given_the_mesh_and_nothing_else(tmp_path: Path, version: str, with_image: bool) -> None:
    release = joined.Release(2, {"metadata": {"version": version}})
    of = pair()
    tree = joined.values(
        of,
        of.cluster("east"),
        release,
        peers={"west": ["172.18.0.3"]},
        authority=ca.authority(tmp_path / "ca", lab="pair"),
        image_tag="v1.19.5",
    )
    assert tree.keys() == {"cluster", "tls", "clustermesh", "rollOutCiliumPods", "operator"}
    assert tree["cluster"] == {"name": "east", "id": 1}
    assert tree["operator"] == {"rollOutPods": True}
    assert tree["clustermesh"]["config"]["clusters"] == [
        {"name": "west", "port": 32380, "ips": ["172.18.0.3"]}
    ]
    assert ("image" in tree["clustermesh"]["apiserver"]) == with_image


def test_given_back_it_is_what_it_was(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool(api, monkeypatch)
    with_theirs(api)
    remembered = joined.remember(kube())
    before = json.loads(json.dumps(api.objects))
    # The lab's revision, and what it left behind.
    ours = record(3, "deployed", ours=True)
    api.objects[at(3)] = {**ours, "metadata": {**ours["metadata"], "name": at(3).split("/")[-1]}}
    api.objects[at(2)]["metadata"]["labels"] |= {"status": "superseded", "modifiedAt": "now"}
    api.objects[f"{APPS}/controllerrevisions/cilium-2"] = {"metadata": {"name": "cilium-2", "labels": PART}}
    api.objects[f"{APPS}/replicasets/cilium-operator-2"] = {
        "metadata": {"name": "cilium-operator-2", "labels": PART},
        "spec": {"replicas": 0},
    }

    joined.take_off(kube(), helm(), remembered, timeout=1)

    assert tool.asked == [("rollback", "cilium", 2)]
    assert api.objects == before


def test_where_there_was_none_all_of_it_goes(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool(api, monkeypatch)
    before = json.loads(json.dumps(api.objects))
    remembered = joined.remember(kube())
    ours = record(1, "deployed", ours=True)
    api.objects[at(1)] = {**ours, "metadata": {**ours["metadata"], "name": at(1).split("/")[-1]}}
    api.objects[f"{CRDS}/ciliumnodes.cilium.io"] = {
        "metadata": {"name": "ciliumnodes.cilium.io", "labels": {}},
        "spec": {"group": "cilium.io"},
    }
    api.objects[f"{LEASES}/cilium-operator-resource-lock"] = {
        "metadata": {"name": "cilium-operator-resource-lock", "labels": {}}
    }

    joined.take_off(kube(), helm(), remembered, timeout=1)
    joined.take_off(kube(), helm(), remembered, timeout=1)

    assert tool.asked == [("uninstall", "cilium")]
    assert api.objects == before


def test_what_the_lab_has_not_touched_stays(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool(api, monkeypatch)
    with_theirs(api)
    before = json.loads(json.dumps(api.objects))
    joined.take_off(kube(), helm(), "", timeout=1)
    assert tool.asked == []
    assert api.objects == before


def test_giving_back_goes_on_where_it_was_cut_off(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool(api, monkeypatch)
    with_theirs(api)
    remembered = joined.remember(kube())
    before = json.loads(json.dumps(api.objects))
    ours = record(3, "deployed", ours=True)
    api.objects[at(3)] = {**ours, "metadata": {**ours["metadata"], "name": at(3).split("/")[-1]}}
    deletions: list[str] = []

    def cut_off(path: str) -> None:
        deletions.append(path)
        if len(deletions) == 1:
            raise KeyboardInterrupt

    api.deleted = cut_off
    with pytest.raises(KeyboardInterrupt):
        joined.take_off(kube(), helm(), remembered, timeout=1)
    # What the rollback has recorded went first, so that there is still something of the lab's to be seen.
    assert deletions == [at(9)]
    joined.take_off(kube(), helm(), remembered, timeout=1)
    assert tool.asked == [("rollback", "cilium", 2), ("rollback", "cilium", 2)]
    assert api.objects == before
