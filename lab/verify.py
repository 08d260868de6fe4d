"""``verify``: the mesh's own checks, and each addon's, now."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event

from lab import console
from lab.actions import examine
from lab.degrade import faults
from lab.errors import HostError
from lab.installed import Installed, absent, placed
from lab.mesh import check
from lab.providers.base import ClusterState
from lab.result import CheckResult
from lab.settings import Settings
from lab.workspace import Workspace, open_workspace, states


def verify(settings: Settings, topology: str, *, name: str | None, quiet: bool) -> list[CheckResult]:
    """The result of every check, each printed as it comes unless ``quiet``.

    Raises :class:`HostError` when the lab is not there. That all hold is remembered for the nodes as
    they run now, so that ``up`` need not prove it again.
    """
    workspace = open_workspace(settings, topology, name=name)
    faults.remind(workspace)
    nodes = states(workspace)
    missing = [cluster.name for cluster in workspace.topology.clusters if cluster.name not in nodes]
    if missing:
        raise HostError(
            f"{workspace.lab}: there is no cluster {' or '.join(missing)} to verify",
            remedy=f"Make it: ./invoke up{workspace.arguments}",
        )

    def tell(result: CheckResult) -> None:
        if not quiet:
            console.out(
                f"{'ok' if result.ok else 'FAILED':6}  {result.id}  {result.seconds:.1f} s  {result.evidence}"
            )

    workspace.on_each(lambda cluster: check.prepare(workspace.topology, cluster, workspace.kubes[cluster]))
    return examine(_installed(workspace, nodes), on_result=tell, cancelled=Event())


def _installed(workspace: Workspace, nodes: Mapping[str, ClusterState]) -> Installed:
    """The addons that are there to be verified; of others of the topology it is said that they are not."""
    wanted = placed(workspace)
    missing = absent(workspace, wanted)
    for each in missing:
        if each.part == "home":
            console.note(f"{each.addon.name} is not installed on {each.cluster}: it is not verified")
    return Installed(workspace, tuple(each for each in wanted if each not in missing), nodes)
