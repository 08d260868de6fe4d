"""A Debian root file system with an init system in it, for nodes: packages' scripts are run."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.clients import process
from lab.errors import HostError

FORMAT = 1
"""Part of the key: raise it when the steps below change what comes out."""

_NOT_SHIPPED = (
    "var/cache",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/lib/udev/hwdb.d",
)
"""Emptied: no node reads them, and every node holds a copy."""

_UNWANTED_UNITS = (
    "etc/systemd/system/*.wants/*",
    "usr/lib/systemd/system/multi-user.target.wants/*",
    "usr/lib/systemd/system/local-fs.target.wants/*",
    "usr/lib/systemd/system/basic.target.wants/*",
    "usr/lib/systemd/system/sockets.target.wants/*udev*",
    "usr/lib/systemd/system/sockets.target.wants/*initctl*",
    "usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
)
"""What systemd must not start in a container: it has no devices, disks or logins to see to.
The list is kind's (images/base/Dockerfile)."""


def root_file_system(packages: Sequence[str], cache: Path, *, architecture: str, timeout: float) -> Path:
    """A tar of a minimal system with ``packages``, from the cache or made with debootstrap.

    Made of the same release and from the same mirror as the host. ``timeout`` is in seconds.
    Raises :class:`HostError` where debootstrap or the right to use it is missing.
    """
    suite, mirror = release_and_mirror()
    text = json.dumps([FORMAT, architecture, suite, sorted(packages)])
    target = cache / "systems" / f"{suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.tar"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "root"
        process.run(
            [
                "debootstrap",
                "--variant=minbase",
                f"--arch={architecture}",
                f"--include={','.join(packages)}",
                suite,
                root,
                mirror,
            ],
            timeout=timeout,
            remedy="debootstrap needs root and the host's Debian mirror: apt-get install debootstrap",
        )
        _trim(root)
        partial = target.with_suffix(".partial")
        process.run(
            [
                "tar",
                "--create",
                "--sort=name",
                "--mtime=@0",
                "--numeric-owner",
                "--file",
                partial,
                "--directory",
                root,
                ".",
            ],
            timeout=timeout,
        )
        partial.rename(target)
    return target


def release_and_mirror() -> tuple[str, str]:
    """Code name of the host's release, and the mirror that its apt uses for it.

    Raises :class:`HostError` where the host is not Debian or Ubuntu.
    """
    if process.find("apt-get") is None:
        raise HostError(
            "node images can be made from source on Debian and Ubuntu only: apt-get was not found",
            remedy="Use --images registry, or a bundle made elsewhere (--images FILE).",
        )
    listed = process.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(CODENAME) $(COMPONENT) $(REPO_URI)",
            "Created-By: Packages",
        ]
    ).stdout
    release = dict(line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines())
    suite = release.get("VERSION_CODENAME", "").strip('"')
    for line in listed.splitlines():
        name, component, uri = line.split(maxsplit=2)
        if name == suite and component == "main":
            return suite, uri
    raise HostError(
        f"apt knows no mirror for this release ({suite or 'unknown'})",
        details=listed,
        remedy="Run apt-get update, and see that /etc/apt/sources.list names the release's main component.",
    )


def _trim(root: Path) -> None:
    for pattern in _UNWANTED_UNITS:
        for unit in root.glob(pattern):
            unit.unlink()
    for name in _NOT_SHIPPED:
        folder = root / name
        for child in folder.iterdir() if folder.is_dir() else ():
            shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as settings:
        # The kernel's log belongs to the host; reading it from every node costs CPU.
        settings.write("ReadKMsg=no\n")
    for machine_id in ("etc/machine-id", "etc/hostname", "etc/resolv.conf"):
        (root / machine_id).unlink(missing_ok=True)
