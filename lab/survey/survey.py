"""Looks at clusters that others made before all else, and refuses what a lab cannot live with.

Their topology says which networks they have; what they run, how many nodes they have and what else is there
is read. Nothing is changed: the kubeconfigs that this needs are in a folder that goes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from lab import observe
from lab.catalog.place import Placed
from lab.clients import docker
from lab.clients.kube import Kube
from lab.clients.kube_objects import Refused
from lab.document.position import Problem, in_order, listed
from lab.errors import HostError, InputError, LabError
from lab.survey import facts as reading
from lab.survey.facts import Facts
from lab.survey.judge import finder, judge
from lab.topology.model import Cluster
from lab.workspace import Workspace

_ANSWER_S: Final = 10.0

_FORBIDDEN: Final = ' is forbidden: User "'
"""What an API server says of what somebody may not do; then who, which verb, and on what."""

_NEEDED: Final = (
    ("list", "", "nodes"),
    ("create", "", "namespaces"),
    ("delete", "", "namespaces"),
    ("create", "", "secrets"),
    ("patch", "", "configmaps"),
    ("create", "apps", "daemonsets"),
    ("create", "apps", "deployments"),
    ("delete", "apps", "deployments"),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("delete", "apiextensions.k8s.io", "customresourcedefinitions"),
)
"""What is asked of a cluster: verb, group, resource. Whoever may do these is its administrator."""

_ADMIN: Final = "Take a context of an administrator of the cluster (the role cluster-admin)."


def survey(workspace: Workspace, placed: Sequence[Placed], *, source: str) -> Workspace:
    """``workspace`` with those clusters that others made as they are: their nodes, and what they run.

    ``placed`` are the addons that are wanted, ``source`` is where images come from. Raises
    :class:`InputError` with every problem of every such cluster, each with its place in the topology.
    """
    theirs = [cluster for cluster in workspace.topology.clusters if not cluster.traits.makes]
    if not theirs:
        return workspace
    with TemporaryDirectory() as folder, ThreadPoolExecutor(max_workers=min(16, len(theirs))) as pool:
        looked = list(pool.map(lambda cluster: _look(workspace, cluster, Path(folder)), theirs))
    problems = [found for found in looked if isinstance(found, Problem)]
    facts = {
        cluster.name: found
        for cluster, found in zip(theirs, looked, strict=True)
        if not isinstance(found, Problem)
    }
    here = any(cluster.traits.containers for cluster in theirs)
    running = {each.name for each in docker.containers() if each.running} if here else set()
    problems += judge(
        workspace.topology, facts, placed, cilium=observe.CILIUM, source=source, containers=running
    )
    if problems:
        lines = [str(problem) for problem in in_order(problems)]
        count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
        raise InputError(
            f"{count} with clusters of {workspace.topology.path.name}",
            details="\n".join(lines),
            remedy="Nothing was changed.",
        )
    clusters = tuple(
        replace(each, nodes=facts[each.name].nodes, kubernetes=facts[each.name].version)
        if each.name in facts
        else each
        for each in workspace.topology.clusters
    )
    return replace(workspace, topology=replace(workspace.topology, clusters=clusters))


def _look(workspace: Workspace, cluster: Cluster, folder: Path) -> Facts | Problem:
    """What is true of ``cluster``, or why nothing can be told of it."""
    problem, context = finder(cluster), cluster.provider_options["context"]
    kubeconfig = folder / f"{cluster.name}.yaml"
    try:
        workspace.provider(cluster.name).create(cluster, kubeconfig=kubeconfig, cancelled=None)
        kube = Kube(kubeconfig, timeout=_ANSWER_S)
        if missing := _not_allowed(kube):
            return problem(
                "existing.context",
                f"context {context} may not {listed(missing, most=4)}",
                _ADMIN,
            )
        return reading.read(kube, lab=workspace.lab)
    except Refused as error:
        if error.status == 401:
            return problem(
                "existing.context",
                f"the API server does not accept the credentials of context {context} (401: {error.details})",
                f"They may have expired: log in again, until kubectl --context {context} get nodes works.",
            )
        return problem("existing.context", f"{error.brief}: {error.details}", "Give the context that right.")
    except (InputError, HostError) as error:
        return problem("existing.context", error.brief, error.remedy)
    except LabError as error:
        if _FORBIDDEN in error.details:
            return problem("existing.context", f"context {context} may not: {error.details}", _ADMIN)
        return problem(
            "existing.context",
            f"context {context} reaches nothing: {error.brief} ({error.details})",
            f"See to it that kubectl --context {context} get nodes works from this machine.",
        )


def _not_allowed(kube: Kube) -> list[str]:
    """What the user of a context may not do, in words."""
    missing = []
    for verb, group, resource in _NEEDED:
        attributes = {"verb": verb, "group": group, "resource": resource}
        answer = kube.ask(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
        )
        if '"allowed":true' not in answer[1].replace(" ", ""):
            missing.append(f"{verb} {resource}{f'.{group}' if group else ''}")
    return missing
