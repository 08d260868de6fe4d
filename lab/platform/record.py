"""What is installed of an addon on a cluster, as the cluster itself remembers it.

One ConfigMap for each addon. It names every object that was applied, so that what leaves an addon, and an
addon that leaves the topology, can be removed without looking for it: even one that lies in no catalog any
more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from lab.catalog.objects import Object
from lab.clients.kube import Kube
from lab.clients.kube_objects import Reference
from lab.settings import LABEL

NAMESPACE = "kube-system"
_PREFIX = "lab-addon-"
_KIND_LABEL = "lab/record"
_PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


@dataclass(frozen=True)
class Record:
    """An addon on a cluster. ``fingerprint`` is empty while its objects are being changed."""

    addon: str
    fingerprint: str
    version: str
    needs: tuple[str, ...]
    """Names of the addons that it needs, as ``CLUSTER/ADDON``: they are removed after it."""

    objects: tuple[Reference, ...]
    """In the order in which they were applied."""


def references(objects: Iterable[Object]) -> tuple[Reference, ...]:
    """Return what finds each of ``objects`` again."""
    return tuple(
        Reference(
            api_version=thing["apiVersion"],
            kind=thing["kind"],
            namespace=thing["metadata"].get("namespace", ""),
            name=thing["metadata"]["name"],
        )
        for thing in objects
    )


def joined(first: Sequence[Reference], second: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return all of ``first``, then what only ``second`` has."""
    return tuple(dict.fromkeys((*first, *second)))


def records(kube: Kube) -> dict[str, Record]:
    """Return what is installed on a cluster, by the addons' names."""
    found = kube.get(_PATH, query={"labelSelector": f"{_KIND_LABEL}=addon"})["items"]
    made = [_read(item["data"]) for item in found]
    return {record.addon: record for record in made}


def write(kube: Kube, record: Record, *, lab: str) -> None:
    """Remember ``record`` on the cluster."""
    kube.apply([_manifest(record, lab=lab)])


def forget(kube: Kube, addon: str) -> None:
    """Remove the record of ``addon``; nothing happens if there is none."""
    kube.delete(f"{_PATH}/{_PREFIX}{addon}")


def _manifest(record: Record, *, lab: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{_PREFIX}{record.addon}",
            "namespace": NAMESPACE,
            "labels": {LABEL: lab, _KIND_LABEL: "addon"},
        },
        "data": {
            "addon": record.addon,
            "fingerprint": record.fingerprint,
            "version": record.version,
            "needs": json.dumps(record.needs),
            "objects": json.dumps([astuple(each) for each in record.objects]),
        },
    }


def _read(data: dict[str, Any]) -> Record:
    return Record(
        addon=data["addon"],
        fingerprint=data["fingerprint"],
        version=data["version"],
        needs=tuple(json.loads(data["needs"])),
        objects=tuple(Reference(*each) for each in json.loads(data["objects"])),
    )
