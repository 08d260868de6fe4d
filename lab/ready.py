"""``doctor``: is this host ready for this lab? ``up`` asks first, and may put things right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from lab import console
from lab.addons import catalog
from lab.catalog.place import place
from lab.clients import docker
from lab.errors import InputError
from lab.host import builder, doctor, facts, prepare, tools
from lab.host.doctor import Check, Fix
from lab.plan.resolve import budget
from lab.plan.step import Plan
from lab.settings import Settings
from lab.topology.model import Topology
from lab.topology.read import read_topology
from lab.topology.snapshot import HostSnapshot
from lab.workspace import TOPOLOGIES, Workspace, open_workspace, states


def examine(settings: Settings, topology: str, *, name: str | None) -> tuple[Check, ...]:
    """Every check, for the lab that ``topology`` describes; address clashes are one of them.

    Raises :class:`InputError` for a topology that is wrong on any host.
    """
    try:
        workspace = open_workspace(settings, topology, name=name)
    except InputError as error:
        # Wrong by itself, or only on this host? The second is the doctor's to tell.
        free = read_topology(topology, folder=TOPOLOGIES, snapshot=HostSnapshot(), lab_name=name)
        return _examine(settings, free, problems=error.details.splitlines() or [error.brief])
    return _examine(settings, workspace.topology, problems=(), still_to_make=_still_to_make(workspace))


def make_ready(workspace: Workspace, *, assume_yes: bool) -> None:
    """Have the host ready for the lab, or raise :class:`lab.errors.HostError` with what to do."""
    settings = workspace.settings

    def again() -> Sequence[Check]:
        return _examine(settings, workspace.topology, problems=(), still_to_make=_still_to_make(workspace))

    _put_right(again, assume_yes=assume_yes)


def make_builder_ready(plan: Plan, *, is_built: bool, assume_yes: bool) -> None:
    """Have the host ready to make the images that ``plan`` has still to bring, where they are built here.

    Raises :class:`lab.errors.HostError` with what to do.
    """
    if is_built and any(step.kind == "image-part" for step in plan.pending):
        _put_right(builder.examine, assume_yes=assume_yes)


def _put_right(examine: Callable[[], Iterable[Check]], *, assume_yes: bool) -> None:
    prepare.make_ready(
        examine,
        root=os.geteuid() == 0,
        assume_yes=assume_yes,
        ask=partial(console.confirm, assume_yes=False) if sys.stdin.isatty() else None,
        on_fix=_tell,
    )


def _examine(
    settings: Settings,
    topology: Topology,
    *,
    problems: Sequence[str],
    still_to_make: Sequence[str] | None = None,
) -> tuple[Check, ...]:
    found = facts.observe(settings)
    ports = {
        port: f"API server of {cluster.name}"
        for cluster in topology.clusters
        if (port := cluster.provider_options.get("api_port"))
        and (still_to_make is None or cluster.name in still_to_make)
    }
    return doctor.examine(
        found,
        budget=budget(topology, place(topology, catalog(settings)), still_to_make=still_to_make),
        tools=[tools.state(name, settings) for name in tools.tools()],
        address_problems=problems,
        ports=ports,
        fixes=prepare.fixes(
            replace(settings, isolated=settings.isolated or topology.network.egress == "deny"), found
        ),
    )


def _still_to_make(workspace: Workspace) -> list[str]:
    """The clusters that do not run yet: the others' memory is not free any more, and need not be."""
    try:
        seen = states(workspace)
    except docker.EngineUnreachable:
        seen = {}
    return [
        cluster.name
        for cluster in workspace.topology.clusters
        if cluster.name not in seen or not seen[cluster.name].is_whole(cluster)
    ]


def _tell(fix: Fix) -> None:
    console.note(f"{fix.description} ({fix.command})")
