"""Cluster DNS that works without a network around it.

kubeadm has CoreDNS forward what is not the cluster's to the node's resolver, and the container
engine may ask its own resolvers from the host, past any rule of ours (:mod:`lab.host.sandbox`). So an
isolated lab has a DNS that forwards nothing: other names do not exist, and that is said at once.
"""

from __future__ import annotations

from typing import Any

from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused
from lab.settings import LABEL
from lab.topology.model import Topology

_PATH = "/api/v1/namespaces/kube-system/configmaps/coredns"

_CLUSTER = """\
    errors
    health {
        lameduck 5s
    }
    ready
    prometheus :9153
    cache 30
    loadbalance
    reload
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 30
    }
"""

OPEN = f""".:53 {{
{_CLUSTER}    loop
    forward . /etc/resolv.conf {{
        max_concurrent 1000
    }}
}}
"""
"""What is not the cluster's is asked of the node's resolver."""

CLOSED = f"""cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
{_CLUSTER}}}
.:53 {{
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""
"""What is not the cluster's does not exist."""


def corefile(topology: Topology) -> str:
    """CoreDNS's configuration for the clusters of ``topology``."""
    return CLOSED if topology.network.egress == "deny" else OPEN


def manifest(topology: Topology) -> dict[str, Any]:
    """The ConfigMap that holds it; running servers take it up by themselves, within a minute."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {LABEL: topology.name}},
        "data": {"Corefile": corefile(topology)},
    }


def is_current(kube: Kube, topology: Topology) -> bool:
    """Whether the cluster's DNS is configured so already."""
    try:
        data = kube.get(_PATH).get("data", {})
    except Refused:
        return False
    return bool(data.get("Corefile") == corefile(topology))
