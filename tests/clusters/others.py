"""Clusters that others made, for a lab to join: by plain ``kind create cluster``, Cilium by plain Helm."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.clients import docker, process
from lab.clients.kube import Kube
from lab.clients.wait import wait_until
from lab.host import tools
from lab.providers.kind import Kind
from lab.supply import Supply, supply
from lab.topology.model import Cluster
from tests.clusters.labs import settings, workspace

_KIND_LABEL = "io.x-k8s.kind.cluster"
_READY_S = 300.0


@dataclass(frozen=True)
class Others:
    """Where such clusters stand, and who makes them: all in one container network, as kind has it."""

    network: str
    image: str
    """A node image in the engine's store."""

    kubeconfig: Path
    """One kubeconfig for all of them, as a person has it."""

    home: Path

    def context(self, name: str) -> str:
        """What kind calls the context of a cluster."""
        return f"kind-{name}"

    def make(self, name: str, cluster: Cluster, *, kube_proxy: bool = True) -> None:
        """Make a cluster called ``name``: one node, no network plugin, the networks of ``cluster``."""
        kubelet, _ = Kind(
            settings=settings(), lab="x", cgroup_v1=docker.engine().cgroup_version == "1"
        ).configuration(cluster)["kubeadmConfigPatches"]
        config = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": {
                "apiServerAddress": "127.0.0.1",
                "podSubnet": str(cluster.pod_cidr),
                "serviceSubnet": str(cluster.service_cidr),
                "disableDefaultCNI": True,
                **({} if kube_proxy else {"kubeProxyMode": "none"}),
            },
            "nodes": [{"role": "control-plane", "image": self.image}],
            # What kubelets need on restricted and on old hosts: of the machine, not of the lab.
            "kubeadmConfigPatches": [kubelet],
        }
        process.run(
            [
                tools.tool_path("kind", settings()),
                "create",
                "cluster",
                f"--name={name}",
                "--config=-",
                f"--kubeconfig={self.kubeconfig}",
                "--wait=0s",
            ],
            input=yaml.safe_dump(config),
            env={"KIND_EXPERIMENTAL_DOCKER_NETWORK": self.network},
            timeout=600,
        )
        wait_until(f"the API server of {name}", lambda: self._missing(name), timeout=_READY_S)

    def kube(self, name: str) -> Kube:
        """The API of a cluster, through a kubeconfig of the test's own."""
        read = yaml.safe_load(self.kubeconfig.read_text())
        own = self.home / f"{name}.yaml"
        own.write_text(yaml.safe_dump({**read, "current-context": self.context(name)}))
        own.chmod(0o600)
        return Kube(own)

    def install_cilium(self, name: str, made_of: Supply, values: Mapping[str, Any]) -> None:
        """Install Cilium as anybody would, and wait until it serves."""
        process.run(
            [
                tools.tool_path("helm", settings()),
                "install",
                "cilium",
                made_of.source.chart("cilium"),
                "--namespace=kube-system",
                "--values=-",
            ],
            env={"KUBECONFIG": str(self.kube(name).kubeconfig), "HELM_CACHE_HOME": str(self.home / "helm")},
            input=json.dumps(values),
            timeout=300,
        )
        kube = self.kube(name)

        def look() -> str | None:
            for kind, workload in (
                ("DaemonSet", "cilium"),
                ("Deployment", "cilium-operator"),
                ("Deployment", "coredns"),
            ):
                found = kube.workload(kind, "kube-system", workload)
                if found is None or not found.is_ready:
                    return f"{workload} is not ready"
            return None

        wait_until(f"Cilium in {name}", look, timeout=_READY_S)

    def nodes(self) -> dict[str, str]:
        """What stands there: the id of every node, and since when it runs, by name."""
        return {
            each.name: f"{each.id} {each.started_at} {each.status}"
            for each in docker.containers(labels={_KIND_LABEL: None})
            if self.network in each.networks
        }

    def remove(self) -> None:
        """Remove everything of this: clusters and the network."""
        for name in self.nodes():
            docker.remove_container(name)
        docker.remove_network(self.network)

    def _missing(self, name: str) -> str | None:
        # The controllers make what every cluster has a moment after the API server is ready.
        kube = self.kube(name)
        if not kube.is_ready():
            return "it is not ready"
        wanted = {"default": "kubernetes", "kube-system": "kube-dns"}
        for namespace, service in wanted.items():
            there = kube.get(f"/api/v1/namespaces/{namespace}/services")["items"]
            if service not in {each["metadata"]["name"] for each in there}:
                return f"the service {service} is not there"
        if not kube.get("/apis/storage.k8s.io/v1/storageclasses")["items"]:
            return "its storage class is not there"
        return None


def made_of() -> Supply:
    """What a lab of the mesh alone is made of: others' clusters are made of the same."""
    return supply(settings(), workspace("pair", "pair").topology, images="auto")


def node_image(made_of: Supply) -> str:
    """The node image, in the engine's store: there already if a lab of the mesh alone was made."""
    assert made_of.node_image is not None
    return made_of.node_image.make(timeout=settings().timeouts.image_transfer, say=lambda _: None)


def remove_leftovers() -> None:
    """Remove what interrupted tests have left: clusters that are no lab's, and the networks they stand in."""
    for network in docker.networks():
        if re.fullmatch("(t-others|lab-t-mixed)-[0-9a-f]{4}", network.name):
            Others(network.name, "", Path(), Path()).remove()


def bridge(network: str) -> str:
    """The host's interface of a test's network."""
    return f"t-{hashlib.sha256(network.encode()).hexdigest()[:10]}"
