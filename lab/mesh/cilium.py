"""Cilium's values for one cluster of the mesh: everything is declared in the first installation.

No connect step follows: the peers' names, addresses and ports are values, as Cilium's own CI has
them (conformance-clustermesh.yaml), so that installing twice is the same as installing once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from lab.mesh.ca import Authority
from lab.settings import LABEL
from lab.topology.model import Cluster, Topology

RELEASE = "cilium"
NAMESPACE = "kube-system"
CONFIG_LABEL = "lab-config"
"""Label on the release's record: a hash of the values, by which an up-to-date release is known."""

MESH_WORKLOADS: Final[tuple[tuple[Literal["Deployment"], str], ...]] = (
    ("Deployment", "clustermesh-apiserver"),
)
NETWORK_WORKLOADS = (("DaemonSet", "cilium"), ("Deployment", "cilium-operator"))

IMAGES = {
    "image": "quay.io/cilium/cilium",
    "operator.image": "quay.io/cilium/operator",
    "clustermesh.apiserver.image": "quay.io/cilium/clustermesh-apiserver",
}
"""Where the chart takes each image from; the operator's variant (-generic) is the chart's to add."""


def values(
    topology: Topology,
    cluster: Cluster,
    *,
    endpoint: str,
    port: int = 6443,
    peers: Mapping[str, Sequence[str]],
    authority: Authority,
    image_tag: str,
    kube_proxy: bool = False,
    pulled: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The chart's values for ``cluster``.

    With a ``kube_proxy``, services stay its own. ``pulled`` are images that nodes pull for themselves, and
    what they call them.
    ``endpoint`` and ``port`` are its API server's as its nodes reach it, ``peers`` the node addresses of
    every other cluster by name, ``image_tag`` the version of Cilium's images. Sources: Cilium's installation
    guides for kind and for Cluster Mesh, and the chart's own values.yaml (1.19).
    """

    def image(repository: str) -> dict[str, Any]:
        name = (pulled or {}).get(f"{repository}:{image_tag}")
        return {
            "tag": image_tag,
            "useDigest": False,
            "pullPolicy": "IfNotPresent",
            **({"override": name} if name else {}),
        }

    tree: dict[str, Any] = {
        "commonLabels": {LABEL: topology.name},
        "cluster": {"name": cluster.name, "id": cluster.id},
        "image": image(IMAGES["image"]),
        "operator": {"replicas": 1, "image": image(f"{IMAGES['operator.image']}-generic")},
        "ipam": {"mode": "kubernetes"},
        "routingMode": "tunnel",
        "tunnelProtocol": topology.mesh.tunnel,
        "kubeProxyReplacement": not kube_proxy,
        "k8sServiceHost": endpoint,
        "k8sServicePort": port,
        # Cilium's Envoy has no source recipe, and nothing here needs policies on layer 7.
        "envoy": {"enabled": False},
        "l7Proxy": False,
        "hubble": {"enabled": False},
        "tls": {
            "ca": {
                "cert": base64.b64encode(authority.certificate).decode(),
                "key": base64.b64encode(authority.key).decode(),
            }
        },
    }
    if not cluster.traits.makes:
        # To leave nodes as they were found: no configuration that names it, no taint.
        tree["cni"] = {"uninstall": True}
        tree["operator"]["setNodeTaints"] = False
    if topology.mesh.kind == "cilium":
        mesh_image = image(IMAGES["clustermesh.apiserver.image"])
        tree["clustermesh"] = _mesh(topology, cluster, peers=peers, image=mesh_image)
    return tree


def fingerprint(tree: Mapping[str, Any], *, chart: str) -> str:
    """A hash of ``tree`` and the ``chart``'s version, short enough for a label's value."""
    return hashlib.sha256(json.dumps([chart, tree], sort_keys=True).encode()).hexdigest()[:32]


def _mesh(
    topology: Topology, cluster: Cluster, *, peers: Mapping[str, Sequence[str]], image: Mapping[str, Any]
) -> dict[str, Any]:
    stale = topology.mesh.stale_backends
    return {
        "useAPIServer": True,
        "maxConnectedClusters": topology.mesh.max_clusters,
        # It begins when the loss is noticed, which takes 60 to 150 s: of a cluster's heartbeats, one a
        # minute, two must be missing (pkg/kvstore/etcd.go, statusChecker), and that is looked at every 30 s.
        "cacheTTL": f"{stale.seconds}s" if stale.policy == "drop_after" else "0s",
        "apiserver": {
            "image": image,
            # A port of its own in each cluster: with the same one, kube-proxy replacement makes
            # agents talk to their own mesh API server instead of the peer's (cilium#24692).
            "service": {"type": "NodePort", "nodePort": cluster.mesh_port},
            # All clusters start at once, and a mesh API server that waits for its peers before it
            # calls itself ready is waited for by them: each gave up after 15 s, and its clients
            # came back from their own back-off up to 40 s later (seen in kvstoremesh's log).
            "readinessProbe": {"periodSeconds": 1},
            "kvstoremesh": {
                "readinessProbe": {"periodSeconds": 1},
                "extraArgs": ["--per-cluster-ready-timeout=1s"],
            },
        },
        "config": {
            "enabled": True,
            "clusters": [
                {"name": peer.name, "port": peer.mesh_port, "ips": list(peers[peer.name])}
                for peer in topology.clusters
                if peer.name in peers and peer.name != cluster.name
            ],
        },
    }
