"""Everything that a cluster's API has, object by object, so that before and after can be compared."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused
from lab.clients.wait import wait_until

IN_FLUX = frozenset(
    "events pods ciliumidentities ciliumendpoints certificatesigningrequests componentstatuses".split()
)
"""What controllers make and remove all the time, and not as anybody asks: of these nothing is compared."""

BY_NAME = frozenset(
    "leases endpoints endpointslices replicasets controllerrevisions ciliumnodes ipaddresses csinodes".split()
)
"""What controllers keep up to date: that it is there is compared, and that no more is there."""

OF_WAITING_WORKLOADS = "local-path-storage"
"""Its provisioner takes a lease once it has a network: not what anybody put there."""

_MADE_BY_CONTROLLERS = frozenset(
    {"/api/v1/default/serviceaccounts/default", "/api/v1/kube-system/configmaps/kube-root-ca.crt"}
)
_QUIET_S = 20.0

_CHANGING = frozenset({"resourceVersion", "managedFields", "generation"})
_COUNTED = frozenset({"deprecated.daemonset.template.generation", "deployment.kubernetes.io/revision"})


def inventory(kube: Kube) -> dict[str, str]:
    """Every object by its path, as text; status, counters and who wrote which field are left out."""
    found = {}
    for path in _lists(kube):
        base, _, plural = path.rpartition("/")
        if plural in IN_FLUX:
            continue
        try:
            items = kube.get(path)["items"]
        except Refused:
            continue
        for item in items:
            metadata = item["metadata"]
            namespace = metadata.get("namespace", "")
            if plural in BY_NAME and namespace == OF_WAITING_WORKLOADS:
                continue
            name = f"{base}/{namespace}/{plural}/{metadata['name']}"
            found[name] = "" if plural in BY_NAME else json.dumps(_comparable(plural, item), sort_keys=True)
    return found


def settled(kube: Kube) -> dict[str, str]:
    """The inventory of a new cluster, once its own controllers have made all that they make.

    They have begun when there is what only they make, and are done when nothing has changed for a while.
    """
    found = inventory(kube)
    since = time.monotonic()

    def look() -> str | None:
        nonlocal found, since
        now = inventory(kube)
        if more := differences(found, now):
            found, since = now, time.monotonic()
            return more[0]
        if not found.keys() >= _MADE_BY_CONTROLLERS:
            return "controllers have not begun"
        return None if time.monotonic() - since > _QUIET_S else "nothing has changed for less than that"

    wait_until("a cluster that changes no more", look, timeout=240, every=5)
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What was left behind, what is missing, and what was changed, each with both texts."""
    return [
        *(f"left behind: {name}" for name in sorted(after.keys() - before.keys())),
        *(f"missing: {name}" for name in sorted(before.keys() - after.keys())),
        *(
            f"changed: {name}\n  {before[name]}\n  {after[name]}"
            for name in sorted(before.keys() & after.keys())
            if before[name] != after[name]
        ),
    ]


def _comparable(plural: str, item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _CHANGING}
    annotations = metadata.pop("annotations", {})
    if kept := {key: value for key, value in annotations.items() if key not in _COUNTED}:
        metadata["annotations"] = kept
    made = {key: value for key, value in item.items() if key not in ("status", "metadata")}
    if plural == "nodes":
        # Kubernetes' own, by whether a node is ready: it is not until a network is there, nor afterwards.
        taints = made["spec"].pop("taints", [])
        if ours := [each for each in taints if not each["key"].startswith("node.kubernetes.io/")]:
            made["spec"]["taints"] = ours
    return {**made, "metadata": metadata}


def _lists(kube: Kube) -> Iterator[str]:
    yield from _of("/api/v1", kube.get("/api/v1"))
    for group in kube.get("/apis")["groups"]:
        base = f"/apis/{group['preferredVersion']['groupVersion']}"
        yield from _of(base, kube.get(base))


def _of(base: str, told: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        f"{base}/{each['name']}"
        for each in told["resources"]
        if "list" in each["verbs"] and "/" not in each["name"]
    )
