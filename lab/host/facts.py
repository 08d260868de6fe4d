"""What there is on the host. Observing only: ``lab.host.doctor`` says what is missing."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from lab.clients import docker, process
from lab.errors import LabError
from lab.host import container_engine, kernel, network
from lab.settings import LABEL, PROJECT, Settings
from lab.topology.snapshot import ContainerNetwork, HostSnapshot, LabCluster, OtherLab

log = logging.getLogger(__name__)

_TOOL_S = 20.0

_DATED = ("*.py", "lab/**/*.py", "addons/**/*.yaml", "topologies/*.yaml")
"""Files of the checkout whose age says how late it is at least."""


@dataclass(frozen=True, kw_only=True)
class System:
    """The operating system that we run in."""

    name: str
    """``linux``, ``darwin`` or another of ``sys.platform``."""

    id: str
    """``ID`` of os-release (``debian``, ``fedora``), or ``macos``."""

    family: tuple[str, ...]
    """``id`` and what it is like (``ID_LIKE``)."""

    pretty: str
    architecture: str
    kernel: str
    root: bool
    systemd: bool
    wsl: bool
    """Windows Subsystem for Linux."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Free space of the file system that holds ``path``."""

    path: Path
    free_bytes: int
    total_bytes: int
    device: int
    """Equal for paths on the same file system."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """What the host's clock shows."""

    now: datetime
    synchronised: bool | None
    """With a time server; None where nobody can say."""

    at_least: datetime
    """It cannot be earlier: the newest file of the checkout."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The host, at one moment. None stands for "not on this system" or "could not be found out"."""

    system: System
    engine: container_engine.EngineState
    engine_is_here: bool
    """The containers run in this kernel: not in Docker Desktop's VM, not behind DOCKER_HOST."""

    daemon_config: Mapping[str, Any]
    """/etc/docker/daemon.json; empty where there is none that can be read."""

    snap: bool
    """The docker command is Ubuntu's snap."""

    shim_configured: bool
    cpus: int
    memory_bytes: int
    memory_available_bytes: int | None
    engine_disk: Disk | None
    cache_disk: Disk
    inotify_instances: int | None
    inotify_watches: int | None
    cgroup_version: str | None
    bounding_set: int | None
    kernel_features: tuple[kernel.Feature, ...]
    clock: Clock
    listening: frozenset[int]


def observe(settings: Settings) -> Facts:
    """Look at everything. Changes nothing, and takes a second or two."""
    system = observe_system()
    engine = container_engine.look()
    here = engine_is_here(system, engine)
    root_dir = engine.engine.root_dir if engine.engine else Path("/var/lib/docker")
    return Facts(
        system=system,
        engine=engine,
        engine_is_here=here,
        daemon_config=_daemon_config() if here else {},
        snap=_is_snap(),
        shim_configured=container_engine.shim_configured(),
        cpus=engine.engine.cpus if engine.engine else os.cpu_count() or 1,
        memory_bytes=engine.engine.memory_bytes if engine.engine else memory("MemTotal") or 0,
        memory_available_bytes=memory("MemAvailable") if here else None,
        engine_disk=disk(root_dir) if here else None,
        cache_disk=disk(settings.cache),
        inotify_instances=_number(Path("/proc/sys/fs/inotify/max_user_instances")) if here else None,
        inotify_watches=_number(Path("/proc/sys/fs/inotify/max_user_watches")) if here else None,
        cgroup_version=engine.engine.cgroup_version if engine.engine else _cgroup_version(),
        bounding_set=container_engine.bounding_set() if here else None,
        kernel_features=kernel.features() if here else (),
        clock=Clock(now=datetime.now(UTC), synchronised=_synchronised(), at_least=_newest()),
        listening=network.listening_ports(),
    )


def snapshot(settings: Settings) -> HostSnapshot:
    """What a lab's addresses could collide with, as planning wants it.

    Other labs are found by the labels of their networks and by the addresses that they keep in
    their state folder, so that a suspended lab is left alone too.
    """
    return HostSnapshot(
        routes=network.routes(),
        networks=_container_networks(),
        resolvers=network.resolvers(),
        labs=other_labs(settings.state / "labs"),
    )


def other_labs(folder: Path) -> tuple[OtherLab, ...]:
    """The labs with addresses in ``folder``; one whose file cannot be read is left out, and logged."""
    found = []
    for file in sorted(folder.glob("*/addresses.json")):
        try:
            kept = json.loads(file.read_text())
            clusters = tuple(
                LabCluster(name, IPv4Network(cluster["pod_cidr"]), IPv4Network(cluster["service_cidr"]))
                for name, cluster in kept["clusters"].items()
            )
            nodes = IPv4Network(kept["node_cidr"]) if kept.get("node_cidr") else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s was left out: %s", file, error)
            continue
        found.append(OtherLab(file.parent.name, clusters, nodes))
    return tuple(found)


def observe_system() -> System:
    """The operating system, from os-release and the kernel."""
    release = _os_release() if sys.platform == "linux" else {}
    identity = release.get("ID", "macos" if sys.platform == "darwin" else sys.platform)
    kernel_release = platform.release()
    return System(
        name=sys.platform,
        id=identity,
        family=(identity, *release.get("ID_LIKE", "").split()),
        pretty=release.get("PRETTY_NAME") or platform.platform(terse=True),
        architecture=platform.machine(),
        kernel=kernel_release,
        root=os.geteuid() == 0,
        systemd=container_engine.has_systemd(),
        wsl="microsoft" in kernel_release.lower(),
    )


def engine_is_here(system: System, state: container_engine.EngineState) -> bool:
    """Whether containers run in the kernel that we run in.

    The engine tells its kernel's release; Docker Desktop runs a VM also on Linux, and says so.
    """
    if system.name != "linux":
        return False
    if state.engine is None:
        return not os.environ.get("DOCKER_HOST")
    return (
        state.engine.kernel == system.kernel and "docker desktop" not in state.engine.operating_system.lower()
    )


def disk(path: Path) -> Disk:
    """The file system that holds ``path``, or will when ``path`` is made."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    usage = shutil.disk_usage(existing)
    return Disk(path=path, free_bytes=usage.free, total_bytes=usage.total, device=existing.stat().st_dev)


def _container_networks() -> tuple[ContainerNetwork, ...]:
    try:
        networks = docker.networks()
    except docker.EngineUnreachable:
        return ()
    return tuple(
        ContainerNetwork(
            item.name,
            tuple(IPv4Network(subnet) for subnet in item.subnets if ":" not in subnet),
            item.labels.get(LABEL),
        )
        for item in networks
    )


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _is_snap() -> bool:
    found = process.find("docker")
    return found is not None and (str(found).startswith("/snap/") or found.resolve() == Path("/usr/bin/snap"))


def _daemon_config() -> Mapping[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        config = json.loads(container_engine.DAEMON_JSON.read_text())
        if isinstance(config, dict):
            return config
    return {}


def memory(key: str) -> int | None:
    """A line of /proc/meminfo in bytes; on macOS the machine's memory, whatever the key."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _cgroup_version() -> str | None:
    if not Path("/sys/fs/cgroup").is_dir():
        return None
    # The root of the unified hierarchy lists its controllers in a file of this name (cgroups(7)).
    return "2" if Path("/sys/fs/cgroup/cgroup.controllers").is_file() else "1"


def _synchronised() -> bool | None:
    try:
        answer = process.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"], timeout=_TOOL_S
        )
    except LabError:
        return None
    return {"yes": True, "no": False}.get(answer.stdout.strip())


def _newest() -> datetime:
    stamps = [file.stat().st_mtime for pattern in _DATED for file in PROJECT.glob(pattern)]
    return datetime.fromtimestamp(max(stamps, default=0.0), UTC)
