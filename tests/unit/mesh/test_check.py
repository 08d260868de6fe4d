"""The proof: what is applied for it, which questions are asked, and what counts as an answer.

The clusters are made up here, and so nothing is claimed of real ones (tests/clusters/test_pair.py does).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any, ClassVar, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from lab.clients.kube import Kube
from lab.clients.kube_objects import Unreachable
from lab.clients.wait import TimedOut
from lab.images.catalog import catalog
from lab.mesh import check, probe, tunnel
from lab.mesh.check import NAMESPACE
from lab.providers.base import Provider
from lab.result import CheckResult
from tests.unit.labs import state, topology
from tests.unit.mesh.test_tunnel import Nodes


def by_kind(name: str, cluster: str) -> dict[str, dict[str, Any]]:
    return {item["kind"]: item for item in check.manifests(topology(name), cluster)}


def test_every_object_is_named_labelled_and_in_its_namespace() -> None:
    items = check.manifests(topology("pair", lab="second"), "east")
    assert [item["kind"] for item in items] == [
        "Namespace",
        "ConfigMap",
        "Deployment",
        "Service",
        "CiliumNetworkPolicy",
    ]
    for item in items:
        assert item["metadata"]["labels"]["lab/name"] == "second"
        if item["kind"] == "Namespace":
            assert item["metadata"]["name"] == NAMESPACE
        else:
            assert (item["metadata"]["name"], item["metadata"]["namespace"]) == ("probe", NAMESPACE)


def test_the_program_arrives_as_it_is_and_a_new_one_replaces_its_pod() -> None:
    items = by_kind("pair", "east")
    program = Path(probe.__file__).read_text()
    assert items["ConfigMap"]["data"] == {"probe.py": program}
    template = items["Deployment"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {
        "lab/program": hashlib.sha256(program.encode()).hexdigest()[:12]
    }


def test_the_probe_is_as_restricted_as_its_namespace_asks() -> None:
    items = by_kind("pair", "east")
    assert items["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = items["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container["env"] == [{"name": "LAB_CLUSTER", "value": "east"}]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["image"] in catalog()


@pytest.mark.parametrize("name", ["pair", "hub-spoke", "scale-255"])
def test_the_policy_names_every_cluster_and_one_port(name: str) -> None:
    of = topology(name)
    ingress = by_kind(name, of.clusters[0].name)["CiliumNetworkPolicy"]["spec"]["ingress"]
    peers = [
        selector["matchLabels"]["io.cilium.k8s.policy.cluster"]
        for rule in ingress
        for selector in rule.get("fromEndpoints", ())
    ]
    assert peers == [cluster.name for cluster in of.clusters]
    ports = {port["port"] for rule in ingress for each in rule["toPorts"] for port in each["ports"]}
    assert ports == {"8080"}


def test_the_service_is_global_whatever_the_topology_does_with_stale_backends() -> None:
    service = by_kind("pair", "east")["Service"]
    assert service["metadata"]["annotations"] == {
        "service.cilium.io/global": "true",
        "service.cilium.io/affinity": "",
    }


def test_prepare_applies_all_of_it() -> None:
    applied: list[Mapping[str, Any]] = []

    class Applying:
        def apply(self, manifests: list[Mapping[str, Any]]) -> None:
            applied.extend(manifests)

    check.prepare(topology("pair"), "west", cast("Kube", Applying()))
    assert applied == check.manifests(topology("pair"), "west")


class FakeMesh:
    """Two clusters whose probes reach one another, unless told otherwise."""

    ADDRESSES: ClassVar = {"east": "10.100.0.7", "west": "10.101.0.7"}

    def __init__(self) -> None:
        self.cut: set[tuple[str, str]] = set()
        """From and to, where nothing passes."""

        self.open: set[tuple[str, str]] = set()
        """From and to, where the policy blocks nothing."""

        self.dead_port = False
        """Nothing listens on the port that the policy shuts."""

        self.stale_nonce = False
        """Answers come from some cache."""

        self.only_local = False
        """The global service has local backends only."""

        self.unreachable = 0
        """So many next questions find no API server."""

        self.ready = True
        self.asked: list[str] = []

    def kubes(self) -> dict[str, Kube]:
        return {name: cast("Kube", FakeKube(self, name)) for name in self.ADDRESSES}

    def outcomes(self, source: str, url: str, times: int) -> Iterator[dict[str, Any]]:
        parts = urlsplit(url)
        nonce = parse_qs(parts.query)["nonce"][0]
        for number in range(times):
            if parts.hostname == f"probe.{NAMESPACE}.svc.cluster.local":
                target = source if self.only_local else sorted(self.ADDRESSES)[number % 2]
            elif parts.hostname == "127.0.0.1":
                target = source
            else:
                target = next(name for name, ip in self.ADDRESSES.items() if ip == parts.hostname)
            inside = target == source
            reached = inside or (source, target) not in self.cut
            if parts.port == 8081:
                reached = not self.dead_port and (inside or (source, target) in self.open)
            if not reached:
                yield {"error": "timed out", "seconds": 1.5}
                continue
            told = "0" * 16 if self.stale_nonce else nonce
            yield {"answer": {"cluster": target, "pod": f"probe-{target}", "nonce": told}, "seconds": 0.004}


class FakeKube:
    def __init__(self, mesh: FakeMesh, cluster: str) -> None:
        self.mesh, self.cluster = mesh, cluster

    def pods(self, namespace: str, *, labels: str = "") -> list[dict[str, Any]]:
        assert (namespace, labels) == (NAMESPACE, "app=probe")
        dying = {
            "metadata": {"name": "old", "deletionTimestamp": "2026-11-21T09:00:00Z"},
            "status": {"podIP": "10.9.9.9", "conditions": [{"type": "Ready", "status": "True"}]},
        }
        pod = {
            "metadata": {"name": f"probe-{self.cluster}"},
            "status": {
                "podIP": self.mesh.ADDRESSES[self.cluster],
                "conditions": [{"type": "Ready", "status": str(self.mesh.ready)}],
            },
        }
        return [dying, pod]

    def ask_pod(
        self, namespace: str, pod: str, *, port: int, path: str, query: dict[str, str], timeout: float
    ) -> str:
        assert (namespace, pod, port, path) == (NAMESPACE, f"probe-{self.cluster}", 8080, "/ask")
        if self.mesh.unreachable:
            self.mesh.unreachable -= 1
            raise Unreachable("GET /ask: no answer from the API server")
        self.mesh.asked.append(query["url"])
        return json.dumps(list(self.mesh.outcomes(self.cluster, query["url"], int(query["times"]))))


@pytest.fixture
def mesh() -> FakeMesh:
    return FakeMesh()


NODES = {"pair-east-0": {"west": 12}, "pair-west-0": {"east": 7}}
STATES = {"east": state("east", "10.200.0.2"), "west": state("west", "10.200.0.3")}


def run(mesh: FakeMesh, *, nodes: Nodes | None = None, timeout: float = 0.4) -> dict[str, CheckResult]:
    told: list[CheckResult] = []
    results = check.run(
        topology("pair"),
        mesh.kubes(),
        providers=dict.fromkeys(STATES, cast("Provider", nodes or Nodes(counts=NODES))),
        states=STATES,
        timeout=timeout,
        on_result=told.append,
    )
    assert sorted(told, key=lambda result: result.id) == results
    return {result.id: result for result in results}


def test_every_ordered_pair_is_proved_four_times(mesh: FakeMesh) -> None:
    results = run(mesh)
    assert list(results) == [
        f"mesh/{kind}/{one}"
        for kind in ("pod", "policy", "service", "tunnel")
        for one in ("east/west", "west/east")
    ]
    assert all(result.ok for result in results.values())
    who = r'"cluster": "west", "pod": "probe-west", "nonce": "[0-9a-f]{16}"'
    assert re.fullmatch(
        rf"10\.101\.0\.7:8080 answered \{{{who}\}} in 4 ms", results["mesh/pod/east/west"].evidence
    )
    assert results["mesh/policy/east/west"].evidence == (
        "10.101.0.7:8081 answers inside its pod; from east: timed out"
    )
    assert results["mesh/service/east/west"].evidence == "6 asked; answered by east 3, west 3"
    assert results["mesh/tunnel/east/west"].evidence == "7 packets from nodes of east to UDP 8472 of west's"
    assert results["mesh/tunnel/west/east"].evidence == "12 packets from nodes of west to UDP 8472 of east's"


def test_no_nonce_is_used_twice(mesh: FakeMesh) -> None:
    run(mesh)
    nonces = [parse_qs(urlsplit(url).query)["nonce"][0] for url in mesh.asked]
    # The policy's two questions share one: the second is whether the same port is shut from outside.
    assert len(set(nonces)) == len(nonces) - 2


def failed(results: Mapping[str, CheckResult]) -> list[str]:
    return [name for name, result in results.items() if not result.ok]


def test_one_direction_that_is_cut_fails_in_that_direction_only(mesh: FakeMesh) -> None:
    mesh.cut = {("east", "west")}
    results = run(mesh)
    assert failed(results) == ["mesh/pod/east/west", "mesh/service/east/west"]
    assert results["mesh/pod/east/west"].evidence == "10.101.0.7:8080: timed out after 1.5 s"
    assert results["mesh/pod/east/west"].seconds >= 0.4
    assert "west 0; last failure: the service: timed out" in results["mesh/service/east/west"].evidence


def test_a_policy_that_blocks_nothing_fails(mesh: FakeMesh) -> None:
    mesh.open = {("west", "east")}
    results = run(mesh)
    assert failed(results) == ["mesh/policy/west/east"]
    assert results["mesh/policy/west/east"].evidence.startswith("not blocked: 10.100.0.7:8081 answered")


def test_a_policy_that_has_nothing_to_block_proves_nothing(mesh: FakeMesh) -> None:
    mesh.dead_port = True
    results = run(mesh)
    assert failed(results) == ["mesh/policy/east/west", "mesh/policy/west/east"]
    assert results["mesh/policy/east/west"].evidence.startswith("nothing to block: 127.0.0.1:8081 in west")


def test_an_answer_without_the_nonce_is_none(mesh: FakeMesh) -> None:
    mesh.stale_nonce = True
    results = run(mesh)
    assert failed(results) == [name for name in results if "tunnel" not in name]


def test_a_service_that_answers_only_at_home_fails(mesh: FakeMesh) -> None:
    mesh.only_local = True
    results = run(mesh)
    assert failed(results) == ["mesh/service/east/west", "mesh/service/west/east"]
    assert re.fullmatch(
        r"\d+ asked; answered by east \d+, west 0", results["mesh/service/east/west"].evidence
    )


def test_packets_that_take_another_way_fail_the_tunnel(mesh: FakeMesh) -> None:
    results = run(mesh, nodes=Nodes(counts={"pair-east-0": {"west": 5}, "pair-west-0": {"east": 0}}))
    assert failed(results) == ["mesh/tunnel/east/west"]
    assert results["mesh/tunnel/east/west"].evidence.startswith("0 packets from nodes of east")


def test_an_api_server_that_is_away_for_a_moment_is_asked_again(mesh: FakeMesh) -> None:
    mesh.unreachable = 3
    assert failed(run(mesh, timeout=5)) == []


def test_a_probe_that_does_not_become_ready_is_named(mesh: FakeMesh) -> None:
    mesh.ready = False
    with pytest.raises(TimedOut) as gone:
        run(mesh, timeout=0.2)
    assert gone.value.details == "last seen: no ready probe in east, west"


def test_after_ctrl_c_nothing_is_asked_again(mesh: FakeMesh) -> None:
    mesh.cut = {("east", "west"), ("west", "east")}
    cancelled = Event()

    def cancel(_: CheckResult) -> None:
        cancelled.set()

    results = check.run(
        topology("pair"),
        mesh.kubes(),
        providers=dict.fromkeys(STATES, cast("Provider", Nodes(counts=NODES))),
        states=STATES,
        timeout=1,
        on_result=cancel,
        cancelled=cancelled,
    )
    assert len(results) == 8
    assert max(result.seconds for result in results) < 2.5


def test_counters_do_not_stay(mesh: FakeMesh) -> None:
    nodes = Nodes(counts=NODES)
    run(mesh, nodes=nodes)
    assert nodes.tables == {}
    assert {call[0] for call in nodes.calls} == set(NODES)
    assert tunnel.PORTS["vxlan"] == 8472
