"""How images best reach nodes: four ways, side by side, and what each takes of time and disk.

import      a bare node image; the archive into all running nodes at once (kind load, which is ctr import)
content     a node image with all images in containerd's content store, not unpacked: every node gets a
            copy of them (its /var is a volume of its own), and unpacks what it starts
unpacked    a node image with all images unpacked and shared by all nodes (lab/images/preload.sh)
registry    a bare node image; one registry on this machine that the nodes' containerd mirrors from.
            Its layers are not compressed, the best case for it: nothing to inflate, nothing to wait for

"Bare" is a node image as kind's own are: Kubernetes' images in it, unpacked. Timed is from the first
``kind create cluster`` (all at once) until a pod of one image, Cilium's agent unless another one is
named, runs on every node. The pod uses the host's network, so no network needs to be installed. Nodes
and images are removed in the end.

Run it from the checkout: .venv/bin/python bench/images.py [--runs 3] [-t hub-spoke] [--ways import,...]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.common import (
    LONG_S,
    MIB,
    at_hand,
    bare_node_image,
    heading,
    load,
    main,
    median,
    own_lab,
    require_absent,
    require_warm,
    row,
    table,
)
from bench.registry import registry
from lab import console, observe
from lab.clients import docker, process
from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused, Unreachable
from lab.clients.wait import wait_until
from lab.down import down
from lab.errors import InputError
from lab.host import sandbox
from lab.images.catalog import CatalogImage, catalog
from lab.images.node import NodeImage
from lab.providers.kind import Kind, bridge_name
from lab.settings import LABEL, from_environment
from lab.supply import Supply
from lab.topology.model import Cluster
from lab.workspace import Workspace, open_workspace

WAYS = ("import", "content", "unpacked", "registry")
AGENT = f"quay.io/cilium/cilium:{observe.CILIUM}"
POD = "/api/v1/namespaces/default/pods"

WAIT = "import time; time.sleep(3600)"

CONTENT_ONLY = """
rm -rf /kind/lab /var/lib/containerd
cat >/run/bench.toml <<EOF
version = 2
state = "/run/bench"
disabled_plugins = ["io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"]
[grpc]
  address = "/run/bench.sock"
EOF
containerd --config /run/bench.toml --log-level error &
daemon=$!
ctr() { command ctr --address /run/bench.sock --namespace k8s.io "$@"; }
tries=0
until ctr version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then exit 1; fi
    sleep 0.1
done
for archive in "$@"; do
    ctr images import --local --no-unpack --label io.cri-containerd.pinned=pinned "$archive"
done
kill "$daemon"
wait "$daemon" || true
rm -rf /run/bench*
"""
"""Runs in a container of a bare node image: containerd's store anew, with contents and nothing unpacked."""


@dataclass(frozen=True)
class Run:
    """Seconds since the start until each point was reached, and what the nodes took of the disk."""

    created: float
    delivered: float
    running: float
    disk_mib: float


@dataclass(frozen=True, kw_only=True)
class BenchKind(Kind):
    """kind, with nodes that mirror from a registry where ``mirrors`` is a folder of hosts.toml files."""

    mirrors: Path | None = None

    def configuration(self, cluster: Cluster) -> dict[str, Any]:
        """See :meth:`lab.providers.kind.Kind.configuration`; the rest is kind's guide, "Local Registry"."""
        tree = super().configuration(cluster)
        if self.mirrors is not None:
            folder = "/etc/containerd/certs.d"
            tree["containerdConfigPatches"] = [
                f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{folder}"\n'
            ]
            for node in tree["nodes"]:
                node["extraMounts"] = [
                    {"hostPath": str(self.mirrors), "containerPath": folder, "readOnly": True}
                ]
        return tree


@dataclass
class Bench:
    """What all ways share."""

    workspace: Workspace
    made_of: Supply
    image: CatalogImage
    tags: dict[str, str] = field(default_factory=dict)
    """The node image of each way."""

    mirrors: Path | None = None
    """Folder of hosts.toml files, while the registry stands."""

    @property
    def archive(self) -> Path:
        """The archive of the image that the pod runs."""
        return self.made_of.source.archive(self.image)

    def run(self, way: str) -> Run:
        """Clusters from nothing, the image to their nodes, a pod on each; all removed again."""
        provider = BenchKind(
            settings=self.workspace.settings,
            lab=self.workspace.lab,
            binary=self.made_of.tool("kind"),
            image=self.tags[way],
            cgroup_v1=docker.engine().cgroup_version == "1",
            mirrors=self.mirrors if way == "registry" else None,
        )
        started = time.monotonic()
        try:
            self.workspace.on_each(lambda name: self._create(provider, name))
            created = time.monotonic()
            if way == "import":
                self.workspace.on_each(self._import)
            delivered = time.monotonic()
            self.workspace.on_each(self._run_pod)
            running = time.monotonic()
            seen = provider.observe(self.workspace.topology).values()
            disk = sum(_disk_mib(node.name) for state in seen for node in state.nodes)
        finally:
            self.workspace.on_each(lambda name: provider.delete(self.workspace.lab, name))
        return Run(created - started, delivered - started, running - started, disk)

    def _create(self, provider: Kind, name: str) -> None:
        kubeconfig = self.workspace.folder.kubeconfig(name)
        provider.create(self.workspace.topology.cluster(name), kubeconfig=kubeconfig, cancelled=None)

    def _import(self, name: str) -> None:
        cluster = self.workspace.topology.context(name)
        kind = self.made_of.tool("kind")
        process.run([kind, "load", "image-archive", self.archive, f"--name={cluster}"], timeout=LONG_S)

    def _run_pod(self, name: str) -> None:
        # A client of its own for each run: the next one finds another cluster under the same name.
        kube = Kube(self.workspace.folder.kubeconfig(name))

        def accepted() -> str | None:
            try:
                kube.request("POST", POD, body=_pod(self.image.reference))
            except (Refused, Unreachable) as error:
                # Until the controllers have made the service account that every pod needs.
                return error.details or error.brief
            return None

        def runs() -> str | None:
            status = kube.get(f"{POD}/bench")["status"]
            states = [each.get("state", {}) for each in status.get("containerStatuses", ())]
            return None if any("running" in state for state in states) else str(states or status.get("phase"))

        wait_until(f"a pod in {name}", accepted, timeout=300, every=0.25)
        wait_until(f"the pod in {name}", runs, timeout=900, every=0.25)


def _pod(image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bench"},
        "spec": {
            "hostNetwork": True,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            # Without a network the node is not ready; what is on the host's network runs all the same.
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "bench",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "3600"] if image == AGENT else ["python3", "-c", WAIT],
                }
            ],
        },
    }


def measure() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-t", "--topology", default="hub-spoke")
    parser.add_argument("--name", type=own_lab, default="bench-images", help="name of the lab (bench-images)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ways", default=",".join(WAYS), help="import, content, unpacked, registry")
    parser.add_argument("--image", default=AGENT, choices=(AGENT, "lab.local/python:3"))
    options = parser.parse_args()
    ways = options.ways.split(",")
    if unknown := set(ways) - set(WAYS):
        raise InputError(f"--ways: there is no {', '.join(unknown)}", remedy=f"Known: {', '.join(WAYS)}.")
    settings = from_environment()
    workspace = open_workspace(settings, options.topology, name=options.name)
    require_absent(settings, workspace)
    made_of = require_warm(workspace)
    bench = Bench(workspace, made_of, catalog()[options.image])
    heading(f"images: {len(workspace.topology.clusters)} nodes, {bench.image.reference}")
    console.out()
    size = bench.archive.stat().st_size / MIB
    console.out(
        f"Seconds from the first `kind create cluster` until a pod of that image ({size:.0f} MiB) runs on "
        "every node; disk is what all nodes take for themselves: their containers' layers and volumes."
    )
    with ExitStack() as stack:
        _make_node_images(bench, ways, stack)
        stack.callback(down, settings, workspace.lab)
        if workspace.isolated:
            sandbox.isolate(bridge_name(workspace.lab), lab=workspace.lab)
        workspace.provider(workspace.topology.clusters[0].name).prepare(workspace.topology)
        if "registry" in ways:
            bench.mirrors = stack.enter_context(
                registry(bench.workspace, bench.archive, bench.image.reference)
            )
        _measure(bench, ways, runs=options.runs)


def _measure(bench: Bench, ways: Sequence[str], *, runs: int) -> None:
    columns = ("way", "run", "load before", "clusters made", "image there", "pod on every node", "disk MiB")
    table(columns)
    found: dict[str, list[Run]] = {way: [] for way in ways}
    # By turns, so that whatever else the machine does meets all of them.
    for number in range(1, runs + 1):
        for way in ways:
            before = load()
            console.note(f"{way}, run {number}")
            run = bench.run(way)
            found[way].append(run)
            row(way, number, before, run.created, run.delivered, run.running, f"{run.disk_mib:.0f}")
    for way, done in found.items():
        disk = median([run.disk_mib for run in done]) or 0.0
        figures = [
            [run.created for run in done],
            [run.delivered for run in done],
            [run.running for run in done],
        ]
        row(way, "median", "", *(median(each) for each in figures), f"{disk:.0f}")


def _make_node_images(bench: Bench, ways: Sequence[str], stack: ExitStack) -> None:
    """The node images of ``ways``, and what they took; each is made once for all labs that use it."""
    table(("node image", "made in, s", "MiB more than the base"))
    bare = bare_node_image(bench.made_of)
    wanted: list[tuple[str, NodeImage]] = [("bare", bare)]
    if "unpacked" in ways:
        full = NodeImage(base=bare.base, archives=[*bare.archives, bench.archive], shim=bare.shim)
        wanted.append(("unpacked", full))
    for name, image in wanted:
        there = image.is_there()
        seconds = stack.enter_context(at_hand(image))
        bench.tags[name] = image.tag
        row(name, "here already" if there else seconds, _more(image.tag, bare.base))
    bench.tags["import"] = bench.tags["registry"] = bench.tags["bare"]
    if "content" in ways:
        started = time.monotonic()
        bench.tags["content"] = tag = _content_only(bench, bare)
        stack.callback(docker.remove_image, tag)
        # Made on top of the bare one, whose unpacked images lie hidden below and are not its own.
        more = _more(tag, bare.base) - _more(bare.tag, bare.base)
        row("content", time.monotonic() - started, more)


def _more(tag: str, base: str) -> float:
    """How much larger, in MiB, one image of the engine's store is than another."""
    sizes = [found.size_bytes if (found := docker.image(each)) else 0 for each in (tag, base)]
    return (sizes[0] - sizes[1]) / MIB


def _content_only(bench: Bench, bare: NodeImage) -> str:
    """A node image with all images in containerd's content store; its tag."""
    console.note("making a node image with contents only")
    images = [*bare.archives[1:], bench.archive]
    name = f"bench-content-{secrets.token_hex(4)}"
    tag = f"bench.local/node:{hashlib.sha256(bare.tag.encode()).hexdigest()[:12]}"
    folder = Path(os.path.commonpath([path.parent for path in images]))
    docker.run_container(
        bare.tag,
        name=name,
        entrypoint="sleep",
        command=["infinity"],
        privileged=True,
        volumes=[f"{folder}:/cache:ro"],
        labels={LABEL: bench.workspace.lab},
    )
    try:
        docker.execute(
            name,
            ["sh", "-eu", "-s", *(f"/cache/{path.relative_to(folder)}" for path in images)],
            input=CONTENT_ONLY,
            timeout=LONG_S,
        )
        docker.commit(name, tag=tag, entrypoint=("/usr/local/bin/entrypoint", "/sbin/init"), command=())
    finally:
        docker.remove_container(name)
    return tag


def _disk_mib(node: str) -> float:
    """What a node takes on disk for itself: its container's own layer, and /var, its volume."""
    layer = process.run(["docker", "inspect", "--size", "--format={{.SizeRw}}", node], timeout=600).stdout
    var = docker.execute(node, ("du", "-skx", "/var"), timeout=600).split()[0]
    return int(layer) / MIB + int(var) / 1024


if __name__ == "__main__":
    main(measure)
