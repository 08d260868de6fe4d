"""Our ``up`` against the documented way, done by a script that never hesitates; by turns, A B A B.

By hand, one cluster after the other, as the guides of kind and of Cilium (1.19: "Setting up Cluster
Mesh") have it: kind create cluster; kind load docker-image of each image; install Cilium and wait
for it; enable the mesh and name its peers; wait until every agent is connected; deploy the probe.
Both end when the same checks hold (lab.mesh.check): the global service was seen to answer from every
cluster, asked from every other one.

Where the script departs from the guides, it is to the good of "by hand": nobody types or reads, images
lie in the container engine already (no docker pull), enabling the mesh and connecting it are one
change where Cilium's CLI makes two, and every mesh API server has a port of its own from the start
(the guide's single one does not work on kind: cilium#24692). Cilium's CLI cannot be had where only package
registries can be reached, so Helm is called, as the CLI itself does.

Run it from the checkout: .venv/bin/python bench/by_hand.py [--pairs 1] [-t hub-spoke]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.common import (
    Stopwatch,
    at_hand,
    bare_node_image,
    heading,
    invoke,
    load,
    main,
    median,
    named,
    own_lab,
    require_absent,
    require_warm,
    row,
    table,
)
from lab import console, observe
from lab.clients import docker, docker_images, process
from lab.clients.helm import Helm
from lab.clients.kube import Kube
from lab.clients.wait import wait_until
from lab.down import down
from lab.errors import CheckFailed
from lab.host import sandbox
from lab.images.catalog import needed_for
from lab.mesh import check, cilium
from lab.mesh.ca import Authority
from lab.providers.base import Provider
from lab.providers.kind import bridge_name, control_plane_endpoint
from lab.settings import from_environment
from lab.supply import Supply
from lab.topology.model import Cluster
from lab.workspace import Workspace, open_workspace, states

WAIT_S = 900.0
"""The limit of ``cilium status --wait``; nothing is expected to come near it."""

LOADING = "kind load docker-image"
"""What the parts that move images are called, all with this beginning."""

CA_SECRET = f"/api/v1/namespaces/{cilium.NAMESPACE}/secrets"


@dataclass(frozen=True)
class Pair:
    """What one pair of runs took, in seconds."""

    ours: float
    by_hand: dict[str, float]

    @property
    def total(self) -> float:
        """By hand, all of it."""
        return sum(self.by_hand.values())

    @property
    def without_images(self) -> float:
        """By hand, without moving images."""
        return sum(seconds for part, seconds in self.by_hand.items() if not part.startswith(LOADING))


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="hub-spoke")
    parser.add_argument("--name", type=own_lab, default="bench-mesh", help="labs are NAME-ours and NAME-hand")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--only-by-hand", action="store_true", help="leave out ours, to try the script")
    options = parser.parse_args()
    settings = from_environment()
    labs = [
        open_workspace(settings, options.topology, name=f"{options.name}-{side}") for side in ("ours", "hand")
    ]
    for lab in labs:
        require_absent(settings, lab)
    ours, hand = labs
    made_of = require_warm(ours)
    heading(f"by hand: {options.topology}, {len(ours.topology.clusters)} clusters, images here")
    console.out()
    console.out(
        "Seconds from nothing until the same checks hold. Cilium's CLI cannot be had here; Helm is called "
        "instead, as the CLI does. Images lie on this machine beforehand: ours in a node image (made once, "
        "not counted here: bench/images.py), by hand in the container engine."
    )
    pairs = []
    with at_hand(bare_node_image(made_of)), _in_the_engine(made_of):
        table(("pair", "load before", "ours", "by hand", "ratio", "by hand without images", "ratio"))
        for number in range(1, options.pairs + 1):
            before = load()
            seconds = 0.0 if options.only_by_hand else _ours(ours)
            pair = Pair(seconds, _by_hand(hand, made_of))
            pairs.append(pair)
            _print_pair(str(number), before, pair.ours, pair.total, pair.without_images)
    figures = zip(*((pair.ours, pair.total, pair.without_images) for pair in pairs), strict=True)
    _print_pair("median", "", *(median(list(column)) or 0.0 for column in figures))
    console.out()
    console.out("By hand, part by part:")
    table(("part", *(f"pair {number}" for number in range(1, len(pairs) + 1)), "median"))
    for part in pairs[0].by_hand:
        seconds_of = [pair.by_hand[part] for pair in pairs]
        row(part, *seconds_of, median(seconds_of))


@contextmanager
def _in_the_engine(made_of: Supply) -> Iterator[None]:
    """Have the mesh's images in the engine's store, as after ``docker pull``."""
    loaded = []
    try:
        for image in needed_for(["mesh"]):
            if docker.image(image.reference) is None:
                loaded.append(image.reference)
                docker_images.load(made_of.source.archive(image))
        yield
    finally:
        for reference in loaded:
            docker.remove_image(reference)


def _print_pair(name: str, before: str, ours: float, total: float, without: float) -> None:
    # Without ours, there is nothing to compare.
    ratios = [f"{ours / by_hand:.2f}" if ours else None for by_hand in (total, without)]
    row(name, before, ours or None, total, ratios[0], without, ratios[1])


def _ours(workspace: Workspace) -> float:
    lab = named(workspace)
    try:
        return invoke("up", *lab, "--only", "mesh", "--yes").seconds
    finally:
        invoke("down", *lab, "--yes")


def _by_hand(workspace: Workspace, made_of: Supply) -> dict[str, float]:
    if workspace.isolated:
        sandbox.isolate(bridge_name(workspace.lab), lab=workspace.lab)
    try:
        hands = Hands(workspace, made_of)
        hands.work()
        return hands.watch.seconds
    finally:
        down(workspace.settings, workspace.lab)


class Hands:
    """Somebody who follows the guides. A part's time is the sum over all clusters."""

    def __init__(self, workspace: Workspace, made_of: Supply) -> None:
        self.watch = Stopwatch({})
        self._workspace = workspace
        self._kubes = workspace.kubes
        self._kind = made_of.tool("kind")
        self._helm = made_of.tool("helm")
        self._chart = made_of.source.chart("cilium")
        self._images = [image.reference for image in needed_for(["mesh"])]
        self._provider: Provider = workspace.provider(
            binary=self._kind,
            image=bare_node_image(made_of).tag,
            cgroup_v1=docker.engine().cgroup_version == "1",
        )

    def work(self) -> None:
        """Everything, from the container network to the checks."""
        clusters = self._workspace.topology.clusters
        self._workspace.folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._provider.prepare(self._workspace.topology)
        for cluster in clusters:
            with self.watch.part("kind create cluster"):
                self._create(cluster)
        for cluster in clusters:
            for image in self._images:
                with self.watch.part(f"{LOADING} {image.rpartition('/')[2].partition(':')[0]}"):
                    self._load(image, cluster)
        for cluster in clusters:
            with self.watch.part("install Cilium, wait for it"):
                self._install(cluster)
                self._wait(cluster, cilium.NETWORK_WORKLOADS)
        first = clusters[0]
        for cluster in clusters:
            if cluster is not first:
                with self.watch.part("copy the CA"):
                    self._copy_ca(first, cluster)
            with self.watch.part("enable the mesh with its peers"):
                self._install(cluster, mesh=self._mesh(cluster))
        for cluster in clusters:
            with self.watch.part("wait for the mesh API servers"):
                self._wait(cluster, (*cilium.NETWORK_WORKLOADS, *cilium.MESH_WORKLOADS))
        for cluster in clusters:
            with self.watch.part("wait until agents are connected"):
                self._wait_until(cluster, "connected agents", partial(self._not_connected, cluster))
        for cluster in clusters:
            with self.watch.part("deploy the probe"):
                check.prepare(self._workspace.topology, cluster.name, self._kube(cluster))
        with self.watch.part("check the data path"):
            self._check()

    def _kube(self, cluster: Cluster) -> Kube:
        return self._kubes[cluster.name]

    def _create(self, cluster: Cluster) -> None:
        kubeconfig = self._workspace.folder.kubeconfig(cluster.name)
        self._provider.create(cluster, kubeconfig=kubeconfig, cancelled=None)

    def _load(self, image: str, cluster: Cluster) -> None:
        name = self._workspace.topology.context(cluster.name)
        process.run([self._kind, "load", "docker-image", image, f"--name={name}"], timeout=WAIT_S)

    def _install(self, cluster: Cluster, *, mesh: dict[str, Any] | None = None) -> None:
        helm = Helm(
            self._helm,
            self._workspace.folder.kubeconfig(cluster.name),
            self._workspace.folder.path / "helm",
        )
        helm.upgrade(
            cilium.RELEASE,
            self._chart,
            namespace=cilium.NAMESPACE,
            values={**self._values(cluster), **({"clustermesh": mesh} if mesh else {})},
            labels={cilium.CONFIG_LABEL: "by-hand"},
            timeout=WAIT_S,
        )

    def _values(self, cluster: Cluster) -> dict[str, Any]:
        """The same network as ours; the CA is the chart's to make, in the first cluster."""
        topology = self._workspace.topology
        tree = cilium.values(
            topology,
            cluster,
            endpoint=control_plane_endpoint(topology.context(cluster.name), cluster.nodes.control_plane),
            peers={},
            authority=Authority(b"", b""),
            image_tag=observe.CILIUM,
        )
        del tree["tls"], tree["clustermesh"]
        return tree

    def _mesh(self, cluster: Cluster) -> dict[str, Any]:
        nodes = states(self._workspace)
        peers = [each for each in self._workspace.topology.clusters if each is not cluster]
        return {
            "useAPIServer": True,
            "apiserver": {
                "image": self._values(cluster)["image"],
                "service": {"type": "NodePort", "nodePort": cluster.mesh_port},
            },
            "config": {
                "enabled": True,
                "clusters": [
                    {
                        "name": peer.name,
                        "port": peer.mesh_port,
                        "ips": [node.address for node in nodes[peer.name].control_planes],
                    }
                    for peer in peers
                ],
            },
        }

    def _copy_ca(self, source: Cluster, target: Cluster) -> None:
        """``kubectl get secret cilium-ca -o yaml | kubectl create -f -``, as the guide has it.

        Without Hubble the chart makes the CA when the mesh is enabled, not when Cilium is installed.
        """
        secret = self._kube(source).get(f"{CA_SECRET}/cilium-ca")
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            secret["metadata"].pop(field, None)
        self._kube(target).request("POST", CA_SECRET, body=secret)

    def _wait(self, cluster: Cluster, workloads: tuple[tuple[str, str], ...]) -> None:
        """``cilium status --wait``."""

        def look() -> str | None:
            for kind, name in workloads:
                workload = self._kube(cluster).workload(kind, cilium.NAMESPACE, name)
                if workload is None or not workload.is_ready:
                    return f"{name} is not ready"
            return None

        self._wait_until(cluster, "Cilium", look)

    def _not_connected(self, cluster: Cluster) -> str | None:
        """``cilium clustermesh status --wait``: whether an agent is not connected to a peer, in words."""
        wanted = len(self._workspace.topology.clusters) - 1
        for pod in self._kube(cluster).pods(cilium.NAMESPACE, labels="k8s-app=cilium"):
            name = pod["metadata"]["name"]
            told = self._kube(cluster).execute(
                cilium.NAMESPACE, name, ("cilium-dbg", "status", "-o", "json"), container="cilium-agent"
            )
            peers = (json.loads(told).get("cluster-mesh") or {}).get("clusters") or ()
            ready = sum(bool(peer.get("ready")) for peer in peers)
            if ready < wanted:
                return f"{name} is connected to {ready} of {wanted}"
        return None

    def _wait_until(self, cluster: Cluster, what: str, look: Callable[[], str | None]) -> None:
        wait_until(f"{what} in {cluster.name}", look, timeout=WAIT_S, every=1)

    def _check(self) -> None:
        results = check.run(
            self._workspace.topology,
            self._kubes,
            provider=self._provider,
            states=states(self._workspace),
            timeout=WAIT_S,
        )
        if failed := [result for result in results if not result.ok]:
            raise CheckFailed(
                f"{len(failed)} of {len(results)} checks did not hold",
                details="\n".join(f"{result.id}: {result.evidence}" for result in failed),
            )


if __name__ == "__main__":
    main(measure)
