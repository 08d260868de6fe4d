"""Rules about what each provider needs from a cluster's settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from lab.document.position import Path, Problem, listed
from lab.topology.declare import Declaration, DeclaredCluster
from lab.topology.traits import mib
from lab.topology.versions import minor_of
from lab.topology.vocabulary import PROVIDERS

# kubernetes/kubernetes cmd/kubeadm/app/constants/constants.go: ControlPlaneNumCPU, ControlPlaneMem (in MB);
# `kubeadm init` refuses a control-plane node with less.
CONTROL_PLANE_CPUS: Final = 2
CONTROL_PLANE_MB: Final = 1700

_IMAGE_VERSION: Final = re.compile(r":v?([0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:$|[^0-9.])")


def check_providers(declaration: Declaration, lab: str) -> Iterator[Problem]:
    """Yield what is wrong with provider blocks (foreign, missing, contradictory, too small), and with mixing.

    ``lab`` is the lab's name, with which nodes' names begin.
    """
    yield from _foreign_blocks(declaration)
    yield from _apart(declaration)
    yield from _machine_names(declaration, lab)
    for cluster in declaration.clusters:
        if cluster.provider:
            yield from _RULES[cluster.provider](declaration, cluster)
    yield from _shared(
        declaration, "kind", "api_port", "Two API servers cannot have one port: leave it out in one."
    )
    yield from _shared(
        declaration,
        "existing",
        "context",
        "Give each cluster a context of its own: this would be one cluster twice.",
    )


def _foreign_blocks(declaration: Declaration) -> Iterator[Problem]:
    marks = declaration.document.marks
    used = {cluster.provider for cluster in declaration.clusters}
    for block in PROVIDERS:
        path: Path = ("defaults", block)
        if path in marks and used and "" not in used and block not in used:
            message = f"no cluster is made by {block}"
            yield Problem(marks[path].key, path, message, f"Remove the block, or say provider: {block}.")
        for cluster in declaration.clusters:
            path = (*cluster.path, block)
            if path in marks and cluster.provider not in ("", block):
                message = f"these are settings of {block}, and the cluster is made by {cluster.provider}"
                remedy = f"Remove the block, or say provider: {block}."
                against, where = declaration.source(cluster, "provider")
                yield Problem(
                    marks[path].key, path, message, remedy, against if where != cluster.path else None
                )


def _kind(declaration: Declaration, cluster: DeclaredCluster) -> Iterator[Problem]:
    image = cluster.options.get("image")
    found = _IMAGE_VERSION.search(image) if image else None
    if found is None:
        return
    # A minor version is satisfied by an image of any patch of it, an exact version only by itself.
    wanted, has = cluster.kubernetes, found.group(1)
    if has != wanted and not (wanted == minor_of(wanted) == minor_of(has)):
        position, path = declaration.source(cluster, "kind", "image")
        against, where = declaration.source(cluster, "kubernetes")
        message = f"the image has Kubernetes {has}, and the cluster is to run {wanted}"
        remedy = f'Take an image of {wanted}, or say kubernetes: "{has}".'
        yield Problem(position, path, message, remedy, against if where[-1] == "kubernetes" else None)


def _multipass(declaration: Declaration, cluster: DeclaredCluster) -> Iterator[Problem]:
    cpus = cluster.options.get("cpus")
    if cpus is not None and cpus < CONTROL_PLANE_CPUS:
        position, path = declaration.source(cluster, "multipass", "cpus")
        message = f"{cpus} is fewer than the {CONTROL_PLANE_CPUS} CPUs that kubeadm wants for a control plane"
        yield Problem(position, path, message, f"Write {CONTROL_PLANE_CPUS} or more.")
    memory = cluster.options.get("memory")
    if memory is not None and mib(memory) * 1024**2 < CONTROL_PLANE_MB * 1000**2:
        position, path = declaration.source(cluster, "multipass", "memory")
        message = f"{memory} is less than the {CONTROL_PLANE_MB} MB that kubeadm wants for a control plane"
        yield Problem(position, path, message, "Write 2G or more.")
    if declaration.egress == "deny":
        place, path = declaration.document.key_at(cluster.path), cluster.path
        # They share Multipass' network with those of others, and have sent something before the lab is there.
        message = f"{cluster.name} is a virtual machine, and what it sends cannot be kept on this machine"
        yield Problem(place, path, message, "Say network: {egress: allow}, or provider: kind.")


def _existing(declaration: Declaration, cluster: DeclaredCluster) -> Iterator[Problem]:
    place, path = declaration.document.key_at(cluster.path), cluster.path
    if declaration.egress == "deny":
        message = f"{cluster.name} exists already, and what it sends cannot be kept on this machine"
        remedy = "Say network: {egress: allow}, or have the lab make the cluster."
        yield Problem(place, path, message, remedy)
    if (*path, "count") in declaration.document.marks:
        message = "count makes clusters, and an existing cluster is there already"
        yield Problem(
            declaration.document.key_at((*path, "count")),
            (*path, "count"),
            message,
            "Write each as an entry of its own.",
        )
        return
    if "context" not in cluster.options and (*path, "existing", "context") not in declaration.document.broken:
        message = f"nothing says how to reach {cluster.name}, which exists already"
        yield Problem(
            place, path, message, "Add existing: {context: NAME}, with a context of your kubeconfig."
        )
    if cluster.options.get("faults") == "all" and "nodes" not in cluster.options:
        position, where = declaration.source(cluster, "existing", "faults")
        message = f"all is done to nodes as well, and nothing says what those of {cluster.name} are"
        yield Problem(
            position, where, message, "Add nodes: docker, if they are containers here, or leave it out."
        )
    # Its networks were chosen when it was made. An allocated one would be a guess that every check believes.
    broken = declaration.document.broken
    missing = [
        key
        for key in ("pod_cidr", "service_cidr")
        if getattr(cluster, key) is None and (*path, key) not in broken
    ]
    if missing:
        message = f"{cluster.name} exists already, and its {listed(missing)} cannot be chosen here"
        yield Problem(place, path, message, f"Write what the cluster has as {listed(missing)}.")


_RULES: Final[Mapping[str, Callable[[Declaration, DeclaredCluster], Iterator[Problem]]]] = {
    "kind": _kind,
    "multipass": _multipass,
    "existing": _existing,
}


def _apart(declaration: Declaration) -> Iterator[Problem]:
    """Nodes of all clusters of a mesh must reach one another; machines only know ways to one another."""
    made = [cluster for cluster in declaration.clusters if cluster.provider]
    machines = [cluster for cluster in made if cluster.provider == "multipass"]
    others = [cluster for cluster in made if cluster not in machines]
    if declaration.mesh.kind != "none" and machines and others:
        first, other = machines[0], others[0]
        position, path = declaration.source(first, "provider")
        message = f"nodes of {first.name} are virtual machines, and those of {other.name} do not reach them"
        remedy = "Have multipass make all of the clusters or none, or say mesh: {kind: none}."
        yield Problem(position, path, message, remedy, declaration.document.key_at(other.path))


def _machine_names(declaration: Declaration, lab: str) -> Iterator[Problem]:
    """Multipass' names begin with a letter: its documentation, reference/instance-name-format."""
    machines = [each for each in declaration.clusters if each.provider == "multipass"]
    if machines and not lab[:1].isalpha():
        position, path = declaration.source(machines[0], "provider")
        message = f'names of virtual machines would begin with the lab\'s, "{lab}", and must with a letter'
        yield Problem(position, path, message, "Give the lab another name (name, or --name NAME).")


def _shared(declaration: Declaration, provider: str, key: str, remedy: str) -> Iterator[Problem]:
    seen: dict[object, DeclaredCluster] = {}
    for cluster in declaration.clusters:
        counted = not cluster.ours and (*cluster.path, "count") in declaration.document.marks
        value = cluster.options.get(key) if cluster.provider == provider and not counted else None
        if value is None:
            continue
        if value in seen:
            position, path = declaration.source(cluster, provider, key)
            other, _ = declaration.source(seen[value], provider, key)
            message = f"{value} would be {seen[value].name}'s and {cluster.name}'s"
            yield Problem(position, path, message, remedy, other if other != position else None)
            return
        seen[value] = cluster
