"""What the container engine has, as plain values: made from its JSON, without asking anything.

The JSON is that of ``docker inspect`` (Engine API v1.41 and later); ``lab.clients.docker`` gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The container engine as it describes itself."""

    version: str
    cgroup_version: str
    """``"1"`` or ``"2"``, of the machine that runs the containers (a VM with Docker Desktop)."""

    storage_driver: str
    cpus: int
    memory_bytes: int
    root_dir: Path
    """Where images and containers lie, seen from the engine: not a path of ours in a VM."""

    rootless: bool
    operating_system: str
    architecture: str
    kernel: str
    default_runtime: str
    runtimes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EngineNetwork:
    """A network of the engine's."""

    name: str
    id: str
    subnets: tuple[str, ...]
    labels: Mapping[str, str]
    bridge: str | None
    """Name of the host's interface for a ``bridge`` network, else None."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container, running or not."""

    name: str
    id: str
    image: str
    """As it was asked for; ``image_id`` is what it then meant."""

    image_id: str
    status: str
    """created, running, paused, restarting, removing, exited or dead."""

    labels: Mapping[str, str]
    addresses: Mapping[str, str]
    """IPv4 address by network; empty while it is not running."""

    networks: tuple[str, ...]
    """The networks that it is in, running or not."""

    started_at: datetime | None
    exit_code: int | None
    """Of its last end; None while it runs and before its first start."""

    env: Mapping[str, str] = field(repr=False)
    """May hold secrets, therefore not in its repr."""

    @property
    def running(self) -> bool:
        """Whether its processes exist and are scheduled (a paused container is not running)."""
        return self.status == "running"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image in the engine's store."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    """``name@sha256:...`` for each registry it was pulled from or pushed to."""

    size_bytes: int
    labels: Mapping[str, str]
    architecture: str


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A named volume."""

    name: str
    driver: str
    labels: Mapping[str, str]


def engine_from(info: Mapping[str, Any]) -> Engine:
    """``docker info`` of an engine that answers."""
    return Engine(
        version=info["ServerVersion"],
        cgroup_version=info.get("CgroupVersion") or "1",
        storage_driver=info.get("Driver") or "",
        cpus=info.get("NCPU") or 0,
        memory_bytes=info.get("MemTotal") or 0,
        root_dir=Path(info.get("DockerRootDir") or "/var/lib/docker"),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
        operating_system=info.get("OperatingSystem") or "",
        architecture=info.get("Architecture") or "",
        kernel=info.get("KernelVersion") or "",
        default_runtime=info.get("DefaultRuntime") or "",
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
    )


def network_from(inspected: Mapping[str, Any]) -> EngineNetwork:
    """One element of ``docker network inspect``."""
    configs = (inspected.get("IPAM") or {}).get("Config") or []
    bridge = None
    if inspected.get("Driver") == "bridge":
        options = inspected.get("Options") or {}
        # libnetwork's own naming where none was asked for: br- and twelve digits of the id.
        bridge = options.get("com.docker.network.bridge.name") or f"br-{inspected['Id'][:12]}"
    return EngineNetwork(
        name=inspected["Name"],
        id=inspected["Id"],
        subnets=tuple(config["Subnet"] for config in configs if config.get("Subnet")),
        labels=dict(inspected.get("Labels") or {}),
        bridge=bridge,
    )


def container_from(inspected: Mapping[str, Any]) -> Container:
    """One element of ``docker container inspect``."""
    state, config = inspected["State"], inspected["Config"]
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    started_at = _time(state.get("StartedAt"))
    alive = state["Status"] in {"running", "paused", "restarting"}
    return Container(
        name=inspected["Name"].lstrip("/"),
        id=inspected["Id"],
        image=config.get("Image") or "",
        image_id=inspected.get("Image") or "",
        status=state["Status"],
        labels=dict(config.get("Labels") or {}),
        addresses={name: end["IPAddress"] for name, end in networks.items() if end and end.get("IPAddress")},
        networks=tuple(networks),
        started_at=started_at,
        exit_code=None if alive or started_at is None else state.get("ExitCode"),
        env=dict(_pair(item) for item in config.get("Env") or []),
    )


def image_from(inspected: Mapping[str, Any]) -> Image:
    """One element of ``docker image inspect``."""
    return Image(
        id=inspected["Id"],
        tags=tuple(inspected.get("RepoTags") or ()),
        digests=tuple(inspected.get("RepoDigests") or ()),
        size_bytes=inspected.get("Size") or 0,
        labels=dict((inspected.get("Config") or {}).get("Labels") or {}),
        architecture=inspected.get("Architecture") or "",
    )


def volume_from(inspected: Mapping[str, Any]) -> Volume:
    """One element of ``docker volume inspect``."""
    return Volume(
        name=inspected["Name"],
        driver=inspected.get("Driver") or "",
        labels=dict(inspected.get("Labels") or {}),
    )


def _pair(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    return name, value


def _time(text: str | None) -> datetime | None:
    # Go's zero time stands for "never".
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text)
