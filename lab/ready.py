"""``doctor``: is this host ready for this lab? ``up`` asks first, and may put things right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from lab import console
from lab.addons import catalog
from lab.catalog.place import place
from lab.errors import DaemonUnreachable, InputError
from lab.host import builder, doctor, facts, prepare, tools
from lab.host.doctor import Check, Fix
from lab.plan.resolve import budget
from lab.plan.step import Plan
from lab.settings import Settings
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
        workspace = Workspace(settings, free, topology)
        return _examine(workspace, problems=error.details.splitlines() or [error.brief])
    return _examine(workspace, still_to_make=_still_to_make(workspace))


def make_ready(workspace: Workspace, *, assume_yes: bool) -> None:
    """Have the host ready for the lab, or raise :class:`lab.errors.HostError` with what to do."""

    def again() -> Sequence[Check]:
        return _examine(workspace, still_to_make=_still_to_make(workspace))

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
    workspace: Workspace, *, problems: Sequence[str] = (), still_to_make: Sequence[str] | None = None
) -> tuple[Check, ...]:
    settings, topology = workspace.settings, workspace.topology
    found = facts.observe(settings)
    placed = place(topology, catalog(settings))
    # Each provider's own checks see to what its nodes are given; all others share what the host has, and
    # all of them its cores.
    sharing = replace(topology, clusters=tuple(each for each in topology.clusters if not each.traits.size))
    ports = {
        port: f"API server of {cluster.name}"
        for cluster in topology.clusters
        if (port := cluster.provider_options.get("api_port"))
        and (still_to_make is None or cluster.name in still_to_make)
    }
    checks = doctor.examine(
        found,
        budget=replace(
            budget(sharing, placed, still_to_make=still_to_make),
            cpus=budget(topology, placed, still_to_make=still_to_make).cpus,
        ),
        tools=[tools.state(name, settings) for name in tools.tools()],
        address_problems=problems,
        ports=ports,
        fixes=prepare.fixes(
            replace(settings, isolated=settings.isolated or topology.network.egress == "deny"), found
        ),
    )
    own = (
        provider.checks(budget(part, placed, still_to_make=still_to_make))
        for provider, part in workspace.shared_out
    )
    return (*checks, *chain.from_iterable(own))


def _still_to_make(workspace: Workspace) -> list[str]:
    """The clusters that do not run yet: the others' memory is not free any more, and need not be."""
    try:
        seen = states(workspace)
    except DaemonUnreachable:
        seen = {}
    return [
        cluster.name
        for cluster in workspace.topology.clusters
        if cluster.name not in seen or not seen[cluster.name].is_whole(cluster)
    ]


def _tell(fix: Fix) -> None:
    console.note(f"{fix.description} ({fix.command})")
