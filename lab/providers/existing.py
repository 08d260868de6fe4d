"""Clusters that others made: reached through a kubeconfig context, used as they are, and left so.

Nothing is ever created, stopped or deleted here. What the lab has of such a cluster is a kubeconfig of its
own (0600) with a copy of that one context, which carries a mark: by it the cluster is known to be of the
lab, and forgetting it is removing the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO, Any, Literal

import yaml

from lab.clients import docker
from lab.clients.docker_objects import Container
from lab.clients.kube import Kube
from lab.clients.kube_objects import CONTROL_PLANE
from lab.clients.process import DEFAULT_TIMEOUT_S
from lab.errors import LabError
from lab.host import contexts
from lab.host.doctor import Check
from lab.plan.step import Budget
from lab.providers import containers, files
from lab.providers.base import ClusterState, NodeState
from lab.settings import Settings
from lab.topology.model import Cluster, Topology

_MARK = "lab/existing"
"""Name of the extension in our copy of a context: its content is the nodes that there were then."""

_ANSWER_S = 5.0
"""What the API server has for each question: more, and every command would wait for one that is away."""


@dataclass(frozen=True, kw_only=True)
class Existing:
    """The existing provider."""

    settings: Settings
    lab: str

    @property
    def bridge(self) -> str:
        """See :attr:`lab.providers.base.Provider.bridge`: none, so that such a lab cannot be isolated."""
        return ""

    def checks(self, needed: Budget) -> tuple[Check, ...]:
        """See :meth:`lab.providers.base.Provider.checks`: none, nothing is made."""
        return ()

    def observe(self, topology: Topology) -> dict[str, ClusterState]:
        """See :meth:`lab.providers.base.Provider.observe`: those that the lab has been brought to.

        One whose API server does not answer has the nodes that are containers here, or none that is known.
        """
        known = {cluster.name: self._marked(cluster.name) for cluster in topology.clusters}
        return {
            name: self._state(topology.cluster(name), nodes)
            for name, nodes in known.items()
            if nodes is not None
        }

    def prepare(self, topology: Topology) -> None:
        """See :meth:`lab.providers.base.Provider.prepare`: such clusters share nothing of ours."""

    def create(self, cluster: Cluster, *, kubeconfig: Path, cancelled: Event | None) -> None:
        """Write a kubeconfig (0600) that reaches ``cluster``, and nothing else.

        Raises :class:`InputError` where there is no such context, and what the API server raises.
        """
        named = cluster.provider_options
        config = contexts.taken(
            named["context"], named.get("kubeconfig", ""), name=f"{self.lab}-{cluster.name}"
        )
        files.write(kubeconfig, config)
        nodes = [_named(item) for item in Kube(kubeconfig).get("/api/v1/nodes")["items"]]
        config["contexts"][0]["context"]["extensions"] = [{"name": _MARK, "extension": {"nodes": nodes}}]
        files.write(kubeconfig, config)

    def start(self, cluster: Cluster) -> None:
        """See :meth:`lab.providers.base.Provider.start`: nodes that are no containers start by themselves."""
        containers.start(self._containers(cluster))

    def halt(self, cluster: Cluster, how: Literal["kill", "stop", "pause"]) -> None:
        """See :meth:`lab.providers.base.Provider.halt`."""
        containers.halt(self._containers(cluster), how)

    def run_on(
        self,
        node: str,
        command: tuple[str, ...],
        *,
        input: str | IO[bytes] | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> str:
        """See :meth:`lab.providers.base.Provider.run_on`: on a node that is a container here."""
        return docker.execute(node, command, input=input, timeout=timeout)

    def memory(self, topology: Topology) -> dict[str, int]:
        """See :meth:`lab.providers.base.Provider.memory`: of the nodes that are containers here."""
        return containers.memory(
            {
                node.name: cluster.name
                for cluster in topology.clusters
                for node in self._containers(cluster)
                if node.running
            }
        )

    def clusters(self) -> list[str]:
        """See :meth:`lab.providers.base.Provider.clusters`."""
        names = sorted(path.stem for path in self._folder.glob("*.yaml"))
        return [name for name in names if self._marked(name) is not None]

    def delete(self, lab: str, cluster: str) -> None:
        """Forget a cluster. It stays as it is."""
        if self._marked(cluster) is not None:
            (self._folder / f"{cluster}.yaml").unlink()

    def release(self, lab: str) -> list[str]:
        """See :meth:`lab.providers.base.Provider.release`: nothing is shared."""
        return []

    @property
    def _folder(self) -> Path:
        return self.settings.lab(self.lab) / "kubeconfig"

    def _marked(self, cluster: str) -> list[dict[str, str]] | None:
        """The nodes that the cluster had when it was reached; None if the lab has no such cluster."""
        try:
            config = yaml.safe_load((self._folder / f"{cluster}.yaml").read_text(encoding="utf-8"))
            extensions = config["contexts"][0]["context"].get("extensions", ())
        except (OSError, yaml.YAMLError, LookupError, TypeError):
            return None
        return next((each["extension"]["nodes"] for each in extensions if each["name"] == _MARK), None)

    def _containers(self, cluster: Cluster) -> list[Container]:
        """The nodes of ``cluster`` that are containers here, where its topology says that they are."""
        if not cluster.traits.containers:
            return []
        names = [node["name"] for node in self._marked(cluster.name) or ()]
        return [found for name in names if (found := docker.container(name)) is not None]

    def _state(self, cluster: Cluster, nodes: list[dict[str, str]]) -> ClusterState:
        kube = Kube(self._folder / f"{cluster.name}.yaml", timeout=_ANSWER_S)
        here = {each.name: each for each in self._containers(cluster)}
        try:
            items = kube.get("/api/v1/nodes")["items"]
            host, port = _endpoint(kube)
            proxied = kube.workload("DaemonSet", "kube-system", "kube-proxy") is not None
        except LabError:
            away = [_contained(node, here[node["name"]]) for node in nodes if node["name"] in here]
            return ClusterState(tuple(away))
        seen = [
            _contained(_named(item), here[item["metadata"]["name"]])
            if item["metadata"]["name"] in here
            else _told(item)
            for item in items
        ]
        return ClusterState(tuple(_with_a_door(seen)), endpoint=host, api_port=port, kube_proxy=proxied)


def _endpoint(kube: Kube) -> tuple[str, int]:
    """Address and port of the API server as pods and nodes reach it: what is behind ``kubernetes``."""
    found = kube.get(
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        query={"labelSelector": "kubernetes.io/service-name=kubernetes"},
    )["items"]
    first = found[0]
    return str(first["endpoints"][0]["addresses"][0]), int(first["ports"][0]["port"])


def _named(item: Mapping[str, Any]) -> dict[str, str]:
    """What is remembered of a node."""
    addresses = {each["type"]: each["address"] for each in item["status"].get("addresses", ())}
    role = "control-plane" if CONTROL_PLANE in item["metadata"].get("labels", {}) else "worker"
    return {"name": item["metadata"]["name"], "role": role, "address": addresses.get("InternalIP", "")}


def _contained(node: Mapping[str, str], container: Container) -> NodeState:
    """A node that is a container here; its address may be another after a restart."""
    addresses = list(container.addresses.values())
    address = node["address"] if node["address"] in addresses else next(iter(addresses), "")
    return NodeState(node["name"], _role(node), container.running, address, containers.since(container))


def _told(item: Mapping[str, Any]) -> NodeState:
    """A node as its API server tells of it."""
    node, info = _named(item), item["status"]["nodeInfo"]
    ready = [each["status"] for each in item["status"].get("conditions", ()) if each["type"] == "Ready"]
    return NodeState(node["name"], _role(node), "Unknown" not in ready, node["address"], info["bootID"])


def _role(node: Mapping[str, str]) -> Literal["control-plane", "worker"]:
    return "control-plane" if node["role"] == "control-plane" else "worker"


def _with_a_door(nodes: list[NodeState]) -> list[NodeState]:
    """A managed control plane shows no nodes; then each of them will do where one is to be reached."""
    if any(node.role == "control-plane" for node in nodes):
        return nodes
    return [NodeState(node.name, "control-plane", node.running, node.address, node.since) for node in nodes]
