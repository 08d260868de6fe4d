"""Looking at clusters that others made: what is read, and what is said of one that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.clients import docker
from lab.clients.kube_objects import Refused, Unreachable
from lab.errors import InputError
from lab.survey.survey import survey
from lab.topology.model import Nodes
from lab.workspace import Workspace
from tests.unit.api import FakeApi
from tests.unit.labs import node, topology, workspace
from tests.unit.providers.test_existing import SLICE, kube_node


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """One API that both contexts reach, each cluster as the topology says it is."""
    return FakeApi(
        monkeypatch,
        {
            "/version": {"gitVersion": "v1.35.8+k3s1"},
            "/api/v1/nodes/one": kube_node("172.18.0.2", ready="False"),
            "/api/v1/nodes/two": kube_node("172.18.0.3", control_plane=False, ready="False"),
            "/apis/storage.k8s.io/v1/storageclasses/standard": {
                "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
            },
            "/api/v1/namespaces/default/services/kubernetes": {"spec": {"clusterIP": "10.160.0.1"}},
            "/apis/networking.k8s.io/v1/servicecidrs/kubernetes": {"spec": {"cidrs": ["10.160.0.0/16"]}},
            SLICE: {"endpoints": []},
        },
    )


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A lab of one cluster that is there and one of its own, with a kubeconfig for the first."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "kind-east", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(
        docker, "containers", lambda: [node("x", "y", name="one"), node("x", "y", name="two")]
    )
    of = topology("existing-pair")
    own = replace(of.cluster("west"), provider="kind", provider_options={})
    made = workspace(tmp_path, "existing-pair")
    return replace(made, topology=replace(of, clusters=(of.cluster("east"), own)))


def refused(lab: Workspace) -> InputError:
    with pytest.raises(InputError) as caught:
        survey(lab, (), source="source")
    assert caught.value.brief == "1 problem with clusters of existing-pair.yaml"
    assert caught.value.remedy == "Nothing was changed."
    return caught.value


def test_clusters_are_taken_as_they_are(lab: Workspace, api: FakeApi) -> None:
    seen = survey(lab, (), source="source").topology
    assert (seen.cluster("east").nodes, seen.cluster("east").kubernetes) == (Nodes(1, 1), "1.35.8")
    assert seen.cluster("west") == lab.topology.cluster("west")
    # Nothing was changed, there or here.
    assert api.done == []
    assert not lab.folder.path.exists()


def test_clusters_of_the_labs_own_are_not_asked(tmp_path: Path) -> None:
    own = workspace(tmp_path)
    assert survey(own, (), source="source") is own


def test_a_context_that_is_not_there(lab: Workspace, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    assert refused(lab).details.endswith(
        f'clusters.east.existing.context: there is no context "kind-east" in {tmp_path}/config. '
        "There is none at all."
    )


def test_credentials_that_have_expired(lab: Workspace, api: FakeApi) -> None:
    def expired(method: str, path: str) -> None:
        raise Refused(f"{method} {path} was refused", details="Unauthorized", status=401)

    api.refuse = expired
    assert refused(lab).details.endswith(
        "clusters.east.existing.context: the API server does not accept the credentials of context kind-east "
        "(401: Unauthorized). They may have expired: log in again, until kubectl --context kind-east get "
        "nodes works."
    )


def test_nobody_answers(lab: Workspace, api: FakeApi) -> None:
    def silent(method: str, path: str) -> None:
        raise Unreachable(f"{method} {path}: no answer from the API server", details="refused")

    api.refuse = silent
    assert refused(lab).details.endswith(
        "clusters.east.existing.context: context kind-east reaches nothing: GET /api/v1/nodes: no answer "
        "from the API server (refused). "
        "See to it that kubectl --context kind-east get nodes works from this machine."
    )


def test_what_may_not_even_be_looked_at(lab: Workspace, api: FakeApi) -> None:
    def forbidden(method: str, path: str) -> None:
        raise Unreachable(
            f"{method} {path}: the API server answered 403",
            details='nodes is forbidden: User "dev" cannot list resource "nodes" in API group ""',
        )

    api.refuse = forbidden
    assert refused(lab).details.endswith(
        'clusters.east.existing.context: context kind-east may not: nodes is forbidden: User "dev" cannot '
        'list resource "nodes" in API group "". '
        "Take a context of an administrator of the cluster (the role cluster-admin)."
    )


def test_which_verb_on_what_is_missing(lab: Workspace, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def posted(path: str, body: Any) -> Any:
        assert path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": asked["verb"] != "delete"}}

    monkeypatch.setattr(api, "posted", posted)
    assert refused(lab).details.endswith(
        "clusters.east.existing.context: context kind-east may not delete namespaces, delete "
        "deployments.apps and delete customresourcedefinitions.apiextensions.k8s.io. "
        "Take a context of an administrator of the cluster (the role cluster-admin)."
    )


def test_another_plugin_is_known_by_what_it_mounts(lab: Workspace, api: FakeApi) -> None:
    api.objects["/apis/apps/v1/namespaces/kube-system/daemonsets/kindnet"] = {
        "metadata": {"name": "kindnet", "namespace": "kube-system", "labels": {}},
        "spec": {"template": {"spec": {"volumes": [{"hostPath": {"path": "/etc/cni/net.d"}}]}}},
    }
    assert "east has another network plugin: kube-system/kindnet" in refused(lab).details
