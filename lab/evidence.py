"""What a cluster says of itself when a step on it has failed."""

from __future__ import annotations

from lab.catalog.objects import ADDON_LABEL
from lab.clients.kube import Kube
from lab.errors import LabError
from lab.mesh import cilium
from lab.plan.step import Step
from lab.platform.pods import Waiting, waiting
from lab.workspace import Workspace

_LINES = 5
"""Of a container's log: its last words."""


def evidence(workspace: Workspace, step: Step) -> str:
    """Containers that do not run, what they said last, and warnings; empty where no cluster can be asked."""
    if step.cluster is None:
        return ""
    kube = workspace.kubes[step.cluster]
    if not kube.kubeconfig.exists():
        return ""
    lines = []
    path, query = _pods_of(step)
    for pod in kube.get(path, query=query)["items"]:
        for each in waiting(pod):
            lines += [str(each), *_last_words(kube, each)]
    return "\n".join([*lines, *kube.warnings(limit=8)])


def _pods_of(step: Step) -> tuple[str, dict[str, str]]:
    """Where the API has the pods that a step is about: an addon's, or those of the network."""
    if step.kind.startswith("addon"):
        return "/api/v1/pods", {"labelSelector": f"{ADDON_LABEL}={step.id.split('/')[1]}"}
    return f"/api/v1/namespaces/{cilium.NAMESPACE}/pods", {}


def _last_words(kube: Kube, each: Waiting) -> list[str]:
    try:
        log = kube.log(each.namespace, each.pod, container=each.container, lines=_LINES)
    except LabError:
        return []
    return [f"    {line}" for line in log.splitlines()]
