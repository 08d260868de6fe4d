"""What the host lacks for a lab: judgements over facts, each with a remedy for this very system.

Pure: :mod:`lab.host.facts` looks, and :mod:`lab.host.prepare` acts. A check that is ``ok`` but has
a remedy is advice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from lab.host import remedies
from lab.host.container_engine import RUNTIME, Condition
from lab.host.facts import Disk, Facts
from lab.plan.step import Budget

MINIMUM_ENGINE: Final = (20, 10)
"""kind needs Docker 20.10 for its cgroup namespaces; older ones are out of support everywhere."""

INOTIFY_INSTANCES: Final = 512
INOTIFY_WATCHES: Final = 524288
"""kind's known issues, "Pod Errors Due to 'too many open files'": the fourth cluster fails below them."""

MINIMUM_CPUS: Final = 2
"""What kubeadm's preflight asks of a control-plane node ("NumCPU")."""

_NEEDED_CAPABILITIES: Final = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}
_CAP_SYS_RESOURCE: Final = 24

_CLOCK_TOLERANCE: Final = timedelta(hours=1)
"""Files from another time zone's or another machine's clock are this much ahead at most."""

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ToolState:
    """A program that a lab needs: its version if it was found, and which one is needed."""

    name: str
    version: str | None
    needed: str
    ok: bool
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Fix:
    """What puts a failed check right: in words, as the command a user would type, and as a deed."""

    description: str
    command: str
    apply: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One judgement. ``remedy`` is empty where there is nothing to do or to advise."""

    id: str
    ok: bool
    found: str
    needed: str
    remedy: str = ""
    fix: Fix | None = None

    def as_json(self) -> dict[str, Any]:
        """The check as ``doctor --json`` prints it."""
        return {
            "id": self.id,
            "ok": self.ok,
            "found": self.found,
            "needed": self.needed,
            "remedy": self.remedy,
        }


def examine(
    facts: Facts,
    *,
    budget: Budget,
    tools: Sequence[ToolState] = (),
    address_problems: Sequence[str] = (),
    ports: Mapping[int, str] | None = None,
    fixes: Mapping[str, Fix] | None = None,
) -> tuple[Check, ...]:
    """Judge the host. ``ports`` are local TCP ports that a lab will listen on, and what for.

    ``budget`` is what is still to be made: what a lab that runs already takes is not free any more.
    ``address_problems`` are clashes as checking a topology reports them. ``fixes`` (by the check's
    id) are attached to the checks that fail. While the engine does not answer, what only it can
    tell is left out.
    """
    checks = [_engine(facts)]
    if facts.engine.engine is not None:
        checks += [_engine_mode(facts), _cpus(facts, budget)]
        checks += [_memory(facts, budget), *_disks(facts, budget)]
        checks += [_cgroups(facts)]
    if facts.engine_is_here:
        checks += [_inotify(facts), _capabilities(facts), *_kernel(facts)]
    checks += [_clock(facts), _ports(facts, ports or {}), _addresses(address_problems)]
    checks += [_tool(tool) for tool in tools]
    available = fixes or {}
    return tuple(check if check.ok else replace(check, fix=available.get(check.id)) for check in checks)


def _engine(facts: Facts) -> Check:
    needed = f"Docker Engine {_dotted(MINIMUM_ENGINE)} or later, running"
    state = facts.engine
    if state.engine is None:
        words = {
            Condition.ABSENT: ("not installed", remedies.install_engine(facts.system)),
            Condition.STOPPED: ("installed, not running", remedies.start_engine(facts.system)),
            Condition.FORBIDDEN: ("running, but not for this user", remedies.ENGINE_GROUP),
        }
        found, remedy = words.get(
            state.condition, (str(state.condition), remedies.start_engine(facts.system))
        )
        return Check(id="engine", ok=False, found=found, needed=needed, remedy=remedy)
    ok = version_of(state.engine.version) >= MINIMUM_ENGINE
    remedy = "" if ok else remedies.install_engine(facts.system)
    found = f"{state.engine.version} on {state.engine.operating_system}"
    return Check(id="engine", ok=ok, found=found, needed=needed, remedy=remedy)


def _engine_mode(facts: Facts) -> Check:
    """Ways of running Docker that kind (its "Known Issues") or Cilium cannot live with."""
    engine = facts.engine.engine
    check = Check(
        id="engine-mode", ok=True, found="an ordinary engine", needed="rootful, without an init of its own"
    )
    if engine is not None and engine.rootless:
        return replace(check, ok=False, found="rootless", remedy=remedies.ROOTLESS)
    if facts.daemon_config.get("init") is True:
        return replace(check, ok=False, found='"init": true in daemon.json', remedy=remedies.ENGINE_INIT)
    if engine is not None and engine.storage_driver == "vfs":
        return replace(check, found="storage driver vfs, a full copy for each layer", remedy=remedies.VFS)
    if facts.snap:
        return replace(check, found="the docker command is a snap", remedy=remedies.SNAP)
    return check


def _cpus(facts: Facts, budget: Budget) -> Check:
    enough = facts.cpus >= budget.cpus
    return Check(
        id="cpus",
        ok=facts.cpus >= min(MINIMUM_CPUS, budget.cpus),
        found=f"{facts.cpus}",
        needed=f"{budget.cpus:g}; with fewer, at least {MINIMUM_CPUS}, everything takes longer",
        remedy="" if enough else remedies.more(facts.system, "CPUs", here=facts.engine_is_here),
    )


def _memory(facts: Facts, budget: Budget) -> Check:
    # In a VM the engine tells only how much there is at all, not how much of it is free.
    available = facts.memory_bytes if facts.memory_available_bytes is None else facts.memory_available_bytes
    ok = available >= budget.memory_mib * _MIB
    total = facts.memory_bytes // _MIB
    found = f"{available // _MIB} MiB free of {total} MiB" if facts.engine_is_here else f"{total} MiB in all"
    return Check(
        id="memory",
        ok=ok,
        found=found,
        needed=f"{budget.memory_mib} MiB free",
        remedy="" if ok else remedies.more(facts.system, "memory", here=facts.engine_is_here),
    )


def _disks(facts: Facts, budget: Budget) -> list[Check]:
    """The engine's disk for images and nodes, and the cache's for the same images as archives."""
    checks = []
    if facts.engine_disk is not None:
        checks.append(_disk("disk", facts.engine_disk, budget, remedies.ENGINE_DISK))
    if facts.engine_disk is None or facts.engine_disk.device != facts.cache_disk.device:
        checks.append(_disk("disk-cache", facts.cache_disk, budget, remedies.CACHE_DISK))
    return checks


def _disk(id: str, disk: Disk, budget: Budget, remedy: str) -> Check:
    ok = disk.free_bytes >= budget.disk_mib * _MIB
    return Check(
        id=id,
        ok=ok,
        found=f"{disk.free_bytes // _MIB} MiB free at {disk.path}",
        needed=f"{budget.disk_mib} MiB free",
        remedy="" if ok else remedy,
    )


def _inotify(facts: Facts) -> Check:
    instances, watches = facts.inotify_instances, facts.inotify_watches
    ok = (instances is None or instances >= INOTIFY_INSTANCES) and (
        watches is None or watches >= INOTIFY_WATCHES
    )
    return Check(
        id="inotify",
        ok=ok,
        found=f"{instances} instances, {watches} watches for a user",
        needed=f"{INOTIFY_INSTANCES} instances, {INOTIFY_WATCHES} watches",
        remedy="" if ok else remedies.INOTIFY,
    )


def _cgroups(facts: Facts) -> Check:
    legacy = facts.cgroup_version == "1"
    return Check(
        id="cgroups",
        ok=True,
        found=f"version {facts.cgroup_version}",
        needed="version 2, or version 1 with kubelets that are told to accept it",
        # KEP-5573: from 1.35 on a kubelet refuses version 1 unless failCgroupV1 is false.
        remedy=remedies.CGROUP_V1 if legacy else "",
    )


def _capabilities(facts: Facts) -> Check:
    needed = "all that privileged containers are given"
    bounding = facts.bounding_set if facts.bounding_set is not None else -1
    missing = [name for bit, name in _NEEDED_CAPABILITIES.items() if not bounding >> bit & 1]
    if missing:
        found = f"{', '.join(missing)} missing from the bounding set"
        return Check(id="capabilities", ok=False, found=found, needed=needed, remedy=remedies.UNPRIVILEGED)
    if bounding >> _CAP_SYS_RESOURCE & 1:
        return Check(id="capabilities", ok=True, found="none missing", needed=needed)
    engine = facts.engine.engine
    ok = facts.shim_configured and (engine is None or engine.default_runtime == RUNTIME)
    return Check(
        id="capabilities",
        ok=ok,
        found=f"CAP_SYS_RESOURCE missing, {'made up for by the' if ok else 'and no'} runtime shim",
        needed=needed,
        remedy="" if ok else remedies.SHIM,
    )


def _kernel(facts: Facts) -> Iterable[Check]:
    words = {True: "there", False: "missing", None: "unknown"}
    for feature in facts.kernel_features:
        need = feature.need
        lacking = feature.present is False
        yield Check(
            id=f"kernel/{need.name}",
            ok=not (lacking and need.required),
            found=f"{words[feature.present]} ({feature.how})",
            needed=f"{'for' if need.required else 'optional, for'} {need.what_for}",
            remedy=remedies.kernel(facts.system, need) if lacking else "",
        )


def _clock(facts: Facts) -> Check:
    clock = facts.clock
    ok = clock.now >= clock.at_least - _CLOCK_TOLERANCE
    time = clock.now.strftime("%Y-%m-%d %H:%M UTC")
    words = {True: "synchronised", False: "not synchronised", None: "synchronisation unknown"}
    return Check(
        id="clock",
        ok=ok,
        found=f"{time}, {words[clock.synchronised]}",
        needed=f"after {clock.at_least:%Y-%m-%d}, so that certificates are valid",
        remedy=remedies.CLOCK if not ok or clock.synchronised is False else "",
    )


def _ports(facts: Facts, ports: Mapping[int, str]) -> Check:
    taken = [f"{port} ({what_for})" for port, what_for in sorted(ports.items()) if port in facts.listening]
    return Check(
        id="ports",
        ok=not taken,
        found=f"taken: {', '.join(taken)}" if taken else "free",
        needed=", ".join(str(port) for port in sorted(ports)) or "none",
        remedy=remedies.PORTS if taken else "",
    )


def _addresses(problems: Sequence[str]) -> Check:
    return Check(
        id="addresses",
        ok=not problems,
        found="; ".join(problems) or "no clashes",
        needed="no address used by the host, its networks or another lab",
        remedy=remedies.ADDRESSES if problems else "",
    )


def _tool(tool: ToolState) -> Check:
    return Check(
        id=f"tool/{tool.name}",
        ok=tool.ok,
        found=tool.version or "not found",
        needed=tool.needed,
        remedy="" if tool.ok else tool.remedy,
    )


def version_of(text: str) -> tuple[int, ...]:
    """The numbers at the start of a version: ``20.10.24+dfsg1`` is (20, 10, 24)."""
    numbers = []
    for part in text.split("."):
        digits = part[: next((at for at, sign in enumerate(part) if not sign.isdigit()), len(part))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
