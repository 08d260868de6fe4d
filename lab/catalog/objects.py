"""Kubernetes objects: checked, labelled, each in its namespace, no two of them the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

Object = dict[str, Any]
"""A Kubernetes object as plain data."""

LABEL: Final = "lab/name"
"""As :data:`lab.settings.LABEL`, which is not for pure packages; a test holds the two together."""

ADDON_LABEL: Final = "lab/addon"
"""The label that says which addon an object belongs to."""

ENFORCE: Final = "pod-security.kubernetes.io/enforce"

# https://docs.cilium.io/en/v1.19/network/clustermesh/services/
GLOBAL: Final = "service.cilium.io/global"
AFFINITY: Final = "service.cilium.io/affinity"

# Namespaces that Kubernetes makes itself: nobody else makes, labels or removes them.
KUBERNETES_OWN: Final = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})

# Kinds without a namespace that addons use. An object of any other such kind says so itself, with
# `metadata: {namespace: ""}`.
CLUSTER_SCOPED: Final = frozenset(
    # Kubernetes
    "Namespace Node PersistentVolume StorageClass VolumeAttachment CSIDriver CSINode "
    "CustomResourceDefinition APIService ClusterRole ClusterRoleBinding PriorityClass RuntimeClass "
    "IngressClass FlowSchema "
    "PriorityLevelConfiguration CertificateSigningRequest ValidatingWebhookConfiguration "
    "MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding "
    "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding "
    # Gateway API, Cilium
    "GatewayClass CiliumClusterwideNetworkPolicy CiliumLoadBalancerIPPool CiliumL2AnnouncementPolicy "
    # policies and secrets for whole clusters
    "ClusterPolicy ClusterCleanupPolicy GlobalContextEntry ClusterSecretStore ClusterExternalSecret "
    "ClusterGenerator ClusterPushSecret".split()
)

# Where the pod template of a workload is.
_POD_TEMPLATES: Final = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), ("spec", "template")),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def fault_of(thing: object) -> str:
    """Say why ``thing`` is no Kubernetes object; empty if it is one."""
    if not isinstance(thing, dict):
        return "this is not a Kubernetes object: it is not a mapping"
    for key in ("apiVersion", "kind"):
        if not isinstance(thing.get(key), str) or not thing[key]:
            return f"this is not a Kubernetes object: {key} is missing or not text"
    metadata = thing.get("metadata")
    if not isinstance(metadata, dict):
        return f"this {thing['kind']} has no metadata"
    if not isinstance(metadata.get("name"), str) or not metadata["name"]:
        return f"this {thing['kind']} has no metadata.name"
    if not isinstance(metadata.get("namespace", ""), str):
        return f"the namespace of this {thing['kind']} is not text"
    if not isinstance(metadata.get("labels") or {}, dict):
        return f"the labels of this {thing['kind']} are not a mapping"
    return ""


def placed_in(thing: Object, namespace: str) -> Object:
    """Return the object in ``namespace`` if it is of a kind that has one, and names none.

    ``namespace: ""`` is for objects without a namespace whose kind is not in :data:`CLUSTER_SCOPED`.
    """
    metadata = dict(thing["metadata"])
    own = metadata.pop("namespace", None)
    if own != "" and thing["kind"] not in CLUSTER_SCOPED:
        metadata["namespace"] = own or namespace
    return thing | {"metadata": metadata}


def labelled(thing: Object, labels: dict[str, str]) -> Object:
    """Return the object with ``labels``, and with them on the pods and the claims that it makes."""
    made: Object = _with_labels(thing, labels)
    path = _POD_TEMPLATES.get(thing["kind"], ())
    for depth in range(2, len(path) + 1, 2):
        made = _at(made, path[:depth], labels)
    claims = made.get("spec", {}).get("volumeClaimTemplates") if thing["kind"] == "StatefulSet" else None
    if isinstance(claims, list):
        spec = made["spec"] | {"volumeClaimTemplates": [_with_labels(claim, labels) for claim in claims]}
        made = made | {"spec": spec}
    return made


def near_first(thing: Object) -> Object:
    """Return the object; a Service of all clusters that says of no backends to go first prefers near ones."""
    notes = thing["metadata"].get("annotations")
    is_global = thing["kind"] == "Service" and isinstance(notes, dict) and notes.get(GLOBAL) == "true"
    if not is_global or AFFINITY in notes:
        return thing
    return thing | {"metadata": thing["metadata"] | {"annotations": notes | {AFFINITY: "local"}}}


def _at(thing: Any, path: Sequence[str], labels: dict[str, str]) -> Any:
    """Label what is at ``path``; something else than a mapping on the way is left to the API server."""
    if not path:
        return _with_labels(thing, labels)
    if not isinstance(thing, dict) or path[0] not in thing:
        return thing
    return thing | {path[0]: _at(thing[path[0]], path[1:], labels)}


def _with_labels(thing: Any, labels: dict[str, str]) -> Any:
    if not isinstance(thing, dict):
        return thing
    metadata = thing.get("metadata") or {}
    return thing | {"metadata": metadata | {"labels": (metadata.get("labels") or {}) | labels}}


def namespace_object(name: str, *, pod_security: str) -> Object:
    """Return a Namespace that enforces a Pod Security level."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {ENFORCE: pod_security}},
    }


def identity(thing: Object) -> tuple[str, str, str, str]:
    """Return what no two objects of a cluster share: API group, kind, namespace and name."""
    group, slash, _ = thing["apiVersion"].rpartition("/")
    metadata = thing["metadata"]
    return group if slash else "", thing["kind"], metadata.get("namespace", ""), metadata["name"]


def namespaces(things: Iterable[Object]) -> Iterator[str]:
    """Yield the namespace of each object that has one."""
    for thing in things:
        if name := thing["metadata"].get("namespace"):
            yield name


def fingerprint(things: Iterable[Object]) -> str:
    """Return a name for what ``things`` say: the same for the same objects in the same order."""
    text = json.dumps(list(things), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
