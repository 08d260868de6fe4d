"""Hosts made up for tests: a sound one, and what is different about the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.clients.docker_objects import Engine
from lab.host.container_engine import Condition, EngineState
from lab.host.facts import Clock, Disk, Facts, System
from lab.host.kernel import NEEDS, Feature

GIB = 1024**3

SYSTEM = System(
    name="linux",
    id="debian",
    family=("debian",),
    pretty="Debian GNU/Linux 12",
    architecture="x86_64",
    kernel="6.1.0",
    root=True,
    systemd=True,
    wsl=False,
)

ENGINE = Engine(
    version="28.0.1",
    cgroup_version="2",
    storage_driver="overlay2",
    cpus=8,
    memory_bytes=16 * GIB,
    root_dir=Path("/var/lib/docker"),
    rootless=False,
    operating_system="Debian GNU/Linux 12",
    architecture="x86_64",
    kernel="6.1.0",
    default_runtime="runc",
    runtimes=("runc",),
)

SOUND = Facts(
    system=SYSTEM,
    engine=EngineState(condition=Condition.RUNNING, engine=ENGINE),
    engine_is_here=True,
    daemon_config={},
    snap=False,
    shim_configured=False,
    cpus=8,
    memory_bytes=16 * GIB,
    memory_available_bytes=12 * GIB,
    engine_disk=Disk(path=Path("/var/lib/docker"), free_bytes=90 * GIB, total_bytes=200 * GIB, device=1),
    cache_disk=Disk(path=Path("/home/x/.cache"), free_bytes=90 * GIB, total_bytes=200 * GIB, device=1),
    inotify_instances=512,
    inotify_watches=524288,
    cgroup_version="2",
    bounding_set=0x1FFFFFFFFFF,
    kernel_features=tuple(Feature(need=need, present=True, how="test") for need in NEEDS),
    clock=Clock(
        now=datetime(2026, 11, 21, 9, tzinfo=UTC),
        synchronised=True,
        at_least=datetime(2026, 11, 20, tzinfo=UTC),
    ),
    listening=frozenset({22}),
)


def with_engine(**changes: Any) -> Facts:
    """The sound host with another engine."""
    return replace(SOUND, engine=replace(SOUND.engine, engine=replace(ENGINE, **changes)))


def without_engine(condition: Condition) -> Facts:
    """The sound host with an engine that does not answer."""
    return replace(SOUND, engine=EngineState(condition=condition))
