"""Reads what there is of a cluster that others made. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any, Final

from lab.clients.kube import Kube
from lab.clients.kube_objects import CONTROL_PLANE
from lab.mesh import joined
from lab.settings import LABEL
from lab.topology.model import Nodes

_CNI: Final = ("/etc/cni", "/opt/cni")
"""Folders of a node that only a network plugin's DaemonSet mounts (containerd's defaults)."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was read of a cluster."""

    version: str
    nodes: Nodes
    node_names: tuple[str, ...]
    node_addresses: tuple[IPv4Address, ...]
    pods: tuple[IPv4Network, ...]
    """What its nodes give to pods."""

    pod_addresses: tuple[IPv4Address, ...]
    services: tuple[IPv4Network, ...]
    """What services get their addresses of, where the cluster tells (from Kubernetes 1.33 on)."""

    service_addresses: tuple[IPv4Address, ...]
    node_ports: Mapping[int, str]
    storage: Mapping[str, bool]
    """Storage classes, and whether each is the default."""

    plugins: tuple[str, ...]
    """DaemonSets that bring a network to nodes, Cilium's left out."""

    networked: bool
    """Whether any node is ready, and so has a network of some kind."""

    cilium: Mapping[str, str]
    """cilium-config; empty where there is none."""

    cilium_lab: str
    """The lab whose Cilium it is; empty where others installed it."""

    release: joined.Release | None
    other_labs: tuple[str, ...]


def read(kube: Kube, *, lab: str) -> Facts:
    """What is true of a cluster, as the lab called ``lab`` sees it. Raises what the API server raises."""
    nodes = kube.get("/api/v1/nodes")["items"]
    services = kube.get("/api/v1/services")["items"]
    pods = kube.get("/api/v1/pods")["items"]
    sets = kube.get("/apis/apps/v1/daemonsets")["items"]
    classes = kube.get("/apis/storage.k8s.io/v1/storageclasses")["items"]
    namespaces = kube.get("/api/v1/namespaces", query={"labelSelector": LABEL})["items"]
    agents = [each["metadata"] for each in sets if _is_agent(each)]
    control_planes = sum(_is_control_plane(node) for node in nodes)
    return Facts(
        version=kube.get("/version")["gitVersion"].removeprefix("v").partition("+")[0].partition("-")[0],
        nodes=Nodes(control_planes, len(nodes) - control_planes),
        node_names=tuple(node["metadata"]["name"] for node in nodes),
        node_addresses=tuple(
            _addresses(
                each["address"]
                for node in nodes
                for each in node["status"].get("addresses", ())
                if each["type"] == "InternalIP"
            )
        ),
        pods=tuple(
            _networks(
                cidr
                for node in nodes
                for cidr in node["spec"].get("podCIDRs") or [node["spec"].get("podCIDR", "")]
            )
        ),
        pod_addresses=tuple(
            _addresses(pod["status"].get("podIP", "") for pod in pods if not pod["spec"].get("hostNetwork"))
        ),
        services=tuple(_networks(_service_cidrs(kube))),
        service_addresses=tuple(_addresses(each["spec"].get("clusterIP", "") for each in services)),
        node_ports={
            port["nodePort"]: f"{each['metadata']['namespace']}/{each['metadata']['name']}"
            for each in services
            if each["metadata"].get("labels", {}).get(LABEL) != lab
            and each["metadata"]["name"] != "clustermesh-apiserver"
            for port in each["spec"].get("ports", ())
            if "nodePort" in port
        },
        storage={each["metadata"]["name"]: _is_default(each) for each in classes},
        plugins=tuple(
            f"{each['metadata']['namespace']}/{each['metadata']['name']}"
            for each in sets
            if not _is_agent(each) and _brings_network(each)
        ),
        networked=any(
            each["type"] == "Ready" and each["status"] == "True"
            for node in nodes
            for each in node["status"].get("conditions", ())
        ),
        cilium=_cilium_config(kube) if agents else {},
        cilium_lab=agents[0].get("labels", {}).get(LABEL, "") if agents else "",
        release=joined.find(kube) if agents else None,
        other_labs=tuple(sorted({each["metadata"]["labels"][LABEL] for each in namespaces} - {lab})),
    )


def _is_agent(item: Mapping[str, Any]) -> bool:
    return bool(item["metadata"]["name"] == "cilium" and item["metadata"]["namespace"] == "kube-system")


def _is_control_plane(node: Mapping[str, Any]) -> bool:
    return CONTROL_PLANE in node["metadata"].get("labels", {})


def _brings_network(item: Mapping[str, Any]) -> bool:
    volumes: Collection[Mapping[str, Any]] = item["spec"]["template"]["spec"].get("volumes") or ()
    return any((each.get("hostPath") or {}).get("path", "").startswith(_CNI) for each in volumes)


def _is_default(item: Mapping[str, Any]) -> bool:
    annotations = item["metadata"].get("annotations") or {}
    return bool(annotations.get("storageclass.kubernetes.io/is-default-class") == "true")


def _service_cidrs(kube: Kube) -> Iterator[str]:
    status, told = kube.ask("GET", "/apis/networking.k8s.io/v1/servicecidrs")
    if status == 200:
        for item in json.loads(told)["items"]:
            yield from item["spec"]["cidrs"]


def _cilium_config(kube: Kube) -> Mapping[str, str]:
    data: Mapping[str, str] = kube.get("/api/v1/namespaces/kube-system/configmaps/cilium-config")["data"]
    return data


def _addresses(words: Iterable[str]) -> Iterator[IPv4Address]:
    for word in words:
        if word not in ("", "None") and isinstance(address := ip_address(word), IPv4Address):
            yield address


def _networks(words: Iterable[str]) -> Iterator[IPv4Network]:
    for word in dict.fromkeys(filter(None, words)):
        if isinstance(network := ip_network(word), IPv4Network):
            yield network
