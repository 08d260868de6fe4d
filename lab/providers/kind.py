"""Clusters of containers, made by kind in a container network of the lab's own.

What kind makes takes no labels of ours, so a cluster is ours when its nodes stand in the network
that carries the lab's label. Every cluster has a kubeconfig file of its own: kind locks the one that
it writes, and two creations at once on a shared file were seen to fail (kind#3782).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Any, Literal

import yaml

from lab.clients import docker, process
from lab.clients.docker_objects import Container
from lab.clients.process import DEFAULT_TIMEOUT_S
from lab.errors import HostError
from lab.host.doctor import Check
from lab.plan.step import Budget
from lab.providers import containers, files, pod_security
from lab.providers.base import ClusterState, NodeState
from lab.settings import LABEL, Settings
from lab.topology.model import Cluster, Topology

_CLUSTER_LABEL = "io.x-k8s.kind.cluster"
_ROLE_LABEL = "io.x-k8s.kind.role"
_ROLES: Mapping[str, Literal["control-plane", "worker", "load-balancer"]] = {
    "control-plane": "control-plane",
    "worker": "worker",
    "external-load-balancer": "load-balancer",
}


def network_name(lab: str) -> str:
    """The container network of the lab."""
    return f"lab-{lab}"


def bridge_name(lab: str) -> str:
    """The host's interface for that network: 15 characters at most, so a long name is hashed."""
    return f"lab-{hashlib.sha256(lab.encode()).hexdigest()[:10]}"


def control_plane_endpoint(name: str, control_planes: int) -> str:
    """Host name of a cluster's API server, as its nodes know it.

    ``name`` is kind's name of the cluster. With several control-plane nodes kind puts a load
    balancer in front of them.
    """
    return f"{name}-external-load-balancer" if control_planes > 1 else f"{name}-control-plane"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The kind provider. ``binary`` is needed only to create clusters."""

    settings: Settings
    lab: str
    binary: Path | None = None
    image: str = ""
    """The node image, in the engine's store already."""

    cgroup_v1: bool = False
    """Whether the engine's machine has cgroup v1, which kubelets from 1.35 on must be told to accept."""

    @property
    def bridge(self) -> str:
        """See :attr:`lab.providers.base.Provider.bridge`."""
        return bridge_name(self.lab)

    def checks(self, needed: Budget) -> tuple[Check, ...]:
        """See :meth:`lab.providers.base.Provider.checks`: none, the doctor knows what containers need."""
        return ()

    def observe(self, topology: Topology) -> dict[str, ClusterState]:
        """See :meth:`lab.providers.base.Provider.observe`."""
        names = {topology.context(cluster.name): cluster.name for cluster in topology.clusters}
        found: dict[str, list[Container]] = defaultdict(list)
        for container in docker.containers(labels={_CLUSTER_LABEL: None}):
            if (cluster := names.get(container.labels[_CLUSTER_LABEL])) is not None:
                found[cluster].append(container)
        if found:
            self._require_ours(found)
        return {
            name: ClusterState(
                tuple(self._node(each) for each in sorted(nodes, key=lambda node: node.name)),
                endpoint=control_plane_endpoint(
                    topology.context(name), topology.cluster(name).nodes.control_plane
                ),
            )
            for name, nodes in found.items()
        }

    def prepare(self, topology: Topology) -> None:
        """See :meth:`lab.providers.base.Provider.prepare`."""
        name = network_name(self.lab)
        for network in docker.networks():
            if network.name == name:
                if network.labels.get(LABEL) != self.lab:
                    raise HostError(
                        f"there is a container network {name} that this lab did not make",
                        remedy=f"Remove it (docker network rm {name}) or give the lab another name (--name).",
                    )
                return
        docker.create_network(
            name,
            subnet=str(topology.network.node_cidr),
            labels={LABEL: self.lab},
            bridge=bridge_name(self.lab),
        )

    def create(self, cluster: Cluster, *, kubeconfig: Path, cancelled: Event | None) -> None:
        """See :meth:`lab.providers.base.Provider.create`."""
        name = f"{self.lab}-{cluster.name}"
        if self.binary is None:
            raise HostError("kind was not found")
        self.delete(self.lab, cluster.name)
        kubeconfig.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kubeconfig.unlink(missing_ok=True)
        self._admission.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # As every file of a lab; the API server reads it as root.
        self._admission.touch(mode=0o600)
        self._admission.write_text(yaml.safe_dump(pod_security.admission()))
        process.run(
            [
                self.binary,
                "create",
                "cluster",
                f"--name={name}",
                "--config=-",
                f"--kubeconfig={kubeconfig}",
                # A node that failed is the evidence; the next attempt removes it.
                "--retain",
                # No node becomes ready before the mesh brings its network: nothing to wait for.
                "--wait=0s",
            ],
            input=yaml.safe_dump(self.configuration(cluster)),
            env={"KIND_EXPERIMENTAL_DOCKER_NETWORK": network_name(self.lab)},
            timeout=self.settings.timeouts.cluster_create,
            cancelled=cancelled,
        )
        # kind calls everything in it kind-NAME.
        files.write(kubeconfig, files.renamed(yaml.safe_load(kubeconfig.read_text()), name))

    def configuration(self, cluster: Cluster) -> dict[str, Any]:
        """kind's configuration of ``cluster`` (kind.x-k8s.io/v1alpha4)."""
        kubelet: dict[str, Any] = {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            # Some sysctls are read-only in a container on a restricted host; elsewhere this is harmless.
            "featureGates": {"KubeletInUserNamespace": True},
            # Where nobody takes logs in, these files are all that there is of them. Of kubelet's default, 5
            # of 10 MiB, an agent that waits loses the middle once two more were begun.
            "containerLogMaxSize": "50Mi",
            "containerLogMaxFiles": 10,
        }
        if self.cgroup_v1:
            kubelet["failCgroupV1"] = False
        nodes = cluster.nodes
        node = {"image": cluster.provider_options.get("image") or self.image, "labels": {LABEL: self.lab}}
        admission = {"hostPath": str(self._admission), "containerPath": pod_security.PATH, "readOnly": True}
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": f"{self.lab}-{cluster.name}",
            "networking": {
                "apiServerAddress": "127.0.0.1",
                **({"apiServerPort": port} if (port := cluster.provider_options.get("api_port")) else {}),
                "podSubnet": str(cluster.pod_cidr),
                "serviceSubnet": str(cluster.service_cidr),
                # The mesh brings both: pods' network and services' addresses.
                "disableDefaultCNI": True,
                "kubeProxyMode": "none",
            },
            "nodes": [
                *[{**node, "role": "control-plane", "extraMounts": [admission]}]
                * cluster.nodes.control_plane,
                *[{**node, "role": "worker"}] * nodes.workers,
            ],
            "kubeadmConfigPatches": [
                yaml.safe_dump(kubelet),
                yaml.safe_dump(pod_security.api_server(cluster.kubernetes)),
            ],
        }

    def start(self, cluster: Cluster) -> None:
        """See :meth:`lab.providers.base.Provider.start`."""
        containers.start(self._containers(f"{self.lab}-{cluster.name}"))

    def halt(self, cluster: Cluster, how: Literal["kill", "stop", "pause"]) -> None:
        """See :meth:`lab.providers.base.Provider.halt`."""
        containers.halt(self._containers(f"{self.lab}-{cluster.name}"), how)

    def run_on(
        self,
        node: str,
        command: tuple[str, ...],
        *,
        input: str | IO[bytes] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> str:
        """See :meth:`lab.providers.base.Provider.run_on`."""
        return docker.execute(node, command, input=input, timeout=timeout)

    def memory(self, topology: Topology) -> dict[str, int]:
        """See :meth:`lab.providers.base.Provider.memory`."""
        return containers.memory(
            {
                node.name: cluster
                for cluster, state in self.observe(topology).items()
                for node in state.nodes
                if node.running
            }
        )

    def clusters(self) -> list[str]:
        """See :meth:`lab.providers.base.Provider.clusters`: those with nodes in the lab's network."""
        ours = {network.name for network in docker.networks(label=f"{LABEL}={self.lab}")}
        names = {
            node.labels[_CLUSTER_LABEL]
            for node in docker.containers(labels={_CLUSTER_LABEL: None})
            if ours.intersection(node.networks)
        }
        # Clusters that others made may stand there, too, so that those of the lab reach them.
        return sorted(name.removeprefix(f"{self.lab}-") for name in names if name.startswith(f"{self.lab}-"))

    def delete(self, lab: str, cluster: str) -> None:
        """See :meth:`lab.providers.base.Provider.delete`."""
        nodes = self._containers(f"{lab}-{cluster}")
        if nodes:
            self._require_ours({cluster: nodes})
        for node in nodes:
            docker.remove_container(node.name)

    def release(self, lab: str) -> list[str]:
        """See :meth:`lab.providers.base.Provider.release`."""
        used = {name for each in docker.containers(labels={_CLUSTER_LABEL: None}) for name in each.networks}
        # One that a cluster of others stands in stays with it.
        leaving = [each.name for each in docker.networks(label=f"{LABEL}={lab}") if each.name not in used]
        for name in leaving:
            docker.remove_network(name)
        return [f"network {name}" for name in leaving]

    @property
    def _admission(self) -> Path:
        """The file that control-plane nodes mount."""
        return self.settings.lab(self.lab) / "pod-security.yaml"

    def _containers(self, name: str) -> list[Container]:
        return docker.containers(labels={_CLUSTER_LABEL: name})

    def _require_ours(self, found: Mapping[str, list[Container]]) -> None:
        ours = {network.name for network in docker.networks(label=f"{LABEL}={self.lab}")}
        for cluster, nodes in found.items():
            foreign = [node.name for node in nodes if not ours.intersection(node.networks)]
            if foreign:
                name = f"{self.lab}-{cluster}"
                raise HostError(
                    f"there is a kind cluster {name} that this lab did not make; it was left alone",
                    details=f"its nodes: {', '.join(foreign)}",
                    remedy="Give the lab another name (--name NAME), or remove it: "
                    f"kind delete cluster --name {name}",
                )

    def _node(self, container: Container) -> NodeState:
        return NodeState(
            name=container.name,
            role=_ROLES.get(container.labels.get(_ROLE_LABEL, ""), "worker"),
            running=container.status == "running",
            address=container.addresses.get(network_name(self.lab), ""),
            since=containers.since(container),
        )
