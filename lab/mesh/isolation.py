"""The network policy that cuts a cluster's pods off from all other clusters and from the outside.

It needs nothing but the cluster's API server. What it cannot refuse without breaking the cluster itself stays
open, and docs/degrade.md tells it: nodes, where it has several, and what comes in through one of its own.
"""

from __future__ import annotations

from typing import Any, Final

from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference
from lab.mesh.check import rendered
from lab.topology.model import Topology

POLICY: Final = Reference("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "", "lab-isolate")


def policy(topology: Topology, cluster: str, kube: Kube) -> dict[str, Any]:
    """The policy for ``cluster``, whose API is ``kube``, as its nodes and its API server are now.

    Raises what ``kube`` raises.
    """
    nodes = kube.get("/api/v1/nodes")["items"]
    [made] = rendered(
        "lab.mesh",
        "isolation.yaml.j2",
        lab=topology.name,
        cluster=cluster,
        alone=len(nodes) == 1,
        api=[
            f"{address}/32"
            for address in sorted(
                _api_servers(kube)
                - {each["address"] for node in nodes for each in node["status"].get("addresses", ())}
            )
        ],
        ports=[each.mesh_port for each in topology.clusters if each.name != cluster],
    )
    return made


def _api_servers(kube: Kube) -> set[str]:
    """The IPv4 addresses at which pods find the API server: what is behind ``kubernetes``."""
    found = kube.get(
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        query={"labelSelector": "kubernetes.io/service-name=kubernetes"},
    )["items"]
    return {
        address
        for each in found
        if each["addressType"] == "IPv4"
        for endpoint in each.get("endpoints") or ()
        for address in endpoint["addresses"]
    }
