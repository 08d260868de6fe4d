"""A Cilium that others installed: what it is, how it joins the mesh, and how it is given back as it was.

It is upgraded with the chart that its own release holds, so that nothing of it changes but what the mesh
needs; given back, it is rolled back to the revision that was there, and Helm's history is put back, too.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lab.clients.helm import Helm
from lab.clients.kube import Kube
from lab.clients.wait import wait_until
from lab.mesh import cilium
from lab.mesh.ca import Authority
from lab.topology.model import Cluster, Topology

_HISTORY: Final = "owner=helm,name=cilium"
_SECRETS: Final = f"/api/v1/namespaces/{cilium.NAMESPACE}/secrets"
_PART: Final = "app.kubernetes.io/part-of=cilium"

_TRACES: Final[tuple[tuple[str, str], ...]] = (
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", ""),
    (f"/apis/coordination.k8s.io/v1/namespaces/{cilium.NAMESPACE}/leases", ""),
    # What a changed Deployment or DaemonSet leaves of its earlier forms.
    (f"/apis/apps/v1/namespaces/{cilium.NAMESPACE}/replicasets", _PART),
    (f"/apis/apps/v1/namespaces/{cilium.NAMESPACE}/controllerrevisions", _PART),
)
"""What Cilium makes while it runs, so that no chart takes it away: lists, and the labels to ask for."""

NEWEST_APART: Final = 1
"""Minor versions that the Ciliums of a mesh may be apart (Cilium's Cluster Mesh guide, "Requirements")."""


@dataclass(frozen=True)
class Release:
    """The release that was there before the lab: its revision, its chart, what was given to it."""

    revision: int
    chart: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Version of Cilium, without a ``v``."""
        return str(self.chart["metadata"]["version"]).removeprefix("v")


def find(kube: Kube) -> Release | None:
    """The newest release of Cilium that is not the lab's; None where there is none.

    Ours are known by the label that every installation of ours puts on its record.
    """
    items = kube.get(_SECRETS, query={"labelSelector": f"{_HISTORY},!{cilium.CONFIG_LABEL}"})["items"]
    found = [(int(item["metadata"]["labels"]["version"]), item) for item in items]
    if not found:
        return None
    revision, newest = max(found, key=lambda each: each[0])
    # Base64 by Kubernetes, base64 by Helm, then gzip (helm/pkg/storage/driver/util.go).
    packed = base64.b64decode(base64.b64decode(newest["data"]["release"]))
    return Release(revision, json.loads(gzip.decompress(packed))["chart"])


def values(
    topology: Topology,
    cluster: Cluster,
    release: Release,
    *,
    peers: Mapping[str, Sequence[str]],
    authority: Authority,
    image_tag: str,
    pulled: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What ``release`` is given besides what it has: the cluster's name and id, the CA, and the mesh."""
    ours = cilium.values(
        topology,
        cluster,
        endpoint="",
        peers=peers,
        authority=authority,
        image_tag=image_tag,
        pulled=pulled,
    )
    taken: dict[str, Any] = {key: ours[key] for key in ("cluster", "tls", "clustermesh") if key in ours}
    if "clustermesh" in taken and f"v{release.version}" != image_tag:
        # Of its own version, as its chart has it.
        del taken["clustermesh"]["apiserver"]["image"]
    # Agents and operator read name and id when they start.
    return {**taken, "rollOutCiliumPods": True, "operator": {"rollOutPods": True}}


def write_chart(release: Release, folder: Path) -> Path:
    """Write the chart that ``release`` holds into ``folder``, as Helm reads charts; return its folder."""
    chart = release.chart
    root = folder / f"cilium-{release.version}"
    contents = {
        "Chart.yaml": yaml.safe_dump(chart["metadata"]).encode(),
        "values.yaml": yaml.safe_dump(chart.get("values") or {}).encode(),
    }
    for each in (*(chart.get("templates") or ()), *(chart.get("files") or ())):
        # Go writes the content of an empty file as null.
        contents[each["name"]] = base64.b64decode(each["data"] or "")
    if schema := chart.get("schema"):
        contents["values.schema.json"] = base64.b64decode(schema)
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def before(cluster: str) -> str:
    """Name of the file, in the lab's folder, with what is to be :func:`remember`-ed of a cluster."""
    return f"cilium-before-{cluster}"


def remember(kube: Kube) -> str:
    """What there is of Cilium before the lab touches it, for :func:`take_off`. Holds keys: for 0600 alone."""
    history = kube.get(_SECRETS, query={"labelSelector": _HISTORY})["items"]
    kept = [{key: item[key] for key in ("metadata", "data")} for item in history]
    return json.dumps({"history": kept, "traces": sorted(_traces(kube))})


def take_off(kube: Kube, helm: Helm, remembered: str, *, timeout: float) -> None:
    """Take the lab's Cilium off a cluster, or give the one that was there back as it was ``remembered``.

    ``timeout`` is in seconds. Where nothing is remembered, the lab has not touched any.
    """
    if not remembered:
        return
    before = json.loads(remembered)
    if kube.secrets(cilium.NAMESPACE, labels=f"{_HISTORY},{cilium.CONFIG_LABEL}"):
        revisions = [int(each["metadata"]["labels"]["version"]) for each in before["history"]]
        if revisions:
            helm.rollback(cilium.RELEASE, max(revisions), namespace=cilium.NAMESPACE, timeout=timeout)
            _wait_for_agents(kube, timeout=timeout)
            _put_back(kube, before["history"])
        else:
            helm.uninstall(cilium.RELEASE, namespace=cilium.NAMESPACE, timeout=timeout)
            _wait_for_the_end(kube, timeout=timeout)
    leaving = _traces(kube) - set(before["traces"])
    for path in sorted(leaving):
        kube.delete(path)

    def still() -> str | None:
        return next((f"{path} is still there" for path in sorted(leaving & _traces(kube))), None)

    wait_until("the end of what Cilium made", still, timeout=timeout)


def _traces(kube: Kube) -> set[str]:
    """Where the API has what Cilium makes while it runs, but for what serves at this moment."""
    return {
        f"{path}/{item['metadata']['name']}"
        for path, labels in _TRACES
        for item in _made_by_cilium(kube, path, labels)
    }


def _made_by_cilium(kube: Kube, path: str, labels: str) -> Iterator[Mapping[str, Any]]:
    for item in kube.get(path, query={"labelSelector": labels} if labels else None)["items"]:
        spec = item.get("spec") or {}
        if path.endswith("customresourcedefinitions") and not spec["group"].endswith("cilium.io"):
            continue
        if path.endswith("leases") and not item["metadata"]["name"].startswith("cilium"):
            continue
        if path.endswith("replicasets") and spec.get("replicas"):
            continue
        yield item


def _wait_for_agents(kube: Kube, *, timeout: float) -> None:
    def look() -> str | None:
        for kind, name in cilium.NETWORK_WORKLOADS:
            workload = kube.workload(kind, cilium.NAMESPACE, name)
            if workload is None or not workload.is_ready:
                return f"{name} is not ready"
        return None

    wait_until("Cilium as it was", look, timeout=timeout)


def _wait_for_the_end(kube: Kube, *, timeout: float) -> None:
    """Wait for Cilium's last pod: one that ends may still make anew what is taken away meanwhile."""

    def look() -> str | None:
        left = kube.pods(cilium.NAMESPACE, labels=_PART)
        return f"{left[0]['metadata']['name']} is still there" if left else None

    wait_until("the end of Cilium's pods", look, timeout=timeout)


def _put_back(kube: Kube, history: Sequence[Mapping[str, Any]]) -> None:
    """Have Helm's records be what they were: those before the lab as they were, and no others."""
    for each in history:
        path = f"{_SECRETS}/{each['metadata']['name']}"
        # In a merge, null takes away: Helm has added labels of its own meanwhile.
        gone = dict.fromkeys(kube.get(path)["metadata"].get("labels", {}))
        kube.merge(
            path, {"metadata": {"labels": {**gone, **each["metadata"]["labels"]}}, "data": each["data"]}
        )
    names = {each["metadata"]["name"] for each in history}
    later = [each for each in kube.secrets(cilium.NAMESPACE, labels=_HISTORY) if each["name"] not in names]
    # The lab's own last: by them it is known that there is something to give back.
    for metadata in sorted(later, key=lambda each: cilium.CONFIG_LABEL in each["labels"]):
        kube.delete(f"{_SECRETS}/{metadata['name']}")
