"""The door to the Kubernetes API: what it makes of answers, good, bad, slow and none.

A small HTTP server stands in for the API server. Applying, which needs discovery, and running
commands in pods are shown on real clusters.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from lab.clients.kube import Kube
from lab.clients.kube_objects import Node, Refused, Unreachable, Workload, renamed
from lab.errors import ProvisionError, TemporaryError


class ApiServer(ThreadingHTTPServer):
    """Answers each path as it was told to; ``asked`` has the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, list[str]]]] = []
        self.delay = 0.0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that did not wait is what is tested."""


class Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        server = self.server
        assert isinstance(server, ApiServer)
        parts = urlsplit(self.path)
        server.asked.append((self.command, parts.path, parse_qs(parts.query)))
        time.sleep(server.delay)
        status, body = server.answers.get(parts.path, (404, {"message": f"{parts.path} not found"}))
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_DELETE = answer  # noqa: N815  # http.server's names

    def log_message(self, format: str, *values: object) -> None: ...


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as made:
        thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join(5)


def kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "east.yaml"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "east",
        "clusters": [{"name": "east", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "east", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "east", "context": {"cluster": "east", "user": "east"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def kube(server: ApiServer, tmp_path: Path) -> Iterator[Kube]:
    made = Kube(kubeconfig(tmp_path, server.server_port))
    yield made
    made._api.rest_client.pool_manager.clear()


def test_a_cluster_with_another_address_is_asked_there(server: ApiServer, tmp_path: Path) -> None:
    nowhere = kubeconfig(tmp_path, 1)
    moved = Kube(nowhere)
    server.answers["/readyz"] = (200, "ok")
    assert not moved.is_ready()
    os.utime(kubeconfig(tmp_path, server.server_port), ns=(1, 1))
    assert moved.is_ready()
    client = moved._api
    assert moved._api is client
    client.rest_client.pool_manager.clear()


def test_importing_and_making_one_is_cheap() -> None:
    """The client takes most of a second to import, also for ``./invoke --help``."""
    code = (
        "import sys; from pathlib import Path; from lab.clients.kube import Kube; "
        "Kube(Path('/nowhere')); sys.exit('kubernetes' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_ready_is_what_the_server_says_of_itself(server: ApiServer, kube: Kube) -> None:
    assert not kube.is_ready()
    server.answers["/readyz"] = (500, "[-]etcd failed")
    assert not kube.is_ready()
    server.answers["/readyz"] = (200, "ok")
    assert kube.is_ready()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_holds_its_status_and_the_servers_words(server: ApiServer, kube: Kube, status: int) -> None:
    server.answers["/thing"] = (status, {"kind": "Status", "message": "it is not to be"})
    with pytest.raises(Refused) as refused:
        kube.get("/thing")
    assert refused.value.brief == "GET /thing was refused"
    assert refused.value.details == "it is not to be"
    assert refused.value.status == status
    assert not isinstance(refused.value, TemporaryError)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_by_itself_is_temporary(server: ApiServer, kube: Kube, status: int) -> None:
    server.answers["/thing"] = (status, "etcdserver: leader changed\n")
    with pytest.raises(Unreachable) as failed:
        kube.get("/thing")
    assert failed.value.brief == f"GET /thing: the API server answered {status}"
    assert failed.value.details == "etcdserver: leader changed"
    # Asked once: waiting is not the door's affair.
    assert len(server.asked) == 1


def test_a_server_that_does_not_know_its_roles_yet_will(server: ApiServer, kube: Kube) -> None:
    """Seen after a restart of the container engine; what admission denies stays denied."""
    roles = 'nodes is forbidden: User "kubernetes-admin" cannot list resource "nodes" in API group ""'
    server.answers["/thing"] = (403, {"message": roles})
    with pytest.raises(Unreachable) as failed:
        kube.get("/thing")
    assert failed.value.details == roles
    denied = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged'
    server.answers["/thing"] = (403, {"message": denied})
    with pytest.raises(Refused) as refused:
        kube.get("/thing")
    assert refused.value.details == denied


def test_a_path_that_is_not_served_yet_will_be(server: ApiServer, kube: Kube) -> None:
    """Seen with a new kind that was discovered, but not served for a moment more."""
    server.answers["/thing"] = (404, "404 page not found\n")
    with pytest.raises(Unreachable) as failed:
        kube.get("/thing")
    assert failed.value.brief == "GET /thing: the API server does not serve it (yet)"
    server.answers["/thing"] = (404, {"message": 'nodes "x" not found'})
    with pytest.raises(Refused):
        kube.get("/thing")


def test_a_slow_server_is_given_up_in_time(server: ApiServer, kube: Kube) -> None:
    server.delay = 1.5
    started = time.monotonic()
    with pytest.raises(Unreachable, match="no answer from the API server"):
        kube.get("/thing", timeout=0.2)
    assert time.monotonic() - started < 1.4


def test_nobody_there_is_temporary(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    kube = Kube(kubeconfig(tmp_path, port))
    assert not kube.is_ready()
    with pytest.raises(Unreachable) as failed:
        kube.nodes()
    assert failed.value.brief == "GET /api/v1/nodes: no answer from the API server"
    assert "refused" in failed.value.details


@pytest.mark.parametrize("text", [None, "{}", "no: [yaml"])
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "broken.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ProvisionError) as failed:
        Kube(path).nodes()
    assert failed.value.brief == "GET /api/v1/nodes: the kubeconfig cannot be used"
    # Waiting would not mend it.
    assert not isinstance(failed.value, TemporaryError)


def test_nodes(server: ApiServer, kube: Kube) -> None:
    server.answers["/api/v1/nodes"] = (
        200,
        {
            "items": [
                {
                    "metadata": {"name": "one", "labels": {"lab/name": "hub"}},
                    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
                },
                {
                    "metadata": {"name": "two"},
                    "status": {
                        "conditions": [
                            {"type": "MemoryPressure", "status": "True"},
                            {"type": "Ready", "status": "Unknown"},
                        ]
                    },
                },
                {"metadata": {"name": "new"}, "status": {}},
            ]
        },
    )
    assert kube.nodes() == [
        Node("one", True, {"lab/name": "hub"}),
        Node("two", False, {}),
        Node("new", False, {}),
    ]


DEPLOYMENT = "/apis/apps/v1/namespaces/n/deployments/x"
DAEMON_SET = "/apis/apps/v1/namespaces/n/daemonsets/x"


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 2}, True),
        ({"observedGeneration": 1, "readyReplicas": 2, "updatedReplicas": 2}, False),
        ({"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 2}, False),
        ({"observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 1}, False),
        ({}, False),
    ],
)
def test_a_deployment_serves_when_all_of_its_newest_does(
    server: ApiServer, kube: Kube, status: dict[str, int], ready: bool
) -> None:
    server.answers[DEPLOYMENT] = (
        200,
        {"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status},
    )
    found = kube.workload("Deployment", "n", "x")
    assert found is not None
    assert found.is_ready == ready


def test_a_daemon_set_counts_nodes(server: ApiServer, kube: Kube) -> None:
    status = {
        "observedGeneration": 1,
        "desiredNumberScheduled": 3,
        "numberReady": 2,
        "updatedNumberScheduled": 3,
    }
    server.answers[DAEMON_SET] = (200, {"metadata": {"generation": 1}, "spec": {}, "status": status})
    assert kube.workload("DaemonSet", "n", "x") == Workload("DaemonSet", "x", 3, 2, True)
    # Before its pods are scheduled there is nothing that could serve.
    status.update(desiredNumberScheduled=0, numberReady=0, updatedNumberScheduled=0)
    found = kube.workload("DaemonSet", "n", "x")
    assert found is not None
    assert not found.is_ready


def test_a_workload_that_is_not_there_is_none_and_a_forbidden_one_is_not(
    server: ApiServer, kube: Kube
) -> None:
    assert kube.workload("Deployment", "n", "x") is None
    server.answers[DEPLOYMENT] = (403, {"message": "no"})
    with pytest.raises(Refused):
        kube.workload("Deployment", "n", "x")


def test_secrets_are_without_their_data(server: ApiServer, kube: Kube) -> None:
    path = "/api/v1/namespaces/n/secrets"
    server.answers[path] = (200, {"items": [{"metadata": {"name": "s"}, "data": {"key": "c2VjcmV0"}}]})
    assert kube.secrets("n", labels="owner=helm,name=cilium") == [{"name": "s"}]
    assert server.asked == [("GET", path, {"labelSelector": ["owner=helm,name=cilium"]})]


def test_pods_by_their_labels(server: ApiServer, kube: Kube) -> None:
    path = "/api/v1/namespaces/n/pods"
    server.answers[path] = (200, {"items": [{"metadata": {"name": "p"}}]})
    assert kube.pods("n", labels="app=probe") == [{"metadata": {"name": "p"}}]
    assert kube.pods("n") == [{"metadata": {"name": "p"}}]
    assert [query for _, _, query in server.asked] == [{"labelSelector": ["app=probe"]}, {}]


def test_a_pod_is_asked_through_the_api_server(server: ApiServer, kube: Kube) -> None:
    path = "/api/v1/namespaces/n/pods/p:8080/proxy/ask"
    server.answers[path] = (200, "plain text, é")
    url = "http://10.1.0.7:8080/whoami?nonce=1&x=2"
    assert kube.ask_pod("n", "p", port=8080, path="/ask", query={"url": url}) == "plain text, é"
    assert server.asked == [("GET", path, {"url": [url]})]


def test_deleting_what_is_gone_is_no_error(server: ApiServer, kube: Kube) -> None:
    kube.delete("/gone")
    server.answers["/there"] = (200, {})
    kube.delete("/there")
    assert [(verb, path) for verb, path, _ in server.asked] == [("DELETE", "/gone"), ("DELETE", "/there")]
    server.answers["/kept"] = (409, {"message": "finalizers"})
    with pytest.raises(Refused, match="DELETE /kept was refused"):
        kube.delete("/kept")


def test_logs_are_asked_for_by_their_end(server: ApiServer, kube: Kube) -> None:
    path = "/api/v1/namespaces/n/pods/p/log"
    server.answers[path] = (200, "one\ntwo\n")
    assert kube.log("n", "p", container="c", lines=2) == "one\ntwo\n"
    assert server.asked == [("GET", path, {"tailLines": ["2"], "previous": ["false"], "container": ["c"]})]


def test_warnings_are_the_newest_one_line_each(server: ApiServer, kube: Kube) -> None:
    def event(number: int, **fields: Any) -> dict[str, Any]:
        return {
            "metadata": {"creationTimestamp": f"2026-11-21T09:00:0{number}Z"},
            "involvedObject": {"kind": "Pod", "name": f"p{number}"},
            "reason": "BackOff",
            "message": "two\nlines",
            **fields,
        }

    late = event(1, lastTimestamp="2026-11-21T09:00:09Z")
    server.answers["/api/v1/events"] = (200, {"items": [late, event(3), event(2, message=None)]})
    assert kube.warnings(limit=2) == ["Pod/p3: BackOff: two lines", "Pod/p1: BackOff: two lines"]
    assert server.asked[0][2] == {"fieldSelector": ["type=Warning"]}


def test_an_unknown_kind_may_become_known(server: ApiServer, kube: Kube) -> None:
    """As Cilium's own, before its operator has registered them."""
    server.answers["/version"] = (200, {"major": "1", "minor": "35"})
    server.answers["/api"] = (200, {"kind": "APIVersions", "versions": ["v1"]})
    server.answers["/api/v1"] = (200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": []})
    server.answers["/apis"] = (200, {"kind": "APIGroupList", "groups": []})
    manifest = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "probe"}}
    with pytest.raises(Unreachable) as unknown:
        kube.apply([manifest])
    assert unknown.value.brief == (
        "apply CiliumNetworkPolicy probe: the API server does not know this kind (yet)"
    )


def test_images_that_nodes_have_under_another_name() -> None:
    pod = {"spec": {"containers": [{"image": "lab.local/a:1", "name": "a"}, {"image": "b:1"}]}, "image": 3}
    assert renamed(pod, {"lab.local/a:1": "docker.io/a@sha256:0"}) == {
        "spec": {"containers": [{"image": "docker.io/a@sha256:0", "name": "a"}, {"image": "b:1"}]},
        "image": 3,
    }
    assert renamed(pod, {}) is pod
