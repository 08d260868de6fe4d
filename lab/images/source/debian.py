"""File systems made of Debian packages, without running any package's scripts.

The host's own apt resolves, downloads and verifies; the packages are unpacked into nothing but
the layer being written. That is enough for programs and the libraries that they load. What needs
its scripts run (an init system) is :mod:`lab.images.source.node_base`'s work.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO

from lab.clients import process
from lab.errors import HostError

NOT_SHIPPED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
    "/usr/share/bash-completion/*",
    "/var/cache/*",
    "/usr/include/*",
    "*.a",
)
"""Paths that no container needs. Copyright files go with them: images stay on this machine."""

MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "lib32": "usr/lib32"}
"""Folders that are links since Debian's /usr merge, although packages still ship files in them."""


def download(packages: Sequence[str], folder: Path, *, timeout: float) -> list[Path]:
    """Download ``packages`` and all that they depend on into ``folder``; return the files.

    Everything counts as missing, whatever the host has installed. Raises :class:`HostError`
    where there is no apt, :class:`lab.clients.process.CommandError` when a package is unknown.
    """
    if process.find("apt-get") is None:
        raise HostError(
            "images can be made from source on Debian and Ubuntu only: apt-get was not found",
            remedy="Use --images registry, or a bundle made elsewhere (--images FILE).",
        )
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    status = folder / "status"
    status.touch()
    common = [
        "apt-get",
        f"--option=Dir::State::status={status}",
        f"--option=Dir::Cache::archives={archives}",
        "--option=APT::Sandbox::User=root",
        "--option=Debug::NoLocking=1",
        "--yes",
        "--no-install-recommends",
    ]
    process.run(
        [*common, "--download-only", "install", *packages],
        timeout=timeout,
        remedy="Run apt-get update, and see that the host's apt sources can be reached.",
    )
    wanted = process.run([*common, "--print-uris", "install", *packages], timeout=timeout).stdout
    if wanted.strip().startswith("'"):
        raise HostError("apt did not download every package", details=wanted)
    return sorted(archives.glob("*.deb"))


def entries(
    package: Path, *, leave_out: Sequence[str] = ()
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The files of one ``.deb``, under their merged paths; ``leave_out`` are globs of absolute paths."""
    with TemporaryFile() as output:
        process.run(["dpkg-deb", "--fsys-tarfile", package], stdout=output)
        output.seek(0)
        with tarfile.open(fileobj=output) as archive:
            for member in archive:
                path = merged(member.name)
                if path is None or any(fnmatch(f"/{path}", glob) for glob in (*NOT_SHIPPED, *leave_out)):
                    continue
                member.name = path
                if member.islnk():
                    member.linkname = merged(member.linkname) or member.linkname
                yield member, archive.extractfile(member) if member.isreg() else None


def merged(name: str) -> str | None:
    """Where a packaged path lies in a file system with merged /usr; None for what is a link there."""
    path = PurePosixPath("/", name).relative_to("/")
    if not path.parts or (len(path.parts) == 1 and path.parts[0] in MERGED):
        return None
    return str(PurePosixPath(MERGED.get(path.parts[0], path.parts[0]), *path.parts[1:]))
