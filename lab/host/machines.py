"""What the host lacks for machines made by Multipass: looking first, then judgements with remedies.

Beside :mod:`lab.host.doctor`, whose checks these are: they are for labs that have such clusters. Drivers,
storage and bridges: https://documentation.ubuntu.com/multipass/latest/explanation/driver/, and
.../how-to-guides/customise-multipass/configure-where-multipass-stores-external-data/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.clients import multipass
from lab.errors import HostError, ProvisionError
from lab.host import facts
from lab.host.doctor import Check, version_of
from lab.host.facts import Disk, System
from lab.plan.step import Budget

MINIMUM: Final = (1, 14)
"""The first whose ``stop`` has ``--force`` (reference/command-line-interface/stop)."""

APART: Final = frozenset({"virtualbox"})
"""Drivers with which machines reach the outside and the host, and not one another."""

_STORAGE: Final = {"linux": "/var/snap/multipass/common", "darwin": "/var/root/Library"}
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class MachineFacts:
    """What there is, at one moment."""

    system: System
    version: str
    """Of the daemon; empty while none answers, and then ``trouble`` says why."""

    trouble: HostError | None = None
    driver: str = ""
    image_there: bool = False
    accelerated: bool = True
    """Whether the kernel runs machines at the processor's speed: /dev/kvm on Linux."""

    bridges: tuple[str, ...] | None = None
    """The daemon's bridges; None where they come and go with machines (macOS)."""

    memory_available_bytes: int = 0
    disk: Disk


def observe(image: str) -> MachineFacts:
    """Look at Multipass and at what it needs; for ``image``, unless it is empty. Changes nothing."""
    system = facts.observe_system()
    linux = system.name == "linux"
    storage = facts.disk(Path(_STORAGE.get(system.name, "/")))
    try:
        version, driver = multipass.version(), multipass.driver()
    except HostError as error:
        return MachineFacts(system=system, version="", trouble=error, disk=storage)
    return MachineFacts(
        system=system,
        version=version,
        driver=driver,
        # Multipass asks its image servers, which may take seconds.
        image_there=bool(image) and _is_there(image),
        accelerated=not linux or Path("/dev/kvm").exists(),
        bridges=_bridges() if linux else None,
        memory_available_bytes=facts.memory("MemAvailable") or 0,
        disk=storage,
    )


def examine(found: MachineFacts, *, image: str, needed: Budget) -> tuple[Check, ...]:
    """Judge it, for machines of ``image`` that are still to be made and take what is ``needed``.

    While the daemon does not answer, what only it can tell is left out.
    """
    return tuple(_checks(found, image, needed))


def _checks(found: MachineFacts, image: str, needed: Budget) -> Iterator[Check]:
    ok = version_of(found.version) >= MINIMUM
    yield Check(
        id="multipass",
        ok=ok,
        found=found.version or (found.trouble.brief if found.trouble else "not found"),
        needed=f"Multipass {'.'.join(map(str, MINIMUM))} or later, its daemon running",
        remedy="" if ok else found.trouble.remedy if found.trouble else multipass.INSTALL,
    )
    if found.trouble is None:
        yield _driver(found)
        if needed.memory_mib:
            yield Check(
                id="multipass/image",
                ok=found.image_there,
                found=f"{image} {'can be had' if found.image_there else 'not found'}",
                needed=f"Ubuntu {image}, fetched once",
                remedy="" if found.image_there else _IMAGE,
            )
        yield _bridge(found)
        available = found.memory_available_bytes // _MIB
        yield Check(
            id="multipass/memory",
            ok=available >= needed.memory_mib,
            found=f"{available} MiB free",
            needed=f"{needed.memory_mib} MiB free",
            remedy="" if available >= needed.memory_mib else _MEMORY,
        )
    free = found.disk.free_bytes // _MIB
    yield Check(
        id="multipass/disk",
        ok=free >= needed.disk_mib,
        found=f"{free} MiB free at {found.disk.path}",
        needed=f"{needed.disk_mib} MiB free",
        remedy="" if free >= needed.disk_mib else _DISK,
    )


def _driver(found: MachineFacts) -> Check:
    apart = found.driver in APART
    # Only advice: the daemon is the one that needs it, and may see more than we do. It says so when asked.
    slow = "" if found.accelerated else multipass.VIRTUALISATION
    return Check(
        id="multipass/driver",
        ok=not apart,
        found=found.driver + ("" if found.accelerated else ", without /dev/kvm"),
        needed="one whose machines reach one another, at the processor's speed",
        remedy=_APART if apart else slow,
    )


def _bridge(found: MachineFacts) -> Check:
    missing = found.bridges == () and found.driver == "qemu"
    return Check(
        id="multipass/bridge",
        ok=not missing,
        found="none" if missing else ", ".join(found.bridges or ()) or "made with the first machine",
        needed="a bridge that all machines are on",
        remedy=_BRIDGE if missing else "",
    )


_IMAGE: Final = (
    "See what multipass find lists. Where it lists nothing, its daemon reaches no image server "
    "(cloud-images.ubuntu.com): look at proxy and firewall, then restart it."
)
_APART: Final = "Choose one with a bridge: multipass set local.driver=qemu (its machines are others)."
_BRIDGE: Final = "Restart its daemon, which makes mpqemubr0: sudo snap restart multipass"
_MEMORY: Final = (
    "Give the machines less (multipass: {memory: 3G} in the topology; kubeadm wants 2G), leave clusters out, "
    "or stop something."
)
_DISK: Final = "Free some: multipass list shows machines that may go, multipass purge empties the trash."


def _is_there(image: str) -> bool:
    try:
        return bool(multipass.images(image))
    except ProvisionError:
        return False


def _bridges() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in Path("/sys/class/net").glob("mpqemubr*")))
