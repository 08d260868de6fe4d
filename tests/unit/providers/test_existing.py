"""Clusters that others made: how one is reached, what is seen of it, and that it is never touched."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.clients import docker
from lab.clients.docker_objects import Container
from lab.clients.kube_objects import Unreachable
from lab.errors import HostError, InputError
from lab.providers.existing import Existing
from lab.topology.model import Cluster, Topology
from tests.unit.api import FakeApi
from tests.unit.labs import node, settings, topology

SLICE = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"


def kube_node(address: str, *, control_plane: bool = True, ready: str = "True") -> dict[str, Any]:
    """A node as the API has it."""
    role = {"node-role.kubernetes.io/control-plane": ""} if control_plane else {}
    return {
        "metadata": {"labels": role},
        "spec": {"podCIDRs": ["10.110.0.0/24"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": "h"}],
            "nodeInfo": {"bootID": "boot-1"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    return FakeApi(
        monkeypatch,
        {
            "/api/v1/nodes/one": kube_node("172.18.0.2"),
            SLICE: {
                "metadata": {"labels": {"kubernetes.io/service-name": "kubernetes"}},
                "endpoints": [{"addresses": ["172.18.0.2"]}],
                "ports": [{"port": 6443}],
            },
        },
    )


@pytest.fixture
def theirs(tmp_path: Path) -> dict[str, Any]:
    """Somebody's kubeconfig, with files beside it."""
    (tmp_path / "ca.crt").write_text("the CA")
    config = {
        "clusters": [
            {"name": "c1", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority": "ca.crt"}},
            {"name": "c2", "cluster": {"server": "https://127.0.0.1:2"}},
        ],
        "users": [{"name": "u1", "user": {"tokenFile": "token"}}, {"name": "u2", "user": {"token": "t"}}],
        "contexts": [
            {"name": "prod", "context": {"cluster": "c1", "user": "u1", "namespace": "shop"}},
            {"name": "lost", "context": {"cluster": "c1", "user": "nobody"}},
        ],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    return config


def existing(tmp_path: Path) -> Existing:
    return Existing(settings=settings(tmp_path), lab="pair")


def cluster(tmp_path: Path, **options: str) -> Cluster:
    given = {"context": "prod", "kubeconfig": str(tmp_path / "config"), **options}
    return replace(topology().cluster("east"), provider="existing", provider_options=given)


def alone(cluster: Cluster) -> Topology:
    return replace(topology(), clusters=(cluster,))


def reached(tmp_path: Path, **options: str) -> Existing:
    """The provider once it was brought to east."""
    made = existing(tmp_path)
    path = made.settings.lab("pair") / "kubeconfig" / "east.yaml"
    made.create(cluster(tmp_path, **options), kubeconfig=path, cancelled=None)
    return made


def test_one_context_is_copied_and_nothing_else(tmp_path: Path, theirs: object, api: FakeApi) -> None:
    made = reached(tmp_path)
    path = made.settings.lab("pair") / "kubeconfig" / "east.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "pair-east"
    [context] = config["contexts"]
    assert context["name"] == "pair-east"
    assert (context["context"]["cluster"], context["context"]["user"]) == ("pair-east", "pair-east")
    # What it names by file is in it, or found from anywhere.
    assert config["clusters"] == [
        {
            "name": "pair-east",
            "cluster": {
                "server": "https://127.0.0.1:1",
                "certificate-authority-data": base64.b64encode(b"the CA").decode(),
            },
        }
    ]
    assert config["users"] == [{"name": "pair-east", "user": {"tokenFile": str(tmp_path / "token")}}]
    assert made.clusters() == ["east"]
    assert api.done == []


def test_forgetting_it_is_all_that_is_ever_done_to_it(tmp_path: Path, theirs: object, api: FakeApi) -> None:
    made = reached(tmp_path)
    made.prepare(alone(cluster(tmp_path)))
    made.start(cluster(tmp_path))
    made.halt(cluster(tmp_path), "kill")
    made.delete("pair", "east")
    made.delete("pair", "west")
    assert made.release("pair") == []
    assert made.clusters() == []
    assert made.bridge == ""
    assert api.done == []


def test_a_kubeconfig_of_another_provider_is_none_of_ours(tmp_path: Path) -> None:
    made = existing(tmp_path)
    path = made.settings.lab("pair") / "kubeconfig" / "west.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"contexts": [{"name": "pair-west", "context": {}}]}))
    assert made.clusters() == []
    made.delete("pair", "west")
    assert path.exists()


def test_what_its_api_tells(tmp_path: Path, theirs: object, api: FakeApi) -> None:
    made = reached(tmp_path)
    api.objects["/api/v1/nodes/two"] = kube_node("172.18.0.3", control_plane=False, ready="Unknown")
    api.objects["/api/v1/nodes/two"]["metadata"]["name"] = "two"
    api.objects["/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"] = {
        "metadata": {"name": "kube-proxy", "labels": {}, "generation": 1},
        "status": {},
    }
    state = made.observe(alone(cluster(tmp_path)))["east"]
    assert [(each.name, each.role, each.running, each.address, each.since) for each in state.nodes] == [
        ("one", "control-plane", True, "172.18.0.2", "boot-1"),
        ("two", "worker", False, "172.18.0.3", "boot-1"),
    ]
    assert (state.api_host, state.api_port, state.kube_proxy) == ("172.18.0.2", 6443, True)
    assert state.is_complete(cluster(tmp_path))


def test_of_a_managed_control_plane_any_node_will_do(tmp_path: Path, theirs: object, api: FakeApi) -> None:
    made = reached(tmp_path)
    api.objects["/api/v1/nodes/one"]["metadata"]["labels"] = {}
    api.objects["/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"] = {
        "metadata": {"name": "kube-proxy", "labels": {}, "generation": 1},
        "status": {},
    }
    [door] = made.observe(alone(cluster(tmp_path)))["east"].control_planes
    assert door.address == "172.18.0.2"


def test_one_that_was_not_reached_yet_is_left_out(tmp_path: Path) -> None:
    assert existing(tmp_path).observe(alone(cluster(tmp_path))) == {}


def test_one_that_does_not_answer_has_no_nodes_that_are_known(
    tmp_path: Path, theirs: object, api: FakeApi
) -> None:
    made = reached(tmp_path)

    def gone(method: str, path: str) -> None:
        raise Unreachable("no answer")

    api.refuse = gone
    state = made.observe(alone(cluster(tmp_path)))["east"]
    assert state.nodes == ()
    assert not state.is_complete(cluster(tmp_path))


def test_nodes_that_are_containers_are_told_of_by_the_engine(
    tmp_path: Path, theirs: object, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: Container = node("x", "y", name="one", addresses={"kind": "172.18.0.2"})
    done: list[str] = []
    monkeypatch.setattr(docker, "container", lambda name: here if name == "one" else None)
    monkeypatch.setattr(docker, "kill_container", lambda name: done.append(f"kill {name}"))
    made = reached(tmp_path, nodes="docker")

    def gone(method: str, path: str) -> None:
        raise Unreachable("no answer")

    api.refuse = gone
    [seen] = made.observe(alone(cluster(tmp_path, nodes="docker")))["east"].nodes
    assert (seen.name, seen.running, seen.address) == ("one", True, "172.18.0.2")
    made.halt(cluster(tmp_path), "kill")
    assert done == []
    made.halt(cluster(tmp_path, nodes="docker"), "kill")
    assert done == ["kill one"]


def test_a_context_that_is_not_there(tmp_path: Path, theirs: object) -> None:
    with pytest.raises(InputError) as refused:
        reached(tmp_path, context="prods")
    assert refused.value.brief == f'there is no context "prods" in {tmp_path}/config'
    assert refused.value.remedy == 'Did you mean "prod"? There is lost and prod.'


def test_a_context_that_names_nobody(tmp_path: Path, theirs: object) -> None:
    with pytest.raises(InputError) as refused:
        reached(tmp_path, context="lost")
    assert refused.value.brief == ('context "lost" names the user "nobody", and there is none of that name')


def test_no_kubeconfig_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        reached(tmp_path)
    assert refused.value.brief == f'there is no context "prod" in {tmp_path}/config'
    assert refused.value.remedy == "There is none at all."


@pytest.mark.parametrize("text", ["[", "contexts: [1]", "- a"])
def test_a_kubeconfig_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(InputError) as refused:
        reached(tmp_path)
    assert refused.value.brief == f"{tmp_path}/config cannot be read as a kubeconfig"


def test_a_file_that_a_kubeconfig_names_and_that_is_gone(tmp_path: Path, theirs: object) -> None:
    (tmp_path / "ca.crt").unlink()
    with pytest.raises(HostError) as refused:
        reached(tmp_path)
    assert refused.value.brief == f"{tmp_path}/ca.crt cannot be read: No such file or directory"


def test_contexts_are_looked_for_as_kubectl_does(
    tmp_path: Path, theirs: object, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none:{empty}:{tmp_path}/config")
    assert reached(tmp_path, kubeconfig="").clusters() == ["east"]
