"""Have the agents dial their cluster's mesh API server the moment that it serves.

Agents start before it and dial it from then on, under gRPC's default back-off: attempts 1, 2.6, 5, 9, 16,
26, 43 and 70 s after the first (base 1 s, factor 1.6, a fifth of jitter). On two cores it serves some
40 s after their first attempt, so that they then slept for up to 27 s more. An agent dials anew when its
configuration of a peer changes (it watches the mounted Secret), so a comment is added to that. Nothing
depends on it: without it the agents come by themselves, later.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from lab.clients.kube import Kube

_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_PODS = "/api/v1/namespaces/kube-system/pods"

_PEERS = "cilium-clustermesh"
"""The chart's Secret with one etcd client configuration for each peer, which agents mount."""

_MARK = "lab/mesh-served-by"


def redial(kube: Kube) -> None:
    """Tell every agent of the cluster that its mesh API server serves; once for each server's pod."""
    name = kube.pods("kube-system", labels="k8s-app=clustermesh-apiserver")[0]["metadata"]["name"]
    data = kube.get(f"{_SECRETS}/{_PEERS}").get("data", {})
    if changed := marked(data, name):
        kube.merge(f"{_SECRETS}/{_PEERS}", {"data": changed})
    # kubelet writes a changed Secret into a pod's volume when it next looks at the pod, within a minute
    # or so; a change of the pod itself makes it look now.
    for agent in kube.pods("kube-system", labels="k8s-app=cilium"):
        if agent["metadata"].get("annotations", {}).get(_MARK) != name:
            kube.merge(f"{_PODS}/{agent['metadata']['name']}", {"metadata": {"annotations": {_MARK: name}}})


def marked(data: Mapping[str, str], server: str) -> dict[str, str]:
    """Those values of a Secret's ``data`` that do not name ``server`` yet, with a comment that does."""
    comment = f"# {_MARK}: "
    changed = {}
    for peer, value in data.items():
        text = base64.b64decode(value).decode()
        lines = [line for line in text.splitlines() if not line.startswith(comment)]
        if f"{comment}{server}" not in text.splitlines():
            new = "\n".join([*lines, f"{comment}{server}", ""])
            changed[peer] = base64.b64encode(new.encode()).decode()
    return changed
