"""``verify``: the mesh's own checks, and each addon's, now."""

from __future__ import annotations

from threading import Event

from lab import console
from lab.actions import examine
from lab.errors import HostError
from lab.installed import Installed, placed
from lab.mesh import check
from lab.result import CheckResult
from lab.settings import Settings
from lab.workspace import open_workspace, states


def verify(settings: Settings, topology: str, *, name: str | None, quiet: bool) -> list[CheckResult]:
    """The result of every check, each printed as it comes unless ``quiet``.

    Raises :class:`HostError` when the lab is not there. That all hold is remembered for the nodes as
    they run now, so that ``up`` need not prove it again.
    """
    workspace = open_workspace(settings, topology, name=name)
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
    addons = Installed(workspace, placed(workspace), nodes)
    return examine(addons, on_result=tell, cancelled=Event())
