"""``degrade``: take a cluster (or one addon) away, and say of each contract whether it held."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Final

from lab import __version__, console, state
from lab.addons import catalog
from lab.catalog.place import Placed
from lab.clients import docker
from lab.degrade import faults
from lab.degrade.experiment import Experiment
from lab.degrade.faults import Fault
from lab.degrade.history import FILE, read
from lab.degrade.judge import judge
from lab.degrade.prober import boot_id
from lab.degrade.profiles import Profile, profile
from lab.degrade.recorder import Recorder
from lab.degrade.report.write import write_all
from lab.degrade.scope import Away, Case, Skipped, bind, choose
from lab.degrade.told import of_mesh, told
from lab.degrade.verdict import Verdict
from lab.document.position import listed
from lab.engine.signals import asked_to_end
from lab.errors import HostError, InputError, Interrupted
from lab.images.recipe import programs
from lab.installed import Installed, absent, placed
from lab.settings import Settings
from lab.workspace import Workspace, open_workspace, states

FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for on the command line. ``hold`` is in seconds; 0, it is the profile's."""

    topology: str
    name: str | None
    fault: str
    target: str
    profile: str
    hold: float
    contracts: tuple[str, ...]


def degrade(settings: Settings, request: Request, *, quiet: bool) -> tuple[Path, list[Verdict]]:
    """Do one experiment; return its folder, with the history and the reports in it, and the verdicts.

    Raises :class:`InputError` for what cannot be asked for, :class:`HostError` when the lab is not there or
    not whole, and :class:`Interrupted` after Ctrl-C: everything is undone then, and the reports are written.
    """
    wanted = _length(profile(request.profile), request.hold)
    kind = faults.kind(request.fault)
    workspace = open_workspace(settings, request.topology, name=request.name)
    # What the topology has not, its lab has not either: said before anything is looked for.
    declared = placed(workspace)
    mesh = of_mesh(workspace.topology)
    faults.target(workspace.topology, request.target, kind, (*mesh, *declared))
    choose(told(workspace.topology, declared, catalog(settings)), request.contracts)
    say: Callable[[str], None] = (lambda _: None) if quiet else console.note
    with state.locked(settings, workspace.lab):
        installed = _installed(workspace, declared, say)
        there = (*mesh, *installed.placed)
        cluster, component = faults.target(workspace.topology, request.target, kind, there)
        away = Away(cluster, component.addon.name if component else "", kind)
        fault = Fault(kind, cluster, "", away.component)
        chosen = choose(told(workspace.topology, installed.placed, catalog(settings)), request.contracts)
        cases, skipped = bind(
            workspace.topology, chosen, away, addons={each.addon.name for each in installed.placed}
        )
        if not cases:
            reasons = "\n".join(f"{each.contract.id}: {each.reason}" for each in skipped)
            raise InputError(
                f"there is nothing to judge with {fault.target} away",
                details=reasons,
                remedy="Choose another target, or add what is needed to the topology.",
            )
        folder = _folder(settings, f"{kind}-{fault.target.replace('/', '-')}")
        fault = replace(fault, run=folder.name)
        return folder, _experiment(
            workspace, installed, cases, skipped, fault, component, wanted, request, folder=folder, say=say
        )


def judged(folder: Path) -> list[Verdict]:
    """The verdicts on the experiment in ``folder``, from its history alone; reports are written anew."""
    history = read(folder / FILE)
    verdicts = judge(history)
    write_all(folder, history, verdicts)
    return verdicts


def runs(settings: Settings) -> list[Path]:
    """The folders of all experiments, oldest first."""
    root = settings.state / "runs"
    return sorted(path for path in root.iterdir() if (path / FILE).exists()) if root.is_dir() else []


def _experiment(
    workspace: Workspace,
    installed: Installed,
    cases: Collection[Case],
    skipped: Collection[Skipped],
    fault: Fault,
    component: Placed | None,
    wanted: Profile,
    request: Request,
    *,
    folder: Path,
    say: Callable[[str], None],
) -> list[Verdict]:
    cancelled = Event()
    recorder = Recorder(folder / FILE)
    recorder.write(
        "run",
        format=FORMAT,
        run=folder.name,
        lab=workspace.lab,
        topology=workspace.topology.declared_name,
        asked_for={"topology": request.topology, "contract": ",".join(request.contracts)},
        fault=fault.kind,
        target=fault.target,
        profile={
            "name": wanted.name,
            "baseline_s": wanted.baseline,
            "hold_s": wanted.hold,
            "scaled": wanted.scaled,
        },
        versions=_versions(workspace, installed),
        host=_host(workspace),
        boot=boot_id(),
        cases=[case.as_json() for case in cases],
        skipped=[each.as_json() for each in skipped],
    )
    experiment = Experiment(
        workspace, installed.view, tuple(cases), fault, component, wanted, recorder, say, cancelled
    )
    try:
        with asked_to_end(cancelled.set):
            experiment.run()
    finally:
        recorder.close()
        # Whatever came of it: what was seen is judged and reported.
        verdicts = judged(folder)
    if cancelled.is_set():
        raise Interrupted(
            "interrupted; the fault was undone",
            details=f"What was seen until then: {folder}",
        )
    return verdicts


def _installed(workspace: Workspace, declared: Collection[Placed], say: Callable[[str], None]) -> Installed:
    """The lab as it stands, with what of the ``declared`` addons it has.

    Raises :class:`HostError` when it is not there or something of it is down.
    """
    mended = faults.settle(workspace, remedy=f"Make the lab whole: ./invoke up{workspace.arguments}")
    if mended:
        say(f"an earlier experiment was cut off; undone now: {mended}")
    nodes = states(workspace)
    down = [
        cluster.name
        for cluster in workspace.topology.clusters
        if cluster.name not in nodes or not nodes[cluster.name].is_whole(cluster)
    ]
    if not nodes:
        raise HostError(
            f"there is no lab {workspace.lab} to degrade",
            remedy=f"Make it first: ./invoke up{workspace.arguments}",
        )
    if down:
        raise HostError(
            f"{workspace.lab} is not whole, and nothing was broken; down: {listed(down)}",
            remedy=f"Make it whole first: ./invoke up{workspace.arguments}",
        )
    missing = absent(workspace, declared)
    return Installed(workspace, tuple(each for each in declared if each not in missing), nodes)


def _length(wanted: Profile, hold: float) -> Profile:
    if not hold:
        return wanted
    return replace(wanted, hold=hold, scaled=wanted.scaled if hold <= wanted.hold else "")


def _folder(settings: Settings, what: str) -> Path:
    root = settings.state / "runs"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for more in ("", *(f"-{number}" for number in range(2, 100))):
        folder = root / f"{stamp}-{what}{more}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise HostError(f"{root} has too many runs of this second")


def _versions(workspace: Workspace, installed: Installed) -> dict[str, str]:
    kubernetes = {cluster.kubernetes for cluster in workspace.topology.clusters}
    mesh = programs()["cilium"].version.removeprefix("v")
    return {
        "lab": __version__,
        "Kubernetes": ", ".join(sorted(kubernetes)),
        **({"Cilium": mesh} if workspace.topology.mesh.kind == "cilium" else {}),
        **{
            each.addon.upstream.name: each.addon.upstream.version
            for each in installed.placed
            if each.addon.upstream.source
        },
    }


def _host(workspace: Workspace) -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    contained = any(cluster.traits.containers for cluster in workspace.topology.clusters)
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory / 2**30, 1),
        **({"container engine": docker.engine().version} if contained else {}),
    }
