"""The whole life of the smallest lab, on real clusters. Tests follow one another: the last removes it."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.clients import docker, docker_images, process
from lab.clients.kube import Kube
from lab.clients.wait import wait_until
from lab.host import sandbox
from lab.mesh import check
from lab.providers.kind import bridge_name, network_name
from lab.settings import LABEL
from lab.workspace import Workspace
from tests.clusters.labs import ISOLATED, STRANGER, Ran, invoke, nodes, pairs, require_sound, started, unique

pytestmark = [pytest.mark.cluster, pytest.mark.pair]


def test_up_from_nothing_says_what_there_is(first_up: Ran, pair_name: str) -> None:
    lines = first_up.out.splitlines()
    assert re.fullmatch(rf"{pair_name} is up: 2 clusters in one mesh, in (\d+ min )?\d.*\.", lines[0])
    assert lines[1] == f"Contexts: {pair_name}-east, {pair_name}-west"
    assert f"./invoke status -t pair --name {pair_name}" in lines[-1]
    assert f"./invoke down -t pair --name {pair_name}" in lines[-1]
    assert "\x1b" not in first_up.out + first_up.err


def test_every_ordered_pair_is_proved(pair: Workspace) -> None:
    evidence = require_sound(invoke("verify", "-t", "pair", "--json", name=pair.lab).json, pair)
    nonces = set()
    for one, other in pairs(pair):
        told = evidence[f"mesh/pod/{one}/{other}"]
        answer = json.loads(told[told.index("{") : told.rindex("}") + 1])
        assert answer["cluster"] == other
        assert re.fullmatch("[0-9a-f]{16}", answer["nonce"])
        nonces.add(answer["nonce"])
        assert re.search(rf"answered by .*{other} [1-9]", evidence[f"mesh/service/{one}/{other}"])
        assert f"answers inside its pod; from {one}: timed out" in evidence[f"mesh/policy/{one}/{other}"]
        assert re.match(
            rf"[1-9]\d* packets from nodes of {one} to UDP 8472", evidence[f"mesh/tunnel/{one}/{other}"]
        )
    assert len(nonces) == 2


def test_the_same_for_a_person(pair: Workspace) -> None:
    ran = invoke("verify", "-t", "pair", name=pair.lab)
    lines = ran.out.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} checks hold."
    assert len(lines) > 4 * len(pairs(pair))


def test_up_again_changes_nothing(pair: Workspace) -> None:
    before = _versions(pair)
    ran = invoke("up", "-t", "pair", "--yes", name=pair.lab)
    assert ran.out.startswith(f"{pair.lab} is up already: nothing to do (")
    assert _versions(pair) == before


def test_status_tells_what_there_is(pair: Workspace) -> None:
    told = invoke("status", "-t", "pair", "--json", name=pair.lab).json
    assert told.keys() == {"lab", "clusters", "mesh", "addons"}
    assert told["lab"] == pair.lab
    assert [cluster["name"] for cluster in told["clusters"]] == ["east", "west"]
    for cluster in told["clusters"]:
        assert cluster.keys() == {"name", "reachable", "nodes_ready", "memory_mib"}
        assert (cluster["reachable"], cluster["nodes_ready"]) == (True, 1)
        assert 300 < cluster["memory_mib"] < 3000
    assert told["mesh"] == [{"from": one, "to": other, "ok": True} for one, other in pairs(pair)]
    assert told["addons"] == []


def test_a_plan_of_it_is_all_done(pair: Workspace) -> None:
    told = invoke("plan", "-t", "pair", "--json", name=pair.lab).json
    assert told.keys() == {"lab", "topology", "clusters", "steps", "budget"}
    assert (told["lab"], told["topology"]) == (pair.lab, "pair")
    assert [step["id"] for step in told["steps"] if not step["done"]] == []
    assert {"east/create", "west/mesh", "lab/verify"} <= {step["id"] for step in told["steps"]}
    assert all(step.keys() == {"id", "cluster", "needs", "done"} for step in told["steps"])
    for cluster, planned in zip(pair.topology.clusters, told["clusters"], strict=True):
        assert planned == {
            "name": cluster.name,
            "role": "app",
            "provider": "kind",
            "id": cluster.id,
            "pod_cidr": str(cluster.pod_cidr),
            "service_cidr": str(cluster.service_cidr),
            "nodes": 1,
        }
    assert told["budget"].keys() == {"memory_mib", "disk_mib", "cpus"}


def test_kubeconfig_has_a_context_for_each_cluster(
    pair: Workspace, users_kubeconfig: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load(invoke("kubeconfig", "-t", "pair", name=pair.lab).out)
    contexts = [pair.topology.context(cluster.name) for cluster in pair.topology.clusters]
    assert [context["name"] for context in config["contexts"]] == contexts
    for cluster, context in zip(pair.topology.clusters, contexts, strict=True):
        path = tmp_path / f"{context}.yaml"
        path.write_text(yaml.safe_dump({**config, "current-context": context}))
        [node] = Kube(path).nodes()
        assert (node.name, node.ready) == (f"{context}-control-plane", True)
        assert node.labels[LABEL] == pair.lab
        stated = Kube(path).get(f"/api/v1/nodes/{node.name}")["spec"]["podCIDR"]
        assert stated.startswith(str(cluster.pod_cidr.network_address).rpartition(".")[0].rpartition(".")[0])
    assert users_kubeconfig.read_text() == STRANGER


def test_files_of_the_lab_are_ours_alone(pair: Workspace) -> None:
    folder = pair.folder.path
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_api_servers_listen_on_this_machine_only(pair: Workspace) -> None:
    for cluster in pair.topology.clusters:
        config = yaml.safe_load(pair.folder.kubeconfig(cluster.name).read_text())
        server = config["clusters"][0]["cluster"]["server"]
        published = process.run(["docker", "port", f"{pair.lab}-{cluster.name}-control-plane"]).stdout
        assert published.split() == ["6443/tcp", "->", server.removeprefix("https://")]
        assert server.startswith("https://127.0.0.1:")


@pytest.fixture
def outside(pair: Workspace) -> Iterator[str]:
    """Address of a host of our own, in a container network of its own: for the lab, somewhere outside."""
    name = unique("t-outside")
    taken = [
        IPv4Network(subnet) for each in docker.networks() for subnet in each.subnets if ":" not in subnet
    ]
    free = (IPv4Network(f"10.199.{third}.0/24") for third in range(256))
    subnet = next(each for each in free if not any(each.overlaps(other) for other in taken))
    docker.create_network(name, subnet=str(subnet), labels={LABEL: name})
    image = next(image for image in docker_images.images("lab.local/node") if image.tags)
    docker.run_container(image.tags[0], name=name, entrypoint="sleep", command=["infinity"], network=name)
    host = docker.container(name)
    assert host is not None
    yield host.addresses[name]
    docker.remove_container(name)
    docker.remove_network(name)


@pytest.mark.skipif(not ISOLATED, reason="firewall rules need root on Linux")
def test_no_packet_leaves_the_lab(pair: Workspace, outside: str) -> None:
    attempt = f"exec 3<>/dev/tcp/{outside}/80"
    for cluster in pair.topology.clusters:
        name = cluster.name
        rejected = _rejected(pair.lab)
        with pytest.raises(process.CommandError, match="exit code 1") as refused:
            docker.execute(f"{pair.lab}-{name}-control-plane", ["bash", "-c", attempt], timeout=20)
        assert "refused" in refused.value.details or "unreachable" in refused.value.details
        assert _rejected(pair.lab) > rejected

        rejected = _rejected(pair.lab)
        [pod] = pair.kubes[name].pods(check.NAMESPACE, labels="app=probe")
        url = f"http://{outside}/"
        answer = pair.kubes[name].ask_pod(
            check.NAMESPACE, pod["metadata"]["name"], port=8080, path="/ask", query={"url": url}
        )
        [outcome] = json.loads(answer)
        assert "error" in outcome
        assert _rejected(pair.lab) > rejected


@pytest.mark.skipif(not ISOLATED, reason="only an isolated lab has a DNS that asks nobody")
def test_names_outside_do_not_exist_and_that_is_said_at_once(pair: Workspace) -> None:
    for kube in pair.kubes.values():
        [pod] = kube.pods(check.NAMESPACE, labels="app=probe")
        answer = kube.ask_pod(
            check.NAMESPACE,
            pod["metadata"]["name"],
            port=8080,
            path="/ask",
            query={"url": "http://outside.example/"},
        )
        [outcome] = json.loads(answer)
        assert "not known" in outcome["error"]
        assert outcome["seconds"] < 2


def test_merged_contexts_stand_beside_the_users_own(pair: Workspace, users_kubeconfig: Path) -> None:
    ran = invoke("kubeconfig", "-t", "pair", "--merge", name=pair.lab, kubeconfig=users_kubeconfig)
    assert f"{pair.lab}-east, {pair.lab}-west" in ran.out
    merged = yaml.safe_load(users_kubeconfig.read_text())
    assert merged["current-context"] == "work"
    names = [context["name"] for context in merged["contexts"]]
    assert sorted(names) == [f"{pair.lab}-east", f"{pair.lab}-west", "work"]
    assert users_kubeconfig.stat().st_mode & 0o777 == 0o600


def test_a_changed_topology_replaces_nothing_unasked(pair: Workspace, tmp_path: Path) -> None:
    before = _versions(pair)
    changed = tmp_path / "pair.yaml"
    changed.write_text(
        pair.topology.path.read_text().replace("{role: app}", "{role: app, nodes: {workers: 1}}", 1)
    )
    refused = invoke("up", "-t", str(changed), "--yes", name=pair.lab, expect=2)
    assert "east was made as" in refused.err
    assert '"workers": 1' in refused.err
    assert f"./invoke up -t {changed} --name {pair.lab} --recreate" in refused.err
    assert _versions(pair) == before


@pytest.fixture
def stranger() -> Iterator[tuple[str, str]]:
    """A lab's name, and a container that stands where a node of that lab's would."""
    lab = unique("t-strange")
    name = f"{lab}-east-control-plane"
    image = next(image for image in docker_images.images("lab.local/node") if image.tags)
    docker.run_container(
        image.tags[0],
        name=name,
        entrypoint="sleep",
        command=["infinity"],
        network="none",
        labels={"io.x-k8s.kind.cluster": f"{lab}-east", "io.x-k8s.kind.role": "control-plane"},
    )
    yield lab, name
    docker.remove_container(name)


def test_a_strangers_cluster_of_that_name_is_left_alone(pair: Workspace, stranger: tuple[str, str]) -> None:
    lab, name = stranger
    before = docker.container(name)
    refused = invoke("up", "-t", "pair", "--yes", name=lab, expect=3)
    assert f"there is a kind cluster {lab}-east that this lab did not make; it was left alone" in refused.err
    assert "--name" in refused.err
    invoke("status", "-t", "pair", name=lab, expect=3)
    assert (
        invoke("down", "-t", "pair", "--yes", name=lab).out == f"There is no lab {lab}: nothing to remove.\n"
    )
    assert docker.container(name) == before
    assert docker.networks(f"{LABEL}={lab}") == []
    assert not (pair.folder.path.parent / lab).exists()


def test_a_stopped_node_is_started_again(pair: Workspace) -> None:
    before = nodes(pair)
    docker.kill_container(f"{pair.lab}-east-control-plane")
    told = invoke("status", "-t", "pair", "--json", name=pair.lab).json
    assert {cluster["name"]: cluster["reachable"] for cluster in told["clusters"]} == {
        "east": False,
        "west": True,
    }
    assert {"from": "east", "to": "west", "ok": False} in told["mesh"]

    ran = invoke("up", "-t", "pair", "--yes", name=pair.lab)

    assert ran.out.startswith(f"{pair.lab} is up: ")
    assert {name: node.id for name, node in nodes(pair).items()} == {
        name: node.id for name, node in before.items()
    }
    require_sound(invoke("verify", "-t", "pair", "--json", name=pair.lab).json, pair)


def test_a_node_that_was_removed_is_missed(pair: Workspace) -> None:
    docker.remove_container(f"{pair.lab}-west-control-plane")
    told = invoke("status", "-t", "pair", "--json", name=pair.lab).json
    assert told["clusters"][1] == {"name": "west", "reachable": False, "nodes_ready": 0, "memory_mib": 0}
    planned = invoke("plan", "-t", "pair", "--json", name=pair.lab).json
    pending = {step["id"] for step in planned["steps"] if not step["done"]}
    assert {"west/create", "lab/verify"} <= pending
    assert "east/create" not in pending
    failed = invoke("verify", "-t", "pair", name=pair.lab, expect=3)
    assert f"{pair.lab}: there is no cluster west to verify" in failed.err


def test_one_up_at_a_time_and_ctrl_c_in_the_middle(pair: Workspace) -> None:
    west = f"{pair.lab}-west-control-plane"
    docker.remove_container(west)
    with started("up", "-t", "pair", "--yes", "--name", pair.lab) as under_way:

        def not_begun() -> str | None:
            assert under_way.poll() is None, under_way.communicate()
            return None if docker.container(west) else "there is no new node yet"

        wait_until("the new node", not_begun, timeout=180)
        refused = invoke("up", "-t", "pair", "--yes", name=pair.lab, expect=3)
        assert f"another command is changing the lab {pair.lab}" in refused.err
        assert refused.seconds < 30

        assert under_way.poll() is None
        under_way.send_signal(signal.SIGINT)
        out, err = under_way.communicate(timeout=180)

    assert under_way.returncode == 130, err
    assert out == ""
    assert "west/create was interrupted" in err
    assert f"To continue: ./invoke up -t pair --name {pair.lab}" in err
    assert f"To remove what is there: ./invoke down -t pair --name {pair.lab}" in err
    assert _processes_of(pair.lab) == []


def test_what_was_interrupted_is_continued(pair: Workspace) -> None:
    east = nodes(pair)[f"{pair.lab}-east-control-plane"].id
    ran = invoke("up", "-t", "pair", "--yes", name=pair.lab)
    assert ran.out.startswith(f"{pair.lab} is up: 2 clusters in one mesh")
    assert nodes(pair)[f"{pair.lab}-east-control-plane"].id == east
    require_sound(invoke("verify", "-t", "pair", "--json", name=pair.lab).json, pair)


def test_down_leaves_nothing(pair: Workspace, users_kubeconfig: Path) -> None:
    folder, containers = pair.folder.path, nodes(pair)
    volumes = [name for each in containers.values() for name in _volumes_of(each.name)]
    network = next(each for each in docker.networks(f"{LABEL}={pair.lab}"))
    assert len(containers) == 2
    assert volumes
    assert folder.is_dir()
    # What does not run belongs to the lab as well.
    docker.kill_container(f"{pair.lab}-west-control-plane")

    ran = invoke("down", "-t", "pair", "--yes", name=pair.lab, kubeconfig=users_kubeconfig)

    assert ran.out.startswith(f"{pair.lab} is gone (")
    assert pair.lab not in process.run(["docker", "ps", "--all"]).stdout
    listed = set(process.run(["docker", "volume", "ls", "--quiet"]).stdout.split())
    assert listed.isdisjoint(volumes)
    remaining = docker.networks()
    assert network.id not in {each.id for each in remaining}
    assert network_name(pair.lab) not in {each.name for each in remaining}
    if sandbox.available():
        rules = "".join(process.run(["iptables-save", "-t", table]).stdout for table in ("filter", "nat"))
        assert pair.lab not in rules
        assert bridge_name(pair.lab) not in rules
        assert network.subnets[0] not in rules
    assert not folder.exists()
    assert [path for path in pair.settings.state.rglob("*") if pair.lab in path.name] == []
    config = yaml.safe_load(users_kubeconfig.read_text())
    assert [context["name"] for context in config["contexts"]] == ["work"]
    assert config == yaml.safe_load(STRANGER)


def test_down_of_what_is_gone_is_no_error(pair: Workspace) -> None:
    ran = invoke("down", "-t", "pair", "--yes", name=pair.lab)
    assert ran.out == f"There is no lab {pair.lab}: nothing to remove.\n"
    told = invoke("status", "-t", "pair", "--json", name=pair.lab).json
    assert [cluster["reachable"] for cluster in told["clusters"]] == [False, False]
    assert [link["ok"] for link in told["mesh"]] == [False, False]


def _versions(lab: Workspace) -> Mapping[str, Any]:
    """What changes when anything is made, started, installed or configured again."""
    found: dict[str, Any] = {name: (node.id, node.started_at) for name, node in nodes(lab).items()}
    objects = {
        "agents": "/apis/apps/v1/namespaces/kube-system/daemonsets/cilium",
        "mesh API server": "/apis/apps/v1/namespaces/kube-system/deployments/clustermesh-apiserver",
        "DNS": "/api/v1/namespaces/kube-system/configmaps/coredns",
        "configuration": "/api/v1/namespaces/kube-system/configmaps/cilium-config",
        "peers": "/api/v1/namespaces/kube-system/secrets/cilium-clustermesh",
        "probe": f"/apis/apps/v1/namespaces/{check.NAMESPACE}/deployments/probe",
    }
    for cluster, kube in lab.kubes.items():
        for what, path in objects.items():
            found[f"{cluster}: {what}"] = kube.get(path)["metadata"]["resourceVersion"]
        found[f"{cluster}: releases"] = [
            (record["name"], record["labels"]["version"], record["resourceVersion"])
            for record in kube.secrets("kube-system", labels="owner=helm")
        ]
    return found


def _rejected(lab: str) -> int:
    """Packets that the lab's own rule has rejected so far."""
    listed = process.run(["iptables", "-w", "30", "-nvxL", sandbox.CHAIN]).stdout
    [line] = [line for line in listed.splitlines() if f"{LABEL}={lab} " in line]
    return int(line.split()[0])


def _volumes_of(container: str) -> list[str]:
    form = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
    return process.run(["docker", "inspect", "--format", form, container]).stdout.split()


def _processes_of(lab: str) -> list[str]:
    """Command lines on this machine, outside containers, that name the lab's clusters."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(word == f"--name={lab}-west" for word in words):
            found.append(" ".join(words))
    return found
