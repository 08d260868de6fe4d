"""A lab's own folder: what must be kept between commands and cannot be read off the lab itself.

Kept are the addresses that it was given, the mesh's CA, a kubeconfig per cluster, journals, and what an
experiment has yet to undo. What exists is never written down: it is looked for, by label and in the clusters.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from filelock import FileLock, Timeout

from lab.errors import HostError
from lab.settings import Settings
from lab.topology.model import Addresses, Kept


@dataclass(frozen=True)
class LabFolder:
    """Where the files of one lab are. Folders are 0700, files 0600."""

    path: Path

    @property
    def ca(self) -> Path:
        """Folder of the mesh's certificate authority."""
        return self.path / "ca"

    @property
    def journals(self) -> Path:
        """One journal for each run of a command that changed something."""
        return self.path / "journals"

    def kubeconfig(self, cluster: str) -> Path:
        """kubeconfig of one cluster."""
        return self.path / "kubeconfig" / f"{cluster}.yaml"

    def kept(self) -> Kept | None:
        """The addresses given at the first ``up``; None before it."""
        try:
            text = (self.path / "addresses.json").read_text()
        except FileNotFoundError:
            return None
        stored = json.loads(text)
        clusters = {
            name: Addresses(
                id=entry["id"],
                pod_cidr=IPv4Network(entry["pod_cidr"]),
                service_cidr=IPv4Network(entry["service_cidr"]),
                mesh_port=entry["mesh_port"],
            )
            for name, entry in stored["clusters"].items()
        }
        return Kept(clusters, IPv4Network(stored["node_cidr"]))

    def keep(self, kept: Kept) -> None:
        """Write ``kept`` down, whole or not at all."""
        clusters = {
            name: {
                "id": each.id,
                "pod_cidr": str(each.pod_cidr),
                "service_cidr": str(each.service_cidr),
                "mesh_port": each.mesh_port,
            }
            for name, each in kept.clusters.items()
        }
        self.write(
            "addresses.json", json.dumps({"node_cidr": str(kept.node_cidr), "clusters": clusters}, indent=1)
        )

    def seed(self) -> bytes:
        """What the lab's secrets are derived from; empty before :meth:`make_seed`."""
        return bytes.fromhex(self.read("seed"))

    def make_seed(self) -> None:
        """Make the seed, unless there is one: it is kept until the lab is removed."""
        if not self.seed():
            self.write("seed", secrets.token_hex(32))

    def write(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.path / f"{name}.partial"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        partial.rename(self.path / name)

    def read(self, name: str) -> str:
        """A small file's text; empty if it is not there."""
        path = self.path / name
        return path.read_text() if path.exists() else ""

    def remove(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def folder(settings: Settings, lab: str) -> LabFolder:
    """The folder of ``lab``; it may not exist yet."""
    return LabFolder(settings.lab(lab))


def labs(settings: Settings) -> list[str]:
    """Names of the labs that have a folder here."""
    root = settings.state / "labs"
    return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


@contextmanager
def locked(settings: Settings, lab: str, *, last: bool = False) -> Iterator[None]:
    """Only one command at a time changes a lab.

    Raises :class:`HostError` at once when another does. The lock goes with the process that holds
    it, so a killed command leaves none. Its file stays, unless this is the ``last`` that is done to
    the lab, or nothing was done.
    """
    locks = settings.state / "locks"
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(locks / f"{lab}.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise HostError(
            f"another command is changing the lab {lab}",
            remedy="Wait until it is done; ./invoke status shows the lab meanwhile.",
        ) from error
    try:
        yield
    finally:
        if last or not settings.lab(lab).exists():
            # While it is held: whoever has opened it meanwhile sees that it is no longer there.
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
