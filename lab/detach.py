"""Takes all that a lab has put into a cluster that stays off it again, and leaves the rest as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from lab import graph
from lab.clients.helm import Helm
from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused
from lab.clients.wait import wait_until
from lab.degrade.faults import owed
from lab.degrade.left import Left
from lab.errors import HostError, LabError
from lab.mesh import joined
from lab.platform.install import Installer
from lab.platform.record import records
from lab.settings import LABEL, Timeouts
from lab.state import LabFolder

log = logging.getLogger(__name__)

_NEVER: Final = frozenset({"nodes", "events", "ciliumidentities"})
"""What carries a label of ours without being ours to remove. Identities have the labels of pods; they go with
Cilium, or when its operator finds that no pod has them."""


def detach(folder: LabFolder, lab: str, cluster: str, *, helm: Path, timeouts: Timeouts) -> None:
    """Remove what ``lab`` has on ``cluster``; done again, it continues.

    ``helm`` is the program. Raises :class:`HostError` when the cluster does not answer, and while a fault of
    an experiment stands there: nothing is removed then.
    """
    kube = Kube(folder.kubeconfig(cluster))
    fault = owed(folder)
    if fault is not None and fault.cluster == cluster:
        raise HostError(
            f"a fault of an experiment still stands on {cluster} ({fault.told})",
            remedy="Undo it with ./invoke up, or with another ./invoke degrade, and remove the lab then.",
        )
    try:
        kube.request("GET", "/readyz")
    except LabError as error:
        raise HostError(
            f"{cluster} does not answer, and what the lab has put there cannot be removed",
            details=str(error),
            remedy="Have it answer, or log in again, and remove the lab then: it is still known here. If the "
            f"cluster is gone for good: rm {kube.kubeconfig}",
        ) from error
    Left(folder).remove({cluster: kube})
    _remove_addons(kube, lab, timeout=timeouts.addon_ready)
    _remove_labelled(kube, lab, timeout=timeouts.addon_ready)
    joined.take_off(
        kube,
        Helm(helm, folder.kubeconfig(cluster), folder.path / "helm"),
        folder.read(joined.before(cluster)),
        timeout=timeouts.helm,
    )


def _remove_addons(kube: Kube, lab: str, *, timeout: float) -> None:
    """Remove every addon, each before what it needs."""
    there = records(kube)
    needs = {name: tuple(need for need in each.needs if need in there) for name, each in there.items()}
    installer = Installer(kube, lab, timeout=timeout)
    for name in reversed(graph.order(needs)):
        installer.remove(there[name])


def _remove_labelled(kube: Kube, lab: str, *, timeout: float) -> None:
    """Remove what carries the lab's label and belongs to no other object; what Helm made is Helm's."""

    def remove() -> str | None:
        # Again and again: what others keep for our objects (endpoints, identities) comes back until those go.
        leaving = list(_labelled(kube, lab))
        for path in leaving:
            kube.delete(path)
        return f"{leaving[0]} is still there" if leaving else None

    wait_until("the end of what the lab put there", remove, timeout=timeout)


def _labelled(kube: Kube, lab: str) -> Iterator[str]:
    """Where the API has what carries the lab's label, of every kind that it has."""
    for path in _lists(kube):
        try:
            items = kube.get(path, query={"labelSelector": f"{LABEL}={lab}"})["items"]
        except Refused as error:
            # Some kinds can be listed by nobody, though the API says so (405), or went meanwhile (404).
            log.debug("%s: %s", path, error)
            continue
        for item in items:
            metadata = item["metadata"]
            if metadata.get("ownerReferences") or _is_helms(metadata):
                continue
            yield _path(path, metadata)


def _lists(kube: Kube) -> Iterator[str]:
    """The path of every kind's list, in the version that its group prefers."""
    yield from _of_group("/api/v1", kube.get("/api/v1"))
    for group in kube.get("/apis")["groups"]:
        base = f"/apis/{group['preferredVersion']['groupVersion']}"
        try:
            yield from _of_group(base, kube.get(base))
        except LabError as error:
            # An aggregated API whose server is away: what it serves is its server's own.
            log.debug("%s: %s", base, error)


def _of_group(base: str, told: Mapping[str, Any]) -> Iterator[str]:
    for each in told["resources"]:
        if {"list", "delete"} <= set(each["verbs"]) and each["name"] not in _NEVER:
            yield f"{base}/{each['name']}"


def _path(of_list: str, metadata: Mapping[str, Any]) -> str:
    base, _, plural = of_list.rpartition("/")
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{base}{namespace}/{plural}/{metadata['name']}"


def _is_helms(metadata: Mapping[str, Any]) -> bool:
    return bool(metadata.get("labels", {}).get("app.kubernetes.io/managed-by") == "Helm")
